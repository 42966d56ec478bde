"""Dates read: from columns of any type, from text, and from the index of a pandas table."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from regen.data.calendar import Step, find_step

__all__ = ["Dates", "column_dates", "holds_dates", "index_dates", "zone_named"]

_ISO = re.compile(r"\d{4}-\d{2}(-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?)?")
_UTC = re.compile(r"(.*[T ]\d{2}:\d{2}.*?) ?(?:Z|[+-]00:?00)")
_OFFSET = re.compile(r"(?:UTC)?([+-])(\d{2}):?(\d{2})")
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


def holds_dates(column: nw.Series[Any]) -> bool:
    """Whether the type of a column is that of dates."""
    return isinstance(column.dtype, nw.Date | nw.Datetime) or _zone(column) is not None


def zone_named(tz: str) -> tzinfo:
    """The time zone of that name: ``America/New_York``, or a fixed distance from UTC as ``+03:00``."""
    if match := _OFFSET.fullmatch(tz):
        away = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return timezone(-away if match[1] == "-" else away)
    return ZoneInfo(tz)


def _zone(column: nw.Series[Any]) -> str | None:
    """Name of the time zone of a column of dates; pandas is asked itself, as narwhals misses some names."""
    if isinstance(column.dtype, nw.Datetime):
        return column.dtype.time_zone
    if not column.implementation.is_pandas_like():
        return None
    zone = getattr(column.to_native().dtype, "tz", None)
    return None if zone is None else str(zone)


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
    if tz := _zone(column):
        return _zoned(column, tz, where)
    if isinstance(dtype, nw.Date):
        return _dated(column.to_numpy().astype("M8[D]"), {"date": True})
    if isinstance(dtype, nw.Datetime):
        return _dated(column.to_numpy(), {})
    if dtype.is_numeric():
        counts = column.to_numpy()
        if (counts == np.floor(counts)).all():
            return _dated(_compact_dates(counts.astype(np.int64)), {})
    elif isinstance(dtype, nw.String | nw.Object | nw.Categorical | nw.Unknown):
        return _parsed(column.to_list(), where)
    (first,) = column.head(1).to_list()
    raise ValueError(f"{where} holds no dates: the first is {first!r}. Write dates as 1990-12-31.")


def _dated(dates: NDArray[Any], fields: dict[str, Any]) -> Dates:
    if dates.dtype.kind == "M" and np.datetime_data(dates.dtype)[0] == "D":
        fields = fields | {"date": True}
    return Dates(dates, find_step(dates), fields | {"dtype": str(dates.dtype)})


def _zoned(column: nw.Series[Any], tz: str, where: str) -> Dates:
    """Local dates when they step by days or more, else instants: what stays regular when clocks change."""
    local, instants = _clocks(column)
    if "(" in tz:  # how dateutil writes its zones
        raise ValueError(
            f"{where} is in the time zone {tz}, which has no name of its own."
            " Convert it to one such as 'Europe/Lisbon' or 'UTC'."
        )
    short = len(local) > 1 and np.median(np.diff(instants)) < np.timedelta64(20, "h")
    try:
        found = _dated(instants, {"clock": "utc"}) if short else _dated(local, {})
    except ValueError:
        if short or len(np.unique(np.diff(instants))) > 1:
            raise
        found = _dated(instants, {"clock": "utc"})
    return found._replace(fields=found.fields | {"tz": tz})


def _clocks(column: nw.Series[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Dates of a zoned column on the clock of their zone, and on that of UTC."""
    if isinstance(column.dtype, nw.Datetime):
        utc = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return column.dt.replace_time_zone(None).to_numpy(), utc.to_numpy()
    dates = column.to_native().dt
    return dates.tz_localize(None).to_numpy(), dates.tz_convert(None).to_numpy()


def _compact_dates(counts: NDArray[np.int64]) -> NDArray[Any]:
    """YYYYMMDD numbers as dates, when all are days of the calendar; else the numbers."""
    if len(counts) == 0 or counts.min() < 1_600_01_01 or counts.max() > 2_200_12_31:
        return counts
    try:
        return np.array([_compact(str(count)) for count in counts.tolist()], dtype="M8[D]")
    except ValueError:
        return counts


def _parsed(texts: list[Any], where: str) -> Dates:
    """Texts, or Python's own dates, as datetime64; on the clock of UTC when they all tell that they are."""
    parsed, zoned = [], []
    for row, text in enumerate(texts):
        try:
            date, utc = _utc(text)
            parsed.append(np.datetime64(_iso(date) if isinstance(date, str) else date))
        except (ValueError, TypeError):
            raise ValueError(
                f"{where} holds {text!r} in row {row}, which is not an ISO 8601 date."
                " Write dates as 1990-12-31 or 1990-12-31 23:59."
            ) from None
        zoned.append(utc)
    if any(zoned) and not all(zoned):
        row = zoned.index(not zoned[0])
        raise ValueError(
            f"{where} holds {texts[0]!r} in row 0 and {texts[row]!r} in row {row}."
            " Write all dates with a time zone, or none."
        )
    dates = np.array(parsed)
    unit = np.datetime_data(dates.dtype)[0] if dates.dtype.kind == "M" else "D"
    dates = dates.astype("M8[D]" if unit in ("Y", "M", "D") else "M8[ns]" if unit == "ns" else "M8[us]")
    return _dated(dates, {"tz": "UTC"} if any(zoned) else {})


def _utc(date: Any) -> tuple[Any, bool]:
    """A date without its time zone, on the clock of UTC, and whether it had one."""
    if isinstance(date, str):
        match = _UTC.fullmatch(date.strip())
        return (match[1], True) if match else (date, False)
    if isinstance(date, datetime) and date.tzinfo is not None:
        return date.astimezone(UTC).replace(tzinfo=None), True
    return date, False


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
