"""The values that a column can have: its range, the distance between its values, or a few levels.

Letters: `n` rows, `F` columns.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from regen._check import closest
from regen._schema import Fields, Maybe, Real, Several, Words
from regen.data.columns.times import TEMPORAL, UNITS, in_microseconds, on_clock_of, times_of, zone_in
from regen.data.table_input import EXACT, Cells

__all__ = ["SUPPORT", "Support", "bounded", "supports_of"]

MOST_DECIMALS = 8
"""Decimals up to which those of the data are kept."""
MOST_LEVELS = 20
"""Distinct values, at most, of which a column is made."""
SEEN_LEVELS = 10
"""Rows for each distinct value, at least, so that other values, if there were any, would be among them."""
STEPS = (86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000, 1000, 1)
"""Distances of dates and durations, in microseconds: days, hours, minutes, seconds, milliseconds, microseconds."""
_MINUTE = 60_000_000


SUPPORT = Fields(
    {
        "low": Maybe(Real()),
        "high": Maybe(Real()),
        "step": Real(),
        "levels": Several(Real()),
        "unit": Words(("", *UNITS)),
        "stored": Words(),
        "zone": Maybe(Words()),
    }
)
"""The form of what `Support.state` returns."""


@final
@dataclass(frozen=True)
class Support:
    """The values of one column; every field is one of JSON's own types.

    low, high : lowest and highest value, None without a limit. Of whole numbers they are ints, of dates and
        durations counts of `unit`.
    step : distance between neighbours: 1 of whole numbers, 0.01 of numbers with two decimals, 0 of any numbers; of
        dates and durations in microseconds, 0 where they are nanoseconds.
    levels : all values, where they are few. unit : "us" or "ns" of dates and durations, else "".
    stored : as in `Cells`. zone : on whose clock dates have this `step`, None for UTC or none.
    """

    low: float | None = None
    high: float | None = None
    step: float = 0
    levels: tuple[float, ...] = ()
    unit: str = ""
    stored: str = ""
    zone: str | None = None

    def state(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        return {**vars(self), "levels": list(self.levels)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Support:
        """The support with this `state`."""
        return cls(**{**state, "levels": tuple(state["levels"])})

    def nearest(self, values: NDArray[np.float64], rounded: bool) -> NDArray[Any]:
        """The nearest of these values: floats (n,), integers beyond 2**53, or dates and durations.

        values : (n,) floats, of dates and durations microseconds. rounded : also at the distance `step`, as dates
        always are; else only within the range.
        """
        if self.unit:
            return self._times(values)
        if rounded and self.levels:
            return _nearest_level(values, np.array(self.levels))
        if rounded and self.step:
            values = np.round(values, round(-np.log10(self.step)))
        if self.low is None and self.high is None:
            return values
        if rounded and max(abs(self.low or 0), abs(self.high or 0)) >= EXACT and self.stored == "int":
            return self._integers(values)
        return np.clip(values, self.low, self.high)

    def _times(self, values: NDArray[np.float64]) -> NDArray[Any]:
        zone = self.zone if self.step >= _MINUTE else None
        if zone is not None:
            values = on_clock_of(values, zone)
        if self.step:
            values = np.rint(values / self.step) * self.step
        if zone is not None:
            values = on_clock_of(values, zone, back=True)
        times = times_of(values, self.unit, self.stored == "duration")
        ticks = times.view(np.int64)
        return np.where(np.isnat(times), ticks, _clipped(ticks, self.low, self.high)).view(times.dtype)

    def _integers(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """Integers of 64 bits, each within the range that float64 does not hold exactly."""
        unsigned = self.low is not None and self.low >= 0
        least, most = (0.0, 2.0**64) if unsigned else (-(2.0**63), 2.0**63)
        inside = np.clip(np.rint(values), least, np.nextafter(most, 0))
        whole = _clipped(inside.astype(np.uint64 if unsigned else np.int64), self.low, self.high)
        for end, beyond in ((self.low, np.less_equal), (self.high, np.greater_equal)):
            if end is not None:
                whole[beyond(values, float(end))] = end
        return whole


def supports_of(cells: Cells, kinds: Sequence[str], requested: Container[int] = ()) -> tuple[Support, ...]:
    """The support of each of F columns; of categories and pairs of values, which are their own, without limits.

    Columns without names, such as pixels, have a range alone. That of numbers in [0, 1] is [0, 1] where they have no
    names or their kind is among the `requested` ones: a draw of 0 or 1 is one of them.
    """
    natural = [kind == "unit" and (not cells.named or k in requested) for k, kind in enumerate(kinds)]
    return tuple(
        Support(stored=cells.stored[k]) if natural[k] else _support(cells, k, kind)
        for k, kind in enumerate(kinds)
    )


def bounded(supports: Sequence[Support], names: Sequence[str], bounds: Any) -> tuple[Support, ...]:
    """The same supports with other ranges.

    bounds : "data" leaves them as they are, None removes them; a dict from names of columns to None or pairs
        (lowest, highest), of which either may be None, changes those columns. A range that is no longer that of the
        data has no levels.

    Raises
    ------
    ValueError
        For the name of another column, or a pair that is none.
    """
    if isinstance(bounds, str):
        return tuple(supports)
    if bounds is None:
        return tuple(_within(support, None, None) for support in supports)
    changed = list(supports)
    for name, pair in bounds.items():
        if str(name) not in names:
            raise ValueError(
                f"X has no column {name!r}, which bounds names.{closest(str(name), list(names))}"
            )
        k = list(names).index(str(name))
        low, high = (None, None) if pair is None else (_bound(supports[k], name, each) for each in pair)
        if low is not None and high is not None and low > high:
            raise ValueError(f"bounds of {name!r} must be (lowest, highest). Got {pair!r} instead.")
        changed[k] = _within(supports[k], low, high)
    return tuple(changed)


def _bound(support: Support, name: Any, value: Any) -> float | None:
    """One end of a requested range, in the counts of the column."""
    if value is None:
        return None
    if support.unit:
        counts = in_microseconds(value)
        if counts is not None:
            return counts * UNITS[support.unit]
        expected = "durations" if support.stored == "duration" else "dates"
    elif isinstance(value, int | float | np.number) and value == value:
        return int(value) if float(value).is_integer() else float(value)
    else:
        expected = "numbers"
    raise ValueError(
        f"bounds of {name!r} must be {expected}, as the column holds them. Got {value!r} instead."
    )


def _within(support: Support, low: float | None, high: float | None) -> Support:
    return replace(support, low=low, high=high, levels=())


def _support(cells: Cells, k: int, kind: str) -> Support:
    stored, column = cells.stored[k], cells.values[:, k]
    if kind in ("categorical", "binary"):
        return Support(stored=stored)
    exact = cells.exact[k]
    if stored in TEMPORAL:
        assert exact is not None
        return _support_of_times(cells, k, exact)
    seen = column[~np.isnan(column)]
    whole = stored in ("int", "byte")
    extremes = (seen if exact is None else exact).min(), (seen if exact is None else exact).max()
    low, high = (int(each) if whole else float(each) for each in extremes)
    step = 0.0
    if cells.named:
        step = 1 if whole else _decimal_step(seen, cells.layout.dtypes[k])
    return Support(low, high, step, _levels(seen, step), stored=stored)


def _support_of_times(cells: Cells, k: int, times: NDArray[Any]) -> Support:
    unit = np.datetime_data(times.dtype)[0]
    ticks = times[~np.isnat(times)].view(np.int64)
    zone = zone_in(cells.layout.dtypes[k])
    zone = None if zone == "UTC" else zone
    local = ticks
    if zone is not None and not (ticks % (_MINUTE * UNITS[unit])).any():
        counts = on_clock_of(ticks / UNITS[unit], zone)
        local = counts.astype(np.int64) * UNITS[unit]
    step = next((each for each in STEPS if not (local % (each * UNITS[unit])).any()), 0)
    return Support(int(ticks.min()), int(ticks.max()), step, (), unit, cells.stored[k], zone)


def _decimal_step(seen: NDArray[np.float64], dtype: str) -> float:
    """The distance of numbers with so few decimals; 0 where they have more."""
    single = dtype.lower() in ("float32", "float16", "float", "halffloat", "float[pyarrow]")
    read = seen.astype(np.float32) if single else seen
    for decimals in range(MOST_DECIMALS + 1):
        if np.array_equal(np.round(seen, decimals).astype(read.dtype), read):
            return float(10.0**-decimals)
    return 0.0


def _levels(seen: NDArray[np.float64], step: float) -> tuple[float, ...]:
    """The distinct values, where they are few, often seen, and not simply all of a range."""
    if not step or len(seen) < SEEN_LEVELS:
        return ()
    distinct = np.unique(seen)
    if len(distinct) > min(MOST_LEVELS, len(seen) // SEEN_LEVELS):
        return ()
    return tuple(distinct.tolist())


def _nearest_level(values: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, values)]
    return found


def _clipped(counts: NDArray[Any], low: float | None, high: float | None) -> NDArray[Any]:
    """Integers within a range that their type may not hold."""
    limits = np.iinfo(counts.dtype)
    least = limits.min if low is None else max(math.ceil(low), limits.min)
    most = limits.max if high is None else min(math.floor(high), limits.max)
    ends = min(least, limits.max), max(most, limits.min)
    return np.asarray(np.clip(counts, counts.dtype.type(ends[0]), counts.dtype.type(ends[1])))
