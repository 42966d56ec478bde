"""A network with the encoding of its rows: from data to batches, codes and outputs, and back.

Letters: `n` rows, `B` batch, `S` draws, `T` steps, `E` encoded numbers of a row (of a step, for sequences), `Z` code,
`W` outputs of the decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regen._masks import length_mask
from regen.data.batching import RowBatch, RowBatches
from regen.data.plain import complete_labels
from regen.data.ragged import Ragged
from regen.estimators._modalities import Modality
from regen.losses.mixed_likelihood import MixedLikelihood
from regen.nets.autoencoder import AutoencoderNet
from regen.nets.recurrent_autoencoder import RecurrentEncoder
from regen.training.device import EVALUATION_BATCH, evaluating
from regen.training.row_parts import RowParts

__all__ = ["RowInputs", "RowModel", "RowSplit"]


class RowInputs(NamedTuple):
    """A batch of rows: the encoder's input and the decoder's target.

    target : (B, E) or (B, T, E); 0 where missing. observed : same shape, or None when nothing is missing.
    x : same shape, the encoder's input; 0 where missing. lengths : (B,) valid steps, or None for all.
    """

    target: Tensor
    observed: Tensor | None
    x: Tensor
    lengths: Tensor | None

    @property
    def mask(self) -> Tensor:
        """(B, E) or (B, T, E), True where a value was observed."""
        return torch.ones_like(self.x, dtype=torch.bool) if self.observed is None else self.observed


@final
@dataclass(frozen=True, eq=False)
class RowSplit:
    """Encoded rows, and the numbers of those to train on and of those held out."""

    rows: Ragged
    training: Tensor
    held_out: Tensor

    @property
    def evaluation(self) -> Tensor:
        """The rows held out; the training rows where none are."""
        return self.held_out if len(self.held_out) else self.training


@final
@dataclass(frozen=True, eq=False)
class RowModel:
    """An autoencoder network with the modality and the likelihood of its rows.

    Parameters
    ----------
    net : encoder and decoder.
    modality : encodes data as rows and decodes them.
    likelihood : of each column, given the decoder's outputs.
    code : Z.
    encodes_mask : whether the encoder also receives the mask of observed values.
    has_missing : whether the training rows had missing values.
    device : of the network.
    parts : in which encoder and decoder are run.
    """

    net: AutoencoderNet
    modality: Modality[Any]
    likelihood: MixedLikelihood
    code: int
    encodes_mask: bool
    has_missing: bool
    device: torch.device
    parts: RowParts

    @property
    def backend(self) -> str:
        """The backend that ran the encoder, and on which device."""
        encoder = self.net.encoder
        if isinstance(encoder, RecurrentEncoder):
            return str(encoder.reader.backend_)
        return f"torch: dense or convolutional layers on {self.device.type}"

    # From data to outputs.

    def encode(self, data: Any) -> Ragged:
        """Encoded rows, on the device of the network."""
        return self.modality.encode(data).to(self.device)

    def inputs(self, batch: RowBatch) -> RowInputs:
        """A batch as the network receives it. Steps past the end of a sequence are missing, too."""
        x, observed, lengths = batch.x, batch.observed, batch.lengths
        scaled = self.modality.layout.inputs(x)
        if observed is None and lengths is not None:
            observed = torch.ones_like(x, dtype=torch.bool) & length_mask(lengths, x.shape[1])[..., None]
        if observed is None:
            return RowInputs(x, None, scaled, None)
        return RowInputs(x, observed, torch.where(observed, scaled, 0.0), lengths)

    def batches(self, rows: Ragged, index: Tensor | None = None) -> Iterator[RowInputs]:
        """Rows number `index` (m,), or all for None, in order and at most 512 at a time."""
        return map(self.inputs, RowBatches(rows, None, index, EVALUATION_BATCH, shuffle=False).epoch())

    def one_batch(self, rows: Ragged) -> RowInputs:
        """All rows at once."""
        with evaluating(self.net):
            (batch,) = RowBatches(rows, None, None, len(rows), shuffle=False).epoch()
            return self.inputs(batch)

    def encoder_outputs(self, inputs: RowInputs) -> Tensor:
        """(B, Z), or a multiple of Z."""
        mask = inputs.observed if self.encodes_mask else None
        return self.parts(self.net.encoder, inputs.x, mask, inputs.lengths)  # type: ignore[no-any-return]

    def codes(self, inputs: RowInputs) -> Tensor:
        """(B, Z), the first Z outputs of the encoder."""
        outputs = self.encoder_outputs(inputs)
        return outputs if outputs.shape[1] == self.code else outputs[:, : self.code]

    def outputs(self, codes: Tensor, inputs: RowInputs) -> Tensor:
        """(B, W) or (B, T, W), outputs of the decoder for codes (B, Z), as long as the rows of `inputs`."""
        steps = inputs.x.shape[1] if inputs.x.ndim == 3 else None
        return self.parts(self.net.decoder, codes, steps, inputs.lengths)  # type: ignore[no-any-return]

    def outputs_of_draws(self, codes: Tensor, inputs: RowInputs) -> Tensor:
        """(S, B, W) or (S, B, T, W), outputs for S codes of each row, (S, B, Z)."""
        S, B = codes.shape[:2]
        repeated = inputs._replace(
            x=inputs.x[:1].expand(S * B, *inputs.x.shape[1:]),  # only its shape is used
            lengths=None if inputs.lengths is None else inputs.lengths.repeat(S),
        )
        outputs = self.outputs(codes.flatten(0, 1), repeated)
        return outputs.view(S, B, *outputs.shape[1:])

    # From outputs to results.

    def cell_losses(self, outputs: Tensor, inputs: RowInputs, loss: str) -> Tensor:
        """Loss of each value, shaped as the target, given `outputs` (B, W) or (B, T, W); 0 where missing."""
        return self.likelihood.loss(outputs, inputs.target, inputs.observed, loss)

    def row_losses(self, inputs: RowInputs, loss: str) -> Tensor:
        """(B,) mean loss of the observed values of each row, restored from its code."""
        losses = self.cell_losses(self.outputs(self.codes(inputs), inputs), inputs, loss).flatten(1)
        if inputs.observed is None:
            return losses.mean(1)
        return losses.sum(1) / inputs.observed.flatten(1).sum(1).clamp(min=1)

    def map(self, rows: Ragged, function: Callable[[RowInputs], Tensor]) -> Tensor:
        """`function` of all rows, batch by batch and without gradients; on the CPU."""
        with evaluating(self.net):
            return torch.cat([function(inputs).cpu() for inputs in self.batches(rows)])

    def expected(self, codes: Tensor, steps: int | None) -> Tensor:
        """(n, E) or (n, steps, E) expected encoded values for codes (n, Z); on the CPU."""
        with evaluating(self.net):
            return torch.cat(
                [
                    self.likelihood.mean(self.net.decoder(part.to(self.device), steps)).cpu()
                    for part in torch.split(codes, EVALUATION_BATCH)
                ]
            )

    def lengths(self, lengths: Any, n: int) -> tuple[int | None, NDArray[np.int64] | None]:
        """Steps to decode, and the `lengths` (n,) requested for n sequences; None is the longest at fit.

        Both are None where rows are no sequences.
        """
        longest = self.modality.steps
        if longest is None:
            if lengths is not None:
                raise ValueError(
                    "lengths are for sequences; this estimator was not fitted on any. Leave them out."
                )
            return None, None
        if lengths is None:
            return longest, np.full(n, longest)
        lengths = complete_labels("lengths", lengths)
        found = np.asarray(lengths)
        if found.shape != (n,) or found.dtype.kind not in "iu" or found.min(initial=1) < 1:
            raise ValueError(
                f"lengths must be {n} whole numbers of at least 1, one for each code. Got {lengths!r}."
            )
        return int(found.max()), found.astype(np.int64)

    def init_decoder_bias(self, split: RowSplit) -> None:
        """Start the decoder at the mean of every training column; at 0 for a pixel that no image has."""
        values = split.rows.select(split.training.sort().values).with_nan()
        bias = self.likelihood.initial_bias(values.reshape(-1, values.shape[-1]))
        self.net.decoder.set_bias(bias.nan_to_num(0.0))
