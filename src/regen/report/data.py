"""The data that a model is looked at with, and where they come from."""

from dataclasses import dataclass, replace
from typing import Any, final

import narwhals as nw
import numpy as np

__all__ = ["Given", "evenly", "last"]


@final
@dataclass(frozen=True, eq=False)
class Given:
    """Data for a model.

    X : as its `fit` takes them: a series, rows (n, F), images or sequences. y : (n,) labels or targets, where there
    are some. source : where they come from, in words. own : whether they are what the model was fitted on. time : the
    column of dates of a series, where it was named. seen : what the model knew of what it is held against, in words,
    where that is known better than by `own`.
    """

    X: Any
    y: Any = None
    source: str = ""
    own: bool = True
    time: str | None = None
    seen: str = ""

    def some(self, most: int) -> "Given":
        """At most so many rows, evenly over all of them, with their labels; not for series."""
        n = len(self.X)
        if n <= most:
            return self
        rows = np.linspace(0, n - 1, most).round().astype(np.int64)
        y = None if self.y is None else np.asarray(self.y)[rows]
        return replace(self, X=evenly(self.X, rows), y=y)


def evenly(X: Any, rows: Any) -> Any:
    """Rows number `rows` (m,) of X (n, ...): an array, a list or any dataframe."""
    if isinstance(X, list):
        return [X[row] for row in rows]
    if isinstance(X, np.ndarray):
        return X[rows]
    return nw.from_native(X, eager_only=True)[rows.tolist()].to_native()


def last(y: Any, n: int) -> Any:
    """The last n steps of a series y (N,) or (N, C)."""
    if len(y) <= n:
        return y
    if isinstance(y, np.ndarray | list):
        return y[-n:]
    return nw.from_native(y, eager_only=True, allow_series=True).tail(n).to_native()
