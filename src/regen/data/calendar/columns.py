"""Dates read from columns, text, numbers and pandas indexes, with their step."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from regen._optional import require
from regen.data.calendar.offsets import encode_offset, holidays_of
from regen.data.calendar.steps import Step, find_step
from regen.data.calendar.zones import to_utc

__all__ = ["Dates", "KnownStep", "column_dates", "holds_dates", "index_dates", "written_numbers"]

_ISO = re.compile(r"\d{4}-\d{2}(-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?)?")
_ZONED = re.compile(r"(.*[T ]\d{2}:\d{2}.*?) ?(?:Z|([+-])(\d{2})(?::?(\d{2}))?)")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})")
_QUARTER = re.compile(r"(\d{4})-?Q([1-4])")
GENERATED = 50
"""Dates of a stated frequency from which its step is found: enough to distinguish all that have one here."""


class Dates(NamedTuple):
    """Dates of a column or index, None when it has none; their step; the fields of `Kind` they decide."""

    dates: NDArray[Any] | None
    step: Step | None
    fields: dict[str, Any]


class KnownStep(NamedTuple):
    """A step that is known otherwise than from the dates: that of a fitted model, or one that an index states.

    clock : "utc" or "local", on which dates with a time zone keep it. stated : by the index of these dates.
    """

    step: Step
    clock: str = "local"
    stated: bool = False

    def of(self, dates: NDArray[Any]) -> bool:
        """Whether it is the step of `dates` (n,)."""
        if self.stated:
            return True
        counter = self.step.unit == "1"
        if len(dates) < 2 or counter != (dates.dtype.kind not in "Mm"):
            return False
        if dates.dtype.kind == "m" and self.step.unit in ("M", "BM", "SM", "WM", "B", "offset"):
            return False
        return bool(self.step.matches(dates).all())


def index_dates(native: Any, implementation: Any, known: KnownStep | None = None) -> Dates:
    """Dates of a pandas index; one of whole numbers counts as dates when they are days, months or have one step.

    The step that the frequency of the index states is taken as it is.
    """
    if not implementation.is_pandas_like():
        return Dates(None, None, {})
    index = native.index
    form = type(index).__name__
    name = None if index.name is None else str(index.name)
    if form == "MultiIndex":
        raise ValueError("The index of y has several levels. Give each series a column of its own.")
    column = nw.from_native(index.to_series(), series_only=True)
    if column.dtype.is_integer() or column.dtype.is_float():
        return _row_labels(column, name, known)
    freq = getattr(index, "freq", None) if form in ("DatetimeIndex", "TimedeltaIndex") else None
    if freq is not None and form == "DatetimeIndex":
        known = _stated(index, freq) or known
    found = column_dates(column, "The index of y", known)
    own = {"index": "index", "index_name": name, "freq": None if freq is None else _freq_name(freq)}
    return found._replace(fields=found.fields | own)


def holds_dates(column: nw.Series[Any]) -> bool:
    """Whether the type of a column is that of dates."""
    return isinstance(column.dtype, nw.Date | nw.Datetime) or _zone(column) is not None or _is_period(column)


def column_dates(column: nw.Series[Any], where: str, known: KnownStep | None = None) -> Dates:
    """Dates of a column of dates, periods, durations, whole numbers or text; `where` names it in refusals."""
    dtype = column.dtype
    if column.null_count():
        row = int(np.argmax(column.is_null().to_numpy()))
        raise ValueError(f"{where} has no date in row {row}. Every row needs one.")
    if _is_period(column):
        return _periods(column.to_native(), known)
    if tz := _zone(column):
        return _zoned(column, tz, where, known)
    if isinstance(dtype, nw.Date):
        return _dated(column.to_numpy().astype("M8[D]"), {"date": True}, known)
    if isinstance(dtype, nw.Datetime | nw.Duration):
        return _dated(column.to_numpy(), {}, known)
    if dtype.is_numeric():
        counts = column.to_numpy()
        if (counts == np.floor(counts)).all():
            return _numbered(counts.astype(np.int64), {"number": _type_name(column)}, known)
    elif isinstance(dtype, nw.String | nw.Object | nw.Categorical | nw.Unknown) and len(column):
        values = column.to_list()
        if all(type(each).__name__ == "Period" for each in values):
            native = column.to_native()
            return _periods(native.astype(f"period[{native.iloc[0].freqstr}]"), known)
        return _parsed(values, where, known)
    (first,) = column.head(1).to_list()
    raise ValueError(f"{where} holds no dates: the first is {first!r}. Write dates as 1990-12-31.")


def written_numbers(dates: NDArray[Any], written: str) -> NDArray[np.int64]:
    """The numbers that `dates` (n,) were written as: ``YYYYMM`` or ``YYYYMMDD``."""
    months = dates.astype("M8[M]")
    number = months.astype(np.int64) + 12 * 1970
    number = 100 * (number // 12) + number % 12 + 1
    if written == "YYYYMM":
        return np.asarray(number)
    return np.asarray(100 * number + (dates.astype("M8[D]") - months.astype("M8[D]")).astype(np.int64) + 1)


def _dated(dates: NDArray[Any], fields: dict[str, Any], known: KnownStep | None) -> Dates:
    if dates.dtype.kind == "M" and np.datetime_data(dates.dtype)[0] == "D":
        fields = {"date": True} | fields
    step = known.step if known is not None and known.of(dates) else find_step(dates)
    return Dates(dates, step, fields | {"dtype": str(dates.dtype)})


# Whole numbers.


def _row_labels(column: nw.Series[Any], name: str | None, known: KnownStep | None) -> Dates:
    """Dates of an index of numbers: days or months where all are, a count where they have one step, else none."""
    numbers = column.to_numpy()
    _refuse_reversed(numbers)
    if len(numbers) == 0 or not (numbers == np.floor(numbers)).all():
        return Dates(None, None, {})
    counts = numbers.astype(np.int64)
    own = {"index_name": name, "number": _type_name(column)}
    if _calendar_numbers(counts) is not None:
        try:
            return _numbered(counts, own | {"index": "index"}, known)
        except ValueError:  # no dates after all
            pass
    steps = np.unique(np.diff(counts))
    if len(steps) > 1 or (len(steps) == 1 and steps[0] < 1):
        return Dates(None, None, {})
    step = Step(int(steps[0]) if len(steps) else 1, "1")
    return Dates(counts, step, own | {"index": "labels", "dtype": "int64"})


def _refuse_reversed(numbers: NDArray[Any]) -> None:
    if len(numbers) > 1 and (np.diff(numbers) < 0).all():
        raise ValueError(
            f"The index of y counts down, from {numbers[0]} to {numbers[-1]}. Sort the rows by it, or drop it with"
            " reset_index(drop=True) to keep this order."
        )


def _numbered(counts: NDArray[np.int64], fields: dict[str, Any], known: KnownStep | None) -> Dates:
    """Days where all numbers are YYYYMMDD, months where all are YYYYMM, else the numbers themselves."""
    found = None if known is not None and known.step.unit == "1" else _calendar_numbers(counts)
    if found is None:
        return _dated(counts, fields, known)
    dates, written = found
    return _dated(dates, fields | {"written": written, "date": False}, known)


def _calendar_numbers(counts: NDArray[np.int64]) -> tuple[NDArray[Any], str] | None:
    """YYYYMMDD or YYYYMM numbers as dates, and which of them they are; None when not all are such."""
    if len(counts) == 0:
        return None
    low, high = int(counts.min()), int(counts.max())
    try:
        if low >= 1_600_01_01 and high <= 2_200_12_31:
            return np.array([_compact(str(count)) for count in counts.tolist()], dtype="M8[D]"), "YYYYMMDD"
    except ValueError:
        return None
    if low < 1_600_01 or high > 2_200_12 or not np.isin(counts % 100, np.arange(1, 13)).all():
        return None
    return ((counts // 100 - 1970) * 12 + counts % 100 - 1).astype("M8[M]").astype("M8[D]"), "YYYYMM"


def _type_name(column: nw.Series[Any]) -> str:
    """The library's name of the type of a column of numbers; of polars and pyarrow that of narwhals."""
    return str(column.to_native().dtype) if column.implementation.is_pandas_like() else str(column.dtype)


