"""Losses of GANs, gradient penalties of the discriminator, and discriminator scores from 1 to 100.

The discriminator (critic) `D` gives every sample one number, its logit: high for samples that it classifies as real.
The discriminator minimises one loss of the logits of real and generated samples, the generator another one. The
caller decides which net receives a gradient: it computes the discriminator's loss on detached generated samples.

Letters: `B` logits; `R` logits of real samples, `F` of generated ones; `n` rows, ``...`` the axes of a sample.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import softplus

from regen._check import closest

__all__ = [
    "GAN_LOSSES",
    "GANLoss",
    "calibrate",
    "gan_loss",
    "gradient_penalty",
    "score",
    "zero_centred_penalty",
]

PRIOR = 10.0
"""Standard deviation of the normal prior of a calibration's slope, per standard deviation of the logits."""
MAX_NEWTON_STEPS = 50
"""Newton steps of a calibration, at most; some 6 are taken."""
ROUNDING = 1e-14
"""By which a step may raise the loss, which is around 1, without being halved."""


@final
@dataclass(frozen=True)
class GANLoss:
    """The losses of the two players of a GAN, both of them a mean over the batch.

    Parameters
    ----------
    discriminator : callable
        (logits of real samples (R,), logits of generated samples (F,)) -> scalar.
    generator : callable
        The same; without `needs_real` the logits of real samples may be None.
    needs_real : bool, default=False
        Whether the generator's loss depends on real samples.

    See Also
    --------
    gan_loss : The losses by name.

    Examples
    --------
    >>> loss = GANLoss(lambda real, fake: fake.mean() - real.mean(), lambda real, fake: -fake.mean())
    >>> loss.discriminator(torch.tensor([2.0]), torch.tensor([-1.0]))
    tensor(-3.)
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor | None, Tensor], Tensor]
    needs_real: bool = False


def gan_loss(name: str, smooth: float = 0.0) -> GANLoss:
    """GAN losses by name; r is the logit of a real sample, f that of a generated one.

    ===============  ==============================================  =============================
    name             discriminator minimises the mean of             generator minimises the mean of
    ===============  ==============================================  =============================
    relativistic     softplus(-(r - f)), for each pair               softplus(-(f - r))
    nonsaturating    softplus(-r) + softplus(f)                      softplus(-f)
    minimax          softplus(-r) + softplus(f)                      -softplus(f)
    hinge            max(0, 1 - r) + max(0, 1 + f)                   -f
    least_squares    ((r - 1)**2 + f**2) / 2                         (f - 1)**2 / 2
    wasserstein      f - r                                           -f
    ===============  ==============================================  =============================

    In losses with labels, `smooth` is subtracted from the label of real samples only (Salimans et al. 2016):
    ``softplus(-r) + smooth * r``, and ``(r - 1 + smooth)**2 / 2``.

    Sources, in order: Jolicoeur-Martineau (2019) and Huang et al. (2024), who combine it with penalties on real and
    generated samples; Goodfellow et al. (2014), both; Lim & Ye (2017); Mao et al. (2017) with a = 0 and b = c = 1;
    Arjovsky, Chintala & Bottou (2017).

    Parameters
    ----------
    name : str
        A key of `GAN_LOSSES`.
    smooth : float, default=0.0
        Label smoothing, in [0, 0.5); for "nonsaturating", "minimax" and "least_squares".

    Returns
    -------
    GANLoss
        The losses of both players.

    Raises
    ------
    ValueError
        For another name; for a `smooth` outside [0, 0.5), or above 0 for a loss without labels.

    See Also
    --------
    zero_centred_penalty, gradient_penalty : Regularise the discriminator.

    Examples
    --------
    >>> gan_loss("hinge").discriminator(torch.tensor([2.0]), torch.tensor([0.5]))
    tensor(1.5000)
    """
    if name not in GAN_LOSSES:
        known = ", ".join(repr(each) for each in GAN_LOSSES)
        raise ValueError(
            f"An adversarial loss must be one of {known}. Got {name!r} instead.{closest(name, GAN_LOSSES)}"
        )
    if not 0 <= smooth < 0.5:
        raise ValueError(f"Label smoothing must be a number in [0, 0.5). Got {smooth!r} instead.")
    if not smooth:
        return GAN_LOSSES[name]
    if name not in _LABELLED:
        choices = " or ".join(repr(each) for each in _LABELLED)
        raise ValueError(
            f"Label smoothing needs a loss with labels, and {name!r} has none. Choose {choices}, or smooth=0."
        )
    smoothed = _LABELLED[name]
    return GANLoss(lambda real, fake: smoothed(real, fake, smooth), GAN_LOSSES[name].generator)


def zero_centred_penalty(logits: Float[Tensor, " B"], x: Float[Tensor, "n ..."]) -> Float[Tensor, " B"]:
    """Squared gradient norm ``||d logit_i / d x_i||**2`` of each sample: R1 for real samples, R2 for generated ones.

    Add ``gamma / 2 * (R1 + R2).mean()`` to the discriminator's loss: where both distributions are equal, a
    discriminator that is constant on them is the equilibrium. The result can be differentiated again. Sources:
    Mescheder, Geiger & Nowozin (2018); Huang et al. (2024), who need both.

    Parameters
    ----------
    logits : Tensor of shape (B,)
        Computed from `x` sample by sample (no batch normalisation).
    x : Tensor of shape (n, ...)
        With ``requires_grad``. For a discriminator of packs of m consecutive rows, ``n = m * B``, and a sample is a
        pack.

    Returns
    -------
    Tensor of shape (B,)
        With a graph for the second derivative.

    See Also
    --------
    gradient_penalty : Centred at 1, for the Wasserstein loss.

    Examples
    --------
    >>> x = torch.ones(2, 1, requires_grad=True)
    >>> zero_centred_penalty(3 * x[:, 0], x).detach()
    tensor([9., 9.])
    """
    (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return gradient.reshape(len(logits), -1).square().sum(1)


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Float[Tensor, "n ..."],
    fake: Float[Tensor, "m ..."],
    generator: Generator | None = None,
    pack: int = 1,
) -> Float[Tensor, " B"]:
    """``(||d D(u_i) / d u_i|| - 1)**2`` at points u_i between real and generated samples.

    ``u_i = real_i + a_i * (fake_i - real_i)`` with a_i uniform in [0, 1), one for each sample. Add it to the
    Wasserstein loss with weight 10. Source: Gulrajani et al. (2017), algorithm 1.

    Parameters
    ----------
    critic : callable
        (n, ...) -> (B,), sample by sample.
    real, fake : Tensor of shape (n, ...)
        Of equal shapes; they get no gradient.
    generator : torch.Generator, default=None
        For a_i; None is torch's global one.
    pack : int, default=1
        Rows that the critic takes together, ``B = n / pack``; they share one a_i.

    Returns
    -------
    Tensor of shape (B,)
        With a graph for the second derivative.

    Raises
    ------
    ValueError
        When the shapes of `real` and `fake` differ.

    See Also
    --------
    zero_centred_penalty : Centred at 0, on the samples themselves.

    Examples
    --------
    >>> gradient_penalty(lambda x: 3 * x[:, 0], torch.zeros(2, 1), torch.ones(2, 1)).detach()
    tensor([4., 4.])
    """
    if real.shape != fake.shape:
        raise ValueError(
            "Real and generated samples must have the same shape. "
            f"Got {tuple(real.shape)} and {tuple(fake.shape)}."
        )
    share = torch.empty(len(real) // pack, dtype=real.dtype, device=real.device).uniform_(generator=generator)
    share = share.repeat_interleave(pack).reshape(-1, *[1] * (real.ndim - 1))
    between = torch.lerp(real.detach(), fake.detach(), share).requires_grad_()
    logits = critic(between)
    (gradient,) = torch.autograd.grad(logits.sum(), between, create_graph=True)
    length: Tensor = torch.linalg.vector_norm(gradient.reshape(len(logits), -1), dim=1)
    return (length - 1).square()


def score(
    logit: Float[Tensor, "..."], slope: float | Tensor = 1.0, offset: float | Tensor = 0.0
) -> Float[Tensor, "..."]:
    """Discriminator score from 1 to 100, ``100 * sigmoid(slope * logit + offset)``: 50 means undecided, 100 real.

    Parameters
    ----------
    logit : Tensor of shape (...)
        Of the discriminator.
    slope, offset : float or scalar Tensor, default=1.0, 0.0
        From `calibrate`.

    Returns
    -------
    Tensor of shape (...)
        At least 1.

    See Also
    --------
    calibrate : Makes the score a probability in percent.

    Examples
    --------
    >>> score(torch.tensor([0.0, -9.0]))
    tensor([50.,  1.])
    """
    return torch.sigmoid(logit * slope + offset).mul(100).clamp(1, 100)


def calibrate(real: Float[Tensor, " R"], fake: Float[Tensor, " F"]) -> tuple[float, float]:
    """Calibrate logits such that ``sigmoid(slope * logit + offset)`` is the probability that a sample is real.

    Logistic regression of real against generated samples in one dimension, each class with half of the total weight.
    A weak normal prior on the slope (10 standard deviations) keeps it finite where the classes do not overlap. Where
    the mean logit of real samples is not the higher one, slope and offset are 0, and all scores 50. Source: Platt
    (1999), Probabilistic outputs for support vector machines.

    Parameters
    ----------
    real, fake : Tensor of shape (R,) and (F,)
        Logits of samples that the discriminator was not trained on; at least one each.

    Returns
    -------
    slope, offset : float
        The slope is not negative.

    Raises
    ------
    ValueError
        For no logits, or logits that are not finite.

    See Also
    --------
    score : Applies them.

    Examples
    --------
    >>> slope, offset = calibrate(torch.tensor([1.0, 2.0, 0.0]), torch.tensor([-1.0, 0.5, -2.0]))
    >>> slope > 0
    True
    """
    if not len(real) or not len(fake):
        raise ValueError(
            f"Calibration needs logits of both kinds. Got {len(real)} real and {len(fake)} generated."
        )
    logits = torch.cat([real.detach().cpu().double(), fake.detach().cpu().double()])
    if not logits.isfinite().all():
        raise ValueError(
            "Calibration needs finite logits. Got NaN or infinite ones: the critic has diverged."
        )
    labels = (torch.arange(len(logits)) < len(real)).double()
    middle, spread = logits.mean(), logits.std(correction=0)
    unit = (logits - middle) / spread
    if not spread > 0 or unit[: len(real)].mean() <= unit[len(real) :].mean():
        return 0.0, 0.0
    weights = 0.5 * (labels / len(real) + (1 - labels) / len(fake))
    slope, offset = _logistic(unit, labels, weights, ridge=1 / (PRIOR**2 * len(logits)))
    steep = slope / float(spread)
    return steep, offset - steep * float(middle)


def _logistic(x: Tensor, labels: Tensor, weights: Tensor, ridge: float) -> tuple[float, float]:
    """Minimise the weighted log-loss plus ``ridge / 2 * slope**2`` by damped Newton steps; slope and offset."""
    columns = torch.stack([x, torch.ones_like(x)], 1)
    penalty = torch.tensor([ridge, 0.0], dtype=x.dtype)

    def loss(at: Tensor) -> Tensor:
        z = columns @ at
        return (weights * (softplus(z) - labels * z)).sum() + (penalty * at.square()).sum() / 2

    at = torch.zeros(2, dtype=x.dtype)
    for _ in range(MAX_NEWTON_STEPS):
        probability = torch.sigmoid(columns @ at)
        gradient = columns.T @ (weights * (probability - labels)) + penalty * at
        hessian = (columns.T * (weights * probability * (1 - probability))) @ columns + torch.diag(penalty)
        step = torch.linalg.solve(hessian + 1e-15 * torch.eye(2, dtype=x.dtype), gradient)
        length = 1.0
        while length > 1e-9 and loss(at - length * step) > loss(at) + ROUNDING:
            length /= 2
        at = at - length * step
        if float(step.abs().max()) < 1e-10:
            break
    return max(float(at[0]), 0.0), float(at[1])


def _pairs(real: Tensor | None, fake: Tensor) -> Tensor:
    """``r - f`` of every pair."""
    if real is None or real.shape != fake.shape:
        got = "None" if real is None else f"{len(real)}"
        raise ValueError(
            "The relativistic loss compares pairs: give as many real samples as generated ones. "
            f"Got {got} and {len(fake)}."
        )
    return real - fake


def _cross_entropy(real: Tensor, fake: Tensor, smooth: float = 0.0) -> Tensor:
    return softplus(-real).mean() + smooth * real.mean() + softplus(fake).mean()


def _squares(real: Tensor, fake: Tensor, smooth: float = 0.0) -> Tensor:
    return ((real - (1 - smooth)).square().mean() + fake.square().mean()) / 2


_LABELLED: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "nonsaturating": _cross_entropy,
    "minimax": _cross_entropy,
    "least_squares": _squares,
}

GAN_LOSSES = {
    "relativistic": GANLoss(
        lambda real, fake: softplus(-_pairs(real, fake)).mean(),
        lambda real, fake: softplus(_pairs(real, fake)).mean(),
        needs_real=True,
    ),
    "nonsaturating": GANLoss(_cross_entropy, lambda real, fake: softplus(-fake).mean()),
    "minimax": GANLoss(_cross_entropy, lambda real, fake: -softplus(fake).mean()),
    "hinge": GANLoss(
        lambda real, fake: (1 - real).relu().mean() + (1 + fake).relu().mean(),
        lambda real, fake: -fake.mean(),
    ),
    "least_squares": GANLoss(_squares, lambda real, fake: (fake - 1).square().mean() / 2),
    "wasserstein": GANLoss(lambda real, fake: fake.mean() - real.mean(), lambda real, fake: -fake.mean()),
}
"""GAN losses by name; `gan_loss` documents their formulas, sources and label smoothing."""
