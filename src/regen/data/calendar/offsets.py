"""Frequencies that pandas states and that have no step of their own here, such as business hours and holidays.

They are kept as text, so that a saved model knows them: the name of a class of `pandas.offsets` and its arguments.
"""

from __future__ import annotations

import json
from datetime import time, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regen._optional import require

__all__ = ["encode_offset", "holidays_of", "offset_dates", "offset_named"]

_PLAIN = (bool, int, str, type(None))


def encode_offset(offset: Any) -> str | None:
    """A pandas offset as text, or None for one that cannot be made again from text."""
    arguments = {}
    for name, value in offset.kwds.items():
        if name == "calendar" or (isinstance(value, timedelta) and not value):
            continue  # made again from the holidays; no offset within the day
        if isinstance(value, tuple | list | np.ndarray):
            value = [_text(each) for each in value]
        elif not isinstance(value, _PLAIN):
            return None
        arguments[name] = value
    text = json.dumps(
        [type(offset).__name__, int(offset.n), bool(offset.normalize), arguments], sort_keys=True
    )
    try:
        return text if offset_named(text) == offset else None
    except (TypeError, ValueError):
        return None


def offset_named(text: str) -> Any:
    """The pandas offset of a text from `encode_offset`.

    Raises
    ------
    ValueError
        When the text names no offset.
    """
    offsets = require("pandas.tseries.offsets", extra="sources", purpose="The frequency of these dates")
    name, n, normalize, arguments = json.loads(text)
    if name not in offsets.__all__:
        raise ValueError(f"{name!r} is no frequency of pandas.")
    return getattr(offsets, name)(n, normalize=normalize, **arguments)


def holidays_of(offset: Any) -> bool:
    """Whether an offset has days of its own that are no business days."""
    return type(offset).__name__.startswith(("Custom", "C")) and "weekmask" in offset.kwds


def offset_dates(text: str, dates: NDArray[Any], steps: NDArray[np.int64]) -> NDArray[Any]:
    """The dates `steps` (m,) steps of an offset after `dates` (), or for each of `dates` (n,) that after `steps`."""
    pandas = require("pandas", extra="sources", purpose="The frequency of these dates")
    offset = offset_named(text)
    try:
        return _moved(pandas, offset, dates, steps)
    except (OverflowError, pandas.errors.OutOfBoundsDatetime):
        raise ValueError(
            f"The dates of frequency {offset.freqstr!r} leave the range of {dates.dtype}. Convert them to a coarser"
            " unit, such as microseconds or days."
        ) from None


def _moved(pandas: Any, offset: Any, dates: NDArray[Any], steps: NDArray[np.int64]) -> NDArray[Any]:
    if dates.ndim == 0 and steps.size:
        ahead, back = max(int(steps.max()), 0), max(-int(steps.min()), 0)
        at = pandas.Timestamp(dates[()])
        days = pandas.date_range(end=at, periods=back + 1, freq=offset)
        days = days[:-1].append(pandas.date_range(start=at, periods=ahead + 1, freq=offset))
        return np.asarray(days.to_numpy().astype(dates.dtype)[steps + back])
    moved = [
        pandas.Timestamp(date) + int(n) * offset if n else pandas.Timestamp(date)
        for date, n in np.broadcast(dates, steps)
    ]
    return np.array([each.to_datetime64() for each in moved], dtype=dates.dtype)


def _text(value: Any) -> Any:
    if isinstance(value, time):
        return value.strftime("%H:%M")
    return str(value.astype("M8[D]")) if isinstance(value, np.datetime64) else value
