"""MNIST, and a net that reads its digits, trained once and kept under build/."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

KEPT = Path(__file__).parents[2] / "build" / "bench" / "digits.safetensors"
EPOCHS, BATCH, RATE = 6, 128, 4e-3
BLOCK = 1000


def folder() -> Path:
    """Where the data are, or an exit when REGEN_DATA is not set."""
    path = Path(os.environ.get("REGEN_DATA", ""))
    if not (path / "mnist" / "mnist.npz").is_file():
        sys.exit("Skipped: set REGEN_DATA to the folder that holds mnist/mnist.npz.")
    return path


def mnist(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images (60000, 28, 28) uint8 and their digits, test images (10000, 28, 28) and theirs."""
    with np.load(path / "mnist" / "mnist.npz", allow_pickle=False) as archive:
        x, y, test, wanted = (archive[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    return x, y.astype(np.int64), test, wanted.astype(np.int64)


def reader(path: Path) -> tuple[nn.Module, float]:
    """A small convolutional net that classifies digits in [0, 1], and its accuracy on the test images."""
    x, y, test, wanted = mnist(path)
    net = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(16)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(32)),
        *(nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * 49, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10)),
    )  # fmt: skip
    if KEPT.exists():
        net.load_state_dict(load_file(KEPT))
    else:
        _teach(net, torch.from_numpy(x), torch.from_numpy(y))
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        save_file(net.state_dict(), KEPT)
    found = read(net, torch.from_numpy(test) / 255)
    return net.eval(), float((found.numpy() == wanted).mean())


@torch.no_grad()
def read(net: nn.Module, images: Tensor) -> Tensor:
    """(n,) the digit that each image (n, 28, 28) in [0, 1] shows."""
    net.eval()
    return torch.cat([net(block[:, None]).argmax(1) for block in images.split(BLOCK)])


def _teach(net: nn.Module, x: Tensor, y: Tensor) -> None:
    """Six passes, the images moved by up to 2 pixels, with one cycle of the rate."""
    start = time.process_time()
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        optimizer = torch.optim.Adam(net.parameters(), RATE)
        batches = len(x) // BATCH
        rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, EPOCHS * batches)
        net.train()
        for _ in range(EPOCHS):
            for index in torch.randperm(len(x))[: batches * BATCH].split(BATCH):
                down, right = torch.randint(-2, 3, (2,)).tolist()
                images = x[index].roll((down, right), (1, 2))[:, None] / 255
                optimizer.zero_grad()
                F.cross_entropy(net(images), y[index]).backward()
                optimizer.step()
                rates.step()
    print(f"taught a net to read digits in {time.process_time() - start:.0f} s", flush=True)
