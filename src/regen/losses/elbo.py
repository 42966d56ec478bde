"""The evidence lower bound (ELBO) of a variational autoencoder, and importance-weighted bounds tighter than it.

``log p(x) >= E_q[log p(x | z)] - KL(q(z | x) || p(z))`` with the prior ``p(z) = N(0, 1)`` and ``q(z | x) = N(mean,
exp(log_var))``, each dimension of the code by itself. Everything is in nats.

Letters: `B` rows, `Z` code, `S` samples of the code, ``...`` any leading axes.
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
"""Bound of the log-variance of a code: its standard deviation lies between e**-10 and e**10 of the prior's."""


def posterior(
    outputs: Float[Tensor, "... twoZ"],
) -> tuple[Float[Tensor, "... Z"], Float[Tensor, "... Z"]]:
    """Mean and log-variance of q(z | x) from the outputs of the encoder.

    A log-variance v becomes ``20 * tanh(v / 20)``: nearly v around 0, and bounded, so that nothing overflows.

    Parameters
    ----------
    outputs : Tensor of shape (..., 2 * Z)
        [Z means | Z log-variances].

    Returns
    -------
    mean, log_var : Tensor of shape (..., Z)
        Of the posterior.

    See Also
    --------
    draw_normal : Samples from it.

    Examples
    --------
    >>> posterior(torch.tensor([3.0, 0.0]))
    (tensor([3.]), tensor([0.]))
    """
    mean, log_var = outputs.chunk(2, -1)
    return mean, LOG_VARIANCE * torch.tanh(log_var / LOG_VARIANCE)


