"""Backend "native": the compiled kernels of `csrc`, for every cell, in float32 on the CPU.

The same signature and the same meaning as `reference`. In eager mode a call is a plain
``torch.autograd.Function`` around the compiled module; under ``torch.compile`` and ``torch.export``, and for
tensors that are only described, it is the custom operator of `operators`. Both do the same: the dispatcher's way
to a Python operator and back costs about 170 microseconds a training step, the Function about 60, a net of 32
hidden units over 24 steps itself about 100.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from regen.cells import LSTM, Cell, Parameters, State
from regen.kernels import reference
from regen.kernels.native import _arguments, _autograd, _extension, _operators
from regen.kernels.native._autograd import Ask
from regen.kernels.reference import Result

_PLAIN = {Tensor, nn.Parameter}
_NO_MASKS, _NO_ZONES = (None, None), (0.0, 0.0)  # of at most two states
_MEMORY = ("normal", "low")


def unable(cell: Cell, x: Tensor, keep: object = None, zoneout: object = None) -> str:
    """Why the compiled kernels cannot do what is asked, or nothing when they can.

    x : (B, T, I) inputs, or the data of a packed sequence.
    """
    if _extension.native is None:
        return f"native is missing: {_extension.why_missing}"
    if not _autograd.kind(cell):
        projected = isinstance(cell, LSTM) and cell.proj_size
        name = type(cell).__name__
        return "the native LSTM has no projection" if projected else f"there is no native {name} cell"
    if x.dtype is not torch.float32:
        return f"the native kernels compute in torch.float32 and x is {x.dtype}"
    if not x.is_cpu or x.layout is not torch.strided:
        where = x.device.type if not x.is_cpu else x.layout
        return f"the native kernels read dense tensors on the CPU and x is {where}"
    if keep is not None or zoneout is not None:
        noise = (keep, *zoneout) if isinstance(zoneout, Sequence) else (keep,)
        if any(isinstance(mask, Tensor) and mask.requires_grad for mask in noise):
            return "the native kernels give no gradient to keep and zoneout"
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
    """As `reference.run`, for what `unable` has nothing against.

    Parameters
    ----------
    x : (B, T, I); read in place with any strides as long as the features lie side by side.
    state, lengths, keep, zoneout : (B, size) each, (B,), (B, P), and for each state a number or (B, T, size).
    memory : "low" computes the gates again in the backward pass instead of keeping them.
    stacked : return the last states as (1, B, size), which is what a net of one layer needs.

    Raises
    ------
    ValueError : what `unable` says, or a tensor of another shape, type or place than the cell's; nothing has
        been read then.
    """
    reason = unable(cell, x, keep, zoneout)
    if reason:
        raise ValueError(f"backend='native' cannot run this: {reason}. Use backend='auto' or 'reference'.")
    if memory not in _MEMORY:
        raise ValueError(f"memory must be 'normal' or 'low'. Got {memory!r} instead.")
    return unfold(cell, params, x, state, lengths, reverse, keep, zoneout, gates, memory == "low", stacked)


def unfold(
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
    """As `run`, where `unable` has been asked already; shapes, types and places are checked here.

    x : (B, T, I). state, lengths, keep, zoneout : (B, size) each, (B,), (B, P), numbers or (B, T, size).
    """
    if x.shape[:1] == (0,):
        result = reference.run(cell, params, x, state, reverse=reverse, gates=gates)
        return result._replace(state=tuple(s[None] for s in result.state)) if stacked else result
    masks, numbers = _zones(cell, zoneout)
    ask = Ask(cell, lengths, reverse, keep, masks, numbers, gates, low, stacked)
    start = () if state is None else state
    if _described(x, params):  # the operator checks what it is given when it is run
        slots = tuple([params.get(name) for name in _autograd.names(cell)])
        flat = tuple(_operators.unfold(ask, x, slots, start, _learns(x, params, start)))
    else:
        form, ask, x, slots, start = _arguments.fitted(ask, x, params, start)
        if lengths is not None:
            _arguments.valid(ask.lengths, x.shape[1])
        if _learns(x, params, start):
            flat = _autograd.apply(form, ask, x, *slots, *start)
        else:
            output, last, told, _ = _autograd.forward(form, ask, x, slots, start, False)
            flat = (output, *last, *told)
    n = 1 + len(numbers)
    named = dict(zip(_autograd.told_gates(cell), flat[n:], strict=True)) if gates else {}
    return Result(flat[0], tuple(flat[1:n]), named)


def stepper(cell: Cell, params: Parameters, batch: int) -> Any:
    """The compiled module's object that runs one step at a time, with weights of its own.

    params : as `run` takes them; what they are now is what is kept.
    """
    form = _arguments.formed(cell, params, params["weight_ih"].shape[-1])
    return form.layer.stepper(batch, _arguments.weights(form, cell, params))


def told(cell: Cell) -> str:
    """What runs `cell`: "native: lstm on avx512"; a program that is traced knows its machine only when run."""
    if torch.compiler.is_compiling():
        return f"native: {type(cell).__name__.lower()} in a traced program"
    assert _extension.native is not None
    return f"native: {type(cell).__name__.lower()} on {_extension.native.isa()}"


def untraced() -> str:
    """What is under way that needs every operation of the cell to be seen; nothing when there is no such thing."""
    return _exported() if torch.compiler.is_compiling() else _transformed()


def _exported() -> str:
    return "an export to ONNX is under way" if torch.onnx.is_in_onnx_export() else ""


def _transformed() -> str:
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return "a torch.func transform is under way"
    return (
        "forward-mode differentiation is under way" if torch.autograd.forward_ad._current_level >= 0 else ""
    )


def _learns(x: Tensor, params: Mapping[str, Tensor], state: State) -> bool:
    """Whether a backward pass may come."""
    if not torch.is_grad_enabled():
        return False
    if x.requires_grad:
        return True
    for t in params.values():  # no generator: the first one answers, at every call
        if t.requires_grad:
            return True
    return any(s.requires_grad for s in state)


def _zones(
    cell: Cell, zoneout: Sequence[Tensor | float] | None
) -> tuple[tuple[Tensor | None, ...], tuple[float, ...]]:
    """Zoneout as masks and numbers, one of the two for each state."""
    if zoneout is None:
        n = len(cell.states)
        return _NO_MASKS[:n], _NO_ZONES[:n]
    masks = tuple([z if isinstance(z, Tensor) and z.ndim else None for z in zoneout])
    return masks, tuple([0.0 if m is not None else float(z) for m, z in zip(masks, zoneout, strict=True)])


def _described(x: Tensor, params: Mapping[str, Tensor]) -> bool:
    """Whether there are no numbers to take the address of: tracing, fake tensors, subclasses of Tensor."""
    return (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack() > 0
        or type(x) not in _PLAIN
        or not _PLAIN.issuperset(map(type, params.values()))
    )
