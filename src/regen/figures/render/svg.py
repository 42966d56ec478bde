"""A chart as SVG, drawn without another program: for paper, and where there is no JavaScript or no browser.

Plotly's own drawing is finer where labels crowd.
"""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regen.figures.marks import Band, Bars, Cells, Drawing, Image, Line, Note, Points, Rule, Span, Text
from regen.figures.render._layout import Placed, extent, in_words, place
from regen.figures.render._png import data_url
from regen.figures.render._scales import Scale
from regen.figures.render.words import describe
from regen.figures.style import FONT, GREY, INK, RULE

__all__ = ["svg"]

LETTER, LINE = 0.56, 1.3
"""Width of a letter and height of a line, as shares of the font size."""
SIZE, SMALL = 13, 12
KEY = 64
"""Width of a color bar with its labels, in pixels."""
TOP, RIGHT = 40, 12
"""Usual margins."""
DASHES = {"dot": "2 4", "dash": "7 4", "solid": ""}
ANCHORS = {"left": "start", "center": "middle", "right": "end"}


class Box(NamedTuple):
    """The rectangle of a panel in the drawing, in pixels."""

    left: float
    right: float
    top: float
    bottom: float

    def x(self, axis: Scale, places: Any) -> Any:
        """Pixels from the left of coordinates along the axis."""
        return self.left + axis.share(places) * (self.right - self.left)

    def y(self, axis: Scale, places: Any) -> Any:
        """Pixels from the top."""
        return self.bottom - axis.share(places) * (self.bottom - self.top)


def svg(chart: Drawing, width: int = 640) -> str:
    """A chart as the text of an SVG file.

    Parameters
    ----------
    chart : Chart
        What one of the functions of `regen.figures`, or ``plot()`` of a finding, returns.
    width : int, default=640
        Of the drawing in pixels; its height is that of the chart. It may be shown at any size.

    Returns
    -------
    str
        An ``<svg>`` element without a background.

    See Also
    --------
    regen.figures.write : Writes a file of any format.

    Examples
    --------
    >>> from regen import figures
    >>> figures.svg(figures.loss_per_step([3.0, 2.0, 1.0]), width=400)[:4]
    '<svg'
    """
    panels = place(chart)
    boxes = _boxes(panels, chart, width)
    parts: list[str] = []
    for panel, box in zip(panels, boxes, strict=True):
        parts += [*_axes(panel, box), *_cut(_marks(panel, box), panel, box)]
        parts += [_rule(rule, panel, box) for rule in panel.rules]
    parts += [_text(10, 18, chart.title, INK, "start", SIZE)] if chart.title else []
    for panel, box in zip(panels, boxes, strict=True):
        parts += (
            [_text(box.left, _above(box, panel.heading), panel.heading, INK, "start", SIZE)]
            if panel.heading
            else []
        )
        parts += [_note(note, panel, box) for note in panel.notes]
    words = escape(describe(chart))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {chart.height}" width="{width}"'
        f' height="{chart.height}"'
        f' role="img" font-family="{escape(FONT)}" font-size="{SIZE}" fill="{INK}">\n<title>{words}</title>\n'
        + "\n".join(parts)
        + "\n</svg>"
    )


def _boxes(panels: Sequence[Placed], chart: Drawing, width: int) -> list[Box]:
    """The rectangle of each panel; what its labels need is left free around it, the same for all along an edge."""
    top = chart.margins.get("t", TOP)
    right = (chart.margins.get("r", RIGHT) or RIGHT) + KEY * any(map(_keyed, panels))
    left = max((_left(panel) for panel in panels if panel.x.domain[0] == 0), default=0.0) + 10
    below = max((_below(panel) for panel in panels if panel.y.domain[0] == 0), default=0.0) + 10
    inner = (width - right - left, chart.height - below - top)
    boxes = []
    for panel in panels:
        x, y = panel.x.domain, panel.y.domain
        own = (_left(panel) if x[0] > 0 else 0.0, _below(panel) if y[0] > 0 else 0.0)
        box = Box(
            left + x[0] * inner[0] + own[0],
            left + x[1] * inner[0],
            top + (1 - y[1]) * inner[1],
            top + (1 - y[0]) * inner[1] - own[1],
        )
        boxes.append(_squared(box, panel) if panel.y.square else box)
    return boxes


