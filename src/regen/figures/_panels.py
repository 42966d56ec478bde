"""What a figure shows, read back as plain numbers: its drawing, its sketch and its words all come from here.

It knows what the figures of this package are made of: lines, points, words, bars and cells.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from regen.figures._axes import DAY, Axis
from regen.figures._png import pixels_at
from regen.figures.style import BLUE, COLOURS, INK

__all__ = ["Bars", "Cells", "Line", "Panel", "panels", "plain", "reach", "spots"]

Values = NDArray[np.float64]
LIGHT = np.array([0.2126, 0.7152, 0.0722])
"""Shares of red, green and blue in how light a colour is (ITU-R BT.709)."""
MARGIN = 0.05
"""Share of an axis that is left free beyond the highest value."""


@final
@dataclass(frozen=True, eq=False)
class Line:
    """Values along a line, with points on it or as points alone, or with a word at each.

    filled : whether the inside of the outline is what is meant.
    """

    name: str
    x: Values
    y: Values
    colour: str
    width: float = 2.0
    dash: str = "solid"
    drawn: bool = True
    size: float = 0.0
    hollow: bool = False
    texts: Sequence[str] | None = None
    filled: bool = False


@final
@dataclass(frozen=True, eq=False)
class Bars:
    """Bars from `base` to `end`, `thick` wide, at places `at`; lying down or standing."""

    name: str
    at: Values
    base: Values
    end: Values
    thick: float
    lying: bool
    colours: Sequence[str]
    texts: Sequence[str] | None = None


@final
@dataclass(frozen=True, eq=False)
class Cells:
    """Cells (R, K), the first row at the lowest place, in colours between `limits` by the stops of `scale`.

    key : what the colours measure; `keyed` where a key stands beside the panel. pictured : pixels of images; `pixels`
    (R, K, 4) where those have colours of their own, and z is how dark they are.
    """

    name: str
    z: Values
    left: float
    right: float
    bottom: float
    top: float
    limits: tuple[float, float]
    scale: Sequence[tuple[float, str]]
    key: str = ""
    keyed: bool = False
    pictured: bool = False
    texts: Any = None
    pixels: NDArray[np.uint8] | None = None

    @property
    def places(self) -> tuple[Values, Values]:
        """Middles of the columns (K,) and of the rows (R,)."""
        R, K = self.z.shape
        return (
            self.left + (np.arange(K) + 0.5) * (self.right - self.left) / K,
            self.bottom + (np.arange(R) + 0.5) * (self.top - self.bottom) / R,
        )


Mark = Line | Bars | Cells


@final
@dataclass(frozen=True, eq=False)
class Panel:
    """A pair of axes and what is drawn in it; `ids` are plotly's names of the two."""

    x: Axis
    y: Axis
    ids: tuple[str, str]
    marks: Sequence[Mark] = field(default_factory=list)


def panels(figure: Any) -> list[Panel]:
    """The panels of a plotly figure.

    Raises
    ------
    ValueError
        When a trace is of a kind that no figure here has.
    """
    groups: dict[tuple[str, str], list[Any]] = {}
    for trace in figure.data:
        if trace.type not in ("scatter", "bar", "heatmap", "image"):
            raise ValueError(
                f"Only scatter, bar, heatmap and image traces can be read. Got a {trace.type!r} trace. Draw the"
                " figure with plotly itself."
            )
        groups.setdefault((trace.xaxis or "x", trace.yaxis or "y"), []).append(trace)
    return [_panel(figure, ids, traces) for ids, traces in groups.items()]


def plain(text: Any) -> str:
    """The words of plotly's markup."""
    return "".join(words for words, _ in spots(text))


def spots(text: Any) -> Iterator[tuple[str, str | None]]:
    """Plotly's markup as words, each with its colour if it has one of its own; a line break is a newline."""
    colour = None
    left = str(text or "").replace("<br>", "\n").replace("&nbsp;", " ")
    while left:
        words, tag, left = left.partition("<")
        if words:
            yield _unescaped(words), colour
        if tag:
            inside, _, left = left.partition(">")
            _, _, after = inside.partition("color:")
            colour = after.split(";")[0].strip("\"' ") or None if inside.startswith("span") else None


