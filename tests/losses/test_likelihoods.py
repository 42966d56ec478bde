"""Likelihoods against torch.distributions and their own draws, on unequal values, and wrong twins."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor
from torch import distributions as dist
from torch.nn import functional as F

from regen.losses.likelihoods import LIKELIHOODS

E = 3
FALSE_ALARM = 1e-5
"""Probability that a correct sampler fails one of its tests, were the seed not fixed."""


def held(value: Tensor, bound: float) -> Tensor:
    """A logarithm within its bound, as the module promises."""
    return bound * torch.tanh(value / bound)


def halves(outputs: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """First parameter as it is, second within its bound."""
    first, second = outputs.chunk(2, -1)
    return first, held(second, bound)


def student(outputs: Tensor) -> dist.Distribution:
    """Student's t of three chunks."""
    mean, log_scale, freedom = outputs.chunk(3, -1)
    return dist.StudentT(3 + F.softplus(held(freedom, 100)), mean, held(log_scale, 5).exp())


def negative_binomial(outputs: Tensor) -> dist.Distribution:
    """By torch's own parameters: the shape as a count, the logit of the ratio."""
    log_rate, log_shape = held(outputs, 20).chunk(2, -1)
    return dist.NegativeBinomial(log_shape.exp(), logits=log_rate - log_shape)


class Tobit:
    """A normal variable cut at 0, from torch's own normal distribution and scipy's moments."""

    def __init__(self, outputs: Tensor) -> None:
        mean, log_var = halves(outputs, 10)
        self.normal = dist.Normal(mean, log_var.exp().sqrt())

    def log_prob(self, x: Tensor) -> Tensor:
        """Density above 0, probability at 0."""
        return torch.where(x > 0, self.normal.log_prob(x), self.normal.cdf(torch.zeros_like(x)).log())

    def sample(self) -> Tensor:
        """One draw."""
        return self.normal.sample().clamp(min=0)

    @property
    def mean(self) -> Tensor:
        """By the mean of a truncated normal variable."""
        m, s = self.normal.loc.detach().numpy(), self.normal.scale.detach().numpy()
        return torch.from_numpy(stats.truncnorm.mean(-m / s, np.inf, m, s) * stats.norm.cdf(m / s))


PEERS: dict[str, Callable[[Tensor], dist.Distribution | Tobit]] = {
    "squared": lambda o: dist.Normal(o, torch.ones_like(o)),
    "nonnegative": lambda o: dist.Normal(F.softplus(o), torch.ones_like(o)),
    "gaussian": lambda o: dist.Normal(halves(o, 10)[0], halves(o, 10)[1].exp().sqrt()),
    "rectified": Tobit,
    "student": student,
    "laplace": lambda o: dist.Laplace(halves(o, 5)[0], halves(o, 5)[1].exp()),
    "bernoulli": lambda o: dist.Bernoulli(logits=o),
    "continuous_bernoulli": lambda o: dist.ContinuousBernoulli(logits=o),
    "poisson": lambda o: dist.Poisson(held(o, 20).exp()),
    "negative_binomial": negative_binomial,
    "categorical": lambda o: dist.OneHotCategorical(logits=o),
}
DISCRETE = ("bernoulli", "poisson", "negative_binomial")
REAL = ("squared", "nonnegative", "gaussian", "rectified", "student", "laplace")
NAMES = sorted(PEERS)


def outputs_of(name: str, rows: int = 5, seed: int = 0) -> Tensor:
    """Unequal numbers of a net, float64 (rows, width * E)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, LIKELIHOODS[name].width * E, dtype=torch.float64, generator=generator) * 1.5


def peer_density(name: str, outputs: Tensor, target: Tensor) -> Tensor:
    """Log-density of every cell by torch; a categorical's stands at the class that was seen."""
    found = PEERS[name](outputs).log_prob(target)
    return target * found[..., None] if name == "categorical" else found


def test_every_likelihood_has_a_peer() -> None:
    """A new likelihood is not left without a test."""
    assert set(PEERS) == set(LIKELIHOODS)


