"""Time of a whole fit: Autoencoder against plain PyTorch loops doing the same steps, in one run.

scikit-learn's digits, 64-32-8-32-64 with ReLU, squared error of standardised pixels, Adam, batches of 64 in random
order, 50 epochs: 1,437 training rows, 1,150 steps. Before it is timed, each is checked to have learned the same
thing: the mean squared error on the other 360 rows, in pixels' own units (0 to 16), median of five seeds. All run on
one thread, which is faster than two for a net of this size. Seconds are those of the processor, which on an idle
machine are those of the clock; they alternate round by round, and what is compared is the median of the rounds'
ratios, so that a load of the machine, which comes and goes, falls on all alike. The peers that have autoencoders of
their own are compared by benchmarks/peers/compare.py.

    python benchmarks/autoencoder_speed.py [--rounds 7]
"""

import argparse
import csv
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import regen

X = load_digits().data.astype(np.float32)
TRAIN, TEST = X[:1437], X[1437:]
BATCH, EPOCHS, RATE, SEEDS = 64, 50, 1e-3, 5


def plain(seed: int, batches: Callable[[torch.Tensor], Iterable[tuple[torch.Tensor, ...]]]) -> float:
    """What a user would write, on what `batches` makes of the rows; returns the error on the rest."""
    torch.manual_seed(seed)
    center, scale = TRAIN.mean(0), TRAIN.std(0)
    scale[scale == 0] = 1.0
    net = nn.Sequential(
        nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 8),
        nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 64),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    loader = batches(torch.from_numpy((TRAIN - center) / scale))
    for _ in range(EPOCHS):
        for (x,) in loader:
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(net(x), x)
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        restored = net(torch.from_numpy((TEST - center) / scale)).numpy() * scale + center
    return float(((restored - TEST) ** 2).mean())


class Shuffled:
    """A loop over index batches of one tensor, the fastest that a user would write."""

    def __init__(self, x: torch.Tensor) -> None:
        self.x = x

    def __iter__(self):
        return ((self.x[index],) for index in torch.randperm(len(self.x)).split(BATCH))


def loader(seed: int) -> float:
    """A loop over a DataLoader."""
    return plain(seed, lambda x: DataLoader(TensorDataset(x), BATCH, shuffle=True))


def tensors(seed: int) -> float:
    """A loop over index batches."""
    return plain(seed, Shuffled)


def ours(seed: int) -> float:
    """The estimator, on the same rows; its threshold for anomalies is part of its fit."""
    model = regen.Autoencoder(
        code=8,
        hidden=(32,),
        output="real",
        max_epochs=EPOCHS,
        learning_rate=RATE,
        random_state=seed,
        training={"batch_size": BATCH, "validation": 0.0},
    ).fit(TRAIN)
    return float(((model.reconstruct(TEST) - TEST) ** 2).mean())


CONTESTANTS = {
    "regen.Autoencoder": ours,
    "plain loop, DataLoader": loader,
    "plain loop, tensors": tensors,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    errors = {name: statistics.median(map(run, range(SEEDS))) for name, run in CONTESTANTS.items()}
    times: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for seed in range(rounds):
        for name, run in CONTESTANTS.items():
            start = time.process_time()
            run(seed)
            times[name].append(time.process_time() - start)
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    with open(results / "autoencoder_speed.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["what", "median_s", "over_regen", "mse"])
        print(f"torch {torch.__version__}, 1 thread, medians of {rounds} alternating rounds")
        print(f"{'':34}{'seconds':>9}{'over regen':>12}{'MSE':>9}")
        for name, taken in times.items():
            median = statistics.median(taken)
            own = times["regen.Autoencoder"]
            slower = statistics.median(t / o for t, o in zip(taken, own, strict=True))
            table.writerow([name, median, slower, errors[name]])
            print(f"{name:34}{median:9.3f}{slower:12.2f}{errors[name]:9.4f}")


if __name__ == "__main__":
    main()
