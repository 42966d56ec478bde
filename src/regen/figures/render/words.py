"""A figure in words and in a table: what one hears who does not see it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from regen.figures._axes import Axis
from regen.figures._panels import Bars, Cells, Line, Panel, panels, plain, reach

__all__ = ["describe", "numbers", "table_of_cells"]

ROWS, COLUMNS = 24, 8
"""Of a table of numbers, at most; of more, as many are taken evenly."""


def describe(figure: Any) -> str:
    """What a plotly figure shows, in a few sentences: its axes with their ends, and what is drawn."""
    sentences = [plain(figure.layout.title.text)] if figure.layout.title.text else []
    for panel in panels(figure):
        names = [mark.name for mark in panel.marks if mark.name]
        sentences.append(_kind(panel) + (f": {_listed(names)}" if names else ""))
        sentences += [
            f"{where}: {_words(axis, reach(panel.marks, which))}"
            for which, (where, axis) in enumerate((("Across", panel.x), ("Upwards", panel.y)))
            if axis.visible and axis.title
        ]
    return ". ".join(" ".join(each.split()).rstrip(".") for each in sentences if each.strip()) + "."


def numbers(figure: Any) -> list[tuple[list[str], list[list[str]]]]:
    """What a plotly figure shows, as tables: for each panel the names of columns, and rows of text.

    Of more than 24 rows or 8 columns as many are taken evenly, the first and the last among them.
    """
    return [table for panel in panels(figure) for table in _tables(panel)]


def _listed(names: Sequence[str]) -> str:
    shown = list(dict.fromkeys(names))
    return ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")


def _kind(panel: Panel) -> str:
    first = panel.marks[-1]
    if isinstance(first, Cells):
        return "Pictures" if first.pictured else "A map in colours"
    if isinstance(first, Bars):
        return "Bars"
    drawn = any(isinstance(mark, Line) and mark.drawn for mark in panel.marks)
    return "Lines" if drawn else "Points"


def _words(axis: Axis, ends: tuple[float, float] | None) -> str:
    low, high = ends or sorted((axis.low, axis.high))
    if axis.named is not None and len(axis.named) and axis.kind == "linear":
        return axis.title
    scale = ", logarithmic" if axis.kind == "log" else ""
    return f"{axis.title}, {axis.words(low)} to {axis.words(high)}{scale}"


def _tables(panel: Panel) -> list[tuple[list[str], list[list[str]]]]:
    cells = [mark for mark in panel.marks if isinstance(mark, Cells) and not mark.pictured]
    if cells:
        return [table_of_cells(each, panel) for each in cells]
    lines = [mark for mark in panel.marks if isinstance(mark, Line) and not mark.filled and len(mark.x)]
    bars = [mark for mark in panel.marks if isinstance(mark, Bars) and len(mark.at)]
    if bars:
        along, up = (panel.y, panel.x) if bars[0].lying else (panel.x, panel.y)
        columns = [
            (each.name, dict(zip(each.at.tolist(), (each.end - each.base).tolist(), strict=True)))
            for each in bars
        ]
        return [_of_columns(along, up, columns)]
    drawn = [each for each in lines if each.drawn]
    if drawn:
        return [
            _of_columns(
                panel.x,
                panel.y,
                [(e.name, dict(zip(e.x.tolist(), e.y.tolist(), strict=True))) for e in drawn],
            )
        ]
    return [_of_points(lines, panel)] if lines else []


def _of_columns(
    along: Axis, up: Axis, columns: Sequence[tuple[str, dict[float, float]]]
) -> tuple[list[str], list[list[str]]]:
    """A row for each place, a column for each line."""
    places = sorted({place for _, column in columns for place in column if np.isfinite(place)})
    head = [along.title or "place", *(name or up.title or "value" for name, _ in columns[:COLUMNS])]
    rows = [
        [along.words(place), *(up.words(column.get(place, np.nan)) for _, column in columns[:COLUMNS])]
        for place in _some(places, ROWS)
    ]
    return head, rows


def _of_points(lines: Sequence[Line], panel: Panel) -> tuple[list[str], list[list[str]]]:
    points = [
        (line.name, panel.x.words(x), panel.y.words(y))
        for line in lines
        for x, y in zip(line.x.tolist(), line.y.tolist(), strict=True)
    ]
    head = ["name", panel.x.title or "across", panel.y.title or "upwards"]
    return head, [list(each) for each in _some(points, ROWS)]


def table_of_cells(cells: Cells, panel: Panel) -> tuple[list[str], list[list[str]]]:
    """Names of the columns and rows of text, at most 8 and 24 of them."""
    across, up = cells.places
    columns, rows = _some(range(len(across)), COLUMNS), _some(range(len(up)), ROWS)
    head = [f"{panel.y.title or 'row'} \\ {panel.x.title or 'column'}"]
    shown = cells.z if cells.texts is None else cells.texts
    return head + [panel.x.words(across[k]) for k in columns], [
        [panel.y.words(up[r]), *(_cell(shown[r][k]) for k in columns)] for r in rows
    ]


def _cell(value: Any) -> str:
    return plain(value) if isinstance(value, str) else "" if not np.isfinite(value) else f"{value:.3g}"


def _some(rows: Sequence[Any], most: int) -> list[Any]:
    """At most so many of the rows, evenly, with the first and the last."""
    if len(rows) <= most:
        return list(rows)
    return [rows[k] for k in np.linspace(0, len(rows) - 1, most).round().astype(int)]
