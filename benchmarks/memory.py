"""What a forward pass keeps in memory for the backward pass: regen.nn against torch.nn.

Bytes by torch's allocator: what is allocated during the forward pass and not freed at its end, less the output and
the last states that are returned (which all of them need for the backward pass as well); x and the weights were there
before. Nothing is timed, so other programs do not matter.

    python benchmarks/memory.py

Writes benchmarks/results/memory.csv.
"""

import csv
import os
from pathlib import Path

os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # else the profiler tells of every start and stop

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

import regen
from regen.nets.recurrent import recurrent

RESULTS = Path(__file__).parent / "results" / "memory.csv"
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "elman": nn.RNN}
SIZES = [(24, 32, 1, 32), (100, 32, 8, 64), (100, 128, 64, 128), (512, 16, 8, 256)]


def kept(net: nn.Module, x: torch.Tensor) -> int:
    """Bytes that are kept for the backward pass of one forward pass."""
    net(x)  # what is set up once
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        output, state = net(x)
    allocated = sum(event.self_cpu_memory_usage for event in seen.events())
    returned = [output, *(state if isinstance(state, tuple) else [state])]
    return allocated - sum(t.untyped_storage().nbytes() for t in returned)


def nets(cell: str, I: int, H: int) -> dict[str, nn.Module]:  # noqa: E741
    """The contestants, torch's first."""
    found = {"torch.nn": CELLS[cell](I, H, batch_first=True)}
    for memory in ("normal", "low"):
        found[f"regen, {memory}"] = recurrent(cell, I, H, memory=memory)
    return found


def main() -> None:
    print(f"regen {regen.__version__}, torch {torch.__version__}; megabytes kept for the backward pass")
    print(f"{'cell':8}{'T':>5}{'B':>5}{'I':>4}{'H':>5}", end="")
    print(f"{'torch.nn':>10}{'normal':>10}{'low':>10}{'normal/torch':>14}{'low/torch':>11}   backend")
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["cell", "T", "B", "I", "H", "what", "bytes", "over_torch"])
        for cell in CELLS:
            for T, B, I, H in SIZES:  # noqa: E741
                every = nets(cell, I, H)
                found = {name: kept(net, torch.randn(B, T, I)) for name, net in every.items()}
                theirs = found["torch.nn"]
                table.writerows([cell, T, B, I, H, name, n, n / theirs] for name, n in found.items())
                print(f"{cell:8}{T:5}{B:5}{I:4}{H:5}", end="")
                print("".join(f"{n / 1e6:10.2f}" for n in found.values()), end="")
                _, normal, low = (n / theirs for n in found.values())
                print(f"{normal:14.2f}{low:11.2f}   {every['regen, low'].backend_.partition(':')[0]}")


if __name__ == "__main__":
    main()
