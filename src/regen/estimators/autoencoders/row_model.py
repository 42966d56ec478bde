"""What the estimators that code rows accept, and a batch of rows as their networks read it.

Letters: `B` batch, `T` steps, `E` encoded numbers of a row (of a step, for sequences).
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

__all__ = ["RowInputs"]


class RowInputs(NamedTuple):
    """A batch of rows as a network reads it, and as it is to be restored.

    target : (B, E) or (B, T, E); 0 where missing. observed : same shape, or None when nothing is missing.
    x : same shape, what the encoder reads; 0 where missing. lengths : (B,) steps that count, or None for all.
    """

    target: Tensor
    observed: Tensor | None
    x: Tensor
    lengths: Tensor | None
