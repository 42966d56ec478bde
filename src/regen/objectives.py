"""Old name of `regen.losses` and `regen.metrics`: resolves the names of before, with a warning.

``objectives.LOSSES`` were the losses of GANs and ``objectives.OBJECTIVES`` the supervised ones; they are
`regen.losses.GAN_LOSSES` and `regen.losses.LOSSES` now. This module will be removed in regen 0.2.
"""

from regen._deprecation import moved

_RENAMED = {
    "Adversarial": "regen.losses:GANLoss",
    "Heads": "regen.losses:MixedLikelihood",
    "LOSSES": "regen.losses:GAN_LOSSES",
    "OBJECTIVES": "regen.losses:LOSSES",
    "Relaxed": "regen.losses:StraightThrough",
    "adversarial": "regen.losses:gan_loss",
    "log_normal": "regen.losses:normal_log_density",
}
_LOSSES = (
    *(
        "LIKELIHOODS",
        "Likelihood",
        "absolute_error",
        "active_units",
        "calibrate",
        "contractive",
        "cross_entropy",
    ),
    *("draw_normal", "elbo_terms", "gaussian_kl", "gradient_penalty", "huber", "importance_bound"),
    *("importance_weights", "kl_sparsity", "l1", "mean", "mean_per_step", "observed", "posterior", "score"),
    *("squared_error", "zero_centred_penalty"),
)
_METRICS = ("Memorisation", "Quality", "memorisation", "mmd", "prdc", "two_sample_accuracy")

__getattr__ = moved(
    __name__,
    {name: f"regen.losses:{name}" for name in _LOSSES}
    | {name: f"regen.metrics:{name}" for name in _METRICS}
    | _RENAMED,
)
