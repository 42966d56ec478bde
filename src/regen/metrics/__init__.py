"""Numbers that evaluate what a model predicts or generates; none is trained on."""

from regen.metrics.forecasting import (
    coverage,
    forecast_scores,
    mae,
    mase,
    rmse,
    seasonal_scale,
    skill_score,
    smape,
)
from regen.metrics.generative import Memorisation, Quality, memorisation, mmd, prdc, two_sample_accuracy

__all__ = [
    "Memorisation",
    "Quality",
    "coverage",
    "forecast_scores",
    "mae",
    "mase",
    "memorisation",
    "mmd",
    "prdc",
    "rmse",
    "seasonal_scale",
    "skill_score",
    "smape",
    "two_sample_accuracy",
]
