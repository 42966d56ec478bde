"""What is minimised: pure functions of tensors."""

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
    "OBJECTIVES",
    "absolute_error",
    "cross_entropy",
    "huber",
    "mean",
    "mean_per_step",
    "observed",
    "squared_error",
]
