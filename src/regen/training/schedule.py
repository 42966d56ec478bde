"""Schedules: which player moves next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, final

from torch import Tensor

__all__ = ["Alternate", "Schedule", "alternate", "solo"]


class Schedule(ABC):
    """Decides, batch by batch, which players move. State that changes belongs in `state_dict`."""

    @abstractmethod
    def turn(self, step: int, terms: Mapping[str, Mapping[str, Tensor]]) -> tuple[str, ...]:
        """Names of the players that move on this batch, in order; never empty.

        Parameters
        ----------
        step : batches seen so far in the run, from 0.
        terms : the last terms of every player that has moved: player -> term -> scalar tensor on the device.
            Reading one waits for the device, so a schedule that needs none reads none.
        """

    @abstractmethod
    def describe(self) -> str:
        """The rule in words; a checkpoint is refused by a run with another one."""

    def report(self) -> dict[str, float]:
        """Numbers for the history's row at the end of an epoch; none by default."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """A tree of dicts, lists, tensors, numbers, texts and None; empty for a rule without memory."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027  (most rules have no memory)
        """Take back what `state_dict` returned."""


@final
class Alternate(Schedule):
    """A fixed cycle: a player with `k` moves has them on the last `k` batches of every cycle.

    The cycle is as long as the largest count, so ``alternate(discriminator=5, generator=1)`` reads five
    batches: the discriminator moves on each, the generator after it on the fifth.
    """

    def __init__(self, moves: Mapping[str, int]) -> None:
        if not moves or min(moves.values()) < 1:
            raise ValueError(f"alternate needs at least one move for each player. Got {dict(moves)} instead.")
        length = max(moves.values())
        self._turns = [
            tuple(name for name, count in moves.items() if place >= length - count) for place in range(length)
        ]
        self._words = ", ".join(f"{name}={count}" for name, count in moves.items())

    def turn(self, step: int, terms: Mapping[str, Mapping[str, Tensor]]) -> tuple[str, ...]:
        """Those whose place in the cycle it is."""
        return self._turns[step % len(self._turns)]

    def describe(self) -> str:
        """As it was called."""
        return f"alternate({self._words})"


def solo(name: str) -> Schedule:
    """The player called `name` moves on every batch."""
    return Alternate({name: 1})


def alternate(**moves: int) -> Schedule:
    """Players move in turn, so many times each: ``alternate(discriminator=1, generator=1)`` is the usual GAN.

    With equal counts all move on every batch, in the order given (Goodfellow et al. 2014, algorithm 1).
    """
    return Alternate(moves)
