"""Resumed training is uninterrupted training, bit for bit."""

from pathlib import Path
from typing import Any

import pytest
import torch

from regen.training import History
from regen.training.checkpoint import read_tree, write_tree


def untimed(history: History) -> list[dict[str, float]]:
    """The rows without the seconds, which no two runs share."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history.rows]


FIELDS = [
    {},
    {"optimizer": "sgd", "schedule": "cosine", "clip": None},
    {"optimizer": "adamw", "schedule": "onecycle"},
    {"schedule": "step"},
    {"schedule": "inverse"},
    {"schedule": "plateau", "patience": None},
    {"patience": 3},
    {"max_steps": 31},
    {"precision": "bfloat16"},
]


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize(("at", "epochs", "step"), [(2, 0, 0), (12, 1, 9), (22, 3, 21), (27, 3, 24)])
@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_resumed_is_uninterrupted(
    experiment: Any, tmp_path: Path, fields: dict[str, Any], at: int, crash: Any, epochs: int, step: int
) -> None:
    """Wherever the run ends, at once, within an epoch or between two: the same bits and rows."""
    whole = experiment()
    expected = whole.run(**fields)
    path = tmp_path / "run.ckpt"
    with pytest.raises(crash):
        experiment(at).run(checkpoint=path, **fields)
    second = experiment(seed=99)  # its own seed must not matter
    history = second.run(checkpoint=path, **fields)
    assert second.moves == whole.moves - step
    assert torch.equal(second.weights(), whole.weights())
    assert untimed(history) == untimed(expected)
    assert (history.stopped, history.best_epoch) == (expected.stopped, expected.best_epoch)
    assert history.resumed == f"Resumed from {str(path)!r} after {epochs} epochs, at step {step}."
    assert expected.resumed == ""


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("at", [5, 17, 30])
def test_two_players_resume(experiment: Any, tmp_path: Path, at: int, crash: Any) -> None:
    """Both players, their place in the cycle and what each carries."""
    whole = experiment(players=2)
    expected = whole.run()
    path = tmp_path / "run.ckpt"
    with pytest.raises(crash):
        experiment(at, players=2).run(checkpoint=path)
    second = experiment(players=2, seed=99)
    history = second.run(checkpoint=path)
    assert 0 < second.moves < whole.moves
    assert torch.equal(second.weights(), whole.weights()) and untimed(history) == untimed(expected)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("at", [10, 18])
def test_strikes_resume(experiment: Any, tmp_path: Path, at: int, crash: Any) -> None:
    """A run that had diverged resumes with its halved rate and its strike."""
    whole = experiment()
    whole.bad_moves = {8}
    with pytest.warns(RuntimeWarning, match="1 of 3"):
        expected = whole.run()
    path = tmp_path / "run.ckpt"
    first = experiment(at)
    first.bad_moves = {8}
    with pytest.warns(RuntimeWarning, match="1 of 3"), pytest.raises(crash):
        first.run(checkpoint=path)
    second = experiment(seed=99)
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
    experiment: Any, tmp_path: Path, short: dict[str, Any], long: dict[str, Any]
) -> None:
    """More epochs, steps, time or patience after the fact: as if requested at once."""
    whole = experiment()
    expected = whole.run(**long)
    path = tmp_path / "run.ckpt"
    first = experiment()
    first.run(checkpoint=path, **short)
    assert first.moves < whole.moves
    second = experiment(seed=99)
    history = second.run(checkpoint=path, **long)
    assert second.moves == whole.moves - first.moves
    assert torch.equal(second.weights(), whole.weights()) and untimed(history) == untimed(expected)
    assert history.stopped == expected.stopped


def test_a_finished_run_is_not_run_again(experiment: Any, tmp_path: Path) -> None:
    """The same call once more only gives back the same weights and history."""
    for number, fields in enumerate(({}, {"max_steps": 10}, {"patience": 1})):
        path = tmp_path / str(number)
        first, second = experiment(), experiment(seed=99)
        expected = first.run(checkpoint=path, **fields)
        history = second.run(checkpoint=path, **fields)
        assert second.moves == 0
        assert torch.equal(first.weights(), second.weights())
        assert [row["step"] for row in history.rows] == [row["step"] for row in expected.rows]
        assert (history.stopped, history.best_epoch) == (expected.stopped, expected.best_epoch)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("lost", ["order", "cpu", "memory", "means", "moments", "rate", "best"])
def test_a_checkpoint_without_one_part_would_be_noticed(
    experiment: Any, tmp_path: Path, lost: str, crash: Any
) -> None:
    """The comparison is sensitive: a resume without one part of the state is not the uninterrupted run."""
    fields: dict[str, Any] = {"schedule": "cosine"}
    whole = experiment()
    expected = whole.run(**fields)
    path = tmp_path / "run.ckpt"
    with pytest.raises(crash):
        experiment(13).run(checkpoint=path, **fields)
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
    second = experiment(seed=99)
    history = second.run(checkpoint=path, **fields)
    same = torch.equal(second.weights(), whole.weights()) and untimed(history) == untimed(expected)
    assert not same
