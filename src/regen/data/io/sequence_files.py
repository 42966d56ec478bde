"""Sequences from files: UCR ``.ts`` files, wide tables (a row per sequence), and NumPy archives."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from regen.data.io.arrays import names_of_arrays, read_array, read_labels
from regen.data.io.paths import not_found_error
from regen.data.io.tables import read_table
from regen.data.ragged import Ragged

__all__ = ["LabelledSequences", "labels_of", "read_sequences"]

Values: TypeAlias = NDArray[np.float64]
TABLES = (".csv", ".csv.gz", ".parquet")
KINDS = (".ts", ".npz", *TABLES)
LONGEST = 1 << 26
"""Characters of a line of a ``.ts`` file."""
SURROGATE = re.compile("[\udc80-\udcff]")


class LabelledSequences(NamedTuple):
    """Sequences of a file, and their labels (n,): text, or what the column held; or targets; None without labels."""

    rows: Ragged
    y: NDArray[Any] | None


def read_sequences(path: str | PathLike[str], *, label: str | None = None) -> LabelledSequences:
    """Read sequences, with their labels or targets when the file has them.

    Parameters
    ----------
    path : of a file, by its ending:

        - ``.ts``, the UCR/UEA archive's text: after header lines (``@``, ``#``), a case a line, channels apart by
          ``:``, values by ``,``, the label last. A value ``?`` is NaN.
        - ``.csv``, ``.csv.gz``, ``.parquet``: a row per sequence; `label` names the column of labels or targets,
          all other columns are the steps, in their order. Empty cells at the end of a row make it shorter.
        - ``.npz``: arrays ``X`` (n, T) or (n, T, F) and, if any, ``y`` (n,). One that unpacks to more than 64 MiB
          and more than 100 times its size is refused before it is unpacked.
    label : name of the label column of a table.

    Raises
    ------
    ValueError
        With the first place that cannot be read.
    FileNotFoundError
        When there is no such file; the message names the closest one in its folder.
    """
    path = Path(path)
    name = path.name.lower()
    if not name.endswith(KINDS):
        raise ValueError(
            f"{str(path)!r} does not end in one of {', '.join(KINDS)}, the files of sequences that regen reads."
        )
    if name.endswith(TABLES):
        return _wide(path, label)
    if not path.exists():
        raise not_found_error(path)
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is no file. Give a file of sequences.")
    return _ts(path) if name.endswith(".ts") else _npz(path)


def _wide(path: Path, label: str | None) -> LabelledSequences:
    table = nw.from_native(read_table(path, required=[] if label is None else [label]), eager_only=True)
    steps = [name for name in table.columns if name != label]
    for name in steps:
        dtype = table[name].dtype
        if not (dtype.is_numeric() or isinstance(dtype, nw.Boolean | nw.Unknown)):
            hint = " If it is the label, say so with label." if label is None else ""
            raise ValueError(f"Column {name!r} of {str(path)!r} holds no numbers.{hint}")
    if not steps or not len(table):
        raise ValueError(
            f"{str(path)!r} holds no sequences: it has {len(table)} rows and {len(steps)} steps."
        )
    columns = [np.asarray(table[name].cast(nw.Float64).to_numpy(), dtype=np.float64) for name in steps]
    y = None if label is None else labels_of(path, table[label])
    return LabelledSequences(_trimmed(path, np.stack(columns, axis=1)), y)


def labels_of(path: Path, column: nw.Series[Any]) -> NDArray[Any]:
    """Labels (n,) of a column of the table in `path`: numbers and truth values as they are, all else as text."""
    if column.null_count():
        row = column.is_null().to_list().index(True)
        raise ValueError(f"Column {column.name!r} of {str(path)!r} has no label in row {row}.")
    if column.dtype.is_numeric() or isinstance(column.dtype, nw.Boolean):
        return np.asarray(column.to_numpy())
    return np.array([str(item) for item in column.to_list()])


def _trimmed(path: Path, table: Values) -> Ragged:
    """The rows (n, T) without the empty cells at their ends; a gap between values is missing."""
    present = ~np.isnan(table)
    lengths = present.shape[1] - present[:, ::-1].argmax(axis=1)
    empty = ~present.any(axis=1)
    if empty.any():
        raise ValueError(f"Row {int(empty.argmax())} of {str(path)!r} has no values. Remove it.")
    return Ragged.from_list([row[:length, None] for row, length in zip(table, lengths, strict=True)])


def _npz(path: Path) -> LabelledSequences:
    names = names_of_arrays(path)
    if "X" not in names:
        raise ValueError(f"{str(path)!r} has no array X. It holds {', '.join(names) or 'nothing'}.")
    X, y = read_array(path, "X"), read_labels(path)
    if X.ndim not in (2, 3) or not len(X):
        raise ValueError(
            f"X in {str(path)!r} must be numbers of shape (n, T) or (n, T, F). Got {X.dtype} of shape {X.shape}"
            " instead."
        )
    if y is not None and y.shape != (len(X),):
        raise ValueError(f"y in {str(path)!r} has shape {y.shape}; X has {len(X)} sequences.")
    X = np.asarray(X, dtype=np.float64)
    return LabelledSequences(Ragged.from_block(X[:, :, None] if X.ndim == 2 else X), y)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text with their numbers, one at a time."""
    with path.open(encoding="utf-8", errors="surrogateescape") as file:
        for number in itertools.count(1):
            line = file.readline(LONGEST + 1)
            if not line:
                return
            if len(line) > LONGEST:
                raise ValueError(f"Line {number} of {str(path)!r} has more than {LONGEST} characters.")
            if not line.isascii() and SURROGATE.search(line):
                raise ValueError(
                    f"{str(path)!r} is not UTF-8 text: line {number} has bytes that cannot be read."
                )
            yield number, line.strip()


