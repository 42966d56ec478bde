"""Dates: read from columns, text and indexes, the regular step between them, and their continuation.

Dates are numpy ``datetime64`` arrays of any unit, or int64 counters such as years.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, NamedTuple, final
from zoneinfo import ZoneInfo

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Dates",
    "Step",
    "calendar_season",
    "column_dates",
    "date_text",
    "find_step",
    "holds_dates",
    "index_dates",
    "season_length",
    "seasonal_naive",
    "zone_named",
]


_FIXED = {"D": "day", "h": "hour", "m": "minute", "s": "second", "ms": "ms", "us": "us", "ns": "ns"}


@final
@dataclass(frozen=True)
class Step:
    """The step from one date to the next.

    unit is one of ``D h m s ms us ns`` (a fixed time), ``M`` (whole months), ``B`` (Monday to Friday) or
    ``1`` (a counter). count is how many of them, at least 1. With months, day is the intended day of
    the month: 31 is the end of every month, 30 is the 30th or the end of February.
    """

    count: int
    unit: str
    day: int = 0

    def after(self, dates: NDArray[Any], n: Any) -> NDArray[Any]:
        """The dates `n` steps after `dates` (n,) or (); they broadcast, and n may be negative."""
        dates, steps = np.asarray(dates), np.asarray(n, dtype=np.int64) * self.count
        if self.unit == "1":
            return np.asarray(dates + steps)
        days = dates.astype("M8[D]")
        time_of_day = dates - days.astype(dates.dtype)
        if self.unit == "M":
            month = dates.astype("M8[M]") + steps
            first = month.astype("M8[D]")
            length = ((month + 1).astype("M8[D]") - first).astype(np.int64)
            return np.asarray((first + (np.minimum(self.day, length) - 1)).astype(dates.dtype) + time_of_day)
        if self.unit == "B":
            moved = np.busday_offset(days, steps, roll="forward")
            return np.asarray(moved.astype(dates.dtype) + time_of_day)
        return np.asarray((dates + steps.astype(f"m8[{self.unit}]")).astype(dates.dtype))

    def matches(self, dates: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each of `dates` (n,) but the last lies on this step and the next follows it, (n - 1,) bool."""
        here = dates[:-1]
        on_step = np.is_busday(here.astype("M8[D]")) if self.unit == "B" else self.after(here, 0) == here
        return np.asarray(on_step & (self.after(here, 1) == dates[1:]))

    def __str__(self) -> str:
        if self.unit == "1":
            return str(self.count)
        count, word = self.count, _FIXED.get(self.unit, "business day" if self.unit == "B" else "month")
        if self.unit == "M" and count % 12 == 0:
            count, word = count // 12, "year"
        return f"{count} {word}{'s' if count > 1 and not word.endswith('s') else ''}"


def find_step(dates: NDArray[Any]) -> Step | None:
    """The one step between all of `dates` (n,), or None for a single date.

    Tried in this order: whole months (same day or month end), a fixed time, business days.

    Raises
    ------
    ValueError
        At the first place where the dates go back, repeat, or leave the step that most of them keep.
    """
    if len(dates) < 2:
        return None
    _refuse_disorder(dates)
    best, matches = None, np.zeros(len(dates) - 1, dtype=bool)
    for step in _candidates(dates):
        found = step.matches(dates)
        if best is None or found.sum() > matches.sum():
            best, matches = step, found
        if matches.all():
            return best
    where = int(np.argmin(matches))
    before, after = date_text(dates[where]), date_text(dates[where + 1])
    raise ValueError(
        f"The dates of y are not regular: after {before} comes {after}, where the step is {best}."
        " Insert the missing rows with NaN, or resample."
    )


def date_text(date: Any) -> str:
    """A date as short as it can be written: ``1990-03-01``, ``1990-03-01 12:30``, or a counter's number."""
    if not isinstance(date, np.datetime64):
        return str(date)
    for unit in ("D", "m", "s", "ms", "us"):
        if date.astype(f"M8[{unit}]") == date:
            return str(date.astype(f"M8[{unit}]")).replace("T", " ")
    return str(date).replace("T", " ")


def _candidates(dates: NDArray[Any]) -> list[Step]:
    if dates.dtype.kind != "M":
        return [Step(_mode(np.diff(dates)), "1")]
    fixed = _fixed(dates)
    if fixed.matches(dates).all() and dates[1] - dates[0] < np.timedelta64(28, "D"):
        return [fixed]
    steps = []
    months = _mode(np.diff(dates.astype("M8[M]").astype(np.int64)))
    if months > 0:
        day = (dates.astype("M8[D]") - dates.astype("M8[M]").astype("M8[D]")).astype(np.int64) + 1
        steps = [Step(months, "M", anchor) for anchor in dict.fromkeys((31, int(day.max()), _mode(day)))]
    steps.append(fixed)
    days = dates.astype("M8[D]")
    business = _mode(np.busday_count(days[:-1], days[1:]))
    return [*steps, Step(business, "B")] if business > 0 else steps


def _fixed(dates: NDArray[Any]) -> Step:
    steps = np.diff(dates)
    base = steps[np.argmax(steps.astype(np.int64) == _mode(steps.astype(np.int64)))]
    for unit in _FIXED:
        count = base.astype(f"m8[{unit}]")
        if count == base and count.astype(np.int64) > 0:
            return Step(int(count.astype(np.int64)), unit)
    raise AssertionError(f"no unit divides {base}")