@pytest.mark.parametrize("name", NAMES)
def test_log_density_is_that_of_torch(name: str) -> None:
    """Same log-densities and means as torch.distributions in float64; draws of a code broadcast over rows."""
    member, outputs = LIKELIHOODS[name], outputs_of(name)
    target = PEERS[name](outputs).sample()
    # torch's continuous Bernoulli takes a Taylor polynomial near 1/2 and float32's smallest number as a margin.
    tolerance = (
        {"rtol": 1e-5, "atol": 1e-6} if name == "continuous_bernoulli" else {"rtol": 1e-10, "atol": 1e-10}
    )
    torch.testing.assert_close(
        member.log_density(outputs, target), peer_density(name, outputs, target), **tolerance
    )
    torch.testing.assert_close(member.mean(outputs), PEERS[name](outputs).mean, **tolerance)
    several = torch.stack([outputs, outputs.flip(0), -outputs])
    expected = torch.stack([member.log_density(each, target) for each in several])
    torch.testing.assert_close(member.log_density(several, target), expected)


def _chunks_interleaved(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    width = LIKELIHOODS[name].width
    return lambda o, x: LIKELIHOODS[name].log_density(o.unflatten(-1, (E, width)).mT.flatten(-2), x)


WRONG_DENSITIES: dict[str, tuple[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "log-variance read as deviation": (
        "gaussian",
        lambda o, x: dist.Normal(halves(o, 10)[0], halves(o, 10)[1].exp()).log_prob(x),
    ),
    "log-variance read as variance": (
        "gaussian",
        lambda o, x: dist.Normal(halves(o, 10)[0], halves(o, 10)[1].abs().sqrt()).log_prob(x),
    ),
    "parameters interleaved": ("gaussian", _chunks_interleaved("gaussian")),
    "not cut at 0": ("rectified", LIKELIHOODS["gaussian"].log_density),
    "interleaved Student": ("student", _chunks_interleaved("student")),
    "log-scale read as log-variance": (
        "laplace",
        lambda o, x: dist.Laplace(halves(o, 5)[0], (halves(o, 5)[1] / 2).exp()).log_prob(x),
    ),
    "logit's sign": ("bernoulli", lambda o, x: dist.Bernoulli(logits=-o).log_prob(x)),
    "no normalising constant": ("continuous_bernoulli", lambda o, x: o * x - F.softplus(o)),
    "log-rate read as rate": ("poisson", lambda o, x: dist.Poisson(o.abs()).log_prob(x)),
    "factorial forgotten": ("poisson", lambda o, x: x * held(o, 20) - held(o, 20).exp()),
    "rate and shape swapped": (
        "negative_binomial",
        lambda o, x: LIKELIHOODS["negative_binomial"].log_density(o.roll(E, -1), x),
    ),
    "spread over all classes": ("categorical", lambda o, x: o.log_softmax(-1).expand_as(x)),
    "binary classes": ("categorical", lambda o, x: x * F.logsigmoid(o)),
    "mean for sum": ("gaussian", lambda o, x: LIKELIHOODS["gaussian"].log_density(o, x) / E),
    "the constant dropped": ("squared", lambda o, x: -0.5 * (x - o) ** 2),
}


@pytest.mark.parametrize("wrong", WRONG_DENSITIES)
def test_a_wrong_twin_is_noticed(wrong: str) -> None:
    """Densities that are nearly right differ from torch's by far more than the tolerance."""
    name, twin = WRONG_DENSITIES[wrong]
    outputs = outputs_of(name)
    target = PEERS[name](outputs).sample()
    assert (twin(outputs, target) - peer_density(name, outputs, target)).abs().max() > 1e-2


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_the_function(name: str) -> None:
    """First and second derivatives by outputs agree with finite differences; the loss follows its definition."""
    member, outputs = LIKELIHOODS[name], outputs_of(name).requires_grad_()
    target = PEERS[name](outputs.detach()).sample()
    assert torch.autograd.gradcheck(lambda o: member.log_density(o, target), (outputs,))
    assert torch.autograd.gradgradcheck(lambda o: member.log_density(o, target), (outputs,))
    assert torch.autograd.gradcheck(member.mean, (outputs,))
    expected = -member.log_density(outputs, target)
    if name in ("squared", "nonnegative"):
        expected = (target - member.mean(outputs)).square()
    torch.testing.assert_close(member.loss(outputs, target), expected)


# Bins of equal probability under the density, for one setting of the outputs of one cell.


def edges_of(name: str, outputs: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Borders of bins and the probability of each, from the log-density alone, on a fine grid."""
    member = LIKELIHOODS[name]
    if name in DISCRETE:
        grid = torch.arange(0, 2 if name == "bernoulli" else 400, dtype=torch.float64)
        mass = member.log_density(outputs.expand(len(grid), -1), grid[:, None])[:, 0].exp().numpy()
    else:
        low, high = {"continuous_bernoulli": (0.0, 1.0), "rectified": (0.0, 400.0)}.get(name, (-400.0, 400.0))
        borders = torch.linspace(low, high, 800_001, dtype=torch.float64)
        grid = (borders[1:] + borders[:-1]) / 2
        density = member.log_density(outputs.expand(len(grid), -1), grid[:, None])[:, 0].exp()
        mass = (density * (borders[1] - borders[0])).numpy()
        if name == "rectified":
            mass[0] += float(member.log_density(outputs, torch.zeros(1, dtype=torch.float64)).exp())
    assert mass.sum() == pytest.approx(1, abs=1e-4)  # a density: its integral is 1
    bins = np.minimum((np.cumsum(mass) * 20).astype(int), 19)
    last = np.r_[np.flatnonzero(np.diff(bins)), len(mass) - 1]
    share = np.add.reduceat(mass, np.r_[0, last[:-1] + 1])
    step = 0.5 if name in DISCRETE else float(borders[1] - borders[0]) / 2
    return grid.numpy()[last[:-1]] + step, share / share.sum()


def p_value(name: str, outputs: Tensor, drawn: np.ndarray) -> float:
    """Probability of draws at least so far from the density, by the chi-squared test."""
    edges, share = edges_of(name, outputs)
    seen = np.bincount(np.searchsorted(edges, drawn), minlength=len(share))
    return float(stats.chisquare(seen, share * len(drawn)).pvalue)


ONE_CELL = {
    "squared": [0.7],
    "nonnegative": [-0.4],
    "gaussian": [0.7, 1.3],
    "rectified": [0.4, 1.0],
    "student": [-0.5, 0.6, -2.0],
    "laplace": [0.3, -0.8],
    "bernoulli": [-0.9],
    "continuous_bernoulli": [1.7],
    "poisson": [1.2],
    "negative_binomial": [1.5, 0.4],
}


@pytest.mark.parametrize("name", ONE_CELL)
@pytest.mark.parametrize("sign", [1, -1])
def test_draws_follow_the_density(name: str, sign: int) -> None:
    """20,000 draws fall into bins as often as under the density; a correct sampler fails once in 100,000 seeds."""
    outputs = sign * torch.tensor(ONE_CELL[name], dtype=torch.float64)
    generator = torch.Generator().manual_seed(3)
    drawn = LIKELIHOODS[name].sample(outputs.expand(20_000, -1), generator)[:, 0].numpy()
    assert p_value(name, outputs, drawn) > FALSE_ALARM


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("gaussian", [0.7, 2.6]),  # the deviation where the variance belongs
        ("rectified", [0.5, 1.0]),
        ("student", [-0.5, 0.6, 3.0]),  # lighter tails
        ("laplace", [0.3, -0.7]),
        ("bernoulli", [-0.8]),
        ("continuous_bernoulli", [1.4]),
        ("poisson", [1.15]),
        ("negative_binomial", [1.5, 20.0]),  # a Poisson
    ],
)
def test_draws_of_a_wrong_twin_are_noticed(name: str, wrong: list[float]) -> None:
    """The same test detects draws of slightly other parameters."""
    outputs = torch.tensor(ONE_CELL[name], dtype=torch.float64)
    twin = torch.tensor(wrong, dtype=torch.float64).expand(20_000, -1)
    drawn = LIKELIHOODS[name].sample(twin, torch.Generator().manual_seed(3))[:, 0].numpy()
    assert p_value(name, outputs, drawn) < FALSE_ALARM


def test_draws_of_classes_follow_their_probabilities() -> None:
    """One-hot rows, each class as often as its probability; not so for other logits."""
    logits = torch.tensor([0.3, -1.2, 0.9, 0.0])
    drawn = LIKELIHOODS["categorical"].sample(logits.expand(20_000, -1), torch.Generator().manual_seed(0))
    assert torch.equal(drawn.sum(1), torch.ones(20_000)) and set(drawn.unique().tolist()) == {0.0, 1.0}
    seen = drawn.double().sum(0).numpy()
    assert stats.chisquare(seen, logits.double().softmax(0).numpy() * 20_000).pvalue > FALSE_ALARM
    other = (logits * 0.9).double().softmax(0).numpy()
    assert stats.chisquare(seen, other * 20_000).pvalue < FALSE_ALARM


@pytest.mark.parametrize("name", NAMES)
def test_draws_come_from_their_generator_only(name: str) -> None:
    """Same generator, same draws, and torch's own random numbers are not touched; without one they are used."""
    outputs, member = outputs_of(name).float(), LIKELIHOODS[name]
    before = torch.get_rng_state()
    first = member.sample(outputs, torch.Generator().manual_seed(5))
    assert torch.equal(first, member.sample(outputs, torch.Generator().manual_seed(5)))
    assert torch.equal(before, torch.get_rng_state())
    with torch.random.fork_rng([]):
        member.sample(outputs)
        assert not torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [30.0, 1e3, 1e6])
def test_extreme_outputs_stay_finite(name: str, size: float) -> None:
    """Numbers far outside what training gives have finite densities, means, draws and gradients in float32."""
    member = LIKELIHOODS[name]
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0])] * member.width).reshape(-1, member.width)
    scale = torch.full((member.width,), size)
    if name in REAL:
        scale[0] = 100.0  # a mean: its square has to fit
    outputs = (signs * scale).repeat_interleave(2, 1).requires_grad_()
    for target in (torch.zeros(2), torch.ones(2)):
        found = member.log_density(outputs, target)
        (slope,) = torch.autograd.grad(found.sum(), outputs)
        assert found.isfinite().all() and slope.isfinite().all()
    if name not in (*REAL, "continuous_bernoulli"):
        assert (found <= 0).all()  # a probability
    assert member.mean(outputs).isfinite().all()
    assert member.sample(outputs.detach(), torch.Generator().manual_seed(0)).isfinite().all()


