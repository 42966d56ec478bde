"""Schedules: which players move on each batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, final

from torch import Tensor

__all__ = ["Alternate", "Schedule", "alternate", "solo"]


class Schedule(ABC):
    """Decides, batch by batch, which players move. State that changes belongs in `state_dict`.

    See Also
    --------
    solo, alternate, turns : The schedules of this package.

    Examples
    --------
    >>> alternate(discriminator=2, generator=1).next_players(0, {})
    ('discriminator',)
    """

    @abstractmethod
    def next_players(self, step: int, terms: Mapping[str, Mapping[str, Tensor]]) -> tuple[str, ...]:
        """The players that move on this batch.

        Parameters
        ----------
        step : int
            Batches of the run so far.
        terms : mapping
            The last terms of every player that has moved: player -> term -> scalar tensor on the device. Reading one
            waits for the device, so a schedule that needs none reads none.

        Returns
        -------
        tuple of str
            Their names in the order in which they move; never empty.
        """

    @abstractmethod
    def describe(self) -> str:
        """The rule in words; a checkpoint is refused by a run with another one.

        Returns
        -------
        str
            Different for different rules.
        """

    def report(self) -> dict[str, float]:
        """Numbers for the history's row at the end of an epoch.

        Returns
        -------
        dict of str to float
            Empty by default.
        """
        return {}

    def state_dict(self) -> dict[str, Any]:
        """The state of the schedule.

        Returns
        -------
        dict
            A tree of dicts, lists, tensors, numbers, texts and None; empty for a rule without state.
        """
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027  (most rules have no state)
        """Restore a state.

        Parameters
        ----------
        state : dict
            What `state_dict` returned.
        """


@final
class Alternate(Schedule):
    """A fixed cycle: a player with `k` moves has them on the last `k` batches of every cycle.

    The cycle is as long as the largest count: ``alternate(discriminator=5, generator=1)`` takes five batches, on all
    of which the discriminator moves; the generator moves after it on the fifth.
    """

    def __init__(self, moves: Mapping[str, int]) -> None:
        if not moves or min(moves.values()) < 1:
            raise ValueError(f"alternate needs at least one move for each player. Got {dict(moves)} instead.")
        length = max(moves.values())
        self._cycle = [
            tuple(name for name, count in moves.items() if place >= length - count) for place in range(length)
        ]
        self._arguments = ", ".join(f"{name}={count}" for name, count in moves.items())

    def next_players(self, step: int, terms: Mapping[str, Mapping[str, Tensor]]) -> tuple[str, ...]:
        """The players at this place of the cycle."""
        return self._cycle[step % len(self._cycle)]

    def describe(self) -> str:
        """The call that makes it."""
        return f"alternate({self._arguments})"


def solo(name: str) -> Schedule:
    """A schedule for one player, which moves on every batch.

    Parameters
    ----------
    name : str
        The player.

    Returns
    -------
    Schedule
        For `train`.

    See Also
    --------
    alternate : For two players and more.

    Examples
    --------
    >>> solo("net").next_players(0, {})
    ('net',)
    """
    return Alternate({name: 1})


def alternate(**moves: int) -> Schedule:
    """A schedule in which players move in turn, each for a fixed number of batches.

    With equal counts all move on every batch, in the order given (Goodfellow et al. 2014, algorithm 1).

    Parameters
    ----------
    **moves : int
        Player -> batches on which it moves in every cycle, at least 1. ``discriminator=1, generator=1`` is the most
        common for GANs.

    Returns
    -------
    Schedule
        For `train`.

    Raises
    ------
    ValueError
        When there is no player, or a count below 1.

    See Also
    --------
    turns : Turns that depend on the discriminator's scores.

    Examples
    --------
    >>> schedule = alternate(discriminator=2, generator=1)
    >>> [schedule.next_players(step, {}) for step in range(2)]
    [('discriminator',), ('discriminator', 'generator')]
    """
    return Alternate(moves)
