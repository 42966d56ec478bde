"""What a code holds: which of its units matter, what each stands for, and which rows lie near each other.

Letters: `n` rows, `Z` units of the code, `E` encoded numbers of a row, `T` steps.
"""

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from regen._check import Choice, Int, check_parameters
from regen._optional import require
from regen.data.dataframes import frame
from regen.estimators.autoencoders._base import AutoencodingEstimator
from regen.estimators.autoencoders.elbo import ELBO
from regen.estimators.autoencoders.objectives import Denoising
from regen.estimators.autoencoders.row_model import RowModel
from regen.inspection.display import DisplayRows, padded_cells, shown
from regen.inspection.finding import Finding
from regen.inspection.labelled import Labelled
from regen.inspection.latent.repair import Repair, repair
from regen.losses.elbo import active_units, gaussian_kl, posterior

__all__ = ["CodeMap", "Codes", "LatentTraversal", "Neighbours", "codes"]

Floats = NDArray[np.float64]

DECODED = 2**14
"""Rows decoded to see what the units are worth, at most."""
LISTENED = 0.01
"""A unit whose loss costs less than this share of an even part of the code's worth is not listened to."""
MAPS = Choice(("auto", "code", "pca", "umap"))


@final
@dataclass(frozen=True, eq=False)
class LatentTraversal(Finding):
    """Codes along a line, and what they stand for.

    codes : (n, Z). positions : (n,) along the line: values of the unit, or shares of the way. unit : the unit that
    changes; None between two rows. restored : n rows, as the kind of data that fit was given. decoded : the same, to
    be drawn.
    """

    codes: NDArray[np.float32]
    positions: Floats
    unit: int | None
    restored: Any
    decoded: DisplayRows

    def sentences(self) -> list[str]:
        """What changes most along the line."""
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
@dataclass(frozen=True, eq=False)
class CodeMap(Finding):
    """Rows as points of a plane.

    points : (n, 2). by : "code" its own two units, "pca" or "umap". axes : names of the two axes. kept : share of the
    variance of the code that the plane shows; NaN for UMAP, which bends. grid : (R, K, Z) codes evenly over the
    plane, R from the top down; None for UMAP. decoded : what stands there, to be drawn. extent : left, right, bottom
    and top of the grid.
    """

    points: Floats
    by: str
    axes: tuple[str, str]
    kept: float
    decoded: DisplayRows | None = None
    extent: tuple[float, float, float, float] | None = None

    def take(self, index: NDArray[np.int64]) -> "CodeMap":
        """The same map with the points number `index` only."""
        return replace(self, points=self.points[index])

    def sentences(self) -> list[str]:
        """How much of the code the plane shows."""
        if self.by == "umap":
            return ["The plane is bent by UMAP: who lies near whom can be read from it, distances cannot."]
        how = "its own two units" if self.by == "code" else "its first two principal components"
        return [f"The plane shows {100 * self.kept:.0f} % of the variance of the code, by {how}."]


@final
@dataclass(frozen=True, eq=False)
class Neighbours(Finding):
    """The rows nearest in the code.

    rows : (m,) that were asked about. nearest : (m, k) their nearest others, the nearest first. distances : (m, k) in
    the units of the code. data : all rows, to be drawn.
    """

    rows: NDArray[np.int64]
    nearest: NDArray[np.int64]
    distances: Floats
    data: DisplayRows

    def frame(self) -> Any:
        """A dataframe of one row for each pair."""
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
        """Who is nearest to whom."""
        return [
            f"Row {row} is nearest to row {near[0]}, at a distance of {far[0]:.3g}."
            for row, near, far in zip(self.rows[:5], self.nearest[:5], self.distances[:5], strict=True)
        ]


