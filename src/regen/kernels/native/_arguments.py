"""Argument validation of the compiled kernels: shapes, types and devices are checked before an address is taken."""

from collections.abc import Sequence

import torch
from torch import Tensor

from regen.cells import Cell, Parameters, State
from regen.kernels.native._autograd import (
    NO_MASKS,
    CellSpec,
    KernelArgs,
    Slots,
    cell_spec,
    contiguous_features,
    dense,
)


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
    shape, G = params["weight_ih"].shape, len(cell.gates)
    rows = shape[0] if shape else 0
    if rows == 0 or rows % G:
        raise ValueError(f"weight_ih has shape {tuple(shape)}; {cell} expects ({G}*H, I).")
    return cell_spec(cell, I, rows // G)


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
    low, high = min(each), max(each)
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
    if lengths.shape != (B,) or lengths.is_floating_point() or not lengths.is_cpu:
        raise ValueError(
            f"lengths has shape {tuple(lengths.shape)}, type {lengths.dtype} and is on {lengths.device.type}; "
            f"give one int for each of the {B} rows of x, on the CPU."
        )
    return lengths.long().contiguous()
