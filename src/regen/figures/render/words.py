"""A chart in words and as a table, for readers who do not see it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from regen.figures.marks import Band, Bars, Cells, Drawing, Image, Line, Points
from regen.figures.render._layout import Placed, extent, in_words, place
from regen.figures.render._scales import Scale

__all__ = ["describe", "numbers", "table_of_cells"]

ROWS, COLUMNS = 24, 8
"""The most that a table has; of more, as many are taken evenly."""


def describe(chart: Drawing) -> str:
    """What a chart shows, in a few sentences.

    Parameters
    ----------
    chart : Chart
        What one of the functions of `regen.figures`, or ``plot()`` of a finding, returns.

    Returns
    -------
    str
        The title, the kind and the names of the marks, and both axes with their ends.

    See Also
    --------
    regen.figures.text : The chart drawn with characters.

    Examples
    --------
    >>> from regen import figures
    >>> figures.describe(figures.loss_per_step([3.0, 2.0, 1.0]))
    'Lines. Across: time steps, 1 to 3. Upwards: mean loss, 1 to 3.'
    """
    panels = place(chart)
    sentences = [in_words(chart.title)] if chart.title else []
    for panel in panels:
        names = [mark.name for mark in panel.marks if mark.name]
        sentences.append(_kind(panel) + (f": {_listed(names)}" if names else ""))
        sentences += [
            f"{where}: {_axis(axis, extent(panel.marks, which))}"
            for which, (where, axis) in enumerate((("Across", panel.x), ("Upwards", panel.y)))
            if axis.visible and axis.title
        ]
    return ". ".join(" ".join(each.split()).rstrip(".") for each in sentences if each.strip()) + "."


def numbers(chart: Drawing) -> list[tuple[list[str], list[list[str]]]]:
    """The values of a chart as tables.

    Parameters
    ----------
    chart : Chart
        What one of the functions of `regen.figures`, or ``plot()`` of a finding, returns.

    Returns
    -------
    list of (list of str, list of list of str)
        For each panel the names of its columns, and its rows. Of more than 24 rows or 8 columns as many are taken
        evenly, the first and the last among them. Images have no table.

    See Also
    --------
    regen.figures.describe : The chart as a sentence.

    Examples
    --------
    >>> from regen import figures
    >>> figures.numbers(figures.loss_per_step([3.0, 2.0]))
    [(['time steps', 'mean loss'], [['1', '3'], ['2', '2']])]
    """
    return [table for panel in place(chart) for table in _tables(panel)]


def _listed(names: Sequence[str]) -> str:
    shown = list(dict.fromkeys(names))
    return ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")


def _kind(panel: Placed) -> str:
    if not panel.marks:
        return "Nothing drawn"
    front = panel.marks[-1]
    if isinstance(front, Image) or (isinstance(front, Cells) and front.pictured):
        return "Pictures"
    if isinstance(front, Cells):
        return "A map in colours"
    if isinstance(front, Bars):
        return "Bars"
    drawn = any(isinstance(mark, Line | Band) for mark in panel.marks)
    return "Lines" if drawn else "Points"


def _axis(axis: Scale, ends: tuple[float, float] | None) -> str:
    low, high = ends or sorted((axis.low, axis.high))
    if axis.named is not None and len(axis.named) and axis.kind == "linear":
        return axis.title
    scale = ", logarithmic" if axis.kind == "log" else ""
    return f"{axis.title}, {axis.label(low)} to {axis.label(high)}{scale}"


def _tables(panel: Placed) -> list[tuple[list[str], list[list[str]]]]:
    cells = [mark for mark in panel.marks if isinstance(mark, Cells) and not mark.pictured]
    if cells:
        return [table_of_cells(each, panel) for each in cells]
    lines = [mark for mark in panel.marks if isinstance(mark, Line) and len(mark.x)]
    points = [mark for mark in panel.marks if isinstance(mark, Points) and len(mark.x)]
    bars = [mark for mark in panel.marks if isinstance(mark, Bars) and len(mark.at)]
    if bars:
        along, up = (panel.y, panel.x) if bars[0].horizontal else (panel.x, panel.y)
        columns = [
            (each.name, dict(zip(each.at.tolist(), (each.end - each.base).tolist(), strict=True)))
            for each in bars
        ]
        return [_of_columns(along, up, columns)]
    if lines:
        return [
            _of_columns(
                panel.x,
                panel.y,
                [(e.name, dict(zip(e.x.tolist(), e.y.tolist(), strict=True))) for e in lines],
            )
        ]
    return [_of_points(points, panel)] if points else []


def _of_columns(
    along: Scale, up: Scale, columns: Sequence[tuple[str, dict[float, float]]]
) -> tuple[list[str], list[list[str]]]:
    """A row for each position, a column for each line."""
    places = sorted({place for _, column in columns for place in column if np.isfinite(place)})
    head = [along.title or "place", *(name or up.title or "value" for name, _ in columns[:COLUMNS])]
    rows = [
        [along.label(place), *(up.label(column.get(place, np.nan)) for _, column in columns[:COLUMNS])]
        for place in _some(places, ROWS)
    ]
    return head, rows


def _of_points(marks: Sequence[Points], panel: Placed) -> tuple[list[str], list[list[str]]]:
    points = [
        (mark.name, panel.x.label(x), panel.y.label(y))
        for mark in marks
        for x, y in zip(mark.x.tolist(), mark.y.tolist(), strict=True)
    ]
    head = ["name", panel.x.title or "across", panel.y.title or "upwards"]
    return head, [list(each) for each in _some(points, ROWS)]


def table_of_cells(cells: Cells, panel: Placed) -> tuple[list[str], list[list[str]]]:
    """Names of the columns and rows of text, at most 8 and 24 of them."""
    across, up = cells.x.centers(np.shape(cells.z)[1]), cells.y.centers(len(cells.z))
    columns, rows = _some(range(len(across)), COLUMNS), _some(range(len(up)), ROWS)
    head = [f"{panel.y.title or 'row'} \\ {panel.x.title or 'column'}"]
    shown = cells.z if cells.labels is None else cells.labels
    return head + [panel.x.label(across[k]) for k in columns], [
        [panel.y.label(up[r]), *(_cell(shown[r][k]) for k in columns)] for r in rows
    ]


def _cell(value: Any) -> str:
    return str(value) if isinstance(value, str) else "" if not np.isfinite(value) else f"{value:.3g}"


def _some(rows: Sequence[Any], most: int) -> list[Any]:
    """At most `most` of the rows, evenly spaced, with the first and the last."""
    if len(rows) <= most:
        return list(rows)
    return [rows[k] for k in np.linspace(0, len(rows) - 1, most).round().astype(int)]
