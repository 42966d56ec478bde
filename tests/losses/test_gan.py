"""GAN losses by hand, penalties against finite differences, calibrated scores; and wrong twins."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from regen.losses import GAN_LOSSES, calibrate, gan_loss, score, zero_centred_penalty

REAL, FAKE = (2.0, -0.5, 0.25), (-1.0, 1.5, 0.75)


def soft(x: float) -> float:
    """log(1 + e**x)."""
    return math.log1p(math.exp(x))


def mean(of: Callable[..., float], *columns: tuple[float, ...]) -> float:
    """The mean over rows."""
    return sum(map(of, *columns)) / len(columns[0])


# What each player minimises, by hand: mean over r (real) and f (generated).
BY_HAND = {
    "relativistic": (mean(lambda r, f: soft(f - r), REAL, FAKE), mean(lambda r, f: soft(r - f), REAL, FAKE)),
    "nonsaturating": (mean(lambda r: soft(-r), REAL) + mean(soft, FAKE), mean(lambda f: soft(-f), FAKE)),
    "minimax": (
        mean(lambda r: -math.log(1 / (1 + math.exp(-r))), REAL)
        + mean(lambda f: -math.log(1 - 1 / (1 + math.exp(-f))), FAKE),
        mean(lambda f: math.log(1 - 1 / (1 + math.exp(-f))), FAKE),
    ),
    "hinge": (
        mean(lambda r: max(0.0, 1 - r), REAL) + mean(lambda f: max(0.0, 1 + f), FAKE),
        mean(lambda f: -f, FAKE),
    ),
    "least_squares": (
        mean(lambda r: (r - 1) ** 2 / 2, REAL) + mean(lambda f: f**2 / 2, FAKE),
        mean(lambda f: (f - 1) ** 2 / 2, FAKE),
    ),
    "wasserstein": (mean(float, FAKE) - mean(float, REAL), -mean(float, FAKE)),
}


def logits() -> tuple[Tensor, Tensor]:
    """Logits of real and of generated samples."""
    return torch.tensor(REAL, dtype=torch.float64), torch.tensor(FAKE, dtype=torch.float64)


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_losses_by_hand(name: str) -> None:
    """Both players' losses on three pairs; with the labels swapped neither is it."""
    real, fake = logits()
    loss = gan_loss(name)
    found = float(loss.discriminator(real, fake)), float(loss.generator(real, fake))
    assert found == pytest.approx(BY_HAND[name])
    assert float(loss.discriminator(fake, real)) != pytest.approx(BY_HAND[name][0])
    assert float(loss.generator(fake, real)) != pytest.approx(BY_HAND[name][1])
    assert loss.discriminator(real, fake).shape == loss.generator(real, fake).shape == ()


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_players_pull_in_opposite_directions(name: str) -> None:
    """The discriminator lowers the logits of what is generated and raises real ones; the generator raises."""
    real, fake = (each.requires_grad_() for each in logits())
    loss = gan_loss(name)
    up, down = torch.autograd.grad(loss.discriminator(real, fake).sum(), (real, fake))
    if name != "least_squares":  # beyond its label, it pulls back
        assert (up <= 0).all() and (down >= 0).all() and up.abs().sum() > 0 and down.abs().sum() > 0
        (lift,) = torch.autograd.grad(loss.generator(real, fake), fake)
        assert (lift < 0).all()


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_who_needs_real_samples(name: str, message_of: Any) -> None:
    """Only the relativistic generator does; the others take None, and batches of different sizes."""
    real, fake = logits()
    loss = GAN_LOSSES[name]
    assert loss.needs_real is (name == "relativistic")
    if not loss.needs_real:
        assert torch.equal(loss.generator(None, fake), loss.generator(real, fake))
        assert loss.discriminator(real[:2], fake).isfinite()
        return
    words = "The relativistic loss compares pairs: give as many real samples as generated ones. Got {} and 3."
    for other, count in ((real[:2], "2"), (None, "None")):
        assert message_of(ValueError, loss.generator, other, fake) == words.format(count)


def test_pairs_are_compared_one_by_one() -> None:
    """The relativistic loss depends on who is paired with whom; means compared with means do not."""
    real, fake = logits()
    loss = GAN_LOSSES["relativistic"].discriminator
    assert float(loss(real, fake)) != pytest.approx(float(loss(real, fake.flip(0))))
    assert float(loss(real, fake)) != pytest.approx(soft(float(fake.mean() - real.mean())))
    torch.testing.assert_close(loss(real + 3, fake + 3), loss(real, fake))  # only differences count


