"""Attribution of an output to the features at each lag.

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
"""Sequences of an attribution; each takes many passes."""
FIRST_POINTS, MOST_POINTS = 16, 512
COMPLETE = 0.004
"""Share of the mean difference of outputs that may be missing before more points of the path are used."""


@final
@dataclass(frozen=True, eq=False, repr=False)
class Saliency(Finding):
    """Contributions of every feature at every lag to an output.

    Attributes
    ----------
    values : Labelled
        By sequence, lag and feature, in units of the output of the network (standardised); the lag is the number of
        steps before the last one; NaN before the start of a sequence.
    method : str
        "integrated" or "gradient".
    outputs, baseline : ndarray of shape (n,)
        The output for each sequence, and for the baseline.
    gap : ndarray of shape (n,)
        Difference between the sum of the values of a sequence and the difference of the two outputs, as a share
        of the mean of such differences.
    output : str
        "forecast" or "output".
    """

    values: Labelled
    method: str
    outputs: NDArray[np.float64]
    baseline: NDArray[np.float64]
    gap: NDArray[np.float64]
    output: str

    def frame(self) -> Any:
        """Tabulate the contributions, averaged over sequences.

        Returns
        -------
        table : DataFrame
            One row for each lag and feature: mean of the value, and of its absolute value (size).
        """
        lags, features = self.values.labels["lag"], self.values.labels["feature"]
        grid = np.indices((len(lags), len(features))).reshape(2, -1)
        mean, size = np.nanmean(self.values.values, 0), np.nanmean(np.abs(self.values.values), 0)
        columns = {"lag": np.asarray(lags)[grid[0]], "feature": np.asarray(features)[grid[1]]}
        return frame(columns | {"value": mean.ravel(), "size": size.ravel()})

    def sentences(self) -> list[str]:
        """Summarise the finding in sentences, the most important first.

        Returns
        -------
        sentences : list of str
            The features and lags of the largest contributions, and whether the values add up to the output.
        """
        size = np.nanmean(np.abs(self.values.values), 0)
        total = size.sum()
        if not total:
            return [f"No input changes the {self.output}."]
        features = self.values.labels["feature"]
        lag, k = (int(at) for at in np.unravel_index(size.argmax(), size.shape))
        share = f"{size[lag, k] / total:.0%} of the total"
        text = [f"{features[k]} at lag {lag} contributes most to the {self.output}: {share}."]
        half = int(np.argmax(size.sum(1).cumsum() >= total / 2)) + 1
        text.append(f"Half of the contributions lie within the last {steps_text(half)} of {len(size)}.")
        if len(features) > 1:
            shares = size.sum(0) / total
            order = np.argsort(-shares, kind="stable")[:5]
            text.append(
                f"Of the features, {', '.join(f'{features[at]} has {shares[at]:.0%}' for at in order)}."
            )
        if self.method == "integrated":
            text.append(
                f"The values of a sequence add up to its {self.output}, minus that for the baseline, within"
                f" {self.gap.max():.1%}."
            )
        return text


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
    """Attribute the output of a model to every feature at every lag.

    "integrated": integrated gradients (Sundararajan, Taly & Yan 2017), ``(x - b) * mean over the path from b to x of
    dA/dx`` for the output A, by Gauss-Legendre points that are doubled until the values add up to A(x) - A(b).
    "gradient": gradient times input, ``(x - b) * dA/dx`` at x alone: fast, and adds up for linear models only.

    Parameters
    ----------
    model : Estimator or torch.nn.Module
        A fitted estimator with a recurrent net, a net of `regen.nn` or ``torch.nn``, or a torch module that
        contains one and has one tensor as input.
    X : array-like, tensor, dataframe or list of arrays
        The input, as in `gates`: a series (N,) or (N, C), sequences such as (n, T, F), or the input of a module.
    y : array-like of shape (n,), default=None
        Labels for a GAN that was fitted with some; other models have no input for labels.
    of : int or label, default=None
        The output. A Forecaster: the step of the horizon from 0, None is the mean of all; the mean over
        columns. A SequenceClassifier: the logit of this class, None is that of the predicted class. A GAN has
        one output, the logit of a sequence being real. Others: the number of the output from 0, None is the
        mean of all.
    method : {"integrated", "gradient"}, default="integrated"
        Integrated gradients are complete: they add up to the difference of two outputs.
    baseline : float or array-like of shape (T, F), default=0.0
        b, the input without information, as the network receives it: standardised, so that 0 is the mean of the
        training data.
    rows : int, default=64
        Windows of a series (evenly spaced) or sequences (the first) that are used, at most: each takes many passes. A
        torch module uses all.

    Returns
    -------
    found : Saliency
        A value for each sequence, lag and feature.

    Raises
    ------
    ValueError
        When the model has no recurrent net or no such output, or its input is not one tensor.

    See Also
    --------
    ablate : Units and gates in place of inputs.
    gradient_flow : How far back inputs matter.

    Examples
    --------
    >>> import torch, regen
    >>> net, x = torch.nn.LSTM(3, 8, batch_first=True), torch.randn(4, 5, 3)
    >>> regen.inspect.saliency(net, x).values
    Labelled(sequence: 4, lag: 5, feature: 3)
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
            f"saliency needs one tensor (B, T, F) of numbers as the input of the model. Got {kind} instead."
        )
    start = torch.as_tensor(np.asarray(baseline), dtype=x.dtype, device=x.device).expand_as(x)
    with gradients_in_evaluation(probe.net):
        columns = _columns(probe, of)
        with torch.no_grad():
            outputs, baseline_outputs = (_selected(probe, columns, at).double() for at in (x, start))
        difference = outputs - baseline_outputs
        if method == "gradient":
            values = (x - start).double() * _gradient(probe, columns, x)
        else:
            values = _integrated(probe, columns, start, difference)
    values = _by_rows(probe, values, len(outputs))
    missing = (values.sum((1, 2)) - difference).abs() / difference.abs().mean().clamp(min=1e-12)
    return Saliency(
        _by_lag(probe, values),
        method,
        outputs.cpu().numpy(),
        baseline_outputs.cpu().numpy(),
        missing.cpu().numpy(),
        probe.output,
    )


