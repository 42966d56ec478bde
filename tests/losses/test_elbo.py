"""The evidence lower bound against closed forms and a model whose evidence is known, and wrong twins."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch import distributions as dist

from regen.losses import (
    active_units,
    draw_normal,
    elbo_terms,
    gaussian_kl,
    importance_bound,
    importance_weights,
    normal_log_density,
    posterior,
)

MEAN = torch.tensor([[0.3, -1.2, 0.0], [2.0, 0.1, -0.4]], dtype=torch.float64)
LOG_VAR = torch.tensor([[-0.5, 0.8, 0.0], [-3.0, 1.5, 0.2]], dtype=torch.float64)


def test_divergence_is_that_of_torch() -> None:
    """Closed form against torch.distributions; the sign turned, or a deviation for a variance, is not it."""
    prior = dist.Normal(torch.zeros_like(MEAN), torch.ones_like(MEAN))
    expected = dist.kl_divergence(dist.Normal(MEAN, (LOG_VAR / 2).exp()), prior)
    torch.testing.assert_close(gaussian_kl(MEAN, LOG_VAR), expected)
    for twin in (
        -expected,
        dist.kl_divergence(prior, dist.Normal(MEAN, (LOG_VAR / 2).exp())),
        dist.kl_divergence(dist.Normal(MEAN, LOG_VAR.exp()), prior),
        0.5 * (MEAN**2 + LOG_VAR.exp() - 1 + LOG_VAR),
    ):
        assert not torch.allclose(gaussian_kl(MEAN, LOG_VAR), twin, rtol=1e-3)


@given(st.floats(-30, 30, width=32), st.floats(-19, 19, width=32), st.booleans())
def test_divergence_is_never_negative(mean: float, log_var: float, double: bool) -> None:
    """Whatever the parameters, rounding included, in both precisions."""
    kind = torch.float64 if double else torch.float32
    assert gaussian_kl(torch.tensor([mean], dtype=kind), torch.tensor([log_var], dtype=kind)) >= 0


def test_divergence_near_the_prior() -> None:
    """0 at the prior, never below it around; the plain formula goes below in float32."""
    assert torch.equal(gaussian_kl(torch.zeros(2), torch.zeros(2)), torch.zeros(2))
    close = torch.linspace(-1e-3, 1e-3, 20_001)
    assert (gaussian_kl(torch.zeros_like(close), close) >= 0).all()
    assert (0.5 * (close.exp() - 1 - close) < 0).any()


def test_gradients() -> None:
    """Densities, divergences, bounds and draws have the derivatives that finite differences say."""
    mean, log_var = MEAN.clone().requires_grad_(), LOG_VAR.clone().requires_grad_()
    z = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.autograd.gradcheck(gaussian_kl, (mean, log_var))
    assert torch.autograd.gradcheck(normal_log_density, (z, mean, log_var))
    assert torch.autograd.gradcheck(importance_bound, (z,))
    assert torch.autograd.gradcheck(lambda o: posterior(o), (torch.cat([mean, log_var], -1) * 30,))

    def drawn(mean: Tensor, log_var: Tensor) -> Tensor:
        return draw_normal(mean, log_var, 4, torch.Generator().manual_seed(1))

    assert torch.autograd.gradcheck(drawn, (mean, log_var))


def test_density_and_draws_of_a_code() -> None:
    """The density is torch's; 40,000 draws have the mean and the variance, to 5 standard errors (1 in 100,000)."""
    z = MEAN.flip(0)
    expected = dist.Normal(MEAN, (LOG_VAR / 2).exp()).log_prob(z).sum(-1)
    torch.testing.assert_close(normal_log_density(z, MEAN, LOG_VAR), expected)
    n = 40_000
    drawn = draw_normal(MEAN, LOG_VAR, n, torch.Generator().manual_seed(2))
    assert drawn.shape == (n, 2, 3)
    assert draw_normal(MEAN, LOG_VAR, generator=torch.Generator().manual_seed(2)).shape == (2, 3)
    deviation = (LOG_VAR / 2).exp()
    assert ((drawn.mean(0) - MEAN).abs() < 5 * deviation / math.sqrt(n)).all()
    share = drawn.var(0) / LOG_VAR.exp() - 1
    assert (share.abs() < 5 * math.sqrt(2 / n)).all()
    twin = drawn.sub(MEAN).mul(deviation).var(0) / LOG_VAR.exp() - 1  # log-variance read as a deviation
    assert (twin.abs() > 5 * math.sqrt(2 / n)).sum() == 5  # all but the one whose variance is 1


