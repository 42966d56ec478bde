"""What an answer rests on: how much each feature at each lag adds to it.

Letters: `n` rows, `T` steps, `F` features.
"""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from regen._check import Choice, Int, check_parameters
from regen.data.dataframes import frame
from regen.estimators._probe import Probe
from regen.inspection.finding import Finding
from regen.inspection.labelled import Labelled
from regen.inspection.recurrent.models import (
    check_label_input,
    gradients_in_evaluation,
    net_of,
    probe_to_evaluate,
)
from regen.inspection.recurrent.parts import parts_of
from regen.inspection.recurrent.sentences import steps_text

__all__ = ["Saliency", "saliency"]

ROWS = 64
"""Sequences whose answers are explained: each costs many passes."""
FIRST_POINTS, MOST_POINTS = 16, 512
COMPLETE = 0.004
"""Share of the usual difference between two answers that may be missing before more points of the path are asked."""


@final
@dataclass(frozen=True, eq=False)
class Saliency(Finding):
    """How much every feature at every lag adds to an answer.

    Attributes
    ----------
    values : by sequence, lag and feature, in units of the answer (standardised, as the network says it); lag is the
        number of steps before the last one read, 0 for that itself; NaN before a sequence's start.
    method : "integrated" or "gradient".
    outputs, baseline : (n,) the output for each sequence, and for the baseline.
    gap : (n,) how far the values of a sequence are from adding up to the difference of the two, as a share of what
        such differences are on average.
    output : "forecast" or "answer".
    """

    values: Labelled
    method: str
    outputs: NDArray[np.float64]
    baseline: NDArray[np.float64]
    gap: NDArray[np.float64]
    output: str

    def frame(self) -> Any:
        """A dataframe of one row for each lag and feature: mean over sequences of the value, and of its size."""
        lags, features = self.values.labels["lag"], self.values.labels["feature"]
        grid = np.indices((len(lags), len(features))).reshape(2, -1)
        mean, size = np.nanmean(self.values.values, 0), np.nanmean(np.abs(self.values.values), 0)
        columns = {"lag": np.asarray(lags)[grid[0]], "feature": np.asarray(features)[grid[1]]}
        return frame(columns | {"value": mean.ravel(), "size": size.ravel()})

    def sentences(self) -> list[str]:
        """Which features and lags move the answer, and whether the values add up to it."""
        size = np.nanmean(np.abs(self.values.values), 0)
        total = size.sum()
        if not total:
            return [f"Nothing that was read moves the {self.output}."]
        features = self.values.labels["feature"]
        lag, k = (int(at) for at in np.unravel_index(size.argmax(), size.shape))
        share = f"{size[lag, k] / total:.0%} of all that does"
        told = [f"{features[k]} at lag {lag} moves the {self.output} most: {share}."]
        half = int(np.argmax(size.sum(1).cumsum() >= total / 2)) + 1
        told.append(f"Half of what moves it lies within the last {steps_text(half)} of {len(size)}.")
        if len(features) > 1:
            shares = size.sum(0) / total
            order = np.argsort(-shares, kind="stable")[:5]
            told.append(
                f"Of the features, {', '.join(f'{features[at]} has {shares[at]:.0%}' for at in order)}."
            )
        if self.method == "integrated":
            told.append(
                f"The values of a sequence add up to its {self.output}, less that to the baseline, within"
                f" {self.gap.max():.1%}."
            )
        return told


def saliency(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    of: Any = None,
    method: str = "integrated",
    baseline: ArrayLike = 0.0,
    rows: int = ROWS,
) -> Saliency:
    """How much every feature at every lag adds to the answer of a model.

    "integrated": integrated gradients (Sundararajan, Taly & Yan 2017), ``(x - b) * mean over the path from b to x of
    dA/dx``, by Gauss-Legendre points that are doubled until the values add up to the answer A(x) less A(b).
    "gradient": gradient times input, ``(x - b) * dA/dx`` at x alone, which is cheap and adds up only where the
    model is linear.

    Parameters
    ----------
    model : a fitted estimator with a recurrent net, a net of `regen.nn` or ``torch.nn``, or a torch module that holds
        some and reads one tensor.
    X : what the model reads, as in `gates`: a series (N,) or (N, C), sequences such as (n, T, F), a module's input.
    y : (n,) labels, which a GAN that was fitted with some reads; others take none.
    of : which answer. A Forecaster: the step of the horizon from 0, None is the mean of all; over the columns it is
        the mean. A SequenceClassifier: the logit of this class, None is that of the class it says. A GAN answers
        with one number, the logit that a sequence is real. Others: the number of the output from 0, None is the mean
        of all.
    method : "integrated" or "gradient".
    baseline : b, what stands for nothing, as a number or (T, F), as the network reads it: standardised, so that 0 is
        the mean of the data of fit.
    rows : windows of a series (evenly spread) or sequences (the first) that are used, at most. Not for torch modules.

    Raises
    ------
    ValueError : nothing in the model is recurrent, there is no such answer, or it does not read one tensor.
    """
    table = {"method": Choice(("integrated", "gradient")), "rows": Int(1)}
    check_parameters("saliency", table, {"method": method, "rows": rows})
    net_of(model)
    check_label_input(model, y)
    probe = probe_to_evaluate(model, X, y, rows=rows)
    x = probe.x
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim not in (2, 3):
        kind = (
            "a PackedSequence"
            if isinstance(x, PackedSequence)
            else f"{type(x).__name__} of other axes or numbers"
        )
        raise ValueError(
            f"saliency needs one tensor (B, T, F) of numbers that the model reads. Got {kind} instead."
        )
    start = torch.as_tensor(np.asarray(baseline), dtype=x.dtype, device=x.device).expand_as(x)
    with gradients_in_evaluation(probe.net):
        columns = _columns(probe, of)
        with torch.no_grad():
            answers, nothing = (_said(probe, columns, at).double() for at in (x, start))
        difference = answers - nothing
        if method == "gradient":
            values = (x - start).double() * _slope(probe, columns, x)
        else:
            values = _integrated(probe, columns, start, difference)
    values = _by_rows(probe, values, len(answers))
    missing = (values.sum((1, 2)) - difference).abs() / difference.abs().mean().clamp(min=1e-12)
    return Saliency(
        _by_lag(probe, values),
        method,
        answers.cpu().numpy(),
        nothing.cpu().numpy(),
        missing.cpu().numpy(),
        probe.output,
    )


