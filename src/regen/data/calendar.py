"""Regular dates: the step between them, found once and then continued.

Dates are numpy ``datetime64`` arrays of any unit, or int64 counters such as years.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Step", "date_text", "find_step"]

_FIXED = {"D": "day", "h": "hour", "m": "minute", "s": "second", "ms": "ms", "us": "us", "ns": "ns"}


@final
@dataclass(frozen=True)
class Step:
    """The step from one date to the next.

    unit is one of ``D h m s ms us ns`` (a fixed time), ``M`` (whole months), ``B`` (Monday to Friday) or
    ``1`` (a counter). count is how many of them, at least 1. With months, day is the day of the month that is
    aimed at: 31 is the end of every month, 30 is the 30th or the end of February.
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

    def obeyed(self, dates: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each of `dates` (n,) but the last fits this step, and the next follows it: (n - 1,) bool."""
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
    best, obeyed = None, np.zeros(len(dates) - 1, dtype=bool)
    for step in _candidates(dates):
        found = step.obeyed(dates)
        if best is None or found.sum() > obeyed.sum():
            best, obeyed = step, found
        if obeyed.all():
            return best
    where = int(np.argmin(obeyed))
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
    if fixed.obeyed(dates).all() and dates[1] - dates[0] < np.timedelta64(28, "D"):
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
