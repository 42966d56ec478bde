"""The compiled kernels on torch tensors: memory for the results, addresses, and gradients in eager mode.

What arrives here has passed the checks of `native.run`: addresses are taken of float32 tensors on the CPU, whose
sizes are those of the cell.
"""

from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.kernels import _compiled, reference

Slots: TypeAlias = tuple[Tensor | None, ...]
"""One place for each of the cell's parameters, in the order of ``cell.shapes``; None is a bias left out."""

_CPU = torch.device("cpu")
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


class Told(NamedTuple):
    """What a kernel writes."""

    output: Tensor
    last: tuple[Tensor, ...]
    gates: tuple[Tensor, ...]
    saved: Tensor | None


def kind(cell: Cell) -> str:
    """What the compiled module calls `cell`, or nothing when it has none such."""
    known = type(cell)
    if known is Jordan or (known is GRU and cell.reset == "before"):  # type: ignore[attr-defined]
        return ""  # their kernels are being written
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


@lru_cache(maxsize=4096)
def layer(cell: Cell, I: int, H: int) -> Any:  # noqa: E741
    """The compiled layer for I input features and H hidden units."""
    assert _compiled.native is not None
    return _compiled.native.Layer(kind(cell), I, H, cell.state_sizes(H)[0])


def saved(ask: Ask, B: int, T: int, I: int, H: int) -> int:  # noqa: E741
    """How many numbers `forward` keeps for `backward`."""
    zoned = any(ask.zones) or any(mask is not None for mask in ask.masks)
    return int(layer(ask.cell, I, H).saved(B, T, zoned, ask.low))


def forward(ask: Ask, x: Tensor, weights: Slots, state: tuple[Tensor, ...], save: bool) -> Told:
    """Run over time; `save` keeps what `backward` needs.

    x : (B, T, I), last dimension contiguous. state : (B, size) each, or () for zeros.
    """
    B, T, I = x.shape  # noqa: E741
    H = weights[0].shape[0] // len(ask.cell.gates)  # type: ignore[union-attr]
    sizes = ask.cell.state_sizes(H)
    run = layer(ask.cell, I, H)
    output = _empty(B, T, sizes[0])
    last = tuple([_empty(B, size) for size in sizes])
    gates = tuple([_empty(B, T, H) for _ in told_gates(ask.cell)]) if ask.gates else ()
    kept = _empty(saved(ask, B, T, I, H)) if save else None
    run.forward(
        B, T, x.data_ptr(), x.stride(0), x.stride(1), _at(weights), _at(state or (None,) * len(sizes)), *_noise(ask),
        output.data_ptr(), _at(last), kept.data_ptr() if kept is not None else 0, ask.low, _at(gates),
        torch.get_num_threads(),
    )  # fmt: skip
    return Told(output, last, gates, kept)


def backward(
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
    B, T, I = x.shape  # noqa: E741
    H = weights[0].shape[0] // len(ask.cell.gates)  # type: ignore[union-attr]
    leaves = (x, *weights, *state)
    found = [
        _empty(*t.shape) if t is not None and want else None for t, want in zip(leaves, wanted, strict=True)
    ]
    dense = [None if grad is None else plain(grad) for grad in grads]
    to, n = _at(tuple(found)), len(weights)
    none = (0,) * (len(grads) - 1)
    layer(ask.cell, I, H).backward(
        B, T, x.data_ptr(), x.stride(0), x.stride(1), _at(weights), _at(state) or none, *_noise(ask),
        told.output.data_ptr(), told.saved.data_ptr(), ask.low,  # type: ignore[union-attr]
        0 if dense[0] is None else dense[0].data_ptr(), _at(tuple(dense[1:])),
        to[0], to[1 : n + 1], to[n + 1 :] or none, torch.get_num_threads(),
    )  # fmt: skip
    return found


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
            (value, grad)
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
    """Eager autograd. ``apply(ask, x, *weights, *state)`` returns the output, last states and gates, flat."""

    @staticmethod
    def forward(ctx: Any, ask: Ask, n: int, x: Tensor, *rest: Tensor | None) -> tuple[Tensor, ...]:
        """Run, and keep what `backward` reads; n weights come first in `rest`, then the states."""
        weights, state = rest[:n], rest[n:]
        told = forward(ask, x, weights, state, True)  # type: ignore[arg-type]
        ctx.set_materialize_grads(False)
        # Lengths and masks too, so that changing them before the backward pass is an error, not a wrong address.
        ctx.save_for_backward(told.output, told.saved, ask.lengths, ask.keep, *ask.masks, x, *rest)
        ctx.ask, ctx.n = ask, n
        return (told.output, *told.last, *told.gates)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """The kernel's gradients, or those of the equations where the kernel has none."""
        ask, n = ctx.ask, ctx.n
        states = len(ask.zones)
        output, saved, *rest = ctx.saved_tensors
        x, *rest = rest[2 + states :]
        weights, state, wanted = tuple(rest[:n]), tuple(rest[n:]), ctx.needs_input_grad[2:]
        if torch.is_grad_enabled() or any(grad is not None for grad in grads[1 + states :]):
            return None, None, *through_reference(ask, x, weights, state, grads, wanted)
        told = Told(output, (), (), saved)
        return None, None, *backward(ask, x, weights, state, told, grads[: 1 + states], wanted)


def _empty(*shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device=_CPU)


def _at(tensors: Slots) -> tuple[int, ...]:
    return tuple([0 if t is None else t.data_ptr() for t in tensors])


def _noise(ask: Ask) -> tuple[int, bool, int, tuple[int, ...], tuple[float, ...]]:
    lengths, keep = ask.lengths, ask.keep
    return (
        0 if lengths is None else lengths.data_ptr(),
        ask.reverse,
        0 if keep is None else keep.data_ptr(),
        _at(ask.masks),
        ask.zones,
    )
