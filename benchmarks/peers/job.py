"""The one job that every peer does, and how its fit is timed and its forecasts are judged.

3,000 points of two sines and noise. Fit on the first 2,400: windows of 24 steps, the next 12 to forecast, one LSTM
layer of 32 units and a linear readout, absolute error, Adam at 3e-3, batches of 32 windows in random order, 10 epochs
(2,365 windows, 740 steps). Judged by the mean absolute error of the 589 forecasts of 12 steps that can be made in the
last 600 points.
"""

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

N, CUT, WINDOW, HORIZON = 3000, 2400, 24, 12
HIDDEN, BATCH, EPOCHS, RATE = 32, 32, 10, 3e-3
STEPS = EPOCHS * -(-(CUT - WINDOW - HORIZON + 1) // BATCH)


def series() -> np.ndarray:
    """(3000,) float32."""
    steps = np.arange(N)
    y = np.sin(2 * np.pi * steps / 24) + 0.5 * np.sin(2 * np.pi * steps / 7)
    return (y + 0.2 * np.random.default_rng(0).normal(size=N)).astype(np.float32)


def windows(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (n, 24, 1) and targets (n, 12) of every window of `y`."""
    both = np.lib.stride_tricks.sliding_window_view(y, WINDOW + HORIZON)
    return both[:, :WINDOW, None].copy(), both[:, WINDOW:].copy()


def held_out() -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets whose targets all lie in the last fifth."""
    return windows(series()[CUT - WINDOW :])


def mae(forecasts: np.ndarray) -> float:
    """Mean absolute error of forecasts (589, 12), in the order of `held_out`."""
    target = held_out()[1]
    forecasts = np.asarray(forecasts, dtype=np.float64).reshape(target.shape)
    return float(np.abs(forecasts - target).mean())


def timed(fit: Callable[[Any], Any], seed: Any) -> tuple[Any, float, float]:
    """What `fit(seed)` returned, its wall time and its CPU time over all threads, in seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    model = fit(seed)
    return model, time.perf_counter() - wall, time.process_time() - cpu


def report(
    fit: Callable[[int], Any],
    error: Callable[[Any], float],
    packages: Sequence[str],
    again: Callable[[Any], Any] | None = None,
) -> None:
    """Fit twice in this process and print one line of JSON; the second fit counts, the first pays for what is lazy.

    fit : makes a new model and trains it on the job's training part, data handling included.
    error : its error on the rest; not timed.
    again : trains a model that was compiled and trained already, where that leaves something out.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if "torch" in packages:
        sys.modules["torch"].set_num_threads(args.threads)
    _, first, _ = timed(fit, args.seed)
    model, wall, cpu = timed(fit, args.seed)
    line = {"wall_s": wall, "cpu_s": cpu, "first_wall_s": first, "error": error(model)}
    if again is not None:
        line["trained_again_s"] = timed(again, model)[1]
    line |= {"python": sys.version.split()[0], "threads": args.threads, "seed": args.seed}
    line["versions"] = {package: version(package) for package in packages}
    print(json.dumps(line), flush=True)
    os._exit(0)  # without waiting for what a framework still has open
