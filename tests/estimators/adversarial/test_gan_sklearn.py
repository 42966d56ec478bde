"""scikit-learn's own checks of GAN and DCGAN."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
from sklearn.exceptions import SkipTestWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

from regen.estimators import DCGAN, GAN

QUICK: dict[str, Any] = {"random_state": 0, "training": {"max_steps": 2, "batch_size": 8, "validation": 0}}

with warnings.catch_warnings():  # DCGAN takes no tables: only the checks of its parameters are run
    warnings.simplefilter("ignore", SkipTestWarning)
    CHECKS = parametrize_with_checks([GAN(hidden=(8,), **QUICK), DCGAN(channels=2, **QUICK)])


@pytest.mark.filterwarnings("ignore:Can't check:UserWarning")
@pytest.mark.filterwarnings("ignore:The generated rows cover:UserWarning")
@pytest.mark.filterwarnings("ignore:The discriminator has won:UserWarning")
@CHECKS
def test_scikit_learn_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    """All of scikit-learn's checks, without exception."""
    check(estimator)
