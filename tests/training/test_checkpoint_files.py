"""Checkpoint files: what does not fit or cannot be read is refused, and a full disk ends nothing."""

import errno
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sealing import documented, joined, parts, sealed

from regen.training.checkpoint import read_tree, write_tree


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch_size": 9}, "batch_size was 'auto' and is now 9"),
        ({"optimizer": "sgd"}, "optimizer was 'adam' and is now 'sgd'"),
        ({"learning_rate": 0.5}, "learning_rate was 0.03 and is now 0.5"),
        ({"clip": None}, "clip was 1.0 and is now None"),
        ({"fingerprint": "columns"}, "the data are not the same"),
    ],
    ids=str,
)
def test_a_checkpoint_of_another_run_is_refused(
    experiment: Any, tmp_path: Path, change: dict[str, Any], words: str, message_of: Any
) -> None:
    """The message names what differs and what to do."""
    path = tmp_path / "run.ckpt"
    experiment().run(max_epochs=1, checkpoint=path)
    other = experiment()
    assert message_of(ValueError, other.run, checkpoint=path, **change) == (
        f"The checkpoint {str(path)!r} belongs to another run: {words}. Delete the file or choose another path."
    )
    assert torch.equal(other.toys[0].weights(), other.toys[0].before)


def test_a_checkpoint_of_another_network_is_refused(experiment: Any, tmp_path: Path, message_of: Any) -> None:
    """The first weight that differs is named."""
    path = tmp_path / "run.ckpt"
    experiment().run(max_epochs=1, checkpoint=path)
    other, start = experiment(), f"The checkpoint {str(path)!r} belongs to another run: the "
    other.toys[0].net[3] = torch.nn.Linear(7, 1)
    words = f"{start}weight 'p0.3.weight' was of shape (2, 7) and is now of shape (1, 7). "
    assert message_of(ValueError, other.run, checkpoint=path).startswith(words)
    other.toys[0].net.append(torch.nn.Linear(1, 1))
    other.toys[0].net[3] = torch.nn.Linear(7, 2)
    words = f"{start}weight 'p0.4.weight' was absent and is now of shape (1, 1). "
    assert message_of(ValueError, other.run, checkpoint=path).startswith(words)
    words = f"{start}turns was 'alternate(p0=1)' and is now 'alternate(p0=2, p1=1)'. "
    assert message_of(ValueError, experiment(players=2).run, checkpoint=path).startswith(words)


def test_a_schedule_laid_out_over_the_run_cannot_be_extended(
    experiment: Any, tmp_path: Path, message_of: Any
) -> None:
    """A cosine that has reached its end cannot go on, and the message explains it."""
    path = tmp_path / "run.ckpt"
    experiment().run(max_epochs=1, checkpoint=path, schedule="cosine")
    assert message_of(ValueError, experiment().run, max_epochs=2, checkpoint=path, schedule="cosine") == (
        f"The checkpoint {str(path)!r} belongs to another run: the length of the run (which its learning rates are "
        "laid out over) was '7 steps' and is now '14 steps'. Delete the file or choose another path."
    )


def old(state: str, version: str = "1") -> dict[str, str]:
    """The metadata of a checkpoint file of version 1."""
    return {"format": "regen checkpoint", "version": version, "state": state}


def rewritten(path: Path, change: Callable[[dict[str, Any]], object], seal: bool = True) -> None:
    """Change the document of a checkpoint, and give it the checksum of what it holds now, or not."""
    header, data = parts(path.read_bytes())
    document = json.loads(header["__metadata__"]["regen checkpoint"])
    change(document)
    content = documented("regen checkpoint", document, header, data)
    path.write_bytes(content if seal else content.replace(content[60:80], b"0" * 20, 1))


