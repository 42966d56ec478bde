"""Cells that a generator says, such that a gradient comes back through all of them, drawn categories included.

A critic must not tell a generated row by its form alone: where real cells are whole numbers or one of K values,
generated ones are so too, to the bit. Their gradient is that of a smooth stand-in (straight-through: Bengio,
Leonard & Courville 2013).

Letters: `E` encoded cells of a row; a generator writes one number for each.
"""

from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional as F

__all__ = ["StraightThrough"]

TEMPERATURE = 1.0
"""Of the smooth stand-in of a draw."""
LOG_COUNT = 20.0
"""Bound of the logarithm of a count."""
NEAR_CERTAIN = 1e-3
"""How near to 0 and 1 a usual share may be for its logit to be taken."""


@final
class StraightThrough:
    """What a generator's numbers `a` say of the cells of a row, block by block.

    ============= ============================================= ========================================
    kind          cell x                                        gradient is that of
    ============= ============================================= ========================================
    real          ``a``                                         itself
    nonnegative   ``max(0, m + a)``                             ``softplus(m + a)``
    unit          ``sigmoid(logit m + a)``                      itself
    binary        1 with chance ``sigmoid(logit m + a)``        ``sigmoid(logit m + a + noise)``
    counts        ``expm1(max(0, m + s a))``, rounded           ``exp(softplus(m + s a)) - 1``
    categorical   one of K, with chances ``softmax(a)``         ``softmax(a + noise)``
    ============= ============================================= ========================================

    m and s are what is usual in a column (of counts: in their logarithm), so that a generator that says numbers of
    size 1 says cells of the right size. Noise is logistic, of categories Gumbel's: x is an exact draw (Maddison, Mnih
    & Teh 2017; Jang, Gu & Poole 2017).

    Parameters
    ----------
    blocks : (kind, first cell, cell after the last) of each block, in order and without gaps.
    shift, spread : (E,) m and s.

    Attributes
    ----------
    cells : E.
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
        """Cells (..., E); of binary and categorical ones a draw, by `generator` (None: torch's own)."""
        return self._said(outputs, generator, drawn=True)

    def mean(self, outputs: Float[Tensor, "... E"]) -> Float[Tensor, "... E"]:
        """Cells (..., E) by no chance: of binary and categorical ones their chances, counts not rounded."""
        return self._said(outputs, None, drawn=False)

    def _said(self, outputs: Tensor, generator: Generator | None, drawn: bool) -> Tensor:
        if self._plain:
            return outputs
        if self._shift.device != outputs.device:
            self._shift, self._spread = self._shift.to(outputs.device), self._spread.to(outputs.device)
        parts = []
        for kind, start, stop in self._blocks:
            a, m, s = outputs[..., start:stop], self._shift[start:stop], self._spread[start:stop]
            if kind == "categorical":
                parts.append(_one_of(a, generator) if drawn else a.softmax(-1))
            elif kind == "binary":
                parts.append(_either(a + m, generator) if drawn else (a + m).sigmoid())
            elif kind == "unit":
                parts.append((a + m).sigmoid())
            elif kind == "nonnegative":
                parts.append(_through((a + m).relu(), F.softplus(a + m)))
            elif kind == "counts":
                parts.append(_count(m + s * a, drawn))
            else:
                parts.append(a)
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


def _through(hard: Tensor, soft: Tensor) -> Tensor:
    """`hard`, with the gradient of `soft`."""
    return hard.detach() + (soft - soft.detach())


def _count(log: Tensor, drawn: bool) -> Tensor:
    found = log.clamp(0, LOG_COUNT).expm1()
    return _through(found.round() if drawn else found, F.softplus(log.clamp(max=LOG_COUNT)).expm1())


def _either(logit: Tensor, generator: Generator | None) -> Tensor:
    uniform = torch.empty_like(logit).uniform_(generator=generator)
    noisy = (logit + uniform.logit(1e-7)) / TEMPERATURE
    return _through((noisy > 0).to(logit.dtype), noisy.sigmoid())


def _one_of(logits: Tensor, generator: Generator | None) -> Tensor:
    gumbel = -torch.empty_like(logits).exponential_(generator=generator).log()
    soft = ((logits + gumbel) / TEMPERATURE).softmax(-1)
    hard = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)
    return _through(hard, soft)
