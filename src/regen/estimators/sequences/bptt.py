"""Back-propagation through time over whole sequences, and their standardisation.

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

__all__ = ["SequenceBPTT", "SequenceScale", "predict_rows"]

LossFunction = Callable[[Tensor, Tensor], Tensor]
Index = NDArray[np.int64]
MEASURED_SEQUENCES = 256
"""Most sequences on which `SequenceBPTT.loss_per_copy` measures."""
BIDIRECTIONAL_COPIES, BIDIRECTIONAL_SEQUENCES = 64, 32
"""Its limits for a bidirectional net, which runs anew for every copy: without them, 400 copies on 64 sequences took
twice as long as the training."""


@final
@dataclass(frozen=True, eq=False)
class SequenceScale:
    """Centre and scale of each feature, both (F,): of the training sequences, or None: of each sequence.

    gaps : whether the net also receives the mask of the observed values.
    """

    center: Values | None
    scale: Values | None
    gaps: bool

    @classmethod
    def of(cls, sequences: Sequences, rows: Index, normalize: str) -> "SequenceScale":
        """The scale for a value of `normalize`, measured on the sequences number `rows`."""
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
        """Standardised float32 sequences of F features, or of 2 F: the values and the mask of the observed ones."""
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

    A feature that is constant in a piece has an infinite scale, so that it is 0 for any value; one without any value
    has mean 0.
    """
    count = np.maximum(np.add.reduceat(observed, starts, axis=0, dtype=np.int64), 1)
    center = np.add.reduceat(np.where(observed, values, 0.0), starts, axis=0) / count
    lengths = np.diff(starts, append=len(values))
    away = np.where(observed, values - np.repeat(center, lengths, axis=0), 0.0)
    scale = np.sqrt(np.add.reduceat(away * away, starts, axis=0) / count)
    return center, np.where(scale > 1e-12 * np.abs(center), scale, np.inf)


@final
class SequenceBPTT:
    """A network unfolded over whole sequences, some of which are held out to validate.

    Parameters
    ----------
    net, loss_function : the network, and the loss of each of its outputs.
    sequences : standardised.
    y : (n,) classes or (n, K) targets, on the device of the sequences.
    held_out : sequences to validate on; none: the training sequences are measured instead.
    batch_size : sequences per training batch.
    """

    def __init__(
        self,
        net: SequenceNet,
        loss_function: LossFunction,
        sequences: Ragged,
        y: Tensor,
        held_out: Index,
        batch_size: int,
    ) -> None:
        self.net, self.loss_function, self.sequences, self.y = net, loss_function, sequences, y
        training = torch.from_numpy(np.setdiff1d(np.arange(len(sequences)), held_out))
        self.held_out = torch.from_numpy(held_out) if len(held_out) else training
        batches = -(-len(training) // batch_size)
        passes = -(-LEAST_BATCHES // batches)
        self.batches = RowBatches(sequences, y, training.repeat(passes), batch_size)

    def loss(self, batch: RowBatch) -> Mapping[str, Tensor]:
        """Mean loss of one batch."""
        return {"loss": self.loss_function(self.net(batch.x, batch.lengths), batch.y).mean()}  # type: ignore[arg-type]

    def validate(self) -> dict[str, float]:
        """Mean loss of the held-out sequences."""
        total = 0.0
        for batch in _in_order(self.sequences, self.y, self.held_out):
            total += float(self.loss(batch)["loss"]) * len(batch.x)
        return {"loss": total / len(self.held_out)}

    def loss_per_copy(self) -> Tensor:
        """(S,) mean loss of each unfolded copy, if the sequence ended after its segment.

        Of more than 64 copies of a bidirectional net, 64 are measured, evenly spaced from the first to the last, on
        at most 32 sequences; those between are interpolated.
        """
        every = -(-len(self.held_out) // MEASURED_SEQUENCES)
        (batch,) = _in_order(self.sequences, self.y, self.held_out[::every])
        copies = np.arange(-(-batch.x.shape[1] // self.net.segment))
        last = copies[-1]
        if self.net.bidirectional and len(copies) > BIDIRECTIONAL_COPIES:
            copies = np.linspace(0, last, BIDIRECTIONAL_COPIES).round().astype(int)
            every = -(-len(batch.x) // BIDIRECTIONAL_SEQUENCES)
            batch = RowBatch(*(None if part is None else part[::every] for part in batch))  # type: ignore[arg-type]
        with evaluating(self.net):
            outputs = self.net.answers(batch.x, batch.lengths, copies.tolist())
            assert batch.y is not None
            targets = batch.y.unsqueeze(1).expand(-1, outputs.shape[1], *batch.y.shape[1:])
            losses = mean_per_step(self.loss_function(outputs, targets))
        all_copies = np.interp(np.arange(last + 1), copies, losses.double().cpu().numpy())
        return torch.from_numpy(all_copies).to(losses)


def predict_rows(net: SequenceNet, sequences: Ragged) -> Tensor:
    """Outputs (n, K) of a trained net, in evaluation mode."""
    with evaluating(net):
        return torch.cat([net(batch.x, batch.lengths) for batch in _in_order(sequences)])


def _in_order(sequences: Ragged, y: Tensor | None = None, index: Tensor | None = None) -> Iterator[RowBatch]:
    return RowBatches(sequences, y, index, EVALUATION_BATCH, shuffle=False).epoch()
