"""Centre and scale of features, measured on the values that were observed.

Letters: `N` rows or steps, `F` features, `n` members of a container.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray

from regen.data.magnitude import power_of_two, refuse_far
from regen.data.ragged import Ragged

__all__ = ["Standardizer", "is_constant", "moments"]

Values: TypeAlias = NDArray[np.float64]

NEGLIGIBLE = 1e-12
"""Standard deviation, as a share of the absolute mean, up to which a feature is constant: rounding leaves so much."""


@final
@dataclass(frozen=True, eq=False)
class Standardizer:
    """Values with the mean taken off and divided by the standard deviation, and back.

    Parameters
    ----------
    center, scale : float64 arrays of shape (F,)
        Mean and standard deviation of each feature. A constant feature has scale 0, which standardises every value
        to 0 and restores the centre exactly; or infinity, or 1, as the caller chooses. None for both means that
        each sequence is standardised by its own mean and deviation.
    """

    center: Values | None
    scale: Values | None

    @classmethod
    def fit(
        cls,
        values: NDArray[Any],
        observed: NDArray[np.bool_] | None = None,
        *,
        constant: float = 0.0,
    ) -> Standardizer:
        """Measure the columns of a table.

        Parameters
        ----------
        values : array of shape (N, F)
        observed : bool array of shape (N, F), default=None
            None takes NaN as missing.
        constant : float, default=0.0
            The scale of a constant feature, see `is_constant`.
        """
        center, deviation = moments(values, observed)
        return cls(center, np.where(is_constant(center, deviation), constant, deviation))

    def transform(self, values: Values) -> Values:
        """(..., F) values standardised; 0 where the scale is 0."""
        assert self.center is not None and self.scale is not None
        with np.errstate(over="ignore"):  # to infinity, which `refuse_far` finds
            return np.divide(
                values - self.center, self.scale, out=np.zeros_like(values), where=self.scale > 0
            )

    def inverse_transform(self, z: NDArray[Any]) -> Values:
        """Values (..., F) in their own units from z (..., F), standardised ones."""
        assert self.center is not None and self.scale is not None
        return np.asarray(z, dtype=np.float64) * self.scale + self.center

    def standardized(self, rows: Ragged, mark: bool) -> Ragged:
        """Sequences as float32, gaps filled with the last value before them.

        Parameters
        ----------
        rows : Ragged
            Sequences of F features, float64.
        mark : bool
            Append F features that are 1 where a value was observed, else 0.
        """
        center, scale = self.center, self.scale
        if center is None or scale is None:
            lengths = rows.n_steps.numpy()
            center, deviation = moments(
                rows.steps.numpy(), rows.observed_steps.numpy(), starts=rows.starts.numpy()
            )
            scale = np.where(is_constant(center, deviation), np.inf, deviation)
            center, scale = (np.repeat(each, lengths, axis=0) for each in (center, scale))
        with np.errstate(over="ignore"):  # what overflows is refused
            z = (rows.filled().numpy() - center) / scale
        refuse_far(z, rows.place)
        z = np.nan_to_num(z, nan=0.0)
        if mark:
            z = np.concatenate([z, rows.observed_steps.numpy()], axis=1)
        return Ragged.from_steps(torch.from_numpy(z.astype(np.float32)), rows.n_steps, rows.ids)


def is_constant(center: Values, deviation: Values) -> NDArray[np.bool_]:
    """Whether features are constant: their deviation is at most 1e-12 of their absolute mean.

    Parameters
    ----------
    center, deviation : float64 arrays of one shape
        Mean and standard deviation of each feature.
    """
    return ~(deviation > NEGLIGIBLE * np.abs(center))


def moments(
    values: NDArray[Any],
    observed: NDArray[np.bool_] | None = None,
    *,
    axis: int | tuple[int, ...] = 0,
    starts: NDArray[np.int64] | None = None,
    numbers: int | None = None,
) -> tuple[Values, Values]:
    """Mean and standard deviation of the observed values, in two passes.

    Parameters
    ----------
    values : array of shape (N, ...)
    observed : bool array of the shape of `values`, default=None
        None takes NaN as missing.
    axis : int or tuple of ints, default=0
        The axes that are measured over, the first among them.
    starts : int64 array of shape (n,), default=None
        First rows of pieces that are measured one by one; the result then has a first axis of n.
    numbers : int, default=None
        Measure so many numbers at a time, so that temporary arrays stay small. None measures all at once.

    Returns
    -------
    center, deviation : float64 arrays
        Mean and standard deviation; 0 where nothing was observed.
    """
    unit = power_of_two(values)
    if unit != 1:
        scaled = values / unit
        center, deviation = moments(scaled, observed, axis=axis, starts=starts, numbers=numbers)
        return center * unit, deviation * unit
    there = ~np.isnan(values) if observed is None else observed
    rows = max(len(values), 1) if numbers is None else max(1, numbers // max(values[:1].size, 1))
    parts = [slice(at, at + rows) for at in range(0, len(values), rows)]

    def total(measured: Callable[[slice], Any], zero: Any) -> Any:
        if starts is not None:
            return np.add.reduceat(np.where(there, measured(slice(None)), zero), starts, axis=0)
        sums = [np.sum(np.where(there[part], measured(part), zero), axis=axis) for part in parts]
        return sum(sums[1:], start=sums[0])

    count = np.maximum(total(lambda part: np.int64(1), np.int64(0)), 1)
    center = total(lambda part: values[part], np.float64(0)) / count
    if starts is None:
        middle = np.expand_dims(center, axis)
        return center, np.sqrt(total(lambda part: (values[part] - middle) ** 2, np.float64(0)) / count)
    middle = np.repeat(center, np.diff(starts, append=len(values)), axis=0)
    return center, np.sqrt(total(lambda part: (values[part] - middle[part]) ** 2, np.float64(0)) / count)
