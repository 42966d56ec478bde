"""Cells of generated rows: right values, exact draws, and a gradient through all of them."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from regen.losses import StraightThrough
from regen.losses.straight_through import NEAR_CERTAIN

DRAWS = 20_000
ALARM = 4.5
"""Deviations that a share may be off: 1 in 150,000 of right samplers."""
MIXED = [
    ("real", 0, 1),
    ("nonnegative", 1, 2),
    ("unit", 2, 3),
    ("binary", 3, 4),
    ("counts", 4, 5),
    ("categorical", 5, 8),
]
SHIFT = torch.tensor([0.0, 0.8, 0.25, 0.7, 1.2, 0.0, 0.0, 0.0])
SPREAD = torch.tensor([1.0, 1.0, 0.3, 0.4, 0.5, 1.0, 1.0, 1.0])


def mixed() -> StraightThrough:
    """A row of every kind."""
    return StraightThrough(MIXED, SHIFT, SPREAD)


def logit(p: float) -> float:
    """Of a share."""
    return math.log(p / (1 - p))


def seeded(seed: int = 0) -> Generator:
    """A generator of its own."""
    return Generator().manual_seed(seed)


def test_values_by_hand() -> None:
    """Each kind by its formula, at unequal numbers; categories and truth values are drawn, never between."""
    a = torch.tensor(
        [[0.3, -0.5, 0.4, 0.1, 0.6, 1.0, 0.0, -1.0], [-2.0, -1.5, -3.0, 0.1, -4.0, 0.0, 0.0, 0.0]]
    )
    cells = mixed().sample(a, seeded())
    torch.testing.assert_close(cells[:, 0], a[:, 0])
    torch.testing.assert_close(cells[:, 1], torch.tensor([0.3, 0.0]))
    grey = [1 / (1 + math.exp(-(logit(0.25) + x))) for x in (0.4, -3.0)]
    torch.testing.assert_close(cells[:, 2], torch.tensor(grey))
    assert set(cells[:, 3].tolist()) <= {0.0, 1.0}
    assert cells[:, 4].tolist() == [float(round(math.expm1(1.2 + 0.5 * 0.6))), 0.0]
    assert (cells[:, 5:].sort().values == torch.tensor([0.0, 0.0, 1.0])).all()
    mean = mixed().mean(a)
    torch.testing.assert_close(mean[:, 5:], a[:, 5:].softmax(-1))
    torch.testing.assert_close(mean[0, 3], torch.tensor(1 / (1 + math.exp(-(logit(0.7) + 0.1)))))
    torch.testing.assert_close(mean[0, 4], torch.tensor(math.expm1(1.5)))


def shares(estimator: StraightThrough, a: Tensor) -> Tensor:
    """(E,) mean of many draws."""
    return estimator.sample(a.expand(DRAWS, -1), seeded(3)).mean(0)


def far(found: Tensor, expected: Tensor) -> bool:
    """Whether shares are off by more than random variation."""
    return bool(((found - expected).abs() > ALARM * (expected * (1 - expected) / DRAWS).sqrt()).any())


def test_draws_have_their_probabilities() -> None:
    """Truth values by the sigmoid, categories by the softmax; a sampler without its noise is caught."""
    binary = StraightThrough([("binary", 0, 2)], torch.tensor([0.7, 0.5]), torch.ones(2))
    a = torch.tensor([0.4, -1.0])
    expected = torch.tensor([1 / (1 + math.exp(-(logit(0.7) + 0.4))), 1 / (1 + math.exp(1.0))])
    assert not far(shares(binary, a), expected)
    one_of = StraightThrough([("categorical", 0, 4)], torch.zeros(4), torch.ones(4))
    a = torch.tensor([1.0, 0.0, -0.5, 0.2])
    assert not far(shares(one_of, a), a.softmax(-1))
    twin = torch.nn.functional.one_hot(a.argmax(), 4).float()  # the likeliest instead of a draw
    assert far(twin, a.softmax(-1))
    uniform = torch.empty(DRAWS, 4).uniform_(generator=seeded(3))
    halved = (a + 0.5 * -(-uniform.log()).log()).argmax(-1)  # noise of half the size
    assert far(torch.nn.functional.one_hot(halved, 4).float().mean(0), a.softmax(-1))


def test_real_and_generated_rows_are_of_one_form() -> None:
    """No critic can distinguish them by format: a one-hot is exact, the smooth stand-in is not."""
    a = torch.randn(500, 3, generator=seeded())
    estimator = StraightThrough([("categorical", 0, 3)], torch.zeros(3), torch.ones(3))
    hard, soft = estimator.sample(a, seeded(1)), estimator.mean(a)
    assert ((hard == 0) | (hard == 1)).all() and (hard.sum(1) == 1).all()
    assert not ((soft == 0) | (soft == 1)).any()


def test_every_number_gets_a_gradient() -> None:
    """Also where the cell is 0 or drawn: a step along it moves the probability; a plain threshold has none."""
    a = torch.full((400, 8), -0.4).requires_grad_()
    cells = mixed().sample(a, seeded())
    (slope,) = torch.autograd.grad((cells * torch.arange(1.0, 9.0)).sum(), a)
    assert (slope[:, :5] > 0).all()
    assert (slope[:, 5:].abs() > 0).all()
    torch.testing.assert_close(slope[:, 5:].sum(1), torch.zeros(400), rtol=0, atol=1e-5)
    twin = (a > 0).float()
    assert not twin.requires_grad


def test_the_gradient_points_to_likelier_draws() -> None:
    """Descending it leads to the target category, truth value and count."""
    a = torch.zeros(64, 8).requires_grad_()
    expected = torch.tensor([1.0, 2.0, 0.9, 1.0, 6.0, 0.0, 0.0, 1.0])
    estimator, rng = mixed(), seeded(5)
    optimizer = torch.optim.Adam([a], 0.1)
    for _ in range(200):
        loss = (estimator.sample(a, rng) - expected).square().sum()
        (a.grad,) = torch.autograd.grad(loss, a)
        optimizer.step()
    cells = estimator.sample(a.detach(), rng).mean(0)
    assert (cells - expected).abs().max() < 0.25, cells


@given(
    st.lists(
        st.sampled_from(["real", "nonnegative", "unit", "binary", "counts", "categorical"]),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 2**31 - 1),
)
@settings(max_examples=40, deadline=None)
def test_cells_are_of_their_kind(kinds: list[str], seed: int) -> None:
    """Whatever a net writes, also far out and for sequences, cells are finite and within their range."""
    blocks, end = [], 0
    for kind in kinds:
        width = 3 if kind == "categorical" else 2
        blocks.append((kind, end, end + width))
        end += width
    rng = seeded(seed)
    estimator = StraightThrough(blocks, torch.rand(end, generator=rng), torch.rand(end, generator=rng) + 0.1)
    a = 30 * torch.randn(4, 3, end, generator=rng)
    a[0, 0] = 1e4
    for cells in (estimator.sample(a, rng), estimator.mean(a)):
        assert cells.shape == a.shape and cells.isfinite().all()
        for kind, start, stop in blocks:
            part = cells[..., start:stop]
            if kind != "real":
                assert (part >= 0).all()
            if kind in ("unit", "binary", "categorical"):
                assert (part <= 1).all()
    drawn = estimator.sample(a, rng)
    whole = [
        drawn[..., start:stop] for kind, start, stop in blocks if kind in ("binary", "counts", "categorical")
    ]
    assert all((part == part.round()).all() for part in whole)


def test_arguments_are_not_modified() -> None:
    """The numbers of a layout are read, not changed: real rows are scaled by the same ones."""
    shift, spread = SHIFT.clone(), SPREAD.clone()
    StraightThrough(MIXED, shift, spread).sample(torch.randn(3, 8))
    assert torch.equal(shift, SHIFT) and torch.equal(spread, SPREAD)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_column_that_never_varies_can_be_generated(share: float) -> None:
    """A typical share of 0 or 1 has a logit all the same."""
    estimator = StraightThrough([("unit", 0, 1)], torch.tensor([share]), torch.ones(1))
    cells = estimator.sample(torch.zeros(1, 1))
    assert abs(float(cells) - share) == pytest.approx(NEAR_CERTAIN, rel=1e-3)
