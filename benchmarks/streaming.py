"""One step at a time, as data comes in: regen's stream against nn.LSTMCell in inference mode, batch 1.

"native alone" is the compiled step called with addresses, so that what lies between is Python's part. Outputs over
200 steps are compared first. Percentiles of single steps, in blocks of 1,000 that take turns.

    python benchmarks/streaming.py [--hidden 64] [--features 8] [--blocks 10]

Writes benchmarks/results/streaming.csv.
"""

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from measuring.timing import describe_load
from torch import nn

import regen
from regen.kernels import native
from regen.nets.recurrent import LSTM

RESULTS = Path(__file__).parent / "results" / "streaming.csv"
BLOCK = 1000


def peer(net: LSTM) -> Callable[[torch.Tensor], torch.Tensor]:
    """nn.LSTMCell with the weights of `net`, its state carried on."""
    cell = nn.LSTMCell(net.input_size, net.hidden_size)
    cell.load_state_dict({name.removesuffix("_l0"): w for name, w in net.state_dict().items()})
    state = [torch.zeros(1, net.hidden_size), torch.zeros(1, net.hidden_size)]

    def step(x: torch.Tensor) -> torch.Tensor:
        state[:] = cell(x, state)
        return state[0]

    return step


def alone(net: LSTM) -> Callable[[torch.Tensor], torch.Tensor]:
    """The compiled step, without the checks of `Stream.step`; x must stay where it is."""
    params = {name.removesuffix("_l0"): w.detach() for name, w in net.named_parameters()}
    stepper, output = native.stepper(net.cell, params, 1), torch.zeros(1, net.hidden_size)
    write, places = output.data_ptr(), {}

    def step(x: torch.Tensor) -> torch.Tensor:
        where = places.get(id(x))
        if where is None:
            where = places[id(x)] = x.data_ptr()
        stepper.step(where, write)
        return output

    return step


def block(step: Callable[[torch.Tensor], torch.Tensor], xs: list[torch.Tensor]) -> list[int]:
    """Nanoseconds of each step."""
    times = []
    for k in range(BLOCK):
        x = xs[k % len(xs)]
        start = time.perf_counter_ns()
        step(x)
        times.append(time.perf_counter_ns() - start)
    return times


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--features", type=int, default=8)
    parser.add_argument("--blocks", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = LSTM(args.features, args.hidden, batch_first=True, init="torch", backend="auto").eval()
    stream = net.stream()
    contestants = {"nn.LSTMCell": peer(net), "regen net.stream().step": stream.step}
    if stream.backend_.startswith("native"):
        contestants["native alone"] = alone(net)
    xs = [torch.randn(1, args.features) for _ in range(200)]
    outputs = {name: torch.stack([step(x).clone() for x in xs]) for name, step in contestants.items()}
    error = max((out - outputs["nn.LSTMCell"]).abs().max().item() for out in outputs.values())
    assert error < 1e-5, f"outputs differ by {error}"
    times: dict[str, list[int]] = {name: [] for name in contestants}
    for _ in range(args.blocks):
        for name, step in contestants.items():
            times[name] += block(step, xs)
    print(f"regen {regen.__version__} ({stream.backend_}), torch {torch.__version__}, 1 thread")
    print(describe_load(1), end="")
    print(f"LSTM of {args.hidden} units, {args.features} features; largest difference {error:.1e}")
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["what", "hidden", "features", "p50_us", "p99_us", "fastest_us"])
        print(f"{'microseconds a step':26}{'p50':>9}{'p99':>9}{'fastest':>9}")
        for name, taken in times.items():
            found = [np.percentile(taken, 50) / 1e3, np.percentile(taken, 99) / 1e3, min(taken) / 1e3]
            table.writerow([name, args.hidden, args.features, *found])
            print(f"{name:26}" + "".join(f"{value:9.2f}" for value in found))


if __name__ == "__main__":
    main()
