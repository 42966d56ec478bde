"""Predictions against the true values: of classes as a confusion matrix, of numbers as points."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regen.figures.chart import Chart
from regen.figures.marks import Axis, Cells, Line, Panel, Points
from regen.figures.style import GREY, SHADED

__all__ = ["confusion", "predicted_vs_actual"]

POINTS = 2000
"""Points that are drawn, at most; of more, as many evenly."""


def confusion(y_true: ArrayLike, y_pred: ArrayLike, labels: Sequence[Any] | None = None) -> Chart:
    """The confusion matrix: how many members of each class were predicted to be in each class.

    A row is a true class, a column a predicted one; the diagonal is correct, and a dark cell off it is a pair of
    classes that the model confuses. Shades are shares of the row, so that small classes count alike.

    Parameters
    ----------
    y_true, y_pred : array of shape (n,)
        True and predicted labels.
    labels : sequence, default=None
        The classes in the order to draw; None draws all that occur, sorted.

    Returns
    -------
    Chart
        With the counts written in the cells.

    Raises
    ------
    ValueError
        When shapes differ, or a label is not among `labels`.

    See Also
    --------
    predicted_vs_actual : The same for numbers.

    Examples
    --------
    >>> from regen import figures
    >>> figures.numbers(figures.confusion(["a", "a", "b"], ["a", "b", "b"]))[0][1]
    [['a', '1', '1'], ['b', '', '1']]
    """
    true, predicted = _paired(y_true, y_pred)
    classes = np.unique(np.concatenate([true, predicted])).tolist() if labels is None else list(labels)
    place = {label: k for k, label in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for pair in zip(true.tolist(), predicted.tolist(), strict=True):
        for label in pair:
            if label not in place:
                raise ValueError(f"The label {label!r} is not among labels: {', '.join(map(repr, classes))}.")
        counts[place[pair[0]], place[pair[1]]] += 1
    return _matrix(counts, [str(label) for label in classes])


def predicted_vs_actual(y_true: ArrayLike, y_pred: ArrayLike, *, unit: str = "") -> Chart:
    """Predicted numbers against the true ones.

    Points on the line are correct. A cloud flatter than the line is of a model that predicts too little of large
    values and too much of small ones.

    Parameters
    ----------
    y_true, y_pred : array of shape (n,)
        True and predicted numbers.
    unit : str, default=""
        Of both, for the axes.

    Returns
    -------
    Chart
        Of at most 2,000 points.

    Raises
    ------
    ValueError
        When shapes differ.

    See Also
    --------
    confusion : The same for classes.

    Examples
    --------
    >>> from regen import figures
    >>> chart = figures.predicted_vs_actual([1.0, 2.0], [1.5, 2.0], unit="m")
    >>> chart.panels[0].x.title
    'true value (m)'
    """
    true, predicted = (each.astype(np.float64) for each in _paired(y_true, y_pred))
    some = np.linspace(0, len(true) - 1, min(len(true), POINTS)).round().astype(int)
    ends = [float(min(true.min(), predicted.min())), float(max(true.max(), predicted.max()))]
    line = Line(ends, ends, name="equal", color=GREY, width=1, dash="dot", hover=None)
    points = Points(
        true[some],
        predicted[some],
        name="predicted",
        size=5,
        opacity=0.6,
        hover="true {x:.4g}\npredicted {y:.4g}",
        named=False,
    )
    words = f" ({unit})" if unit else ""
    panel = Panel(Axis(f"true value{words}"), Axis(f"predicted value{words}"), [line, points])
    return Chart([panel], height=360, hover="nearest")


def _paired(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    true, predicted = np.asarray(y_true), np.asarray(y_pred)
    if true.shape != predicted.shape or true.ndim != 1 or not len(true):
        raise ValueError(
            f"y_true and y_pred must have the same shape (n,). Got {true.shape} and {predicted.shape}."
        )
    return true, predicted


def _matrix(counts: NDArray[np.int64], names: list[str]) -> Chart:
    """Counts (K, K) as shaded cells with their number in them."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    places = list(range(len(names)))
    cells = Cells(
        share,
        places,
        places,
        limits=(0, 1),
        scale=SHADED,
        labels=np.where(counts > 0, counts.astype(str), ""),
        notes=counts,
        hover="true {y}\npredicted {x}\n{note} ({z:.0%})",
    )
    x = Axis("predicted class", ticks=places, tick_labels=names, bare=True, grid=False, slanted=True)
    y = Axis("true class", ticks=places, tick_labels=names, bare=True, grid=False, reverse=True)
    return Chart([Panel(x, y, [cells])], height=150 + max(34 * len(names), 150), hover="nearest")
