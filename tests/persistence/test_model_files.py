"""A file that is not a whole and unaltered model is refused; nothing in it is ever run."""

import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from sealing import documented, joined, parts, sealed

import regen
from regen.persistence import KINDS
from regen.persistence.container import read, write

Y = np.sin(np.arange(40) / 2)
READS = "regen.load reads what regen.save wrote."


def refusal(path: Path) -> str:
    """The message of the refusal of a file."""
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        regen.load(path)
    return str(caught.value)


def altered(path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """The file with its document changed, in place, and the checksum of what it holds now."""
    header, data = parts(path.read_bytes())
    document = json.loads(header["__metadata__"]["regen"])
    change(document)
    path.write_bytes(documented("regen", document, header, data))
    return path


def damage(path: Path, reason: str) -> str:
    """The refusal of an altered file."""
    return f"{str(path)!r} is damaged or was altered: {reason}. Save the model again."


def test_missing(saved: Path) -> None:
    """A name that is not there, and the closest one that is; a folder without a model; a folder as such."""
    wrong = saved.with_name("modle.regen")
    assert refusal(wrong) == f"There is no file or folder {str(wrong)!r}. Did you mean 'model.regen'?"
    nowhere = saved.parent / "x" / "y"
    assert refusal(nowhere) == f"There is no file or folder {str(nowhere)!r}."
    folder = str(saved.parent)
    assert refusal(saved.parent) == (
        f"The folder {folder!r} holds no model.safetensors. Give a folder that regen fit made."
    )


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.9, 0.9999])
def test_truncated(kept: float, saved: Path) -> None:
    """A file that was cut short, in its header or in its data."""
    content = saved.read_bytes()
    cut = int(len(content) * kept)
    header = 8 + int.from_bytes(content[:8], "little")
    needed = header if cut < header else len(content)
    saved.write_bytes(content[:cut])
    assert refusal(saved) == (
        f"{str(saved)!r} is truncated: it holds {cut} bytes of at least {needed}. Copy or save it again."
    )


def test_every_truncation_is_refused(saved: Path) -> None:
    """No beginning of a model file loads, whatever its length."""
    content = saved.read_bytes()
    for cut in {*range(40), *range(40, len(content), 97), len(content) - 1}:
        saved.write_bytes(content[:cut])
        assert str(saved) in refusal(saved), cut


