"""Columns of dates, times and durations as numbers of microseconds, and back as the type that they came in.

Dates are microseconds since 1970, those of a time zone on the clock of UTC; missing ones are NaN. Letters: `n` rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from regen.data.calendar import holds_dates, to_local, to_utc

__all__ = [
    "TEMPORAL",
    "UNITS",
    "in_microseconds",
    "microseconds",
    "narwhals_type",
    "objects_of",
    "on_clock_of",
    "read_time_objects",
    "read_times",
    "times_column",
    "times_of",
    "type_name",
    "zone_in",
]

TEMPORAL = ("date", "datetime", "duration")
"""How columns of times are stored: without a time of day, with one, and as differences."""
UNITS = {"us": 1, "ns": 1000}
"""Counts of a microsecond in the units that dates are read in."""
_YEARS = (
    np.datetime64("0001-01-01", "us").astype(np.int64),
    np.datetime64("9999-12-31T23:59", "us").astype(np.int64),
)
_NANOSECONDS = 9.2e15
"""Microseconds from 1970 to the end of what 64 bits of nanoseconds hold, 2261."""
_NAMED = re.compile(r"time_unit='(\w+)'(?:, time_zone=(?:'([^']*)'|None))?")
_PANDAS_ZONE = re.compile(r"(?:datetime64\[\w+, |timestamp\[\w+, tz=)([^\]]+)\]")

Times = NDArray[Any]
"""(n,) datetime64 or timedelta64 in "us" or "ns"."""


def read_times(column: nw.Series[Any], where: str) -> tuple[Times, str] | None:
    """A column whose type is that of dates or durations, in UTC, and how it is stored; None for other types.

    Raises
    ------
    ValueError
        For times of day, periods, and a time zone without a name; `where` names the column.
    """
    dtype = column.dtype
    if isinstance(dtype, nw.Duration):
        return _counted(column.to_numpy()), "duration"
    if isinstance(dtype, nw.Time):
        raise ValueError(
            f"{where} holds times of day. Make durations of them, or numbers such as hours, or leave the column out."
        )
    native = str(getattr(column.to_native(), "dtype", ""))
    if native.startswith("period"):
        raise ValueError(
            f"{where} holds periods. Make dates of them with to_timestamp(), or leave the column out."
        )
    if not holds_dates(column):
        values = column.to_numpy() if isinstance(dtype, nw.Unknown) and len(column) else None
        return None if values is None or values.dtype.kind != "M" else (_counted(values), "date")
    zone = zone_in(native if column.implementation.is_pandas_like() else str(dtype))
    if zone is not None and "(" in zone:  # how dateutil writes its zones
        raise ValueError(
            f"{where} is in the time zone {zone}, which has no name of its own."
            " Convert it to one such as 'Europe/Lisbon' or 'UTC'."
        )
    if isinstance(dtype, nw.Date):
        return _counted(column.to_numpy()), "date"
    if zone is not None:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return _counted(column.to_numpy()), "datetime"


def read_time_objects(values: Sequence[Any], where: str) -> tuple[Times, str] | None:
    """Python's own dates, datetimes or timedeltas, None where missing; None where they are something else.

    Raises
    ------
    ValueError
        When they are mixed with others, or have a time zone; `where` names the column.
    """
    found = [value for value in values if value is not None]
    if not found or not isinstance(found[0], date | timedelta | np.datetime64 | np.timedelta64):
        return None
    kinds = {_kind_of_object(value) for value in found}
    if len(kinds) > 1 or "" in kinds:
        raise ValueError(f"{where} mixes dates with other values. Make all its cells one or the other.")
    (kind,) = kinds
    if any(getattr(value, "tzinfo", None) is not None for value in found):
        raise ValueError(
            f"{where} holds single datetimes with a time zone. Make a column of them, as pandas.to_datetime does."
        )
    return np.array(values, dtype="m8[us]" if kind == "duration" else "M8[us]"), kind


def microseconds(times: Times) -> NDArray[np.float64]:
    """(n,) float64, NaN where missing."""
    counts = times.view(np.int64).astype(np.float64) / UNITS[np.datetime_data(times.dtype)[0]]
    counts[np.isnat(times)] = np.nan
    return counts


def in_microseconds(value: Any) -> int | None:
    """A single date or duration, or text of a date, as whole microseconds; None for what is none."""
    if isinstance(value, timedelta | np.timedelta64):
        return int(np.timedelta64(value, "us").astype(np.int64))
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(value, str | date | np.datetime64):
        try:
            return int(np.array(value, dtype="M8[us]").astype(np.int64))
        except ValueError:
            return None
    return None


def times_of(counts: NDArray[np.float64], unit: str, duration: bool) -> Times:
    """Microseconds `counts` (n,), which may have fractions, as dates or durations in `unit`, within what it holds."""
    low, high = (-(2.0**62), 2.0**62) if duration else _YEARS
    if unit == "ns":
        low, high = max(low, -_NANOSECONDS), min(high, _NANOSECONDS)
    missing = np.isnan(counts)
    bounded = np.clip(np.where(missing, 0.0, counts), low, high)
    whole = np.floor(bounded)
    # One by one: the product of the sum is beyond 2**53, from where floats are no longer exact.
    ticks = whole.astype(np.int64) * UNITS[unit] + np.rint((bounded - whole) * UNITS[unit]).astype(np.int64)
    found: Times = ticks.view(f"{'m' if duration else 'M'}8[{unit}]")
    found[missing] = "NaT"
    return found


def on_clock_of(counts: NDArray[np.float64], zone: str, *, back: bool = False) -> NDArray[np.float64]:
    """Whole microseconds `counts` (n,) of UTC as those that a clock of `zone` shows; `back`: the other way."""
    missing = np.isnan(counts)
    turn = to_utc if back else to_local
    moved = turn(times_of(np.where(missing, 0.0, counts), "us", False), zone)
    found = moved.astype("M8[us]").astype(np.int64).astype(np.float64)
    found[missing] = np.nan
    return found


def zone_in(name: str) -> str | None:
    """The time zone in the name of a type, as pandas, Arrow and narwhals write it."""
    match = _PANDAS_ZONE.match(name)
    return match[1] if match else _named(name)[1]


def type_name(dtype: Any) -> str:
    """The name of a narwhals type; of dates and durations with their unit and zone."""
    name = str(dtype)
    return name if isinstance(dtype, nw.Datetime | nw.Duration) else name.partition("(")[0]


def narwhals_type(name: str) -> Any:
    """The narwhals type of that name, for a column of times."""
    unit, zone = _named(name)
    if name.startswith("Duration"):
        return nw.Duration(unit)  # type: ignore[arg-type]
    if name.startswith("Datetime"):
        return nw.Datetime(unit, zone)  # type: ignore[arg-type]
    return nw.Date


def times_column(name: str, times: Times, dtype: Any, implementation: Any) -> nw.Series[Any]:
    """Dates in UTC, or durations, as a column of that narwhals type, or of the library's own for None."""
    built = nw.new_series(name, times, backend=implementation)
    if getattr(dtype, "time_zone", None) is None:
        return built if dtype is None else built.cast(dtype)
    utc = built.cast(nw.Datetime(dtype.time_unit)).dt.replace_time_zone("UTC")
    return utc.dt.convert_time_zone(dtype.time_zone)


def objects_of(times: Times, stored: str) -> NDArray[Any]:
    """Python's own dates, datetimes or timedeltas (n,), None where missing."""
    plain = times.astype("M8[D]" if stored == "date" else times.dtype.str.replace("ns", "us"))
    return plain.astype(object)


def _named(name: str) -> tuple[str, str | None]:
    match = _NAMED.search(name)
    return (match[1], match[2]) if match else ("us", None)


def _counted(values: NDArray[Any]) -> Times:
    """Dates in any unit, or objects, in microseconds or, where they come in them, in nanoseconds."""
    if values.dtype.kind == "O":  # days of Arrow, in pandas
        missing = [not isinstance(value, date) for value in values.tolist()]
        values = np.array(
            [None if gone else value for gone, value in zip(missing, values, strict=True)], "M8[us]"
        )
    unit = "ns" if np.datetime_data(values.dtype)[0] == "ns" else "us"
    return values.astype(f"{values.dtype.kind}8[{unit}]")


def _kind_of_object(value: Any) -> str:
    if isinstance(value, timedelta | np.timedelta64):
        return "duration"
    if isinstance(value, datetime | np.datetime64):
        return "datetime"
    return "date" if isinstance(value, date) else ""
