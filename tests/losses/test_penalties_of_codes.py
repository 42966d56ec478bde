"""Penalties on a code against closed forms and finite differences; wrong variants differ."""

import pytest
import torch
from torch import Tensor, nn
from torch import distributions as dist

from regen.losses import contractive, kl_sparsity, l1


@pytest.fixture
def x() -> Tensor:
    """Four rows that require a gradient."""
    return torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()


def weights(Z: int) -> Tensor:
    """(5, Z) unequal weights."""
    return torch.randn(5, Z, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 0.7


def test_l1_sums_over_the_code() -> None:
    """One number a row, the sum of sizes: not their mean, not the sum itself."""
    assert l1(torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.0, -4.0]])).tolist() == [3.5, 4.0]


def test_sparsity_is_the_divergence_of_two_coins() -> None:
    """From the target share to the observed share, per unit; the other way round, or per row, it differs."""
    activation = torch.rand(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) ** 3
    target = dist.Bernoulli(torch.full((4,), 0.1, dtype=torch.float64))
    observed = dist.Bernoulli(activation.mean(0))
    found = kl_sparsity(activation, 0.1)
    torch.testing.assert_close(found, dist.kl_divergence(target, observed))
    assert not torch.allclose(found, dist.kl_divergence(observed, target), rtol=1e-2)
    assert not torch.allclose(found, kl_sparsity(activation[:1], 0.1), rtol=1e-2)
    torch.testing.assert_close(kl_sparsity(torch.full((3, 2), 0.05)), torch.zeros(2), rtol=0, atol=1e-7)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_sparsity_of_units_always_or_never_on_is_finite(value: float) -> None:
    """At both ends value and gradient are finite."""
    activation = torch.full((3, 2), value, requires_grad=True)
    kl_sparsity(activation).sum().backward()
    assert activation.grad is not None and activation.grad.isfinite().all()


@pytest.mark.parametrize("Z", [3, 40])
def test_contraction_of_one_sigmoid_layer(x: Tensor, Z: int) -> None:
    """``sum_j (h_j (1 - h_j))**2 ||W_j||**2``, exact up to 32 dimensions; beyond, right on average."""
    matrix = weights(Z)
    code = torch.sigmoid(x @ matrix)
    expected = ((code * (1 - code)) ** 2 @ (matrix**2).sum(0)).detach()
    if Z == 3:
        torch.testing.assert_close(contractive(code, x).detach(), expected)
        assert not torch.allclose(contractive(code, x).detach(), expected.sqrt(), rtol=1e-2)
        assert not torch.allclose(contractive(code, x).detach() / Z, expected, rtol=1e-2)
    drawn = torch.stack(
        [contractive(code, x, generator=torch.Generator().manual_seed(seed)).detach() for seed in range(400)]
    )
    error = 5 * drawn.std(0) / 20
    assert ((drawn.mean(0) - expected).abs() <= error + 1e-9).all()
    assert (drawn.std(0) > 0).all() == (Z == 40)
    many = contractive(code, x, 500, torch.Generator().manual_seed(0)).detach()
    torch.testing.assert_close(many, expected, rtol=0.3, atol=0)


def test_contraction_against_finite_differences(x: Tensor) -> None:
    """Two layers, by moving each input a little."""
    net = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    found = contractive(net(x), x).detach()
    step = 1e-6
    with torch.no_grad():
        differences = [(net(x + step * e) - net(x - step * e)) / (2 * step) for e in torch.eye(5).double()]
    torch.testing.assert_close(found, torch.stack(differences).square().sum((0, 2)), rtol=1e-6, atol=1e-8)


def test_contraction_can_be_minimised(x: Tensor) -> None:
    """Its gradient by the weights agrees with finite differences."""
    matrix = weights(2).requires_grad_()
    assert torch.autograd.gradcheck(lambda w: contractive(torch.tanh(x @ w), x), (matrix,))


def test_random_signs_come_from_their_generator(x: Tensor) -> None:
    """The same generator, the same estimate; torch's own numbers are left alone."""
    code, before = torch.tanh(x @ weights(3)), torch.get_rng_state()
    first = contractive(code, x, 2, torch.Generator().manual_seed(0))
    assert torch.equal(first, contractive(code, x, 2, torch.Generator().manual_seed(0)))
    assert torch.equal(before, torch.get_rng_state())
