"""The compiled kernels on torch tensors: memory for the results, and gradients in eager mode.

What arrives here has passed the checks of `native.run`: addresses are taken of float32 tensors on the CPU, whose
sizes are those of the cell.
"""

from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.kernels import reference
from regen.kernels.native import _extension

Slots: TypeAlias = tuple[Tensor | None, ...]
"""One place for each of the cell's parameters, in the order of ``cell.shapes``; None is a bias left out."""

ALONE = (None, None)  # of a cell's states, at most two
_TOLD: dict[type[Cell], tuple[str, ...]] = {
    LSTM: ("i", "f", "g", "o", "c"),
    GRU: ("r", "z", "n"),
    Jordan: ("h",),
}


class Ask(NamedTuple):
    """What is asked of a kernel, apart from the tensors that gradients flow to."""

    cell: Cell
    lengths: Tensor | None
    """(B,) int64."""
    reverse: bool
    keep: Tensor | None
    """(B, P)."""
    masks: Slots
    """(B, T, size) for each state, or None where the number in `zones` holds for all."""
    zones: tuple[float, ...]
    gates: bool
    low: bool
    """Whether the gates are computed again in the backward pass instead of kept."""
    stacked: bool
    """Whether the last states are (1, B, size), as a net of one layer returns them."""


class Told(NamedTuple):
    """What a kernel writes."""

    output: Tensor
    last: tuple[Tensor, ...]
    gates: tuple[Tensor, ...]
    saved: Tensor | None
    """What `backward` reads beside the output, if there is any."""


def kind(cell: Cell) -> str:
    """What the compiled module calls `cell`, or nothing when it has none such."""
    known = type(cell)
    if known is LSTM:
        return "" if cell.proj_size else f"lstm_{cell.peephole}"  # type: ignore[attr-defined]
    if known is GRU:
        return f"gru_{cell.reset}"  # type: ignore[attr-defined]
    if known is Elman or known is Diagonal or known is Jordan:
        return f"{known.__name__.lower()}_{cell.nonlinearity}"  # type: ignore[attr-defined]
    return ""


def told_gates(cell: Cell) -> tuple[str, ...]:
    """Names of the gates and contexts that a step of `cell` returns."""
    return _TOLD.get(type(cell), ())


class Form(NamedTuple):
    """A cell with its sizes: what every call needs to know of it."""

    layer: Any
    """The compiled one."""
    slots: tuple[tuple[str, tuple[int, ...]], ...]
    """Name and shape of each parameter."""
    sizes: tuple[int, ...]
    """Width of each state."""
    H: int


@lru_cache(maxsize=4096)
def form(cell: Cell, I: int, H: int) -> Form:  # noqa: E741
    """`cell` for I input features and H hidden units."""
    assert _extension.native is not None
    sizes = cell.state_sizes(H)
    layer = _extension.native.Layer(kind(cell), I, H, sizes[0])
    return Form(layer, tuple(cell.shapes(I, H).items()), sizes, H)


def kept(form: Form, ask: Ask, B: int, T: int) -> int:
    """How many numbers `forward` keeps for `backward`."""
    zoned = any(ask.zones) or ask.masks != ALONE[: len(ask.masks)]
    return form.layer.saved(B, T, zoned, ask.low)  # type: ignore[no-any-return]


def forward(form: Form, ask: Ask, x: Tensor, weights: Slots, state: tuple[Tensor, ...], save: bool) -> Told:
    """Run over time; `save` keeps what `backward` needs.

    x : (B, T, I), last dimension contiguous. state : (B, size) each, or () for zeros.
    """
    layer, _, sizes, H = form
    cell, lengths, reverse, keep, masks, zones, gated, low, stacked = ask
    B, T, _ = x.shape
    empty = x.new_empty
    output = empty((B, T, sizes[0]))
    last = tuple([empty((1, B, size) if stacked else (B, size)) for size in sizes])
    gates = tuple([empty((B, T, H)) for _ in told_gates(cell)]) if gated else ()
    count = kept(form, ask, B, T) if save else 0
    saved = empty((count,)) if count else None
    layer.forward(
        B, T, x, x.stride(0), x.stride(1), weights, state, 0 if lengths is None else lengths, reverse,
        0 if keep is None else keep, masks, zones, output, last, 0 if saved is None else saved, low, gates,
        torch.get_num_threads(),
    )  # fmt: skip
    return Told(output, last, gates, saved)


