"""Corruption: its shares and moments, its one source of randomness, and what it leaves alone.

Statistical checks allow 5 standard errors: a false alarm, were the seed free, in fewer than one of 10**6.
"""

import math

import pytest
import torch

from regen.data.corruption import CORRUPTIONS, corrupt

ROWS, COLUMNS = 4000, 5
SIGMAS = 5.0


def table(*shape: int) -> torch.Tensor:
    """A table whose columns lie around 0, 10, 20, ..."""
    shape = shape or (ROWS, COLUMNS)
    generator = torch.Generator().manual_seed(7)
    return torch.rand(shape, generator=generator, dtype=torch.float64) + 10 * torch.arange(shape[-1])


def seeded(seed: int = 0) -> torch.Generator:
    """A generator of its own."""
    return torch.Generator().manual_seed(seed)


def within(share: float, expected: float, draws: int) -> bool:
    """Whether a share of so many draws is as near to the expected one as its sampling error allows."""
    return abs(share - expected) <= SIGMAS * math.sqrt(expected * (1 - expected) / draws)


@pytest.mark.parametrize("amount", [0.0, 0.3, 2.0])
def test_gaussian_moments(amount):
    """The noise has mean 0, standard deviation `amount`, and is not shared by columns."""
    x = table()
    noise = corrupt(x, "gaussian", amount, seeded()) - x
    error = amount / math.sqrt(noise.numel())
    assert abs(noise.mean()) <= SIGMAS * error
    assert abs(noise.std() - amount) <= SIGMAS * error / math.sqrt(2)
    if amount:
        correlation = torch.corrcoef(noise.T) - torch.eye(COLUMNS)
        assert correlation.abs().max() < SIGMAS / math.sqrt(ROWS)


@pytest.mark.parametrize("amount", [0.0, 0.2, 0.9, 1.0])
def test_masked_share(amount):
    """The share that is hidden is `amount`, in every column; the rest is the same bits."""
    x = table()
    hidden = corrupt(x, "mask", amount, seeded())
    for k in range(COLUMNS):
        assert within(float(hidden[:, k].isnan().double().mean()), amount, ROWS)
    assert torch.equal(hidden[~hidden.isnan()], x[~hidden.isnan()])


@pytest.mark.parametrize("amount", [0.0, 0.4, 1.0])
def test_salt_and_pepper(amount):
    """Half of the replaced cells are the lowest, half the highest value of their own column."""
    x = table()
    result = corrupt(x, "salt_pepper", amount, seeded())
    for k in range(COLUMNS):
        changed = result[:, k] != x[:, k]
        assert within(float((result[:, k] == x[:, k].min()).double().mean()), amount / 2 + 1 / ROWS, ROWS)
        assert within(float((result[:, k] == x[:, k].max()).double().mean()), amount / 2 + 1 / ROWS, ROWS)
        assert torch.isin(result[changed, k], torch.stack([x[:, k].min(), x[:, k].max()])).all()


def test_salt_and_pepper_between_bounds():
    """The bounds of the training data are used, not those of the batch."""
    low, high = torch.full((COLUMNS,), -9.0).double(), torch.full((COLUMNS,), 99.0).double()
    result = corrupt(table(), "salt_pepper", 1.0, seeded(), bounds=(low, high))
    assert set(result.unique().tolist()) == {-9.0, 99.0}


@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(6, 4), (3, 5, 4), (4,)])
def test_missing_stays_missing(kind, shape):
    """What was NaN is NaN, the shape and type stay, and x itself is not changed."""
    x = table(*shape)
    x[..., 1] = torch.nan
    before = x.clone()
    result = corrupt(x, kind, 0.5, seeded())
    assert result[..., 1].isnan().all()
    assert result.shape == x.shape
    assert result.dtype == x.dtype
    assert torch.equal(x.nan_to_num(-1), before.nan_to_num(-1))
    if kind != "mask":
        assert not result[..., 0].isnan().any()


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_global_generator_is_not_used(kind):
    """Torch's global generator is neither read nor moved; the given one alone decides."""
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = corrupt(table(), kind, 0.3, seeded(3))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(corrupt(table(), kind, 0.3, seeded(3)).nan_to_num(-1), first.nan_to_num(-1))
    assert not torch.equal(corrupt(table(), kind, 0.3, seeded(4)).nan_to_num(-1), first.nan_to_num(-1))


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_without_a_generator_the_global_one_is_used(kind):
    """None is torch's own generator, which a seed repeats."""
    results = []
    for _ in range(2):
        torch.manual_seed(5)
        results.append(corrupt(table(), kind, 0.3).nan_to_num(-1))
    assert torch.equal(*results)


@pytest.mark.parametrize("kind", ["mask", "salt_pepper"])
def test_numbers_of_one_column_change_together(kind):
    """The K numbers of a category are hidden together; the next column is hidden on its own."""
    x = table()
    changed = corrupt(x, kind, 0.5, seeded(), column=torch.tensor([0, 1, 1, 1, 2]))
    changed = changed.isnan() if kind == "mask" else changed != x
    if kind == "mask":
        assert torch.equal(changed[:, 1], changed[:, 2])
        assert torch.equal(changed[:, 1], changed[:, 3])
    agree = float((changed[:, 0] == changed[:, 1]).double().mean())
    assert within(agree, 0.5, ROWS)


def twin_mask_inverted(x, amount, generator):
    """A wrong version: hides what should stay."""
    return x.masked_fill(torch.rand(x.shape, generator=generator, dtype=x.dtype) >= amount, torch.nan)


def twin_variance_as_deviation(x, amount, generator):
    """A wrong version: takes `amount` for a variance."""
    return x + math.sqrt(amount) * torch.randn(x.shape, generator=generator, dtype=x.dtype)


def test_wrong_versions_are_caught():
    """An inverted mask and a variance for a deviation lie outside what the tests above allow."""
    x = table()
    assert not within(float(twin_mask_inverted(x, 0.2, seeded()).isnan().double().mean()), 0.2, x.numel())
    noise = twin_variance_as_deviation(x, 0.3, seeded()) - x
    assert abs(noise.std() - 0.3) > SIGMAS * 0.3 / math.sqrt(2 * noise.numel())


@pytest.mark.parametrize(
    ("kind", "amount", "words"),
    [
        ("blur", 0.1, "A corruption must be one of 'gaussian', 'mask', 'salt_pepper'. Got 'blur' instead."),
        ("mask", 1.5, "The amount of 'mask' must be in [0, 1]. Got 1.5 instead."),
        ("salt_pepper", -0.5, "The amount of 'salt_pepper' must be in [0, 1]. Got -0.5 instead."),
        ("gaussian", -1.0, "The amount of 'gaussian' must be in [0, inf). Got -1.0 instead."),
        ("gaussian", math.nan, "The amount of 'gaussian' must be in [0, inf). Got nan instead."),
    ],
)
def test_refusals(kind, amount, words, message_of):
    """Other kinds and amounts are refused in these words."""
    assert message_of(ValueError, corrupt, table(), kind, amount) == words