def test_posterior_holds_the_log_variance() -> None:
    """The same near 0, and no exponential overflows far out."""
    mean, log_var = posterior(torch.tensor([[1.0, -2.0, 0.5, 1e9], [3.0, 4.0, -1e9, 0.0]]))
    assert torch.equal(mean, torch.tensor([[1.0, -2.0], [3.0, 4.0]]))
    torch.testing.assert_close(log_var, torch.tensor([[0.5, 20.0], [-20.0, 0.0]]), rtol=0, atol=2e-4)
    assert gaussian_kl(mean, log_var).isfinite().all()


def test_terms_are_sums_over_cells_and_means_over_rows() -> None:
    """Every term by hand; sums and means exchanged are not it, nor a divergence of the other sign."""
    likelihood = torch.tensor([-3.0, -5.0])
    kl = torch.tensor([[1.0, 0.2], [2.0, 0.0]])
    terms = {name: float(value) for name, value in elbo_terms(likelihood, kl).items()}
    assert terms == pytest.approx({"loss": 5.6, "elbo": -5.6, "reconstruction": -4.0, "kl": 1.6})
    assert next(iter(elbo_terms(likelihood, kl))) == "loss"
    for twin in (-4.0 + 1.6, -4.0 - float(kl.mean()), -8.0 - float(kl.sum()), -4.0 - float(kl.sum())):
        assert terms["elbo"] != pytest.approx(twin)


def test_weight_of_the_divergence_and_free_bits() -> None:
    """Beta and free bits change what is minimised and nothing else; bits are free per dimension, not per row."""
    likelihood = torch.tensor([-3.0, -5.0])
    kl = torch.tensor([[1.0, 0.2], [2.0, 0.0]], requires_grad=True)
    terms = elbo_terms(likelihood, kl, beta=0.5, free_bits=0.3)
    loss = terms["loss"].item()
    assert loss == pytest.approx(4.0 + 0.5 * (1.5 + 0.3))
    assert terms["elbo"].item() == pytest.approx(-5.6)
    (slope,) = torch.autograd.grad(terms["loss"], kl)
    assert torch.equal(slope, torch.tensor([[0.25, 0.0], [0.25, 0.0]]))
    mixed = torch.tensor([[1.0, 1.0], [2.0, 0.0]])
    assert float(elbo_terms(likelihood, mixed, free_bits=0.3)["loss"]) == pytest.approx(4.0 + 2.0)
    assert float(mixed.clamp(min=0.3).sum(1).mean()) > 2.0  # what bits free for each row would say


# A linear-Gaussian model: z ~ N(0, 1), x | z ~ N(W z + b, s2); its evidence and posterior are known.

W = torch.tensor([[1.0, 0.2], [-0.5, 1.1], [0.3, 0.4]], dtype=torch.float64)
B = torch.tensor([0.1, -0.2, 0.5], dtype=torch.float64)
S2 = 0.3
X = torch.tensor([[0.9, -1.0, 0.2], [-1.5, 0.4, 2.0]], dtype=torch.float64)
EVIDENCE = dist.MultivariateNormal(B, W @ W.T + S2 * torch.eye(3)).log_prob(X)


def log_weights(mean: Tensor, log_var: Tensor, draws: int, seed: int, x: Tensor = X) -> Tensor:
    """Log p(x, z) - log q(z | x) of draws from q."""
    z = draw_normal(mean, log_var, draws, torch.Generator().manual_seed(seed))
    log_px = dist.Normal(z @ W.T + B, math.sqrt(S2)).log_prob(x).sum(-1)
    return (
        log_px + normal_log_density(z, torch.zeros(2), torch.zeros(2)) - normal_log_density(z, mean, log_var)
    )


@pytest.fixture
def exact() -> tuple[Tensor, Tensor]:
    """Mean of the true posterior of X, and the best log-variances that treat its dimensions apart."""
    precision = torch.eye(2) + W.T @ W / S2
    return (X - B) @ W @ torch.linalg.inv(precision) / S2, -precision.diagonal().log().expand(2, -1)


