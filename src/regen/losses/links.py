"""Link functions from unbounded outputs to parameters of distributions, computed stably near singular points."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["bounded", "bounded_inverse", "langevin", "log_sinhc", "rectified", "softplus_inverse", "wide"]

LOG_SINHC = (1 / 6, -1 / 180, 1 / 2835, -1 / 37800, 1 / 467775, -691 / 3831077250)
LANGEVIN = (1 / 3, -1 / 45, 2 / 945, -1 / 4725, 2 / 93555, -1382 / 638512875)
"""Coefficients of their series, in powers of u**2; the next term is below 1e-9 at u = 1/2."""


def bounded(value: Float[Tensor, "..."], bound: float) -> Float[Tensor, "..."]:
    """``bound * tanh(value / bound)``: nearly the same near 0, and within (-bound, bound); same shape."""
    return bound * torch.tanh(value / bound)


def bounded_inverse(value: Float[Tensor, "..."], bound: float) -> Float[Tensor, "..."]:
    """Inverse of `bounded`; values outside are first clamped to 0.9 of the bound, where the slope is still 0.2."""
    return bound * torch.atanh((value / bound).clamp(-0.9, 0.9))


def softplus_inverse(value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Inverse of softplus for `value` > 0; same shape."""
    return value + torch.log(-torch.expm1(-value))


def wide(value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """In float64, except on MPS devices, which do not have it."""
    return value if value.device.type == "mps" else value.double()


def log_sinhc(u: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """``log(sinh(u) / u)``, by its series near 0."""
    size, square = u.abs(), u.square()
    near = size < 0.5
    safe = size.masked_fill(near, 1.0)
    far = safe - torch.log(2 * safe) + torch.log1p(-(-2 * safe).exp())
    small = square.where(near, torch.zeros_like(square))
    return torch.where(near, small * _series(small, LOG_SINHC), far)


def langevin(u: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """``1 / tanh(u) - 1 / u``, the derivative of `log_sinhc`, by its series near 0."""
    square, near = u.square(), u.abs() < 0.5
    safe = u.masked_fill(near, 1.0)
    small = square.where(near, torch.zeros_like(square))
    series = u * _series(small, LANGEVIN)
    return torch.where(near, series, 1 / torch.tanh(safe) - 1 / safe)


def rectified(u: Float[Tensor, "..."]) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
    """First and second moment of ``max(0, y)`` with ``y ~ N(u, 1)``."""
    above, density = torch.special.ndtr(u), torch.exp(-0.5 * (u.square() + math.log(2 * math.pi)))
    first = (u * above + density).clamp(min=0)
    return first, above + u * first


def _series(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    total = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total
