"""regen: recurrent and generative networks with one scikit-learn API."""

from regen import cells
from regen.estimators import Forecaster
from regen.training import Training

__version__ = "0.1.0.dev0"

__all__ = ["Forecaster", "Training", "__version__", "cells"]
