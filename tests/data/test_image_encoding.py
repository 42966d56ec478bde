"""Images: encoded and decoded exactly; missing pixels stay missing; wrong images are refused."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from regen.data.images import Pixels
from regen.persistence.values import Packer, Unpacker

RNG = np.random.default_rng(0)


def images(dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Random images: bytes, truth values, floats from 0 to 1 or of any size."""
    if dtype == "uint8":
        return RNG.integers(0, 256, shape, dtype=np.uint8)
    if dtype == "bool":
        return RNG.random(shape) < 0.5
    if dtype == "int16":
        return RNG.integers(-900, 900, shape).astype(np.int16)
    return RNG.random(shape).astype(dtype)


def fitted(X: NDArray[Any], **options: Any) -> tuple[Pixels, NDArray[np.float32]]:
    """Pixels fitted on X, and X encoded."""
    read = Pixels.read(X, options.pop("image_shape", None))
    pixels = Pixels.fit(read, **options)
    return pixels, pixels.encode(read)


@given(
    dtype=st.sampled_from(["uint8", "bool", "float32", "float16", "int16"]),
    n=st.integers(1, 3),
    C=st.sampled_from([None, 1, 2, 3, 4]),
    Y=st.integers(1, 9),
    X=st.integers(1, 9),
    flat=st.booleans(),
)
def test_a_round_trip_is_exact(dtype: str, n: int, C: int | None, Y: int, X: int, flat: bool) -> None:
    """Any size, form and number of channels: decoding what was encoded gives the same bits in the same form."""
    shape = (Y, X) if C is None else (C, Y, X)
    X_in = images(dtype, (n, *shape))
    X_in = X_in.reshape(n, -1) if flat else X_in
    pixels, encoded = fitted(X_in, image_shape=shape if flat else None)
    assert pixels.shape == (C or 1, Y, X)
    assert encoded.shape == (n, (C or 1) * Y * X)
    assert encoded.dtype == np.float32
    back = pixels.decode(encoded, rounded=True)
    assert (back.dtype, back.shape) == (X_in.dtype, X_in.shape)
    np.testing.assert_array_equal(back, X_in)
    again = Pixels.from_state(pixels.state())
    np.testing.assert_array_equal(again.encode(again.read_known(X_in)), encoded)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_real_pixels_are_standardised_by_channel(dtype: str) -> None:
    """Each channel has its own mean and deviation, known from the chosen rows only, and comes back to rounding."""
    X = (1000 + 50 * RNG.standard_normal((6, 2, 3, 4)) * [[[1]], [[9]]]).astype(dtype)
    rows = np.array([0, 2, 3])
    pixels, encoded = fitted(X, rows=rows)
    assert pixels.kind == "real"
    known = X[rows].astype(float)
    mean, deviation = known.mean(axis=(0, 2, 3)), known.std(axis=(0, 2, 3))
    np.testing.assert_allclose(pixels.center, mean)
    np.testing.assert_allclose(pixels.scale, deviation)
    expected = (X - mean[:, None, None]) / deviation[:, None, None]
    np.testing.assert_allclose(encoded, expected.reshape(6, -1), rtol=1e-4, atol=1e-4)
    assert not np.allclose(
        encoded, ((X - X.mean()) / X.std()).reshape(6, -1), atol=0.1
    )  # one for all channels
    np.testing.assert_allclose(pixels.decode(encoded), X, rtol=1e-6, atol=1e-3)
    np.testing.assert_allclose(pixels.log_scale, np.log(np.repeat(deviation, 12)))


