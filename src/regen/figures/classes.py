"""Which class was taken for which."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regen.figures.style import BLUE, new_figure, shown

__all__ = ["confusion"]


def confusion(y_true: ArrayLike, y_pred: ArrayLike, labels: Sequence[Any] | None = None) -> Any:
    """How many members of each class were taken for which.

    What to read: a row is a true class, and its cells tell where its members went. The diagonal is right; a dark cell
    off it is a pair of classes that the network confuses. Shades are shares of the row, so small classes count alike.

    Parameters
    ----------
    y_true, y_pred : (n,) labels.
    labels : the classes in the order to draw; all that occur, sorted, when None.
    """
    true, told = np.asarray(y_true), np.asarray(y_pred)
    if true.shape != told.shape or true.ndim != 1 or not len(true):
        raise ValueError(
            f"y_true and y_pred must have the same shape (n,). Got {true.shape} and {told.shape}."
        )
    known = np.unique(np.concatenate([true, told])).tolist() if labels is None else list(labels)
    place = {label: k for k, label in enumerate(known)}
    counts = np.zeros((len(known), len(known)), dtype=np.int64)
    for pair in zip(true.tolist(), told.tolist(), strict=True):
        for label in pair:
            if label not in place:
                raise ValueError(f"The label {label!r} is not among labels: {', '.join(map(repr, known))}.")
        counts[place[pair[0]], place[pair[1]]] += 1
    return _matrix(counts, [shown(label) for label in known])


def _matrix(counts: NDArray[np.int64], names: list[str]) -> Any:
    """Counts (K, K) as shaded cells with their number in them."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    places = list(range(len(names)))
    figure = new_figure(height=150 + max(34 * len(names), 150), hovermode="closest")
    figure.add_heatmap(
        x=places,
        y=places,
        z=share,
        text=np.where(counts > 0, counts.astype(str), ""),
        customdata=counts,
        texttemplate="%{text}",
        showscale=False,
        zmin=0,
        zmax=1,
        xgap=2,
        ygap=2,
        colorscale=[[0, "#f3f5f7"], [1, BLUE]],
        textfont={"size": 12},
        hovertemplate="true %{y}<br>taken for %{x}<br>%{customdata} (%{z:.0%})<extra></extra>",
    )
    axis = {"tickmode": "array", "tickvals": places, "ticktext": names, "showgrid": False, "ticks": ""}
    figure.update_xaxes(title_text="taken for", showline=False, tickangle=-45, **axis)
    figure.update_yaxes(title_text="true class", autorange="reversed", **axis)
    return figure
