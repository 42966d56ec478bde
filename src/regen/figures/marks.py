"""What a chart is made of: axes, marks and panels, as plain values that the renderers draw.

Values along an axis are given as they are: numbers, also on a logarithmic axis, or dates (`numpy.datetime64`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, NamedTuple, Protocol, final

import numpy as np
from numpy.typing import NDArray

from regen.figures.style import BLUE, GREY, INK

__all__ = [
    "UNIT",
    "Axis",
    "Band",
    "Bars",
    "Cells",
    "Drawing",
    "Grid",
    "Image",
    "Line",
    "Mark",
    "Note",
    "Panel",
    "Points",
    "Rule",
    "Span",
    "Text",
]

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Weights of red, green and blue in the luminance of a color (ITU-R BT.709)."""


class Span(NamedTuple):
    """A piece of text in one color; None is the color of the text around it."""

    text: str
    color: str | None = None


Text = str | Sequence[Span]
"""Plain text, or pieces of it in their own colors."""


class Grid(NamedTuple):
    """Evenly spaced centers of cells."""

    start: float = 0.0
    step: float = 1.0

    def edges(self, count: int) -> tuple[float, float]:
        """The outer edges of `count` cells."""
        return self.start - self.step / 2, self.start + (count - 0.5) * self.step

    def centers(self, count: int) -> NDArray[np.float64]:
        """The centers of `count` cells."""
        low, high = self.edges(count)
        return low + (np.arange(count) + 0.5) * (high - low) / count


UNIT = Grid()
"""Cells at 0, 1, 2 ..."""


@final
@dataclass(frozen=True, eq=False)
class Axis:
    """An axis of a panel.

    kind : "linear" or "log"; an axis of dates is recognised by its values.
    limits : its ends in values of the axis; None takes those of the marks. from_zero : includes 0 all the same.
    reverse : from right to left, or from top to bottom.
    ticks : values to mark; None chooses about `tick_count` round ones, () marks none.
    tick_labels : text at each of `ticks`; None writes the values.
    bare : without a line and without tick marks. grid : None draws grid lines across the vertical axis only.
    square : of the vertical axis: one unit is as long as on the horizontal axis.
    domain : its share of the width or height of the chart.
    """

    title: str = ""
    _: KW_ONLY
    kind: Literal["linear", "log"] = "linear"
    limits: tuple[float, float] | None = None
    from_zero: bool = False
    reverse: bool = False
    ticks: Any = None
    tick_labels: Sequence[str] | None = None
    tick_count: int | None = None
    slanted: bool = False
    bare: bool = False
    grid: bool | None = None
    square: bool = False
    visible: bool = True
    domain: tuple[float, float] = (0.0, 1.0)


@final
@dataclass(frozen=True, eq=False)
class Line:
    """A line through points; NaN breaks it.

    marker : size of a dot at each point in pixels; 0 draws none. stepped : horizontal between points.
    bridged : NaN does not break the line. clipped : not drawn outside of the axes.
    hover : shown at the pointer, with ``{x}``, ``{y}`` in d3-format; "" shows the value, None nothing.
    """

    x: Any
    y: Any
    _: KW_ONLY
    name: str = ""
    color: str = BLUE
    width: float = 2.0
    dash: Literal["solid", "dot", "dash"] = "solid"
    marker: float = 0.0
    stepped: bool = False
    bridged: bool = False
    clipped: bool = True
    hover: str | None = ""


@final
@dataclass(frozen=True, eq=False)
class Points:
    """Points, drawn as dots, as rings (`hollow`), or all as the text `label`.

    hover : as in `Line`, with the name where `named`.
    """

    x: Any
    y: Any
    _: KW_ONLY
    name: str = ""
    color: str = BLUE
    size: float = 6.0
    hollow: bool = False
    opacity: float = 1.0
    label: str = ""
    clipped: bool = True
    hover: str | None = ""
    named: bool = True


@final
@dataclass(frozen=True, eq=False)
class Band:
    """The area between `low` and `high`; NaN in both splits it."""

    x: Any
    low: Any
    high: Any
    _: KW_ONLY
    name: str = ""
    color: str = BLUE

    @property
    def parts(self) -> list[NDArray[np.int64]]:
        """The indices of each connected part."""
        missing = np.isnan(self.low) & np.isnan(self.high)
        parts = np.split(np.arange(len(missing)), np.flatnonzero(missing))
        kept = [part[~missing[part]] for part in parts]
        return [part for part in kept if len(part)]


