"""Quality of generated samples against direct dense implementations, known cases and wrong twins."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from regen.metrics import Quality, generative, memorisation, mmd, prdc, two_sample_accuracy
from regen.metrics.generative import median_distance


def draw(rows: int, columns: int, seed: int, shift: float = 0.0) -> Tensor:
    """Normal rows."""
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) + shift


def dense_prdc(real: Tensor, fake: Tensor, k: int) -> tuple[float, ...]:
    """As the published code: whole matrices of distances, the sample itself the nearest of k + 1."""
    real, fake = real.double(), fake.double()

    def distances(a: Tensor, b: Tensor) -> Tensor:
        return (a[:, None] - b[None]).square().sum(2).sqrt()

    reach_real = distances(real, real).sort(1).values[:, k]
    reach_fake = distances(fake, fake).sort(1).values[:, k]
    across = distances(real, fake)
    return (
        float((across < reach_real[:, None]).any(0).double().mean()),
        float((across < reach_fake[None]).any(1).double().mean()),
        float((across < reach_real[:, None]).sum(0).double().mean()) / k,
        float((across.amin(1) < reach_real).double().mean()),
    )


@pytest.fixture(params=[None, 1, 700])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once, row by row, and in blocks of which the last is smaller."""
    if request.param is not None:
        monkeypatch.setattr(generative, "BLOCK", request.param)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("k", [1, 3, 5])
def test_prdc_is_the_dense_one(k: int) -> None:
    """All four, for unequal numbers of rows; with the kinds exchanged or another k it is not."""
    real, fake = draw(80, 3, 0), 0.8 * draw(61, 3, 1, 0.5)
    assert prdc(real, fake, k) == pytest.approx(dense_prdc(real, fake, k))
    assert prdc(real + 1e4, fake + 1e4, k) == pytest.approx(
        dense_prdc(real, fake, k), abs=0.03
    )  # float32's digits
    for twin in (dense_prdc(fake, real, k), dense_prdc(real, fake, k + 1)):
        assert prdc(real, fake, k) != pytest.approx(twin, abs=0.01)


def test_prdc_by_hand() -> None:
    """Four real points and three generated ones on a line, k = 1."""
    real, fake = torch.tensor([[0.0], [1.0], [10.0], [12.0]]), torch.tensor([[0.5], [1.5], [30.0]])
    # Balls: real [-1, 1], [0, 2], [8, 12], [10, 14]; generated [-0.5, 1.5], [0.5, 2.5], [1.5, 58.5].
    assert prdc(real, fake, 1) == pytest.approx((2 / 3, 1.0, (2 + 1) / 3, 2 / 4))


def test_prdc_of_equal_distributions_and_of_a_lost_mode() -> None:
    """Near 1 for the same distribution; a mode that is not made costs recall and coverage, not precision."""
    real = torch.cat([draw(300, 2, 0), draw(300, 2, 1, 20.0)])
    same = prdc(real, torch.cat([draw(300, 2, 2), draw(300, 2, 3, 20.0)]))
    assert same.precision > 0.9 and same.recall > 0.9 and same.coverage == pytest.approx(1 - 2**-5, abs=0.03)
    assert same.density == pytest.approx(1, abs=0.1)
    lost = prdc(real, draw(600, 2, 4))
    assert lost.precision > 0.9 and lost.recall < 0.55 and lost.coverage < 0.55
    assert prdc(real, real + 1000) == Quality(0, 0, 0, 0)


def test_prdc_of_repeated_rows() -> None:
    """A table of few kinds of rows, as often in both, is covered; with open balls it would not be at all."""
    kinds = torch.eye(4).repeat_interleave(10, 0) + 100
    assert prdc(kinds, kinds) == pytest.approx((1.0, 1.0, 2.0, 1.0))
    assert dense_prdc(kinds, kinds, 5)[3] == 0
    assert prdc(kinds, kinds[:20]).coverage == 0.5


def test_prdc_refuses_too_few(message_of: Any) -> None:
    """More than k samples of each kind."""
    for k, rows in ((5, 5), (0, 9)):
        assert message_of(ValueError, prdc, draw(20, 2, 0), draw(rows, 2, 1), k) == (
            f"k={k} neighbours need k >= 1 and more than k samples of each kind. "
            f"Got 20 real and {rows} generated. Give more samples or another k."
        )


def test_blocks_are_no_larger_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """No matrix of distances beyond the limit, unless one row is."""
    monkeypatch.setattr(generative, "BLOCK", 250)
    a, b = draw(33, 2, 0), draw(100, 2, 1)
    blocks = list(generative._blocks(a.double(), b.double()))
    assert [tuple(squares.shape) for _, squares in blocks] == [(2, 100)] * 16 + [(1, 100)]
    whole = torch.cat([squares for _, squares in blocks])
    torch.testing.assert_close(whole, torch.cdist(a.double(), b.double()).square())


