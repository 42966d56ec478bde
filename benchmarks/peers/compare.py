"""End-to-end fits: regen.Forecaster against skorch, Darts, NeuralForecast and Keras, each in its own environment.

All do the job that job.py states, each by a script with_NAME.py that says which of its settings were touched. A run
is a fresh process that fits twice and tells the second: the first pays for what is loaded or set up only once. All
are run in turn, round after round, each round with another seed; medians of the rounds, and of the ratios to regen
within a round. All have one thread: on two cores a second one made none of them faster and most of them much slower,
for threads that wait for each other spin. (jax has its own threads, and keeps them.)

    python benchmarks/peers/compare.py [--rounds 5] [--only regen,darts] [--threads 1]

The environments are made in build/peers on first use: minutes, and a few gigabytes of disk. Writes
benchmarks/results/peers.csv with one row a run.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[1] / "build" / "peers"
RESULTS = HERE.parent / "results" / "peers.csv"
CONSTRAINTS = HERE / "constraints.txt"


@dataclass(frozen=True)
class Peer:
    name: str
    script: str
    environment: str = ""
    """Folder in build/peers; empty: the environment that runs this."""
    packages: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)


PEERS = (
    Peer("regen", "with_regen.py"),
    Peer("torch", "with_torch.py"),
    Peer("skorch", "with_skorch.py", "skorch", ("torch", "skorch")),
    Peer("darts", "with_darts.py", "darts", ("torch", "darts[torch]")),
    Peer("neuralforecast", "with_neuralforecast.py", "neuralforecast", ("torch", "neuralforecast")),
    Peer("keras-torch", "with_keras.py", "keras", ("torch", "keras", "jax"), {"KERAS_BACKEND": "torch"}),
    Peer("keras-jax", "with_keras.py", "keras", ("torch", "keras", "jax"), {"KERAS_BACKEND": "jax"}),
)


def python(peer: Peer) -> str:
    """The interpreter of the peer's environment, which is made or brought up to date first."""
    if not peer.environment:
        return sys.executable
    home = ENVIRONMENTS / peer.environment
    found, stamp = home / "bin" / "python", home / "installed"
    wanted = f"{' '.join(peer.packages)}\n{CONSTRAINTS.read_text()}"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {', '.join(peer.packages)} into {home.relative_to(HERE.parents[1])}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        install = [found, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "-c", CONSTRAINTS, *peer.packages], check=True)
        stamp.write_text(wanted)
    return str(found)


def run(peer: Peer, seed: int, threads: int) -> dict | None:
    """What the peer's script tells in its last line, or None with its complaint printed."""
    command = [python(peer), str(HERE / peer.script), "--seed", str(seed), "--threads", str(threads)]
    variables = os.environ | {"OMP_NUM_THREADS": str(threads)} | peer.variables
    try:
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=600)
        return {"peer": peer.name} | json.loads(done.stdout.strip().splitlines()[-1])
    except (subprocess.TimeoutExpired, IndexError, json.JSONDecodeError) as problem:
        said = done.stderr if not isinstance(problem, subprocess.TimeoutExpired) else str(problem)
        print(f"{peer.name} did not finish:\n{said[-2000:]}", file=sys.stderr)
        return None


def write(lines: list[dict]) -> None:
    """One row for each run of the rounds."""
    RESULTS.parent.mkdir(exist_ok=True)
    columns = ["peer", "seed", "threads", "wall_s", "cpu_s", "first_wall_s", "trained_again_s", "mae"]
    with RESULTS.open("w", newline="") as file:
        table = csv.DictWriter(file, [*columns, "versions"], restval="", extrasaction="ignore")
        table.writeheader()
        for line in lines:
            told = " ".join(f"{name}={number}" for name, number in line["versions"].items())
            table.writerow(line | {"versions": told})


def show_errors(lines: list[dict]) -> None:
    """What each has learned, before how long it took; and the versions."""
    print(f"{'':16}{'mean absolute error, each seed':40}versions")
    for name in dict.fromkeys(line["peer"] for line in lines):
        rows = [line for line in lines if line["peer"] == name]
        errors = " ".join(f"{row['mae']:.4f}" for row in rows[:5])
        told = ", ".join(f"{package} {number}" for package, number in rows[0]["versions"].items())
        print(f"{name:16}{errors:40}{told}")


def show_times(lines: list[dict]) -> None:
    """A row for each peer: medians of its runs, and of its ratios to regen in the same round."""
    own = {line["seed"]: line for line in lines if line["peer"] == PEERS[0].name}
    print(
        f"\n{'':16}{'MAE':>8}{'wall, s':>10}{'CPU, s':>10}{'first, s':>10}{'wall/regen':>12}{'CPU/regen':>12}"
    )
    for name in dict.fromkeys(line["peer"] for line in lines):
        rows = [line for line in lines if line["peer"] == name]
        wall, cpu, first, error = (median(rows, key) for key in ("wall_s", "cpu_s", "first_wall_s", "mae"))
        print(f"{name:16}{error:8.4f}{wall:10.2f}{cpu:10.2f}{first:10.2f}", end="")
        for key in ("wall_s", "cpu_s"):
            ratios = [row[key] / own[row["seed"]][key] for row in rows if row["seed"] in own]
            print(f"{statistics.median(ratios):12.2f}" if ratios else "", end="")
        print()
        if "trained_again_s" in rows[0]:
            print(f"{'':16}its training without compiling: {median(rows, 'trained_again_s'):.2f} s")


def median(rows: list[dict], key: str) -> float:
    return statistics.median(row[key] for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(peer.name for peer in PEERS))
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    peers = [peer for peer in PEERS if peer.name in asked.only.split(",")]
    for peer in peers:
        python(peer)
    print(
        f"load average before: {os.getloadavg()[0]:.1f} (wall times need an idle machine, CPU times less so)"
    )
    lines = []
    for seed in range(asked.rounds):
        lines += [run(peer, seed, asked.threads) for peer in peers]
        print(f"round {seed + 1} of {asked.rounds} done", flush=True)
    kept = [line for line in lines if line is not None]
    write(kept)
    show_errors(kept)
    show_times(kept)
    print(
        f"\nMedians of {asked.rounds} alternating rounds, threads={asked.threads}; first: a process's first fit,"
    )
    print("the other times are those of its second.")
    if len(kept) < len(lines):
        sys.exit("Not every run finished; see above.")


if __name__ == "__main__":
    main()