PACKED_OTHERWISE = json.dumps({"dict": [["whose", 1, 2]], "tuple": []})
STATES = "is damaged or was altered: its states are not those of a training"
TENSORS = "is damaged or was altered: its states are not those of its tensors"
CHECKSUM = "is damaged or was altered: its content does not have the checksum that was written with it"
OTHER = "is a safetensors file, and no checkpoint"
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        "is truncated: it holds 1000 bytes of at least {header}",
    ),
    "cut by a byte": (
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        "is truncated: it holds {less} bytes of at least {size}",
    ),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "garbage": (lambda path: path.write_bytes(b"\x07" * 4000), "is not a regen file"),
    "safetensors": (lambda path: save_file({"a": torch.zeros(2)}, path, {"format": "pt"}), OTHER),
    "no metadata": (lambda path: save_file({"a": torch.zeros(2)}, path), OTHER),
    "not json": (lambda path: save_file({}, path, old("{")), STATES),
    "json of something else": (lambda path: save_file({}, path, old(json.dumps({"tensor": "0"}))), TENSORS),
    "a tensor left over": (lambda path: save_file({"a": torch.zeros(2)}, path, old("3")), TENSORS),
    "another tree": (lambda path: write_tree(path, {"weights": {"a": torch.zeros(2)}}), STATES),
    "no tree": (lambda path: save_file({}, path, old("3")), STATES),
    "another way to pack": (lambda path: save_file({}, path, old(PACKED_OTHERWISE)), STATES),
    "an unknown tag": (lambda path: save_file({}, path, old('{"eval": "1"}')), STATES),
    "a state that is none": (lambda path: write_tree(path, {"whose": {}, "state": [1]}), STATES),
    "an identity of tensors": (
        lambda path: write_tree(
            path, {"whose": dict.fromkeys(["learning_rate"], torch.zeros(2)), "state": {}}
        ),
        STATES,
    ),
    "no checksum": (
        lambda path: save_file({}, path, {"regen checkpoint": '{"version":2,"state":null}'}),
        "is damaged or was altered: its checksum is not at its place",
    ),
    "another checksum": (lambda path: rewritten(path, lambda document: None, seal=False), CHECKSUM),
    "a lost version": (lambda path: rewritten(path, lambda document: document.pop("version")), STATES),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "is not a file"),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_checkpoint_is_refused(experiment: Any, tmp_path: Path, how: str, message_of: Any) -> None:
    """The message says what is wrong with the file and what to do; nothing is trained."""
    path = tmp_path / "run.ckpt"
    experiment().run(max_epochs=1, checkpoint=path)
    size, header = path.stat().st_size, 8 + int.from_bytes(path.read_bytes()[:8], "little")
    change, words = DAMAGE[how]
    change(path)
    words, other = words.format(size=size, less=size - 1, header=header), experiment()
    assert message_of(ValueError, other.run, checkpoint=path) == (
        f"The checkpoint {str(path)!r} {words}. Restore a copy of it, delete it to train from the start, or choose"
        " another path."
    )
    assert torch.equal(other.toys[0].weights(), other.toys[0].before)


ABSENT: list[tuple[str, ...]] = [
    *[
        ("epoch",),
        ("guard",),
        ("guard", "players"),
        ("guard", "players", "p0", "optimizer"),
        ("best",),
        ("means",),
    ],
    *[("guard", "players", "p0", "module"), ("guard", "players", "p0", "rate"), ("rows",), ("seconds",)],
]


@pytest.mark.parametrize("value", [..., None, "x", 7])
@pytest.mark.parametrize("place", ABSENT, ids=".".join)
def test_a_state_without_a_part_is_refused(
    experiment: Any, tmp_path: Path, place: tuple[str, ...], value: Any
) -> None:
    """A file with the right checksum, whose tree lacks a part or has something else there: refused, or it resumes."""
    path = tmp_path / "run.ckpt"
    experiment().run(max_epochs=1, checkpoint=path)
    tree = read_tree(path)
    owner = tree["state"]
    for key in place[:-1]:
        owner = owner[key]
    del owner[place[-1]]
    if value is not ...:
        owner[place[-1]] = value
    write_tree(path, tree)
    if value == 7 and place == ("seconds",):
        assert "Resumed" in experiment().run(checkpoint=path, max_epochs=9).resumed
    else:
        with pytest.raises(ValueError, match=STATES):
            experiment().run(checkpoint=path)


