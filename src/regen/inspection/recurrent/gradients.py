"""How gradients flow back through time, and how far memory reaches.

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
"""Sequences whose gradients are followed: their mean is steady, and a graph of every copy is kept for each."""
LEAST = 1e-36
"""Smaller norms are noise of the rounding in float32, or nothing at all."""


@final
@dataclass(frozen=True, eq=False)
class GradientFlow(Finding):
    """How the gradient of the loss L changes on its way back, and how far back inputs count.

    Attributes
    ----------
    part : which net of the model. segment : steps of the data that a recurrent step reads.
    norms : mean over sequences of the norm of dL/dh_t ("state"), dL/dc_t ("context", of an LSTM; also by way of
        h_t, which is made of it) and dL/dx_t ("input": of what each layer reads), by layer, direction and step.
    radius : by layer, direction and step, the size of the largest eigenvalue of the recurrent Jacobian
        ds_t / ds_{t-1} along the data, mean over sequences; NaN at steps that were not asked.
    rate : by layer and direction, the factor by which the norm of the gradient to the whole state changes with every
        recurrent step that it goes back: below 1 it vanishes, above 1 it explodes.
    lags : (k,) steps of the data. change : (k,) how much the answer changes when inputs of that age and older come
        from another sequence, as a share of the change when all of them do.
    reach : the smallest lag from which on the change is under `share`; None when the oldest input counts more.
    share : 0.01 unless asked otherwise. output : "forecast" or "answer".
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
        """How far memory reaches, whether gradients vanish or explode, and how the Jacobian stretches the state."""
        told = [self._reach()]
        for layer, d in np.ndindex(self.rate.shape):
            told.append(self._fading(layer, d))
            radius = self.radius.values[layer, d]
            if not np.isnan(radius).all():
                told.append(
                    f"The spectral radius of its recurrent Jacobian is {np.nanmean(radius):.2f} on average along the"
                    f" data and {np.nanmax(radius):.2f} at most."
                )
        return told

    def _reach(self) -> str:
        if self.reach is None:
            last = steps_text(float(self.lags[-1]))
            told = f"the oldest changes it by {self.share:.0%} or more"
            return f"The {self.output} depends on all {last} that are read: {told}."
        if self.reach == 0:
            return f"No input changes the {self.output}."
        older = f"Inputs older than {steps_text(self.reach)}"
        return f"{older} change the {self.output} by under {self.share:.0%}."

    def _fading(self, layer: int, d: int) -> str:
        rate = float(self.rate.values[layer, d])
        where = f" of layer {layer}" if self.rate.shape[0] > 1 else ""
        where += f" reading {DIRECTIONS[d]}" if self.rate.shape[1] > 1 else ""
        start = f"Going back, the gradient to the state{where}"
        if np.isnan(rate):
            return f"{start} is nothing: it does not reach that far."
        if abs(rate - 1) < 0.001:
            return f"{start} is carried unchanged from step to step."
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
    """The gradient to every copy of the unfolded network, and how far back inputs count.

    Gradients are those of the equations themselves, by the reference loop, in evaluation, one sequence at a time in
    the sense that each has the loss of its own answer; no parameter's ``grad`` is touched.

    Parameters
    ----------
    model : a fitted estimator with a recurrent net, a net of `regen.nn` or ``torch.nn``, or a torch module that holds
        some.
    X : what the model reads, as in `gates`: a series (N,) or (N, C), sequences such as (n, T, F), a module's input.
    y : (n,) or (n, K) what should be answered, as in `ablate`. Without it the gradients are those of the sum of each
        answer, not of a loss: they fade alike.
    part : which recurrent net, of several; see `parts`. None is the first.
    loss : for a torch module, as in `ablate`.
    rows : windows of a series (evenly spread) or sequences (the first) that are used, at most. Not for torch modules.
    share : what still counts as a change of the answer, for the reach.

    Raises
    ------
    ValueError : nothing in the model is recurrent, there is no such part, or it was not run.
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
    """Every run of the part with the gradients to its nodes: x (n, S, V), then (S, n, s) for each of its states."""
    traces: list[Trace] = []
    with torch.enable_grad(), part.intercept(layer=tracing(traces)):
        pulled = probe.objective(probe.x).sum()
    if not traces:
        raise not_run(part)
    nodes = [node for trace in traces for node in (trace.x, *(s for state in trace.after for s in state))]
    grads = iter(torch.autograd.grad(pulled, nodes, allow_unused=True))
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
    told = {word: Labelled(np.reshape(each, (L, D, S)), axes, labels) for word, each in norms.items()}
    rate = Labelled(np.reshape(rates, (L, D)), axes[:2], {axis: labels[axis] for axis in axes[:2]})
    return told, told.pop("radius"), rate


def _mean(size: Tensor, alive: Tensor) -> NDArray[np.float64]:
    """(S,) mean over the rows (n, S) that have such a step."""
    return torch.where(alive, size.double(), torch.nan).nanmean(0).cpu().numpy()


def _rate(norms: NDArray[np.float64], backward: bool) -> float:
    """The factor by which norms (S,) change with every step against the reading: a line through their logarithms."""
    steps = np.flatnonzero(norms > LEAST)
    if len(steps) < 2:
        return float("nan")
    slope = np.polyfit(steps, np.log(norms[steps]), 1)[0]
    return float(np.exp(slope if backward else -slope))
