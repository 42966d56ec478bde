"""Scores of forecasts worked by hand, with missing values, and the cases without a score."""

import numpy as np
import pytest

from regen.metrics import coverage, forecast_scores, mase, seasonal_scale, skill_score, smape


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
