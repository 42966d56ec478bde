"""Likelihoods: the density of every cell, given the outputs of a decoder for it.

Letters: `E` encoded cells of a row, `W = width * E` outputs for them, chunked: the first parameter of all cells, then
the second of all cells, and so on. ``...`` are any leading axes; those of `outputs` and `target` need not be equal,
only broadcast (S samples of a code, (S, B, W), against one batch of rows, (B, E)).

Outputs of a net are unbounded, parameters are not. A logarithm `v` of a scale or rate is bounded to ``(-b, b)`` by
``b * tanh(v / b)``: no exponential overflows, and unlike under a clamp the gradient never vanishes. All functions are
elementwise. For missing targets see `regen.losses.mixed_likelihood`.

A target outside the support has a finite log-density that decreases with its distance: beyond [0, 1] that of the
nearer end less the squared distance, below 0 that of the normal distribution before it is rectified.
"""

import math
from abc import ABC, abstractmethod
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional as F

from regen.losses.links import (
    bounded,
    bounded_inverse,
    langevin,
    log_sinhc,
    rectified,
    softplus_inverse,
    wide,
)

__all__ = ["LIKELIHOODS", "Cells", "Likelihood", "Outputs"]

Outputs = Float[Tensor, "... W"]
Cells = Float[Tensor, "... E"]

LOG_VARIANCE = 10.0
"""Bound of a log-variance, and twice that of a log-scale: standard deviations lie between e**-5 and e**5."""
LOG_RATE = 20.0
"""Bound of the logarithm of a mean count, or of the shape of its spread: up to 5e8."""
MOST_FREEDOM = 100.0
"""Degrees of freedom of Student's t beyond which it is practically a normal distribution."""
NEAR_CERTAIN = 1e-3
"""The mean of a binary column is kept this far from 0 and 1 before its logit is taken (Burda et al. 2016)."""
LOG_2PI = math.log(2 * math.pi)


class Likelihood(ABC):
    """A distribution of single cells; its parameters are `width` outputs of a decoder.

    See Also
    --------
    MixedLikelihood : Different likelihoods for the columns of a row.

    Examples
    --------
    >>> LIKELIHOODS["bernoulli"].mean(torch.zeros(2))
    tensor([0.5000, 0.5000])
    """

    width: ClassVar[int] = 1

    @abstractmethod
    def log_density(self, outputs: Outputs, target: Cells) -> Cells:
        """Logarithm of the density (of a discrete cell: the probability) of every cell.

        Parameters
        ----------
        outputs : Tensor of shape (..., width * E)
            Outputs of the decoder, chunked.
        target : Tensor of shape (..., E)
            Without NaN.

        Returns
        -------
        Tensor of shape (..., E)
            In nats.
        """

    @abstractmethod
    def mean(self, outputs: Outputs) -> Cells:
        """Expected value of every cell: the reconstruction.

        Parameters
        ----------
        outputs : Tensor of shape (..., width * E)
            Outputs of the decoder, chunked.

        Returns
        -------
        Tensor of shape (..., E)
            Within the support or its convex hull.
        """

    @abstractmethod
    def sample(self, outputs: Outputs, generator: Generator | None = None) -> Cells:
        """Sample every cell.

        Parameters
        ----------
        outputs : Tensor of shape (..., width * E)
            Outputs of the decoder, chunked.
        generator : torch.Generator, default=None
            None is torch's global one.

        Returns
        -------
        Tensor of shape (..., E)
            One sample of every cell.
        """

    @abstractmethod
    def initial_bias(self, target: Float[Tensor, "n E"]) -> Float[Tensor, " W"]:
        """Outputs whose distribution has the mean and, where it has one, the spread of each column.

        As the initial bias of the last layer, training starts from the best constant prediction (Burda et al. 2016).

        Parameters
        ----------
        target : Tensor of shape (n, E)
            With NaN where a value is missing.

        Returns
        -------
        Tensor of shape (width * E,)
            Chunked.
        """

    def loss(self, outputs: Outputs, target: Cells) -> Cells:
        """Reconstruction loss of every cell: ``-log_density``; a subclass may replace it.

        Parameters
        ----------
        outputs : Tensor of shape (..., width * E)
            Outputs of the decoder, chunked.
        target : Tensor of shape (..., E)
            Without NaN.

        Returns
        -------
        Tensor of shape (..., E)
            Elementwise losses.
        """
        return -self.log_density(outputs, target)


