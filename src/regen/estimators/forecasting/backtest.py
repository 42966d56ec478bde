"""Rolling-origin evaluation: forecasts along a series, compared with the observed values and a naive forecast.

Letters: `n` origins, `H` horizon, `C` columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from regen import _drawing
from regen._check import Bool, Constraint, Either, Int, Nothing, Number
from regen.data.calendar import season_length, seasonal_naive
from regen.data.dataframes import frame
from regen.data.series import Series
from regen.metrics.forecasting import forecast_scores, seasonal_scale

__all__ = ["Backtest", "evaluate", "rolling_origins"]

Values = NDArray[np.float64]

BACKTEST_CONSTRAINTS: Mapping[str, Constraint] = {
    "start": Either((Int(1), Number(0, 1, low_open=True, high_open=True))),
    "stride": Either((Int(1), Nothing())),
    "refit": Bool(),
}
"""Constraints of the arguments of `Forecaster.backtest`."""
NAIVE_SEASONS = 8
"""Seasons before an origin in which the naive forecast looks for an observed value."""


@final
@dataclass(frozen=True, repr=False)
class Backtest:
    """Forecasts along a series and their scores: the result of `Forecaster.backtest`.

    ``str(result)`` is a table of all scores.

    Parameters
    ----------
    forecasts : dataframe
        A row for every origin, step and column: ``origin`` and ``time`` (dates, or steps where the series has
        none), ``step`` (1 is the step after the origin), ``column``, ``y`` (the observed value), ``forecast``,
        ``naive`` (the value a season ago), and ``lo-80``, ``hi-80`` for each level.
    scores : mapping of str to float
        The errors, in the unit of the series where they have one; see `regen.metrics.forecast_scores`.
    n_origins : int
        Number of origins, each with one forecast of the whole horizon.
    horizon : int
        Steps of each forecast.

    See Also
    --------
    regen.Forecaster.backtest : Makes it.

    Examples
    --------
    >>> import numpy as np, regen
    >>> y = np.sin(np.arange(200) / 3)
    >>> model = regen.Forecaster(window=24, horizon=6, max_epochs=2, random_state=0).fit(y[:150])
    >>> result = model.backtest(y, start=150)
    >>> result.n_origins, len(result.forecasts)
    (8, 48)
    """

    forecasts: Any
    scores: Mapping[str, float]
    n_origins: int
    horizon: int

    def plot(self, **options: Any) -> Any:
        """A fan chart: the forecasts with their intervals over the actual values and the naive forecast.

        Parameters
        ----------
        **options
            ``column="..."``, the column to draw, the first one by default; ``unit="..."``, of its values.

        Returns
        -------
        chart : regen.figures.Chart
            As `regen.figures.backtest` draws it.
        """
        return _drawing.plot(self, **options)

    def __repr__(self) -> str:
        scores = "".join(f", {name}={self.scores[name]:.4g}" for name in ("mae", "mase", "skill"))
        return f"Backtest(n_origins={self.n_origins}, horizon={self.horizon}{scores})"

    def __str__(self) -> str:
        width = max(len(name) for name in self.scores)
        lines = [f"{name:<{width}}  {value:12.4f}" for name, value in self.scores.items()]
        return "\n".join([f"{self.n_origins} origins", *lines])


def rolling_origins(n_steps: int, start: int | float, stride: int, horizon: int, window: int) -> range:
    """Number of steps before each forecast: from `start` on, every `stride`, while a whole horizon follows."""
    first = max(start if isinstance(start, Integral) else round(n_steps * start), window)
    if first + horizon > n_steps:
        raise ValueError(
            f"y has {n_steps} steps; a backtest from step {first} with horizon={horizon} needs at least"
            f" {first + horizon}. Start earlier or give more data."
        )
    return range(int(first), n_steps - horizon + 1, stride)


def evaluate(series: Series, origins: range, forecast: Values, widths: Mapping[float, Values]) -> Backtest:
    """Compare forecasts (n, H, C) from `origins` with the series and with a seasonal naive forecast.

    widths : half widths (H, C) or (n, H, C) of the intervals for each level.
    """
    horizon, past = forecast.shape[1], series.part(0, origins[0])
    season = season_length(past.values, past.step)
    y = series.values[np.array(origins)[:, None] + np.arange(horizon)]
    naive = np.stack(
        [
            seasonal_naive(series.values[max(n - NAIVE_SEASONS * season, 0) : n], season, horizon)
            for n in origins
        ]
    )
    bounds = {level: (forecast - width, forecast + width) for level, width in widths.items()}
    scores = forecast_scores(y, forecast, naive, seasonal_scale(past.values, season), bounds)
    return Backtest(_table(series, origins, y, forecast, naive, bounds), scores, len(origins), horizon)


def _table(
    series: Series, origins: range, y: Values, forecast: Values, naive: Values, bounds: Mapping[float, Any]
) -> Any:
    """The forecasts as a long table, ordered by origin, column and step."""
    n, horizon, columns = y.shape
    origin = np.repeat(np.array(origins) - 1, columns * horizon)
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
