"""The recipes: the only place where nets, objectives, data and the training loop meet."""

from regen.estimators.backtest import Backtest
from regen.estimators.forecaster import Forecaster
from regen.estimators.sequences import SequenceClassifier, SequenceRegressor

__all__ = ["Backtest", "Forecaster", "SequenceClassifier", "SequenceRegressor"]