def _columns(probe: Probe, of: Any) -> Tensor:
    """(n, k) which numbers of each answer were asked for; what is explained is their mean."""
    with torch.no_grad():
        plain = probe.outputs(probe.x)
    n, K = plain.shape
    every = torch.arange(K, device=plain.device)
    if probe.classes is not None:
        known = list(probe.classes)
        if of is not None and of not in known:
            raise ValueError(f"There is no class {of!r}. The classes are {', '.join(map(repr, known))}.")
        return plain.argmax(1, keepdim=True) if of is None else every[known.index(of)].expand(n, 1)
    if of is None:
        return every.expand(n, K)
    groups = probe.horizon or K
    if not Int(0, groups - 1).accepts(of):
        what = "step of the horizon" if probe.horizon else "output"
        raise ValueError(f"of must be the number of the {what}, from 0 to {groups - 1}. Got {of!r} instead.")
    return every.view(groups, -1)[int(of)].expand(n, -1)


def _said(probe: Probe, columns: Tensor, x: Tensor) -> Tensor:
    """(n,) what is explained, when the network reads x."""
    return probe.outputs(x).gather(1, columns).mean(1)


def _slope(probe: Probe, columns: Tensor, at: Tensor) -> Tensor:
    """dA/dx, of the shape of x, in float64."""
    with torch.enable_grad():
        x = at.detach().requires_grad_()
        (grad,) = torch.autograd.grad(_said(probe, columns, x).sum(), x, allow_unused=True)
    return torch.zeros_like(at, dtype=torch.float64) if grad is None else grad.double()


def _integrated(probe: Probe, columns: Tensor, start: Tensor, difference: Tensor) -> Tensor:
    """(x - b) times the mean slope on the straight path from b to x, by points that are doubled where they miss."""
    values = _along_path(probe, columns, start, FIRST_POINTS)
    usual, points = float(difference.abs().mean()), FIRST_POINTS
    while points < MOST_POINTS:
        missing = (_by_rows(probe, values, len(difference)).sum((1, 2)) - difference).abs()
        left = (missing > COMPLETE * usual).nonzero()[:, 0]
        if not len(left):
            break
        points *= 2
        if not probe.divisible:
            values = _along_path(probe, columns, start, points)
        else:
            some = probe.take(left.cpu().numpy())
            values[left] = _along_path(some, columns[left], start[left], points)
    return values


def _along_path(probe: Probe, columns: Tensor, start: Tensor, points: int) -> Tensor:
    """(x - b) times the mean slope at Gauss-Legendre points of the path.

    They lie close together near b, by a substitution: a net that divides what it reads by its own spread turns there.
    """
    x = probe.x
    places, weights = np.polynomial.legendre.leggauss(points)
    mean = torch.zeros_like(x, dtype=torch.float64)
    for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
        mean += 2 * place * weight * _slope(probe, columns, torch.lerp(start, x, float(place**2)))
    values: Tensor = (x - start).double() * mean
    return values


def _by_rows(probe: Probe, values: Tensor, n: int) -> Tensor:
    """(n, T, F) of what is laid out as the input: a module's may have time first, be one sequence, or one feature."""
    if probe.divisible:
        return values
    if values.ndim == 2:
        return values[..., None] if n == len(values) and n > 1 else values[None]
    first = parts_of(probe.net)[0].module.batch_first
    as_is = len(values) == n and (first or values.shape[1] != n)
    return values if as_is else values.transpose(0, 1)


def _by_lag(probe: Probe, values: Tensor) -> Labelled:
    """The values (n, T, F) of each sequence from its last step back, as far as the longest of them goes."""
    n, T, F = values.shape
    ends = torch.full((n,), T) if probe.lengths is None else probe.lengths.cpu()
    T = int(ends.max())
    place = ends[:, None] - 1 - torch.arange(T)
    found = values.cpu().gather(1, place.clamp(min=0)[..., None].expand(n, T, F))
    found = found.masked_fill(place[..., None] < 0, torch.nan)
    names = probe.features if len(probe.features) == F else [f"x{k}" for k in range(F)]
    sequences = probe.rows if len(probe.rows) == n else range(n)
    labels: dict[str, Any] = {"sequence": sequences, "lag": range(T), "feature": names}
    return Labelled(found.numpy(), ("sequence", "lag", "feature"), labels)
