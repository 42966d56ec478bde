"""A figure drawn by regen itself, as SVG: for paper, for pages without JavaScript, and where there is no browser.

It needs no other program and no library. What it draws is what the figures here are made of; a figure of another
kind is refused. Plotly's own drawing is finer where labels crowd.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regen.figures._axes import DAY, Axis
from regen.figures._panels import Bars, Cells, Line, Panel, panels, plain, reach, spots
from regen.figures._png import address
from regen.figures.render.words import describe
from regen.figures.style import FONT, GREY, HEIGHT, INK, RULE

__all__ = ["still"]

LETTER, LINE = 0.56, 1.3
"""Width of a letter and height of a line, as shares of the size of the type."""
SIZE, SMALL = 13, 12
KEY = 64
"""Width of a colour key."""
DASHES = {"dot": "2 4", "dash": "7 4", "solid": ""}
ANCHORS = {"left": "start", "center": "middle", "right": "end"}


class Box(NamedTuple):
    """A panel's place in the drawing, in pixels."""

    left: float
    right: float
    top: float
    bottom: float

    def x(self, axis: Axis, places: Any) -> Any:
        """Pixels from the left of places along the axis."""
        return self.left + axis.share(places) * (self.right - self.left)

    def y(self, axis: Axis, places: Any) -> Any:
        """Pixels from the top."""
        return self.bottom - axis.share(places) * (self.bottom - self.top)


def still(figure: Any, width: int = 640) -> str:
    """The figure as the text of an SVG file.

    Parameters
    ----------
    figure : of plotly, made of scatter, bar, heatmap and image traces.
    width : of the drawing in pixels; its height is that of the figure. The drawing may be shown at any size.

    Raises
    ------
    ValueError
        When the figure has traces of another kind.
    """
    found = panels(figure)
    height = int(figure.layout.height or HEIGHT)
    boxes, parts = _boxes(found, figure, width, height), []
    for panel in found:
        box = boxes[panel.ids]
        parts += [
            *_axes(panel, box),
            *_cut(_marks(panel, box), panel, box),
            *_shapes(figure, panel, box, found),
        ]
    parts += _notes(figure, found, boxes)
    words = escape(describe(figure))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img" font-family="{escape(FONT)}" font-size="{SIZE}" fill="{INK}">\n<title>{words}</title>\n'
        + "\n".join(parts)
        + "\n</svg>"
    )


def _boxes(found: Sequence[Panel], figure: Any, width: int, height: int) -> dict[tuple[str, str], Box]:
    """Where each panel stands: what its names need is left free around it, the same for all along an edge."""
    margin = figure.layout.margin
    top, right = margin.t if margin.t is not None else 40, (margin.r or 12) + KEY * any(map(_keyed, found))
    left = max((_left(panel) for panel in found if panel.x.domain[0] == 0), default=0.0) + 10
    below = max((_below(panel) for panel in found if panel.y.domain[0] == 0), default=0.0) + 10
    inner = (width - right - left, height - below - top)
    boxes = {}
    for panel in found:
        x, y = panel.x.domain, panel.y.domain
        own = (_left(panel) if x[0] > 0 else 0.0, _below(panel) if y[0] > 0 else 0.0)
        box = Box(
            left + x[0] * inner[0] + own[0],
            left + x[1] * inner[0],
            top + (1 - y[1]) * inner[1],
            top + (1 - y[0]) * inner[1] - own[1],
        )
        boxes[panel.ids] = _squared(box, panel) if panel.y.square else box
    return boxes


def _keyed(panel: Panel) -> bool:
    return any(isinstance(mark, Cells) and mark.keyed for mark in panel.marks)


def _left(panel: Panel) -> float:
    """Room for the names of the axis that goes upwards."""
    names = [name for _, name in panel.y.ticks(6)] if panel.y.visible else []
    return max((LETTER * SMALL * len(name) + 10 for name in names), default=0) + (22 if panel.y.title else 0)


def _below(panel: Panel) -> float:
    """Room for the names of the axis that goes across."""
    if not panel.x.visible:
        return 0.0
    longest = max((len(name) for _, name in panel.x.ticks(6)), default=0)
    names = LETTER * SMALL * longest * 0.75 + 12 if panel.x.slanted else 22
    return names + (20 if panel.x.title else 0)


