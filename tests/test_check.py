"""Constraints at the edges of Python's and numpy's number types."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from regen._check import Bool, Duration, Int, Number, check_parameters


@pytest.mark.parametrize("value", [True, False, np.True_, np.False_, *np.array([True, False])])
def test_bools_of_numpy_are_bools(value: object) -> None:
    """A grid search over ``np.array([True, False])`` hands over numpy's own; no number takes them for 0 and 1."""
    assert Bool().accepts(value)
    assert not Int().accepts(value) and not Number().accepts(value)
    assert not Bool().accepts(1) and not Bool().accepts(np.int64(1)) and not Bool().accepts("True")


@pytest.mark.parametrize("value", [10**400, -(10**400), Fraction(10**400), float("nan"), -np.inf])
def test_numbers_beyond_every_float_are_refused_in_words(value: object, message_of: Any) -> None:
    """A number that no float can hold is as little a finite one as infinity."""
    assert Number().accepts(3) and Number().accepts(Fraction(1, 3))
    assert message_of(ValueError, check_parameters, "Net", {"rate": Number()}, {"rate": value}) == (
        f"The 'rate' parameter of Net must be a number in (-inf, inf). Got {value!r} instead."
    )


def test_times_beyond_every_float_are_refused() -> None:
    """So is a time."""
    assert Duration().accepts(10) and not Duration().accepts(10**400)