def test_bound_is_the_evidence_minus_the_gap(exact: tuple[Tensor, Tensor]) -> None:
    """The mean ELBO over many draws is log p(x) - KL(q || posterior), to 5 standard errors; a twin is not."""
    mean, log_var = exact[0] + 0.2, exact[1] + 0.3
    weights = log_weights(mean, log_var, 40_000, 0)
    precision = torch.eye(2) + W.T @ W / S2
    true = dist.MultivariateNormal(exact[0], precision_matrix=precision)
    gap = dist.kl_divergence(dist.MultivariateNormal(mean, torch.diag_embed(log_var.exp())), true)
    error = 5 * weights.std(0) / math.sqrt(40_000)
    assert ((weights.mean(0) - (EVIDENCE - gap)).abs() < error).all() and (gap > 10 * error).all()
    turned = weights + 2 * gaussian_kl(mean, log_var).sum(-1)  # the divergence with its sign turned
    assert (turned.mean(0) > EVIDENCE + error).all()


def test_bound_rises_to_the_evidence_from_below(exact: tuple[Tensor, Tensor]) -> None:
    """Means over repetitions rise with the draws and never pass log p(x); with 20,000 draws it is there."""
    mean, log_var = exact[0] + 0.2, exact[1] + 0.3
    weights = log_weights(mean, log_var, 60_000, 1)
    means = [importance_bound(weights.unflatten(0, (k, -1))).mean(0) for k in (1, 2, 5, 20, 100)]
    for low, high in pairwise(means):
        assert (low < high).all()
    slack = 5 * importance_bound(weights.unflatten(0, (100, -1))).std(0) / math.sqrt(600)
    assert (means[-1] < EVIDENCE + slack).all()
    torch.testing.assert_close(importance_bound(weights), EVIDENCE, rtol=0, atol=0.02)
    wrong = torch.logsumexp(weights, 0)  # the number of draws forgotten
    assert (wrong > EVIDENCE + 5).all()
    assert (weights.mean(0) < EVIDENCE - 0.02).all()  # the mean of logarithms


def test_exact_posterior_needs_one_draw() -> None:
    """With q = p(z | x) every weight is the evidence itself: the estimate has no variance."""
    one = W[:, :1]
    precision = 1 + (one**2).sum() / S2
    mean, log_var = (X - B) @ one / S2 / precision, -precision.log().expand(2, 1)
    z = draw_normal(mean, log_var, 7, torch.Generator().manual_seed(0))
    log_likelihood = dist.Normal(z @ one.T + B, math.sqrt(S2)).log_prob(X).sum(-1)
    weights = (
        log_likelihood
        + normal_log_density(z, torch.zeros(1), torch.zeros(1))
        - normal_log_density(z, mean, log_var)
    )
    evidence = dist.MultivariateNormal(B, one @ one.T + S2 * torch.eye(3)).log_prob(X)
    torch.testing.assert_close(weights, evidence.expand(7, 2))


def test_bound_is_safe_where_exponentials_are_not() -> None:
    """Log-weights in the thousands, of both signs and with minus infinity."""
    weights = torch.tensor([[-9000.0, 5000.0], [-9001.0, -torch.inf]])
    expected = torch.tensor([-9000 + math.log1p(math.exp(-1)) - math.log(2), 5000 - math.log(2)])
    torch.testing.assert_close(importance_bound(weights), expected)
    torch.testing.assert_close(importance_weights(weights).sum(0), torch.ones(2))


def test_weights_make_the_posterior_of_draws_from_another(exact: tuple[Tensor, Tensor]) -> None:
    """Weighted draws have the mean of p(z | x), which unweighted ones of a wrong q have not."""
    mean, log_var = exact[0] + 0.3, exact[1] + 0.7
    z = draw_normal(mean, log_var, 40_000, torch.Generator().manual_seed(3))
    weights = importance_weights(log_weights(mean, log_var, 40_000, 3))
    torch.testing.assert_close((weights[..., None] * z).sum(0), exact[0], rtol=0, atol=0.02)
    assert ((z.mean(0) - exact[0]).abs() > 0.2).all()


def test_active_units() -> None:
    """A dimension is active when its mean changes over rows, at the published threshold on the variance."""
    spread = torch.tensor([0.0, 0.09, 0.11, 1.0])
    means = spread * torch.tensor([1.0, -1.0])[:, None] + 5
    assert active_units(means).tolist() == [False, False, True, True]
    assert active_units(means[:1]).tolist() == [False] * 4