def _squared(box: Box, panel: Panel) -> Box:
    """As large a part of the box as leaves a step of both axes the same length."""
    across, down = abs(panel.x.high - panel.x.low), abs(panel.y.high - panel.y.low)
    scale = min((box.right - box.left) / across, (box.bottom - box.top) / down)
    middle = (box.left + box.right) / 2
    return Box(middle - scale * across / 2, middle + scale * across / 2, box.top, box.top + scale * down)


def _axes(panel: Panel, box: Box) -> Iterator[str]:
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


def _marks(panel: Panel, box: Box) -> Iterator[str]:
    for mark in panel.marks:
        if isinstance(mark, Line):
            yield from _line(mark, panel, box)
        elif isinstance(mark, Bars):
            yield from _bars(mark, panel, box)
        else:
            yield from _cells(mark, panel, box)


def _cut(drawn: Iterator[str], panel: Panel, box: Box) -> Iterator[str]:
    """Marks, cut at the edges of the panel where they go beyond them."""
    ends = [reach(panel.marks, which) for which in (0, 1)]
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


def _line(line: Line, panel: Panel, box: Box) -> Iterator[str]:
    x, y = box.x(panel.x, line.x), box.y(panel.y, line.y)
    there = np.isfinite(x) & np.isfinite(y)
    if line.drawn:
        paint = f'fill="{line.colour}" stroke="none"' if line.filled else None
        breaks = np.flatnonzero(~there)
        for run in np.split(np.arange(len(x)), breaks):
            kept = run[there[run]]
            if len(kept):
                yield _stroke(
                    zip(x[kept], y[kept], strict=True),
                    line.colour,
                    line.width,
                    DASHES.get(line.dash, ""),
                    paint,
                )
    if line.size:
        edge = (
            f'fill="#ffffff" stroke="{line.colour}" stroke-width="2"'
            if line.hollow
            else f'fill="{line.colour}"'
        )
        for a, b in zip(x[there], y[there], strict=True):
            yield f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{line.size / 2:g}" {edge}/>'
    for a, b, words in zip(x[there], y[there], line.texts or [], strict=False):
        yield _text(a, b + 4, words, line.colour, "middle", SMALL)


def _bars(bars: Bars, panel: Panel, box: Box) -> Iterator[str]:
    half = bars.thick / 2
    for at, base, end, colour in zip(bars.at, bars.base, bars.end, bars.colours, strict=True):
        if not np.isfinite(at + base + end):
            continue
        low, high = sorted((base, end))
        sides = (low, high, at - half, at + half) if bars.lying else (at - half, at + half, low, high)
        left, right = sorted(box.x(panel.x, np.array(sides[:2])))
        top, bottom = sorted(box.y(panel.y, np.array(sides[2:])))
        yield (
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(right - left, 0.3):.1f}"'
            f' height="{max(bottom - top, 0.3):.1f}" fill="{colour}"/>'
        )
    for at, end, words in zip(bars.at, bars.end, bars.texts or [], strict=False):
        if bars.lying:
            yield _text(box.x(panel.x, end) + 5, box.y(panel.y, at) + 4, words, INK, "start", SMALL)
        else:
            yield _text(box.x(panel.x, at), box.y(panel.y, end) - 4, words, INK, "middle", SMALL)


def _cells(cells: Cells, panel: Panel, box: Box) -> Iterator[str]:
    left, right = box.x(panel.x, np.array([cells.left, cells.right]))
    bottom, top = box.y(panel.y, np.array([cells.bottom, cells.top]))
    coloured = cells.pixels is not None
    pixels = cells.pixels if cells.pixels is not None else _painted(cells.z, cells.limits, cells.scale)
    pixels = pixels[:: 1 if bottom < top else -1, :: 1 if left < right else -1]
    yield _image(pixels, (min(left, right), min(top, bottom), abs(right - left), abs(bottom - top)), coloured)
    if cells.texts is not None:
        across, up = cells.places
        for r, row in enumerate(cells.texts):
            for k, words in enumerate(row):
                dark = cells.z[r, k] > sum(cells.limits) / 2
                x, y = box.x(panel.x, across[k]), box.y(panel.y, up[r]) + 4
                yield _text(x, y, plain(words), "#ffffff" if dark else INK, "middle", SMALL)
    if cells.keyed:
        shades = np.linspace(*cells.limits, 64)[::-1, None]
        at = (box.right + 14, box.top + 18, 10, box.bottom - box.top - 18)
        yield _image(_painted(shades, cells.limits, cells.scale), at)
        yield _text(at[0], box.top + 8, cells.key, GREY, "start", SMALL)
        for place, value in ((at[1] + 9, cells.limits[1]), (box.bottom, cells.limits[0])):
            yield _text(at[0] + 14, place, f"{value:.3g}", GREY, "start", SMALL)


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


