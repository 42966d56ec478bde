"""The probe of a sequence estimator. Letters: `n` sequences, `T` steps, `F` features, `K` outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regen._masks import length_mask
from regen.data.ragged import Ragged
from regen.estimators._probe import CopyLosses, Probe, ProbeTraits, column_names, mean_per_row, padded_values
from regen.estimators.sequences.bptt import SequenceBPTT
from regen.nets.sequence import SequenceNet

__all__ = ["sequence_probe"]


def sequence_probe(
    net: SequenceNet,
    sequences: Ragged,
    rows: Ragged,
    targets: Tensor | None,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    receives_mask: bool,
    classes: Sequence[Any] | None,
) -> Probe:
    """A network with sequences.

    Parameters
    ----------
    net : the network. sequences : in the units of the data. rows : the same, standardised.
    targets : (n,) places of the classes, or (n, K) standardised; None where there are none.
    loss : of outputs and targets, per value.
    receives_mask : whether the network receives the mask of observed values, as F further features.
    classes : labels of the outputs; None for targets that are numbers.
    """
    if targets is not None and len(targets) != len(sequences):
        raise ValueError(f"y has {len(targets)} rows and X has {len(sequences)}. Give one for each.")
    x, lengths, _ = rows.gather(torch.arange(len(rows)))
    names = column_names(sequences.values.shape[-1])

    def run(probe: Probe, x: Tensor) -> Tensor:
        return net(x, probe.lengths)  # type: ignore[no-any-return]

    def losses(probe: Probe, x: Tensor) -> Tensor:
        assert probe.targets is not None
        return mean_per_row(loss(run(probe, x), probe.targets), None)

    def copy_losses(probe: Probe) -> CopyLosses:
        probe.check_targets()
        x, lengths, y = probe.x, probe.lengths, probe.targets
        assert y is not None
        values = x if lengths is None else x[length_mask(lengths, x.shape[1], x.device)]
        bptt = SequenceBPTT(
            net, loss, Ragged(values, lengths=lengths), y, np.empty(0, dtype=np.int64), len(y)
        )
        return CopyLosses(bptt.loss_per_copy().cpu().numpy(), x.shape[1], "output")

    return Probe(
        net=net,
        x=x,
        run=run,
        loss=losses,
        copy_losses=copy_losses,
        lengths=lengths,
        targets=None if targets is None else targets.to(x.device),
        values=padded_values(sequences),
        features=(*names, *(f"{name} observed" for name in names)) if receives_mask else names,
        rows=range(len(rows)),
        traits=ProbeTraits(segment=net.segment, classes=classes),
    )
