"""The history of a training: one row per epoch, and why it ended."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor

from regen._schema import Mapped, Real, Row, Whole, check_form

__all__ = ["EpochMeans", "History", "checked_terms"]


@final
@dataclass
class History:
    """The history of a training: one row per epoch.

    Parameters
    ----------
    rows : list of dict, default=[]
        See Attributes, as for the other parameters.
    stopped : str, default=""
        Why training ended.
    resumed : str, default=""
        From which checkpoint it was resumed.
    best_epoch : int, default=0
        The epoch of the weights that are kept.

    Attributes
    ----------
    rows : list of dict
        ``epoch`` (from 1), ``step`` (batches so far), ``seconds`` (so far, resumes included),
        ``learning_rate`` (of the first player, at the end of the epoch), ``<player>.<term>`` (mean over the
        batches of the epoch on which the player moved), ``schedule.<term>`` and ``validation.<term>``.
    stopped : str
        Why training ended, as a sentence.
    resumed : str
        From which checkpoint and step training was resumed, as a sentence; empty if it was not.
    best_epoch : int
        Epoch whose weights are kept: the one with the lowest validation loss, otherwise the last in `rows`; 0
        if none.

    See Also
    --------
    train : Returns one.

    Examples
    --------
    >>> History([{"epoch": 1, "net.loss": 0.5}, {"epoch": 2, "net.loss": 0.25}]).columns()
    {'epoch': [1, 2], 'net.loss': [0.5, 0.25]}
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    stopped: str = ""
    resumed: str = ""
    best_epoch: int = 0

    def columns(self) -> dict[str, list[float]]:
        """The rows as columns.

        Returns
        -------
        dict of str to list of float
            Column -> one number per epoch; NaN where a row lacks the term.
        """
        names = dict.fromkeys(name for row in self.rows for name in row)
        return {name: [row.get(name, math.nan) for row in self.rows] for name in names}


@final
class EpochMeans:
    """Means of the players' terms over an epoch, computed without waiting for the device at every batch."""

    def __init__(self) -> None:
        self._pending: dict[str, list[Tensor]] = {}
        self._sums: dict[str, list[float]] = {}

    def add(self, player: str, terms: dict[str, Tensor]) -> None:
        """Keep the scalar `terms` of one step on the device."""
        for term, value in terms.items():
            self._pending.setdefault(f"{player}.{term}", []).append(value)

    def flush(self) -> bool:
        """Add the pending terms to the sums if every loss is finite (True); otherwise discard them (False)."""
        read = {name: torch.stack(values).cpu().double() for name, values in self._pending.items()}
        self._pending.clear()
        if not all(values.isfinite().all() for name, values in read.items() if name.endswith(".loss")):
            return False
        for name, values in read.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = [total + float(values.sum()), count + len(values)]
        return True

    def means(self) -> dict[str, float]:
        """The means of the terms that have been added to the sums."""
        return {name: total / count for name, (total, count) in self._sums.items()}

    def clear(self) -> None:
        """Start a new epoch."""
        self._pending.clear()
        self._sums.clear()

    def state_dict(self) -> dict[str, list[float]]:
        """The sums so far, without pending terms."""
        return {name: list(pair) for name, pair in self._sums.items()}

    def load_state_dict(self, state: dict[str, list[float]]) -> None:
        """Restore what `state_dict` returned."""
        pair = Row((Real(finite=False), Whole(1)))
        check_form(Mapped(pair), {name: tuple(each) for name, each in state.items()}, "means", {})
        self._pending.clear()
        self._sums = {name: list(pair) for name, pair in state.items()}

    def pending(self) -> dict[str, Tensor]:
        """A copy of the pending terms (n,) by name."""
        return {name: torch.stack(values) for name, values in self._pending.items()}

    def load_pending(self, pending: dict[str, Tensor], device: torch.device) -> None:
        """Restore what `pending` returned, on the device where the next terms are."""
        for name, values in pending.items():
            if values.ndim != 1 or not len(values):
                raise ValueError(f"the pending terms {name!r} are no row of numbers")
        self._pending = {name: list(values.to(device).unbind()) for name, values in pending.items()}


def checked_terms(terms: Any) -> dict[str, dict[str, Tensor]]:
    """The last terms of each player in a checkpoint; ValueError when they are not tensors of one number each."""
    if not isinstance(terms, Mapping) or not all(isinstance(each, Mapping) for each in terms.values()):
        raise ValueError("the terms are no dict of dicts")
    for each in terms.values():
        for name, value in each.items():
            if not isinstance(value, Tensor) or value.ndim:
                raise ValueError(f"the term {name!r} is no number")
    return {player: dict(each) for player, each in terms.items()}