def _mode(counts: NDArray[Any]) -> int:
    """The most common value, the smallest of several."""
    values, times = np.unique(counts, return_counts=True)
    return int(values[np.argmax(times)])


def _refuse_disorder(dates: NDArray[Any]) -> None:
    forward = dates[1:] > dates[:-1]
    if forward.all():
        return
    where = int(np.argmin(forward))
    before, after = date_text(dates[where]), date_text(dates[where + 1])
    if dates[where + 1] == dates[where]:
        raise ValueError(
            f"The dates of y are not unique: {before} comes twice, in rows {where} and {where + 1}."
            " Keep one row per date; several series go into columns of their own."
        )
    raise ValueError(
        f"The dates of y are not in order: after {before} comes {after}, in row {where + 1}."
        " Sort the rows by date."
    )


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
    """Name of the time zone of a column of dates; from pandas itself, as narwhals misses some names."""
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


_DAY_PARTS = {"h": 24, "m": 1440, "s": 86400}


def season_length(values: NDArray[np.float64], step: Step | None = None) -> int:
    """Steps in a season of `values` (N, C): the calendar's, else the dominant period found; 1 when there is none.

    The calendar has months (12), quarters (4), weeks (52), days (7), business days (5), hours (24) and parts of
    an hour (those in a day). It is used only when the series holds at least two such seasons. Otherwise the
    period is the highest peak of the autocorrelation of each column, without its linear trend or in first
    differences, whichever peaks higher. A peak counts past the first fall below zero and when it stands out of
    noise: above ``2.6 / sqrt(N)`` and above 0.3; of several as high within a tenth, the first is taken, since
    whole multiples of a season peak too. The median over columns that have one is taken.

    Parameters
    ----------
    values : (N, C) or (N,), NaN where missing.
    step : as in `Series.step`; None for a series without dates.
    """
    columns = values.reshape(len(values), -1)
    season = calendar_season(step)
    if season > 1 and len(columns) >= 2 * season:
        return season
    found = sorted(period for period in map(_period, columns.T) if period > 1)
    return found[len(found) // 2] if found else 1


def calendar_season(step: Step | None) -> int:
    """The season that the calendar gives a step, such as 12 for months; 1 for years, counters and odd steps."""
    if step is None:
        return 1
    if step.unit == "M":
        return 12 // step.count if 12 % step.count == 0 else 1
    if step.unit == "D":
        return {1: 7, 7: 52}.get(step.count, 1)
    if step.unit == "B":
        return 5 if step.count == 1 else 1
    parts = _DAY_PARTS.get(step.unit, 0)
    return parts // step.count if parts and parts % step.count == 0 else 1


def seasonal_naive(values: NDArray[np.float64], season: int, horizon: int) -> NDArray[np.float64]:
    """The last season repeated: step h of the forecast is the value one season, or whole seasons, before it.

    A missing value is taken from the season before, and so on back; a place in the season that was never observed
    holds the last value observed, and 0 in a column that never was. With ``season=1`` this is the naive forecast:
    the last value.

    Parameters
    ----------
    values : (N, C) or (N,), NaN where missing.
    season : steps in a season; one longer than the series is the series.
    horizon : steps ahead.

    Returns
    -------
    (horizon, C), or (horizon,) for (N,).
    """
    columns = values.reshape(len(values), -1)
    season = min(season, len(columns))
    places = len(columns) - season + np.arange(horizon) % season
    forecast = columns[places]
    while np.isnan(forecast).any() and (places >= season).any():
        places = np.where(places >= season, places - season, places)
        forecast = np.where(np.isnan(forecast), columns[places], forecast)
    for k, column in enumerate(columns.T):
        known = column[~np.isnan(column)]
        forecast[np.isnan(forecast[:, k]), k] = known[-1] if len(known) else 0.0
    return np.asarray(forecast.reshape(horizon, *values.shape[1:]))


def _period(column: NDArray[np.float64]) -> int:
    """The season of one column, 1 when none stands out of noise."""
    known = np.flatnonzero(~np.isnan(column))
    if len(known) < 6:
        return 1
    trend = np.polynomial.Polynomial.fit(known, column[known], 1)
    rest = np.interp(np.arange(len(column)), known, column[known] - trend(known))
    if np.square(rest).sum() <= 1e-12 * np.square(column[known]).sum():
        return 1
    peaks = [_first_high_peak(rest), _first_high_peak(np.diff(rest))]
    return max(peaks)[1]


def _first_high_peak(rest: NDArray[np.float64]) -> tuple[float, int]:
    """The autocorrelation at its first high peak, and its lag; (0, 1) when there is none."""
    size = 2 ** int(np.ceil(np.log2(2 * len(rest))))
    spectrum = np.fft.rfft(rest - rest.mean(), size)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, size)[: len(rest) // 2 + 1]
    below = np.flatnonzero(correlation < 0)
    if len(below) == 0:
        return 0.0, 1
    correlation = correlation / correlation[0]
    inner = correlation[1:-1]
    peaks = 1 + np.flatnonzero((inner > correlation[:-2]) & (inner >= correlation[2:]))
    peaks = peaks[(peaks > below[0]) & (correlation[peaks] > max(0.3, 2.6 / np.sqrt(len(rest))))]
    if len(peaks) == 0:
        return 0.0, 1
    first = peaks[correlation[peaks] >= 0.9 * correlation[peaks].max()][0]
    near = peaks[np.abs(peaks - first) <= first // 8]
    best = near[np.argmax(correlation[near])]
    return float(correlation[best]), int(best)
