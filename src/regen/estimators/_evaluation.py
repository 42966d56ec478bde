"""Networks in evaluation mode: no gradients, no dropout, so many rows at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

EVALUATION_BATCH = 512


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """No gradients and no dropout; the network's mode is put back afterwards."""
    training = net.training
    net.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        net.train(training)
