"""Prediction intervals from the errors on the validation part of a series.

Letters: `n` forecasts, `H` horizon, `C` columns.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from regen._check import Number, check_parameters

__all__ = ["LEVEL", "check_levels", "half_widths", "interval_columns"]

Values = NDArray[np.float64]

LEVEL = Number(1, 100, low_open=True, high_open=True)
"""Constraint of a level: a percentage. 0.95 is refused, for its interval would have next to no width."""


def check_levels(
    level: float | Sequence[float] | None, owner: str = "predict", name: str = "level"
) -> tuple[float, ...]:
    """The levels as a tuple; each must be a percentage between 1 and 100. owner, name : of the parameter."""
    levels = () if level is None else tuple(np.atleast_1d(np.asarray(level, dtype=object)).ravel().tolist())
    for each in levels:
        if Number(0, 1, low_open=True).accepts(each):
            meant = f"{float(100 * each):g}" if each < 1 else "95"
            raise ValueError(
                f"The '{name}' parameter of {owner} must be {LEVEL}. Got {each!r} instead. Levels are percentages:"
                f" give {meant}."
            )
        check_parameters(owner, {name: LEVEL}, {name: each})
    return levels


def half_widths(errors: Values, level: float, horizon: int) -> Values:
    """Half width (horizon, C) of an interval that holds `level` percent of absolute errors (n, H, C), NaN if missing.

    Split conformal prediction (Lei et al. 2018): the ceil((n + 1) level)-th smallest of the n errors at that step,
    or the largest when there are too few for that level. A step without errors takes the largest width of its column;
    steps beyond H widen with the square root of the distance, as those of a random walk do.
    """
    n = (~np.isnan(errors)).sum(axis=0)
    rank = np.minimum(np.ceil((n + 1) * level / 100), n).astype(np.int64)
    widths = np.take_along_axis(np.sort(errors, axis=0), np.maximum(rank - 1, 0)[None], axis=0)[0]
    widths = np.where(n > 0, widths, np.fmax.reduce(widths, axis=0))
    beyond = np.sqrt(np.arange(len(widths) + 1, horizon + 1) / len(widths))[:, None]
    return np.concatenate([widths, widths[-1:] * beyond])[:horizon]


def interval_columns(
    names: Sequence[str], forecast: Values, widths: Mapping[float, Values]
) -> dict[str, Values]:
    """Columns ``y``, ``y-lo-80``, ``y-hi-80``, ... from a forecast and its half widths, both (H, C)."""
    columns: dict[str, Values] = {}
    for c, name in enumerate(names):
        columns[name] = forecast[:, c]
        for level, width in widths.items():
            columns[f"{name}-lo-{level:g}"] = forecast[:, c] - width[:, c]
            columns[f"{name}-hi-{level:g}"] = forecast[:, c] + width[:, c]
    return columns
