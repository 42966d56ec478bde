"""The data that a model is inspected with, and where they come from."""

from dataclasses import dataclass, replace
from typing import Any, final

import narwhals as nw
import numpy as np

__all__ = ["InspectionData", "last", "select_rows"]


@final
@dataclass(frozen=True, eq=False)
class InspectionData:
    """Data to inspect a model with.

    Parameters
    ----------
    X : array-like, dataframe or list of arrays
        Data as in the model's `fit`: a series, rows (n, F), images or sequences.
    y : array-like of shape (n,), default=None
        Labels or targets, where there are some.
    source : str, default=""
        Where the data come from, as text for the report.
    own : bool, default=True
        Whether they are the data that the model was fitted on.
    time : str, default=None
        Name of the column with the dates of a series.
    note : str, default=""
        How far the model was fitted to these data, as text, where `own` alone is not exact.
    """

    X: Any
    y: Any = None
    source: str = ""
    own: bool = True
    time: str | None = None
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse what has no rows, and labels of other rows."""
        if isinstance(self.X, np.ndarray | np.generic) and not self.X.ndim:
            raise ValueError(f"X must have rows. Got one {type(self.X).__name__} instead.")
        if self.y is not None and np.shape(self.y)[:1] != (len(self.X),):
            raise ValueError(
                f"y has shape {np.shape(self.y)}; X has {len(self.X)} rows. Give one for every row."
            )

    def subset(self, n: int) -> "InspectionData":
        """Select at most n rows, evenly spaced, with their labels; not for series.

        Parameters
        ----------
        n : int
            Rows to select.

        Returns
        -------
        data : InspectionData
            The same object when it has no more than n rows.
        """
        total = len(self.X)
        if total <= n:
            return self
        index = np.linspace(0, total - 1, n).round().astype(np.int64)
        y = None if self.y is None else np.asarray(self.y)[index]
        return replace(self, X=select_rows(self.X, index), y=y)


def select_rows(X: Any, index: Any) -> Any:
    """Rows number `index` (m,) of X (n, ...): an array, a list or any dataframe."""
    if isinstance(X, list):
        return [X[row] for row in index]
    if isinstance(X, np.ndarray):
        return X[index]
    return nw.from_native(X, eager_only=True)[index.tolist()].to_native()


def last(y: Any, n: int) -> Any:
    """The last n steps of a series y (N,) or (N, C)."""
    if len(y) <= n:
        return y
    if isinstance(y, np.ndarray | list):
        return y[-n:]
    return nw.from_native(y, eager_only=True, allow_series=True).tail(n).to_native()
