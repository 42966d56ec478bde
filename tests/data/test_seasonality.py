"""Seasons by the calendar and by autocorrelation, and the forecast that repeats the last one."""

import numpy as np
import pytest

from regen.data.calendar import Step, calendar_season, season_length, seasonal_naive


def wave(period: float, n: int, seed: int = 0, noise: float = 0.3) -> np.ndarray:
    """A sine of the given period in noise, (n, 1)."""
    values = np.sin(2 * np.pi * np.arange(n) / period)
    return (values + noise * np.random.default_rng(seed).normal(size=n))[:, None]


@pytest.mark.parametrize(
    ("step", "season"),
    [
        (Step(1, "M", 1), 12),
        (Step(3, "M", 31), 4),
        (Step(12, "M", 1), 1),
        (Step(5, "M", 1), 1),
        (Step(7, "D"), 52),
        (Step(1, "D"), 7),
        (Step(1, "B"), 5),
        (Step(1, "h"), 24),
        (Step(2, "h"), 12),
        (Step(30, "m"), 48),
        (Step(7, "h"), 1),
        (Step(1, "1"), 1),
        (None, 1),
    ],
)
def test_seasons_of_the_calendar(step, season):
    """Months have 12, quarters 4, weeks 52, days 7, hours 24; years and counters none."""
    assert calendar_season(step) == season


@pytest.mark.parametrize("period", [4, 7, 12, 24, 48])
def test_period_found_in_noise(period):
    """Without dates the period itself is found, and not twice it."""
    assert [season_length(wave(period, 10 * period + 60, seed, 0.2)) for seed in range(5)] == [period] * 5


def test_period_found_on_a_trend_and_through_gaps():
    """A trend and missing values do not hide a season."""
    values = 5 * wave(12, 200) + 0.01 * np.arange(200)[:, None] ** 1.7
    values[np.random.default_rng(1).choice(200, 20, replace=False)] = np.nan
    assert season_length(values) == 12


def test_columns_vote():
    """The median of the columns that have a season."""
    assert season_length(np.hstack([wave(7, 200), wave(7, 200, 1), wave(30, 200)])) == 7


def test_a_season_longer_than_the_data_is_ignored():
    """A season that the series does not hold twice is no season."""
    assert season_length(np.arange(103.0), Step(7, "D")) == 1
    assert season_length(wave(13, 80), Step(7, "D")) == 13


@pytest.mark.parametrize(
    "values", [np.ones(50), np.arange(50.0), np.full(50, np.nan), np.arange(3.0), -np.ones((1, 1))]
)
def test_no_season(values):
    """Constants, lines, nothing and too little have no season."""
    assert season_length(values) == 1


def test_noise_seldom_has_a_season():
    """White noise of 300 steps: at most 1 in 20 (seen: 0 of 100)."""
    generator = np.random.default_rng(0)
    found = [season_length(generator.normal(size=300)) > 1 for _ in range(100)]
    assert sum(found) <= 5


def test_naive_repeats_the_last_season():
    """Step h is the value one season before it, again and again."""
    assert seasonal_naive(np.arange(10.0), 3, 7).tolist() == [7, 8, 9, 7, 8, 9, 7]
    assert seasonal_naive(np.arange(10.0).reshape(5, 2), 1, 2).tolist() == [[8, 9], [8, 9]]
    assert seasonal_naive(np.arange(2.0), 12, 3).tolist() == [0, 1, 0]


def test_naive_looks_further_back_for_what_is_missing():
    """A missing value is that of the season before; one never seen is the last value."""
    nan = np.nan
    assert seasonal_naive(np.array([1, nan, 3, nan, nan, 6]), 3, 3).tolist() == [1, 6, 6]
    assert seasonal_naive(np.array([1, 2, 3, nan, nan, nan, nan, 8, nan]), 3, 4).tolist() == [1, 8, 3, 1]
    assert seasonal_naive(np.array([nan, nan]), 1, 2).tolist() == [0, 0]
