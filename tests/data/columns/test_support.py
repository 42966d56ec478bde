"""The values that a column can have: ranges, decimals, levels, integers beyond 2**53, requested bounds."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regen.data.columns.support import Support
from regen.data.table_encoding import Columns
from regen.data.table_input import read_cells

FAR = np.linspace(-5, 5, 101)[:, None]
"""Encoded numbers far beyond any training rows."""
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def drawn(table: Any, bounds: Any = "data", rounded: bool = True) -> Any:
    """What far encoded numbers of a one-column table become."""
    columns = Columns.fit(read_cells(table), bounds=bounds)
    return Columns.from_state(columns.state()).decode(FAR, rounded=rounded)


@pytest.mark.parametrize(
    "dtype", [*INTEGERS, *(name.replace("i", "I").replace("u", "U") for name in INTEGERS)]
)
def test_integers_keep_their_type_and_range(dtype: str) -> None:
    """Of every width, nullable or not, in a dataframe: integers of that type, from the lowest to the highest."""
    values = pd.Series([17, 41, 63, 90, 25], dtype=dtype)
    result = drawn(pd.DataFrame({"a": values}))["a"]
    assert str(result.dtype) == dtype and (result.min(), result.max()) == (17, 90)
    assert drawn(pd.DataFrame({"a": values}), bounds=None)["a"].max() > 90
    means = drawn(pd.DataFrame({"a": values}), rounded=False)["a"]
    assert means.dtype == "float64" and (means.min(), means.max()) == (17, 90)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_of_arrays(dtype: str) -> None:
    """The columns of an array keep its type, and each its own range."""
    array = np.array([[17, 2], [90, 5], [33, 3]], dtype)
    columns = Columns.fit(read_cells(array))
    result = columns.decode(np.hstack([FAR, FAR]), rounded=True)
    assert result.dtype == array.dtype
    assert (result.min(0) >= array.min(0)).all() and (result.max(0) == array.max(0)).all()


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([2**53 + 1, 2**60 + 1, 2**62 + 3], "int64"),
        ([-(2**62) - 1, 5, 2**62 + 3], "int64"),
        ([2**63 + 1, 2**64 - 1, 2**63 + 5], "uint64"),
        ([2**63 - 1, 2**63 - 1, 2**63 - 1], "int64"),
        ([2**63 + 1, None, 2**64 - 1], "UInt64"),
        ([2**53 + 1, None, 2**53 + 1], "Int64"),
    ],
)
def test_integers_beyond_exact_floats(values: list[int | None], dtype: str) -> None:
    """Integers that float64 does not hold stay within their range, whose ends are exact; constants are exact."""
    table = pd.DataFrame({"a": pd.Series(values, dtype=dtype)})
    seen = [value for value in values if value is not None]
    result = drawn(table)["a"]
    assert str(result.dtype) == dtype and (result.min(), result.max()) == (min(seen), max(seen))
    if dtype[0] in "iu":
        array = drawn(table.to_numpy())
        assert array.dtype == dtype and (int(array.min()), int(array.max())) == (min(seen), max(seen))


def test_the_exact_ends_are_not_those_of_floats() -> None:
    """The wrong twin: the highest integer as a float is another one."""
    assert int(float(2**62 + 3)) != 2**62 + 3


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame, pa.table])
def test_decimals_are_kept(library: Any) -> None:
    """Wages with two decimals have two; numbers with many keep theirs; whole numbers with gaps stay whole."""
    rng = np.random.default_rng(0)
    table = {
        "wage": np.round(rng.normal(20, 5, 60), 2),
        "share": rng.normal(size=60),
        "whole": np.where(np.arange(60) == 3, np.nan, rng.integers(100, 900, 60)),
    }
    columns = Columns.fit(read_cells(library(table)))
    assert [support.step for support in columns.supports] == [0.01, 0, 1]
    result = columns.decode(np.hstack([FAR, FAR, FAR]), rounded=True)
    for name, decimals in (("wage", 2), ("whole", 0)):
        values = np.asarray(result[name], dtype=float)
        assert np.array_equal(values, np.round(values, decimals))
    assert not np.array_equal(np.asarray(result["share"]), np.round(np.asarray(result["share"]), 8))
    means = np.asarray(columns.decode(np.hstack([FAR, FAR, FAR]))["wage"])
    assert not np.array_equal(means, np.round(means, 2))


def test_decimals_of_float32() -> None:
    """0.1 in float32 is no 0.1 in float64; its decimals are those that were written."""
    result = drawn(pd.DataFrame({"a": np.array([0.1, 2.5, 7.3] * 4, np.float32)}))["a"]
    assert result.dtype == np.float32 and np.array_equal(result, result.round(1))


@pytest.mark.parametrize("values", [[1, 2, 5, 10, 50], [-1, 1], [0.5, 1.0, 2.5], [3, 3]])
def test_few_levels(values: list[float]) -> None:
    """A column of a few values, each often seen, has no others; one of many or rare values has."""
    table = pd.DataFrame({"a": np.array(values * 12)})
    assert set(drawn(table)["a"]) == set(values)
    assert drawn(table)["a"].dtype == table["a"].dtype
    rare = pd.DataFrame({"a": [1, 2, 5, 10, 50]})
    assert len(set(drawn(rare)["a"])) > 5


@pytest.mark.parametrize("value", [0.1, -3.0, 1e-300, 2.5e17, 7])
def test_constants_stay_constant(value: float) -> None:
    """A constant column comes back as its constant, exactly."""
    assert set(drawn(pd.DataFrame({"a": [value] * 5}))["a"]) == {value}
    assert set(drawn(pd.DataFrame({"a": [value] * 5}), rounded=False)["a"]) == {value}


@pytest.mark.parametrize(
    ("bounds", "ends"),
    [
        ("data", (10, 30)),
        ({"a": (12, 20)}, (12, 20)),
        ({"a": (None, 20)}, (-99, 20)),
        ({"a": (0, None)}, (0, 99)),
        ({"a": None}, (-99, 99)),
        ({}, (10, 30)),
        (None, (-99, 99)),
    ],
)
def test_requested_bounds(bounds: Any, ends: tuple[int, int]) -> None:
    """A range for a column takes the place of that of the data; an end of None is open."""
    table = pd.DataFrame({"a": [10, 30, 20, 15, 25]})
    result = drawn(table, bounds=bounds)["a"]
    assert result.dtype == table["a"].dtype
    low, high = ends
    assert min(result) == low if low >= 0 else min(result) < -10
    assert max(result) == high if high <= 30 else max(result) > 50


def test_bounds_of_dates() -> None:
    """The range of a column of dates may be written as dates or as text."""
    table = pl.DataFrame({"a": [dt.date(2020, 1, 1), dt.date(2020, 12, 31)]})
    for ends in ((dt.date(2020, 3, 1), "2020-04-01"), ("2020-03-01", np.datetime64("2020-04-01"))):
        result = drawn(table, bounds={"a": ends})["a"]
        assert (result.min(), result.max()) == (dt.date(2020, 3, 1), dt.date(2020, 4, 1))


@pytest.mark.parametrize(
    ("bounds", "refusal"),
    [
        ({"pay": (0, 1)}, "X has no column 'pay', which bounds names. Did you mean 'day'?"),
        ({"age": (3, 1)}, "bounds of 'age' must be (lowest, highest). Got (3, 1) instead."),
        ({"age": ("a", 1)}, "bounds of 'age' must be numbers, as the column holds them. Got 'a' instead."),
        ({"age": (float("nan"), 1)}, "bounds of 'age' must be numbers, as the column holds them. Got nan instead."),
        ({"day": (1, 2)}, "bounds of 'day' must be dates, as the column holds them. Got 1 instead."),
    ],
)  # fmt: skip
def test_bounds_that_are_none(bounds: Any, refusal: str, message_of: Any) -> None:
    """Ranges of unknown columns, in reverse, or of another kind are refused."""
    table = pl.DataFrame({"age": [1, 2], "day": [dt.date(2020, 1, 1), dt.date(2020, 1, 2)]})
    assert message_of(ValueError, Columns.fit, read_cells(table), bounds=bounds) == refusal


def test_pixels_have_a_range_alone() -> None:
    """Columns without names have no decimals and no levels; those in [0, 1] have that range."""
    array = np.array([[0.0, 16.0], [3.0, 2.0]] * 20)
    assert [(each.step, each.levels) for each in Columns.fit(read_cells(array)).supports] == [
        (0, ()),
        (0, ()),
    ]
    unit = Columns.fit(read_cells(array / 16.0 * 0.999))
    assert unit.kinds == ("unit", "unit") and unit.supports == (Support(stored="float"),) * 2


KINDS: dict[str, Any] = {
    "int8": st.integers(-128, 127),
    "uint16": st.integers(0, 65535),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "float64": st.floats(-1e12, 1e12),
    "cents": st.integers(0, 10**6).map(lambda cents: cents / 100),
    "datetime64[us]": st.datetimes(dt.datetime(1800, 1, 1), dt.datetime(2200, 1, 1)),
    "datetime64[s, Europe/Berlin]": st.datetimes(dt.datetime(1990, 1, 2), dt.datetime(2030, 1, 1)),
    "timedelta64[ms]": st.timedeltas(dt.timedelta(-9999), dt.timedelta(9999)),
    "bool": st.booleans(),
    "category": st.sampled_from(["x", "y", "z"]),
}


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_kinds_out_are_kinds_in(data: st.DataObject) -> None:
    """Random tables: whatever numbers a network gives, rows have the types of the data, within its range."""
    names = data.draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4, unique=True))
    n = data.draw(st.integers(2, 12))
    table = pd.DataFrame()
    for name in names:
        values = data.draw(st.lists(KINDS[name], min_size=n, max_size=n))
        dtype = "float64" if name == "cents" else name
        column = pd.Series(values)
        zone = dtype.partition(", ")[2].rstrip("]")
        table[name] = column.dt.tz_localize("UTC").astype(dtype) if zone else column.astype(dtype)
    cells = read_cells(table)
    columns = Columns.from_state(Columns.fit(cells).state())
    numbers = np.random.default_rng(data.draw(st.integers(0, 99))).normal(scale=4, size=(20, columns.width))
    for result in (columns.decode(numbers, rounded=True), columns.fill(cells, numbers[:n])):
        assert result.dtypes.equals(table.dtypes) and list(result) == names
        for name in names:
            if name not in ("bool", "category"):
                assert table[name].min() <= result[name].min() and result[name].max() <= table[name].max()
            else:
                assert set(result[name]) <= set(table[name]) | {True, False}
    assert columns.fill(cells, numbers[:n]).equals(table)
