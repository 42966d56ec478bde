"""Argument validation of recurrent nets: their parameters, inputs, states and lengths."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from regen._check import Anything, Bool, Choice, Either, Int, Kind, Number, check_parameters
from regen.cells import LSTM, Cell, Init
from regen.cells._cell import INITS
from regen.kernels import BACKENDS, torch_fused

_FRACTION = Number(0, 1)
_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
_TABLE = {
    "input_size": Int(1),
    "hidden_size": Int(1),
    "num_layers": Int(1),
    "bias": Bool(),
    "batch_first": Bool(),
    "dropout": _FRACTION,
    "bidirectional": Bool(),
    "recurrent_dropout": Number(0, 1, high_open=True),
    "init": Either((Choice(INITS), Kind(Init, "an Init"))),
    "backend": Choice(BACKENDS),
    "memory": Choice(("normal", "low")),
}


def check_arguments(owner: str, cell: Cell, arguments: Mapping[str, Any]) -> None:
    """ValueError for arguments out of range; a warning about dropout without effect."""
    states = cell.states

    def fractions(value: Any) -> bool:
        return isinstance(value, tuple) and len(value) == len(states) and all(map(_FRACTION.accepts, value))

    pair = Anything(f"a tuple of {len(states)} such numbers for ({', '.join(states)})", fractions)
    table = _TABLE | {"zoneout": Either((_FRACTION, pair))}
    check_parameters(owner, table, arguments)
    if isinstance(cell, LSTM) and cell.proj_size >= arguments["hidden_size"]:
        raise ValueError(
            f"The 'proj_size' parameter of {owner} must be smaller than hidden_size={arguments['hidden_size']}. "
            f"Got {cell.proj_size} instead."
        )
    if arguments["dropout"] and arguments["num_layers"] == 1:
        warnings.warn(
            f"dropout={arguments['dropout']} acts between layers and this {owner} has one. "
            "Use num_layers of at least 2, or recurrent_dropout.",
            UserWarning,
            stacklevel=4,
        )


def check_input(owner: str, input_size: int, dtype: torch.dtype, x: Any, packed: bool = False) -> None:
    """ValueError for inputs that are no tensor, or have other dimensions, features or precision than the net's."""
    if isinstance(x, fx.Proxy):
        raise ValueError(
            f"torch.fx cannot trace the inside of {owner}. Keep it whole: trace with a torch.fx.Tracer whose "
            "is_leaf_module returns True for it."
        )
    if not isinstance(x, Tensor):
        kind = type(x).__name__
        raise ValueError(
            f"input must be a torch tensor. Got {kind} instead: torch.as_tensor(input, dtype={dtype})."
        )
    shape = x.shape
    if not packed and len(shape) not in (2, 3):
        raise ValueError(
            f"input has shape {tuple(shape)}; {owner} takes sequences of 2 dimensions, or a batch of them with 3."
        )
    if shape[-1] != input_size:
        raise ValueError(
            f"input has shape {tuple(shape)}, {shape[-1]} features; this {owner} has input_size={input_size}. "
            "Put the features in the last dimension."
        )
    if x.dtype != dtype and not torch.is_autocast_enabled(x.device.type):
        advice = f"Convert one: input.to({dtype}) or net.to({x.dtype})."
        if not x.is_floating_point():
            advice = (
                "Convert it: input.float()." if dtype == torch.float32 else f"Convert it: input.to({dtype})."
            )
        raise ValueError(f"input is {x.dtype} and the weights of this {owner} are {dtype}. {advice}")


def check_quantisation(owner: str, cell: Cell, dtype: torch.dtype, qconfig: object) -> None:
    """ValueError where ``torch.ao.quantization`` is to quantise a net, and a warning where it leaves it as it is."""
    advice = torch_fused.unsupported_reason(cell, None, None, False)
    advice = advice or f"load its weights into torch.nn.{owner} to quantise that"
    if qconfig is not None:
        raise ValueError(f"torch.ao.quantization cannot quantise regen.nn.{owner}: {advice}.")
    message = f"regen.nn.{owner} is not quantised and stays in {dtype}: {advice}."
    warnings.warn(message, UserWarning, stacklevel=3)


def check_steps(owner: str, T: int) -> None:
    """ValueError for sequences without steps."""
    if T == 0:
        raise ValueError(f"input has no steps; {owner} needs at least 1.")


def read_state(
    owner: str,
    names: tuple[str, ...],
    shapes: Sequence[tuple[int, ...]],
    hx: Any,
    x: Tensor,
    batched: bool,
) -> tuple[Tensor, ...]:
    """The initial state as a tuple of tensors (L*D, B, size); a state of one sequence gains its B = 1."""
    expected_type = (
        "a tensor" if len(names) == 1 else f"the tuple ({', '.join(f'{name}_0' for name in names)})"
    )
    states = (hx,) if isinstance(hx, Tensor) else tuple(hx)
    if len(states) != len(names) or isinstance(hx, Tensor) != (len(names) == 1):
        got = "a tensor" if isinstance(hx, Tensor) else f"{len(states)} tensors"
        raise ValueError(f"hx of {owner} must be {expected_type}. Got {got} instead.")
    for name, s, shape in zip(names, states, shapes, strict=True):
        expected = shape if batched else (shape[0], shape[2])
        if tuple(s.shape) != expected:
            raise ValueError(
                f"{name}_0 has shape {tuple(s.shape)}; {owner} expects {expected}, "
                f"(layers * directions{', batch' if batched else ''}, size)."
            )
        if s.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):
            raise ValueError(
                f"{name}_0 is {s.dtype} and input is {x.dtype}. Convert it: {name}_0.to({x.dtype})."
            )
    return states if batched else tuple(s.unsqueeze(1) for s in states)


def read_lengths(lengths: Tensor | Sequence[int] | None, x: Tensor, batched: bool) -> Tensor | None:
    """Lengths as (B,) int64; ValueError unless there is one from 0 to T for each row of x (B, T, I)."""
    if lengths is None:
        return None
    if not batched:
        raise ValueError(
            "lengths are for a batch and input is one sequence. Cut input to its length instead."
        )
    B, T = x.shape[:2]
    valid = torch.as_tensor(lengths)
    if valid.shape != (B,) or valid.dtype not in _INTEGERS:
        raise ValueError(
            f"lengths has shape {tuple(valid.shape)} and type {valid.dtype}; "
            f"give one int for each of the {B} rows of input."
        )
    if B and not torch.compiler.is_compiling():  # in traced programs the kernel checks them
        each = valid.tolist()
        low, high = min(each), max(each)
        if low < 0 or high > T:
            raise ValueError(
                f"lengths must be from 0 to {T}, the steps of input. Got {low} to {high} instead."
            )
    return valid.long()


def described(cell: Cell, arguments: Mapping[str, Any]) -> str:
    """Sizes, the cell, and the arguments that differ from their default."""
    words = [str(arguments["input_size"]), str(arguments["hidden_size"]), f"cell={cell}"]
    defaults = {
        "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False,
        "recurrent_dropout": 0.0, "zoneout": 0.0, "init": "auto", "backend": "auto",
        "memory": "normal",
    }  # fmt: skip
    words += [f"{name}={arguments[name]!r}" for name, value in defaults.items() if arguments[name] != value]
    return ", ".join(words)