def _columns(probe: Probe, of: Any) -> Tensor:
    """(n, k) places of the selected outputs of each row; their mean is explained."""
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


def _selected(probe: Probe, columns: Tensor, x: Tensor) -> Tensor:
    """(n,) the explained output for the input x."""
    return probe.outputs(x).gather(1, columns).mean(1)


def _gradient(probe: Probe, columns: Tensor, at: Tensor) -> Tensor:
    """dA/dx, of the shape of x, in float64."""
    with torch.enable_grad():
        x = at.detach().requires_grad_()
        (grad,) = torch.autograd.grad(_selected(probe, columns, x).sum(), x, allow_unused=True)
    return torch.zeros_like(at, dtype=torch.float64) if grad is None else grad.double()


def _integrated(probe: Probe, columns: Tensor, start: Tensor, difference: Tensor) -> Tensor:
    """(x - b) times the mean gradient on the path from b to x; points are doubled where the sum is inexact."""
    values = _along_path(probe, columns, start, FIRST_POINTS)
    typical, points = float(difference.abs().mean()), FIRST_POINTS
    while points < MOST_POINTS:
        missing = (_by_rows(probe, values, len(difference)).sum((1, 2)) - difference).abs()
        left = (missing > COMPLETE * typical).nonzero()[:, 0]
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
    """(x - b) times the mean gradient at Gauss-Legendre points of the path.

    They lie close together near b, by a substitution: a net that standardises its input by itself bends there.
    """
    x = probe.x
    places, weights = np.polynomial.legendre.leggauss(points)
    mean = torch.zeros_like(x, dtype=torch.float64)
    for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
        mean += 2 * place * weight * _gradient(probe, columns, torch.lerp(start, x, float(place**2)))
    values: Tensor = (x - start).double() * mean
    return values


def _by_rows(probe: Probe, values: Tensor, n: int) -> Tensor:
    """(n, T, F) from the layout of the input: a module may have time first, one sequence, or one feature."""
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
