"""Gradients back through time, and the reach of the memory.

Letters: `L` layers, `D` directions, `S` recurrent steps, `n` sequences.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regen._check import Int, Number, check_parameters
from regen.estimators._probe import Probe
from regen.inspection.finding import Finding
from regen.inspection.labelled import Labelled
from regen.inspection.recurrent.clamping import DIRECTIONS
from regen.inspection.recurrent.memory_span import changes
from regen.inspection.recurrent.models import Loss, gradients_in_evaluation, inspected_part, probe_to_evaluate
from regen.inspection.recurrent.parts import Part, not_run
from regen.inspection.recurrent.sentences import steps_text
from regen.inspection.recurrent.unfolded import Trace, spectral_radius, tracing

__all__ = ["GradientFlow", "gradient_flow"]

ROWS = 64
"""Sequences of the mean of the gradients; a graph of every copy is kept for each."""
LEAST = 1e-36
"""Smaller norms are rounding errors of float32, or 0."""


@final
@dataclass(frozen=True, eq=False, repr=False)
class GradientFlow(Finding):
    """Gradients of the loss L at every step, and the reach of the memory.

    Attributes
    ----------
    part : str
        Name of the net inside the model.
    segment : int
        Steps of the data in each recurrent step.
    norms : dict of str to Labelled
        Mean over sequences of the norm of dL/dh_t ("state"), dL/dc_t ("context", of an LSTM; including the path
        through h_t) and dL/dx_t ("input" of each layer), by layer, direction and step.
    radius : Labelled
        Spectral radius of the recurrent Jacobian ds_t / ds_{t-1} along the data, by layer, direction and step:
        mean over sequences; NaN at steps where it was not computed.
    rate : Labelled
        By layer and direction, the factor by which the norm of the gradient with respect to the whole state
        changes with each recurrent step back in time: below 1 it vanishes, above 1 it explodes.
    lags : ndarray of shape (k,)
        Steps of the data.
    change : ndarray of shape (k,)
        Change of the output when inputs of that age and older are taken from another sequence, as a share of
        the change when all inputs are.
    reach : int or None
        The smallest lag from which on the change is below `share`; None when the oldest input changes it more.
    share : float
        The threshold for `reach`.
    output : str
        "forecast" or "output".
    """

    part: str
    segment: int
    norms: Mapping[str, Labelled]
    radius: Labelled
    rate: Labelled
    lags: NDArray[np.int64]
    change: NDArray[np.float64]
    reach: int | None
    share: float
    output: str

    def sentences(self) -> list[str]:
        """Summarise the finding in sentences, the most important first.

        Returns
        -------
        sentences : list of str
            The reach, whether gradients vanish or explode, and the spectral radius.
        """
        text = [self._reach_sentence()]
        for layer, d in np.ndindex(self.rate.shape):
            text.append(self._rate_sentence(layer, d))
            radius = self.radius.values[layer, d]
            if not np.isnan(radius).all():
                text.append(
                    f"The spectral radius of its recurrent Jacobian is {np.nanmean(radius):.2f} on average along the"
                    f" data and {np.nanmax(radius):.2f} at most."
                )
        return text

    def _reach_sentence(self) -> str:
        if self.reach is None:
            last = steps_text(float(self.lags[-1]))
            oldest = f"the oldest changes it by {self.share:.0%} or more"
            return f"The {self.output} depends on all {last} of the input: {oldest}."
        if self.reach == 0:
            return f"No input changes the {self.output}."
        older = f"Inputs older than {steps_text(self.reach)}"
        return f"{older} change the {self.output} by under {self.share:.0%}."

    def _rate_sentence(self, layer: int, d: int) -> str:
        rate = float(self.rate.values[layer, d])
        where = f" of layer {layer}" if self.rate.shape[0] > 1 else ""
        where += f" in direction {DIRECTIONS[d]}" if self.rate.shape[1] > 1 else ""
        start = f"Back in time, the gradient with respect to the state{where}"
        if np.isnan(rate):
            return f"{start} is 0."
        if abs(rate - 1) < 0.001:
            return f"{start} is constant from step to step."
        half, share = abs(float(np.log(2) / np.log(rate))), f"{abs(1 - rate):.1%}"
        if rate < 1:
            return (
                f"{start} shrinks by {share} at every recurrent step: half is left after {steps_text(half)}."
            )
        return f"{start} grows by {share} at every recurrent step: it doubles in {steps_text(half)}."


def gradient_flow(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    part: str | None = None,
    loss: Loss | None = None,
    rows: int = ROWS,
    share: float = 0.01,
) -> GradientFlow:
    """Measure how gradients propagate back through time, and how far back inputs matter.

    The gradients are those of the equations, computed by the reference loop in evaluation mode, for the loss of each
    sequence separately; the ``grad`` of the parameters is not changed.

    Parameters
    ----------
    model : Estimator or torch.nn.Module
        A fitted estimator with a recurrent net, a net of `regen.nn` or ``torch.nn``, or a torch module that
        contains one.
    X : array-like, tensor, dataframe or list of arrays
        The input, as in `gates`: a series (N,) or (N, C), sequences such as (n, T, F), or the input of a module.
    y : array-like of shape (n,) or (n, K), default=None
        Classes or targets. The targets of a Forecaster are the next steps of its series and those of an
        autoencoder are X: they take none. Without targets, gradients are those of the sum of the outputs of
        each row, which vanish or explode alike.
    part : str, default=None
        Name of the recurrent net, see `parts`; None is the first.
    loss : callable, default=None
        For a torch module: ``loss(outputs, y)`` returns the loss (n,) of each row. None is the cross-entropy
        for whole numbers y and the squared error for others.
    rows : int, default=64
        Windows of a series (evenly spaced) or sequences (the first) that are used, at most: the mean is stable,
        and the graph of every copy is kept in memory. A torch module uses all.
    share : float, default=0.01
        Relative change of the output below which inputs no longer matter, for the reach.

    Returns
    -------
    found : GradientFlow
        Norms of the gradients, spectral radius of the Jacobians, and the reach of the memory.

    Raises
    ------
    ValueError
        When the model has no recurrent net or no such part, or did not run it.

    See Also
    --------
    saliency : Contributions of single inputs.
    loss_per_copy : The losses that the gradients come from.

    Examples
    --------
    >>> import torch, regen
    >>> net, x = torch.nn.LSTM(3, 8, batch_first=True), torch.randn(4, 5, 3)
    >>> flow = regen.inspect.gradient_flow(net, x)
    >>> flow.norms["state"]
    Labelled(layer: 1, direction: 1, step: 5)
    """
    table = {"rows": Int(1), "share": Number(0, 1, low_open=True)}
    check_parameters("gradient_flow", table, {"rows": rows, "share": share})
    probe = probe_to_evaluate(model, X, y, part, loss, rows)
    chosen = inspected_part(probe, part)
    with gradients_in_evaluation(probe.net):
        calls = _traced(probe, chosen)
        lags, change, reach = changes(probe, chosen, share)
    s = probe.segment
    reach = None if reach is None else reach * s
    return GradientFlow(
        chosen.name, s, *_measured(chosen, calls), lags * s, change, reach, share, probe.output
    )


Grads = list[tuple[Trace, list[Tensor]]]


def _traced(probe: Probe, part: Part) -> Grads:
    """Every run of the part with the gradients of its nodes: x (n, S, V), then (S, n, s) for each of its states."""
    traces: list[Trace] = []
    with torch.enable_grad(), part.intercept(layer=tracing(traces)):
        objective = probe.objective(probe.x).sum()
    if not traces:
        raise not_run(part)
    nodes = [node for trace in traces for node in (trace.x, *(s for state in trace.after for s in state))]
    grads = iter(torch.autograd.grad(objective, nodes, allow_unused=True))
    found: Grads = []
    for trace in traces:

        def filled(node: Tensor) -> Tensor:
            grad = next(grads)
            return torch.zeros_like(node) if grad is None else grad

        x = filled(trace.x)
        states = [[filled(s) for s in state] for state in trace.after]
        found.append((trace, [x, *(torch.stack(each) for each in zip(*states, strict=True))]))
    return found


def _measured(part: Part, calls: Grads) -> tuple[dict[str, Labelled], Labelled, Labelled]:
    """Norms, radius and rate by layer and direction; calls of a net follow each other in time."""
    net = part.net
    L, D = net.num_layers, 1 + net.bidirectional
    words = ("input", "state", "context")[: 1 + len(net.cell.states)]
    norms: dict[str, list[NDArray[np.float64]]] = {word: [] for word in (*words, "radius")}
    rates = []
    for k in range(L * D):
        own = calls[k :: L * D]
        alive = torch.cat([trace.alive for trace, _ in own], 1)
        sizes = [torch.cat([grad[0].norm(dim=-1) for _, grad in own], 1)]
        sizes += [torch.cat([g[1 + at].norm(dim=-1) for _, g in own]).T for at in range(len(words) - 1)]
        for word, size in zip(words, sizes, strict=True):
            norms[word].append(_mean(size, alive))
        together = torch.stack(sizes[1:]).square().sum(0).sqrt()
        rates.append(_rate(_mean(together, alive), backward=k % D == 1))
        norms["radius"].append(torch.cat([spectral_radius(trace) for trace, _ in own]).double().numpy())
    S = len(norms["state"][0])
    labels: dict[str, Any] = {"layer": range(L), "direction": DIRECTIONS[:D], "step": range(S)}
    axes = ("layer", "direction", "step")
    text = {word: Labelled(np.reshape(each, (L, D, S)), axes, labels) for word, each in norms.items()}
    rate = Labelled(np.reshape(rates, (L, D)), axes[:2], {axis: labels[axis] for axis in axes[:2]})
    return text, text.pop("radius"), rate


def _mean(size: Tensor, alive: Tensor) -> NDArray[np.float64]:
    """(S,) mean over the rows (n, S) that have such a step."""
    return torch.where(alive, size.double(), torch.nan).nanmean(0).cpu().numpy()


def _rate(norms: NDArray[np.float64], backward: bool) -> float:
    """The factor by which norms (S,) change per step against the direction: a line fitted to their logarithms."""
    steps = np.flatnonzero(norms > LEAST)
    if len(steps) < 2:
        return float("nan")
    slope = np.polyfit(steps, np.log(norms[steps]), 1)[0]
    return float(np.exp(slope if backward else -slope))
