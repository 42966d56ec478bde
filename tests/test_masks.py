"""The length mask: True at the steps that a sequence has."""

import pytest
import torch

from regen._masks import length_mask


@pytest.mark.parametrize(
    ("lengths", "steps", "expected"),
    [
        ([2, 3, 0], 3, [[True, True, False], [True, True, True], [False, False, False]]),
        ([5], 2, [[True, True]]),
        ([], 2, []),
    ],
)
def test_length_mask(lengths: list[int], steps: int, expected: list[list[bool]]) -> None:
    """Step t of a sequence of length n counts when t < n; the twin that counts t <= n differs."""
    found = length_mask(torch.tensor(lengths, dtype=torch.int64), steps)
    assert found.dtype == torch.bool and found.shape == (len(lengths), steps)
    assert found.tolist() == expected
    if lengths == [2, 3, 0]:
        assert (torch.arange(steps) <= torch.tensor(lengths)[:, None]).tolist() != expected


def test_length_mask_on_another_device() -> None:
    """The mask is built where it is used."""
    assert length_mask(torch.tensor([1]), 1, "meta").device.type == "meta"
