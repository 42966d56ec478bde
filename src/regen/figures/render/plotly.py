"""A chart as a plotly figure. Nothing global changes: each figure carries its own template."""

from html import escape
from typing import Any

import numpy as np

from regen._optional import require
from regen.figures.marks import (
    Axis,
    Band,
    Bars,
    Cells,
    Drawing,
    Grid,
    Image,
    Line,
    Note,
    Panel,
    Points,
    Rule,
    Text,
)
from regen.figures.render._png import data_url
from regen.figures.style import COLORS, FONT, GREY, HEIGHT, INK, RULE

__all__ = ["plotly_figure", "plotly_script", "template"]

SIZE, SMALL = 13, 12
HOVER = {"x": "x unified", "nearest": "closest", None: False}


def plotly_figure(chart: Drawing) -> Any:
    """A chart as a plotly figure, to be changed by plotly's own methods.

    Parameters
    ----------
    chart : Chart
        What one of the functions of `regen.figures`, or ``plot()`` of a finding, returns.

    Returns
    -------
    plotly.graph_objects.Figure
        A new figure at each call.
    """
    shared, count = chart.shared_x, len(chart.panels)
    layout: dict[str, Any] = {"template": template(), "height": chart.height, "hovermode": HOVER[chart.hover]}
    layout |= {"margin": dict(chart.margins)} if chart.margins else {}
    layout |= {"barmode": "overlay"} if _overlaid(chart) else {}
    if chart.title:
        place = {"x": 0, "xref": "container", "y": 0.99, "yanchor": "top", "font": {"size": SIZE}}
        layout["title"] = {"text": _markup(chart.title), **place}
    traces, shapes, notes = [], [], []
    for k, panel in enumerate(chart.panels):
        x, y = "x" if shared or k == 0 else f"x{k + 1}", "y" if k == 0 else f"y{k + 1}"
        layout |= _axes(panel, x, y, anchor=_name("y", count - 1) if shared else y)
        traces += [{**_trace(mark, panel), "xaxis": x, "yaxis": y} for mark in panel.marks]
        shapes += [_shape(rule, x, y) for rule in panel.rules]
        notes += [_heading(panel.heading, y)] if panel.heading else []
        notes += [_annotation(note, panel, x, y) for note in panel.notes]
    graph = require("plotly.graph_objects", extra="plot", purpose="Drawing a figure")
    return graph.Figure(data=traces, layout=layout | {"shapes": shapes, "annotations": notes})


def template() -> Any:
    """The style of all figures as a plotly template, for figures of your own.

    Returns
    -------
    plotly.graph_objects.layout.Template
        To be given to ``figure.update_layout(template=...)``.

    See Also
    --------
    regen.figures.Chart.plotly : A chart in this template.

    Examples
    --------
    >>> from regen import figures
    >>> figures.template().layout.height
    320
    """
    axis = {
        "automargin": True,
        "gridcolor": RULE,
        "linecolor": GREY,
        "tickfont": {"color": GREY},
        "title": {"font": {"size": SIZE, "color": GREY}, "standoff": 10},
        "zeroline": False,
    }
    graph = require("plotly.graph_objects", extra="plot", purpose="Drawing a figure")
    return graph.layout.Template(
        layout={
            "autosize": True,
            "height": HEIGHT,
            "font": {"family": FONT, "size": SIZE, "color": INK},
            "paper_bgcolor": "#ffffff",
            "plot_bgcolor": "#ffffff",
            "colorway": COLORS,
            "margin": {"l": 8, "r": 12, "t": 40, "b": 8},
            "showlegend": False,
            "hovermode": "x unified",
            "xaxis": axis | {"showgrid": False, "ticks": "outside", "showline": True},
            "yaxis": axis,
        }
    )


def plotly_script() -> str:
    """The text of plotly.js, from the installed package."""
    offline = require("plotly.offline", extra="plot", purpose="Writing a page with figures")
    return str(offline.get_plotlyjs())


def _name(letter: str, k: int) -> str:
    """The name of the k-th axis."""
    return f"{letter}{k + 1 if k else ''}"


def _overlaid(chart: Drawing) -> bool:
    return any(sum(isinstance(mark, Bars) for mark in panel.marks) > 1 for panel in chart.panels)


def _markup(text: Text) -> str:
    """Text in plotly's markup, in which names that look like HTML are shown as they are."""
    if isinstance(text, str):
        return escape(text, quote=False).replace("\n", "<br>")
    parts = ((escape(each, quote=False).replace("   ", " &nbsp; "), color) for each, color in text)
    return "".join(f'<span style="color:{color}">{each}</span>' if color else each for each, color in parts)


