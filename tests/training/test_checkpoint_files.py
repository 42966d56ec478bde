"""Checkpoint files: what does not fit or cannot be read is refused, and a full disk ends nothing."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

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


def header(state: str, version: str = "1") -> dict[str, str]:
    """The metadata of a checkpoint file."""
    return {"format": "regen checkpoint", "version": version, "state": state}


PACKED_OTHERWISE = json.dumps({"dict": [["whose", 1, 2]], "tuple": []})
DAMAGE: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "cut by a byte": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(b"\x07" * 4000),
    "a model": lambda path: save_file({"a": torch.zeros(2)}, path, {"format": "pt"}),
    "no metadata": lambda path: save_file({"a": torch.zeros(2)}, path),
    "not json": lambda path: save_file({}, path, header("{")),
    "json of something else": lambda path: save_file({}, path, header(json.dumps({"tensor": "0"}))),
    "another tree": lambda path: write_tree(path, {"weights": {"a": torch.zeros(2)}}),
    "no tree": lambda path: save_file({}, path, header("3")),
    "another way to pack": lambda path: save_file({}, path, header(PACKED_OTHERWISE)),
    "a state that is none": lambda path: write_tree(path, {"whose": {}, "state": [1]}),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_checkpoint_is_refused(experiment: Any, tmp_path: Path, how: str, message_of: Any) -> None:
    """Whatever is wrong with the file, the message is the same sentence."""
    path = tmp_path / "run.ckpt"
    experiment().run(max_epochs=1, checkpoint=path)
    DAMAGE[how](path)
    assert message_of(ValueError, experiment().run, checkpoint=path) == (
        f"{str(path)!r} is no checkpoint, or is damaged. Delete the file or choose another path."
    )


def test_a_checkpoint_of_another_version_is_refused(experiment: Any, tmp_path: Path, message_of: Any) -> None:
    """The format's number is checked before anything else is read."""
    path = tmp_path / "run.ckpt"
    save_file({}, path, header("?", version="2"))
    assert message_of(ValueError, experiment().run, checkpoint=path) == (
        f"The checkpoint {str(path)!r} was written by another version of this package (format 2, this one reads 1). "
        "Delete the file or choose another path."
    )


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
    with pytest.raises(ValueError, match="is no checkpoint"):
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
