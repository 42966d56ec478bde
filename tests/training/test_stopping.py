"""When training ends, which weights it leaves, and what the history holds."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from regen.training import Schedule


class Script:
    """A validation with the given losses that keeps the weights of every epoch."""

    def __init__(self, toy: Any, *losses: float) -> None:
        self.toy, self.losses, self.weights = toy, list(losses), []

    def __call__(self) -> dict[str, float]:
        self.weights.append(self.toy.weights())
        return {"loss": self.losses[len(self.weights) - 1], "other": 3.0}


def test_patience_ends_it_with_the_best_weights(toy: Any) -> None:
    """Three epochs without improvement after the second: its weights come back exactly, not the last ones."""
    one = toy()
    script = Script(one, 5.0, 2.0, 4.0, 2.0, 3.0, 0.0)
    history = one.train(validate=script, patience=3)
    assert len(history.rows) == 5
    assert history.stopped == "No improvement for 3 epochs; best was epoch 2."
    assert history.best_epoch == 2
    assert torch.equal(one.weights(), script.weights[1])
    assert not torch.equal(one.weights(), script.weights[4])


def test_without_patience_every_epoch_is_run_and_the_best_kept(toy: Any) -> None:
    """None never stops early, but the best epoch is still chosen."""
    one = toy()
    script = Script(one, 5.0, 1.0, 4.0, 4.0, 4.0, 4.0)
    history = one.train(validate=script, patience=None)
    assert history.stopped == "Reached max_epochs=6."
    assert history.best_epoch == 2 and torch.equal(one.weights(), script.weights[1])


def test_without_validation_the_last_weights_are_kept(toy: Any) -> None:
    """Nothing is compared, so patience has no effect."""
    one, two = toy(), toy()
    torch.manual_seed(5)
    history = one.train(patience=1)
    torch.manual_seed(5)
    two.train(validate=Script(two, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0), patience=1)
    assert history.stopped == "Reached max_epochs=6." and history.best_epoch == 6
    assert torch.equal(one.weights(), two.weights())


def test_an_epoch_without_a_validation_loss_is_not_compared(toy: Any) -> None:
    """A measure taken every other epoch does not use up patience in between."""
    one, calls = toy(), []

    def validate() -> dict[str, float]:
        calls.append(one.weights())
        return {"loss": 1.0 / len(calls)} if len(calls) % 2 == 0 else {"other": 1.0}

    history = one.train(validate=validate, patience=1)
    assert history.stopped == "Reached max_epochs=6." and history.best_epoch == 6
    assert math.isnan(history.columns()["validation.loss"][0])


def test_validation_that_is_never_finite(toy: Any) -> None:
    """NaN is never best; the last weights are kept, and `stopped` explains it."""
    one = toy()
    script = Script(one, *[math.nan] * 6)
    history = one.train(validate=script, patience=4)
    assert history.stopped == "No finite validation loss in 4 epochs; the last weights are kept."
    assert torch.equal(one.weights(), script.weights[3])


def test_max_steps_ends_within_an_epoch(toy: Any) -> None:
    """Ten batches are ten moves; the epoch that was cut has its row, and is validated."""
    one, moves = toy(), []
    player = one.player(lambda batch: (moves.append(1), {"loss": one.loss(batch)})[1])
    history = one.train(player, validate=Script(one, 2.0, 1.0), max_steps=10)
    assert len(moves) == 10 and len(one.batches) == 7
    assert history.stopped == "Reached max_steps=10."
    assert [row["step"] for row in history.rows] == [7, 10]
    assert history.best_epoch == 2


def test_max_steps_at_the_end_of_an_epoch(toy: Any) -> None:
    """A limit of exactly two epochs makes two rows."""
    history = toy().train(max_steps=14)
    assert history.stopped == "Reached max_steps=14." and len(history.rows) == 2


def test_max_time_ends_within_an_epoch(toy: Any) -> None:
    """A budget that is gone after the first batch ends training after one move."""
    history = toy().train(max_time=1e-9)
    assert history.stopped == "Reached max_time=1e-09s in epoch 1."
    assert [row["step"] for row in history.rows] == [1]
    assert toy().train(max_time="2h").stopped == "Reached max_epochs=6."


def test_max_time_in_words(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is monotonic, and the sentence gives seconds."""
    one, now = toy(), [0.0]
    monkeypatch.setattr("regen.training.stopping.time.monotonic", lambda: now[0])

    def validate() -> dict[str, float]:
        now[0] += 50
        return {"loss": -now[0]}

    history = one.train(validate=validate, max_time="90s")
    assert history.stopped == "Reached max_time=90s after 2 epochs."
    assert [row["seconds"] for row in history.rows] == [50, 100]