@final
class Squared(Likelihood):
    """``x ~ N(m, 1)``; `outputs` are m. The loss is ``(x - m)**2``."""

    def log_density(self, outputs: Outputs, target: Cells) -> Cells:
        return -0.5 * ((target - outputs).square() + LOG_2PI)

    def loss(self, outputs: Outputs, target: Cells) -> Cells:
        return (target - outputs).square()

    def mean(self, outputs: Outputs) -> Cells:
        return outputs

    def sample(self, outputs: Outputs, generator: Generator | None = None) -> Cells:
        return outputs + _normal(outputs, generator)

    def initial_bias(self, target: Float[Tensor, "n E"]) -> Float[Tensor, " W"]:
        return target.nanmean(0)


@final
class Nonnegative(Likelihood):
    """``x ~ N(softplus(a), 1)``; `outputs` are a. The loss is ``(x - softplus(a))**2``: no negative means."""

    def log_density(self, outputs: Outputs, target: Cells) -> Cells:
        return -0.5 * ((target - F.softplus(outputs)).square() + LOG_2PI)

    def loss(self, outputs: Outputs, target: Cells) -> Cells:
        return (target - F.softplus(outputs)).square()

    def mean(self, outputs: Outputs) -> Cells:
        return F.softplus(outputs)

    def sample(self, outputs: Outputs, generator: Generator | None = None) -> Cells:
        return F.softplus(outputs) + _normal(outputs, generator)

    def initial_bias(self, target: Float[Tensor, "n E"]) -> Float[Tensor, " W"]:
        return softplus_inverse(target.nanmean(0).clamp(min=NEAR_CERTAIN))


@final
class Gaussian(Likelihood):
    """``x ~ N(m, exp(v))``; `outputs` are m and then v, the log-variance, bounded to (-10, 10)."""

    width: ClassVar[int] = 2

    def log_density(self, outputs: Outputs, target: Cells) -> Cells:
        mean, spread = outputs.chunk(2, -1)
        log_var = bounded(spread, LOG_VARIANCE)
        return -0.5 * ((target - mean).square() * (-log_var).exp() + log_var + LOG_2PI)

    def mean(self, outputs: Outputs) -> Cells:
        return outputs.chunk(2, -1)[0]

    def sample(self, outputs: Outputs, generator: Generator | None = None) -> Cells:
        mean, spread = outputs.chunk(2, -1)
        return mean + (0.5 * bounded(spread, LOG_VARIANCE)).exp() * _normal(mean, generator)

    def initial_bias(self, target: Float[Tensor, "n E"]) -> Float[Tensor, " W"]:
        mean = target.nanmean(0)
        variance = (target - mean).square().nanmean(0)
        return torch.cat([mean, bounded_inverse(variance.log(), LOG_VARIANCE)])


@final
class Rectified(Likelihood):
    """``x = max(0, y)`` with ``y ~ N(m, exp(v))``: amounts, many of them exactly 0; outputs as for Gaussian.

    A density above 0, ``log N(x; m, exp(v))``, and a probability at 0, ``log Phi(-m / exp(v / 2))``.
    Source: Tobin (1958).
    """

    width: ClassVar[int] = 2

    def log_density(self, outputs: Outputs, target: Cells) -> Cells:
        mean, spread = outputs.chunk(2, -1)
        log_var = bounded(spread, LOG_VARIANCE)
        above = -0.5 * ((target - mean).square() * (-log_var).exp() + log_var + LOG_2PI)
        return torch.where(target == 0, torch.special.log_ndtr(-mean * (-0.5 * log_var).exp()), above)

    def mean(self, outputs: Outputs) -> Cells:
        mean, spread = outputs.chunk(2, -1)
        deviation = (0.5 * bounded(spread, LOG_VARIANCE)).exp()
        return deviation * rectified(mean / deviation)[0]

    def sample(self, outputs: Outputs, generator: Generator | None = None) -> Cells:
        mean, spread = outputs.chunk(2, -1)
        drawn = mean + (0.5 * bounded(spread, LOG_VARIANCE)).exp() * _normal(mean, generator)
        return drawn.clamp(min=0)

    def initial_bias(self, target: Float[Tensor, "n E"]) -> Float[Tensor, " W"]:
        """From the first two moments: ``m / exp(v / 2)`` by bisection, in float64."""
        mean = target.double().nanmean(0).clamp(min=NEAR_CERTAIN)
        ratio = target.double().square().nanmean(0).clamp(min=NEAR_CERTAIN) / mean.square()
        low, high = torch.full_like(mean, -4.0), torch.full_like(mean, 30.0)
        for _ in range(50):
            middle = 0.5 * (low + high)
            first, second = rectified(middle)
            too_wide = second / first.square() > ratio
            low, high = torch.where(too_wide, middle, low), torch.where(too_wide, high, middle)
        deviation = mean / rectified(low)[0]
        spread = bounded_inverse(2 * deviation.log(), LOG_VARIANCE)
        return torch.cat([low * deviation, spread]).to(target.dtype)


