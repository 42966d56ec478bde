"""The panels of a chart in coordinates: every value a float, every axis with its ends and its ticks.

The coordinate is the value itself, its decimal logarithm on a logarithmic axis, or the days since 1970 of a date.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from regen.figures.marks import (
    Axis,
    Band,
    Bars,
    Cells,
    Drawing,
    Grid,
    Image,
    Line,
    Mark,
    Note,
    Panel,
    Points,
    Rule,
    Text,
)
from regen.figures.render._scales import DAY, Scale

__all__ = ["Placed", "extent", "in_words", "place"]

Values = NDArray[np.float64]
MARGIN = 0.05
"""Share of an axis that is left free beyond the highest value."""


@final
@dataclass(frozen=True, eq=False)
class Placed:
    """A panel in coordinates."""

    x: Scale
    y: Scale
    marks: Sequence[Mark]
    heading: Text
    notes: Sequence[Note]
    rules: Sequence[Rule]


def place(chart: Drawing) -> list[Placed]:
    """The panels of a chart in coordinates.

    Raises
    ------
    ValueError
        When `chart` is no chart.
    """
    if not isinstance(getattr(chart, "panels", None), Sequence):
        raise ValueError(
            f"chart must be a Chart, which the functions of regen.figures return. Got {type(chart).__name__} instead."
        )
    panels = [_placed(panel) for panel in chart.panels]
    return _aligned(panels, chart.panels[-1].x) if chart.shared_x else panels


def _aligned(panels: Sequence[Placed], axis: Axis) -> list[Placed]:
    """Panels on one horizontal axis, which is drawn under the last one."""
    marks = [mark for panel in panels for mark in panel.marks]
    scale = _scale(axis, panels[-1].x.kind, marks, 0)
    hidden = replace(scale, visible=False)
    return [*(replace(panel, x=hidden) for panel in panels[:-1]), replace(panels[-1], x=scale)]


def in_words(text: Text) -> str:
    """Text without its colors."""
    return text if isinstance(text, str) else "".join(span.text for span in text)


def extent(marks: Sequence[Mark], which: int) -> tuple[float, float] | None:
    """Lowest and highest coordinate of placed marks along axis 0 or 1; None of nothing."""
    ends: list[float] = []
    for mark in marks:
        found = np.concatenate([np.ravel(each) for each in _along(mark, which)])
        found = found[np.isfinite(found)]
        ends += [float(found.min()), float(found.max())] if len(found) else []
    return (min(ends), max(ends)) if ends else None


def _along(mark: Mark, which: int) -> Sequence[Any]:
    """Coordinates of a mark along axis 0 or 1."""
    if isinstance(mark, Cells | Image):
        shape = np.shape(mark.z if isinstance(mark, Cells) else mark.pixels)
        return (mark.y.edges(shape[0]),) if which else (mark.x.edges(shape[1]),)
    if isinstance(mark, Bars):
        half = mark.thickness / 2 if mark.thickness else 0.0
        return (mark.base, mark.end) if _lengthwise(mark, which) else (mark.at - half, mark.at + half)
    if isinstance(mark, Band):
        return (mark.low, mark.high) if which else (mark.x,)
    return (mark.y if which else mark.x,)


def _lengthwise(bars: Bars, which: int) -> bool:
    return which == (0 if bars.horizontal else 1)


def _placed(panel: Panel) -> Placed:
    kinds = [_kind(axis, panel.marks, which) for which, axis in enumerate((panel.x, panel.y))]
    marks = [_in_coordinates(mark, *kinds) for mark in panel.marks]
    x, y = (_scale(axis, kinds[which], marks, which) for which, axis in enumerate((panel.x, panel.y)))
    notes = [
        replace(
            note,
            x=float(_coordinates([note.x], kinds[0])[0]),
            y=None if note.y is None else float(_coordinates([note.y], kinds[1])[0]),
        )
        for note in panel.notes
    ]
    rules = [
        replace(rule, at=float(_coordinates([rule.at], kinds[rule.horizontal])[0])) for rule in panel.rules
    ]
    return Placed(x, y, marks, panel.heading, notes, rules)


def _kind(axis: Axis, marks: Sequence[Mark], which: int) -> str:
    if axis.kind == "log":
        return "log"
    values = (each for mark in marks if not isinstance(mark, Image) for each in _values(mark, which))
    return "date" if any(_is_date(each) for each in values) else "linear"


def _values(mark: Mark, which: int) -> Sequence[Any]:
    """Values of a mark along axis 0 or 1, before they are placed."""
    if isinstance(mark, Bars):
        return () if _lengthwise(mark, which) else (mark.at,)
    if isinstance(mark, Band):
        return (mark.low,) if which else (mark.x,)
    values = (mark.x, mark.y)[which]
    return () if isinstance(values, Grid) else (values,)


def _is_date(values: Any) -> bool:
    first = next((each for each in np.asarray(values, dtype=object).ravel() if each is not None), None)
    return isinstance(first, np.datetime64 | date) or np.asarray(values).dtype.kind == "M"


def _in_coordinates(mark: Mark, x: str, y: str) -> Mark:
    if isinstance(mark, Cells):
        R, K = np.shape(mark.z)
        z = np.asarray(mark.z, dtype=np.float64)
        return replace(mark, z=z, x=_grid(mark.x, K, x), y=_grid(mark.y, R, y))
    if isinstance(mark, Image):
        return mark
    if isinstance(mark, Bars):
        return _placed_bars(mark, y if mark.horizontal else x)
    at = _coordinates(mark.x, x)
    if isinstance(mark, Band):
        return replace(mark, x=at, low=_coordinates(mark.low, y), high=_coordinates(mark.high, y))
    up = _coordinates(mark.y, y)
    if isinstance(mark, Line) and mark.bridged:
        at, up = at[np.isfinite(up)], up[np.isfinite(up)]
    return replace(mark, x=at, y=up)


def _placed_bars(bars: Bars, kind: str) -> Bars:
    at, size = _coordinates(bars.at, kind), _coordinates(bars.size, "linear")
    gaps = np.diff(np.unique(at))
    thickness = bars.thickness or 0.8 * (float(gaps.min()) if len(gaps) else 1.0)
    base = np.broadcast_to(0.0 if bars.base is None else _coordinates(bars.base, "linear"), at.shape)
    color = [bars.color] * len(at) if isinstance(bars.color, str) else list(bars.color)
    return replace(bars, at=at, size=size, base=base, thickness=thickness, color=color)


def _grid(centers: Any, count: int, kind: str) -> Grid:
    if isinstance(centers, Grid):
        return centers
    at = _coordinates(centers, kind)
    return Grid(float(at[0]), float(at[-1] - at[0]) / (count - 1) if count > 1 else 1.0)


def _coordinates(values: Any, kind: str) -> Values:
    if kind == "date":
        stamps = [np.datetime64("NaT") if each is None else np.datetime64(each) for each in values]
        days = np.array(stamps, dtype="datetime64[us]")
        return np.where(np.isnat(days), np.nan, days.astype(np.int64) / DAY)
    numbers = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if kind != "log":
        return numbers
    return np.log10(np.where(numbers > 0, numbers, np.nan))


def _scale(axis: Axis, kind: str, marks: Sequence[Mark], which: int) -> Scale:
    low, high = _roomy(marks, which) if axis.limits is None else _coordinates(axis.limits, kind)
    if axis.reverse:
        low, high = high, low
    named: list[tuple[float, str]] | None = None
    if axis.ticks is not None:
        at = _coordinates(axis.ticks, kind) if len(axis.ticks) else np.empty(0)
        names = axis.tick_labels if axis.tick_labels is not None else [f"{each:.4g}" for each in at]
        named = [(float(each), name) for each, name in zip(at, names, strict=True)]
    return Scale(
        title=axis.title,
        low=float(low),
        high=float(high),
        kind=kind,
        domain=axis.domain,
        visible=axis.visible,
        grid=axis.grid if axis.grid is not None else which == 1,
        slanted=axis.slanted,
        square=axis.square,
        named=named,
    )


def _roomy(marks: Sequence[Mark], which: int) -> tuple[float, float]:
    """As `extent`, with a little room where marks would touch the edge; bars stand on it."""
    low, high = extent(marks, which) or (0.0, 1.0)
    bars = [mark for mark in marks if isinstance(mark, Bars) and _lengthwise(mark, which)]
    points = [
        mark for mark in marks if isinstance(mark, Points) or (which == 1 and isinstance(mark, Line | Band))
    ]
    room = MARGIN * (high - low or 1.0) if bars or points or low == high else 0.0
    return (low if bars and low == 0 else low - room), (high if bars and high == 0 else high + room)