def test_rows_hold_means_over_the_epoch(toy: Any) -> None:
    """Every term is the mean over its batches, next to the rate, the steps and the validation losses."""
    one, losses = toy(), []

    def loss(batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        value = one.loss(batch)
        losses.append(value.item())
        return {"loss": value, "twice": 2 * value}

    history = one.train(one.player(loss), validate=Script(one, 3.0, 2.0), max_epochs=2)
    assert list(history.rows[0]) == [
        *("epoch", "step", "seconds", "learning_rate", "net.loss", "net.twice"),
        *("validation.loss", "validation.other"),
    ]
    for row, part in zip(history.rows, (losses[:7], losses[7:]), strict=True):
        assert row["net.loss"] == pytest.approx(sum(part) / 7, rel=1e-6)
        assert row["net.twice"] == pytest.approx(2 * sum(part) / 7, rel=1e-6)
    assert history.rows[0]["net.loss"] != history.rows[1]["net.loss"]
    assert [row["learning_rate"] for row in history.rows] == [0.02, 0.02]
    columns = history.columns()
    assert columns["epoch"] == [1, 2] and columns["validation.loss"] == [3.0, 2.0]


def test_modes(toy: Any) -> None:
    """Train mode while moving, eval mode without gradients in validation, eval mode in the end."""
    one, seen = toy(), []
    player = one.player(lambda batch: (seen.append(one.net.training), {"loss": one.loss(batch)})[1])

    def validate() -> dict[str, float]:
        seen.append((one.net.training, torch.is_grad_enabled()))
        return {}

    one.train(player, validate=validate, max_epochs=2)
    assert seen == ([True] * 7 + [(False, False)]) * 2
    assert not one.net.training


def test_a_schedule_uses_terms_and_reports(toy: Any) -> None:
    """A rule may decide by the last terms of the players, and puts its own numbers into the row."""

    class Watch(Schedule):
        def __init__(self) -> None:
            self.seen: list[float] = []

        def next_players(self, step: int, terms: Any) -> tuple[str, ...]:
            if step:
                self.seen.append(float(terms["net"]["loss"]))
            return ("net",)

        def describe(self) -> str:
            return "watch"

        def report(self) -> dict[str, float]:
            return {"read": float(len(self.seen))}

    one, watch = toy(), Watch()
    history = one.train(turns=watch, max_epochs=1, learning_rate=0.1)
    assert history.rows[0]["schedule.read"] == 6.0
    assert len(set(watch.seen)) == 6


def test_no_batches(toy: Any, message_of: Any) -> None:
    """No batches are refused."""
    one = toy()
    one.batches.inputs = one.batches.inputs[:0]
    assert (
        message_of(ValueError, one.train)
        == "There is no batch to train on. Give more data or a smaller batch_size."
    )


def test_the_bar_is_on_stderr_and_only_when_verbose(toy: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing ever goes to stdout."""
    toy().train()
    assert capsys.readouterr() == ("", "")
    toy().train(verbose=True)
    out, err = capsys.readouterr()
    assert out == "" and "42/42" in err and "loss=" in err
