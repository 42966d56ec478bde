"""Forecaster: what it returns, independence of the future, updates, intervals and training."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from sklearn.base import clone

from regen import Forecaster, Training
from regen.cells import LSTM
from regen.data.series import read_series
from regen.estimators.forecasting._preparation import choose_window
from regen.estimators.forecasting.intervals import half_widths

STEPS = np.arange(160)
WAVE = 10 + 3 * np.sin(STEPS / 3) + 0.02 * STEPS


def quick(**options):
    """A forecaster that trains in a fraction of a second."""
    defaults = {"window": 16, "horizon": 4, "hidden": 8, "max_epochs": 2, "random_state": 0}
    return Forecaster(**(defaults | options))


@pytest.fixture(scope="module")
def fitted():
    """One fitted forecaster for the tests that do not change it."""
    return quick().fit(WAVE)


# Output


def test_names_of_features_are_those_of_the_last_fit() -> None:
    """Text names of columns, in their order; none after a fit without names."""
    frame = pd.DataFrame({"b": WAVE, "a": WAVE[::-1]})
    model = quick().fit(frame)
    assert model.feature_names_in_.tolist() == ["b", "a"] and model.feature_names_in_.dtype == object
    assert model.n_features_in_ == 2
    model.fit(WAVE)
    assert not hasattr(model, "feature_names_in_") and model.n_features_in_ == 1


@pytest.mark.parametrize(("layers", "between"), [(1, 0.0), (3, 0.4)])
def test_dropout_acts_between_layers_and_before_the_readout(layers: int, between: float) -> None:
    """One layer has nothing between layers; several have the same probability in both places."""
    net = quick(layers=layers, dropout=0.4).fit(WAVE).net_
    assert (net.reader.dropout, net.dropout) == (between, 0.4)
    x = torch.randn(4, 12, 1)
    net.train()
    assert not torch.equal(net(x), net(x))
    net.dropout = 0.0
    varies = not torch.equal(net(x), net(x))
    assert varies == (layers > 1)
    net.eval()
    assert torch.equal(net(x), net(x))


def test_array_in_array_out(fitted):
    """One column gives (horizon,), several give (horizon, n_columns), levels give a dict of both ends."""
    assert fitted.predict().shape == (4,)
    two = quick().fit(np.stack([WAVE, -WAVE], 1))
    assert two.predict().shape == (4, 2)
    bands = fitted.predict(level=[80, 95])
    (name,) = fitted.layout_["names"]
    assert list(bands) == [name, f"{name}-lo-80", f"{name}-hi-80", f"{name}-lo-95", f"{name}-hi-95"]


@pytest.mark.parametrize("freq", ["D", "MS", "ME", "W", "h", "QS"])
def test_pandas_dates_are_continued(freq):
    """The forecast's index is what pandas itself would append, and the name is kept."""
    index = pd.date_range("2000-01-01", periods=164, freq=freq)
    forecast = quick().fit(pd.Series(WAVE, index[:160], name="units")).predict()
    assert isinstance(forecast, pd.Series)
    assert forecast.name == "units"
    assert list(forecast.index) == list(index[160:])


def test_polars_and_pyarrow_in_polars_and_pyarrow_out():
    """A table with a time column gives a table of the same library with the next times."""
    days = pd.date_range("2020-01-01", periods=160, freq="D").to_numpy().astype("datetime64[us]")
    frame = pl.DataFrame({"day": days, "units": WAVE})
    forecast = quick().fit(frame, time="day").predict()
    assert isinstance(forecast, pl.DataFrame)
    assert forecast.columns == ["day", "units"]
    assert str(forecast["day"][0])[:10] == "2020-06-09"
    table = quick().fit(frame.to_arrow(), time="day").predict(level=80)
    assert isinstance(table, pa.Table)
    assert table.column_names == ["day", "units", "units-lo-80", "units-hi-80"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cell": "gru", "layers": 2, "dropout": 0.1},
        {"cell": "elman", "normalize": "mean"},
        {"cell": "diagonal", "normalize": "none"},
        {"cell": "jordan"},
        {"cell": LSTM(peephole="full")},
        {"segment": 4},
        {"decoding": "recursive"},
        {"decoding": "recursive", "segment": 2},
        {"bptt": 5},
        {"bptt": 16, "channels": "independent"},
        {"channels": "independent", "segment": 8},
    ],
    ids=str,
)
@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "gaps"])
def test_every_kind_of_net_forecasts_any_horizon(options, gaps):
    """Shorter, equal and longer horizons agree where they overlap; gaps in the input give no gaps in the output."""
    y = np.stack([WAVE, np.cos(STEPS)], 1)
    if gaps:
        y[30:35, 0] = y[100, 1] = y[-1, 0] = np.nan
    model = quick(**options).fit(y)
    far = model.predict(11)
    assert far.shape == (11, 2)
    assert np.isfinite(far).all()
    np.testing.assert_allclose(model.predict(2), far[:2], rtol=1e-6)
    np.testing.assert_allclose(model.predict(), far[:4], rtol=1e-6)
    assert np.isfinite(model.loss_per_step_).all()


