"""Data as a model reads it: one subject for each kind of model, to be watched, or to be judged by what came.

Letters: `n` rows, `N` steps of a series, `T` steps of a row, `C` columns, `H` horizon, `F` features.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from regen._masks import length_mask
from regen.data.batching import Windows
from regen.data.calendar import date_text
from regen.data.ragged import Ragged
from regen.data.scaling import Standardizer
from regen.data.series import Series
from regen.estimators import Forecaster, SequenceClassifier, SequenceRegressor
from regen.estimators._sequence_input import read_known_sequences
from regen.estimators.adversarial._base import AdversarialEstimator
from regen.estimators.autoencoders._base import AutoencodingEstimator
from regen.estimators.forecasting._preparation import check_length, check_same_step, read_more
from regen.estimators.forecasting.bptt import evenly_spaced
from regen.inspection._subject import (
    CodingSubject,
    CriticSubject,
    ForecastSubject,
    Loss,
    ModuleSubject,
    SequenceSubject,
    Subject,
    numbers,
)
from regen.inspection.recurrent.parts import Part, part_named, parts_of
from regen.losses.regression import LOSSES

__all__ = ["MOST_ROWS", "check_labels", "judged", "net_of", "part_of", "series_of_model", "slid", "watched"]

MOST_ROWS = 256
"""Windows of a series that a model is judged by, evenly spread over it."""
STREAMED = 4
"""Windows that a model which carries its state is judged after reading; its memory may be longer than one."""


ESTIMATORS = (Forecaster, SequenceClassifier, SequenceRegressor, AutoencodingEstimator, AdversarialEstimator)


def net_of(model: Any) -> nn.Module:
    """The network of a fitted estimator, or the torch module itself."""
    if isinstance(model, nn.Module):
        return model
    if isinstance(model, ESTIMATORS):
        model._check_fitted()
        return model.net_
    raise ValueError(
        f"A model must be a fitted estimator of regen or a torch module. Got {type(model).__name__} instead."
    )


def part_of(model: Any, name: str | None) -> Part:
    """The recurrent net of that name inside a model; None is the first of those that read X."""
    net = net_of(model)
    if name is None and isinstance(model, AdversarialEstimator):
        name = next((part.name for part in parts_of(net) if part.name.startswith("discriminator")), None)
    return part_named(net, name)


def watched(model: Any, X: Any, y: Any = None, part: str | None = None) -> Subject:
    """A model with all of X, to see what goes on inside; a series is cut into windows that tile it from its end."""
    net = net_of(model)
    check_labels(model, y)
    if isinstance(model, Forecaster):
        return _tiles(model, series_of_model(model, X))
    return _rows_of(model, net, X, y, part, None)


def check_labels(model: Any, y: Any) -> None:
    """Refuse labels for a model that reads none; a GAN says itself whether it does."""
    if y is not None and not isinstance(model, AdversarialEstimator):
        raise ValueError(f"{type(model).__name__} reads no labels. Leave out y.")


def judged(
    model: Any,
    X: Any,
    y: Any = None,
    part: str | None = None,
    loss: Loss | None = None,
    rows: int = MOST_ROWS,
) -> Subject:
    """A model with X and what should be answered; at most `rows` windows of a series, or the first rows of X."""
    net = net_of(model)
    if loss is not None and not isinstance(model, nn.Module):
        raise ValueError(
            "loss= is for torch modules; an estimator has the one it was trained with. Leave it out."
        )
    if isinstance(model, Forecaster):
        if y is not None:
            raise ValueError("A Forecaster is held against what followed in the series itself. Leave out y.")
        return _windows(model, series_of_model(model, X), rows)
    subject = _rows_of(model, net, X, y, part, loss)
    if isinstance(model, nn.Module) or len(subject.sequences) <= rows:
        return subject
    return subject.take(np.arange(rows))


def _rows_of(model: Any, net: nn.Module, X: Any, y: Any, part: str | None, loss: Loss | None) -> Subject:
    if isinstance(model, SequenceClassifier | SequenceRegressor):
        return _sequences(model, X, y)
    if isinstance(model, AutoencodingEstimator):
        if y is not None:
            raise ValueError(f"{type(model).__name__} is held against X itself. Leave out y.")
        return _coded(model, X, part)
    if isinstance(model, AdversarialEstimator):
        return _judged_real(model, X, y)
    first = parts_of(net)[0]
    like = first.weight
    args = numbers(X, like)
    args = args if isinstance(args, tuple) and not isinstance(args, PackedSequence) else (args,)
    target = None if y is None else torch.as_tensor(y, device=like.device)
    if target is not None and target.is_floating_point():
        target = target.to(like.dtype)
    raw = _read_by(first, args[0])
    names = () if raw is None else _names(raw.shape[2])
    return ModuleSubject(net=net, x=args[0], others=args[1:], y=target, cost=loss, raw=raw, features=names)


def _read_by(part: Part, x: Any) -> NDArray[Any] | None:
    """(B, T, F) what a module is given, NaN past a sequence's end, where it is given such; None elsewhere."""
    lengths = None
    if isinstance(x, PackedSequence):
        x, lengths = pad_packed_sequence(x, batch_first=True)
    elif isinstance(x, Tensor) and not part.module.batch_first:
        x = x.transpose(0, 1) if x.ndim == 3 else x
    if not isinstance(x, Tensor) or x.ndim not in (2, 3) or not x.is_floating_point():
        return None
    x = x.float() if x.dtype is torch.bfloat16 else x
    raw: NDArray[Any] = (x if x.ndim == 3 else x[None]).detach().cpu().numpy()
    if lengths is not None:
        raw[~length_mask(lengths, raw.shape[1]).numpy()] = np.nan
    return raw


