"""Backend "reference": one loop over any cell, in plain differentiable torch.

Every other backend must give the same results. This one is the oracle of the tests, the fallback on any device, and
the backend of ``torch.func`` transforms and double backward.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from regen._masks import length_mask
from regen.cells import Cell, Gates, Parameters, State


class Result(NamedTuple):
    """The results of a kernel."""

    output: Tensor
    """(B, T, P): the first state at every step; 0 past a row's length."""
    state: State
    """One (B, size) tensor for each of the cell's states, after the last valid step."""
    gates: Gates
    """(B, T, H) by name when requested, else empty; 0 past a row's length."""


def run(
    cell: Cell,
    params: Parameters,
    x: Float[Tensor, "B T I"],
    state: State | None = None,
    *,
    lengths: Int64[Tensor, "B"] | None = None,
    reverse: bool = False,
    keep: Float[Tensor, "B P"] | None = None,
    zoneout: Sequence[Tensor | float] | None = None,
    gates: bool = False,
) -> Result:
    """Unfold `cell` over time: one copy of it for each step of `x`.

    Parameters
    ----------
    cell, params : the equation, and its parameters named as in ``cell.shapes``.
    x : (B, T, I) inputs with T >= 1.
    state : one (B, size) tensor for each of ``cell.states``; None is zeros.
    lengths : (B,) valid steps of each row, 0 allowed; None is T for all. Steps beyond are never read.
    reverse : run from a row's last valid step back to its first; outputs stay at the steps they belong to.
    keep : (B, P) factors on the previous output before the recurrent matrix, the same at all steps and scaled by
        1/(1-p) (variational dropout, Gal & Ghahramani 2016); None is ones.
    zoneout : for each state the fraction z of the old value that is kept, s_t = z s_{t-1} + (1 - z) s_new,
        as a number or (B, T, size) (Krueger et al. 2017); None is 0.
    gates : also return every gate and context.
    """
    T = x.shape[1]
    alive = None
    if lengths is not None:
        alive = length_mask(lengths, T, x.device).unsqueeze(-1)
        x = torch.where(alive, x, torch.zeros_like(x))
    wx = cell.project(params, x).unbind(1)
    state = blank(cell, params, x) if state is None else state
    steps: list[tuple[Tensor, Gates]] = []
    for t in reversed(range(T)) if reverse else range(T):
        _, new, now = cell.step(params, wx[t], state, keep)
        if zoneout is not None:
            new = tuple(_mix(z, t, old, s) for z, old, s in zip(zoneout, state, new, strict=True))
            now |= {name: s for name, s in zip(cell.states, new, strict=True) if name in now}
        if alive is not None:
            new = tuple(torch.where(alive[:, t], s, old) for s, old in zip(new, state, strict=True))
        state = new
        steps.append((state[0], now if gates else {}))
    if reverse:
        steps.reverse()
    output = _over_time([output for output, _ in steps], alive)
    kept = {name: _over_time([now[name] for _, now in steps], alive) for name in steps[0][1]}
    return Result(output, state, kept)


def blank(cell: Cell, params: Parameters, x: Float[Tensor, "B T I"]) -> State:
    """Zero states for the rows of x."""
    H = params["weight_ih"].shape[0] // len(cell.gates)
    return tuple(x.new_zeros(x.shape[0], size) for size in cell.state_sizes(H))


def _mix(z: Tensor | float, t: int, old: Tensor, new: Tensor) -> Tensor:
    kept = z[:, t] if isinstance(z, Tensor) and z.ndim == 3 else z
    return kept * old + (1 - kept) * new


def _over_time(steps: list[Tensor], alive: Tensor | None) -> Tensor:
    whole = torch.stack(steps, 1)
    return whole if alive is None else torch.where(alive, whole, torch.zeros_like(whole))