@final
@dataclass(frozen=True, eq=False)
class Bars:
    """Bars of a length `size` at positions `at`, vertical or horizontal.

    base : where each bar begins; None is 0. thickness : in units of the axis; None leaves a small gap.
    color : one for all, or one of each. labels : written at the ends.
    notes : of each bar, as ``{note}`` in `hover`, see `Line`.
    """

    at: Any
    size: Any
    _: KW_ONLY
    name: str = ""
    color: str | Sequence[str] = BLUE
    base: Any = None
    thickness: float | None = None
    horizontal: bool = False
    labels: Sequence[str] | None = None
    notes: Any = None
    clipped: bool = True
    hover: str | None = ""

    @property
    def end(self) -> Any:
        """Where each bar ends."""
        return self.size if self.base is None else self.base + self.size


@final
@dataclass(frozen=True, eq=False)
class Cells:
    """A heat map: cells (R, K), row 0 at the lowest value of the axis, in colors of `scale` between `limits`.

    x, y : centers of the columns and of the rows. key : what the colors measure, for the color bar; None draws none.
    labels : (R, K) text in the cells. notes : (R, K) of the cells, as ``{note}`` in `hover`, see `Line`.
    pictured : cells are pixels of images.
    """

    z: Any
    x: Any = UNIT
    y: Any = UNIT
    _: KW_ONLY
    limits: tuple[float, float]
    scale: Sequence[tuple[float, str]]
    name: str = ""
    key: str | None = None
    labels: Any = None
    notes: Any = None
    hover: str | None = ""
    pictured: bool = False


@final
@dataclass(frozen=True, eq=False)
class Image:
    """Pixels (R, K, 4) of red, green, blue and opacity, row 0 at the lowest value of the axis."""

    pixels: NDArray[np.uint8]
    x: Grid = UNIT
    y: Grid = UNIT
    _: KW_ONLY
    name: str = ""

    @property
    def darkness(self) -> NDArray[np.float64]:
        """(R, K) of the pixels, in [0, 1]; 0 where they are transparent."""
        return np.where(self.pixels[..., 3] > 0, 1 - self.pixels[..., :3] @ LUMINANCE / 255, 0.0)


Mark = Line | Points | Band | Bars | Cells | Image


@final
@dataclass(frozen=True, eq=False)
class Rule:
    """A straight line through the panel at a value of one axis: vertical, or horizontal."""

    at: float
    _: KW_ONLY
    horizontal: bool = False
    color: str = GREY
    width: float = 1.0
    dash: Literal["solid", "dot", "dash"] = "dot"


@final
@dataclass(frozen=True, eq=False)
class Note:
    """Text in a panel; y=None writes it above the panel. shift : to the right, in pixels."""

    text: str
    x: float
    y: float | None = None
    _: KW_ONLY
    color: str = INK
    anchor: Literal["left", "center", "right"] = "center"
    shift: float = 0.0


@final
@dataclass(frozen=True, eq=False)
class Panel:
    """A pair of axes and what is drawn on them, the first mark at the back; `heading` is written above."""

    x: Axis
    y: Axis
    marks: Sequence[Mark]
    _: KW_ONLY
    heading: Text = ""
    notes: Sequence[Note] = ()
    rules: Sequence[Rule] = ()


class Drawing(Protocol):
    """What a renderer needs of a chart."""

    @property
    def panels(self) -> Sequence[Panel]:
        """From top to bottom, or from left to right."""

    @property
    def title(self) -> Text:
        """Written above the panels."""

    @property
    def height(self) -> int:
        """In pixels."""

    @property
    def margins(self) -> Mapping[str, int]:
        """Pixels at the left, right, top and bottom ("l", "r", "t", "b") where they differ from the style's."""

    @property
    def hover(self) -> str | None:
        """What the pointer shows: all values at one "x", those of the "nearest" mark, or nothing."""

    @property
    def shared_x(self) -> bool:
        """Whether all panels have the horizontal axis of the lowest one."""
