"""Moments and standardisation: as NumPy measures them, bit for bit; one rule for constant features."""

import numpy as np
import pytest
from numpy.typing import NDArray

from regen.data.ragged import Ragged
from regen.data.scaling import Standardizer, is_constant, moments

Values = NDArray[np.float64]


def table(rows: int, columns: int, share: float = 0.1) -> Values:
    """Numbers of different size in each column, some missing."""
    rng = np.random.default_rng(rows + columns)
    values = rng.normal(size=(rows, columns)) * 10 ** np.arange(columns) + 3
    return np.where(rng.random(values.shape) < share, np.nan, values)


@pytest.mark.parametrize("shape", [(1, 1), (1000, 1), (777, 3), (500, 12)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_moments_of_columns(shape: tuple[int, int], order: str) -> None:
    """The bits of nanmean and nanstd; a mask counts as NaN does; the twin that counts all rows differs."""
    values = np.array(table(*shape, share=0.0 if shape[0] == 1 else 0.1), order=order)  # type: ignore[call-overload]
    center, deviation = moments(values)
    np.testing.assert_array_equal(center, np.nanmean(values, axis=0))
    np.testing.assert_array_equal(deviation, np.nanstd(values, axis=0))
    observed = ~np.isnan(values)
    masked = moments(np.nan_to_num(values, nan=-999.0), observed)
    np.testing.assert_array_equal(masked, (center, deviation))
    if not observed.all():
        assert not np.array_equal(center, np.nan_to_num(values).mean(axis=0))


@pytest.mark.parametrize("numbers", [None, 100])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.bool_])
def test_moments_of_channels(numbers: int | None, dtype: type) -> None:
    """Over images and pixels, whole or in parts."""
    values = (np.random.default_rng(0).random((50, 3, 16)) * 255).astype(dtype)
    center, deviation = moments(values, axis=(0, 2), numbers=numbers)
    np.testing.assert_allclose(center, values.astype(np.float64).mean(axis=(0, 2)), rtol=1e-12)
    np.testing.assert_allclose(deviation, values.astype(np.float64).std(axis=(0, 2)), rtol=1e-12)


def test_moments_of_pieces() -> None:
    """Each piece by its own values; a feature without any has mean 0 and is constant."""
    values = table(60, 2)
    values[:20, 1] = np.nan
    center, deviation = moments(values, starts=np.array([0, 20, 50]))
    for k, piece in enumerate((slice(20, 50), slice(50, 60)), start=1):
        np.testing.assert_allclose(center[k], np.nanmean(values[piece], axis=0), rtol=1e-12)
        np.testing.assert_allclose(deviation[k], np.nanstd(values[piece], axis=0), rtol=1e-12)
    assert center[0, 1] == deviation[0, 1] == 0 and is_constant(center, deviation)[0, 1]


@pytest.mark.parametrize(
    ("values", "constant"),
    [
        ([1e8 + 0.1] * 7, True),
        ([0.0, 0.0], True),
        ([0.1, 0.1, 0.1], True),
        ([1.0, 1.0 + 1e-15], True),
        ([1.0, 1.0 + 1e-9], False),
        ([0.0, 1e-100], False),
        ([-1.0, 1.0], False),
    ],
)
def test_constant_features(values: list[float], constant: bool) -> None:
    """What rounding leaves of a constant is no variation; a deviation of a billionth of the mean is one."""
    column = np.array(values)[:, None]
    assert is_constant(*moments(column)).tolist() == [constant]
    scale = Standardizer.fit(column, constant=5.0).scale
    assert scale is not None and (scale == 5.0).tolist() == [constant]


def test_there_and_back() -> None:
    """Mean 0 and deviation 1, and the same values again; a constant is 0, and comes back exactly."""
    values = table(50, 3, share=0.0)
    values[:, 1] = 0.1
    standardizer = Standardizer.fit(values)
    z = standardizer.transform(values)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(z.std(axis=0), [1, 0, 1], rtol=1e-12)
    np.testing.assert_allclose(standardizer.inverse_transform(z), values, rtol=1e-12)
    assert not z[:, 1].any()


def test_each_sequence_by_its_own_moments() -> None:
    """Level and size vanish, gaps are filled and marked; the twin of one scale for all keeps the levels."""
    rows = Ragged.from_list([np.array([[1.0], [np.nan], [3.0]]), np.array([[100.0], [300.0]])])
    own = Standardizer(None, None).standardized(rows, mark=True)
    np.testing.assert_array_equal(own.values, [[-1, 1], [-1, 0], [1, 1], [-1, 1], [1, 1]])
    assert own.lengths is not None and own.lengths.tolist() == [3, 2]
    one = Standardizer(np.zeros(1), np.ones(1)).standardized(rows, mark=False)
    np.testing.assert_array_equal(one.values[:, 0], [1, 1, 3, 100, 300])
