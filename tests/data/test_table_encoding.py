"""Tables to numbers and back: every library, every kind of column, missing values, and wrong twins."""

import json

import numpy as np
import pandas as pd
import pandas.testing
import polars as pl
import polars.testing
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from regen.data.table_encoding import Columns
from regen.data.table_input import read_cells
from regen.persistence.values import Packer, Unpacker

MIXED = {
    "price": [1.5, -2.0, 4.0, 0.5, 3.0],
    "member": [True, False, False, True, True],
    "town": ["Rome", "Oslo", "Rome", "Bern", "Oslo"],
    "visits": [0, 3, 7, 1, 1],
    "share": [0.0, 1.0, 0.5, 0.25, 0.5],
    "wealth": [0.5, 1.0, 1.5, 1.0, 90.0],
    "age": [31, 45, 18, 60, 44],
}
KINDS = ("real", "binary", "categorical", "counts", "unit", "nonnegative", "real")
HOLES = {"price": 1, "member": 0, "town": 3, "visits": 2, "share": 4, "wealth": 0, "age": 1}
SCALED = {"real", "nonnegative"}


def holed() -> dict:
    """The mixed columns with one cell missing in each."""
    return {
        name: [None if row == HOLES[name] else cell for row, cell in enumerate(cells)]
        for name, cells in MIXED.items()
    }


def with_holes(library: str):
    """The mixed table with missing cells, in types that keep whole numbers whole."""
    if library == "pandas":
        types = {
            "member": "boolean",
            "visits": "Int64",
            "age": "Int32",
            "town": pd.CategoricalDtype(["Oslo", "Rome", "Bern", "Wien"]),
            "share": "float32",
        }
        return pd.DataFrame(holed(), index=[9, 8, 7, 6, 5]).astype(types)
    if library == "polars":
        towns = pl.Enum(["Oslo", "Rome", "Bern", "Wien"])
        return pl.DataFrame(holed()).cast({"town": towns, "age": pl.Int16, "share": pl.Float32})
    table = pa.table(holed())
    return table.set_column(2, "town", table["town"].dictionary_encode())


def whole(library: str):
    """The mixed table without missing cells."""
    if library == "pandas":
        return pd.DataFrame(MIXED, index=[9, 8, 7, 6, 5])
    return pl.DataFrame(MIXED) if library == "polars" else pa.table(MIXED)


LIBRARIES = ("pandas", "polars", "pyarrow")


def assert_same(left, right) -> None:
    """Equal tables of one library, types and index included."""
    if isinstance(left, pd.DataFrame):
        pandas.testing.assert_frame_equal(left, right, rtol=1e-6)
    elif isinstance(left, pl.DataFrame):
        polars.testing.assert_frame_equal(left, right, rel_tol=1e-6)
    else:
        assert left.schema.names == right.schema.names
        assert_same(pl.from_arrow(left), pl.from_arrow(right))


def fitted(table, *arguments, **named) -> tuple:
    """The table's cells, their columns, and the encoded numbers."""
    cells = read_cells(table)
    columns = Columns.fit(cells, *arguments, **named)
    return cells, columns, columns.encode(cells)


@pytest.mark.parametrize("library", LIBRARIES)
def test_kinds_of_a_dataframe(library):
    """The kind of each column of a dataframe is inferred from that column alone, with cells missing or not."""
    assert fitted(whole(library))[1].kinds == KINDS
    assert fitted(with_holes(library))[1].kinds == KINDS


@pytest.mark.parametrize("library", LIBRARIES)
def test_there_and_back(library):
    """What is encoded and decoded is the same table: library, names, order, types and index."""
    table = whole(library)
    cells, columns, encoded = fitted(table)
    assert encoded.dtype == np.float32
    assert not np.isnan(encoded).any()
    assert_same(columns.decode(encoded, rounded=True, like=cells), table)


@pytest.mark.parametrize("library", LIBRARIES)
def test_without_rounding_numbers_are_means(library):
    """Whole numbers and truth values come back as float64 unless they are rounded; text stays text."""
    _, columns, encoded = fitted(whole(library))
    encoded[:, columns.kinds.index("binary")] = 0.25
    frame = pd.DataFrame(read_cells(columns.decode(encoded * 0.5)).values, columns=list(MIXED))
    assert (frame["visits"] == np.array(MIXED["visits"]) / 2).all()