def _keyed(panel: Placed) -> bool:
    return any(isinstance(mark, Cells) and mark.key is not None for mark in panel.marks)


def _left(panel: Placed) -> float:
    """Room for the labels of the vertical axis."""
    names = [name for _, name in panel.y.ticks(6)] if panel.y.visible else []
    return max((LETTER * SMALL * len(name) + 10 for name in names), default=0) + (22 if panel.y.title else 0)


def _below(panel: Placed) -> float:
    """Room for the labels of the horizontal axis."""
    if not panel.x.visible:
        return 0.0
    longest = max((len(name) for _, name in panel.x.ticks(6)), default=0)
    names = LETTER * SMALL * longest * 0.75 + 12 if panel.x.slanted else 22
    return names + (20 if panel.x.title else 0)


def _squared(box: Box, panel: Placed) -> Box:
    """The largest part of the box in which one unit of both axes has the same length."""
    across, down = abs(panel.x.high - panel.x.low), abs(panel.y.high - panel.y.low)
    scale = min((box.right - box.left) / across, (box.bottom - box.top) / down)
    middle = (box.left + box.right) / 2
    return Box(middle - scale * across / 2, middle + scale * across / 2, box.top, box.top + scale * down)


def _axes(panel: Placed, box: Box) -> Iterator[str]:
    x, y = panel.x, panel.y
    if y.visible:
        for place, name in y.ticks(max(2, int((box.bottom - box.top) / 34))):
            at = box.y(y, place)
            if y.grid:
                yield _stroke([(box.left, at), (box.right, at)], RULE, 1)
            yield _text(box.left - 6, at + 4, name, GREY, "end", SMALL)
        middle = (box.top + box.bottom) / 2
        aside = box.left - _left(panel) + 12
        yield _text(aside, middle, y.title, GREY, "middle", SIZE, turned=-90) if y.title else ""
    if x.visible:
        longest = max((len(name) for _, name in x.ticks(6)), default=1)
        wide = LETTER * SMALL * (2 if x.slanted else longest) + 18
        for place, name in x.ticks(max(2, int((box.right - box.left) / wide))):
            at = box.x(x, place)
            yield _stroke([(at, box.bottom), (at, box.bottom + 4)], GREY, 1)
            turned = (-45, "end") if x.slanted else (0, "middle")
            yield _text(at, box.bottom + 17, name, GREY, turned[1], SMALL, turned=turned[0])
        below = 22 + (LETTER * SMALL * longest * 0.75 - 10 if x.slanted else 0)
        yield _stroke([(box.left, box.bottom), (box.right, box.bottom)], GREY, 1)
        middle = (box.left + box.right) / 2
        yield _text(middle, box.bottom + below + 14, x.title, GREY, "middle", SIZE) if x.title else ""


def _marks(panel: Placed, box: Box) -> Iterator[str]:
    for mark in panel.marks:
        if isinstance(mark, Line):
            yield from _line(mark, panel, box)
        elif isinstance(mark, Points):
            yield from _points(mark, panel, box)
        elif isinstance(mark, Band):
            yield from _band(mark, panel, box)
        elif isinstance(mark, Bars):
            yield from _bars(mark, panel, box)
        else:
            yield from _cells(mark, panel, box)


def _cut(drawn: Iterator[str], panel: Placed, box: Box) -> Iterator[str]:
    """Marks, cut at the edges of the panel where they go beyond them."""
    ends = [extent(panel.marks, which) for which in (0, 1)]
    beyond = [
        end is not None
        and (end[0] < min(axis.low, axis.high) - 1e-9 or end[1] > max(axis.low, axis.high) + 1e-9)
        for end, axis in zip(ends, (panel.x, panel.y), strict=True)
    ]
    if not any(beyond):
        yield from drawn
        return
    size = (box.left, box.top, box.right - box.left, box.bottom - box.top)
    frame = " ".join(f"{each:.1f}" for each in size)
    names = zip(("x", "y", "width", "height"), size, strict=True)
    places = " ".join(f'{name}="{each:.1f}"' for name, each in names)
    yield f'<svg viewBox="{frame}" {places}>'
    yield from drawn
    yield "</svg>"