# Periods, and the frequency that an index states.


def _is_period(column: nw.Series[Any]) -> bool:
    return column.implementation.is_pandas_like() and str(column.to_native().dtype).startswith("period[")


def _periods(native: Any, known: KnownStep | None) -> Dates:
    """The first moments of a pandas Series of periods; the step is found from many more where it is constant."""
    pandas = require("pandas", extra="sources", purpose="Periods")
    numbers, freq = native.astype("int64").to_numpy(), native.dtype.freq
    dates = native.dt.to_timestamp().to_numpy()
    apart = np.unique(np.diff(numbers)) if len(numbers) > 1 else np.array([1])
    if len(apart) == 1 and apart[0] > 0:
        more = numbers[0] + apart[0] * np.arange(GENERATED)
        try:
            step = find_step(pandas.PeriodIndex.from_ordinals(more, freq=freq).to_timestamp().to_numpy())
        except ValueError:
            step = None
        known = known if step is None else KnownStep(step, stated=True)
    return _dated(dates, {"period": str(native.dtype)[len("period[") : -1], "date": False}, known)


def _freq_name(freq: Any) -> str | None:
    """The name of a frequency, or its text where pandas cannot read its name."""
    name = str(freq.freqstr)
    return encode_offset(freq) if name.startswith("<") else name


def _stated(index: Any, freq: Any) -> KnownStep | None:
    """The step of a frequency, found from dates that pandas makes by it; None for one that cannot be saved."""
    pandas = require("pandas", extra="sources", purpose="The frequency of these dates")
    offsets = pandas.tseries.offsets
    instants = isinstance(freq, offsets.Tick) and not isinstance(freq, offsets.Day)
    text = encode_offset(freq)
    if text is None or len(index) == 0:
        return None
    step: Step | None = None
    if not holidays_of(freq):
        try:
            last = pandas.Timestamp("2000-01-01") if instants else index[-1].tz_localize(None).as_unit("us")
            step = find_step(pandas.date_range(last, periods=GENERATED, freq=freq).to_numpy())
        except (ValueError, OverflowError):  # it has none of its own
            step = None
    return KnownStep(step or Step(1, "offset", 0, text), "utc" if instants else "local", stated=True)


