"""The compiled kernels on torch tensors: memory for the results, and gradients in eager mode.

`fitted` validates the tensors before their addresses are passed to the kernels.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan, Parameters, State
from regen.kernels import reference
from regen.kernels.native import extension

Slots: TypeAlias = tuple[Tensor | None, ...]
"""One entry for each parameter of the cell, in the order of ``cell.shapes``; None is a bias left out."""

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
NO_MASKS = (None, None)  # cells have at most two states
_GATES: dict[type[Cell], tuple[str, ...]] = {
    LSTM: ("i", "f", "g", "o", "c"),
    GRU: ("r", "z", "n"),
    Jordan: ("h",),
}


class KernelArgs(NamedTuple):
    """The arguments of a kernel apart from the tensors that gradients flow to."""

    cell: Cell
    lengths: Tensor | None
    """(B,) int64."""
    reverse: bool
    keep: Tensor | None
    """(B, P)."""
    masks: Slots
    """Zoneout (B, T, size) for each state, or None where it is the number in `zones`."""
    zones: tuple[float, ...]
    gates: bool
    low: bool
    """Whether the gates are recomputed in the backward pass instead of saved."""
    stacked: bool
    """Whether the last states are (1, B, size), as those of a net of one layer."""


class KernelOutputs(NamedTuple):
    """The results of a kernel."""

    output: Tensor
    last: tuple[Tensor, ...]
    gates: tuple[Tensor, ...]
    saved: Tensor | None
    """Gates and contexts for `backward`; None when there are none."""


def kind(cell: Cell) -> str:
    """Name of `cell` in the compiled module; empty when it has no such cell."""
    known = type(cell)
    if known is LSTM:
        return "" if cell.proj_size else f"lstm_{cell.peephole}"  # type: ignore[attr-defined]
    if known is GRU:
        return f"gru_{cell.reset}"  # type: ignore[attr-defined]
    if known is Elman or known is Diagonal or known is Jordan:
        return f"{known.__name__.lower()}_{cell.nonlinearity}"  # type: ignore[attr-defined]
    return ""


def gate_names(cell: Cell) -> tuple[str, ...]:
    """Names of the gates and contexts that a step of `cell` returns."""
    return _GATES.get(type(cell), ())


class CellSpec(NamedTuple):
    """A cell with its sizes."""

    layer: Any
    """The `regen._native.Layer`."""
    slots: tuple[tuple[str, tuple[int, ...]], ...]
    """Name and shape of each parameter."""
    sizes: tuple[int, ...]
    """Width of each state."""
    H: int


@lru_cache(maxsize=4096)
def cell_spec(cell: Cell, I: int, H: int) -> CellSpec:  # noqa: E741
    """`cell` for I input features and H hidden units."""
    assert extension.native is not None
    sizes = cell.state_sizes(H)
    layer = extension.native.Layer(kind(cell), I, H, sizes[0])
    return CellSpec(layer, tuple(cell.shapes(I, H).items()), sizes, H)


def saved_size(spec: CellSpec, args: KernelArgs, B: int, T: int) -> int:
    """Number of floats that `forward` saves for `backward`."""
    zoned = any(args.zones) or args.masks != NO_MASKS[: len(args.masks)]
    return spec.layer.saved(B, T, zoned, args.low)  # type: ignore[no-any-return]


def forward(
    spec: CellSpec, args: KernelArgs, x: Tensor, weights: Slots, state: tuple[Tensor, ...], save: bool
) -> KernelOutputs:
    """Run over time.

    x : (B, T, I), last dimension contiguous. state : (B, size) each, or () for zeros. save : whether `backward`
    follows.
    """
    layer, _, sizes, H = spec
    cell, lengths, reverse, keep, masks, zones, with_gates, low, stacked = args
    B, T, _ = x.shape
    empty = x.new_empty
    output = empty((B, T, sizes[0]))
    last = tuple([empty((1, B, size) if stacked else (B, size)) for size in sizes])
    gates = tuple([empty((B, T, H)) for _ in gate_names(cell)]) if with_gates else ()
    count = saved_size(spec, args, B, T) if save else 0
    saved = empty((count,)) if count else None
    layer.forward(
        B, T, x, x.stride(0), x.stride(1), weights, state, 0 if lengths is None else lengths, reverse,
        0 if keep is None else keep, masks, zones, output, last, 0 if saved is None else saved, low, gates,
        torch.get_num_threads(),
    )  # fmt: skip
    return KernelOutputs(output, last, gates, saved)


def backward(
    spec: CellSpec,
    args: KernelArgs,
    x: Tensor,
    weights: Slots,
    state: tuple[Tensor, ...],
    outputs: KernelOutputs,
    grads: Slots,
    needed: tuple[bool, ...],
) -> list[Tensor | None]:
    """Gradients to x, the weights and the states, in this order, None where they are not needed.

    grads : (B, T, P) to the output and (B, size) to each last state; None is zeros.
    """
    _, lengths, reverse, keep, masks, zones, _, low, _ = args
    B, T, _ = x.shape
    n = len(weights)
    # Weights and states are contiguous, so empty_like is, too.
    found = [
        torch.empty_like(t) if want and t is not None else None
        for t, want in zip((*weights, *state), needed[1:], strict=True)
    ]
    dx = x.new_empty(x.shape) if needed[0] else None
    d = [None if grad is None else dense(grad) for grad in grads]
    spec.layer.backward(
        B, T, x, x.stride(0), x.stride(1), weights, state, 0 if lengths is None else lengths, reverse,
        0 if keep is None else keep, masks, zones, outputs.output, 0 if outputs.saved is None else outputs.saved, low,
        0 if d[0] is None else d[0], tuple(d[1:]), 0 if dx is None else dx, tuple(found[:n]),
        tuple(found[n:]), torch.get_num_threads(),
    )  # fmt: skip
    return [dx, *found]


def backward_by_reference(
    args: KernelArgs,
    x: Tensor,
    weights: Slots,
    state: tuple[Tensor, ...],
    grads: Slots,
    needed: tuple[bool, ...],
) -> list[Tensor | None]:
    """As `backward`, by autograd through `reference`: slower, for second derivatives and gradients of gates.

    grads : to the output, the last states and, if requested, the gates; None is zeros.
    """
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        inputs = [
            None if t is None else t.view_as(t) if again else t.detach().requires_grad_(want)
            for t, want in zip((x, *weights, *state), needed, strict=True)
        ]
        x, n = inputs[0], len(weights)  # type: ignore[assignment]
        params = {
            name: w for name, w in zip(names(args.cell), inputs[1 : n + 1], strict=True) if w is not None
        }
        zoneout = [z if mask is None else mask for z, mask in zip(args.zones, args.masks, strict=True)]
        result = reference.run(
            args.cell, params, x, tuple(inputs[n + 1 :]) or None, lengths=args.lengths, reverse=args.reverse,  # type: ignore[arg-type]
            keep=args.keep, zoneout=zoneout, gates=args.gates,
        )  # fmt: skip
        reached = [
            (value.view_as(grad), grad)
            for value, grad in zip(
                (result.output, *result.state, *result.gates.values()), grads, strict=False
            )
            if grad is not None and value.requires_grad
        ]
        positions = [
            k for k, (t, want) in enumerate(zip(inputs, needed, strict=True)) if want and t is not None
        ]
        found: list[Tensor | None] = [None] * len(inputs)
        if reached:
            values, at = zip(*reached, strict=True)
            leaves = [inputs[k] for k in positions]
            some = torch.autograd.grad(values, leaves, at, create_graph=again, allow_unused=True)  # type: ignore[arg-type]
            for k, grad in zip(positions, some, strict=True):
                found[k] = grad
    return found


def names(cell: Cell) -> tuple[str, ...]:
    """The cell's parameters in the order of `Slots`."""
    return tuple(cell.shapes(1, 1))


