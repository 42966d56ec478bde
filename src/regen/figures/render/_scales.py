"""Scales: the ends, the ticks and the labels of an axis that is linear, logarithmic or of dates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

__all__ = ["DAY", "Scale"]

DAY = 86_400_000_000
"""Microseconds."""
STEPS = (1.0, 2.0, 5.0, 10.0)
UNITS = (
    ("Y", 365.25, (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)),
    ("M", 30.5, (1, 2, 3, 6)),
    ("D", 1.0, (1, 2, 7, 14)),
    ("h", 1 / 24, (1, 2, 3, 6, 12)),
    ("m", 1 / 1440, (1, 2, 5, 10, 15, 30)),
)
"""Of dates: letter, days, and how many between two ticks."""


@final
@dataclass(frozen=True, eq=False)
class Scale:
    """An axis in coordinates.

    low, high : its ends, at the left or the bottom and at the right or the top; `low` is above `high` on a reversed
    axis. domain : its share of the chart. named : coordinates and their labels, where ticks were given.
    """

    title: str
    low: float
    high: float
    kind: str = "linear"
    domain: tuple[float, float] = (0.0, 1.0)
    visible: bool = True
    grid: bool = True
    slanted: bool = False
    square: bool = False
    named: Sequence[tuple[float, str]] | None = None

    def share(self, coordinates: Any) -> Any:
        """Coordinates as shares of the axis."""
        return (coordinates - self.low) / ((self.high - self.low) or 1.0)

    def ticks(self, count: int) -> list[tuple[float, str]]:
        """About `count` round coordinates with their labels."""
        low, high = min(self.low, self.high), max(self.low, self.high)
        edge = 1e-9 * (high - low)
        if self.named is not None:
            kept = [
                (coordinate, name)
                for coordinate, name in self.named
                if low - edge <= coordinate <= high + edge
            ]
            return kept[:: max(1, -(-len(kept) // max(count, 1)))] if len(kept) > 2 * count else kept
        if self.kind == "date":
            return _dates(low, high, count)
        rough = max((high - low) / max(count, 1), 1e-12 * max(-low, high), 1e-300)
        power = 10.0 ** np.floor(np.log10(rough))
        step = next(step for step in STEPS if step * power >= rough * 0.999) * power
        if self.kind == "log":
            step = max(step, 1.0)
        at = np.arange(np.ceil((low - edge) / step), np.floor((high + edge) / step) + 1) * step
        return [(float(coordinate), self.label(float(coordinate))) for coordinate in at]

    def label(self, coordinate: float) -> str:
        """The value at a coordinate, as text."""
        if not np.isfinite(coordinate):
            return ""
        if self.kind == "date":
            return _day(coordinate)
        if self.kind == "log":
            return f"{10.0**coordinate:.4g}"
        number = f"{coordinate if abs(coordinate) > 1e-12 else 0.0:.4g}"
        names = dict(self.named or ())
        own = any(name != f"{at:.4g}" for at, name in names.items())  # between labels there is nothing
        return names.get(coordinate, "" if own else number)


def _day(coordinate: float) -> str:
    """The date at a coordinate, with the time where it is not midnight."""
    stamp = np.datetime64(round(coordinate * DAY), "us")
    unit = "D" if stamp == stamp.astype("datetime64[D]") else "m"
    return str(stamp.astype(f"datetime64[{unit}]")).replace("T", " ")


def _dates(low: float, high: float, count: int) -> list[tuple[float, str]]:
    """Round dates: years, months, days or hours, whichever make about `count`."""
    span = (high - low) / max(count, 1)
    unit, days, steps = next((each for each in UNITS if span >= 0.7 * each[1]), UNITS[-1])
    step = next((each for each in steps if each * days >= span * 0.8), steps[-1])
    ends = [
        np.datetime64(round(end * DAY), "us").astype(f"datetime64[{unit}]").astype(int) for end in (low, high)
    ]
    stamps = np.arange(-(-ends[0] // step) * step, ends[1] + 1, step).astype(f"datetime64[{unit}]")
    coordinates = stamps.astype("datetime64[us]").astype(np.int64) / DAY
    found = zip(coordinates.tolist(), stamps, strict=True)
    return [
        (coordinate, str(stamp).replace("T", " ")) for coordinate, stamp in found if low <= coordinate <= high
    ]
