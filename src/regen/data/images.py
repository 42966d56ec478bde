"""Images as numbers and back: arrays (n, Y, X), (n, C, Y, X) or flat (n, C*Y*X), checked and encoded.

Letters: `n` images, `C` channels, `Y` rows, `X` columns, `E` = C*Y*X encoded numbers of an image, in that order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from regen._check import Choice, Int, check_parameters
from regen._schema import Fields, Maybe, Numbers, Optional, Real, Several, Whole, Words
from regen.data.magnitude import as_floats, refuse_far, refuse_unusable
from regen.data.masked_arrays import unmasked
from regen.data.plain import plain, shape_of
from regen.data.scaling import is_constant, moments
from regen.data.table_encoding import Block

__all__ = ["PIXELS", "Images", "Pixels", "check_images", "image_size"]


Values: TypeAlias = NDArray[Any]
Size: TypeAlias = tuple[int, int, int]

_DEEPEST = 4
"""Most channels of a picture: colours and opacity."""


@final
@dataclass(frozen=True, eq=False)
class Images:
    """Images as given.

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


def check_images(X: Any, image_shape: Any = None) -> Images:
    """Images from an array, checked: finite numbers or NaN, of the given shape.

    Parameters
    ----------
    X : (n, Y, X), (n, C, Y, X), or with `image_shape` flat (n, C*Y*X). Masked pixels, and None, are missing.
    image_shape : (Y, X) or (C, Y, X); None takes it from X.

    Raises
    ------
    ValueError
        When the shape is none of these, or differs; for channels in the last place; for values that are infinite or
        beyond float32.
    """
    array, dtype = _numbers(X)
    size = image_size(array.shape) if image_shape is None else _requested_size(array.shape, image_shape)
    refuse_unusable(array.reshape(-1, *size), _place)
    return Images(array, size, dtype)


def _numbers(X: Any) -> tuple[Values, np.dtype[Any]]:
    """X as an array of numbers, NaN where masked or None, and the dtype that it had."""
    dtype = np.ma.getdata(X).dtype if isinstance(X, np.ma.MaskedArray) else None
    X = plain(X)
    shape_of(X)  # refuses rows of different lengths
    array = np.asarray(unmasked(X))
    if array.dtype.kind == "O":
        try:
            array = as_floats(array)
        except (TypeError, ValueError):
            raise ValueError("X holds something other than numbers where pixels belong.") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"Images must be numbers. Got an array of {array.dtype} instead.")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    return array, array.dtype if dtype is None or dtype.kind == "O" else dtype.newbyteorder("=")


def image_size(shape: tuple[int, ...], known: Size | None = None) -> Size:
    """(C, Y, X) of an array of shape (n, Y, X) or (n, C, Y, X); no other is tried for `known`."""
    if len(shape) not in (3, 4):
        flat = " Flat images need image_shape=(Y, X) or (C, Y, X)." if len(shape) == 2 else ""
        raise ValueError(f"Images must have shape (n, Y, X) or (n, C, Y, X). Got {shape} instead.{flat}")
    if 0 in shape:
        raise ValueError(
            f"X has shape {shape}: there are no {'pixels in it' if shape[0] else 'images in it'}."
        )
    C, Y, X = (1, *shape[1:]) if len(shape) == 3 else shape[1:]
    if known != (C, Y, X) and _channels_last(C, Y, X):
        raise ValueError(
            f"X has shape {shape}, which looks like (n, Y, X, C). Channels come second: X.transpose(0, 3, 1, 2)."
        )
    return C, Y, X


