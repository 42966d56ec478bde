"""Rows in files: tables, arrays, sequences and folders of pictures, read for an estimator and written by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from regen.cli.tables import columns_of, text_table
from regen.data.io.arrays import ARRAYS, read_array, read_labels, write_array
from regen.data.io.image_files import (
    PICTURES,
    folders_only,
    read_images,
    read_labelled_images,
    write_grid,
    write_images,
)
from regen.data.io.paths import not_found_error
from regen.data.io.sequence_files import TABLES, LabelledSequences, labels_of, read_sequences
from regen.data.io.tables import column_names, read_table, write_table

__all__ = [
    "Found",
    "check_output",
    "give_rows",
    "one_after_another",
    "read_known_sequences",
    "read_labelled",
    "read_rows",
    "read_rows_for",
    "refuse_label",
]

LEAVE_OUT = "Leave it out with --label."
ENDINGS = (*TABLES, *ARRAYS, ".ts")
FOLDER = "folder"
"""The value of --label where the labels of pictures are the names of their folders."""


@final
@dataclass(frozen=True, eq=False)
class Found:
    """Rows that were found in a file or folder.

    X : as an estimator takes them. names : of the picture of each row; None when they were no pictures.
    y : (n,) labels, if requested and present.
    """

    X: Any
    names: list[str] | None = None
    y: NDArray[Any] | None = None


def read_rows(
    path: Path, labels: Sequence[str], *, sequences: bool, flat: bool, labelled: bool = False
) -> Found:
    """Rows to fit on.

    labels : columns of a table to leave out. sequences : whether a row of a table is a sequence. flat : whether it is
    an image. labelled : whether the one of `labels`, or what else the file has of them, is to be read as y.
    """
    if _pictured(path):
        return _read_pictures(path, labelled and FOLDER in labels)
    if sequences and not path.name.lower().endswith(".npy"):
        if len(labels) > 1:
            raise ValueError("A file of sequences has one label at most. Give --label once.")
        found = read_sequences(path, label=labels[0] if labels else None)
        return Found(found.rows.arrays(), y=found.y if labelled else None)
    if path.name.lower().endswith(ARRAYS):
        return _read_arrays(path, labelled and path.name.lower().endswith(".npz"))
    if not path.name.lower().endswith(ENDINGS):
        _refuse_ending(path)
    if path.name.lower().endswith(".ts"):
        raise ValueError(f"{str(path)!r} holds sequences. Say what reads them, such as --backbone recurrent.")
    whole = read_table(path, required=labels)
    table = whole.drop_columns(list(labels)) if labels else whole
    y = labels_of(path, nw.from_native(whole, eager_only=True)[labels[0]]) if labelled and labels else None
    return Found(_matrix(table, repr(str(path))) if flat else table, y=y)


def read_labelled(path: Path, label: str | None, *, sequences: bool, flat: bool) -> Found:
    """Rows to fit on with their labels, if any: the column `label` of a table, or what the file has of them.

    label : "none" leaves the labels of a file alone, "folder" takes those of pictures from their folders' names.
    sequences, flat : as in `read_rows`.
    """
    name = None if label is None or label.lower() == "none" else label
    if name is not None and not (name == FOLDER and path.is_dir()):
        refuse_label(path, name, optional=True)
    if label is None and path.is_dir() and folders_only(path):
        raise ValueError(
            f"The folder {str(path)!r} has no pictures of its own, but folders. Say --label {FOLDER} to take their"
            " names as labels of the pictures in them."
        )
    labels = [] if name is None else [name]
    labelled = label is None or name is not None
    return read_rows(path, labels, sequences=sequences, flat=flat, labelled=labelled)


def read_rows_for(model: Any, path: Path, labels: Sequence[str], *, labelled: bool = False) -> Found:
    """Rows for a fitted model; those of `labels` that the table has are left out, or read as y if `labelled`."""
    if "form_" not in vars(model):
        return _rows_without_form(model, path, labels)
    kind, layout = model.form_["kind"], model.form_["layout"]
    if _pictured(path):
        if kind != "images":
            raise ValueError(
                f"{str(path)!r} holds pictures. The {type(model).__name__} was fitted on {kind_of(model)}."
            )
        by_folder = FOLDER in labels and path.is_dir() and folders_only(path)
        found = _read_pictures(path, by_folder, int(layout["shape"][0]))
        white = layout["kind"] in ("unit", "binary") and layout["scale"].max() == 1
        return replace(found, X=(found.X / 255).astype(np.float32)) if white else found
    if path.name.lower().endswith(TABLES):
        known = column_names(path)
        labels = [label for label in labels if label in known]
    form = {"sequences": kind == "sequences", "flat": kind == "images"}
    found = read_rows(path, labels, **form, labelled=labelled)
    if kind == "table":
        _refuse_other_columns(model, path, found.X)
    return found


def _refuse_other_columns(model: Any, path: Path, X: Any) -> None:
    """Refuse a table whose columns are not those of the fit, in one sentence; identifiers may be there or not."""
    known = [str(name) for name in getattr(model, "feature_names_in_", ())]
    left_out = model.form_.get("left_out", ())
    where, fitted = repr(str(path)), f"the {type(model).__name__} was fitted with {_few(known)}"
    if isinstance(X, np.ndarray):
        if known and not left_out and X.ndim == 2 and X.shape[1] != len(known):
            raise ValueError(
                f"{where} has rows of {X.shape[1]} numbers: {fitted}. Give a number for each of these."
            )
        return
    names = [name for name in nw.from_native(X, eager_only=True).columns if name not in left_out]
    if not known or names == known:
        return
    lacking = [name for name in known if name not in names]
    others = [name for name in names if name not in known]
    if lacking:
        raise ValueError(f"{where} lacks {_few(lacking)}: {fitted}. Give a table with these.")
    if others:
        raise ValueError(
            f"{where} also has {_few(others)}: {fitted} alone. Leave out what is not among them."
        )
    raise ValueError(f"{where} has its columns in another order: {fitted}. Put them in this order.")


def _few(names: Sequence[str], most: int = 5) -> str:
    """Names of columns, up to `most`, and how many others there are."""
    shown = ", ".join(map(repr, names[:most]))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"column{'' if len(names) == 1 else 's'} {shown}{more}"


def _rows_without_form(model: Any, path: Path, labels: Sequence[str]) -> Found:
    """Rows for a fitted model that reads one kind of file only, that of its command."""
    if model.command.data == "series":
        return Found(read_table(path))
    found = read_known_sequences(path, labels[0] if labels else None)
    return Found(found.rows.arrays(), y=found.y)


def read_known_sequences(path: Path, label: str | None) -> LabelledSequences:
    """Sequences for a fitted model; a table of them may lack the column of labels."""
    if label is not None and path.name.lower().endswith(TABLES):
        label = label if label in column_names(path) else None
    return read_sequences(path, label=label)


def refuse_label(path: Path, label: str, *, optional: bool = False) -> None:
    """Refuse --label for a file without columns; `optional`: the estimator may take labels from elsewhere."""
    if path.name.lower().endswith(TABLES) or not path.exists():
        return
    has, advice = "has no columns", "Leave --label out"
    if optional and (path.is_dir() or path.name.lower().endswith(PICTURES)):
        has = "holds pictures"
        advice += f", or put those of each label in a folder of its own and give --label {FOLDER}"
    elif optional and path.name.lower().endswith(".npy"):
        advice += ", or save X and labels y as a .npz file"
    elif optional:
        has, advice = f"{has}: its own labels are read", f"{advice}, or give --label none for none"
    raise ValueError(f"--label {label} is for a column of a table. {str(path)!r} {has}. {advice}.")


def kind_of(model: Any) -> str:
    """The kind of data a model was fitted on."""
    return {"table": "a table", "images": "images", "sequences": "sequences"}[model.form_["kind"]]


def check_output(model: Any, output: Path | None) -> None:
    """Refuse, before any work, an output in which rows of `model` cannot be written."""
    images = model.form_["kind"] == "images"
    if output is None:
        if images:
            raise ValueError(
                "Give --output for the images: a .png file for all in a grid, a folder for a picture each,"
                " or a .npy, .npz, .csv or .parquet file of numbers."
            )
        return
    name = output.name.lower()
    if name.endswith(".png") or not output.suffix or output.is_dir():
        if not images:
            raise ValueError(
                f"{str(output)!r} is for pictures. The {type(model).__name__} was fitted on {kind_of(model)}: give a"
                " .csv, .parquet, .npy or .npz file."
            )
    elif not name.endswith((*TABLES, *ARRAYS)):
        raise ValueError(
            f"{str(output)!r} does not end in .csv, .csv.gz, .parquet, .npy or .npz"
            + (", or .png for a grid of pictures." if images else ".")
        )


def give_rows(
    model: Any,
    rows: Any,
    output: Path | None,
    names: Sequence[str] | None = None,
    labels: tuple[str, NDArray[Any]] | None = None,
    columns: int | None = None,
    *,
    escape_formulas: bool,
) -> str:
    """Write rows that `model` returned, and report where; without `output`, return them as text.

    names : of files for their pictures. labels : their column, and the label (n,) of each. columns : of a grid of
    pictures; None is about a square.
    """
    if output is None:
        return text_table(columns_of(_labelled(_table(model, rows), labels)))
    name = output.name.lower()
    if name.endswith(".png"):
        write_grid(output, _pictures(model, rows), columns)
    elif name.endswith(TABLES):
        write_table(output, _labelled(_table(model, rows), labels), escape_formulas=escape_formulas)
    elif name.endswith(ARRAYS):
        write_array(output, _block(rows, output), labels=None if labels is None else labels[1])
    else:
        write_images(output, _pictures(model, rows), names)
    lost = labels is not None and name.endswith(".npy") and len(np.unique(labels[1])) > 1
    return f"Written to {output}." + (
        " Its labels are not: a .npz or .csv file has room for them." if lost else ""
    )


def one_after_another(parts: Sequence[Any]) -> Any:
    """Rows that a model returned in several parts, as one: arrays, lists of sequences, or tables."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    if isinstance(parts[0], list):
        return [row for part in parts for row in part]
    return nw.concat([nw.from_native(part, eager_only=True) for part in parts]).to_native()


