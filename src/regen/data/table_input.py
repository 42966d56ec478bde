"""Tables of cells from arrays and dataframes with numbers, truth values, dates and text, some of them missing.

Letters: `n` rows, `F` columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from regen.data.columns.times import microseconds, read_time_objects, read_times
from regen.data.dataframes import column_labels, open_dataframe
from regen.data.layout import Layout, layout_of
from regen.data.magnitude import as_float, as_floats, refuse_unusable
from regen.data.plain import is_missing, plain

__all__ = ["EXACT", "Cells", "read_cells"]

EXACT = 2**53
"""The whole number up to which float64 holds each."""


@final
@dataclass(frozen=True, eq=False)
class Cells:
    """A table as one matrix of numbers.

    values : (n, F) float64, NaN where missing. A column of text holds the places of its texts in its `levels`, one of
        dates microseconds since 1970 in UTC, one of durations microseconds.
    names : F names of columns; those of an array are "0", "1", ... `named` : whether they are its own.
    levels : for each column of text its distinct texts in order, else None.
    stored : for each column how its cells are stored: "bool", "byte" (uint8), "int", "float", "text", "date" (without
        a time of day), "datetime" or "duration".
    exact : for each column of dates or durations these (n,), for one with integers from 2**53 on the observed ones,
        else None.
    layout : what kind of table it is. native : the table itself, from which observed cells are taken unchanged.
    whole : the table with the columns that were left out, None where there are none; left_out : their names.
    """

    values: NDArray[np.float64]
    names: tuple[str, ...]
    named: bool
    levels: tuple[tuple[Any, ...] | None, ...]
    stored: tuple[str, ...]
    exact: tuple[NDArray[Any] | None, ...]
    layout: Layout
    native: Any
    whole: Any = None
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """(n, F) True where there is no value."""
        return np.isnan(self.values)

    def column(self, k: int) -> str:
        """Column k in words, fit to begin a refusal."""
        return f"Column {self.names[k]!r} of X" if self.named else f"Column {k} of X"

    def place(self, row: int, k: int) -> tuple[str, str]:
        """Column k and a row in words, fit for a refusal."""
        return self.column(k), f"in row {row}"

    def reordered(self, order: Sequence[int]) -> Cells:
        """The same cells with their F columns in another order; `native` stays as it is."""
        chosen = list(order)
        return replace(
            self,
            values=self.values[:, chosen],
            names=tuple(self.names[k] for k in chosen),
            levels=tuple(self.levels[k] for k in chosen),
            stored=tuple(self.stored[k] for k in chosen),
            exact=tuple(self.exact[k] for k in chosen),
            layout=self.layout.reordered(chosen),
        )


def read_cells(X: Any) -> Cells:
    """Read a table of numbers, truth values, dates, durations and text.

    Parameters
    ----------
    X : array (n, F), masked or not, list of rows, or pandas, polars or pyarrow table. Missing are NaN, None,
        pandas' NA, nulls, and masked values. Text, categorical and enum columns are text; so is every column
        of an array of objects that holds text. Dates and durations are those of the table's own types, or Python's.

    Raises
    ------
    ValueError
        With the first place that is wrong: no rows or columns, a cell that is neither a number nor text, an
        infinite value or one beyond float32, times of day, columns of one name. TypeError for a cell that is no text
        or number, and a sparse matrix.
    """
    X = plain(X)
    table = open_dataframe(X)
    cells = _read_frame(table) if isinstance(table, nw.DataFrame) else _read_array(X)
    refuse_unusable(cells.values, cells.place)
    return cells


def _read_array(X: Any) -> Cells:
    try:
        array = np.ma.getdata(X) if isinstance(X, np.ma.MaskedArray) else np.asarray(X)
    except ValueError:
        raise ValueError("The rows of X have different lengths. Give every row a cell per column.") from None
    if array.dtype.kind in "US" and not isinstance(X, np.ndarray):
        array = np.array(X, dtype=object)  # a list of rows with text and numbers side by side
    _refuse_shape(array)
    if array.dtype.kind not in "biufOU":
        raise ValueError(f"X must be numbers, truth values or text. Got an array of {array.dtype} instead.")
    names = tuple(str(k) for k in range(array.shape[1]))
    hidden = np.ma.getmaskarray(X) if isinstance(X, np.ma.MaskedArray) else None
    native = array
    if array.dtype.kind in "biuf":
        values = as_floats(array) if hidden is not None or array.dtype != np.float64 else array
        if hidden is not None:
            values[hidden] = np.nan
        word = _stored(array.dtype)
        read: Read = (values, (None,) * len(names), (word,) * len(names), _large(array, values))
    else:
        array = array.astype(object)
        if hidden is not None:
            array[hidden] = None
        columns = [_read_objects(array[:, k], f"Column {k} of X") for k in range(array.shape[1])]
        read = _together(columns)
    return Cells(read[0], names, False, *read[1:], layout_of(native, read[2]), native)


def _read_frame(table: nw.DataFrame[Any]) -> Cells:
    native = table.to_native()
    names = tuple(str(label) for label in column_labels(table))
    _refuse_shape(native)
    columns = [
        _read_column(column, f"Column {name!r} of X")
        for name, column in zip(names, table.iter_columns(), strict=True)
    ]
    values, levels, stored, exact = _together(columns)
    return Cells(values, names, True, levels, stored, exact, layout_of(native, stored), native)


Exact = NDArray[Any] | None
Column = tuple[NDArray[np.float64], tuple[Any, ...] | None, str, Exact]
Read = tuple[NDArray[np.float64], tuple[tuple[Any, ...] | None, ...], tuple[str, ...], tuple[Exact, ...]]


def _together(columns: Sequence[Column]) -> Read:
    values, levels, stored, exact = zip(*columns, strict=True)
    return np.stack(values, axis=1), levels, stored, exact


def _large(array: NDArray[Any], values: NDArray[np.float64]) -> tuple[Exact, ...]:
    """The observed cells of each column of an array that has integers from 2**53 on."""
    found: list[Exact] = [None] * array.shape[1]
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8:
        for k, column in enumerate(values.T):
            if (np.abs(column) >= EXACT).any():
                found[k] = array[~np.isnan(column), k]
    return tuple(found)


def _read_column(column: nw.Series[Any], where: str) -> Column:
    """One column of a dataframe: numbers or places of texts, the texts, and how they are stored."""
    dtype = column.dtype
    if dtype.is_numeric() or isinstance(dtype, nw.Boolean):
        numbers = np.array(column.cast(nw.Float64).to_numpy(), dtype=np.float64)
        if isinstance(dtype, nw.Boolean):
            return numbers, None, "bool", None
        if dtype.is_integer():
            large = bool((np.abs(numbers) >= EXACT).any())
            exact = column.drop_nulls().cast(nw.UInt64 if dtype == nw.UInt64 else nw.Int64) if large else None
            word = "byte" if isinstance(dtype, nw.UInt8) else "int"
            return numbers, None, word, None if exact is None else exact.to_numpy()
        return numbers, None, "float", None
    if (times := read_times(column, where)) is not None:
        return microseconds(times[0]), None, times[1], times[0]
    objects = np.empty(len(column), dtype=object)
    objects[:] = column.to_list()
    objects[column.is_null().to_numpy()] = None
    if isinstance(dtype, nw.Enum):
        return _coded(objects, dtype.categories)
    if isinstance(dtype, nw.Categorical) and column.implementation.is_pandas_like():
        return _coded(objects, list(column.to_native().cat.categories))
    return _read_objects(objects, where)


def _read_objects(objects: NDArray[Any], where: str) -> Column:
    """A column of Python objects: all numbers, or all text, apart from what is missing."""
    kept = [None if _is_missing(value) else value for value in objects.tolist()]
    if (times := read_time_objects(kept, where)) is not None:
        return microseconds(times[0]), None, times[1], times[0]
    texts = [isinstance(value, str) for value in kept if value is not None]
    if all(texts) and texts:
        return _coded(kept, sorted({value for value in kept if value is not None}))
    numbers = np.full(len(kept), np.nan)
    whole = True
    for row, value in enumerate(kept):
        if value is None:
            continue
        if isinstance(value, str):
            raise ValueError(
                f"{where} holds both numbers and text: {value!r} in row {row}. Make all its cells one or the other."
            )
        if isinstance(value, complex | np.complexfloating):
            raise ValueError(f"{where} holds a complex number in row {row}. Complex data not supported.")
        try:
            numbers[row] = as_float(value)
        except (TypeError, ValueError):
            raise TypeError(
                f"{where} holds {value!r} in row {row}: the argument must be a string or a number."
            ) from None
        whole = whole and isinstance(value, bool | np.bool_)
    return numbers, None, "bool" if whole and texts else "float", None


def _is_missing(value: Any) -> bool:
    return value is np.ma.masked or is_missing(value)


def _coded(texts: Sequence[Any] | NDArray[Any], ranked: Sequence[Any]) -> Column:
    """Places of texts in those of `ranked` that occur, NaN for None."""
    place = {text: number for number, text in enumerate(ranked)}
    codes = np.array([np.nan if text is None else place[text] for text in texts], dtype=np.float64)
    used = np.unique(codes[~np.isnan(codes)]).astype(np.int64)
    renamed = np.zeros(len(ranked) + 1)
    renamed[used] = np.arange(len(used))
    seen = np.isnan(codes)
    codes[~seen] = renamed[codes[~seen].astype(np.int64)]
    return codes, tuple(ranked[number] for number in used), "text", None


def _stored(dtype: np.dtype[Any]) -> str:
    return "byte" if dtype == np.uint8 else {"b": "bool", "i": "int", "u": "int", "f": "float"}[dtype.kind]


def _refuse_shape(X: Any) -> None:
    shape = tuple(X.shape)
    if getattr(getattr(X, "dtype", None), "kind", "") == "c":
        raise ValueError("X is complex. Complex data not supported.")
    if len(shape) != 2:
        raise ValueError(
            f"X must be a table of shape (n, F). Expected 2D array, got {len(shape)}D array of shape {shape} instead."
            " Reshape your data."
        )
    if not shape[0]:
        raise ValueError(f"X has 0 sample(s) (shape={shape}) while a minimum of 1 is required.")
    if not shape[1]:
        raise ValueError(f"X has 0 feature(s) (shape={shape}) while a minimum of 1 is required.")
