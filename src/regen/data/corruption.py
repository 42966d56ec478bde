"""Noise for denoising autoencoders: corrupted tables, images and sequences.

Letters: `E` encoded numbers of a row.
"""

from typing import Literal, TypeAlias

import torch
from torch import Tensor

__all__ = ["CORRUPTIONS", "Corruption", "corrupt"]

Corruption: TypeAlias = Literal["gaussian", "mask", "salt_pepper"]

CORRUPTIONS: tuple[Corruption, ...] = ("gaussian", "mask", "salt_pepper")
"""The kinds of noise of `corrupt`."""


def corrupt(
    x: Tensor,
    kind: Corruption,
    amount: float,
    generator: torch.Generator | None = None,
    *,
    bounds: tuple[Tensor, Tensor] | None = None,
    column: Tensor | None = None,
) -> Tensor:
    """A corrupted copy of x; NaN stays NaN.

    ============= ==========================================================================================
    "gaussian"    ``x + amount * e``, with e from N(0, 1): `amount` is in units of x
    "mask"        each cell is NaN, that is hidden, with probability `amount`
    "salt_pepper" each cell is, with probability `amount`, the lowest or the highest of its column, evenly
    ============= ==========================================================================================

    Source: Vincent et al., Stacked Denoising Autoencoders, JMLR 11 (2010).

    Parameters
    ----------
    x : (..., E) numbers, NaN where missing; any number of axes before the columns.
    kind : "gaussian", "mask" or "salt_pepper".
    amount : a standard deviation, or a share in [0, 1].
    generator : where all randomness comes from; None is torch's global one.
    bounds : lowest and highest values, (E,) each, for "salt_pepper"; None takes those of x itself.
    column : (E,) int, the column of each number: numbers of one column are hidden, or replaced, together, as the K
        numbers of a category must be. None: each number is a column.

    Raises
    ------
    ValueError
        For another kind, a negative amount, or a share above 1.
    """
    if kind not in CORRUPTIONS:
        words = ", ".join(repr(word) for word in CORRUPTIONS)
        raise ValueError(f"A corruption must be one of {words}. Got {kind!r} instead.")
    if not amount >= 0 or (kind != "gaussian" and amount > 1):
        allowed = "[0, inf)" if kind == "gaussian" else "[0, 1]"
        raise ValueError(f"The amount of {kind!r} must be in {allowed}. Got {amount} instead.")
    if kind == "gaussian":
        return x + amount * _drawn(torch.randn, x.shape, generator, x)
    uniform = _drawn(torch.rand, _cells(x, column), generator, x)
    uniform = uniform if column is None else uniform[..., column]
    if kind == "mask":
        return x.masked_fill(uniform < amount, torch.nan)
    low, high = _bounds(x) if bounds is None else bounds
    changed = torch.where(uniform < amount / 2, low, torch.where(uniform < amount, high, x))
    return torch.where(x.isnan(), x, changed)


def _cells(x: Tensor, column: Tensor | None) -> tuple[int, ...]:
    """Shape of one draw a cell."""
    return tuple(x.shape) if column is None else (*x.shape[:-1], int(column.max()) + 1)


def _drawn(draw: object, shape: tuple[int, ...], generator: torch.Generator | None, like: Tensor) -> Tensor:
    """Random numbers on the device and of the type of `like`, drawn where the generator lives."""
    device = like.device if generator is None else generator.device
    assert callable(draw)
    drawn: Tensor = draw(shape, generator=generator, device=device, dtype=like.dtype)
    return drawn.to(like.device)


def _bounds(x: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest and highest value (E,) of each column; a column of only NaN has none to be replaced by."""
    rows = x.reshape(-1, x.shape[-1])
    missing = rows.isnan()
    return rows.masked_fill(missing, torch.inf).amin(0), rows.masked_fill(missing, -torch.inf).amax(0)
