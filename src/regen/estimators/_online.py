"""What the streams of fitted estimators share: input checks, weights as arrays, softmax."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, TypeVar

import narwhals as nw
import numpy as np
from numpy.typing import NDArray
from torch import nn

from regen.data.magnitude import FARTHEST, LARGEST, as_floats, refuse_far, refuse_unusable
from regen.data.masked_arrays import unmasked
from regen.data.plain import without_tensors
from regen.estimators._sequence_input import Values
from regen.nets.stream import Stream

Floats = NDArray[np.float32]
Net = TypeVar("Net", bound=nn.Module)


def read_step(
    name: str, step: Any, width: int, element: str, names: Sequence[str] = ()
) -> tuple[Values, NDArray[np.bool_]]:
    """Convert one step to a new array (width,) and the mask of its observed values.

    Parameters
    ----------
    name, element : names of the argument and of each of its values, for messages.
    step : (width,) numbers, or one number when width is 1; NaN is missing.
    names : of the values at fit, if they have some; a pandas row is then taken by its labels.
    """
    if len(names) and not isinstance(step, np.ndarray | list | tuple | float | int):
        step = _by_name(name, step, names, element)
    try:
        raw = np.asarray(unmasked(without_tensors(step, name)))
        row = as_floats(raw) if raw.dtype.kind in "biufO" else None
    except (TypeError, ValueError):
        row = None
    if row is None:
        raise ValueError(
            f"{name} holds a value that is not a number. Give numbers, and NaN where one is missing."
        )
    if row.shape != (width,):
        if width > 1 or row.shape != ():
            columns = f"{width} {element}{'' if width == 1 else 's'}"
            scalar = " or a number" if width == 1 else ""
            raise ValueError(
                f"{name} is one step of {columns}, of shape ({width},){scalar}. Got shape {row.shape} instead."
            )
        row = row.reshape(1)
    observed = np.abs(row) <= LARGEST
    if not observed.all():
        refuse_unusable(row, lambda k: (name, f"in {element} {k}" if width > 1 else ""))
    return row, observed


def _by_name(name: str, step: Any, names: Sequence[str], element: str) -> Any:
    """A pandas Series with the names of fit as its labels, in their order; other things as they are."""
    row = nw.from_native(step, series_only=True, pass_through=True)
    if not isinstance(row, nw.Series) or not row.implementation.is_pandas_like():
        return step
    labels = list(step.index)
    if not any(isinstance(label, str) for label in labels):
        return step
    if len(labels) != len(names) or set(labels) != set(names):
        raise ValueError(
            f"{name} is one step with the labels {', '.join(map(str, labels))}; its {element}s at fit were"
            f" {', '.join(names)}."
        )
    return row.to_numpy()[[labels.index(each) for each in names]]


def check_step(name: str, z: Values, observed: NDArray[np.bool_], element: str) -> None:
    """Refuse standardised values (C,) of a step, those `observed`, with which a network overflows."""
    if not (np.abs(z, where=observed, out=np.zeros_like(z)) <= FARTHEST).all():
        refuse_far(z, lambda k: (name, f"in {element} {k}" if len(z) > 1 else ""))


def softmax(logits: NDArray[np.float32]) -> Values:
    """Probabilities (K,) of classes from their logits (K,)."""
    exp: Values = np.exp(logits.astype(np.float64) - logits.max())
    return exp / exp.sum()  # type: ignore[no-any-return]


def eval_copy(net: Net) -> Net:
    """A copy on the CPU in evaluation mode, which further training of the model does not change."""
    return deepcopy(net).cpu().eval()


def carried_backend(stream: Stream) -> str:
    return f"{stream.backend_}; the state is carried from step to step"


def linear_weights(linear: nn.Linear) -> tuple[Floats, Floats]:
    """The weight (inputs, outputs) and the bias (outputs,) of a linear layer, as arrays."""
    return linear.weight.detach().numpy().T, linear.bias.detach().numpy()
