"""The kind of each column of a table: inferred from its cells, or as requested.

Letters: `n` rows, `F` columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regen._check import closest
from regen.data.columns.times import TEMPORAL
from regen.data.table_input import Cells

__all__ = ["KINDS", "infer_kinds", "refuse_fitted", "refuse_new", "refuse_other_types", "requested_kinds"]

KINDS = ("real", "nonnegative", "unit", "binary", "counts", "categorical")
"""The kinds of columns, in the order in which columns are encoded."""

HIGHEST_MEAN_OF_COUNTS = 100.0
"""Whole numbers with a larger mean are real: the deviation of a Poisson count of 100 is 10 %."""
LEAST_SKEWNESS = 1.0
"""Least skewness of nonnegative numbers."""
NEARLY = 0.01
"""Distance of the extremes of a unit column from 0 and 1, at most."""


def infer_kinds(cells: Cells, output: str | Mapping[Any, str]) -> tuple[str, ...]:
    """The kind of each column.

    Parameters
    ----------
    cells : a table (n, F). output : "auto", one kind for all numbers, or a dict from names (or numbers) of columns
        to kinds.
    """
    requested = requested_kinds(cells, output)
    numbers = [k for k in range(len(cells.names)) if cells.levels[k] is None]
    if cells.named or set(cells.stored) & set(TEMPORAL):
        found = {k: _kind(cells.values[:, [k]], cells.stored[k], named=True) for k in numbers}
    else:
        together = _kind(cells.values[:, numbers], cells.stored[numbers[0]], named=False) if numbers else ""
        found = dict.fromkeys(numbers, together)
    kinds = tuple(requested.get(k, found.get(k, "categorical")) for k in range(len(cells.names)))
    for k, kind in enumerate(kinds):
        if cells.levels[k] is not None and kind != "categorical":
            raise ValueError(f"{cells.column(k)} holds text, so it cannot be {kind!r}, only 'categorical'.")
        if cells.stored[k] in TEMPORAL and kind not in ("real", "nonnegative"):
            raise ValueError(
                f"{cells.column(k)} holds dates or durations, so it cannot be {kind!r}, only 'real'."
            )
    return kinds


def refuse_new(cells: Cells, kinds: tuple[str, ...], levels: tuple[tuple[Any, ...] | None, ...]) -> None:
    """Refuse the first cell of a new table (n, F) that its column cannot have: a negative count, a third value.

    Numbers beyond [0, 1] or below 0 are accepted: new data may lie outside the range of fit.
    """
    for kind in set(kinds) & {"counts", "binary"}:
        chosen = [k for k, each in enumerate(kinds) if each == kind]
        values = cells.values[:, chosen]
        if kind == "counts":
            wrong = values < 0
        else:
            low, high = np.array([levels[k] for k in chosen], dtype=np.float64).T
            wrong = ~np.isnan(values) & (values != low) & (values != high)
        if wrong.any():
            place = int(wrong.any(axis=0).argmax())
            row = int(wrong[:, place].argmax())
            raise ValueError(_out_of_range(cells, chosen[place], row, kind, levels[chosen[place]]))


def refuse_other_types(cells: Cells, stored: tuple[str, ...]) -> None:
    """Refuse the first column of a new table (n, F) with dates or durations where fit had none, or the other way."""
    for k, known in enumerate(stored):
        here = cells.stored[k]
        words = _what(known), _what(here)
        if words[0] != words[1] and {known, here} & set(TEMPORAL) and not cells.missing[:, k].all():
            raise ValueError(f"{cells.column(k)} holds {words[1]}; at fit it held {words[0]}.")


def _what(stored: str) -> str:
    """What a column stored so holds, in words."""
    words = {"text": "text", "date": "dates", "datetime": "dates", "duration": "durations"}
    return words.get(stored, "numbers")


def refuse_fitted(cells: Cells, kinds: tuple[str, ...]) -> None:
    """Refuse the first column of a table (n, F) whose cells are not of its kind, where that was requested."""
    for k, kind in enumerate(kinds):
        values = cells.values[:, k]
        wrong = np.zeros(len(values), dtype=bool)
        if kind in ("nonnegative", "counts", "unit"):
            wrong = values < 0
        if kind == "unit" and cells.stored[k] != "byte":
            wrong |= values > 1
        if wrong.any():
            raise ValueError(_out_of_range(cells, k, int(wrong.argmax()), kind, None))
        if kind == "binary" and (distinct := len(np.unique(values[~np.isnan(values)]))) > 2:
            raise ValueError(
                f"{cells.column(k)} is 'binary', which allows 2 distinct values. Got {distinct} instead."
            )


def _out_of_range(cells: Cells, k: int, row: int, kind: str, known: tuple[Any, ...] | None) -> str:
    allowed = {
        "nonnegative": "no negative numbers",
        "counts": "no negative numbers",
        "unit": "numbers in [0, 1]",
    }
    words = f"allows {allowed[kind]}" if known is None else f"was {known[0]:g} or {known[1]:g} at fit"
    return f"{cells.column(k)} is {kind!r}, which {words}. Got {cells.values[row, k]:g} in row {row} instead."


def requested_kinds(cells: Cells, output: str | Mapping[Any, str]) -> dict[int, str]:
    """Requested kinds by number of column."""
    if isinstance(output, str):
        _check_kind(output)
        words = zip(cells.levels, cells.stored, strict=True)
        numbers = [k for k, (each, stored) in enumerate(words) if each is None and stored not in TEMPORAL]
        return {} if output == "auto" else dict.fromkeys(numbers, output)
    requested = {}
    for name, kind in output.items():
        _check_kind(kind)
        if str(name) not in cells.names:
            raise ValueError(
                f"X has no column {name!r}, which output names.{closest(str(name), cells.names)}"
            )
        if kind != "auto":
            requested[cells.names.index(str(name))] = kind
    return requested


def _check_kind(kind: Any) -> None:
    if kind not in ("auto", *KINDS):
        words = ", ".join(repr(word) for word in ("auto", *KINDS))
        raise ValueError(f"A kind of columns must be one of {words}. Got {kind!r} instead.")


def _kind(values: NDArray[np.float64], stored: str, *, named: bool) -> str:
    """The one kind of all numbers (n, F)."""
    if stored == "bool":
        return "binary"
    if stored in ("date", "datetime"):
        return "real"
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if stored == "duration":
        return "nonnegative" if low >= 0 and _skewness(values) > LEAST_SKEWNESS else "real"
    if low == 0 and high == 1 and bool(((values == 0) | (values == 1) | np.isnan(values)).all()):
        return "binary"
    if low < 0:
        return "real"
    if stored == "byte" and not named and high > 127:
        return "unit"
    if stored in ("int", "byte"):
        several = high > low + 1 or values.shape[1] > 1
        return "counts" if several and low == 0 and np.nanmean(values) <= HIGHEST_MEAN_OF_COUNTS else "real"
    if low <= NEARLY and 1 - NEARLY <= high <= 1:
        return "unit"
    return "nonnegative" if named and _skewness(values) > LEAST_SKEWNESS else "real"


def _skewness(values: NDArray[np.float64]) -> float:
    """Third moment of the standardised numbers; 0 when they do not vary."""
    spread = float(np.nanstd(values))
    return 0.0 if spread == 0 else float(np.nanmean(((values - np.nanmean(values)) / spread) ** 3))
