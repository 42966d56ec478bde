"""Every renderer draws the whole chart: as a plotly figure, as SVG, in letters, in words and as a table."""

import re
import struct
import xml.etree.ElementTree as ET
import zlib
from base64 import b64decode
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regen import figures
from regen.figures import Chart, describe, numbers, svg, text
from regen.figures.chart import color_key, stacked
from regen.figures.marks import Axis, Bars, Cells, Line, Panel, Points
from regen.figures.render._layout import place
from regen.figures.render._png import data_url
from regen.figures.render._scales import Scale

SVG = "{http://www.w3.org/2000/svg}"
DATES = pd.date_range("2000-01-01", periods=60, freq="MS")
NASTY = '<b>&"x"</b>'
PLAIN = Axis()


def lines() -> Chart:
    """Two lines with names at their ends."""
    return figures.loss_per_step({"a": [3.0, 2.0, 1.0], "b": [2.0, 2.5, 1.5]}, unit="nats")


def of(*marks: Any, x: Axis = PLAIN, y: Axis = PLAIN) -> Chart:
    """A chart of one panel."""
    return Chart([Panel(x, y, marks)])


def drawn(chart: Chart, width: int = 640) -> ET.Element:
    """The picture, as elements."""
    return ET.fromstring(svg(chart, width))


def texts(root: ET.Element) -> list[str]:
    """What is written in a picture."""
    return ["".join(each.itertext()) for each in root.iter(f"{SVG}text")]


def paths(root: ET.Element, colour: str) -> list[np.ndarray]:
    """Points (n, 2) of the lines of one colour."""
    found = [each.get("d", "") for each in root.iter(f"{SVG}path") if each.get("stroke") == colour]
    return [np.array(re.findall(r"([-\d.]+) ([-\d.]+)", each), dtype=float) for each in found]


