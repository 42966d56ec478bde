"""Several likelihoods side by side: each block of a row's cells has its own, and cells not observed cost nothing.

Letters: `E` encoded cells of a row, `W` all numbers that the decoder writes for them: block after block, each
chunked as its likelihood wants it ([first parameter of its cells | second | ...]).
"""

from collections.abc import Callable, Sequence
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from regen.losses.likelihoods import LIKELIHOODS, Cells, Likelihood, Outputs
from regen.losses.regression import LOSSES

__all__ = ["MixedLikelihood"]

OF_THE_MEAN = ("mse", "mae", "huber")
"""Costs that compare the reconstruction with the target, whatever the likelihood."""
PROBABLE = ("bernoulli", "categorical")
"""Likelihoods whose ``-log_density`` is the cross-entropy."""


@final
class MixedLikelihood:
    """Likelihoods of the blocks of a row.

    Parameters
    ----------
    blocks : (name of a likelihood, first cell, cell after the last) of each block, in order and without gaps.
        ValueError for an unknown name, or for blocks that leave a gap or overlap.

    Attributes
    ----------
    cells : E. outputs : W, how many numbers the decoder has to write.
    names : the likelihood of each block.
    """

    def __init__(self, blocks: Sequence[tuple[str, int, int]]) -> None:
        self.names = tuple(name for name, _, _ in blocks)
        self._likelihoods = tuple(_named(name) for name in self.names)
        self.cells = _contiguous(blocks)
        self._sizes = [stop - start for _, start, stop in blocks]
        self._widths = [
            size * member.width for size, member in zip(self._sizes, self._likelihoods, strict=True)
        ]
        self.outputs = sum(self._widths)

    def log_density(
        self,
        outputs: Outputs,
        target: Cells,
        mask: Bool[Tensor, "... E"] | None = None,
    ) -> Cells:
        """Log-density of every cell, in nats; 0 where `mask` is False, whatever the target there (NaN too).

        outputs : (..., W). target : (..., E). mask : (..., E), True where the cell was observed; None for all.
        """
        return self._per_block([member.log_density for member in self._likelihoods], outputs, target, mask)

    def loss(
        self,
        outputs: Outputs,
        target: Cells,
        mask: Bool[Tensor, "... E"] | None = None,
        kind: str = "auto",
    ) -> Cells:
        """What an autoencoder minimises, for every cell; 0 where `mask` is False. Shapes as in `log_density`.

        kind : "auto" is each likelihood's own cost; "mse", "mae" and "huber" compare the mean with the target;
            "cross_entropy" is the own cost of "bernoulli" and "categorical" and a ValueError for all others.
        """
        if kind in OF_THE_MEAN:
            if mask is not None:
                target = torch.where(mask, target, 0.0)
            found = LOSSES[kind](self.mean(outputs), target)
            return found if mask is None else torch.where(mask, found, 0.0)
        self._allow(kind)
        return self._per_block([member.loss for member in self._likelihoods], outputs, target, mask)

    def mean(self, outputs: Outputs) -> Cells:
        """Expected value of every cell, (..., E): the reconstruction."""
        parts = zip(self._likelihoods, self._split(outputs), strict=True)
        return _side_by_side([member.mean(part) for member, part in parts])

    def sample(self, outputs: Outputs, generator: Generator | None = None) -> Cells:
        """One draw of every cell, (..., E), by `generator` (None: torch's own)."""
        parts = zip(self._likelihoods, self._split(outputs), strict=True)
        return _side_by_side([member.sample(part, generator) for member, part in parts])

    def initial_bias(self, target: Float[Tensor, "n E"]) -> Float[Tensor, " W"]:
        """Outputs (W,) that say the mean and the spread of each column. target : (n, E), NaN where not known."""
        parts = zip(self._likelihoods, self._cells(target), strict=True)
        return _side_by_side([member.initial_bias(part) for member, part in parts])

    def _per_block(
        self,
        functions: Sequence[Callable[[Tensor, Tensor], Tensor]],
        outputs: Tensor,
        target: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        if mask is None and len(functions) == 1:
            return functions[0](outputs, target)
        if mask is not None:
            # 0 is a value that every likelihood allows; NaN would come back in the gradient, 0 times NaN.
            target = torch.where(mask, target, 0.0)
        parts = zip(functions, self._split(outputs), self._cells(target), strict=True)
        found = _side_by_side([function(part, cells) for function, part, cells in parts])
        return found if mask is None else torch.where(mask, found, 0.0)

    def _split(self, outputs: Tensor) -> Sequence[Tensor]:
        return [outputs] if len(self._widths) == 1 else torch.split(outputs, self._widths, -1)

    def _cells(self, values: Tensor) -> Sequence[Tensor]:
        return [values] if len(self._sizes) == 1 else torch.split(values, self._sizes, -1)

    def _allow(self, kind: str) -> None:
        if kind == "auto":
            return
        if kind != "cross_entropy":
            raise ValueError(
                f"loss must be 'auto', 'mse', 'mae', 'huber' or 'cross_entropy'. Got {kind!r} instead."
            )
        for name in self.names:
            if name not in PROBABLE:
                raise ValueError(
                    f"loss='cross_entropy' is for binary, [0, 1] and categorical data, and some of these are read as "
                    f"{name!r}. Take loss='auto'."
                )


def _named(name: str) -> Likelihood:
    if name not in LIKELIHOODS:
        raise ValueError(f"There is no likelihood {name!r}; there are {', '.join(map(repr, LIKELIHOODS))}.")
    return LIKELIHOODS[name]


def _contiguous(blocks: Sequence[tuple[str, int, int]]) -> int:
    end = 0
    for name, start, stop in blocks:
        if start != end or stop <= start:
            raise ValueError(
                f"Blocks of cells must follow each other without gap. Got {name!r} from {start} to {stop} "
                f"after {end}."
            )
        end = stop
    if not blocks:
        raise ValueError("MixedLikelihood need at least one block of cells. Got none.")
    return end


def _side_by_side(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, -1)
