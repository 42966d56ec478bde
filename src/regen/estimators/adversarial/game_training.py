"""Training of a GAN: two players, a schedule, a quality monitor, and the evaluation of the trained generator.

Letters: `n` rows, `E` encoded numbers of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, column_or_1d
from torch import Generator, Tensor, nn

from regen._random import Generators
from regen.data.batching import RowBatch, RowBatches
from regen.data.plain import complete_labels, plain
from regen.data.ragged import Ragged
from regen.estimators._splits import hold_out
from regen.estimators.adversarial.evaluation import N_NEIGHBORS, Evaluator, QualityMonitor, quality_warnings
from regen.estimators.adversarial.game import GameRules
from regen.estimators.adversarial.game_losses import EMAGenerator, GANLosses
from regen.estimators.adversarial.gan_model import GANModel, GANPair
from regen.training.device import fitting_threads
from regen.training.options import Training
from regen.training.player import Player, make_optimizer
from regen.training.schedule import Schedule

__all__ = ["MAX_COMPARED", "GameData", "GameResult", "GameTraining", "encode_labels", "split_rows"]

MIN_BATCHES = 100
"""Batches of an epoch: with few rows, an epoch is several passes. Training takes thousands of steps, however few rows
there are."""
MAX_COMPARED = 1000
"""Largest number of held-out rows that quality is measured on."""
MAX_MEMORISED = 10_000
"""Largest number of training rows that generated rows are compared with to find copies."""


@final
@dataclass(frozen=True, eq=False)
class GameData:
    """Encoded rows and their split.

    Parameters
    ----------
    rows : as inputs of the discriminator.
    labels : (n,) positions among the classes, or None.
    training, held_out : indices of rows.
    """

    rows: Ragged
    labels: Tensor | None
    training: Tensor
    held_out: Tensor

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Everything that the batches depend on."""
        return (self.rows.values, self.held_out, *([] if self.labels is None else [self.labels]))

    def subset(self, index: Tensor, size: int, rng: Generator) -> RowBatch:
        """At most `size` rows of `index` (m,), drawn at random, in order."""
        index = index[torch.randperm(len(index), generator=rng)[:size]].sort().values
        x, lengths, _ = self.rows.gather(index)
        return RowBatch(
            x, lengths, None if self.labels is None else self.labels[index.to(self.labels.device)]
        )


@final
@dataclass(frozen=True, eq=False)
class GameResult:
    """A trained GAN.

    Parameters
    ----------
    net : the generator that samples, and the discriminator.
    backend : what ran the networks.
    turns : turns that were taken by scores.
    companions : rows that complete the pack of a row that is scored; None without packs.
    calibration : slope and offset of the scores, for rows with and without labels.
    quality : measures of the generator.
    warnings : about its quality.
    """

    net: GANPair
    backend: str
    turns: list[tuple[Any, ...]]
    companions: RowBatch | None
    calibration: list[tuple[float, float]]
    quality: dict[str, float]
    warnings: list[str]

    def companion_arrays(self) -> list[NDArray[Any] | None]:
        """The rows, lengths and labels of the companions; nothing without packs."""
        parts = () if self.companions is None else self.companions[:3]
        return [None if each is None else each.cpu().numpy() for each in parts]


