"""What two networks compete for: adversarial losses, penalties on the critic's slope, and scores of 1 to 100.

A critic `D` gives every sample one number, its logit: high for what it takes for real. The discriminator
minimises one loss of the logits of real and of generated samples, the generator another one. Which of the two
nets a gradient reaches is the business of who calls: the discriminator's loss is computed on generated samples
that were detached.

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
"""Deviation of the normal prior of a calibration's slope, per deviation of the logits."""
NEWTON = 50
"""Newton steps of a calibration, at most; some 6 are taken."""
ROUNDING = 1e-14
"""By which a step may raise the cost, which is around 1, without being cut."""


@final
@dataclass(frozen=True)
class GANLoss:
    """What each of two players minimises, both of them a mean over the batch.

    Parameters
    ----------
    discriminator : callable, (logits of real (R,), of generated samples (F,)) -> scalar.
    generator : callable, the same; without `needs_real` the logits of real samples may be None.
    needs_real : whether the generator's loss compares with real samples.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor | None, Tensor], Tensor]
    needs_real: bool = False


def gan_loss(name: str, smooth: float = 0.0) -> GANLoss:
    """The losses called `name`; r is the logit of a real sample, f that of a generated one.

    ===============  ==============================================  =============================
    name             discriminator minimises the mean of             generator minimises the mean of
    ===============  ==============================================  =============================
    relativistic     softplus(-(r - f)), pair by pair                softplus(-(f - r))
    nonsaturating    softplus(-r) + softplus(f)                      softplus(-f)
    minimax          softplus(-r) + softplus(f)                      -softplus(f)
    hinge            max(0, 1 - r) + max(0, 1 + f)                   -f
    least_squares    ((r - 1)**2 + f**2) / 2                         (f - 1)**2 / 2
    wasserstein      f - r                                           -f
    ===============  ==============================================  =============================

    Where there are labels, `smooth` takes that much from the label of real samples and leaves that of generated
    ones (Salimans et al. 2016): ``softplus(-r) + smooth * r``, and ``(r - 1 + smooth)**2 / 2``.

    Sources, in order: Jolicoeur-Martineau (2019) and Huang et al. (2024), who pair it with penalties on real
    and generated samples; Goodfellow et al. (2014), both; Lim & Ye (2017); Mao et al. (2017) with a = 0 and
    b = c = 1; Arjovsky, Chintala & Bottou (2017).

    Raises
    ------
    ValueError
        For another name; for a `smooth` outside [0, 0.5), or above 0 where there is no label to smooth.
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
        words = " or ".join(repr(each) for each in _LABELLED)
        raise ValueError(
            f"Label smoothing needs a loss with labels, and {name!r} has none. Choose {words}, or smooth=0."
        )
    smoothed = _LABELLED[name]
    return GANLoss(lambda real, fake: smoothed(real, fake, smooth), GAN_LOSSES[name].generator)


def zero_centred_penalty(logits: Float[Tensor, " B"], x: Float[Tensor, "n ..."]) -> Float[Tensor, " B"]:
    """``||d logit_i / d x_i||**2`` of each sample: R1 where `x` is real, R2 where it is generated.

    To be added to the discriminator's loss as ``gamma / 2 * (R1 + R2).mean()``: once generated samples are as
    the real ones, a critic that is flat on both is where the game ends. It can be differentiated again.
    Source: Mescheder, Geiger & Nowozin (2018); Huang et al. (2024) for the need of both.

    Parameters
    ----------
    logits : (B,), computed from `x` sample by sample (no batch normalisation).
    x : (n, ...), ``requires_grad_()``. A critic that reads packs of m consecutive rows has ``n = m * B``, and a
        sample is a pack.
    """
    (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return slope.reshape(len(logits), -1).square().sum(1)


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Float[Tensor, "n ..."],
    fake: Float[Tensor, "m ..."],
    generator: Generator | None = None,
    pack: int = 1,
) -> Float[Tensor, " B"]:
    """``(||d D(u_i) / d u_i|| - 1)**2`` of each sample, u_i between a real and a generated one.

    ``u_i = real_i + a_i * (fake_i - real_i)`` with a_i uniform in [0, 1), one for each sample; to be added to
    the Wasserstein loss with weight 10. Source: Gulrajani et al. (2017), algorithm 1.

    Parameters
    ----------
    critic : callable, (n, ...) -> (B,), sample by sample.
    real, fake : (n, ...), the same shape; no gradient goes back through them.
    generator : of the points; None is torch's own.
    pack : rows that the critic reads side by side, ``B = n / pack``; they share one a_i.
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
    (slope,) = torch.autograd.grad(logits.sum(), between, create_graph=True)
    length: Tensor = torch.linalg.vector_norm(slope.reshape(len(logits), -1), dim=1)
    return (length - 1).square()


def score(
    logit: Float[Tensor, "..."], slope: float | Tensor = 1.0, offset: float | Tensor = 0.0
) -> Float[Tensor, "..."]:
    """``100 * sigmoid(slope * logit + offset)``, no less than 1: how surely real, from 1 to 100; 50 is a guess.

    logit : (...), any shape. slope, offset : from `calibrate`, or scalar tensors.
    """
    return torch.sigmoid(logit * slope + offset).mul(100).clamp(1, 100)


def calibrate(real: Float[Tensor, " R"], fake: Float[Tensor, " F"]) -> tuple[float, float]:
    """Slope >= 0 and offset such that ``sigmoid(slope * logit + offset)`` is the chance that a sample is real.

    Logistic regression of real against generated in one dimension, both counted as half of the data, whatever
    their numbers. A weak prior on the slope (normal, of 10 deviations) keeps it finite where the two do not
    overlap. Where real logits are not the higher ones, slope and offset are 0: all score 50.
    Source: Platt (1999), Probabilistic outputs for support vector machines.

    Parameters
    ----------
    real, fake : (R,) and (F,) logits that the critic was not trained on; at least one each.

    Raises
    ------
    ValueError
        For no logits, or logits that are not finite.
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
    """Slope and offset of the least weighted log-loss plus ``ridge / 2 * slope**2``, by damped Newton steps."""
    columns = torch.stack([x, torch.ones_like(x)], 1)
    penalty = torch.tensor([ridge, 0.0], dtype=x.dtype)

    def cost(at: Tensor) -> Tensor:
        z = columns @ at
        return (weights * (softplus(z) - labels * z)).sum() + (penalty * at.square()).sum() / 2

    at = torch.zeros(2, dtype=x.dtype)
    for _ in range(NEWTON):
        chance = torch.sigmoid(columns @ at)
        gradient = columns.T @ (weights * (chance - labels)) + penalty * at
        bend = (columns.T * (weights * chance * (1 - chance))) @ columns + torch.diag(penalty)
        step = torch.linalg.solve(bend + 1e-15 * torch.eye(2, dtype=x.dtype), gradient)
        length = 1.0
        while length > 1e-9 and cost(at - length * step) > cost(at) + ROUNDING:
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
"""The adversarial losses by name; `gan_loss` has their formulas, sources and label smoothing."""
