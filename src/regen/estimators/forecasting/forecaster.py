"""Forecaster: from a series to its next steps, with intervals, from one recurrent network."""

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from torch import Tensor

from regen._check import Choice, Constraint, Either, Int, Number, check_parameters
from regen._schema import Form
from regen.cells import Cell
from regen.data.layout import from_layout
from regen.data.scaling import Standardizer
from regen.data.series import Series, read_series
from regen.estimators._base import CELL_CONSTRAINT, SHARED_CONSTRAINTS, Command, Estimator, rollback_on_error
from regen.estimators._probe import PROBE_ROWS, Probe, ProbeWindows
from regen.estimators.forecasting._preparation import (
    Scaled,
    Values,
    center_and_scale,
    read_again,
    refuse_far,
    resolve_window,
    scale_series,
    series_of,
    validation_start,
)
from regen.estimators.forecasting.backtest import BACKTEST_CONSTRAINTS, Backtest, evaluate, rolling_origins
from regen.estimators.forecasting.bptt import (
    BPTT,
    StreamBPTT,
    StreamState,
    WindowBPTT,
    check_stream,
    forecast_stream,
    forecast_windows,
)
from regen.estimators.forecasting.forms import FORMS, refuse_inconsistent
from regen.estimators.forecasting.intervals import check_levels, half_widths, interval_columns
from regen.estimators.forecasting.online import ForecastStream
from regen.estimators.forecasting.probe import ForecastProbing
from regen.nets.forecast import Decoding, Normalize, WindowNet
from regen.training.device import evaluating, fitting_threads
from regen.training.options import Training

__all__ = ["Forecaster"]

CALIBRATION_WINDOWS = 512
"""Most forecasts of the validation part whose errors give the intervals."""


