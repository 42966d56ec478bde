"""Gaps in rows: which cells to hide so that a net learns to fill them, and values to fill them with by chance.

Letters: `B` batch, `E` encoded numbers of a row (of a step), `F` columns, `D` donors, `M` cells asked for.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from regen.data.columns import Block
from regen.estimators.coder import Reading

__all__ = ["FEW", "choose_donors", "column_of", "drawn", "hidden", "there"]

FEW = 0.05
"""Share of observed cells that are hidden beside the gaps of other rows: any column may lack a value one day."""
DONORS = 512
"""Values kept of each column to draw from."""
NEAREST = 8
"""Donors of which one is drawn: those whose predictions are next to that of the gap."""


def column_of(blocks: Sequence[Block]) -> Tensor:
    """(E,) the column of each encoded number, counted from 0: those of a category are one."""
    numbers = [(block.start, block.stop, block.kind == "categorical") for block in blocks]
    found: list[int] = []
    for start, stop, one in numbers:
        first = found[-1] + 1 if found else 0
        found += [first] * (stop - start) if one else range(first, first + stop - start)
    return torch.tensor(found)


def there(reading: Reading) -> Tensor:
    """(B, E) or (B, T, E), True where a value was observed."""
    return torch.ones_like(reading.x, dtype=torch.bool) if reading.observed is None else reading.observed


def hidden(
    reading: Reading, share: float, patterns: bool, column: Tensor, generator: Generator | None
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
        unseen |= ~seen[other]
    return unseen & seen


def choose_donors(said: Tensor, truth: Tensor, unseen: Tensor, observed: Tensor) -> NDArray[np.float32]:
    """(2, D, E): predictions in ascending order, and the true values that they were made for.

    Parameters
    ----------
    said, truth : (M, E) predictions and true values of cells.
    unseen, observed : (M, E) which cells were hidden when they were predicted, and which had a value at all. Where a
        column has none of the first, those of the second are taken; where it has none at all, predictions.
    """
    usable = torch.where(unseen.any(0), unseen, observed)
    empty = ~usable.any(0)
    usable, truth = usable | empty, torch.where(empty, said, truth)
    order = torch.rand(said.shape, generator=Generator().manual_seed(0)).masked_fill(~usable, 2.0).argsort(0)
    place = torch.arange(DONORS)[:, None] % usable.sum(0)
    chosen = order.gather(0, place)
    said, ranks = said.gather(0, chosen).sort(0)
    return torch.stack([said, truth.gather(0, chosen).gather(0, ranks)]).float().numpy()


def drawn(said: Tensor, blocks: Sequence[Block], donors: Tensor, generator: Generator) -> Tensor:
    """(..., E) values that may stand where `said` (..., E) is expected.

    Categories and truth values come by their probabilities; numbers from the `donors` (2, D, E): the true value of
    one of the eight whose predictions are nearest.
    """
    flat = said.reshape(-1, said.shape[-1])
    parts = []
    for block in blocks:
        part = flat[:, block.start : block.stop]
        if block.kind == "binary":
            parts.append(torch.bernoulli(part.clamp(0, 1), generator=generator))
        elif block.kind == "categorical":
            chosen = torch.multinomial(part.clamp(min=1e-12), 1, generator=generator)
            parts.append(torch.zeros_like(part).scatter_(1, chosen, 1.0))
        else:
            parts.append(_donated(part, donors[:, :, block.start : block.stop], generator))
    return torch.cat(parts, 1).view(said.shape)


def _donated(said: Tensor, donors: Tensor, generator: Generator) -> Tensor:
    """(M, e) true values of donors (2, D, e) near what is `said` (M, e)."""
    ranked, truth = donors[0].T.contiguous(), donors[1].T.contiguous()
    near = torch.searchsorted(ranked, said.T.contiguous())
    start = (near - NEAREST // 2).clamp(0, ranked.shape[1] - NEAREST)
    place = start + torch.randint(NEAREST, near.shape, generator=generator)
    return truth.gather(1, place).T
