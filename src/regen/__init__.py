"""regen: recurrent and generative networks with one scikit-learn API.

>>> import regen
>>> model = regen.Forecaster(cell="gru", horizon=6)  # networks that remember
>>> net = regen.nn.LSTM(8, 32, peephole="full")  # the same layers as torch modules
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from regen._version import __version__

if TYPE_CHECKING:
    from regen import cells, datasets, inspect, nn
    from regen.estimators import (
        DCGAN,
        GAN,
        Autoencoder,
        DenoisingAutoencoder,
        Forecaster,
        Game,
        SequenceClassifier,
        SequenceRegressor,
        VariationalAutoencoder,
    )
    from regen.persistence import load, save
    from regen.training import Training

__all__ = [
    "DCGAN",
    "GAN",
    "Autoencoder",
    "DenoisingAutoencoder",
    "Forecaster",
    "Game",
    "SequenceClassifier",
    "SequenceRegressor",
    "Training",
    "VariationalAutoencoder",
    "__version__",
    "cells",
    "datasets",
    "inspect",
    "load",
    "nn",
    "save",
]

# Torch and scikit-learn take seconds to import: all comes when first asked for.
_MODULES = ("cells", "datasets", "inspect", "nn")
_WHEN_ASKED = {
    "Autoencoder": "regen.estimators",
    "DCGAN": "regen.estimators",
    "DenoisingAutoencoder": "regen.estimators",
    "Forecaster": "regen.estimators",
    "GAN": "regen.estimators",
    "Game": "regen.estimators",
    "SequenceClassifier": "regen.estimators",
    "SequenceRegressor": "regen.estimators",
    "Training": "regen.training",
    "VariationalAutoencoder": "regen.estimators",
    "load": "regen.persistence",
    "save": "regen.persistence",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"regen.{name}")
    if name not in _WHEN_ASKED:
        raise AttributeError(f"module 'regen' has no attribute {name!r}")
    return getattr(import_module(_WHEN_ASKED[name]), name)


def __dir__() -> list[str]:
    return __all__