@pytest.mark.parametrize("name", GAN_LOSSES)
def test_losses_do_not_overflow(name: str) -> None:
    """Logits of a thousand, either way, in float32: losses and their gradients stay finite."""
    real = torch.tensor([1e3, -1e3, 1e3, -1e3], requires_grad=True)
    fake = torch.tensor([1e3, -1e3, -1e3, 1e3], requires_grad=True)
    total = GAN_LOSSES[name].discriminator(real, fake) + GAN_LOSSES[name].generator(real, fake)
    gradients = torch.autograd.grad(total, (real, fake))
    assert total.isfinite() and all(gradient.isfinite().all() for gradient in gradients)


def test_label_smoothing_is_one_sided() -> None:
    """Targets 0.9 and 0 by hand; smoothing both sides, or the generated one alone, is not it."""
    real, fake = logits()
    down = mean(soft, FAKE)
    both = mean(lambda r: 0.9 * soft(-r) + 0.1 * soft(r), REAL) + down
    for name in ("nonsaturating", "minimax"):
        smooth = gan_loss(name, 0.1)
        assert float(smooth.discriminator(real, fake)) == pytest.approx(both)
        assert float(smooth.generator(None, fake)) == pytest.approx(BY_HAND[name][1])
    squares = gan_loss("least_squares", 0.1).discriminator(real, fake)
    assert float(squares) == pytest.approx(
        mean(lambda r: (r - 0.9) ** 2 / 2, REAL) + mean(lambda f: f**2 / 2, FAKE)
    )
    twin = mean(lambda r: soft(-r), REAL) + mean(lambda f: 0.9 * soft(f) + 0.1 * soft(-f), FAKE)
    assert both != pytest.approx(twin)


def test_smoothing_and_names_are_refused_in_words(message_of: Any) -> None:
    """Where there is no label; beyond [0, 0.5); and an unknown loss, with the closest one."""
    for name in ("relativistic", "hinge", "wasserstein"):
        assert message_of(ValueError, gan_loss, name, 0.1) == (
            f"Label smoothing needs a loss with labels, and {name!r} has none. "
            "Choose 'nonsaturating' or 'minimax' or 'least_squares', or smooth=0."
        )
    for smooth in (-0.1, 0.5, math.nan):
        with pytest.raises(ValueError, match=r"^Label smoothing must be a number in \[0, 0\.5\)\. Got"):
            gan_loss("minimax", smooth)
    assert message_of(ValueError, gan_loss, "hing") == (
        "An adversarial loss must be one of 'relativistic', 'nonsaturating', 'minimax', 'hinge', 'least_squares', "
        "'wasserstein'. Got 'hing' instead. Did you mean 'hinge'?"
    )


# A game of two nets, each pulled only by its own loss.


