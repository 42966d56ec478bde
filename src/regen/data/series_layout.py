"""Columns of numbers out, as the same kind of table that came in, or as the library installed allows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, TypeAlias

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from regen._optional import installed, require
from regen.data.calendar import Step

__all__ = ["Layout", "dates_after", "frame", "from_layout", "library"]

Layout: TypeAlias = Mapping[str, Any]
"""What `Series.layout()` tells of a series, in JSON's own types."""

_LIBRARIES = ("pandas", "polars", "pyarrow")


def frame(columns: Mapping[str, Any]) -> Any:
    """Columns (name to array of n) as a pandas, polars or pyarrow table, the first installed; else a dict."""
    chosen = library("auto")
    if chosen is None:
        return dict(columns)
    if chosen == "pandas":
        return require("pandas", extra="sources", purpose="A pandas table").DataFrame(dict(columns))
    return _narwhals_frame({name: _readable(np.asarray(each)) for name, each in columns.items()}, chosen)


def library(wanted: str) -> str | None:
    """The table library to use: `wanted` if installed, else the first installed, else None."""
    found = [name for name in _LIBRARIES if installed(name)]
    return wanted if wanted in found else next(iter(found), None)


def from_layout(
    layout: Layout, columns: Mapping[str, Any], start: int = 1, dates: NDArray[Any] | None = None
) -> Any:
    """Columns of n steps as the kind of table that the layout describes.

    Parameters
    ----------
    layout : what `Series.layout()` returned, now or before a model was saved.
    columns : name to array (n,). Names of the series get their own labels back, other names are taken as
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
        table[str(layout["time"] or "time")] = dates
    table |= {str(_label(layout, name)): each for name, each in arrays.items()}
    if chosen is None:
        return table
    if single and layout["index"] != "index":
        (values,) = arrays.values()
        return nw.new_series(str(layout["labels"][0] or ""), values, backend=_backend(chosen)).to_native()
    return _narwhals_frame(table, chosen, layout)


def dates_after(layout: Layout, start: int, n: int) -> NDArray[Any] | None:
    """The n dates from step `start` after the last one of the series, or None when it has none."""
    if layout["index"] == "none":
        return None
    if layout["step"] is None:
        raise ValueError("y has a single date, so its step is not known. Give at least two rows.")
    step = Step(**layout["step"])
    return step.after(np.array(layout["last"], dtype=layout["dtype"]), np.arange(start, start + n))


def _arrays(arrays: dict[str, NDArray[Any]], own: bool, single: bool) -> Any:
    if single:
        return next(iter(arrays.values()))
    return np.stack(list(arrays.values()), axis=1) if own else arrays


def _label(layout: Layout, name: str) -> Hashable:
    label: Hashable = dict(zip(layout["names"], layout["labels"], strict=True)).get(name)
    return name if label is None else label


def _pandas(
    layout: Layout, arrays: dict[str, NDArray[Any]], single: bool, dates: NDArray[Any] | None, start: int
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


def _pandas_index(pandas: Any, layout: Layout, dates: NDArray[Any]) -> Any:
    name = layout["index_name"]
    if dates.dtype.kind != "M":
        if layout["index"] == "labels" and len(dates) > 1:
            step = int(dates[1] - dates[0])
            return pandas.RangeIndex(int(dates[0]), int(dates[-1]) + step, step, name=name)
        return pandas.Index(dates, name=name)
    if layout["period"]:
        return pandas.DatetimeIndex(dates, name=name).to_period(layout["period"])
    index = pandas.DatetimeIndex(dates, name=name)
    if layout["tz"] is not None and layout["clock"] == "utc":
        index = index.tz_localize("UTC").tz_convert(layout["tz"])
    elif layout["tz"] is not None:
        first = np.ones(len(dates), dtype=bool)  # of two equal times when clocks go back
        index = index.tz_localize(layout["tz"], nonexistent="shift_forward", ambiguous=first)
    try:
        return pandas.DatetimeIndex(index, freq=layout["freq"])
    except ValueError:  # dates that were given need not follow the frequency
        return index


def _narwhals_frame(table: dict[str, Any], backend: str, layout: Layout | None = None) -> Any:
    """A polars or pyarrow table; its date column, if the layout names one, in the type that it came in."""
    built: nw.DataFrame[Any] = nw.from_dict(
        {name: _readable(each) for name, each in table.items()}, backend=_backend(backend)
    )
    time = None if layout is None else str(layout["time"] or "time")
    if layout is None or time not in table or table[time].dtype.kind != "M":
        return built.to_native()
    if layout["date"]:
        return built.with_columns(nw.col(time).cast(nw.Date)).to_native()
    unit = np.datetime_data(layout["dtype"])[0]
    known = "s" if unit == "s" and backend == "pyarrow" else unit if unit in ("ms", "us", "ns") else "us"
    dates = nw.col(time).cast(nw.Datetime(known))  # type: ignore[arg-type]
    if layout["tz"] is not None and layout["clock"] == "utc":
        dates = dates.dt.replace_time_zone("UTC").dt.convert_time_zone(layout["tz"])
    elif layout["tz"] is not None:
        dates = dates.dt.replace_time_zone(layout["tz"])
    return built.with_columns(dates).to_native()


def _backend(name: str) -> Any:
    return nw.Implementation.from_backend(name)  # type: ignore[arg-type]


def _readable(values: NDArray[Any]) -> NDArray[Any]:
    """Dates in a unit that every table library reads; other arrays as they are."""
    if values.dtype.kind == "M" and np.datetime_data(values.dtype)[0] not in ("D", "ms", "us", "ns"):
        return values.astype("M8[us]")
    return values
