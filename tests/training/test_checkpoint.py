"""Checkpoints: resumed training is uninterrupted training, bit for bit; and files that do not fit are refused."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from regen.training import History, Player, Training, alternate, solo, train
from regen.training.checkpoint import read_tree, write_tree


class Crash(Exception):
    """The power goes out."""


class Carried:
    """A state that a loss carries from batch to batch."""

    def __init__(self) -> None:
        self.state = torch.zeros(2)

    def state_dict(self) -> dict[str, Any]:
        """The state."""
        return {"state": self.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self.state = state["state"]


class Experiment:
    """One run from scratch: fresh nets, fresh generators; `crash` is the move at which the power goes out."""

    def __init__(self, toy: Any, crash: int | None = None, players: int = 1, seed: int = 5) -> None:
        self.toys = [toy(seed=number) for number in range(players)]
        self.carried = [Carried() for _ in self.toys]
        self.crash, self.moves, self.evaluations = crash, 0, 0
        self.generator = torch.Generator().manual_seed(seed)
        self.bad_moves: set[int] = set()
        torch.manual_seed(seed)

    def loss(self, number: int) -> Callable[[Any], dict[str, Tensor]]:
        """The loss of one player; it runs through the others, and carries its state."""

        def compute(batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
            self.moves += 1
            if self.moves == self.crash:
                raise Crash
            carried = self.carried[number]
            output = sum(toy.net(batch[0]) for toy in self.toys) + 0.5 * carried.state
            carried.state = output.detach().mean(0)
            cost = (output - batch[1]).square().mean()
            return {
                "loss": cost * torch.nan if self.moves in self.bad_moves else cost,
                "half": cost / 2,
                "same": cost,
            }

        return compute

    def validate(self) -> dict[str, float]:
        """A loss with noise in it, so that torch's generator matters in validation as well."""
        return {
            "loss": float(self.toys[0].loss((self.toys[0].inputs, self.toys[0].targets)) + torch.rand(()))
        }

    def run(
        self, max_epochs: int = 5, fingerprint: str = "rows", learning_rate: float = 0.03, **fields: Any
    ) -> History:
        """Train."""
        players = [
            Player(f"p{n}", toy.net, self.loss(n), memory=self.carried[n]) for n, toy in enumerate(self.toys)
        ]
        schedule = solo("p0") if len(players) == 1 else alternate(p0=2, p1=1)
        return train(
            players,
            schedule,
            self.toys[0].feed,
            Training(**fields),
            max_epochs=max_epochs,
            learning_rate=learning_rate,
            validate=self.validate,
            generator=self.generator,
            fingerprint=fingerprint,
        )

    def weights(self) -> Tensor:
        """All weights."""
        return torch.cat([toy.weights() for toy in self.toys])


def untimed(history: History) -> list[dict[str, float]]:
    """The rows without the seconds, which no two runs share."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history.rows]


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the numbers every 3 batches, and write every time."""
    monkeypatch.setattr("regen.training.loop.CHECK", 3)
    monkeypatch.setattr("regen.training.checkpoint.EVERY", -1e9)
    monkeypatch.setattr("regen.training.checkpoint.time.monotonic", lambda: 0.0)


FIELDS = [
    {},
    {"optimizer": "sgd", "schedule": "cosine", "clip": None},
    {"optimizer": "adamw", "schedule": "onecycle"},
    {"schedule": "step"},
    {"schedule": "plateau", "patience": None},
    {"patience": 3},
    {"max_steps": 31},
    {"precision": "bfloat16"},
]


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize(("crash", "epochs", "step"), [(2, 0, 0), (12, 1, 9), (22, 3, 21), (27, 3, 24)])
@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_resumed_is_uninterrupted(
    toy: Any, tmp_path: Path, fields: dict[str, Any], crash: int, epochs: int, step: int
) -> None:
    """Whenever the power goes out, at once, within an epoch or between two: the same bits and rows."""
    whole = Experiment(toy)
    expected = whole.run(**fields)
    path = tmp_path / "run.ckpt"
    with pytest.raises(Crash):
        Experiment(toy, crash).run(checkpoint=path, **fields)
    second = Experiment(toy, seed=99)  # its own seed must not matter
    history = second.run(checkpoint=path, **fields)
    assert second.moves == whole.moves - step
    assert torch.equal(second.weights(), whole.weights())
    assert untimed(history) == untimed(expected)
    assert (history.stopped, history.best_epoch) == (expected.stopped, expected.best_epoch)
    assert history.resumed == f"Resumed from {str(path)!r} after {epochs} epochs, at step {step}."
    assert expected.resumed == ""


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("crash", [5, 17, 30])
def test_two_players_resume(toy: Any, tmp_path: Path, crash: int) -> None:
    """Both players, their place in the cycle and what each carries."""
    whole = Experiment(toy, players=2)
    expected = whole.run()
    path = tmp_path / "run.ckpt"
    with pytest.raises(Crash):
        Experiment(toy, crash, players=2).run(checkpoint=path)
    second = Experiment(toy, players=2, seed=99)
    history = second.run(checkpoint=path)
    assert 0 < second.moves < whole.moves
    assert torch.equal(second.weights(), whole.weights()) and untimed(history) == untimed(expected)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("crash", [10, 18])
