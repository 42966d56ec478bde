"""Tables in files: CSV and Parquet, read with errors that name the place of a fault, and written atomically."""

from __future__ import annotations

import codecs
import gzip
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np

from regen._files import atomic_write
from regen._optional import require
from regen.data.io.paths import not_found_error

__all__ = ["read_table", "write_table"]

_ENDINGS = (".csv", ".csv.gz", ".parquet")
_BLOCK = 1 << 20
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_DECIMAL_COMMA = r"^\s*[-+]?\d*,\d+(?:[eE][-+]?\d+)?\s*$"


def read_table(path: str | os.PathLike[str]) -> Any:
    """Read a ``.csv``, ``.csv.gz`` or ``.parquet`` file as a pyarrow Table.

    A CSV file has a header line and is UTF-8; its values are apart by commas, or, when the header has none outside
    of quotes, by semicolons or tabs. Where they are not apart by commas, decimal commas are understood if more
    columns are numbers so. Empty cells, ``NA`` and ``nan`` are missing values, of text as of numbers; ISO 8601 dates
    become dates.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, PermissionError
        When the file cannot be opened; the message names the closest one in its folder.
    ValueError
        When its ending is unknown, it is empty, damaged, not UTF-8 (with line and byte), or a row has more or less
        values than the header (with the line).
    """
    path = Path(path)
    if not path.exists():
        raise not_found_error(path)
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder. Give a file in it.")
    ending = _ending(path, "reads")
    if path.stat().st_size == 0:
        raise ValueError(f"{str(path)!r} is empty: it has 0 bytes.")
    try:
        table = _read_parquet(path) if ending == ".parquet" else _read_csv(path)
    except PermissionError:
        raise PermissionError(f"{str(path)!r} cannot be read: permission denied.") from None
    if table.num_rows == 0:
        raise ValueError(f"{str(path)!r} has {table.num_columns} columns but no rows.")
    return table


def write_table(path: str | os.PathLike[str], frame: Any) -> None:
    """Write a table as ``.csv``, ``.csv.gz`` or ``.parquet``; the file appears whole or not at all.

    Parameters
    ----------
    path : of the file; one that exists is replaced.
    frame : pandas, polars or pyarrow table or series, a dict of arrays, or an array. A pandas index that is not a
        mere count becomes the first column, called ``time`` if it has no name. Dates without a time of day are
        written as ``1990-12-31`` in CSV; missing values as empty cells.

    Raises
    ------
    FileNotFoundError, PermissionError
        When the folder is not there, or is read-only.
    ValueError
        When the ending is unknown.
    """
    path = Path(path)
    ending = _ending(path, "writes")
    table = _arrow(frame)
    with atomic_write(path) as file:
        if ending == ".parquet":
            parquet = require("pyarrow.parquet", extra="sources", purpose="Writing Parquet files")
            parquet.write_table(table, file)
            return
        csv = require("pyarrow.csv", extra="sources", purpose="Writing CSV files")
        options = csv.WriteOptions(quoting_style="needed")
        if ending == ".csv":
            csv.write_csv(_short_dates(table), file, options)
            return
        with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
            csv.write_csv(_short_dates(table), packed, options)


def _ending(path: Path, does: str) -> str:
    for ending in _ENDINGS:
        if path.name.lower().endswith(ending):
            return ending
    raise ValueError(
        f"{str(path)!r} does not end in .csv, .csv.gz or .parquet, the tables that regen {does}."
    )


def _read_parquet(path: Path) -> Any:
    arrow = require("pyarrow", extra="sources", purpose="Reading Parquet files")
    parquet = require("pyarrow.parquet", extra="sources", purpose="Reading Parquet files")
    try:
        return parquet.ParquetFile(path).read()
    except PermissionError:
        raise
    except (arrow.ArrowException, OSError) as error:
        raise ValueError(
            f"{str(path)!r} is not a whole Parquet file: it is damaged, was cut short, or is something else."
            " Write or fetch it again."
        ) from error


def _read_csv(path: Path) -> Any:
    csv = require("pyarrow.csv", extra="sources", purpose="Reading CSV files")
    header = _QUOTED.sub("", _refuse_text(path))
    delimiter = next((mark for mark in (",", ";", "\t") if mark in header), ",")
    table = _parsed(csv, path, delimiter, ".")
    if delimiter != "," and any(_decimal_comma(column) for column in table.columns):
        other = _parsed(csv, path, delimiter, ",")
        if _texts(other) < _texts(table):
            return other
    return table