@final
class Student(Likelihood):
    """``x ~ m + exp(s) * t_d``, heavy tails; `outputs` are m, s and a, with ``d = 3 + softplus(a)`` up to 103.

    Outliers have less influence on the mean than under a Gaussian. s is bounded to (-5, 5).
    Source: the decoder of MIWAE, Mattei & Frellsen (2019).
    """

    width: ClassVar[int] = 3

    def log_density(self, outputs: Outputs, target: Cells) -> Cells:
        mean, log_scale, freedom = self._parameters(outputs)
        distance = (target - mean) * (-log_scale).exp()
        half = 0.5 * (freedom + 1)
        constant = torch.lgamma(half) - torch.lgamma(0.5 * freedom) - 0.5 * (math.pi * freedom).log()
        return constant - log_scale - half * torch.log1p(distance.square() / freedom)

    def mean(self, outputs: Outputs) -> Cells:
        return outputs.chunk(3, -1)[0]

    def sample(self, outputs: Outputs, generator: Generator | None = None) -> Cells:
        mean, log_scale, freedom = self._parameters(outputs)
        precision = torch._standard_gamma(0.5 * freedom, generator) / (0.5 * freedom)
        return mean + log_scale.exp() * _normal(mean, generator) * precision.rsqrt()

    def initial_bias(self, target: Float[Tensor, "n E"]) -> Float[Tensor, " W"]:
        mean = target.nanmean(0)
        log_scale = 0.5 * (target - mean).square().nanmean(0).log()
        return torch.cat([mean, bounded_inverse(log_scale, LOG_VARIANCE / 2), torch.zeros_like(mean)])

    def _parameters(self, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, spread, freedom = outputs.chunk(3, -1)
        return mean, bounded(spread, LOG_VARIANCE / 2), 3 + F.softplus(bounded(freedom, MOST_FREEDOM))


@final
class Laplace(Likelihood):
    """``x ~ Laplace(m, exp(s))``; `outputs` are m and then s, the log-scale, bounded to (-5, 5)."""

    width: ClassVar[int] = 2

    def log_density(self, outputs: Outputs, target: Cells) -> Cells:
        mean, spread = outputs.chunk(2, -1)
        log_scale = bounded(spread, LOG_VARIANCE / 2)
        return -(target - mean).abs() * (-log_scale).exp() - log_scale - math.log(2)

    def mean(self, outputs: Outputs) -> Cells:
        return outputs.chunk(2, -1)[0]

    def sample(self, outputs: Outputs, generator: Generator | None = None) -> Cells:
        mean, spread = outputs.chunk(2, -1)
        right = torch.empty_like(mean).exponential_(generator=generator)
        left = torch.empty_like(mean).exponential_(generator=generator)
        return mean + bounded(spread, LOG_VARIANCE / 2).exp() * (right - left)

    def initial_bias(self, target: Float[Tensor, "n E"]) -> Float[Tensor, " W"]:
        mean = target.nanmean(0)
        log_scale = (target - mean).abs().nanmean(0).log()
        return torch.cat([mean, bounded_inverse(log_scale, LOG_VARIANCE / 2)])


@final
class Bernoulli(Likelihood):
    """``P(x = 1) = sigmoid(l)``; `outputs` are l. Targets within [0, 1] count as means of many draws."""

    def log_density(self, outputs: Outputs, target: Cells) -> Cells:
        grey = target.clamp(0, 1)
        return torch.addcmul(-(target - grey).square(), grey, outputs) - F.softplus(outputs)

    def loss(self, outputs: Outputs, target: Cells) -> Cells:
        """``KL(x || sigmoid(l))``: 0 for a perfect reconstruction; beyond [0, 1] the squared distance is added."""
        grey = target.clamp(0, 1)
        entropy = -torch.xlogy(grey, grey) - torch.xlogy(1 - grey, 1 - grey)
        return F.softplus(outputs) - grey * outputs - entropy + (target - grey).square()

    def mean(self, outputs: Outputs) -> Cells:
        return outputs.sigmoid()

    def sample(self, outputs: Outputs, generator: Generator | None = None) -> Cells:
        return torch.bernoulli(outputs.sigmoid(), generator=generator)

    def initial_bias(self, target: Float[Tensor, "n E"]) -> Float[Tensor, " W"]:
        return target.nanmean(0).logit(NEAR_CERTAIN)


@final
class ContinuousBernoulli(Likelihood):
    """``p(x) = l exp(l x) / (exp(l) - 1)`` on [0, 1]; `outputs` are l, the logit of the paper's lambda.

    A density on [0, 1], with the normalising constant that the Bernoulli lacks there. With ``u = l / 2``:
    ``log p(x) = l x - u - log(sinh(u) / u)``, which is 0 everywhere at l = 0.
    Source: Loaiza-Ganem & Cunningham (2019), The continuous Bernoulli.
    """

    def log_density(self, outputs: Outputs, target: Cells) -> Cells:
        grey = target.clamp(0, 1)
        return torch.addcmul(-(target - grey).square(), grey - 0.5, outputs) - log_sinhc(0.5 * outputs)

    def mean(self, outputs: Outputs) -> Cells:
        return 0.5 + 0.5 * langevin(0.5 * outputs)

    def sample(self, outputs: Outputs, generator: Generator | None = None) -> Cells:
        """Inverse transform sampling."""
        uniform = torch.empty_like(outputs).uniform_(generator=generator)
        size = outputs.abs()
        flat = size < 1e-3
        safe = size.masked_fill(flat, 1.0)
        steep = 1 + torch.log(uniform + (1 - uniform) * (-safe).exp()) / safe
        drawn = torch.where(flat, uniform + 0.5 * size * uniform * (1 - uniform), steep).clamp(0, 1)
        return torch.where(outputs < 0, 1 - drawn, drawn)

    def initial_bias(self, target: Float[Tensor, "n E"]) -> Float[Tensor, " W"]:
        """By Newton steps from ``12 (m - 1/2)``: the mean has no closed inverse."""
        excess = target.nanmean(0).double().clamp(NEAR_CERTAIN, 1 - NEAR_CERTAIN) - 0.5
        # Exact to second order at 1/2 and up to a factor at the ends.
        logit = excess / (0.25 - excess.square()) * 3
        for _ in range(30):
            mean = 0.5 * langevin(0.5 * logit)
            slope = torch.where(logit.abs() > 1e-2, 0.25 - mean * mean - 2 * mean / logit, 1 / 12)
            logit = logit - (mean - excess) / slope
        return logit.to(target.dtype)


@final
class Poisson(Likelihood):
    """``P(x) = exp(-r) r**x / x!`` with ``log r = v``; `outputs` are v, bounded to (-20, 20).

    In float64, because the terms of large counts nearly cancel.
    """

    def log_density(self, outputs: Outputs, target: Cells) -> Cells:
        log_rate, count = wide(bounded(outputs, LOG_RATE)), wide(target)
        return (count * log_rate - log_rate.exp() - torch.lgamma(count + 1)).to(outputs.dtype)

    def mean(self, outputs: Outputs) -> Cells:
        return bounded(outputs, LOG_RATE).exp()

    def sample(self, outputs: Outputs, generator: Generator | None = None) -> Cells:
        return torch.poisson(wide(self.mean(outputs)), generator=generator).to(outputs.dtype)

    def initial_bias(self, target: Float[Tensor, "n E"]) -> Float[Tensor, " W"]:
        return bounded_inverse(target.nanmean(0).clamp(min=NEAR_CERTAIN).log(), LOG_RATE)


@final
class NegativeBinomial(Likelihood):
    """Counts with mean r and variance ``r + r**2 / k``; `outputs` are log r and then log k, bounded to (-20, 20).

    ``P(x) = G(x + k) / (G(k) x!) * (k / (k + r))**k * (r / (k + r))**x``; as k grows it is the Poisson.
    In float64, because the terms of large counts nearly cancel. Source: Lopez et al. (2018), scVI.
    """

    width: ClassVar[int] = 2

    def log_density(self, outputs: Outputs, target: Cells) -> Cells:
        log_rate, log_shape = wide(bounded(outputs, LOG_RATE)).chunk(2, -1)
        shape, count = log_shape.exp(), wide(target)
        ways = torch.lgamma(count + shape) - torch.lgamma(shape) - torch.lgamma(count + 1)
        log_ratio = log_rate - log_shape
        return (ways - shape * F.softplus(log_ratio) - count * F.softplus(-log_ratio)).to(outputs.dtype)

    def mean(self, outputs: Outputs) -> Cells:
        return bounded(outputs.chunk(2, -1)[0], LOG_RATE).exp()

    def sample(self, outputs: Outputs, generator: Generator | None = None) -> Cells:
        """A Poisson sample whose rate is sampled from a gamma distribution."""
        log_rate, log_shape = wide(bounded(outputs, LOG_RATE)).chunk(2, -1)
        rate = torch._standard_gamma(log_shape.exp(), generator) * (log_rate - log_shape).exp()
        return torch.poisson(rate, generator=generator).to(outputs.dtype)

    def initial_bias(self, target: Float[Tensor, "n E"]) -> Float[Tensor, " W"]:
        """From the moments of the columns; a column with less variance than a Poisson gets the largest k, 1e4."""
        mean = target.nanmean(0).clamp(min=NEAR_CERTAIN)
        excess = ((target - mean).square().nanmean(0) - mean).clamp(min=0)
        shape = (mean.square() / excess).clamp(1e-4, 1e4)
        return torch.cat([bounded_inverse(mean.log(), LOG_RATE), bounded_inverse(shape.log(), LOG_RATE)])


@final
class Categorical(Likelihood):
    """One of E classes, one-hot; `outputs` are logits over the last axis, ``P(class e) = softmax(outputs)[e]``.

    The log-density is at the cell of the observed class and 0 at all others, so that the sum over E is correct.
    """

    def log_density(self, outputs: Outputs, target: Cells) -> Cells:
        return target * outputs.log_softmax(-1)

    def mean(self, outputs: Outputs) -> Cells:
        return outputs.softmax(-1)

    def sample(self, outputs: Outputs, generator: Generator | None = None) -> Cells:
        """The Gumbel-max trick."""
        noisy = outputs - torch.empty_like(outputs).exponential_(generator=generator).log()
        return F.one_hot(noisy.argmax(-1), outputs.shape[-1]).to(outputs.dtype)

    def initial_bias(self, target: Float[Tensor, "n E"]) -> Float[Tensor, " W"]:
        return target.nanmean(0).clamp(min=NEAR_CERTAIN).log()


LIKELIHOODS: dict[str, Likelihood] = {
    "squared": Squared(),
    "nonnegative": Nonnegative(),
    "gaussian": Gaussian(),
    "rectified": Rectified(),
    "student": Student(),
    "laplace": Laplace(),
    "bernoulli": Bernoulli(),
    "continuous_bernoulli": ContinuousBernoulli(),
    "poisson": Poisson(),
    "negative_binomial": NegativeBinomial(),
    "categorical": Categorical(),
}
"""Likelihoods by name; they hold no state."""


def _normal(like: Tensor, generator: Generator | None) -> Tensor:
    return torch.empty_like(like).normal_(generator=generator)