def _continuous_bernoulli(logit: float, x: float) -> float:
    """By the definition, in double precision, away from 0."""
    return logit * x + math.log(abs(logit)) - (max(logit, 0) + math.log(-math.expm1(-abs(logit))))


@given(st.floats(1e-2, 80), st.booleans(), st.floats(0, 1))
def test_continuous_bernoulli_is_its_definition(size: float, negative: bool, x: float) -> None:
    """On both sides of where the series is left, and far out."""
    logit = -size if negative else size
    outputs, target = torch.tensor([logit], dtype=torch.float64), torch.tensor([x], dtype=torch.float64)
    found = float(LIKELIHOODS["continuous_bernoulli"].log_density(outputs, target))
    assert found == pytest.approx(_continuous_bernoulli(logit, x), rel=1e-9, abs=1e-9)
    mean = 1 / -math.expm1(-logit) - 1 / logit
    assert float(LIKELIHOODS["continuous_bernoulli"].mean(outputs)) == pytest.approx(mean, rel=1e-9)


def test_continuous_bernoulli_is_flat_at_one_half() -> None:
    """At logit 0 the density is 1 everywhere, its slope x - 1/2, its curvature -1/12; draws are uniform."""
    member, zero = LIKELIHOODS["continuous_bernoulli"], torch.zeros(3, requires_grad=True)
    target = torch.tensor([0.0, 0.25, 1.0])
    found = member.log_density(zero, target)
    (slope,) = torch.autograd.grad(found.sum(), zero, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), zero)
    assert torch.equal(found, torch.zeros(3))
    torch.testing.assert_close(slope.detach(), target - 0.5)
    torch.testing.assert_close(curvature, torch.full((3,), -1 / 12))
    drawn = member.sample(torch.zeros(20_000), torch.Generator().manual_seed(0)).numpy()
    assert stats.kstest(drawn, "uniform").pvalue > FALSE_ALARM


