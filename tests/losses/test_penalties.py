"""Penalties on a critic's slope against finite differences, through recurrent nets too; and wrong twins."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regen.losses import gradient_penalty, zero_centred_penalty
from regen.nets import recurrent


class Reader(nn.Module):
    """A critic of sequences: a recurrent net and a linear layer of its last output."""

    def __init__(self, cell: str, backend: str) -> None:
        super().__init__()
        self.net = recurrent(cell, 2, 3, backend=backend)
        self.read = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 2) -> (B,)."""
        return self.read(self.net(x)[0][:, -1]).squeeze(1)


def critic(kind: str) -> tuple[nn.Module, Tensor, Tensor]:
    """A critic, and real and generated samples that it reads."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        if kind == "vectors":
            shape: tuple[int, ...] = (4,)
            net: nn.Module = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1), nn.Flatten(0))
        elif kind == "images":
            shape = (2, 5, 4)
            net = nn.Sequential(
                nn.Conv2d(2, 3, 3), nn.Softplus(), nn.Flatten(), nn.Linear(18, 1), nn.Flatten(0)
            )
        else:
            shape = (6, 2)
            net = Reader(*kind.split())
        real, fake = torch.randn(3, *shape), torch.randn(3, *shape) + 0.5
    return net.double(), real.double(), fake.double()


def input_gradients(net: nn.Module, x: Tensor, step: float = 1e-5) -> Tensor:
    """(B, numbers of a sample): d logit_i / d x_i by central differences, one number of one sample at a time."""
    found = torch.zeros(len(x), x[0].numel(), dtype=x.dtype)
    with torch.no_grad():
        for row in range(len(x)):
            for place in range(x[0].numel()):
                moved = torch.zeros_like(found)
                moved[row, place] = step
                moved = moved.reshape(x.shape)
                found[row, place] = (net(x + moved)[row] - net(x - moved)[row]) / (2 * step)
    return found


KINDS = [
    "vectors",
    "images",
    "lstm auto",
    "lstm reference",
    "gru auto",
    "elman auto",
    "jordan auto",
    "diagonal auto",
]


@pytest.mark.parametrize("kind", KINDS)
def test_zero_centred_penalty_is_that_of_finite_differences(kind: str) -> None:
    """Per sample, on real and on generated ones; one norm of the whole batch is not it."""
    net, real, fake = critic(kind)
    for x in (real, fake):
        watched = x.clone().requires_grad_()
        penalty = zero_centred_penalty(net(watched), watched)
        expected = input_gradients(net, x).square().sum(1)
        torch.testing.assert_close(penalty, expected, rtol=1e-6, atol=1e-9)
        whole = expected.sum()
        assert not torch.allclose(penalty, whole.expand(3), rtol=1e-2)
        assert not torch.allclose(penalty.mean(), whole, rtol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_penalty_is_that_of_finite_differences(kind: str) -> None:
    """Per sample, at the points drawn; the norm of the whole batch, or of a whole batch's mean, is not it."""
    net, real, fake = critic(kind)
    penalty = gradient_penalty(net, real, fake, torch.Generator().manual_seed(1))
    share = torch.empty(3, dtype=real.dtype).uniform_(generator=torch.Generator().manual_seed(1))
    share = share.reshape(-1, *[1] * (real.ndim - 1))
    found = input_gradients(net, real + share * (fake - real))
    torch.testing.assert_close(penalty, (found.norm(dim=1) - 1).square(), rtol=1e-6, atol=1e-9)
    assert not torch.allclose(penalty.mean(), (found.norm() - 1).square(), rtol=1e-2)  # torchgan's


@pytest.mark.parametrize("kind", KINDS)
def test_penalties_can_be_differentiated_again(kind: str) -> None:
    """D penalty / d weight by finite differences of the penalty itself, in every weight's largest slope."""
    net, real, fake = critic(kind)

    def penalty() -> Tensor:
        watched = fake.clone().requires_grad_()
        zero = zero_centred_penalty(net(watched), watched)
        return zero.mean() + gradient_penalty(net, real, fake, torch.Generator().manual_seed(1)).mean()

    weights = [weight for name, weight in net.named_parameters() if "bias" not in name]
    for weight, slope in zip(weights, torch.autograd.grad(penalty(), weights), strict=True):
        place = slope.abs().argmax()
        with torch.no_grad():
            where = torch.unravel_index(place, weight.shape)
            before = weight[where].clone()
            weight[where] = before + 1e-5
            above = penalty_value(penalty)
            weight[where] = before - 1e-5
            below = penalty_value(penalty)
            weight[where] = before
        assert slope.abs().max() > 1e-6
        assert slope[where].item() == pytest.approx((above - below) / 2e-5, rel=1e-5)