def dense(t: Tensor) -> Tensor:
    """`t` contiguous and without a lazy negation."""
    return t if t.is_contiguous() and not t.is_neg() else t.contiguous().resolve_neg()


def contiguous_features(x: Tensor) -> Tensor:
    """`x` (B, T, I) itself if its features are contiguous, else a copy."""
    return x if x.stride(-1) == 1 and not x.is_neg() else x.contiguous().resolve_neg()


class NativeFunction(torch.autograd.Function):
    """Eager autograd. ``apply(spec, args, x, *weights, *state)`` gives the output, last states and gates, flat."""

    @staticmethod
    def forward(
        ctx: Any, spec: CellSpec, args: KernelArgs, x: Tensor, *rest: Tensor | None
    ) -> tuple[Tensor, ...]:
        """Run and save tensors for `backward`. rest : the weights, then the states."""
        n = len(spec.slots)
        output, last, gates, saved = forward(spec, args, x, rest[:n], rest[n:], True)  # type: ignore[arg-type]
        ctx.set_materialize_grads(False)
        # Lengths and masks too, so that changing them before the backward pass is an error.
        ctx.save_for_backward(output, saved, args.lengths, args.keep, *args.masks, x, *rest)
        ctx.spec, ctx.args = spec, args
        return (output, *last, *gates)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """Gradients by the kernel, or by `reference` where the kernel has none."""
        spec, args = ctx.spec, ctx.args
        n, states = len(spec.slots), len(spec.sizes)
        tensors = ctx.saved_tensors
        output, saved, x, rest = (
            tensors[0],
            tensors[1],
            tensors[4 + states],
            tensors[5 + states :],
        )
        needed = ctx.needs_input_grad[2:]
        if torch.is_grad_enabled() or (args.gates and any(grad is not None for grad in grads[1 + states :])):
            return None, None, *backward_by_reference(args, x, rest[:n], rest[n:], grads, needed)
        outputs = KernelOutputs(output, (), (), saved)
        return None, None, *backward(spec, args, x, rest[:n], rest[n:], outputs, grads[: 1 + states], needed)


# `NativeFunction.apply` without its check for torch.func transforms, which `unsupported_reason` has done.
apply: Any = super(torch.autograd.Function, NativeFunction).apply


