"""Sections as plain text for a terminal of 80 columns: paragraphs, small charts in letters, and tables."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from textwrap import wrap

from regen import figures
from regen.report.page import Picture, Section, Table

__all__ = ["aligned", "text_report"]

WIDTH = 80
SHORT = 16
"""Rows of a table, at most."""


def text_report(sections: Iterable[Section]) -> str:
    """The same sections that `page` shows, as text.

    Parameters
    ----------
    sections : iterable of Section
        Their charts are drawn in letters, and their tables cut to what there is room for.

    Returns
    -------
    str
        Of lines of at most 80 letters.
    """
    return "\n".join(line for section in sections for line in _section(section)).rstrip()


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows of text in columns, those of numbers aligned to the right; a rule under the first."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for k, row in enumerate(rows):
        cells = [
            cell.rjust(width) if any(other[c][:1].isdigit() for other in rows) else cell.ljust(width)
            for c, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
        if k == 0:
            yield "  ".join("-" * width for width in widths)


def _section(section: Section) -> Iterator[str]:
    yield section.heading.upper()
    for part in [section.text] if isinstance(section.text, str) else section.text:
        yield from _wrapped(part)
    for each in section.content:
        yield ""
        yield from _table(each) if isinstance(each, Table) else _picture(each)
    yield ""
    yield ""


def _picture(picture: Picture) -> Iterator[str]:
    yield from figures.text(picture.figure)
    yield from _wrapped(picture.caption)


def _table(table: Table) -> Iterator[str]:
    rows = [[str(cell).replace("`", "") for cell in row] for row in (table.columns, *table.rows[:SHORT])]
    widths = [2 + max(map(len, column)) for column in zip(*rows, strict=True)]
    fit = max(1, sum(end <= WIDTH + 2 for end in accumulate(widths)))
    yield from (line[:WIDTH] for line in aligned([row[:fit] for row in rows]))
    for left, what in ((len(table.rows) - SHORT, "rows"), (len(table.columns) - fit, "columns")):
        if left > 0:
            yield f"... and {left} more {what}"
    yield from _wrapped(table.caption)


def _wrapped(text: str) -> list[str]:
    return wrap(text.replace("`", ""), WIDTH)