@pytest.mark.parametrize("library", LIBRARIES)
def test_filled_with_the_truth(library):
    """Cells that are missing are taken from the values, in the column's own type; the rest is not touched."""
    _, columns, truth = fitted(whole(library))
    cells = read_cells(with_holes(library))
    filled = columns.fill(cells, truth)
    complete = read_cells(filled)
    assert not complete.missing.any()
    reference = read_cells(whole(library))
    for k, name in enumerate(MIXED):
        mine, true = ([cells.levels[k][int(code)] for code in cells.values[:, k]] if cells.levels[k] else
                      cells.values[:, k].tolist() for cells in (complete, reference))  # fmt: skip
        assert mine == pytest.approx(true) if cells.levels[k] is None else mine == true, name
    if library == "pandas":
        assert (filled.dtypes == with_holes(library).dtypes).all()
        assert filled.index.equals(with_holes(library).index)
    elif library == "polars":
        assert filled.schema == with_holes(library).schema
    else:
        assert [str(t) for t in filled.schema.types][:2] == [
            str(t) for t in with_holes(library).schema.types
        ][:2]


@pytest.mark.parametrize("library", LIBRARIES)
def test_complete_data_are_not_touched(library):
    """Filling where nothing is missing is the identity, whatever the values."""
    table = whole(library)
    cells, columns, encoded = fitted(table)
    assert_same(columns.fill(cells, encoded * np.nan), table)


@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=12),
        elements=st.floats(-1e6, 1e6) | st.just(np.nan),
    )
)
def test_observed_cells_are_bit_identical(array):
    """Of any array, filling changes no observed bit, and leaves no cell missing."""
    array[0] = np.where(np.isnan(array).all(0), 1.0, array[0])
    cells, columns, encoded = fitted(array)
    filled = columns.fill(cells, np.nan_to_num(encoded))
    seen = ~np.isnan(array)
    assert filled[seen].tobytes() == array[seen].tobytes()
    assert not np.isnan(filled).any()


@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
        elements=st.floats(-1e6, 1e6),
    ),
    st.sampled_from(["auto", "real"]),
)
def test_arrays_there_and_back(array, output):
    """Any finite array comes back up to the precision of float32, as an array of the same shape."""
    _, columns, encoded = fitted(array, output)
    back = columns.decode(encoded)
    assert back.shape == array.shape
    size = np.maximum(np.abs(array - array.mean(0)).max(0), 1e-3 * np.abs(array).max(0))
    assert (np.abs(back - array) <= 1e-5 * size + 1e-30).all()


@given(st.lists(st.sampled_from("abcdé") | st.none(), min_size=2, max_size=20).filter(any))
def test_text_there_and_back(texts):
    """Any column of text, missing cells aside, comes back as it was; missing cells are NaN in all K numbers."""
    table = pl.DataFrame({"t": texts}, schema={"t": pl.String})
    _, columns, encoded = fitted(table)
    known = [text is not None for text in texts]
    assert (np.isnan(encoded).all(1) == np.invert(known)).all()
    assert (encoded[known].sum(1) == 1).all()
    back = columns.decode(np.nan_to_num(encoded))["t"].to_list()
    assert [text for text, here in zip(back, known, strict=True) if here] == [
        t for t in texts if t is not None
    ]


def test_units():
    """Real: mean 0, deviation 1. Nonnegative: 0 stays 0. Bytes: of 255. Log-scales are their logarithms."""
    array = np.random.default_rng(0).gamma(1.0, 3.0, (500, 2))
    array[:, 1] += 10
    _, columns, encoded = fitted(array)
    assert np.allclose(encoded.mean(0), 0, atol=1e-5)
    assert np.allclose(encoded.std(0), 1, atol=1e-5)
    assert np.allclose(columns.log_scale, np.log(array.std(0)))
    array[0] = 0
    _, columns, encoded = fitted(array, "nonnegative")
    assert encoded[0].tolist() == [0, 0]
    assert np.allclose(encoded.std(0), 1, atol=1e-5)
    _, columns, encoded = fitted(np.array([[0, 255], [51, 102]], np.uint8))
    assert np.allclose(encoded, [[0, 1], [0.2, 0.4]])
    assert np.allclose(columns.log_scale, np.log(255))
    assert columns.decode(encoded, rounded=True).dtype == np.uint8
    for discrete in (np.array([[0, 5], [2, 3]]), np.array([[True], [False]])):
        assert not fitted(discrete)[1].log_scale.any()