def _pictured(path: Path) -> bool:
    if not path.exists() and not path.suffix:
        raise not_found_error(path, "file or folder")
    return path.is_dir() or path.name.lower().endswith(PICTURES)


def _read_pictures(path: Path, by_folder: bool, channels: int | None = None) -> Found:
    """Pictures, and where labels are the names of their folders, those."""
    if not by_folder:
        return Found(*read_images(path, channels))
    images, names, labels = read_labelled_images(path, channels)
    return Found(images, names, np.array(labels))


def _read_arrays(path: Path, labelled: bool) -> Found:
    """Rows from a file of arrays, and from an archive their labels, if it has some."""
    X, y = read_array(path), read_labels(path) if labelled else None
    if not X.ndim:
        raise ValueError(f"{str(path)!r} holds one number and no rows. Give an array of shape (n, ...).")
    if y is not None and y.shape != X.shape[:1]:
        raise ValueError(
            f"y in {str(path)!r} has shape {y.shape}; X has {len(X)} rows. Give every row one label."
        )
    return Found(X, y=y)


def _refuse_ending(path: Path) -> None:
    if not path.exists():
        raise not_found_error(path)
    raise ValueError(
        f"{str(path)!r} is nothing that regen reads: a folder of .png and .jpg pictures, or a file that ends in"
        f" {', '.join(ENDINGS)}."
    )


