"""What happened in a training, epoch by epoch, and why it ended."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

__all__ = ["History", "Means"]


@final
@dataclass
class History:
    """One row per epoch.

    Attributes
    ----------
    rows : list of dict
        ``epoch`` (from 1), ``step`` (batches so far), ``seconds`` (so far, resumes included),
        ``learning_rate`` (of the first player, at the end of the epoch), ``<player>.<term>`` (mean over the
        epoch's batches in which the player moved), ``schedule.<term>`` and ``validation.<term>``.
    stopped : str
        Why training ended, as a sentence.
    resumed : str
        Where training was taken up from a checkpoint, as a sentence; empty if it began afresh.
    best_epoch : int
        Epoch whose weights were kept: the one with the lowest validation loss, else the last in `rows`; 0
        if none.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    stopped: str = ""
    resumed: str = ""
    best_epoch: int = 0

    def columns(self) -> dict[str, list[float]]:
        """The rows as columns; NaN where a row lacks a term."""
        names = dict.fromkeys(name for row in self.rows for name in row)
        return {name: [row.get(name, math.nan) for row in self.rows] for name in names}


@final
class Means:
    """Means of the players' terms over an epoch, gathered without waiting for the device at every batch."""

    def __init__(self) -> None:
        self._pending: dict[str, list[Tensor]] = {}
        self._sums: dict[str, list[float]] = {}

    def add(self, player: str, terms: dict[str, Tensor]) -> None:
        """Keep the scalar `terms` of one move, unread."""
        for term, value in terms.items():
            self._pending.setdefault(f"{player}.{term}", []).append(value)

    def fold(self) -> bool:
        """Read what is pending: into the sums if every loss is finite (True), else into nothing (False)."""
        read = {name: torch.stack(values).cpu().double() for name, values in self._pending.items()}
        self._pending.clear()
        if not all(values.isfinite().all() for name, values in read.items() if name.endswith(".loss")):
            return False
        for name, values in read.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = [total + float(values.sum()), count + len(values)]
        return True

    def row(self) -> dict[str, float]:
        """The means of what was folded."""
        return {name: total / count for name, (total, count) in self._sums.items()}

    def clear(self) -> None:
        """Begin a new epoch."""
        self._pending.clear()
        self._sums.clear()

    def state_dict(self) -> dict[str, list[float]]:
        """The sums so far; what is pending is not part of it."""
        return {name: list(pair) for name, pair in self._sums.items()}

    def load_state_dict(self, state: dict[str, list[float]]) -> None:
        """Take back what `state_dict` returned."""
        self._pending.clear()
        self._sums = {name: list(pair) for name, pair in state.items()}
