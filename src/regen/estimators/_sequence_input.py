"""Input of the sequence estimators: sequences of one length or of many, of one feature or of many.

Letters: `n` sequences, `T` steps, `F` features, `N` steps of all sequences together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import narwhals as nw
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, validate_data

from regen._check import closest
from regen.data.dataframes import column_labels, open_dataframe
from regen.data.magnitude import refuse_unusable
from regen.data.masked_arrays import unmasked
from regen.data.plain import numbers_of, plain, shape_of
from regen.data.ragged import Ragged

__all__ = ["SequenceInput", "read_known_sequences", "read_sequences"]

Values = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class SequenceInput:
    """Sequences, and what they came in: "table" (n, T), "block" (n, T, F), or "list" of (T_k, F).

    names : names of the F features, from dataframes in a list that have some.
    """

    rows: Ragged
    kind: str
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)


def read_sequences(owner: BaseEstimator, X: Any) -> SequenceInput:
    """Read the sequences that `owner` is fitted on, and set its ``n_features_in_``.

    Parameters
    ----------
    X : (n, T, F) array, (n, T) array or dataframe, or a list of (T_k, F) or (T_k,) arrays.

    Raises
    ------
    ValueError
        When X is none of these, is empty, or has a value that is infinite, beyond float32, or no number.
    """
    sequences = _read(owner, X, reset=True)
    if sequences.kind != "table":
        named = next((x for x in X if open_dataframe(x) is not None), None) if sequences.names else None
        steps = sequences.rows.steps.numpy() if named is None else named
        validate_data(owner, steps, reset=True, skip_check_array=True)
    return sequences


def read_known_sequences(owner: BaseEstimator, X: Any, features: int, steps: int | None) -> SequenceInput:
    """Read sequences for a fitted `owner`.

    Parameters
    ----------
    X : as in `read_sequences`: (n, T, F) array, (n, T) array or dataframe, or a list.
    features : F at fit.
    steps : T at fit when that was on a table, which then must have as many columns again; else None.
    """
    sequences = _read(owner, X, reset=False, table=steps is not None)
    found = sequences.rows.values.shape[-1]
    if found != features:
        raise ValueError(
            f"X has {found} features, but {type(owner).__name__} is expecting {features} features as input."
        )
    return sequences


def _read(owner: BaseEstimator, X: Any, *, reset: bool, table: bool = True) -> SequenceInput:
    X = plain(X)
    if _is_list_of_sequences(X):
        known = () if reset or table else tuple(getattr(owner, "feature_names_in_", ()))
        rows, names = _from_list(X, known)
        return SequenceInput(_finite(rows), "block" if rows.lengths is None else "list", names)
    values = _numbers(X)
    if values.ndim < 2:
        raise ValueError(
            "X must be of shape (n, T, F) or (n, T), or a list of sequences. Got shape"
            f" {values.shape} instead. Reshape your data."
        )
    block = check_array(values, allow_nd=True, ensure_all_finite=False, estimator=owner)
    if block.ndim == 2:
        # scikit-learn's own words about columns: at fit, and for a table when fit was on a table.
        if reset or table:
            validate_data(
                owner, block if isinstance(X, list | tuple) else X, reset=reset, skip_check_array=True
            )
        return SequenceInput(_finite(_from_block(block[:, :, None])), "table")
    return SequenceInput(_finite(_from_block(block)), "block")


def _numbers(X: Any) -> Values:
    """A dataframe (n, T), or an array or list (n, T) or (n, T, F), as float64."""
    table = open_dataframe(X)
    if isinstance(table, nw.DataFrame):
        columns = [_column(f"Column {column.name!r} of X", column) for column in table.iter_columns()]
        return np.stack(columns, axis=1) if columns else np.empty((len(table), 0))
    shape_of(X)  # refuses rows of different lengths
    return numbers_of(np.asarray(unmasked(X)), lambda *place: f"Sequence {place[0]} of X" if place else "X")


def _column(subject: str, column: nw.Series[Any]) -> Values:
    """A column of a dataframe as float64, NaN where it has no value."""
    if column.dtype.is_numeric() or isinstance(column.dtype, nw.Boolean):
        return np.asarray(column.cast(nw.Float64).to_numpy(), dtype=np.float64)
    if column.dtype.is_temporal():
        raise ValueError(f"{subject} holds dates or times. Make numbers of them, or leave the column out.")
    values = np.fromiter(column.to_list(), dtype=object, count=len(column))
    return numbers_of(values, lambda row: f"{subject}, row {row},")


def _is_list_of_sequences(X: Any) -> bool:
    """Whether X is a list, or an array of objects, of sequences rather than one block.

    Lists of plain lists that are all of one length are a block, as everywhere in scikit-learn.
    """
    if isinstance(X, np.ndarray):
        return X.dtype == object and X.ndim == 1 and len(X) > 0 and all(_is_sequence(x) for x in X)
    if not isinstance(X, list | tuple) or not X or not all(_is_sequence(x) for x in X):
        return False
    plain = all(isinstance(x, list | tuple) for x in X)
    return not plain or len({len(x) for x in X}) > 1


def _is_sequence(x: Any) -> bool:
    return isinstance(x, list | tuple) or bool(getattr(x, "shape", ()))


def _from_block(block: Values) -> Ragged:
    if block.ndim != 3:
        raise ValueError(
            f"X must be of shape (n, T, F) or (n, T), or a list of sequences. Got shape {block.shape} instead."
        )
    _, steps, features = block.shape
    if not steps or not features:
        raise ValueError(f"X of shape {block.shape} has no steps or no features. Give at least one of each.")
    return Ragged.from_block(block)


def _from_list(X: Sequence[Any], known: tuple[str, ...]) -> tuple[Ragged, tuple[str, ...]]:
    """Sequences in a list, and the names of their features: those `known`, else of the first dataframe with names.

    The columns of dataframes are taken by name; those of arrays, and of dataframes whose columns are mere numbers, in
    order.
    """
    names, rows = known, []
    for k, x in enumerate(X):
        table = open_dataframe(x, f"Sequence {k} of X")
        if isinstance(table, nw.DataFrame):
            own = _own_names(table)
            names = names or own
            x = _columns(k, table, names if own else ())
        rows.append(_one(k, x))
    features = rows[0].shape[1]
    for k, row in enumerate(rows):
        if row.shape[1] != features:
            raise ValueError(
                f"Sequence {k} of X has {row.shape[1]} features; those before it have {features}."
                " All must have the same features."
            )
    return Ragged.from_list(rows), names


def _own_names(table: nw.DataFrame[Any]) -> tuple[str, ...]:
    """The names of the columns of a dataframe, none where they are mere numbers."""
    labels = column_labels(table)
    return tuple(map(str, labels)) if any(isinstance(label, str) for label in labels) else ()


def _columns(k: int, table: nw.DataFrame[Any], names: tuple[str, ...]) -> Any:
    """The columns (T, F) of dataframe number k as an array, in the order of `names` if there are some."""
    own = [str(label) for label in column_labels(table)]
    if names and set(own) != set(names):
        missing = [name for name in names if name not in own]
        strange = [name for name in own if name not in names]
        what = f"no column {missing[0]!r}" if missing else f"a column {strange[0]!r}"
        hint = closest(missing[0], own) if missing else closest(strange[0], names)
        raise ValueError(f"Sequence {k} of X has {what}.{hint} Its columns must be: {', '.join(names)}.")
    columns = dict(zip(own, table.iter_columns(), strict=True))
    values = [_column(f"Sequence {k} of X, column {name!r}", columns[name]) for name in names or own]
    return np.stack(values, axis=1) if values else np.empty((0, 0))


def _one(k: int, x: Any) -> Values:
    """Sequence number k as (T, F)."""
    shape_of(x, f"sequence {k} of X")
    row = numbers_of(np.asarray(unmasked(x)), lambda *_: f"Sequence {k} of X")
    if row.ndim not in (1, 2):
        raise ValueError(f"Sequence {k} of X must be of shape (T,) or (T, F). Got shape {row.shape} instead.")
    if not row.size:
        raise ValueError(f"Sequence {k} of X is empty. Remove it or give it at least one step.")
    return row[:, None] if row.ndim == 1 else row


def _finite(rows: Ragged) -> Ragged:
    """The same sequences; refused if a value is infinite or beyond float32."""
    refuse_unusable(rows.steps.numpy(), rows.place)
    return rows