def _matrix(table: Any, where: str, advice: str = LEAVE_OUT) -> NDArray[Any]:
    """(n, columns) numbers of a table that has no others."""
    frame = nw.from_native(table, eager_only=True)
    for name in frame.columns:
        if not (frame[name].dtype.is_numeric() or isinstance(frame[name].dtype, nw.Boolean | nw.Unknown)):
            raise ValueError(f"Column {name!r} of {where} holds no numbers. {advice}")
    # Empty cells are NaN, so that whole numbers stay such only where none is empty.
    columns = [frame[name] for name in frame.columns]
    gaps = any(column.null_count() for column in columns)
    return np.stack(
        [np.asarray((column.cast(nw.Float64) if gaps else column).to_numpy()) for column in columns], axis=1
    )


def _table(model: Any, rows: Any) -> Any:
    """Rows as a table: images flat, sequences with a row for every step."""
    kind = model.form_["kind"]
    if kind == "images":
        flat = rows.reshape(len(rows), -1)
        return {f"pixel{k}": flat[:, k] for k in range(flat.shape[1])}
    if kind == "sequences" and not (isinstance(rows, np.ndarray) and rows.ndim == 2):
        steps = np.concatenate([np.asarray(row) for row in rows])
        lengths = [len(row) for row in rows]
        places = {
            "sequence": np.repeat(np.arange(len(lengths)), lengths),
            "step": np.concatenate([np.arange(length) for length in lengths]),
        }
        return places | {f"x{k}": steps[:, k] for k in range(steps.shape[1])}
    if isinstance(rows, np.ndarray):
        names = [str(name) for name in getattr(model, "feature_names_in_", ())]
        names = names or [f"x{k}" for k in range(rows.shape[1])]
        return {name: rows[:, k] for k, name in enumerate(names)}
    return rows


def _labelled(table: Any, labels: tuple[str, NDArray[Any]] | None) -> Any:
    """A table of `_table` with a column of labels at its left; one for every step, where a row is a step."""
    if labels is None:
        return table
    name, values = labels
    columns = dict(table) if isinstance(table, Mapping) else columns_of(table)
    place = columns.get("sequence") if isinstance(table, Mapping) else None
    return {name: values if place is None else values[place]} | columns


def _block(rows: Any, output: Path) -> NDArray[Any]:
    """Rows as one array of numbers."""
    if isinstance(rows, list):
        lengths = {len(row) for row in rows}
        if len(lengths) > 1:
            raise ValueError(
                f"The sequences have from {min(lengths)} to {max(lengths)} steps, which are no array. Give a .csv or"
                f" .parquet file in place of {str(output)!r}."
            )
        return np.stack(rows)
    return (
        rows if isinstance(rows, np.ndarray) else _matrix(rows, "the rows", "Give a .csv or .parquet file.")
    )


def _pictures(model: Any, rows: NDArray[Any]) -> NDArray[Any]:
    """(n, C, Y, X)."""
    return rows.reshape(len(rows), *(int(size) for size in model.form_["layout"]["shape"]))


def read_codes(model: Any, path: Path) -> NDArray[Any]:
    """Codes (n, Z) from a file: the columns of a table that `transform` names, or all of them, or an array."""
    if path.name.lower().endswith(ARRAYS):
        return read_array(path, "Z")
    table = read_table(path)
    names = [str(name) for name in model.get_feature_names_out()]
    own = set(names) <= set(table.column_names)
    return _matrix(table.select(names) if own else table, repr(str(path)))
