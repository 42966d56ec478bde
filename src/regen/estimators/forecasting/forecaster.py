"""Forecaster: from a series to its next steps, with intervals, from one recurrent network."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from torch import Tensor

from regen._check import Choice, Constraint, Either, Int, Number, check_parameters
from regen.cells import Cell
from regen.data.series import Series, from_layout, read_series
from regen.estimators._base import CELL_CONSTRAINT, SHARED_CONSTRAINTS, Estimator, rollback_on_error
from regen.estimators._evaluation import evaluating
from regen.estimators.forecasting._preparation import (
    Scale,
    Scaled,
    Values,
    check_horizon,
    check_length,
    check_observed,
    check_same_step,
    check_segment,
    choose_window,
    first_validation_target,
    half_widths,
    levels,
    read_more,
    series_of,
    without_validation,
)
from regen.estimators.forecasting.backtest import ARGUMENTS, Backtest, backtest, origins
from regen.estimators.forecasting.bptt import (
    BPTTTask,
    StreamBPTT,
    StreamState,
    WindowBPTT,
    check_stream,
    forecast_stream,
    forecast_windows,
)
from regen.estimators.forecasting.online import ForecastStream
from regen.losses.regression import LOSSES
from regen.nets.forecast import Decoding, Normalize, WindowNet
from regen.training.options import Training
from regen.training.threads import fitting_threads

__all__ = ["Forecaster"]

CALIBRATION_WINDOWS = 512


@final
class Forecaster(Estimator):
    """Forecasts the next steps of a series of one or many columns with a recurrent network.

    The network reads a window of the series, unfolded into one copy per step, and says the horizon that follows.

    Parameters
    ----------
    cell : "lstm", "gru", "elman", "diagonal", "jordan", or a `regen.cells` cell with its options.
    window : steps that the network reads; "auto" takes two seasons (found from the dates or the autocorrelation),
        or two horizons if that is longer.
    horizon : steps that it forecasts.
    hidden : units of the network. 64 learn the embedded series in seconds and are enough for thousands of steps.
    layers : depth of the network; more than one seldom helps a forecaster.
    dropout : share of units silenced in training before the readout, in [0, 1).
    segment : values read per recurrent step. A long window read in segments of 24 or 48 trains many times faster
        and often forecasts better (SegRNN, Lin et al. 2023); then window must be a multiple of it.
    channels : "joint" reads all columns together; "independent" reads each alone with the same weights, which is
        better when columns are many and alike.
    normalize : "mean" removes the mean and scale of each window, "last" subtracts its last value, "none" reads
        standardised values as they are. Series whose level drifts are forecast badly without one of the first two.
        "auto" is "mean", which is less led astray by a last value that is mostly noise, and "last" for streams.
    decoding : "direct" writes the horizon at once; "recursive" writes one segment and reads it back.
    bptt : "full" unfolds every window on its own and trains on what follows it. An int k trains on contiguous
        streams, forecasting after every step: the state is carried from window to window, and gradients are cut
        every k steps (truncated back-propagation through time, Williams & Peng 1990), k at most window.
    max_epochs : passes over the training windows, at most; early stopping usually ends training before.
    learning_rate : size of the optimiser's steps; "auto" is 0.003, which trains all embedded series without care.
    random_state : seed of the first weights, of dropout and of the order of the windows.
    training : a `regen.Training` (or a dict of its arguments) for everything else about training. Its validation
        part is the end of the series; "auto" is the last fifth, where that leaves a window to train on.

    Attributes
    ----------
    net_ : the trained torch module; standardised windows in, standardised forecasts out.
    window_ : the window in steps. center_, scale_ : (C,) mean and scale of the columns in the training part.
    history_ : one row per epoch, as a dataframe. stopped_ : why training ended, in words.
    loss_per_step_ : (copies,) cost of each copy of the unfolded network on the validation part: the mean cost of
        the same horizon when only the last 1, 2, ... segments before it are read, so the curve falls as far as
        the network remembers (bptt=k: the mean cost at each place in a window of the streams).
    backend_ : which kernel ran, and why. validated_ : whether anything was held out.
    n_features_in_, feature_names_in_ : columns of the series.

    Examples
    --------
    >>> import numpy as np, regen
    >>> y = np.sin(np.arange(200) / 3)
    >>> model = regen.Forecaster(window=24, horizon=6, max_epochs=2, random_state=0).fit(y)
    >>> model.predict().shape
    (6,)
    """

    capabilities: ClassVar[tuple[str, ...]] = ("predict", "backtest")
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
        y : (n_steps,) or (n_steps, n_columns) array, or a pandas, polars or pyarrow object; NaN marks a gap.
        time : name of the column that holds the dates, when they are not the index.
        target : name or names of the columns to forecast; all but `time` when None.
        """
        self._check_params()
        return self._fit(read_series(y, time=time, target=target))

    def _fit(self, series: Series) -> "Forecaster":
        cut = self._measure(series)
        self.validated_ = cut < len(series)
        data = self._scale.apply(series.filled(), series.observed, self._device)
        with self._seeded_rng() as generator:
            self.net_ = self._build().to(self._device)
            unfolding = self._unfold(data, cut)
            validate = unfolding.validate if self.validated_ else None
            parts = (self.net_, unfolding.loss, unfolding.batches, validate, generator, unfolding.values)
            with fitting_threads(self.net_, self._options.batch_size, self.window_ // self.segment):
                self._train_module(*parts, memory=unfolding.memory)
                self.loss_per_step_ = unfolding.loss_per_copy()
                self.errors_ = unfolding.errors(CALIBRATION_WINDOWS).cpu().numpy()
        self.backend_ = self.net_.reader.backend_
        self._remember(series, series.observed, new=len(series))
        return self

    def predict(self, horizon: int | None = None, *, level: float | Sequence[float] | None = None) -> Any:
        """Forecast the steps after the last one seen, with the dates continued.

        Parameters
        ----------
        horizon : steps to forecast; the trained horizon when None. Further than that, the network reads its own
            forecasts back, and intervals widen with the square root of the distance.
        level : coverage of the intervals in percent, such as 80 or [80, 95]. Intervals are those that held that
            share of the forecasts made on the validation part (split conformal prediction); NaN for a column that
            was never observed there.

        Returns
        -------
        The kind that was fitted: an array (horizon,) or (horizon, n_columns), a pandas Series or DataFrame, a
        polars or pyarrow table. With `level`, columns ``y``, ``y-lo-80``, ``y-hi-80`` for each column y (for
        arrays: a dict of them).

        Warns
        -----
        UserWarning
            When intervals are asked for and nothing was held out to measure them on.
        """
        self._check_fitted()
        horizon = self.horizon if horizon is None else horizon
        check_parameters("predict", {"horizon": Int(1)}, {"horizon": horizon})
        point = self._scale.undo(self._forecast(horizon))
        columns: dict[str, Values] = {}
        widths = {p: self._half_widths(p, horizon) for p in levels(level)}
        if widths and not self.validated_:
            warnings.warn(
                "Nothing was held out when this Forecaster was fitted, so its intervals rest on training errors and"
                " are too narrow. Fit with validation above 0, or on a longer series.",
                UserWarning,
                stacklevel=2,
            )
        for c, name in enumerate(self.layout_["names"]):
            columns[name] = point[:, c]
            for p, width in widths.items():
                columns[f"{name}-lo-{p:g}"] = point[:, c] - width[:, c]
                columns[f"{name}-hi-{p:g}"] = point[:, c] + width[:, c]
        return from_layout(self.layout_, columns)

    @rollback_on_error
    def update(self, y: Any) -> "Forecaster":
        """Continue from new observations; nothing is refitted.

        Parameters
        ----------
        y : (n_new_steps,) or (n_new_steps, n_columns), the new steps only, of the columns that were fitted, starting
            at the step after the last one seen.
        """
        self._check_fitted()
        known = series_of(self.layout_, self.tail_)
        grown = known.append(read_more(self.layout_, y, part=True))
        new = len(grown) - len(known)
        steps = self.layout_["n_steps"] + new
        self._remember(grown, np.concatenate([self.tail_seen_, grown.observed[-new:]]), new)
        self.layout_["n_steps"] = steps
        return self

    def stream(self) -> ForecastStream:
        """Read on from here an observation at a time, and leave the model as it is.

        ``stream.step(y)`` says what ``update(y)`` and then ``predict()`` would, as an array: see `ForecastStream`.
        """
        self._check_fitted()
        state = None if self.bptt == "full" else self.stream_
        single = self.layout_["shape"] == "series"
        return ForecastStream(self.net_, self._scale, self.tail_, self.tail_seen_, state, single)

    def backtest(
        self,
        y: Any,
        *,
        start: int | float = 0.8,
        stride: int | None = None,
        level: float | Sequence[float] | None = None,
        refit: bool = False,
    ) -> Backtest:
        """Forecast again and again along a series and compare with what came.

        Parameters
        ----------
        y : (n_steps,) or (n_steps, n_columns), a whole series of the fitted columns; it need not be the one fitted.
        start : the first origin, as a share of the series (float) or a number of steps (int). To measure what to
            expect of new data, start where the series that was fitted ends: within it, the network has learned
            from what it is asked for, or its best epoch and its intervals were chosen by it.
        stride : steps between origins; the horizon when None.
        level : coverage of intervals to check, in percent.
        refit : fit anew at every origin on what came before it (slow); else the fitted network forecasts.
        """
        self._check_fitted()
        check_parameters("backtest", ARGUMENTS, {"start": start, "stride": stride, "refit": refit})
        series = read_more(self.layout_, y)
        check_same_step(self.layout_, series)
        at = origins(len(series), start, stride or self.horizon, self.horizon, self.window_)
        refitted = [self._fresh()._fit(series.part(0, n)) for n in at] if refit else []
        return backtest(self, series, at, levels(level), refitted)

    def _fresh(self) -> "Forecaster":
        """An unfitted copy whose run is its own: without a checkpoint."""
        copy = clone(self)
        copy.training = Training.of(copy.training).set_params(checkpoint=None)
        return copy  # type: ignore[no-any-return]

    def _measure(self, series: Series) -> int:
        """What fit learns before training: layout, window and scale; returns where validation targets begin."""
        if self.window == "auto":
            check_horizon(len(series), self.horizon)
            self.window_ = choose_window(series, self.horizon, self.segment)
        else:
            self.window_ = int(self.window)
        check_length(len(series), self.window_, self.horizon)
        check_segment(self.window_, self.segment)
        if self.bptt != "full":
            check_stream(int(self.bptt), self.window_, self.segment, self.decoding, self.normalize)
        if self._options.loss == "cross_entropy":
            raise ValueError(
                "loss='cross_entropy' is for classes; a Forecaster forecasts numbers. Take 'mae', 'mse' or 'huber'."
            )
        self.n_features_in_ = len(series.names)
        if "feature_names_in_" in vars(self):
            del self.feature_names_in_
        if series.kind.named:
            self.feature_names_in_ = np.array(series.names, dtype=object)
        self.gaps_ = not series.observed.all()
        cut = first_validation_target(len(series), self.window_, self.horizon, self._options.validation)
        check_observed(series, cut)
        if cut < len(series) and not series.observed[cut:].any():
            cut = without_validation(len(series), cut, self._options.validation)
        scale = Scale.of(series.values, cut)
        self.center_, self.scale_ = scale.center, scale.scale
        return cut

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

    def _unfold(self, data: Scaled, cut: int) -> BPTTTask:
        cost = LOSSES["mae" if self._options.loss == "auto" else self._options.loss]
        batch_size = self._options.batch_size
        if self.bptt == "full":
            return WindowBPTT(self.net_, cost, data, self.window_, cut, batch_size=batch_size)
        return StreamBPTT(
            self.net_, cost, data, self.window_, cut, batch_size=batch_size, bptt=int(self.bptt)
        )

    @property
    def _scale(self) -> Scale:
        return Scale(self.center_, self.scale_)

    @property
    def _normalize(self) -> Normalize:
        if self.normalize == "auto":
            return "mean" if self.bptt == "full" else "last"
        return self.normalize

    def _remember(self, series: Series, seen: NDArray[np.bool_], new: int) -> None:
        """Stand at the end of `series`, observed where `seen`, of which the last `new` steps were not read yet."""
        filled = series.filled()
        if self.bptt != "full":
            stream = StreamState(self.net_)
            if new < len(series):
                stream.load_state_dict(self.stream_)
            unread = self._scale.apply(filled[-new:], seen[-new:], self._device)
            forecast_stream(self.net_, unread.values, unread.observed if self.gaps_ else None, stream)
            self.stream_ = stream.state_dict()
        self.layout_ = series.layout()
        self.tail_, self.tail_seen_ = filled[-self.window_ :], seen[-self.window_ :]

    def _forecast(self, horizon: int) -> Tensor:
        """Standardised forecasts (horizon, C) of the steps after the last one seen."""
        if self.bptt != "full":
            stream = StreamState(self.net_)
            stream.load_state_dict(self.stream_)
            with evaluating(self.net_):
                return stream.ahead(horizon)[0]
        window = self._scale.apply(self.tail_, self.tail_seen_, self._device)
        with evaluating(self.net_):
            seen = window.observed[None] if self.gaps_ else None
            return self.net_(window.values[None], seen, horizon)[0]  # type: ignore[no-any-return]

    def _forecasts(self, series: Series, at: range) -> Values:
        """Forecasts (n, H, C) from origins that know the first `at` steps of the series each."""
        data = self._scale.apply(series.filled(), series.observed, self._device)
        seen = data.observed if self.gaps_ else None
        known = torch.tensor(at, device=self._device)
        if self.bptt != "full":
            return self._scale.undo(forecast_stream(self.net_, data.values, seen)[known - 1])
        starts = known - self.window_
        return self._scale.undo(forecast_windows(self.net_, data.values, seen, starts, self.window_))

    def _half_widths(self, level: float, horizon: int) -> Values:
        """Half widths (horizon, C) of intervals in the unit of the series."""
        return half_widths(self.errors_, level, horizon) * self.scale_
