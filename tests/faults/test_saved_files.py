"""Models and checkpoints that were damaged or altered: every one is refused, or works.

A flipped bit is always refused, by the checksum. A file that was altered on purpose and given the right checksum is
refused, or the model that it gives can be used: no other error than a ValueError in words.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sealing import documented, parts, sealed
from tally import Campaign

import regen
from regen.training.checkpoint import read_tree

TESTS = Path(__file__).resolve().parents[1]
GOLDEN = TESTS / "golden"


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


USES: dict[str, Callable[[Any], Any]] = {
    name: use for name, (_, use) in _module(GOLDEN / "make.py").PREDICTIONS.items()
}
FILES = {name: (GOLDEN / f"{name}-format-2.safetensors").read_bytes() for name in USES}
SINGLES: list[Any] = [
    *(None, True, False, 0, 1, -1, 3, 2**31, 2**63, -(2**70), 0.5, -1e308, "", "mutated", "float32"),
    *(
        [],
        {},
        [0],
        [None],
        {"float": "nan"},
        {"float": "-inf"},
        {"tuple": []},
        {"dict": {}},
        {"dict": {"a": 1}},
    ),
    *({"texts": {"dtype": "str", "shape": [1], "values": ["a"]}}, {"scalar": {"dtype": "int8", "value": 1}}),
    *({"cell": {"name": "gru", "options": {}}}, {"training": {}}, {"game": {}}),
]
BITS = Campaign("bit flips in model files (accepted: 0)", short=400, long=10_000)
CHECKPOINT_BITS = Campaign("bit flips in checkpoints (accepted: 0)", short=100, long=10_000)
MODELS = Campaign("altered nodes and tensors of model files, with the right checksum", short=250, long=10_000)


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every node of a JSON document."""
    yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def at(document: Any, path: tuple[Any, ...]) -> Any:
    """The node at a path."""
    for key in path:
        document = document[key]
    return document


def altered_document(document: Any, draw: random.Random) -> str:
    """Change one node of a document in place; returns what was done."""
    path = draw.choice([each for each in places(document) if each])
    owner, key = at(document, path[:-1]), path[-1]
    what = draw.choice(("delete", "replace", "replace", "copy", "nudge", "repeat", "rename"))
    if what == "delete":
        del owner[key]
    elif what == "copy":
        owner[key] = copy.deepcopy(at(document, draw.choice(list(places(document)))))
    elif what == "nudge" and isinstance(owner[key], int | float) and not isinstance(owner[key], bool):
        owner[key] = draw.choice((owner[key] + 1, owner[key] - 1, -owner[key], owner[key] * 1000))
    elif what == "repeat" and isinstance(owner[key], list):
        owner[key] = owner[key] * 2 if draw.random() < 0.5 else owner[key][:-1]
    elif what == "rename" and isinstance(owner, dict) and len(owner) > 1:
        owner[f"{key}x" if draw.random() < 0.5 else draw.choice(list(owner))] = owner.pop(key)
    else:
        owner[key] = copy.deepcopy(draw.choice(SINGLES))
    return f"{what} {'.'.join(map(str, path))}"


def altered_tensor(header: dict[str, Any], data: bytes, draw: random.Random) -> tuple[bytes, str]:
    """Change the numbers of one tensor; returns the new data and what was done."""
    name = draw.choice(sorted(set(header) - {"__metadata__"}))
    begin, end = header[name]["data_offsets"]
    size = {"F64": 8, "I64": 8, "F32": 4, "I32": 4}.get(header[name]["dtype"], 1)
    filler = {
        "F64": (b"\0" * 8, b"\xff" * 8, b"\0" * 6 + b"\xf0\x7f", b"\0" * 6 + b"\xf0\xbf"),
        "F32": (b"\0" * 4, b"\xff" * 4, b"\0\0\x80\x7f", b"\0\0\x80\xbf"),
    }.get(header[name]["dtype"], (b"\0" * size, b"\xff" * size, b"\x7f" * size, b"\1" + b"\0" * (size - 1)))
    number = draw.choice(filler)
    count = (end - begin) // size
    chosen = range(count) if draw.random() < 0.5 else [draw.randrange(count)] if count else []
    changed = bytearray(data)
    for place in chosen:
        changed[begin + place * size : begin + (place + 1) * size] = number
    return bytes(changed), f"{number!r} in {len(chosen)} numbers of {name}"


def altered(content: bytes, key: str, draw: random.Random) -> tuple[bytes, str]:
    """A file with one or two alterations and the right checksum, and what was done."""
    header, data = parts(content)
    document = json.loads(header["__metadata__"][key])
    del document["sha256"]
    done = []
    for _ in range(draw.choice((1, 1, 1, 2))):
        if draw.random() < 0.25:
            data, what = altered_tensor(header, data, draw)
        elif draw.random() < 0.1:
            del header["__metadata__"]
            what = f"header: {altered_document(header, draw)}"
            header["__metadata__"] = {}
        else:
            what = altered_document(document, draw)
        done.append(what)
    return documented(key, document, header, data), "; ".join(done)


def test_a_flipped_bit_in_a_model_is_refused(tmp_path: Path) -> None:
    """Wherever it is, in the model of whatever estimator."""
    path, names = tmp_path / "model", sorted(FILES)
    assert all(sealed(content) == content for content in FILES.values())
    with BITS as seeds:
        for seed in seeds:
            draw = random.Random(seed)
            content = bytearray(FILES[names[seed % len(names)]])
            place = draw.randrange(len(content) * 8)
            content[place // 8] ^= 1 << place % 8
            path.write_bytes(content)
            with pytest.raises(ValueError, match=r"^'.*model' "):
                regen.load(path)
            BITS.count("refused")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A checkpoint of two players that take turns."""
    path = tmp_path_factory.mktemp("checkpoint") / "run.ckpt"
    rows = [[float(k % 5), float(k % 7)] for k in range(64)]
    model = regen.GAN(hidden=4, max_epochs=1, random_state=0, training={"checkpoint": path})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(rows)
    return path.read_bytes()


def test_a_flipped_bit_in_a_checkpoint_is_refused(checkpoint: bytes, tmp_path: Path) -> None:
    """Wherever it is."""
    path = tmp_path / "run.ckpt"
    assert sealed(checkpoint) == checkpoint
    with CHECKPOINT_BITS as seeds:
        for seed in seeds:
            place = random.Random(seed).randrange(len(checkpoint) * 8)
            content = bytearray(checkpoint)
            content[place // 8] ^= 1 << place % 8
            path.write_bytes(content)
            with pytest.raises(ValueError, match=r"^The checkpoint '"):
                read_tree(path)
            CHECKPOINT_BITS.count("refused")


def test_an_altered_model_is_refused_or_works(tmp_path: Path) -> None:
    """Each node of the description and each tensor may be anything: there is no error but one in words."""
    path, names = tmp_path / "model", sorted(FILES)
    with MODELS as seeds, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in seeds:
            name = names[seed % len(names)]
            content, what = altered(FILES[name], "regen", random.Random(seed))
            path.write_bytes(content)
            outcome = "refused"
            try:
                model = regen.load(path)
                assert not model.net_.training
                outcome = "loaded, refused in use"
                USES[name](model)
                outcome = "works"
            except ValueError as error:
                assert str(error), what
            except Exception as error:
                error.add_note(f"seed {seed}, {name}: {what}")
                raise
            MODELS.count(outcome)