def _axes(panel: Panel, x: str, y: str, anchor: str) -> dict[str, Any]:
    across, up = _axis(panel.x), _axis(panel.y)
    across |= {"anchor": anchor}
    if anchor == y and x != "x":
        up |= {"anchor": x}
    pictured = any(
        isinstance(mark, Image) or (isinstance(mark, Cells) and mark.pictured) for mark in panel.marks
    )
    if panel.y.square:
        across |= {"constrain": "domain"}
        up |= {"scaleanchor": x, "constrain": "domain"}
        up |= {"constraintoward": "top"} if pictured else {}
    elif pictured:
        up |= {"scaleanchor": False}  # plotly makes axes of images square on its own
    return {f"{letter[0]}axis{letter[1:]}": axis for letter, axis in ((x, across), (y, up))}


def _axis(axis: Axis) -> dict[str, Any]:
    """The properties that differ from those of the template."""
    found: dict[str, Any] = {"title": {"text": _markup(axis.title)}} if axis.title else {}
    if axis.kind == "log":
        found["type"] = "log"
    if axis.limits is not None:
        found["range"] = [float(_at(axis, each)) for each in axis.limits]
    if axis.reverse:
        found["autorange"] = "reversed"
    if axis.from_zero:
        found["rangemode"] = "tozero"
    if axis.ticks is not None:
        found |= {"tickvals": axis.ticks} if len(axis.ticks) else {"showticklabels": False, "ticks": ""}
    if axis.tick_labels is not None:
        found["ticktext"] = [_markup(each) for each in axis.tick_labels]
    if axis.bare:
        found |= {"showline": False, "ticks": ""}
    if axis.domain != (0.0, 1.0):
        found["domain"] = list(axis.domain)
    optional = {
        "nticks": axis.tick_count,
        "tickangle": -45 if axis.slanted else None,
        "showgrid": axis.grid,
        "visible": None if axis.visible else False,
    }
    return found | {name: value for name, value in optional.items() if value is not None}


def _at(axis: Axis, value: Any) -> Any:
    """A value as plotly expects it in ranges and annotations: its logarithm on a logarithmic axis."""
    return np.log10(value) if axis.kind == "log" else value


def _trace(mark: Any, panel: Panel) -> dict[str, Any]:
    draw: dict[type, Any] = {Line: _line, Points: _points, Band: _band, Bars: _bars, Image: _image}
    trace = _cells(mark, panel) if isinstance(mark, Cells) else draw[type(mark)](mark)
    return {"name": _markup(mark.name), **trace}


def _hover(template: str | None, *, named: bool = True) -> dict[str, Any]:
    """The text at the pointer, with the name of the mark where `named`."""
    if template is None:
        return {"hoverinfo": "skip"}
    if not template:
        return {}
    text = template.replace("{note", "{customdata").replace("{", "%{").replace("\n", "<br>")
    return {"hovertemplate": text + ("" if named else "<extra></extra>")}


def _line(line: Line) -> dict[str, Any]:
    stroke: dict[str, Any] = {"color": line.color, "width": line.width}
    stroke |= {"dash": line.dash} if line.dash != "solid" else {}
    stroke |= {"shape": "hvh"} if line.stepped else {}
    return {
        "type": "scatter",
        "x": line.x,
        "y": line.y,
        "mode": "lines+markers" if line.marker else "lines",
        "line": stroke,
        **({"marker": {"size": line.marker}} if line.marker else {}),
        **({"connectgaps": True} if line.bridged else {}),
        **({} if line.clipped else {"cliponaxis": False}),
        **_hover(line.hover),
    }


def _points(points: Points) -> dict[str, Any]:
    marker: dict[str, Any] = {"color": points.color, "size": points.size}
    if points.hollow:
        marker |= {"color": "#ffffff", "line": {"color": points.color, "width": 2}}
    if points.opacity < 1:
        marker["opacity"] = points.opacity
    label = {
        "mode": "text",
        "text": _markup(points.label),
        "textfont": {"color": points.color, "size": SMALL},
    }
    return {
        "type": "scatter",
        "x": points.x,
        "y": points.y,
        **(label if points.label else {"mode": "markers", "marker": marker}),
        **({} if points.clipped else {"cliponaxis": False}),
        **_hover(points.hover, named=points.named),
    }


