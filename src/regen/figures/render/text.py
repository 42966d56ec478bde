"""A chart in letters, for a terminal of 80 columns: lines as rows of blocks, bars, and cells in shades."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from regen.figures.marks import Bars, Cells, Drawing, Image, Line, Points
from regen.figures.render._layout import Placed, place
from regen.figures.render._scales import Scale
from regen.figures.render.words import table_of_cells

__all__ = ["text"]

BLOCKS, SHADES, EIGHTHS = "▁▂▃▄▅▆▇█", " ░▒▓█", " ▏▎▍▌▋▊▉█"
WIDTH, NAME, MOST = 80, 20, 12
"""Columns of a terminal, of a name at most, and rows of one kind."""
POINTS = (64, 16)
"""Columns and rows of a map of points."""

Values = NDArray[np.float64]


def text(chart: Drawing) -> list[str]:
    """A chart as lines of text.

    Each block of a line is the mean of several steps; the ends of its values follow it, and all lines of a panel
    have one scale. Shades of cells are means, too. What there is no room for is counted.

    Parameters
    ----------
    chart : Chart
        What one of the functions of `regen.figures`, or ``plot()`` of a finding, returns.

    Returns
    -------
    list of str
        None of them longer than 80 letters.

    See Also
    --------
    regen.figures.describe : The chart as a sentence.

    Examples
    --------
    >>> from regen import figures
    >>> print(figures.text(figures.loss_per_step({"a": [3.0, 2.0, 1.0]}))[1].split())
    ['1', 'time', 'steps', '3']
    """
    return [row.rstrip()[:WIDTH] for panel in place(chart) for row in _panel(panel)]


def _panel(panel: Placed) -> Iterator[str]:
    lines = [mark for mark in panel.marks if isinstance(mark, Line) and np.isfinite(mark.y).any()]
    points = [mark for mark in panel.marks if isinstance(mark, Points) and np.isfinite(mark.y).any()]
    bars = [mark for mark in panel.marks if isinstance(mark, Bars)]
    cells = [mark for mark in panel.marks if isinstance(mark, Cells | Image)]
    if bars and not bars[0].horizontal:
        yield from _lines([Line(each.at, each.size, name=each.name) for each in bars], panel)
    elif bars:
        yield from _bars(bars, panel)
    elif lines:
        yield from _lines(lines, panel)
    elif points:
        yield from _points(points, panel)
    elif cells:
        yield from _cells(cells[-1], panel)


def _lines(lines: Sequence[Line], panel: Placed) -> Iterator[str]:
    values = np.concatenate([line.y[np.isfinite(line.y)] for line in lines])
    low, high = float(values.min()), float(values.max())
    start = min(float(np.nanmin(line.x)) for line in lines)
    end = max(float(np.nanmax(line.x)) for line in lines)
    shown = lines[:MOST]
    wide = min(max(len(line.name) for line in shown), NAME)
    ends = [f"{panel.y.label(np.nanmin(line.y))} to {panel.y.label(np.nanmax(line.y))}" for line in shown]
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


def _below(indent: int, room: int, axis: Scale, start: float, end: float) -> str:
    """The ends of the axis and its title, under the lines."""
    left, right = axis.label(start), axis.label(end)
    middle = axis.title[: max(room - len(left) - len(right) - 2, 0)]
    return " " * indent + left + middle.center(room - len(left) - len(right)) + right


def _bars(bars: Sequence[Bars], panel: Placed) -> Iterator[str]:
    most = max(float(np.nanmax(np.abs(each.size), initial=0.0)) for each in bars) or 1.0
    for each in bars:
        along, up = (panel.y, panel.x) if each.horizontal else (panel.x, panel.y)
        sizes = each.size
        if len(np.unique(each.at)) == 1 < len(each.at):  # one after the other in one row
            yield f"{each.name}: {len(sizes)}, of {up.label(sizes.min())} to {up.label(sizes.max())} {up.title}"
            continue
        names = [along.label(float(place)) for place in each.at]
        wide = min(max(map(len, names)), NAME)
        words = [up.label(float(size)) for size in sizes]
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


def _points(points: Sequence[Points], panel: Placed) -> Iterator[str]:
    """Points on a plane: the first letter of their label, or dots, larger where several lie."""
    columns, rows = POINTS
    grid = np.full((rows, columns), " ")
    for each in points:
        k = _bins(panel.x, each.x, columns)
        r = rows - 1 - _bins(panel.y, each.y, rows)
        for row, column in zip(r, k, strict=True):
            if 0 <= row < rows and 0 <= column < columns:
                dots = {" ": "·", "·": "•"}.get(str(grid[row, column]), "●")
                grid[row, column] = each.label[:1] or dots
    for row in grid:
        yield "│" + "".join(row)
    yield "└" + "─" * columns
    named = [f"{axis.title} {way}" for axis, way in ((panel.x, "across"), (panel.y, "upwards")) if axis.title]
    yield from [f" {', '.join(named)}"] if named else []


def _bins(axis: Scale, values: Values, count: int) -> NDArray[np.int64]:
    share = axis.share(values)
    return np.where(np.isfinite(share), np.floor(np.nan_to_num(share) * (count - 1e-9)), -1).astype(np.int64)


def _cells(cells: Cells | Image, panel: Placed) -> Iterator[str]:
    if isinstance(cells, Image):
        yield from _picture(cells.darkness, (0.0, 1.0))
    elif cells.labels is not None:
        yield from _table(*table_of_cells(cells, panel))
    elif cells.pictured:
        yield from _picture(cells.z, cells.limits)
    else:
        yield from _shaded(cells, panel)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Numbers below the names of their columns, shortened where there is no room."""
    room = max(3, min(NAME, (WIDTH - NAME) // max(len(head) - 1, 1) - 2))
    for row in (head, *rows):
        yield f"{row[0][:NAME]:<{NAME}}" + "".join(f"  {cell[:room]:>{room}}" for cell in row[1:])


def _picture(pixels: Values, limits: tuple[float, float]) -> Iterator[str]:
    """Every second row of pixels, because a letter is twice as high as wide."""
    for row in pixels[: 6 * MOST : 2, :WIDTH]:
        yield "".join(_shade(value, limits) for value in row)


def _shaded(cells: Cells, panel: Placed) -> Iterator[str]:
    down = panel.y.low > panel.y.high
    z, up = cells.z, cells.y.centers(len(cells.z))
    z, up = (z, up) if down else (z[::-1], up[::-1])
    z = z if panel.x.low < panel.x.high else z[:, ::-1]
    names = [panel.y.label(float(place)) if panel.y.visible else "" for place in up]
    wide = min(max(map(len, names)), NAME)
    room = WIDTH - wide - 2
    z = _shrunk(z.T, min(room, z.shape[1])).T
    low, high = (f"{limit:.3g}" for limit in cells.limits)
    yield f"{cells.name or cells.key or ''}: {low} is '{SHADES[0]}', {high} is '{SHADES[-1]}'"
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
    """(n, K) as (count, K), each row the mean of several."""
    parts = np.array_split(np.arange(len(rows)), count)
    return np.stack([rows[part].mean(axis=0) for part in parts])


def _left_out(count: int, what: str) -> Iterator[str]:
    if count > MOST:
        yield f"... and {count - MOST} more {what}"
