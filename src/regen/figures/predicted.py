"""Numbers that were told, against the true ones."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from regen.figures.style import BLUE, GREY, new_figure, shown

__all__ = ["told"]

POINTS = 2000
"""Points that are drawn, at most; of more, as many evenly."""


def told(y_true: ArrayLike, y_pred: ArrayLike, *, unit: str = "") -> Any:
    """What was told of each row against what is true.

    What to read: points on the line are right. A cloud flatter than the line is of a network that plays safe: it says
    too little of large values and too much of small ones.

    Parameters
    ----------
    y_true, y_pred : (n,) numbers.
    unit : of both, for the axes.
    """
    true, said = np.asarray(y_true, dtype=np.float64), np.asarray(y_pred, dtype=np.float64)
    if true.shape != said.shape or true.ndim != 1 or not len(true):
        raise ValueError(
            f"y_true and y_pred must have the same shape (n,). Got {true.shape} and {said.shape}."
        )
    some = np.linspace(0, len(true) - 1, min(len(true), POINTS)).round().astype(int)
    ends = [float(min(true.min(), said.min())), float(max(true.max(), said.max()))]
    figure = new_figure(height=360, hovermode="closest")
    figure.add_scatter(
        x=ends,
        y=ends,
        mode="lines",
        name="right",
        line={"color": GREY, "width": 1, "dash": "dot"},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=true[some],
        y=said[some],
        mode="markers",
        name="told",
        marker={"color": BLUE, "size": 5, "opacity": 0.6},
        hovertemplate="true %{x:.4g}<br>told %{y:.4g}<extra></extra>",
    )
    words = f" ({shown(unit)})" if unit else ""
    figure.update_xaxes(title_text=f"true value{words}")
    figure.update_yaxes(title_text=f"told value{words}")
    return figure
