"""The model of a fitted GAN: codes to rows by the generator, rows to logits by the discriminator.

Letters: `n` rows, `T` steps, `E` encoded numbers of a row (of a step, for sequences), `Z` code, `m` rows of a pack.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from regen.data.batching import RowBatch
from regen.data.ragged import Ragged
from regen.estimators._modalities import Modality, TableModality
from regen.losses.straight_through import StraightThrough
from regen.training.device import EVALUATION_BATCH, evaluating

__all__ = ["GANModel", "GANPair", "append_companions", "batched_logits", "resolve_code_size"]


@final
class GANPair(nn.Module):
    """A generator and the discriminator that it is trained against."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator


@final
@dataclass(frozen=True, eq=False)
class GANModel:
    """Two networks and everything that turns codes into rows of data and rows into logits.

    Parameters
    ----------
    owner : class name of the estimator, for messages.
    modality : encodes data as rows of numbers and decodes them.
    net : generator and discriminator.
    code_size : Z.
    device : of the networks.
    classes : (K,) sorted labels; None for an unconditional model.
    label_shares : (K,) share of each label in the training data.
    lengths : (n,) steps of the training sequences; None where all are of one length, or no sequences.
    companions : m - 1 rows that complete the pack of every row that is scored; None without packs.
    """

    owner: str
    modality: Modality[Any]
    net: GANPair
    code_size: int
    device: torch.device
    classes: NDArray[Any] | None = None
    label_shares: NDArray[np.float64] | None = None
    lengths: NDArray[np.int64] | None = None
    companions: RowBatch | None = None

    @cached_property
    def output_layer(self) -> StraightThrough:
        """Cells of a row from the outputs of a generator, with straight-through gradients."""
        layout = self.modality.layout
        blocks = [(block.kind, block.start, block.stop) for block in layout.blocks]
        return StraightThrough(blocks, *map(torch.from_numpy, layout.input_moments))

    def encode(self, raw: Any) -> Ragged:
        """Encode data that the modality has read as inputs of the discriminator.

        Raises
        ------
        ValueError
            When a value is missing.
        """
        rows = self.modality.encode(raw)
        if rows.observed is not None:
            raise ValueError(
                f"X has missing values (NaN), and {self.owner} requires complete rows. Impute them first, for example"
                " with regen.DenoisingAutoencoder().impute, or drop those rows."
            )
        return Ragged(self.modality.layout.inputs(rows.values), lengths=rows.lengths).to(self.device)

    def to_inputs(self, outputs: Tensor, rng: Generator) -> Tensor:
        """Inputs of the discriminator from outputs (n, E) or (n, T, E) of a generator; differentiable."""
        return self.modality.layout.inputs(self.output_layer.sample(outputs, rng))

    @torch.no_grad()
    def cells(
        self, generator: Any, codes: Tensor, labels: Tensor | None, steps: int | None, rng: Generator | None
    ) -> Tensor:
        """Generate encoded cells (n, E) or (n, T, E) from codes (n, Z) and labels (n,).

        They are drawn by `rng`, and the expected ones if that is None.
        """
        parts = []
        for start in range(0, len(codes), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            outputs = generator(codes[part], None if labels is None else labels[part], steps)
            parts.append(
                self.output_layer.mean(outputs) if rng is None else self.output_layer.sample(outputs, rng)
            )
        return torch.cat(parts)

    def generate(
        self, generator: Any, codes: Tensor, labels: Tensor | None, steps: int | None, rng: Generator | None
    ) -> Tensor:
        """Generate inputs of the discriminator from codes (n, Z) and labels (n,); as `cells`."""
        return self.modality.layout.inputs(self.cells(generator, codes, labels, steps, rng))

    def decode(
        self, codes: Tensor, labels: Tensor | None, lengths: NDArray[np.int64] | None, rng: Generator | None
    ) -> Any:
        """Generate data as in fit from codes (n, Z), labels (n,) and lengths (n,) of sequences."""
        steps = None if lengths is None else int(lengths.max())
        with evaluating(self.net):
            cells = self.cells(self.net.generator, codes, labels, steps, rng).cpu()
        return self.modality.decode(cells, lengths, rounded=True)

    def logits(self, batch: RowBatch) -> Tensor:
        """Logits (n,) of the discriminator; without labels, in a conditional model, the largest of any label."""
        discriminator = self.net.discriminator
        if self.classes is None or batch.y is not None:
            return batched_logits(discriminator, batch, self.companions)
        labels = (torch.full((len(batch.x),), k, device=batch.x.device) for k in range(len(self.classes)))
        return torch.stack(
            [batched_logits(discriminator, batch._replace(y=label), self.companions) for label in labels]
        ).amax(0)


def resolve_code_size(code: int | str, modality: Modality[Any]) -> int:
    """Z; "auto" is the number of encoded columns of a table within [2, 64], and 16 for other modalities."""
    if isinstance(code, int):
        return code
    return max(2, min(modality.layout.blocks[-1].stop, 64)) if isinstance(modality, TableModality) else 16


@torch.no_grad()
def batched_logits(discriminator: Any, batch: RowBatch, companions: RowBatch | None) -> Tensor:
    """Logits (n,) of rows, computed in batches; a discriminator of packs gets each row with the same companions."""
    logits = []
    for start in range(0, len(batch.x), EVALUATION_BATCH):
        part = slice(start, start + EVALUATION_BATCH)
        rows = RowBatch(*(None if each is None else each[part] for each in batch))  # type: ignore[arg-type]
        x, lengths, y, _ = rows if companions is None else append_companions(rows, companions)
        logits.append(discriminator(x, y, lengths))
    return torch.cat(logits)


def append_companions(rows: RowBatch, companions: RowBatch) -> RowBatch:
    """Packs of m rows, (n m, ...): each of the rows (n, ...) followed by all companions (m - 1, ...)."""
    packs = (_append(own, others) for own, others in zip(rows, companions, strict=True))
    return RowBatch(*packs)  # type: ignore[arg-type]


def _append(rows: Tensor | None, companions: Tensor | None) -> Tensor | None:
    if rows is None or companions is None:
        return None
    if rows.ndim == 3 and rows.shape[1] != companions.shape[1]:
        steps = max(rows.shape[1], companions.shape[1])
        rows, companions = (F.pad(each, (0, 0, 0, steps - each.shape[1])) for each in (rows, companions))
    repeated = companions.expand(len(rows), *companions.shape)
    return torch.cat([rows[:, None], repeated], 1).flatten(0, 1)
