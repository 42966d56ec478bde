"""Rolling-origin evaluation: what a forecaster would have said along a series, beside what came and a naive guess."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from regen.data.frames import Series, frame, like
from regen.data.season import season_length

__all__ = ["Backtest", "backtest", "scores"]

Values = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Backtest:
    """What came of a backtest.

    Attributes
    ----------
    forecasts : dataframe with a row for every origin, step and column: ``origin`` and ``time`` (dates, or steps
        where the series has none), ``step`` (1 is the step after the origin), ``column``, ``y``, ``forecast``,
        ``naive`` (the value a season ago), and ``lo-80``, ``hi-80`` for each level.
    scores : figures by name; see `scores`.
    n_origins : number of forecasts made.
    """

    forecasts: Any
    scores: Mapping[str, float]
    n_origins: int

    def __str__(self) -> str:
        width = max(len(name) for name in self.scores)
        lines = [f"{name:<{width}}  {value:12.4f}" for name, value in self.scores.items()]
        return "\n".join([f"{self.n_origins} origins", *lines])


def scores(
    y: Values, forecast: Values, naive: Values, scale: Values, bounds: Mapping[float, tuple[Values, Values]]
) -> dict[str, float]:
    """Errors of forecasts, all in the unit of the series unless said; missing values count nowhere.

    Parameters
    ----------
    y, forecast, naive : (n, H, C) what came, what was said, and what the season before says.
    scale : (C,) mean absolute seasonal difference of the series, the denominator of MASE.
    bounds : level in percent -> lower and upper ends (n, H, C).

    Returns
    -------
    ``mae``, ``rmse``; ``smape`` in percent, 200 |y - f| / (|y| + |f|) as in the M4 competition; ``mase`` (Hyndman &
    Koehler 2006); ``naive_mae``; ``skill`` = 1 - mae / naive_mae, above 0 when better than naive; and for each
    level ``coverage_80``, the share in percent of values inside.
    """
    error = np.abs(y - forecast)
    size = np.abs(y) + np.abs(forecast)
    naive_mae = float(np.nanmean(np.abs(y - naive)))
    mae = float(np.nanmean(error))
    found = {
        "mae": mae,
        "rmse": float(np.sqrt(np.nanmean(error**2))),
        "smape": float(np.nanmean(200 * np.divide(error, size, out=np.zeros_like(error), where=size > 0))),
        "mase": float(np.nanmean(np.divide(error, scale, out=np.full_like(error, np.nan), where=scale > 0)))
        if (scale > 0).any()
        else float("nan"),
        "naive_mae": naive_mae,
        "skill": 1 - mae / naive_mae if naive_mae else float("nan"),
    }
    seen = ~np.isnan(y)
    for level, (low, high) in bounds.items():
        inside = (y >= low) & (y <= high)
        found[f"coverage_{level:g}"] = float(100 * inside[seen].mean())
    return found


def backtest(
    model: Any, series: Series, start: int | float, stride: int, levels: tuple[float, ...], refit: bool
) -> Backtest:
    """Forecast from many origins of `series` with a fitted forecaster; see `Forecaster.backtest`."""
    horizon, season = model.horizon, season_length(series.values, series.step)
    at = origins(len(series), start, stride, horizon, model.window_)
    ahead = np.array(at)[:, None] + np.arange(horizon)
    y, step = series.values[ahead], np.arange(horizon)
    past = np.array(at)[:, None] - season + step % season
    naive = series.filled()[past]
    if refit:
        said = [clone(model).fit(_whole(series.part(0, n))) for n in at]
        forecast = np.stack([each._scale.undo(each._forecast(horizon)) for each in said])
        widths = {level: np.stack([each._half_widths(level, horizon) for each in said]) for level in levels}
    else:
        forecast = model._forecasts(series, at)
        widths = {level: model._half_widths(level, horizon) for level in levels}
    bounds = {level: (forecast - width, forecast + width) for level, width in widths.items()}
    scale = np.nanmean(np.abs(series.values[season:] - series.values[:-season]), axis=0)
    return Backtest(
        _table(series, at, y, forecast, naive, bounds), scores(y, forecast, naive, scale, bounds), len(at)
    )


def origins(n_steps: int, start: int | float, stride: int, horizon: int, window: int) -> range:
    """Numbers of steps known at each forecast: from `start` on, every `stride`, while a whole horizon follows."""
    first = round(n_steps * start) if isinstance(start, float) else start
    first = max(first, window)
    if first + horizon > n_steps:
        raise ValueError(
            f"y has {n_steps} steps; a backtest from step {first} with horizon={horizon} needs at least"
            f" {first + horizon}. Start earlier or give more data."
        )
    return range(first, n_steps - horizon + 1, stride)


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


def _whole(series: Series) -> Any:
    """The series as the kind of table that it was read from."""
    columns = {name: series.values[:, c] for c, name in enumerate(series.names)}
    return like(series, columns, start=1 - len(series))