def test_gradients_do_not_leak_between_players() -> None:
    """The discriminator's loss on detached samples leaves the generator alone.

    On samples that are not, it trains the generator against itself: the slopes point the other way.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator, net = (
            nn.Linear(2, 2),
            nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1), nn.Flatten(0)),
        )
        z, real = torch.randn(6, 2), torch.randn(6, 2)
    for loss in GAN_LOSSES.values():
        fake = generator(z)
        own = list(generator.parameters())
        detached = loss.discriminator(net(real), net(fake.detach()))
        assert torch.autograd.grad(detached, own, allow_unused=True, retain_graph=True) == (None, None)
        leak = torch.autograd.grad(loss.discriminator(net(real), net(fake)), own, retain_graph=True)
        pull = torch.autograd.grad(loss.generator(net(real), net(fake)), own)
        assert all(slope.abs().sum() > 0 for slope in (*leak, *pull))
        assert sum(float((a * b).sum()) for a, b in zip(leak, pull, strict=True)) < 0


def test_penalties_on_both_sides_make_the_smallest_game_converge() -> None:
    """Dirac-GAN (Mescheder et al. 2018): a point at 0, one at `place`, a critic ``slope * x``.

    With R1 and R2 the two points meet; without a penalty they circle.
    """

    def play(loss: str, gamma: float) -> float:
        place, slope = torch.tensor([1.0], requires_grad=True), torch.tensor([1.0], requires_grad=True)
        for _ in range(500):
            real, fake = torch.zeros(1, requires_grad=True), place.detach().requires_grad_()
            value = GAN_LOSSES[loss].discriminator(slope * real, slope * fake)
            square = zero_centred_penalty(slope * real, real) + zero_centred_penalty(slope * fake, fake)
            (d,) = torch.autograd.grad(value + gamma / 2 * square.mean(), slope)
            (g,) = torch.autograd.grad(GAN_LOSSES[loss].generator(slope * real, slope * place), place)
            with torch.no_grad():
                slope -= 0.1 * d
                place -= 0.1 * g
        return torch.cat([place, slope]).norm().item()

    for loss in ("relativistic", "nonsaturating"):
        assert play(loss, 1.0) < 0.01
        assert play(loss, 0.0) > 0.3


# Scores that a person can read.


def test_scores_by_hand() -> None:
    """100 * sigmoid, at least 1: 50 is a guess, the far ends are 1 and 100."""
    found = score(torch.tensor([0.0, math.log(3), -math.log(3), -50.0, 50.0]))
    torch.testing.assert_close(found, torch.tensor([50.0, 75.0, 25.0, 1.0, 100.0]))
    torch.testing.assert_close(score(torch.tensor([[2.0]]), 0.5, -1.0), torch.tensor([[50.0]]))
    assert score(torch.tensor(0.0), torch.tensor(2.0), torch.tensor(0.0)).shape == ()


@given(st.integers(1, 40), st.integers(0, 10_000), st.floats(-5, 5), st.floats(0.01, 100))
def test_scores_are_50_where_real_is_as_generated(
    count: int, seed: int, middle: float, spread: float
) -> None:
    """The same logits, in another order, at any place and scale: all score 50."""
    draw = torch.Generator().manual_seed(seed)
    logits = middle + spread * torch.randn(count, generator=draw)
    slope, offset = calibrate(logits, logits[torch.randperm(count, generator=draw)])
    torch.testing.assert_close(score(logits, slope, offset), torch.full((count,), 50.0), rtol=0, atol=1e-3)


@pytest.mark.parametrize("kept", [1.0, 0.25])
def test_calibration_of_a_known_pair(kept: float) -> None:
    """Logits N(1, 1) and N(-1/2, 1): the probability is sigmoid(1.5 x - 0.375), whatever the numbers of each.

    Not counting both as half of the data is off by the logarithm of their ratio.
    """
    count = 200_000
    normal = torch.special.ndtri((torch.arange(count, dtype=torch.float64) + 0.5) / count)  # deterministic
    real = normal[:: round(1 / kept)] + 1.0
    real = real - real.mean() + 1.0
    slope, offset = calibrate(real, normal - 0.5)
    assert slope == pytest.approx(1.5, abs=2e-3)
    assert offset == pytest.approx(-0.375, abs=2e-3)
    assert abs(math.log(kept)) > 1 or kept == 1


def test_calibration_is_that_of_logistic_regression() -> None:
    """Slope and offset zero the derivative of the balanced log-loss with its prior.

    Scale and place move with the logits; labels swapped give no slope at all.
    """
    draw = torch.Generator().manual_seed(0)
    real = torch.randn(60, generator=draw, dtype=torch.float64) + 0.8
    fake = torch.randn(40, generator=draw, dtype=torch.float64)
    slope, offset = calibrate(real, fake)
    at = torch.tensor([slope, offset], dtype=torch.float64, requires_grad=True)
    spread = torch.cat([real, fake]).std(correction=0)
    loss = -torch.nn.functional.logsigmoid(at[0] * real + at[1]).mean() / 2
    loss = loss - torch.nn.functional.logsigmoid(-at[0] * fake - at[1]).mean() / 2
    loss = loss + (at[0] * spread).square() / (2 * 100 * 100)
    (gradient,) = torch.autograd.grad(loss, at)
    assert gradient.abs().max() < 1e-9
    assert calibrate(4 * real + 7, 4 * fake + 7) == pytest.approx((slope / 4, offset - 7 * slope / 4))
    assert calibrate(fake, real) == (0.0, 0.0)


def test_calibration_stays_finite() -> None:
    """Kinds that do not overlap score 1 and near 100; a constant critic scores 50; one logit each."""
    real, fake = torch.linspace(5.0, 5.001, 300), torch.linspace(4.9, 4.901, 300)
    slope, offset = calibrate(real, fake)
    assert math.isfinite(slope) and math.isfinite(offset)
    assert score(real, slope, offset).min() > 99 and score(fake, slope, offset).max() == 1
    assert calibrate(torch.ones(4), torch.ones(9)) == (0.0, 0.0)
    slope, offset = calibrate(torch.tensor([1.0]), torch.tensor([-1.0]))
    assert 0 < slope < 10 and offset == pytest.approx(0)
    slope, offset = calibrate(torch.tensor([1e30, 2.0]), torch.tensor([1.0, -1e30]))
    assert math.isfinite(slope) and slope >= 0


def test_calibration_refuses_in_words(message_of: Any) -> None:
    """No logits, and logits that are no numbers."""
    assert (
        message_of(ValueError, calibrate, torch.ones(0), torch.ones(3))
        == "Calibration needs logits of both kinds. Got 0 real and 3 generated."
    )
    assert message_of(ValueError, calibrate, torch.ones(2), torch.tensor([1.0, math.inf])) == (
        "Calibration needs finite logits. Got NaN or infinite ones: the critic has diverged."
    )
