"""The recipes: the only place where nets, objectives, data and the training loop meet."""

from regen.estimators.autoencoder import Autoencoder
from regen.estimators.backtest import Backtest
from regen.estimators.dcgan import DCGAN
from regen.estimators.denoising import DenoisingAutoencoder
from regen.estimators.forecaster import Forecaster
from regen.estimators.game import Game
from regen.estimators.gan import GAN
from regen.estimators.sequences import SequenceClassifier, SequenceRegressor
from regen.estimators.streams import ForecastStream, SequenceStream
from regen.estimators.vae import VariationalAutoencoder

__all__ = [
    "DCGAN",
    "GAN",
    "Autoencoder",
    "Backtest",
    "DenoisingAutoencoder",
    "ForecastStream",
    "Forecaster",
    "Game",
    "SequenceClassifier",
    "SequenceRegressor",
    "SequenceStream",
    "VariationalAutoencoder",
]
