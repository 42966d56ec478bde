"""Seasons of a series: that of its calendar, or found in its values; and the forecast that repeats the last one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regen.data.calendar.steps import Step
from regen.data.magnitude import power_of_two

__all__ = ["calendar_season", "season_length", "seasonal_naive"]

_DAY_PARTS = {"h": 24, "m": 1440, "s": 86400}


def season_length(values: NDArray[np.float64], step: Step | None = None) -> int:
    """Steps in a season of `values` (N, C): the calendar's, else the dominant period found; 1 when there is none.

    The calendar has months (12), quarters (4), weeks (52), days (7), business days (5), hours (24) and parts of
    an hour (those in a day). It is used only when the series holds at least two such seasons. Otherwise the
    period is the highest peak of the autocorrelation of each column, without its linear trend or in first
    differences, whichever peaks higher. A peak counts past the first fall below zero and when it stands out of
    noise: above ``2.6 / sqrt(N)`` and above 0.3; of several as high within a tenth, the first is taken, since
    whole multiples of a season peak too. The median over columns that have one is taken.

    Parameters
    ----------
    values : (N, C) or (N,), NaN where missing.
    step : as in `Series.step`; None for a series without dates.
    """
    columns = values.reshape(len(values), -1)
    season = calendar_season(step)
    if season > 1 and len(columns) >= 2 * season:
        return season
    found = sorted(period for period in map(_period, columns.T) if period > 1)
    return found[len(found) // 2] if found else 1


def calendar_season(step: Step | None) -> int:
    """The season that the calendar gives a step, such as 12 for months; 1 for years, counters and odd steps."""
    if step is None:
        return 1
    if step.unit in ("M", "BM", "WM"):
        return 12 // step.count if 12 % step.count == 0 else 1
    if step.unit == "SM":
        return 24 // step.count if 24 % step.count == 0 else 1
    if step.unit == "D":
        return {1: 7, 7: 52}.get(step.count, 1)
    if step.unit == "B":
        return 5 if step.count == 1 else 1
    parts = _DAY_PARTS.get(step.unit, 0)
    return parts // step.count if parts and parts % step.count == 0 else 1


def seasonal_naive(values: NDArray[np.float64], season: int, horizon: int) -> NDArray[np.float64]:
    """The last season repeated: step h of the forecast is the value one season, or whole seasons, before it.

    A missing value is taken from the season before, and so on back; a place in the season that was never observed
    holds the last value observed, and 0 in a column that never was. With ``season=1`` this is the naive forecast:
    the last value.

    Parameters
    ----------
    values : (N, C) or (N,), NaN where missing.
    season : steps in a season; one longer than the series is the series.
    horizon : steps ahead.

    Returns
    -------
    (horizon, C), or (horizon,) for (N,).
    """
    columns = values.reshape(len(values), -1)
    season = min(season, len(columns))
    places = len(columns) - season + np.arange(horizon) % season
    forecast = columns[places]
    while np.isnan(forecast).any() and (places >= season).any():
        places = np.where(places >= season, places - season, places)
        forecast = np.where(np.isnan(forecast), columns[places], forecast)
    for k, column in enumerate(columns.T):
        known = column[~np.isnan(column)]
        forecast[np.isnan(forecast[:, k]), k] = known[-1] if len(known) else 0.0
    return np.asarray(forecast.reshape(horizon, *values.shape[1:]))


def _period(column: NDArray[np.float64]) -> int:
    """The season of one column, 1 when none stands out of noise."""
    known = np.flatnonzero(~np.isnan(column))
    if len(known) < 6:
        return 1
    column = column / power_of_two(column)
    trend = np.polynomial.Polynomial.fit(known, column[known], 1)
    rest = np.interp(np.arange(len(column)), known, column[known] - trend(known))
    if np.square(rest).sum() <= 1e-12 * np.square(column[known]).sum():
        return 1
    peaks = [_first_high_peak(rest), _first_high_peak(np.diff(rest))]
    return max(peaks)[1]


def _first_high_peak(rest: NDArray[np.float64]) -> tuple[float, int]:
    """The autocorrelation at its first high peak, and its lag; (0, 1) when there is none."""
    size = 2 ** int(np.ceil(np.log2(2 * len(rest))))
    spectrum = np.fft.rfft(rest - rest.mean(), size)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, size)[: len(rest) // 2 + 1]
    below = np.flatnonzero(correlation < 0)
    if len(below) == 0:
        return 0.0, 1
    correlation = correlation / correlation[0]
    inner = correlation[1:-1]
    peaks = 1 + np.flatnonzero((inner > correlation[:-2]) & (inner >= correlation[2:]))
    peaks = peaks[(peaks > below[0]) & (correlation[peaks] > max(0.3, 2.6 / np.sqrt(len(rest))))]
    if len(peaks) == 0:
        return 0.0, 1
    first = peaks[correlation[peaks] >= 0.9 * correlation[peaks].max()][0]
    near = peaks[np.abs(peaks - first) <= first // 8]
    best = near[np.argmax(correlation[near])]
    return float(correlation[best]), int(best)