@pytest.mark.parametrize("seal", [True, False])
def test_a_checkpoint_of_a_later_version_is_refused(
    experiment: Any, tmp_path: Path, message_of: Any, seal: bool
) -> None:
    """The version's number is checked before anything else is read, but not before the checksum."""
    path = tmp_path / "run.ckpt"
    experiment().run(max_epochs=1, checkpoint=path)
    rewritten(path, lambda document: document.update(version=3, state="?"), seal)
    newer = "was written by a newer regen (version 3; this one reads versions up to 2)"
    assert message_of(ValueError, experiment().run, checkpoint=path) == (
        f"The checkpoint {str(path)!r} {newer if seal else CHECKSUM}. Restore a copy of it, delete it to train from"
        " the start, or choose another path."
    )


def test_every_flipped_bit_is_noticed(experiment: Any, tmp_path: Path) -> None:
    """Every bit of the first 300 bytes, and some of all others: no flip gives a checkpoint, of any version."""
    path = tmp_path / "run.ckpt"
    experiment().run(max_epochs=1, checkpoint=path)
    content = path.read_bytes()
    assert sealed(content) == content, "the checksum is the one that the documentation defines"
    for bit in (*range(50 * 8), *range(110 * 8, 140 * 8), *range(50 * 8, len(content) * 8, 797)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match=r"^The checkpoint '.*Restore a copy of it"):
            read_tree(path)


def test_programs_for_safetensors_read_checkpoints(experiment: Any, tmp_path: Path) -> None:
    """The file is a safetensors file like any other, and its description is strict JSON."""
    path = tmp_path / "run.ckpt"
    experiment().run(max_epochs=1, checkpoint=path)
    with safe_open(path, framework="pt") as file:
        document = json.loads(file.metadata()["regen checkpoint"], parse_constant=pytest.fail)
        assert list(file.metadata()) == ["regen checkpoint"]
        assert len(file.keys()) == len(load_file(path)) > 10
    assert list(document) == ["sha256", "version", "state"] and document["version"] == 2


