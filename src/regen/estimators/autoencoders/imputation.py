"""Gaps in rows: which cells to hide so that a net learns to fill them, and values to fill them with by chance.

Letters: `B` batch, `E` encoded numbers of a row (of a step), `F` columns, `D` donors, `M` cells asked for.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from regen._masks import length_mask
from regen.data.table_encoding import Block
from regen.estimators.autoencoders.row_model import RowInputs

__all__ = ["DONATED", "FEW", "NEAREST", "choose_donors", "column_of", "drawn", "hidden", "in_parts", "there"]

FEW = 0.05
"""Share of observed cells that are hidden beside the gaps of other rows: any column may lack a value one day."""
DONORS = 512
"""Cells of each column, at most, whose errors are kept to draw from."""
DONATED = 1_000_000
"""Cells whose errors are kept, at most, of all columns together; wide rows such as images have fewer of each."""
NEAREST = 32
"""Donors of which one is drawn: those whose predictions are next to that of the gap."""


def column_of(blocks: Sequence[Block]) -> Tensor:
    """(E,) the column of each encoded number, counted from 0: those of a category are one."""
    numbers = [(block.start, block.stop, block.kind == "categorical") for block in blocks]
    found: list[int] = []
    for start, stop, one in numbers:
        first = found[-1] + 1 if found else 0
        found += [first] * (stop - start) if one else range(first, first + stop - start)
    return torch.tensor(found)


def there(reading: RowInputs) -> Tensor:
    """(B, E) or (B, T, E), True where a value was observed."""
    return torch.ones_like(reading.x, dtype=torch.bool) if reading.observed is None else reading.observed


def hidden(
    reading: RowInputs, share: float, patterns: bool, column: Tensor, generator: Generator | None
) -> Tensor:
    """Which observed cells of a batch to hide, as its x; never what was missing.

    share : of cells hidden by chance. patterns : each row also lacks what another row of the batch lacks, so that
        what is missing together in the data is hidden together.
    column : (E,) from `column_of`; numbers of one column are hidden together.
    """
    seen = there(reading)
    device = seen.device if generator is None else generator.device
    cells = (*seen.shape[:-1], int(column[-1]) + 1)
    unseen = torch.rand(cells, generator=generator, device=device) < share
    unseen = unseen.to(seen.device)[..., column.to(seen.device)]
    if patterns:
        other = torch.randperm(len(seen), generator=generator, device=device).to(seen.device)
        gaps = ~seen if reading.lengths is None else ~seen & _steps(reading)
        unseen |= gaps[other]
    return unseen & seen


def _steps(reading: RowInputs) -> Tensor:
    """(B, T, 1) True at the steps that a sequence has: past its end there is no gap, but nothing."""
    assert reading.lengths is not None
    return length_mask(reading.lengths, reading.x.shape[1])[..., None]


def choose_donors(said: Tensor, truth: Tensor, unseen: Tensor, observed: Tensor) -> NDArray[np.float32]:
    """(2, D, E): predictions in ascending order, and by how much the true values were above them.

    Columns with less than D cells end in predictions of infinity.

    Parameters
    ----------
    said, truth : (M, E) predictions and true values of cells.
    unseen, observed : (M, E) which cells were hidden when they were predicted, and which had a value at all. Where a
        column has none of the first, those of the second are taken; where it has none at all, nothing is above.
    """
    usable = torch.where(unseen.any(0), unseen, observed)
    empty = ~usable.any(0)
    above = torch.where(empty, 0.0, truth - said)
    usable = usable | empty
    by_chance = torch.rand(said.shape, generator=Generator().manual_seed(0)).masked_fill(~usable, 2.0)
    chosen = by_chance.argsort(0)[: min(DONORS, max(DONATED // said.shape[1], NEAREST))]
    said = said.masked_fill(~usable, torch.inf).gather(0, chosen)
    said, order = said.sort(0)
    above = above.masked_fill(~usable, 0.0).gather(0, chosen).gather(0, order)
    most = int(said.isfinite().sum(0).max())
    return torch.stack([said, above])[:, :most].float().numpy()


def in_parts(gaps: Tensor, column: Tensor, parts: int, generator: Generator) -> Tensor:
    """As `gaps` (..., E), by chance: in which part each gap is drawn, so that as few of a row as can be share one."""
    first = torch.searchsorted(column, torch.arange(int(column[-1]) + 1))
    missing = gaps[..., first]
    rank = torch.rand(missing.shape, generator=generator).masked_fill(~missing, 2.0).argsort(-1).argsort(-1)
    return (rank * parts // missing.sum(-1, keepdim=True).clamp(min=parts))[..., column]


def drawn(
    said: Tensor, blocks: Sequence[Block], donors: Tensor, extremes: Tensor, generator: Generator
) -> Tensor:
    """(..., E) values that may stand where `said` (..., E) is expected.

    Categories and truth values come by their probabilities; numbers are off by as much as one of the `donors` (2, D,
    E) whose predictions are nearest was, but not beyond the `extremes` (2, E).
    """
    flat = said.reshape(-1, said.shape[-1])
    parts = []
    for block in blocks:
        cut = slice(block.start, block.stop)
        part = flat[:, cut]
        if block.kind == "binary":
            parts.append(torch.bernoulli(part.clamp(0, 1), generator=generator))
        elif block.kind == "categorical":
            chosen = torch.multinomial(part.clamp(min=1e-12), 1, generator=generator)
            parts.append(torch.zeros_like(part).scatter_(1, chosen, 1.0))
        else:
            off = _off(part, donors[:, :, cut], generator)
            parts.append((part + off).clamp(extremes[0, cut], extremes[1, cut]))
    return torch.cat(parts, 1).view(said.shape)


def _off(said: Tensor, donors: Tensor, generator: Generator) -> Tensor:
    """(M, e) how far donors (2, D, e), whose predictions are near what is `said` (M, e), were off."""
    ranked, above = donors[0].T.contiguous(), donors[1].T.contiguous()
    count = ranked.isfinite().sum(1, keepdim=True)
    window = count.clamp(max=NEAREST)
    near = torch.searchsorted(ranked, said.T.contiguous())
    start = (near - window // 2).clamp(min=torch.zeros_like(count), max=count - window)
    chance = torch.rand(near.shape, generator=generator)
    return above.gather(1, start + (chance * window).long()).T
