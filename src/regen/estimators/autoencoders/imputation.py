"""Imputation by a denoising autoencoder: expected values, and draws by the errors of values hidden on purpose.

Letters: `n` rows, `B` batch, `E` encoded numbers of a row (of a step), `D` donors, `M` cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from regen.data.ragged import Ragged
from regen.data.table_encoding import Block
from regen.estimators.autoencoders.objectives import HIDDEN_SHARE, Denoising, hidden_cells
from regen.estimators.autoencoders.row_model import RowModel
from regen.training.device import evaluating

__all__ = [
    "DonorDraws",
    "choose_donors",
    "draw_cells",
    "expected_values",
    "fill",
    "find_donors",
    "split_gaps",
]

PARTS = 4
"""Parts in which the gaps of a row are drawn, each given the values drawn before."""
DONORS = 512
"""Cells of each column, at most, whose errors are kept to draw from."""
DONATED = 1_000_000
"""Cells whose errors are kept, at most, of all columns together; wide rows such as images have fewer of each."""
NEAREST = 32
"""Donors of which one is drawn: those whose predictions are nearest to that of the gap."""
CALIBRATION_ROWS = 2000
"""Rows (or steps), at most, whose values are hidden to measure the errors of their predictions."""
CALIBRATIONS = (4, 20)
"""Times that they are hidden, at least and at most."""
CALIBRATION_SHARE = 0.2
"""Share of values hidden for it where neither the corruption nor gaps in the data set one."""


def expected_values(model: RowModel, rows: Ragged) -> Tensor:
    """Expected encoded value of every cell, shaped as the values of `rows`; on the CPU."""
    steps = None if model.modality.steps is None else rows.longest
    return rows.unpad(model.expected(model.map(rows, model.codes), steps))


def fill(model: RowModel, data: Any, rows: Ragged, values: Tensor) -> Any:
    """`data` with its gaps filled from encoded `values` (n, E), (n, T, E) or (N, E), shaped as those of `rows`."""
    return model.modality.fill(data, rows.pad(values))


@final
@dataclass(frozen=True, eq=False)
class DonorDraws:
    """Draws of missing values.

    columns : (E,) from `columns_of`. donors : (2, D, E) from `find_donors`. extremes : (2, E) lowest and highest
    values of fit.
    """

    model: RowModel
    columns: Tensor
    donors: Tensor
    extremes: Tensor

    def draw(self, rows: Ragged, rng: Generator) -> Tensor:
        """Encoded values, shaped as those of `rows`, with every gap drawn, part after part; on the CPU."""
        values = rows.values.cpu()
        if rows.observed is None:
            return values
        missing = ~rows.observed.cpu()
        blocks = self.model.modality.layout.blocks
        parts = split_gaps(missing, self.columns, PARTS, rng)
        for part in range(PARTS):
            gaps = missing & (parts == part)
            if bool(gaps.any()):
                known = Ragged(values, ~missing, rows.lengths).to(self.model.device)
                expected = expected_values(self.model, known)
                drawn = draw_cells(expected, blocks, self.donors, self.extremes, rng)
                values, missing = torch.where(gaps, drawn, values), missing & ~gaps
        return values


def find_donors(objective: Denoising, rows: Ragged, index: Tensor, rng: Generator) -> NDArray[np.float32]:
    """(2, D, E) predictions of values hidden in rows number `index`, and by how much the true ones exceed them."""
    model = objective.model
    steps = 1 if model.modality.steps is None else model.modality.steps
    most = max(min(CALIBRATION_ROWS, DONATED // model.likelihood.cells) // steps, NEAREST)
    index = index[torch.randperm(len(index), generator=rng)[:most]]
    times = int(np.clip(most // len(index), *CALIBRATIONS))
    seed = int(torch.randint(2**31 - 1, (), generator=rng))
    own = Generator(rows.values.device).manual_seed(seed)
    share = HIDDEN_SHARE if model.has_missing else CALIBRATION_SHARE
    share = objective.noise if objective.corruption == "mask" else share
    found: list[tuple[Tensor, ...]] = []
    with evaluating(model.net):
        for inputs in model.batches(rows, index.repeat(times)):
            hidden = hidden_cells(inputs, share, model.has_missing, objective.columns, own)
            visible = inputs.mask & ~hidden
            left = inputs._replace(x=torch.where(visible, inputs.x, 0.0), observed=visible)
            expected = model.likelihood.mean(model.outputs(model.codes(left), inputs))
            cells = (expected, inputs.target, hidden, inputs.mask)
            found.append(tuple(each.reshape(-1, expected.shape[-1]).cpu() for each in cells))
    return choose_donors(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def choose_donors(predicted: Tensor, actual: Tensor, hidden: Tensor, observed: Tensor) -> NDArray[np.float32]:
    """(2, D, E): predictions in ascending order, and by how much the actual values exceed them.

    Columns with less than D cells end in predictions of infinity.

    Parameters
    ----------
    predicted, actual : (M, E) predictions and actual values of cells.
    hidden, observed : (M, E) which cells were hidden when they were predicted, and which had a value at all. A
        column without hidden cells takes its observed ones; one without either has errors of 0.
    """
    usable = torch.where(hidden.any(0), hidden, observed)
    empty = ~usable.any(0)
    errors = torch.where(empty, 0.0, actual - predicted)
    usable = usable | empty
    order = torch.rand(predicted.shape, generator=Generator().manual_seed(0)).masked_fill(~usable, 2.0)
    chosen = order.argsort(0)[: min(DONORS, max(DONATED // predicted.shape[1], NEAREST))]
    predicted = predicted.masked_fill(~usable, torch.inf).gather(0, chosen)
    predicted, ascending = predicted.sort(0)
    errors = errors.masked_fill(~usable, 0.0).gather(0, chosen).gather(0, ascending)
    most = int(predicted.isfinite().sum(0).max())
    return torch.stack([predicted, errors])[:, :most].float().numpy()


def split_gaps(gaps: Tensor, columns: Tensor, parts: int, rng: Generator) -> Tensor:
    """The part, shaped as `gaps` (..., E), in which each gap is drawn: random, as even as possible over a row.

    columns : (E,) from `columns_of`; numbers of one column are in one part.
    """
    first = torch.searchsorted(columns, torch.arange(int(columns[-1]) + 1))
    missing = gaps[..., first]
    rank = torch.rand(missing.shape, generator=rng).masked_fill(~missing, 2.0).argsort(-1).argsort(-1)
    return (rank * parts // missing.sum(-1, keepdim=True).clamp(min=parts))[..., columns]


def draw_cells(
    expected: Tensor, blocks: Sequence[Block], donors: Tensor, extremes: Tensor, rng: Generator
) -> Tensor:
    """(..., E) draws for cells of which `expected` (..., E) are the expected values.

    Categories and truth values are drawn from their probabilities; numbers get the error of one of the `donors` (2,
    D, E) of nearest prediction, within the `extremes` (2, E).
    """
    flat = expected.reshape(-1, expected.shape[-1])
    parts = []
    for block in blocks:
        cut = slice(block.start, block.stop)
        part = flat[:, cut]
        if block.kind == "binary":
            parts.append(torch.bernoulli(part.clamp(0, 1), generator=rng))
        elif block.kind == "categorical":
            chosen = torch.multinomial(part.clamp(min=1e-12), 1, generator=rng)
            parts.append(torch.zeros_like(part).scatter_(1, chosen, 1.0))
        else:
            errors = _donated_errors(part, donors[:, :, cut], rng)
            parts.append((part + errors).clamp(extremes[0, cut], extremes[1, cut]))
    return torch.cat(parts, 1).view(expected.shape)


def _donated_errors(expected: Tensor, donors: Tensor, rng: Generator) -> Tensor:
    """(M, e) errors of donors (2, D, e) with predictions near `expected` (M, e)."""
    predicted, errors = donors[0].T.contiguous(), donors[1].T.contiguous()
    count = predicted.isfinite().sum(1, keepdim=True)
    window = count.clamp(max=NEAREST)
    near = torch.searchsorted(predicted, expected.T.contiguous())
    start = (near - window // 2).clamp(min=torch.zeros_like(count), max=count - window)
    uniform = torch.rand(near.shape, generator=rng)
    return errors.gather(1, start + (uniform * window).long()).T
