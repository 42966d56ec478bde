"""Views of codes: traversals, maps and neighbours.

Letters: `n` rows, `Z` units of the code.
"""

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from regen.data.dataframes import frame
from regen.inspection.display import DisplayRows
from regen.inspection.finding import Finding

__all__ = ["CodeMap", "LatentTraversal", "Neighbours"]

Floats = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False, repr=False)
class LatentTraversal(Finding):
    """Codes along a line, and the rows decoded from them.

    Attributes
    ----------
    codes : ndarray of shape (n, Z)
        The codes.
    positions : ndarray of shape (n,)
        Values of the unit, or shares of the way.
    unit : int or None
        The unit that varies; None between two rows.
    restored : array-like, dataframe or list
        n rows, as the kind of data of fit.
    decoded : DisplayRows
        The same, to be drawn.
    """

    codes: NDArray[np.float32]
    positions: Floats
    unit: int | None
    restored: Any
    decoded: DisplayRows

    def sentences(self) -> list[str]:
        """Summarise the finding in sentences, the most important first.

        Returns
        -------
        sentences : list of str
            The change from one end to the other.
        """
        ends = self.decoded.values[[0, -1]]
        apart = float(np.sqrt(np.nanmean((ends[1] - ends[0]) ** 2)))
        what = "Between the two rows" if self.unit is None else f"Along unit {self.unit}"
        words = (
            f"{what} the restored row changes by {apart:.3g} (root mean square), from one end to the other."
        )
        if self.decoded.kind != "table":
            return [words]
        most = np.argsort(-np.abs(ends[1] - ends[0]))[:3]
        moved = ", ".join(f"{self.decoded.names[k]} ({ends[1, k] - ends[0, k]:+.2f})" for k in most)
        return [words, f"Most moved: {moved}."]


@final
@dataclass(frozen=True, eq=False, repr=False)
class CodeMap(Finding):
    """Rows as points of a plane.

    Attributes
    ----------
    points : ndarray of shape (n, 2)
        A point for each row.
    by : str
        "code", "pca" or "umap".
    axes : tuple of str
        Names of the two axes.
    kept : float
        Share of the variance of the code that the plane shows; NaN for UMAP.
    decoded : DisplayRows or None
        Rows decoded from a grid of points, row by row from the top; None for UMAP.
    extent : tuple of float or None
        Left, right, bottom and top of the grid.
    """

    points: Floats
    by: str
    axes: tuple[str, str]
    kept: float
    decoded: DisplayRows | None = None
    extent: tuple[float, float, float, float] | None = None

    def take(self, index: NDArray[np.int64]) -> "CodeMap":
        """Select points.

        Parameters
        ----------
        index : ndarray of shape (m,)
            Numbers of the points.

        Returns
        -------
        selected : CodeMap
            The same map with these points only.
        """
        return replace(self, points=self.points[index])

    def sentences(self) -> list[str]:
        """Summarise the finding in sentences, the most important first.

        Returns
        -------
        sentences : list of str
            The share of the variance that the plane shows.
        """
        if self.by == "umap":
            return ["The plane is a nonlinear map by UMAP: it shows neighbours, but not distances."]
        how = "its own two units" if self.by == "code" else "its first two principal components"
        return [f"The plane shows {100 * self.kept:.0f} % of the variance of the code, by {how}."]


@final
@dataclass(frozen=True, eq=False, repr=False)
class Neighbours(Finding):
    """The rows with the nearest codes.

    Attributes
    ----------
    rows : ndarray of shape (m,)
        The requested rows.
    nearest : ndarray of shape (m, k)
        Their nearest other rows, the nearest first.
    distances : ndarray of shape (m, k)
        In the units of the code.
    data : DisplayRows
        All rows, to be drawn.
    """

    rows: NDArray[np.int64]
    nearest: NDArray[np.int64]
    distances: Floats
    data: DisplayRows

    def frame(self) -> Any:
        """Tabulate the neighbours.

        Returns
        -------
        table : DataFrame
            One row for each pair: row, rank, neighbour, distance.
        """
        m, k = self.nearest.shape
        return frame(
            {
                "row": np.repeat(self.rows, k),
                "rank": np.tile(np.arange(1, k + 1), m),
                "neighbour": self.nearest.ravel(),
                "distance": self.distances.ravel(),
            }
        )

    def sentences(self) -> list[str]:
        """Summarise the finding in sentences, the most important first.

        Returns
        -------
        sentences : list of str
            The nearest row of the first five.
        """
        return [
            f"Row {row} is nearest to row {near[0]}, at a distance of {far[0]:.3g}."
            for row, near, far in zip(self.rows[:5], self.nearest[:5], self.distances[:5], strict=True)
        ]
