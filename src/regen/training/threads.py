"""How many threads a training deserves."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["fitting_threads"]

ENOUGH = 1e9
"""Operations in one batch from which torch keeps its own number of threads.

``benchmarks/threads.py`` on two cores: on idle ones a second thread is slower below 1e8 operations and 1.4 times
faster above; where another program wants its core it is 5 to 15 times slower, for threads that wait for each other
spin. Below 1e9 a batch takes some ten milliseconds: little to gain, much to lose.
"""


@contextmanager
def fitting_threads(module: nn.Module, rows: int, copies: int) -> Iterator[None]:
    """One thread while training what is too small for several, and torch's own number again afterwards.

    A small recurrent net is a long chain of small products. Threads wait for each other at every one of them, so a
    second one slows it down, and badly so when another program wants the core. An explicit choice of one thread is
    left alone, and so is a net that is not on the CPU.

    Parameters
    ----------
    module : the net, on its device.
    rows : rows of a batch.
    copies : copies of the net that are unfolded over time.
    """
    weights = list(module.parameters())
    operations = 6 * sum(weight.numel() for weight in weights) * rows * copies  # 2 forward, 4 backward
    threads = torch.get_num_threads()
    if threads == 1 or operations >= ENOUGH or weights[0].device.type != "cpu":
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
