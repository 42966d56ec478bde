"""The scikit-learn estimators, one folder for each family."""

from regen.estimators._base import Estimator
from regen.estimators.adversarial.dcgan import DCGAN
from regen.estimators.adversarial.game import Game
from regen.estimators.adversarial.gan import GAN
from regen.estimators.autoencoders.autoencoder import Autoencoder
from regen.estimators.autoencoders.denoising import DenoisingAutoencoder
from regen.estimators.autoencoders.vae import VariationalAutoencoder
from regen.estimators.forecasting.backtest import Backtest
from regen.estimators.forecasting.forecaster import Forecaster
from regen.estimators.forecasting.online import ForecastStream
from regen.estimators.sequences.classifier import SequenceClassifier
from regen.estimators.sequences.online import SequenceStream
from regen.estimators.sequences.regressor import SequenceRegressor

__all__ = [
    "DCGAN",
    "ESTIMATORS",
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

ESTIMATORS: tuple[type[Estimator], ...] = (
    Forecaster,
    SequenceClassifier,
    SequenceRegressor,
    Autoencoder,
    DenoisingAutoencoder,
    VariationalAutoencoder,
    GAN,
    DCGAN,
)
"""Every estimator class; what saves, loads and runs estimators takes them from here."""