def draw_normal(
    mean: Float[Tensor, "... Z"],
    log_var: Float[Tensor, "... Z"],
    draws: int | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Reparameterised samples ``mean + exp(log_var / 2) * noise``, differentiable in mean and log_var.

    Parameters
    ----------
    mean, log_var : Tensor of shape (..., Z)
        Of the normal distribution.
    draws : int, default=None
        Number of samples; None is one, without an axis of its own.
    generator : torch.Generator, default=None
        For the noise; None is torch's global one.

    Returns
    -------
    Tensor of shape (..., Z) or (draws, ..., Z)
        The samples.

    See Also
    --------
    normal_log_density : Density of a sample.

    Examples
    --------
    >>> draw_normal(torch.zeros(4, 2), torch.zeros(4, 2), draws=3).shape
    torch.Size([3, 4, 2])
    """
    shape = mean.shape if draws is None else (draws, *mean.shape)
    noise = torch.empty(shape, dtype=mean.dtype, device=mean.device).normal_(generator=generator)
    return torch.addcmul(mean, (0.5 * log_var).exp(), noise)


def gaussian_kl(mean: Float[Tensor, "... Z"], log_var: Float[Tensor, "... Z"]) -> Float[Tensor, "... Z"]:
    """``KL(N(mean, exp(log_var)) || N(0, 1)) = (mean**2 + exp(log_var) - 1 - log_var) / 2``, elementwise.

    Parameters
    ----------
    mean, log_var : Tensor of shape (..., Z)
        Of the posterior.

    Returns
    -------
    Tensor of shape (..., Z)
        In nats; never negative, rounding included, and 0 at the prior.

    See Also
    --------
    elbo_terms : Sums it over the code.

    Examples
    --------
    >>> gaussian_kl(torch.tensor([0.0, 2.0]), torch.zeros(2))
    tensor([0., 2.])
    """
    return 0.5 * (mean.square() + (torch.expm1(log_var) - log_var).clamp(min=0))


def normal_log_density(
    z: Float[Tensor, "... Z"], mean: Float[Tensor, "... Z"], log_var: Float[Tensor, "... Z"]
) -> Float[Tensor, "..."]:
    """Log-density of z under ``N(mean, exp(log_var))``, summed over Z. Leading axes broadcast.

    Parameters
    ----------
    z, mean, log_var : Tensor of shape (..., Z)
        Point, mean and log-variance.

    Returns
    -------
    Tensor of shape (...)
        In nats.

    See Also
    --------
    draw_normal : Samples from the distribution.

    Examples
    --------
    >>> normal_log_density(torch.zeros(2), torch.zeros(2), torch.zeros(2))
    tensor(-1.8379)
    """
    return -0.5 * ((z - mean).square() * (-log_var).exp() + log_var + LOG_2PI).sum(-1)


def elbo_terms(
    log_likelihood: Float[Tensor, " B"],
    kl: Float[Tensor, "B Z"],
    beta: float = 1.0,
    free_bits: float = 0.0,
) -> dict[str, Tensor]:
    """The ELBO and its terms, means over rows of sums over cells.

    ``elbo = reconstruction - kl`` and ``loss = beta * sum_j max(free_bits, kl_j) - reconstruction``, where kl_j is
    the mean over the rows of dimension j: a dimension below `free_bits` nats is not regularised any further. With
    beta = 1 and no free bits, ``loss = -elbo``.

    Parameters
    ----------
    log_likelihood : Tensor of shape (B,)
        log p(x | z) of each row, z sampled from q(z | x).
    kl : Tensor of shape (B, Z)
        From `gaussian_kl`.
    beta : float, default=1.0
        Weight of the KL divergence (Higgins et al. 2017), which a warm-up raises from 0 (Bowman et al. 2016).
    free_bits : float, default=0.0
        Nats of each dimension without a penalty (Kingma et al. 2016).

    Returns
    -------
    dict of str to Tensor of shape ()
        "loss", "elbo", "reconstruction", "kl".

    See Also
    --------
    importance_bound : A tighter bound.

    Examples
    --------
    >>> elbo_terms(torch.tensor([-3.0]), torch.tensor([[0.5, 0.25]]))["elbo"]
    tensor(-3.7500)
    """
    reconstruction, per_dimension = log_likelihood.mean(), kl.mean(0)
    divergence = per_dimension.sum()
    penalty = per_dimension.clamp(min=free_bits).sum() if free_bits > 0 else divergence
    return {
        "loss": beta * penalty - reconstruction,
        "elbo": reconstruction - divergence,
        "reconstruction": reconstruction,
        "kl": divergence,
    }


def importance_bound(log_weights: Float[Tensor, "S ..."]) -> Float[Tensor, "..."]:
    """Importance-weighted bound ``log(mean_s exp(log_weights_s))`` of log p(x).

    Its expectation is a lower bound for every S: the ELBO for S = 1, rising to log p(x) with S. Its gradient trains
    an importance-weighted autoencoder. Source: Burda, Grosse & Salakhutdinov (2016).

    Parameters
    ----------
    log_weights : Tensor of shape (S, ...)
        ``log p(x | z_s) + log p(z_s) - log q(z_s | x)``, z_s sampled from q(z | x).

    Returns
    -------
    Tensor of shape (...)
        In nats.

    See Also
    --------
    importance_weights : Normalised weights of the samples.

    Examples
    --------
    >>> importance_bound(torch.tensor([[-2.0], [-2.0]]))
    tensor([-2.])
    """
    return torch.logsumexp(log_weights, 0) - math.log(log_weights.shape[0])


def importance_weights(log_weights: Float[Tensor, "S ..."]) -> Float[Tensor, "S ..."]:
    """Weights of samples from ``q(z | x)`` that approximate ``p(z | x)``.

    Parameters
    ----------
    log_weights : Tensor of shape (S, ...)
        As in `importance_bound`.

    Returns
    -------
    Tensor of shape (S, ...)
        They sum to 1 over S.

    See Also
    --------
    importance_bound : The bound with the same weights.

    Examples
    --------
    >>> importance_weights(torch.tensor([-2.0, -2.0]))
    tensor([0.5000, 0.5000])
    """
    return torch.softmax(log_weights, 0)


def active_units(means: Float[Tensor, "n Z"], threshold: float = 0.01) -> Bool[Tensor, " Z"]:
    """Dimensions of the code that depend on the data.

    The others have collapsed onto the prior, and the decoder ignores them. Source: Burda, Grosse & Salakhutdinov
    (2016), section 5.2.

    Parameters
    ----------
    means : Tensor of shape (n, Z)
        Of the posterior of n >= 1 rows.
    threshold : float, default=0.01
        Least variance over the rows, as in the paper.

    Returns
    -------
    Tensor of shape (Z,), dtype=bool
        Whether the variance of the mean exceeds `threshold`.

    See Also
    --------
    gaussian_kl : Divergence of each dimension.

    Examples
    --------
    >>> active_units(torch.tensor([[0.0, 1.0], [0.0, -1.0]]))
    tensor([False,  True])
    """
    return means.var(0, correction=0) > threshold
