"""Choice of the backend that runs a cell."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from jaxtyping import Int64
from torch import Tensor

from regen._check import Choice, check_parameters
from regen.cells import Cell, Parameters, State
from regen.kernels import native, reference, torch_fused
from regen.kernels.reference import Result

Run: TypeAlias = Callable[..., Result]

BACKENDS = ("auto", "reference", "torch", "native")


def choose(
    backend: str,
    cell: Cell,
    x: Tensor,
    lengths: Int64[Tensor, "B"] | None = None,
    keep: object = None,
    zoneout: object = None,
    gates: bool = False,
) -> tuple[Run, str]:
    """The kernel that runs `cell` on `x`, and the name of its backend with the reason.

    Parameters
    ----------
    backend : "auto" takes the first of native, torch and reference that supports the run; another name is used or
        refused.
    x : (B, T, I) inputs, or the data of a packed sequence.
    lengths, keep, zoneout, gates : as in `reference.run`.

    Raises
    ------
    ValueError : the backend is not one of `BACKENDS`, or does not support the run.
    """
    if backend not in BACKENDS:
        check_parameters("a recurrent net", {"backend": Choice(BACKENDS)}, {"backend": backend})
    if backend == "reference":
        return reference.run, "reference: requested"
    if backend == "torch":
        reason = _torch_unsupported(cell, lengths, keep, zoneout, gates)
        if reason:
            raise _refusal(backend, reason)
        return torch_fused.run, "torch: requested"
    missing = native.unsupported_reason(cell, x, keep, zoneout)
    if not missing:
        return native.run, "native: requested" if backend == "native" else native.description(cell)
    if backend == "native":
        raise _refusal(backend, missing)
    traced = native.tracing_reason()
    if traced:
        return reference.run, f"reference: {traced}"
    reason = _torch_unsupported(cell, lengths, keep, zoneout, gates)
    if not reason:
        return torch_fused.run, f"torch: its fused {type(cell).__name__} on {x.device.type}; {missing}"
    return reference.run, f"reference: {reason}; {missing}"


class LayerCall(NamedTuple):
    """One layer of a net in one direction, over the whole sequence: the arguments of a kernel before it runs."""

    layer: int
    """From 0, the layer that receives the net's input."""
    direction: int
    """0 forward in time, 1 backward."""
    cell: Cell
    params: Parameters
    """The weights, named as in ``cell.shapes``."""
    x: Tensor
    """(B, T, I) input of the layer."""
    state: State | None
    """One (B, size) tensor for each of ``cell.states``; None is zeros."""
    lengths: Tensor | None
    """(B,) valid steps of each row; None is T for all."""
    keep: Tensor | None
    """(B, P) recurrent dropout mask; None is ones."""
    zoneout: Sequence[Tensor | float] | None
    """For each state the fraction of the old value that is kept; None is 0."""
    gates: bool
    """Whether the result contains every gate and context."""
    backend: str
    """One of `BACKENDS`."""
    memory: str
    """What the native backend keeps for the backward pass, "normal" or "low"."""

    @property
    def reverse(self) -> bool:
        """Whether the layer runs from the last valid step back to the first."""
        return self.direction == 1

    def kernel(self) -> tuple[Run, str]:
        """The kernel that `run` uses, and why; see `choose`."""
        return choose(self.backend, self.cell, self.x, self.lengths, self.keep, self.zoneout, self.gates)

    def run(self) -> Result:
        """Run the layer on the backend that `kernel` chooses."""
        kernel, _ = self.kernel()
        options: dict[str, Any] = {"memory": self.memory} if kernel is native.run else {}
        options |= {"lengths": self.lengths, "keep": self.keep, "zoneout": self.zoneout}
        return kernel(
            self.cell, self.params, self.x, self.state, reverse=self.reverse, gates=self.gates, **options
        )


def _torch_unsupported(cell: Cell, lengths: Tensor | None, keep: object, zoneout: object, gates: bool) -> str:
    reason = torch_fused.unsupported_reason(cell, keep, zoneout, gates)
    if not reason and lengths is not None and bool((lengths == 0).any()):
        return "torch's operators need at least one valid step in every row"
    return reason


def _refusal(backend: str, reason: str) -> ValueError:
    return ValueError(f"backend={backend!r} cannot run this: {reason}. Use backend='auto' or 'reference'.")