def test_strikes_resume(toy: Any, tmp_path: Path, crash: int) -> None:
    """A run that had diverged resumes with its halved rate and its strike."""
    whole = Experiment(toy)
    whole.bad_moves = {8}
    with pytest.warns(RuntimeWarning, match="1 of 3"):
        expected = whole.run()
    path = tmp_path / "run.ckpt"
    first = Experiment(toy, crash)
    first.bad_moves = {8}
    with pytest.warns(RuntimeWarning, match="1 of 3"), pytest.raises(Crash):
        first.run(checkpoint=path)
    second = Experiment(toy, seed=99)
    history = second.run(checkpoint=path)
    assert torch.equal(second.weights(), whole.weights()) and untimed(history) == untimed(expected)
    assert history.rows[-1]["learning_rate"] == 0.015


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ({"max_epochs": 2}, {"max_epochs": 5}),
        ({"max_steps": 10}, {}),
        ({"max_steps": 14}, {"max_steps": 33}),
        ({"max_time": 1e-9}, {}),
        ({"patience": 1}, {"patience": 4}),
    ],
    ids=str,
)
def test_a_finished_run_can_be_extended(
    toy: Any, tmp_path: Path, short: dict[str, Any], long: dict[str, Any]
) -> None:
    """More epochs, steps, time or patience after the fact: as if asked for at once."""
    whole = Experiment(toy)
    expected = whole.run(**long)
    path = tmp_path / "run.ckpt"
    first = Experiment(toy)
    first.run(checkpoint=path, **short)
    assert first.moves < whole.moves
    second = Experiment(toy, seed=99)
    history = second.run(checkpoint=path, **long)
    assert second.moves == whole.moves - first.moves
    assert torch.equal(second.weights(), whole.weights()) and untimed(history) == untimed(expected)
    assert history.stopped == expected.stopped


def test_a_finished_run_is_not_run_again(toy: Any, tmp_path: Path) -> None:
    """The same call once more only gives back the same weights and history."""
    for number, fields in enumerate(({}, {"max_steps": 10}, {"patience": 1})):
        path = tmp_path / str(number)
        first, second = Experiment(toy), Experiment(toy, seed=99)
        expected = first.run(checkpoint=path, **fields)
        history = second.run(checkpoint=path, **fields)
        assert second.moves == 0
        assert torch.equal(first.weights(), second.weights())
        assert [row["step"] for row in history.rows] == [row["step"] for row in expected.rows]
        assert (history.stopped, history.best_epoch) == (expected.stopped, expected.best_epoch)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("lost", ["order", "cpu", "memory", "means", "moments", "rate", "best"])
