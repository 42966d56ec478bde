"""Data of other libraries: tensors and series of lists become arrays and lists, what holds no rows is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from scipy import sparse

from regen.data.plain import numbers_of, plain, shape_of, without_tensors

THIRD = torch.tensor(1 / 3)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.tensor([1.5, 2.0], requires_grad=True), [1.5, 2.0]),
        (torch.nn.Parameter(torch.ones(2)), [1.0, 1.0]),
        (torch.full((2,), 1 / 3).bfloat16(), [THIRD.bfloat16().item()] * 2),
        (torch.ones(2).to(torch.float8_e4m3fn), [1.0, 1.0]),
        (torch.tensor([1 + 2j, 3 - 1j]).conj().imag, [-2.0, 1.0]),
        ([torch.tensor([1.0], requires_grad=True), [2.0]], [[1.0], [2.0]]),
        ([[torch.tensor(1.0, requires_grad=True)], [2.0]], [[1.0], [2.0]]),
        (pl.Series([[1, 2], [3]]), [[1, 2], [3]]),
        (pl.Series([[1, 2]], dtype=pl.Array(pl.Int64, 2)), [[1, 2]]),
        (pa.array([[1, None], [3]]), [[1, None], [3]]),
        (pa.chunked_array([[[1]], [[2, 3]]]), [[1], [2, 3]]),
        (pd.Series([[1, 2], [3]]), [[1, 2], [3]]),
        (pd.Series([np.arange(2), [3]]), [[0, 1], [3]]),
        (pd.Series([[1]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))), [[1]]),
    ],
    ids=str,
)
def test_arrays_and_lists(given: Any, expected: list[Any]) -> None:
    """The same values, without a gradient, in types that NumPy has."""
    found = plain(given)
    assert not isinstance(found, torch.Tensor)
    assert [each if each is None else np.asarray(each).tolist() for each in found] == expected


def test_nested_tensors() -> None:
    """A jagged tensor is a list of sequences."""
    jagged = torch.nested.nested_tensor([torch.ones(3), torch.ones(1)], layout=torch.jagged)
    assert [each.tolist() for each in plain(jagged)] == [[1, 1, 1], [1]]


@pytest.mark.parametrize(
    "given",
    [
        np.zeros(3),
        [1.0, 2.0],
        [[1.0]],
        ((1, 2), (3, 4)),
        pd.DataFrame({"a": [1]}),
        pl.Series([1]),
        pa.array([1.5]),
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_is_plain_already(given: Any) -> None:
    """The same object, not a copy."""
    assert plain(given) is given
    assert without_tensors(given) is given


NO_ROWS = "which holds no rows. Give an array, a dataframe, or a list of rows."


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("data.csv", f"X is a str, {NO_ROWS}"),
        (Path("data.csv"), f"X is a PosixPath, {NO_ROWS}"),
        (None, f"X is None, {NO_ROWS}"),
        ({"a": [1, 2]}, f"X is a dict, {NO_ROWS}"),
        ({1, 2}, f"X is a set, {NO_ROWS}"),
        ((x for x in [1]), f"X is a generator, {NO_ROWS}"),
        (pl.DataFrame({"a": [1]}).lazy(), "X is a LazyFrame, which holds no rows. Give X.collect()."),
        (torch.eye(2).to_sparse(), "X is a tensor that is sparse, which is not supported. Give a dense one."),
        (
            torch.empty(2, device="meta"),
            "X is a tensor that is without values, which is not supported. Give a dense one.",
        ),
        (
            [[1.0], torch.eye(2).to_sparse()],
            "Row 1 of X is a tensor that is sparse, which is not supported. Give a dense one.",
        ),
        (pl.Series([[1], None]), "Row 1 of X is missing. Give a list of numbers, or leave the row out."),
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_holds_no_rows(given: Any, words: str, message_of: Any) -> None:
    """Refused by name, with what to give in its place."""
    assert message_of(ValueError, plain, given) == words


def test_sparse_matrices(message_of: Any) -> None:
    """scikit-learn expects a TypeError."""
    for kind in (sparse.csr_matrix, sparse.coo_array):
        assert message_of(TypeError, plain, kind(np.eye(2))) == (
            "X is a sparse matrix, which is not supported. Give X.toarray()."
        )


def test_shapes(message_of: Any) -> None:
    """Of arrays, dataframes and lists; rows of different lengths have none."""
    assert shape_of(pd.DataFrame({"a": [1, 2]})) == (2, 1)
    assert shape_of([[1, 2, 3]]) == (1, 3)
    assert message_of(ValueError, shape_of, [[1, 2], [3]]) == (
        "The rows of X have different lengths. Give every row as many values as the first."
    )


def cells(*values: Any) -> np.ndarray:
    """An array of objects."""
    return np.array([*values, None], dtype=object)[:-1]


def test_numbers() -> None:
    """Of any type, and NaN for what is missing."""
    assert numbers_of(np.arange(2, dtype=np.int8), str).tolist() == [0, 1]
    found = numbers_of(cells(1, True, None, pd.NA, pd.NaT, np.float32(0.5), 10**400), str)
    np.testing.assert_array_equal(found, [1, 1, np.nan, np.nan, np.nan, 0.5, np.finfo(np.float64).max])


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        (cells(1, "a"), ValueError, "Cell 1 holds text where numbers belong: 'a'. Convert it to numbers."),
        (
            np.array(["1.5"]),
            ValueError,
            "Cell 0 holds text where numbers belong: '1.5'. Convert it to numbers.",
        ),
        (
            np.array([b"1"]),
            ValueError,
            "Cell 0 holds text where numbers belong: b'1'. Convert it to numbers.",
        ),
        (np.array([1j]), ValueError, "Cell 0 is complex. Complex data not supported."),
        (
            np.array([5], "m8[s]"),
            ValueError,
            "Cell 0 holds dates or times where numbers belong. Make numbers of them.",
        ),
        (cells({"a": 1}), TypeError, "Cell 0 holds {'a': 1}: the argument must be a string or a number."),
        (
            cells(list(range(100))),
            TypeError,
            f"Cell 0 holds {str(list(range(100)))[:60]}...: the argument must be a string or a number.",
        ),
    ],
)
def test_no_numbers(values: Any, kind: type[Exception], words: str, message_of: Any) -> None:
    """The first that is none, by its place."""
    assert message_of(kind, numbers_of, values, lambda k: f"Cell {k}") == words
