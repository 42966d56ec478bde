"""Columns written in the kind of table that was given: arrays, pandas, polars or pyarrow.

Letters: `n` rows, `F` columns.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from regen._optional import require
from regen._schema import Fields, Maybe, OneOf, Optional, Real, Several, Truth, Whole, Words
from regen.data.calendar import Step, date_text, offset_named, to_utc, written_numbers, zone_named
from regen.data.columns.times import TEMPORAL, narwhals_type, objects_of, times_column, type_name, zone_in
from regen.data.dataframes import backend, library, narwhals_frame

__all__ = [
    "CELL",
    "SERIES_LAYOUT",
    "TABLE_LAYOUT",
    "Layout",
    "SeriesLayout",
    "dates_after",
    "from_layout",
    "layout_of",
    "refuse_unreadable",
]


SeriesLayout: TypeAlias = Mapping[str, Any]
"""What `Series.layout()` returns: the kind of a series, in JSON's own types."""

DATES = re.compile(r"(datetime64|timedelta64)\[(D|h|m|s|ms|us|ns)\]|u?int(8|16|32|64)")
UNITS = ("D", "h", "m", "s", "ms", "us", "ns", "M", "BM", "SM", "WM", "B", "offset", "1")
NAME = OneOf((Words(), Whole(-math.inf)))
SERIES_LAYOUT = Fields(
    {
        "library": Words(),
        "shape": Words(("series", "frame")),
        "labels": Several(Maybe(NAME), "F"),
        "named": Truth(),
        "index": Words(("index", "column", "labels", "none")),
        "time": Maybe(NAME),
        "index_name": Maybe(NAME),
        "dtype": Words(),
        "date": Truth(),
        "tz": Maybe(Words()),
        "clock": Words(("utc", "local")),
        "freq": Maybe(Words()),
        "period": Maybe(Words()),
        "number": Optional(Words()),
        "written": Optional(Words(("", "YYYYMM", "YYYYMMDD"))),
        "names": Several(Words(), "F", distinct=True),
        "step": Maybe(
            Fields(
                {
                    "count": Whole(1, 2**31),
                    "unit": Words(UNITS),
                    "day": Whole(0, 34),
                    "offset": Optional(Words()),
                }
            )
        ),
        "last": Maybe(OneOf((Words(), Whole(-(2**62), 2**62)))),
        "n_steps": Whole(1, 2**62),
    }
)
"""The form of a `SeriesLayout` of F columns."""
CELL = OneOf((Real(), Words(), Truth()))
TABLE_LAYOUT = Fields(
    {
        "library": Words(),
        "labels": Several(NAME, "columns", distinct=True),
        "dtypes": Several(Words(), "columns"),
        "categories": Several(Maybe(Several(CELL, distinct=True)), "columns"),
        "ordered": Several(Truth(), "columns"),
        "stored": Several(Words(("bool", "byte", "int", "float", "text", *TEMPORAL)), "columns"),
    }
)
"""The form of what `Layout.state` returns."""


def from_layout(
    layout: SeriesLayout, columns: Mapping[str, Any], start: int = 1, dates: NDArray[Any] | None = None
) -> Any:
    """Columns of n steps as the kind of table that the layout describes.

    Parameters
    ----------
    layout : what `Series.layout()` returned, now or before a model was saved.
    columns : name to array (n,). Names of the series get their own labels back, other names stay as
        they are.
    start : step of the first row, counted from the last one of the series: 1 is the next, 0 the last itself.
    dates : (n,) dates of the rows in place of those counted from `start`.

    Returns
    -------
    A single column of a one-column series: the same kind of series (numpy: (n,)). All columns of a numpy (N,
    C): (n, C). Other columns of arrays: a dict of arrays. Else a table, with its dates as index or column as
    before. Where the library is no longer installed, the kind of table that is.
    """
    arrays = {name: np.asarray(each) for name, each in columns.items()}
    n = len(next(iter(arrays.values())))
    if dates is None:
        dates = dates_after(layout, start, n)
    own = list(arrays) == list(layout["names"])
    single = own and layout["shape"] == "series"
    if layout["library"] == "numpy":
        return _arrays(arrays, own, single)
    chosen = library(layout["library"])
    if chosen == "pandas":
        return _pandas(layout, arrays, single, dates, start)
    table: dict[str, Any] = {}
    if dates is not None and layout["index"] != "labels":
        table[str(layout["time"] or "time")] = _as_written(layout, dates)
    table |= {str(_label(layout, name)): each for name, each in arrays.items()}
    if chosen is None:
        return table
    if single and layout["index"] != "index":
        (values,) = arrays.values()
        return nw.new_series(str(layout["labels"][0] or ""), values, backend=backend(chosen)).to_native()
    return _narwhals_frame(table, chosen, layout)


