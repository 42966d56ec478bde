"""Autoencoders as scikit-learn estimators: pipelines, searches, clones and dataframes."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from regen import Autoencoder, DenoisingAutoencoder, VariationalAutoencoder

QUICK: dict[str, Any] = {"hidden": (8,), "max_epochs": 4, "learning_rate": 1e-2, "random_state": 0}
COLLAPSED = "ignore:(None|Only .) of the . units of the code:UserWarning"


def test_autoencoder_in_pipelines_and_searches() -> None:
    """Before a classifier, searched over in two processes, cloned."""
    X, y = load_digits().data[:400], load_digits().target[:400]
    pipeline = make_pipeline(Autoencoder(8, max_epochs=10, random_state=0), LogisticRegression(max_iter=500))
    assert cross_val_score(pipeline, X, y, cv=2).mean() > 0.6
    search = GridSearchCV(Autoencoder(max_epochs=4, random_state=0), {"code": [1, 16]}, cv=2, n_jobs=2)
    assert search.fit(X).best_params_ == {"code": 16}
    copy = clone(Autoencoder(3, "conv", penalty={"l1": 0.5}))
    assert (copy.code, copy.backbone, copy.penalty) == (3, "conv", {"l1": 0.5})


def test_denoiser_in_pipelines_and_searches() -> None:
    """Rows with gaps pass through a pipeline; a grid chooses its parameters."""
    X, y = load_iris(return_X_y=True)
    X[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
    pipeline = make_pipeline(DenoisingAutoencoder(code=2, **QUICK | {"max_epochs": 30}), LogisticRegression())
    grid = GridSearchCV(pipeline, {"denoisingautoencoder__code": [1, 3]}, cv=2).fit(X, y)
    assert grid.best_score_ > 0.6


@pytest.mark.filterwarnings(COLLAPSED)
def test_vae_in_pipelines_and_searches() -> None:
    """Codes are inputs of a classifier; a search chooses a code by the bound; output columns have names."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 1)) * [1.0, -2.0, 3.0] + 0.1 * rng.normal(size=(90, 3))
    y = X[:, 0] > 0
    vae = VariationalAutoencoder(code=1, **QUICK | {"max_epochs": 15})
    pipeline = make_pipeline(clone(vae), LogisticRegression()).fit(X, y)
    assert pipeline.score(X, y) > 0.9
    search = GridSearchCV(vae, {"code": [1, 2], "training__batch_size": [30]}, cv=2).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    named = vae.set_output(transform="pandas").fit_transform(X)
    assert list(named.columns) == ["variationalautoencoder0"]


def test_codes_as_a_dataframe() -> None:
    """set_output makes a dataframe of the codes, with names."""
    X = pd.DataFrame(load_iris().data)
    X.columns = ["a", "b", "c", "d"]
    codes = DenoisingAutoencoder(code=2, **QUICK).set_output(transform="pandas").fit(X).transform(X)
    assert list(codes.columns) == ["denoisingautoencoder0", "denoisingautoencoder1"]


def test_dataframes_keep_their_index_and_library() -> None:
    """Restored rows have the index of the input, and are a table of its library."""
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), columns=["a", "b", "c"])
    X.index = X.index * 2 + 5
    model = DenoisingAutoencoder(code=2, **QUICK).fit(X)
    assert model.denoise(X[3:9]).index.equals(X.index[3:9])
    assert isinstance(model.denoise(pl.from_pandas(X)), pl.DataFrame)


def test_values_outside_the_range_of_fit_are_anomalies() -> None:
    """Of columns in [0, 1], values far beyond score below every row of fit."""
    causes = np.random.default_rng(0).normal(size=(300, 2))
    X = causes @ np.random.default_rng(1).normal(size=(2, 5))
    X = (X - X.min(0)) / np.ptp(X, 0)
    model = DenoisingAutoencoder(code=2, **QUICK | {"max_epochs": 20}).fit(X)
    beyond = X[:5].copy()
    beyond[np.arange(5), np.arange(5)] = [2.0, -1.0, 3.0, -2.0, 2.5]
    assert (model.score_samples(beyond) < model.score_samples(X).min()).all()
    assert (model.predict(beyond) == -1).all()
