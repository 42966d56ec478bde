"""Tables in files: CSV and Parquet, read with errors that name the place of a fault, and written atomically."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np

from regen._check import closest
from regen._files import atomic_write
from regen._optional import require
from regen.data.io.csv_text import CsvText, opened_csv, refuse_equal_names, scan_csv
from regen.data.io.limits import refuse_bomb
from regen.data.io.paths import not_found_error

__all__ = ["column_names", "read_table", "write_table"]

_ENDINGS = (".csv", ".csv.gz", ".parquet")
_UNPACKED_PARQUET = "write it as a .csv file"
_FORMULA = r"\A([=+\-@\t\r])"
_DECIMAL_COMMA = r"^\s*[-+]?\d*,\d+(?:[eE][-+]?\d+)?\s*$"


def read_table(path: str | os.PathLike[str], *, required: Sequence[str] = ()) -> Any:
    """Read a ``.csv``, ``.csv.gz`` or ``.parquet`` file as a pyarrow Table.

    A CSV file has a header line and is UTF-8; its values are apart by commas, or, when the header has none outside
    of quotes, by semicolons or tabs. Where they are not apart by commas, decimal commas are understood if more
    columns are numbers so. Empty cells, ``NA`` and ``nan`` are missing values, of text as of numbers; ISO 8601 dates
    become dates. A value between quotes may have several lines.

    Parameters
    ----------
    path : of the file.
    required : names of columns that it must have; refused by the header, before its rows are read.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, PermissionError
        When the file cannot be opened; the message names the closest one in its folder.
    ValueError
        When its ending is unknown, it is empty, damaged, not UTF-8 (with line and byte), two columns have one name, a
        row has more or less values than the header, a quote is never closed or stands in the middle of a value (with
        the line), or a packed file unpacks to more than 64 MiB and more than 100 times its size. The environment
        variable ``REGEN_UNPACK_LIMIT`` raises that limit to a number of bytes.

    Warns
    -----
    UserWarning
        When lines between two quotes, which are one value, each look like a row.
    """
    path = Path(path)
    ending = _checked_ending(path)
    with _reading(path):
        table = _read_parquet(path, required) if ending == ".parquet" else _read_csv(path, required)
    if table.num_rows == 0:
        raise ValueError(_no_rows(path, table.num_columns))
    return table


def column_names(path: str | os.PathLike[str]) -> list[str]:
    """Names of the columns of a file that `read_table` reads; its rows are not read.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, PermissionError, ValueError
        As `read_table`, as far as the header goes.
    """
    path = Path(path)
    ending = _checked_ending(path)
    with _reading(path):
        if ending == ".parquet":
            return list(_opened_parquet(path).schema_arrow.names)
        return list(scan_csv(path, header_only=True).names)


def write_table(path: str | os.PathLike[str], frame: Any, *, escape_formulas: bool = False) -> None:
    """Write a table as ``.csv``, ``.csv.gz`` or ``.parquet``; the file appears whole or not at all.

    Parameters
    ----------
    path : of the file; one that exists is replaced.
    frame : pandas, polars or pyarrow table or series, a dict of arrays, or an array. A pandas index that is not a
        mere count becomes the first column, called ``time`` if it has no name. Dates without a time of day are
        written as ``1990-12-31`` in CSV; missing values as empty cells.
    escape_formulas : bool, default=False
        Write ``'`` before the texts of a CSV file, and its names of columns, that begin with ``=``, ``+``, ``-``,
        ``@``, a tab or a carriage return, which spreadsheets compute as formulas (OWASP, CSV Injection). Off by
        default, so that what is written is read back as it was.

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
    if escape_formulas and ending != ".parquet":
        table = _escaped(table)
    with atomic_write(path) as file:
        if ending == ".parquet":
            parquet = require("pyarrow.parquet", extra="sources", purpose="Writing Parquet files")
            parquet.write_table(table, file, write_page_checksum=True)
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


def _checked_ending(path: Path) -> str:
    """The ending of a file that can be read: it is there, is a file, is known by its ending, and is not empty."""
    if not path.exists():
        raise not_found_error(path)
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder. Give a file in it.")
    ending = _ending(path, "reads")
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is a device or a pipe. Write its content to a file first.")
    if path.stat().st_size == 0:
        raise ValueError(f"{str(path)!r} is empty: it has 0 bytes.")
    return ending


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError:
        raise PermissionError(f"{str(path)!r} cannot be read: permission denied.") from None


def _no_rows(path: Path, columns: int) -> str:
    return f"{str(path)!r} has {columns} columns but no rows."


def _refuse_absent(path: Path, names: Sequence[str], required: Sequence[str]) -> None:
    for name in required:
        if name not in names:
            shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
            raise ValueError(
                f"{str(path)!r} has no column {name!r}.{closest(name, names)} Its columns are: {shown}."
            )


@contextmanager
def _whole_parquet(path: Path) -> Iterator[None]:
    """Turn what the reader of Parquet files raises for a damaged one into a sentence."""
    arrow = require("pyarrow", extra="sources", purpose="Reading Parquet files")
    try:
        yield
    except (PermissionError, MemoryError):
        raise
    except (arrow.ArrowException, OSError, UnicodeDecodeError, LookupError) as error:
        raise ValueError(
            f"{str(path)!r} is not a whole Parquet file: it is damaged, was cut short, or is something else."
            " Write or fetch it again."
        ) from error


