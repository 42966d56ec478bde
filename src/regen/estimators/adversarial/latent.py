"""Among the codes of a generator: the way from one to another, and back from rows to the codes they may come from.

Letters: `n` rows, `Z` code, `r` starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor

from regen._masks import length_mask
from regen.data.batching import RowBatch
from regen.estimators._evaluation import EVALUATION_BATCH, evaluating

if TYPE_CHECKING:
    from regen.estimators.adversarial._base import AdversarialEstimator

__all__ = ["great_circle", "inverted"]

STARTS = 4
"""Codes that a search begins with for each row; the best end is kept."""
SEARCH_RATE = 0.1
PRIOR = 1e-3
"""Weight of a code's mean square beside the mean squared error of a row, whose numbers are of size 1."""


def great_circle(first: Tensor, last: Tensor, steps: int) -> Tensor:
    """Codes (steps, Z) from the first (Z,) to the last (Z,), evenly, along an arc around 0.

    Between far codes a straight line would pass nearer to 0 than any code that was trained on (White 2016). Where
    there is no angle between them it is the line.
    """
    share = torch.linspace(0, 1, steps, dtype=first.dtype, device=first.device)[:, None]
    norms = first.norm(), last.norm()
    cosine = ((first @ last) / (norms[0] * norms[1]).clamp(min=1e-12)).clamp(-1, 1)
    angle = torch.arccos(cosine)
    if angle.sin() < 1e-4:
        return torch.lerp(first, last, share)
    return ((1 - share) * angle).sin() / angle.sin() * first + (share * angle).sin() / angle.sin() * last


def inverted(model: AdversarialEstimator, batch: RowBatch, steps: int, chance: Generator) -> Tensor:
    """(n, Z) codes whose rows are as near to those of the batch as a search of so many steps can bring them.

    From `STARTS` random codes for each row, down the mean squared error of what the discriminator reads, by Adam.
    """
    found = []
    with evaluating(model.net_):
        for start in range(0, len(batch.x), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            some = [None if each is None else each[part] for each in batch]
            found.append(_search(model, some, steps, chance))
    return torch.cat(found)


def _search(model: AdversarialEstimator, rows: list[Any], steps: int, chance: Generator) -> Tensor:
    x, lengths, labels = (None if each is None else each.repeat_interleave(STARTS, 0) for each in rows)
    assert x is not None
    codes = torch.empty(len(x), model._code, device=x.device).normal_(generator=chance)
    counted = torch.ones_like(x)
    if lengths is not None:
        counted = length_mask(lengths, x.shape[1])[..., None].expand_as(x).to(x.dtype)
    generator: Any = model.net_.generator
    length = x.shape[1] if x.ndim == 3 else None

    def error(z: Tensor) -> Tensor:
        said = model._form.layout.inputs(model._head.mean(generator(z, labels, length)))
        apart: Tensor = (said - x).square() * counted
        return apart.flatten(1).sum(1) / counted.flatten(1).sum(1)

    with torch.enable_grad():
        codes.requires_grad_()
        optimizer = torch.optim.Adam([codes], SEARCH_RATE)
        for _ in range(steps):
            loss = (error(codes) + PRIOR * codes.square().mean(1)).sum()
            (codes.grad,) = torch.autograd.grad(loss, codes)
            optimizer.step()
    codes = codes.detach()
    best = error(codes).view(-1, STARTS).argmin(1)
    return codes.view(-1, STARTS, codes.shape[1])[torch.arange(len(best), device=x.device), best]
