"""The compiled kernels as custom operators of torch, for programs that are traced.

``regen::unfold`` and ``regen::unfold_backward`` have fake implementations, so ``torch.compile(fullgraph=True)``
and ``torch.export`` see one node each. A program that was exported needs ``import regen.nn`` where it is run.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._compile import _disable_dynamo

from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.kernels.native import _autograd
from regen.kernels.native._autograd import CellSpec, KernelArgs, KernelOutputs, Slots

_LIBRARY: Any = torch.library.Library("regen", "DEF")  # type: ignore[no-untyped-call]
# present : for each parameter of the cell, whether it is in `weights`. state : empty for zeros. zones : negative for
# a state with the next of `masks`.
_ARGUMENTS = (
    "str cell, Tensor x, Tensor[] weights, Tensor[] state, bool[] present, Tensor? lengths, bool reverse, "
    "Tensor? keep, Tensor[] masks, float[] zones, bool gates, bool low, bool stacked"
)
# Returns the output, the last states, the gates, and the saved floats (empty unless `save`).
_LIBRARY.define(f"unfold({_ARGUMENTS}, bool save) -> Tensor[]")
# Returns the gradients that are needed, of x, weights and states.
_LIBRARY.define(
    f"unfold_backward({_ARGUMENTS}, Tensor output, Tensor saved, Tensor?[] grads, bool[] needed) -> Tensor[]"
)


def run(args: KernelArgs, x: Tensor, weights: Slots, state: tuple[Tensor, ...], save: bool) -> list[Tensor]:
    """The output, last states and gates by the operator.

    x : (B, T, I). state : (B, size) each, or () for zeros.
    """
    _, lengths, reverse, keep, masks, zones, gates, low, stacked = args
    drawn = [mask for mask in masks if mask is not None]
    numbers = [z if mask is None else -1.0 for z, mask in zip(zones, masks, strict=True)]
    some, present = [w for w in weights if w is not None], [w is not None for w in weights]
    results: list[Tensor] = torch.ops.regen.unfold(
        _cell_name(args.cell), x, some, list(state), present, lengths, reverse, keep, drawn, numbers, gates, low,
        stacked, save,
    )  # fmt: skip
    return results[:-1]


def _unpack(
    cell: str, x: Any, weights: Sequence[Any], state: Sequence[Any], present: Sequence[bool],
    lengths: Tensor | None, reverse: bool, keep: Tensor | None, masks: Sequence[Any],
    zones: Sequence[float], gates: bool, low: bool, stacked: bool,
) -> tuple[KernelArgs, Tensor, Slots, tuple[Tensor, ...]]:  # fmt: skip
    """The arguments of the operator as `_autograd.forward` takes them; ValueError where their numbers do not fit."""
    known = _cell(cell)
    names, states = _autograd.names(known), known.states
    _check_count("present", len(present), len(names), f"{known} has the parameters {', '.join(names)}")
    _check_count("weights", len(weights), sum(present), "one for each true entry of present")
    _check_count("zones", len(zones), len(states), f"{known} has the states {', '.join(states)}")
    _check_count("masks", len(masks), sum(z < 0 for z in zones), "one for each negative entry of zones")
    if any(math.isnan(z) or z > 1 for z in zones):
        raise ValueError(
            f"zones must be fractions from 0 to 1, or negative for a mask. Got {list(zones)} instead."
        )
    _check_present(x=x, weights=weights, state=state, masks=masks)
    if x.ndim != 3:
        raise ValueError(f"x has shape {tuple(x.shape)}; the native kernels expect (B, T, I) with T >= 1.")
    _check_devices(x, [*weights, *state, keep, *masks, lengths])
    left, drawn = iter(weights), iter(masks)
    slots = tuple([next(left) if there else None for there in present])
    spread = tuple([next(drawn) if z < 0 else None for z in zones])
    numbers = tuple([max(z, 0.0) for z in zones])
    args = KernelArgs(known, lengths, reverse, keep, spread, numbers, gates, low, stacked)
    return args, x, slots, tuple(state)


def _check_count(name: str, actual: int, expected: int, reason: str) -> None:
    if actual != expected:
        raise ValueError(f"{name} has {actual} entries and needs {expected}: {reason}.")


def _check_present(**arguments: Tensor | Sequence[Any] | None) -> None:
    """ValueError for None, which the dispatcher passes on in place of a tensor."""
    for name, value in arguments.items():
        if value is None or (isinstance(value, Sequence) and any(t is None for t in value)):
            raise ValueError(f"{name} must be given. Got None instead of a tensor.")


def _check_devices(x: Tensor, others: Sequence[Tensor | None]) -> None:
    kinds = {t.device.type for t in others if t is not None} - {x.device.type}
    if kinds:
        raise ValueError(
            f"x is on {x.device.type} and other tensors are on {', '.join(kinds)}. Move them to one device."
        )


def _cell_name(cell: Cell) -> str:
    """Such as "lstm_full", "gru_after", "jordan_tanh_3"."""
    return f"{_autograd.kind(cell)}_{cell.proj_size}" if isinstance(cell, Jordan) else _autograd.kind(cell)


def _cell(name: str) -> Cell:
    """The cell of a `_cell_name`."""
    kind, _, option = name.partition("_")
    option, _, width = option.partition("_")
    makers: dict[str, type[Cell]] = {"elman": Elman, "diagonal": Diagonal, "lstm": LSTM, "gru": GRU}
    if kind == "jordan" and width.isdecimal() and len(width) < 10:
        return Jordan(option, int(width))
    if kind in makers and not width:
        return makers[kind](option)  # type: ignore[call-arg]
    raise ValueError(
        f"There is no cell {name!r}. Give a cell and its option, such as 'elman_tanh', 'diagonal_relu', 'lstm_none' "
        "or 'gru_after', and for a Jordan cell also its proj_size, 'jordan_tanh_3'."
    )


def _validated(*arguments: Any) -> tuple[CellSpec, KernelArgs, Tensor, Slots, tuple[Tensor, ...]]:
    """As `_unpack`, validated, since operators are public."""
    args, x, slots, state = _unpack(*arguments)
    params = {name: w for name, w in zip(_autograd.names(args.cell), slots, strict=True) if w is not None}
    spec, args, x, slots, state = _autograd.validated(args, x, params, state)
    _autograd.check_lengths(args.lengths, x.shape[1])
    return spec, args, x, slots, state


def _forward(*args: Any) -> list[Tensor]:
    *arguments, save = args
    spec, args, x, weights, state = _validated(*arguments)
    outputs = _autograd.forward(spec, args, x, weights, state, save)
    return [
        outputs.output,
        *outputs.last,
        *outputs.gates,
        x.new_empty(0) if outputs.saved is None else outputs.saved,
    ]


def _forward_fake(*args: Any) -> list[Tensor]:
    *arguments, save = args
    args, x, weights, _ = _unpack(*arguments)
    (B, T, I), H = x.shape, _autograd.hidden_units(args.cell, weights[0])  # noqa: E741
    sizes = args.cell.state_sizes(H)
    # B and T may be symbols, which the compiled module does not take: it gives the floats of one row and step.
    each = _autograd.saved_size(_autograd.cell_spec(args.cell, int(I), int(H)), args, 1, 1) if save else 0
    count = each * B * T
    shapes = [(B, T, sizes[0]), *_lasts(args, B, sizes)]
    shapes += [(B, T, H)] * len(_autograd.gate_names(args.cell)) * args.gates
    return [x.new_empty(shape) for shape in (*shapes, (count,))]


def _lasts(args: KernelArgs, B: int, sizes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes of the last states."""
    return [(1, B, size) if args.stacked else (B, size) for size in sizes]


