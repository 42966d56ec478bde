"""Imputation by DenoisingAutoencoder() with its defaults, compared with scikit-learn's imputers and published errors.

Usage: REGEN_DATA=path python benchmarks/quality_imputation.py [--seeds 5] [--sets spam,letter] [--methods regen,mean]

Protocol of GAIN (Yoon et al. 2018): 20 % of the cells of a table, drawn completely at random, are hidden; columns
are scaled to [0, 1] by the lowest and highest of what is left; every method is fitted on the table with its gaps and
fills those; the figure is the root of the mean squared error of the hidden cells. GAIN's code measures it in units of
the range of the whole column ("rmse"); others in units of the observed range ("rmse_observed"), where hidden extremes
lie outside [0, 1]. Published: GAIN .0513 +- .0016 for spam (its paper), nearest neighbours weighted by distance .1005
+- .0005 for letter (github.com/DeltaFloflo/imputation_comparison, 20 repeats). Masks are those of seeds 0, 1, ...;
no setting was chosen on them.

It also checks 80 % intervals of twenty draws: the share of hidden cells that they contain.
"""

import argparse
import csv
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import sklearn
import torch
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

import regen

MISSING = 0.2
PUBLISHED = {"spam": ("GAIN", 0.0513), "letter": ("kNN by distance", 0.1005)}
RESULTS = Path(__file__).parent / "results" / "quality_imputation.csv"


def regen_fill(X, seed):
    """Filled values, and twenty draws."""
    model = regen.DenoisingAutoencoder(random_state=seed).fit(X)
    return model.impute(X), model.impute(X, n_draws=20, random_state=seed)


def with_sklearn(make):
    """An imputer of scikit-learn, which has no draws."""

    def fill(X, seed):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # IterativeImputer stops before it has converged
            return make(X, seed).fit_transform(X), None

    return fill


METHODS = {
    "regen": regen_fill,
    "mean": with_sklearn(lambda X, seed: SimpleImputer()),
    "IterativeImputer": with_sklearn(lambda X, seed: IterativeImputer(random_state=seed)),
    "KNNImputer(5)": with_sklearn(lambda X, seed: KNNImputer(n_neighbors=5, weights="distance")),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--sets", default=",".join(PUBLISHED))
    arguments.add_argument("--methods", default=",".join(METHODS))
    arguments.add_argument("--out", type=Path, default=RESULTS)
    args = arguments.parse_args()
    if "REGEN_DATA" not in os.environ:
        sys.exit("Skipped: set REGEN_DATA to the folder that holds uci/.")
    folder = Path(os.environ["REGEN_DATA"]) / "uci"
    print(
        f"regen {regen.__version__}, scikit-learn {sklearn.__version__}, torch {torch.__version__},"
        f" {torch.get_num_threads()} threads\n{regen.DenoisingAutoencoder()!r}\n"
    )
    rows = []
    for name in args.sets.split(","):
        X = np.loadtxt(folder / f"{name}.csv", delimiter=",", skiprows=1)
        source, bar = PUBLISHED[name]
        print(f"{name}: {X.shape[0]} rows, {X.shape[1]} columns; published {source} {bar:.4f}")
        for method in args.methods.split(","):
            rows.append({"set": name, "published": bar, **measure(method, X, args.seeds)})
    args.out.parent.mkdir(exist_ok=True)
    with args.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    print(f"\nwritten to {args.out}")


def measure(method: str, X: np.ndarray, seeds: int) -> dict[str, object]:
    errors, observed_errors, held, seconds = [], [], [], []
    for seed in range(seeds):
        gaps = np.random.default_rng(seed).random(X.shape) < MISSING
        gappy = np.where(gaps, np.nan, X)
        low, span = np.nanmin(gappy, 0), np.nanmax(gappy, 0) - np.nanmin(gappy, 0)
        span = np.where(span > 0, span, 1.0)
        start = time.perf_counter()
        filled, draws = METHODS[method]((gappy - low) / span, seed)
        seconds.append(time.perf_counter() - start)
        off = (filled - (X - low) / span)[gaps]
        observed_errors.append(float(np.sqrt((off**2).mean())))
        whole = np.broadcast_to(span / np.where(np.ptp(X, 0) > 0, np.ptp(X, 0), 1.0), X.shape)[gaps]
        errors.append(float(np.sqrt(((off * whole) ** 2).mean())))
        if draws is not None:
            truth = ((X - low) / span)[gaps]
            lowest, highest = np.quantile([draw[gaps] for draw in draws], [0.1, 0.9], axis=0)
            held.append(float(((lowest <= truth) & (truth <= highest)).mean()))
    row = {
        "method": method,
        "seeds": seeds,
        "rmse": float(np.mean(errors)),
        "deviation": float(np.std(errors)),
        "rmse_observed": float(np.mean(observed_errors)),
        "in_80_percent": float(np.mean(held)) if held else "",
        "seconds": float(np.median(seconds)),
        "each": " ".join(f"{error:.4f}" for error in errors),
    }
    share = f"{row['in_80_percent']:>8.3f}" if held else " " * 8
    print(
        f"  {method:<18}{row['rmse']:>8.4f} +-{row['deviation']:>7.4f}{row['rmse_observed']:>9.4f}{share}"
        f"{row['seconds']:>8.1f} s",
        flush=True,
    )
    return row


if __name__ == "__main__":
    main()
