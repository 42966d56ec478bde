"""What `import regen` costs compared with `import torch`, alone and with what it brings when first args.

Medians of alternating runs, each in a fresh process.

    python benchmarks/import_time.py [runs]

Writes benchmarks/results/import_time.csv with one row a run.
"""

import csv
import statistics
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "import_time.csv"
CASES = {
    "import torch": "import torch",
    "import regen": "import regen",
    "import regen; regen.nn": "import regen; regen.nn, regen.cells, regen.datasets, regen.Training",
    "import torch, sklearn.base": "import torch, sklearn.base",
    "import regen; regen.Forecaster": "import regen; regen.Forecaster",
}


def seconds(line: str) -> float:
    """Time that the statement `line` takes in a fresh interpreter, the start of the interpreter left out."""
    code = f"import time; start = time.perf_counter()\n{line}\nprint(time.perf_counter() - start)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


def main(runs: int = 7) -> None:
    for line in CASES.values():
        seconds(line)  # the first run of each reads the disk, and is thrown away
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(runs):
        for name, line in CASES.items():
            times[name].append(seconds(line))
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["run", *CASES])
        writer.writerows([run, *row] for run, row in enumerate(zip(*times.values(), strict=True)))
    base = statistics.median(times["import torch"])
    for name in CASES:
        median, low, high = statistics.median(times[name]), min(times[name]), max(times[name])
        print(f"{name:32} {median:6.3f} s   x {median / base:.2f}   (min {low:.3f}, max {high:.3f})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
