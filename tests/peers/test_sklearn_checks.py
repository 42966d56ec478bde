"""scikit-learn's own checks of every estimator, each expected failure with its reason."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.exceptions import SkipTestWarning
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from regen import (
    DCGAN,
    GAN,
    Autoencoder,
    DenoisingAutoencoder,
    Forecaster,
    SequenceClassifier,
    SequenceRegressor,
    VariationalAutoencoder,
)
from regen.estimators import ESTIMATORS

# Small and quick to learn, so that the checks of the score pass in a few epochs.
ROWS: dict[str, Any] = {"hidden": (8,), "max_epochs": 4, "learning_rate": 1e-2, "random_state": 0}
SEQUENCES: dict[str, Any] = {"hidden": 16, "segment": 5, "learning_rate": 1e-2, "random_state": 0}
GAMES: dict[str, Any] = {"random_state": 0, "training": {"max_steps": 2, "batch_size": 8, "validation": 0}}

ON_MATRICES = [
    SequenceClassifier(max_epochs=12, **SEQUENCES),
    SequenceRegressor(max_epochs=16, **SEQUENCES),
    Autoencoder(code=1, **ROWS),
    DenoisingAutoencoder(code=2, **ROWS),
    DenoisingAutoencoder(corruption="mask", code=2, **ROWS),
    VariationalAutoencoder(code=1, **ROWS),
    GAN(hidden=(8,), **GAMES),
]
WITHOUT_MATRICES = [Forecaster(random_state=0), DCGAN(channels=2, **GAMES)]
"""A series and images are no matrices of samples and features, as their tags say."""

EXPECTED_FAILURES: dict[str, dict[str, str]] = {}
"""Checks of a class that fail, each with its reason: none."""
OF_FLOAT32 = ("check_methods_subset_invariance", "check_methods_sample_order_invariance")
"""Checks that compare to 1e-7, closer than float32 products of matrices of another shape agree."""
CLOSE = {"rtol": 1e-5, "atol": 2e-6}
OF_PARAMETERS = (
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_estimator_tags_renamed,
    estimator_checks.check_valid_tag_types,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_set_params,
    estimator_checks.check_mixin_order,
    estimator_checks.check_estimators_unfitted,
)
"""The checks that fit nothing, for estimators whose input is no matrix."""


def expected_failures(estimator: Any) -> dict[str, str]:
    """Checks of an estimator that fail, each with its reason."""
    return EXPECTED_FAILURES.get(type(estimator).__name__, {})


def compare_as_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let scikit-learn's checks compare to the precision of float32."""
    for name in ("assert_allclose", "assert_allclose_dense_sparse"):
        exact = getattr(estimator_checks, name)

        def close(x: Any, y: Any, exact: Any = exact, err_msg: str = "", **tolerance: Any) -> None:
            exact(x, y, err_msg=err_msg, **tolerance | CLOSE)

        monkeypatch.setattr(estimator_checks, name, close)


@pytest.mark.filterwarnings("ignore:Can't check:UserWarning")
@pytest.mark.filterwarnings("ignore:None of the 1 units of the code:UserWarning")
@pytest.mark.filterwarnings("ignore:The generated rows cover:UserWarning")
@pytest.mark.filterwarnings("ignore:The discriminator has won:UserWarning")
@parametrize_with_checks(ON_MATRICES, expected_failed_checks=expected_failures, xfail_strict=True)
def test_scikit_learn_checks(
    estimator: Any, check: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every check passes, or is listed above; one that is listed and passes fails here."""
    if check.func.__name__ in OF_FLOAT32:  # type: ignore[attr-defined]
        compare_as_float32(monkeypatch)
    check(estimator)


@pytest.mark.parametrize("check", OF_PARAMETERS)
@pytest.mark.parametrize("estimator", WITHOUT_MATRICES)
def test_checks_of_parameters(estimator: Any, check: Callable[[str, Any], None]) -> None:
    """Estimators of series and of images pass the checks that need no matrix."""
    check(type(estimator).__name__, estimator)


def test_every_estimator_is_checked() -> None:
    """By its tags, on matrices or on its parameters alone."""
    assert {type(each) for each in ON_MATRICES + WITHOUT_MATRICES} == set(ESTIMATORS)
    assert all(get_tags(each).input_tags.two_d_array for each in ON_MATRICES)
    assert not any(get_tags(each).input_tags.two_d_array for each in WITHOUT_MATRICES)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        parametrize_with_checks(WITHOUT_MATRICES)
    assert [each.category for each in caught] == [SkipTestWarning, SkipTestWarning]


class BatchDependent(BaseEstimator):  # type: ignore[misc]
    """Predictions that depend on the other rows of a batch, by 1e-4."""

    def fit(self, X: Any, y: Any = None) -> "BatchDependent":
        """Nothing is learned."""
        self.n_features_in_ = np.shape(X)[1]
        return self

    def predict(self, X: Any) -> Any:
        """A sum, shifted by the number of rows."""
        return np.asarray(X).sum(1) + 1e-4 * len(X)


def test_the_precision_of_float32_is_no_licence(monkeypatch: pytest.MonkeyPatch) -> None:
    """What depends on the batch by more than rounding fails at the wider tolerance, too."""
    compare_as_float32(monkeypatch)
    with pytest.raises(AssertionError, match="invariant when applied"):
        estimator_checks.check_methods_subset_invariance("BatchDependent", BatchDependent())
