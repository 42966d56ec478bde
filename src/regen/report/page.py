"""One page of results: a single HTML file that opens offline, on a phone too, and can be printed.

Everything is inside: text, tables, figures, the style, and plotly.js once, compressed, from the installed package.
Every figure is a drawing that needs no JavaScript; where there is some, plotly's interactive figure takes its place
when it comes into view. The page forbids the browser every request to the network.
"""

import gzip
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from os import PathLike
from pathlib import Path
from re import fullmatch, sub
from typing import Any, final

from regen import figures
from regen._files import atomic_write
from regen.figures.render.plotly import plotly_script
from regen.report._look import DRAW, STYLE

__all__ = ["Link", "Picture", "Section", "Table", "page"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"
"""The page may fetch nothing."""
WIDE, NARROW = 760, 520
"""Pixels across of a drawing that is alone in its row, and of one of two."""


@final
@dataclass(frozen=True)
class Picture:
    """A figure of a page.

    Parameters
    ----------
    figure : Chart
        What the functions of `regen.figures` return.
    caption : str, default=""
        How to read it.
    wide : bool, default=True
        Alone in its row; else two stand side by side where the screen is wide enough.
    """

    figure: figures.Chart
    caption: str = ""
    wide: bool = True


@final
@dataclass(frozen=True)
class Table:
    """A table of a page; numbers are aligned to the right.

    Parameters
    ----------
    columns : sequence of str
        Their names.
    rows : sequence of sequences
        As many values each, as text or numbers, as they are shown.
    caption : str, default=""
        Below the table.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""


@final
@dataclass(frozen=True)
class Link:
    """A link to another page.

    Parameters
    ----------
    text : str
        What is shown.
    address : str
        Of the page relative to this one, such as ``lstm/report.html``.
    """

    text: str
    address: str


@final
@dataclass(frozen=True)
class Section:
    """A part of a page.

    Parameters
    ----------
    heading : str
        A few words.
    text : str or sequence of str, default=()
        A paragraph, or several, of plain text; what stands between backquotes is shown as code.
    content : sequence of Picture or Table, default=()
        In the order to be shown.
    links : sequence of Link, default=()
        After the text.
    """

    heading: str
    text: str | Sequence[str] = ()
    content: Sequence[Picture | Table] = ()
    links: Sequence[Link] = ()


def page(
    title: str,
    sections: Iterable[Section],
    path: str | PathLike[str],
    *,
    lead: str | Sequence[str] = (),
    foot: str = "",
) -> Path:
    """Write a page, and return its path.

    Parameters
    ----------
    title : str
        Of the page.
    sections : iterable of Section
        Its parts, in order; a list of links to them stands at the top when there are more than two.
    path : str or path
        Of the HTML file, in a folder that exists; a file that exists is replaced at once, or stays whole when
        writing fails.
    lead : str or sequence of str, default=""
        Text before the first section.
    foot : str, default=""
        Text after the last section.

    Returns
    -------
    pathlib.Path
        Of the file.

    Raises
    ------
    ValueError
        When the rows of a table have more or fewer values than it has columns, or a link is no relative path.
    FileNotFoundError
        When the folder does not exist.
    PermissionError
        When the folder is read-only.
    """
    sections, numbers = list(sections), iter(range(1, 1_000_000))
    body = [_section(k, section, numbers) for k, section in enumerate(sections, start=1)]
    links = [
        f'<li><a href="#part-{k}">{_words(part.heading)}</a></li>' for k, part in enumerate(sections, start=1)
    ]
    drawn = any(isinstance(each, Picture) for section in sections for each in section.content)
    document = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n<style>{STYLE}</style>\n</head>\n<body>',
        '<a class="skip" href="#content">Skip to the content</a>',
        f"<header>\n<h1>{_words(title)}</h1>\n{_paragraphs(lead)}\n</header>",
        f'<nav aria-label="Parts of this page"><ul>{"".join(links)}</ul></nav>' if len(links) > 2 else "",
        '<main id="content" tabindex="-1">',
        *body,
        f"</main>\n<footer>{_words(foot)}</footer>",
        *([_plotly()] if drawn else []),
        "</body>\n</html>\n",
    ]
    path = Path(path)
    with atomic_write(path) as file:
        file.write("\n".join(document).encode())
    return path


@cache
def _plotly() -> str:
    """Plotly.js, compressed to less than half, and the script that decompresses and calls it."""
    packed = gzip.compress(plotly_script().encode(), 9, mtime=0)
    return f'<script type="text/plain" id="plotly">{b64encode(packed).decode()}</script>\n<script>{DRAW}</script>'


def _section(place: int, section: Section, numbers: Iterator[int]) -> str:
    content = [
        _figure(each, next(numbers)) if isinstance(each, Picture) else _table(each)
        for each in section.content
    ]
    inside, links = "\n".join(content), "".join(f"<li>{_link(each)}</li>" for each in section.links)
    return (
        f'<section id="part-{place}" aria-labelledby="heading-{place}">\n'
        f'<h2 id="heading-{place}">{_words(section.heading)}</h2>\n{_paragraphs(section.text)}\n'
        + (f'<ul class="links">{links}</ul>\n' if links else "")
        + f'<div class="content">\n{inside}\n</div>\n</section>'
    )


def _link(link: Link) -> str:
    if not fullmatch(r"[^:/\\][^:\\]*", link.address):
        raise ValueError(
            f"A page links to files in its own folder. Got the address {link.address!r} instead."
        )
    return f'<a href="{escape(link.address)}">{_words(link.text)}</a>'


def _figure(picture: Picture, number: int) -> str:
    """A chart with its caption, and its numbers as tables."""
    chart = picture.figure
    drawing = figures.svg(chart, WIDE if picture.wide else NARROW)
    figure = chart.plotly()
    clear = "rgba(0,0,0,0)"
    figure.update_layout(paper_bgcolor=clear, plot_bgcolor=clear)
    data = figure.to_json().replace("<", "\\u003c")  # so that no text in it ends the script
    tables = "".join(_rows(Table(head, rows)) for head, rows in figures.numbers(chart))
    numbers = f"<details><summary>The numbers</summary>{tables}</details>" if tables else ""
    caption = f"<figcaption>{_words(picture.caption)}</figcaption>" if picture.caption else ""
    wide = ' class="wide"' if picture.wide else ""
    return (
        f'<figure{wide}><div class="plot" id="figure-{number}" role="img"'
        f' aria-label="{escape(figures.describe(chart))}">'
        f'<div class="still">{drawing}</div>'
        f'<div class="live" style="height:{chart.height}px"></div>'
        f'<script type="application/json">{data}</script></div>{caption}{numbers}</figure>'
    )


def _table(table: Table) -> str:
    return f'<div class="wide">{_rows(table)}</div>'


def _rows(table: Table) -> str:
    for row in table.rows:
        if len(row) != len(table.columns):
            raise ValueError(
                f"A row of the table has {len(row)} values; the table has {len(table.columns)} columns."
            )
    right = [
        bool(table.rows) and all(_numeric(row[k]) for row in table.rows) for k in range(len(table.columns))
    ]
    mark = [' class="number"' if each else "" for each in right]
    head = "".join(
        f'<th scope="col"{m}>{_words(name)}</th>' for m, name in zip(mark, table.columns, strict=True)
    )
    rows = [
        "<tr>" + "".join(f"<td{m}>{_words(cell)}</td>" for m, cell in zip(mark, row, strict=True)) + "</tr>"
        for row in table.rows
    ]
    caption = f"<caption>{_words(table.caption)}</caption>" if table.caption else ""
    label = escape(table.caption or ", ".join(map(str, table.columns)))
    inside = f"{caption}<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table>{inside}</table></div>'
    )


def _numeric(cell: Any) -> bool:
    """Whether a cell is a number, text that begins like one, or empty."""
    return str(cell) == "" or str(cell).lstrip("+-−")[:1].isdigit()


def _paragraphs(text: str | Sequence[str]) -> str:
    parts = [text] if isinstance(text, str) else text
    return "\n".join(f"<p>{_words(part)}</p>" for part in parts if part)


def _words(text: Any) -> str:
    """Text as HTML; what stands between backquotes is code."""
    return sub(r"`([^`]+)`", r"<code>\1</code>", escape(str(text)))