# Series.


def series_of_model(model: Forecaster, y: Any) -> Series:
    series = read_more(model.layout_, y)
    check_same_step(model.layout_, series)
    return series


def _tiles(model: Forecaster, series: Series) -> ForecastSubject:
    """Windows side by side, the last one ending with the series; read as a stream, the whole series."""
    N, W = len(series), model.window_ if model.bptt == "full" else len(series)
    _check_window(series, W)
    return _cut(model, series, np.arange(N % W, N - W + 1, W), W, judge=False)


def _check_window(series: Series, window: int) -> None:
    N = len(series)
    if window > N:
        raise ValueError(
            f"y has {N} steps; this Forecaster reads windows of {window}. Give at least {window} steps."
        )


def slid(model: Forecaster, y: Any) -> ForecastSubject:
    """A Forecaster with every window of a series, one ending at each step."""
    series, W = series_of_model(model, y), model.window_
    _check_window(series, W)
    return _cut(model, series, np.arange(len(series) - W + 1), W, judge=False)


def _windows(model: Forecaster, series: Series, rows: int) -> ForecastSubject:
    N, H, W = len(series), model.horizon, model.window_
    check_length(N, W, H)
    W = W if model.bptt == "full" else min(STREAMED * W, N - H)
    return _cut(model, series, np.array(evenly_spaced(range(N - W - H + 1), rows)), W, judge=True)


def _cut(
    model: Forecaster, series: Series, starts: NDArray[np.int64], width: int, *, judge: bool
) -> ForecastSubject:
    """The windows that begin at `starts`, with the horizon after each when the model is to be judged."""
    data = model._scale.apply(series.filled(), series.observed, model._device)
    H, at = model.horizon if judge else 0, torch.from_numpy(starts)
    x, y = Windows(data.values, width, H).gather(at)
    observed, target_mask = Windows(data.observed, width, H).gather(at)
    steps = starts[:, None] + np.arange(width)
    times = np.arange(len(series)) if series.dates is None else series.dates
    dated = times.dtype.kind == "M"
    return ForecastSubject(
        net=model.net_,
        x=x,
        raw=series.filled()[steps],
        times=times[steps],
        features=series.names,
        sequences=[date_text(time) if dated else int(time) for time in times[steps[:, -1]]],
        segment=model.segment,
        observed=observed if model.gaps_ else None,
        y=y if judge else None,
        target_mask=target_mask if judge else None,
        cost=LOSSES["mae" if model._options.loss == "auto" else model._options.loss],
        stream=model.bptt != "full",
        briefly=not judge,
    )