@pytest.mark.slow
def test_prdc_of_the_published_case() -> None:
    """10,000 rows of 1,000 normal columns each, k = 5: the numbers of the published code's README.

    The README gives no seed; five draws of ours gave precision 0.463-0.495, recall 0.457-0.488, density
    0.95-1.13 and coverage 0.962-0.981. Balls to the 4th neighbour, or to the 6th, are not within the bounds.
    """
    published = Quality(0.4772, 0.4705, 1.0555, 0.9735)
    bounds = (0.025, 0.025, 0.15, 0.015)
    real, fake = draw(10_000, 1000, 0), draw(10_000, 1000, 1)
    found = prdc(real, fake)
    assert all(abs(a - b) < bound for a, b, bound in zip(found, published, bounds, strict=True))
    for k in (4, 6):
        twin = prdc(real, fake, k)
        assert any(abs(a - b) > bound for a, b, bound in zip(twin, published, bounds, strict=True))


def test_a_common_offset_loses_no_digits() -> None:
    """Clouds of width 0.01 a hundred thousand from 0 have the numbers that they have around 0."""
    real, fake = 0.01 * draw(80, 3, 0).double(), 0.01 * draw(61, 3, 1, 0.5).double()
    assert prdc(real + 1e5, fake + 1e5) == pytest.approx(prdc(real, fake))
    assert memorisation(fake + 1e5, real + 1e5, real[:9] + 1e5) == memorisation(fake, real, real[:9])
    assert memorisation(fake + 1e5, real + 1e5, fake[:9] + 1e5).ratio == pytest.approx(
        memorisation(fake, real, fake[:9]).ratio, rel=1e-6
    )


# Two-sample test.


def dense_two_sample(real: Tensor, fake: Tensor) -> float:
    """Nearest other row by whole matrices; accuracies of both kinds averaged."""
    pooled = torch.cat([real, fake]).double()
    labels = torch.arange(len(pooled)) < len(real)
    apart = torch.cdist(pooled, pooled).fill_diagonal_(math.inf)
    right = (labels[apart.argmin(1)] == labels).double()
    return float(right[labels].mean() + right[~labels].mean()) / 2


@pytest.mark.usefixtures("block")
def test_two_sample_accuracy_is_the_dense_one() -> None:
    """Unequal numbers, overlapping clouds; a row that may be its own neighbour is always right."""
    real, fake = draw(70, 3, 0), draw(41, 3, 1, 0.7)
    assert two_sample_accuracy(real, fake) == pytest.approx(dense_two_sample(real, fake))
    assert 0.5 < two_sample_accuracy(real, fake) < 0.95


def test_two_sample_accuracy_of_known_cases() -> None:
    """Apart 1; of one distribution 0.5, whatever the numbers; copies 0; the same few kinds of rows 0.5."""
    assert two_sample_accuracy(draw(50, 2, 0), draw(50, 2, 1, 100.0)) == 1
    for rows in (1000, 250):
        accuracy = two_sample_accuracy(draw(1000, 2, 0), draw(rows, 2, 1))
        assert accuracy == pytest.approx(0.5, abs=0.08)
    alike = draw(60, 40, 0)
    assert two_sample_accuracy(alike, alike.clone()) == 0
    kinds = torch.eye(3).repeat_interleave(20, 0)
    assert two_sample_accuracy(kinds, kinds) == pytest.approx(0.5, abs=0.02)
    assert dense_two_sample(kinds, kinds) == pytest.approx(0.5, abs=0.02)


def test_ties_are_shared(message_of: Any) -> None:
    """Three real rows and one generated, all the same: a real one has 2 of 3 neighbours right, the other none."""
    same = torch.ones(4, 2)
    assert (
        message_of(ValueError, two_sample_accuracy, same, same[:1])
        == "At least two samples of each kind are compared. Got 4 real and 1 generated."
    )
    assert two_sample_accuracy(same[:3], same[:2]) == pytest.approx((2 / 4 + 1 / 4) / 2)


# Maximum mean discrepancy.


def dense_mmd(real: Tensor, fake: Tensor, width: float, unbiased: bool = True) -> float:
    """By whole matrices."""
    real, fake = real.double(), fake.double()

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (-(a[:, None] - b[None]).square().sum(2) / (2 * width**2)).exp()

    def own(a: Tensor) -> float:
        n = len(a)
        return float(kernel(a, a).sum() - unbiased * n) / (n * (n - unbiased))

    return own(real) + own(fake) - 2 * float(kernel(real, fake).mean())


