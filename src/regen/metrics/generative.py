"""Quality of generated samples from distances alone, without a trained network.

All take samples as rows of numbers, (n, D); scale the columns so that a distance means something, or give the
features of a net. Distances are computed in float64, block by block: memory stays that of a few times 4 million
numbers (or of one row of distances, where that is longer). Two rows that differ by less than the rounding of
float32 are the same row.

Letters: `n` real rows, `m` generated ones, `D` numbers of a row.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Memorisation", "Quality", "median_distance", "memorisation", "mmd", "prdc", "two_sample_accuracy"]

BLOCK = 2**22
"""Most distances in memory at once, if a row of them is not longer."""
SAME = 1e-14
"""Squared distance, as a share of the squared lengths of two rows, under which they are the same row."""
TIE = 1e-9
"""Share by which two squared distances must differ for one to be the larger."""
SAMPLE = 1000
"""Evenly spaced rows of which the median distance is computed."""


class Quality(NamedTuple):
    """Result of `prdc`; all are near 1 where both distributions are equal, and a density may exceed 1.

    Parameters
    ----------
    precision : float
        Share of generated samples in a neighbourhood of real ones: fidelity.
    recall : float
        Share of real samples in a neighbourhood of generated ones: diversity.
    density : float
        Number of real neighbourhoods that contain a generated sample, over the k expected.
    coverage : float
        Share of real samples with a generated one in their neighbourhood; low where modes are missing.

    See Also
    --------
    prdc : Computes it.

    Examples
    --------
    >>> Quality(precision=0.9, recall=0.8, density=1.1, coverage=0.7).coverage
    0.7
    """

    precision: float
    recall: float
    density: float
    coverage: float


class Memorisation(NamedTuple):
    """Result of `memorisation`.

    Parameters
    ----------
    ratio : float
        Median distance of generated samples to the nearest training sample, over that of held-out samples; 1: no
        copying, 0: copies.
    closer : float
        Probability that a generated sample is nearer to the training samples than a held-out one; 0.5: no copying.

    See Also
    --------
    memorisation : Computes it.

    Examples
    --------
    >>> Memorisation(ratio=1.0, closer=0.5).closer
    0.5
    """

    ratio: float
    closer: float


def prdc(real: Float[Tensor, "n D"], fake: Float[Tensor, "m D"], k: int = 5) -> Quality:
    """Precision, recall, density and coverage, from balls that reach to the k-th neighbour of every sample.

    With ``B(x)`` the ball around x to its k-th nearest sample of its own kind, x excluded:

    - precision: share of fake in ``B(x)`` of any real x; recall: share of real in ``B(x)`` of any fake x;
    - density: number of pairs with fake in ``B(real)``, over ``k * m``;
    - coverage: share of real x with any fake in ``B(x)``.

    A sample on a ball's surface is in it, so that tables with repeated rows can be covered; for continuous data
    that is the published code's number. For n = m equal distributions coverage is ``1 - 2**-k`` and density 1.
    Sources: Kynkaanniemi et al. (2019); Naeem et al. (2020).

    Parameters
    ----------
    real, fake : Tensor of shape (n, D) and (m, D)
        Real and generated samples.
    k : int, default=5
        Neighbours, as Naeem et al. recommend.

    Returns
    -------
    Quality
        The four shares.

    Raises
    ------
    ValueError
        For k < 1, or not more than k samples of either kind.

    See Also
    --------
    memorisation : Detects copies of training samples.

    Examples
    --------
    >>> real = torch.arange(10.0)[:, None]
    >>> prdc(real, real + 0.1, k=1).coverage
    1.0
    """
    if k < 1 or min(len(real), len(fake)) <= k:
        raise ValueError(
            f"k={k} neighbours need k >= 1 and more than k samples of each kind. "
            f"Got {len(real)} real and {len(fake)} generated. Give more samples or another k."
        )
    real, fake = _centred(real, fake)
    reach_real, reach_fake = _reach(real, k), _reach(fake, k)
    inside = torch.zeros(len(fake), dtype=torch.int64, device=real.device)
    recalled = covered = 0
    for rows, squares in _blocks(real, fake):
        in_real = squares <= reach_real[rows, None]
        inside += in_real.sum(0)
        covered += int(in_real.any(1).sum())
        recalled += int((squares <= reach_fake).any(1).sum())
    return Quality(
        precision=float((inside > 0).double().mean()),
        recall=recalled / len(real),
        density=float(inside.double().mean()) / k,
        coverage=covered / len(real),
    )


def two_sample_accuracy(real: Float[Tensor, "n D"], fake: Float[Tensor, "m D"]) -> float:
    """Leave-one-out accuracy of a nearest-neighbour classifier of real and generated samples.

    The mean of the accuracies on real and on generated samples, whatever their numbers; several nearest neighbours at
    the same distance count as fractions. Source: Lopez-Paz & Oquab (2017), with one neighbour.

    Parameters
    ----------
    real, fake : Tensor of shape (n, D) and (m, D)
        Real and generated samples, at least two each.

    Returns
    -------
    float
        0.5 where both distributions are equal, 1 where they are separate; below 0.5 where generated samples are
        copies of real ones.

    Raises
    ------
    ValueError
        For fewer than two samples of either kind.

    See Also
    --------
    mmd : Another two-sample test.

    Examples
    --------
    >>> real = torch.arange(10.0)[:, None]
    >>> two_sample_accuracy(real, real + 100)
    1.0
    """
    _at_least_two(real, fake)
    real, fake = _centred(real, fake)
    pooled = torch.cat([real, fake])
    genuine = torch.arange(len(pooled), device=real.device) < len(real)
    right = torch.zeros(len(pooled), dtype=torch.float64, device=real.device)
    for rows, squares in _blocks(pooled, pooled, alone=True):
        nearest = squares.amin(1, keepdim=True)
        near = squares <= nearest * (1 + TIE)
        share = (near & genuine).sum(1) / near.sum(1)
        right[rows] = torch.where(genuine[rows], share, 1 - share).double()
    return float(right[: len(real)].mean() + right[len(real) :].mean()) / 2


def mmd(real: Float[Tensor, "n D"], fake: Float[Tensor, "m D"], bandwidth: float | None = None) -> float:
    """Squared maximum mean discrepancy, unbiased.

    ``mean k(x, x') + mean k(y, y') - 2 mean k(x, y)`` over pairs of different rows, with ``k(x, y) =
    exp(-||x - y||**2 / (2 * bandwidth**2))``.
    Source: Gretton et al. (2012), A kernel two-sample test, equation 3.

    Parameters
    ----------
    real, fake : Tensor of shape (n, D) and (m, D)
        Real and generated samples, at least two each.
    bandwidth : float, default=None
        None is the median distance between the pooled rows, computed from 1,000 of them. Only results with the same
        bandwidth can be compared.

    Returns
    -------
    float
        0 on average where both distributions are equal; may be negative.

    Raises
    ------
    ValueError
        For fewer than two samples of either kind.

    See Also
    --------
    two_sample_accuracy : Another two-sample test.

    Examples
    --------
    >>> real = torch.arange(10.0)[:, None]
    >>> round(mmd(real, real + 100), 1)
    0.9
    """
    _at_least_two(real, fake)
    real, fake = _centred(real, fake)
    width = median_distance(torch.cat([real, fake])) if bandwidth is None else bandwidth

    def similarity(a: Tensor, b: Tensor, alone: bool) -> float:
        total = sum(float((squares / (-2 * width**2)).exp().sum()) for _, squares in _blocks(a, b, alone))
        return total / (len(a) * (len(b) - alone))

    return similarity(real, real, True) + similarity(fake, fake, True) - 2 * similarity(real, fake, False)


def median_distance(rows: Float[Tensor, "n D"]) -> float:
    """Median distance between different rows (n, D), from 1,000 evenly spaced ones; 1 if all are the same."""
    (rows,) = _centred(rows)
    few = rows[:: max(1, math.ceil(len(rows) / SAMPLE))]
    squares = torch.cat([squares[squares.isfinite()] for _, squares in _blocks(few, few, alone=True)])
    different = squares[squares > 0]
    return math.sqrt(float(different.median())) if len(different) else 1.0


def memorisation(
    fake: Float[Tensor, "m D"], train: Float[Tensor, "n D"], held_out: Float[Tensor, "h D"]
) -> Memorisation:
    """Whether generated samples are copies of training samples: compares their distances with those of new samples.

    Samples far from all real ones can hide copies among them: check the precision too. Source: Meehan, Chaudhuri &
    Dasgupta (2020), A non-parametric test to detect data-copying, with one cell.

    Parameters
    ----------
    fake, train, held_out : Tensor of shape (m, D), (n, D) and (h, D)
        Generated samples, real training samples, and real samples that were not trained on; at least one each.

    Returns
    -------
    Memorisation
        Where most held-out rows are repetitions themselves (median 0), the ratio is 1 if the generated ones are too,
        otherwise infinite.

    Raises
    ------
    ValueError
        When one of the three is empty.

    See Also
    --------
    prdc : Fidelity and diversity.

    Examples
    --------
    >>> train = torch.arange(10.0)[:, None]
    >>> memorisation(train, train, train + 0.5).ratio
    0.0
    """
    if not min(len(fake), len(train), len(held_out)):
        counts = f"{len(fake)} generated, {len(train)} training and {len(held_out)} held-out"
        raise ValueError(f"Memorisation compares at least one sample of each kind. Got {counts} ones.")
    train, fake, held_out = _centred(train, fake, held_out)
    made, new = _nearest(fake, train), _nearest(held_out, train)
    median, expected = float(made.median()), float(new.median())
    if expected > 0:
        ratio = math.sqrt(median / expected)
    else:
        ratio = math.inf if median > 0 else 1.0
    ranks = new.sort().values
    farther = len(new) - torch.searchsorted(ranks, made * (1 + TIE), right=True)
    no_nearer = len(new) - torch.searchsorted(ranks, made * (1 - TIE))
    return Memorisation(ratio, float((farther + no_nearer).double().mean()) / (2 * len(new)))


def _at_least_two(real: Tensor, fake: Tensor) -> None:
    if min(len(real), len(fake)) < 2:
        raise ValueError(
            f"At least two samples of each kind are compared. Got {len(real)} real and {len(fake)} generated."
        )


def _centred(first: Tensor, *others: Tensor) -> list[Tensor]:
    """All in float64, around the mean of the first: an offset common to all rows takes no digits."""
    plain = (rows.detach() for rows in (first, *others))
    wide = [
        (rows.cpu() if rows.device.type == "mps" else rows).double() for rows in plain
    ]  # which has no float64
    middle = wide[0].mean(0)
    return [rows - middle for rows in wide]


def _blocks(a: Tensor, b: Tensor, alone: bool = False) -> Iterator[tuple[slice, Tensor]]:
    """Squared distances of a few rows of `a`, those of the slice, to all of `b`; `alone`: none to itself."""
    across, along = a.square().sum(1, keepdim=True), b.square().sum(1)
    height = max(1, BLOCK // len(b))
    for start in range(0, len(a), height):
        rows = slice(start, min(start + height, len(a)))
        scale = across[rows] + along
        squares = torch.addmm(scale, a[rows], b.T, alpha=-2)
        squares.masked_fill_(squares < scale.mul_(SAME), 0)
        if alone:
            squares.diagonal(start).fill_(torch.inf)
        yield rows, squares


def _reach(rows: Tensor, k: int) -> Tensor:
    """(n,) squared distance of each row to its k-th nearest other one, ties included."""
    near = [squares.topk(k, 1, largest=False).values for _, squares in _blocks(rows, rows, alone=True)]
    return torch.cat(near)[:, -1] * (1 + TIE)


def _nearest(rows: Tensor, among: Tensor) -> Tensor:
    """(n,) squared distance of each row to the nearest of `among`."""
    return torch.cat([squares.amin(1) for _, squares in _blocks(rows, among)])
