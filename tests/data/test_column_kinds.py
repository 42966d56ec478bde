"""The kinds of the columns of a table, inferred from their cells or requested."""

import numpy as np
import pandas as pd
import pytest

from regen.data.table_encoding import Block, Columns
from regen.data.table_input import read_cells


def fitted(table, *arguments) -> tuple:
    """The columns of a table, and the encoded numbers."""
    cells = read_cells(table)
    columns = Columns.fit(cells, *arguments)
    return columns, columns.encode(cells)


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (np.array([[0.0, 1.0], [0.3, 0.2]]), "unit"),
        (np.array([[0.0, 1.0], [1.0, 0.0]]), "binary"),
        (np.array([[True, False], [False, False]]), "binary"),
        (np.array([[0, 1], [1, 1]]), "binary"),
        (np.array([[0.0, 1.2], [0.3, 0.2]]), "real"),
        (np.array([[0.1, 0.8], [0.3, 0.2]]), "real"),
        (np.array([[0, 16.0], [3, 2]]), "real"),
        (np.array([[0, 16], [3, 2]]), "counts"),
        (np.array([[1, 16], [3, 2]]), "real"),
        (np.array([[-1, 16], [0, 2]]), "real"),
        (np.array([[0, 90000], [3, 2]]), "real"),
        (np.array([[0, 255], [3, 2]], np.uint8), "unit"),
        (np.array([[0, 99], [3, 2]], np.uint8), "counts"),
        ([[0.5, None], [0.25, 7.5]], "real"),
    ],
)
def test_kinds_of_an_array(array, kind):
    """All columns of an array have one kind, and keep their order."""
    columns, _ = fitted(array)
    assert columns.kinds == (kind, kind)
    assert columns.blocks == (Block(kind, 0, 2, (0, 1)),)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([0.0, 0.5, 1.0], "unit"),
        ([0.0, 0.5, 0.9], "real"),
        ([0.0, 0.0, 0.0, 9.0], "nonnegative"),
        ([-1.0, 0.0, 0.0, 9.0], "real"),
        ([0.0, 1.0, 1.0], "binary"),
        ([2.0, 1.0, 1.0], "real"),
        ([2, 0, 5], "counts"),
        ([2001, 2002, 2008], "real"),
        ([0, 2002, 2008], "real"),
        ([5.0, 5.0, 5.0], "real"),
        (["x", "y", "x"], "categorical"),
        ([True, True, True], "binary"),
    ],
)
def test_kinds_of_a_column(cells, kind):
    """The kind that is inferred for a column of a dataframe."""
    assert fitted(pd.DataFrame({"a": cells}))[0].kinds == (kind,)


def test_requested_kinds():
    """A kind for all numbers, or for some columns by name or number; text is categorical all the same."""
    table = pd.DataFrame({"a": [1.0, 2.0, 4.0], "t": ["x", "y", "x"], "b": [3.0, 0.0, 3.0]})
    assert fitted(table, "nonnegative")[0].kinds == ("nonnegative", "categorical", "nonnegative")
    assert fitted(table, {"b": "binary"})[0].kinds == ("real", "categorical", "binary")
    assert fitted(np.array([[1.0, 2], [3, 4]]), {1: "counts"})[0].kinds == ("real", "counts")
    columns, encoded = fitted(table, {"b": "binary"})
    assert encoded[:, 1].tolist() == [1, 0, 1]
    assert columns.decode(encoded)["b"].tolist() == [3, 0, 3]


def test_numbers_as_categories():
    """Numbers may be categories: their values come back as numbers."""
    array = np.array([[3.0, 1.0], [7.0, 2.0], [3.0, np.nan], [5.0, 1.0]])
    columns, encoded = fitted(array, "categorical")
    assert columns.levels == ((3.0, 5.0, 7.0), (1.0, 2.0))
    assert [tuple(block) for block in columns.blocks] == [
        ("categorical", 0, 3, (0,)),
        ("categorical", 3, 5, (1,)),
    ]
    assert np.isnan(encoded[2, 3:]).all()
    back = columns.decode(np.nan_to_num(encoded))
    assert np.array_equal(back[:2], array[:2])