@pytest.mark.usefixtures("block")
def test_mmd_is_the_dense_one() -> None:
    """For a bandwidth given and for the median; with a row compared with itself it is biased, and not it."""
    real, fake = draw(70, 3, 0), draw(41, 3, 1, 0.7)
    assert mmd(real, fake, 1.5) == pytest.approx(dense_mmd(real, fake, 1.5))
    assert mmd(real, fake, 1.5) != pytest.approx(dense_mmd(real, fake, 1.5, unbiased=False), rel=0.05)
    assert mmd(real, fake, 1.5) != pytest.approx(dense_mmd(real, fake, 1.5 / math.sqrt(2)), rel=0.05)
    pooled = torch.cat([real, fake]).double()
    median = float(torch.pdist(pooled).median())
    assert mmd(real, fake) == pytest.approx(dense_mmd(real, fake, median))


def test_mmd_is_unbiased() -> None:
    """Of one distribution its mean over 200 draws is 0, to 4 standard errors; the biased one's is not."""
    pairs = [(draw(20, 2, 2 * n), draw(30, 2, 2 * n + 1)) for n in range(200)]
    found = torch.tensor([mmd(real, fake, 1.0) for real, fake in pairs])
    assert found.mean().abs() < 4 * found.std() / math.sqrt(200)
    twin = torch.tensor([dense_mmd(real, fake, 1.0, unbiased=False) for real, fake in pairs])
    assert twin.mean() > 4 * twin.std() / math.sqrt(200)
    assert mmd(draw(100, 2, 0), draw(100, 2, 1, 1.0)) > 0.1


def test_mmd_of_many_rows_takes_some_for_the_median() -> None:
    """2,500 rows: the median of an even choice of them is near that of all; rows that are all the same have 1."""
    rows = draw(2500, 2, 0)
    assert median_distance(rows) == pytest.approx(float(torch.pdist(rows).median()), rel=0.05)
    assert mmd(torch.ones(5, 2), torch.ones(4, 2)) == pytest.approx(0)
    with pytest.raises(
        ValueError, match=r"^At least two samples of each kind are compared\. Got 1 real and 3"
    ):
        mmd(rows[:1], rows[:3])


def test_the_median_distance_is_of_rows_that_differ() -> None:
    """Rows that are repeated say nothing of how far rows are apart, and rows far from 0 lose no digits."""
    rows = torch.tensor([[0.0, 0.0]] * 9 + [[3.0, 4.0]])
    assert float(torch.pdist(rows).median()) == 0, "the twin that counts the same rows"
    assert median_distance(rows) == 5
    assert median_distance(rows + 2.0**20) == pytest.approx(5, rel=1e-9)


# Memorisation.


def test_memorisation_by_hand() -> None:
    """Distances to the nearest training point: generated 0.1, 0.2, 3; held out 0.4, 1, 2."""
    train = torch.tensor([[0.0], [10.0], [20.0]])
    fake, held_out = torch.tensor([[0.1], [9.8], [23.0]]), torch.tensor([[10.4], [19.0], [-2.0]])
    found = memorisation(fake, train, held_out)
    assert found.ratio == pytest.approx(0.2, rel=1e-5)
    assert found.closer == pytest.approx(6 / 9)
    assert memorisation(held_out, train, fake).closer == pytest.approx(3 / 9)
    assert memorisation(fake, held_out, train).ratio != pytest.approx(0.2, rel=0.1)


@pytest.mark.usefixtures("block")
def test_memorisation_of_known_cases() -> None:
    """New draws are 1 and one half; copies are 0 and 1, in 50 columns far from 0 as well; half copies show."""
    train, held_out = draw(400, 50, 0, 30.0), draw(300, 50, 1, 30.0)
    fresh = memorisation(draw(350, 50, 2, 30.0), train, held_out)
    assert fresh.ratio == pytest.approx(1, abs=0.05) and fresh.closer == pytest.approx(0.5, abs=0.08)
    assert memorisation(train[:50].clone(), train, held_out) == (0.0, 1.0)
    assert memorisation(train[:50] + 1e-3, train, held_out).ratio < 0.01
    half = torch.cat([train[:100], draw(100, 50, 3, 30.0)])
    assert memorisation(half, train, held_out).closer > 0.7


def test_memorisation_of_repeated_rows(message_of: Any) -> None:
    """A table of few kinds of rows: repeating them is no copying; held-out rows that repeat while others do not."""
    kinds = torch.eye(3).repeat_interleave(5, 0)
    assert memorisation(kinds, kinds, kinds) == (1.0, 0.5)
    assert memorisation(kinds + 1, kinds, kinds) == (math.inf, 0.0)
    assert message_of(ValueError, memorisation, kinds, kinds, kinds[:0]) == (
        "Memorisation compares at least one sample of each kind. "
        "Got 15 generated, 15 training and 0 held-out ones."
    )
