"""What is minimised: pure functions of tensors."""

from regen.objectives.adversarial import (
    LOSSES,
    Adversarial,
    adversarial,
    calibrate,
    gradient_penalty,
    score,
    zero_centred_penalty,
)
from regen.objectives.elbo import (
    active_units,
    draw_normal,
    elbo_terms,
    gaussian_kl,
    importance_bound,
    importance_weights,
    log_normal,
    posterior,
)
from regen.objectives.heads import Heads
from regen.objectives.likelihoods import LIKELIHOODS, Likelihood
from regen.objectives.quality import Memorisation, Quality, memorisation, mmd, prdc, two_sample_accuracy
from regen.objectives.reconstruction import contractive, kl_sparsity, l1
from regen.objectives.relaxed import Relaxed
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
    "LOSSES",
    "OBJECTIVES",
    "Adversarial",
    "Heads",
    "Likelihood",
    "Memorisation",
    "Quality",
    "Relaxed",
    "absolute_error",
    "active_units",
    "adversarial",
    "calibrate",
    "contractive",
    "cross_entropy",
    "draw_normal",
    "elbo_terms",
    "gaussian_kl",
    "gradient_penalty",
    "huber",
    "importance_bound",
    "importance_weights",
    "kl_sparsity",
    "l1",
    "log_normal",
    "mean",
    "mean_per_step",
    "memorisation",
    "mmd",
    "observed",
    "posterior",
    "prdc",
    "score",
    "squared_error",
    "two_sample_accuracy",
    "zero_centred_penalty",
]
