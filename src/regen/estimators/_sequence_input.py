"""Input of the sequence estimators: sequences of one length or of many, of one feature or of many.

Letters: `n` sequences, `T` steps, `F` features, `N` steps of all sequences together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, validate_data

from regen.data.masked_arrays import unmasked
from regen.data.ragged import Ragged

__all__ = ["SequenceInput", "read_known_sequences", "read_sequences"]

Values = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class SequenceInput:
    """Sequences, and what they came in: "table" (n, T), "block" (n, T, F), or "list" of (T_k, F)."""

    rows: Ragged
    kind: str

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
        When X is none of these, is empty, or has a value that is infinite or no number.
    """
    sequences = _read(owner, X, reset=True)
    if sequences.kind != "table":
        validate_data(owner, sequences.rows.steps.numpy(), reset=True, skip_check_array=True)
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
    if _is_list_of_sequences(X):
        rows = _from_list(X)
        return SequenceInput(_finite(rows), "block" if rows.lengths is None else "list")
    X = unmasked(X)
    X = X if getattr(X, "shape", None) else np.asarray(X)
    if len(X.shape) == 2:
        # scikit-learn's own words about columns: at fit, and for a table when fit was on a table.
        if reset or table:
            block = validate_data(owner, X, reset=reset, dtype=np.float64, ensure_all_finite=False)
        else:
            block = check_array(X, dtype=np.float64, ensure_all_finite=False, estimator=owner)
        return SequenceInput(_finite(_from_block(block[:, :, None])), "table")
    block = check_array(X, dtype=np.float64, allow_nd=True, ensure_all_finite=False, estimator=owner)
    return SequenceInput(_finite(_from_block(block)), "block")


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


def _from_list(X: Sequence[Any]) -> Ragged:
    rows = [_one(k, x) for k, x in enumerate(X)]
    features = rows[0].shape[1]
    for k, row in enumerate(rows):
        if row.shape[1] != features:
            raise ValueError(
                f"Sequence {k} of X has {row.shape[1]} features; those before it have {features}."
                " All must have the same features."
            )
    return Ragged.from_list(rows)


def _one(k: int, x: Any) -> Values:
    """Sequence number k as (T, F)."""
    try:
        row = np.asarray(unmasked(x))
        row = row if row.dtype.kind == "c" else row.astype(np.float64)
    except (ValueError, TypeError):
        raise ValueError(f"Sequence {k} of X holds a value that is not a number.") from None
    if row.dtype.kind == "c":
        raise ValueError(f"Sequence {k} of X is complex. Complex data not supported.")
    if row.ndim not in (1, 2):
        raise ValueError(f"Sequence {k} of X must be of shape (T,) or (T, F). Got shape {row.shape} instead.")
    if not row.size:
        raise ValueError(f"Sequence {k} of X is empty. Remove it or give it at least one step.")
    return row[:, None] if row.ndim == 1 else row


def _finite(rows: Ragged) -> Ragged:
    """The same sequences; refused if a value is infinite."""
    infinite = rows.steps.isinf().any(1)
    if bool(infinite.any()):
        place = int(infinite.long().argmax())
        row = int(torch.searchsorted(rows.starts, place, right=True)) - 1
        raise ValueError(
            f"X has an infinite value in sequence {row} at step {place - int(rows.starts[row])}."
            " Replace it by a number, or by NaN if it is missing."
        )
    return rows
