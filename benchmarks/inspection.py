"""What it costs to look: `regen.inspect.gates` compared with the plain forward pass of the same model, in one run.

Before anything is timed, every gate is compared with the reference loop. Peers: the net itself under `no_grad` (for
nets of regen), and torch's own (for nets of torch, whose gates come from the twin of ours that reads its weights).
Writes benchmarks/results/inspection.csv.

    python benchmarks/inspection.py [--budget 2] [--threads 1]
"""

import argparse
import csv
import statistics
from pathlib import Path

import torch
from measuring.timing import describe_load, in_turn
from torch import nn

from regen.inspect import clamp, gates
from regen.nets import recurrent

RESULTS = Path(__file__).parent / "results" / "inspection.csv"
COLUMNS = (
    *("owner", "cell", "B", "T", "I", "H", "layers", "directions", "backend", "threads", "rounds"),
    *("plain_s", "gates_s", "ratio", "held_s", "held_ratio", "error"),
)
CELLS = ("lstm", "gru", "elman", "diagonal", "jordan")
TORCH = {"lstm": nn.LSTM, "gru": nn.GRU, "elman": nn.RNN}
GRID = (  # B, T, I, H, layers, directions
    (1, 24, 1, 32, 1, 1),
    (1, 1000, 8, 64, 1, 1),
    (32, 100, 8, 64, 1, 1),
    (256, 100, 8, 64, 1, 1),
    (64, 200, 64, 128, 1, 1),
    (64, 200, 64, 128, 2, 2),
    (32, 100, 128, 256, 1, 1),
)
HOLDS = {"lstm": "forget", "gru": "update", "elman": "state", "diagonal": "state", "jordan": "hidden"}


def off(module: nn.Module, cell: str, x: torch.Tensor) -> float:
    """Largest difference of any gate from the reference loop."""
    options = {"num_layers": module.num_layers, "bidirectional": module.bidirectional, "backend": "reference"}
    reference = recurrent(cell, module.input_size, module.hidden_size, **options)
    reference.load_state_dict(module.state_dict())
    found, wanted = gates(module, x), gates(reference, x)
    assert wanted.kernel.startswith("reference") and set(found.values) == set(wanted.values)
    return max(float(abs(found[word].values - wanted[word].values).max()) for word in wanted.values)


def measured(owner: str, cell: str, sizes: tuple[int, ...], budget: float) -> dict[str, object]:
    """One row: the plain pass, with its gates, and with a gate of every unit held."""
    B, T, I, H, layers, directions = sizes  # noqa: E741
    torch.manual_seed(0)
    options = {"num_layers": layers, "bidirectional": directions == 2, "batch_first": True}
    module = TORCH[cell](I, H, **options) if owner == "torch" else recurrent(cell, I, H, **options)
    x = torch.randn(B, T, I)

    def plain() -> None:
        with torch.no_grad():
            module(x)

    def held() -> None:
        with torch.no_grad(), clamp(module, **{HOLDS[cell]: 0.5}):
            module(x)

    error = off(module, cell, x)
    kernel = gates(module, x).kernel
    times = in_turn({"plain": plain, "gates": lambda: gates(module, x), "held": held}, budget)
    rounds = zip(*(times[name] for name in ("plain", "gates", "held")), strict=True)
    ratios = [(g / p, h / p) for p, g, h in rounds]
    middle = {name: statistics.median(each) for name, each in times.items()}
    return {
        "owner": owner,
        "cell": cell,
        **dict(zip(("B", "T", "I", "H", "layers", "directions"), sizes, strict=True)),
        "backend": kernel,
        "threads": torch.get_num_threads(),
        "rounds": len(ratios),
        "plain_s": f"{middle['plain']:.3g}",
        "gates_s": f"{middle['gates']:.3g}",
        "ratio": f"{statistics.median(ratio for ratio, _ in ratios):.3f}",
        "held_s": f"{middle['held']:.3g}",
        "held_ratio": f"{statistics.median(ratio for _, ratio in ratios):.3f}",
        "error": f"{error:.2g}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budget", type=float, default=2.0, help="seconds for each point of the grid")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(describe_load(args.threads), end="")
    rows = []
    for owner, cells in (("regen", CELLS), ("torch", tuple(TORCH))):
        for cell in cells:
            for sizes in GRID:
                row = measured(owner, cell, sizes, args.budget)
                rows.append(row)
                size = " ".join(
                    f"{name}={row[name]}" for name in ("B", "T", "I", "H", "layers", "directions")
                )
                plain = 1e3 * float(str(row["plain_s"]))
                print(
                    f"{owner:6}{cell:9}{size:46}{plain:9.2f} ms   gates x {row['ratio']}   held x {row['held_ratio']}"
                )
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    ratios = sorted(float(str(row["ratio"])) for row in rows if float(str(row["plain_s"])) >= 1e-3)
    low, high, middle = ratios[0], ratios[-1], statistics.median(ratios)
    print(
        f"\ntorch {torch.__version__}, {args.threads} thread(s). Where the plain pass takes a millisecond or more,"
    )
    print(f"looking at all gates costs {low:.2f} to {high:.2f} times as much, {middle:.2f} in the middle.")
    short = [row for row in rows if float(str(row["plain_s"])) < 1e-3]
    extra = [1e3 * (float(str(row["gates_s"])) - float(str(row["plain_s"]))) for row in short]
    if extra:
        print(f"Of shorter ones it adds {min(extra):.2f} to {max(extra):.2f} ms.")


if __name__ == "__main__":
    main()