@pytest.mark.parametrize("log_rate", [0.0, 5.0, 12.0, 15.0])
def test_large_counts_keep_their_digits(log_rate: float) -> None:
    """float32 outputs give scipy's probabilities to 1e-3 nats at millions of counts; plain float32 does not."""
    rate = math.exp(20 * math.tanh(log_rate / 20))
    count = torch.tensor([round(rate + math.sqrt(rate))], dtype=torch.float32)
    outputs = torch.tensor([log_rate])
    found = float(LIKELIHOODS["poisson"].log_density(outputs, count))
    rate = float((20 * torch.tanh(outputs / 20)).double().exp())
    assert found == pytest.approx(stats.poisson.logpmf(float(count), rate), abs=1e-3)
    for log_shape in (-2.0, 3.0, 10.0):
        shape = 20 * torch.tanh(torch.tensor([log_shape]) / 20)
        k = float(shape.double().exp())
        found = float(
            LIKELIHOODS["negative_binomial"].log_density(torch.tensor([log_rate, log_shape]), count)
        )
        assert found == pytest.approx(stats.nbinom.logpmf(float(count), k, k / (k + rate)), abs=2e-3)
    if log_rate == 15:
        narrow = count * outputs.new_tensor(rate).log() - rate - torch.lgamma(count + 1)
        assert float(narrow) != pytest.approx(stats.poisson.logpmf(float(count), rate), abs=0.01)


