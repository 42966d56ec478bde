"""One door to dataframes of any library: opened by narwhals, checked, and built of columns."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from regen._optional import installed, require

__all__ = ["backend", "column_labels", "frame", "json_label", "library", "narwhals_frame", "open_dataframe"]

LIBRARIES = ("pandas", "polars", "pyarrow")


def open_dataframe(
    X: Any, name: str = "X", *, series: bool = False
) -> nw.DataFrame[Any] | nw.Series[Any] | None:
    """A table (n, F) of any library as a narwhals dataframe; None for what is no table, such as an array.

    Parameters
    ----------
    X : pandas, polars or pyarrow table, or anything else
        A pyarrow RecordBatch is a table, too.
    name : str, default="X"
        The argument, for messages.
    series : bool, default=False
        Open a single column (n,) as a narwhals series.

    Raises
    ------
    ValueError
        When two columns have one name.
    """
    X = _arrow_table(X, series)
    try:
        table = nw.from_native(X, eager_only=True, allow_series=series, pass_through=True)
        repeated = isinstance(table, nw.DataFrame) and len(set(table.columns)) < len(table.columns)
    except nw.exceptions.DuplicateError:
        repeated = True
    if repeated:
        raise ValueError(_repeated(name, list(getattr(X, "column_names", None) or X.columns)))
    return table if isinstance(table, nw.DataFrame | nw.Series) else None


def column_labels(table: nw.DataFrame[Any], name: str = "X") -> list[Any]:
    """The library's own labels of the columns.

    Raises
    ------
    ValueError
        When labels have several levels, or two of them are the same text, such as 1 and "1".
    """
    native = table.to_native()
    labels = list(native.columns if table.implementation.is_pandas_like() else table.columns)
    if any(isinstance(label, tuple) for label in labels):
        raise ValueError(f"The columns of {name} have names of several levels. Give them one level.")
    texts = [str(label) for label in labels]
    if len(set(texts)) < len(texts):
        raise ValueError(_repeated(name, texts))
    return labels


def json_label(label: Any) -> str | int | None:
    """A column's label as JSON has it: text, int, or None."""
    if label is None or isinstance(label, str):
        return label
    return int(label) if isinstance(label, int | np.integer) else str(label)


def frame(columns: Mapping[str, Any]) -> Any:
    """Columns (name to array of n) as a pandas, polars or pyarrow table, the first installed; else a dict."""
    chosen = library("auto")
    if chosen is None:
        return dict(columns)
    if chosen == "pandas":
        return require("pandas", extra="sources", purpose="A pandas table").DataFrame(dict(columns))
    return narwhals_frame(columns, chosen).to_native()


def narwhals_frame(columns: Mapping[str, Any], chosen: str) -> nw.DataFrame[Any]:
    """Columns (name to array of n) as a narwhals dataframe of the library named."""
    arrays = {name: _supported_unit(np.asarray(each)) for name, each in columns.items()}
    return nw.from_dict(arrays, backend=backend(chosen))


def library(preferred: str) -> str | None:
    """The table library to use: `preferred` if installed, else the first installed, else None."""
    found = [name for name in LIBRARIES if installed(name)]
    return preferred if preferred in found else next(iter(found), None)


def backend(name: str) -> Any:
    """The narwhals implementation of that name."""
    return nw.Implementation.from_backend(name)  # type: ignore[arg-type]


def _arrow_table(X: Any, series: bool) -> Any:
    """A pyarrow RecordBatch or Array as the Table or ChunkedArray that narwhals opens; other things as they are."""
    arrow = sys.modules.get("pyarrow")
    if arrow is None:
        return X
    if isinstance(X, arrow.RecordBatch):
        return arrow.Table.from_batches([X])
    return arrow.chunked_array([X]) if series and isinstance(X, arrow.Array) else X


def _repeated(name: str, labels: Sequence[Any]) -> str:
    label = next(label for label in labels if labels.count(label) > 1)
    return f"{name} has several columns named {label!r}. Rename them."


def _supported_unit(values: NDArray[Any]) -> NDArray[Any]:
    """Dates in a unit that every table library has; other arrays as they are."""
    if values.dtype.kind == "M" and np.datetime_data(values.dtype)[0] not in ("D", "ms", "us", "ns"):
        return values.astype("M8[us]")
    return values