def _backward(*args: Any) -> list[Tensor]:
    *arguments, output, saved, grads, needed = args
    spec, args, x, weights, state = _validated(*arguments)
    (B, T, _), sizes = x.shape, spec.sizes
    _check_present(output=output, saved=saved)
    output = _autograd.tensor("output", output, (B, T, sizes[0]))
    saved = _autograd.tensor("saved", saved, (_autograd.saved_size(spec, args, B, T),))
    shapes = ((B, T, sizes[0]), *_lasts(args, B, sizes))
    _check_count("grads", len(grads), len(shapes), "one for the output and one for each last state, or None")
    _check_needed(arguments, needed)
    for grad, shape in zip(grads, shapes, strict=True):
        if grad is not None:
            _autograd.tensor("a gradient", grad, shape, as_is=True)
    outputs = KernelOutputs(output, (), (), saved)
    found = _autograd.backward(
        spec, args, x, weights, state, outputs, tuple(grads), _per_slot(arguments[4], needed)
    )
    return [grad for grad in found if grad is not None]


def _backward_fake(*args: Any) -> list[Tensor]:
    *arguments, output, saved, grads, needed = args
    _unpack(*arguments)
    _check_present(output=output, saved=saved)
    _check_devices(arguments[1], [output, saved, *grads])
    _check_needed(arguments, needed)
    leaves = (arguments[1], *arguments[2], *arguments[3])
    return [leaf.new_empty(leaf.shape) for leaf, want in zip(leaves, needed, strict=True) if want]


