"""A net of regen.nn under DistributedDataParallel: two gloo processes on 127.0.0.1, for test_torch_tools.py."""

import os
import tempfile
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import multiprocessing
from torch.nn.parallel import DistributedDataParallel

from regen import nn

PROCESSES = 2


def gradients(net: torch.nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """Those of the weights, of a mean over the rows."""
    net.zero_grad()
    net(x)[0].square().mean().backward()
    return [p.grad for p in net.parameters() if p.grad is not None]


def work(rank: int, meeting: str) -> None:
    """Train a step on the rows of one process, and compare with the whole batch."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{meeting}",
        rank=rank,
        world_size=PROCESSES,
        timeout=timedelta(seconds=60),
    )
    torch.manual_seed(rank)  # DDP sends the weights of the first process to the others
    net = nn.LSTM(3, 5, num_layers=2, batch_first=True, peephole="full")
    parallel = DistributedDataParallel(net)
    x = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(7))
    mine = [grad.clone() for grad in gradients(parallel, x[rank::PROCESSES])]
    whole = gradients(net, x)
    found = "equal" if mine and all(map(torch.allclose, mine, whole)) else "different"
    os.write(1, f"{found}\n".encode())  # in one piece, for both processes write at the same time
    dist.destroy_process_group()


if __name__ == "__main__":
    os.environ |= {"GLOO_SOCKET_IFNAME": "lo", "MASTER_ADDR": "127.0.0.1"}
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(work, (str(Path(folder) / "meeting"),), PROCESSES)
