"""The other job: to compress and restore scikit-learn's digits.

Fit on the first 1,437 images of 64 pixels: each pixel less its mean over its deviation, a net 64-32-8-32-64 with
ReLU after the layers of 32, squared error, Adam at 1e-3, batches of 64 in random order, 50 epochs (23 batches each).
Judged by the mean squared error of the other 360, restored, in the units of the pixels (0 to 16).
"""

import numpy as np
from job import report
from sklearn.datasets import load_digits

__all__ = ["BATCH", "CODE", "EPOCHS", "HIDDEN", "RATE", "STEPS", "TEST", "TRAIN", "mse", "report", "scales"]

CODE, HIDDEN, BATCH, EPOCHS, RATE = 8, 32, 64, 50, 1e-3
IMAGES = load_digits().data.astype(np.float32)
TRAIN, TEST = IMAGES[:1437], IMAGES[1437:]
STEPS = EPOCHS * -(-len(TRAIN) // BATCH)


def scales() -> tuple[np.ndarray, np.ndarray]:
    """Mean (64,) and deviation (64,) of each pixel in the training part; the deviation of a constant one is 1."""
    deviation = TRAIN.std(0)
    return TRAIN.mean(0), np.where(deviation == 0, 1.0, deviation).astype(np.float32)


def mse(restored: np.ndarray) -> float:
    """Mean squared error of `TEST` restored, (360, 64), in pixels' units."""
    return float(((np.asarray(restored, dtype=np.float64).reshape(TEST.shape) - TEST) ** 2).mean())
