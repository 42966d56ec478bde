"""Imputation held against its bars; benchmarks/quality_imputation.py has all of them, with seeds and spread."""

import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.impute import KNNImputer

from regen import DenoisingAutoencoder

pytestmark = pytest.mark.slow

SPAM = Path(os.environ.get("REGEN_DATA", "")) / "uci" / "spam.csv"
GAIN = 0.0513
"""Published error of GAIN on spam (Yoon et al. 2018)."""


def holed(X: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The table scaled to [0, 1] by what is left, the same with 20 % of its cells missing, and which they are."""
    gaps = np.random.default_rng(seed).random(X.shape) < 0.2
    gappy = np.where(gaps, np.nan, X)
    low, high = np.nanmin(gappy, 0), np.nanmax(gappy, 0)
    return (X - low) / (high - low), (gappy - low) / (high - low), gaps


def error(X: np.ndarray, filled: np.ndarray, gaps: np.ndarray) -> float:
    """Root mean squared error of the filled cells, in units of the range of whole columns, as GAIN measures it."""
    return float(np.sqrt((((filled - X) / np.ptp(X, 0))[gaps] ** 2).mean()))


def test_better_than_nearest_neighbours():
    """On 569 rows of 30 columns."""
    X, gappy, gaps = holed(load_breast_cancer().data, seed=0)
    found = error(X, DenoisingAutoencoder(random_state=0).fit(gappy).impute(gappy), gaps)
    assert found < 0.95 * error(X, KNNImputer(weights="distance").fit_transform(gappy), gaps)


@pytest.mark.skipif(not SPAM.is_file(), reason="REGEN_DATA names no folder with uci/spam.csv")
def test_better_than_gain_on_spam():
    """On 4601 rows of 57 columns."""
    X, gappy, gaps = holed(np.loadtxt(SPAM, delimiter=",", skiprows=1), seed=0)
    assert error(X, DenoisingAutoencoder(random_state=0).fit(gappy).impute(gappy), gaps) <= GAIN