@final
@dataclass(frozen=True, eq=False)
class GameTraining:
    """Trains the two networks of a model against each other.

    Parameters
    ----------
    model : with untrained networks.
    rules : objective, penalties, averaging, optimizers and monitoring.
    schedule : which player moves next.
    options : training options.
    learning_rate : of the generator.
    """

    model: GANModel
    rules: GameRules
    schedule: Schedule
    options: Training
    learning_rate: float

    def run(self, data: GameData, train: Callable[..., None], rng: Generators) -> GameResult:
        """Train on `data`, evaluate the generator that is kept, and calibrate the scores of the discriminator.

        Parameters
        ----------
        data : encoded rows.
        train : callable, (players, schedule, batches, validate, rng, *tensors) -> None; trains the players.
        rng : draws companions, rows to compare, the order of the batches, codes and noise.
        """
        rules, net = self.rules, self.model.net
        generator = EMAGenerator(net.generator, rules.ema_half_life)
        discriminator: Any = net.discriminator
        passes = -(-max(MIN_BATCHES * self.options.batch_size, 1) // len(data.training))
        index = data.training.repeat(max(passes, 1))
        batches = RowBatches(data.rows, data.labels, index, self.options.batch_size, whole=True)
        companions = data.subset(data.training, max(rules.pack - 1, 1), rng.order)
        model = replace(self.model, companions=companions if rules.pack > 1 else None)
        monitored = data.held_out if len(data.held_out) else data.training
        rows, seed = data.subset(monitored, MAX_COMPARED, rng.order), _seed(rng.order)
        evaluator = Evaluator(rows, model.generate, model.logits, model.code_size, seed)
        monitor = None
        if len(data.held_out):
            every = max(1, round(rules.quality_every / len(batches)))
            monitor = QualityMonitor(evaluator, lambda: generator.sampler, every, rules.early_stopping)
        losses = GANLosses(generator.net, discriminator, model.to_inputs, rules, rng.on(model.device))
        players = self._players(generator, discriminator, losses, monitor)
        with fitting_threads(net, self.options.batch_size, model.modality.steps or 1):
            train(players, self.schedule, batches, monitor, rng, *data.tensors)
        trained = GANPair(generator.sampler, discriminator).eval()
        backend = str(discriminator.backend_)
        training_rows = data.subset(data.training, MAX_MEMORISED, rng.order)
        quality, calibration, warnings = _evaluate(
            evaluator, trained.generator, training_rows, len(data.held_out) > 0
        )
        turns = [tuple(turn) for turn in getattr(self.schedule, "log", ())]
        return GameResult(trained, backend, turns, model.companions, calibration, quality, warnings)

    def _players(
        self, generator: EMAGenerator, discriminator: nn.Module, losses: GANLosses, monitor: Any
    ) -> list[Player]:
        """The generator, whose state includes that of the monitor, and the discriminator."""
        ratio = self.rules.discriminator_rate
        return [
            Player(
                "generator",
                generator,
                losses.generator_loss,
                self._optimizer(generator, 1.0),
                stateful=monitor,
                after_step=generator.update,
                parts=losses.parts,
            ),
            Player(
                "discriminator",
                discriminator,
                losses.discriminator_loss,
                self._optimizer(discriminator, ratio),
                parts=losses.parts,
            ),
        ]

    def _optimizer(self, module: nn.Module, ratio: float) -> Any:
        weights = [weight for weight in module.parameters() if weight.requires_grad]
        options, rate = self.options, ratio * self.learning_rate
        return make_optimizer(options.optimizer, weights, rate, options.weight_decay, self.rules.betas)


def encode_labels(y: Any, n: int) -> tuple[NDArray[Any] | None, NDArray[np.int64] | None]:
    """The sorted classes (K,) of labels y (n,), and the position of each label among them; None without y."""
    if y is None:
        return None, None
    y = complete_labels("y", plain(y, "y"))
    y = column_or_1d(y, warn=True)
    check_consistent_length(np.empty(n), y)
    check_classification_targets(y)
    classes, index = np.unique(y, return_inverse=True)
    if len(classes) == 1:
        raise ValueError(
            f"y has only one class, {classes.tolist()[0]!r}. Leave y out, or give rows of several labels."
        )
    return classes, index.astype(np.int64)


def split_rows(
    owner: str, n: int, labels: NDArray[np.int64] | None, validation: float | str, rng: Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the training rows and of those held out, stratified by labels (n,).

    Raises
    ------
    ValueError
        When either part has too few rows to measure distances between neighbours.
    """
    groups = np.zeros(n, dtype=np.int64) if labels is None else labels
    held_out = hold_out(groups, validation, rng)
    training = np.setdiff1d(np.arange(n), held_out)
    if len(training) <= N_NEIGHBORS:
        raise ValueError(
            f"{owner} needs at least {N_NEIGHBORS + 1} training rows. Got n_samples={len(training)}."
        )
    if 0 < len(held_out) <= N_NEIGHBORS:
        raise ValueError(
            f"validation={validation!r} holds out {len(held_out)} rows; the quality measures need at least"
            f" {N_NEIGHBORS + 1}. Raise validation, set validation=0, or give more rows."
        )
    return training, held_out


def _evaluate(
    evaluator: Evaluator, generator: nn.Module, training: RowBatch, held_out: bool
) -> tuple[dict[str, float], list[tuple[float, float]], list[str]]:
    """Quality on codes that the generator was not selected by, calibration of the scores, and warnings."""
    generated = evaluator.generated(generator, draw=1)
    scores, calibration = evaluator.scores(generated)
    unlabelled = evaluator.without_labels().scores(generated)[1] if training.y is not None else calibration
    quality = evaluator.quality(generated) | scores
    memorised = evaluator.memorisation(generated, training) if held_out else None
    if memorised is not None:
        quality |= {f"memorisation_{name}": value for name, value in memorised._asdict().items()}
    return quality, [calibration, unlabelled], quality_warnings(quality, memorised, held_out)


def _seed(rng: Generator) -> int:
    return int(torch.randint(2**31 - 1, (), generator=rng))