def _band(band: Band) -> dict[str, Any]:
    """The outline of each part: along its upper end, and back along the lower one."""
    x: list[Any] = []
    y: list[Any] = []
    for part in band.parts:
        around = np.concatenate([part, part[::-1]])
        x += [*band.x[around], None]
        y += [*band.high[part], *band.low[part[::-1]], None]
    fill = {"fill": "toself", "fillcolor": band.color, "line": {"width": 0}}
    return {"type": "scatter", "x": x[:-1], "y": y[:-1], "mode": "lines", **fill, "hoverinfo": "skip"}


def _bars(bars: Bars) -> dict[str, Any]:
    across, up = (bars.size, bars.at) if bars.horizontal else (bars.at, bars.size)
    optional = {"base": bars.base, "width": bars.thickness, "customdata": bars.notes, "text": bars.labels}
    return {
        "type": "bar",
        "x": across,
        "y": up,
        "marker": {"color": bars.color},
        **({"orientation": "h"} if bars.horizontal else {}),
        **{name: value for name, value in optional.items() if value is not None},
        **({} if bars.labels is None else {"textposition": "outside"}),
        **({} if bars.clipped else {"cliponaxis": False}),
        **_hover(bars.hover, named=False),
    }


def _cells(cells: Cells, panel: Panel) -> dict[str, Any]:
    optional = {"text": cells.labels, "customdata": cells.notes}
    labelled = {"texttemplate": "%{text}", "textfont": {"size": SMALL}, "xgap": 2, "ygap": 2}
    return {
        "type": "heatmap",
        "z": cells.z,
        **_centers("x", cells.x),
        **_centers("y", cells.y),
        "zmin": cells.limits[0],
        "zmax": cells.limits[1],
        "colorscale": [list(stop) for stop in cells.scale],
        **(
            {"showscale": False} if cells.key is None else {"colorbar": _color_bar(cells.key, panel.y.domain)}
        ),
        **{name: value for name, value in optional.items() if value is not None},
        **(labelled if cells.labels is not None else {}),
        **_hover(None if cells.pictured else cells.hover, named=False),
    }


def _centers(letter: str, centers: Any) -> dict[str, Any]:
    if not isinstance(centers, Grid):
        return {letter: centers}
    return {} if centers == Grid() else {f"{letter}0": centers.start, f"d{letter}": centers.step}


def _color_bar(title: str, domain: tuple[float, float]) -> dict[str, Any]:
    """The color bar of a panel."""
    font = {"size": SMALL, "color": GREY}
    low, high = domain
    part = {"len": high - low, "y": (low + high) / 2, "lenmode": "fraction", "nticks": 3}
    return {
        "title": {"text": _markup(title), "font": font},
        "tickfont": font,
        "thickness": 10,
        "outlinewidth": 0,
        **(part if domain != (0.0, 1.0) else {}),
    }


def _image(image: Image) -> dict[str, Any]:
    return {
        "type": "image",
        "source": data_url(image.pixels),
        **_centers("x", image.x),
        **_centers("y", image.y),
        "hoverinfo": "skip",
    }


def _shape(rule: Rule, x: str, y: str) -> dict[str, Any]:
    line = {"color": rule.color, "width": rule.width, "dash": rule.dash}
    if rule.horizontal:
        return {"type": "line", "line": line, "x0": 0, "x1": 1, "y0": rule.at, "y1": rule.at} | {
            "xref": f"{x} domain",
            "yref": y,
        }
    return {"type": "line", "line": line, "x0": rule.at, "x1": rule.at, "y0": 0, "y1": 1} | {
        "xref": x,
        "yref": f"{y} domain",
    }


def _heading(text: Text, y: str) -> dict[str, Any]:
    place = {"x": 0, "xref": "paper", "y": 1, "yref": f"{y} domain", "xanchor": "left", "yanchor": "bottom"}
    font = {"size": SIZE, "color": INK}
    return {"text": _markup(text), "showarrow": False, "align": "left", "font": font, **place}


def _annotation(note: Note, panel: Panel, x: str, y: str) -> dict[str, Any]:
    found: dict[str, Any] = {"text": _markup(note.text), "showarrow": False, "font": {"color": note.color}}
    found |= {"x": _at(panel.x, note.x), "xref": x, "xanchor": note.anchor}
    found |= {"xshift": note.shift, "align": "left"} if note.shift else {}
    if note.y is None:
        return found | {"y": 1, "yref": f"{y} domain", "yanchor": "bottom"}
    return found | {"y": _at(panel.y, note.y), "yref": y}