def _line(line: Line, panel: Placed, box: Box) -> Iterator[str]:
    x, y = box.x(panel.x, line.x), box.y(panel.y, line.y)
    there = np.isfinite(x) & np.isfinite(y)
    for run in np.split(np.arange(len(x)), np.flatnonzero(~there)):
        kept = run[there[run]]
        if len(kept):
            points = zip(x[kept], y[kept], strict=True)
            yield _stroke(points, line.color, line.width, DASHES[line.dash])
    if line.marker:
        yield from _dots(x[there], y[there], line.marker, f'fill="{line.color}"')


def _points(points: Points, panel: Placed, box: Box) -> Iterator[str]:
    x, y = box.x(panel.x, points.x), box.y(panel.y, points.y)
    there = np.isfinite(x) & np.isfinite(y)
    ring = f'fill="#ffffff" stroke="{points.color}" stroke-width="2"'
    if not points.label:
        yield from _dots(x[there], y[there], points.size, ring if points.hollow else f'fill="{points.color}"')
        return
    for a, b in zip(x[there], y[there], strict=True):
        yield _text(a, b + 4, points.label, points.color, "middle", SMALL)


def _dots(x: Any, y: Any, size: float, paint: str) -> Iterator[str]:
    for a, b in zip(x, y, strict=True):
        yield f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{size / 2:g}" {paint}/>'


def _band(band: Band, panel: Placed, box: Box) -> Iterator[str]:
    for part in band.parts:
        x = box.x(panel.x, np.concatenate([band.x[part], band.x[part[::-1]]]))
        y = box.y(panel.y, np.concatenate([band.high[part], band.low[part[::-1]]]))
        yield _area(zip(x, y, strict=True), f'fill="{band.color}" stroke="none"')


def _bars(bars: Bars, panel: Placed, box: Box) -> Iterator[str]:
    assert bars.thickness is not None
    half = bars.thickness / 2
    for at, base, end, color in zip(bars.at, bars.base, bars.end, bars.color, strict=True):
        if not np.isfinite(at + base + end):
            continue
        low, high = sorted((base, end))
        sides = (low, high, at - half, at + half) if bars.horizontal else (at - half, at + half, low, high)
        left, right = sorted(box.x(panel.x, np.array(sides[:2])))
        top, bottom = sorted(box.y(panel.y, np.array(sides[2:])))
        yield (
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(right - left, 0.3):.1f}"'
            f' height="{max(bottom - top, 0.3):.1f}" fill="{color}"/>'
        )
    for at, end, label in zip(bars.at, bars.end, bars.labels or [], strict=False):
        if bars.horizontal:
            yield _text(box.x(panel.x, end) + 5, box.y(panel.y, at) + 4, label, INK, "start", SMALL)
        else:
            yield _text(box.x(panel.x, at), box.y(panel.y, end) - 4, label, INK, "middle", SMALL)


def _cells(cells: Cells | Image, panel: Placed, box: Box) -> Iterator[str]:
    colored = isinstance(cells, Image)
    pixels = cells.pixels if isinstance(cells, Image) else _painted(cells.z, cells.limits, cells.scale)
    R, K = pixels.shape[:2]
    left, right = box.x(panel.x, np.array(cells.x.edges(K)))
    bottom, top = box.y(panel.y, np.array(cells.y.edges(R)))
    pixels = pixels[:: 1 if bottom < top else -1, :: 1 if left < right else -1]
    yield _image(pixels, (min(left, right), min(top, bottom), abs(right - left), abs(bottom - top)), colored)
    if isinstance(cells, Image):
        return
    if cells.labels is not None:
        across, up = cells.x.centers(K), cells.y.centers(R)
        for r, row in enumerate(cells.labels):
            for k, label in enumerate(row):
                dark = cells.z[r, k] > sum(cells.limits) / 2
                x, y = box.x(panel.x, across[k]), box.y(panel.y, up[r]) + 4
                yield _text(x, y, str(label), "#ffffff" if dark else INK, "middle", SMALL)
    if cells.key is not None:
        yield from _color_bar(cells, cells.key, box)


