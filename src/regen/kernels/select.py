"""Which backend runs a cell, and why."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Int64
from torch import Tensor

from regen._check import Choice, check_parameters
from regen.cells import Cell
from regen.kernels import fused, reference
from regen.kernels.reference import Result

Run: TypeAlias = Callable[..., Result]

BACKENDS = ("auto", "reference", "torch")


def choose(
    backend: str,
    cell: Cell,
    x: Tensor,
    lengths: Int64[Tensor, "B"] | None = None,
    keep: object = None,
    zoneout: object = None,
    gates: bool = False,
) -> tuple[Run, str]:
    """The kernel that runs `cell` on `x`, and a sentence that starts with its name and says why.

    Parameters
    ----------
    backend : "auto" takes torch's fused operators where they can do what is asked, and the reference loop
        elsewhere; an explicit backend obeys or raises.
    x : (B, T, I) inputs, or the data of a packed sequence.
    lengths, keep, zoneout, gates : as in `reference.run`; keep and zoneout are None where not asked for.

    Raises
    ------
    ValueError : the backend is not one of `BACKENDS`, or cannot do what is asked.
    """
    check_parameters("a recurrent net", {"backend": Choice(BACKENDS)}, {"backend": backend})
    if backend == "reference":
        return reference.run, "reference: asked for"
    reason = fused.unable(cell, keep, zoneout, gates)
    if not reason and lengths is not None and bool((lengths == 0).any()):
        reason = "torch's operators need at least one valid step in every row"
    if not reason and backend == "auto" and transformed():
        reason = "a torch.func transform is under way"
    if backend == "torch" and reason:
        raise ValueError(f"backend='torch' cannot run this: {reason}. Use backend='auto' or 'reference'.")
    if reason:
        return reference.run, f"reference: {reason}"
    why = "asked for" if backend == "torch" else f"its fused {type(cell).__name__} on {x.device.type}"
    return fused.run, f"torch: {why}"


def transformed() -> bool:
    """Whether we are inside a ``torch.func`` transform, which torch's fused operators do not support."""
    return torch._C._functorch.peek_interpreter_stack() is not None
