"""How a game is set up, played and judged: data read, two players, a schedule, and what is said of the end.

Letters: `n` rows, `k` rows held out, `E` numbers of a row that the discriminator reads.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, column_or_1d
from torch import Generator, Tensor, nn

from regen.data.batching import RowBatch, RowBatches
from regen.data.ragged import Ragged
from regen.estimators._modalities import MODALITIES
from regen.estimators._splits import hold_out
from regen.estimators.adversarial.evaluation import NEIGHBOURS, Board
from regen.estimators.adversarial.game_losses import Duel, Duellists, Followed
from regen.estimators.adversarial.monitoring import Judge, verdicts
from regen.training.player import Player, make_optimizer
from regen.training.threads import fitting_threads

if TYPE_CHECKING:
    from regen.estimators.adversarial._base import AdversarialEstimator

__all__ = ["MOST_COMPARED", "learn"]

LEAST_BATCHES = 100
"""Batches of an epoch: where one pass over few rows gives less, an epoch is several passes. A game takes thousands of
moves however few the rows are."""
MOST_COMPARED = 1000
"""Rows held out that quality is measured on, at most."""
MOST_REMEMBERED = 10_000
"""Training rows that copies are looked for among, at most."""


def learn(model: AdversarialEstimator, X: Any, y: Any, generator: Generator) -> None:
    """Read data, hold some out, and let the nets compete; X and y as in `fit`, (n, ...) and (n,) or None."""
    kind = MODALITIES[model._kind_of_data(X)]
    given = kind.read(model, X, model._shape_given)
    n = len(given)
    labels = _learn_labels(model, y, n)
    groups = np.zeros(n, dtype=np.int64) if labels is None else labels
    held_out = hold_out(groups, model._options.validation, generator)
    training = np.setdiff1d(np.arange(n), held_out)
    _refuse_few(model, len(training), len(held_out))
    form = kind.learn(given, model._output, training)
    model.form_ = form.state()
    rows = model._encoded(form, given)
    model.lengths_ = None if rows.lengths is None else rows.lengths.numpy()[training]
    shares = np.bincount(labels[training], minlength=model.n_labels_) if labels is not None else np.ones(1)
    model.label_shares_ = shares / shares.sum()
    model.net_ = model._build().to(model._device)
    told = None if labels is None else torch.from_numpy(labels).to(model._device)
    with_rows = rows, told, torch.from_numpy(training), torch.from_numpy(held_out)
    _compete(model, *with_rows, generator)


def _learn_labels(model: AdversarialEstimator, y: Any, n: int) -> NDArray[np.int64] | None:
    """Places of the labels among `classes_`, which it sets; without labels there are none."""
    if y is None and "classes_" in vars(model):
        del model.classes_
    model.n_labels_ = 0
    if y is None:
        return None
    y = column_or_1d(y, warn=True)
    check_consistent_length(np.empty(n), y)
    check_classification_targets(y)
    model.classes_, places = np.unique(y, return_inverse=True)
    if len(model.classes_) == 1:
        raise ValueError(
            f"y has one class only, {model.classes_.tolist()[0]!r}. Leave y out, or give rows of several labels."
        )
    model.n_labels_ = len(model.classes_)
    return places.astype(np.int64)


def _refuse_few(model: AdversarialEstimator, training: int, held_out: int) -> None:
    if training <= NEIGHBOURS:
        raise ValueError(
            f"{type(model).__name__} learns how rows differ, and needs {NEIGHBOURS + 1} at least. Got"
            f" n_samples={training}."
        )
    if 0 < held_out <= NEIGHBOURS:
        raise ValueError(
            f"validation={model._options.validation!r} holds out {held_out} rows; quality needs {NEIGHBOURS + 1} at"
            " least. Raise it, take validation=0, or give more rows."
        )


def _compete(
    model: AdversarialEstimator,
    rows: Ragged,
    labels: Tensor | None,
    training: Tensor,
    held_out: Tensor,
    generator: Generator,
) -> None:
    """Train the nets of `model`, keep the best, calibrate its scores and say what went wrong.

    rows : as the discriminator reads them. labels : (n,) or None. training, held_out : their numbers.
    """
    plan, rules = model._options, model._rules
    followed = Followed(model.net_.generator, model._usual("ema_half_life"))
    critic: Any = model.net_.discriminator
    duel = Duel(followed.net, critic, model._inputs, rules)
    passes = -(-max(LEAST_BATCHES * plan.batch_size, 1) // len(training))
    feed = RowBatches(rows, labels, training.repeat(max(passes, 1)), plan.batch_size, whole=True)
    model._remember(_some(rows, labels, _drawn(training, max(rules.pack - 1, 1), generator)))
    known = _some(rows, labels, _drawn(held_out if len(held_out) else training, MOST_COMPARED, generator))
    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    board = Board(known, model._write, model._logits, model._code, seed)
    judge = None
    if len(held_out):
        every = max(1, round(model._game.quality_every / len(feed)))
        judge = Judge(board, lambda: followed.sampler, every, model._game.early_stopping)
    players = [
        _player(model, "generator", followed, duel.generate, 1.0),
        _player(model, "discriminator", critic, duel.discriminate, model._game.discriminator_rate),
    ]
    players[0] = replace(players[0], moved=followed.follow, memory=judge)
    schedule = model._game.schedule()
    data = (rows.values, held_out, *([] if labels is None else [labels]))
    with fitting_threads(model.net_, plan.batch_size, model._form.steps or 1):
        model._train_players(players, schedule, feed, judge, generator, *data)
    model.net_ = Duellists(followed.sampler, critic).eval()
    model.turns_ = [tuple(turn) for turn in getattr(schedule, "log", ())]
    model.backend_ = str(critic.backend_)
    told = _some(rows, labels, _drawn(training, MOST_REMEMBERED, generator))
    _take_stock(model, board, told, len(held_out) > 0)


def _player(model: AdversarialEstimator, name: str, module: nn.Module, loss: Any, ratio: float) -> Player:
    plan, weights = model._options, [weight for weight in module.parameters() if weight.requires_grad]
    betas = model._usual("beta1"), model._usual("beta2")
    optimizer = make_optimizer(
        plan.optimizer, weights, ratio * model._learning_rate, plan.weight_decay, betas
    )
    return Player(name, module, loss, optimizer)


def _take_stock(model: AdversarialEstimator, board: Board, training: RowBatch, held_out: bool) -> None:
    """Calibrate the scores, measure the generator that was kept, on new codes, and warn in words."""
    fake = board.fake(model.net_.generator, again=1)
    scores, told = board.scored(fake)
    model.calibration_ = [told, told if not model.n_labels_ else board.unlabelled.scored(fake)[1]]
    model.quality_ = board.measured(fake) | scores
    copies = board.copies(fake, training) if held_out else None
    if copies is not None:
        model.quality_ |= {f"memorisation_{name}": value for name, value in copies._asdict().items()}
    for words in verdicts(model.quality_, copies, held_out):
        warnings.warn(words, UserWarning, stacklevel=6)


def _drawn(index: Tensor, most: int, generator: Generator) -> Tensor:
    """Some of `index`, at most so many, in order."""
    return index[torch.randperm(len(index), generator=generator)[:most]].sort().values


def _some(rows: Ragged, labels: Tensor | None, index: Tensor) -> RowBatch:
    x, lengths = rows.gather(index)
    return RowBatch(x, lengths, None if labels is None else labels[index.to(labels.device)])