def test_a_checkpoint_without_one_part_would_be_noticed(toy: Any, tmp_path: Path, lost: str) -> None:
    """The proof has teeth: a resume that forgets one part of the state is not the uninterrupted run."""
    fields: dict[str, Any] = {"schedule": "cosine"}
    whole = Experiment(toy)
    expected = whole.run(**fields)
    path = tmp_path / "run.ckpt"
    with pytest.raises(Crash):
        Experiment(toy, 13).run(checkpoint=path, **fields)
    tree = read_tree(path)
    state, player = tree["state"], tree["state"]["guard"]["players"]["p0"]
    fresh = torch.Generator().manual_seed(3).get_state()
    if lost == "order":
        state["chance"].update(epoch_start=fresh, order=fresh.clone())
    elif lost == "cpu":
        state["chance"]["cpu"] = fresh
    elif lost == "memory":
        player["memory"]["state"].zero_()
    elif lost == "means":
        state["means"] = {}
    elif lost == "moments":
        player["optimizer"]["state"] = {}
    elif lost == "rate":
        player["rate"]["last_epoch"] -= 1
    elif lost == "best":
        state["best"].update(loss=-1.0)
    write_tree(path, tree)
    second = Experiment(toy, seed=99)
    history = second.run(checkpoint=path, **fields)
    same = torch.equal(second.weights(), whole.weights()) and untimed(history) == untimed(expected)
    assert not same


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch_size": 9}, "batch_size was 32 and is now 9"),
        ({"optimizer": "sgd"}, "optimizer was 'adam' and is now 'sgd'"),
        ({"learning_rate": 0.5}, "learning_rate was 0.03 and is now 0.5"),
        ({"clip": None}, "clip was 1.0 and is now None"),
        ({"fingerprint": "columns"}, "the data are not the same"),
    ],
    ids=str,
)
def test_a_checkpoint_of_another_run_is_refused(
    toy: Any, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    """It says what differs and what to do."""
    path = tmp_path / "run.ckpt"
    Experiment(toy).run(max_epochs=1, checkpoint=path)
    other = Experiment(toy)
    with pytest.raises(ValueError) as refusal:
        other.run(checkpoint=path, **change)
    assert str(refusal.value) == (
        f"The checkpoint {str(path)!r} belongs to another run: {words}. Delete the file or choose another path."
    )
    assert torch.equal(other.toys[0].weights(), other.toys[0].before)


def test_a_checkpoint_of_another_network_is_refused(toy: Any, tmp_path: Path) -> None:
    """The first weight that differs is named."""
    path = tmp_path / "run.ckpt"
    Experiment(toy).run(max_epochs=1, checkpoint=path)
    other = Experiment(toy)
    other.toys[0].net[3] = torch.nn.Linear(7, 1)
    with pytest.raises(
        ValueError, match=r"the weight 'p0.3.weight' was of shape \(2, 7\) and is now of shape \(1, 7\)"
    ):
        other.run(checkpoint=path)
    other.toys[0].net.append(torch.nn.Linear(1, 1))
    other.toys[0].net[3] = torch.nn.Linear(7, 2)
    with pytest.raises(ValueError, match=r"the weight 'p0.4.weight' was absent and is now of shape \(1, 1\)"):
        other.run(checkpoint=path)
    with pytest.raises(
        ValueError, match=r"the turns was 'alternate\(p0=1\)' and is now 'alternate\(p0=2, p1=1\)'"
    ):
        Experiment(toy, players=2).run(checkpoint=path)


def test_a_schedule_laid_out_over_the_run_cannot_be_extended(toy: Any, tmp_path: Path) -> None:
    """A cosine that has come to its end does not go on; said in words."""
    path = tmp_path / "run.ckpt"
    Experiment(toy).run(max_epochs=1, checkpoint=path, schedule="cosine")
    with pytest.raises(ValueError) as refusal:
        Experiment(toy).run(max_epochs=2, checkpoint=path, schedule="cosine")
    assert str(refusal.value) == (
        f"The checkpoint {str(path)!r} belongs to another run: the length of the run (which its learning rates are "
        "laid out over) was '7 steps' and is now '14 steps'. Delete the file or choose another path."
    )


def damaged(path: Path, how: str) -> None:
    """Spoil a checkpoint, or put something else in its place."""
    whole = path.read_bytes()
    if how == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "cut by a byte":
        path.write_bytes(whole[:-1])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "garbage":
        path.write_bytes(b"\x07" * 4000)
    elif how == "a model":
        save_file({"a": torch.zeros(2)}, path, {"format": "pt"})
    elif how == "no metadata":
        save_file({"a": torch.zeros(2)}, path)
    elif how == "not json":
        save_file({}, path, {"format": "regen checkpoint", "version": "1", "state": "{"})
    elif how == "json of something else":
        save_file(
            {}, path, {"format": "regen checkpoint", "version": "1", "state": json.dumps({"tensor": "0"})}
        )
    elif how == "a folder":
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize(
    "how",
    [
        *("truncated", "cut by a byte", "empty", "garbage", "a model", "no metadata", "not json"),
        *("json of something else", "a folder"),
    ],
)
def test_a_damaged_checkpoint_is_refused(toy: Any, tmp_path: Path, how: str) -> None:
    """Whatever is wrong with the file, one sentence says so."""
    path = tmp_path / "run.ckpt"
    Experiment(toy).run(max_epochs=1, checkpoint=path)
    damaged(path, how)
    with pytest.raises(ValueError) as refusal:
        Experiment(toy).run(checkpoint=path)
    assert str(refusal.value) == (
        f"{str(path)!r} is no checkpoint, or is damaged. Delete the file or choose another path."
    )


def test_a_checkpoint_of_another_version_is_refused(toy: Any, tmp_path: Path) -> None:
    """The format's number is checked before anything else is read."""
    path = tmp_path / "run.ckpt"
    save_file({}, path, {"format": "regen checkpoint", "version": "2", "state": "?"})
    with pytest.raises(ValueError) as refusal:
        Experiment(toy).run(checkpoint=path)
    assert str(refusal.value) == (
        f"The checkpoint {str(path)!r} was written by another version of this package (format 2, this one reads 1). "
        "Delete the file or choose another path."
    )


def test_a_full_disk_does_not_end_the_run(toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One warning in words; the last whole checkpoint stays, no scrap is left, and the weights are as ever."""
    whole, path = Experiment(toy), tmp_path / "run.ckpt"
    whole.run()
    Experiment(toy).run(max_epochs=1, checkpoint=path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("regen.training.checkpoint.os.fsync", full)
    second = Experiment(toy)
    with pytest.warns(RuntimeWarning) as told:
        history = second.run(checkpoint=path)
    assert [str(warning.message) for warning in told] == [
        f"The checkpoint {str(path)!r} could not be written (No space left on device). "
        "Training goes on, but cannot be resumed from where it is now."
    ]
    assert history.stopped == "Reached max_epochs=5."
    assert torch.equal(second.weights(), whole.weights())
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["run.ckpt"]


def test_folders_are_made(toy: Any, tmp_path: Path) -> None:
    """The folder of the checkpoint need not exist."""
    path = tmp_path / "a b" / "c" / "run.ckpt"
    Experiment(toy).run(max_epochs=1, checkpoint=str(path))
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
