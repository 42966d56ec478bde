"""Rolling-origin evaluation: what a forecaster would have said along a series, beside what came and a naive guess."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from regen._check import Bool, Either, Int, Nothing, Number
from regen.data.seasonality import season_length, seasonal_naive
from regen.data.series import Series, frame
from regen.metrics.forecasting import forecast_scores, seasonal_scale

__all__ = ["Backtest", "backtest"]

Values = NDArray[np.float64]

ARGUMENTS = {
    "start": Either((Int(1), Number(0, 1, low_open=True, high_open=True))),
    "stride": Either((Int(1), Nothing())),
    "refit": Bool(),
}
"""What `Forecaster.backtest` accepts."""
PAST = 8
"""Seasons before an origin in which the naive forecast looks for a value that was observed."""


@final
@dataclass(frozen=True)
class Backtest:
    """What came of a backtest.

    Attributes
    ----------
    forecasts : dataframe with a row for every origin, step and column: ``origin`` and ``time`` (dates, or steps
        where the series has none), ``step`` (1 is the step after the origin), ``column``, ``y``, ``forecast``,
        ``naive`` (the value a season ago), and ``lo-80``, ``hi-80`` for each level.
    scores : see `regen.metrics.forecast_scores`.
    n_origins : number of forecasts made.
    """

    forecasts: Any
    scores: Mapping[str, float]
    n_origins: int

    def __str__(self) -> str:
        width = max(len(name) for name in self.scores)
        lines = [f"{name:<{width}}  {value:12.4f}" for name, value in self.scores.items()]
        return "\n".join([f"{self.n_origins} origins", *lines])


def backtest(
    model: Any, series: Series, at: range, levels: tuple[float, ...], refitted: Sequence[Any] = ()
) -> Backtest:
    """Forecast from the origins `at` of `series` with a fitted forecaster, or with one `refitted` for each origin."""
    horizon = model.horizon
    known = series.part(0, at[0])
    season = season_length(known.values, known.step)
    y = series.values[np.array(at)[:, None] + np.arange(horizon)]
    naive = np.stack(
        [seasonal_naive(series.values[max(n - PAST * season, 0) : n], season, horizon) for n in at]
    )
    if refitted:
        forecast = np.stack([each._scale.undo(each._forecast(horizon)) for each in refitted])
        widths = {
            level: np.stack([each._half_widths(level, horizon) for each in refitted]) for level in levels
        }
    else:
        forecast = model._forecasts(series, at)
        widths = {level: model._half_widths(level, horizon) for level in levels}
    bounds = {level: (forecast - width, forecast + width) for level, width in widths.items()}
    scale = seasonal_scale(known.values, season)
    return Backtest(
        _table(series, at, y, forecast, naive, bounds),
        forecast_scores(y, forecast, naive, scale, bounds),
        len(at),
    )


def origins(n_steps: int, start: int | float, stride: int, horizon: int, window: int) -> range:
    """Numbers of steps known at each forecast: from `start` on, every `stride`, while a whole horizon follows."""
    first = max(start if isinstance(start, Integral) else round(n_steps * start), window)
    if first + horizon > n_steps:
        raise ValueError(
            f"y has {n_steps} steps; a backtest from step {first} with horizon={horizon} needs at least"
            f" {first + horizon}. Start earlier or give more data."
        )
    return range(int(first), n_steps - horizon + 1, stride)


def _table(
    series: Series, at: range, y: Values, forecast: Values, naive: Values, bounds: Mapping[float, Any]
) -> Any:
    """The forecasts as a long table, ordered by origin, column and step."""
    n, horizon, columns = y.shape
    origin = np.repeat(np.array(at) - 1, columns * horizon)
    step = np.tile(np.arange(1, horizon + 1), n * columns)
    time = np.arange(len(series)) if series.dates is None else series.dates
    flat = {"y": y, "forecast": forecast, "naive": naive}
    for level, (low, high) in bounds.items():
        flat |= {f"lo-{level:g}": low, f"hi-{level:g}": high}
    return frame(
        {
            "origin": time[origin],
            "time": time[origin + step],
            "step": step,
            "column": np.tile(np.repeat(np.array(series.names), horizon), n),
        }
        | {name: np.swapaxes(values, 1, 2).ravel() for name, values in flat.items()}
    )
