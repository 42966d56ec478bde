"""Quality of a generator: measured on held-out rows, monitored during training, and summed up in warnings.

Letters: `k` rows that are compared, `D` numbers of a row, `Z` code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from regen._masks import length_mask
from regen._schema import Fields, Whole, check_form
from regen.data.batching import RowBatch
from regen.losses.gan import calibrate, score
from regen.metrics.generative import (
    Memorisation,
    median_distance,
    memorisation,
    mmd,
    prdc,
    two_sample_accuracy,
)

__all__ = ["N_NEIGHBORS", "Evaluator", "QualityMonitor", "quality_warnings", "validation_loss"]

N_NEIGHBORS = 5
"""The k of precision, recall, density and coverage (Naeem et al. 2020)."""
EXPECTED_COVERAGE = 1 - 2.0**-N_NEIGHBORS
"""Coverage of real rows by as many other real rows, on average."""
COLLAPSED_SHARE = 0.25
"""Share of the expected coverage below which modes are missing."""
COPIED_PROBABILITY = 0.85
"""Probability that a generated row is closer to the training rows than a new one, from which copies are suspected."""
COPIED_DISTANCE = 0.5
"""Median distance to the training rows, relative to that of new rows, below which copies are suspected. Generated
rows closer to the mean than real ones have a small distance too, but not as small: 0.76 for the wine data."""
WON_SCORE = 99.0
"""Mean score of held-out rows from which the generator receives almost no gradient."""


@final
class Evaluator:
    """Compares generated rows with real ones.

    Parameters
    ----------
    rows : real rows as inputs of the discriminator, with their labels and lengths.
    generate : callable, (generator, codes, labels, steps, rng) -> generated rows as inputs of the discriminator.
    logits : callable, batch of rows -> logits (k,) of the discriminator.
    code_size : Z.
    seed : of the codes and of all other random numbers of a row.
    labels : (k,) of the generated rows; None takes those of the real ones.
    """

    def __init__(
        self,
        rows: RowBatch,
        generate: Callable[..., Tensor],
        logits: Callable[[RowBatch], Tensor],
        code_size: int,
        seed: int,
        labels: Tensor | None = None,
    ) -> None:
        self._rows, self._generate, self._logits = rows, generate, logits
        self._code_size, self._seed = code_size, seed
        self._labels = rows.y if labels is None else labels

    @property
    def real(self) -> Tensor:
        """(k, D) the real rows."""
        return _flat(self._rows)

    def generated(self, generator: Any, draw: int = 0) -> Tensor:
        """As many generated rows, (k, ...), as there are real ones; the same codes for the same `draw`."""
        x = self._rows.x
        rng = Generator(x.device).manual_seed(self._seed + draw)
        codes = torch.empty(len(x), self._code_size, device=x.device).normal_(generator=rng)
        return self._generate(generator, codes, self._labels, x.shape[1] if x.ndim == 3 else None, rng)

    def without_labels(self) -> Evaluator:
        """The same comparison for rows of unknown label."""
        rows = self._rows._replace(y=None)
        return Evaluator(rows, self._generate, self._logits, self._code_size, self._seed)

    def quality(self, generated: Tensor, bandwidth: float | None = None) -> dict[str, float]:
        """All measures of the generated rows (k, ...) compared with the real ones."""
        real, fake = self.real, _flat(self._rows._replace(x=generated))
        return {
            **prdc(real, fake, N_NEIGHBORS)._asdict(),
            "two_sample": two_sample_accuracy(real, fake),
            "mmd": mmd(real, fake, bandwidth),
        }

    def memorisation(self, generated: Tensor, training: RowBatch) -> Memorisation:
        """Distances of the generated rows (k, ...) to the training rows, compared with those of the real rows."""
        steps = max(training.x.shape[1], self._rows.x.shape[1]) if training.lengths is not None else None
        parts = self._rows._replace(x=generated), training, self._rows
        return memorisation(*(_flat(part, steps) for part in parts))

    def scores(self, generated: Tensor) -> tuple[dict[str, float], tuple[float, float]]:
        """Mean scores of real and of the generated rows (k, ...), and slope and offset of the calibration of logits.

        If a logit is not finite, slope and offset are 0, and all scores 50.
        """
        logits = self._logits(self._rows), self._logits(self._rows._replace(x=generated))
        if not bool(torch.cat(logits).isfinite().all()):
            return {"score_real": 50.0, "score": 50.0}, (0.0, 0.0)
        calibration = calibrate(*logits)
        real, fake = (float(score(each, *calibration).mean()) for each in logits)
        return {"score_real": real, "score": fake}, calibration


@final
class QualityMonitor:
    """Measures quality every `every` epochs; called at the end of each.

    Parameters
    ----------
    evaluator : of held-out rows.
    sampler : callable, () -> the network that generates samples.
    every : epochs from one measurement to the next.
    measure : the measure that the validation loss is made of; see `validation_loss`.
    """

    def __init__(
        self, evaluator: Evaluator, sampler: Callable[[], Any], every: int, measure: str | None
    ) -> None:
        self._evaluator, self._sampler, self._every, self._measure = evaluator, sampler, every, measure
        self._bandwidth = median_distance(evaluator.real)
        self._epochs = 0

    def __call__(self) -> dict[str, float]:
        """All measures, both scores and the validation "loss"; empty in epochs without a measurement."""
        self._epochs += 1
        if self._epochs % self._every:
            return {}
        generated = self._evaluator.generated(self._sampler())
        quality = self._evaluator.quality(generated, self._bandwidth)
        scores, _ = self._evaluator.scores(generated)
        return {"loss": validation_loss(quality, self._measure), **quality, **scores}

    def state_dict(self) -> dict[str, Any]:
        """The number of epochs so far."""
        return {"epochs": self._epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        check_form(Fields({"epochs": Whole()}), state, "monitor", {})
        self._epochs = state["epochs"]


def validation_loss(quality: Mapping[str, float], measure: str | None) -> float:
    """Distance of a measure from its perfect value; None takes the mean of precision and coverage.

    Precision decreases when generated rows lie outside the data, coverage when modes are missing. On a grid of 25
    Gaussians, the share of generated rows within 3 standard deviations rises from 0.88 to 0.96 over training, as
    precision does (0.90 to 0.97), while recall falls from 0.90 to 0.78: selected by recall, the generator would be
    that of a quarter of the training.
    """
    if measure is None:
        return 1 - 0.5 * (quality["precision"] + quality["coverage"])
    value = quality[measure]
    if measure == "mmd":
        return value
    return abs(value - 0.5) if measure == "two_sample" else abs(1 - value)


def quality_warnings(
    quality: Mapping[str, float], memorised: Memorisation | None, held_out: bool
) -> list[str]:
    """Warnings about the quality of a trained generator: missing modes, copies, a discriminator that has won."""
    found = []
    rows = "held-out" if held_out else "training"
    if quality["coverage"] < COLLAPSED_SHARE * EXPECTED_COVERAGE:
        precise = quality["precision"] > 2 * quality["coverage"]
        why = (
            "Most of them lie among real rows, but modes are missing: the generator has collapsed"
            if precise
            else "The generator has not learned the distribution of the rows"
        )
        found.append(
            f"The generated rows cover {100 * quality['coverage']:.0f} % of the {rows} rows; real rows would cover"
            f" {100 * EXPECTED_COVERAGE:.0f} %. {why}. Train for more epochs, or see in history_ when coverage fell."
        )
    if (
        memorised is not None
        and memorised.closer > COPIED_PROBABILITY
        and memorised.ratio < COPIED_DISTANCE
        and quality["precision"] > 0.5
    ):
        found.append(
            f"Generated rows may be copies: with a probability of {100 * memorised.closer:.0f} % one is closer to the"
            f" training rows than a new real row is (50 % without copying), at {memorised.ratio:.2f} times the"
            " distance. Give more rows, smaller networks or fewer epochs."
        )
    if quality["score_real"] > WON_SCORE:
        found.append(
            f"The discriminator has won: its mean score is {quality['score_real']:.0f} for {rows} rows and"
            f" {quality['score']:.0f} for generated ones, where 50 is a guess, and the generator receives little"
            " gradient. Raise penalty_weight, lower discriminator_rate, or take turns by scores (turns='scores')."
        )
    return found


def _flat(rows: RowBatch, steps: int | None = None) -> Tensor:
    """(k, D) rows to compare: the steps of sequences concatenated and zero-padded, labels one-hot."""
    x, lengths, labels = rows[:3]
    if lengths is not None:
        x = x * length_mask(lengths, x.shape[1])[..., None]
    if steps is not None:
        x = F.pad(x, (0, 0, 0, steps - x.shape[1]))
    x = x.flatten(1)
    return x if labels is None else torch.cat([x, F.one_hot(labels).to(x.dtype)], 1)
