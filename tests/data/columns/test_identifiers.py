"""Columns that identify single rows: which are noticed, and tables with and without them."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from regen.data.columns.identifiers import find_identifiers, known_columns, merged, without
from regen.data.table_input import read_cells

n = 200
rng = np.random.default_rng(0)
NAMES = np.array([f"{first} {last}" for first in ("Ann", "Ben", "Cleo", "Dan", "Eve") for last in range(50)])
COLUMNS: dict[str, tuple[Any, bool]] = {
    "name": (rng.permutation(NAMES)[:n], True),
    "twins": (rng.choice(NAMES[:180], n), False),
    "note": ([f"called on day {k}, will return" for k in range(n)], True),
    "email": ([f"p{k}@example.org" for k in rng.permutation(n)], True),
    "code": (pd.Categorical([f"K{k:05d}" for k in range(n)]), True),
    "some missing": ([None if k % 4 else f"P{k}" for k in range(n)], True),
    "city": (rng.choice(["Rome", "Oslo", "Bern"], n), False),
    "few": ([f"only {k % 19}" for k in range(n)], False),
    "customer_id": (rng.permutation(90_000)[:n], True),
    "CustomerID": (rng.permutation(90_000)[:n].astype(float), True),
    "account no": (np.where(np.arange(n) % 9, rng.permutation(90_000)[:n], np.nan), True),
    "row": (np.arange(n), True),
    "shuffled": (rng.permutation(n) + 10_000, True),
    "card of the guest": (rng.integers(4 * 10**15, 5 * 10**15, n), True),
    "sixteen": (rng.integers(4 * 10**15, 5 * 10**15, n), True),
    "nineteen": (rng.integers(10**18, 9 * 10**18, n), True),
    "width": (rng.normal(size=n), False),
    "pay": (rng.permutation(90_000)[:n], False),
    "identity": (np.round(rng.lognormal(9, 1, n)), False),
    "pixel_id": (rng.integers(0, 50, n), False),
    "debt_id": (-rng.permutation(90_000)[:n], False),
    "year": (np.arange(1800, 1800 + n), False),
    "seconds": (rng.integers(1_500_000_000, 1_700_000_000, n), False),
    "milliseconds": (rng.integers(1_500_000_000_000, 1_700_000_000_000, n), False),
    "when": (pd.date_range("2020", periods=n), False),
    "flag": (rng.random(n) < 0.5, False),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_identifiers_are_noticed(name: str) -> None:
    """Text and whole numbers that nearly all differ are identifiers; measurements, dates, categories are not."""
    values, expected = COLUMNS[name]
    table = pd.DataFrame({name: values, "x": 1.0})
    assert find_identifiers(read_cells(table)) == ([name] if expected else [])
    assert find_identifiers(read_cells(pl.from_pandas(table))) == ([name] if expected else [])


def test_small_tables_and_arrays_have_none() -> None:
    """Nineteen rows may differ by chance; an array has no names."""
    table = pd.DataFrame({"id": np.arange(19), "name": [f"P{k}" for k in range(19)]})
    assert find_identifiers(read_cells(table)) == []
    assert find_identifiers(read_cells(np.arange(400).reshape(200, 2))) == []


@pytest.mark.parametrize(
    "make", [pd.DataFrame, pl.DataFrame, pa.table, lambda data: pa.RecordBatch.from_pydict(data)]
)
def test_without_and_merged(make: Any) -> None:
    """Columns are left out in every library, and come back at their places."""
    X = make({"a": [1, 2], "id": ["x", "y"], "b": [3, 4]})
    part = without(X, ["id", "no such column"])
    assert [str(name) for name in getattr(part, "column_names", getattr(part, "columns", None))] == ["a", "b"]
    assert without(X, ["other"]) is X and without(X, []) is X
    new = make({"a": [7, 8], "b": [9, 0]})
    whole = merged(X, new, ["id"])
    assert [str(name) for name in getattr(whole, "column_names", getattr(whole, "columns", None))] == [
        "a",
        "id",
        "b",
    ]
    assert [list(map(str, whole[name])) for name in ("a", "id", "b")] == [["7", "8"], ["x", "y"], ["9", "0"]]
    assert merged(X, new, []) is new
    array = np.zeros((2, 2))
    assert without(array, ["id"]) is array


def test_pandas_keeps_index_and_labels() -> None:
    """Labels that are numbers, and the index, stay as they are; the table given is not changed."""
    X = pd.DataFrame({0: [1.0, 2.0], 7: ["x", "y"]}, index=[5, 9])
    part = without(X, ["7"])
    assert part.columns.tolist() == [0] and part.index.tolist() == [5, 9]
    whole = merged(X, part * 2, ["7"])
    assert whole[0].tolist() == [2.0, 4.0] and whole.index.tolist() == [5, 9] and X[0].tolist() == [1.0, 2.0]


def test_names_that_are_none(message_of: Any) -> None:
    """Unknown names, and names where there are none."""
    X = pd.DataFrame({"name": ["x"], 3: [1]})
    assert known_columns(X, ["name", 3]) == ["name", "3"]
    refusal = "X has no column 'nam', which identifiers names. Did you mean 'name'?"
    assert message_of(ValueError, known_columns, X, ["nam"]) == refusal
    refusal = "identifiers names columns, and X has no names. Give a dataframe, or leave them out of X."
    assert message_of(ValueError, known_columns, np.zeros((2, 2)), ["a"]) == refusal
