"""Penalties that keep an autoencoder from copying its input: on the code, or on its derivative.

Letters: `B` rows, `Z` code, `E` inputs of the encoder.
"""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

__all__ = ["contractive", "kl_sparsity", "l1"]

EXACT = 32
"""Code dimensions up to which the contractive penalty is computed exactly, one backward pass for each."""
EDGE = 1e-6
"""Mean activations are kept this far from 0 and 1, where the divergence is infinite."""


def l1(code: Float[Tensor, "B Z"]) -> Float[Tensor, " B"]:
    """``sum_j |code_j|`` of each row: makes the code sparse.

    Parameters
    ----------
    code : Tensor of shape (B, Z)
        Codes.

    Returns
    -------
    Tensor of shape (B,)
        Not negative.

    See Also
    --------
    kl_sparsity : For codes in [0, 1].

    Examples
    --------
    >>> l1(torch.tensor([[1.0, -2.0]]))
    tensor([3.])
    """
    return code.abs().sum(1)


def kl_sparsity(activation: Float[Tensor, "B Z"], target: float = 0.05) -> Float[Tensor, " Z"]:
    """``KL(Bernoulli(t) || Bernoulli(a_j))`` with a_j the mean activation of unit j over the rows.

    Source: Ng (2011), Sparse autoencoder, CS294A lecture notes.

    Parameters
    ----------
    activation : Tensor of shape (B, Z)
        In [0, 1], such as the sigmoid of a code.
    target : float, default=0.05
        t, the mean activation of a unit to reach, in (0, 1); 0.05 as in the source.

    Returns
    -------
    Tensor of shape (Z,)
        In nats; 0 where ``a_j = t``.

    See Also
    --------
    l1 : For codes of any sign.

    Examples
    --------
    >>> kl_sparsity(torch.full((3, 1), 0.05))
    tensor([0.])
    """
    mean = activation.mean(0).clamp(EDGE, 1 - EDGE)
    share = torch.full_like(mean, target)
    return share * (share / mean).log() + (1 - share) * ((1 - share) / (1 - mean)).log()


def contractive(
    code: Float[Tensor, "B Z"],
    x: Float[Tensor, "B ..."],
    draws: int | None = None,
    generator: Generator | None = None,
) -> Float[Tensor, " B"]:
    """``||d code / d x||_F**2`` of each row: makes the code insensitive to small changes of the input.

    Estimated by Hutchinson's trick, ``E ||v' J||**2 = ||J||_F**2`` for random signs v: one backward pass per draw
    instead of Z. Source: Rifai et al. (2011), Contractive auto-encoders.

    Parameters
    ----------
    code : Tensor of shape (B, Z)
        Computed from `x` row by row (no batch normalisation).
    x : Tensor of shape (B, ...)
        With ``requires_grad``.
    draws : int, default=None
        Number of random sign vectors; None is exact up to 32 dimensions of the code, and one draw beyond.
    generator : torch.Generator, default=None
        For the signs; None is torch's global one.

    Returns
    -------
    Tensor of shape (B,)
        With a graph for the second derivative.

    See Also
    --------
    l1, kl_sparsity : Penalties of the code itself.

    Examples
    --------
    >>> x = torch.ones(1, 2, requires_grad=True)
    >>> contractive(x * torch.tensor([1.0, 2.0]), x).detach()
    tensor([5.])
    """
    exact = draws is None and code.shape[1] <= EXACT
    directions = (
        torch.eye(code.shape[1], dtype=code.dtype, device=code.device)[:, None].expand(-1, *code.shape)
        if exact
        else _signs(code, draws or 1, generator)
    )
    total = torch.zeros_like(code[:, 0])
    for direction in directions:
        (gradient,) = torch.autograd.grad(code, x, direction, create_graph=True)
        total = total + gradient.square().flatten(1).sum(1)
    return total if exact else total / len(directions)


def _signs(code: Tensor, draws: int, generator: Generator | None) -> Tensor:
    return (
        2
        * torch.empty(draws, *code.shape, dtype=code.dtype, device=code.device).bernoulli_(
            generator=generator
        )
        - 1
    )
