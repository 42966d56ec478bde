"""One page of results: a single HTML file that opens anywhere, offline, on a phone too.

Everything is inside: words, tables, figures, the style, and plotly.js once, from the installed plotly package. The
page asks nothing of the network.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from os import PathLike
from pathlib import Path
from re import sub
from typing import Any, final

from regen._optional import require
from regen.data.sources import atomic_write

__all__ = ["Picture", "Section", "Table", "page"]


@final
@dataclass(frozen=True)
class Picture:
    """A figure of a page.

    figure : a plotly figure, such as those of `regen.figures`.
    caption : what to read from it.
    wide : alone in its row; else two stand side by side where the screen is wide enough.
    """

    figure: Any
    caption: str = ""
    wide: bool = True


@final
@dataclass(frozen=True)
class Table:
    """A table of a page; numbers are set to the right.

    columns : their names. rows : as many values each, as text or numbers, in the form to be shown.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""


@final
@dataclass(frozen=True)
class Section:
    """A part of a page.

    heading : a few words. text : a paragraph, or several, of plain words; `a` between backquotes is set as code.
    content : figures and tables, in the order to be shown.
    """

    heading: str
    text: str | Sequence[str] = ()
    content: Sequence[Picture | Table] = ()


STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #5b626a; --rule: #dfe2e6; --paper: #fff; --tint: #f5f7f9 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e6e9; --soft: #a4abb3; --rule: #33383e; --paper: #121417; --tint: #1b1e22 }
  .plot { filter: invert(0.93) hue-rotate(180deg) }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere;
  font: 17px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
main, header, nav { max-width: 1040px; margin: 0 auto; padding: 0 18px }
header { padding-top: 36px }
h1 { font-size: 1.9em; line-height: 1.2; margin: 0 0 .4em }
h2 { font-size: 1.35em; line-height: 1.25; margin: 2.6em 0 .5em; padding-top: .9em;
  border-top: 1px solid var(--rule) }
p { max-width: 44em; margin: 0 0 .8em }
nav { font-size: .92em } nav a { margin-right: 1.2em; white-space: nowrap }
a { color: inherit; text-decoration-color: var(--soft); text-underline-offset: 3px }
code { font-size: .9em; background: var(--tint); padding: .1em .3em; border-radius: 3px }
.content { display: grid; gap: 26px 30px; margin-top: 1.2em;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 440px), 1fr)) }
.content > * { margin: 0; min-width: 0 }
.wide { grid-column: 1 / -1 }
figcaption, caption { color: var(--soft); font-size: .88em; line-height: 1.45; text-align: left; max-width: 52em }
figcaption { margin-top: .4em }
caption { caption-side: bottom; padding-top: .6em }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .92em; font-variant-numeric: tabular-nums; overflow-wrap: normal }
th, td { padding: .38em 1.3em .38em 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule) }
th { color: var(--soft); font-weight: 600; white-space: nowrap }
.number { text-align: right; white-space: nowrap }
footer { color: var(--soft); font-size: .88em; padding: 3em 0 }
@media (max-width: 600px) {
  body { font-size: 16px } table { font-size: .78em } th, td { padding-right: .6em } th { white-space: normal }
}
@media print { .plot { break-inside: avoid } }
"""


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
    title : of the page.
    sections : its parts, in order; a list of links to them stands at its top when there are more than two.
    path : of the HTML file, in a folder that is there; a file that exists is replaced at once, or stays whole when
        writing fails.
    lead, foot : words before the first section, and after the last one.

    Raises
    ------
    ValueError
        When a row of a table has more or less values than the table has columns.
    FileNotFoundError, PermissionError
        When the folder is not there, or is read-only.
    """
    sections, numbers = list(sections), iter(range(1, 1_000_000))
    body = [_section(k, section, numbers) for k, section in enumerate(sections, start=1)]
    links = [f'<a href="#part-{k}">{_words(part.heading)}</a>' for k, part in enumerate(sections, start=1)]
    drawn = any(isinstance(each, Picture) for section in sections for each in section.content)
    document = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n<style>{STYLE}</style>',
        *([_plotly_script()] if drawn else []),
        f"</head>\n<body>\n<header>\n<h1>{_words(title)}</h1>\n{_paragraphs(lead)}\n</header>",
        f"<nav>{' '.join(links)}</nav>" if len(links) > 2 else "",
        "<main>",
        "<noscript><p>The figures of this page are drawn by JavaScript, which is switched off.</p></noscript>",
        *body,
        f"<footer>{_words(foot)}</footer>\n</main>\n</body>\n</html>\n",
    ]
    path = Path(path)
    with atomic_write(path) as file:
        file.write("\n".join(document).encode())
    return path


def _plotly_script() -> str:
    offline = require("plotly.offline", extra="plot", purpose="Writing a page with figures")
    return f"<script>{offline.get_plotlyjs()}</script>"


def _section(place: int, section: Section, numbers: Iterable[int]) -> str:
    content = [
        _figure(each, next(iter(numbers))) if isinstance(each, Picture) else _table(each)
        for each in section.content
    ]
    inside = "\n".join(content)
    return (
        f'<section id="part-{place}">\n<h2>{_words(section.heading)}</h2>\n{_paragraphs(section.text)}\n'
        f'<div class="content">\n{inside}\n</div>\n</section>'
    )


def _figure(picture: Picture, number: int) -> str:
    """A figure with its caption. Plotly writes its values as JSON in which no `<` is left."""
    figure = require("plotly.graph_objects", extra="plot", purpose="Writing a page with figures").Figure(
        picture.figure
    )
    clear = "rgba(0,0,0,0)"
    figure.update_layout(paper_bgcolor=clear, plot_bgcolor=clear)
    drawing = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=f"figure-{number}",
        default_height=f"{figure.layout.height or 320}px",
        config={"displayModeBar": False, "displaylogo": False, "responsive": True, "scrollZoom": False},
    )
    caption = f"<figcaption>{_words(picture.caption)}</figcaption>" if picture.caption else ""
    wide = ' class="wide"' if picture.wide else ""
    return f'<figure{wide}><div class="plot">{drawing}</div>{caption}</figure>'


def _table(table: Table) -> str:
    for row in table.rows:
        if len(row) != len(table.columns):
            raise ValueError(
                f"A row of the table has {len(row)} values; the table has {len(table.columns)} columns."
            )
    right = [all(_numeric(row[k]) for row in table.rows) for k in range(len(table.columns))]
    mark = [' class="number"' if each else "" for each in right]
    head = "".join(f"<th{m}>{_words(name)}</th>" for m, name in zip(mark, table.columns, strict=True))
    rows = [
        "<tr>" + "".join(f"<td{m}>{_words(cell)}</td>" for m, cell in zip(mark, row, strict=True)) + "</tr>"
        for row in table.rows
    ]
    caption = f"<caption>{_words(table.caption)}</caption>" if table.caption else ""
    inside = f"{caption}<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="wide scroll"><table>{inside}</table></div>'


def _numeric(cell: Any) -> bool:
    """Whether a cell is a number, or text that begins as one does."""
    return bool(str(cell)) and str(cell).lstrip("+-−")[:1].isdigit()


def _paragraphs(text: str | Sequence[str]) -> str:
    parts = [text] if isinstance(text, str) else text
    return "\n".join(f"<p>{_words(part)}</p>" for part in parts if part)


def _words(text: Any) -> str:
    """Text as HTML that shows it as it is, but for backquotes."""
    return sub(r"`([^`]+)`", r"<code>\1</code>", escape(str(text)))
