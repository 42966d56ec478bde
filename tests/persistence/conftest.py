"""Models small enough to be fitted in every test session."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import regen

Y = np.sin(np.arange(40) / 2)


def small_forecaster(**params: Any) -> regen.Forecaster:
    """A forecaster fitted for one epoch."""
    options = {"window": 6, "horizon": 3, "hidden": 3, "max_epochs": 1, "random_state": 0} | params
    return regen.Forecaster(**options).fit(Y)


@pytest.fixture(scope="session")
def forecaster() -> regen.Forecaster:
    """A fitted forecaster; not to be changed."""
    return small_forecaster()


@pytest.fixture
def saved(forecaster: regen.Forecaster, tmp_path: Path) -> Path:
    """The file of a fitted forecaster."""
    return regen.save(forecaster, tmp_path / "model.regen")