def _ts(path: Path) -> LabelledSequences:
    header: dict[str, str] = {}
    cases: list[tuple[int, str]] = []
    for number, line in _lines(path):
        if line.startswith("@"):
            word, _, rest = line[1:].partition(" ")
            header[word.lower()] = rest.strip().lower()
        elif line and not line.startswith("#"):
            if "data" not in header:
                raise ValueError(f"{str(path)!r} is no .ts file: line {number} comes before '@data'.")
            cases.append((number, line))
    if not cases:
        raise ValueError(f"{str(path)!r} holds no sequences: nothing follows '@data'.")
    if header.get("timestamps", "false") == "true":
        raise ValueError(f"{str(path)!r} has time stamps, which regen does not read. Write the values alone.")
    targets = header.get("targetlabel", "false").startswith("true")
    labelled = targets or header.get("classlabel", "false").startswith("true")
    X: list[Values] = []
    y: list[str] = []
    for number, line in cases:
        channels = line.split(":")
        if labelled:
            y.append(channels.pop().strip())
        X.append(_case(path, number, channels, len(X[0][0]) if X else None))
    return LabelledSequences(Ragged.from_list(X), _labels(path, cases, y, targets) if labelled else None)


def _case(path: Path, number: int, channels: list[str], expected: int | None) -> Values:
    """One sequence (T, F) of a ``.ts`` line."""
    where = f"Line {number} of {str(path)!r}"
    try:
        rows = [
            np.array([np.nan if cell.strip() == "?" else float(cell) for cell in channel.split(",")])
            for channel in channels
        ]
    except ValueError:
        raise ValueError(f"{where} holds text where numbers belong.") from None
    if not rows or (expected is not None and len(rows) != expected):
        raise ValueError(f"{where} has {len(rows)} channels instead of {expected or 'at least 1'}.")
    if len({len(row) for row in rows}) != 1:
        raise ValueError(f"{where} has channels of different lengths.")
    return np.stack(rows, axis=1)


def _labels(path: Path, cases: list[tuple[int, str]], y: list[str], targets: bool) -> NDArray[Any]:
    for (number, _), label in zip(cases, y, strict=True):
        if not label:
            raise ValueError(f"Line {number} of {str(path)!r} ends without a label.")
    if not targets:
        return np.array(y)
    try:
        return np.array([float(label) for label in y])
    except ValueError as error:
        raise ValueError(f"{str(path)!r} holds text where target numbers belong.") from error
