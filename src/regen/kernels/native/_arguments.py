"""What the compiled kernels may be handed: every shape, type and place is checked before an address is taken."""

from collections.abc import Sequence

import torch
from torch import Tensor

from regen.cells import Cell, Parameters, State
from regen.kernels.native._autograd import ALONE, Ask, Form, Slots, form, plain, rows


def fitted(
    ask: Ask, x: Tensor, params: Parameters, state: Sequence[Tensor]
) -> tuple[Form, Ask, Tensor, Slots, State]:
    """The same, laid out as the kernels read them; refused in words where they do not fit each other.

    x : (B, T, I). state : (B, size) each, or () for zeros.
    """
    cell, shape = ask.cell, x.shape
    if len(shape) != 3 or shape[1] == 0:
        raise ValueError(f"x has shape {tuple(shape)}; the native kernels read (B, T, I) with T >= 1.")
    form = formed(cell, params, shape[2])
    slots = weights(form, cell, params)
    x = rows(tensor("x", x, shape, as_is=True))
    states = len(form.sizes)
    if state:
        if len(state) != states:
            raise ValueError(f"state has {len(state)} tensors; {cell} has {', '.join(cell.states)}.")
        state = [
            tensor(f"state {name}", s, (shape[0], size))
            for name, s, size in zip(cell.states, state, form.sizes, strict=True)
        ]
    if len(ask.zones) != states or len(ask.masks) != states:
        raise ValueError(f"zoneout has {len(ask.zones)} entries; {cell} has {', '.join(cell.states)}.")
    if ask.lengths is not None or ask.keep is not None or ask.masks != ALONE[:states]:
        ask = _noise(ask, form, shape[0], shape[1])
    return form, ask, x, slots, tuple(state)


def formed(cell: Cell, params: Parameters, I: int) -> Form:  # noqa: E741
    """The cell with the sizes that its parameters tell."""
    shape, G = params["weight_ih"].shape, len(cell.gates)
    rows = shape[0] if shape else 0
    if rows == 0 or rows % G:
        raise ValueError(f"weight_ih has shape {tuple(shape)}; {cell} expects ({G}*H, I).")
    return form(cell, I, rows // G)


def weights(form: Form, cell: Cell, params: Parameters) -> Slots:
    """The parameters in the order of ``cell.shapes``."""
    slots: list[Tensor | None] = []
    for name, shape in form.slots:
        weight = params.get(name)
        if weight is None:
            if not name.startswith("bias"):
                raise ValueError(f"{name} is missing; {cell} needs it, of shape {shape}.")
        else:
            weight = tensor(name, weight, shape)
        slots.append(weight)
    return tuple(slots)


def _noise(ask: Ask, form: Form, B: int, T: int) -> Ask:
    cell, lengths, _, keep, masks, *_ = ask
    if lengths is not None:
        lengths = _lengths(lengths, B)
    if keep is not None:
        keep = tensor("keep", keep, (B, form.sizes[0]))
    masks = tuple(
        [
            None if mask is None else tensor(f"zoneout of {name}", mask, (B, T, size))
            for name, mask, size in zip(cell.states, masks, form.sizes, strict=True)
        ]
    )
    return ask._replace(lengths=lengths, keep=keep, masks=masks)


def valid(lengths: Tensor | None, T: int) -> None:
    """Refuse lengths (B,) that are not from 0 to T."""
    if lengths is None:
        return
    each = lengths.tolist()
    low, high = min(each), max(each)
    if low < 0 or high > T:
        raise ValueError(f"lengths must be from 0 to {T}, the steps of x. Got {low} to {high} instead.")


def tensor(name: str, t: Tensor, shape: tuple[int, ...], as_is: bool = False) -> Tensor:
    """`t` contiguous unless it may stay `as_is`, refused unless dense float32 on the CPU and of `shape`."""
    t = _unwrapped(t)
    if t.shape != shape or t.dtype is not torch.float32 or not t.is_cpu or t.layout is not torch.strided:
        layout = "" if t.layout is torch.strided else f"{t.layout}, "
        raise ValueError(
            f"{name} is {layout}{t.dtype} on {t.device.type} with shape {tuple(t.shape)}; "
            f"the native kernels expect torch.float32 on cpu with shape {tuple(shape)}."
        )
    return t if as_is else plain(t)


# The tensor within one that a torch.func transform made and that has outlived it, which has no memory of its own.
_unwrapped = torch._C._functorch.unwrap_if_dead


def _lengths(lengths: Tensor, B: int) -> Tensor:
    if lengths.shape != (B,) or lengths.is_floating_point() or not lengths.is_cpu:
        raise ValueError(
            f"lengths has shape {tuple(lengths.shape)}, type {lengths.dtype} and is on {lengths.device.type}; "
            f"give one int for each of the {B} rows of x, on the CPU."
        )
    return lengths.long().contiguous()
