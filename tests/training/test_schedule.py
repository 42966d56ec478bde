"""Schedules of turns, optimisers by name."""

from typing import Any

import pytest
import torch
from torch import nn

from regen.training import alternate, make_optimizer, resolve_device, solo


def turns(schedule: object, steps: int) -> list[tuple[str, ...]]:
    """Who moves on the first batches."""
    return [schedule.next_players(step, {}) for step in range(steps)]  # type: ignore[attr-defined]


def test_solo_always_moves_the_one() -> None:
    """One player, every batch."""
    assert turns(solo("net"), 3) == [("net",)] * 3


def test_alternate_is_a_cycle() -> None:
    """Equal counts move together in order; a lower count moves last in the cycle."""
    assert turns(alternate(d=1, g=1), 2) == [("d", "g")] * 2
    assert turns(alternate(d=3, g=1), 6) == [("d",), ("d",), ("d", "g")] * 2
    assert turns(alternate(d=1, g=2), 4) == [("g",), ("d", "g")] * 2
    assert turns(alternate(d=2, g=2), 2) == [("d", "g")] * 2


def test_alternate_refuses_a_player_that_never_moves(message_of: Any) -> None:
    """Every player has its turn."""
    for moves in ({}, {"d": 1, "g": 0}):
        assert (
            message_of(ValueError, alternate, **moves)
            == f"alternate needs at least one move for each player. Got {moves} instead."
        )


def test_schedules_describe_their_rule() -> None:
    """What a checkpoint compares."""
    assert alternate(d=2, g=1).describe() == "alternate(d=2, g=1)"
    assert solo("net").describe() == "alternate(net=1)"
    assert solo("net").state_dict() == {} and solo("net").report() == {}


@pytest.mark.parametrize(
    ("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)]
)
def test_optimisers_by_name(name: str, kind: type) -> None:
    """The class, its rate and decay, and one kernel for all weights."""
    rule = make_optimizer(name, nn.Linear(2, 2).parameters(), 0.25, 0.5)
    group = rule.param_groups[0]
    assert type(rule) is kind and group["lr"] == 0.25 and group["weight_decay"] == 0.5 and group["fused"]
    assert len(group["params"]) == 2


def test_an_unfused_optimiser_for_what_torch_cannot_fuse() -> None:
    """Weights that are no floating-point numbers go without."""
    weight = nn.Parameter(torch.zeros(2, dtype=torch.complex64))
    assert not make_optimizer("adam", [weight], 0.1).param_groups[0]["fused"]


def test_devices(monkeypatch: pytest.MonkeyPatch, message_of: Any) -> None:
    """The first there is; one that is not there is refused with those that are."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")
    assert message_of(ValueError, resolve_device, "cuda") == (
        "device='cuda' is not available: torch does not find it on this machine. "
        "Use 'auto' or one of the devices that it finds: 'cpu'."
    )
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda")
