"""The training game of a GAN, and whether generated rows are new: missing modes and copies.

Letters: `n` real rows, `m` generated ones, `E` epochs, `D` numbers of a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from regen._check import Int, check_parameters
from regen._masks import length_mask
from regen.data.batching import RowBatch
from regen.data.dataframes import frame
from regen.estimators.adversarial._base import AdversarialEstimator
from regen.inspection.display import DisplayRows, padded_cells, shown
from regen.inspection.finding import Finding
from regen.metrics.generative import Quality

__all__ = ["NearestTraining", "TrainingGame", "training_game"]

Floats = NDArray[np.float64]

PERFECT = 1 - 2.0**-5
"""Coverage of real rows by as many others, with 5 neighbours (Naeem et al. 2020)."""
ALIKE = 0.5
"""Generated rows are alike when they are this much nearer to each other than real ones."""
NEAR = 0.5
"""A generated row is a copy when it is nearer to a row than this share of the distance between real rows."""
BLOCK = 2**22


@final
@dataclass(frozen=True, eq=False, repr=False)
class NearestTraining(Finding):
    """Generated rows, and the rows of the data that are nearest to them.

    Attributes
    ----------
    nearest : ndarray of shape (m,)
        The row of X nearest to each generated row.
    distances : ndarray of shape (m,)
        Distances to them, in the scale of the discriminator.
    real_distance : float
        Median distance of a row of X to the nearest other one.
    generated_distance : float
        Median distance of a generated row to the nearest other generated one.
    generated, neighbours : DisplayRows
        The generated rows and their nearest rows, to be drawn.
    """

    nearest: NDArray[np.int64]
    distances: Floats
    real_distance: float
    generated_distance: float
    generated: DisplayRows
    neighbours: DisplayRows

    @property
    def copied(self) -> float:
        """Share of the generated rows nearer to a row of X than half the distance between rows of X."""
        return float(np.mean(self.distances < NEAR * self.real_distance))

    def frame(self) -> Any:
        """Tabulate the nearest rows.

        Returns
        -------
        table : DataFrame
            One row for each generated row: its number, the nearest row, the distance.
        """
        made = np.arange(len(self.nearest))
        return frame({"generated": made, "nearest": self.nearest, "distance": self.distances})

    def sentences(self) -> list[str]:
        """Summarise the finding in sentences, the most important first.

        Returns
        -------
        sentences : list of str
            The share of copies, and whether all generated rows are alike.
        """
        ratio = float(np.median(self.distances)) / self.real_distance if self.real_distance else np.inf
        text = [
            f"A generated row is {ratio:.2g} times as far from the nearest row as rows are from each other;"
            f" {self.copied:.0%} are nearer than half of that."
        ]
        if self.generated_distance < ALIKE * self.real_distance:
            text.append(
                "Generated rows are alike: the nearest other one is"
                f" {self.generated_distance / self.real_distance:.2g} times as far as among real rows."
            )
        return text


@final
@dataclass(frozen=True, eq=False, repr=False)
class TrainingGame(Finding):
    """The training of a GAN, epoch by epoch, and its result.

    Attributes
    ----------
    steps : ndarray of shape (E,)
        Batches up to the end of each epoch.
    losses : dict of str to ndarray of shape (E,)
        Mean loss of each player.
    scores : dict of str to ndarray of shape (E,)
        "real" and "generated", the mean score of the discriminator during training.
    quality : dict of str to ndarray of shape (E,)
        Measures on validation rows; NaN in epochs without a measurement.
    turns : list of tuple
        (player, first batch, batches, reason of its end) of each turn, where scores decide who moves; else empty.
    final : dict of str to float
        Measures of the generator that was kept, on validation rows, or on training rows where there are none.
    held_out : bool
        Whether there were validation rows.
    generated_scores : ndarray of shape (m,)
        Scores of generated rows.
    data_scores : ndarray of shape (n,) or None
        Scores of the rows of X.
    nearest : NearestTraining or None
        Generated rows, and the nearest rows of X.
    """

    steps: NDArray[np.int64]
    losses: Mapping[str, Floats]
    scores: Mapping[str, Floats]
    quality: Mapping[str, Floats]
    turns: list[tuple[str, int, int, str]]
    final: Mapping[str, float]
    held_out: bool
    generated_scores: Floats
    data_scores: Floats | None
    nearest: NearestTraining | None

    def frame(self) -> Any:
        """Tabulate the epochs.

        Returns
        -------
        table : DataFrame
            One row for each epoch: step, losses, scores and measures.
        """
        columns: dict[str, Any] = {"step": self.steps}
        columns |= {f"{player}_loss": each for player, each in self.losses.items()}
        columns |= {f"score_{kind}": each for kind, each in self.scores.items()}
        return frame(columns | dict(self.quality))

    def sentences(self) -> list[str]:
        """Summarise the finding in sentences, the most important first.

        Returns
        -------
        sentences : list of str
            Which player is ahead, the turns, missing modes, and copies of rows.
        """
        text = [self._ahead(), *self._turns(), self._covered()]
        closer = self.final.get("memorisation_closer")
        if closer is not None:
            text.append(
                "The probability that a generated row is nearer to the training rows than a new real one is"
                f" {closer:.0%}; 50% means no copies."
            )
        return text + ([] if self.nearest is None else self.nearest.sentences())

    def _ahead(self) -> str:
        real, made = self.final["score_real"], self.final["score"]
        who = "neither is ahead" if real - made < 20 else "the discriminator is ahead"
        if real - made > 90:
            who = "the discriminator has won, and the generator has little to learn from"
        scores = f"real rows {real:.0f} on average and generated ones {made:.0f}, of 100"
        return f"The discriminator scores {scores}: {who}."

    def _turns(self) -> list[str]:
        moved = {player: sum(n for who, _, n, _ in self.turns if who == player) for player in self.losses}
        total = sum(moved.values())
        if not total:
            return []
        shares = ", ".join(f"the {player} moved on {moved[player] / total:.0%}" for player in moved)
        capped = sum(why == "cap" for *_, why in self.turns)
        return [f"In {len(self.turns)} turns {shares} of the batches; {capped} turns ended at the cap."]

    def _covered(self) -> str:
        quality = Quality(*(self.final[name] for name in Quality._fields))
        rows = "validation rows" if self.held_out else "training rows"
        text = (
            f"Generated rows cover {quality.coverage:.0%} of the {rows} ({PERFECT:.0%} is as good as real), and"
            f" {quality.precision:.0%} of them lie among real ones"
        )
        if quality.coverage < PERFECT / 4 and quality.precision > 2 * quality.coverage:
            return f"{text}: modes of the data are missing, the generator has collapsed."
        return f"{text}."


def training_game(
    model: Any, X: Any = None, y: Any = None, *, n: int = 256, random_state: int | None = 0
) -> TrainingGame:
    """Inspect how the two players of a `GAN` or `DCGAN` trained, and what the generator makes.

    Parameters
    ----------
    model : GAN or DCGAN
        A fitted estimator.
    X : array-like, dataframe or list of arrays, default=None
        Training data or other rows (n, ...), to compare the generated rows with; None leaves this out.
    y : array-like of shape (n,), default=None
        Labels of X, for a conditional model; None takes for each row the label with the highest score.
    n : int, default=256
        Generated rows; enough for a median distance. The nearest row is searched for in all of X.
    random_state : int or None, default=0
        Seed of the generated rows.

    Returns
    -------
    found : TrainingGame
        Losses, scores and quality of each epoch, turns, and the nearest rows.

    Raises
    ------
    ValueError
        When the model is no GAN, or X has fewer than two rows.

    See Also
    --------
    codes : The counterpart for autoencoders.

    Examples
    --------
    >>> import numpy as np, regen, warnings
    >>> X = np.random.default_rng(0).normal(size=(64, 2))
    >>> with warnings.catch_warnings(action="ignore"):
    ...     gan = regen.GAN(code=2, hidden=4, max_epochs=1, random_state=0).fit(X)
    >>> regen.inspect.training_game(gan, X, n=16).generated_scores.shape
    (16,)
    """
    if "interpolate" not in getattr(model, "capabilities", ()):
        raise ValueError(f"training_game inspects a GAN or DCGAN. Got {type(model).__name__} instead.")
    check_parameters("training_game", {"n": Int(2)}, {"n": n})
    columns = {name: np.asarray(each, dtype=np.float64) for name, each in model.epochs_.items()}
    made = model.sample(n, random_state=random_state)
    data_scores, nearest = None, None
    if X is not None:
        data_scores = model.score_samples(X, y)
        if len(data_scores) < 2:
            raise ValueError(
                f"X has {len(data_scores)} row. Give at least two: rows are compared with each other."
            )
        nearest = _nearest_training(model, X, made)
    prefix = "validation."
    measures = [*Quality._fields, "two_sample", "mmd"]
    return TrainingGame(
        steps=columns["step"].astype(np.int64),
        losses={player: columns[f"{player}.loss"] for player in ("discriminator", "generator")},
        scores={
            "real": columns["discriminator.score_real"],
            "generated": columns["discriminator.score"],
        },
        quality={name: columns[prefix + name] for name in measures if prefix + name in columns},
        turns=[(str(who), int(first), int(steps), str(why)) for who, first, steps, why in model.turns_],
        final=model.quality_,
        held_out="memorisation_closer" in model.quality_,
        generated_scores=model.score_samples(made),
        data_scores=data_scores,
        nearest=nearest,
    )


def _nearest_training(model: AdversarialEstimator, X: Any, made: Any) -> NearestTraining:
    real, fake = model.encode_rows(X), model.encode_rows(made)
    steps = max(real.x.shape[1], fake.x.shape[1]) if real.x.ndim == 3 else None
    rows, ours = _flat(real, steps), _flat(fake, steps)
    distances, nearest = _nearest(ours, rows)
    some = torch.linspace(0, len(rows) - 1, min(len(rows), len(ours))).round().long()
    usual, _ = _nearest(rows[some], rows, some)
    apart, _ = _nearest(ours, ours, torch.arange(len(ours)))
    modality = model.modality_
    cells = {
        name: padded_cells(modality.encode(modality.read_known(model, each)))
        for name, each in (("real", X), ("made", made))
    }
    return NearestTraining(
        nearest=nearest.numpy(),
        distances=distances.numpy(),
        real_distance=float(usual.median()),
        generated_distance=float(apart.median()),
        generated=shown(modality.layout, cells["made"]),
        neighbours=shown(modality.layout, cells["real"][nearest]),
    )


def _flat(rows: RowBatch, steps: int | None) -> Tensor:
    """(n, D) rows on the CPU, 0 past the end of a sequence."""
    x = rows.x.double().cpu()
    if rows.lengths is not None:
        x = x * length_mask(rows.lengths, x.shape[1], "cpu")[..., None]
    return (x if steps is None else F.pad(x, (0, 0, 0, steps - x.shape[1]))).flatten(1)


def _nearest(rows: Tensor, among: Tensor, own: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(m,) distance of each row to the nearest of `among`, and which that is; `own`: their places there, left out."""
    found = []
    height = max(1, BLOCK // len(among))
    for start in range(0, len(rows), height):
        part = slice(start, start + height)
        distances = torch.cdist(rows[part], among, compute_mode="donot_use_mm_for_euclid_dist")
        if own is not None:
            distances.scatter_(1, own[part, None], torch.inf)
        found.append(distances.min(1))
    return torch.cat([each.values for each in found]), torch.cat([each.indices for each in found])
