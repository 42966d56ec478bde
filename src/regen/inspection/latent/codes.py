"""Codes of an autoencoder: the worth of each unit, traversals, maps and neighbours.

Letters: `n` rows, `Z` units of the code, `E` encoded numbers of a row, `T` steps.
"""

from dataclasses import dataclass
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
from regen.inspection.latent.views import CodeMap, LatentTraversal, Neighbours
from regen.losses.elbo import active_units, gaussian_kl, posterior

__all__ = ["Codes", "codes"]

Floats = NDArray[np.float64]

DECODED = 2**14
"""Rows with which the worth of the units is measured, at most."""
ACTIVE_SHARE = 0.01
"""A unit is active when the loss without it grows by more than this share of an even part of the code."""
MAPS = Choice(("auto", "code", "pca", "umap"))


@final
@dataclass(frozen=True, eq=False, repr=False)
class Codes(Finding):
    """Codes of rows, and the worth of each unit.

    Attributes
    ----------
    values : Labelled
        The code of each row, with the axes row and unit.
    variance : ndarray of shape (Z,)
        Of each unit over the rows; for a variational autoencoder, of its mean.
    kl : ndarray of shape (Z,) or None
        Mean divergence of each unit from the prior in nats; None without a prior.
    loss : float
        Mean squared error of the restored rows, per observed number, in the scale of the encoder: in standard
        deviations of a column or of all pixels; of categories in shares of 1.
    losses : ndarray of shape (Z,)
        The same with one unit at its mean for all rows.
    blind : float
        The same with all units at their means.
    active : ndarray of shape (Z,)
        Whether a unit is in use. With a prior: the variance of its mean is above 0.01 (Burda et al. 2016).
        Else: without it the loss grows by more than a hundredth of an even share of ``blind - loss``.
    repair : Repair or None
        For a `DenoisingAutoencoder`, the errors of every cell before and after.
    data : DisplayRows
        The rows, to be drawn.
    model : AutoencodingEstimator
        The estimator.
    row_model : RowModel
        Its network with the encoding of the rows.
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
        """(Z,) units, the one without which the loss is largest first."""
        return np.argsort(-self.losses, kind="stable")

    def frame(self) -> Any:
        """Tabulate the codes.

        Returns
        -------
        table : DataFrame
            A row for each row and a column for each unit.
        """
        return frame(
            {str(unit): self.values.values[:, k] for k, unit in enumerate(self.values.labels["unit"])}
        )

    def units(self) -> Any:
        """Summarise each unit.

        Returns
        -------
        table : DataFrame
            Columns: unit, mean, variance, kl, active, loss (without the unit), lost (the increase), share (of
            the loss), rank.
        """
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
        """Decode codes in which one unit varies and the others are constant.

        Parameters
        ----------
        unit : int, default=None
            The unit; None is the one without which the loss is largest.
        row : int, default=None
            The row from which the other units are taken; None takes their means.
        n : int, default=9
            Codes, evenly spaced from the 1st to the 99th percentile of the unit.

        Returns
        -------
        traversal : LatentTraversal
            The codes, and the rows decoded from them.
        """
        unit = int(self.order[0]) if unit is None else unit
        Z = len(self.losses)
        check_parameters("Codes.traversal", {"unit": Int(0, Z - 1), "n": Int(2)}, {"unit": unit, "n": n})
        held = self.values.values.mean(axis=0) if row is None else self.values.values[self._row(row)]
        low, high = np.percentile(self.values.values[:, unit], (1, 99))
        codes = np.repeat(held[None], n, axis=0).astype(np.float32)
        codes[:, unit] = positions = np.linspace(low, high, n)
        return self._along(codes, positions, unit)

    def interpolation(self, first: int, last: int, *, n: int = 9) -> LatentTraversal:
        """Decode codes on the straight line between the codes of two rows.

        Parameters
        ----------
        first, last : int
            Numbers of the rows.
        n : int, default=9
            Codes, both ends included.

        Returns
        -------
        traversal : LatentTraversal
            The codes, and the rows decoded from them.
        """
        check_parameters("Codes.interpolation", {"n": Int(2)}, {"n": n})
        share = np.linspace(0, 1, n)
        ends = self.values.values[[self._row(first), self._row(last)]]
        codes = (1 - share)[:, None] * ends[0] + share[:, None] * ends[1]
        return self._along(codes.astype(np.float32), share, None)

    def map(self, by: str = "auto", *, random_state: int | None = 0, grid: int = 11) -> CodeMap:
        """Project the codes to a plane, and decode a grid of points on it.

        Parameters
        ----------
        by : {"auto", "code", "pca", "umap"}, default="auto"
            "code" takes the two units of a code of two; "pca" the first two principal components of the code;
            "umap" is nonlinear (McInnes et al. 2018) and needs the package umap-learn. "auto" is "code" for two
            units, else "pca".
        random_state : int or None, default=0
            Seed of UMAP.
        grid : int, default=11
            Points in each direction of the decoded grid.

        Returns
        -------
        code_map : CodeMap
            The points of the rows, and the decoded grid.
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
        """Restore rows from their codes.

        Parameters
        ----------
        rows : array-like of shape (m,), default=None
            Numbers of the rows; None is all.

        Returns
        -------
        restored : DisplayRows
            The restored rows, to be drawn.
        """
        data, chosen = self.data, slice(None) if rows is None else rows
        steps = data.values.shape[1] if data.kind == "sequences" else None
        restored = self.row_model.expected(torch.from_numpy(self.values.values[chosen]), steps)
        return DisplayRows(
            data.kind, shown(self.row_model.modality.layout, restored).values, data.names, data.limits
        )

    def neighbours(self, rows: Any = None, *, n: int = 5) -> Neighbours:
        """Find the rows with the nearest codes.

        Parameters
        ----------
        rows : array-like of shape (m,), default=None
            Numbers of the rows; None takes eight, evenly spaced.
        n : int, default=5
            Neighbours of each.

        Returns
        -------
        found : Neighbours
            The nearest rows, and their distances.
        """
        total = len(self.values.values)
        check_parameters("Codes.neighbours", {"n": Int(1, total - 1)}, {"n": n})
        index_of_rows = (
            np.linspace(0, total - 1, min(8, total)).astype(np.int64) if rows is None else np.atleast_1d(rows)
        )
        index_of_rows = np.array([self._row(int(row)) for row in index_of_rows], dtype=np.int64)
        index = NearestNeighbors(n_neighbors=n + 1).fit(self.values.values)
        distances, found = index.kneighbors(self.values.values[index_of_rows])
        # Of rows with the same code the row itself need not come first.
        itself = found == index_of_rows[:, None]
        itself[~itself.any(axis=1), -1] = True
        kept = ~itself
        return Neighbours(
            index_of_rows,
            found[kept].reshape(len(index_of_rows), n),
            distances[kept].reshape(len(index_of_rows), n),
            self.data,
        )

    def sentences(self) -> list[str]:
        """Summarise the finding in sentences, the most important first.

        Returns
        -------
        sentences : list of str
            The quality of the reconstruction, the units in use, the most important unit, and the repair.
        """
        Z, active, first = len(self.losses), int(self.active.sum()), int(self.order[0])
        kept = 100 * (1 - self.loss / self.blind) if self.blind > 0 else 100.0
        verb = "is" if active == 1 else "are"
        text = [
            f"The code restores {kept:.0f} % of the variance: the mean squared error is"
            f" {self.loss:.3g}, and {self.blind:.3g} with every unit at its mean.",
            f"{active} of the {Z} units of the code {verb} in use.",
            f"Unit {first} matters most: without it the error is {self.losses[first]:.3g},"
            f" {_times(self.losses[first], self.loss)}.",
        ]
        if self.kl is not None:
            most, nats = int(self.kl.argmax()), self.kl.sum()
            text.append(
                f"The divergence of a code from the prior is {nats:.3g} nats, {self.kl[most]:.3g} of them of unit"
                f" {most}."
            )
        return text + ([] if self.repair is None else self.repair.sentences())

    def _row(self, row: int) -> int:
        n = len(self.values.values)
        if not -n <= row < n:
            raise ValueError(f"There is no row {row}. X has {n} rows.")
        return row % n

    def _along(self, codes: NDArray[np.float32], positions: Floats, unit: int | None) -> LatentTraversal:
        restored = self.model.inverse_transform(codes)
        return LatentTraversal(
            codes, positions, unit, restored, shown(self.row_model.modality.layout, self._decoded(codes))
        )

    def _decoded(self, codes: NDArray[np.float32]) -> Tensor:
        return self.row_model.expected(torch.from_numpy(codes), self.row_model.modality.steps)


