"""The batches of a training, one epoch at a time."""

from collections.abc import Iterator
from typing import Any, Protocol

import torch

__all__ = ["Batches"]


class Batches(Protocol):
    """A source of batches. The same state of the generator must give the same epoch.

    See Also
    --------
    train : Takes one.

    Examples
    --------
    >>> class Rows:
    ...     def __init__(self, x):
    ...         self.x = x
    ...
    ...     def __len__(self):
    ...         return -(-len(self.x) // 32)
    ...
    ...     def epoch(self, generator):
    ...         for index in torch.randperm(len(self.x), generator=generator).split(32):
    ...             yield self.x[index]
    >>> batches: Batches = Rows(torch.randn(100, 3))
    >>> len(batches)
    4
    """

    def epoch(self, generator: torch.Generator) -> Iterator[Any]:
        """The batches of one epoch, from its start.

        Parameters
        ----------
        generator : torch.Generator
            Gives the order.

        Returns
        -------
        iterator
            As many batches as ``len``.
        """

    def __len__(self) -> int:
        """Batches in an epoch."""