def _image(
    pixels: NDArray[np.uint8], place: tuple[float, float, float, float], coloured: bool = False
) -> str:
    left, top, width, height = place
    kind = ' class="coloured"' if coloured else ""
    return (
        f'<image{kind} x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}"'
        f' preserveAspectRatio="none" style="image-rendering:pixelated" href="{address(pixels)}"/>'
    )


def _shapes(figure: Any, panel: Panel, box: Box, found: Sequence[Panel]) -> Iterator[str]:
    for shape in figure.layout.shapes:
        names = [(shape.xref or "x").partition(" ")[0], (shape.yref or "y").partition(" ")[0]]
        own = [name in (mine, "paper") for name, mine in zip(names, panel.ids, strict=True)]
        if not all(own) or ("paper" in names and panel is not found[0]):
            continue
        x = [_place(box, panel, shape.xref, end, 0) for end in (shape.x0, shape.x1)]
        y = [_place(box, panel, shape.yref, end, 1) for end in (shape.y0, shape.y1)]
        dash = DASHES.get(shape.line.dash or "solid", "")
        if shape.type == "line":
            yield _stroke(zip(x, y, strict=True), shape.line.color or GREY, shape.line.width or 1, dash)
        elif shape.type == "rect":
            corners = zip([x[0], x[1], x[1], x[0]], [y[0], y[0], y[1], y[1]], strict=True)
            yield _stroke(
                corners, "none", 0, "", f'fill="{shape.fillcolor or RULE}" opacity="{shape.opacity or 1}"'
            )


def _place(box: Box, panel: Panel, ref: str | None, value: Any, which: int) -> float:
    """Pixels of a place along axis 0 or 1, told in values of the axis or in shares of the panel."""
    axis = (panel.x, panel.y)[which]
    if ref is not None and ("domain" in ref or ref == "paper"):
        value = axis.low + float(value) * (axis.high - axis.low)
    elif axis.kind == "date" and not isinstance(value, int | float):
        value = np.datetime64(value).astype("datetime64[us]").astype(np.int64) / DAY
    return float((box.x, box.y)[which](axis, float(value)))


def _notes(figure: Any, found: Sequence[Panel], boxes: Mapping[tuple[str, str], Box]) -> Iterator[str]:
    """The title and what is written beside the data."""
    if figure.layout.title.text:
        yield _text(10, 18, figure.layout.title.text, INK, "start", SIZE)
    for note in figure.layout.annotations:
        mine = [(note.xref or "x").partition(" ")[0], (note.yref or "y").partition(" ")[0]]
        panel = next(
            (p for p in found if all(m in (i, "paper") for m, i in zip(mine, p.ids, strict=True))), found[0]
        )
        box = boxes[panel.ids]
        x = _place(box, panel, note.xref, note.x, 0) + (note.xshift or 0)
        y = _place(box, panel, note.yref, note.y, 1) - (note.yshift or 0)
        lines = plain(note.text).count("\n") + 1
        size = note.font.size or SIZE
        drop = {"top": 0.85, "bottom": -0.25 - LINE * (lines - 1)}.get(
            note.yanchor or "middle", 0.35 - LINE * (lines - 1) / 2
        )
        anchor = ANCHORS.get(note.xanchor or "center", "middle")
        yield _text(x, y + drop * size, note.text, note.font.color or INK, anchor, size)


def _stroke(points: Any, colour: str, width: float, dash: str = "", paint: str | None = None) -> str:
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    if paint is not None:
        return f'<path d="{path}Z" {paint}/>'
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    line = f'stroke="{colour}" stroke-width="{width:g}"{dashed} stroke-linejoin="round"'
    return f'<path d="{path}" fill="none" {line}/>'


def _text(x: float, y: float, text: Any, colour: str, anchor: str, size: float, turned: int = 0) -> str:
    inside, rows = [], 0
    for words, own in spots(text):
        for k, part in enumerate(words.split("\n")):
            rows += k > 0
            step = f' x="{x:.1f}" dy="{LINE}em"' if k else ""
            paint = f' fill="{own}"' if own else ""
            inside.append(f"<tspan{step}{paint}>{escape(part)}</tspan>" if step or paint else escape(part))
    turn = f' transform="rotate({turned} {x:.1f} {y:.1f})"' if turned else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-size="{size:g}"{turn}'
        f' xml:space="preserve">{"".join(inside)}</text>'
    )