def test_negative_binomial_becomes_a_poisson() -> None:
    """With a shape of 5e8 the two agree; with 10 they do not."""
    log_rate, count = torch.tensor([1.3, 2.0]).double(), torch.tensor([2.0, 9.0]).double()
    poisson = LIKELIHOODS["poisson"].log_density(log_rate, count)
    for log_shape, alike in ((200.0, True), (2.3, False)):
        outputs = torch.cat([log_rate, torch.full_like(log_rate, log_shape)])
        found = LIKELIHOODS["negative_binomial"].log_density(outputs, count)
        assert torch.allclose(found, poisson, atol=1e-6) == alike


@pytest.mark.parametrize("name", NAMES)
def test_bias_gives_the_mean_of_each_column(name: str) -> None:
    """An untrained decoder with this bias restores column means despite gaps; no other constant fits better."""
    member = LIKELIHOODS[name]
    outputs = outputs_of(name, 1, seed=4).expand(400, -1)
    target = member.sample(outputs, torch.Generator().manual_seed(1))
    if name == "nonnegative":
        target = target.abs()
    known = torch.rand(400, E, generator=torch.Generator().manual_seed(2)) > 0.3
    known[:, 1] = True
    if name == "categorical":
        known = known[:, :1].expand(-1, E)
    bias = member.initial_bias(torch.where(known, target, torch.nan))
    expected = torch.where(known, target, torch.nan).nanmean(0)
    torch.testing.assert_close(member.mean(bias[None])[0], expected, rtol=1e-4, atol=2e-3)

    def fit(outputs: Tensor) -> Tensor:
        return torch.where(known, member.log_density(outputs.expand(400, -1), target), 0).sum()

    others = bias + 0.5 * torch.randn(50, len(bias), generator=torch.Generator().manual_seed(3))
    # These two begin from moments of the columns, which is only near the best.
    assert name in ("student", "rectified") or all(fit(other) < fit(bias) for other in others)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_bias_of_a_constant_column_is_finite(name: str, value: float) -> None:
    """Columns that never change have a bias a net can start from."""
    bias = LIKELIHOODS[name].initial_bias(torch.full((6, E), value))
    assert bias.isfinite().all() and bias.abs().max() < 1100


@pytest.mark.parametrize("mean", [0.001, 0.03, 0.4999999, 0.5, 0.62, 0.97, 0.9985])
def test_bias_of_the_continuous_bernoulli_inverts_its_mean(mean: float) -> None:
    """Newton's steps arrive from the middle to near both ends."""
    member = LIKELIHOODS["continuous_bernoulli"]
    bias = member.initial_bias(torch.full((4, 2), mean, dtype=torch.float64))
    torch.testing.assert_close(member.mean(bias), torch.full((2,), mean, dtype=torch.float64))
