"""The regular step between dates, and their continuation by it.

Dates are numpy ``datetime64`` arrays of any unit, ``timedelta64`` arrays, or int64 counters such as years.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from regen.data.calendar.offsets import offset_dates, offset_named

__all__ = ["Step", "date_text", "find_step"]

_FIXED = {"D": "day", "h": "hour", "m": "minute", "s": "second", "ms": "ms", "us": "us", "ns": "ns"}


_WORDS = {"M": "month", "BM": "month", "WM": "month", "SM": "half month", "B": "business day"}
_WEEKS = ("first", "second", "third", "fourth", "last")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@final
@dataclass(frozen=True)
class Step:
    """The step from one date to the next.

    count is how many units, at least 1. unit is one of::

        "D" "h" "m" "s" "ms" "us" "ns"  a fixed time
        "M"       whole months; day is that of the month: 31 is the end of every month, 30 the 30th or February's end
        "BM"      the first business day of a month (day 1), or the last (day 31)
        "SM"      half months: the 1st and 15th (day 1), or the 15th and the end of the month (day 31)
        "WM"      a weekday of the month: day is 7 * week + weekday, from 0 (the first Monday) to 34 (the last Sunday)
        "B"       Monday to Friday
        "offset"  a frequency of pandas, its text in offset
        "1"       a counter
    """

    count: int
    unit: str
    day: int = 0
    offset: str = ""

    def after(self, dates: NDArray[Any], n: Any) -> NDArray[Any]:
        """The dates `n` steps after `dates` (n,) or (); they broadcast, and n may be negative."""
        dates, steps = np.asarray(dates), np.asarray(n, dtype=np.int64) * self.count
        if self.unit == "1":
            return np.asarray(dates + steps)
        if self.unit == "offset":
            return offset_dates(self.offset, dates, steps)
        if self.unit in _FIXED:
            return np.asarray((dates + steps.astype(f"m8[{self.unit}]")).astype(dates.dtype))
        days = dates.astype("M8[D]")
        time_of_day = dates - days.astype(dates.dtype)
        return np.asarray(_MOVES[self.unit](days, steps, self.day).astype(dates.dtype) + time_of_day)

    def matches(self, dates: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each of `dates` (n,) but the last lies on this step and the next follows it, (n - 1,) bool."""
        here = dates[:-1]
        on_step = np.is_busday(here.astype("M8[D]")) if self.unit == "B" else self.after(here, 0) == here
        return np.asarray(on_step & (self.after(here, 1) == dates[1:]))

    def __str__(self) -> str:
        if self.unit == "1":
            return str(self.count)
        if self.unit == "offset":
            return f"{offset_named(self.offset).freqstr!r}"
        count, word = self.count, _FIXED.get(self.unit) or _WORDS[self.unit]
        if word == "month" and count % 12 == 0:
            count, word = count // 12, "year"
        return f"{count} {word}{'s' if count > 1 and not word.endswith('s') else ''}{self._which()}"

    def _which(self) -> str:
        """Which day of its month, where the months themselves do not tell."""
        if self.unit == "BM":
            return f" ({'first' if self.day == 1 else 'last'} business day)"
        if self.unit == "WM":
            week, weekday = divmod(self.day, 7)
            return f" ({_WEEKS[week]} {_WEEKDAYS[weekday]})"
        return ""


def find_step(dates: NDArray[Any]) -> Step | None:
    """The one step between all of `dates` (n,), or None for a single date.

    Tried in this order: whole months (same day or month end), a fixed time, business days, the first or last
    business day of a month, half months, a weekday of the month. Durations have a fixed time only.

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
    if dates.dtype.kind not in "Mm":
        return [Step(_mode(np.diff(dates)), "1")]
    fixed = _fixed(dates)
    if dates.dtype.kind == "m":
        return [fixed]
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
    steps += [Step(business, "B")] if business > 0 else []
    if months > 0:
        steps += [Step(months, "BM", 1), Step(months, "BM", 31), *_weekday_steps(days, months)]
    halves = [(day, _mode(np.diff(_half_number(days, day)))) for day in (1, 31)]
    return steps + [Step(count, "SM", day) for day, count in halves if count > 0]


def _weekday_steps(days: NDArray[Any], months: int) -> list[Step]:
    """The weekday of the month that the first of `days` is, counted from the start, and from the end if the last."""
    first, month = days[0], days[0].astype("M8[M]")
    weekday, week = int(_weekday(first)), int((first - month.astype("M8[D]")).astype(np.int64)) // 7
    last = (first + 7).astype("M8[M]") != month
    weeks = ([week] if week < 4 else []) + ([4] if last else [])
    return [Step(months, "WM", 7 * each + weekday) for each in weeks]


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


def _months(days: NDArray[Any], steps: NDArray[np.int64], day: int) -> NDArray[Any]:
    month = days.astype("M8[M]") + steps
    return _day_of(month, np.minimum(day, _length(month)))


def _business_days(days: NDArray[Any], steps: NDArray[np.int64], day: int) -> NDArray[Any]:
    return np.asarray(np.busday_offset(days, steps, roll="forward"))


def _business_months(days: NDArray[Any], steps: NDArray[np.int64], day: int) -> NDArray[Any]:
    month = days.astype("M8[M]") + steps
    if day == 1:
        return np.asarray(np.busday_offset(month.astype("M8[D]"), 0, roll="forward"))
    return np.asarray(np.busday_offset((month + 1).astype("M8[D]"), -1, roll="forward"))


def _half_months(days: NDArray[Any], steps: NDArray[np.int64], day: int) -> NDArray[Any]:
    number = _half_number(days, day) + steps
    month, second = (number // 2).astype("M8[M]"), number % 2 == 1
    place = np.where(second, 15, 1) if day == 1 else np.where(second, _length(month), 15)
    return _day_of(month, place)


def _half_number(days: NDArray[Any], day: int) -> NDArray[np.int64]:
    """The half month of each of `days`, counted from 1970."""
    month = days.astype("M8[M]")
    place = (days - month.astype("M8[D]")).astype(np.int64) + 1
    return np.asarray(2 * month.astype(np.int64) + (place > (14 if day == 1 else 15)))


def _weekdays(days: NDArray[Any], steps: NDArray[np.int64], day: int) -> NDArray[Any]:
    month = days.astype("M8[M]") + steps
    week, weekday = divmod(day, 7)
    if week < 4:
        first = month.astype("M8[D]")
        return np.asarray(first + (7 * week + (weekday - _weekday(first)) % 7))
    last = (month + 1).astype("M8[D]") - 1
    return np.asarray(last - (_weekday(last) - weekday) % 7)


def _weekday(days: Any) -> Any:
    """0 for Monday to 6 for Sunday."""
    return (days.astype(np.int64) + 3) % 7


def _length(month: NDArray[Any]) -> NDArray[np.int64]:
    """Days of a month."""
    return np.asarray(((month + 1).astype("M8[D]") - month.astype("M8[D]")).astype(np.int64))


def _day_of(month: NDArray[Any], place: Any) -> NDArray[Any]:
    return np.asarray(month.astype("M8[D]") + (place - 1))


_MOVES: Mapping[str, Callable[[NDArray[Any], NDArray[np.int64], int], NDArray[Any]]] = {
    "M": _months,
    "B": _business_days,
    "BM": _business_months,
    "SM": _half_months,
    "WM": _weekdays,
}
"""For each unit of days, the days so many steps later."""
