"""``learning_rate="auto"`` is the rate that the estimator's words name."""

import numpy as np
import pytest

import regen

Y = np.sin(np.arange(60) / 2)
X = np.random.default_rng(0).normal(size=(80, 6))


@pytest.mark.parametrize(
    ("model", "data", "rate"),
    [
        (regen.Forecaster(window=6, horizon=3, hidden=4), Y, 3e-3),
        (regen.Autoencoder(code=2), X, 1e-3),
        (regen.DenoisingAutoencoder(code=2), X, 1e-3),
        (regen.VariationalAutoencoder(code=2), X, 1e-3),
    ],
)
def test_auto_is_the_usual_rate(model: regen.Forecaster, data: np.ndarray, rate: float) -> None:
    """The first row of the history has it, and giving the number instead changes no bit."""
    model.set_params(max_epochs=2, random_state=0)
    usual = model.fit(data).history_
    assert list(usual["learning_rate"]) == [rate, rate]
    told = model.set_params(learning_rate=rate).fit(data).history_
    assert list(told["train.loss"]) == list(usual["train.loss"])
    other = model.set_params(learning_rate=2 * rate).fit(data).history_
    assert list(other["train.loss"]) != list(usual["train.loss"])


def test_another_word_is_refused() -> None:
    """A rate is "auto" or a number above 0."""
    words = (
        r"The 'learning_rate' parameter of Forecaster must be one of 'auto' or a number in \(0, inf\). Got"
    )
    for rate in ("fast", 0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=words):
            regen.Forecaster(learning_rate=rate).fit(Y)