def archive() -> bytes:
    """A zip archive with the member that torch.save writes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("data.pkl", b"")
    return buffer.getvalue()


def arrays() -> bytes:
    """An archive of numpy."""
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    return buffer.getvalue()


WEIGHT = {"weight": torch.zeros(2)}
OTHERS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty. Save the model again."),
    "csv": (b"a,b\n1,2\n", f"is not a regen file. {READS}"),
    "bytes": (bytes(range(256)) * 4, f"is not a regen file. {READS}"),
    "zeros": (b"\0" * 100, f"is not a regen file. {READS}"),
    "ones": (b"\xff" * 9, f"is not a regen file. {READS}"),
    "letter": (b"x", f"is not a regen file. {READS}"),
    "huge header": (struct.pack("<Q", 2**63) + b'{"a":1}', f"is not a regen file. {READS}"),
    "torch": (archive(), f"is a zip archive, such as torch.save writes. {READS}"),
    "numpy": (arrays(), f"is a zip archive, such as torch.save writes. {READS}"),
    "safetensors": (
        safetensors.torch.save(WEIGHT),
        f"is a safetensors file without a regen model in it. {READS}",
    ),
    "safetensors with metadata": (
        safetensors.torch.save(WEIGHT, {"format": "pt"}),
        f"is a safetensors file without a regen model in it. {READS}",
    ),
}


@pytest.mark.parametrize(("content", "message"), OTHERS.values(), ids=OTHERS)
def test_other_content(content: bytes, message: str, saved: Path) -> None:
    """Files of other programs; no memory is allocated for the size that a header claims."""
    saved.write_bytes(content)
    assert refusal(saved) == f"{str(saved)!r} {message}"


class Trap:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return (Path.touch, (self.trace,))


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_is_never_opened(protocol: int, saved: Path) -> None:
    """A pickle is refused, and what it would have done is not done."""
    trace = saved.with_name("trace")
    saved.write_bytes(pickle.dumps(Trap(trace), protocol))
    assert refusal(saved) == (
        f"{str(saved)!r} is a pickle, which can run any code when opened; regen never does. {READS}"
    )
    assert not trace.exists()
    pickle.loads(saved.read_bytes())
    assert trace.exists()  # the trap does work


def test_a_newer_format(saved: Path) -> None:
    """A format of the future, whatever else is in it; but not one that only a flipped bit makes of the present."""
    content = saved.read_bytes()
    altered(saved, lambda document: (document.clear(), document.update(format=3, anything=1)))
    newer = f"{str(saved)!r} was written by a newer regen (format 3); this one reads formats up to 2. Upgrade regen."
    assert refusal(saved) == newer
    header, data = parts(content)
    saved.write_bytes(joined(header | {"__metadata__": {"regen": '{"format":3}'}}, data))
    assert refusal(saved) == newer
    saved.write_bytes(content.replace(rb"\"format\":2", rb"\"format\":3"))
    assert refusal(saved) == damage(saved, CHECKSUM)


@pytest.mark.parametrize("name", ["os.system", "forecaster", "", None, ["Forecaster"], "Estimator"])
def test_another_class(name: Any, saved: Path) -> None:
    """A class is looked up in a table; any other name is refused."""
    altered(saved, lambda document: document.update({"class": name}))
    assert refusal(saved) == (
        f"{str(saved)!r} holds a {name!r}, which is no estimator of this regen. It knows {', '.join(KINDS)}."
    )


def test_the_class_of_another(saved: Path) -> None:
    """A forecaster under the name of a classifier."""
    altered(saved, lambda document: document.update({"class": "SequenceClassifier"}))
    assert refusal(saved) == damage(saved, "SequenceClassifier has no parameter 'bptt'")


CHECKSUM = "its content does not have the checksum that was written with it"
PLACE = "its checksum is not at its place"
HEADER = "its header is no safetensors header"
JSON = "its description is no JSON"
DESCRIPTION = "its description lacks format, regen, class, params or fitted, or has more"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d.pop("fitted"), DESCRIPTION),
        (lambda d: d.update(extra=1), DESCRIPTION),
        (lambda d: d.update(format=0), DESCRIPTION),
        (lambda d: d.update(format="1"), DESCRIPTION),
        (lambda d: d.update(format=True), DESCRIPTION),
        (lambda d: d["params"].update(hiden=3), "Forecaster has no parameter 'hiden'"),
        (
            lambda d: d["params"].update(horizon=0),
            "The 'horizon' parameter of Forecaster must be an int in [1, inf). Got 0 instead",
        ),
        (
            lambda d: d["params"].update(training={"dict": {"clip": -1}}),
            "The 'clip' parameter of Training must be a number in (0, inf) or None. Got -1 instead",
        ),
        (lambda d: d["params"].update(window={"eval": "1"}), "the tag 'eval' is unknown"),
        (lambda d: d.update(params=[]), "a dict is not an object"),
        (lambda d: d["fitted"].update(predict=1), "'predict' is no fitted attribute"),
        (lambda d: d["fitted"].update(__class__=1), "'__class__' is no fitted attribute"),
        (lambda d: d["fitted"].pop("errors_"), "nothing uses the tensor 'fitted.errors_'"),
        (
            lambda d: d["fitted"]["errors_"]["array"].update(shape=[1]),
            "the tensor 'fitted.errors_' has shape",
        ),
        (
            lambda d: d["fitted"]["errors_"]["array"].update(entry="x"),
            "the tensor 'x' is missing or used twice",
        ),
        (lambda d: d["fitted"].pop("net_"), "nothing uses the tensor 'fitted.net_."),
        (
            lambda d: d["params"].update(hidden=4),
            "the weight 'reader.weight_ih_l0' is torch.float32 of shape (12, 1), and its network needs torch.float32"
            " of shape (16, 1)",
        ),
        (lambda d: d["params"].update(hidden=10**6), "the weight 'reader.weight_ih_l0' is"),
        (lambda d: d["params"].update(cell="gru"), "the weight 'reader.weight_ih_l0' is"),
        (lambda d: d["params"].update(layers=2), "the weight 'reader.weight_ih_l1' is missing"),
        (lambda d: d["params"].update(layers=10**6), "layers=1000000 is more than its 6 weights"),
        (lambda d: d["params"].update(segment=2), "the weight 'embed.0.weight' is missing"),
        (lambda d: d["fitted"]["net_"].update(tensor=1), "an object has 2 tags instead of one"),
        (
            lambda d: d["fitted"].update(history_=1),
            "'history_' is no fitted attribute of Forecaster",
        ),
    ],
)
def test_an_altered_document(change: Callable[[dict[str, Any]], Any], reason: str, saved: Path) -> None:
    """The refusal names the altered part."""
    altered(saved, change)
    words = refusal(saved)
    assert words.startswith(damage(saved, reason).removesuffix(". Save the model again.")), words


def test_an_extra_tensor(saved: Path) -> None:
    """A tensor that nothing refers to."""
    document, tensors = read(saved)
    write(saved, document, tensors | {"stowaway": torch.zeros(1)})
    assert refusal(saved) == damage(saved, "nothing uses the tensor 'stowaway'")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("{not json", HEADER),
        ("{" * 5000, HEADER),
        ('{"a":' + "[" * 50000 + "]" * 50000 + "}", HEADER),
        ('{"a":1}', HEADER),
        (
            '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,NaN]}}',
            HEADER,
        ),
        ('{"a":{"dtype":"F32","shape":[1]}}', HEADER),
        (
            '{"__metadata__":{"regen":"{}"},"__metadata__":{"regen":"{}"}}',
            HEADER,
        ),
        ('{"__metadata__":{"regen":"{\\"a\\":NaN}"}}', JSON),
        ('{"__metadata__":{"regen":"{\\"format\\":1,\\"format\\":1}"}}', JSON),
        ('{"__metadata__":{"regen":"' + "[" * 50000 + '"}}', JSON),
        ('{"__metadata__":{"regen":"1' + "0" * 5000 + '"}}', JSON),
        ('{"__metadata__":{"regen":"null"}}', DESCRIPTION),
        ('{"__metadata__":{"regen":"[]"}}', DESCRIPTION),
    ],
)
def test_a_hostile_header(header: str, reason: str, saved: Path) -> None:
    """Headers that could break a parser: nested too deep, twice the same name, no numbers."""
    saved.write_bytes(joined(header, b""))
    assert refusal(saved) == damage(saved, reason)


@pytest.mark.parametrize(
    "tensors",
    [
        {"a": ([0, 8], [2]), "b": ([4, 12], [2])},
        {"a": ([0, 8], [2]), "b": ([0, 8], [2])},
        {"a": ([4, 12], [2])},
        {"a": ([0, 4], [2])},
        {"a": ([0, 8], [2])},
        {"a": ([8, 0], [2])},
        {"a": ([0, 12], [2**62, 2**62])},
        {"a": ([-8, 12], [5])},
    ],
    ids=["overlap", "shared", "hole", "short", "rest", "backwards", "overflow", "negative"],
)
def test_hostile_tensors(tensors: dict[str, Any], saved: Path) -> None:
    """Tensors that overlap, leave holes, or whose size contradicts their shape."""
    specs = [{"tensor": {"entry": n, "dtype": "float32", "shape": s}} for n, (_, s) in tensors.items()]
    document = {"format": 1, "regen": "0", "class": "Forecaster", "params": {}, "fitted": {"a_": specs}}
    header: dict[str, Any] = {"__metadata__": {"regen": json.dumps(document)}}
    header |= {name: {"dtype": "F32", "shape": s, "data_offsets": o} for name, (o, s) in tensors.items()}
    saved.write_bytes(joined(header, b"\0" * 12))
    assert refusal(saved).startswith(f"{str(saved)!r} is damaged or was altered: its tensors cannot be read")


def test_every_flipped_bit_is_noticed(saved: Path) -> None:
    """Every bit around the checksum and the format, and some of all others: no flip gives a model, of any format."""
    content = saved.read_bytes()
    assert sealed(content) == content, "the checksum is the one that the documentation defines"
    for bit in (*range(45 * 8), *range(105 * 8, 180 * 8), *range(45 * 8, len(content) * 8, 797)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        saved.write_bytes(flipped)
        assert refusal(saved).startswith(f"{str(saved)!r} ")


def test_damage_to_the_data_is_named(saved: Path) -> None:
    """A weight that was altered, which nothing but the checksum can find."""
    content = saved.read_bytes()
    saved.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert refusal(saved) == damage(saved, CHECKSUM)


@pytest.mark.parametrize("number", [1, 2])
def test_a_checksum_that_is_lost(number: int, saved: Path) -> None:
    """Without a checksum, or with one at another place, a model of this format is none, and none of the first."""
    header, data = parts(saved.read_bytes())
    document = json.loads(header["__metadata__"]["regen"]) | {"format": number}
    checksum = document.pop("sha256")
    for changed in (document, document | {"sha256": checksum}):
        saved.write_bytes(joined(header | {"__metadata__": {"regen": json.dumps(changed)}}, data))
        if (number, changed) == (1, document):
            regen.load(saved)
        else:
            assert refusal(saved) == damage(saved, PLACE)


def test_programs_for_safetensors_read_models(saved: Path) -> None:
    """The file is a safetensors file like any other, and its description is strict JSON."""
    with safetensors.safe_open(saved, framework="np") as file:
        document = json.loads(file.metadata()["regen"], parse_constant=pytest.fail)
        assert list(file.metadata()) == ["regen"] and "fitted.net_.reader.bias_ih_l0" in file.keys()  # noqa: SIM118
    assert list(document)[:2] == ["sha256", "format"] and document["format"] == 2


def test_huge_files_are_judged_by_their_header(saved: Path) -> None:
    """Files of eight gigabytes, of zeros, with a header of their size, or a tensor of it, are not read."""
    size, entry = 1 << 33, {"dtype": "U8", "data_offsets": [0, 1 << 33]}
    array = {"array": {"entry": "a", "dtype": "uint8", "shape": [4]}}
    document = {"format": 1, "regen": "0", "class": "Forecaster", "params": {}, "fitted": {"a_": array}}
    metadata = {"__metadata__": {"regen": json.dumps(document)}}
    cases = {
        b"": f"is not a regen file. {READS}",
        struct.pack("<Q", 99_999_999) + b"{": f"is damaged or was altered: {HEADER}. Save the model again.",
        struct.pack("<Q", size) + b"{": f"is not a regen file. {READS}",
        joined(metadata | {"a": entry | {"shape": [size]}}, b""): (
            f"is damaged or was altered: the tensor 'a' has shape [{size}] instead of [4]. Save the model again."
        ),
        joined(metadata | {"b": entry | {"shape": [size]}}, b""): (
            "is damaged or was altered: the tensor 'a' is missing or used twice. Save the model again."
        ),
        joined(metadata | {"a": entry | {"shape": [4]}}, b""): (
            "is damaged or was altered: its tensors cannot be read (they are not of their shapes, overlap, or leave"
            " gaps). Save the model again."
        ),
    }
    for start, words in cases.items():
        saved.write_bytes(start)
        os.truncate(saved, size + (len(start) if b"__metadata__" in start else 0))
        tracemalloc.start()
        assert refusal(saved) == f"{str(saved)!r} {words}"
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1 << 20 or (len(start) == 9 and peak < 1 << 28)  # that of the longest header


def path_of(training: Any) -> Any:
    """The path of a checkpoint in training options of any kind."""
    return (
        training.get("checkpoint") if isinstance(training, dict) else regen.Training.of(training).checkpoint
    )


@pytest.mark.parametrize(
    "training",
    [regen.Training(checkpoint="run.ckpt", clip=2.0), {"checkpoint": Path("run.ckpt"), "clip": 2.0}],
)
def test_no_path_is_saved(training: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of a checkpoint belongs to one training: it is not saved, and the model keeps it."""
    monkeypatch.chdir(tmp_path)
    model = regen.Forecaster(
        window=6, horizon=3, hidden=3, max_epochs=1, random_state=0, training=training
    ).fit(Y)
    loaded = regen.load(regen.save(model, "model.regen"))
    assert (
        path_of(model.training) == path_of(training) and b"run.ckpt" not in Path("model.regen").read_bytes()
    )
    assert type(loaded.training) is type(training) and path_of(loaded.training) is None
    assert regen.Training.of(loaded.training).clip == 2.0
    os.remove("run.ckpt")
    loaded.fit(Y)
    assert os.listdir() == ["model.regen"]