def _requested_size(shape: tuple[int, ...], image_shape: Any) -> Size:
    """(C, Y, X) of `image_shape`, checked against the array."""
    sizes = tuple(image_shape) if isinstance(image_shape, tuple | list | np.ndarray) else ()
    if len(sizes) not in (2, 3) or not all(Int(1).accepts(size) for size in sizes):
        raise ValueError(
            f"image_shape must be (Y, X) or (C, Y, X), whole numbers from 1. Got {image_shape!r} instead."
        )
    C, Y, X = (int(size) for size in ((1, *sizes) if len(sizes) == 2 else sizes))
    if len(shape) != 2:
        found = image_size(shape, known=(C, Y, X))
        if found != (C, Y, X):
            raise ValueError(
                f"image_shape={image_shape!r} differs from the shape of the images in X, {found}."
            )
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
    """Whether (C, Y, X) must be (Y, X, C): it has more channels than any picture."""
    return C > _DEEPEST and (X in (3, _DEEPEST) or (X == 1 and C == Y))


def _place(image: int, channel: int, row: int, column: int) -> tuple[str, str]:
    return f"Image {image} of X", f"in channel {channel}, row {row}, column {column}"


KINDS = ("real", "nonnegative", "unit", "binary", "counts")
PIXELS = Fields(
    {
        "shape": Several(Whole(1, 2**31), 3),
        "form": Words(("flat", "nyx", "ncyx")),
        "dtype": Words(),
        "kind": Words(KINDS),
        "center": Numbers("f", ("channels",)),
        "scale": Numbers("f", ("channels",), low=0, above=True),
        "middle": Numbers("f", ("inputs",)),
        "spread": Numbers("f", ("inputs",), low=0, above=True),
        "low": Optional(Maybe(Real())),
        "high": Optional(Maybe(Real())),
    }
)
"""The form of what `Pixels.state` returns."""
_OUTPUT = Choice(("auto", *KINDS))
_SMALL = 1e-30
"""Scales below it, or above its inverse, are divided by in float64."""
_PART = 1 << 22
"""Numbers measured at a time."""


