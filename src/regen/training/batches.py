"""What a loop reads: batches, one epoch at a time."""

from collections.abc import Iterator
from typing import Any, Protocol

import torch

__all__ = ["Batches"]


class Batches(Protocol):
    """A source of batches. The same state of the generator must give the same epoch."""

    def epoch(self, generator: torch.Generator) -> Iterator[Any]:
        """The batches of one epoch, in an order drawn from `generator` only; starts the feed afresh."""

    def __len__(self) -> int:
        """Batches in an epoch."""
