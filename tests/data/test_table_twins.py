"""Wrong ways to turn tables into numbers and back, which the checks of the right one tell."""

import numpy as np
import polars as pl

from regen.data.table_encoding import Columns
from regen.data.table_input import read_cells


def fitted(table) -> tuple:
    """The table's cells, their columns, and the encoded numbers."""
    cells = read_cells(table)
    columns = Columns.fit(cells)
    return cells, columns, columns.encode(cells)


def unscaled(columns, values):
    """A wrong twin of decode: the scale is not undone."""
    return values + columns.center


def permuted(columns, encoded):
    """A wrong twin of encode: the K numbers of the category are turned around."""
    block = columns.blocks[-1]
    twin = encoded.copy()
    twin[:, block.start : block.stop] = twin[:, block.start : block.stop][:, ::-1]
    return twin


def test_twin_scale_not_undone():
    """The round trip tells a decode that forgets the scale."""
    array = np.random.default_rng(0).normal(3, 7, (50, 2))
    _, columns, encoded = fitted(array)
    assert np.allclose(columns.decode(encoded), array, atol=1e-5)
    assert not np.allclose(unscaled(columns, encoded), array, atol=1e-5)


def test_twin_categories_permuted():
    """The round trip tells categories whose order is turned around."""
    towns = ["Rome", "Oslo", "Rome", "Bern", "Oslo"]
    table = pl.DataFrame({"size": [3.0, 1.0, 5.0, 2.0, 2.0], "town": towns})
    _, columns, encoded = fitted(table)
    assert columns.decode(permuted(columns, encoded))["town"].to_list() != towns
    assert columns.decode(encoded)["town"].to_list() == towns


def test_twin_mask_inverted():
    """Filling the observed cells instead of the missing ones does not pass for filling."""
    array = np.array([[1.0, np.nan], [2.0, 5.0], [4.0, 6.0]])
    cells, columns, encoded = fitted(array)
    values = np.nan_to_num(encoded) + 1
    twin = np.where(np.isnan(array), array, columns.decode(values))
    filled = columns.fill(cells, values)
    seen = ~np.isnan(array)
    assert np.array_equal(filled[seen], array[seen])
    assert not np.array_equal(twin[seen], array[seen])
    assert np.isnan(twin).any()
    assert not np.isnan(filled).any()
