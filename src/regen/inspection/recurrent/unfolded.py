"""The unfolded network with the states and inputs of every copy as nodes of the graph.

The reference loop runs any cell. Letters: `n` rows, `S` recurrent
steps, `s` numbers of a state (h and c side by side).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, final

import torch
from torch import Tensor

from regen._masks import length_mask
from regen.cells import Cell, Parameters, State
from regen.cells._cell import Step
from regen.kernels import LayerCall, Result
from regen.nets import LayerHook

__all__ = ["Trace", "spectral_radius", "tracing"]

JACOBIANS = 1.5e8
"""Cubed size of a state times the number of Jacobians with eigenvalues; about a second."""
MOST_JACOBIANS, MOST_ROWS = 1024, 4


class Trace(NamedTuple):
    """One layer in one direction, run over time once, with its nodes in the graph.

    x : (n, S, V) input of the layer. before, after : S states before and after each copy, in the order of the
    steps. alive : (n, S) which steps are valid.
    """

    cell: Cell
    params: Parameters
    x: Tensor
    before: list[State]
    after: list[State]
    alive: Tensor
    zones: tuple[float, ...]


@final
@dataclass(frozen=True)
class RecordingCell(Cell):
    """A cell that records the states before and after each step."""

    cell: Cell
    before: list[State] = field(default_factory=list)
    after: list[State] = field(default_factory=list)

    def __post_init__(self) -> None:
        vars(self).update(gates=self.cell.gates, states=self.cell.states)

    def shapes(self, I: int, H: int, bias: bool = True) -> dict[str, tuple[int, ...]]:  # noqa: E741
        return self.cell.shapes(I, H, bias)

    def state_sizes(self, H: int) -> tuple[int, ...]:
        return self.cell.state_sizes(H)

    def step(self, params: Parameters, wx_t: Tensor, state: State, keep: Tensor | None = None) -> Step:
        output, new, gates = self.cell.step(params, wx_t, state, keep)
        self.before.append(state)
        self.after.append(new)
        return output, new, gates


def tracing(traces: list[Trace]) -> LayerHook:
    """A hook for ``Recurrent.intercept``: the reference loop runs each layer and leaves its nodes in `traces`."""

    def trace(call: LayerCall, run: Callable[[LayerCall], Result]) -> Result:
        x = (call.x if call.x.requires_grad else call.x.detach().requires_grad_()).view_as(call.x)
        recording = RecordingCell(call.cell)
        result = run(call._replace(cell=recording, x=x, backend="reference"))
        zones = tuple(float(z) for z in call.zoneout or (0.0,) * len(call.cell.states))
        before = recording.before  # with zoneout, the next state is not that of the cell
        after = [*before[1:], result.state] if any(zones) else recording.after
        if call.reverse:
            before, after = before[::-1], after[::-1]
        lengths = torch.full(x.shape[:1], x.shape[1]) if call.lengths is None else call.lengths
        alive = length_mask(lengths, x.shape[1], x.device)
        traces.append(Trace(call.cell, call.params, x, before, after, alive, zones))
        return result

    return trace


def spectral_radius(trace: Trace) -> Tensor:
    """(S,) size of the largest eigenvalue of ds_t / ds_{t-1} along the data; NaN at steps where it was not computed.

    The mean over at most 4 rows, at as many evenly spaced steps as take about a second.
    """
    n, S = trace.alive.shape
    size = sum(part.shape[1] for part in trace.before[0])
    count = int(min(max(JACOBIANS / size**3, MOST_ROWS), MOST_JACOBIANS))
    rows = _spread(n, MOST_ROWS)
    steps = _spread(S, max(count // len(rows), 1))
    params = {name: weight.detach() for name, weight in trace.params.items()}
    sizes = [part.shape[1] for part in trace.before[0]]

    def advanced(state: Tensor, wx_t: Tensor) -> Tensor:
        old = torch.split(state[None], sizes, 1)
        _, new, _ = trace.cell.step(params, wx_t[None], old)
        return torch.cat([z * o + (1 - z) * s for z, o, s in zip(trace.zones, old, new, strict=True)], 1)[0]

    with torch.no_grad():
        wx = trace.cell.project(params, trace.x.detach()[rows][:, steps]).flatten(0, 1)
        states = [torch.cat([part.detach()[rows] for part in trace.before[t]], 1) for t in steps.tolist()]
        before = torch.stack(states, 1).flatten(0, 1)
        J = torch.func.vmap(torch.func.jacrev(advanced), chunk_size=64)(before, wx)
        largest = torch.linalg.eigvals(J.cpu()).abs().amax(-1).view(len(rows), len(steps))
    alive = trace.alive.cpu()[rows][:, steps]
    found = torch.full((S,), torch.nan, dtype=largest.dtype)
    found[steps] = torch.where(alive, largest, torch.nan).nanmean(0)
    return found


def _spread(n: int, most: int) -> Tensor:
    """At most `most` of the numbers from 0 to n - 1, evenly spaced."""
    return torch.linspace(0, n - 1, min(n, most)).round().long()
