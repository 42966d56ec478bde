"""Back-propagation through time over whole sequences, and how they are standardised.

Letters: `n` sequences, `N` steps of all of them together, `F` features, `S` recurrent steps, `K` outputs.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regen.data.batching import RowBatch, RowBatches
from regen.data.ragged import Ragged
from regen.data.scaling import Standardizer, is_constant, moments
from regen.estimators._splits import LEAST_BATCHES
from regen.losses.regression import mean_per_step
from regen.nets.sequence import SequenceNet
from regen.training.device import EVALUATION_BATCH, evaluating
from regen.training.row_parts import RowParts

__all__ = ["SequenceBPTT", "fit_standardizer", "predict_rows"]

LossFunction = Callable[[Tensor, Tensor], Tensor]
Index = NDArray[np.int64]
MEASURED_SEQUENCES = 256
"""Most sequences on which `SequenceBPTT.loss_per_copy` measures."""
BIDIRECTIONAL_COPIES, BIDIRECTIONAL_SEQUENCES = 64, 32
"""Its limits for a bidirectional net, which runs anew for every copy: without them, 400 copies on 64 sequences took
twice as long as the training."""


def fit_standardizer(sequences: Ragged, rows: Index, normalize: str) -> Standardizer:
    """The standardizer for a value of `normalize`, measured on the sequences number `rows`.

    A feature that is constant in these has an infinite scale, so that it is 0 in every sequence: there is nothing to
    learn from it.
    """
    features = sequences.values.shape[-1]
    if normalize == "sequence":
        return Standardizer(None, None)
    if normalize == "none":
        return Standardizer(np.zeros(features), np.ones(features))
    steps = sequences.steps_of(torch.from_numpy(rows))
    values, observed = sequences.steps[steps].numpy(), sequences.observed_steps[steps].numpy()
    center, deviation = moments(values, observed, starts=np.zeros(1, dtype=np.int64))
    return Standardizer(center[0], np.where(is_constant(center, deviation), np.inf, deviation)[0])


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
        self.parts = RowParts(net)
        training = torch.from_numpy(np.setdiff1d(np.arange(len(sequences)), held_out))
        self.held_out = torch.from_numpy(held_out) if len(held_out) else training
        batches = -(-len(training) // batch_size)
        passes = -(-LEAST_BATCHES // batches)
        self.batches = RowBatches(sequences, y, training.repeat(passes), batch_size)

    def loss(self, batch: RowBatch) -> Mapping[str, Tensor]:
        """Mean loss of one batch."""
        return {"loss": self.loss_function(self.parts(self.net, batch.x, batch.lengths), batch.y).mean()}  # type: ignore[arg-type]

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
            outputs = self.net.copy_outputs(batch.x, batch.lengths, copies.tolist())
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
