"""Rows held out to validate on."""

import numpy as np
import torch
from numpy.typing import NDArray

from regen.training.options import validation_share

Index = NDArray[np.int64]
LEAST_BATCHES = 8
"""Batches of an epoch: where one pass over few sequences gives less, an epoch is several passes."""


def hold_out(groups: Index, validation: float | str, generator: torch.Generator) -> Index:
    """Rows to validate on, in order: the rounded share of each group, drawn at random; always less than all.

    groups : (n,) group of each row: the class, or all alike. A group with too few members gives none, so every
        class stays in the training part.
    validation : the share; "auto" is a fifth, and nothing where that is less than `LEAST_HELD_OUT` rows.
    """
    share = validation_share(validation)
    order = torch.randperm(len(groups), generator=generator).numpy()
    order = order[np.argsort(groups[order], kind="stable")]
    _, first, count = np.unique(groups[order], return_index=True, return_counts=True)
    n_held_out = np.minimum(np.rint(share * count).astype(np.int64), count - 1)
    rank = np.arange(len(groups)) - np.repeat(first, count)
    rows = np.sort(order[rank < np.repeat(n_held_out, count)])
    if validation == "auto":
        return rows if len(rows) >= LEAST_HELD_OUT else rows[:0]
    if share and not len(rows):
        raise ValueError(
            f"validation={share:g} holds out none of {len(groups)} rows. Raise it, or take validation=0."
        )
    return rows


LEAST_HELD_OUT = 32
"""Fewer rows do not show which epoch is better, and training lacks them: of ArrowHead, ECG200 and
GunPoint (36, 100 and 50 rows), holding out a fifth costs the first two 12 and 5 points, the third none."""