@final
class Forecaster(Estimator):
    """Forecaster of the next steps of a series of one or many columns with a recurrent network.

    The network is unfolded over a window of the series into one copy per recurrent step, and predicts the horizon
    that follows.

    Parameters
    ----------
    cell : {"lstm", "gru", "elman", "diagonal", "jordan"} or Cell, default="lstm"
        Recurrent cell, by name or as a `regen.cells` cell with its options.
    window : int or "auto", default="auto"
        Steps of the input. "auto" takes two seasons (found from the dates or the autocorrelation), or two horizons
        if that is longer.
    horizon : int, default=12
        Steps to forecast.
    hidden : int, default=64
        Units of the network. 64 learn the embedded series in seconds and are enough for thousands of steps.
    layers : int, default=1
        Depth of the network. More than one seldom helps a forecaster.
    dropout : float, default=0.0
        Share of units silenced in training before the readout, in [0, 1).
    segment : int, default=1
        Values per recurrent step. A long window in segments of 24 or 48 trains many times faster and often forecasts
        better (SegRNN, Lin et al. 2023); then window must be a multiple of it.
    channels : {"joint", "independent"}, default="joint"
        "joint" takes all columns as one input; "independent" takes each alone with the same weights, which is better
        when columns are many and alike.
    normalize : {"auto", "last", "mean", "none"}, default="auto"
        Normalisation of each window. "mean" removes its mean and scale, "last" subtracts its last value, "none"
        leaves the standardised values. Series whose level drifts are forecast badly without one of the first two.
        "auto" is "mean", which a noisy last value disturbs less, and "last" for streams.
    decoding : {"direct", "recursive"}, default="direct"
        "direct" outputs the horizon at once; "recursive" outputs one segment and takes it as the next input.
    bptt : int or "full", default="full"
        Back-propagation through time. "full" unfolds every window independently. An int k trains on contiguous
        streams with a forecast after every step: the state is carried from window to window, and gradients are cut
        every k steps (truncated back-propagation through time, Williams & Peng 1990); k is at most window.
    max_epochs : int, default=100
        Passes over the training windows, at most. Early stopping usually ends training before.
    learning_rate : float or "auto", default="auto"
        Step size of the optimizer; "auto" is 0.003, which trains all embedded series without tuning.
    random_state : int, RandomState or None, default=None
        Seed of the initial weights, of dropout and of the order of the windows.
    training : Training, dict or None, default=None
        A `regen.Training` (or a dict of its arguments) for everything else about training. Its validation part is
        the end of the series; "auto" is the last fifth, where that leaves a window to train on. The default loss is
        "mae".

    Attributes
    ----------
    net_ : torch.nn.Module
        The trained network: standardised windows in, standardised forecasts out.
    window_ : int
        The window in steps.
    center_, scale_ : ndarray of shape (C,)
        Mean and standard deviation of the columns in the training part.
    history_ : dataframe
        One row per epoch.
    stopped_ : str
        Why training ended.
    loss_per_step_ : ndarray of shape (copies,)
        Loss of each copy of the unfolded network on the validation part: the mean loss of the same horizons when only
        the last 1, 2, ... segments before them are given, so that the curve falls as far as the network remembers.
        With ``bptt=k``, the mean loss at each place in a window of the streams.
    backend_ : str
        The kernel that ran, and why.
    validated_ : bool
        Whether a part of the series was held out to validate.
    n_features_in_, feature_names_in_ : int, ndarray of str
        Number and names of the columns.

    See Also
    --------
    SequenceRegressor : Numbers for whole sequences.
    SequenceClassifier : Classes of whole sequences.

    Examples
    --------
    >>> import numpy as np, regen
    >>> y = np.sin(np.arange(200) / 3)
    >>> model = regen.Forecaster(window=24, horizon=6, max_epochs=2, random_state=0).fit(y)
    >>> model.predict().shape
    (6,)
    """

    command: ClassVar[Command] = Command(
        "forecaster", "Learn a series, to forecast its next steps.", "series"
    )
    capabilities: ClassVar[tuple[str, ...]] = ("predict", "backtest")
    losses: ClassVar[tuple[str, ...]] = ("mae", "mse", "huber")
    constraints: ClassVar[Mapping[str, Constraint]] = {
        "cell": CELL_CONSTRAINT,
        "window": Either((Choice(("auto",)), Int(1))),
        "horizon": Int(1),
        "hidden": Int(1),
        "layers": Int(1),
        "dropout": Number(0, 1, high_open=True),
        "segment": Int(1),
        "channels": Choice(("joint", "independent")),
        "normalize": Choice(("auto", "last", "mean", "none")),
        "decoding": Choice(("direct", "recursive")),
        "bptt": Either((Choice(("full",)), Int(1))),
        **SHARED_CONSTRAINTS,
    }
    forms: ClassVar[Mapping[str, Form]] = FORMS

    net_: WindowNet
    stream_: Mapping[str, Any]
    feature_names_in_: NDArray[Any]

    def __init__(
        self,
        cell: str | Cell = "lstm",
        window: int | str = "auto",
        horizon: int = 12,
        hidden: int = 64,
        layers: int = 1,
        dropout: float = 0.0,
        segment: int = 1,
        channels: str = "joint",
        normalize: Normalize | Literal["auto"] = "auto",
        decoding: Decoding = "direct",
        bptt: int | str = "full",
        *,
        max_epochs: int = 100,
        learning_rate: float | str = "auto",
        random_state: Any = None,
        training: Training | Mapping[str, Any] | None = None,
    ) -> None:
        self.cell = cell
        self.window = window
        self.horizon = horizon
        self.hidden = hidden
        self.layers = layers
        self.dropout = dropout
        self.segment = segment
        self.channels = channels
        self.normalize = normalize
        self.decoding = decoding
        self.bptt = bptt
        self.max_epochs = max_epochs
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.training = training

    @rollback_on_error
    def fit(
        self, y: Any, *, time: str | None = None, target: str | Sequence[str] | None = None
    ) -> "Forecaster":
        """Train on a series.

        Parameters
        ----------
        y : array-like of shape (N,) or (N, C), or a pandas, polars or pyarrow object
            The series; NaN is a missing value.
        time : str, default=None
            Name of the column that holds the dates, when they are not the index.
        target : str or sequence of str, default=None
            Name or names of the columns to forecast; all but `time` when None.

        Returns
        -------
        self : Forecaster
            The fitted estimator.

        Raises
        ------
        ValueError
            When a parameter is out of its range, or y is not such a series or too short. The estimator then stays as
            it was.
        """
        self._check_params()
        return self._fit(read_series(y, time=time, target=target))

    def _fit(self, series: Series) -> "Forecaster":
        options = self._options
        self.window_ = resolve_window(self.window, series, self.horizon, self.segment)
        if self.bptt != "full":
            check_stream(int(self.bptt), self.window_, self.segment, self.decoding, self.normalize)
        cut = validation_start(series, self.window_, self.horizon, options.validation)
        self._set_features(series)
        self.center_, self.scale_ = center_and_scale(series.values, cut)
        self.gaps_, self.validated_ = not series.observed.all(), cut < len(series)
        refuse_far(series, self._standardizer)
        data = self._standardised(series)
        with self._seeded_rng() as rng:
            self.net_ = self._new_net(rng)
            bptt = self._bptt(data, cut)
            validate = bptt.validate if self.validated_ else None
            with fitting_threads(self.net_, options.batch_size, self.window_ // self.segment):
                more: Any = {"memory": bptt.memory, "parts": bptt.parts}
                self._train_module(self.net_, bptt.loss, bptt.batches, validate, rng, bptt.values, **more)
                self.loss_per_step_ = bptt.loss_per_copy()
                self.errors_ = bptt.absolute_errors(CALIBRATION_WINDOWS).cpu().numpy()
        self.backend_ = self.net_.reader.backend_
        self._set_end(series, series.observed, new=len(series))
        return self

    def predict(self, horizon: int | None = None, *, level: float | Sequence[float] | None = None) -> Any:
        """Forecast the steps after the last observed one; dates are continued.

        Parameters
        ----------
        horizon : int, default=None
            Steps to forecast; the trained horizon when None. Beyond it, forecasts are the input of further forecasts,
            and intervals widen with the square root of the distance.
        level : float or sequence of float, default=None
            Coverage of the intervals in percent, above 1 and below 100, such as 80 or [80, 95]. Half widths are
            quantiles of the errors on the validation part (split conformal prediction); NaN for a column that was
            never observed there.

        Returns
        -------
        forecast : ndarray of shape (horizon,) or (horizon, C), or a table of the kind that was fitted
            A pandas Series or DataFrame, a polars or a pyarrow table where fit was given one. With `level`, columns
            ``y``, ``y-lo-80``, ``y-hi-80`` for each column y (for arrays: a dict of them).

        Raises
        ------
        ValueError
            When horizon or level is out of its range, or a parameter was set after fit.

        Warns
        -----
        UserWarning
            When `level` is given and nothing was held out to measure errors on.
        """
        self._check_fitted()
        horizon = self.horizon if horizon is None else horizon
        check_parameters("predict", {"horizon": Int(1)}, {"horizon": horizon})
        forecast = self._in_units(self._forecast_end(horizon))
        widths = self._half_widths(check_levels(level), horizon)
        if widths and not self.validated_:
            warnings.warn(
                "Nothing was held out when this Forecaster was fitted, so its intervals rest on training errors and"
                " are too narrow. Fit with validation above 0, or on a longer series.",
                UserWarning,
                stacklevel=2,
            )
        return from_layout(self.layout_, interval_columns(self.layout_["names"], forecast, widths))

    @rollback_on_error
    def update(self, y: Any) -> "Forecaster":
        """Continue the series with new observations, without training.

        Parameters
        ----------
        y : array-like of shape (n,) or (n, C), or a table
            The new steps only, with the columns of fit, beginning at the step after the last one.

        Returns
        -------
        self : Forecaster
            The estimator, whose forecasts begin after the new steps.

        Raises
        ------
        ValueError
            When y has other columns or does not continue the dates. The estimator then stays as it was.
        """
        self._check_fitted()
        tail = series_of(self.layout_, self.tail_)
        grown = tail.append(read_again(self.layout_, y, self._standardizer, part=True))
        grown.continue_dates(self.horizon)
        new = len(grown) - len(tail)
        n_steps = self.layout_["n_steps"] + new
        self._set_end(grown, np.concatenate([self.tail_seen_, grown.observed[-new:]]), new)
        self.layout_["n_steps"] = n_steps
        return self

    def stream(self) -> ForecastStream:
        """Forecast after every new observation, without changing the model.

        Returns
        -------
        stream : ForecastStream
            ``stream.step(y)`` returns what ``update(y)`` and then ``predict()`` would, as an array.
        """
        self._check_fitted()
        state, single = None if self.bptt == "full" else self.stream_, self.layout_["shape"] == "series"
        end = self.tail_, self.tail_seen_, state, single, getattr(self, "feature_names_in_", ())
        return ForecastStream(self.net_, self._standardizer, *end)

    def backtest(
        self,
        y: Any,
        *,
        start: int | float = 0.8,
        stride: int | None = None,
        level: float | Sequence[float] | None = None,
        refit: bool = False,
    ) -> Backtest:
        """Forecast from many origins along a series and compare with the observed values.

        Parameters
        ----------
        y : array-like of shape (N,) or (N, C), or a table
            A whole series with the columns of fit; it need not be the training series.
        start : int or float, default=0.8
            The first origin, as a share of the series (float) or a number of steps (int). To measure what to expect
            of new data, start where the training series ends: within it, the network was trained on the targets, or
            its best epoch and its intervals were chosen by them.
        stride : int, default=None
            Steps between origins; the horizon when None.
        level : float or sequence of float, default=None
            Coverage of intervals to check, in percent.
        refit : bool, default=False
            Fit anew at every origin on the steps before it (slow); else the fitted network forecasts.

        Returns
        -------
        result : Backtest
            The forecasts as a table, and their scores.

        Raises
        ------
        ValueError
            When a parameter is out of its range, or y has other columns, other date steps or too few steps.
        """
        self._check_fitted()
        check_parameters("backtest", BACKTEST_CONSTRAINTS, {"start": start, "stride": stride, "refit": refit})
        series = read_again(self.layout_, y, self._standardizer)
        H, levels = self.horizon, check_levels(level, "backtest")
        origins = rolling_origins(len(series), start, stride or H, H, self.window_)
        if not refit:
            forecast = self._forecast_from(series, origins)
            return evaluate(series, origins, forecast, self._half_widths(levels, H))
        models = [self._without_checkpoint()._fit(series.part(0, n)) for n in origins]
        forecast = np.stack([model._in_units(model._forecast_end(H)) for model in models])
        each = [model._half_widths(levels, H) for model in models]
        widths = {level: np.stack([widths[level] for widths in each]) for level in levels}
        return evaluate(series, origins, forecast, widths)

    def probe(
        self,
        X: Any,
        y: Any = None,
        *,
        part: str | None = None,
        windows: ProbeWindows = "spread",
        rows: int | None = PROBE_ROWS,
    ) -> Probe:
        """Prepare windows of a series for inspection, see `Estimator.probe`.

        X : (n_steps, n_columns) as in `backtest`; y is not used.
        """
        self._check_fitted()
        if y is not None:
            raise ValueError("The targets of a Forecaster are the next steps of its series. Leave out y.")
        series = read_again(self.layout_, X, self._standardizer)
        data, stream = self._standardised(series), self.bptt != "full"
        task = partial(self._bptt, data, len(series) if stream else self.window_)  # over the whole series
        return ForecastProbing(
            self.net_, series, data, self.window_, stream, self._loss_function, task, self.gaps_
        ).probe(windows, rows)

    def _without_checkpoint(self) -> "Forecaster":
        """An unfitted copy that does not resume or overwrite the checkpoint of this one."""
        copy = clone(self)
        copy.training = Training.of(copy.training).set_params(checkpoint=None)
        return copy  # type: ignore[no-any-return]

    def _build(self) -> WindowNet:
        return WindowNet(
            self.cell,
            self.n_features_in_,
            self.horizon,
            hidden=self.hidden,
            layers=self.layers,
            dropout=self.dropout,
            segment=self.segment,
            independent=self.channels == "independent",
            normalize=self._normalize,
            decoding=self.decoding,
            gaps=self.gaps_,
            backend=self._options.backend,
        )

    def _bptt(self, data: Scaled, cut: int) -> BPTT:
        """The network unfolded over standardised data, whose steps from `cut` on validate."""
        task, batch_size = (self.net_, self._loss_function, data, self.window_, cut), self._options.batch_size
        if self.bptt == "full":
            return WindowBPTT(*task, batch_size=batch_size)
        return StreamBPTT(*task, batch_size=batch_size, bptt=int(self.bptt))

    def _check_restored(self) -> None:
        refuse_inconsistent(self.net_, vars(self))

    @property
    def _standardizer(self) -> Standardizer:
        return Standardizer(self.center_, self.scale_)

    @property
    def _normalize(self) -> Normalize:
        if self.normalize == "auto":
            return "mean" if self.bptt == "full" else "last"
        return self.normalize

    def _standardised(self, series: Series) -> Scaled:
        return scale_series(self._standardizer, series.filled(), series.observed, self._device)

    def _in_units(self, z: Tensor) -> Values:
        """Values in the unit of the series from standardised values (..., C)."""
        return self._standardizer.inverse_transform(z.detach().cpu().numpy())

    def _set_features(self, series: Series) -> None:
        self.n_features_in_ = len(series.names)
        self.__dict__.pop("feature_names_in_", None)
        if series.kind.named:
            self.feature_names_in_ = np.array(series.names, dtype=object)

    def _set_end(self, series: Series, observed: NDArray[np.bool_], new: int) -> None:
        """Let forecasts begin after `series`, of which the last `new` steps continue the series so far."""
        filled = series.filled()
        if self.bptt != "full":
            stream = StreamState.of(self.net_, self.stream_) if new < len(series) else StreamState(self.net_)
            steps = scale_series(self._standardizer, filled[-new:], observed[-new:], self._device)
            forecast_stream(self.net_, steps.values, steps.observed if self.gaps_ else None, stream)
            self.stream_ = stream.state_dict()
        self.layout_ = series.layout()
        self.tail_, self.tail_seen_ = filled[-self.window_ :], observed[-self.window_ :]

    def _forecast_end(self, horizon: int) -> Tensor:
        """Standardised forecasts (horizon, C) of the steps after the last one."""
        with evaluating(self.net_):
            if self.bptt != "full":
                return StreamState.of(self.net_, self.stream_).forecast(horizon)[0]
            values, observed = scale_series(self._standardizer, self.tail_, self.tail_seen_, self._device)
            return self.net_(values[None], observed[None] if self.gaps_ else None, horizon)[0]  # type: ignore[no-any-return]

    def _forecast_from(self, series: Series, origins: range) -> Values:
        """Forecasts (n, H, C) of a series, each from the steps before one origin."""
        data = self._standardised(series)
        observed = data.observed if self.gaps_ else None
        ends = torch.tensor(origins, device=self._device)
        if self.bptt != "full":
            return self._in_units(forecast_stream(self.net_, data.values, observed)[ends - 1])
        starts = ends - self.window_
        return self._in_units(forecast_windows(self.net_, data.values, observed, starts, self.window_))

    def _half_widths(self, levels: tuple[float, ...], horizon: int) -> dict[float, Values]:
        """Half widths (horizon, C) of the intervals of each level, in the unit of the series."""
        return {level: half_widths(self.errors_, level, horizon) * self.scale_ for level in levels}