def refuse_unreadable(layout: SeriesLayout) -> None:
    """Refuse a layout of the right form with a type of dates or a time zone that there is not."""
    if layout["index"] == "none":
        return
    if not DATES.fullmatch(layout["dtype"]) or layout["last"] is None:
        raise ValueError(f"the dates of the series cannot be {layout['dtype']!r}")
    np.array(layout["last"], dtype=layout["dtype"])
    offset, freq = (layout["step"] or {}).get("offset", ""), layout["freq"] or ""
    try:
        if layout["tz"] is not None:
            zone_named(layout["tz"])
        for text in (offset, freq if freq.startswith("[") else ""):
            if text and library("pandas") == "pandas":
                offset_named(text)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise ValueError(f"the time zone or the frequency of the dates is unknown: {error}") from error


def dates_after(layout: SeriesLayout, start: int, n: int) -> NDArray[Any] | None:
    """The n dates from step `start` after the last one of the series, or None when it has none."""
    if layout["index"] == "none":
        return None
    if layout["step"] is None:
        raise ValueError("y has a single date, so its step is not known. Give at least two rows.")
    step, last = Step(**layout["step"]), np.array(layout["last"], dtype=layout["dtype"])
    dates = step.after(last, np.arange(start, start + n))
    if (dates[1:] <= dates[:-1]).any() or (
        n and (dates[0] > last) != (start > 0)
    ):  # the integers wrapped around
        raise ValueError(
            f"The {n} steps of {step} from {date_text(last[()])} leave the range of {dates.dtype}. Convert the dates"
            " to a coarser unit, such as microseconds or days."
        )
    return dates


def _arrays(arrays: dict[str, NDArray[Any]], own: bool, single: bool) -> Any:
    if single:
        return next(iter(arrays.values()))
    return np.stack(list(arrays.values()), axis=1) if own else arrays


def _label(layout: SeriesLayout, name: str) -> Hashable:
    label: Hashable = dict(zip(layout["names"], layout["labels"], strict=True)).get(name)
    return name if label is None else label


def _pandas(
    layout: SeriesLayout,
    arrays: dict[str, NDArray[Any]],
    single: bool,
    dates: NDArray[Any] | None,
    start: int,
) -> Any:
    pandas = require("pandas", extra="sources", purpose="A pandas table")
    index = None
    if dates is not None:
        index = _pandas_index(pandas, layout, dates)
    elif layout["library"] == "pandas" and layout["index"] == "none":
        n = len(next(iter(arrays.values())))
        first = layout["n_steps"] - 1 + start
        index = pandas.RangeIndex(first, first + n)
    if layout["time"] is not None and index is not None:
        data = {layout["time"]: index} | {_label(layout, name): each for name, each in arrays.items()}
        return pandas.DataFrame(data)
    if single:
        (values,) = arrays.values()
        return pandas.Series(values, index=index, name=layout["labels"][0])
    return pandas.DataFrame({_label(layout, name): each for name, each in arrays.items()}, index=index)


def _as_written(layout: SeriesLayout, dates: NDArray[Any]) -> NDArray[Any]:
    """Dates as instants where they have a time zone, as numbers where they came as such."""
    if layout["tz"] is not None and layout["clock"] == "local":
        return to_utc(dates, layout["tz"])
    written = layout.get("written", "")
    return written_numbers(dates, written) if written else dates


def _pandas_index(pandas: Any, layout: SeriesLayout, dates: NDArray[Any]) -> Any:
    name, number = layout["index_name"], layout.get("number", "")
    dates = _as_written(layout, dates)
    if dates.dtype.kind not in "Mm":
        if layout["index"] == "labels" and len(dates) > 1 and number in ("", "int64"):
            step = int(dates[1] - dates[0])
            return pandas.RangeIndex(int(dates[0]), int(dates[-1]) + step, step, name=name)
        own = layout["library"] == "pandas" and number
        return pandas.Index(dates, name=name).astype(number) if own else pandas.Index(dates, name=name)
    if layout["period"]:
        return pandas.DatetimeIndex(dates, name=name).to_period(layout["period"])
    index = (
        pandas.TimedeltaIndex(dates, name=name)
        if dates.dtype.kind == "m"
        else pandas.DatetimeIndex(dates, name=name)
    )
    if layout["tz"] is not None:
        index = index.tz_localize("UTC").tz_convert(layout["tz"])
    offset, freq = (layout["step"] or {}).get("offset", ""), layout["freq"]
    text = offset or (freq if freq and freq.startswith("[") else "")
    try:
        return type(index)(index, freq=offset_named(text) if text else freq)
    except ValueError:  # dates that were given need not follow the frequency
        return index


