"""What is minimised: pure functions of tensors."""

from regen.losses.elbo import (
    active_units,
    draw_normal,
    elbo_terms,
    gaussian_kl,
    importance_bound,
    importance_weights,
    log_normal,
    posterior,
)
from regen.losses.gan import (
    LOSSES,
    Adversarial,
    adversarial,
    calibrate,
    gradient_penalty,
    score,
    zero_centred_penalty,
)
from regen.losses.likelihoods import LIKELIHOODS, Likelihood
from regen.losses.mixed_likelihood import Heads
from regen.losses.penalties import contractive, kl_sparsity, l1
from regen.losses.regression import (
    OBJECTIVES,
    absolute_error,
    cross_entropy,
    huber,
    mean,
    mean_per_step,
    observed,
    squared_error,
)
from regen.losses.straight_through import Relaxed

__all__ = [
    "LIKELIHOODS",
    "LOSSES",
    "OBJECTIVES",
    "Adversarial",
    "Heads",
    "Likelihood",
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
    "observed",
    "posterior",
    "score",
    "squared_error",
    "zero_centred_penalty",
]