# No use of the future; updates and gaps


@pytest.mark.parametrize(
    "options", [{}, {"bptt": 4}, {"decoding": "recursive"}, {"normalize": "mean"}], ids=str
)
def test_a_backtest_does_not_use_the_future(options):
    """Values after an origin do not change the forecast from it; values before it do."""
    model = quick(**options).fit(WAVE)
    changed, earlier = WAVE.copy(), WAVE.copy()
    changed[140:] += 100
    earlier[139] += 1
    forecast, same, other = (
        model.backtest(y, start=140, stride=100).forecasts["forecast"].to_numpy()
        for y in (WAVE, changed, earlier)
    )
    np.testing.assert_array_equal(forecast, same)
    assert not np.allclose(forecast, other)


@pytest.mark.parametrize("options", [{}, {"bptt": 4}, {"decoding": "recursive"}], ids=str)
def test_predict_is_the_backtest_from_the_end(options):
    """The forecast after the last step equals the one that a backtest makes from there."""
    model = quick(**options).fit(WAVE[:150])
    expected = model.backtest(WAVE, start=150, stride=100).forecasts["forecast"].to_numpy()
    np.testing.assert_allclose(model.predict(), expected, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"bptt": 4}, {"channels": "independent"}], ids=str)
def test_update_continues(options):
    """New steps, in one piece or several, move the forecast to where the longer series would put it."""
    model = quick(**options).fit(WAVE[:120])
    piecewise = quick(**options).fit(WAVE[:120])
    model.update(WAVE[120:150])
    for start in (120, 121, 140):
        piecewise.update(WAVE[start : {120: 121, 121: 140, 140: 150}[start]])
    expected = model.backtest(WAVE, start=150, stride=100).forecasts["forecast"].to_numpy()
    np.testing.assert_allclose(model.predict(), expected, rtol=1e-5)
    np.testing.assert_allclose(piecewise.predict(), expected, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"bptt": 4}], ids=str)
def test_a_gap_is_filled_with_the_values_before_it(options):
    """A gap across the edge of the window is filled as in a backtest; an empty window holds the last value."""
    y = WAVE + 400
    y[130:141] = np.nan
    model = quick(**options).fit(y[:140])
    expected = model.backtest(y, start=140, stride=100).forecasts["forecast"].to_numpy()
    np.testing.assert_allclose(model.predict(), expected, rtol=1e-6)
    model.update(np.full(30, np.nan))
    assert (np.abs(model.predict() - y[129]) < 20).all()


def test_gaps_do_not_reach_the_intervals():
    """Missing values in the validation part leave intervals finite, and ranked among the errors there are."""
    y = WAVE.copy()
    y[135:150:3] = np.nan
    bands = quick().fit(y).predict(level=[80, 95])
    assert all(np.isfinite(each).all() for each in bands.values())
    errors = np.arange(1.0, 11.0)[:, None, None]
    errors = np.concatenate([errors, np.full((90, 1, 1), np.nan)])
    assert half_widths(errors, 50, 1) == 6.0, "the 6th smallest of 10, not the 51st of 100"


def test_far_horizon():
    """A net with a horizon of one step forecasts a thousand."""
    assert np.isfinite(quick(horizon=1).fit(WAVE).predict(1000)).all()


def test_a_column_that_starts_to_move_after_training():
    """Its scale is that of the whole series, so it neither drowns the other column nor has no interval."""
    y = np.stack([WAVE, np.zeros(160)], 1)
    y[140:, 1] = 1e4
    model = quick().fit(y)
    assert model.scale_[1] > 0
    assert model.history_["validation.loss"].iloc[0] < 100


def test_the_chosen_window_is_bounded():
    """A day of seconds is not unfolded; in short series the window leaves room to slide."""
    index = pd.date_range("2024-01-01", periods=4000, freq="min")
    series = read_series(pd.Series(np.sin(np.arange(4000.0)), index))
    assert choose_window(series, 12, 1) == 256
    assert choose_window(series, 12, 60) == 2040
    assert choose_window(series.part(0, 40), 12, 1) == 14


def test_streams_are_not_scaled_by_windows():
    """By default streams subtract the last value; "none" differs from it."""
    auto, last, none = (
        quick(bptt=4, normalize=each).fit(WAVE).predict() for each in ("auto", "last", "none")
    )
    np.testing.assert_array_equal(auto, last)
    assert not np.allclose(auto, none)