def _narwhals_frame(table: dict[str, Any], chosen: str, layout: SeriesLayout | None = None) -> Any:
    """A polars or pyarrow table; its date column, if the layout names one, in the type that it came in."""
    built = narwhals_frame(table, chosen)
    time = None if layout is None else str(layout["time"] or "time")
    if layout is None or time not in table:
        return built.to_native()
    kind = table[time].dtype.kind
    if kind == "m":
        return built.with_columns(nw.col(time).cast(nw.Duration(_unit(layout, chosen)))).to_native()
    if kind != "M":
        number = getattr(nw, layout.get("number", ""), None) if layout["library"] == chosen else None
        return (built if number is None else built.with_columns(nw.col(time).cast(number))).to_native()
    if layout["date"]:
        return built.with_columns(nw.col(time).cast(nw.Date)).to_native()
    dates = nw.col(time).cast(nw.Datetime(_unit(layout, chosen)))
    if layout["tz"] is not None:
        dates = dates.dt.replace_time_zone("UTC").dt.convert_time_zone(layout["tz"])
    return built.with_columns(dates).to_native()


def _unit(layout: SeriesLayout, chosen: str) -> Any:
    """The unit of the dates of a layout, or the nearest that the library has."""
    unit = np.datetime_data(layout["dtype"])[0]
    return "s" if unit == "s" and chosen == "pyarrow" else unit if unit in ("ms", "us", "ns") else "us"