# Sequences.


def _sequences(model: SequenceClassifier | SequenceRegressor, X: Any, y: Any) -> SequenceSubject:
    given = read_known_sequences(model, X, model.n_features_per_step_, model.n_steps_in_).rows
    rows = Standardizer(model.center_, model.scale_).standardized(given, model.gaps_).to(model._device)
    x, lengths, _ = rows.gather(torch.arange(len(rows)))
    names = _names(model.n_features_per_step_)
    default = "cross_entropy" if isinstance(model, SequenceClassifier) else "mse"
    return SequenceSubject(
        net=model.net_,
        x=x,
        lengths=lengths,
        raw=_raw(given),
        features=(*names, *(f"{name} observed" for name in names)) if model.gaps_ else names,
        sequences=range(len(rows)),
        segment=model.segment_,
        y=None if y is None else _targets(model, y, len(rows)),
        cost=LOSSES[default if model._options.loss == "auto" else model._options.loss],
    )


def _targets(model: SequenceClassifier | SequenceRegressor, y: Any, n: int) -> Tensor:
    """Classes (n,) by their number, or targets (n, K) standardised."""
    told = np.asarray(y)
    if len(told) != n:
        raise ValueError(f"y has {len(told)} rows and X has {n}. Give one for each.")
    if isinstance(model, SequenceClassifier):
        unknown = np.setdiff1d(told, model.classes_)
        if len(unknown):
            raise ValueError(f"y holds the class {unknown.tolist()[0]!r}, which the model was not fitted on.")
        return torch.from_numpy(np.searchsorted(model.classes_, told)).to(model._device)
    spread_of = np.where(model.target_scale_ > 0, model.target_scale_, 1.0)
    z = (told.astype(np.float64).reshape(n, -1) - model.target_center_) / spread_of
    return torch.from_numpy(z.astype(np.float32)).to(model._device)


def _coded(model: AutoencodingEstimator, X: Any, part: str | None) -> CodingSubject:
    name = part_named(model.net_, part).name  # refused here where nothing is recurrent
    objective, given, rows = model.prepare(X)
    inputs = objective.model.one_batch(rows)
    return CodingSubject(
        net=model.net_,
        objective=objective,
        x=inputs.x,
        y=inputs.target,
        observed=inputs.observed,
        lengths=inputs.lengths,
        raw=_raw(given.rows),
        features=_names(given.rows.values.shape[-1]),
        sequences=range(len(rows)),
        whole=name.startswith("decoder"),
    )


def _judged_real(model: AdversarialEstimator, X: Any, y: Any) -> CriticSubject:
    parts_of(model.net_)  # refused here where nothing is recurrent
    if (y is None) == bool(model.n_labels_):
        words = "with labels. Give y, one for each row." if y is None else "without labels. Leave out y."
        raise ValueError(f"This {type(model).__name__} was fitted {words}")
    given, batch = model.modality_.read_known(model, X), model.encode_rows(X, y)
    return CriticSubject(
        net=model.net_,
        x=batch.x,
        lengths=batch.lengths,
        label=batch.y,
        companions=model.model_.companions,
        raw=_raw(given.rows),
        features=_names(given.rows.values.shape[-1]),
        sequences=range(len(given)),
    )


def _raw(sequences: Ragged) -> NDArray[np.float64]:
    """(n, T, F) as given, gaps filled, NaN past a sequence's end."""
    filled = Ragged.from_steps(sequences.filled(), sequences.n_steps)
    padded = filled.pad(filled.with_nan())
    return padded.masked_fill(~length_mask(filled.n_steps, padded.shape[1])[..., None], torch.nan).numpy()


def _names(features: int) -> tuple[str, ...]:
    return ("x",) if features == 1 else tuple(f"x{k}" for k in range(features))