def _color_bar(cells: Cells, title: str, box: Box) -> Iterator[str]:
    shades = np.linspace(*cells.limits, 64)[::-1, None]
    at = (box.right + 14, box.top + 18, 10, box.bottom - box.top - 18)
    yield _image(_painted(shades, cells.limits, cells.scale), at)
    yield _text(at[0], box.top + 8, title, GREY, "start", SMALL)
    for y, value in ((at[1] + 9, cells.limits[1]), (box.bottom, cells.limits[0])):
        yield _text(at[0] + 14, y, f"{value:.3g}", GREY, "start", SMALL)


def _painted(
    z: NDArray[Any], limits: tuple[float, float], scale: Sequence[tuple[float, str]]
) -> NDArray[np.uint8]:
    """(R, K, 4) colours of cells; clear where there is no number."""
    low, high = limits
    share = np.clip((z - low) / ((high - low) or 1.0), 0, 1)
    at = [place for place, _ in scale]
    stops = np.array([[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for _, colour in scale])
    there = np.isfinite(share)
    colours = [np.interp(np.where(there, share, 0.0), at, stops[:, k]) for k in range(3)]
    return np.stack([*colours, 255.0 * there], axis=-1).round().astype(np.uint8)


def _image(pixels: NDArray[np.uint8], place: tuple[float, float, float, float], colored: bool = False) -> str:
    left, top, width, height = place
    kind = ' class="coloured"' if colored else ""
    return (
        f'<image{kind} x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'
        f' preserveAspectRatio="none" style="image-rendering:pixelated" href="{data_url(pixels)}"/>'
    )


def _rule(rule: Rule, panel: Placed, box: Box) -> str:
    if rule.horizontal:
        y = float(box.y(panel.y, rule.at))
        ends = [(box.left, y), (box.right, y)]
    else:
        x = float(box.x(panel.x, rule.at))
        ends = [(x, box.bottom), (x, box.top)]
    return _stroke(ends, rule.color, rule.width, DASHES[rule.dash])


def _note(note: Note, panel: Placed, box: Box) -> str:
    x = float(box.x(panel.x, note.x)) + note.shift
    y = _above(box, note.text) if note.y is None else float(box.y(panel.y, note.y)) + _middle(note.text)
    return _text(x, y, note.text, note.color, ANCHORS[note.anchor], SIZE)


def _above(box: Box, text: Text) -> float:
    """The first baseline of text above a panel."""
    return box.top + (-0.25 - LINE * in_words(text).count("\n")) * SIZE


def _middle(text: str) -> float:
    """From the middle of text to its first baseline."""
    return (0.35 - LINE * text.count("\n") / 2) * SIZE


def _area(points: Any, paint: str) -> str:
    return f'<path d="{_path(points)}Z" {paint}/>'


def _stroke(points: Any, color: str, width: float, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    line = f'stroke="{color}" stroke-width="{width:g}"{dashed} stroke-linejoin="round"'
    return f'<path d="{_path(points)}" fill="none" {line}/>'


def _path(points: Any) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _text(x: float, y: float, text: Text, color: str, anchor: str, size: float, turned: int = 0) -> str:
    inside: list[str] = []
    for words, own in [Span(text)] if isinstance(text, str) else text:
        for k, part in enumerate(words.split("\n")):
            step = f' x="{x:.1f}" dy="{LINE}em"' if k else ""
            paint = f' fill="{own}"' if own else ""
            inside.append(f"<tspan{step}{paint}>{escape(part)}</tspan>" if step or paint else escape(part))
    turn = f' transform="rotate({turned} {x:.1f} {y:.1f})"' if turned else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" text-anchor="{anchor}" font-size="{size:g}"{turn}'
        f' xml:space="preserve">{"".join(inside)}</text>'
    )
