"""A figure in letters, for a terminal of 80 columns: lines as rows of blocks, bars, and cells in shades."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regen.figures._axes import Axis
from regen.figures._panels import Bars, Cells, Line, Panel, panels
from regen.figures.render.words import table_of_cells

__all__ = ["sketch"]

BLOCKS, SHADES, EIGHTHS = "▁▂▃▄▅▆▇█", " ░▒▓█", " ▏▎▍▌▋▊▉█"
WIDTH, NAME, MOST = 80, 20, 12
"""Columns of a terminal, of a name at most, and rows of one kind."""
POINTS = (64, 16)
"""Columns and rows of a map of points."""

Values = NDArray[np.float64]


def sketch(figure: Any) -> list[str]:
    """A plotly figure as lines of text, none longer than 80 letters.

    Of a line each block is the mean of as many steps; the ends of its values stand beside it, and all lines of a
    panel are drawn to one scale. Cells are means, too. What there is no room for is counted.
    """
    return [row.rstrip()[:WIDTH] for panel in panels(figure) for row in _panel(panel)]


def _panel(panel: Panel) -> Iterator[str]:
    lines = [m for m in panel.marks if isinstance(m, Line) and not m.filled and np.isfinite(m.y).any()]
    drawn = [line for line in lines if line.drawn]
    bars = [mark for mark in panel.marks if isinstance(mark, Bars)]
    cells = [mark for mark in panel.marks if isinstance(mark, Cells)]
    if bars and not bars[0].lying:
        rows = [Line(each.name, each.at, each.end - each.base, "") for each in bars]
        yield from _lines(rows, panel)
    elif bars:
        yield from _bars(bars, panel)
    elif drawn:
        yield from _lines(drawn, panel)
    elif lines:
        yield from _points(lines, panel)
    elif cells:
        yield from _cells(cells[-1], panel)


def _lines(lines: Sequence[Line], panel: Panel) -> Iterator[str]:
    values = np.concatenate([line.y[np.isfinite(line.y)] for line in lines])
    low, high = float(values.min()), float(values.max())
    start = min(float(np.nanmin(line.x)) for line in lines)
    end = max(float(np.nanmax(line.x)) for line in lines)
    shown = lines[:MOST]
    wide = min(max(len(line.name) for line in shown), NAME)
    ends = [f"{panel.y.words(np.nanmin(line.y))} to {panel.y.words(np.nanmax(line.y))}" for line in shown]
    room = WIDTH - wide - 2 - max(map(len, ends)) - 2
    edges = np.linspace(start, end, room + 1) if end > start else np.array([start, start + 1])
    back = -1 if panel.x.low > panel.x.high else 1
    for line, words in zip(shown, ends, strict=True):
        row = "".join(_block(each, low, high) for each in _means(line.x, line.y, edges)[::back])
        yield f"{line.name[:wide]:<{wide}}  {row.ljust(room)}  {words}"
    yield from _left_out(len(lines), "lines")
    yield _below(wide + 2, room, panel.x, *(start, end)[::back])


def _block(value: float, low: float, high: float) -> str:
    if not np.isfinite(value):
        return " "
    return BLOCKS[round(7 * (value - low) / ((high - low) or 1.0))]


def _means(x: Values, y: Values, edges: Values) -> Values:
    """Mean of y between every two edges; where no x lies between them, y along the line, inside its ends."""
    there = np.isfinite(x) & np.isfinite(y)
    x, y = x[there], y[there]
    place = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
    total, count = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1)
    np.add.at(total, place, y)
    np.add.at(count, place, 1)
    middles = (edges[:-1] + edges[1:]) / 2
    order = np.argsort(x, kind="stable")
    near = np.interp(middles, x[order], y[order], left=np.nan, right=np.nan)
    return np.where(count > 0, total / np.maximum(count, 1), near)


def _below(indent: int, room: int, axis: Axis, start: float, end: float) -> str:
    """The ends of the axis and its name, under what was drawn."""
    left, right = axis.words(start), axis.words(end)
    middle = axis.title[: max(room - len(left) - len(right) - 2, 0)]
    return " " * indent + left + middle.center(room - len(left) - len(right)) + right


def _bars(bars: Sequence[Bars], panel: Panel) -> Iterator[str]:
    most = max(float(np.nanmax(np.abs(each.end - each.base), initial=0.0)) for each in bars) or 1.0
    for each in bars:
        along, up = (panel.y, panel.x) if each.lying else (panel.x, panel.y)
        sizes = each.end - each.base
        if len(np.unique(each.at)) == 1 < len(each.at):  # one after the other in a strip
            yield f"{each.name}: {len(sizes)}, of {up.words(sizes.min())} to {up.words(sizes.max())} {up.title}"
            continue
        names = [along.words(float(place)) for place in each.at]
        wide = min(max(map(len, names)), NAME)
        words = [up.words(float(size)) for size in sizes]
        room = WIDTH - wide - max(map(len, words)) - 4
        yield up.title if each.name in ("", up.title) else f"{each.name} ({up.title})"
        for name, size, word in list(zip(names, sizes, words, strict=True))[:MOST]:
            yield f"{name[:wide]:>{wide}}  {_bar(room * abs(float(size)) / most)} {word}"
        yield from _left_out(len(names), "bars")


def _bar(length: float) -> str:
    if not np.isfinite(length):
        return ""
    eighths = round(8 * length)
    return EIGHTHS[8] * (eighths // 8) + (EIGHTHS[eighths % 8] if eighths % 8 else "")


def _points(lines: Sequence[Line], panel: Panel) -> Iterator[str]:
    """Points on a plane: their word's first letter, or dots, larger where several lie."""
    columns, rows = POINTS
    grid = np.full((rows, columns), " ")
    for line in lines:
        k = _place(panel.x, line.x, columns)
        r = rows - 1 - _place(panel.y, line.y, rows)
        for at, (row, column) in enumerate(zip(r, k, strict=True)):
            if 0 <= row < rows and 0 <= column < columns:
                dots = {" ": "·", "·": "•"}.get(str(grid[row, column]), "●")
                grid[row, column] = line.texts[at][:1] or dots if line.texts else dots
    for row in grid:
        yield "│" + "".join(row)
    yield "└" + "─" * columns
    named = [f"{axis.title} {way}" for axis, way in ((panel.x, "across"), (panel.y, "upwards")) if axis.title]
    yield from [f" {', '.join(named)}"] if named else []