def _opened_parquet(path: Path, **options: Any) -> Any:
    parquet = require("pyarrow.parquet", extra="sources", purpose="Reading Parquet files")
    with _whole_parquet(path):
        file = parquet.ParquetFile(path, page_checksum_verification=True, **options)
        names = list(file.schema_arrow.names)
    refuse_equal_names(path, names)
    return file


def _read_parquet(path: Path, required: Sequence[str]) -> Any:
    arrow = require("pyarrow", extra="sources", purpose="Reading Parquet files")
    file = _opened_parquet(path)
    schema = file.schema_arrow
    _refuse_absent(path, schema.names, required)
    for field in schema:
        if arrow.types.is_nested(field.type) or "binary" in str(field.type):
            raise ValueError(
                f"Column {field.name!r} of {str(path)!r} holds {field.type}: a cell must be one number, text or date."
                " Write each value of it into a column of its own, or leave it out."
            )
    # Not from the descriptions of row groups: pyarrow ends the process where one of them is damaged.
    numbers = 8 * file.metadata.num_rows * max(len(schema), 1)
    refuse_bomb(path, numbers, _UNPACKED_PARQUET)
    # A text that is stored once and repeated is read so, and its size known, before it is copied for every row.
    texts = [field.name for field in schema if _is_text(arrow, field.type)]
    with _whole_parquet(path):
        table = _opened_parquet(path, read_dictionary=texts).read()
        table.validate(full=True)
    refuse_bomb(path, numbers + _decoded_bytes(table), _UNPACKED_PARQUET)
    with _whole_parquet(path):
        return table.cast(schema)


def _decoded_bytes(table: Any) -> int:
    """Bytes of the texts of a table of which some are stored once for many rows."""
    arrow = require("pyarrow", extra="sources", purpose="Reading Parquet files")
    compute = require("pyarrow.compute", extra="sources", purpose="Reading Parquet files")
    total = 0
    for column in table.columns:
        if not arrow.types.is_dictionary(column.type) or not _is_text(arrow, column.type.value_type):
            continue
        for chunk in column.chunks:
            lengths = compute.binary_length(chunk.dictionary)
            total += compute.sum(compute.take(lengths, chunk.indices)).as_py() or 0
    return total


def _is_text(arrow: Any, kind: Any) -> bool:
    types = arrow.types
    return any(
        each(kind)
        for each in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    )


def _read_csv(path: Path, required: Sequence[str]) -> Any:
    csv = require("pyarrow.csv", extra="sources", purpose="Reading CSV files")
    _refuse_absent(path, scan_csv(path, header_only=True).names if required else (), required)
    text = scan_csv(path)
    if text.empty:
        raise ValueError(_no_rows(path, len(text.names)))
    table = _parsed(csv, path, text, ".")
    if text.delimiter != "," and any(_decimal_comma(column) for column in table.columns):
        other = _parsed(csv, path, text, ",")
        if _texts(other) < _texts(table):
            return other
    return table


def _parsed(csv: Any, path: Path, text: CsvText, decimal: str) -> Any:
    arrow = require("pyarrow", extra="sources", purpose="Reading CSV files")
    convert = csv.ConvertOptions(decimal_point=decimal, strings_can_be_null=True)
    block = max(1 << 20, 2 * text.longest)
    parse = {"delimiter": text.delimiter, "newlines_in_values": text.multiline}
    try:
        with opened_csv(path) as file:
            return csv.read_csv(
                file,
                read_options=csv.ReadOptions(block_size=block),
                parse_options=csv.ParseOptions(**parse),
                convert_options=convert,
            )
    except arrow.ArrowInvalid as error:
        problem = error
    bad: list[Any] = []

    def keep(row: Any) -> str:
        bad.append(row)
        return "error"

    with (
        suppress(arrow.ArrowInvalid),
        opened_csv(path) as file,
    ):  # once more in one thread, which alone counts lines
        csv.read_csv(
            file,
            read_options=csv.ReadOptions(use_threads=False, block_size=block),
            parse_options=csv.ParseOptions(**parse, invalid_row_handler=keep),
        )
    if not bad:
        raise ValueError(f"{str(path)!r} cannot be read as CSV: {problem}.") from problem
    row = bad[0]
    values = "1 value" if row.actual_columns == 1 else f"{row.actual_columns} values"
    raise ValueError(
        f"{str(path)!r} has {values} in line {row.number}, where its header has {row.expected_columns}."
        " Give every row as many as the header."
    ) from None


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


def _escaped(table: Any) -> Any:
    """A table whose texts and names of columns are no formulas of a spreadsheet."""
    arrow = require("pyarrow", extra="sources", purpose="Writing CSV files")
    compute = require("pyarrow.compute", extra="sources", purpose="Writing CSV files")
    for k, field in enumerate(table.schema):
        column = table.column(k)
        if arrow.types.is_dictionary(field.type):
            column = column.cast(field.type.value_type)
        if _is_text(arrow, column.type):
            column = compute.replace_substring_regex(column, _FORMULA, r"'\1")
        table = table.set_column(k, field.name, column)
    names = ["'" + name if name[:1] in tuple("=+-@\t\r") and name else name for name in table.column_names]
    return table.rename_columns(names)


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
