"""An array with named axes and labelled places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from regen.data.dataframes import frame

__all__ = ["Labelled"]


@final
@dataclass(frozen=True, eq=False)
class Labelled:
    """An array with named axes.

    Attributes
    ----------
    values : ndarray
        The numbers; ``np.asarray`` returns them, too.
    axes : tuple of str
        A name for each axis.
    labels : mapping of str to sequence
        For each axis, a label for each of its places.
    """

    values: NDArray[Any]
    axes: tuple[str, ...]
    labels: Mapping[str, Sequence[Any]]

    def __post_init__(self) -> None:
        sizes = tuple(len(self.labels[axis]) for axis in self.axes)
        assert self.values.shape == sizes, (self.values.shape, sizes)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.values, dtype=dtype, copy=copy)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many places each axis has."""
        return self.values.shape

    def at(self, **places: Any) -> "Labelled":
        """Select by labels: ``found.at(layer=0, unit=7)``.

        Parameters
        ----------
        **places : label
            The label on each axis to select.

        Returns
        -------
        selected : Labelled
            The values there, without these axes.

        Raises
        ------
        ValueError
            When there is no such axis, or no such label on it.
        """
        values = self.values
        for axis, label in places.items():
            if axis not in self.axes:
                raise ValueError(f"There is no axis {axis!r}. The axes are {', '.join(self.axes)}.")
            known = list(self.labels[axis])
            if label not in known:
                ends = f"{known[0]!r} to {known[-1]!r}" if known else "none"
                raise ValueError(f"There is no {axis} {label!r}. They go from {ends}.")
            values = np.take(values, [known.index(label)], self.axes.index(axis))
        left = tuple(axis for axis in self.axes if axis not in places)
        dropped = tuple(self.axes.index(axis) for axis in places)
        return Labelled(values.squeeze(dropped), left, {axis: self.labels[axis] for axis in left})

    def frame(self, name: str = "value") -> Any:
        """Tabulate the numbers.

        Parameters
        ----------
        name : str, default="value"
            Name of the column of numbers.

        Returns
        -------
        table : DataFrame
            One row for each number: its labels, a column for each axis, and the number.
        """
        grid = np.indices(self.shape).reshape(len(self.axes), -1)
        columns = {axis: np.asarray(self.labels[axis])[at] for axis, at in zip(self.axes, grid, strict=True)}
        return frame(columns | {name: self.values.ravel()})

    def __repr__(self) -> str:
        axes = ", ".join(f"{axis}: {size}" for axis, size in zip(self.axes, self.shape, strict=True))
        return f"Labelled({axes})"
