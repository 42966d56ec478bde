"""regen: recurrent and generative networks with one scikit-learn API."""

__version__ = "0.1.0.dev0"