def test_scales_are_measured_on_the_training_rows():
    """Centers and scales come from some rows only; kinds, categories and pairs of values from all."""
    table = pd.DataFrame({"x": [1.0, 3.0, -99.0], "t": ["a", "a", "b"]})
    _, columns, encoded = fitted(table, rows=np.array([0, 1]))
    assert encoded[:2, 0].tolist() == [-1, 1]
    assert columns.levels[1] == ("a", "b")


def test_a_constant_column():
    """It encodes to 0, has a scale of 1, and comes back as it is."""
    array = np.column_stack([np.full(7, 1e9 + 0.1), np.arange(7.0)])
    _, columns, encoded = fitted(array)
    assert (encoded[:, 0] == 0).all()
    assert columns.scale[0] == 1
    assert np.array_equal(columns.decode(encoded)[:, 0], array[:, 0])
    assert (columns.inputs(torch.from_numpy(encoded))[:, 0] == 0).all()


@pytest.mark.parametrize("output", ["unit", "counts", "nonnegative", "real", "binary"])
def test_inputs_are_centred(output):
    """An encoder reads numbers around 0 whatever the kind; NaN stays NaN, and nothing is changed in place."""
    rng = np.random.default_rng(1)
    array = rng.binomial(1 if output in ("unit", "binary") else 9, 0.3, (400, 3)).astype(float)
    array[:, 2] = array[:, 2] if output == "binary" else array[:, 2] * 0.9
    array[rng.random(array.shape) < 0.1] = np.nan
    _, columns, encoded = fitted(array, output)
    before = encoded.copy()
    read = columns.inputs(torch.from_numpy(encoded)).numpy()
    assert np.array_equal(np.isnan(read), np.isnan(array))
    assert np.array_equal(before, encoded, equal_nan=True)
    assert np.abs(np.nanmean(read, 0)).max() < 1e-5
    assert np.allclose(np.nanstd(read, 0), 1, atol=1e-4)


def test_a_column_that_hardly_varies_is_not_amplified():
    """Pixels at the edge that are nonzero once do not become the largest inputs."""
    array = np.zeros((1000, 3))
    array[:, :2] = np.random.default_rng(0).random((1000, 2))
    array[0] = [1, 0, 0.3]
    _, columns, encoded = fitted(array)
    assert columns.kinds == ("unit",) * 3
    assert np.abs(columns.inputs(torch.from_numpy(encoded)).numpy()).max() < 20


def test_blocks_and_their_order():
    """Columns of one kind lie side by side; decode puts all back where they were."""
    _, columns, encoded = fitted(whole("pandas"))
    assert [tuple(block) for block in columns.blocks] == [
        ("real", 0, 2, (0, 6)),
        ("nonnegative", 2, 3, (5,)),
        ("unit", 3, 4, (4,)),
        ("binary", 4, 5, (1,)),
        ("counts", 5, 6, (3,)),
        ("categorical", 6, 9, (2,)),
    ]
    assert columns.width == encoded.shape[1] == 9
    assert columns.levels[2] == ("Bern", "Oslo", "Rome")
    assert encoded[0, 6:].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    "table", [with_holes("pandas"), with_holes("polars"), np.array([[1.0, 2], [3, np.nan]])]
)
def test_state_there_and_back(table):
    """What `state` returns can be saved, is JSON apart from its arrays, and makes equal columns."""
    cells, columns, encoded = fitted(table)
    packer = Packer()
    packed = json.loads(json.dumps(packer.pack(columns.state(), "columns")))
    unpacker = Unpacker(packer.tensors)
    again = Columns.from_state(unpacker.unpack(packed))
    assert not unpacker.unused
    assert np.array_equal(again.encode(cells), encoded, equal_nan=True)
    assert again.blocks == columns.blocks
    assert again.layout == columns.layout
    values = np.nan_to_num(encoded)
    assert_equal_values(again.decode(values, rounded=True), columns.decode(values, rounded=True))
    assert torch.equal(again.inputs(torch.from_numpy(values)), columns.inputs(torch.from_numpy(values)))


def assert_equal_values(left, right) -> None:
    """Equal arrays, or equal dataframes."""
    if isinstance(left, np.ndarray):
        assert np.array_equal(left, right)
    else:
        assert_same(left, right)


