"""Straight-through estimators: cells of generated rows, discrete ones included, with a gradient.

The discriminator must not recognise generated rows by their format alone: where real cells are whole numbers or one
of K values, generated ones are so too, exactly. Their gradient is that of a smooth surrogate (Bengio, Leonard &
Courville 2013).

Letters: `E` encoded cells of a row; a generator has one output for each.
"""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional as F

__all__ = ["StraightThrough"]

TEMPERATURE = 1.0
"""Of the smooth surrogate of a sample."""
LOG_COUNT = 20.0
"""Bound of the logarithm of a count."""
NEAR_CERTAIN = 1e-3
"""A mean is kept this far from 0 and 1 before its logit is taken."""


@final
class StraightThrough:
    """Cells of a row from the outputs `a` of a generator, block by block.

    ============= ============================================= ========================================
    kind          cell x                                        gradient is that of
    ============= ============================================= ========================================
    real          ``a``                                         itself
    nonnegative   ``max(0, m + a)``                             ``softplus(m + a)``
    unit          ``sigmoid(logit m + a)``                      itself
    binary        1 with probability ``sigmoid(logit m + a)``   ``sigmoid(logit m + a + noise)``
    counts        ``expm1(max(0, m + s a))``, rounded           ``exp(softplus(m + s a)) - 1``
    categorical   one of K, probabilities ``softmax(a)``        ``softmax(a + noise)``
    ============= ============================================= ========================================

    m and s are the mean and the spread of a column (of counts: of their logarithm), so that outputs of size 1 give
    cells of the right scale. The noise is logistic, for categories Gumbel: x is an exact sample (Maddison, Mnih & Teh
    2017; Jang, Gu & Poole 2017).

    Parameters
    ----------
    blocks : sequence of (str, int, int)
        Kind, first cell and cell after the last of each block, in order and without gaps.
    shift, spread : Tensor of shape (E,)
        m and s.

    Attributes
    ----------
    cells : int
        E.

    See Also
    --------
    MixedLikelihood : Densities of such cells.

    Examples
    --------
    >>> cells = StraightThrough([("nonnegative", 0, 2)], torch.zeros(2), torch.ones(2))
    >>> cells.sample(torch.tensor([[-1.0, 2.0]]))
    tensor([[0., 2.]])
    """

    def __init__(
        self,
        blocks: Sequence[tuple[str, int, int]],
        shift: Float[Tensor, " E"],
        spread: Float[Tensor, " E"],
    ) -> None:
        self._blocks = tuple(blocks)
        self.cells = self._blocks[-1][2]
        self._shift, self._spread = shift.float().clone(), spread.float()
        for kind, start, stop in self._blocks:
            if kind in ("unit", "binary"):
                self._shift[start:stop] = self._shift[start:stop].logit(NEAR_CERTAIN)
        self._plain = all(kind == "real" for kind, _, _ in self._blocks)

    def sample(
        self, outputs: Float[Tensor, "... E"], generator: Generator | None = None
    ) -> Float[Tensor, "... E"]:
        """Cells, with samples of binary and categorical ones.

        Parameters
        ----------
        outputs : Tensor of shape (..., E)
            Of the generator.
        generator : torch.Generator, default=None
            None is torch's global one.

        Returns
        -------
        Tensor of shape (..., E)
            With the gradient of the surrogate.
        """
        return self._cells(outputs, generator, sampled=True)

    def mean(self, outputs: Float[Tensor, "... E"]) -> Float[Tensor, "... E"]:
        """Cells without noise: probabilities of binary and categorical ones, counts not rounded.

        Parameters
        ----------
        outputs : Tensor of shape (..., E)
            Of the generator.

        Returns
        -------
        Tensor of shape (..., E)
            Deterministic.
        """
        return self._cells(outputs, None, sampled=False)

    def _cells(self, outputs: Tensor, generator: Generator | None, sampled: bool) -> Tensor:
        if self._plain:
            return outputs
        if self._shift.device != outputs.device:
            self._shift, self._spread = self._shift.to(outputs.device), self._spread.to(outputs.device)
        parts = []
        for kind, start, stop in self._blocks:
            a, m, s = outputs[..., start:stop], self._shift[start:stop], self._spread[start:stop]
            if kind == "categorical":
                parts.append(_sample_one_hot(a, generator) if sampled else a.softmax(-1))
            elif kind == "binary":
                parts.append(_sample_binary(a + m, generator) if sampled else (a + m).sigmoid())
            elif kind == "unit":
                parts.append((a + m).sigmoid())
            elif kind == "nonnegative":
                parts.append(_straight_through((a + m).relu(), F.softplus(a + m)))
            elif kind == "counts":
                parts.append(_count(m + s * a, sampled))
            else:
                parts.append(a)
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


def _straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """`hard`, with the gradient of `soft`."""
    return hard.detach() + (soft - soft.detach())


def _count(log: Tensor, rounded: bool) -> Tensor:
    found = log.clamp(0, LOG_COUNT).expm1()
    return _straight_through(
        found.round() if rounded else found, F.softplus(log.clamp(max=LOG_COUNT)).expm1()
    )


def _sample_binary(logit: Tensor, generator: Generator | None) -> Tensor:
    uniform = torch.empty_like(logit).uniform_(generator=generator)
    noisy = (logit + uniform.logit(1e-7)) / TEMPERATURE
    return _straight_through((noisy > 0).to(logit.dtype), noisy.sigmoid())


def _sample_one_hot(logits: Tensor, generator: Generator | None) -> Tensor:
    gumbel = -torch.empty_like(logits).exponential_(generator=generator).log()
    soft = ((logits + gumbel) / TEMPERATURE).softmax(-1)
    hard = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)
    return _straight_through(hard, soft)
