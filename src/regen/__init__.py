"""regen: recurrent and generative networks with one scikit-learn API.

>>> import regen
>>> model = regen.Forecaster(cell="gru", horizon=6)  # networks that remember
>>> net = regen.nn.LSTM(8, 32, peephole="full")  # the same layers as torch modules
"""

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from regen import _drawing
from regen._version import __version__ as __version__

if TYPE_CHECKING:
    from regen import cells as cells
    from regen import datasets as datasets
    from regen import figures as figures
    from regen import inspect as inspect
    from regen import nn as nn
    from regen.estimators import *  # noqa: F403
    from regen.persistence import load as load
    from regen.persistence import save as save
    from regen.training import Training as Training

    __all__: list[str]

# Torch and scikit-learn take seconds to import, so everything is imported on first access. The estimators are those
# that `regen.estimators` exports.
_MODULES = ("cells", "datasets", "figures", "inspect", "nn")
_NAMES = {"Training": "regen.training", "load": "regen.persistence", "save": "regen.persistence"}

_drawing.load_with(partial(import_module, "regen.figures"))


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted([*_MODULES, *_NAMES, "__version__", *import_module("regen.estimators").__all__])
    if name in _MODULES:
        return import_module(f"regen.{name}")
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    if not name.startswith("_") and name in (estimators := import_module("regen.estimators")).__all__:
        return getattr(estimators, name)
    raise AttributeError(f"module 'regen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __getattr__("__all__")  # type: ignore[no-any-return]
