"""Images in: arrays (n, Y, X), (n, C, Y, X) or flat (n, C*Y*X), checked, with the shape of each picture.

Letters: `n` images, `C` channels, `Y` rows, `X` columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from regen._check import Int
from regen.data.masked_arrays import unmasked

__all__ = ["Images", "shaped", "size_of"]

Values: TypeAlias = NDArray[Any]
Size: TypeAlias = tuple[int, int, int]

_DEEPEST = 4
"""Channels of a picture in colour with transparency: none has more."""


@final
@dataclass(frozen=True, eq=False)
class Images:
    """Images as they were given.

    values : (n, Y, X), (n, C, Y, X) or (n, C*Y*X) numbers; NaN where a pixel is missing.
    size : (C, Y, X).
    dtype : of the array given; that of `values` too, unless integers had pixels masked out.
    """

    values: Values
    size: tuple[int, int, int]
    dtype: np.dtype[Any]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of `values`."""
        return self.values.shape

    @property
    def form(self) -> str:
        """``"nyx"``, ``"ncyx"`` or ``"flat"``."""
        return {2: "flat", 3: "nyx", 4: "ncyx"}[self.values.ndim]


def shaped(X: Any, image_shape: Any = None) -> Images:
    """Images from an array, checked: numbers, finite or NaN, of the shape that was told.

    Parameters
    ----------
    X : (n, Y, X), (n, C, Y, X), or with `image_shape` flat (n, C*Y*X). Masked pixels, and None, are missing.
    image_shape : (Y, X) or (C, Y, X); None takes it from X.

    Raises
    ------
    ValueError
        When the shape is none of these, or differs; for channels in the last place; for infinite values.
    """
    array, dtype = _numbers(X)
    size = size_of(array.shape) if image_shape is None else _told_size(array.shape, image_shape)
    _refuse_infinite(array, size)
    return Images(array, size, dtype)


def _numbers(X: Any) -> tuple[Values, np.dtype[Any]]:
    """X as an array of numbers, NaN where masked or None, and the dtype that it had."""
    dtype = np.ma.getdata(X).dtype if isinstance(X, np.ma.MaskedArray) else None
    array = np.asarray(unmasked(X))
    if array.dtype.kind == "O":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            raise ValueError("X holds something other than numbers where pixels belong.") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"Images must be numbers. Got an array of {array.dtype} instead.")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    return array, array.dtype if dtype is None or dtype.kind == "O" else dtype.newbyteorder("=")


def size_of(shape: tuple[int, ...], told: Size | None = None) -> Size:
    """(C, Y, X) of an array of shape (n, Y, X) or (n, C, Y, X); if it is the one told, no other reading is tried."""
    if len(shape) not in (3, 4):
        flat = " Flat images need image_shape=(Y, X) or (C, Y, X)." if len(shape) == 2 else ""
        raise ValueError(f"Images must have shape (n, Y, X) or (n, C, Y, X). Got {shape} instead.{flat}")
    if 0 in shape:
        raise ValueError(
            f"X has shape {shape}: there are no {'pixels in it' if shape[0] else 'images in it'}."
        )
    C, Y, X = (1, *shape[1:]) if len(shape) == 3 else shape[1:]
    if told != (C, Y, X) and _channels_last(C, Y, X):
        raise ValueError(
            f"X has shape {shape}, which looks like (n, Y, X, C). Channels come second: X.transpose(0, 3, 1, 2)."
        )
    return C, Y, X


def _told_size(shape: tuple[int, ...], image_shape: Any) -> Size:
    """(C, Y, X) as `image_shape` tells it, once the array is known to have it."""
    sizes = tuple(image_shape) if isinstance(image_shape, tuple | list | np.ndarray) else ()
    if len(sizes) not in (2, 3) or not all(Int(1).accepts(size) for size in sizes):
        raise ValueError(
            f"image_shape must be (Y, X) or (C, Y, X), whole numbers from 1. Got {image_shape!r} instead."
        )
    C, Y, X = (int(size) for size in ((1, *sizes) if len(sizes) == 2 else sizes))
    if len(shape) != 2:
        found = size_of(shape, told=(C, Y, X))
        if found != (C, Y, X):
            raise ValueError(f"image_shape={image_shape!r} was told, but X has images of shape {found}.")
        return found
    if not shape[0]:
        raise ValueError(f"X has shape {shape}: there are no images in it.")
    if shape[1] != C * Y * X:
        raise ValueError(
            f"image_shape={image_shape!r} has {C * Y * X} pixels; the rows of X have {shape[1]}."
        )
    if _channels_last(C, Y, X):
        raise ValueError(
            f"image_shape={image_shape!r} looks like (Y, X, C). Channels come first, and their pixels one channel"
            " after the other."
        )
    return C, Y, X


def _channels_last(C: int, Y: int, X: int) -> bool:
    """Whether what is read as (C, Y, X) must be (Y, X, C): more channels than any picture has."""
    return C > _DEEPEST and (X in (3, _DEEPEST) or (X == 1 and C == Y))


def _refuse_infinite(array: Values, size: Size) -> None:
    if array.dtype.kind != "f" or not np.isinf(array).any():
        return
    image, *place = np.argwhere(np.isinf(array.reshape(-1, *size)))[0].tolist()
    raise ValueError(
        f"Image {image} of X has an infinite value in channel {place[0]}, row {place[1]}, column {place[2]}."
        " Put a number there, or NaN if it is missing."
    )
