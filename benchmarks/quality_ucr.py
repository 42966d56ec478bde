"""Accuracy of SequenceClassifier() with its defaults on UCR/UEA sets compared with published LSTM-FCN figures.

Usage: REGEN_DATA=path python benchmarks/quality_ucr.py [--seeds 3] [--sets GunPoint,Trace]

Each set comes with its own training and test part; the network sees the training part only, and the accuracy is that
on the test part, for several seeds. Published: LSTM-FCN (Karim et al. 2018), table of github.com/titu1994/LSTM-FCN,
best of the runs by training loss; it has a convolutional branch, too; ours is recurrent only. Its figure
for Trace, 0.25, is that of a run that diverged. It has none for BasicMotions and JapaneseVowels.
"""

import argparse
import csv
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import regen
from regen.data.io.sequence_files import read_sequences

SETS = (
    "ArrowHead",
    "GunPoint",
    "ItalyPowerDemand",
    "ECG200",
    "Trace",
    "SyntheticControl",
    "BasicMotions",
    "JapaneseVowels",
)
PUBLISHED_AS = {"GunPoint": "Gun_Point", "SyntheticControl": "synthetic_control"}
RESULTS = Path(__file__).parent / "results" / "quality_ucr.csv"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--sets", default=",".join(SETS))
    arguments.add_argument("--out", type=Path, default=RESULTS)
    args = arguments.parse_args()
    if "REGEN_DATA" not in os.environ:
        sys.exit("Skipped: set REGEN_DATA to the folder that holds ucr/.")
    folder = Path(os.environ["REGEN_DATA"]) / "ucr"
    published = read_published(folder)
    print(f"regen {regen.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{regen.SequenceClassifier()!r}\n")
    print(f"{'set':<18}{'train':>6}{'test':>6}{'steps':>7}{'F':>4}{'classes':>8}{'majority':>8}", end="")
    print(f"{'accuracy':>10}{'+-':>7}{'LSTM-FCN':>10}{'seconds':>9}")
    rows = [measure(name, folder, published.get(name), args.seeds) for name in args.sets.split(",")]
    args.out.parent.mkdir(exist_ok=True)
    with args.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    print(f"\nmean accuracy {np.mean([row['accuracy'] for row in rows]):.3f}; written to {args.out}")


def measure(name: str, folder: Path, published: float | None, seeds: int) -> dict[str, Any]:
    X, y, X_test, y_test = read_set(name, folder)
    scores, seconds = [], []
    for seed in range(seeds):
        start = time.perf_counter()
        model = regen.SequenceClassifier(random_state=seed).fit(X, y)
        seconds.append(time.perf_counter() - start)
        scores.append(model.score(X_test, y_test))
    row = {
        "set": name,
        "train": len(y),
        "test": len(y_test),
        "longest": max(len(x) for x in X),
        "features": X[0].shape[1],
        "classes": len(model.classes_),
        "majority": float(np.unique(y_test, return_counts=True)[1].max() / len(y_test)),
        "accuracy": float(np.mean(scores)),
        "deviation": float(np.std(scores)),
        "published_lstm_fcn": published,
        "fit_seconds": float(np.median(seconds)),
    } | {f"seed_{seed}": score for seed, score in enumerate(scores)}
    compared = "-" if published is None else f"{published:.3f}"
    print(
        f"{name:<18}{row['train']:>6}{row['test']:>6}{row['longest']:>7}{row['features']:>4}{row['classes']:>8}"
        f"{row['majority']:>8.3f}{row['accuracy']:>10.3f}{row['deviation']:>7.3f}{compared:>10}"
        f"{row['fit_seconds']:>9.1f}",
        flush=True,
    )
    return row


def read_set(name: str, folder: Path) -> tuple[Any, Any, Any, Any]:
    """Training sequences and labels, test sequences and labels."""
    if (folder / f"{name}.npz").is_file():
        with np.load(folder / f"{name}.npz", allow_pickle=False) as archive:
            return tuple(archive[part] for part in ("X_train", "y_train", "X_test", "y_test"))
    train, test = (read_sequences(folder / name / f"{name}_{part}.ts") for part in ("TRAIN", "TEST"))
    return train.rows.arrays(), train.y, test.rows.arrays(), test.y


def read_published(folder: Path) -> dict[str, float]:
    with (folder / "_published" / "lstm_fcn_accuracy.csv").open(newline="") as file:
        table = {row["Dataset"]: row["LSTM-FCN"] for row in csv.DictReader(file)}
    named = {name: table.get(PUBLISHED_AS.get(name, name), "") for name in SETS}
    return {name: float(score) for name, score in named.items() if score}


if __name__ == "__main__":
    main()
