"""Recovery from divergence: roll back to the last finite state and halve the learning rate."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, final

from regen._schema import Anything, Fields, Mapped, Whole, check_form
from regen.training.player import PlayerState

__all__ = ["MAX_DIVERGENCES", "DivergenceGuard"]

MAX_DIVERGENCES = 3
"""Divergences of a run; the last one ends it."""


@final
class DivergenceGuard:
    """Rolls all players back to the last good state when a loss, a weight or an optimizer state is not finite.

    Parameters
    ----------
    players : all players by name; they are rolled back together.
    """

    def __init__(self, players: Mapping[str, PlayerState]) -> None:
        self._players = players
        self._states: dict[str, Any] = {}
        self.n_divergences = 0
        self.step = 0
        """Step of the last good weights."""

    @property
    def exhausted(self) -> bool:
        """Whether training diverged too often to go on."""
        return self.n_divergences >= MAX_DIVERGENCES

    def all_finite(self) -> bool:
        """Whether every number of every player is finite."""
        return all(player.is_finite() for player in self._players.values())

    def check(self, losses_finite: bool, epoch: int, step: int) -> None:
        """Accept the present state if all is finite; otherwise roll back and halve the learning rates.

        Does nothing once training has diverged too often: the last good state remains.
        """
        if self.exhausted:
            return
        if losses_finite and self.all_finite():
            self.step = step
            return
        self.n_divergences += 1
        self.roll_back()
        if self.exhausted:
            return
        for player in self._players.values():
            player.learning_rate.halve()
        rates = ", ".join(f"{player.learning_rate.current:g}" for player in self._players.values())
        warnings.warn(
            f"The loss was not finite in epoch {epoch}, at or before step {step}: training goes on from the "
            f"weights of step {self.step} with the learning rate halved to {rates} "
            f"({self.n_divergences} of {MAX_DIVERGENCES} times; at the last it stops).",
            RuntimeWarning,
            stacklevel=6,
        )

    def roll_back(self) -> None:
        """Restore the snapshot of every player, except its learning rate."""
        for name, player in self._players.items():
            player.roll_back(self._states[name])

    def take_snapshot(self) -> None:
        """Keep the present state, which has been checked."""
        self._states = {name: player.state_dict() for name, player in self._players.items()}

    def state_dict(self) -> dict[str, Any]:
        """The count of divergences and the snapshot, shared because it never changes. Keys as in checkpoint files."""
        return {"strikes": self.n_divergences, "step": self.step, "players": self._states}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned, and the players with it."""
        players = Fields({name: Mapped(Anything()) for name in self._players})
        form = Fields({"strikes": Whole(0, MAX_DIVERGENCES), "step": Whole(), "players": players})
        check_form(form, state, "guard", {})
        self.n_divergences, self.step, self._states = state["strikes"], state["step"], state["players"]
        for name, player in self._players.items():
            player.load_state_dict(self._states[name])
        if self.step and not self.all_finite():  # they were, when the file was written
            raise ValueError("a number of the weights or of the optimizer is not finite")