def _parsed(csv: Any, path: Path, delimiter: str, decimal: str) -> Any:
    arrow = require("pyarrow", extra="sources", purpose="Reading CSV files")
    convert = csv.ConvertOptions(decimal_point=decimal, strings_can_be_null=True)
    try:
        return csv.read_csv(
            path, parse_options=csv.ParseOptions(delimiter=delimiter), convert_options=convert
        )
    except arrow.ArrowInvalid as error:
        problem = error
    bad: list[Any] = []

    def keep(row: Any) -> str:
        bad.append(row)
        return "error"

    with suppress(arrow.ArrowInvalid):  # once more in one thread, which alone counts lines
        csv.read_csv(
            path,
            read_options=csv.ReadOptions(use_threads=False),
            parse_options=csv.ParseOptions(delimiter=delimiter, invalid_row_handler=keep),
        )
    if not bad:
        raise ValueError(f"{str(path)!r} cannot be read as CSV: {problem}.") from problem
    row = bad[0]
    values = "1 value" if row.actual_columns == 1 else f"{row.actual_columns} values"
    raise ValueError(
        f"{str(path)!r} has {values} in line {row.number}, where its header has {row.expected_columns}."
        " Give every row as many as the header."
    ) from None


def _refuse_text(path: Path) -> str:
    """The header line of a text file, once all of it is known to be UTF-8."""
    header, line, offset = b"", 1, 0
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
            while True:
                block = file.read(_BLOCK)
                if offset == 0:
                    header = block.split(b"\n", 1)[0]
                before = len(decoder.getstate()[0])
                try:
                    decoder.decode(block, final=not block)
                except UnicodeDecodeError as error:
                    place = error.start - before
                    line += block[: max(place, 0)].count(b"\n")
                    raise ValueError(
                        f"{str(path)!r} is not UTF-8: byte {offset + place}, in line {line}, is no part of it."
                        " Save it as UTF-8."
                    ) from None
                if not block:
                    return header.decode("utf-8", errors="ignore")
                line += block.count(b"\n")
                offset += len(block)
    except (EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{str(path)!r} is damaged or was cut short. Write or fetch it again.") from error


def _decimal_comma(column: Any) -> bool:
    """Whether a column of text holds a number with a decimal comma anywhere."""
    if str(column.type) != "string":
        return False
    compute = require("pyarrow.compute", extra="sources", purpose="Reading CSV files")
    return bool(compute.any(compute.match_substring_regex(column, _DECIMAL_COMMA)).as_py())


def _texts(table: Any) -> int:
    """Columns that are no numbers or dates."""
    return sum(str(column.type) == "string" for column in table.columns)


def _arrow(frame: Any) -> Any:
    """Any kind of table as a pyarrow Table; NaN as null."""
    arrow = require("pyarrow", extra="sources", purpose="Writing tables")
    if isinstance(frame, np.ndarray):
        array = frame[:, None] if frame.ndim == 1 else frame
        frame = {"y" if frame.ndim == 1 else f"y{k}": values for k, values in enumerate(array.T)}
    if isinstance(frame, Mapping):
        columns = [(str(name), np.ascontiguousarray(values)) for name, values in frame.items()]
    else:
        columns = [(name, column.to_arrow()) for name, column in _columns(frame)]
    names = [name for name, _ in columns]
    for name in names:
        if names.count(name) > 1:  # such as 1 and "1", or an index called like a column
            raise ValueError(f"The table has several columns named {name!r}. Rename them.")
    return arrow.table({name: _without_nan(arrow, values) for name, values in columns})


def _columns(frame: Any) -> list[tuple[str, nw.Series[Any]]]:
    """The columns of a table by name, a dated pandas index first."""
    table = nw.from_native(frame, eager_only=True, allow_series=True)
    label = getattr(frame, "name", None)
    named = [(str(label or "y"), table)] if isinstance(table, nw.Series) else _named(table)
    if not table.implementation.is_pandas_like() or type(frame.index).__name__ == "RangeIndex":
        return named
    index = frame.index
    if type(index).__name__ == "PeriodIndex":
        index = index.to_timestamp()
    return [(str(index.name or "time"), nw.from_native(index.to_series(), series_only=True)), *named]


def _named(table: nw.DataFrame[Any]) -> list[tuple[str, nw.Series[Any]]]:
    labels = table.to_native().columns if table.implementation.is_pandas_like() else table.columns
    return [(str(label), column) for label, column in zip(labels, table.iter_columns(), strict=True)]


def _without_nan(arrow: Any, values: Any) -> Any:
    if isinstance(values, np.ndarray):
        return arrow.array(values, from_pandas=True)
    if not arrow.types.is_floating(values.type):
        return values
    compute = require("pyarrow.compute", extra="sources", purpose="Writing tables")
    return compute.if_else(compute.is_nan(values), arrow.scalar(None, values.type), values)


def _short_dates(table: Any) -> Any:
    """Timestamps as days where all are midnight, else as seconds where all are whole: as short as a CSV allows."""
    arrow = require("pyarrow", extra="sources", purpose="Writing CSV files")
    for k, field in enumerate(table.schema):
        if not arrow.types.is_timestamp(field.type):
            continue
        dates = table.column(k)
        zone = field.type.tz
        for kind in [arrow.timestamp("s", zone)] if zone else [arrow.date32(), arrow.timestamp("s")]:
            short = dates.cast(kind, safe=False)
            if short.cast(field.type).equals(dates):
                table = table.set_column(k, field.name, short)
                break
    return table
