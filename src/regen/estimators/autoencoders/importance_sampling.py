"""Importance sampling: draws of the code from q(z | x), weighted so that they represent p(z | x).

Letters: `n` rows, `B` batch, `S` draws, `s` draws of one chunk, `E` encoded numbers of a row, `T` steps, `Z` code,
`W` outputs of the decoder. Sources: Burda, Grosse & Salakhutdinov (2016); Mattei & Frellsen (2019).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from regen.data.ragged import Ragged
from regen.estimators.autoencoders.elbo import ELBO
from regen.estimators.autoencoders.row_model import RowInputs
from regen.losses.elbo import draw_normal, normal_log_density
from regen.losses.mixed_likelihood import MixedLikelihood
from regen.training.device import EVALUATION_BATCH, evaluating

__all__ = [
    "WeightedDraws",
    "expected_cells",
    "impute_rows",
    "log_evidence",
    "resampled_outputs",
    "weighted_draws",
]

CHUNK = 2**20
"""Cells decoded at once, about what the caches of a processor hold."""
ROWS = 2**13
"""Codes decoded at once: the decoder's layers may be wider than a row."""


class WeightedDraws(NamedTuple):
    """Some draws: outputs (s, B, W) or (s, B, T, W) of the decoder, and log-weights (s, B) in float64."""

    outputs: Tensor
    log_weights: Tensor


def weighted_draws(
    elbo: ELBO, inputs: RowInputs, samples: int, rng: Generator, defensive: bool = False
) -> Iterator[WeightedDraws]:
    """`samples` draws from ``q(z | x) = N(mean, exp(log_var))``, in chunks; weights ``p(x, z) / q(z | x)``.

    defensive : q is a mixture of 0.6 of that distribution, 0.3 of one with e times the variance and 0.1 of the
        prior. The encoder is overconfident for rows with gaps unlike those of training; the mixture bounds weights.
    """
    mean, log_var = elbo.posterior(inputs)
    zero = torch.zeros_like(mean)
    parts = [(1.0, mean, log_var)]
    if defensive:
        parts = [(0.6, mean, log_var), (0.3, mean, log_var + 1), (0.1, zero, zero)]
    at_once = max(1, min(samples, CHUNK // inputs.x.numel(), ROWS // len(inputs.x)))
    for start in range(0, samples, at_once):
        count = min(at_once, samples - start)
        drawn = torch.stack([draw_normal(m, v, count, rng) for _, m, v in parts])
        which = torch.zeros(count, dtype=torch.int64, device=mean.device)
        if defensive:
            shares = torch.tensor([share for share, *_ in parts], device=mean.device)
            which = torch.multinomial(shares, count, replacement=True, generator=rng)
        z = drawn[which, torch.arange(count, device=mean.device)]
        densities = [normal_log_density(z, m, v) + math.log(share) for share, m, v in parts]
        log_ratio = normal_log_density(z, zero, zero) - torch.logsumexp(torch.stack(densities), 0)
        outputs = elbo.model.outputs_of_draws(z, inputs)
        yield WeightedDraws(outputs, elbo.log_density(outputs, inputs).double() + log_ratio.double())


def log_evidence(draws: Iterator[WeightedDraws], samples: int) -> Tensor:
    """(B,) log of the mean weight, in float64: the estimate of log p(x)."""
    parts = [torch.logsumexp(each.log_weights, 0) for each in draws]
    return torch.logsumexp(torch.stack(parts), 0) - math.log(samples)


def expected_cells(draws: Iterator[WeightedDraws], likelihood: MixedLikelihood) -> Tensor:
    """(B, E) or (B, T, E) weighted mean of every cell over the draws."""
    total: Tensor | None = None
    kept = torch.empty(0)
    for outputs, log_weights in draws:
        part = torch.logsumexp(log_weights, 0)
        cells = likelihood.mean(outputs)
        found = (_expanded(torch.softmax(log_weights, 0), cells) * cells).sum(0)
        if total is None:
            total, kept = part, found
            continue
        total = torch.logaddexp(total, part)
        kept = torch.lerp(kept, found, _expanded((part - total).exp(), found))
    return kept


def resampled_outputs(draws: Iterator[WeightedDraws], n: int, rng: Generator) -> Tensor:
    """`n` of the draws for each row, (n, B, W) or (n, B, T, W), each with a probability proportional to its weight.

    One pass over the chunks: a draw of each chunk replaces the kept one with its share of the weight so far.
    """
    total: Tensor | None = None
    kept = torch.empty(0)
    for outputs, log_weights in draws:
        part = torch.logsumexp(log_weights, 0)
        probabilities = torch.softmax(log_weights, 0).mT
        chosen = torch.multinomial(probabilities, n, replacement=True, generator=rng).mT  # (n, B)
        rows = torch.arange(outputs.shape[1], device=outputs.device)
        found = outputs[chosen, rows]
        if total is None:
            total, kept = part, found
            continue
        total = torch.logaddexp(total, part)
        uniform = torch.empty(chosen.shape, dtype=torch.float64, device=outputs.device)
        replaced = uniform.uniform_(generator=rng) < (part - total).exp()
        kept = torch.where(_expanded(replaced, found), found, kept)
    return kept


def impute_rows(elbo: ELBO, rows: Ragged, n_draws: int | None, samples: int, rng: Generator) -> Tensor:
    """Encoded values for the rows with gaps, 0 for the others, on the CPU: (1, n, E) or (1, n, T, E) expected values.

    Where `n_draws` is given, as many draws in place of them, (n_draws, n, ...).
    """
    model = elbo.model
    steps = None if model.modality.steps is None else rows.longest
    shape = (
        (len(rows), model.likelihood.cells) if steps is None else (len(rows), steps, model.likelihood.cells)
    )
    filled = torch.zeros(n_draws or 1, *shape)
    with evaluating(model.net):
        for index in torch.split((~rows.complete).nonzero()[:, 0], EVALUATION_BATCH):
            for inputs in model.batches(rows, index):
                draws = weighted_draws(elbo, inputs, samples, rng, defensive=True)
                if n_draws is None:
                    values = expected_cells(draws, model.likelihood)[None]
                else:
                    values = model.likelihood.sample(resampled_outputs(draws, n_draws, rng), rng)
                if steps is not None:
                    values = F.pad(values, (0, 0, 0, steps - values.shape[-2]))
                filled[:, index] = values.cpu()
    return filled


def _expanded(weights: Tensor, cells: Tensor) -> Tensor:
    """`weights`, (...) of the first axes of `cells`, with axes of size 1 for the others."""
    shaped = weights.reshape(*weights.shape, *(1,) * (cells.ndim - weights.ndim))
    return shaped if shaped.dtype == torch.bool else shaped.to(cells.dtype)
