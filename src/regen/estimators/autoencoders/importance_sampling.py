"""Evidence by importance sampling: draws of the code from q(z | x), weighed so that they stand for p(z | x).

Letters: `n` rows, `B` batch, `S` draws, `s` draws of one chunk, `E` encoded numbers of a row, `T` steps, `Z` code,
`W` numbers that the decoder writes. Sources: Burda, Grosse & Salakhutdinov (2016); Mattei & Frellsen (2019).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from regen.data.ragged import Ragged
from regen.estimators.autoencoders.row_model import RowInputs
from regen.losses.elbo import draw_normal, normal_log_density
from regen.losses.mixed_likelihood import MixedLikelihood

__all__ = [
    "Weighed",
    "drawn_outputs",
    "evidence",
    "expected_cells",
    "longest",
    "many",
    "padded",
    "weighed",
    "with_gaps",
]

CHUNK = 2**20
"""Cells that the decoder writes at once, about what the caches of a processor hold."""
ROWS = 2**13
"""Codes that the decoder reads at once, for its layers may be wider than a row."""

Told = Callable[[Tensor, RowInputs], Tensor]
"""What the decoder writes, (B, W) or (B, T, W), for codes (B, Z) of the rows read."""
Density = Callable[[Tensor, RowInputs], Tensor]
"""Log-density of the rows read, (..., B), given what the decoder wrote, (..., B, W) or (..., B, T, W)."""


class Weighed(NamedTuple):
    """Some draws: outputs (s, B, W) or (s, B, T, W) of the decoder, and log-weights (s, B) in float64."""

    outputs: Tensor
    log_weights: Tensor


def many(codes: Tensor, reading: RowInputs, told: Told) -> Tensor:
    """Outputs (S, B, W) or (S, B, T, W) for codes (S, B, Z) of the rows read."""
    S = codes.shape[0]
    again = reading._replace(
        x=reading.x[:1].expand(S * codes.shape[1], *reading.x.shape[1:]),  # only its shape is looked at
        lengths=None if reading.lengths is None else reading.lengths.repeat(S),
    )
    outputs = told(codes.flatten(0, 1), again)
    return outputs.view(*codes.shape[:2], *outputs.shape[1:])


def weighed(
    mean: Tensor,
    log_var: Tensor,
    reading: RowInputs,
    told: Told,
    density: Density,
    samples: int,
    generator: Generator,
    wary: bool = False,
) -> Iterator[Weighed]:
    """`samples` draws from ``q = N(mean, exp(log_var))``, both (B, Z), in chunks; weights ``p(x, z) / q(z)``.

    wary : q is a mixture, 0.6 of that distribution, 0.3 of one of e times the variance and 0.1 of the prior. An
        encoder is too sure of rows with gaps unlike those that it has seen; no weight is then out of proportion.
    """
    at_once = max(1, min(samples, CHUNK // reading.x.numel(), ROWS // len(reading.x)))
    for start in range(0, samples, at_once):
        count, zero = min(at_once, samples - start), torch.zeros_like(mean)
        parts = [(1.0, mean, log_var)]
        if wary:
            parts = [(0.6, mean, log_var), (0.3, mean, log_var + 1), (0.1, zero, zero)]
        drawn = torch.stack([draw_normal(m, v, count, generator) for _, m, v in parts])
        which = torch.zeros(count, dtype=torch.int64, device=mean.device)
        if wary:
            shares = torch.tensor([share for share, *_ in parts], device=mean.device)
            which = torch.multinomial(shares, count, replacement=True, generator=generator)
        z = drawn[which, torch.arange(count, device=mean.device)]
        densities = [normal_log_density(z, m, v) + math.log(share) for share, m, v in parts]
        apart = normal_log_density(z, zero, zero) - torch.logsumexp(torch.stack(densities), 0)
        outputs = many(z, reading, told)
        yield Weighed(outputs, density(outputs, reading).double() + apart.double())


def evidence(draws: Iterator[Weighed], samples: int) -> Tensor:
    """(B,) log of the mean weight, in float64: the estimate of log p(x)."""
    parts = [torch.logsumexp(each.log_weights, 0) for each in draws]
    return torch.logsumexp(torch.stack(parts), 0) - math.log(samples)


def expected_cells(draws: Iterator[Weighed], heads: MixedLikelihood) -> Tensor:
    """(B, E) or (B, T, E) mean of every cell over the draws by their weights."""
    total: Tensor | None = None
    kept = torch.empty(0)
    for outputs, log_weights in draws:
        part = torch.logsumexp(log_weights, 0)
        cells = heads.mean(outputs)
        found = (_beside(torch.softmax(log_weights, 0), cells) * cells).sum(0)
        if total is None:
            total, kept = part, found
            continue
        total = torch.logaddexp(total, part)
        kept = torch.lerp(kept, found, _beside((part - total).exp(), found))
    return kept


def drawn_outputs(draws: Iterator[Weighed], n: int, generator: Generator) -> Tensor:
    """`n` of the draws for each row, (n, B, W) or (n, B, T, W), each chosen with the chance that is its weight.

    The chunks pass by once: each takes the place of what was chosen before with its share of the weight so far.
    """
    total: Tensor | None = None
    kept = torch.empty(0)
    for outputs, log_weights in draws:
        part = torch.logsumexp(log_weights, 0)
        chances = torch.softmax(log_weights, 0).mT
        chosen = torch.multinomial(chances, n, replacement=True, generator=generator).mT  # (n, B)
        rows = torch.arange(outputs.shape[1], device=outputs.device)
        found = outputs[chosen, rows]
        if total is None:
            total, kept = part, found
            continue
        total = torch.logaddexp(total, part)
        dice = torch.empty(chosen.shape, dtype=torch.float64, device=outputs.device)
        newer = dice.uniform_(generator=generator) < (part - total).exp()
        kept = torch.where(_beside(newer, found), found, kept)
    return kept


def padded(values: Tensor, steps: int | None) -> Tensor:
    """(B, T, E) lengthened with 0 to so many steps; (B, E) as it is."""
    return values if steps is None else F.pad(values, (0, 0, 0, steps - values.shape[-2]))


def with_gaps(rows: Ragged) -> Tensor:
    """Numbers of the rows that miss a value."""
    gaps = rows.values.isnan().flatten(1).any(1).cpu()
    if rows.lengths is not None:
        row = torch.arange(len(rows)).repeat_interleave(rows.lengths)
        gaps = torch.zeros(len(rows), dtype=torch.bool).index_put_((row,), gaps, accumulate=True)
    return gaps.nonzero()[:, 0]


def longest(rows: Ragged) -> int:
    """Steps of the longest row."""
    return int(rows.lengths.max()) if rows.lengths is not None else rows.values.shape[1]


def _beside(weights: Tensor, cells: Tensor) -> Tensor:
    """`weights`, (...) of the first axes of `cells`, with axes of size 1 for the others."""
    shaped = weights.reshape(*weights.shape, *(1,) * (cells.ndim - weights.ndim))
    return shaped if shaped.dtype == torch.bool else shaped.to(cells.dtype)
