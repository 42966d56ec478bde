"""The mask of the steps that each sequence of a padded batch has."""

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

__all__ = ["length_mask"]


def length_mask(
    lengths: Int64[Tensor, " B"], steps: int, device: torch.device | str | None = None
) -> Bool[Tensor, "B T"]:
    """(B, T) True at the first ``lengths[b]`` of `steps` steps; on `device`, or on that of the lengths."""
    lengths = lengths if device is None else lengths.to(device)
    return torch.arange(steps, device=lengths.device) < lengths[:, None]
