"""What the compiled kernels may be handed: every shape, type and place is checked before an address is taken."""

from collections.abc import Sequence

import torch
from torch import Tensor

from regen.cells import Cell, Parameters, State
from regen.kernels._unfold import Ask, Slots, plain, rows


def fitted(
    ask: Ask, x: Tensor, params: Parameters, state: Sequence[Tensor]
) -> tuple[Ask, Tensor, Slots, State]:
    """The same, laid out as the kernels read them; refused in words where they do not fit each other.

    x : (B, T, I). state : (B, size) each, or () for zeros.
    """
    cell = ask.cell
    if x.ndim != 3 or x.shape[1] == 0:
        raise ValueError(f"x has shape {tuple(x.shape)}; the native kernels read (B, T, I) with T >= 1.")
    slots = weights(cell, params, x.shape[2])
    B, T, _ = x.shape
    sizes = cell.state_sizes(params["weight_ih"].shape[0] // len(cell.gates))
    if len(state) not in (0, len(sizes)):
        raise ValueError(f"state has {len(state)} tensors; {cell} has {', '.join(cell.states)}.")
    if state:
        state = [
            tensor(f"state {name}", s, (B, n)) for name, s, n in zip(cell.states, state, sizes, strict=True)
        ]
    _, lengths, reverse, keep, masks, zones, gates, low = ask
    if lengths is not None:
        lengths = _lengths(lengths, B)
    if keep is not None:
        keep = tensor("keep", keep, (B, sizes[0]))
    if not len(masks) == len(zones) == len(sizes):
        raise ValueError(f"zoneout has {len(zones)} entries; {cell} has the states {', '.join(cell.states)}.")
    masks = tuple(
        [
            None if mask is None else tensor(f"zoneout of {name}", mask, (B, T, size))
            for name, mask, size in zip(cell.states, masks, sizes, strict=True)
        ]
    )
    ask = Ask(cell, lengths, reverse, keep, masks, zones, gates, low)
    return ask, rows(tensor("x", x, x.shape, as_is=True)), slots, tuple(state)


def weights(cell: Cell, params: Parameters, I: int) -> Slots:  # noqa: E741
    """The parameters in the order of ``cell.shapes``, for I input features."""
    W, G = params["weight_ih"], len(cell.gates)
    if W.ndim != 2 or W.shape[0] == 0 or W.shape[0] % G:
        raise ValueError(f"weight_ih has shape {tuple(W.shape)}; {cell} expects ({G}*H, I).")
    slots: list[Tensor | None] = []
    for name, shape in cell.shapes(I, W.shape[0] // G).items():
        weight = params.get(name)
        if weight is None and not name.startswith("bias"):
            raise ValueError(f"{name} is missing; {cell} needs it, of shape {shape}.")
        slots.append(None if weight is None else tensor(name, weight, shape))
    return tuple(slots)


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
    if t.shape != shape or t.dtype is not torch.float32 or not t.is_cpu or t.layout is not torch.strided:
        layout = "" if t.layout is torch.strided else f"{t.layout}, "
        raise ValueError(
            f"{name} is {layout}{t.dtype} on {t.device.type} with shape {tuple(t.shape)}; "
            f"the native kernels expect torch.float32 on cpu with shape {tuple(shape)}."
        )
    return t if as_is else plain(t)


def _lengths(lengths: Tensor, B: int) -> Tensor:
    if lengths.shape != (B,) or lengths.is_floating_point() or not lengths.is_cpu:
        raise ValueError(
            f"lengths has shape {tuple(lengths.shape)}, type {lengths.dtype} and is on {lengths.device.type}; "
            f"give one int for each of the {B} rows of x, on the CPU."
        )
    return lengths.long().contiguous()
