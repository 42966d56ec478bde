"""``learning_rate="auto"`` is the learning rate that the docstring of the estimator gives."""

import numpy as np
import pytest

import regen

Y = np.sin(np.arange(60) / 2)
X = np.random.default_rng(0).normal(size=(80, 6))


@pytest.mark.parametrize(
    ("model", "data", "learning_rate"),
    [
        (regen.Forecaster(window=6, horizon=3, hidden=4), Y, 3e-3),
        (regen.Autoencoder(code=2), X, 1e-3),
        (regen.DenoisingAutoencoder(code=2), X, 1e-3),
        (regen.VariationalAutoencoder(code=2), X, 1e-3),
    ],
)
def test_auto_is_the_default(model: regen.Forecaster, data: np.ndarray, learning_rate: float) -> None:
    """The first row of the history has it, and giving the number instead changes no bit."""
    model.set_params(max_epochs=2, random_state=0)
    auto = model.fit(data).history_
    assert list(auto["learning_rate"]) == [learning_rate, learning_rate]
    explicit = model.set_params(learning_rate=learning_rate).fit(data).history_
    assert list(explicit["train.loss"]) == list(auto["train.loss"])
    other = model.set_params(learning_rate=2 * learning_rate).fit(data).history_
    assert list(other["train.loss"]) != list(auto["train.loss"])


@pytest.mark.parametrize("learning_rate", ["fast", 0, -1.0, float("nan")])
def test_another_value_is_refused(learning_rate: object) -> None:
    """A learning rate is "auto" or a number above 0."""
    message = (
        r"The 'learning_rate' parameter of Forecaster must be one of 'auto' or a number in \(0, inf\). Got"
    )
    with pytest.raises(ValueError, match=message):
        regen.Forecaster(learning_rate=learning_rate).fit(Y)
