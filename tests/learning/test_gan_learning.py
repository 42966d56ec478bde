"""GAN finds all modes of points, by its defaults; benchmarks/quality_gan.py has the whole protocol and ten seeds."""

from typing import Any

import numpy as np
import pytest

import regen

pytestmark = pytest.mark.slow


def ring(seed: int) -> np.ndarray:
    """(20000, 2) points of deviation 0.01 around 8 centres on a circle of radius 1."""
    rng = np.random.default_rng(seed)
    return centres()[rng.integers(8, size=20_000)] + 0.01 * rng.normal(size=(20_000, 2))


def centres() -> np.ndarray:
    """(8, 2)."""
    angle = np.arange(8) * np.pi / 4
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def quality(made: np.ndarray) -> tuple[int, float, float]:
    """Modes found, share of points within 3 deviations of one, KL of their shares of the modes against equal ones."""
    away = np.linalg.norm(made[:, None] - centres(), axis=2)
    good = away.min(1) < 0.03
    share = np.bincount(away.argmin(1)[good], minlength=8) / max(1, good.sum())
    some = share[share > 0]
    return len(some), float(good.mean()), float((some * np.log(some * 8)).sum())


def played(**options: Any) -> tuple[int, float, float]:
    """2,500 points after 5,000 steps."""
    model = regen.GAN(max_epochs=1000, random_state=0, training={"max_steps": 5_000}, **options)
    return quality(model.fit(ring(0)).sample(2_500, random_state=0))


def test_all_modes_of_a_ring():
    """Eight of eight, nine points in ten good, equally many in each; after 12,000 steps they are better still."""
    modes, good, kl = played()
    assert modes == 8
    assert good > 0.85
    assert kl < 0.05


def test_the_loss_of_2014_is_worse():
    """Without penalties and average, with the non-saturating loss, the same nets are far from that."""
    modes, good, kl = played(game={"objective": "nonsaturating", "penalty": "none", "ema_half_life": 0})
    assert modes < 8 or good < 0.7 or kl > 0.1
