"""A summary of data, column by column."""

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from regen.report.data import InspectionData
from regen.report.page import Table

__all__ = ["card", "cell_text"]

MOST = 30
"""Columns, and labels, that are listed at most."""
HEAD = ("column", "values", "missing", "lowest", "mean", "highest")


def card(data: InspectionData, kind: str = "") -> tuple[Table, str]:
    """A table of the columns of the data, and a sentence about all of them. kind : "images", or another."""
    X = data.X
    labels = _labels(data.y)
    if isinstance(X, list):
        steps = np.concatenate([np.asarray(x, dtype=np.float64).reshape(len(x), -1) for x in X])
        lengths = [len(x) for x in X]
        size = f"{min(lengths)} to {max(lengths)} steps and {steps.shape[1]} features"
        words = f"{len(X)} sequences of {size}. {labels}"
        return _table([(f"x{k}", steps[:, k]) for k in range(steps.shape[1])]), words
    if isinstance(X, np.ndarray):
        return _of_images(X, labels) if kind == "images" else _of_array(X, labels)
    frame = nw.from_native(X, eager_only=True, allow_series=True)
    table = frame.to_frame() if isinstance(frame, nw.Series) else frame
    columns = [(name, table[name].to_numpy()) for name in table.columns]
    return _table(
        columns
    ), f"{len(table)} rows of {len(columns)} column{'' if len(columns) == 1 else 's'}. {labels}"


def _of_array(X: NDArray[Any], labels: str) -> tuple[Table, str]:
    n, *rest = X.shape
    if not rest:
        return _table([("value", X)]), f"{n} steps. {labels}"
    if len(rest) == 1:
        return _table(
            [(f"x{k}", X[:, k]) for k in range(rest[0])]
        ), f"{n} rows of {rest[0]} numbers. {labels}"
    flat = X.reshape(n * rest[0], -1)
    words = f"{n} sequences of {rest[0]} steps and {flat.shape[1]} features. {labels}"
    return _table([(f"x{k}", flat[:, k]) for k in range(flat.shape[1])]), words


def _of_images(X: NDArray[Any], labels: str) -> tuple[Table, str]:
    size = " x ".join(map(str, X.shape[1:]))
    return _table([("all pixels", X.ravel())]), f"{len(X)} images of {size} numbers ({X.dtype}). {labels}"


def cell_text(value: Any) -> str:
    """A number, a date or a text, as a cell of a table."""
    if isinstance(value, float | np.floating):
        return f"{float(value):.4g}"
    if isinstance(value, np.datetime64):
        return str(value.astype("datetime64[s]")).removesuffix("T00:00:00").replace("T", " ")
    return str(value)


def _labels(y: Any) -> str:
    """The count of each label, or the range of the targets."""
    if y is None:
        return ""
    values = np.asarray(y)
    if values.dtype.kind == "f" and len(np.unique(values)) > MOST:
        return f"The targets range from {np.nanmin(values):.4g} to {np.nanmax(values):.4g}."
    names, counts = np.unique(values, return_counts=True)
    shown = ", ".join(f"{name} ({count})" for name, count in list(zip(names, counts, strict=True))[:MOST])
    return f"Labels: {shown}{', ...' if len(names) > MOST else ''}."


def _table(columns: Sequence[tuple[str, Any]]) -> Table:
    rows = [_row(name, values) for name, values in columns[:MOST]]
    left = len(columns) - MOST
    return Table(HEAD, rows, f"{left} more columns are not listed." if left > 0 else "")


def _row(name: str, values: NDArray[Any]) -> list[str]:
    """Counts and range of a column of numbers or dates; of text, the most frequent values."""
    if values.dtype.kind in "biuf":
        numbers = values.astype(np.float64)
        finite = numbers[np.isfinite(numbers)]
        ends = (
            [f"{each:.4g}" for each in (finite.min(), finite.mean(), finite.max())]
            if len(finite)
            else ["", "", ""]
        )
        return [name, str(len(values)), str(len(values) - len(finite)), *ends]
    if values.dtype.kind == "M":
        there = values[~np.isnat(values)]
        ends = [cell_text(each) for each in (there.min(), there.max())]
        return [name, str(len(values)), str(len(values) - len(there)), ends[0], "", ends[1]]
    texts = [str(each) for each in values.tolist() if each is not None and each == each]
    names, counts = np.unique(texts, return_counts=True)
    common = ", ".join(names[np.argsort(-counts, kind="stable")][:3])
    return [name, str(len(values)), str(len(values) - len(texts)), f"{len(names)} texts", "", common]