@final
@dataclass(frozen=True, eq=False)
class Pixels:
    """The encoding of images as input and target of a network, with the interface of `Columns`.

    All pixels of an image are of one kind, and all of a channel share one center and one scale, so that a pixel
    that is always dark stays so.

    ============= ============================================ ==========================================
    kind          of images, when ``output="auto"``            encoded
    ============= ============================================ ==========================================
    binary        bool, or nothing but 0 and 1                 0 or 1
    unit          uint8, or floats in [0, 1]                   uint8 / 255, floats as they are
    real          all others                                   (x - center) / scale, mean and deviation
    nonnegative   only on request                             x / scale
    counts        only on request                             x
    ============= ============================================ ==========================================

    Attributes
    ----------
    shape : (C, Y, X).
    form : the shape of the array at fit, which `decode` restores: ``"nyx"``, ``"ncyx"`` or ``"flat"``.
    dtype : of the images at fit.
    kind : one of those above.
    center, scale : (C,) of each channel: x = center + scale * encoded.
    middle, spread : (C,) mean and deviation of the input of the encoder, which `inputs` removes.
    low, high : range of decoded pixels; None without a limit.
    """

    shape: tuple[int, int, int]
    form: str
    dtype: np.dtype[Any]
    kind: str
    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    middle: NDArray[np.float64]
    spread: NDArray[np.float64]
    low: float | None = None
    high: float | None = None

    @staticmethod
    def read(X: Any, image_shape: Any = None) -> Images:
        """Images to fit on: `check_images` of X, (n, Y, X), (n, C, Y, X), or flat (n, C*Y*X) with `image_shape`."""
        return check_images(X, image_shape)

    @classmethod
    def fit(
        cls,
        images: Images,
        output: str = "auto",
        rows: NDArray[np.integer] | None = None,
        bounded: bool = True,
    ) -> Pixels:
        """Measure the kind of the pixels, and the moments of the images number `rows` (k,), or of all.

        output : ``"auto"`` or the kind of the pixels. bounded : whether decoded pixels stay within the range of all
        images, those in [0, 1] and bytes apart, which have a range of their own.

        Raises
        ------
        ValueError
            When the values cannot be of the requested kind, or a channel has only missing pixels.
        """
        check_parameters("Pixels", {"output": _OUTPUT}, {"output": output})
        low, high = _extent(images.values)
        kind = _kind(images, low, high) if output == "auto" else output
        _refuse_range(kind, images, low, high)
        chosen = images if rows is None else Images(images.values[rows], images.size, images.dtype)
        channels = _channels(chosen)
        _refuse_empty_channels(channels)
        center, scale = np.zeros(len(channels[0])), np.ones(len(channels[0]))
        if kind in ("real", "nonnegative"):
            mean, scale = _moments(channels)
            center = mean if kind == "real" else center
        elif kind == "unit":
            scale = scale * _white(images.dtype, high)
        plain = cls(images.size, images.form, images.dtype, kind, center, scale, center, scale)
        inputs = plain._input_values(plain.encode(chosen).reshape(channels.shape))
        extent = (low, high) if bounded and kind not in ("unit", "binary") else (None, None)
        return cls(images.size, images.form, images.dtype, kind, center, scale, *_moments(inputs), *extent)

    def read_known(self, X: Any) -> Images:
        """New images, checked against those fitted: (n, Y, X), (n, C, Y, X) or flat (n, C*Y*X), the shape as at fit.

        Floats beyond [0, 1] are accepted, as in a noisy image. Another range is refused.
        """
        pixels = math.prod(self.shape)
        shape = shape_of(plain(X))
        if len(shape) == 2 and shape[1] != pixels:
            raise ValueError(f"The rows of X have {shape[1]} pixels. The images fitted had {pixels}.")
        images = check_images(X, self.shape if len(shape) == 2 or shape[1:] == self.shape else None)
        if images.size != self.shape:
            raise ValueError(
                f"X has images of {images.size} channels, rows and columns. Those fitted had {self.shape}."
            )
        self._refuse_other_range(images)
        return images

    def encode(self, images: Images) -> NDArray[np.float32]:
        """(n, E) targets of the network; NaN where a pixel is missing."""
        channels = _channels(images)
        encoded = np.empty(channels.shape, dtype=np.float32)
        if self.kind == "counts" and images.dtype != np.bool_ and np.nanmin(channels, initial=0) < 0:
            raise ValueError("X has negative pixels. Counts are 0 or more.")
        with np.errstate(over="ignore"):  # what overflows is refused
            if ((self.scale < _SMALL) | (self.scale > 1 / _SMALL)).any():
                encoded[...] = (channels - self.center[:, None]) / self.scale[:, None]
            else:
                if self.center.any():  # the difference in the precision of X, then rounded once
                    np.subtract(channels, self.center[:, None], out=encoded, casting="same_kind")
                else:
                    encoded[...] = channels
                if (self.scale != 1).any():
                    encoded /= self.scale[:, None].astype(np.float32)
        refuse_far(encoded.reshape(-1, *self.shape), _place)
        return encoded.reshape(len(images), math.prod(self.shape))

    def inputs(self, encoded: Tensor) -> Tensor:
        """Input of the encoder: (..., E) encoded numbers, each channel with mean 0 and deviation 1.

        Counts become log(1 + x). NaN stays NaN.
        """
        values = encoded.log1p() if self.kind == "counts" else encoded
        if self.kind == "real":
            return values
        if len(self.middle) == 1:
            return (values - float(self.middle[0])) / float(self.spread[0])
        cells = math.prod(self.shape[1:])
        middle, spread = (encoded.new_tensor(np.repeat(each, cells)) for each in (self.middle, self.spread))
        return (values - middle) / spread

    @property
    def input_moments(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Means and deviations (E,) that `inputs` removes: of the logarithm of counts."""
        cells = math.prod(self.shape[1:])
        middle, spread = (np.repeat(each, cells).astype(np.float32) for each in (self.middle, self.spread))
        return middle, spread

    def decode(self, values: NDArray[Any], *, rounded: bool = False) -> Values:
        """Images as at fit, in form and dtype, from encoded numbers.

        Parameters
        ----------
        values : (n, E).
        rounded : binary pixels as the nearer of the two values, in the dtype at fit; else their mean, as floats.
            Integers are rounded in any case, counts alone stay means.
        """
        C, Y, X = self.shape
        channels = np.asarray(values).reshape(len(values), C, Y * X)
        form = {"flat": (C * Y * X,), "nyx": (Y, X), "ncyx": self.shape}[self.form]
        return self._pixel_values(channels, rounded).reshape(len(values), *form)

    def fill(self, images: Images, values: NDArray[Any]) -> Values:
        """The array of `images` with its missing pixels, and no others, taken from `values`.

        In the form and dtype given: masked pixels of integers are filled by integers.

        values : (n, E) encoded numbers.
        """
        array = np.ascontiguousarray(images.values)
        if array.dtype.kind != "f":
            return array.copy()
        channels = np.asarray(values).reshape(len(images), self.shape[0], -1)
        restored = self._pixel_values(channels, rounded=True).reshape(array.shape)
        whole = images.dtype.kind != "f"
        return np.where(np.isnan(array), np.rint(restored) if whole else restored, array).astype(images.dtype)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """One block of all E cells."""
        E = math.prod(self.shape)
        return (Block(self.kind, 0, E, tuple(range(E))),)

    @property
    def log_scale(self) -> NDArray[np.float64]:
        """(E,) log of what a density of encoded numbers is divided by to be one of pixels.

        The log of `scale` for real and nonnegative pixels; 0 for all others: that of unit pixels is over [0, 1].
        """
        if self.kind not in ("real", "nonnegative"):
            return np.zeros(math.prod(self.shape))
        return np.log(np.repeat(self.scale, math.prod(self.shape[1:])))

    def state(self) -> dict[str, Any]:
        """All of it, as numbers, texts, lists and arrays."""
        arrays = {name: getattr(self, name) for name in ("center", "scale", "middle", "spread")}
        return {
            "shape": list(self.shape),
            "form": self.form,
            "dtype": self.dtype.str,
            "kind": self.kind,
            "low": self.low,
            "high": self.high,
            **arrays,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Pixels:
        """The pixels with this `state`."""
        C, Y, X = (int(size) for size in state["shape"])
        arrays: Any = [np.asarray(state[name]) for name in ("center", "scale", "middle", "spread")]
        if len(arrays[0]) != C or len(arrays[2]) not in (1, C) or (state["form"] == "nyx" and C != 1):
            raise ValueError(f"the layout of images with {C} channels has other numbers of them")
        form, dtype, kind = state["form"], np.dtype(state["dtype"]), state["kind"]
        if dtype.kind not in "biuf":
            raise ValueError(f"images cannot be of {state['dtype']!r}")
        arrays += [state.get("low"), state.get("high")]
        return cls((C, Y, X), form, dtype, kind, *arrays)

    def _input_values(self, encoded: NDArray[np.float32]) -> NDArray[np.float32]:
        """The values that `inputs` centres and scales."""
        return np.log1p(encoded) if self.kind == "counts" else encoded

    def _pixel_values(self, channels: NDArray[Any], rounded: bool) -> Values:
        """Pixels (n, C, Y*X) from encoded numbers of that shape."""
        floats = self.dtype if self.dtype.kind == "f" else np.dtype(np.float32)
        if self.kind == "binary" and rounded:
            return (channels >= 0.5).astype(self.dtype)
        if self.kind in ("binary", "counts") or (self.kind == "unit" and self.dtype.kind == "f"):
            return self._within(channels).astype(floats)
        x = self._within(channels * self.scale[:, None] + self.center[:, None])
        if self.dtype.kind == "f":
            return x.astype(self.dtype)
        if self.dtype.kind == "b":
            return x.astype(floats)
        limits = np.iinfo(self.dtype)
        # In float64, the largest int64 is one too many.
        high = np.nextafter(float(limits.max), 0) if limits.bits == 64 else limits.max
        return np.asarray(np.clip(np.rint(x), limits.min, high).astype(self.dtype))

    def _within(self, x: NDArray[Any]) -> NDArray[Any]:
        """Pixels within `low` and `high`."""
        limited = self.low is not None or self.high is not None
        return np.asarray(np.clip(x, self.low, self.high)) if limited else x

    def _refuse_other_range(self, images: Images) -> None:
        """Refuse 0 to 255 where 0 to 1 was fitted, and the other way round."""
        if self.kind != "unit":
            return
        full = int(self.scale.max())
        high = _extent(images.values)[1]
        if full == 1 and images.dtype.kind in "ui" and high > 1:
            raise ValueError(
                f"X has {images.dtype} pixels up to {high:g}. Those fitted were from 0 to 1. Divide by"
                f" {_white(images.dtype, high)}."
            )
        if full > 1 and images.dtype.kind == "f" and 0 < high <= 1:
            raise ValueError(
                f"X has floats up to {high:g}. The images fitted were {self.dtype}, 0 to {full}. Multiply by {full}."
            )


def _channels(images: Images) -> Values:
    """(n, C, Y*X), a view where it can be."""
    C, Y, X = images.size
    return images.values.reshape(len(images), C, Y * X)


def _extent(values: Values) -> tuple[float, float]:
    """The lowest and the highest pixel; NaN when all are missing."""
    return float(np.fmin.reduce(values, axis=None)), float(np.fmax.reduce(values, axis=None))


def _kind(images: Images, low: float, high: float) -> str:
    """The kind of the pixels, by their dtype and range."""
    if images.dtype.kind == "b" or ((low, high) == (0, 1) and _two_valued(images.values)):
        return "binary"
    floats = images.dtype.kind == "f"
    return "unit" if images.dtype == np.uint8 or (floats and low >= 0 and high <= 1) else "real"


def _two_valued(values: Values) -> bool:
    """Whether every pixel is 0, 1 or missing."""
    return bool(((values == 0) | (values == 1) | (values != values)).all())


def _white(dtype: np.dtype[Any], high: float) -> int:
    """The value that encodes as 1: white in images of integers."""
    if dtype == np.uint8 or (dtype.kind in "ui" and 1 < high <= 255):
        return 255
    return 65535 if dtype.kind in "ui" and high > 255 else 1


def _refuse_range(kind: str, images: Images, low: float, high: float) -> None:
    """Refuse values that cannot be of the requested kind."""
    values = images.values
    whole = "" if values.dtype.kind != "f" or kind != "counts" else _fraction(values)
    wrong = {
        "nonnegative": low < 0,
        "counts": low < 0 or bool(whole),
        "unit": low < 0 or high > (65535 if images.dtype.kind in "ui" else 1),
        "binary": kind == "binary" and not _two_valued(values),
    }
    meant = {
        "nonnegative": "0 or more",
        "counts": "whole numbers from 0",
        "unit": "in [0, 1], or integers up to 255 or 65535",
        "binary": "0 or 1",
    }
    if wrong.get(kind, False):
        found = whole or f"values from {low:g} to {high:g}"
        raise ValueError(f"output={kind!r} is for pixels that are {meant[kind]}. X has {found}.")


def _refuse_empty_channels(channels: Values) -> None:
    """Refuse a channel without any observed pixel."""
    if channels.dtype.kind == "f":
        lost = np.isnan(channels).all(axis=(0, 2))
        if lost.any():
            raise ValueError(f"Channel {int(lost.argmax())} of X has only missing pixels. Leave it out.")


def _fraction(values: Values) -> str:
    """The first value that is not whole, in words; nothing when all are."""
    broken = values[values != np.rint(values)]
    broken = broken[~np.isnan(broken)]
    return f"the value {broken[0]:g}" if len(broken) else ""


def _moments(channels: Values) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(C,) mean and standard deviation of each channel, 1 where it is constant."""
    mean, deviation = moments(channels, axis=(0, 2), numbers=_PART)
    return mean, np.where(is_constant(mean, deviation), 1.0, deviation)
