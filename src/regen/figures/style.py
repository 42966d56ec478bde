"""One quiet style for every figure, and the few ways of drawing that several figures share."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from regen._optional import require

__all__ = [
    "BLUE",
    "COLOURS",
    "FONT",
    "GREEN",
    "GREY",
    "HEIGHT",
    "INK",
    "RULE",
    "SHADED",
    "TWO_SIDED",
    "VERMILLION",
    "axis",
    "colour_key",
    "columns_of",
    "decades",
    "headed",
    "key",
    "labelled",
    "new_figure",
    "shown",
    "stacked",
    "template",
]

FONT = "system-ui, -apple-system, 'Segoe UI', sans-serif"
INK, GREY, RULE = "#1f2328", "#6b7178", "#dfe2e6"
BLUE, VERMILLION, GREEN, PURPLE = "#0072b2", "#c65400", "#00795a", "#a8537f"
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE)
SHADED = ((0.0, "#f3f5f7"), (1.0, BLUE))
"""From nothing, or closed, to all, or open."""
TWO_SIDED = ((0.0, BLUE), (0.5, "#f7f7f7"), (1.0, VERMILLION))
"""From below zero to above it."""
HEIGHT = 320
NARROW_LABEL = 0.085
"""Least distance between two labels, as a share of the height of the axis."""

Values = NDArray[np.float64]


def template() -> Any:
    """The style of every figure here, as a plotly template: ``figure.update_layout(template=template())``."""
    axis = {
        "automargin": True,
        "gridcolor": RULE,
        "linecolor": GREY,
        "tickfont": {"color": GREY},
        "title": {"font": {"size": 13, "color": GREY}, "standoff": 10},
        "zeroline": False,
    }
    return _plotly().layout.Template(
        layout={
            "autosize": True,
            "height": HEIGHT,
            "font": {"family": FONT, "size": 13, "color": INK},
            "paper_bgcolor": "#ffffff",
            "plot_bgcolor": "#ffffff",
            "colorway": COLOURS,
            "margin": {"l": 8, "r": 12, "t": 40, "b": 8},
            "showlegend": False,
            "hovermode": "x unified",
            "xaxis": axis | {"showgrid": False, "ticks": "outside", "showline": True},
            "yaxis": axis,
        }
    )


def new_figure(**layout: Any) -> Any:
    """An empty figure in the style."""
    return _plotly().Figure(layout={"template": template(), **layout})


def stacked(heights: Sequence[int], *, gap: int = 26, room: int = 110, **layout: Any) -> Any:
    """An empty figure of panels below each other, of so many pixels each, with one axis across for all.

    A trace goes into the k-th from the top with ``yaxis=axis(k)``; `room` is for what stands above and below.
    """
    total = sum(heights) + gap * (len(heights) - 1)
    figure = new_figure(height=total + room, **layout)
    top = 1.0
    for k, height in enumerate(heights):
        figure.layout[f"yaxis{k + 1 if k else ''}"] = {"domain": [max(top - height / total, 0.0), top]}
        top -= (height + gap) / total
    figure.update_xaxes(anchor=axis(len(heights) - 1))
    return figure


def axis(k: int) -> str:
    """The name of the k-th axis that goes upwards."""
    return f"y{k + 1 if k else ''}"


def headed(figure: Any, texts: Sequence[str]) -> None:
    """Write a text above each panel of a stacked figure."""
    for k, text in enumerate(texts):
        figure.add_annotation(
            x=0,
            xref="paper",
            y=1,
            yref=f"{axis(k)} domain",
            text=text,
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            align="left",
            font={"size": 13, "color": INK},
        )


def colour_key(title: str) -> dict[str, Any]:
    """The bar beside a map that says what its colours measure."""
    font = {"size": 12, "color": GREY}
    return {
        "title": {"text": shown(title), "font": font},
        "tickfont": font,
        "thickness": 10,
        "outlinewidth": 0,
    }


def key(words: Mapping[str, str]) -> dict[str, Any]:
    """A title that names the colours of a figure, each name in its own: ``key({"forecast": BLUE})``."""
    named = [f'<span style="color:{colour}">{shown(name)}</span>' for name, colour in words.items()]
    place = {"x": 0, "xref": "container", "y": 0.99, "yanchor": "top", "font": {"size": 13}}
    return {"text": " &nbsp; ".join(named), **place}


def labelled(lines: Mapping[str, tuple[Values, Values]], *, log: bool = False, mode: str = "lines") -> Any:
    """Lines with their names at their right ends, moved apart where they would touch."""
    figure = new_figure()
    values = np.concatenate([y for _, y in lines.values()])
    values = values[np.isfinite(values) & (values > 0 if log else True)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    low, high = (np.log10(low), np.log10(high)) if log else (min(low, 0.0), high)
    edge = 0.06 * (high - low or 1.0)
    span = (low - (edge if log or low < 0 else 0.0), high + edge)
    ends = {}
    for k, (name, (x, y)) in enumerate(lines.items()):
        colour = COLOURS[k % len(COLOURS)]
        figure.add_scatter(
            x=x,
            y=y,
            name=shown(name),
            mode=mode,
            marker={"size": 5},
            hovertemplate="%{y:.4g}",
            cliponaxis=False,
            line={"color": colour, "width": 2.2},
        )
        last = y[np.isfinite(y)][-1:] if np.isfinite(y).any() else np.array([1.0])
        ends[name] = (float(x[-1]), float(np.log10(last[0]) if log else last[0]), colour)
    places = _apart([place for _, place, _ in ends.values()], NARROW_LABEL * (span[1] - span[0]))
    for (name, (x_end, _, colour)), place in zip(ends.items(), places, strict=True):
        figure.add_annotation(
            x=x_end,
            y=place,
            text=shown(name),
            showarrow=False,
            xanchor="left",
            xshift=7,
            align="left",
            font={"color": colour},
        )
    reach = [float(x[at]) for x, _ in lines.values() for at in (0, -1)]
    figure.update_xaxes(range=[min(reach), max(reach)] if max(reach) > min(reach) else None)
    figure.update_layout(margin_r=20 + 8 * max(map(len, lines)))
    figure.update_yaxes(range=span, **decades(*span) if log else {})
    return figure


def decades(low: float, high: float) -> dict[str, Any]:
    """A logarithmic axis from 10**low to 10**high: ticks at 1, 2, 5 of each decade; fewer of many, more of a part."""
    every = max(1, round((high - low) / 5))
    powers = 10.0 ** np.arange(np.floor(low), np.ceil(high) + 1, every)
    within = np.arange(1.0, 10.0) if high - low < 0.8 else [1.0, 2.0, 5.0] if high - low < 3 else [1.0]
    ticks = np.outer(powers, within).ravel()
    ticks = ticks[(ticks >= 10**low) & (ticks <= 10**high)]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def _apart(places: Sequence[float], gap: float) -> list[float]:
    """`places` moved as little as it takes to be at least `gap` apart, their order kept."""
    order = np.argsort(places, kind="stable")
    steps = gap * np.arange(len(places))
    wanted = np.asarray(places)[order] - steps
    blocks: list[list[float]] = []
    for each in wanted:  # pool neighbours that would touch into one block around their mean
        blocks.append([each])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    moved = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks]) + steps
    found = np.empty(len(places))
    found[order] = moved
    return [float(each) for each in found]


def columns_of(table: Any) -> dict[str, NDArray[Any]]:
    """The columns of any dataframe, or of a dict of them, as arrays."""
    if isinstance(table, Mapping):
        return {str(name): np.asarray(each) for name, each in table.items()}
    frame = nw.from_native(table, eager_only=True, pass_through=True)
    if not isinstance(frame, nw.DataFrame):
        return {}
    return {name: frame[name].to_numpy() for name in frame.columns}


def shown(value: Any, most: int | None = None) -> str:
    """Words that plotly shows as they are, though they look like HTML; the first `most` letters."""
    text = str(value)
    cut = text if most is None or len(text) <= most else f"{text[: most - 1]}…"
    return escape(cut, quote=False)


def _plotly() -> Any:
    return require("plotly.graph_objects", extra="plot", purpose="Drawing a figure")