def codes(model: Any, X: Any, *, random_state: int | None = 0) -> Codes:
    """Measure what the code of an autoencoder represents.

    Parameters
    ----------
    model : Autoencoder, DenoisingAutoencoder or VariationalAutoencoder
        A fitted estimator.
    X : array-like, dataframe or list of arrays
        At least two rows (n, F), images or sequences, as in the fit of the model; they need not be the training data.
    random_state : int or None, default=0
        Seed of the corruption with which the repair of a denoising autoencoder is measured.

    Returns
    -------
    found : Codes
        Codes and the worth of each unit; its methods `traversal`, `interpolation`, `map` and `neighbours` go further.

    Raises
    ------
    ValueError
        When the model is no autoencoder, or there are fewer than two rows.

    See Also
    --------
    training_game : The counterpart for GAN and DCGAN.

    Examples
    --------
    >>> import numpy as np, regen
    >>> X = np.random.default_rng(0).normal(size=(64, 4))
    >>> autoencoder = regen.Autoencoder(code=2, hidden=4, max_epochs=1, random_state=0).fit(X)
    >>> regen.inspect.codes(autoencoder, X).values
    Labelled(row: 64, unit: 2)
    """
    if "reconstruct" not in getattr(model, "capabilities", ()):
        raise ValueError(
            "codes inspects an Autoencoder, DenoisingAutoencoder or VariationalAutoencoder. Got"
            f" {type(model).__name__} instead."
        )
    objective, _, rows = model.prepare(X)
    if len(rows) < 2:
        raise ValueError(f"X has {len(rows)} row. Give at least two: units are measured by their variance.")
    row_model = objective.model
    encoder_outputs = row_model.map(rows, row_model.encoder_outputs).double()
    values, kl = encoder_outputs[:, : model.code], None
    if isinstance(objective, ELBO):
        values, log_var = posterior(encoder_outputs)
        kl = gaussian_kl(values, log_var).mean(0).numpy()
    loss, losses, blind = _worth(row_model, rows, values.float())
    variance = values.var(0, correction=0).numpy()
    even = max(blind - loss, 0.0) / model.code
    active = active_units(values).numpy() if kl is not None else losses - loss > ACTIVE_SHARE * even
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
    """Mean squared error of rows restored from codes `values` (n, Z); with each unit at its mean; with all."""
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
        return "from 0"
    share = 100 * (larger / smaller - 1)
    return f"{share:.0f} % more" if share < 200 else f"{larger / smaller:.1f} times as much"