@pytest.mark.parametrize(
    "training",
    [
        {"training": {"checkpoint": "planted"}},
        {"dict": {"checkpoint": "planted"}},
        {"training": {"checkpoint": {"tuple": ["planted"]}}},
    ],
)
@pytest.mark.parametrize("number", [1, 2])
def test_no_path_is_taken_from_a_file(
    training: Any, number: int, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a file, old or new, says of a checkpoint is not taken: fit writes nothing."""
    monkeypatch.chdir(saved.parent)
    altered(
        saved, lambda document: (document.update(format=number), document["params"].update(training=training))
    )
    model = regen.load(saved)
    assert path_of(model.training) is None
    model.fit(Y)
    assert os.listdir() == [saved.name]


def test_no_other_parameter_is_a_path() -> None:
    """The path of a checkpoint is the only parameter of any estimator that names a file."""
    tables = [
        regen.Training.constraints,
        regen.Game.constraints,
        *(kind.constraints for kind in KINDS.values()),
    ]
    paths = [
        name for table in tables for name, each in table.items() if "path" in str(each) or "file" in str(each)
    ]
    assert paths == ["checkpoint"]


def test_not_a_file(tmp_path: Path) -> None:
    """A device or a pipe is not read, for it may never end."""
    pipe = tmp_path / "pipe"
    try:
        os.mkfifo(pipe)
    except (AttributeError, OSError):
        pytest.skip("this system makes no pipes")
    assert refusal(pipe) == f"{str(pipe)!r} is not a file. Give a file that regen.save wrote."
