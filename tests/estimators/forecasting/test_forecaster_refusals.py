"""Forecaster: errors, their exact messages, and the state they leave."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from regen import Forecaster

WAVE = 10 + 3 * np.sin(np.arange(160) / 3) + 0.02 * np.arange(160)


def quick(**options):
    """A forecaster that trains in a fraction of a second."""
    defaults = {"window": 16, "horizon": 4, "hidden": 8, "max_epochs": 2, "random_state": 0}
    return Forecaster(**(defaults | options))


@pytest.fixture(scope="module")
def fitted():
    """One fitted forecaster for the tests that do not change it."""
    return quick().fit(WAVE)


def test_failed_fit_leaves_the_fitted_state(fitted):
    """A refused fit changes nothing."""
    before = fitted.predict()
    with pytest.raises(ValueError, match="infinite"):
        fitted.fit(np.r_[WAVE, np.inf])
    with pytest.raises(ValueError, match="horizon"):
        clone(fitted).set_params(horizon=0).fit(WAVE)
    np.testing.assert_array_equal(fitted.predict(), before)


@pytest.mark.parametrize(
    ("options", "y", "message"),
    [
        ({"horizon": 0}, WAVE, "The 'horizon' parameter of Forecaster must be an int in [1, inf). Got 0 instead."),
        (
            {"cell": "lsmt"},
            WAVE,
            "The 'cell' parameter of Forecaster must be one of 'elman', 'diagonal', 'jordan', 'lstm', 'gru' or a"
            " regen.cells cell. Got 'lsmt' instead. Did you mean 'lstm'?",
        ),
        (
            {"window": 48, "horizon": 12},
            WAVE[:20],
            "y has 20 steps; window=48 and horizon=12 need at least 60. Shorten the window or give more data.",
        ),
        ({"window": 500}, WAVE, "y has 160 steps; window=500 and horizon=4 need at least 504."
         " Shorten the window or give more data."),
        ({"training": {"validation": 0.2}}, WAVE[:20], "y has 20 steps; validation=0.2 holds out the last 4 and"
         " leaves fewer than the 20 that window=16 and horizon=4 need to train. Lower validation, shorten the"
         " window, or give more data."),
        ({"window": "auto", "horizon": 12}, WAVE[:3], "y has 3 steps; horizon=12 needs at least 13. Shorten the"
         " horizon or give more data."),
        ({"segment": 3}, WAVE, "window=16 is no multiple of segment=3. Take window=18."),
        ({"bptt": 20}, WAVE, "bptt=20 is longer than window=16. Take bptt of at most the window."),
        ({"bptt": 4, "normalize": "mean"}, WAVE, "bptt=4 carries its state from window to window, so windows cannot"
         " each be scaled by their own mean. Take normalize='last' or 'none', or bptt='full'."),
        ({"training": {"loss": "cross_entropy"}}, WAVE, "The 'loss' of the training of Forecaster must be"
         " one of 'auto', 'mae', 'mse', 'huber'. Got 'cross_entropy' instead."),
        ({"training": {"bach_size": 3}}, WAVE, "Training has no parameter 'bach_size'. Did you mean 'batch_size'?"),
        ({"training": {"max_time": "soon"}}, WAVE, "The 'max_time' parameter of Training must be a time such as"
         ' "90s", "5m" or "2h" or None. Got \'soon\' instead.'),
        ({}, np.full(50, np.nan), "y has only missing values."),
        ({}, np.array([1.0, np.inf] * 30), "y has an infinite value in row 1. Put a number there, or NaN if it is"
         " missing."),
        ({}, [], "y is empty: it has no rows."),
    ],
)  # fmt: skip
def test_refusals(options, y, message, message_of):
    """The exact message: the value, the expectation and the remedy."""
    assert message_of(ValueError, quick(**options).fit, y) == message


def test_unknown_argument_names_the_closest():
    """A misspelt argument is refused where it is given."""
    with pytest.raises(TypeError, match=r"^Forecaster has no parameter 'windw'. Did you mean 'window'\?$"):
        Forecaster(windw=3)


def test_unfitted_and_other_columns(fitted):
    """Predicting before fitting, and continuing with other columns, say what is wrong."""
    for call in (lambda m: m.predict(), lambda m: m.update(WAVE), lambda m: m.backtest(WAVE)):
        with pytest.raises(NotFittedError, match="This Forecaster instance is not fitted yet"):
            call(Forecaster())
    with pytest.raises(ValueError, match="y has 2 columns; the model was fitted with 1"):
        fitted.update(np.ones((3, 2)))
    with pytest.raises(ValueError, match="'horizon' parameter of predict must be an int in"):
        fitted.predict(0)
    with pytest.raises(ValueError, match="'level' parameter of predict must be a number in"):
        fitted.predict(level=100)


@pytest.mark.parametrize(
    ("level", "got", "meant"),
    [(0.95, "0.95", "95"), ([80, 0.5], "0.5", "50"), (1, "1", "95"), (1.0, "1.0", "95")],
)
def test_shares_are_no_levels(fitted, level, got, meant, message_of):
    """0.95 would give an interval of next to no width: it is refused, with the percentage that was meant."""
    assert message_of(ValueError, fitted.predict, level=level) == (
        f"The 'level' parameter of predict must be a number in (1, 100). Got {got} instead. Levels are percentages:"
        f" give {meant}."
    )


def test_parameters_set_after_fit(fitted):
    """A fitted net cannot be used as if it were another; set back, it can."""
    before = fitted.predict()
    for name, value in {"horizon": 9, "cell": "gru", "bptt": 8}.items():
        was = fitted.get_params()[name]
        fitted.set_params(**{name: value})
        with pytest.raises(
            ValueError, match=f"^{name}={value!r} was set after fit, which had {name}={was!r}. Fit again"
        ):
            fitted.predict()
        fitted.set_params(**{name: was})
    np.testing.assert_array_equal(fitted.predict(), before)


def test_another_seed_is_another_run(tmp_path):
    """A checkpoint of one seed is refused with another."""
    training = {"checkpoint": tmp_path / "run"}
    quick(training=training).fit(WAVE)
    with pytest.raises(ValueError, match="belongs to another run"):
        quick(training=training, random_state=1).fit(WAVE)


@pytest.mark.parametrize("size", [1e20, 1e37, 1e-300])
def test_values_of_any_size(size):
    """Forecasts scale with the unit of the series, up to the largest of float32; what is larger is refused."""
    np.testing.assert_allclose(
        quick().fit(WAVE * size).predict() / size, quick().fit(WAVE).predict(), rtol=1e-4
    )
    with pytest.raises(ValueError, match=r"y has a value beyond ±3\.4e\+38 \(float32\) in row 0\."):
        quick().fit(WAVE * 1e160)


def test_nothing_observed_to_validate():
    """The end is missing: nothing is held out, or an explicit share is refused."""
    y = WAVE.copy()
    y[-40:] = np.nan
    assert not quick().fit(y).validated_
    with pytest.raises(ValueError, match="y has only missing values in its last 32 steps, which validate"):
        quick(training={"validation": 0.2}).fit(y)


def test_divergence_is_explained():
    """A learning rate that explodes ends in a usable model and a warning, not in NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        model = quick(cell="elman", learning_rate=1e30, max_epochs=3, training={"clip": None}).fit(WAVE)
    assert np.isfinite(model.predict()).all()
