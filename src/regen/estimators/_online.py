"""What the streams of fitted estimators share: one step read, weights as arrays, probabilities."""

from copy import deepcopy
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from regen.estimators._sequence_input import Values
from regen.nets.stream import Stream

Floats = NDArray[np.float32]
Net = TypeVar("Net", bound=nn.Module)


def read_step(name: str, given: Any, width: int, part: str) -> tuple[Values, NDArray[np.bool_]]:
    """One step (width,) of numbers, its own copy, and where they were observed.

    Parameters
    ----------
    name, part : what the step is called, and each of its values.
    given : (width,) numbers, or one when width is 1; NaN is missing.
    """
    try:
        raw = np.asarray(given)
        row = np.array(raw, dtype=np.float64) if raw.dtype.kind in "biufO" else None
    except (TypeError, ValueError):
        row = None
    if row is None:
        raise ValueError(
            f"{name} holds something that is no number. Give numbers, and NaN where one is missing."
        )
    if row.shape != (width,):
        if width > 1 or row.shape != ():
            columns = f"{width} {part}{'' if width == 1 else 's'}"
            one = " or a number" if width == 1 else ""
            raise ValueError(
                f"{name} is one step of {columns}, of shape ({width},){one}. Got shape {row.shape} instead."
            )
        row = row.reshape(1)
    seen = np.isfinite(row)
    if not seen.all() and np.isinf(row).any():
        raise ValueError(f"{name} has an infinite value. Put a number there, or NaN if it is missing.")
    return row, seen


def softmax(logits: NDArray[np.float32]) -> Values:
    """Probabilities (K,) of classes from their logits (K,)."""
    exp: Values = np.exp(logits.astype(np.float64) - logits.max())
    return exp / exp.sum()  # type: ignore[no-any-return]


def own_copy(net: Net) -> Net:
    """A copy on the CPU that answers as in evaluation, and stays as it is when the model is trained on."""
    return deepcopy(net).cpu().eval()


def carried_by(stream: Stream) -> str:
    return f"{stream.backend_}; the state is carried from step to step"


def weights_of(linear: nn.Linear) -> tuple[Floats, Floats]:
    """Its weight (inputs, outputs) and bias (outputs,), as they are now."""
    return linear.weight.detach().numpy().T, linear.bias.detach().numpy()
