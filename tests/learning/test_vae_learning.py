"""A variational autoencoder learns handwritten digits better than what needs no network."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import regen

pytestmark = pytest.mark.slow


def mixture(train: np.ndarray, digits: np.ndarray, test: np.ndarray) -> float:
    """Mean log-likelihood of a mixture of independent pixels, one component for each digit."""
    probabilities = np.stack([(train[digits == k].sum(0) + 1) / ((digits == k).sum() + 2) for k in range(10)])
    logs = test @ np.log(probabilities).T + (1 - test) @ np.log(1 - probabilities).T
    return float(np.mean(np.logaddexp.reduce(logs, 1) - np.log(10)))


@pytest.mark.parametrize("samples", [1, 10])
def test_digits_need_fewer_nats_than_by_a_mixture(samples: int) -> None:
    """Binarised digits, held out: at least 2 nats better than a mixture that is given the classes."""
    X, y = load_digits(return_X_y=True)
    train, test, digits, _ = train_test_split((X > 7).astype(float), y, random_state=0)
    vae = regen.VariationalAutoencoder(
        code=10, likelihood="bernoulli", importance_samples=samples, max_epochs=150, random_state=0
    ).fit(train)
    found = vae.log_likelihood(test, samples=1000, random_state=0).mean()
    assert found > mixture(train, digits, test) + 2
    # Draws look like digits: those of the decoder, not those of independent pixels.
    apart = (np.random.default_rng(0).random((300, 64)) < train.mean(0)).astype(float)
    drawn = vae.sample(300, random_state=0)
    assert vae.score_samples(drawn).mean() > vae.score_samples(apart).mean() + 5
