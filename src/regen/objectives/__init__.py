"""What is minimised: pure functions of tensors."""

from regen.objectives.heads import Heads
from regen.objectives.likelihoods import LIKELIHOODS, Likelihood
from regen.objectives.supervised import (
    OBJECTIVES,
    absolute_error,
    cross_entropy,
    huber,
    mean,
    mean_per_step,
    observed,
    squared_error,
)

__all__ = [
    "LIKELIHOODS",
    "OBJECTIVES",
    "Heads",
    "Likelihood",
    "absolute_error",
    "cross_entropy",
    "huber",
    "mean",
    "mean_per_step",
    "observed",
    "squared_error",
]
