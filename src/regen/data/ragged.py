"""One container for sequences of any lengths, rows and images."""

from typing import final

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

__all__ = ["Ragged"]


@final
class Ragged:
    """Sequences, of one length or of many, in one block of memory; or rows of any shape.

    Parameters
    ----------
    values : (n, T, F) when all have one length, or (n, ...); else (sum of lengths, F), one sequence after the other.
    lengths : (n,) int64 when the lengths differ, None when they do not.
    """

    def __init__(self, values: Shaped[Tensor, "..."], lengths: Int64[Tensor, " n"] | None = None) -> None:
        self.values = values
        self.lengths = None if lengths is None else lengths.cpu()
        self.starts = None if self.lengths is None else self.lengths.cumsum(0) - self.lengths

    def __len__(self) -> int:
        return len(self.values) if self.lengths is None else len(self.lengths)

    def gather(
        self, index: Int64[Tensor, " B"]
    ) -> tuple[Shaped[Tensor, "B ..."], Int64[Tensor, " B"] | None]:
        """Rows number `index` (B,): x (B, T, F) padded with 0 or (B, ...), and lengths (B,) or None."""
        if self.lengths is None or self.starts is None:
            return self.values.index_select(0, index.to(self.values.device)), None
        lengths, starts = self.lengths[index], self.starts[index]
        steps = torch.arange(int(lengths.max()))
        valid = steps < lengths[:, None]
        places = torch.where(valid, starts[:, None] + steps, 0).to(self.values.device)
        x = self.values.index_select(0, places.flatten()).view(*places.shape, -1)
        return x.masked_fill_(~valid.to(x.device)[..., None], 0), lengths.to(x.device)
