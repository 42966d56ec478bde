"""Rows of two numbers: real ones, and over them those that a network has made."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regen.figures.style import BLUE, GREY, key, new_figure, shown

__all__ = ["points"]

REAL = "#c3cad2"


def points(
    real: ArrayLike, made: ArrayLike, *, axes: tuple[str, str] = ("first column", "second column")
) -> Any:
    """Generated rows of two numbers over real ones, as points of a plane in one scale.

    What to read: generated points should lie where real ones do, and leave none of their places empty. Points between
    the clumps of real ones are rows that cannot be; a clump without any is a kind that the generator has dropped.

    Parameters
    ----------
    real, made : (n, 2) and (m, 2), the first number to the right, the second upwards.
    axes : names of the two numbers.

    Raises
    ------
    ValueError
        When rows do not have two numbers.
    """
    kinds = {"real": _pairs(real, "real"), "generated": _pairs(made, "made")}
    figure = new_figure(height=470, hovermode="closest", title=key({"real": GREY, "generated": BLUE}))
    for (name, rows), colour, size in zip(kinds.items(), (REAL, BLUE), (6, 4), strict=True):
        figure.add_scatter(
            x=rows[:, 0],
            y=rows[:, 1],
            name=name,
            mode="markers",
            marker={"color": colour, "size": size},
            hovertemplate="%{x:.3g}, %{y:.3g}",
        )
    figure.update_xaxes(title_text=shown(axes[0]), constrain="domain")
    figure.update_yaxes(title_text=shown(axes[1]), showgrid=False, scaleanchor="x", constrain="domain")
    return figure


def _pairs(rows: ArrayLike, name: str) -> NDArray[np.float32]:
    found = np.asarray(rows, dtype=np.float32)
    if found.ndim != 2 or found.shape[1] != 2 or not len(found):
        raise ValueError(f"{name} must have shape (n, 2). Got {found.shape} instead.")
    return found
