"""Scores of forecasts worked by hand, with missing values, and the cases without a score."""

import numpy as np
import pytest

from regen.metrics import coverage, forecast_scores, mae, mase, rmse, seasonal_scale, skill_score, smape


def test_scores_by_hand():
    """Two origins, two steps, one column; one value missing."""
    y = np.array([[[10.0], [20.0]], [[np.nan], [5.0]]])
    forecast = np.array([[[12.0], [16.0]], [[7.0], [5.0]]])  # off by 2, 4, nothing known, 0
    naive = np.array([[[9.0], [25.0]], [[1.0], [8.0]]])  # off by 1, 5, nothing known, 3
    bounds = {80.0: (forecast - 3, forecast + 3)}
    found = forecast_scores(y, forecast, naive, np.array([4.0]), bounds)
    assert found == pytest.approx(
        {
            "mae": 6 / 3,
            "rmse": np.sqrt((4 + 16) / 3),
            "smape": (200 * 2 / 22 + 200 * 4 / 36 + 0) / 3,
            "mase": (2 / 4 + 4 / 4 + 0) / 3,
            "naive_mae": 9 / 3,
            "skill": 1 - 2 / 3,
            "coverage_80": 100 * 2 / 3,
        }
    )


def test_mase_is_scaled_by_the_season_and_by_each_column():
    """Mean absolute seasonal difference; a column that never moves has none."""
    values = np.stack([np.array([1.0, 5.0, 2.0, 9.0, np.nan, 10.0]), np.ones(6)], 1)
    np.testing.assert_allclose(seasonal_scale(values, 2), [(1 + 4 + 1) / 3, 0.0])
    assert np.isnan(seasonal_scale(values[:2], 2)).all()


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (mase(np.ones((3, 2)), np.zeros((3, 2)), np.array([0.0, 2.0])), 0.5),  # a constant column is left out
        (mase(np.ones((3, 2)), np.zeros((3, 2)), np.array([0.0, np.nan])), np.nan),
        (skill_score(1.0, 0.0), np.nan),
        (smape(np.zeros(2), np.zeros(2)), 0.0),
        (coverage(np.array([0.0, 1.0, np.nan, 3.0]), np.zeros(4), np.ones(4)), 200 / 3),
    ],
    ids=["mase leaves out", "no scale", "no baseline error", "both zero", "ends and missing"],
)
def test_cases_at_the_edge(score, expected):
    """Columns without a scale, a baseline without errors, zeros, the ends of an interval, missing values."""
    assert score == pytest.approx(expected, nan_ok=True)


STEPS = np.arange(240)
REPEATING = {
    "sine": 40 + 10 * np.sin(2 * np.pi * STEPS / 12),
    "short decimals": 0.1 + 0.1 * (STEPS % 12),
    "large": 1e30 * np.sin(2 * np.pi * STEPS / 12),
    "small": 1e-30 * np.sin(2 * np.pi * STEPS / 12),
    "float32": (40 + 10 * np.sin(2 * np.pi * STEPS / 12)).astype(np.float32),
}


@pytest.mark.parametrize("values", REPEATING.values(), ids=REPEATING.keys())
def test_a_naive_error_of_rounding_gives_no_score(values):
    """A series that repeats differs from itself a season ago by rounding alone: MASE and skill are NaN, not 1e14."""
    values = values[:, None]
    scale = seasonal_scale(values, 12)
    assert scale.tolist() == [0.0]
    y, naive = values[None, 12:24], values[None, :12]
    scores = forecast_scores(y, y * 1.1, naive, scale, {})
    assert np.isnan(scores["mase"]) and np.isnan(scores["skill"])
    assert scores["mae"] > 0


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e9, 1e300])
def test_small_naive_errors_of_any_unit_are_scores(size):
    """Differences a millionth of the values are no rounding: the scores do not depend on the unit."""
    values = size * (1 + 1e-6 * np.sin(STEPS * 0.7))[:, None]
    y, naive, scale = values[None, 12:24], values[None, :12], seasonal_scale(values, 12)
    scores = forecast_scores(y, y, naive, scale, {})
    assert scale[0] > 0 and scores["mase"] == 0 and scores["skill"] == 1


EMPTY, WORST = np.full((1, 3, 2), np.nan), np.array([[[1e300, -1.7e308], [np.inf, 1e-320], [0.0, np.nan]]])


@pytest.mark.parametrize("y", [EMPTY, np.zeros((0, 3, 2)), WORST], ids=["missing", "none", "extreme"])
@pytest.mark.filterwarnings("error")
def test_scores_of_nothing_and_of_extremes_do_not_warn(y):
    """Nothing observed gives NaN, extreme values give numbers or NaN, and NumPy warns of neither."""
    forecast = np.full(y.shape, 1e300)
    scores = forecast_scores(
        y, forecast, -forecast, seasonal_scale(y.reshape(-1, 2), 1), {80.0: (y, forecast)}
    )
    if y is not WORST:
        assert all(np.isnan(each) for each in scores.values())
    assert rmse(np.array([1e300, 1e300]), np.zeros(2)) == pytest.approx(1e300)
    assert rmse(np.array([1e-300, 1e-300]), np.zeros(2)) == pytest.approx(1e-300)
    assert np.isnan(mae(np.full(3, np.nan), np.zeros(3)))
