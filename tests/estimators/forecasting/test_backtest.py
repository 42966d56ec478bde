"""Backtests: origins, the naive forecast, the table and refits."""

import numpy as np
import pandas as pd
import pytest

from regen import Forecaster
from regen.estimators.forecasting.backtest import rolling_origins

QUICK = {"window": 8, "horizon": 3, "hidden": 4, "max_epochs": 1, "random_state": 0}


@pytest.mark.parametrize(
    ("start", "stride", "expected"),
    [(0.5, 1, range(10, 18)), (12, 4, range(12, 18, 4)), (1, 5, range(8, 18, 5))],
)
def test_origins(start, stride, expected):
    """A share or a number of steps, never before the first window; a whole horizon always follows."""
    assert rolling_origins(20, start, stride, 3, 8) == expected


def test_the_naive_forecast_repeats_the_season_before_the_origin():
    """Step h is the value a season before it; values after the origin change nothing."""
    y = np.tile([0.0, 3.0, 9.0, 4.0, 1.0, 7.0], 12) + np.arange(72) / 100
    index = pd.date_range("2000-01-01", periods=72, freq="D")  # a week of 7 days by the calendar
    series = pd.Series(y, index)
    model = Forecaster(**QUICK).fit(series)
    changed = series.copy()
    changed.iloc[40:] += 50
    tables = [model.backtest(each, start=40, stride=100).forecasts for each in (series, changed)]
    np.testing.assert_allclose(tables[0]["naive"], y[33:36])
    for name in ("naive", "forecast"):
        np.testing.assert_array_equal(tables[0][name], tables[1][name])
    early = model.backtest(series, start=1, stride=100)
    assert early.forecasts["step"].tolist() == [1, 2, 3]


def test_the_table_lines_up():
    """Each row has its own origin, time, step, column, truth and bounds."""
    index = pd.date_range("2000-01-01", periods=60, freq="D")
    data = pd.DataFrame({"a": np.arange(60.0), "b": -np.arange(60.0)}, index)
    result = Forecaster(**QUICK).fit(data).backtest(data, start=50, stride=4, level=[80, 95])
    table = result.forecasts
    assert (result.n_origins, result.horizon) == (2, 3)
    assert repr(result).startswith(f"Backtest(n_origins=2, horizon=3, mae={result.scores['mae']:.4g}, mase=")
    assert len(table) == 2 * 2 * 3
    for row in table.to_dict("records"):
        assert row["time"] == row["origin"] + pd.Timedelta(days=row["step"])
        assert row["y"] == data.loc[row["time"], row["column"]]
        assert row["lo-95"] <= row["lo-80"] <= row["forecast"] <= row["hi-80"] <= row["hi-95"]
    assert table["origin"].unique().tolist() == [index[49], index[53]]
    assert result.scores["mae"] == pytest.approx(np.abs(table["y"] - table["forecast"]).mean())


def test_a_refit_uses_only_the_steps_before_the_origin(tmp_path):
    """Each origin has a forecaster of its own, fitted on the steps before it, for tables too."""
    y = np.sin(np.arange(60.0)) + np.arange(60) / 10
    frame = pd.DataFrame({"year": np.arange(1900, 1960), "v": y})
    training = {"checkpoint": tmp_path / "run"}
    model = Forecaster(**QUICK, training=training).fit(frame, time="year")
    forecasts = model.backtest(frame, start=50, stride=5, level=80, refit=True).forecasts
    for n, part in zip((50, 55), np.array_split(forecasts["forecast"].to_numpy(), 2), strict=True):
        alone = Forecaster(**QUICK).fit(frame[:n], time="year").predict()
        np.testing.assert_allclose(part, alone["v"], rtol=1e-6)
    assert forecasts["time"].tolist()[:3] == [1950, 1951, 1952]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stride": 0}, "The 'stride' parameter of backtest must be an int in [1, inf) or None. Got 0 instead."),
        ({"start": -5}, "The 'start' parameter of backtest must be an int in [1, inf) or a number in (0, 1)."
         " Got -5 instead."),
        ({"start": 59}, "y has 60 steps; a backtest from step 59 with horizon=3 needs at least 62. Start earlier or"
         " give more data."),
        ({"level": "80"}, "The 'level' parameter of backtest must be a number in (1, 100). Got '80' instead."),
        ({"level": [80, 0.95]}, "The 'level' parameter of backtest must be a number in (1, 100). Got 0.95 instead."
         " Levels are percentages: give 95."),
    ],
)  # fmt: skip
def test_refusals(arguments, message, message_of):
    """The exact message: the value, the expectation and the remedy."""
    model = Forecaster(**QUICK).fit(np.arange(60.0))
    assert message_of(ValueError, model.backtest, np.arange(60.0), **arguments) == message


def test_another_step_is_refused():
    """A daily model does not score an hourly series."""
    daily, hourly = (
        pd.Series(np.arange(60.0), pd.date_range("2000", periods=60, freq=f)) for f in ("D", "h")
    )
    model = Forecaster(**QUICK).fit(daily)
    with pytest.raises(ValueError, match=r"The dates of y go by .*; the model was fitted with a step of"):
        model.backtest(hourly)
