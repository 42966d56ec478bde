"""Rows of two numbers: real ones, and over them those that a model has generated."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regen.figures.chart import Chart, color_key
from regen.figures.marks import Axis, Panel, Points
from regen.figures.style import BLUE, GREY, PALE

__all__ = ["points"]


def points(
    real: ArrayLike, made: ArrayLike, *, axes: tuple[str, str] = ("first column", "second column")
) -> Chart:
    """Generated rows of two numbers over real ones, as points of a plane in one scale.

    Generated points should lie where real ones do, and leave none of their regions empty. Points between the clusters
    of real ones are rows that cannot occur; a cluster without any is a mode that the generator has dropped.

    Parameters
    ----------
    real : array of shape (n, 2)
        Real rows, the first number to the right, the second upwards.
    made : array of shape (m, 2)
        Generated rows.
    axes : tuple of str, default=("first column", "second column")
        Names of the two numbers.

    Returns
    -------
    Chart
        Whose title names both in their colors.

    Raises
    ------
    ValueError
        When rows do not have two numbers.

    Examples
    --------
    >>> from regen import figures
    >>> figures.points([[0.0, 1.0]], [[0.5, 1.0]]).describe()[:26]
    'real generated. Points: re'
    """
    rows = {"real": _pairs(real, "real"), "generated": _pairs(made, "made")}
    marks = [
        Points(each[:, 0], each[:, 1], name=name, color=color, size=size, hover="{x:.3g}, {y:.3g}")
        for (name, each), color, size in zip(rows.items(), (PALE, BLUE), (6, 4), strict=True)
    ]
    panel = Panel(Axis(axes[0]), Axis(axes[1], grid=False, square=True), marks)
    title = color_key({"real": GREY, "generated": BLUE})
    return Chart([panel], title=title, height=470, hover="nearest")


def _pairs(rows: ArrayLike, name: str) -> NDArray[np.float32]:
    found = np.asarray(rows, dtype=np.float32)
    if found.ndim != 2 or found.shape[1] != 2 or not len(found):
        raise ValueError(f"{name} must have shape (n, 2). Got {found.shape} instead.")
    return found
