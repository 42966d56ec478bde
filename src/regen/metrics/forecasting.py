"""Errors of forecasts against observed values and against a seasonal naive forecast, as functions of NumPy arrays.

Missing values (NaN) are left out of every mean; a mean of nothing is NaN. Letters: `n` forecasts (origins), `H` steps
of the horizon, `C` columns of the series, `N` steps of the series.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "coverage",
    "forecast_scores",
    "mae",
    "mase",
    "rmse",
    "seasonal_scale",
    "skill_score",
    "smape",
]

Values = NDArray[np.float64]

ROUNDING = {np.dtype(np.float32): 1e-6, np.dtype(np.float16): 1e-2}
"""Share of the largest absolute value up to which a difference is rounding, by the type of the values."""
ROUNDING_FLOAT64 = 1e-12
"""The same for all other types: some thousand times their precision, as `regen.data.scaling` has it for constants."""
_LARGE = 1e150
"""Numbers whose squares stay below the largest float, and those of their inverses above the smallest."""


def mae(y: Values, forecast: Values) -> float:
    """Mean absolute error.

    Parameters
    ----------
    y, forecast : ndarray of shape (...)
        Observed values and their forecasts.

    Returns
    -------
    float
        In the unit of `y`.

    See Also
    --------
    rmse : Weighs large errors more.
    mase : Comparable between series.

    Examples
    --------
    >>> mae(np.array([1.0, 5.0, np.nan]), np.array([2.0, 2.0, 2.0]))
    2.0
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _mean(np.abs(y - forecast))


def rmse(y: Values, forecast: Values) -> float:
    """Root mean squared error.

    Parameters
    ----------
    y, forecast : ndarray of shape (...)
        Observed values and their forecasts.

    Returns
    -------
    float
        In the unit of `y`.

    See Also
    --------
    mae : Less sensitive to outliers.

    Examples
    --------
    >>> rmse(np.array([0.0, 0.0]), np.array([3.0, 3.0]))
    3.0
    """
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.abs(y - forecast)
        largest = float(np.fmax.reduce(error, axis=None, initial=0.0))
        unit = 1.0 if 1 / _LARGE < largest < _LARGE or largest in (0.0, math.inf) else largest
        return unit * math.sqrt(_mean((error / unit) ** 2))


def smape(y: Values, forecast: Values) -> float:
    """Symmetric mean absolute percentage error, as in the M4 competition: ``200 |y - f| / (|y| + |f|)``.

    Parameters
    ----------
    y, forecast : ndarray of shape (...)
        Observed values and their forecasts. The error is 0 where both are 0.

    Returns
    -------
    float
        In percent, from 0 to 200.

    See Also
    --------
    mase : Defined for series that contain 0 or change sign.

    Examples
    --------
    >>> smape(np.array([1.0, 0.0]), np.array([3.0, 0.0]))
    50.0
    """
    with np.errstate(over="ignore", invalid="ignore"):
        error, size = np.abs(y - forecast), np.abs(y) + np.abs(forecast)
        return _mean(200 * np.divide(error, size, out=0 * error, where=size > 0))


def seasonal_scale(values: Values, season: int) -> Values:
    """Mean absolute difference between values one season apart: the denominator of `mase`.

    Parameters
    ----------
    values : ndarray of shape (N, C)
        The series before the first forecast.
    season : int
        Steps of a season, at least 1.

    Returns
    -------
    ndarray of shape (C,)
        In the unit of the series; NaN for a column without a pair of observed values. It is 0 where it is rounding:
        at most 1e-12 of the largest absolute value of the column, or 1e-6 where `values` is float32. A sine that
        repeats, or a constant of many decimals, has differences of that size only.

    See Also
    --------
    mase : Divides by this scale.

    Examples
    --------
    >>> seasonal_scale(np.array([[1.0], [5.0], [2.0], [9.0]]), season=2)
    array([2.5])
    """
    with np.errstate(over="ignore", invalid="ignore"):
        change = np.abs(values[season:] - values[:-season])
    count = (~np.isnan(change)).sum(axis=0)
    scale: Values = np.full(values.shape[1], np.nan)
    np.divide(np.nansum(change, axis=0), count, out=scale, where=count > 0)
    return np.where(scale <= _rounding(values, axis=0), 0.0, scale)


