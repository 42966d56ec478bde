"""What autoencoders minimise, and by what they score rows: reconstruction, and denoising of corrupted rows.

Letters: `B` batch, `T` steps, `E` encoded numbers of a row (of a step, for sequences), `F` columns, `Z` code,
`W` outputs of the decoder.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Generator, Tensor

from regen._masks import length_mask
from regen._random import Generators, fit_generators
from regen.data.corruption import corrupt
from regen.data.table_encoding import Block
from regen.estimators.autoencoders.row_model import RowInputs, RowModel
from regen.losses.penalties import contractive, kl_sparsity, l1

__all__ = [
    "HIDDEN_SHARE",
    "NUMERIC_KINDS",
    "PENALTIES",
    "RECONSTRUCTION_LIKELIHOODS",
    "SPARSITY",
    "Corruption",
    "Denoising",
    "Objective",
    "Reconstruction",
    "columns_of",
    "hidden_cells",
]

Corruption = Callable[[Tensor, Generator], Tensor]

NUMERIC_KINDS = ("real", "nonnegative", "unit", "binary", "counts")
"""What a column of numbers may be."""
RECONSTRUCTION_LIKELIHOODS: Mapping[str, str] = {
    "real": "squared",
    "nonnegative": "nonnegative",
    "unit": "bernoulli",
    "binary": "bernoulli",
    "counts": "poisson",
    "categorical": "categorical",
}
"""Likelihood by which a column of each kind is restored, and which gives its loss."""
PENALTIES = ("l1", "kl", "contractive")
SPARSITY = 0.05
"""Mean activity of a unit of the code at which the "kl" penalty is 0 (Ng 2011)."""
HIDDEN_SHARE = 0.05
"""Share of observed cells hidden at random in addition to the gaps of other rows, for gaps in other columns later."""


@dataclass(frozen=True, eq=False)
class Objective(ABC):
    """The loss of a batch and the scores of its rows.

    model : the network and the encoding of its rows. cell_loss : "auto" is the loss of each column's likelihood;
    else the name of a loss of the mean.
    """

    model: RowModel
    cell_loss: str

    @abstractmethod
    def loss(self, inputs: RowInputs, rng: Generator) -> Mapping[str, Tensor]:
        """Named scalars of a batch, "loss" among them; random numbers are from `rng`."""

    @abstractmethod
    def row_scores(self, inputs: RowInputs) -> Tensor:
        """(B,) score of each row, higher for more normal rows; deterministic."""


@final
@dataclass(frozen=True, eq=False)
class Reconstruction(Objective):
    """Mean loss of the observed values, plus weighted penalties on the code."""

    penalty: Mapping[str, float]

    def error(self, outputs: Tensor, inputs: RowInputs) -> Tensor:
        """Mean loss of the observed values of a batch, given the decoder's `outputs` (B, W) or (B, T, W)."""
        losses = self.model.cell_losses(outputs, inputs, self.cell_loss)
        return losses.mean() if inputs.observed is None else losses.sum() / inputs.observed.sum().clamp(min=1)

    def loss(self, inputs: RowInputs, rng: Generator) -> Mapping[str, Tensor]:
        """The error and each penalty; `rng` draws what estimates the contractive one."""
        model = self.model
        if not self.penalty:
            return {"loss": self.error(model.outputs(model.codes(inputs), inputs), inputs)}
        with torch.enable_grad():  # validation needs the Jacobian, too
            inputs = inputs._replace(x=inputs.x.detach().requires_grad_("contractive" in self.penalty))
            codes = model.codes(inputs)
            penalties: dict[str, Callable[[], Tensor]] = {
                "l1": lambda: l1(codes).mean(),
                "kl": lambda: kl_sparsity(codes.sigmoid(), SPARSITY).sum(),
                "contractive": lambda: contractive(codes, inputs.x, generator=rng).mean(),
            }
            terms = {name: penalties[name]() for name in self.penalty}
        error = self.error(model.outputs(codes, inputs), inputs)
        penalty = sum(self.penalty[name] * terms[name] for name in terms)
        return {"loss": error + penalty, "error": error, **terms}

    def row_scores(self, inputs: RowInputs) -> Tensor:
        """Minus the mean loss of the observed values."""
        return -self.model.row_losses(inputs, self.cell_loss)