def pixels(data: bytes) -> np.ndarray:
    """(R, K, 4) of a PNG file."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, body = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        part = data[at + 8 : at + 8 + size]
        assert zlib.crc32(kind + part) == struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0]
        if kind == b"IHDR":
            K, R, depth, colour, *_ = struct.unpack(">IIBBBBB", part)
            assert (depth, colour) == (8, 6)
        body += part if kind == b"IDAT" else b""
        at += 12 + size
    return np.frombuffer(zlib.decompress(body), np.uint8).reshape(R, 4 * K + 1)[:, 1:].reshape(R, K, 4)


def test_lines_are_placed() -> None:
    """Names, values, colors and axes are those of the chart, in coordinates."""
    (panel,) = place(lines())
    first, second = panel.marks
    assert isinstance(first, Line) and isinstance(second, Line)
    assert (first.name, second.name) == ("a", "b")
    np.testing.assert_array_equal(first.x, [1, 2, 3])
    np.testing.assert_array_equal(second.y, [2, 2.5, 1.5])
    assert (panel.x.title, panel.y.title) == ("time steps", "mean loss (nats)")
    assert (first.color, second.color) == ("#0072b2", "#c65400")
    assert (panel.x.low, panel.x.high) == (1, 3)


def test_the_picture_holds_the_lines() -> None:
    """A higher value stands higher, in proportion; a picture drawn upside down is another."""
    root = drawn(lines())
    (line,) = paths(root, "#0072b2")
    assert len(line) == 3
    x, y = line[:, 0], line[:, 1]
    np.testing.assert_allclose(x[2] - x[1], x[1] - x[0], atol=0.2)
    np.testing.assert_allclose(y[2] - y[1], y[1] - y[0], atol=0.2)
    assert y[0] < y[1] < y[2], "3, 2, 1 falls, and pixels are counted from the top"
    assert {"a", "b", "time steps", "mean loss (nats)"} <= set(texts(root))
    assert root.get("viewBox") == "0 0 640 320" and root.get("role") == "img"
    assert root.findtext(f"{SVG}title") == describe(lines())


def test_ticks_stand_at_their_places() -> None:
    """Marks are round, within the axis, and each at the pixel of its value."""
    (panel,) = place(lines())
    assert [name for _, name in panel.x.ticks(3)] == ["1", "2", "3"]
    for count in (2, 5, 9):
        ticks = panel.y.ticks(count)
        assert all(float(name) == pytest.approx(place, rel=1e-3, abs=1e-12) for place, name in ticks)
        assert all(panel.y.low - 1e-9 <= place <= panel.y.high + 1e-9 for place, _ in ticks)


@given(
    st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(1, 12), st.sampled_from(["linear", "log", "date"])
)
def test_ticks_of_any_axis(low: float, span: float, count: int, kind: str) -> None:
    """Whatever the ends: no tick outside, none twice, never many more than requested."""
    low, span = (
        (low / 1e3, span) if kind == "date" else (low / 1e5, span / 1e4) if kind == "log" else (low, span)
    )
    found = Scale("", low, low + span, kind).ticks(count)
    places = [place for place, _ in found]
    assert places == sorted(set(places))
    assert all(low - 1e-6 * span <= place <= low + span * (1 + 1e-6) for place in places)
    assert len(places) <= 3 * count + 2 or kind == "log"


def test_dates_are_placed() -> None:
    """Dates become days, their ticks round dates, and a gap in a line breaks it, unless it is bridged."""
    y = np.arange(60.0)
    y[30] = np.nan
    chart = of(Line(DATES, y, color="#123456"))
    (panel,) = place(chart)
    assert panel.x.kind == "date"
    assert panel.x.label(panel.marks[0].x[0]) == "2000-01-01"  # type: ignore[union-attr, index]
    assert [name for _, name in panel.x.ticks(5)] == ["2000", "2001", "2002", "2003", "2004"]
    assert [len(part) for part in paths(drawn(chart), "#123456")] == [30, 29]
    bridged = of(Line(DATES, y, color="#123456", bridged=True))
    assert [len(part) for part in paths(drawn(bridged), "#123456")] == [59]


def test_a_logarithmic_axis() -> None:
    """Equal ratios are equal distances, and what is not positive is left out."""
    chart = of(Line(np.arange(4), [100.0, 10.0, 1.0, -1.0], color="#123456"), y=Axis(kind="log"))
    ((y,),) = [[part[:, 1]] for part in paths(drawn(chart), "#123456")]
    assert len(y) == 3
    np.testing.assert_allclose(y[2] - y[1], y[1] - y[0], atol=0.2)


@pytest.mark.parametrize("turned", [False, True])
def test_cells_are_painted(turned: bool) -> None:
    """The first row lies lowest unless the axis is reversed; colors are those of the scale; NaN is transparent."""
    z = np.array([[0.0, 1.0], [np.nan, 0.5]])
    chart = of(Cells(z, limits=(0, 1), scale=((0, "#000000"), (1, "#ff8000"))), y=Axis(reverse=turned))
    (panel,) = place(chart)
    (cells,) = panel.marks
    assert isinstance(cells, Cells)
    assert (*cells.x.edges(2), *cells.y.edges(2)) == (-0.5, 1.5, -0.5, 1.5)
    (image,) = drawn(chart).iter(f"{SVG}image")
    shown = pixels(b64decode(image.get("href", "").partition(",")[2]))
    first = shown if turned else shown[::-1]
    assert first[0, 1].tolist() == [255, 128, 0, 255]
    assert first[1, 1].tolist() == [128, 64, 0, 255]
    assert first[1, 0, 3] == 0


@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 2**31))
def test_a_png_file_holds_its_pixels(R: int, K: int, seed: int) -> None:
    """Read again, the pixels are the same."""
    some = np.random.default_rng(seed).integers(0, 256, (R, K, 4)).astype(np.uint8)
    url = data_url(some)
    np.testing.assert_array_equal(pixels(b64decode(url.removeprefix("data:image/png;base64,"))), some)


def test_images_in_color() -> None:
    """The drawing holds the pixels as they are, the first row on top; in letters dark ones are full."""
    images = np.zeros((1, 3, 2, 2))
    images[0, 0, 0, 0], images[0, :, 1, :] = 1, 1  # red, black, and two of white below
    figure = figures.image_rows(images)
    (image,) = (each for each in drawn(figure).iter(f"{SVG}image"))
    assert image.get("class") == "coloured"
    found = pixels(b64decode(image.get("href", "").partition(",")[2]))
    assert found[:, :, :3].tolist() == [[[255, 0, 0], [0, 0, 0]], [[255] * 3] * 2]
    (image_mark,) = figure.panels[0].marks
    np.testing.assert_allclose(image_mark.darkness, [[1 - 0.2126, 1], [0, 0]], atol=1e-12)  # type: ignore[union-attr]
    assert text(figure) == ["▓█"] and describe(figure) == "Pictures: images." and numbers(figure) == []


@pytest.mark.parametrize("horizontal", [True, False])
def test_bars_are_drawn(horizontal: bool) -> None:
    """Horizontal and vertical bars have their lengths in proportion, from nothing."""
    chart = of(Bars([0, 1, 2], [1.0, 3.0, -2.0], horizontal=horizontal, color="#123456"))
    rects = [each for each in drawn(chart).iter(f"{SVG}rect") if each.get("fill") == "#123456"]
    lengths = [float(each.get("width" if horizontal else "height", 0)) for each in rects]
    np.testing.assert_allclose(np.array(lengths) / lengths[0], [1, 3, 2], rtol=0.01)


def test_panels_below_each_other() -> None:
    """Stacked panels do not overlap, share their left edge, and only the lowest has the names across."""
    x = Axis("step")
    upper_line, lower_line = (Line([0, 1000], [0, high], color="#123456") for high in (10.0, 1e5))
    figure = stacked(
        [
            Panel(x, PLAIN, [upper_line], heading="one"),
            Panel(x, PLAIN, [lower_line], heading=color_key({"two": "#abcdef"})),
        ],
        [80, 120],
    )
    upper, lower = place(figure)
    assert (upper.x.visible, lower.x.visible) == (False, True)
    root = drawn(figure)
    first, second = paths(root, "#123456")
    np.testing.assert_array_equal(first[:, 0], second[:, 0])
    shorter = replace(figure.panels[1], marks=[Line([0, 500], [0, 1], color="#123456")])
    aligned = drawn(replace(figure, panels=[figure.panels[0], shorter]))
    first, second = paths(aligned, "#123456")
    np.testing.assert_allclose(np.ptp(second[:, 0]), np.ptp(first[:, 0]) / 2, atol=0.1)
    assert first[:, 1].max() < second[:, 1].min()
    assert texts(root).count("step") == 1
    assert texts(root)[-2:] == ["one", "two"]
    assert [each.get("fill") for each in root.iter(f"{SVG}tspan")] == ["#abcdef"]


def test_names_that_look_like_markup() -> None:
    """A name with signs of HTML in it is written as it is."""
    figure = figures.loss_per_step({NASTY: [2.0, 1.0]})
    assert NASTY in texts(drawn(figure))
    assert NASTY in describe(figure)
    assert any(NASTY in row for row in text(figure))
    assert figure.plotly().data[0].name == '&lt;b&gt;&amp;"x"&lt;/b&gt;'


def test_a_line_break_in_text() -> None:
    """It becomes a line of its own, in SVG and in plotly."""
    chart = replace(lines(), title="one\ntwo")
    assert [each.text for each in drawn(chart).iter(f"{SVG}tspan")] == ["two"]
    assert chart.plotly().layout.title.text == "one<br>two"


def test_what_goes_beyond_the_axis_is_clipped() -> None:
    """Marks outside the given limits lie in a frame of their own, which clips them."""
    points = Points([0, 1, 2], [0, 1, 2])
    assert len(list(drawn(of(points)).iter(f"{SVG}svg"))) == 1
    assert len(list(drawn(of(points, x=Axis(limits=(0, 1)))).iter(f"{SVG}svg"))) == 2


@pytest.mark.parametrize("render", [svg, text, describe, numbers])
def test_only_charts_are_drawn(render: Any) -> None:
    """A plotly figure, or anything else, is refused by name."""
    sentence = "chart must be a Chart, which the functions of regen.figures return. Got Figure instead."
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        render(lines().plotly())


def test_lines_as_text() -> None:
    """Higher is a higher block, on one scale for all; the ends follow; a line that falls falls."""
    rows = text(lines())
    assert len(rows) == 3 and all(len(row) <= 80 for row in rows)
    blocks = [re.search(r"[▁-█]+", row)[0] for row in rows[:2]]  # type: ignore[index]
    assert blocks[0][0] == "█" and blocks[0][-1] == "▁"
    assert blocks[1][0] > blocks[1][-1], "2 is above 1.5"
    assert rows[0].endswith("1 to 3") and rows[1].endswith("1.5 to 2.5")
    assert rows[2].split()[0] == "1" and rows[2].split()[-1] == "3" and "time steps" in rows[2]


def test_bars_and_cells_as_text() -> None:
    """Bars are as long as their values, cells as dark; of many, the rest is counted."""
    rows = text(of(Bars(np.arange(14), [4.0, 2.0] + [1.0] * 12, horizontal=True, name="size")))
    assert abs(rows[1].count("█") - 2 * rows[2].count("█")) <= 1 and rows[1].count("█") > 40
    assert rows[-1] == "... and 2 more bars"
    assert rows[1].endswith(" 4")
    scale = ((0, "#ffffff"), (1, "#000000"))
    head, top, bottom = text(of(Cells(np.eye(2)[::-1], limits=(0, 1), scale=scale, name="gate")))
    assert head == "gate: 0 is ' ', 1 is '█'"
    assert len(top) < len(bottom), "the first row, dark at the right, lies lowest"
    assert top.count("█") == bottom.count("█") > 30


def test_points_as_text() -> None:
    """Points stand where they are: right is right, up is up; labels by their first letter."""
    rows = text(of(Points([0.0], [0.0], label="low"), Points([1.0], [1.0], label="up")))
    places = {
        letter: (r, row.index(letter)) for r, row in enumerate(rows) for letter in "lu" if letter in row[:65]
    }
    assert places["u"][0] < places["l"][0] and places["u"][1] > places["l"][1]


def test_a_table_of_the_numbers() -> None:
    """Lines share the column of their places; of many rows, the first and the last are kept."""
    ((head, rows),) = numbers(lines())
    assert head == ["time steps", "a", "b"]
    assert rows == [["1", "3", "2"], ["2", "2", "2.5"], ["3", "1", "1.5"]]
    ((_, many),) = numbers(figures.loss_per_step(np.arange(1000.0)))
    assert len(many) == 24 and (many[0], many[-1]) == (["1", "0"], ["1000", "999"])
    ((head, rows),) = numbers(figures.confusion(["a", "a", "b"], ["a", "b", "b"]))
    assert head == ["true class \\ predicted class", "a", "b"]
    assert rows == [["a", "1", "1"], ["b", "", "1"]]
    assert numbers(figures.image_rows(np.zeros((2, 3, 3)))) == [], "of pictures there is no table"


def test_a_description() -> None:
    """It names the lines, both axes and their ends."""
    words = describe(lines())
    assert words == "Lines: a, b. Across: time steps, 1 to 3. Upwards: mean loss (nats), 1 to 3."
    assert describe(figures.image_rows(np.zeros((2, 3, 3)))) == "Pictures: images."
