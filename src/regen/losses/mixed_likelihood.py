"""A different likelihood for each block of a row's cells; missing cells have a loss of 0.

Letters: `E` encoded cells of a row, `W` all outputs of the decoder for them: block after block, each chunked as its
likelihood expects ([first parameter of its cells | second | ...]).
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
"""Losses that compare the reconstruction with the target, whatever the likelihood."""
PROBABLE = ("bernoulli", "categorical")
"""Likelihoods whose ``-log_density`` is the cross-entropy."""


@final
class MixedLikelihood:
    """Likelihoods of the blocks of a row.

    Parameters
    ----------
    blocks : sequence of (str, int, int)
        Name of a likelihood, first cell and cell after the last of each block, in order and without gaps.

    Attributes
    ----------
    cells : int
        E.
    outputs : int
        W, the number of outputs that the decoder must have.
    names : tuple of str
        The likelihood of each block.

    Raises
    ------
    ValueError
        For an unknown name, or for blocks with gaps or overlaps.

    See Also
    --------
    Likelihood : Of single cells.

    Examples
    --------
    >>> mixed = MixedLikelihood([("gaussian", 0, 2), ("bernoulli", 2, 3)])
    >>> mixed.cells, mixed.outputs
    (3, 5)
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
        """Log-density of every cell.

        Parameters
        ----------
        outputs : Tensor of shape (..., W)
            Outputs of the decoder.
        target : Tensor of shape (..., E)
            May be NaN where `mask` is False.
        mask : Tensor of shape (..., E), default=None
            True where the cell is observed; None where all are.

        Returns
        -------
        Tensor of shape (..., E)
            In nats; 0 where `mask` is False.
        """
        return self._per_block([member.log_density for member in self._likelihoods], outputs, target, mask)

    def loss(
        self,
        outputs: Outputs,
        target: Cells,
        mask: Bool[Tensor, "... E"] | None = None,
        kind: str = "auto",
    ) -> Cells:
        """The loss of an autoencoder for every cell.

        Parameters
        ----------
        outputs : Tensor of shape (..., W)
            Outputs of the decoder.
        target : Tensor of shape (..., E)
            May be NaN where `mask` is False.
        mask : Tensor of shape (..., E), default=None
            True where the cell is observed; None where all are.
        kind : {"auto", "mse", "mae", "huber", "cross_entropy"}, default="auto"
            ``"auto"`` is the loss of each likelihood; ``"mse"``, ``"mae"`` and ``"huber"`` compare the mean with the
            target; ``"cross_entropy"`` is the loss of "bernoulli" and "categorical".

        Returns
        -------
        Tensor of shape (..., E)
            0 where `mask` is False.

        Raises
        ------
        ValueError
            For another kind, or ``"cross_entropy"`` with other likelihoods.
        """
        if kind in OF_THE_MEAN:
            if mask is not None:
                target = torch.where(mask, target, 0.0)
            found = LOSSES[kind](self.mean(outputs), target)
            return found if mask is None else torch.where(mask, found, 0.0)
        self._check_kind(kind)
        return self._per_block([member.loss for member in self._likelihoods], outputs, target, mask)

    def mean(self, outputs: Outputs) -> Cells:
        """Expected value of every cell: the reconstruction.

        Parameters
        ----------
        outputs : Tensor of shape (..., W)
            Outputs of the decoder.

        Returns
        -------
        Tensor of shape (..., E)
            The means.
        """
        parts = zip(self._likelihoods, self._split(outputs), strict=True)
        return _concatenate([member.mean(part) for member, part in parts])

    def sample(self, outputs: Outputs, generator: Generator | None = None) -> Cells:
        """Sample every cell.

        Parameters
        ----------
        outputs : Tensor of shape (..., W)
            Outputs of the decoder.
        generator : torch.Generator, default=None
            None is torch's global one.

        Returns
        -------
        Tensor of shape (..., E)
            One sample of every cell.
        """
        parts = zip(self._likelihoods, self._split(outputs), strict=True)
        return _concatenate([member.sample(part, generator) for member, part in parts])

    def initial_bias(self, target: Float[Tensor, "n E"]) -> Float[Tensor, " W"]:
        """Outputs whose distributions have the mean and the spread of each column.

        Parameters
        ----------
        target : Tensor of shape (n, E)
            With NaN where a value is missing.

        Returns
        -------
        Tensor of shape (W,)
            The initial bias of the decoder's last layer.
        """
        parts = zip(self._likelihoods, self._cells(target), strict=True)
        return _concatenate([member.initial_bias(part) for member, part in parts])

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
            # 0 is in the support of every likelihood; NaN would reach the gradient as 0 times NaN.
            target = torch.where(mask, target, 0.0)
        parts = zip(functions, self._split(outputs), self._cells(target), strict=True)
        found = _concatenate([function(part, cells) for function, part, cells in parts])
        return found if mask is None else torch.where(mask, found, 0.0)

    def _split(self, outputs: Tensor) -> Sequence[Tensor]:
        return [outputs] if len(self._widths) == 1 else torch.split(outputs, self._widths, -1)

    def _cells(self, values: Tensor) -> Sequence[Tensor]:
        return [values] if len(self._sizes) == 1 else torch.split(values, self._sizes, -1)

    def _check_kind(self, kind: str) -> None:
        if kind == "auto":
            return
        if kind != "cross_entropy":
            raise ValueError(
                f"loss must be 'auto', 'mse', 'mae', 'huber' or 'cross_entropy'. Got {kind!r} instead."
            )
        for name in self.names:
            if name not in PROBABLE:
                raise ValueError(
                    f"loss='cross_entropy' is for binary, [0, 1] and categorical data, and some columns have the "
                    f"likelihood {name!r}. Use loss='auto'."
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
        raise ValueError("MixedLikelihood needs at least one block of cells. Got none.")
    return end


def _concatenate(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, -1)
