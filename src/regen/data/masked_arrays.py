"""NumPy's masked arrays: masked values are missing, whatever number lies under the mask."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["unmasked"]


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