@final
@dataclass(frozen=True, eq=False)
class Codes(Finding):
    """What `codes` found.

    Attributes
    ----------
    values : Labelled, axes ("row", "unit"): the code of each row.
    variance : (Z,) of each unit over the rows; for a variational autoencoder, of its mean.
    kl : (Z,) mean divergence of each unit from the prior in nats; None where there is no prior.
    loss : mean squared error of the restored rows, per observed number, as the encoder reads them: in standard
        deviations of a column or of all pixels; of categories in shares of 1.
    losses : (Z,) the same when a unit says its mean for all rows: what is lost without it.
    blind : the same when all units do.
    active : (Z,) whether a unit is in use: its mean varies by more than 0.01 (Burda et al. 2016) where there is a
        prior; else, losing it costs more than a hundredth of an even share of what the code is worth.
    repair : of a `DenoisingAutoencoder`, the error of every cell before and after; else None.
    data : the rows, to be drawn.
    """

    values: Labelled
    variance: Floats
    kl: Floats | None
    loss: float
    losses: Floats
    blind: float
    active: NDArray[np.bool_]
    repair: Repair | None
    data: DisplayRows
    model: AutoencodingEstimator
    row_model: RowModel

    @property
    def order(self) -> NDArray[np.int64]:
        """(Z,) units, the one whose loss costs most first."""
        return np.argsort(-self.losses, kind="stable")

    def frame(self) -> Any:
        """The codes as a dataframe, a row for each row and a column for each unit."""
        return frame(
            {str(unit): self.values.values[:, k] for k, unit in enumerate(self.values.labels["unit"])}
        )

    def units(self) -> Any:
        """A dataframe of the units: name, mean, variance, kl, active, loss without it, lost, share of loss, rank."""
        lost = self.losses - self.loss
        rank = np.empty(len(lost), dtype=np.int64)
        rank[self.order] = np.arange(1, len(lost) + 1)
        kl = {} if self.kl is None else {"kl": self.kl}
        return frame(
            {
                "unit": np.asarray(self.values.labels["unit"]),
                "mean": self.values.values.mean(axis=0),
                "variance": self.variance,
                **kl,
                "active": self.active,
                "loss": self.losses,
                "lost": lost,
                "share": lost / self.loss if self.loss > 0 else np.full(len(lost), np.inf),
                "rank": rank,
            }
        )

    def traversal(self, unit: int | None = None, *, row: int | None = None, n: int = 9) -> LatentTraversal:
        """What one unit stands for: its values from rare to rare, the other units held, and each decoded.

        Parameters
        ----------
        unit : which; None is the one whose loss costs most.
        row : whose other units are held; None holds them at their means.
        n : codes along the way, evenly from the 1st to the 99th percentile of the unit.
        """
        unit = int(self.order[0]) if unit is None else unit
        Z = len(self.losses)
        check_parameters("Codes.traversal", {"unit": Int(0, Z - 1), "n": Int(2)}, {"unit": unit, "n": n})
        held = self.values.values.mean(axis=0) if row is None else self.values.values[self._row(row)]
        low, high = np.percentile(self.values.values[:, unit], (1, 99))
        walked = np.repeat(held[None], n, axis=0).astype(np.float32)
        walked[:, unit] = positions = np.linspace(low, high, n)
        return self._along(walked, positions, unit)

    def interpolation(self, first: int, last: int, *, n: int = 9) -> LatentTraversal:
        """From the code of one row to that of another in a straight line, decoded at n places."""
        check_parameters("Codes.interpolation", {"n": Int(2)}, {"n": n})
        share = np.linspace(0, 1, n)
        ends = self.values.values[[self._row(first), self._row(last)]]
        walked = (1 - share)[:, None] * ends[0] + share[:, None] * ends[1]
        return self._along(walked.astype(np.float32), share, None)

    def map(self, by: str = "auto", *, random_state: int | None = 0, grid: int = 11) -> CodeMap:
        """Rows as points of a plane, and what the places between them stand for.

        Parameters
        ----------
        by : "code" takes the two units of a code of two; "pca" the first two principal components of the code;
            "umap" bends (McInnes et al. 2018), and needs the package umap-learn. "auto" is "code" where there are
            two units, else "pca".
        random_state : seed of UMAP.
        grid : places across and down that are decoded.
        """
        check_parameters("Codes.map", {"by": MAPS, "grid": Int(2)}, {"by": by, "grid": grid})
        values = self.values.values.astype(np.float64)
        Z = values.shape[1]
        by = ("code" if Z == 2 else "pca") if by == "auto" else by
        if by == "code" and Z != 2:
            raise ValueError(f"by='code' is for a code of 2 units. This one has {Z}; take by='pca'.")
        if by == "umap":
            umap = require("umap", extra="umap", purpose="A map by UMAP")
            points = umap.UMAP(random_state=random_state).fit_transform(values)
            return CodeMap(np.asarray(points, dtype=np.float64), by, ("UMAP 1", "UMAP 2"), np.nan)
        middle, axes, kept = (np.zeros(2), np.eye(2), 1.0) if by == "code" else _principal(values)
        points = (values - middle) @ axes.T
        names = ("unit 0", "unit 1") if by == "code" else ("first component", "second component")
        low, high = points.min(axis=0), points.max(axis=0)
        across, down = np.linspace(low[0], high[0], grid), np.linspace(high[1], low[1], grid)
        on_it = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
        decoded = shown(
            self.row_model.modality.layout, self._decoded((on_it @ axes + middle).astype(np.float32))
        )
        return CodeMap(points, by, names, kept, decoded, (low[0], high[0], low[1], high[1]))

    def reconstructed(self, rows: Any = None) -> DisplayRows:
        """Rows as they are restored from their codes, to be drawn. rows : (m,) their numbers; None is all."""
        data, chosen = self.data, slice(None) if rows is None else rows
        steps = data.values.shape[1] if data.kind == "sequences" else None
        restored = self.row_model.expected(torch.from_numpy(self.values.values[chosen]), steps)
        return DisplayRows(
            data.kind, shown(self.row_model.modality.layout, restored).values, data.names, data.limits
        )

    def neighbours(self, rows: Any = None, *, n: int = 5) -> Neighbours:
        """For some rows, the n others whose codes are nearest. rows : (m,) their numbers; None takes eight evenly."""
        total = len(self.values.values)
        check_parameters("Codes.neighbours", {"n": Int(1, total - 1)}, {"n": n})
        asked = (
            np.linspace(0, total - 1, min(8, total)).astype(np.int64) if rows is None else np.atleast_1d(rows)
        )
        asked = np.array([self._row(int(row)) for row in asked], dtype=np.int64)
        index = NearestNeighbors(n_neighbors=n + 1).fit(self.values.values)
        distances, found = index.kneighbors(self.values.values[asked])
        # Of rows with the same code the row itself need not come first.
        itself = found == asked[:, None]
        itself[~itself.any(axis=1), -1] = True
        kept = ~itself
        return Neighbours(
            asked, found[kept].reshape(len(asked), n), distances[kept].reshape(len(asked), n), self.data
        )

    def sentences(self) -> list[str]:
        """Which units are in use, which matter most, and how well rows are restored and repaired."""
        Z, active, first = len(self.losses), int(self.active.sum()), int(self.order[0])
        kept = 100 * (1 - self.loss / self.blind) if self.blind > 0 else 100.0
        verb = "is" if active == 1 else "are"
        said = [
            f"The code restores {kept:.0f} % of what differs from row to row: the mean squared error is"
            f" {self.loss:.3g}, and {self.blind:.3g} when every unit says its mean.",
            f"{active} of the {Z} units of the code {verb} in use.",
            f"Unit {first} matters most: without it the error is {self.losses[first]:.3g},"
            f" {_times(self.losses[first], self.loss)}.",
        ]
        if self.kl is not None:
            most, nats = int(self.kl.argmax()), self.kl.sum()
            said.append(
                f"The code of a row costs {nats:.3g} nats, {self.kl[most]:.3g} of them for unit {most}."
            )
        return said + ([] if self.repair is None else self.repair.sentences())

    def _row(self, row: int) -> int:
        n = len(self.values.values)
        if not -n <= row < n:
            raise ValueError(f"There is no row {row}. X has {n} rows.")
        return row % n

    def _along(self, walked: NDArray[np.float32], positions: Floats, unit: int | None) -> LatentTraversal:
        restored = self.model.inverse_transform(walked)
        return LatentTraversal(
            walked, positions, unit, restored, shown(self.row_model.modality.layout, self._decoded(walked))
        )

    def _decoded(self, walked: NDArray[np.float32]) -> Tensor:
        return self.row_model.expected(torch.from_numpy(walked), self.row_model.modality.steps)


