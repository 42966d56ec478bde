"""End-to-end fits compared with libraries that do the same job, each in its own environment.

regen.Forecaster against skorch, Darts, NeuralForecast and Keras: the job that job.py states, each by a script
with_NAME.py with a note on changed settings. regen.Autoencoder against pythae, PyOD and Keras: the
job that coding.py states, by scripts coding_with_NAME.py. A run is a fresh process that fits twice, the second counts
the first pays for what is loaded or set up only once. All are run in turn, round after round, each round with another
seed; medians of the rounds, and of the ratios to regen within a round. All have one thread: on two cores a second one
made none of them faster and most of them much slower, for threads that wait for each other spin. (jax has its own
threads, and keeps them.)

    python benchmarks/peers/compare.py [--job autoencoder] [--rounds 5] [--only regen,darts] [--threads 1]

The environments are made in build/peers on first use: minutes, and a few gigabytes of disk. Writes
benchmarks/results/peers.csv and peers_autoencoder.csv with one row a run.
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
RESULTS = HERE.parent / "results"
CONSTRAINTS = HERE / "constraints.txt"


@dataclass(frozen=True)
class Peer:
    name: str
    script: str
    environment: str = ""
    """Folder in build/peers; empty: the environment that runs this."""
    packages: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    measure: str
    """What its error is, short."""
    results: str
    peers: tuple[Peer, ...]


WITH_KERAS = ("torch", "keras", "jax", "scikit-learn")
JOBS = {
    "forecaster": Job(
        "MAE",
        "peers.csv",
        (
            Peer("regen", "with_regen.py"),
            Peer("torch", "with_torch.py"),
            Peer("skorch", "with_skorch.py", "skorch", ("torch", "skorch")),
            Peer("darts", "with_darts.py", "darts", ("torch", "darts[torch]")),
            Peer("neuralforecast", "with_neuralforecast.py", "neuralforecast", ("torch", "neuralforecast")),
            Peer("keras-torch", "with_keras.py", "keras", WITH_KERAS, {"KERAS_BACKEND": "torch"}),
            Peer("keras-jax", "with_keras.py", "keras", WITH_KERAS, {"KERAS_BACKEND": "jax"}),
        ),
    ),
    "autoencoder": Job(
        "MSE",
        "peers_autoencoder.csv",
        (
            Peer("regen", "coding_with_regen.py"),
            Peer("torch", "coding_with_torch.py"),
            Peer(
                "pythae",
                "coding_with_pythae.py",
                "pythae",
                ("torch", "pythae", "scikit-learn"),
                {"TQDM_DISABLE": "1"},
            ),
            Peer("pyod", "coding_with_pyod.py", "pyod", ("torch", "pyod", "tqdm", "scikit-learn")),
            Peer("keras-torch", "coding_with_keras.py", "keras", WITH_KERAS, {"KERAS_BACKEND": "torch"}),
            Peer("keras-jax", "coding_with_keras.py", "keras", WITH_KERAS, {"KERAS_BACKEND": "jax"}),
        ),
    ),
}


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
        output = done.stderr if not isinstance(problem, subprocess.TimeoutExpired) else str(problem)
        print(f"{peer.name} did not finish:\n{output[-2000:]}", file=sys.stderr)
        return None


def write(lines: list[dict], results: str) -> None:
    """One row for each run of the rounds."""
    RESULTS.mkdir(exist_ok=True)
    columns = ["peer", "seed", "threads", "wall_s", "cpu_s", "first_wall_s", "trained_again_s", "error"]
    with (RESULTS / results).open("w", newline="") as file:
        table = csv.DictWriter(file, [*columns, "versions"], restval="", extrasaction="ignore")
        table.writeheader()
        for line in lines:
            versions = " ".join(f"{name}={number}" for name, number in line["versions"].items())
            table.writerow(line | {"versions": versions})


def show_errors(lines: list[dict], measure: str) -> None:
    """What each has learned, before how long it took; and the versions."""
    print(f"{'':16}{measure + ' of each seed':40}versions")
    for name in dict.fromkeys(line["peer"] for line in lines):
        rows = [line for line in lines if line["peer"] == name]
        errors = " ".join(f"{row['error']:.4f}" for row in rows[:5])
        versions = ", ".join(f"{package} {number}" for package, number in rows[0]["versions"].items())
        print(f"{name:16}{errors:40}{versions}")


def show_times(lines: list[dict], measure: str) -> None:
    """A row for each peer: medians of its runs, and of its ratios to regen in the same round."""
    own = {line["seed"]: line for line in lines if line["peer"] == "regen"}
    print(
        f"\n{'':16}{measure:>8}{'wall, s':>10}{'CPU, s':>10}{'first, s':>10}{'wall/regen':>12}{'CPU/regen':>12}"
    )
    for name in dict.fromkeys(line["peer"] for line in lines):
        rows = [line for line in lines if line["peer"] == name]
        wall, cpu, first, error = (median(rows, key) for key in ("wall_s", "cpu_s", "first_wall_s", "error"))
        print(f"{name:16}{error:8.4f}{wall:10.2f}{cpu:10.2f}{first:10.2f}", end="")
        for key in ("wall_s", "cpu_s"):
            ratios = [row[key] / own[row["seed"]][key] for row in rows if row["seed"] in own]
            print(f"{statistics.median(ratios):12.2f}" if ratios else "", end="")
        print()
        if "trained_again_s" in rows[0]:
            print(f"{'':16}its training without compiling: {median(rows, 'trained_again_s'):.2f} s")


def median(rows: list[dict], key: str) -> float:
    return statistics.median(row[key] for row in rows)


def compare(job: Job, peers: list[Peer], rounds: int, threads: int) -> bool:
    """Run the job's rounds, show and write them; whether every run finished."""
    lines = []
    for seed in range(rounds):
        lines += [run(peer, seed, threads) for peer in peers]
        print(f"round {seed + 1} of {rounds} done", flush=True)
    kept = [line for line in lines if line is not None]
    write(kept, job.results)
    show_errors(kept, job.measure)
    show_times(kept, job.measure)
    return len(kept) == len(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--job", choices=[*JOBS, "all"], default="all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="names of peers, separated by commas")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    whole = True
    for name, job in JOBS.items() if args.job == "all" else [(args.job, JOBS[args.job])]:
        peers = [peer for peer in job.peers if args.only is None or peer.name in args.only.split(",")]
        for peer in peers:
            python(peer)
        print(f"{name}; load average before: {os.getloadavg()[0]:.1f} (wall times need an idle machine, CPU")
        print("times less so)", flush=True)
        whole &= compare(job, peers, args.rounds, args.threads)
    print(
        f"\nMedians of {args.rounds} alternating rounds, threads={args.threads}; first: a process's first fit,"
    )
    print("the other times are those of its second.")
    if not whole:
        sys.exit("Not every run finished; see above.")


if __name__ == "__main__":
    main()