def test_columns_in_another_order():
    """Columns with names are found by name; what comes back is in the order of fit, what is filled in that given."""
    table = with_holes("pandas")
    cells, columns, encoded = fitted(table)
    turned = read_cells(table[list(reversed(table.columns))])
    assert np.array_equal(columns.encode(turned), encoded, equal_nan=True)
    assert list(columns.decode(np.nan_to_num(encoded), like=turned).columns) == list(table.columns)
    filled = columns.fill(turned, np.nan_to_num(encoded))
    assert list(filled.columns) == list(reversed(table.columns))
    assert_same(filled[list(table.columns)], columns.fill(cells, np.nan_to_num(encoded)))


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_a_column_without_a_value(make):
    """What is empty in all rows has no type of its own: it is restored and filled as what it was at fit."""
    _, columns, encoded = fitted(make({"a": [1.5, 2.5, 4.0], "b": ["x", "y", "x"]}))
    cells = read_cells(make({"a": [None, None, None], "b": [None, None, None]}))
    for table in (columns.fill(cells, encoded), columns.decode(encoded, rounded=True, like=cells)):
        a, b = (list(table[name]) for name in ("a", "b"))
        assert [float(str(each)) for each in a] == pytest.approx([1.5, 2.5, 4.0], rel=1e-6)
        assert [str(each) for each in b] == ["x", "y", "x"]


def test_a_table_of_another_library():
    """Fitted on one library, decoded for another: the result has the kind of the second."""
    _, columns, encoded = fitted(whole("pandas"))
    cells = read_cells(whole("polars"))
    assert np.array_equal(columns.encode(cells), encoded)
    assert_same(columns.decode(encoded, rounded=True, like=cells), whole("polars"))
    numbers = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 5.0]})
    _, columns, encoded = fitted(numbers)
    as_array = read_cells(numbers.to_numpy())
    assert isinstance(columns.decode(columns.encode(as_array), like=as_array), np.ndarray)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int16, np.uint8, np.bool_])
def test_types_of_arrays(dtype):
    """Types of floats stay; whole numbers and truth values come back where they are rounded."""
    array = np.array([[0, 1], [1, 0], [1, 1]], dtype=dtype)
    cells, columns, encoded = fitted(array)
    floating = np.dtype(dtype).kind == "f"
    assert columns.decode(encoded).dtype == (dtype if floating else np.float64)
    back = columns.decode(encoded, rounded=True)
    assert back.dtype == dtype
    assert np.array_equal(back, array)
    assert columns.fill(cells, encoded).dtype == dtype


def test_masked_arrays():
    """What a mask hides is missing; it is filled with a number of the array's own type."""
    array = np.ma.masked_equal([[1, 20], [3, 99], [5, 41]], 99)
    cells, columns, encoded = fitted(array)
    assert np.isnan(encoded[1, 1])
    filled = columns.fill(cells, np.nan_to_num(encoded))
    assert filled.tolist() == [[1, 20], [3, 30], [5, 41]]
    assert filled.dtype == array.dtype


def test_arrays_of_objects():
    """Numbers and text side by side in one array, with None where nothing is known."""
    array = np.array([[1.5, "a"], [None, "b"], [2.5, None]], dtype=object)
    cells, columns, encoded = fitted(array)
    assert columns.kinds == ("real", "categorical")
    filled = columns.fill(cells, np.nan_to_num(encoded))
    assert filled.tolist() == [[1.5, "a"], [2.0, "b"], [2.5, "a"]]
    listed, _, other = fitted(array.tolist())
    assert np.array_equal(other, encoded, equal_nan=True)
    assert len(listed) == 3


def test_one_matrix_for_numbers():
    """A float64 array is not copied when it is read, and is not changed by what follows."""
    array = np.random.default_rng(0).normal(size=(6, 3))
    cells, columns, encoded = fitted(array)
    assert np.shares_memory(cells.values, array)
    before = array.copy()
    columns.fill(cells, encoded)
    assert np.array_equal(array, before)


def unscaled(columns, values):
    """A wrong twin of decode: the scale is not undone."""
    return values + columns.center


def permuted(columns, encoded):
    """A wrong twin of encode: the K numbers of the category are reversed."""
    block = columns.blocks[-1]
    twin = encoded.copy()
    twin[:, block.start : block.stop] = twin[:, block.start : block.stop][:, ::-1]
    return twin


def test_twin_scale_not_undone():
    """The round trip detects a decode without the scale."""
    array = np.random.default_rng(0).normal(3, 7, (50, 2))
    _, columns, encoded = fitted(array)
    assert np.allclose(columns.decode(encoded), array, atol=1e-5)
    assert not np.allclose(unscaled(columns, encoded), array, atol=1e-5)


def test_twin_categories_permuted():
    """The round trip detects categories in reversed order."""
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
