"""Charts of which others are made: lines named at their ends, horizontal bars, and the rows of a table in shades."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regen.figures.chart import Chart
from regen.figures.marks import Axis, Bars, Cells, Line, Note, Panel
from regen.figures.style import COLORS, TWO_SIDED, shortened

__all__ = ["BARS", "LETTERS", "horizontal_bars", "labelled_lines", "log_axis", "table_of_rows", "with_panel"]

BARS = 24
"""The most bars with names that can be read."""
LETTERS = 16
"""Of a name at the edge of a chart; longer ones leave no room for the chart on a phone."""
SPACING = 0.085
"""Least distance between two labels, as a share of the height of the axis."""

Values = NDArray[np.float64]


def with_panel(chart: Chart, **changes: Any) -> Chart:
    """A chart of one panel, with some of the panel changed."""
    (panel,) = chart.panels
    return replace(chart, panels=[replace(panel, **changes)])


def labelled_lines(
    lines: Mapping[str, tuple[Values, Values]],
    titles: tuple[str, str],
    *,
    log: bool = False,
    marker: float = 0.0,
    bridged: Sequence[str] = (),
) -> Chart:
    """Lines with their names at their right ends, moved apart where they would touch.

    titles : of both axes. bridged : names of the lines that missing values do not break.
    """
    span = _span(np.concatenate([y for _, y in lines.values()]), log)
    marks, ends = [], {}
    for k, (name, (x, y)) in enumerate(lines.items()):
        color = COLORS[k % len(COLORS)]
        marks.append(
            Line(
                x,
                y,
                name=name,
                color=color,
                width=2.2,
                marker=marker,
                bridged=name in bridged,
                clipped=False,
                hover="{y:.4g}",
            )
        )
        last = y[np.isfinite(y)][-1:] if np.isfinite(y).any() else np.array([1.0])
        ends[name] = (float(x[-1]), float(np.log10(last[0]) if log else last[0]), color)
    places = _apart([place for _, place, _ in ends.values()], SPACING * (span[1] - span[0]))
    notes = [
        Note(name, x, 10**place if log else place, color=color, anchor="left", shift=7)
        for (name, (x, _, color)), place in zip(ends.items(), places, strict=True)
    ]
    reach = [float(x[at]) for x, _ in lines.values() for at in (0, -1)]
    across = Axis(titles[0], limits=(min(reach), max(reach)) if max(reach) > min(reach) else None)
    up = log_axis(titles[1], *span) if log else Axis(titles[1], limits=span)
    return Chart([Panel(across, up, marks, notes=notes)], margins={"r": 20 + 8 * max(map(len, lines))})


def _span(values: Values, log: bool) -> tuple[float, float]:
    """The ends of the vertical axis, as logarithms of a logarithmic one."""
    values = values[np.isfinite(values) & (values > 0 if log else True)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    low, high = (np.log10(low), np.log10(high)) if log else (min(low, 0.0), high)
    edge = 0.06 * (high - low or 1.0)
    return low - (edge if log or low < 0 else 0.0), high + edge


def log_axis(title: str, low: float, high: float) -> Axis:
    """A logarithmic axis from 10**low to 10**high: ticks at 1, 2, 5 of each decade; fewer of many, more of a part."""
    every = max(1, round((high - low) / 5))
    powers = 10.0 ** np.arange(np.floor(low), np.ceil(high) + 1, every)
    within = np.arange(1.0, 10.0) if high - low < 0.8 else [1.0, 2.0, 5.0] if high - low < 3 else [1.0]
    ticks = np.outer(powers, within).ravel()
    ticks = ticks[(ticks >= 10**low) & (ticks <= 10**high)]
    limits = (float(10.0**low), float(10.0**high))
    return Axis(title, kind="log", limits=limits, ticks=ticks, tick_labels=[f"{tick:g}" for tick in ticks])


def _apart(places: Sequence[float], gap: float) -> list[float]:
    """`places` moved as little as it takes to be at least `gap` apart, their order kept."""
    order = np.argsort(places, kind="stable")
    steps = gap * np.arange(len(places))
    blocks: list[list[float]] = []
    for each in np.asarray(places)[order] - steps:  # pool neighbours that would touch into one block
        blocks.append([each])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    moved = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks]) + steps
    found = np.empty(len(places))
    found[order] = moved
    return [float(each) for each in found]


def horizontal_bars(
    names: Sequence[str], sizes: NDArray[Any], color: str | Sequence[str], title: str
) -> Chart:
    """Bars below each other, with a name each; the first on top.

    sizes : (n,), in the order of the names.
    """
    at = np.arange(len(names))
    bars = Bars(
        at,
        sizes,
        name=title,
        color=color,
        horizontal=True,
        labels=[f"{size:.3g}" for size in sizes],
        clipped=False,
        hover="{x:.4g}",
    )
    labels = [shortened(name, LETTERS) for name in names]
    x, y = Axis(title, from_zero=True), Axis(ticks=at, tick_labels=labels, reverse=True, grid=False)
    if np.nanmin(sizes, initial=0.0) < 0:  # room for numbers at both ends
        low, high = float(np.nanmin(sizes)), max(float(np.nanmax(sizes)), 0.0)
        x = Axis(title, limits=(low - 0.3 * (high - low), high + 0.1 * (high - low)))
    return Chart([Panel(x, y, [bars])], height=100 + 22 * len(names), margins={"r": 56}, hover="nearest")


def table_of_rows(values: NDArray[Any], columns: Sequence[str], names: Sequence[str]) -> Chart:
    """Rows of a table as shades of their columns.

    values : (m, E) in standard deviations.
    """
    limit = min(float(np.nanmax(np.abs(values), initial=1e-9)), 3)
    cells = Cells(
        np.clip(values, -3, 3),
        limits=(-limit, limit),
        scale=TWO_SIDED,
        key="sd",
        name="rows",
        notes=np.broadcast_to(np.array(columns, dtype=object), values.shape),
        hover="{note}: {z:.2f} standard deviations",
    )
    labels = [shortened(name, LETTERS) for name in columns]
    x = Axis("column", ticks=np.arange(len(columns)), tick_labels=labels, slanted=True)
    y = Axis(ticks=np.arange(len(names)), tick_labels=names, reverse=True, grid=False)
    return Chart([Panel(x, y, [cells])], height=120 + 20 * len(values), hover="nearest")
