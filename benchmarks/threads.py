"""From how much work in a batch a second thread pays: an LSTM's training step with one thread and with all.

python benchmarks/threads.py
"""

import statistics
import time

import torch
from torch import nn

SIZES = [
    (32, 32, 24),
    (64, 32, 33),
    (64, 32, 104),
    (128, 32, 48),
    (128, 64, 48),
    (256, 32, 48),
    (256, 128, 48),
]


def training_step(hidden: int, rows: int, copies: int):
    """A function that trains once, and the operations it takes."""
    net, readout = nn.LSTM(1, hidden, batch_first=True), nn.Linear(hidden, 12)
    weights = [*net.parameters(), *readout.parameters()]
    optimizer = torch.optim.Adam(weights, fused=True)
    x, y = torch.randn(rows, copies, 1), torch.randn(rows, 12)

    def step() -> None:
        output, _ = net(x)
        optimizer.zero_grad()
        (readout(output[:, -1]) - y).abs().mean().backward()
        optimizer.step()

    return step, 6 * sum(weight.numel() for weight in weights) * rows * copies


def seconds(step, threads: int) -> float:
    """Mean time of a step over a fifth of a second."""
    torch.set_num_threads(threads)
    step()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < 0.2:
        step()
        count += 1
    return (time.perf_counter() - start) / count


def main() -> None:
    most = torch.get_num_threads()
    print(
        f"torch {torch.__version__}; medians of 7 alternating rounds; ratio above 1: {most} threads are faster"
    )
    print(f"{'hidden rows copies':>20}{'operations':>12}{'1 thread':>11}{f'{most} threads':>11}{'ratio':>8}")
    for size in SIZES:
        step, operations = training_step(*size)
        times = {threads: [] for threads in (1, most)}
        for _ in range(7):
            for threads, taken in times.items():
                taken.append(seconds(step, threads))
        one, all_ = (statistics.median(times[threads]) for threads in (1, most))
        name = "{:6d} {:6d} {:6d}".format(*size)
        print(f"{name}{operations:12.1e}{one * 1e3:8.2f} ms{all_ * 1e3:8.2f} ms{one / all_:8.2f}")


if __name__ == "__main__":
    main()