def _place(axis: Axis, values: Values, count: int) -> NDArray[np.int64]:
    share = axis.share(values)
    return np.where(np.isfinite(share), np.floor(np.nan_to_num(share) * (count - 1e-9)), -1).astype(np.int64)


def _cells(cells: Cells, panel: Panel) -> Iterator[str]:
    if cells.texts is not None:
        yield from _table(*table_of_cells(cells, panel))
    elif cells.pictured:
        yield from _picture(cells)
    else:
        yield from _shaded(cells, panel)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Numbers below the names of their columns, those of more letters cut."""
    room = max(3, min(NAME, (WIDTH - NAME) // max(len(head) - 1, 1) - 2))
    for row in (head, *rows):
        yield f"{row[0][:NAME]:<{NAME}}" + "".join(f"  {cell[:room]:>{room}}" for cell in row[1:])


def _picture(cells: Cells) -> Iterator[str]:
    """Every second row of pixels, for a letter is twice as high as wide."""
    for row in cells.z[: 6 * MOST : 2, :WIDTH]:
        yield "".join(_shade(value, cells.limits) for value in row)


def _shaded(cells: Cells, panel: Panel) -> Iterator[str]:
    down = panel.y.low > panel.y.high
    z, up = (cells.z, cells.places[1]) if down else (cells.z[::-1], cells.places[1][::-1])
    z = z if panel.x.low < panel.x.high else z[:, ::-1]
    names = [panel.y.words(float(place)) if panel.y.visible else "" for place in up]
    wide = min(max(map(len, names)), NAME)
    room = WIDTH - wide - 2
    z = _shrunk(z.T, min(room, z.shape[1])).T
    low, high = (f"{limit:.3g}" for limit in cells.limits)
    yield f"{cells.name or cells.key}: {low} is '{SHADES[0]}', {high} is '{SHADES[-1]}'"
    repeat = 2 if panel.y.square else max(room // z.shape[1], 1)
    for name, row in list(zip(names, z, strict=True))[:MOST]:
        yield f"{name[:wide]:>{wide}}  " + "".join(_shade(value, cells.limits) * repeat for value in row)
    yield from _left_out(len(z), "rows")
    if panel.x.visible and panel.x.title:
        yield f"across: {panel.x.title}"


def _shade(value: float, limits: tuple[float, float]) -> str:
    if not np.isfinite(value):
        return SHADES[0]
    share = (value - limits[0]) / ((limits[1] - limits[0]) or 1.0)
    return SHADES[int(np.clip(round(4 * share), 0, 4))]


def _shrunk(rows: Values, count: int) -> Values:
    """(n, K) as (count, K), each row the mean of those that it stands for."""
    parts = np.array_split(np.arange(len(rows)), count)
    return np.stack([rows[part].mean(axis=0) for part in parts])


def _left_out(count: int, what: str) -> Iterator[str]:
    if count > MOST:
        yield f"... and {count - MOST} more {what}"