def test_update_keeps_dates_in_step():
    """After an update the next date follows the last new one; a gap in dates is refused and changes nothing."""
    index = pd.date_range("2000-01-01", periods=160, freq="D")
    y = pd.Series(WAVE, index, name="units")
    model = quick().fit(y[:150])
    before = model.predict()
    with pytest.raises(ValueError, match="y must continue at 2000-05-30"):
        model.update(y[152:])
    pd.testing.assert_series_equal(model.predict(), before)
    assert model.update(y[150:155]).predict().index[0] == index[155]


def test_loss_per_step_is_the_loss_of_shorter_inputs():
    """The last entry is the validation loss; the first is that of an input of one step."""
    model = quick(training={"loss": "mse", "patience": None}).fit(WAVE)
    assert model.loss_per_step_.shape == (16,)
    best = model.history_["validation.loss"].min()
    np.testing.assert_allclose(model.loss_per_step_[-1], best, rtol=1e-5)


def test_intervals_hold_what_they_promise():
    """On noise without memory, 80 % intervals cover about 80 % of fresh noise.

    300 independent forecasts of one step: a share outside 0.80 +- 0.12 has probability below 1e-4, with a fixed seed.
    """
    noise = np.random.default_rng(5).normal(size=1500)
    model = quick(horizon=1, max_epochs=1).fit(noise[:1200])
    coverage = model.backtest(noise, start=1200, stride=1, level=80).scores["coverage_80"]
    assert 68 < coverage < 92


def test_intervals_widen_with_level_and_beyond_the_horizon(fitted):
    """More certainty is wider, and so is further away."""
    (name,) = fitted.layout_["names"]
    bands = fitted.predict(12, level=[50, 95])
    wide, narrow = (bands[f"{name}-hi-{p}"] - bands[f"{name}-lo-{p}"] for p in (95, 50))
    assert (wide >= narrow).all()
    assert (np.diff(wide[3:]) > 0).all()


# Training


def test_same_seed_same_bits_and_nothing_left_behind():
    """Two fits agree bit for bit; torch's and numpy's own random state and the thread count are untouched."""
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    numpy_state = np.random.get_state()[1].copy()
    first, second, other = (quick(random_state=seed, dropout=0.2).fit(WAVE).predict() for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)


@pytest.mark.parametrize("options", [{}, {"bptt": 8}], ids=str)
def test_resumed_is_uninterrupted(options, tmp_path):
    """Two epochs, then two more from the checkpoint, equal four in one go."""
    whole = quick(max_epochs=4, **options).fit(WAVE).predict()
    training = {"checkpoint": tmp_path / "run.safetensors"}
    quick(max_epochs=2, training=training, **options).fit(WAVE)
    resumed = quick(max_epochs=4, training=training, **options).fit(WAVE)
    np.testing.assert_array_equal(resumed.predict(), whole)
    assert " Resumed " in resumed.stopped_


def test_it_learns_a_wave():
    """A noisy wave is forecast far better than by the value a season ago."""
    noise = np.random.default_rng(0).normal(size=300) / 10
    y = np.sin(2 * np.pi * np.arange(300) / 12) + noise
    model = Forecaster(
        window=24, horizon=6, hidden=16, max_epochs=60, learning_rate=5e-3, random_state=0
    ).fit(y[:240])
    assert model.backtest(y, start=240, stride=1).scores["skill"] > 0.1


def test_constant_series_is_forecast_exactly():
    """The forecast of a constant column stays where it is, to the last bit, together with one that varies."""
    y = np.stack([np.full(160, 7.3), WAVE], 1)
    np.testing.assert_array_equal(quick().fit(y).predict()[:, 0], np.full(4, 7.3))
    np.testing.assert_array_equal(quick().fit(np.full(100, 1e9)).predict(), np.full(4, 1e9))


def test_short_series_without_room_to_validate():
    """Exactly one window and its horizon is enough to fit."""
    model = quick().fit(WAVE[:20])
    assert model.predict().shape == (4,)
    with pytest.warns(UserWarning, match="Nothing was held out when this Forecaster was fitted"):
        model.predict(level=80)


def test_clone_and_nested_parameters():
    """scikit-learn can copy a forecaster and set fields of its training options."""
    model = quick(training=Training(batch_size=16))
    copy = clone(model).set_params(training__batch_size=8, hidden=4)
    assert (model.training.batch_size, copy.training.batch_size, copy.hidden) == (16, 8, 4)
    copy.fit(WAVE)
    assert quick().set_params(training__batch_size=8).training.batch_size == 8