@final
@dataclass(frozen=True)
class Layout:
    """What a table is made of; every field is one of JSON's own types.

    library : "numpy", "pandas", "polars" or "pyarrow".
    labels : its columns' own labels, text or int.
    dtypes : the library's name of each column's type, of dates with its unit and zone; of an array its one type, for
        each.
    categories : for each column the categories that its type fixes, in order, if it does, else None.
    ordered : for each column whether that order means something.
    stored : for each column "bool", "byte", "int", "float", "text", "date", "datetime" or "duration".
    """

    library: str
    labels: tuple[str | int, ...]
    dtypes: tuple[str, ...]
    categories: tuple[tuple[Any, ...] | None, ...]
    ordered: tuple[bool, ...]
    stored: tuple[str, ...]

    def state(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        lists = {name: list(value) for name, value in vars(self).items() if name != "library"}
        lists["categories"] = [None if each is None else list(each) for each in self.categories]
        return {"library": self.library} | lists

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Layout:
        """The layout that `state` was taken from."""
        categories = tuple(None if each is None else tuple(each) for each in state["categories"])
        rest = {name: tuple(state[name]) for name in ("labels", "dtypes", "ordered", "stored")}
        return cls(library=state["library"], categories=categories, **rest)

    def refuse_unreadable(self) -> None:
        """Refuse, when a model is loaded, types that the library of the table does not have.

        Where that library is not installed, they are not used.
        """
        try:
            if self.library == "numpy":
                np.dtype(self.dtypes[0])
            elif self.library == "pandas" and library("pandas") == "pandas":
                pandas = require("pandas", extra="sources", purpose="A pandas table")
                for name in self.dtypes:
                    pandas.api.types.pandas_dtype(name)
            elif self.library != "pandas":
                for name, stored in zip(self.dtypes, self.stored, strict=True):
                    dtype = narwhals_type(name) if stored in TEMPORAL else getattr(nw, name, nw.Float64)
                    nw.new_series("", [], dtype, backend=backend(str(library(self.library))))
        except Exception as error:
            raise ValueError(f"the types of the columns are not those of {self.library}: {error}") from error

    def reordered(self, order: Sequence[int]) -> Layout:
        """The same with its F columns in another order."""
        tuples = {
            name: tuple(value[k] for k in order) for name, value in vars(self).items() if name != "library"
        }
        return Layout(library=self.library, **tuples)

    def table(self, columns: Sequence[NDArray[Any]], exact: bool, index: Any = None) -> Any:
        """F columns (n,), floats, integers, dates or objects of text, as such a table.

        exact : give back the types of whole numbers and truth values too: numbers are rounded. Otherwise they are
            float64, for the mean of whole numbers is none. index : pandas index of the rows.
        """
        if self.library == "numpy":
            return self._array(columns, exact)
        chosen = library(self.library)
        if chosen is None:
            return dict(zip(self.labels, columns, strict=True))
        if chosen == "pandas":
            pandas = require("pandas", extra="sources", purpose="A pandas table")
            series = {k: self._series(pandas, k, column, exact, index) for k, column in enumerate(columns)}
            built = pandas.DataFrame(series, index=index)
            built.columns = pandas.Index(self.labels)
            return built
        implementation = backend(chosen)
        built = [self._column(implementation, k, column, exact) for k, column in enumerate(columns)]
        return built[0].to_frame().with_columns(*built[1:]).to_native()

    def filled(self, native: Any, columns: Mapping[int, NDArray[Any]], missing: NDArray[np.bool_]) -> Any:
        """A copy of `native`, of this layout, with only its missing cells replaced.

        Parameters
        ----------
        native : table (n, F). columns : column number to (n,) cells; where nothing is missing none are needed.
        missing : (n, F).
        """
        if self.library == "numpy":
            result = np.array(native, copy=True)
            for k, column in columns.items():
                holes = missing[:, k]
                result[holes, k] = self._whole(k, column[holes])
            return result
        if self.library == "pandas":
            return self._filled_frame(native, columns, missing)
        table: nw.DataFrame[Any] = nw.from_native(native, eager_only=True)
        new = []
        for k, column in columns.items():
            old = table[str(self.labels[k])]
            other = self._column(old.implementation, k, column, exact=True)
            known = nw.new_series("known", ~missing[:, k], backend=old.implementation)
            alone = column.dtype.kind in "Mm" and missing[:, k].all()
            new.append(other if alone else _cast(old.zip_with(known, other), old.dtype).alias(old.name))
        return table.with_columns(*new).to_native() if new else native

    def _filled_frame(
        self, native: Any, columns: Mapping[int, NDArray[Any]], missing: NDArray[np.bool_]
    ) -> Any:
        pandas = require("pandas", extra="sources", purpose="A pandas table")
        result = native.copy()
        for k, column in columns.items():
            old = native.iloc[:, k]
            if self.categories[k] is not None:
                new = [each for each in dict.fromkeys(column.tolist()) if each not in old.cat.categories]
                old = old.cat.add_categories(new) if new else old
            if column.dtype.kind in "Mm":
                other = self._times(pandas, k, column, native.index)
                old = other if missing[:, k].all() else old
            else:
                other = pandas.Series(list(self._whole(k, column)), index=native.index).astype(old.dtype)
            result.isetitem(k, old.where(~missing[:, k], other))
        return result

    def _array(self, columns: Sequence[NDArray[Any]], exact: bool) -> NDArray[Any]:
        dtype = np.dtype(self.dtypes[0])
        if {"text", *TEMPORAL} & set(self.stored):
            array = np.empty((len(columns[0]), len(columns)), dtype=object)
            for k, column in enumerate(columns):
                array[:, k] = self._whole(k, column) if exact or self.stored[k] in TEMPORAL else column
            return array.astype(str) if dtype.kind == "U" else array
        if exact and dtype.kind != "O":
            return np.stack([self._whole(k, column) for k, column in enumerate(columns)], axis=1).astype(
                dtype
            )
        return np.stack(columns, axis=1).astype(dtype if dtype.kind == "f" else np.float64)

    def _series(self, pandas: Any, k: int, column: NDArray[Any], exact: bool, index: Any) -> Any:
        if column.dtype.kind in "Mm":
            return self._times(pandas, k, column, index)
        if not self._kept(k, exact):
            return pandas.Series(column, index=index, dtype="float64")
        dtype: Any = self.dtypes[k]
        if self.categories[k] is not None:
            dtype = pandas.CategoricalDtype(list(self.categories[k] or ()), ordered=self.ordered[k])
        elif self.library != "pandas":  # the table was of a library that is no longer installed
            return pandas.Series(self._whole(k, column), index=index)
        return pandas.Series(self._whole(k, column), index=index).astype(dtype)

    def _times(self, pandas: Any, k: int, times: NDArray[Any], index: Any) -> Any:
        """Dates in UTC, or durations, as a pandas series of the type of column k, or of pandas' own."""
        if (
            self.stored[k] not in TEMPORAL
        ):  # a column without any value, whose type does not show what it holds
            return pandas.Series(times, index=index)
        dtype = self.dtypes[k]
        if dtype == "object":
            return pandas.Series(objects_of(times, self.stored[k]), index=index, dtype=object)
        series = pandas.Series(times, index=index)
        zone = zone_in(dtype)
        series = series if zone is None else series.dt.tz_localize("UTC").dt.tz_convert(zone)
        return series.astype(dtype) if self.library == "pandas" else series

    def _column(self, implementation: Any, k: int, column: NDArray[Any], exact: bool) -> nw.Series[Any]:
        name = str(self.labels[k])
        if column.dtype.kind in "Mm":
            dtype = narwhals_type(self.dtypes[k]) if self.stored[k] in TEMPORAL else None
            return times_column(name, column, dtype, implementation)
        if not self._kept(k, exact):
            return nw.new_series(name, column, nw.Float64, backend=implementation)
        cells = self._whole(k, column)
        built = nw.new_series(
            name, cells.tolist() if self.stored[k] == "text" else cells, backend=implementation
        )
        if self.categories[k] is not None and self.dtypes[k] == "Enum":
            return built.cast(nw.Enum(self.categories[k] or ()))
        return _cast(built, getattr(nw, self.dtypes[k], nw.Float64))

    def _kept(self, k: int, exact: bool) -> bool:
        """Whether column k gets its own type back."""
        return exact or self.stored[k] in ("float", "text", *TEMPORAL)

    def _whole(self, k: int, column: NDArray[Any]) -> NDArray[Any]:
        """Cells rounded to what column k can store; dates as Python's own."""
        stored = self.stored[k]
        if stored in TEMPORAL:
            return objects_of(column, stored)
        if stored == "bool":
            return column > 0.5
        if stored in ("byte", "int") and column.dtype.kind not in "iu":
            bits, signed = _integer(self.dtypes[k])
            low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
            bounded = np.clip(np.rint(column), low, np.nextafter(float(high), 0) if bits == 64 else high)
            return bounded.astype(np.int64 if signed else np.uint64)  # type: ignore[no-any-return]
        return column


def layout_of(native: Any, stored: tuple[str, ...]) -> Layout:
    """The layout of a table (n, F) whose columns are `stored` so."""
    count = len(stored)
    if isinstance(native, np.ndarray):
        labels: tuple[str | int, ...] = tuple(range(count))
        name = "object" if native.dtype.kind == "O" else str(native.dtype)
        return Layout("numpy", labels, (name,) * count, (None,) * count, (False,) * count, stored)
    table: nw.DataFrame[Any] = nw.from_native(native, eager_only=True)
    if table.implementation.is_pandas_like():
        labels = tuple(
            int(each) if isinstance(each, int | np.integer) else str(each) for each in native.columns
        )
        types = list(native.dtypes)
        ranked = tuple(tuple(each.categories.tolist()) if str(each) == "category" else None for each in types)
        ordered = tuple(bool(getattr(each, "ordered", False)) for each in types)
        return Layout("pandas", labels, tuple(_dense(str(each)) for each in types), ranked, ordered, stored)
    columns = list(table.iter_columns())
    names = tuple(type_name(column.dtype) for column in columns)
    names = tuple("Float64" if name == "Decimal" else name for name in names)  # its scale is not known here
    ranked = tuple(
        tuple(column.dtype.categories) if isinstance(column.dtype, nw.Enum) else None for column in columns
    )
    ordered = tuple(name == "Enum" for name in names)
    return Layout(table.implementation.value, tuple(table.columns), names, ranked, ordered, stored)


def _dense(dtype: str) -> str:
    """Pandas' name of a type, of a sparse column that of its values: "Sparse[float64, 0.0]" as "float64"."""
    return dtype.removeprefix("Sparse[").partition(",")[0] if dtype.startswith("Sparse[") else dtype


def _cast(column: nw.Series[Any], dtype: Any) -> nw.Series[Any]:
    """A column as `dtype`; of unknown type, as one is where all cells are empty, it keeps its own."""
    return column if dtype == nw.Unknown else column.cast(dtype)


def _integer(name: str) -> tuple[int, bool]:
    """Bits of an integer type, and whether it has a sign, from its name in any library: "Int64", "uint8"."""
    digits = "".join(letter for letter in name.partition("[")[0] if letter.isdigit())
    return int(digits or 64), not name.lower().startswith("u")
