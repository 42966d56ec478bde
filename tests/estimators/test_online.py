"""Streams of fitted estimators: after every step they return what the estimator predicts from the steps so far."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import regen
from regen import Forecaster, SequenceClassifier, SequenceRegressor
from regen.cells import LSTM
from regen.estimators._online import read_step

N, NEW = 120, 9
STEPS = np.arange(N + NEW)
WAVE = 10 + 3 * np.sin(STEPS / 3) + 0.02 * STEPS
TWO = np.stack([WAVE, 500 - 40 * np.cos(STEPS / 5)], 1)
CLOSE = {"rtol": 2e-6, "atol": 2e-6}
"""Of forecasts in units of 3 to 40; the largest error measured is 3e-8 of the value. A state that is not carried is
off by 1e-2 and more, as `test_a_state_that_is_not_carried_differs` checks."""


def with_gaps(y):
    """The same series with a few values missing, also two rows in a row."""
    y = y.copy()
    y[[5, 40, 41, N + 2, N + 3, N + 6]] = np.nan
    if y.ndim == 2:
        y[[30, N + 5], 0] = np.nan
    return y


SERIES = {"one": WAVE, "one with gaps": with_gaps(WAVE), "two": TWO, "two with gaps": with_gaps(TWO)}


def forecaster(y, **options):
    """A forecaster fitted on all but the last steps of y, in a fraction of a second."""
    quick = {"window": 12, "horizon": 4, "hidden": 7, "max_epochs": 1, "random_state": 0}
    return Forecaster(**(quick | options)).fit(y[:N])


def updated(model, y):
    """The forecasts of `update` and `predict` after each of the new steps (n, H) or (n, H, C)."""
    forecasts = []
    for k in range(len(y)):
        model.update(y[k : k + 1])
        forecasts.append(model.predict())
    return np.stack(forecasts)


both = pytest.mark.parametrize("bptt", ["full", 6])
SETTINGS = {
    "full": {},
    "full last": {"normalize": "last", "cell": "gru"},
    "full none independent": {"normalize": "none", "channels": "independent"},
    "full segments": {"segment": 4, "decoding": "recursive", "layers": 2},
    "carried": {"bptt": 6},
    "carried none": {"bptt": 6, "normalize": "none", "cell": "gru", "layers": 2},
    "carried independent": {"bptt": 6, "channels": "independent", "cell": "jordan"},
    "carried dropout": {"bptt": 6, "dropout": 0.3, "cell": LSTM(peephole="full"), "horizon": 1},
    "carried by the reference": {"bptt": 6, "training": {"backend": "reference"}},
}


@pytest.mark.parametrize("kind", SERIES)
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_stream_forecasts_as_update_and_predict(kind, setting):
    """Step by step equal to `update` and `predict`, for windows and carried states, gaps, columns, scales."""
    y = SERIES[kind]
    model = forecaster(y, **SETTINGS[setting])
    stream = model.stream()
    streamed = [stream.step(row) for row in y[N:]]
    np.testing.assert_allclose(streamed, updated(model, y[N:]), **CLOSE)
    assert stream.n_steps == NEW


@both
def test_missing_values_for_a_model_that_was_trained_without(bptt):
    """A model fitted without gaps takes NaN in a stream as in `update`: as the value before it."""
    model = forecaster(TWO, bptt=bptt)
    stream = model.stream()
    y = with_gaps(TWO)[N:]
    np.testing.assert_allclose([stream.step(row) for row in y], updated(model, y), **CLOSE)


@both
def test_a_constant_column_stays_constant(bptt):
    """A column that was constant in training has scale 0: its input is 0 and its forecast its value."""
    y = np.stack([WAVE, np.full(N + NEW, 7.5)], 1)
    model = forecaster(y, bptt=bptt)
    stream = model.stream()
    y[N:, 1] += 3
    streamed = np.stack([stream.step(row) for row in y[N:]])
    np.testing.assert_allclose(streamed, updated(model, y[N:]), **CLOSE)
    assert (streamed[..., 1] == 7.5).all()


def test_a_state_that_is_not_carried_differs():
    """Wrong variants miss the tolerance by far: a state reset at each step, and a last value that is not kept."""
    model = forecaster(WAVE, bptt=6, max_epochs=3)
    stream, stateless, frozen = (model.stream() for _ in range(3))
    right, wrong, level = [], [], []
    for y in WAVE[N:]:
        right.append(stream.step(y))
        stateless._net._stream.reset()
        wrong.append(stateless.step(y))
        frozen._net._before = frozen._net._start[1]
        level.append(frozen.step(y))
    for twin in (wrong, level):
        off = np.abs(np.subtract(twin, right)).max(1)
        assert (off[1:] > 1e-2).all(), off


def test_shapes():
    """A series gives (H,), a table of one column (H, 1)."""
    index = pd.date_range("2000-01-01", periods=N, freq="D")
    one = forecaster(pd.Series(WAVE[:N], index))
    table = forecaster(pd.DataFrame({"units": WAVE[:N]}, index))
    assert one.stream().step(11).shape == (4,)
    assert table.stream().step(11).shape == table.stream().step([11]).shape == (4, 1)
    after = pd.DataFrame({"units": [11.0]}, index[-1:] + pd.Timedelta(days=1))
    np.testing.assert_allclose(table.stream().step(11), table.update(after).predict().to_numpy(), **CLOSE)


@both
def test_a_stream_does_not_change_the_model(bptt):
    """The model forecasts the same bits after a stream has advanced, and the stream after the model has."""
    model = forecaster(with_gaps(TWO), bptt=bptt)
    before = model.predict(7)
    stream, twin = model.stream(), model.stream()
    streamed = [stream.step(row) for row in TWO[N:]]
    assert np.array_equal(model.predict(7), before)
    model.update(TWO[N:])
    assert model.layout_["n_steps"] == N + NEW
    with torch.no_grad():
        for weight in model.net_.parameters():
            weight.zero_()
    assert np.array_equal([twin.step(row) for row in TWO[N:]], streamed)
    stream.reset()
    assert stream.n_steps == 0
    assert np.array_equal([stream.step(row) for row in TWO[N:]], streamed)


@both
def test_inputs_and_outputs_are_copies(bptt):
    """Neither an output nor an input array is written to or used again."""
    stream, twin = (forecaster(TWO, bptt=bptt).stream() for _ in range(2))
    row, found = TWO[N].copy(), []
    for k in range(N, N + NEW):
        row[:] = TWO[k]
        found.append(stream.step(row))
        row[:] = np.nan
    copies = [forecast.copy() for forecast in found]
    assert np.array_equal(copies, [twin.step(y) for y in TWO[N:]])
    found[-1][:] = 0
    assert np.array_equal(stream.step(TWO[0]), twin.step(TWO[0]))


@both
def test_a_loaded_model_streams(bptt, tmp_path):
    """A saved model streams the same bits."""
    model = forecaster(WAVE, bptt=bptt)
    loaded = regen.load(regen.save(model, tmp_path / "model.regen"))
    assert np.array_equal(loaded.stream().step(WAVE[N]), model.stream().step(WAVE[N]))


def test_backend():
    """`backend_` names the kernel, and whether its state is carried."""
    carried, window = (forecaster(WAVE, bptt=bptt).stream() for bptt in (6, "full"))
    assert carried.backend_.endswith("; the state is carried from step to step")
    assert carried.backend_.startswith(carried._net._stream.backend_)
    assert window.backend_.endswith("; the whole window is run at every step, because of bptt='full'")


# Sequences


def cases(features, gaps=False):
    """Thirty sequences of different lengths, in 3 classes of speed; some values missing, also first ones."""
    rng = np.random.default_rng(0)
    X = [
        np.sin(np.arange(14 + k % 9)[:, None] / (1.5 + k % 3) + np.arange(features)) * 5 + 20
        for k in range(30)
    ]
    for x in X:
        x += rng.normal(scale=0.1, size=x.shape)
        if gaps:
            x[rng.random(x.shape) < 0.2] = np.nan
    if gaps:
        X[0][:4, 0] = np.nan
        X[1][:, -1] = np.nan
        X[2][:2] = np.nan
    return X, np.arange(30) % 3


@cache
def fitted(kind, features=2, gaps=False, **options):
    """A fitted sequence estimator, with its sequences."""
    quick = {"hidden": 6, "max_epochs": 1, "random_state": 0, "segment": 1, "bidirectional": False}
    X, y = cases(features, gaps)
    if kind is SequenceClassifier:
        y = np.array(["slow", "fast", "other"])[y]
    elif kind == "two targets":
        kind, y = SequenceRegressor, np.stack([100 + 7 * y, -y], 1)
    else:
        y = 100.0 + 7 * y
    return kind(**(quick | options)).fit(X, y), X


def prediction(model, x):
    """The prediction for one sequence."""
    predict = model.predict_proba if isinstance(model, SequenceClassifier) else model.predict
    return predict([x])[0]


MODES = {
    "carried": {},
    "carried last": {"pool": "last", "cell": "lstm"},
    "carried mean": {"pool": "mean", "layers": 2, "dropout": 0.2},
    "carried max": {"pool": "max", "normalize": "none", "cell": "diagonal"},
    "carried segments": {"segment": 3},
    "carried auto": {"segment": "auto"},
    "anew sequence": {"normalize": "sequence"},
    "anew both ways": {"bidirectional": True},
    "anew segments": {"bidirectional": True, "segment": 4, "pool": "last"},
}


@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "gaps"])
@pytest.mark.parametrize("kind", [SequenceClassifier, SequenceRegressor, "two targets"], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_a_stream_predicts_as_for_the_prefix(mode, kind, gaps):
    """After every step equal to `predict_proba` or `predict` of the steps so far, and again after a reset."""
    model, X = fitted(kind, gaps=gaps, **MODES[mode])
    stream = model.stream()
    for x in X[:4]:
        stream.reset()
        streamed = [stream.step(row) for row in x]
        whole = [prediction(model, x[: k + 1]) for k in range(len(x))]
        np.testing.assert_allclose(streamed, whole, **CLOSE)
        assert stream.n_steps == len(x)
    assert ("carried from step to step" in stream.backend_) == mode.startswith("carried")


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"segment": 5}], ids=str)
def test_long_sequences(options):
    """Beyond the initial capacity, carried and computed anew; also a feature without values."""
    model, _ = fitted(SequenceClassifier, gaps=True, **options)
    x = np.random.default_rng(1).normal(20, 5, (300, 2))
    x[:, 1] = np.nan
    x[:150, 0] = np.nan
    stream = model.stream()
    streamed = [stream.step(row) for row in x]
    for k in (63, 64, 149, 150, 299):
        np.testing.assert_allclose(streamed[k], prediction(model, x[: k + 1]), **CLOSE)


def test_one_feature_may_be_a_number():
    """A step of one feature is a number or of shape (1,)."""
    model, X = fitted(SequenceRegressor, features=1)
    one, other = model.stream(), model.stream()
    for value in X[0][:, 0]:
        assert one.step(value) == other.step([value])


def test_a_pool_or_state_that_is_reset_differs():
    """Wrong variants miss the tolerance: a pool that starts anew, and a state that does."""
    model, X = fitted(SequenceRegressor, max_epochs=3)
    right, pools, states = (model.stream() for _ in range(3))
    for k, row in enumerate(X[0]):
        pools._carried._segments = 0
        if k:
            states._carried._stream.reset()
        expected = right.step(row)
        predictions = [stream.step(row) for stream in (pools, states)]
        if k:
            assert np.abs(np.subtract(predictions, expected)).min() > 1e-3


@pytest.mark.parametrize("mode", ["carried", "carried segments", "anew both ways"])
def test_a_sequence_stream_does_not_change_the_model(mode):
    """The model predicts the same bits after a stream, and the stream keeps the weights that it was made with."""
    model, X = fitted.__wrapped__("two targets", **MODES[mode])
    before = model.predict(X)
    stream, twin = model.stream(), model.stream()
    streamed = [stream.step(row) for row in X[0]]
    assert np.array_equal(model.predict(X), before)
    other = clone(model).fit(X, 1000 * before)
    vars(model).update(vars(other))
    assert np.array_equal([twin.step(row) for row in X[0]], streamed)


# Refusals


@pytest.mark.parametrize("kind", [Forecaster, SequenceClassifier, SequenceRegressor])
def test_an_unfitted_model_has_no_stream(kind):
    """As for `predict`."""
    with pytest.raises(NotFittedError):
        kind().stream()


def test_changed_parameters_are_refused():
    """As for `predict`: the network is no longer the one that the parameters describe."""
    with pytest.raises(ValueError, match="was set after fit"):
        forecaster(WAVE).set_params(hidden=9).stream()


NO_NUMBER = "y holds a value that is not a number. Give numbers, and NaN where one is missing."
INFINITE = "y has an infinite value in column {}. Put a number there, or NaN if it is missing."
WRONG = [
    ([1.0, 2.0, 3.0], "y is one step of 2 columns, of shape (2,). Got shape (3,) instead."),
    (1.0, "y is one step of 2 columns, of shape (2,). Got shape () instead."),
    ([[1.0, 2.0]], "y is one step of 2 columns, of shape (2,). Got shape (1, 2) instead."),
    (["a", "b"], NO_NUMBER),
    ([1j, 2.0], NO_NUMBER),
    ([object(), 2.0], NO_NUMBER),
    ([np.inf, 2.0], INFINITE.format(0)),
    ([np.nan, -np.inf], INFINITE.format(1)),
    (
        [10**400, 1.0],
        "y has a value beyond ±3.4e+38 (float32) in column 0. Give it in another unit, or put NaN there if it is"
        " missing.",
    ),
    (
        [1.0, -1e30],
        "y has a value in column 1 that reaches the network as -3.5e+28, beyond ±1e+15, where networks overflow."
        " Give it in the unit of the other values, or put NaN there if it is missing.",
    ),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG)
def test_refused_steps(wrong, message):
    """The exact message; the stream continues as if there had been no such step."""
    model = forecaster(TWO, bptt=6)
    stream, twin = model.stream(), model.stream()
    with pytest.raises(ValueError, match=r"^y ") as refusal:
        stream.step(wrong)
    assert str(refusal.value) == message
    assert stream.n_steps == 0
    assert np.array_equal(stream.step(TWO[N]), twin.step(TWO[N]))


def test_read_step():
    """The messages for one feature; None is a missing value."""
    with pytest.raises(ValueError) as refusal:
        read_step("x", [1.0, 2.0], 1, "feature")
    assert (
        str(refusal.value) == "x is one step of 1 feature, of shape (1,) or a number. Got shape (2,) instead."
    )
    with pytest.raises(ValueError, match="x holds a value that is not a number"):
        read_step("x", [[1.0], 2.0], 2, "feature")
    row, observed = read_step("x", [None, 2], 2, "feature")
    assert np.isnan(row[0]) and row[1] == 2.0
    assert observed.tolist() == [False, True]


def test_a_row_with_labels_is_taken_by_name(message_of):
    """The columns of a pandas row may come in any order; other labels are refused."""
    frame = pd.DataFrame(TWO, columns=["a", "b"])
    stream, twin = (forecaster(frame[:N], bptt=6).stream() for _ in range(2))
    assert np.array_equal(stream.step(frame.iloc[N][["b", "a"]]), twin.step(TWO[N]))
    assert message_of(ValueError, stream.step, frame.iloc[N].rename({"a": "c"})) == (
        "y is one step with the labels c, b; its columns at fit were a, b."
    )
    X = [frame[k : k + 5] for k in range(16)]
    model = regen.SequenceRegressor(hidden=3, bidirectional=False, max_epochs=1, random_state=0)
    model.fit(X, np.arange(16.0))
    assert model.stream().step(frame.iloc[0][["b", "a"]]) == model.stream().step(TWO[0])