def codes(model: Any, X: Any, *, random_state: int | None = 0) -> Codes:
    """Look at the code of an autoencoder: the units, what each is worth, and where the rows lie.

    Parameters
    ----------
    model : a fitted `Autoencoder`, `DenoisingAutoencoder` or `VariationalAutoencoder`.
    X : rows (n, F), images or sequences, as the model was fitted on; they need not be those of fit. At least two.
    random_state : seed of the noise by which a denoiser's repair is judged.

    Returns
    -------
    Codes. Its `traversal`, `interpolation`, `map` and `neighbours` look further.

    Raises
    ------
    ValueError
        When the model has no code, or there are fewer than two rows.
    """
    if not isinstance(model, AutoencodingEstimator):
        raise ValueError(
            "codes looks at an Autoencoder, DenoisingAutoencoder or VariationalAutoencoder. Got"
            f" {type(model).__name__} instead."
        )
    objective, _, rows = model.prepare(X)
    if len(rows) < 2:
        raise ValueError(f"X has {len(rows)} row. Give at least two, for units are told by how they vary.")
    row_model = objective.model
    said = row_model.map(rows, row_model.encoder_outputs).double()
    values, kl = said[:, : model.code], None
    if isinstance(objective, ELBO):
        values, log_var = posterior(said)
        kl = gaussian_kl(values, log_var).mean(0).numpy()
    loss, losses, blind = _worth(row_model, rows, values.float())
    variance = values.var(0, correction=0).numpy()
    even = max(blind - loss, 0.0) / model.code
    active = active_units(values).numpy() if kl is not None else losses - loss > LISTENED * even
    labels = {"row": range(len(rows)), "unit": range(model.code)}
    return Codes(
        values=Labelled(values.float().numpy(), ("row", "unit"), labels),
        variance=variance,
        kl=kl,
        loss=loss,
        losses=losses,
        blind=blind,
        active=active & (variance > 0),
        repair=repair(objective, rows, random_state) if isinstance(objective, Denoising) else None,
        data=shown(row_model.modality.layout, padded_cells(rows)),
        model=model,
        row_model=row_model,
    )