def penalty_value(penalty: Callable[[], Tensor]) -> float:
    """Its number, with gradients on."""
    with torch.enable_grad():
        return penalty().item()


def test_no_gradient_goes_back_through_the_samples_between() -> None:
    """The penalty trains the critic, not the generator."""
    net, real, fake = critic("vectors")
    made = fake.clone().requires_grad_()
    gradient_penalty(net, real, made).sum().backward()
    assert made.grad is None and all(w.grad is not None for n, w in net.named_parameters() if "weight" in n)


def test_penalty_of_a_flat_critic() -> None:
    """A gradient of 0 has penalty 1 and a finite derivative: the root of a sum of squares alone has none there."""
    weight = torch.zeros(2, requires_grad=True)
    x = torch.ones(3, 2)
    penalty = gradient_penalty(lambda u: u @ weight, x, x)
    assert torch.equal(penalty, torch.ones(3))
    (slope,) = torch.autograd.grad(penalty.mean(), weight)
    assert slope.isfinite().all()
    twin = ((weight.expand(3, 2).square().sum(1).sqrt() - 1).square()).mean()
    assert torch.autograd.grad(twin, weight)[0].isnan().all()


def test_packs_are_samples() -> None:
    """A critic that reads pairs of rows: one penalty a pair, one random point, as if a row were twice as wide."""
    net, real, fake = critic("vectors")
    real, fake = torch.cat([real, fake])[:, :2], torch.cat([fake, real])[:, :2]

    def packed(x: Tensor) -> Tensor:
        return net(x.reshape(-1, 4))

    draw = torch.Generator
    wide = gradient_penalty(net, real.reshape(-1, 4), fake.reshape(-1, 4), draw().manual_seed(1))
    torch.testing.assert_close(gradient_penalty(packed, real, fake, draw().manual_seed(1), pack=2), wide)
    assert not torch.allclose(gradient_penalty(packed, real, fake, draw().manual_seed(1))[:3], wide)
    x, y = real.clone().requires_grad_(), real.reshape(-1, 4).clone().requires_grad_()
    torch.testing.assert_close(zero_centred_penalty(packed(x), x), zero_centred_penalty(net(y), y))


def test_points_between_are_uniform_and_only_from_the_generator() -> None:
    """The same generator, the same points, torch's own untouched; 4,000 shares are uniform, not normal."""
    drawn: list[Tensor] = []

    def spy(x: Tensor) -> Tensor:
        drawn.append(x.detach())
        return x.sum(1)

    real, fake = torch.zeros(4000, 2), torch.ones(4000, 2)
    before = torch.random.get_rng_state()
    for _ in range(2):
        gradient_penalty(spy, real, fake, torch.Generator().manual_seed(7))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(drawn[0], drawn[1]) and torch.equal(drawn[0][:, 0], drawn[0][:, 1])
    share = drawn[0][:, 0].sort().values
    assert share[0] >= 0 and share[-1] < 1
    gap = (share - (torch.arange(4000) + 0.5) / 4000).abs().max()
    assert gap < 0.04  # Kolmogorov: a false alarm in 300,000
    gradient_penalty(spy, real, fake)
    assert not torch.equal(torch.random.get_rng_state(), before)


def test_penalty_refuses_samples_of_other_shapes(message_of: Any) -> None:
    """Nothing is broadcast."""
    assert (
        message_of(ValueError, gradient_penalty, lambda x: x.sum(1), torch.zeros(3, 2), torch.zeros(2, 2))
        == "Real and generated samples must have the same shape. Got (3, 2) and (2, 2)."
    )


def test_penalty_on_generated_samples_is_another_number() -> None:
    """R2 is taken where the generator is; the slope on real samples (R1) twice is a wrong twin."""
    x, y = torch.tensor([[1.0], [2.0]], requires_grad=True), torch.tensor([[3.0], [-1.0]], requires_grad=True)
    r1, r2 = zero_centred_penalty(x.square().squeeze(1), x), zero_centred_penalty(y.square().squeeze(1), y)
    assert torch.equal(r1, torch.tensor([4.0, 16.0])) and torch.equal(r2, torch.tensor([36.0, 4.0]))