# Time zones.


def _zone(column: nw.Series[Any]) -> str | None:
    """Name of the time zone of a column of dates; from pandas itself, as narwhals misses some names."""
    if isinstance(column.dtype, nw.Datetime):
        return column.dtype.time_zone
    if not column.implementation.is_pandas_like():
        return None
    zone = getattr(column.to_native().dtype, "tz", None)
    return None if zone is None else str(zone)


def _zoned(column: nw.Series[Any], tz: str, where: str, known: KnownStep | None) -> Dates:
    """Local dates when they step by days or more, else instants: what stays regular when clocks change.

    The other of the two where only that is regular. A single date is an instant.
    """
    local, instants = _clocks(column)
    if "(" in tz:  # how dateutil writes its zones
        raise ValueError(
            f"{where} is in the time zone {tz}, which has no name of its own."
            " Convert it to one such as 'Europe/Lisbon' or 'UTC'."
        )
    short = len(local) > 1 and np.median(np.diff(instants)) < np.timedelta64(20, "h")
    wall = local if short or len(local) < 2 else _before_the_change(local, instants, tz)
    clocks = {"utc": instants, "local": wall}
    if known is not None and known.of(clocks[known.clock]):
        return _dated(clocks[known.clock], {"clock": known.clock, "tz": tz, "date": False}, known)
    order = ("utc", "local") if short or len(local) < 2 else ("local", "utc")
    problem: ValueError | None = None
    for clock in order:
        try:
            return _dated(clocks[clock], {"clock": clock, "tz": tz, "date": False}, None)
        except ValueError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _before_the_change(local: NDArray[Any], instants: NDArray[Any], tz: str) -> NDArray[Any]:
    """Local dates (n,) whose usual time of day was skipped as clocks went forward, at that time of day."""
    days = local.astype("M8[D]")
    times = local - days.astype(local.dtype)
    values, counts = np.unique(times, return_counts=True)
    if len(values) < 2:
        return local
    usual = values[np.argmax(counts)]
    moved = local.copy()
    for row in np.flatnonzero(times != usual):
        for day in (days[row], days[row] - 1):
            meant = np.asarray(day.astype(local.dtype) + usual)[None]
            if meant[0] < local[row] and to_utc(meant, tz)[0] == instants[row]:
                moved[row] = meant[0]
    return moved


def _clocks(column: nw.Series[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Dates of a zoned column on the clock of their zone, and on that of UTC."""
    if isinstance(column.dtype, nw.Datetime):
        utc = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return column.dt.replace_time_zone(None).to_numpy(), utc.to_numpy()
    dates = column.to_native().dt
    return dates.tz_localize(None).to_numpy(), dates.tz_convert(None).to_numpy()


# Text.


def _parsed(texts: list[Any], where: str, known: KnownStep | None) -> Dates:
    """Texts, or Python's own dates, as datetime64; on the clock of UTC when they all tell their distance from it."""
    parsed, zoned = [], []
    for row, text in enumerate(texts):
        try:
            date, away = _without_zone(text)
            moment = np.datetime64(_iso(date) if isinstance(date, str) else date)
            parsed.append(moment if not away else moment - np.timedelta64(away, "m"))
        except (ValueError, TypeError):
            raise ValueError(
                f"{where} holds {text!r} in row {row}, which is not an ISO 8601 date."
                " Write dates as 1990-12-31 or 1990-12-31 23:59."
            ) from None
        zoned.append(away is not None)
    if any(zoned) and not all(zoned):
        row = zoned.index(not zoned[0])
        raise ValueError(
            f"{where} holds {texts[0]!r} in row 0 and {texts[row]!r} in row {row}."
            " Write all dates with a time zone, or none."
        )
    dates = np.array(parsed)
    unit = np.datetime_data(dates.dtype)[0] if dates.dtype.kind == "M" else "D"
    dates = dates.astype("M8[D]" if unit in ("Y", "M", "D") else "M8[ns]" if unit == "ns" else "M8[us]")
    return _dated(dates, {"tz": "UTC"} if any(zoned) else {}, known)


def _without_zone(date: Any) -> tuple[Any, int | None]:
    """A date without its time zone, and how many minutes that is ahead of UTC; None for one without."""
    if isinstance(date, str):
        match = _ZONED.fullmatch(date.strip())
        if match is None:
            return date, None
        away = timedelta(hours=int(match[3] or 0), minutes=int(match[4] or 0)) // timedelta(minutes=1)
        if away >= 24 * 60 or int(match[4] or 0) > 59:
            raise ValueError(date)
        return match[1], -away if match[2] == "-" else away
    if isinstance(date, datetime) and date.tzinfo is not None:
        return date.astimezone(UTC).replace(tzinfo=None), 0
    return date, None


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
