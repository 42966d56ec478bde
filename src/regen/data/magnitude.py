"""The numbers that networks compute with, those of float32: what lies beyond them is refused where data enter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FARTHEST",
    "LARGEST",
    "as_float",
    "as_floats",
    "overflow_refusal",
    "power_of_two",
    "refuse_far",
    "refuse_unusable",
]

LARGEST = float(np.finfo(np.float32).max)
"""The largest number of float32, 3.4e38."""
FARTHEST = 1e15
"""Largest absolute value of an encoded number: float32 overflows at the squares of some thousand times that."""

Place: TypeAlias = Callable[..., tuple[str, str]]
"""From the indices of a value to the subject and the place of a refusal: ``("Column 'a' of X", "in row 3")``."""

BEYOND = f"a value beyond ±{LARGEST:.2g} (float32)"
UNIT = "Give it in another unit, or put NaN there if it is missing."


def refuse_unusable(values: NDArray[Any], place: Place) -> None:
    """Refuse `values` (n, ...) that are infinite or beyond float32; NaN passes.

    Raises
    ------
    ValueError
        ``"Column 'a' of X has an infinite value in row 3. Put a number there, or NaN if it is missing."``, or
        ``"Column 'a' of X has a value beyond ±3.4e+38 (float32) in row 3. Give it in another unit, ..."``,
        for the first such value.
    """
    if values.dtype.kind != "f" or not _exceeds(values, LARGEST):
        return
    index = _first(values, LARGEST)
    subject, where = place(*index)
    where = f" {where}" if where else ""
    if np.isinf(values[index]):
        raise ValueError(
            f"{subject} has an infinite value{where}. Put a number there, or NaN if it is missing."
        )
    raise ValueError(f"{subject} has {BEYOND}{where}. {UNIT}")


def refuse_far(encoded: NDArray[Any], place: Place) -> None:
    """Refuse `encoded` numbers (n, ...), such as standardised ones, beyond ±1e15; NaN passes.

    Raises
    ------
    ValueError
        ``"Column 'a' of X has a value in row 3 that reaches the network as 2.0e+30, beyond ±1e+15, where networks
        overflow. Give it in the unit of the other values, ..."``, for the first such value.
    """
    if not _exceeds(encoded, FARTHEST):
        return
    index = _first(encoded, FARTHEST)
    subject, where = place(*index)
    where = f" {where}" if where else ""
    raise ValueError(
        f"{subject} has a value{where} that reaches the network as {encoded[index]:.1e}, beyond ±{FARTHEST:.0e},"
        " where networks overflow. Give it in the unit of the other values, or put NaN there if it is missing."
    )


def as_float(value: Any) -> float:
    """`value` as a float: the largest one for a whole number beyond all floats, so that it is refused as such."""
    try:
        return float(value)
    except OverflowError:
        return float(np.finfo(np.float64).max) * (1 if value > 0 else -1)


def as_floats(array: NDArray[Any]) -> NDArray[np.float64]:
    """An `array` (n, ...) of numbers or objects as float64, whole numbers beyond all floats as in `as_float`."""
    try:
        with np.errstate(over="ignore"):
            return array.astype(np.float64)
    except OverflowError:
        return np.asarray(np.frompyfunc(as_float, 1, 1)(array), dtype=np.float64)


def overflow_refusal(name: str, X: Any) -> ValueError:
    """The refusal of `X` (n, ...) with a whole number beyond all floats. name : of the argument."""
    array = as_floats(np.asarray(X, dtype=object))
    row = _first(array, LARGEST)[0]
    return ValueError(f"{name} has {BEYOND} in row {row}. {UNIT}")


def power_of_two(values: NDArray[Any]) -> float:
    """A power of 2 near the largest of `values` (n, ...) where their squares would over- or underflow, else 1.

    A division by it changes no bit of a sum or mean that stays in range.
    """
    if values.dtype.kind != "f" or not values.size:
        return 1.0
    largest = max(-float(np.fmin.reduce(values, axis=None)), float(np.fmax.reduce(values, axis=None)))
    if not 0 < largest < np.inf or 1e-100 < largest < 1e100:
        return 1.0
    return float(2.0 ** np.clip(np.floor(np.log2(largest)), -1021, 1021))


def _exceeds(values: NDArray[Any], limit: float) -> bool:
    """Whether a number among `values` lies beyond ±limit."""
    if not values.size:
        return False
    return max(float(np.fmax.reduce(values, axis=None)), -float(np.fmin.reduce(values, axis=None))) > limit


def _first(values: NDArray[Any], limit: float) -> tuple[int, ...]:
    """The indices of the first value beyond ±limit: by columns where there are two axes, else by rows."""
    beyond = np.abs(values.astype(np.float64, copy=False)) > limit
    if beyond.ndim == 2:
        column = int(beyond.any(axis=0).argmax())
        return int(beyond[:, column].argmax()), column
    return tuple(int(each) for each in np.unravel_index(int(beyond.argmax()), beyond.shape))
