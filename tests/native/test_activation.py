"""The compiled sigmoid and tanh, of every instruction set, against float64: the error stated in csrc/activation.h."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from regen.kernels.native.extension import native

pytestmark = pytest.mark.skipif(native is None, reason="regen has no compiled part here")

HEADER = Path(__file__).resolve().parents[2] / "csrc/activation.h"
STATED = re.compile(r"(\w+): at most ([\d.]+) ulp, without fused multiply-add ([\d.]+)")
LIMITS = {name: (float(fused), float(plain)) for name, fused, plain in STATED.findall(HEADER.read_text())}
SMALLEST_NORMAL = np.float32(2.0**-126)
Array = np.ndarray


def compiled(name: str) -> Callable[[Array], Array]:
    """`native.sigmoid` or `native.tanh`, from float32 to float32."""

    def apply(x: Array) -> Array:
        y = np.empty_like(x)
        getattr(native, name)(x.ctypes.data, y.ctypes.data, x.size)
        return y

    return apply


def sigmoid(x: Array) -> Array:
    """In float64, without cancellation on either side."""
    e = np.exp(-np.abs(x.astype(np.float64)))
    return np.where(x > 0, 1, e) / (1 + e)


def tanh(x: Array) -> Array:
    """In float64."""
    return np.tanh(x.astype(np.float64))


ORACLES = {"sigmoid": sigmoid, "tanh": tanh}


def worst(y: Array, exact: Array) -> float:
    """Greatest error where the exact value is a normal float32, in units of its last place."""
    _, exponent = np.frexp(exact)
    errors = np.abs(y.astype(np.float64) - exact) * np.exp2(24.0 - np.maximum(exponent, -125))
    return float(np.max(errors, initial=0, where=np.abs(exact) >= SMALLEST_NORMAL))


def limit(name: str, isa: str) -> float:
    """The error stated in the header."""
    fused, plain = LIMITS[name]
    return plain if isa == "baseline" else fused


def of_bits(bits: Array) -> Array:
    """The floats with these bits."""
    return bits.astype(np.uint32).view(np.float32)


def of_exponent(high: int, mantissas: Array | None = None) -> Array:
    """Floats with this sign and exponent: those with these mantissas, or all."""
    return of_bits((high << 23) + (np.arange(1 << 23) if mantissas is None else mantissas))


@pytest.fixture(scope="module")
def floats() -> Array:
    """Five million: every sign and exponent with 4096 mantissas, and more where the functions bend."""
    draw = np.random.default_rng(3)
    each = [of_exponent(high, draw.integers(1 << 23, size=4096)) for high in range(512)]
    bent = [draw.uniform(-a, a, 1_000_000).astype(np.float32) for a in (1, 10, 90)]
    x = np.concatenate([*each, *bent])
    return x[~np.isnan(x)]


def agree(name: str, isa: str, x: Array) -> None:
    """Error, range, and what the header promises of the ends, for these floats."""
    y = compiled(name)(x)
    exact = ORACLES[name](x)
    assert worst(y, exact) <= limit(name, isa)
    assert np.abs(y).max(initial=0) <= 1
    if name == "sigmoid":
        assert (y >= 0).all()
        assert (y[x >= 17.5] == 1).all()
        assert (y[x <= -87.69] == 0).all()
    else:
        assert (np.signbit(y) == np.signbit(x)).all()
        assert (np.abs(y[np.abs(x) >= 9.02]) == 1).all()
        tiny = np.abs(x) < SMALLEST_NORMAL
        assert (y[tiny] == x[tiny]).all()


def test_the_header_states_both() -> None:
    """The limits of this file are read from the header, and are those of the specification."""
    assert sorted(LIMITS) == ["sigmoid", "tanh"]
    assert all(fused <= 3 and plain <= 3.25 for fused, plain in LIMITS.values())


@pytest.mark.parametrize("name", ORACLES)
def test_error(name: str, isa: str, floats: Array) -> None:
    """Relative, to the end of the negative tail of sigmoid and down to the smallest argument of tanh."""
    agree(name, isa, floats)


@pytest.mark.slow
@pytest.mark.parametrize("name", ORACLES)
def test_error_over_all_floats(name: str, isa: str) -> None:
    """Every float there is; the error stated is the one met, rounded up."""
    met = 0.0
    for high in range(512):
        if high % 256 == 255:
            continue
        x = of_exponent(high)
        agree(name, isa, x)
        met = max(met, worst(compiled(name)(x), ORACLES[name](x)))
    assert limit(name, isa) - 0.1 < met


@pytest.mark.parametrize("name", ORACLES)
def test_special_values(name: str, isa: str) -> None:
    """Infinities, zeros, NaN, the ends of the range."""
    largest, smallest = np.finfo(np.float32).max, np.finfo(np.float32).smallest_subnormal
    x = np.array([np.inf, -np.inf, largest, -largest, 0.0, -0.0, smallest, -smallest], np.float32)
    y = compiled(name)(x)
    if name == "sigmoid":
        np.testing.assert_array_equal(y, np.float32([1, 0, 1, 0, 0.5, 0.5, 0.5, 0.5]))
    else:
        np.testing.assert_array_equal(y, np.float32([1, -1, 1, -1, 0, 0, smallest, -smallest]))
        np.testing.assert_array_equal(np.signbit(y), np.signbit(x))
    for payload in (1, 1 << 22, (1 << 23) - 1):
        assert np.isnan(compiled(name)(of_bits(np.array([255 << 23 | payload, 511 << 23 | payload])))).all()


def test_tanh_is_odd(isa: str, floats: Array) -> None:
    """Bit for bit."""
    x = np.abs(floats)
    np.testing.assert_array_equal(compiled("tanh")(-x), -compiled("tanh")(x))


@pytest.mark.parametrize("name", ORACLES)
def test_any_length(name: str, isa: str) -> None:
    """A partial last vector gives the same numbers, also in place, and nothing is written behind it."""
    x = np.linspace(-5, 5, 70, dtype=np.float32)
    whole = compiled(name)(x)
    for n in range(68):
        y = x[1:].copy()
        getattr(native, name)(y.ctypes.data, y.ctypes.data, n)
        np.testing.assert_array_equal(y[:n], whole[1 : n + 1])
        np.testing.assert_array_equal(y[n:], x[n + 1 :])


def test_wrong_variants_fail(floats: Array) -> None:
    """Each by far: cancellation near 0, cancellation in the tail, a digit lost everywhere."""
    x = floats
    with np.errstate(over="ignore"):
        one_from_the_other = 2 / (1 + np.exp(-2 * x)) - 1
        from_the_other_side = 1 - 1 / (1 + np.exp(x))
    assert one_from_the_other.dtype == from_the_other_side.dtype == np.float32
    assert worst(one_from_the_other, tanh(x)) > 1000
    assert worst(from_the_other_side, sigmoid(x)) > 1000
    assert worst((sigmoid(x) * (1 + 5e-7)).astype(np.float32), sigmoid(x)) > max(LIMITS["sigmoid"])
    assert worst((tanh(x) * (1 + 5e-7)).astype(np.float32), tanh(x)) > max(LIMITS["tanh"])
    assert worst(sigmoid(x).astype(np.float32), sigmoid(x)) <= 0.5