def mase(y: Values, forecast: Values, scale: Values) -> float:
    """Mean absolute scaled error (Hyndman & Koehler 2006): each column's error over its `seasonal_scale`.

    Parameters
    ----------
    y, forecast : ndarray of shape (..., C)
        Observed values and their forecasts.
    scale : ndarray of shape (C,)
        From `seasonal_scale`. Columns with a scale of 0 or NaN are left out.

    Returns
    -------
    float
        Below 1 when the errors are smaller than those of the seasonal naive forecast in the past of the series;
        NaN when no column has a scale.

    See Also
    --------
    seasonal_scale : The denominator.
    skill_score : Compares with the naive forecast of the same steps.

    Examples
    --------
    >>> mase(np.array([[10.0], [20.0]]), np.array([[12.0], [16.0]]), np.array([4.0]))
    0.75
    """
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.abs(y - forecast)
        return _mean(np.divide(error, scale, out=np.full_like(error, np.nan), where=scale > 0))


def skill_score(error: float, baseline_error: float, rounding: float = 0.0) -> float:
    """``1 - error / baseline_error``: the share of the baseline's error that a forecast avoids.

    Parameters
    ----------
    error, baseline_error : float
        An error of the forecast and the same error of the baseline.
    rounding : float, default=0.0
        Error of the baseline up to which it counts as none. `forecast_scores` takes 1e-12 of the largest absolute
        value of the observed ones, or 1e-6 of it where they are float32.

    Returns
    -------
    float
        1 for a perfect forecast, 0 for one as good as the baseline, negative for a worse one; NaN when the
        baseline has no error.

    See Also
    --------
    mae : The error that `forecast_scores` compares.

    Examples
    --------
    >>> skill_score(1.5, 2.0)
    0.25
    """
    return 1 - error / baseline_error if baseline_error > rounding else math.nan


def coverage(y: Values, low: Values, high: Values) -> float:
    """Share of the observed values within an interval, its ends included.

    Parameters
    ----------
    y, low, high : ndarray of shape (...)
        Observed values and the ends of their intervals.

    Returns
    -------
    float
        In percent; an 80 % interval is calibrated when this is 80. NaN when no value was observed.

    See Also
    --------
    forecast_scores : The coverage for several levels.

    Examples
    --------
    >>> coverage(np.array([1.0, 5.0, np.nan]), np.zeros(3), np.full(3, 2.0))
    50.0
    """
    return _mean(np.where(np.isnan(y), np.nan, 100.0 * ((y >= low) & (y <= high))))


def forecast_scores(
    y: Values,
    forecast: Values,
    naive: Values,
    scale: Values,
    bounds: Mapping[float, tuple[Values, Values]],
) -> dict[str, float]:
    """All scores of this module for the forecasts of a backtest.

    Parameters
    ----------
    y, forecast, naive : ndarray of shape (n, H, C)
        Observed values, their forecasts and those of the seasonal naive method.
    scale : ndarray of shape (C,)
        From `seasonal_scale`, of the values before the first origin.
    bounds : mapping of float to (ndarray, ndarray)
        Level in percent -> lower and upper ends of its intervals, both of shape (n, H, C).

    Returns
    -------
    dict of str to float
        ``mae``, ``rmse`` and ``naive_mae`` in the unit of the series, ``smape`` in percent, ``mase``, ``skill``
        against the naive forecast, and ``coverage_80`` in percent for each level.

    See Also
    --------
    regen.Forecaster.backtest : Computes the forecasts and these scores.

    Examples
    --------
    >>> y, forecast, naive = np.array([[[3.0]]]), np.array([[[2.0]]]), np.array([[[1.0]]])
    >>> forecast_scores(y, forecast, naive, np.array([4.0]), {})["skill"]
    0.5
    """
    error, naive_error = mae(y, forecast), mae(y, naive)
    return {
        "mae": error,
        "rmse": rmse(y, forecast),
        "smape": smape(y, forecast),
        "mase": mase(y, forecast, scale),
        "naive_mae": naive_error,
        "skill": skill_score(error, naive_error, float(_rounding(y))),
        **{f"coverage_{level:g}": coverage(y, low, high) for level, (low, high) in bounds.items()},
    }


def _mean(values: Values) -> float:
    """The mean of the numbers among `values` (...), NaN when there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def _rounding(values: Values, axis: int | None = None) -> Values:
    """The size of a difference that is rounding, for `values` (N, C): (C,) along `axis`, or one for all."""
    largest = np.fmax.reduce(np.abs(values), axis=axis, initial=0.0)
    return np.asarray(largest * ROUNDING.get(values.dtype, ROUNDING_FLOAT64))
