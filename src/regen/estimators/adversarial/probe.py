"""The probe of a GAN: its discriminator with rows. Letters: `n` rows, `T` steps."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional

from regen.data.batching import RowBatch
from regen.estimators._probe import Probe, ProbeTraits, column_names, padded_values
from regen.estimators._sequence_input import SequenceInput
from regen.estimators.adversarial.gan_model import GANModel, append_companions

__all__ = ["discriminator_probe"]


def discriminator_probe(model: GANModel, data: Any, batch: RowBatch) -> Probe:
    """The output is the logit of a row being real, and the loss that of the class "real"."""
    sequences = data.rows if isinstance(data, SequenceInput) else None

    def run(probe: Probe, x: Tensor) -> Tensor:
        rows = RowBatch(x, probe.lengths, probe.labels)
        if model.companions is not None:
            rows = append_companions(rows, model.companions)
        return model.net.discriminator(rows.x, rows.y, rows.lengths)[:, None]  # type: ignore[no-any-return]

    return Probe(
        net=model.net,
        x=batch.x,
        run=run,
        loss=lambda probe, x: functional.softplus(-run(probe, x)[:, 0]),
        lengths=batch.lengths,
        labels=batch.y,
        values=None if sequences is None else padded_values(sequences),
        features=() if sequences is None else column_names(sequences.values.shape[-1]),
        rows=range(len(batch.x)),
        traits=ProbeTraits(needs_targets=False, default_part="discriminator"),
    )
