"""What the sequence estimators are given, read: sequences of one length or of many, of one feature or of many.

Letters: `n` sequences, `T` steps, `F` features, `N` steps of all sequences together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, validate_data

__all__ = ["Sequences", "read_known_sequences", "read_sequences"]

Values = NDArray[np.float64]
Lengths = NDArray[np.int64]


@final
@dataclass(frozen=True, eq=False)
class Sequences:
    """Sequences, one after the other in one block of memory.

    values : (N, F) float64; NaN where nothing was observed.
    lengths : (n,) int64, at least 1 each.
    table : whether they came as an (n, T) table, whose columns scikit-learn calls the features.
    """

    values: Values
    lengths: Lengths
    table: bool = False

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def starts(self) -> Lengths:
        """(n,) place of the first step of each sequence in `values`."""
        return np.cumsum(self.lengths) - self.lengths

    @property
    def observed(self) -> NDArray[np.bool_]:
        """(N, F) True where there is a number."""
        return ~np.isnan(self.values)

    def steps_of(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(N,) True at the steps of the sequences number `rows`."""
        chosen = np.zeros(len(self), dtype=bool)
        chosen[rows] = True
        return np.repeat(chosen, self.lengths)

    def filled(self) -> Values:
        """(N, F) without NaN: each gap holds the last number before it in its sequence.

        A gap at the start of a sequence holds the first number after it; a feature without any number in the
        sequence stays NaN, for only the scale knows what is usual there.
        """
        observed = self.observed
        if observed.all():
            return self.values
        places = np.arange(len(self.values))[:, None]
        first = np.repeat(self.starts, self.lengths)[:, None]
        end = first + np.repeat(self.lengths, self.lengths)[:, None]
        before = np.maximum.accumulate(np.where(observed, places, -1), axis=0)
        after = np.minimum.accumulate(np.where(observed, places, len(places))[::-1], axis=0)[::-1]
        source = np.where(before >= first, before, np.where(after < end, after, places))
        return np.take_along_axis(self.values, source, axis=0)


def read_sequences(owner: BaseEstimator, X: Any) -> Sequences:
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
    if not sequences.table:
        owner.n_features_in_ = sequences.values.shape[1]
        vars(owner).pop("feature_names_in_", None)
    return sequences


def read_known_sequences(owner: BaseEstimator, X: Any, features: int, steps: int | None) -> Sequences:
    """Read sequences for a fitted `owner`.

    Parameters
    ----------
    X : as in `read_sequences`: (n, T, F) array, (n, T) array or dataframe, or a list.
    features : F at fit.
    steps : T at fit when that was on a table, which then must have as many columns again; else None.
    """
    sequences = _read(owner, X, reset=False, table=steps is not None)
    given = sequences.values.shape[1]
    if given != features:
        raise ValueError(
            f"X has {given} features, but {type(owner).__name__} is expecting {features} features as input."
        )
    return sequences


def _read(owner: BaseEstimator, X: Any, *, reset: bool, table: bool = True) -> Sequences:
    if _is_list_of_sequences(X):
        return _finite(_from_list(X))
    X = X if getattr(X, "shape", None) else np.asarray(X)
    if len(X.shape) == 2:
        # scikit-learn's own words about columns: at fit, and for a table when fit was on a table.
        if reset or table:
            block = validate_data(owner, X, reset=reset, dtype=np.float64, ensure_all_finite=False)
        else:
            block = check_array(X, dtype=np.float64, ensure_all_finite=False, estimator=owner)
        return _finite(_from_block(block[:, :, None], table=True))
    block = check_array(X, dtype=np.float64, allow_nd=True, ensure_all_finite=False, estimator=owner)
    return _finite(_from_block(block, table=False))


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


def _from_block(block: Values, *, table: bool) -> Sequences:
    if block.ndim != 3:
        raise ValueError(
            f"X must be of shape (n, T, F) or (n, T), or a list of sequences. Got shape {block.shape} instead."
        )
    n, steps, features = block.shape
    if not steps or not features:
        raise ValueError(f"X of shape {block.shape} has no steps or no features. Give at least one of each.")
    return Sequences(block.reshape(n * steps, features), np.full(n, steps, dtype=np.int64), table)


def _from_list(X: Sequence[Any]) -> Sequences:
    rows = [_one(k, x) for k, x in enumerate(X)]
    features = rows[0].shape[1]
    for k, row in enumerate(rows):
        if row.shape[1] != features:
            raise ValueError(
                f"Sequence {k} of X has {row.shape[1]} features; those before it have {features}."
                " All must have the same features."
            )
    return Sequences(np.concatenate(rows), np.array([len(row) for row in rows], dtype=np.int64))


def _one(k: int, x: Any) -> Values:
    """Sequence number k as (T, F)."""
    try:
        row = np.asarray(x)
        row = row if row.dtype.kind == "c" else row.astype(np.float64)
    except (ValueError, TypeError):
        raise ValueError(f"Sequence {k} of X holds something that is no number.") from None
    if row.dtype.kind == "c":
        raise ValueError(f"Sequence {k} of X is complex. Complex data not supported.")
    if row.ndim not in (1, 2):
        raise ValueError(f"Sequence {k} of X must be of shape (T,) or (T, F). Got shape {row.shape} instead.")
    if not row.size:
        raise ValueError(f"Sequence {k} of X is empty. Remove it or give it at least one step.")
    return row[:, None] if row.ndim == 1 else row


def _finite(sequences: Sequences) -> Sequences:
    """The same sequences; refused if a value is infinite."""
    infinite = np.isinf(sequences.values)
    if infinite.any():
        place = int(np.argmax(infinite.any(axis=1)))
        row = int(np.searchsorted(sequences.starts, place, side="right")) - 1
        step = place - int(sequences.starts[row])
        raise ValueError(
            f"X has an infinite value in sequence {row} at step {step}."
            " Replace it by a number, or by NaN if it is missing."
        )
    return sequences
