"""How a game is set up, played, and judged: rows, two players, a schedule, and what is said of the end.

Letters: `n` rows, `k` rows held out, `E` numbers of a row that the discriminator reads.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor, nn

from regen.data.windows import RowBatch, RowFeed, Rows
from regen.estimators._board import Board
from regen.estimators._duel import Duel, Duellists, Followed
from regen.estimators._judge import Judge, verdicts
from regen.training.player import Player, make_optimizer
from regen.training.threads import fitting_threads

if TYPE_CHECKING:
    from regen.estimators.adversary import AdversarialEstimator

__all__ = ["compete"]

LEAST_BATCHES = 50
"""Batches of an epoch: where one pass over few rows gives less, an epoch is several passes. A game takes thousands of
moves however few the rows are."""
MOST_COMPARED = 1000
"""Rows held out that quality is measured on, at most."""
MOST_REMEMBERED = 10_000
"""Training rows that copies are looked for among, at most."""


def compete(
    model: AdversarialEstimator,
    rows: Rows,
    labels: Tensor | None,
    training: Tensor,
    held_out: Tensor,
    generator: Generator,
) -> None:
    """Train the nets of `model`, keep the best, calibrate its scores and say what went wrong.

    rows : as the discriminator reads them. labels : (n,) or None. training, held_out : their numbers.
    """
    plan, rules = model._plan, model._rules
    followed = Followed(model.net_.generator, model._usual("ema_half_life"))
    critic: Any = model.net_.discriminator
    duel = Duel(followed.net, critic, model._inputs, rules)
    passes = -(-max(LEAST_BATCHES * plan.batch_size, 1) // len(training))
    feed = RowFeed(rows, labels, training.repeat(max(passes, 1)), plan.batch_size, whole=True)
    model._remember(_some(rows, labels, _drawn(training, max(rules.pack - 1, 1), generator)))
    known = _some(rows, labels, _drawn(held_out if len(held_out) else training, MOST_COMPARED, generator))
    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    board = Board(known, model._write, model._logits, model.code, seed)
    judge = None
    if len(held_out):
        every = max(1, round(model._game.quality_every / len(feed)))
        judge = Judge(board, lambda: followed.sampler, every, model._game.early_stopping or "coverage")
    players = [
        _player(model, "generator", followed, duel.generate, 1.0),
        _player(model, "discriminator", critic, duel.discriminate, model._game.discriminator_rate),
    ]
    players[0] = replace(players[0], moved=followed.follow, memory=judge)
    schedule = model._game.schedule()
    data = (rows.values, held_out, *([] if labels is None else [labels]))
    with fitting_threads(model.net_, plan.batch_size, model._form.steps or 1):
        model._play(players, schedule, feed, judge, generator, *data)
    model.net_ = Duellists(followed.sampler, critic)
    model.turns_ = [tuple(turn) for turn in getattr(schedule, "log", ())]
    model.backend_ = str(critic.backend_)
    told = _some(rows, labels, _drawn(training, MOST_REMEMBERED, generator))
    _take_stock(model, board, told, len(held_out) > 0)


def _player(model: AdversarialEstimator, name: str, module: nn.Module, loss: Any, ratio: float) -> Player:
    plan, weights = model._plan, [weight for weight in module.parameters() if weight.requires_grad]
    betas = model._usual("beta1"), model._usual("beta2")
    optimizer = make_optimizer(plan.optimizer, weights, ratio * model._rate, plan.weight_decay, betas)
    return Player(name, module, loss, optimizer)


def _take_stock(model: AdversarialEstimator, board: Board, training: RowBatch, held_out: bool) -> None:
    """Calibrate the scores, measure the generator that was kept, on new codes, and warn in words."""
    fake = board.fake(model.net_.generator, again=1)
    scores, model.calibration_ = board.scored(fake)
    model.quality_ = board.measured(fake) | scores
    copies = board.copies(fake, training) if held_out else None
    if copies is not None:
        model.quality_ |= {f"memorisation_{name}": value for name, value in copies._asdict().items()}
    for words in verdicts(model.quality_, copies, held_out):
        warnings.warn(words, UserWarning, stacklevel=6)


def _drawn(index: Tensor, most: int, generator: Generator) -> Tensor:
    """Some of `index`, at most so many, in order."""
    return index[torch.randperm(len(index), generator=generator)[:most]].sort().values


def _some(rows: Rows, labels: Tensor | None, index: Tensor) -> RowBatch:
    x, lengths = rows.gather(index)
    return RowBatch(x, lengths, None if labels is None else labels[index.to(labels.device)])
