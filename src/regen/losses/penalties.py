"""Penalties that keep an autoencoder from copying: on its code, or on how the code depends on what is read.

Letters: `B` rows, `Z` code, `E` numbers that the encoder reads.
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
    """``sum_j |code_j|`` of each row: presses most of the code to 0."""
    return code.abs().sum(1)


def kl_sparsity(activation: Float[Tensor, "B Z"], target: float = 0.05) -> Float[Tensor, " Z"]:
    """``KL(Bernoulli(t) || Bernoulli(a_j))`` with a_j the mean over the rows of unit j: each unit is seldom on.

    0 where ``a_j = t``. Source: Ng (2011), Sparse autoencoder, CS294A lecture notes.

    Parameters
    ----------
    activation : (B, Z) in [0, 1], such as the sigmoid of a code.
    target : t, the share of rows for which a unit is to be on, in (0, 1).
    """
    mean = activation.mean(0).clamp(EDGE, 1 - EDGE)
    wanted = torch.full_like(mean, target)
    return wanted * (wanted / mean).log() + (1 - wanted) * ((1 - wanted) / (1 - mean)).log()


def contractive(
    code: Float[Tensor, "B Z"],
    x: Float[Tensor, "B ..."],
    draws: int | None = None,
    generator: Generator | None = None,
) -> Float[Tensor, " B"]:
    """``||d code / d x||_F**2`` of each row: a code that hardly moves when the input does.

    Source: Rifai et al. (2011), Contractive auto-encoders. Estimated by `draws` of Hutchinson's trick,
    ``E ||v' J||**2 = ||J||_F**2`` for random signs v, each one backward pass instead of Z.

    Parameters
    ----------
    code : (B, Z), computed from `x` row by row (no batch normalisation).
    x : (B, E) or with more axes, ``requires_grad_()``.
    draws : None is exact up to 32 dimensions of the code, and one draw beyond.
    generator : of the random signs; None is torch's own.
    """
    exact = draws is None and code.shape[1] <= EXACT
    directions = (
        torch.eye(code.shape[1], dtype=code.dtype, device=code.device)[:, None].expand(-1, *code.shape)
        if exact
        else _signs(code, draws or 1, generator)
    )
    total = torch.zeros_like(code[:, 0])
    for direction in directions:
        (slope,) = torch.autograd.grad(code, x, direction, create_graph=True)
        total = total + slope.square().flatten(1).sum(1)
    return total if exact else total / len(directions)


def _signs(code: Tensor, draws: int, generator: Generator | None) -> Tensor:
    return (
        2
        * torch.empty(draws, *code.shape, dtype=code.dtype, device=code.device).bernoulli_(
            generator=generator
        )
        - 1
    )
