"""The recipes: the only place where nets, objectives, data and the training loop meet."""

from regen.estimators.autoencoder import Autoencoder
from regen.estimators.backtest import Backtest
from regen.estimators.denoising import DenoisingAutoencoder
from regen.estimators.forecaster import Forecaster
from regen.estimators.sequences import SequenceClassifier, SequenceRegressor
from regen.estimators.streams import ForecastStream, SequenceStream
from regen.estimators.vae import VariationalAutoencoder

__all__ = [
    "Autoencoder",
    "Backtest",
    "DenoisingAutoencoder",
    "ForecastStream",
    "Forecaster",
    "SequenceClassifier",
    "SequenceRegressor",
    "SequenceStream",
    "VariationalAutoencoder",
]
