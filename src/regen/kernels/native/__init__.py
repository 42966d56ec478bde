"""Backend "native": the compiled kernels of `csrc`, for every cell, in float32 on the CPU.

The same signature and results as `reference`. In eager mode a call is a ``torch.autograd.Function`` around the
compiled module; under ``torch.compile`` and ``torch.export``, and for tensors without memory, it is the custom
operator of `_operators`. Both compute the same. The dispatcher adds about 170 microseconds to a training step, the
Function about 60, where a net of 32 hidden units over 24 steps takes about 100.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from regen.cells import LSTM, Cell, Parameters, State
from regen.kernels import reference
from regen.kernels.native import _autograd, _operators, extension
from regen.kernels.native._autograd import KernelArgs
from regen.kernels.reference import Result

_PLAIN = {Tensor, nn.Parameter}
_NO_MASKS, _NO_ZONES = (None, None), (0.0, 0.0)  # of at most two states
_MEMORY = ("normal", "low")


def unsupported_reason(cell: Cell, x: Tensor, keep: object = None, zoneout: object = None) -> str:
    """Why the compiled kernels do not support a run; empty when they do.

    x : (B, T, I) inputs, or the data of a packed sequence.
    """
    if extension.native is None:
        return f"native is missing: {extension.why_missing}"
    if not _autograd.kind(cell):
        projected = isinstance(cell, LSTM) and cell.proj_size
        name = type(cell).__name__
        return "the native LSTM has no projection" if projected else f"there is no native {name} cell"
    if x.dtype is not torch.float32:
        return f"the native kernels compute in torch.float32 and x is {x.dtype}"
    if not x.is_cpu or x.layout is not torch.strided:
        where = x.device.type if not x.is_cpu else x.layout
        return f"the native kernels take dense tensors on the CPU and x is {where}"
    if keep is not None or zoneout is not None:
        noise = (keep, *zoneout) if isinstance(zoneout, Sequence) else (keep,)
        if any(isinstance(mask, Tensor) and mask.requires_grad for mask in noise):
            return "the native kernels compute no gradient of keep and zoneout"
    if torch.compiler.is_compiling():
        return _exported()
    return "torch.jit.trace is under way" if torch._C._is_tracing() else _transformed()


def run(
    cell: Cell,
    params: Parameters,
    x: Tensor,
    state: State | None = None,
    *,
    lengths: Tensor | None = None,
    reverse: bool = False,
    keep: Tensor | None = None,
    zoneout: Sequence[Tensor | float] | None = None,
    gates: bool = False,
    memory: str = "normal",
    stacked: bool = False,
) -> Result:
    """As `reference.run`, where `unsupported_reason` is empty.

    Parameters
    ----------
    x : (B, T, I); used in place with any strides if the features are contiguous.
    state, lengths, keep, zoneout : (B, size) each, (B,), (B, P), and for each state a number or (B, T, size).
    memory : "low" recomputes the gates in the backward pass instead of saving them.
    stacked : return the last states as (1, B, size), the shape that a net of one layer returns.

    Raises
    ------
    ValueError : the run is not supported, or a tensor has another shape, type or device than the cell's.
    """
    reason = unsupported_reason(cell, x, keep, zoneout)
    if reason:
        raise ValueError(f"backend='native' cannot run this: {reason}. Use backend='auto' or 'reference'.")
    if memory not in _MEMORY:
        raise ValueError(f"memory must be 'normal' or 'low'. Got {memory!r} instead.")
    return run_supported(
        cell, params, x, state, lengths, reverse, keep, zoneout, gates, memory == "low", stacked
    )


def run_supported(
    cell: Cell,
    params: Parameters,
    x: Tensor,
    state: State | None,
    lengths: Tensor | None,
    reverse: bool,
    keep: Tensor | None,
    zoneout: Sequence[Tensor | float] | None,
    gates: bool,
    low: bool,
    stacked: bool,
) -> Result:
    """As `run`, for callers that have checked `unsupported_reason`; shapes, types and devices are checked here.

    x : (B, T, I). state, lengths, keep, zoneout : (B, size) each, (B,), (B, P), numbers or (B, T, size).
    """
    if x.shape[:1] == (0,):
        result = reference.run(cell, params, x, state, reverse=reverse, gates=gates)
        return result._replace(state=tuple(s[None] for s in result.state)) if stacked else result
    masks, numbers = _zones(cell, zoneout)
    args = KernelArgs(cell, lengths, reverse, keep, masks, numbers, gates, low, stacked)
    start = () if state is None else state
    if _needs_operator(x, params):  # the operator checks its arguments when it runs
        slots = tuple([params.get(name) for name in _autograd.names(cell)])
        flat = tuple(_operators.run(args, x, slots, start, _needs_grad(x, params, start)))
    else:
        spec, args, x, slots, start = _autograd.validated(args, x, params, start)
        if lengths is not None:
            _autograd.check_lengths(args.lengths, x.shape[1])
        if _needs_grad(x, params, start):
            flat = _autograd.apply(spec, args, x, *slots, *start)
        else:
            output, last, values, _ = _autograd.forward(spec, args, x, slots, start, False)
            flat = (output, *last, *values)
    n = 1 + len(numbers)
    named = dict(zip(_autograd.gate_names(cell), flat[n:], strict=True)) if gates else {}
    return Result(flat[0], tuple(flat[1:n]), named)


def stepper(cell: Cell, params: Parameters, batch: int) -> Any:
    """The compiled stepper of `cell`: it copies the weights and runs one step at a time.

    params : as in `run`.
    """
    spec = _autograd.spec_of(cell, params, params["weight_ih"].shape[-1])
    return spec.layer.stepper(batch, _autograd.weights(spec, cell, params))


def description(cell: Cell) -> str:
    """The backend as `choose` returns it, such as "native: lstm on avx512"."""
    if torch.compiler.is_compiling():
        return f"native: {type(cell).__name__.lower()} in a traced program"
    assert extension.native is not None
    return f"native: {type(cell).__name__.lower()} on {extension.native.isa()}"


def tracing_reason() -> str:
    """The transform or export that needs the separate operations of the cell; empty when there is none."""
    return _exported() if torch.compiler.is_compiling() else _transformed()


def _exported() -> str:
    return "an export to ONNX is under way" if torch.onnx.is_in_onnx_export() else ""


def _transformed() -> str:
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return "a torch.func transform is under way"
    return (
        "forward-mode differentiation is under way" if torch.autograd.forward_ad._current_level >= 0 else ""
    )


def _needs_grad(x: Tensor, params: Mapping[str, Tensor], state: State) -> bool:
    """Whether a backward pass may follow."""
    if not torch.is_grad_enabled():
        return False
    if x.requires_grad:
        return True
    for t in params.values():  # a loop is faster than any(): the first weight decides
        if t.requires_grad:
            return True
    return any(s.requires_grad for s in state)


def _zones(
    cell: Cell, zoneout: Sequence[Tensor | float] | None
) -> tuple[tuple[Tensor | None, ...], tuple[float, ...]]:
    """Zoneout as a mask or a number for each state."""
    if zoneout is None:
        n = len(cell.states)
        return _NO_MASKS[:n], _NO_ZONES[:n]
    masks = tuple([z if isinstance(z, Tensor) and z.ndim else None for z in zoneout])
    return masks, tuple([0.0 if m is not None else float(z) for m, z in zip(masks, zoneout, strict=True)])


def _needs_operator(x: Tensor, params: Mapping[str, Tensor]) -> bool:
    """Whether tensors have no memory of their own: tracing, fake tensors, subclasses of Tensor."""
    return (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack() > 0
        or type(x) not in _PLAIN
        or not _PLAIN.issuperset(map(type, params.values()))
    )