def test_equal_states_give_equal_bytes(tmp_path: Path) -> None:
    """There is nothing accidental in a file."""
    for name in "ab":
        write_tree(tmp_path / name, {"a": torch.arange(5), "b": [float("-inf"), {1: torch.ones(2, 2)}]})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_huge_files_are_judged_by_their_header(tmp_path: Path, message_of: Any) -> None:
    """Files of eight gigabytes, of zeros or with a tensor that no state names, are not read."""
    path = tmp_path / "run.ckpt"
    header = {
        "__metadata__": old("3"),
        "0": {"dtype": "U8", "shape": [1 << 33], "data_offsets": [0, 1 << 33]},
    }
    tracemalloc.start()
    for start in (b"", joined(header, b"")):
        path.write_bytes(start)
        os.truncate(path, len(start) + (1 << 33))
        assert "Restore a copy" in message_of(ValueError, read_tree, path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_a_full_disk_does_not_end_the_run(
    experiment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One warning in words; the last whole checkpoint stays, no scrap is left, and the weights are as ever."""
    whole, path = experiment(), tmp_path / "run.ckpt"
    whole.run()
    experiment().run(max_epochs=1, checkpoint=path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    second = experiment()
    with pytest.warns(RuntimeWarning) as caught:
        history = second.run(checkpoint=path)
    assert [str(warning.message) for warning in caught] == [
        f"The checkpoint {str(path)!r} could not be written (No space left on device). "
        "Training goes on, but cannot be resumed from where it is now."
    ]
    assert history.stopped == "Reached max_epochs=5."
    assert torch.equal(second.weights(), whole.weights())
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["run.ckpt"]


def test_a_second_training_of_one_checkpoint_is_refused(
    experiment: Any, tmp_path: Path, message_of: Any
) -> None:
    """It is refused before anything is read or trained; the first one is not disturbed, and gives the lock back."""
    path, link, messages = tmp_path / "run.ckpt", tmp_path / "link", []
    link.symlink_to(path)
    first, whole = experiment(), experiment()
    whole.run()
    validate, second = first.validate, experiment()

    def during() -> dict[str, float]:
        for other in (path, link):
            messages.append(message_of(ValueError, second.run, checkpoint=other))
        return validate()

    first.validate = during
    first.run(checkpoint=path)
    assert len(messages) == 10
    for message in messages:
        start, _, end = message.partition(
            " is in use by this process, in another thread or an unfinished call, "
        )
        assert start in (f"The checkpoint {str(path)!r}", f"The checkpoint {str(link)!r}")
        assert end.startswith("since 20")
        assert end[25:] == (
            ", and two trainings cannot share one. Wait until that training ends, end it, or choose another path."
        )
    assert torch.equal(second.toys[0].weights(), second.toys[0].before)
    assert torch.equal(first.weights(), whole.weights())
    second.run(checkpoint=path)
    assert set(os.listdir(tmp_path)) == {"run.ckpt", "link"}


def test_the_lock_is_given_back_when_training_fails(experiment: Any, tmp_path: Path, crash: Any) -> None:
    """After an error in a step, or a checkpoint that is refused, the next training has the file."""
    path = tmp_path / "run.ckpt"
    with pytest.raises(crash):
        experiment(10).run(checkpoint=path)
    path.write_bytes(b"damaged")
    with pytest.raises(ValueError, match="is not a regen file"):
        experiment().run(checkpoint=path)
    assert os.listdir(tmp_path) == ["run.ckpt"]


def test_a_folder_without_locks(experiment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training goes on where the file system has no locks, and a warning says what is not prevented."""

    def none(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("regen._files._lock", none)
    path = tmp_path / "run.ckpt"
    with pytest.warns(RuntimeWarning) as caught:
        history = experiment().run(checkpoint=path)
    assert [str(warning.message) for warning in caught] == [
        f"The checkpoint {str(path)!r} cannot be locked (No locks available). Let no other training write it."
    ]
    assert history.stopped == "Reached max_epochs=5." and path.is_file()


def test_the_checkpoint_is_the_only_file(experiment: Any, tmp_path: Path) -> None:
    """The folder holds the checkpoint alone, also one with a space in its name."""
    path = tmp_path / "a b" / "run.ckpt"
    path.parent.mkdir()
    experiment().run(max_epochs=1, checkpoint=str(path))
    assert path.is_file() and os.listdir(path.parent) == ["run.ckpt"]


def test_trees_come_back_as_they_were(tmp_path: Path) -> None:
    """Tensors of every kind, tuples, numbers, infinities, and keys that are numbers."""
    tree = {
        "a": [1, 2.5, None, True, "x", (3, torch.tensor(4.0, dtype=torch.bfloat16))],
        "b": {0: torch.arange(6).reshape(2, 3).T, "1": torch.zeros(0, 2, dtype=torch.float64)},
        "c": [float("inf"), 0.1 + 0.2, {}, [], ()],
    }
    write_tree(tmp_path / "tree", tree)
    back = read_tree(tmp_path / "tree")
    assert back["a"][:5] == tree["a"][:5] and back["c"] == tree["c"]
    assert isinstance(back["a"][5], tuple) and torch.equal(back["a"][5][1], tree["a"][5][1])
    assert back["a"][5][1].dtype == torch.bfloat16
    assert torch.equal(back["b"][0], tree["b"][0]) and back["b"]["1"].shape == (0, 2)
    with pytest.raises(TypeError, match=r"^A set cannot be saved in a checkpoint\.$"):
        write_tree(tmp_path / "tree", {"a": {1}})


def test_a_folder_that_is_not_there_is_refused(experiment: Any, tmp_path: Path, message_of: Any) -> None:
    """A checkpoint in no folder is refused before training, and the folder is not made."""
    path = tmp_path / "gone" / "run.ckpt"
    run = experiment()
    assert message_of(FileNotFoundError, run.run, max_epochs=1, checkpoint=path) == (
        f"The checkpoint {str(path)!r} cannot be written: there is no folder {str(path.parent)!r}."
    )
    assert not path.parent.exists() and torch.equal(run.toys[0].weights(), run.toys[0].before)