def _unescaped(words: str) -> str:
    return words.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _panel(figure: Any, ids: tuple[str, str], traces: Sequence[Any]) -> Panel:
    axes = [figure.layout[name[0] + "axis" + name[1:]] for name in ids]
    drawn = [trace for trace in traces if trace.type != "image"]  # which has no list of places
    kinds = [_kind(axis, [trace[name[0]] for trace in drawn]) for axis, name in zip(axes, ids, strict=True)]
    ways = iter(figure.layout.colorway or COLOURS)
    marks = [_mark(trace, kinds, next(ways, BLUE)) for trace in traces]
    read = [_axis(axis, kind, marks, k) for k, (axis, kind) in enumerate(zip(axes, kinds, strict=True))]
    if (axes[0].anchor or ids[1]) != ids[1]:  # written under another panel
        read[0] = replace(read[0], visible=False)
    return Panel(read[0], read[1], ids, marks)


def _kind(axis: Any, values: Sequence[Any]) -> str:
    if axis.type == "log":
        return "log"
    dated = axis.type == "date" or any(_is_date(each) for each in values)
    return "date" if dated else "linear"


def _is_date(values: Any) -> bool:
    if values is None or not len(values):
        return False
    first = next((each for each in np.asarray(values, dtype=object).ravel() if each is not None), None)
    return isinstance(first, np.datetime64 | date)


def _mark(trace: Any, kinds: Sequence[str], usual: str) -> Mark:
    if trace.type == "heatmap":
        return _cells(trace, kinds)
    if trace.type == "image":
        return _coloured(trace)
    x, y = _places(trace.x, kinds[0]), _places(trace.y, kinds[1])
    x, y = (x if len(x) else np.arange(float(len(y)))), (y if len(y) else np.arange(float(len(x))))
    texts = None if trace.text is None else _texts(trace.text, len(x))
    if trace.type == "bar":
        return _bars(trace, x, y, texts, usual)
    if trace.connectgaps:
        x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    mode = trace.mode or "lines"
    filled = trace.fill is not None and trace.fill != "none"
    colour = trace.line.color or trace.marker.color
    if isinstance(colour, Sequence) and not isinstance(colour, str):
        colour = colour[0]
    edge = trace.marker.line.color
    return Line(
        name=plain(trace.name),
        x=x,
        y=y,
        colour=(trace.fillcolor if filled else None) or edge or trace.textfont.color or colour or usual,
        width=2.0 if trace.line.width is None else float(trace.line.width),
        dash=trace.line.dash or "solid",
        drawn="lines" in mode,
        size=float(trace.marker.size or 6) if "markers" in mode else 0.0,
        hollow=edge is not None,
        texts=texts if "text" in mode else None,
        filled=filled,
    )


def _bars(trace: Any, x: Values, y: Values, texts: Sequence[str] | None, usual: str) -> Bars:
    lying = trace.orientation == "h"
    at, size = (y, x) if lying else (x, y)
    base = _places(trace.base, "linear") if trace.base is not None else np.zeros(len(at))
    base = np.broadcast_to(base, at.shape)
    colours = trace.marker.color or usual
    gaps = np.diff(np.unique(at))
    thick = float(trace.width) if np.ndim(trace.width) == 0 and trace.width else 0.8
    thick *= float(gaps.min()) if len(gaps) and not trace.width else 1.0
    return Bars(
        plain(trace.name),
        at,
        base,
        base + size,
        thick,
        lying,
        [colours] * len(at) if isinstance(colours, str) else list(colours),
        texts,
    )


def _cells(trace: Any, kinds: Sequence[str]) -> Cells:
    z = np.asarray(trace.z, dtype=np.float64)
    R, K = z.shape
    left, right = _edges(trace.x, trace.x0, trace.dx, K, kinds[0])
    bottom, top = _edges(trace.y, trace.y0, trace.dy, R, kinds[1])
    found = z[np.isfinite(z)]
    limits = (
        float(found.min(initial=np.inf)) if trace.zmin is None else float(trace.zmin),
        float(found.max(initial=-np.inf)) if trace.zmax is None else float(trace.zmax),
    )
    scale = [(float(place), str(colour)) for place, colour in trace.colorscale or ((0, "#ffffff"), (1, INK))]
    return Cells(
        name=plain(trace.name),
        z=z,
        left=left,
        right=right,
        bottom=bottom,
        top=top,
        limits=limits,
        scale=scale,
        key=plain(trace.colorbar.title.text),
        keyed=trace.showscale is not False,
        pictured=trace.hoverinfo == "skip",
        texts=_cell_texts(trace, z.shape),
    )


