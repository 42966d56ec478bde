"""The evidence lower bound (ELBO) of a variational autoencoder, and importance-weighted bounds tighter than it.

``log p(x) >= E_q[log p(x | z)] - KL(q(z | x) || p(z))`` with the prior ``p(z) = N(0, 1)`` and ``q(z | x) = N(mean,
exp(log_var))``, each dimension of the code by itself. Everything is in nats.

Letters: `B` rows, `Z` code, `S` draws of the code, ``...`` any leading axes.
Sources: Kingma & Welling (2014); Rezende, Mohamed & Wierstra (2014); Burda, Grosse & Salakhutdinov (2016).
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

__all__ = [
    "active_units",
    "draw_normal",
    "elbo_terms",
    "gaussian_kl",
    "importance_bound",
    "importance_weights",
    "normal_log_density",
    "posterior",
]

LOG_2PI = math.log(2 * math.pi)
LOG_VARIANCE = 20.0
"""Bound of the log-variance of a code: its deviation lies between e**-10 and e**10 of the prior's."""


def posterior(
    outputs: Float[Tensor, "... twoZ"],
) -> tuple[Float[Tensor, "... Z"], Float[Tensor, "... Z"]]:
    """Mean and log-variance of q(z | x) from what the encoder writes, [Z means | Z log-variances].

    A log-variance v becomes ``20 * tanh(v / 20)``: near 0 the same, and never so large that it overflows.
    """
    mean, log_var = outputs.chunk(2, -1)
    return mean, LOG_VARIANCE * torch.tanh(log_var / LOG_VARIANCE)


def draw_normal(
    mean: Float[Tensor, "... Z"],
    log_var: Float[Tensor, "... Z"],
    draws: int | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """``mean + exp(log_var / 2) * noise``: draws that the gradient of mean and log_var passes through.

    mean, log_var : (..., Z). Returns (..., Z), or (draws, ..., Z) when `draws` is given.
    """
    shape = mean.shape if draws is None else (draws, *mean.shape)
    noise = torch.empty(shape, dtype=mean.dtype, device=mean.device).normal_(generator=generator)
    return torch.addcmul(mean, (0.5 * log_var).exp(), noise)


def gaussian_kl(mean: Float[Tensor, "... Z"], log_var: Float[Tensor, "... Z"]) -> Float[Tensor, "... Z"]:
    """``KL(N(mean, exp(log_var)) || N(0, 1)) = (mean**2 + exp(log_var) - 1 - log_var) / 2``, elementwise.

    Never negative, rounding included, and 0 at the prior.
    """
    return 0.5 * (mean.square() + (torch.expm1(log_var) - log_var).clamp(min=0))


def normal_log_density(
    z: Float[Tensor, "... Z"], mean: Float[Tensor, "... Z"], log_var: Float[Tensor, "... Z"]
) -> Float[Tensor, "..."]:
    """Log-density of z under ``N(mean, exp(log_var))``, summed over Z. Leading axes broadcast."""
    return -0.5 * ((z - mean).square() * (-log_var).exp() + log_var + LOG_2PI).sum(-1)


def elbo_terms(
    log_likelihood: Float[Tensor, " B"],
    kl: Float[Tensor, "B Z"],
    beta: float = 1.0,
    free_bits: float = 0.0,
) -> dict[str, Tensor]:
    """The bound and its terms, means over rows of sums over cells.

    ``elbo = reconstruction - kl`` and ``loss = beta * sum_j max(free_bits, kl_j) - reconstruction``, where kl_j is
    the mean over the rows of dimension j: below `free_bits` nats a dimension is not pressed any further to the
    prior. With beta = 1 and no free bits, ``loss = -elbo``.

    Parameters
    ----------
    log_likelihood : (B,) log p(x | z) of each row, z drawn from q(z | x).
    kl : (B, Z) from `gaussian_kl`.
    beta : weight of the divergence (Higgins et al. 2017); what a warm-up raises from 0 (Bowman et al. 2016).
    free_bits : nats that each dimension has free (Kingma et al. 2016).

    Returns
    -------
    dict of scalars : "loss", "elbo", "reconstruction", "kl".
    """
    reconstruction, per_dimension = log_likelihood.mean(), kl.mean(0)
    divergence = per_dimension.sum()
    pressed = per_dimension.clamp(min=free_bits).sum() if free_bits > 0 else divergence
    return {
        "loss": beta * pressed - reconstruction,
        "elbo": reconstruction - divergence,
        "reconstruction": reconstruction,
        "kl": divergence,
    }


def importance_bound(log_weights: Float[Tensor, "S ..."]) -> Float[Tensor, "..."]:
    """``log(mean_s exp(log_weights_s))``: an estimate of log p(x) whose expectation is below it for every S.

    With one draw it is the ELBO; it rises to log p(x) with S. Its plain gradient is the one that trains an
    importance-weighted autoencoder. Source: Burda, Grosse & Salakhutdinov (2016).

    log_weights : (S, ...) ``log p(x | z_s) + log p(z_s) - log q(z_s | x)``, z_s drawn from q(z | x).
    """
    return torch.logsumexp(log_weights, 0) - math.log(log_weights.shape[0])


def importance_weights(log_weights: Float[Tensor, "S ..."]) -> Float[Tensor, "S ..."]:
    """Weights of the draws that sum to 1 over S: what ``p(z | x)`` is, told by draws from ``q(z | x)``."""
    return torch.softmax(log_weights, 0)


def active_units(means: Float[Tensor, "n Z"], threshold: float = 0.01) -> Bool[Tensor, " Z"]:
    """Dimensions of the code that depend on the data: variance over rows of the posterior's mean > `threshold`.

    The others have collapsed onto the prior, and the decoder has learned not to listen to them.
    Source: Burda, Grosse & Salakhutdinov (2016), section 5.2.

    means : (n, Z) of n >= 1 rows.
    """
    return means.var(0, correction=0) > threshold
