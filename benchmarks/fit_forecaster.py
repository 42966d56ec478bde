"""Time of a whole fit: Forecaster against plain PyTorch loops doing the same steps, in one run.

3,000 points, window 24, horizon 12, hidden 32, batch 32, 10 epochs: 2,365 training windows, 740 steps. Before it is
timed, each is checked to have learned the same thing: the mean absolute error on the last fifth of the series.
All run on one thread, which is faster than two for a net of this size (benchmarks/threads.py). Seconds are those of
the processor, which on an idle machine are those of the clock; they alternate round by round, and what is compared is
the median of the rounds' ratios, so that a load of the machine, which comes and goes, falls on all alike.

    python benchmarks/fit_forecaster.py [--rounds 5]
"""

import argparse
import csv
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import regen

N, WINDOW, HORIZON, HIDDEN, BATCH, EPOCHS = 3000, 24, 12, 32, 32, 10
CUT = 2400
STEPS = np.arange(N)
Y = np.sin(2 * np.pi * STEPS / 24) + 0.5 * np.sin(2 * np.pi * STEPS / 7)
Y = (Y + 0.2 * np.random.default_rng(0).normal(size=N)).astype(np.float32)


class Plain(nn.Module):
    """What a user would write: an LSTM, a linear layer, windows less their mean over their scale."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, HIDDEN, batch_first=True)
        self.out = nn.Linear(HIDDEN, HORIZON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, scale = x.mean(1, keepdim=True), x.std(1, keepdim=True) + 1e-5
        output, _ = self.lstm((x - mean) / scale)
        return self.out(output[:, -1]) * scale[:, 0] + mean[:, 0]


def cut_windows(y: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    both = torch.tensor(y).unfold(0, WINDOW + HORIZON, 1)
    return both[:, :WINDOW, None].contiguous(), both[:, WINDOW:].contiguous()


def plain(batches) -> float:
    """Train on what `batches` gives each epoch; returns the error on the last fifth."""
    torch.manual_seed(0)
    net = Plain()
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(EPOCHS):
        for x, y in batches():
            optimizer.zero_grad()
            loss = (net(x) - y).abs().mean()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
    x, y = cut_windows(Y[CUT - WINDOW :])
    with torch.no_grad():
        return float((net(x) - y).abs().mean())


def tensors() -> float:
    """A loop over index batches of one tensor."""
    x, y = cut_windows(Y[:CUT])
    return plain(lambda: ((x[i], y[i]) for i in torch.randperm(len(x)).split(BATCH)))


def loader() -> float:
    """A loop over a DataLoader."""
    return plain(lambda: DataLoader(TensorDataset(*cut_windows(Y[:CUT])), BATCH, shuffle=True))


def ours(validation: float = 0.2) -> float:
    """The estimator with its validation and its intervals; without validation it fits the training part alone."""
    plan = {"batch_size": BATCH, "validation": validation, "patience": None}
    model = regen.Forecaster(
        cell="lstm",
        window=WINDOW,
        horizon=HORIZON,
        hidden=HIDDEN,
        max_epochs=EPOCHS,
        random_state=0,
        training=plan,
    ).fit(Y if validation else Y[:CUT])
    return float(model.backtest(Y, start=CUT, stride=1).scores["mae"])


def kernel() -> str:
    """What runs the recurrent net of `ours`."""
    model = regen.Forecaster(cell="lstm", window=WINDOW, horizon=HORIZON, hidden=HIDDEN, max_epochs=1)
    return str(model.fit(Y[:200]).backend_)


CONTESTANTS = {
    "regen.Forecaster": ours,
    "regen.Forecaster, validation=0": lambda: ours(0.0),
    "plain loop, tensors": tensors,
    "plain loop, DataLoader": loader,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    errors = {name: run() for name, run in CONTESTANTS.items()}
    times: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for _ in range(rounds):
        for name, run in CONTESTANTS.items():
            start = time.process_time()
            run()
            times[name].append(time.process_time() - start)
    plain_times = times["plain loop, tensors"]
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    with open(results / "fit_forecaster.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["what", "median_s", "plain_over_it", "mae"])
        print(f"torch {torch.__version__}, 1 thread, medians of {rounds} alternating rounds, {kernel()}")
        print(f"{'':34}{'seconds':>9}{'plain / it':>12}{'MAE':>9}")
        for name, taken in times.items():
            median = statistics.median(taken)
            faster = statistics.median(plain / own for plain, own in zip(plain_times, taken, strict=True))
            table.writerow([name, median, faster, errors[name]])
            print(f"{name:34}{median:9.2f}{faster:12.2f}{errors[name]:9.4f}")


if __name__ == "__main__":
    main()
