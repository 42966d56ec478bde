"""What happens when training diverges."""

import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from regen.training import History


class Poison:
    """A loss that spoils the moves in `at` (counted from 1): its value, or only its gradient."""

    def __init__(self, toy: Any, kind: str, *at: int) -> None:
        self.toy, self.kind, self.at, self.moves = toy, kind, set(at), 0

    def __call__(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        self.moves += 1
        loss = self.toy.loss(batch)
        if self.moves in self.at:
            weight = self.toy.net[0].weight
            if self.kind == "loss":
                loss = loss * math.nan
            else:  # finite value, gradient without bounds
                loss = loss + (weight.sum() * 0).sqrt() if self.kind == "gradient" else loss * math.inf
        return {"loss": loss}


def run(toy: Any, poison: Any, max_epochs: int = 4, validate: Any = None, **fields: Any) -> History:
    """Train a toy on a poisoned loss."""
    return toy.train(
        toy.player(poison), max_epochs=max_epochs, learning_rate=0.04, validate=validate, **fields
    )


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("kind", ["loss", "gradient", "infinity"])
def test_one_bad_move_halves_the_rate(toy: Any, kind: str, optimizer: str, clip: float | None) -> None:
    """NaN or infinite, in the value or only in the gradient: one warning, and training goes on, finite."""
    one = toy()
    with pytest.warns(RuntimeWarning) as caught:
        history = run(one, Poison(one, kind, 17), optimizer=optimizer, clip=clip)
    assert [str(warning.message) for warning in caught] == [
        "The loss was not finite in epoch 3, at or before step 21: training goes on from the weights of step 14 "
        "with the learning rate halved to 0.02 (1 of 3 times; at the last it stops)."
    ]
    assert history.stopped == "Reached max_epochs=4."
    assert [row["learning_rate"] for row in history.rows] == [0.04, 0.04, 0.02, 0.02]
    assert one.weights().isfinite().all()
    assert "net.loss" not in history.rows[2] and math.isfinite(history.rows[3]["net.loss"])


def test_going_back_is_exact(toy: Any) -> None:
    """After the bad epoch weights and moments are those of the last good look; a twin that keeps moments differs."""

    def by_hand(restore_moments: bool) -> Tensor:
        two = toy(dropout=0.0)
        rule = torch.optim.Adam(two.net.parameters(), lr=0.04, fused=True)
        for epoch in range(4):
            good = {name: value.clone() for name, value in two.net.state_dict().items()}
            moments = [{k: v.clone() for k, v in state.items()} for state in rule.state.values()]
            for batch in two.batches.epoch(two.generator):
                rule.zero_grad()
                two.loss(batch).backward()
                torch.nn.utils.clip_grad_norm_(two.net.parameters(), 1.0)
                rule.step()
            if epoch == 2:
                two.net.load_state_dict(good)
                for state, old in zip(rule.state.values(), moments, strict=True):
                    for name in state if restore_moments else ():
                        state[name].copy_(old[name])
                rule.param_groups[0]["lr"] = 0.02
        return two.weights()

    one = toy(dropout=0.0)
    with pytest.warns(RuntimeWarning, match="weights of step 14"):
        run(one, Poison(one, "loss", 17))
    assert torch.equal(one.weights(), by_hand(True))
    assert not torch.equal(one.weights(), by_hand(False))


def test_the_last_batch_of_the_last_epoch_is_looked_at(toy: Any) -> None:
    """A gradient that is not finite in the very last move is noticed."""
    one = toy()
    with pytest.warns(RuntimeWarning, match="at or before step 28"):
        run(one, Poison(one, "gradient", 28))
    assert one.weights().isfinite().all()


def test_it_looks_within_long_epochs(toy: Any) -> None:
    """In an epoch of 130 batches only the 64 around the bad one are lost."""
    one = toy(rows=130 * 8)
    with pytest.warns(RuntimeWarning, match=r"in epoch 1, at or before step 128: .* weights of step 64 "):
        history = run(one, Poison(one, "loss", 70), max_epochs=1)
    assert math.isfinite(history.rows[0]["net.loss"])


def test_the_third_time_it_stops_with_the_best_weights(toy: Any) -> None:
    """Three strikes: two warnings, then the end, with the weights of the best epoch."""
    one, seen = toy(), []

    def validate() -> dict[str, float]:
        seen.append(one.weights())
        return {"loss": [3.0, 1.0][len(seen) - 1] if len(seen) < 3 else 2.0}

    with pytest.warns(RuntimeWarning) as caught:
        history = run(one, Poison(one, "loss", 17, 24, 30), max_epochs=9, validate=validate)
    assert len(caught) == 2 and "halved to 0.01 (2 of 3 times" in str(caught[1].message)
    assert history.stopped == (
        "Stopped: the loss was not finite three times; weights of epoch 2 are kept. "
        "Lower learning_rate (now 0.04) or scale the data."
    )
    assert torch.equal(one.weights(), seen[1]) and history.best_epoch == 2
    assert len(history.rows) == 5


def test_never_finite_leaves_the_first_weights(toy: Any) -> None:
    """A loss that is never finite ends at the third look with the weights it began with."""
    one = toy()
    with pytest.warns(RuntimeWarning):
        history = run(one, Poison(one, "loss", *range(1, 99)), max_epochs=9)
    assert "; weights of step 0 are kept." in history.stopped
    assert torch.equal(one.weights(), one.before)
    assert len(history.rows) == 3


def test_the_end_names_the_step_of_the_weights(toy: Any) -> None:
    """Struck out within an epoch, the sentence names the step of the last good look and keeps its weights."""
    one = toy(rows=300 * 8)
    good: list[Tensor] = []

    def spoilt(batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        good.append(one.weights())
        return poison(batch)

    poison = Poison(one, "loss", 70, 130, 200)
    with pytest.warns(RuntimeWarning):
        history = run(one, spoilt, max_epochs=2)
    assert "three times; weights of step 64 are kept." in history.stopped
    assert torch.equal(one.weights(), good[64])


def test_every_schedule_keeps_the_halved_rate(toy: Any) -> None:
    """After going back, each step's rate is half of what it would have been."""
    for schedule in ("auto", "constant", "inverse", "cosine", "step", "onecycle", "plateau"):
        rates = []
        for at in ((), (3,)):
            one = toy()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                rates.append(
                    [
                        row["learning_rate"]
                        for row in run(one, Poison(one, "loss", *at), schedule=schedule).rows
                    ]
                )
        assert rates[1] == pytest.approx([rate / 2 for rate in rates[0]], rel=1e-9, abs=1e-12), schedule


def test_memory_goes_back_too(toy: Any, experiment: Any) -> None:
    """What the loss carries from batch to batch is as spoilt as the weights, and is restored with them."""
    one, carried, moves = toy(), experiment().carried[0], []

    def loss(batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        moves.append(1)
        output = one.net(batch[0])
        value = (output + carried.state - batch[1]).square().mean()
        carried.state = output.mean(0).detach() * (math.nan if len(moves) == 17 else 1.0)
        return {"loss": value}

    with pytest.warns(RuntimeWarning, match="1 of 3"):
        history = one.train(one.player(loss, stateful=carried), learning_rate=0.01)
    assert history.stopped == "Reached max_epochs=6." and carried.state.isfinite().all()
