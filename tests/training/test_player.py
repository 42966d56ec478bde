"""What follows a move, and the two memories of Adam."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Adam, AdamW

from regen.training import alternate, make_optimizer


def test_what_follows_a_move_sees_the_new_weights(toy: Any) -> None:
    """It is called once after every move, when the weights have moved: their trace is that of the loop."""
    one, trace = toy(), []

    def follow() -> None:
        trace.append(one.weights().clone())

    one.train(one.player(after_step=follow), max_epochs=2, learning_rate=0.01)
    assert len(trace) == 2 * len(one.batches)
    assert torch.equal(trace[-1], one.weights())
    assert not torch.equal(trace[-2], trace[-1]), "the twin that is called before the move sees the last one"


def test_only_those_who_move_are_followed(toy: Any) -> None:
    """A player that moves on every third batch is followed that often."""
    one, other, counts = toy(), toy(seed=1), {"a": 0, "b": 0}

    def counted(name: str) -> Any:
        def follow() -> None:
            counts[name] += 1

        return follow

    players = [
        replace(one.player(), name="a", after_step=counted("a")),
        replace(other.player(), name="b", after_step=counted("b")),
    ]
    one.train(*players, turns=alternate(a=3, b=1), max_steps=9, max_epochs=100, learning_rate=0.01)
    assert counts == {"a": 9, "b": 3}


@pytest.mark.parametrize(("name", "kind"), [("adam", Adam), ("adamw", AdamW)])
def test_betas_are_adams(name: str, kind: type[Adam]) -> None:
    """Steps are torch's own with those betas, to the bit; with the usual ones they are others."""

    def moved(make: Any) -> torch.Tensor:
        torch.manual_seed(0)
        net = nn.Linear(3, 2)
        rule = make(net.parameters())
        for k in range(4):
            rule.zero_grad()
            (net(torch.ones(3)).sum() * (1 + k)).backward()
            rule.step()
        return net.weight.detach()

    ours = moved(lambda weights: make_optimizer(name, weights, 0.1, betas=(0.5, 0.9)))
    theirs = moved(lambda weights: kind(weights, 0.1, (0.5, 0.9), weight_decay=0.0, fused=True))
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours, moved(lambda weights: make_optimizer(name, weights, 0.1)))
