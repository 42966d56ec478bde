"""Threads: one for small nets, torch's own number for large ones and afterwards."""

import pytest
import torch
from torch import nn

from regen.training.device import fitting_threads


@pytest.mark.parametrize(("copies", "during"), [(10, 1), (10**8, 2)])
def test_small_work_gets_one_thread(two_threads, copies, during):
    """The number follows the work, and is put back also when training fails."""
    with pytest.raises(RuntimeError, match="stop"), fitting_threads(nn.Linear(4, 4), 32, copies):
        assert torch.get_num_threads() == during
        raise RuntimeError("stop")
    assert torch.get_num_threads() == 2
