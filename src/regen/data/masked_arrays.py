"""NumPy's masked arrays: masked values are missing, whatever number lies under the mask."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["refuse_missing_labels", "unmasked"]


def unmasked(X: Any) -> Any:
    """X (n, ...), a masked array, as a plain one: NaN for masked values, None in an array of objects.

    Numbers become float64 where they are no floats and a value is masked. Other things than masked arrays are
    returned as they are.
    """
    if not isinstance(X, np.ma.MaskedArray):
        return X
    data, hidden = np.ma.getdata(X), np.ma.getmaskarray(X)
    if not hidden.any():
        return data
    if data.dtype.kind in "biu":
        data = data.astype(np.float64)
    elif data.dtype.kind not in "fc":
        data = data.astype(object)
    plain = data.copy()
    plain[hidden] = np.nan if data.dtype.kind in "fc" else None
    return plain


def refuse_missing_labels(name: str, labels: Any) -> None:
    """Refuse labels or targets of which one is masked, None, NaN or NA: such a row cannot be learned from.

    name : of the argument. labels : (n,) or (n, K) of any type; None is none at all.
    """
    if labels is None:
        return
    if isinstance(labels, np.ma.MaskedArray):
        missing, what = np.ma.getmaskarray(labels), "is masked"
    else:
        array, what = np.asarray(labels), "has no value"
        if array.dtype.kind not in "fOmM":
            return
        missing = array != array if array.dtype.kind != "O" else np.frompyfunc(_is_missing, 1, 1)(array)
    rows = np.argwhere(np.atleast_1d(missing))
    if len(rows):
        row = int(rows[0][0])
        raise ValueError(f"{name} {what} in row {row}: give every row a label, or leave such rows out.")


def _is_missing(value: Any) -> bool:
    return (
        value is None
        or type(value).__name__ in ("NAType", "NaTType")
        or (isinstance(value, float) and value != value)
    )