def _worth(model: RowModel, rows: Any, values: Tensor) -> tuple[float, Floats, float]:
    """Mean squared error of restored rows; with each unit (Z,) at its mean; and with all of them there."""
    n, Z = values.shape
    some = torch.linspace(0, n - 1, min(n, max(DECODED // (Z + 2), 8))).round().long()
    inputs = model.modality.layout.inputs
    target = inputs(padded_cells(rows, some).double())
    steps = None if target.ndim == 2 else target.shape[1]

    def error(codes: Tensor) -> float:
        wrong = (inputs(model.expected(codes, steps).double()) - target).square()
        return float(wrong[wrong.isfinite()].mean())

    middle, kept = values.mean(0), values[some]
    held = torch.eye(Z, dtype=torch.bool)
    without = [error(torch.where(unit, middle, kept)) for unit in held]
    return error(kept), np.array(without), error(middle.expand_as(kept))


def _principal(values: Floats) -> tuple[Floats, Floats, float]:
    """Mean (Z,), the first two principal axes (2, Z), and the share of the variance along them."""
    middle = values.mean(axis=0)
    _, sizes, axes = np.linalg.svd(values - middle, full_matrices=False)
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    two = np.zeros((2, values.shape[1]))
    two[: len(axes[:2])] = axes[:2]
    total = float((sizes**2).sum())
    return middle, two, float((sizes[:2] ** 2).sum() / total) if total > 0 else 1.0


def _times(larger: float, smaller: float) -> str:
    if smaller <= 0 or larger <= 0:
        return "where it was none"
    share = 100 * (larger / smaller - 1)
    return f"{share:.0f} % more" if share < 200 else f"{larger / smaller:.1f} times as much"
