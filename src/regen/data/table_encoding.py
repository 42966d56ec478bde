"""Tables as input and target of a network, and back.

Letters: `n` rows, `F` columns, `E` encoded numbers of a row.

The kind of a column is inferred from the data, or set by ``output``::

    "real"         any number                      (x - mean) / standard deviation
    "nonnegative"  numbers from 0 up               x / standard deviation, so that 0 stays 0
    "unit"         numbers in [0, 1]               x
    "binary"       one of two values               0 or 1
    "counts"       0, 1, 2, ...                    x
    "categorical"  one of K texts or values        K numbers, of which one is 1 and the others are 0

Dates and durations are real numbers of microseconds, measured from the first of them; durations may be nonnegative.

The kinds of a table with names are inferred column by column: truth values and numbers that are only 0 and 1 are
binary; text is categorical; whole numbers (of an integer type) from 0 up, with a mean of at most 100, are counts;
other numbers that lie in [0, 1] and reach both ends are unit; those that are never negative and skewed to the right
(skewness above 1) are nonnegative; the rest is real. An array has no names, and all its numbers have one kind, so
that neighbours such as pixels stay alike; it is nonnegative only by ``output``, and bytes (uint8) that go above 127
are brightness: unit, after a division by 255.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regen._check import closest
from regen._schema import Fields, Maybe, Numbers, Optional, Several, Truth, Words
from regen.data.column_kinds import (
    KINDS,
    infer_kinds,
    refuse_fitted,
    refuse_new,
    refuse_other_types,
    requested_kinds,
)
from regen.data.columns.support import SUPPORT, Support, bounded, supports_of
from regen.data.layout import CELL, TABLE_LAYOUT, Layout
from regen.data.magnitude import refuse_far
from regen.data.scaling import is_constant, moments
from regen.data.table_input import Cells

__all__ = ["COLUMNS", "KINDS", "Block", "Columns"]

COLUMNS = Fields(
    {
        "named": Truth(),
        "source": Numbers("i", ("E",), low=0),
        "center": Numbers("f", ("E",)),
        "scale": Numbers("f", ("E",), low=0, above=True),
        "shift": Numbers("f", ("E",)),
        "spread": Numbers("f", ("E",), low=0, above=True),
        "names": Several(Words(), "columns"),
        "kinds": Several(Words(tuple(KINDS)), "columns"),
        "levels": Several(Maybe(Several(CELL, distinct=True)), "columns"),
        "layout": TABLE_LAYOUT,
        "supports": Optional(Several(SUPPORT, "columns")),
    }
)
"""The form of what `Columns.state` returns."""

Levels = tuple[tuple[Any, ...] | None, ...]

LEAST_SPREAD = 0.1
"""Least divisor of `Columns.inputs`, as a share of the mean deviation of the columns of one kind."""


class Block(NamedTuple):
    """Encoded numbers ``start:stop`` of one kind, and the columns they belong to."""

    kind: str
    start: int
    stop: int
    columns: tuple[int, ...]


@final
@dataclass(frozen=True, eq=False)
class Columns:
    """The encoding of the columns of a table.

    names : F names; named : whether they are the table's own. kinds : F kinds. layout : the kind of table.
    levels : for each column its values in order: the K of a categorical one, the two of a binary one, else None.
    source : (E,) column of each encoded number.
    center, scale : (E,) float64; encoded = (x - center) / scale; 0 and 1 where categorical.
    shift, spread : (E,) float32; `inputs` = (encoded - shift) / spread, of counts (log1p(encoded) - shift) / spread.
    supports : for each column the values that it can have when it is decoded.
    """

    names: tuple[str, ...]
    named: bool
    kinds: tuple[str, ...]
    levels: Levels
    layout: Layout
    source: NDArray[np.int64]
    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    shift: NDArray[np.float32]
    spread: NDArray[np.float32]
    supports: tuple[Support, ...]

    @classmethod
    def fit(
        cls,
        cells: Cells,
        output: str | Mapping[Any, str] = "auto",
        rows: NDArray[np.int64] | None = None,
        bounds: Any = "data",
    ) -> Columns:
        """Infer the kinds of a table, and measure its columns.

        Parameters
        ----------
        cells : a table (n, F), from `read_cells`.
        output : "auto", a kind for every column of numbers, or a dict from names (or numbers) of columns to
            kinds, the others "auto". Text is always categorical.
        rows : (m,) the rows on which centers and scales are measured; None is all. Kinds, categories and pairs
            of values are those of the whole table.
        bounds : range of the decoded numbers and dates: "data" for that of the table, None for none, or a dict from
            names of columns to pairs, the others "data".

        Raises
        ------
        ValueError
            When a column has only missing values, or values that are not of the requested kind, or bounds are none.
        """
        _refuse_empty(cells, rows)
        kinds = infer_kinds(cells, output)
        refuse_fitted(cells, kinds)
        levels = tuple(_levels(cells, k, kind) for k, kind in enumerate(kinds))
        order = sorted(range(len(kinds)), key=lambda k: KINDS.index(kinds[k]))
        widths = [len(levels[k] or ()) if kinds[k] == "categorical" else 1 for k in order]
        source = np.repeat(np.array(order, dtype=np.int64), widths)
        part = cells.values if rows is None else cells.values[rows]
        center, scale = _affine(part, kinds, levels, cells.stored)
        supports = bounded(supports_of(cells, kinds, requested_kinds(cells, output)), cells.names, bounds)
        plain = np.zeros(len(source), np.float32)
        fixed = (cells.names, cells.named, kinds, levels, cells.layout, source, center[source], scale[source])
        columns = cls(*fixed, plain, plain + 1, supports)
        return cls(*fixed, *columns._input_scale(columns._numbers(part)), supports)

    @property
    def width(self) -> int:
        """E, encoded numbers of a row."""
        return len(self.source)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Encoded numbers of one kind side by side; each categorical column is a block of its own."""
        found: list[Block] = []
        for place, k in enumerate(self.source.tolist()):
            last = found[-1] if found else None
            kind = self.kinds[k]
            if last is not None and last.kind == kind and (kind != "categorical" or last.columns == (k,)):
                columns = last.columns if k in last.columns[-1:] else (*last.columns, k)
                found[-1] = Block(kind, last.start, place + 1, columns)
            else:
                found.append(Block(kind, place, place + 1, (k,)))
        return tuple(found)

    @property
    def log_scale(self) -> NDArray[np.float64]:
        """(E,) to subtract from the log-density of encoded numbers for that in units of the data."""
        continuous = np.array([self.kinds[k] in ("real", "nonnegative", "unit") for k in self.source])
        return np.where(continuous, np.log(self.scale), 0.0)

    @property
    def input_moments(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Means and deviations (E,) that `inputs` removes: of the logarithm of counts."""
        return self.shift, self.spread

    def encode(self, cells: Cells) -> NDArray[np.float32]:
        """(n, E) float32 targets of a network, NaN where a cell of the table (n, F) is missing.

        Raises
        ------
        ValueError
            For other columns than at fit, a category that is new, a third value of a binary column, a
            negative count.
        """
        cells = self._aligned(cells)
        refuse_other_types(cells, self.layout.stored)
        refuse_new(cells, self.kinds, self.levels)
        return self._numbers(self._recoded(cells))

    def inputs(self, encoded: Tensor) -> Tensor:
        """(..., E) input of an encoder for ``encoded`` (..., E): centred, of size about 1. NaN stays NaN."""
        if not self._moved:
            return encoded
        shift = torch.as_tensor(self.shift, device=encoded.device, dtype=encoded.dtype)
        spread = torch.as_tensor(self.spread, device=encoded.device, dtype=encoded.dtype)
        counts = [block for block in self.blocks if block.kind == "counts"]
        if counts:
            (block,) = counts
            encoded = encoded.clone()
            encoded[..., block.start : block.stop].log1p_()
        return (encoded - shift) / spread

    def decode(self, values: NDArray[Any], *, rounded: bool = False, like: Cells | None = None) -> Any:
        """Encoded numbers as a table of the kind that fit was given, with its names and types.

        Parameters
        ----------
        values : (n, E). Of a categorical column the most probable value is returned.
        rounded : binary columns, whole numbers and those with few decimals or levels become the nearest that their
            column can hold, and get their types back. Otherwise they are means, float64, within their range.
        like : the table (n, F) that the values restore; the result has its kind and its pandas index.
        """
        layout = self.layout if like is None else self._aligned(like).layout
        index = getattr(None if like is None else like.native, "index", None)
        return layout.table(
            self.decoded_columns(values, rounded), rounded, index if like is not None else None
        )

    def fill(self, cells: Cells, values: NDArray[Any]) -> Any:
        """The table (n, F) of `cells` with only its missing cells taken from `values` (n, E).

        Observed cells are the same bits. Whole numbers and truth values are rounded, as their columns hold no others.
        """
        order = self._order(cells)
        restored = self.decoded_columns(values, rounded=True)
        missing = cells.missing
        holes = {k: restored[order.index(k)] for k in range(missing.shape[1]) if missing[:, k].any()}
        return cells.layout.filled(cells.native, holes, missing)

    def state(self) -> dict[str, Any]:
        """All of it as numbers, text, lists and arrays."""
        plain = {
            name: getattr(self, name) for name in ("named", "source", "center", "scale", "shift", "spread")
        }
        levels = [None if each is None else list(each) for each in self.levels]
        lists = {"names": list(self.names), "kinds": list(self.kinds), "levels": levels}
        supports = [support.state() for support in self.supports]
        return plain | lists | {"layout": self.layout.state(), "supports": supports}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Columns:
        """The columns with this `state`; those of models without supports have any values."""
        _refuse_inconsistent(state)
        found = state.get("supports") or [Support().state() for _ in state["names"]]
        lists = {
            "supports": tuple(map(Support.from_state, found)),
            "names": tuple(state["names"]),
            "kinds": tuple(state["kinds"]),
            "levels": tuple(None if each is None else tuple(each) for each in state["levels"]),
            "layout": Layout.from_state(state["layout"]),
        }
        return cls(**{**state, **lists})

    @cached_property
    def _moved(self) -> bool:
        return bool(self.shift.any() or (self.spread != 1).any() or "counts" in self.kinds)

    @cached_property
    def _straight(self) -> bool:
        """Whether encoded numbers are the table's own columns in order."""
        return (
            bool(np.array_equal(self.source, np.arange(len(self.names)))) and "categorical" not in self.kinds
        )

    def _numbers(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        """(n, E) from (n, F) whose categorical columns are places among their levels."""

        def place(row: int, e: int) -> tuple[str, str]:
            name = self.names[self.source[e]]
            return f"Column {name!r} of X" if self.named else f"Column {name} of X", f"in row {row}"

        plain = values if self._straight else values[:, self.source]
        with np.errstate(over="ignore"):  # what overflows is refused
            scaled = (plain - self.center) / self.scale
        refuse_far(scaled, place)
        encoded = scaled.astype(np.float32)
        for block in self.blocks:
            if block.kind == "categorical":
                codes = values[:, list(block.columns)]
                hot = (codes == np.arange(block.stop - block.start)).astype(np.float32)
                hot[np.isnan(codes[:, 0])] = np.nan
                encoded[:, block.start : block.stop] = hot
        return encoded

    def decoded_columns(self, values: NDArray[Any], rounded: bool) -> list[NDArray[Any]]:
        """F columns (n,) from encoded values (n, E): floats, integers beyond 2**53, dates, or objects of text."""
        values = np.asarray(values, dtype=np.float64)
        columns: list[NDArray[Any]] = [np.zeros(0)] * len(self.names)
        for block in self.blocks:
            part = values[:, block.start : block.stop]
            if block.kind == "categorical":
                (k,) = block.columns
                known = self.levels[k] or ()
                ranked = np.empty(len(known), dtype=object)
                ranked[:] = known
                texts = ranked[part.argmax(axis=1)]
                columns[k] = texts if self.layout.stored[k] == "text" else texts.astype(np.float64)
                continue
            if rounded and block.kind == "binary":
                part = part > 0.5
            cut = slice(block.start, block.stop)
            plain = part * self.scale[cut] + self.center[cut]
            for place, k in enumerate(block.columns):
                columns[k] = self.supports[k].nearest(plain[:, place], rounded)
        return columns

    def _input_scale(self, encoded: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`shift` and `spread` (E,) from encoded rows (n, E)."""
        shift, spread = np.zeros(self.width), np.ones(self.width)
        for block in self.blocks:
            if block.kind in ("real", "categorical"):
                continue
            cut = slice(block.start, block.stop)
            part = encoded[:, cut].astype(np.float64)
            part = np.log1p(part) if block.kind == "counts" else part
            shift[cut], deviation = moments(part)
            if block.kind != "nonnegative":
                usual = float(np.sqrt(np.mean(deviation**2))) or 1.0
                spread[cut] = np.maximum(deviation, LEAST_SPREAD * usual)
        return shift.astype(np.float32), spread.astype(np.float32)

    def _order(self, cells: Cells) -> list[int]:
        """Place in `cells` of each column; those without names of their own are taken in order."""
        count = len(self.names)
        known = f"the model was fitted with {count}: {_shown(self.names)}"
        if cells.named and self.named:
            for name in self.names:
                if name not in cells.names:
                    raise ValueError(f"X has no column {name!r}.{closest(name, cells.names)} T{known[1:]}.")
            for name in cells.names:
                if name not in self.names:
                    raise ValueError(f"X has a column {name!r} that fit has not seen; {known}.")
            return [cells.names.index(name) for name in self.names]
        if len(cells.names) != count:
            plural = "" if len(cells.names) == 1 else "s"
            raise ValueError(f"X has {len(cells.names)} column{plural}; the model was fitted with {count}.")
        return list(range(count))

    def _aligned(self, cells: Cells) -> Cells:
        """The same cells with their columns in the order of fit."""
        order = self._order(cells)
        return cells if order == list(range(len(order))) else cells.reordered(order)

    def _recoded(self, cells: Cells) -> NDArray[np.float64]:
        """(n, F) values, categorical columns as places among the levels of fit."""
        changed = [k for k, kind in enumerate(self.kinds) if kind == "categorical"]
        changed += [k for k, each in enumerate(cells.levels) if each is not None and k not in changed]
        if not changed:
            return cells.values
        values = cells.values.copy()
        for k in changed:
            values[:, k] = _recoded_column(cells, k, self.levels[k], self.kinds[k])
        return values


def _refuse_inconsistent(state: Mapping[str, Any]) -> None:
    """Refuse a state of the right form whose encoded numbers are not those of its columns."""
    kinds, levels = state["kinds"], state["levels"]
    for k, kind in enumerate(kinds):
        if (kind == "categorical" and not levels[k]) or (kind == "binary" and len(levels[k] or (0, 1)) != 2):
            raise ValueError(f"the {kind} column {state['names'][k]!r} has other values than its kind")
    order = sorted(range(len(kinds)), key=lambda k: KINDS.index(kinds[k]))
    widths = [len(levels[k] or ()) if kinds[k] == "categorical" else 1 for k in order]
    if not np.array_equal(state["source"], np.repeat(np.array(order, dtype=np.int64), widths)):
        raise ValueError("the encoded numbers are not those of the kinds of the columns")


def _recoded_column(cells: Cells, k: int, known: tuple[Any, ...] | None, kind: str) -> NDArray[np.float64]:
    """(n,) places among the `known` values."""
    column = cells.values[:, k]
    here = cells.levels[k]
    seen = ~np.isnan(column)
    text = known is not None and any(isinstance(each, str) for each in known)
    if known is None or kind != "categorical":
        raise ValueError(f"{cells.column(k)} holds text; at fit it held numbers.")
    if here is None and text:
        if seen.any():
            raise ValueError(f"{cells.column(k)} holds numbers; at fit it held text.")
        return column
    found, codes = (here, column) if here is not None else _ranked(column)
    place = {value: number for number, value in enumerate(known)}
    for value in found:
        if value not in place:
            row = int((codes == found.index(value)).argmax())
            raise ValueError(
                f"{cells.column(k)} has {value!r} in row {row}, a category that was not in the data of fit."
                f" Known categories: {_shown([repr(each) for each in known])}."
            )
    lookup = np.array([place[value] for value in found], dtype=np.float64)
    recoded = np.full(len(column), np.nan)
    recoded[seen] = lookup[codes[seen].astype(np.int64)]
    return recoded


def _ranked(column: NDArray[np.float64]) -> tuple[tuple[float, ...], NDArray[np.float64]]:
    """Distinct numbers of a column (n,) in order, and the place of each cell among them, NaN where missing."""
    seen = ~np.isnan(column)
    distinct, places = np.unique(column[seen], return_inverse=True)
    codes = np.full(len(column), np.nan)
    codes[seen] = places
    return tuple(distinct.tolist()), codes


def _levels(cells: Cells, k: int, kind: str) -> tuple[Any, ...] | None:
    if cells.levels[k] is not None:
        return cells.levels[k]
    if kind not in ("categorical", "binary"):
        return None
    distinct = _ranked(cells.values[:, k])[0]
    if (
        kind == "binary" and len(distinct) == 1
    ):  # the other value is not known: the one of 0 and 1 that it is not
        (only,) = distinct
        return (0.0, only) if only > 0 else (only, only + 1.0)
    return distinct


def _affine(
    part: NDArray[np.float64], kinds: tuple[str, ...], levels: Levels, stored: tuple[str, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Center and scale (F,) of each column, from some rows (m, F)."""
    kind = np.array(kinds)
    center, scale = np.zeros(len(kinds)), np.ones(len(kinds))
    scaled = np.isin(kind, ("real", "nonnegative"))
    if scaled.any():
        dated = np.isin(np.array(stored)[scaled], ("date", "datetime"))
        origin = np.where(dated, np.nanmin(part[:, scaled], axis=0), 0.0) if dated.any() else 0.0
        since = part[:, scaled] - origin if dated.any() else part[:, scaled]
        middle, spread = moments(since)
        varies = ~is_constant(middle, spread)
        scale[scaled] = np.where(varies, spread, 1.0)
        center[scaled] = np.where(varies, middle, np.nanmax(since, axis=0)) + origin
        center[kind == "nonnegative"] = 0.0
    for k in np.flatnonzero(kind == "binary").tolist():
        low, high = levels[k] or (0.0, 1.0)
        center[k], scale[k] = low, high - low
    for k in np.flatnonzero(kind == "unit").tolist():
        scale[k] = 255.0 if stored[k] == "byte" else 1.0
    return center, scale


def _refuse_empty(cells: Cells, rows: NDArray[np.int64] | None) -> None:
    for part, where in ((cells.missing, ""), (None if rows is None else cells.missing[rows], " of the rows")):
        if part is not None and (empty := part.all(axis=0)).any():
            column = cells.column(int(empty.argmax()))
            if not where:
                raise ValueError(f"{column} has only missing values. Leave it out, or give values.")
            raise ValueError(
                f"{column} has only missing values in the rows that are trained on. Leave it out, give more values,"
                " or hold out less."
            )


def _shown(names: Any) -> str:
    return ", ".join(list(names)[:12]) + (", ..." if len(names) > 12 else "")
