"""When checkpoints are written: by the clock, which is asked after every batch, whatever the batches take."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from regen.training import History
from regen.training.checkpoint import read_tree, write_tree
from regen.training.player import clone

SLOW = 4.0
"""Seconds of a batch."""


def untimed(history: History) -> list[dict[str, float]]:
    """The rows without the seconds, which no two runs share."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history.rows]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, experiment: Any) -> Callable[..., Any]:
    """The maker of runs whose batches take 4 seconds of a clock that only they move."""
    clock = SimpleNamespace(now=1000.0)
    for module in ("checkpoint", "stopping"):
        fake = SimpleNamespace(monotonic=lambda: clock.now)
        monkeypatch.setattr(f"regen.training.{module}.time", fake)

    class Slow(experiment):  # type: ignore[misc]
        def loss(self, number: int) -> Any:
            compute = super().loss(number)

            def slowly(batch: Any) -> Any:
                clock.now += SLOW
                return compute(batch)

            return slowly

    return Slow


@pytest.mark.parametrize("at", [2, 5, 13, 27])
@pytest.mark.parametrize("players", [1, 2])
def test_slow_batches_are_not_lost(slow: Any, crash: Any, tmp_path: Path, at: int, players: int) -> None:
    """Far from the next check, at most 10 seconds and a batch are done again; then come the bits of the whole run."""
    whole = slow(players=players)
    expected = whole.run()
    path = tmp_path / "run.ckpt"
    with pytest.raises(crash):
        slow(at, players=players).run(checkpoint=path)
    second = slow(players=players, seed=99)
    history = second.run(checkpoint=path)
    assert second.moves - (whole.moves - at) <= 3 * players
    assert torch.equal(second.weights(), whole.weights()) and untimed(history) == untimed(expected)
    assert history.rows[-1]["seconds"] < expected.rows[-1]["seconds"] + 3 * players * SLOW


@pytest.mark.parametrize("bad", [9, 11, 12])
def test_a_rollback_does_not_depend_on_the_clock(slow: Any, crash: Any, tmp_path: Path, bad: int) -> None:
    """A divergence after a resume returns to the last check, as it does where nothing was written in between."""
    whole = slow()
    whole.bad_moves = {bad}
    with pytest.warns(RuntimeWarning, match="1 of 3"):
        expected = whole.run()
    path = tmp_path / "run.ckpt"
    first = slow(13)
    first.bad_moves = {bad}
    with pytest.raises(crash):
        first.run(checkpoint=path)
    assert read_tree(path)["state"]["step"] > 7, "written within the second epoch of 7 batches"
    second = slow(seed=99)
    second.bad_moves = {bad - read_tree(path)["state"]["step"]}
    with pytest.warns(RuntimeWarning, match="1 of 3"):
        history = second.run(checkpoint=path)
    assert torch.equal(second.weights(), whole.weights()) and untimed(history) == untimed(expected)


@pytest.mark.parametrize("lost", ["players", "pending", "all"])
def test_what_changed_since_the_check_matters(slow: Any, crash: Any, tmp_path: Path, lost: str) -> None:
    """The comparison is sensitive: without one part of it the resumed run is another one."""
    whole = slow()
    expected = whole.run()
    path = tmp_path / "run.ckpt"
    with pytest.raises(crash):
        slow(13).run(checkpoint=path)
    tree = read_tree(path)
    latest = tree["state"]["latest"]
    if lost == "players":
        latest["players"] = clone(tree["state"]["guard"]["players"])
    elif lost == "pending":
        latest["pending"] = {}
    else:
        del tree["state"]["latest"]
    write_tree(path, tree)
    second = slow(seed=99)
    history = second.run(checkpoint=path)
    assert not (torch.equal(second.weights(), whole.weights()) and untimed(history) == untimed(expected))


def test_the_time_of_day_does_not_matter(
    experiment: Any, crash: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that is set back or forward ends no run, and no row takes a negative time."""
    days = iter(range(0, 10**9, 86_400))
    monkeypatch.setattr("time.time", lambda: float(next(days)) * (-1) ** next(days))
    run = experiment()
    history = run.run(checkpoint=tmp_path / "c", max_time=3600)
    seconds = [row["seconds"] for row in history.rows]
    assert (
        history.stopped == "Reached max_epochs=5." and seconds == sorted(seconds) and 0 <= seconds[-1] < 3600
    )


def test_seconds_add_up_over_resumes(slow: Any, crash: Any, tmp_path: Path) -> None:
    """Time is counted from the first start, without that between two runs; ``max_time`` is a limit of the sum."""
    path = tmp_path / "c"
    with pytest.raises(crash):
        slow(12).run(checkpoint=path)
    used = read_tree(path)["state"]["seconds"]
    history = slow(seed=99).run(checkpoint=path, max_time=80)
    assert used >= 8 * SLOW and history.rows[-1]["step"] == 20
    assert history.stopped == "Reached max_time=80s in epoch 3." and history.rows[-1]["seconds"] == 80
