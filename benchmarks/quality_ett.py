"""ETTh1, window 96, horizon 96: the Forecaster against published figures, on the usual split and scale.

Protocol (SegRNN, Lin et al. 2023, and the papers it compares with): 12 / 4 / 4 months to train, validate and test;
every column standardised by the mean and standard deviation of the training months; all columns; every origin of
the test months. Published at look-back 96: SegRNN 0.368 / 0.395, DLinear 0.386 / 0.400; plain GRU, read without
normalising its windows (look-back 720), 1.135 / 0.844.

    REGEN_DATA=... python benchmarks/ett.py [--seeds 3]
"""

import argparse
import csv
import os
import sys
import time
from pathlib import Path

import numpy as np

import regen

TRAIN, VALIDATION, TEST = 8640, 2880, 2880
PUBLISHED = {"SegRNN": (0.368, 0.395), "DLinear": (0.386, 0.400), "plain GRU (720)": (1.135, 0.844)}
CARE = {
    "cell": "gru",
    "hidden": 256,
    "segment": 48,
    "dropout": 0.5,
    "channels": "independent",
    "normalize": "last",
}
PLAIN = {"cell": "gru", "hidden": 64, "normalize": "none"}


def read() -> np.ndarray:
    """All seven columns (17420, 7), standardised by the training months."""
    folder = os.environ.get("REGEN_DATA")
    if folder is None:
        sys.exit("Set REGEN_DATA to the folder that holds ett/ETTh1.csv.")
    with open(Path(folder) / "ett" / "ETTh1.csv") as file:
        rows = np.array([row[1:] for row in list(csv.reader(file))[1:]], dtype=float)
    return (rows - rows[:TRAIN].mean(0)) / rows[:TRAIN].std(0)


def score(options: dict, seed: int, epochs: int, batch_size: int) -> tuple[float, float, float]:
    """MSE and MAE on the test months, and the seconds that fit took."""
    y = read()[: TRAIN + VALIDATION + TEST]
    known = TRAIN + VALIDATION
    plan = {"validation": VALIDATION / known, "batch_size": batch_size, "schedule": "cosine"}
    model = regen.Forecaster(
        window=96,
        horizon=96,
        random_state=seed,
        max_epochs=epochs,
        learning_rate=1e-3,
        training=plan,
        **options,
    )
    start = time.perf_counter()
    model.fit(y[:known])
    seconds = time.perf_counter() - start
    found = model.backtest(y, start=known, stride=1).scores
    return found["rmse"] ** 2, found["mae"], seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--plain", action="store_true", help="also a plain GRU without care, as published")
    args = parser.parse_args()
    runs = [("regen, segments of 48, GRU 256", CARE, 256)]
    runs += [("regen, no normalising, GRU 64", PLAIN, 64)] if args.plain else []
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    with open(results / "quality_ett.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["what", "seed", "mse", "mae", "fit_s"])
        print(f"{'':34}{'MSE':>8}{'MAE':>8}{'fit, s':>8}")
        for name, (mse, mae) in PUBLISHED.items():
            table.writerow([f"published {name}", "", mse, mae, ""])
            print(f"{'published ' + name:34}{mse:8.3f}{mae:8.3f}")
        for name, options, batch_size in runs:
            found = []
            for seed in range(args.seeds):
                found.append(score(options, seed, args.epochs, batch_size))
                table.writerow([name, seed, *found[-1]])
                print("{:34}{:8.3f}{:8.3f}{:8.0f}".format(name, *found[-1]), flush=True)
            mean, spread = np.mean(found, 0), np.std(found, 0)
            print(
                f"{'mean of seeds (spread)':34}{mean[0]:8.3f}{mean[1]:8.3f}  ({spread[0]:.3f}, {spread[1]:.3f})"
            )


if __name__ == "__main__":
    main()
