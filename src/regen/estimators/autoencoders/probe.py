"""The probe of an autoencoder. Letters: `n` rows, `T` steps, `Z` code, `W` outputs of the decoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from regen.data.ragged import Ragged
from regen.estimators._probe import CopyLosses, Probe, column_names, padded_values
from regen.estimators._sequence_input import SequenceInput
from regen.estimators.autoencoders.objectives import Objective
from regen.estimators.autoencoders.row_model import RowInputs

__all__ = ["row_probe"]


def row_probe(objective: Objective, data: Any, rows: Ragged, *, of_decoder: bool) -> Probe:
    """A network with rows; its outputs are the codes (n, Z), or with `of_decoder` those of the decoder (n, W)."""
    model = objective.model
    inputs = model.one_batch(rows)
    sequences = data.rows if isinstance(data, SequenceInput) else None

    def run(probe: Probe, x: Tensor) -> Tensor:
        inputs = _inputs(probe, x)
        codes = model.codes(inputs)
        return model.outputs(codes, inputs).flatten(1) if of_decoder else codes

    def copy_losses(probe: Probe) -> CopyLosses:
        sums = []
        for batch in probe.batches():
            inputs = _inputs(batch, batch.x)
            losses = model.cell_losses(
                model.outputs(model.codes(inputs), inputs), inputs, objective.cell_loss
            )
            mask = inputs.mask.to(losses.dtype)
            sums.append(torch.stack([each.double().sum((0, 2)) for each in (losses, mask)]))
        total, count = torch.stack(sums).sum(0).cpu().numpy()
        return CopyLosses(total / np.where(count > 0, count, np.nan), probe.x.shape[1], "step")

    return Probe(
        net=model.net,
        x=inputs.x,
        run=run,
        loss=lambda probe, x: -objective.row_scores(_inputs(probe, x)),
        copy_losses=copy_losses,
        observed=inputs.observed,
        lengths=inputs.lengths,
        targets=inputs.target,
        values=None if sequences is None else padded_values(sequences),
        features=() if sequences is None else column_names(sequences.values.shape[-1]),
        rows=range(len(rows)),
    )


def _inputs(probe: Probe, x: Tensor) -> RowInputs:
    """The rows of a probe with x as the input of the encoder."""
    assert probe.targets is not None
    return RowInputs(probe.targets, probe.observed, x, probe.lengths)
