"""Dates read: from columns of any type, from text, and from the index of a pandas table."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from regen.data.calendar import Step, find_step

__all__ = ["Dates", "column_dates", "index_dates"]

_ISO = re.compile(r"\d{4}-\d{2}(-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?)?")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})")
_QUARTER = re.compile(r"(\d{4})-?Q([1-4])")


class Dates(NamedTuple):
    """Dates of a column or index, None when it has none; their step; the fields of `Kind` they decide."""

    dates: NDArray[Any] | None
    step: Step | None
    fields: dict[str, Any]


def index_dates(native: Any, implementation: Any) -> Dates:
    """Dates of a pandas index; an index of integers counts as dates only when they have one step."""
    if not implementation.is_pandas_like():
        return Dates(None, None, {})
    index = native.index
    form = type(index).__name__
    name = None if index.name is None else str(index.name)
    if form == "MultiIndex":
        raise ValueError("The index of y has several levels. Give each series a column of its own.")
    period = None
    if form == "PeriodIndex":
        period, index = index.freqstr, index.to_timestamp()
    column = nw.from_native(index.to_series(), series_only=True)
    if column.dtype.is_integer():
        return _row_labels(column.to_numpy().astype(np.int64), name)
    if column.dtype.is_float():
        return Dates(None, None, {})
    found = column_dates(column, "The index of y")
    freq = getattr(index, "freqstr", None) if form == "DatetimeIndex" else None
    own = {"index": "index", "index_name": name, "freq": freq, "period": period}
    return found._replace(fields=found.fields | own)


def _row_labels(counts: NDArray[np.int64], name: str | None) -> Dates:
    steps = np.unique(np.diff(counts))
    if len(steps) > 1 or (len(steps) == 1 and steps[0] < 1):
        return Dates(None, None, {})
    step = Step(int(steps[0]) if len(steps) else 1, "1")
    return Dates(counts, step, {"index": "labels", "index_name": name, "dtype": "int64"})


def column_dates(column: nw.Series[Any], where: str) -> Dates:
    """Dates of a column of dates, whole numbers or text; `where` names it in refusals."""
    dtype = column.dtype
    if column.null_count():
        row = int(np.argmax(column.is_null().to_numpy()))
        raise ValueError(f"{where} has no date in row {row}. Every row needs one.")
    if isinstance(dtype, nw.Date):
        return _dated(column.to_numpy().astype("M8[D]"), {"date": True})
    if isinstance(dtype, nw.Datetime):
        return _zoned(column, dtype) if dtype.time_zone else _dated(column.to_numpy(), {})
    if dtype.is_numeric():
        counts = column.to_numpy()
        if (counts == np.floor(counts)).all():
            return _dated(_compact_dates(counts.astype(np.int64)), {})
    elif isinstance(dtype, nw.String | nw.Object | nw.Categorical | nw.Unknown):
        return _dated(_parsed_dates(column.to_list(), where), {})
    (first,) = column.head(1).to_list()
    raise ValueError(f"{where} holds no dates: the first is {first!r}. Write dates as 1990-12-31.")


def _dated(dates: NDArray[Any], fields: dict[str, Any]) -> Dates:
    if dates.dtype.kind == "M" and np.datetime_data(dates.dtype)[0] == "D":
        fields = fields | {"date": True}
    return Dates(dates, find_step(dates), fields | {"dtype": str(dates.dtype)})


def _zoned(column: nw.Series[Any], dtype: nw.Datetime) -> Dates:
    """Local dates when they step by days or more, else instants: what stays regular when clocks change."""
    local = column.dt.replace_time_zone(None).to_numpy()
    instants = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_numpy()
    short = len(local) > 1 and np.median(np.diff(instants)) < np.timedelta64(20, "h")
    try:
        found = _dated(instants, {"clock": "utc"}) if short else _dated(local, {})
    except ValueError:
        if short or len(np.unique(np.diff(instants))) > 1:
            raise
        found = _dated(instants, {"clock": "utc"})
    return found._replace(fields=found.fields | {"tz": dtype.time_zone})


def _compact_dates(counts: NDArray[np.int64]) -> NDArray[Any]:
    """YYYYMMDD numbers as dates, when all are days of the calendar; else the numbers."""
    if len(counts) == 0 or counts.min() < 1_600_01_01 or counts.max() > 2_200_12_31:
        return counts
    try:
        return np.array([_compact(str(count)) for count in counts.tolist()], dtype="M8[D]")
    except ValueError:
        return counts


def _parsed_dates(texts: list[Any], where: str) -> NDArray[Any]:
    """Texts, or Python's own dates, as datetime64."""
    parsed = []
    for row, text in enumerate(texts):
        try:
            parsed.append(np.datetime64(_iso(text) if isinstance(text, str) else text))
        except (ValueError, TypeError):
            raise ValueError(
                f"{where} holds {text!r} in row {row}, which is not an ISO 8601 date."
                " Write dates as 1990-12-31 or 1990-12-31 23:59."
            ) from None
    dates = np.array(parsed)
    unit = np.datetime_data(dates.dtype)[0] if dates.dtype.kind == "M" else "D"
    return dates.astype("M8[D]" if unit in ("Y", "M", "D") else "M8[ns]" if unit == "ns" else "M8[us]")


def _iso(text: str) -> str:
    text = text.strip().replace("/", "-")
    if match := _QUARTER.fullmatch(text):
        return f"{match[1]}-{3 * int(match[2]) - 2:02d}"
    if _COMPACT.fullmatch(text):
        return _compact(text)
    if not _ISO.fullmatch(text):
        raise ValueError(text)
    return text


def _compact(text: str) -> str:
    date = _COMPACT.sub(r"\1-\2-\3", text)
    return str(np.datetime64(date, "D"))
