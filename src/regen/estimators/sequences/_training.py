"""From sequences to what a sequence estimator trains on: one scale, gaps marked, rows held out, costs per copy.

Letters: `n` sequences, `N` steps of all of them together, `F` features, `S` recurrent steps, `K` outputs.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regen.data.batching import RowBatch, RowBatches
from regen.data.ragged import Ragged
from regen.estimators._evaluation import EVALUATION_BATCH, evaluating
from regen.estimators._sequence_input import Sequences, Values
from regen.estimators._splits import LEAST_BATCHES
from regen.losses.regression import mean_per_step
from regen.nets.sequence import SequenceNet

__all__ = ["SequenceScale", "SequenceUnfolding", "still_answers"]

Cost = Callable[[Tensor, Tensor], Tensor]
Index = NDArray[np.int64]
MOST_LOOKED_BACK = 256
"""Rows that the cost of every unfolded copy is measured on."""
MOST_READINGS, MOST_READ_ANEW = 64, 32
"""A bidirectional net reads anew for every copy. Of more copies than the first it is asked only so many, on as many
rows as the second: the costs of 400 copies on 64 rows took twice as long as the training they were to explain."""


@final
@dataclass(frozen=True, eq=False)
class SequenceScale:
    """Centre and scale of each feature, both (F,): of the training sequences, or None: of each sequence.

    gaps : whether the net is also told which values were observed.
    """

    center: Values | None
    scale: Values | None
    gaps: bool

    @classmethod
    def of(cls, sequences: Sequences, rows: Index, normalize: str) -> "SequenceScale":
        """What `normalize` asks for, measured on the sequences number `rows`."""
        observed = sequences.observed
        gaps = not observed.all()
        features = sequences.values.shape[1]
        if normalize == "sequence":
            return cls(None, None, gaps)
        if normalize == "none":
            return cls(np.zeros(features), np.ones(features), gaps)
        steps = sequences.steps_of(rows)
        one = np.zeros(1, dtype=np.int64)
        center, scale = _moments(sequences.values[steps], observed[steps], one)
        return cls(center[0], scale[0], gaps)

    def rows(self, sequences: Sequences, device: torch.device | str = "cpu") -> Ragged:
        """Standardised float32 rows of F features, or 2 F with those that say what was observed."""
        observed = sequences.observed
        if self.center is None or self.scale is None:
            center, scale = _moments(sequences.values, observed, sequences.starts)
            center, scale = (np.repeat(each, sequences.lengths, axis=0) for each in (center, scale))
        else:
            center, scale = self.center, self.scale
        z = np.nan_to_num((sequences.filled() - center) / scale, nan=0.0)
        if self.gaps:
            z = np.concatenate([z, observed], axis=1)
        values, lengths = torch.from_numpy(z.astype(np.float32)).to(device), sequences.lengths
        if (lengths == lengths[0]).all():
            return Ragged(values.view(len(lengths), int(lengths[0]), -1))
        return Ragged(values, torch.from_numpy(lengths))


def _moments(values: Values, observed: NDArray[np.bool_], starts: Index) -> tuple[Values, Values]:
    """Mean and standard deviation (pieces, F) of the observed values of the pieces that begin at `starts`.

    A feature that is constant in a piece has an infinite scale, so that it reads 0 whatever comes: there is
    nothing to learn from it. One without any value has mean 0.
    """
    count = np.maximum(np.add.reduceat(observed, starts, axis=0, dtype=np.int64), 1)
    center = np.add.reduceat(np.where(observed, values, 0.0), starts, axis=0) / count
    lengths = np.diff(starts, append=len(values))
    away = np.where(observed, values - np.repeat(center, lengths, axis=0), 0.0)
    scale = np.sqrt(np.add.reduceat(away * away, starts, axis=0) / count)
    return center, np.where(scale > 1e-12 * np.abs(center), scale, np.inf)


@final
class SequenceUnfolding:
    """A network unfolded over sequences of which some are held out to validate.

    Parameters
    ----------
    net, cost : the network, and the cost of each of its answers.
    rows : the sequences, standardised.
    y : (n,) classes or (n, K) targets, on the device of the rows.
    held_out : rows to validate on; none: the training rows are looked at instead.
    batch_size : rows per training batch.
    """

    def __init__(
        self, net: SequenceNet, cost: Cost, rows: Ragged, y: Tensor, held_out: Index, batch_size: int
    ) -> None:
        self.net, self.cost, self.rows, self.y = net, cost, rows, y
        training = torch.from_numpy(np.setdiff1d(np.arange(len(rows)), held_out))
        self.held_out = torch.from_numpy(held_out) if len(held_out) else training
        batches = -(-len(training) // batch_size)
        passes = -(-LEAST_BATCHES // batches)
        self.feed = RowBatches(rows, y, training.repeat(passes), batch_size)

    def loss(self, batch: RowBatch) -> Mapping[str, Tensor]:
        """Mean cost of one batch."""
        return {"loss": self.cost(self.net(batch.x, batch.lengths), batch.y).mean()}  # type: ignore[arg-type]

    def judge(self) -> dict[str, float]:
        """Mean cost of the held-out rows."""
        total = 0.0
        for batch in _in_order(self.rows, self.y, self.held_out):
            total += float(self.loss(batch)["loss"]) * len(batch.x)
        return {"loss": total / len(self.held_out)}

    def per_step(self) -> Tensor:
        """(S,) mean cost of each unfolded copy: had the net to answer after its segment.

        Of more than 64 copies of a bidirectional net, 64 are asked, evenly spread from the first to the last, on at
        most 32 rows; the costs of those between lie on a straight line.
        """
        every = -(-len(self.held_out) // MOST_LOOKED_BACK)
        (batch,) = _in_order(self.rows, self.y, self.held_out[::every])
        asked = np.arange(-(-batch.x.shape[1] // self.net.segment))
        last = asked[-1]
        if self.net.bidirectional and len(asked) > MOST_READINGS:
            asked = np.linspace(0, last, MOST_READINGS).round().astype(int)
            every = -(-len(batch.x) // MOST_READ_ANEW)
            batch = RowBatch(*(None if part is None else part[::every] for part in batch))  # type: ignore[arg-type]
        with evaluating(self.net):
            answers = self.net.answers(batch.x, batch.lengths, asked.tolist())
            assert batch.y is not None
            wanted = batch.y.unsqueeze(1).expand(-1, answers.shape[1], *batch.y.shape[1:])
            cost = mean_per_step(self.cost(answers, wanted))
        between = np.interp(np.arange(last + 1), asked, cost.double().cpu().numpy())
        return torch.from_numpy(between).to(cost)


def still_answers(net: SequenceNet, rows: Ragged) -> Tensor:
    """(n, K) answers of a trained net, without gradients."""
    with evaluating(net):
        return torch.cat([net(batch.x, batch.lengths) for batch in _in_order(rows)])


def _in_order(rows: Ragged, y: Tensor | None = None, index: Tensor | None = None) -> Iterator[RowBatch]:
    return RowBatches(rows, y, index, EVALUATION_BATCH, shuffle=False).epoch()