@pytest.mark.parametrize(
    ("X", "kind"),
    [
        (np.array([[[0, 200]]], np.uint8), "unit"),
        (np.array([[[0, 1]]], np.uint8), "binary"),
        (np.array([[[0, 0]]], np.uint8), "unit"),
        (np.array([[[True, True]]]), "binary"),
        (np.array([[[0.0, 1.0]]]), "binary"),
        (np.array([[[0.0, np.nan, 1.0]]]), "binary"),
        (np.array([[[0.0, 0.5]]]), "unit"),
        (np.array([[[0.0, 0.0]]]), "unit"),
        (np.array([[[0.0, 1.001]]]), "real"),
        (np.array([[[-0.001, 1.0]]]), "real"),
        (np.array([[[0.0, 16.0]]]), "real"),
        (np.array([[[0, 16]]]), "real"),
    ],
)
def test_what_pixels_are(X: NDArray[Any], kind: str) -> None:
    """The kind follows dtype and range; all pixels are one block of it; other kinds have no log scale."""
    pixels, _ = fitted(X)
    assert pixels.kind == kind
    ((found, start, stop, columns),) = pixels.blocks
    assert (found, start, stop, columns) == (kind, 0, X.size, tuple(range(X.size)))
    if kind != "real":
        np.testing.assert_array_equal(pixels.log_scale, 0)


