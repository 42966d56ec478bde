"""Forecaster() with its defaults on every series that ships, against repeating the last season.

Fitted on the first 80 % of each series, scored on every third origin in the rest: skill = 1 - MAE / MAE of the
seasonal-naive forecast, the mean over the columns. Above 0 is better than naive.

    python benchmarks/quality_embedded.py [--seeds 3] [--cell lstm]
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np

import regen
from regen import datasets

SERIES = {
    "sunspots": datasets.sunspots,
    "elnino": datasets.elnino,
    "macro": datasets.macro,
    "co2": datasets.co2,
    "demand": datasets.demand,
}


def skill(series, seed: int, options: dict) -> tuple[float, float]:
    """Mean skill over the columns, and the seconds that fit took."""
    cut = int(0.8 * len(series))
    start = time.perf_counter()
    model = regen.Forecaster(random_state=seed, **options).fit(series[:cut])
    seconds = time.perf_counter() - start
    table = model.backtest(series, start=cut, stride=3).forecasts
    error = (table["y"] - table["forecast"]).abs().groupby(table["column"]).mean()
    naive = (table["y"] - table["naive"]).abs().groupby(table["column"]).mean()
    return float((1 - error / naive).mean()), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cell", default=None, help="in place of the default cell")
    args = parser.parse_args()
    options = {} if args.cell is None else {"cell": args.cell}
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    with open(results / "quality_embedded.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["series", "seed", "skill", "fit_s"])
        print(f"{'series':12}{'mean skill':>12}{'lowest':>9}{'fit, s':>9}")
        for name, read in SERIES.items():
            found = np.array([skill(read("pandas"), seed, options) for seed in range(args.seeds)])
            table.writerows([name, seed, *row] for seed, row in enumerate(found))
            lowest, seconds = found[:, 0].min(), np.median(found[:, 1])
            print(f"{name:12}{found[:, 0].mean():12.3f}{lowest:9.3f}{seconds:9.1f}", flush=True)


if __name__ == "__main__":
    main()