def backward(
    form: Form,
    ask: Ask,
    x: Tensor,
    weights: Slots,
    state: tuple[Tensor, ...],
    told: Told,
    grads: Slots,
    wanted: tuple[bool, ...],
) -> list[Tensor | None]:
    """Gradients to x, the weights and the states, in this order, None where they are not wanted.

    grads : (B, T, P) to the output and (B, size) to each last state; None is zeros.
    """
    _, lengths, reverse, keep, masks, zones, _, low, _ = ask
    B, T, _ = x.shape
    n = len(weights)
    # Everything but x is contiguous, and so is what is like it.
    found = [
        torch.empty_like(t) if want and t is not None else None
        for t, want in zip((*weights, *state), wanted[1:], strict=True)
    ]
    dx = x.new_empty(x.shape) if wanted[0] else None
    dense = [None if grad is None else plain(grad) for grad in grads]
    form.layer.backward(
        B, T, x, x.stride(0), x.stride(1), weights, state, 0 if lengths is None else lengths, reverse,
        0 if keep is None else keep, masks, zones, told.output, 0 if told.saved is None else told.saved, low,
        0 if dense[0] is None else dense[0], tuple(dense[1:]), 0 if dx is None else dx, tuple(found[:n]),
        tuple(found[n:]), torch.get_num_threads(),
    )  # fmt: skip
    return [dx, *found]


def through_reference(
    ask: Ask, x: Tensor, weights: Slots, state: tuple[Tensor, ...], grads: Slots, wanted: tuple[bool, ...]
) -> list[Tensor | None]:
    """As `backward` by the equations themselves: slower, for second derivatives and gradients of gates.

    grads : to the output, the last states and, if asked for, the gates; None is zeros.
    """
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        given = [
            None if t is None else t.view_as(t) if again else t.detach().requires_grad_(want)
            for t, want in zip((x, *weights, *state), wanted, strict=True)
        ]
        x, n = given[0], len(weights)  # type: ignore[assignment]
        params = {name: w for name, w in zip(names(ask.cell), given[1 : n + 1], strict=True) if w is not None}
        zoneout = [z if mask is None else mask for z, mask in zip(ask.zones, ask.masks, strict=True)]
        result = reference.run(
            ask.cell, params, x, tuple(given[n + 1 :]) or None, lengths=ask.lengths, reverse=ask.reverse,  # type: ignore[arg-type]
            keep=ask.keep, zoneout=zoneout, gates=ask.gates,
        )  # fmt: skip
        heard = [
            (value.view_as(grad), grad)
            for value, grad in zip(
                (result.output, *result.state, *result.gates.values()), grads, strict=False
            )
            if grad is not None and value.requires_grad
        ]
        asked = [k for k, (t, want) in enumerate(zip(given, wanted, strict=True)) if want and t is not None]
        found: list[Tensor | None] = [None] * len(given)
        if heard:
            values, at = zip(*heard, strict=True)
            leaves = [given[k] for k in asked]
            some = torch.autograd.grad(values, leaves, at, create_graph=again, allow_unused=True)  # type: ignore[arg-type]
            for k, grad in zip(asked, some, strict=True):
                found[k] = grad
    return found


def names(cell: Cell) -> tuple[str, ...]:
    """The cell's parameters in the order of `Slots`."""
    return tuple(cell.shapes(1, 1))


def plain(t: Tensor) -> Tensor:
    """`t` as numbers side by side in memory: contiguous and no view that negates."""
    return t if t.is_contiguous() and not t.is_neg() else t.contiguous().resolve_neg()


def rows(x: Tensor) -> Tensor:
    """`x` (B, T, I) itself if its features lie side by side, else a copy."""
    return x if x.stride(-1) == 1 and not x.is_neg() else x.contiguous().resolve_neg()


class Unfold(torch.autograd.Function):
    """Eager autograd. ``apply(form, ask, x, *weights, *state)`` gives the output, last states and gates, flat."""

    @staticmethod
    def forward(ctx: Any, form: Form, ask: Ask, x: Tensor, *rest: Tensor | None) -> tuple[Tensor, ...]:
        """Run, and keep what `backward` reads; the weights come first in `rest`, then the states."""
        n = len(form.slots)
        output, last, gates, saved = forward(form, ask, x, rest[:n], rest[n:], True)  # type: ignore[arg-type]
        ctx.set_materialize_grads(False)
        # Lengths and masks too, so that changing them before the backward pass is an error, not a wrong address.
        ctx.save_for_backward(output, saved, ask.lengths, ask.keep, *ask.masks, x, *rest)
        ctx.form, ctx.ask = form, ask
        return (output, *last, *gates)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """The kernel's gradients, or those of the equations where the kernel has none."""
        form, ask = ctx.form, ctx.ask
        n, states = len(form.slots), len(form.sizes)
        kept = ctx.saved_tensors
        output, saved, x, rest = kept[0], kept[1], kept[4 + states], kept[5 + states :]
        wanted = ctx.needs_input_grad[2:]
        if torch.is_grad_enabled() or (ask.gates and any(grad is not None for grad in grads[1 + states :])):
            return None, None, *through_reference(ask, x, rest[:n], rest[n:], grads, wanted)
        told = Told(output, (), (), saved)
        return None, None, *backward(form, ask, x, rest[:n], rest[n:], told, grads[: 1 + states], wanted)


# `Unfold.apply` without its look for torch.func, which `native.run` has been through already.
apply: Any = super(torch.autograd.Function, Unfold).apply
