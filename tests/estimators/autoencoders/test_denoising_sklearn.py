"""DenoisingAutoencoder as scikit-learn sees it: its own checks, pipelines, grids and frames."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from regen import DenoisingAutoencoder

QUICK: dict[str, Any] = {"code": 2, "hidden": (8,), "max_epochs": 4, "learning_rate": 1e-2, "random_state": 0}

ROUNDED = "asks for 1e-7; float32 matrix products round otherwise for other places in a batch"
EXPECTED_FAILURES = {
    "check_methods_subset_invariance": ROUNDED,
    "check_methods_sample_order_invariance": ROUNDED,
}


def expected_failures(estimator: Any) -> dict[str, str]:
    """Checks that may fail, each with its reason."""
    return EXPECTED_FAILURES


@pytest.mark.filterwarnings("ignore:Can't check:UserWarning")
@parametrize_with_checks(
    [DenoisingAutoencoder(**QUICK), DenoisingAutoencoder(corruption="mask", **QUICK)],
    expected_failed_checks=expected_failures,
    xfail_strict=False,
)
def test_scikit_learn_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    """As scikit-learn says."""
    check(estimator)


def test_before_a_classifier():
    """Rows with gaps pass through a pipeline; a grid chooses its settings."""
    X, y = load_iris(return_X_y=True)
    X[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
    pipeline = make_pipeline(DenoisingAutoencoder(**{**QUICK, "max_epochs": 30}), LogisticRegression())
    grid = GridSearchCV(pipeline, {"denoisingautoencoder__code": [1, 3]}, cv=2).fit(X, y)
    assert grid.best_score_ > 0.6


def test_codes_as_a_frame():
    """set_output makes a frame of the codes, with names."""
    X = pd.DataFrame(load_iris().data)
    X.columns = ["a", "b", "c", "d"]
    codes = DenoisingAutoencoder(**QUICK).set_output(transform="pandas").fit(X).transform(X)
    assert list(codes.columns) == ["denoisingautoencoder0", "denoisingautoencoder1"]


def test_frames_keep_their_index_and_library():
    """Restored rows have the index of those given, and are a table of their library."""
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), columns=["a", "b", "c"])
    X.index = X.index * 2 + 5
    model = DenoisingAutoencoder(**QUICK).fit(X)
    assert model.denoise(X[3:9]).index.equals(X.index[3:9])
    assert isinstance(model.denoise(pl.from_pandas(X)), pl.DataFrame)


def test_what_lies_outside_the_range_of_fit_is_an_anomaly():
    """Of columns in [0, 1], values far beyond score below every row of fit."""
    causes = np.random.default_rng(0).normal(size=(300, 2))
    X = causes @ np.random.default_rng(1).normal(size=(2, 5))
    X = (X - X.min(0)) / np.ptp(X, 0)
    model = DenoisingAutoencoder(**{**QUICK, "max_epochs": 20}).fit(X)
    beyond = X[:5].copy()
    beyond[np.arange(5), np.arange(5)] = [2.0, -1.0, 3.0, -2.0, 2.5]
    assert (model.score_samples(beyond) < model.score_samples(X).min()).all()
    assert (model.predict(beyond) == -1).all()
