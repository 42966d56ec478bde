"""Columns of cells out, as the kind of table that came in: array, pandas, polars or pyarrow."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from regen._optional import require
from regen.data.series_layout import library

__all__ = ["Layout", "arrow_table", "layout_of"]


@final
@dataclass(frozen=True)
class Layout:
    """What a table is made of; every field is one of JSON's own types.

    library : "numpy", "pandas", "polars" or "pyarrow".
    labels : its columns' own labels, text or int.
    dtypes : the library's name of each column's type; of an array its one type, for each.
    categories : for each column the categories that its type fixes, in order, if it does, else None.
    ordered : for each column whether that order means something.
    stored : for each column "bool", "byte", "int", "float" or "text".
    """

    library: str
    labels: tuple[str | int, ...]
    dtypes: tuple[str, ...]
    categories: tuple[tuple[Any, ...] | None, ...]
    ordered: tuple[bool, ...]
    stored: tuple[str, ...]

    def state(self) -> dict[str, Any]:
        """The fields as JSON has them."""
        lists = {name: list(value) for name, value in vars(self).items() if name != "library"}
        lists["categories"] = [None if each is None else list(each) for each in self.categories]
        return {"library": self.library} | lists

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Layout:
        """The layout that `state` was taken from."""
        categories = tuple(None if each is None else tuple(each) for each in state["categories"])
        rest = {name: tuple(state[name]) for name in ("labels", "dtypes", "ordered", "stored")}
        return cls(library=state["library"], categories=categories, **rest)

    def reordered(self, order: Sequence[int]) -> Layout:
        """The same with its F columns in another order."""
        tuples = {
            name: tuple(value[k] for k in order) for name, value in vars(self).items() if name != "library"
        }
        return Layout(library=self.library, **tuples)

    def table(self, columns: Sequence[NDArray[Any]], exact: bool, index: Any = None) -> Any:
        """F columns (n,), floats or objects of text, as such a table.

        exact : give back the types of whole numbers and truth values too: numbers are rounded. Otherwise they are
            float64, for the mean of whole numbers is none. index : pandas index of the rows.
        """
        if self.library == "numpy":
            return self._array(columns, exact)
        chosen = library(self.library)
        if chosen is None:
            return dict(zip(self.labels, columns, strict=True))
        if chosen == "pandas":
            pandas = require("pandas", extra="sources", purpose="A pandas table")
            series = {k: self._series(pandas, k, column, exact, index) for k, column in enumerate(columns)}
            built = pandas.DataFrame(series, index=index)
            built.columns = pandas.Index(self.labels)
            return built
        backend = nw.Implementation.from_backend(chosen)  # type: ignore[arg-type]
        built = [self._column(backend, k, column, exact) for k, column in enumerate(columns)]
        return built[0].to_frame().with_columns(*built[1:]).to_native()

    def filled(self, native: Any, columns: Mapping[int, NDArray[Any]], missing: NDArray[np.bool_]) -> Any:
        """A copy of `native`, of this layout, with only its missing cells replaced.

        Parameters
        ----------
        native : table (n, F). columns : column number to (n,) cells; where nothing is missing none are needed.
        missing : (n, F).
        """
        if self.library == "numpy":
            result = np.array(native, copy=True)
            for k, column in columns.items():
                holes = missing[:, k]
                result[holes, k] = self._whole(k, column[holes])
            return result
        if self.library == "pandas":
            return self._filled_frame(native, columns, missing)
        table: nw.DataFrame[Any] = nw.from_native(native, eager_only=True)
        new = []
        for k, column in columns.items():
            old = table[str(self.labels[k])]
            other = self._column(old.implementation, k, column, exact=True)
            known = nw.new_series("known", ~missing[:, k], backend=old.implementation)
            new.append(_cast(old.zip_with(known, other), old.dtype).alias(old.name))
        return table.with_columns(*new).to_native() if new else native

    def _filled_frame(
        self, native: Any, columns: Mapping[int, NDArray[Any]], missing: NDArray[np.bool_]
    ) -> Any:
        pandas = require("pandas", extra="sources", purpose="A pandas table")
        result = native.copy()
        for k, column in columns.items():
            old = native.iloc[:, k]
            if self.categories[k] is not None:
                new = [each for each in dict.fromkeys(column.tolist()) if each not in old.cat.categories]
                old = old.cat.add_categories(new) if new else old
            other = pandas.Series(list(self._whole(k, column)), index=native.index).astype(old.dtype)
            result.isetitem(k, old.where(~missing[:, k], other))
        return result

    def _array(self, columns: Sequence[NDArray[Any]], exact: bool) -> NDArray[Any]:
        dtype = np.dtype(self.dtypes[0])
        if "text" in self.stored:
            array = np.empty((len(columns[0]), len(columns)), dtype=object)
            for k, column in enumerate(columns):
                array[:, k] = self._whole(k, column) if exact else column
            return array.astype(str) if dtype.kind == "U" else array
        if exact and dtype.kind != "O":
            return np.stack([self._whole(k, column) for k, column in enumerate(columns)], axis=1).astype(
                dtype
            )
        return np.stack(columns, axis=1).astype(dtype if dtype.kind == "f" else np.float64)

    def _series(self, pandas: Any, k: int, column: NDArray[Any], exact: bool, index: Any) -> Any:
        if not self._kept(k, exact):
            return pandas.Series(column, index=index, dtype="float64")
        dtype: Any = self.dtypes[k]
        if self.categories[k] is not None:
            dtype = pandas.CategoricalDtype(list(self.categories[k] or ()), ordered=self.ordered[k])
        elif self.library != "pandas":  # the table was of a library that is no longer installed
            return pandas.Series(self._whole(k, column), index=index)
        return pandas.Series(self._whole(k, column), index=index).astype(dtype)

    def _column(self, backend: Any, k: int, column: NDArray[Any], exact: bool) -> nw.Series[Any]:
        name = str(self.labels[k])
        if not self._kept(k, exact):
            return nw.new_series(name, column, nw.Float64, backend=backend)
        cells = self._whole(k, column)
        built = nw.new_series(name, cells.tolist() if self.stored[k] == "text" else cells, backend=backend)
        if self.categories[k] is not None and self.dtypes[k] == "Enum":
            return built.cast(nw.Enum(self.categories[k] or ()))
        return _cast(built, getattr(nw, self.dtypes[k], nw.Float64))

    def _kept(self, k: int, exact: bool) -> bool:
        """Whether column k gets its own type back."""
        return exact or self.stored[k] in ("float", "text")

    def _whole(self, k: int, column: NDArray[Any]) -> NDArray[Any]:
        """Cells rounded to what column k can store."""
        stored = self.stored[k]
        if stored == "bool":
            return column > 0.5
        if stored in ("byte", "int"):
            bits, signed = _integer(self.dtypes[k])
            low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
            bounded = np.clip(np.rint(column), low, np.nextafter(float(high), 0) if bits == 64 else high)
            return bounded.astype(np.int64 if signed else np.uint64)  # type: ignore[no-any-return]
        return column


def arrow_table(X: Any) -> Any:
    """X (n, F) as a pyarrow Table, which narwhals reads, where it is a RecordBatch; other things as they are."""
    arrow = sys.modules.get("pyarrow")
    return arrow.Table.from_batches([X]) if arrow is not None and isinstance(X, arrow.RecordBatch) else X


def layout_of(native: Any, stored: tuple[str, ...]) -> Layout:
    """The layout of a table (n, F) whose columns are `stored` so."""
    count = len(stored)
    if isinstance(native, np.ndarray):
        labels: tuple[str | int, ...] = tuple(range(count))
        name = "object" if native.dtype.kind == "O" else str(native.dtype)
        return Layout("numpy", labels, (name,) * count, (None,) * count, (False,) * count, stored)
    table: nw.DataFrame[Any] = nw.from_native(native, eager_only=True)
    if table.implementation.is_pandas_like():
        labels = tuple(
            int(each) if isinstance(each, int | np.integer) else str(each) for each in native.columns
        )
        types = list(native.dtypes)
        ranked = tuple(tuple(each.categories.tolist()) if str(each) == "category" else None for each in types)
        ordered = tuple(bool(getattr(each, "ordered", False)) for each in types)
        return Layout("pandas", labels, tuple(str(each) for each in types), ranked, ordered, stored)
    columns = list(table.iter_columns())
    names = tuple(str(column.dtype).partition("(")[0] for column in columns)
    ranked = tuple(
        tuple(column.dtype.categories) if isinstance(column.dtype, nw.Enum) else None for column in columns
    )
    ordered = tuple(name == "Enum" for name in names)
    return Layout(table.implementation.value, tuple(table.columns), names, ranked, ordered, stored)


def _cast(column: nw.Series[Any], dtype: Any) -> nw.Series[Any]:
    """A column as `dtype`; of unknown type, as one is where all cells are empty, it keeps its own."""
    return column if dtype == nw.Unknown else column.cast(dtype)


def _integer(name: str) -> tuple[int, bool]:
    """Bits of an integer type, and whether it has a sign, from its name in any library: "Int64", "uint8"."""
    digits = "".join(letter for letter in name.partition("[")[0] if letter.isdigit())
    return int(digits or 64), not name.lower().startswith("u")