def _coloured(trace: Any) -> Cells:
    """Pixels with colours of their own, z how dark each is, 0 where it is clear."""
    pixels = pixels_at(trace.source)
    light = pixels[..., :3] @ LIGHT / 255
    R, K = light.shape
    left, right = _edges(None, trace.x0, trace.dx, K, "linear")
    bottom, top = _edges(None, trace.y0, trace.dy, R, "linear")
    dark = np.where(pixels[..., 3] > 0, 1 - light, 0.0)
    scale = ((0.0, "#ffffff"), (1.0, INK))
    return Cells(
        plain(trace.name), dark, left, right, bottom, top, (0.0, 1.0), scale, pictured=True, pixels=pixels
    )


def _cell_texts(trace: Any, shape: tuple[int, ...]) -> Any:
    if trace.texttemplate is None:
        return None
    return np.asarray(trace.text, dtype=object).reshape(shape)


def _edges(places: Any, first: Any, step: Any, count: int, kind: str) -> tuple[float, float]:
    """Outer edges of `count` cells in a row."""
    if places is not None and len(places):
        at = _places(places, kind)
        step = (at[-1] - at[0]) / (count - 1) if count > 1 else 1.0
        first = at[0]
    first, step = 0.0 if first is None else float(first), 1.0 if step is None else float(step)
    return first - step / 2, first + (count - 0.5) * step


def _places(values: Any, kind: str) -> Values:
    if values is None:
        return np.empty(0)
    if kind == "date":
        stamps = [np.datetime64("NaT") if each is None else np.datetime64(each) for each in values]
        days = np.array(stamps, dtype="datetime64[us]")
        return np.where(np.isnat(days), np.nan, days.astype(np.int64) / DAY)
    numbers = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if kind != "log":
        return numbers
    positive = np.where(numbers > 0, numbers, np.nan)
    return np.log10(positive)


def _texts(text: Any, count: int) -> Sequence[str]:
    return [plain(text)] * count if isinstance(text, str) else [plain(each) for each in text]


def _axis(axis: Any, kind: str, marks: Sequence[Mark], which: int) -> Axis:
    low, high = _roomy(marks, which) if axis.range is None else _places(axis.range, _given(kind))
    if axis.autorange == "reversed":
        low, high = high, low
    named: list[tuple[float, str]] | None = [] if axis.showticklabels is False else None
    if axis.tickvals is not None:
        names = [plain(each) for each in axis.ticktext] if axis.ticktext is not None else None
        at = _places(axis.tickvals, kind)
        named = [(float(p), names[k] if names else f"{p:.4g}") for k, p in enumerate(at)]
    return Axis(
        title=plain(axis.title.text),
        low=float(low),
        high=float(high),
        kind=kind,
        domain=tuple(axis.domain) if axis.domain is not None else (0.0, 1.0),
        visible=axis.visible is not False,
        grid=axis.showgrid if axis.showgrid is not None else which == 1,
        slanted=bool(axis.tickangle),
        square=axis.scaleanchor is not None,
        named=named,
    )


def _given(kind: str) -> str:
    """The range of a logarithmic axis is in logarithms already."""
    return "linear" if kind == "log" else kind


def reach(marks: Sequence[Mark], which: int) -> tuple[float, float] | None:
    """Lowest and highest place of the marks along axis 0 or 1; None of nothing."""
    ends: list[float] = []
    for mark in marks:
        if isinstance(mark, Cells):
            ends += [(mark.left, mark.right), (mark.bottom, mark.top)][which]
            continue
        if isinstance(mark, Bars):
            along = which == (0 if mark.lying else 1)
            half = mark.thick / 2
            found = np.concatenate([mark.base, mark.end] if along else [mark.at - half, mark.at + half])
        else:
            found = mark.y if which else mark.x
        found = found[np.isfinite(found)]
        ends += [float(found.min()), float(found.max())] if len(found) else []
    return (min(ends), max(ends)) if ends else None


def _roomy(marks: Sequence[Mark], which: int) -> tuple[float, float]:
    """As `reach`, with a little room where marks would touch the edge; bars stand on it."""
    low, high = reach(marks, which) or (0.0, 1.0)
    bars = [mark for mark in marks if isinstance(mark, Bars) and which == (0 if mark.lying else 1)]
    points = [mark for mark in marks if isinstance(mark, Line) and (which == 1 or not mark.drawn)]
    room = MARGIN * (high - low or 1.0) if bars or points or low == high else 0.0
    return (low if bars and low == 0 else low - room), (high if bars and high == 0 else high + room)
