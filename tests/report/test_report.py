"""A page is one file that needs no network, shows data as it is, and appears whole or not at all."""

import gzip
import json
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path
from re import escape, findall

import plotly.graph_objects as go
import pytest

from regen import figures
from regen.report import Link, Picture, Section, Table, page

NASTY = '<script>alert("x")</script>'


class Reader(HTMLParser):
    """What a browser would see: tags, addresses and text outside of scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [
            value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")
        ]

    def handle_data(self, data: str) -> None:
        inside = self.get_starttag_text() or ""
        if self.tags and self.tags[-1] == "script" and inside.startswith("<script") and self.cdata_elem:
            self.scripts.append(data)
        elif not self.cdata_elem:
            self.text.append(data)


def seen(path: Path) -> Reader:
    """The page as read by a parser."""
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


def foreign(html: str) -> list[str]:
    """Addresses that a browser would fetch from elsewhere: those of elements, and of the style."""
    reader = Reader()
    reader.feed(html)
    loose = [address for address in reader.addresses if not address.startswith(("#", "data:"))]
    styles = findall(r"<style>(.*?)</style>", html.replace("\n", " "))
    return loose + [found for style in styles for found in findall(r"url\([^)]*\)|@import[^;]*", style)]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with two figures and a table, whose every word from data looks like HTML."""
    folder = tmp_path_factory.mktemp("page")
    drawn = figures.confusion([NASTY, "b"], [NASTY, NASTY])
    sections = [
        Section(NASTY, NASTY, [Picture(drawn, NASTY), Table([NASTY, "n"], [[NASTY, 1.5]], NASTY)]),
        Section(
            "second", ["one `code`", "two"], [Picture(figures.loss_per_step({NASTY: [2.0, 1.0]}), wide=False)]
        ),
        Section("third"),
    ]
    return page(NASTY, sections, folder / "index.html", lead=NASTY, foot=NASTY)


def test_it_needs_nothing_from_elsewhere(written: Path) -> None:
    """No address leads outside the file, and plotly.js is in it once; a page that loads it from afar is caught."""
    html = written.read_text(encoding="utf-8")
    assert foreign(html) == []
    packed = [each for each in seen(written).scripts if len(each) > 1_000_000]
    assert len(packed) == 1 and "* plotly.js v" in gzip.decompress(b64decode(packed[0])).decode()
    assert html.count('class="plot"') == 2
    assert "default-src 'none'" in html and len(html) < 2_500_000
    assert foreign('<script src="https://cdn.plot.ly/plotly.js"></script>') == [
        "https://cdn.plot.ly/plotly.js"
    ]
    assert foreign("<style>a { background: url(https://x.org/a.png) }</style>") == [
        "url(https://x.org/a.png)"
    ]


def test_names_from_data_are_text(written: Path) -> None:
    """A column, a caption, a heading named <script> are shown as such and start no script."""
    reader = seen(written)
    assert "".join(reader.text).count(NASTY) >= 7
    assert "<script>alert" not in written.read_text(encoding="utf-8")
    assert reader.tags.count("script") == len(reader.scripts) == 2 + 2


def test_figures_keep_their_numbers(written: Path) -> None:
    """The costs of the second figure stand in its script."""
    found = [json.loads(each) for each in seen(written).scripts if each.startswith('{"data"')]
    first, second = found
    assert second["data"][0]["y"] == {"dtype": "f8", "bdata": "AAAAAAAAAEAAAAAAAADwPw=="}
    assert first["data"][0]["type"] == "heatmap"
    assert first["layout"]["paper_bgcolor"] == "rgba(0,0,0,0)"


def test_links_and_words(written: Path) -> None:
    """Three sections are linked from the top; words between backquotes are code; the viewport is that of phones."""
    html = written.read_text(encoding="utf-8")
    addresses = [each for each in seen(written).addresses if not each.startswith("data:image")]
    assert addresses == ["data:,", "#content", "#part-1", "#part-2", "#part-3"]
    assert all(f'<section id="part-{k}" aria-labelledby="heading-{k}">' in html for k in (1, 2, 3))
    assert "<p>one <code>code</code></p>\n<p>two</p>" in html
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html


def test_numbers_are_set_to_the_right(tmp_path: Path) -> None:
    """A column of numbers, signed or with a unit, is set to the right; one with a word among them is not."""
    table = Table(["a", "b", "c"], [["x", -1.5, "3 %"], ["y", 2, "none"]])
    html = page("t", [Section("s", (), [table])], tmp_path / "t.html").read_text(encoding="utf-8")
    assert '<th scope="col">a</th><th scope="col" class="number">b</th><th scope="col">c</th>' in html
    assert '<td class="number">-1.5</td><td>3 %</td>' in html