def _check_needed(arguments: Sequence[Any], needed: Sequence[bool]) -> None:
    count = 1 + len(arguments[2]) + len(arguments[3])
    _check_count("needed", len(needed), count, "one for x, each weight and each state")


def _per_slot(present: Sequence[bool], needed: Sequence[bool]) -> tuple[bool, ...]:
    """`needed` with an entry for each absent parameter."""
    first, *rest = needed
    left = iter(rest)
    return (first, *(there and next(left) for there in present), *left)


def _save(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    (cell, x, weights, state, present, lengths, reverse, keep, masks, zones, gates, low, stacked, _) = inputs
    if any(mask is not None and mask.requires_grad for mask in (keep, *masks)):
        raise ValueError("The native kernels compute no gradient of keep and masks. Detach them.")
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, *weights, *state, lengths, keep, *masks, output[0], output[-1])
    ctx.fixed = (cell, present, reverse, zones, gates, low, stacked, len(weights), len(state), len(masks))


def _gradients(ctx: Any, grads: list[Tensor | None]) -> tuple[Any, ...]:
    cell, present, reverse, zones, gates, low, stacked, W, S, M = ctx.fixed
    x, *rest = ctx.saved_tensors
    weights, state, (lengths, keep, *masks, output, saved) = rest[:W], rest[W : W + S], rest[W + S :]
    arguments = (cell, x, weights, state, present, lengths, reverse, keep, masks, zones, gates, low, stacked)
    _, needs_x, needs_weights, needs_state, *_ = ctx.needs_input_grad
    needed = [needs_x, *(needs_weights or [False] * W), *(needs_state or [False] * S)]
    n = 1 + len(zones)
    found: list[Tensor | None]
    if torch.is_grad_enabled() or any(grad is not None for grad in grads[n:-1]):
        args, x, slots, states = _unpack(*arguments)
        every = _autograd.backward_by_reference(
            args, x, slots, states, tuple(grads[:-1]), _per_slot(present, needed)
        )
        found = [g for g, w in zip(every, (x, *slots, *states), strict=True) if w is not None]
    else:
        some = iter(torch.ops.regen.unfold_backward(*arguments, output, saved, grads[:n], needed))
        found = [next(some) if want else None for want in needed]
    return (None, found[0], found[1 : W + 1], found[W + 1 :], *(None,) * 4, [None] * M, *(None,) * 5)


# Dynamo, where it runs a program piece by piece, must not trace the lines of an operator.
_LIBRARY.impl("unfold", _disable_dynamo(_forward), "CPU")
_LIBRARY.impl("unfold_backward", _disable_dynamo(_backward), "CPU")
torch.library.register_fake("regen::unfold", _forward_fake, lib=_LIBRARY)
torch.library.register_fake("regen::unfold_backward", _backward_fake, lib=_LIBRARY)
torch.library.register_autograd("regen::unfold", _gradients, setup_context=_save, lib=_LIBRARY)