def test_requested_kinds() -> None:
    """Nonnegative keeps 0, counts stay as they are, unit divides integers by what white is."""
    X = np.array([[[0.0, 3.0], [1.0, 2.0]]])
    pixels, encoded = fitted(X, output="nonnegative")
    np.testing.assert_allclose(encoded, X.reshape(1, 4) / X.std(), rtol=1e-6)
    np.testing.assert_allclose(pixels.log_scale, np.log(X.std()))
    np.testing.assert_array_equal(fitted(X, output="counts")[1], X.reshape(1, 4))
    X = np.array([[[0, 255]]])
    np.testing.assert_array_equal(fitted(X, output="unit")[1], [[0, 1]])
    np.testing.assert_allclose(fitted(300 * X // 255, output="unit")[1], [[0, 300 / 65535]])
    np.testing.assert_array_equal(fitted(X // 255, output="unit")[1], [[0, 1]])


def test_what_the_encoder_reads() -> None:
    """Mean 0 and deviation 1 in each channel, counts by their logarithm, NaN kept; real ones are so already."""
    X = images("uint8", (40, 2, 5, 5))
    X[:, 1] //= 2
    for X_in, output in ((X, "auto"), (X // 40, "counts"), (X > 60, "auto"), (X * 3.0, "nonnegative")):
        pixels, encoded = fitted(X_in, output=output)
        read = pixels.inputs(torch.from_numpy(encoded)).reshape(40, 2, 25)
        np.testing.assert_allclose(read.mean(dim=(0, 2)), 0, atol=1e-5)
        np.testing.assert_allclose(read.std(dim=(0, 2), correction=0), 1, atol=1e-5)
    pixels, encoded = fitted(X[:, :1])
    encoded[0, 0] = np.nan
    read = pixels.inputs(torch.from_numpy(encoded))
    assert read.isnan().sum() == 1 and read[0, 0].isnan()
    np.testing.assert_allclose(read[1].std(correction=0), 1, atol=0.3)
    pixels, encoded = fitted(X - 300.0)
    tensor = torch.from_numpy(encoded)
    assert pixels.inputs(tensor) is tensor


def test_a_constant_channel() -> None:
    """Nothing is divided by 0, and it comes back."""
    X = np.full((4, 2, 3, 3), 0.1 + 7)
    pixels, encoded = fitted(X)
    assert np.isfinite(encoded).all()
    assert pixels.inputs(torch.from_numpy(encoded)).isfinite().all()
    np.testing.assert_allclose(pixels.decode(encoded), X, rtol=1e-6)


def test_missing_pixels() -> None:
    """NaN, None and masked pixels are missing: they are NaN for the net and do not enter its scale."""
    X = RNG.standard_normal((5, 3, 3))
    holes = X > 0.7
    assert 3 < holes.sum() < 40
    broken = np.where(holes, np.nan, X)
    pixels, encoded = fitted(broken)
    np.testing.assert_array_equal(np.isnan(encoded), holes.reshape(5, 9))
    np.testing.assert_allclose(pixels.center, X[~holes].mean())
    np.testing.assert_allclose(pixels.scale, X[~holes].std())
    for other in (np.ma.masked_array(X, holes), np.where(holes, None, X)):
        np.testing.assert_array_equal(fitted(other)[1], encoded)
    assert np.isnan(broken[holes]).all(), "what was given is left alone"


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("flat", [False, True])
def test_only_missing_pixels_are_filled(dtype: str, flat: bool) -> None:
    """Observed pixels keep their bits; missing ones have their own restored value, not a neighbour's."""
    X = (3 * RNG.standard_normal((4, 2, 3, 3))).astype(dtype)
    X[0, 1, 2] = np.nan
    shape = (2, 3, 3) if flat else None
    X = X.reshape(4, -1) if flat else X
    read = Pixels.read(X, shape)
    pixels = Pixels.fit(read)
    values = RNG.standard_normal((4, 18)).astype(np.float32)
    filled = pixels.fill(read, values)
    holes = np.isnan(X)
    assert (filled.dtype, filled.shape) == (X.dtype, X.shape)
    assert filled[~holes].tobytes() == X[~holes].tobytes()
    np.testing.assert_array_equal(filled[holes], pixels.decode(values).reshape(X.shape)[holes])
    whole = Pixels.read(filled, shape)
    np.testing.assert_array_equal(pixels.fill(whole, values), filled)


def test_masked_bytes_are_filled_by_bytes() -> None:
    """Integers and truth values with a mask keep their dtype; without one they come back as they are."""
    X = images("uint8", (3, 4, 4))
    holes = images("bool", X.shape)
    read = Pixels.read(np.ma.masked_array(X, holes))
    filled = Pixels.fit(read).fill(read, np.full((3, 16), 0.5, np.float32))
    assert filled.dtype == np.uint8
    np.testing.assert_array_equal(filled, np.where(holes, 128, X))
    read = Pixels.read(np.ma.masked_array(X > 99, holes))
    filled = Pixels.fit(read).fill(read, np.full((3, 16), 0.7, np.float32))
    np.testing.assert_array_equal(filled, (X > 99) | holes)
    assert filled.dtype == np.bool_
    plain = Pixels.read(X)
    twin = Pixels.fit(plain).fill(plain, np.zeros((3, 16)))
    np.testing.assert_array_equal(twin, X)
    assert not np.shares_memory(twin, X)


def test_decoding_between_two_values() -> None:
    """Binary pixels are probabilities, or, rounded, the nearer value; bytes are clipped to their range."""
    pixels, _ = fitted(np.array([[[True, False]]]))
    values = np.array([[0.7, 0.2]], np.float32)
    np.testing.assert_array_equal(pixels.decode(values)[0, 0], values[0])
    rounded = pixels.decode(values, rounded=True)
    assert rounded.dtype == np.bool_ and rounded.tolist() == [[[True, False]]]
    pixels, _ = fitted(np.array([[[0, 9]]], np.uint8))
    assert pixels.decode(np.array([[-0.1, 1.1]])).tolist() == [[[0, 255]]]
    images = Pixels.read(np.array([[[0, 16]]]))
    pixels = Pixels.fit(images, bounded=False)
    assert pixels.decode(np.array([[0.0, 1e30]])).tolist()[0][0][0] == 8
    assert pixels.decode(np.array([[0.0, 1e30]])).max() > 9e18
    pixels = Pixels.from_state(Pixels.fit(images).state())
    assert pixels.decode(np.array([[-9.0, 1e30]])).tolist() == [[[0, 16]]]
    assert pixels.decode(np.zeros((0, 2))).shape == (0, 1, 2)


def test_saved_and_loaded() -> None:
    """The state passes through the persistence and gives the same numbers."""
    pixels, encoded = fitted(images("uint8", (3, 2, 4, 4)), output="unit")
    packer = Packer()
    packed = packer.pack(pixels.state(), "pixels")
    again = Pixels.from_state(Unpacker(packer.tensors).unpack(packed))
    assert again.state()["dtype"] == "|u1"
    np.testing.assert_array_equal(again.decode(encoded), pixels.decode(encoded))
    values = torch.rand(2, 32)
    assert again.inputs(values).equal(pixels.inputs(values))


def test_images_known() -> None:
    """New images may be flat or with channels; noisy ones beyond the range are read as they are."""
    X = images("float32", (3, 4, 5))
    pixels, encoded = fitted(X)
    for same in (X, X[:, None], X.reshape(3, -1)):
        np.testing.assert_array_equal(pixels.encode(pixels.read_known(same)), encoded)
    noisy = X + 5
    np.testing.assert_array_equal(pixels.encode(pixels.read_known(noisy)), noisy.reshape(3, -1))
    pixels, encoded = fitted(images("bool", (3, 4, 5)))
    np.testing.assert_array_equal(pixels.encode(pixels.read_known(X)), X.reshape(3, -1))
    deep = images("float32", (2, 9, 5, 3))
    pixels, _ = fitted(deep, image_shape=(9, 5, 3))
    assert pixels.read_known(deep).size == (9, 5, 3)


SIZES = "image_shape must be (Y, X) or (C, Y, X), whole numbers from 1. Got"
LAST = "which looks like (n, Y, X, C). Channels come second: X.transpose(0, 3, 1, 2)."
SHAPES: list[tuple[Any, Any, str]] = [
    (
        np.zeros((5, 64)),
        None,
        "Images must have shape (n, Y, X) or (n, C, Y, X). Got (5, 64) instead. Flat images need"
        " image_shape=(Y, X) or (C, Y, X).",
    ),
    (np.zeros(5), None, "Images must have shape (n, Y, X) or (n, C, Y, X). Got (5,) instead."),
    (np.zeros((5, 64)), (8, 9), "image_shape=(8, 9) has 72 pixels; the rows of X have 64."),
    (np.zeros((5, 64)), (64,), f"{SIZES} (64,) instead."),
    (np.zeros((5, 64)), 64, f"{SIZES} 64 instead."),
    (np.zeros((5, 64)), (-8, -8), f"{SIZES} (-8, -8) instead."),
    (np.zeros((5, 64)), (8.0, 8), f"{SIZES} (8.0, 8) instead."),
    (np.zeros((5, 8, 7)), (8, 8), "image_shape=(8, 8) differs from the shape of the images in X, (1, 8, 7)."),
    (np.zeros((0, 8, 8)), None, "X has shape (0, 8, 8): there are no images in it."),
    (np.zeros((0, 64)), (8, 8), "X has shape (0, 64): there are no images in it."),
    (np.zeros((5, 0, 8)), None, "X has shape (5, 0, 8): there are no pixels in it."),
    (np.zeros((5, 28, 28, 3)), None, f"X has shape (5, 28, 28, 3), {LAST}"),
    (np.zeros((5, 28, 28, 1)), None, f"X has shape (5, 28, 28, 1), {LAST}"),
    (
        np.zeros((5, 192)),
        (8, 8, 3),
        "image_shape=(8, 8, 3) looks like (Y, X, C). Channels come first, and their pixels one channel after"
        " the other.",
    ),
    (np.array([["a"]]), (1, 1), "Images must be numbers. Got an array of <U1 instead."),
    (np.array([[[1, "a"]]], object), None, "X holds something other than numbers where pixels belong."),
    (
        np.full((1, 2, 3, 4), [0, 1, np.inf, 3]),
        None,
        "Image 0 of X has an infinite value in channel 0, row 0, column 2. Put a number there, or NaN if it"
        " is missing.",
    ),
    (np.zeros((2, 2, 2), complex), None, "Images must be numbers. Got an array of complex128 instead."),
]


@pytest.mark.parametrize(("X", "shape", "sentence"), SHAPES, ids=range(len(SHAPES)))
def test_wrong_shapes_are_refused(X: Any, shape: Any, sentence: str, message_of: Any) -> None:
    """One sentence with what was given, what was expected and what to do."""
    assert message_of(ValueError, Pixels.read, X, shape) == sentence


def test_image_shape_of_many_channels() -> None:
    """Many channels of narrow images pass when their shape is given, and one column of many rows passes anyway."""
    assert Pixels.read(np.zeros((2, 28, 28, 3)), (28, 28, 3)).size == (28, 28, 3)
    assert Pixels.read(np.zeros((2, 12, 500, 1))).size == (12, 500, 1)
    assert Pixels.read(np.zeros((2, 64)), np.array([8, 8])).size == (1, 8, 8)


UNIT = "in [0, 1], or integers up to 255 or 65535"
VALUES: list[tuple[Any, str, str]] = [
    (np.array([[[0.0, 2.0]]]), "unit", f"{UNIT}. X has values from 0 to 2."),
    (np.array([[[-1, 2]]]), "unit", f"{UNIT}. X has values from -1 to 2."),
    (np.array([[[0, 255]]], np.uint8), "binary", "0 or 1. X has values from 0 to 255."),
    (np.array([[[0.0, 1.5]]]), "counts", "whole numbers from 0. X has the value 1.5."),
    (np.array([[[-1.0, 1]]]), "counts", "whole numbers from 0. X has values from -1 to 1."),
    (np.array([[[-1.0, 1]]]), "nonnegative", "0 or more. X has values from -1 to 1."),
]


@pytest.mark.parametrize(("X", "output", "sentence"), VALUES, ids=range(len(VALUES)))
def test_values_that_cannot_be(X: NDArray[Any], output: str, sentence: str, message_of: Any) -> None:
    """A kind that the values contradict is refused with their range."""
    sentence = f"output={output!r} is for pixels that are {sentence}"
    assert message_of(ValueError, Pixels.fit, Pixels.read(X), output) == sentence


def test_pixels_of_which_nothing_is_known() -> None:
    """A channel of only missing pixels is named by its number; texts are no kind of pixels."""
    X = np.full((2, 2, 1, 1), [[[1.0]], [[np.nan]]])
    with pytest.raises(ValueError, match=r"^Channel 1 of X has only missing pixels\. Leave it out\.$"):
        Pixels.fit(Pixels.read(X))
    with pytest.raises(ValueError, match=r"'counts'\. Got 'categorical' instead\.$"):
        Pixels.fit(Pixels.read(X), "categorical")


@pytest.mark.parametrize(
    ("X", "new", "sentence"),
    [
        (images("uint8", (3, 4, 4)), np.zeros((2, 4, 5), np.uint8),
         "X has images of (1, 4, 5) channels, rows and columns. Those fitted had (1, 4, 4)."),
        (images("uint8", (3, 4, 4)), np.zeros((2, 17), np.uint8),
         "The rows of X have 17 pixels. The images fitted had 16."),
        (images("uint8", (3, 4, 4)), np.full((2, 4, 4), 0.5),
         "X has floats up to 0.5. The images fitted were uint8, 0 to 255. Multiply by 255."),
        (images("float32", (3, 4, 4)), np.full((2, 4, 4), 200, np.uint8),
         "X has uint8 pixels up to 200. Those fitted were from 0 to 1. Divide by 255."),
    ],
)  # fmt: skip
def test_other_images_than_those_fitted(
    X: NDArray[Any], new: NDArray[Any], sentence: str, message_of: Any
) -> None:
    """Another size, or another meaning of white, is refused."""
    assert message_of(ValueError, fitted(X)[0].read_known, new) == sentence


def test_negative_counts_are_refused() -> None:
    """New counts below 0 have no logarithm to read."""
    pixels, _ = fitted(np.array([[[0, 3]]]), output="counts")
    with pytest.raises(ValueError, match=r"^X has negative pixels\. Counts are 0 or more\.$"):
        pixels.encode(pixels.read_known(np.array([[[-1.0, np.nan]]])))
