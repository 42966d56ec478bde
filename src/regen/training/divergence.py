"""What happens when training diverges."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, final

from regen.training.player_state import PlayerState

__all__ = ["STRIKES", "DivergenceGuard"]

STRIKES = 3
"""Times that training may diverge; the last one ends it."""


@final
class DivergenceGuard:
    """Goes back to the last good state when a loss, a weight or an optimiser's number is not finite.

    Parameters
    ----------
    seats : all players by name; they go back together.
    """

    def __init__(self, seats: Mapping[str, PlayerState]) -> None:
        self._seats = seats
        self._states: dict[str, Any] = {}
        self.strikes = 0
        self.step = 0
        """Step of the last good weights."""

    @property
    def struck_out(self) -> bool:
        """Whether training diverged too often."""
        return self.strikes >= STRIKES

    def sound(self) -> bool:
        """Whether every number of every player is finite."""
        return all(seat.finite() for seat in self._seats.values())

    def check(self, losses_finite: bool, epoch: int, step: int) -> None:
        """See that the present state is good, else go back to the one kept last, with half the rate.

        Once training has diverged too often there is nothing more to see: the state kept is what remains.
        """
        if self.struck_out:
            return
        if losses_finite and self.sound():
            self.step = step
            return
        self.strikes += 1
        self.go_back()
        if self.struck_out:
            return
        for seat in self._seats.values():
            seat.rate.halve()
        rates = ", ".join(f"{seat.rate.now:g}" for seat in self._seats.values())
        warnings.warn(
            f"The loss was not finite in epoch {epoch}, at or before step {step}: training goes on from the "
            f"weights of step {self.step} with the learning rate halved to {rates} "
            f"({self.strikes} of {STRIKES} times; at the last it stops).",
            RuntimeWarning,
            stacklevel=6,
        )

    def go_back(self) -> None:
        """Give every player the state kept last, but the learning rate of now."""
        for name, seat in self._seats.items():
            seat.go_back(self._states[name])

    def keep(self) -> None:
        """Keep the present state, which has been checked."""
        self._states = {name: seat.state_dict() for name, seat in self._seats.items()}

    def state_dict(self) -> dict[str, Any]:
        """Strikes and the kept state, which is shared as it never changes."""
        return {"strikes": self.strikes, "step": self.step, "players": self._states}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned, into the players too."""
        self.strikes, self.step, self._states = state["strikes"], state["step"], state["players"]
        for name, seat in self._seats.items():
            seat.load_state_dict(self._states[name])
