"""Time zones: from their clocks to UTC and back.

A local time that daylight saving removes is the first one that exists after it, as in pandas'
``tz_localize(nonexistent="shift_forward")``; of one that occurs twice the first is meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

__all__ = ["to_local", "to_utc", "zone_named"]

_OFFSET = re.compile(r"(?:UTC)?([+-])(\d{2}):?(\d{2})")


def zone_named(tz: str) -> tzinfo:
    """The time zone of that name: ``America/New_York``, or a fixed distance from UTC as ``+03:00``."""
    if match := _OFFSET.fullmatch(tz):
        away = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return timezone(-away if match[1] == "-" else away)
    return ZoneInfo(tz)


def to_utc(local: NDArray[Any], tz: str) -> NDArray[Any]:
    """The dates `local` (n,) on the clock of a zone as dates on that of UTC, in their own unit or seconds."""
    zone = zone_named(tz)
    return _moved(local, lambda date: _instant(date, zone))


def to_local(utc: NDArray[Any], tz: str) -> NDArray[Any]:
    """The dates `utc` (n,) on the clock of UTC as dates on that of a zone, in their own unit or seconds."""
    zone = zone_named(tz)
    return _moved(utc, lambda date: date.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None))


def _moved(dates: NDArray[Any], move: Callable[[datetime], datetime]) -> NDArray[Any]:
    whole = dates.astype("M8[s]")
    rest = dates - whole.astype(dates.dtype)
    seconds = whole.tolist()
    if not all(isinstance(each, datetime) for each in seconds):
        raise ValueError("Dates with a time zone must lie in the years 1 to 9999. Take the time zone off.")
    moved = np.array([move(each) for each in seconds], dtype="M8[s]")
    unit = np.datetime_data(dates.dtype)[0]
    return moved if unit == "D" else moved.astype(dates.dtype) + rest


def _instant(local: datetime, zone: tzinfo) -> datetime:
    """The instant of a local time, on the clock of UTC."""
    utc = local.replace(tzinfo=zone).astimezone(UTC)
    if utc.astimezone(zone).replace(tzinfo=None) == local:
        return utc.replace(tzinfo=None)
    # The clocks skip this time: bisect for the moment at which they do, which lies between the two offsets' readings.
    before = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    early, late, offset = before, utc, utc.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + timedelta(seconds=(late - early) // timedelta(seconds=2))
        early, late = (early, middle) if middle.astimezone(zone).utcoffset() == offset else (middle, late)
    return late.replace(tzinfo=None)
