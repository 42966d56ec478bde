"""Loss functions: pure functions of tensors, which training minimises."""

from regen.losses.elbo import (
    active_units,
    draw_normal,
    elbo_terms,
    gaussian_kl,
    importance_bound,
    importance_weights,
    normal_log_density,
    posterior,
)
from regen.losses.gan import (
    GAN_LOSSES,
    GANLoss,
    calibrate,
    gan_loss,
    gradient_penalty,
    score,
    zero_centred_penalty,
)
from regen.losses.likelihoods import LIKELIHOODS, Likelihood
from regen.losses.mixed_likelihood import MixedLikelihood
from regen.losses.penalties import contractive, kl_sparsity, l1
from regen.losses.regression import (
    LOSSES,
    absolute_error,
    cross_entropy,
    huber,
    mean,
    mean_per_step,
    observed,
    squared_error,
)
from regen.losses.straight_through import StraightThrough

__all__ = [
    "GAN_LOSSES",
    "LIKELIHOODS",
    "LOSSES",
    "GANLoss",
    "Likelihood",
    "MixedLikelihood",
    "StraightThrough",
    "absolute_error",
    "active_units",
    "calibrate",
    "contractive",
    "cross_entropy",
    "draw_normal",
    "elbo_terms",
    "gan_loss",
    "gaussian_kl",
    "gradient_penalty",
    "huber",
    "importance_bound",
    "importance_weights",
    "kl_sparsity",
    "l1",
    "mean",
    "mean_per_step",
    "normal_log_density",
    "observed",
    "posterior",
    "score",
    "squared_error",
    "zero_centred_penalty",
]