@final
@dataclass(frozen=True, eq=False)
class Denoising(Objective):
    """Loss of clean rows restored from corrupted ones: mean over hidden values plus mean over visible ones.

    corruption, noise : as in `DenoisingAutoencoder`. columns : (E,) from `columns_of`. bounds : lowest and highest
    input of each column, (E,) each.
    """

    corruption: str | Corruption
    noise: float
    columns: Tensor
    bounds: tuple[Tensor, Tensor]

    @property
    def hides(self) -> bool:
        """Whether values are hidden in training, so that the encoder needs the mask."""
        return self.model.encodes_mask

    def loss(self, inputs: RowInputs, rng: Generator) -> Mapping[str, Tensor]:
        """The mean loss of the values; of hidden and of visible ones where any are hidden."""
        corrupted, hidden = self.corrupt(inputs, rng)
        outputs = self.model.outputs(self.model.codes(corrupted), inputs)
        losses = self.model.cell_losses(outputs, inputs, self.cell_loss)
        if hidden is None:
            observed = inputs.observed
            return {"loss": losses.mean() if observed is None else losses.sum() / observed.sum().clamp(min=1)}
        visible = corrupted.mask
        terms = {
            "hidden": (losses * hidden).sum() / hidden.sum().clamp(min=1),
            "visible": (losses * visible).sum() / visible.sum().clamp(min=1),
        }
        return {"loss": terms["hidden"] + terms["visible"], **terms}

    def row_scores(self, inputs: RowInputs) -> Tensor:
        """Minus the mean loss of the observed values."""
        return -self.model.row_losses(inputs, self.cell_loss)

    def corrupt(self, inputs: RowInputs, rng: Generator) -> tuple[RowInputs, Tensor | None]:
        """Corrupted inputs, and which observed cells (as x) are hidden; None where none ever are."""
        if callable(self.corruption):
            x = _corrupted(self.corruption, inputs.x, rng)
        elif self.corruption == "mask":
            x = inputs.x  # hidden below, together with the gaps of other rows
        else:
            columns = self.columns.to(inputs.x.device) if self.corruption == "salt_pepper" else None
            x = corrupt(
                inputs.x,
                self.corruption,  # type: ignore[arg-type]
                self.noise,
                rng,
                bounds=self.bounds,
                column=columns,
            )
        if not self.hides:
            observed = inputs.observed  # also False past the end of a sequence
            return inputs._replace(x=x if observed is None else torch.where(observed, x, 0.0)), None
        observed = inputs.mask
        share = (
            self.noise if self.corruption == "mask" else 0.0 if callable(self.corruption) else HIDDEN_SHARE
        )
        hidden = x.isnan() & observed if callable(self.corruption) else torch.zeros_like(observed)
        hidden |= hidden_cells(inputs, share, self.model.has_missing, self.columns, rng)
        visible = observed & ~hidden
        return inputs._replace(x=torch.where(visible, x, 0.0), observed=visible), hidden


def _corrupted(corruption: Corruption, x: Tensor, rng: Generator) -> Tensor:
    """Rows corrupted by the function of a user; what it draws without `rng` is not from torch's global generator."""
    generators = fit_generators() or Generators(rng.initial_seed())
    with generators.redirecting():
        return corruption(x, rng)


def columns_of(blocks: Sequence[Block]) -> Tensor:
    """(E,) the column of each encoded number, counted from 0: the numbers of a category share one."""
    found: list[int] = []
    for block in blocks:
        first, size = found[-1] + 1 if found else 0, block.stop - block.start
        found += [first] * size if block.kind == "categorical" else range(first, first + size)
    return torch.tensor(found)


def hidden_cells(inputs: RowInputs, share: float, patterns: bool, columns: Tensor, rng: Generator) -> Tensor:
    """Which observed cells of a batch to hide, shaped as x; never a missing one.

    Parameters
    ----------
    share : share of cells hidden at random.
    patterns : each row also hides what another row of the batch lacks, so that values that are missing together in
        the data are hidden together.
    columns : (E,) from `columns_of`; numbers of one column are hidden together.
    """
    observed = inputs.mask
    device = rng.device
    cells = (*observed.shape[:-1], int(columns[-1]) + 1)
    hidden = torch.rand(cells, generator=rng, device=device) < share
    hidden = hidden.to(observed.device)[..., columns.to(observed.device)]
    if patterns:
        other = torch.randperm(len(observed), generator=rng, device=device).to(observed.device)
        gaps = ~observed
        if inputs.lengths is not None:  # a step past the end of a sequence is no gap
            gaps &= length_mask(inputs.lengths, inputs.x.shape[1])[..., None]
        hidden |= gaps[other]
    return hidden & observed
