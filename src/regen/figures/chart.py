"""A chart: what a figure shows, as a value, and the ways to draw it."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal, final
from warnings import warn

from regen._optional import installed
from regen.figures.export import write
from regen.figures.marks import Panel, Span, Text
from regen.figures.render.plotly import plotly_figure
from regen.figures.render.svg import svg
from regen.figures.render.text import text
from regen.figures.render.words import describe
from regen.figures.style import HEIGHT

__all__ = ["Chart", "color_key", "stacked"]

PLOTLY = "application/vnd.plotly.v1+json"
FORWARDED = (
    *("data", "layout", "to_dict", "to_html", "to_image", "to_json", "to_plotly_json"),
    *("write_html", "write_image", "write_json"),
)
"""What a plotly figure is read and written by; a chart passes it on, with a warning."""
CHANGES = ("add_", "for_each_", "set_", "update")
"""How the names of the methods begin that change a plotly figure."""


@final
@dataclass(frozen=True, eq=False)
class Chart:
    """What a figure shows, as a value: drawn by plotly, as SVG, as text, or described in words.

    In a notebook a chart shows itself: by plotly where it is installed, else, and in a notebook that is exported to
    HTML, as SVG, which needs no script.

    Parameters
    ----------
    panels : sequence of Panel
        Pairs of axes with their marks, see `regen.figures.marks`.
    title : str or sequence of Span, default=""
        Written above the panels.
    height : int, default=320
        In pixels. A chart takes the width that it is given, from a phone's 380 pixels up.
    margins : mapping, default={}
        Pixels at the left, right, top and bottom ("l", "r", "t", "b") where they differ from the style's.
    hover : {"x", "nearest"} or None, default="x"
        What plotly shows at the pointer: all values at one x, those of the nearest mark, or nothing.
    shared_x : bool, default=False
        Whether all panels have the horizontal axis of the lowest one.

    See Also
    --------
    regen.figures.svg : As an SVG file.
    regen.figures.text : In letters, for a terminal.
    regen.figures.describe : In words.
    regen.figures.write : As a file of any kind.

    Examples
    --------
    >>> from regen import figures
    >>> chart = figures.loss_per_step([3.0, 2.0, 1.0])
    >>> chart.describe()
    'Lines. Across: time steps, 1 to 3. Upwards: mean loss, 1 to 3.'
    >>> chart.svg(width=400)[:4]
    '<svg'
    """

    panels: Sequence[Panel]
    title: Text = ""
    height: int = HEIGHT
    margins: Mapping[str, int] = field(default_factory=dict)
    hover: Literal["x", "nearest"] | None = "x"
    shared_x: bool = False

    def plotly(self) -> Any:
        """The chart as a plotly figure, to be changed by plotly's own methods.

        Returns
        -------
        plotly.graph_objects.Figure
            A new figure at each call.
        """
        return plotly_figure(self)

    def show(self) -> None:
        """Show the chart by plotly: in a notebook, or in the browser."""
        self.plotly().show()

    def svg(self, width: int = 640) -> str:
        """The chart as the text of an SVG file; see `regen.figures.svg`.

        Parameters
        ----------
        width : int, default=640
            In pixels.

        Returns
        -------
        str
            An ``<svg>`` element.
        """
        return svg(self, width)

    def text(self) -> str:
        """The chart in letters, for a terminal of 80 columns; see `regen.figures.text`.

        Returns
        -------
        str
            Several lines.
        """
        return "\n".join(text(self))

    def describe(self) -> str:
        """What the chart shows, in a few sentences; see `regen.figures.describe`.

        Returns
        -------
        str
            The kind and the names of the marks, and both axes with their ends.
        """
        return describe(self)

    def write(self, path: str | PathLike[str], *, width: int = 800, scale: float = 2.0) -> Path:
        """Write the chart to a file; see `regen.figures.write`.

        Parameters
        ----------
        path : str or path
            Of the file; its ending, .html, .svg, .png or .pdf, chooses the format.
        width : int, default=800
            In pixels of a screen.
        scale : float, default=2.0
            Dots of a PNG to each of those pixels.

        Returns
        -------
        pathlib.Path
            Of the file.
        """
        return write(self, path, width=width, scale=scale)

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, Any]:
        """For a notebook: words, SVG on white, and plotly's JSON where it is installed."""
        picture = self.svg().replace("<svg ", '<svg style="background:#ffffff" ', 1)
        bundle: dict[str, Any] = {"text/plain": self.describe(), "image/svg+xml": picture}
        if installed("plotly"):
            bundle[PLOTLY] = self.plotly().to_plotly_json()
        return {
            kind: each
            for kind, each in bundle.items()
            if (include is None or kind in include) and (exclude is None or kind not in exclude)
        }

    def __getattr__(self, name: str) -> Any:
        """What was read of the plotly figure that drawing functions returned before there were charts."""
        if name in FORWARDED:
            warn(
                f"A Chart is no plotly figure. Use chart.plotly().{name} in place of chart.{name}.",
                DeprecationWarning,
                stacklevel=2,
            )
            return getattr(self.plotly(), name)
        if name.startswith(CHANGES):
            raise AttributeError(
                f"A Chart has no {name!r}, which is a method of plotly figures. Make one to change: figure ="
                f" chart.plotly(); figure.{name}(...)."
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def stacked(
    panels: Sequence[Panel], heights: Sequence[int], *, gap: int = 26, room: int = 110, **chart: Any
) -> Chart:
    """Panels below each other, of `heights` pixels; `room` is for what stands above and below them."""
    total = sum(heights) + gap * (len(heights) - 1)
    placed, top = [], 1.0
    for panel, height in zip(panels, heights, strict=True):
        domain = (max(top - height / total, 0.0), top)
        placed.append(replace(panel, y=replace(panel.y, domain=domain)))
        top -= (height + gap) / total
    return Chart(placed, height=total + room, **{"shared_x": True} | chart)


def color_key(names: Mapping[str, str]) -> list[Span]:
    """The names of a chart's colors, each in its own: ``color_key({"forecast": BLUE})``."""
    spans = [[Span(name, color), Span("   ")] for name, color in names.items()]
    return [each for pair in spans for each in pair][:-1]
