"""How two players competed, who is ahead, and whether what was made is new: kinds that are missing, and copies.

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
"""Generated rows this much nearer to each other than real ones are alike."""
NEAR = 0.5
"""Share of the usual distance between real rows under which a generated one is said to sit on a row."""
BLOCK = 2**22


@final
@dataclass(frozen=True, eq=False)
class NearestTraining(Finding):
    """Generated rows beside the rows that are nearest to them.

    Attributes
    ----------
    nearest : (m,) the row of X nearest to each generated one. distances : (m,) how far that is, as the discriminator
        reads rows.
    real_distance : median distance of a row of X to the nearest other one.
    generated_distance : median distance of a generated row to the nearest other generated one.
    generated, neighbours : the generated rows and their nearest, to be drawn.
    """

    nearest: NDArray[np.int64]
    distances: Floats
    real_distance: float
    generated_distance: float
    generated: DisplayRows
    neighbours: DisplayRows

    @property
    def copied(self) -> float:
        """Share of the generated rows that sit on a row of X: nearer than half the usual distance."""
        return float(np.mean(self.distances < NEAR * self.real_distance))

    def frame(self) -> Any:
        """A dataframe of one row for each generated one: its number, the nearest row, the distance."""
        made = np.arange(len(self.nearest))
        return frame({"generated": made, "nearest": self.nearest, "distance": self.distances})

    def sentences(self) -> list[str]:
        """Whether rows were copied, and whether they are all alike."""
        ratio = float(np.median(self.distances)) / self.real_distance if self.real_distance else np.inf
        told = [
            f"A generated row is {ratio:.2g} times as far from the nearest row as rows are from each other;"
            f" {self.copied:.0%} sit on one, nearer than half of that."
        ]
        if self.generated_distance < ALIKE * self.real_distance:
            told.append(
                "Generated rows are alike: the nearest other one is"
                f" {self.generated_distance / self.real_distance:.2g} times as far as among real rows."
            )
        return told


@final
@dataclass(frozen=True, eq=False)
class TrainingGame(Finding):
    """What `training_game` found.

    Attributes
    ----------
    steps : (E,) batches by the end of each epoch.
    losses : by player, (E,) its mean loss.
    scores : "real" and "generated", (E,) the discriminator's mean score of both, as they were while it trained.
    quality : by measure, (E,) what was measured of rows held out while they competed; NaN where nothing was.
    turns : (player, first batch, batches, why it ended) of each turn, where scores say who moves; else none.
    final : the measures of the generator that was kept, beside rows held out, or beside those of fit.
    held_out : whether rows were held out. data_scores : scores (n,) of the rows of X, None without X.
    generated_scores : (m,) scores of generated rows.
    nearest : generated rows beside the nearest of X; None without X.
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
        """A dataframe of one row for each epoch: step, the losses, scores and measures."""
        columns: dict[str, Any] = {"step": self.steps}
        columns |= {f"{player}_loss": each for player, each in self.losses.items()}
        columns |= {f"score_{kind}": each for kind, each in self.scores.items()}
        return frame(columns | dict(self.quality))

    def sentences(self) -> list[str]:
        """Who is ahead, how the turns went, what is missing, and whether rows are copies."""
        told = [self._ahead(), *self._turns(), self._covered()]
        closer = self.final.get("memorisation_closer")
        if closer is not None:
            told.append(
                f"With a chance of {closer:.0%} a generated row is nearer to the rows of fit than a new real one is;"
                " 50% is no copying."
            )
        return told + ([] if self.nearest is None else self.nearest.sentences())

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
        rows = "rows held out" if self.held_out else "rows of fit"
        told = (
            f"Generated rows cover {quality.coverage:.0%} of the {rows} ({PERFECT:.0%} as good as real), and"
            f" {quality.precision:.0%} of them lie among real ones"
        )
        if quality.coverage < PERFECT / 4 and quality.precision > 2 * quality.coverage:
            return f"{told}: kinds of rows are missing, the generator has collapsed."
        return f"{told}."


def training_game(
    model: Any, X: Any = None, y: Any = None, *, n: int = 256, random_state: int | None = 0
) -> TrainingGame:
    """Look at the two players of a `GAN` or `DCGAN`: how they competed, and what came of it.

    Parameters
    ----------
    model : fitted.
    X : the rows of fit (n, ...), or others, to lay beside the generated ones; None leaves that out.
    y : (n,) labels of X, for a conditional model; None takes for each row the label under which it looks most real.
    n : rows that are generated. All of X are looked through for the nearest.
    random_state : seed of the generated rows.

    Raises
    ------
    ValueError
        When the model is no GAN, or X has fewer than two rows.
    """
    if not isinstance(model, AdversarialEstimator):
        raise ValueError(f"training_game inspects a GAN or DCGAN. Got {type(model).__name__} instead.")
    check_parameters("training_game", {"n": Int(2)}, {"n": n})
    columns = {name: np.asarray(each, dtype=np.float64) for name, each in model.epochs_.items()}
    made = model.sample(n, random_state=random_state)
    given, nearest = None, None
    if X is not None:
        given = model.score_samples(X, y)
        if len(given) < 2:
            raise ValueError(
                f"X has {len(given)} row. Give at least two, for rows are compared with each other."
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
        data_scores=given,
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
    """(n, D) rows side by side on the CPU, 0 past the end of a sequence."""
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