def validated(
    args: KernelArgs, x: Tensor, params: Parameters, state: Sequence[Tensor]
) -> tuple[CellSpec, KernelArgs, Tensor, Slots, State]:
    """The arguments in the layout of the kernels; ValueError where they do not fit each other.

    x : (B, T, I). state : (B, size) each, or () for zeros.
    """
    cell, shape = args.cell, x.shape
    if len(shape) != 3 or shape[1] == 0:
        raise ValueError(f"x has shape {tuple(shape)}; the native kernels expect (B, T, I) with T >= 1.")
    spec = spec_of(cell, params, shape[2])
    slots = weights(spec, cell, params)
    x = contiguous_features(tensor("x", x, shape, as_is=True))
    states = len(spec.sizes)
    if state:
        if len(state) != states:
            raise ValueError(f"state has {len(state)} tensors; {cell} has {', '.join(cell.states)}.")
        state = [
            tensor(f"state {name}", s, (shape[0], size))
            for name, s, size in zip(cell.states, state, spec.sizes, strict=True)
        ]
    if len(args.zones) != states or len(args.masks) != states:
        raise ValueError(f"zoneout has {len(args.zones)} entries; {cell} has {', '.join(cell.states)}.")
    if args.lengths is not None or args.keep is not None or args.masks != NO_MASKS[:states]:
        args = _validated_noise(args, spec, shape[0], shape[1])
    return spec, args, x, slots, tuple(state)


def spec_of(cell: Cell, params: Parameters, I: int) -> CellSpec:  # noqa: E741
    """The cell with the sizes of its parameters."""
    return cell_spec(cell, I, hidden_units(cell, params.get("weight_ih")))


def hidden_units(cell: Cell, weight_ih: Tensor | None) -> int:
    """H, from the rows of `weight_ih`; ValueError unless they are whole blocks of the cell's gates."""
    shape, G = None if weight_ih is None else weight_ih.shape, len(cell.gates)
    rows = shape[0] if shape else 0
    if rows == 0 or rows % G:
        got = "is missing" if shape is None else f"has shape {tuple(shape)}"
        raise ValueError(f"weight_ih {got}; {cell} expects ({G}*H, I).")
    return rows // G


def weights(spec: CellSpec, cell: Cell, params: Parameters) -> Slots:
    """The parameters in the order of ``cell.shapes``."""
    slots: list[Tensor | None] = []
    for name, shape in spec.slots:
        weight = params.get(name)
        if weight is None:
            if not name.startswith("bias"):
                raise ValueError(f"{name} is missing; {cell} needs it, of shape {shape}.")
        else:
            weight = tensor(name, weight, shape)
        slots.append(weight)
    return tuple(slots)


def _validated_noise(args: KernelArgs, spec: CellSpec, B: int, T: int) -> KernelArgs:
    cell, lengths, _, keep, masks, *_ = args
    if lengths is not None:
        lengths = _lengths(lengths, B)
    if keep is not None:
        keep = tensor("keep", keep, (B, spec.sizes[0]))
    masks = tuple(
        [
            None if mask is None else tensor(f"zoneout of {name}", mask, (B, T, size))
            for name, mask, size in zip(cell.states, masks, spec.sizes, strict=True)
        ]
    )
    return args._replace(lengths=lengths, keep=keep, masks=masks)


def check_lengths(lengths: Tensor | None, T: int) -> None:
    """ValueError unless lengths (B,) are from 0 to T."""
    if lengths is None:
        return
    each = lengths.tolist()
    low, high = min(each, default=0), max(each, default=0)
    if low < 0 or high > T:
        raise ValueError(f"lengths must be from 0 to {T}, the steps of x. Got {low} to {high} instead.")


def tensor(name: str, t: Tensor, shape: tuple[int, ...], as_is: bool = False) -> Tensor:
    """`t`, contiguous unless `as_is`; ValueError unless it is dense float32 of `shape` on the CPU."""
    t = _unwrapped(t)
    if t.shape != shape or t.dtype is not torch.float32 or not t.is_cpu or t.layout is not torch.strided:
        layout = "" if t.layout is torch.strided else f"{t.layout}, "
        raise ValueError(
            f"{name} is {layout}{t.dtype} on {t.device.type} with shape {tuple(t.shape)}; "
            f"the native kernels expect torch.float32 on cpu with shape {tuple(shape)}."
        )
    return t if as_is else dense(t)


# The tensor wrapped by one that has outlived the torch.func transform which made it and has no memory of its own.
_unwrapped = torch._C._functorch.unwrap_if_dead


def _lengths(lengths: Tensor, B: int) -> Tensor:
    if lengths.shape != (B,) or lengths.dtype not in _INTEGERS or not lengths.is_cpu:
        raise ValueError(
            f"lengths has shape {tuple(lengths.shape)}, type {lengths.dtype} and is on {lengths.device.type}; "
            f"give one int for each of the {B} rows of x, on the CPU."
        )
    return lengths.long().contiguous()