def test_no_figures_no_script(tmp_path: Path) -> None:
    """A page without figures is small and has no script."""
    path = page("t", [Section("s", "words")], tmp_path / "t.html")
    assert path.stat().st_size < 10_000
    assert "script" not in set(seen(path).tags)


def test_same_page_same_bytes(tmp_path: Path) -> None:
    """Nothing random or dated is in a page."""
    pictures = [Section("s", (), [Picture(figures.loss_per_step([1.0, 2.0]))]) for _ in range(2)]
    first, second = (page("t", [part], tmp_path / f"{k}.html") for k, part in enumerate(pictures))
    assert first.read_bytes() == second.read_bytes()


def test_charts_are_left_alone(tmp_path: Path) -> None:
    """The page's clear background is not written into the caller's figure."""
    chart = figures.loss_per_step([1.0, 2.0])
    page("t", [Section("s", (), [Picture(chart)])], tmp_path / "t.html")
    assert chart.plotly().layout.paper_bgcolor is None


def test_all_or_nothing(tmp_path: Path) -> None:
    """When a page cannot be made, the one before it stays whole and no other file is left."""
    path = page("before", [], tmp_path / "t.html")
    with pytest.raises(ValueError, match=r"^A row of the table has 1 values; the table has 2 columns\.$"):
        page("after", [Section("s", (), [Table(["a", "b"], [["x"]])])], path)
    assert "before" in path.read_text(encoding="utf-8")
    assert [each.name for each in tmp_path.iterdir()] == ["t.html"]


def test_no_folder_is_made(tmp_path: Path) -> None:
    """A folder that does not exist is refused, and not made."""
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        page("t", [], tmp_path / "not" / "t.html")
    assert list(tmp_path.iterdir()) == []


def test_it_can_be_read_by_a_screen_reader(written: Path) -> None:
    """Landmarks, a way past the links, a sentence and a table for each figure, and headings that name their parts."""
    html = written.read_text(encoding="utf-8")
    reader = seen(written)
    assert [tag for tag in reader.tags if tag in ("header", "nav", "main", "footer")] == [
        *("header", "nav", "main", "footer"),
    ]
    assert '<a class="skip" href="#content">' in html and '<main id="content" tabindex="-1">' in html
    assert html.count('role="img" aria-label="') == 2
    assert 'aria-label="Lines: &lt;script&gt;' in html
    assert html.count("<details><summary>The numbers</summary>") == 2
    assert '<td class="number">2</td>' in html.partition("figure-2")[2].partition("<details>")[2]
    assert html.startswith('<!doctype html>\n<html lang="en">')


def test_figures_stand_there_without_javascript(written: Path) -> None:
    """Every figure is drawn in the page, in light and in print; what needs JavaScript is hidden until it runs."""
    html = written.read_text(encoding="utf-8")
    assert html.count('<div class="still"><svg ') == 2
    assert (
        "@media print" in html and "prefers-color-scheme: dark" in html and ".live { display: none }" in html
    )


def test_a_figure_that_is_no_chart_is_refused(tmp_path: Path) -> None:
    """A plotly figure cannot be drawn without JavaScript; it is refused, and no page is written."""
    pie = Section("s", (), [Picture(go.Figure(go.Pie(values=[1, 2])))])
    sentence = "chart must be a Chart, which the functions of regen.figures return. Got Figure instead."
    with pytest.raises(ValueError, match=f"^{escape(sentence)}$"):
        page("t", [pie], tmp_path / "t.html")
    assert list(tmp_path.iterdir()) == []


def test_links_lead_to_files_in_the_folder(tmp_path: Path) -> None:
    """A link is written after the words; one that leads elsewhere is refused."""
    there = Section("s", "words", links=[Link("the <LSTM>", "lstm/report.html")])
    html = page("t", [there], tmp_path / "t.html").read_text(encoding="utf-8")
    assert '<ul class="links"><li><a href="lstm/report.html">the &lt;LSTM&gt;</a></li></ul>' in html
    for address in ("https://x.org", "//x.org", "javascript:alert(1)", "/etc/passwd", "C:\\x", ""):
        sentence = escape(f"A page links to files in its own folder. Got the address {address!r} instead.")
        with pytest.raises(ValueError, match=f"^{sentence}$"):
            page("t", [Section("s", (), links=[Link("x", address)])], tmp_path / "t.html")
