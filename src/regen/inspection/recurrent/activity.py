"""Gate events and half-lives of the units of a recurrent net.

Letters: `L` layers, `D` directions, `n` sequences, `S` recurrent steps, `H` units.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from regen.cells import GRU, LSTM, Cell, Diagonal, Jordan
from regen.inspection.labelled import Labelled

__all__ = ["CLOSED", "OPEN", "UnitActivity", "half_life"]

OPEN, CLOSED = 0.9, 0.1
"""A gate above the first is open, below the second closed."""
LEAST = 1e-30
"""Least share that is kept at a step, so that its logarithm is finite."""
Values = NDArray[Any]


@final
@dataclass(frozen=True, eq=False)
class UnitActivity:
    """Values of the units over time, (L, D, n, S, H) by gate; see `Gates`."""

    cell: Cell
    values: Mapping[str, Values]
    weight: NDArray[np.float64] | None
    inputs: Labelled | None
    segment: int

    @property
    def gates(self) -> tuple[str, ...]:
        """Names of the sigmoid gates."""
        return sigmoid_gates(self.cell)

    @cached_property
    def kept(self) -> Values | None:
        """(L, D, n, S, H) the share of its content that a unit keeps at each step; None for a recurrent matrix."""
        if self.cell.kept_by:
            return self.values[self.cell.kept_by]
        if not isinstance(self.cell, Diagonal) or self.weight is None:
            return None
        h = self.values["state"]
        derivative = 1 - h**2 if self.cell.nonlinearity == "tanh" else np.where(np.isnan(h), np.nan, h > 0)
        kept: Values = np.minimum(np.abs(self.weight)[:, :, None, None] * derivative, 1.0)
        return kept

    @cached_property
    def half_lives(self) -> NDArray[np.float64]:
        """(L, D, H) in steps of the data; NaN for a recurrent matrix."""
        if self.kept is None:
            return np.full(self.spread.shape, np.nan)
        L, D, _, _, H = self.kept.shape
        found = np.empty((L, D, H))
        for layer, d, unit in np.ndindex(L, D, H):
            found[layer, d, unit] = half_life(_in_direction(self.kept[layer, d, :, :, unit], d))
        return found * self.segment

    @cached_property
    def onsets(self) -> dict[str, NDArray[np.bool_]]:
        """(L, D, n, S, H) first steps at which a unit is written and reset; empty for cells without gates."""
        if isinstance(self.cell, LSTM):
            i, f = self.values["input"], self.values["forget"]
            return {"write": _onset(i > OPEN, i <= OPEN), "reset": _onset(f < CLOSED, f >= CLOSED)}
        if isinstance(self.cell, GRU):
            z, r = self.values["update"], self.values["reset"]
            return {"write": _onset(z < CLOSED, z >= CLOSED), "reset": _onset(r < CLOSED, r >= CLOSED)}
        return {}

    @cached_property
    def spread(self) -> NDArray[np.float64]:
        """(L, D, H) standard deviation of the state of each unit.

        For a projected LSTM it is that of the context, and for Jordan's cell that of the hidden layer.
        """
        projected = isinstance(self.cell, LSTM) and self.cell.proj_size
        word = "context" if projected else "hidden" if isinstance(self.cell, Jordan) else "state"
        return np.nanstd(self.values[word], axis=(2, 3), dtype=np.float64)  # type: ignore[no-any-return]

    @cached_property
    def rank(self) -> NDArray[np.int64]:
        """(L, D, H) place of each unit by its spread, 1 for the largest."""
        order = np.argsort(-self.spread, axis=None, kind="stable")
        rank = np.empty(self.spread.size, dtype=np.int64)
        rank[order] = np.arange(1, len(order) + 1)
        return rank.reshape(self.spread.shape)

    def table(self) -> dict[str, Values]:
        """One row for each unit: the columns of `Gates.units`."""
        shape = self.spread.shape
        layer, direction, unit = np.indices(shape).reshape(3, -1)
        columns: dict[str, Values] = {
            "layer": layer,
            "direction": np.array(["forward", "backward"])[direction],
            "unit": unit,
        }
        steps = np.maximum((~np.isnan(self.values["state"][..., :1])).sum((2, 3)), 1)
        for gate in self.gates:
            columns[f"{gate}_open"] = ((self.values[gate] > OPEN).sum((2, 3)) / steps).ravel()
            columns[f"{gate}_closed"] = ((self.values[gate] < CLOSED).sum((2, 3)) / steps).ravel()
        columns["half_life"] = self.half_lives.ravel()
        for event in self.onsets:
            columns[f"{event}s"] = (100 * self.onsets[event].sum((2, 3)) / steps).ravel()
        return columns | {"spread": self.spread.ravel(), "rank": self.rank.ravel()}


def sigmoid_gates(cell: Cell) -> tuple[str, ...]:
    """Names of the gates of a cell with values between 0 and 1."""
    return tuple(name for name, activation in cell.activations().items() if activation == "sigmoid")


def half_life(kept: NDArray[Any]) -> float:
    """Steps until half of the content is forgotten: the median over all steps of all sequences.

    The rest after k steps is the product of the k shares kept; between two steps it decays exponentially, so that a
    constant share f has the half-life log(1/2) / log(f). Content of which more than half is left at the end of its
    sequence is extrapolated with the mean decay of that sequence; infinite where nothing is forgotten.

    kept : (n, S) share kept at each step in the order of time, NaN past a sequence's end.
    """
    there = ~np.isnan(kept)
    faded = np.abs(np.log(np.clip(np.where(there, kept, 1.0), LEAST, 1.0).astype(np.float64))).cumsum(1)
    faded = np.pad(faded, ((0, 0), (1, 0)))
    n, S = kept.shape
    ends = there.sum(1, keepdims=True)
    lift = np.arange(n)[:, None] * (faded.max() + 1.0)  # row after row in one increasing line
    target = faded[:, :-1] + np.log(2)
    place = np.searchsorted((faded + lift).ravel(), (target + lift).ravel()).reshape(n, S)
    place = place - np.arange(n)[:, None] * (S + 1)
    reached = place <= S
    right = np.minimum(place, S)
    before = np.take_along_axis(faded, np.maximum(right - 1, 0), 1)
    step = np.take_along_axis(faded, right, 1) - before
    inside = right - 1 + (target - before) / np.where(step > 0, step, 1.0)
    with np.errstate(
        divide="ignore", invalid="ignore"
    ):  # infinite if never forgotten; rows without steps unused
        beyond = ends + (target - faded[:, -1:]) * (ends / faded[:, -1:])
    times = np.where(reached, inside, beyond) - np.arange(S)
    return float(np.median(times[there])) if there.any() else float("nan")


def _onset(now: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(L, D, n, S, H) True where `now` holds and `other` did at the step before, in the order of the direction."""
    found = np.zeros_like(now)
    found[:, 0, :, 1:] = now[:, 0, :, 1:] & other[:, 0, :, :-1]
    found[:, 1:, :, :-1] = now[:, 1:, :, :-1] & other[:, 1:, :, 1:]
    return found


def _in_direction(values: Values, direction: int) -> Values:
    """(n, S) in the order of a direction: the backward one from the end of each sequence."""
    if direction == 0:
        return values
    turned = values[:, ::-1]
    first = np.isnan(turned).sum(1, keepdims=True)
    order = (np.arange(values.shape[1]) + first) % values.shape[1]
    return np.take_along_axis(turned, order, 1)
