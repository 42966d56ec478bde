"""Bad input to every estimator that compresses: one sentence each, and what was fitted stays."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from regen.estimators import Autoencoder, DenoisingAutoencoder, VariationalAutoencoder
from regen.estimators.autoencoders._base import AutoencodingEstimator

KINDS: list[Callable[..., AutoencodingEstimator]] = [
    Autoencoder,
    DenoisingAutoencoder,
    VariationalAutoencoder,
]
N = 60


def table(**changed: Any) -> pd.DataFrame:
    """Two columns of numbers and one of text."""
    chance = np.random.default_rng(0)
    columns = {
        "a": chance.normal(size=N),
        "b": chance.normal(size=N),
        "town": chance.choice(["Oslo", "Rome"], N),
    }
    return pd.DataFrame(columns | changed)


def pictures(*shape: int) -> Any:
    """(N, *shape) numbers from 0 to 1."""
    return np.random.default_rng(0).random((N, *shape))


def fitted(kind: Callable[..., AutoencodingEstimator], X: Any, **options: Any) -> AutoencodingEstimator:
    """A small one, trained for an epoch; a code that it has not learned to use is no matter."""
    usual = {"code": 2, "max_epochs": 1, "random_state": 0, "hidden": (8,)}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="None of the 2 units of the code", category=UserWarning)
        return kind(**usual | options).fit(X)


INFINITE = np.r_[np.zeros(N - 1), -np.inf]
AT_FIT: list[tuple[Any, dict[str, Any], str]] = [
    (table(b=np.nan), {}, "Column 'b' of X has only missing values. Leave it out, or give values."),
    (
        table(b=INFINITE),
        {},
        "Column 'b' of X has an infinite value in row 59. Put a number there, or NaN if it is missing.",
    ),
    (pictures(30), {"image_shape": (6, 6)}, "image_shape=(6, 6) has 36 pixels; the rows of X have 30."),
    (table()[:0], {}, "X has 0 sample(s) (shape=(0, 3)) while a minimum of 1 is required."),
]
LATER: list[tuple[Any, Any, str]] = [
    (
        table(),
        table(b=INFINITE),
        "Column 'b' of X has an infinite value in row 59. Put a number there, or NaN if it is missing.",
    ),
    (
        table(),
        table(town=["Oslo", "Wien"] * (N // 2)),
        "Column 'town' of X has 'Wien' in row 1, a category that fit has not seen. It knows: 'Oslo', 'Rome'.",
    ),
    (
        pictures(1, 6, 5),
        pictures(1, 5, 5),
        "X has images of (1, 5, 5) channels, rows and columns. Those fitted had (1, 6, 5).",
    ),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("X", "options", "words"), AT_FIT, ids=["gaps", "infinite", "shape", "empty"])
def test_refused_at_fit(kind: Callable[..., AutoencodingEstimator], X: Any, options: Any, words: str) -> None:
    """Before anything is trained; codes are then the same bits as before."""
    model = fitted(kind, table())
    before = model.transform(table())
    with pytest.raises(ValueError) as refusal:
        model.set_params(**options).fit(X)
    assert str(refusal.value) == words
    model.set_params(image_shape=None)
    assert np.array_equal(model.transform(table()), before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("known", "X", "words"), LATER, ids=["infinite", "category", "shape"])
def test_refused_later(kind: Callable[..., AutoencodingEstimator], known: Any, X: Any, words: str) -> None:
    """Rows that are unlike those of fit, whatever is asked of them."""
    model = fitted(kind, known)
    for use in (model.transform, model.reconstruct, model.score_samples, model.predict):
        with pytest.raises(ValueError) as refusal:
            use(X)
        assert str(refusal.value) == words


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_column_is_allowed(kind: Callable[..., AutoencodingEstimator]) -> None:
    """It divides nothing by zero; a row where it differs from all of fit is less normal."""
    model = fitted(kind, table(b=3.0), max_epochs=20)
    same = model.score_samples(table(b=3.0))
    assert np.isfinite(same).all()
    np.testing.assert_allclose(model.reconstruct(table(b=3.0))["b"], 3.0, atol=0.5)
    assert (model.score_samples(table(b=9.0)) < same).all()


@pytest.mark.parametrize("kind", [Autoencoder, VariationalAutoencoder])
def test_a_wide_code_is_allowed_and_warned_of(kind: Callable[..., AutoencodingEstimator]) -> None:
    """Where rows are not corrupted."""
    with pytest.warns(
        UserWarning, match=r"^code=5 is more than the 4 numbers of a row, so nothing is compressed"
    ):
        assert fitted(kind, table(), code=5).transform(table()).shape == (N, 5)
