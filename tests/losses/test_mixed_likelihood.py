"""Several likelihoods side by side: each cell as its block alone, cells not observed as if they were not there."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from regen.losses import LIKELIHOODS, LOSSES, MixedLikelihood

BLOCKS = [("gaussian", 0, 2), ("categorical", 2, 5), ("bernoulli", 5, 6), ("poisson", 6, 8)]
WIDTHS = [4, 3, 1, 2]


def example(mixed: MixedLikelihood, rows: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs, a target with NaN, and where it is known (a categorical column is known as a whole)."""
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(rows, mixed.outputs, dtype=torch.float64, generator=generator)
    target = mixed.sample(outputs, generator)
    mask = torch.rand(rows, mixed.cells, generator=generator) > 0.4
    mask[:, 2:5] = mask[:, 2:3]
    return outputs.requires_grad_(), torch.where(mask, target, torch.nan), mask


def test_each_block_has_its_own_likelihood() -> None:
    """Densities, losses, means and biases are those of the blocks alone, in their order."""
    mixed = MixedLikelihood(BLOCKS)
    outputs, target, mask = example(mixed)
    assert (mixed.cells, mixed.outputs) == (8, sum(WIDTHS))
    assert mixed.names == ("gaussian", "categorical", "bernoulli", "poisson")
    full = torch.where(mask, target, 0.0)
    found, start = mixed.log_density(outputs, full), 0
    for (name, low, high), width in zip(BLOCKS, WIDTHS, strict=True):
        part = outputs[:, start : start + width]
        start += width
        alone = LIKELIHOODS[name]
        assert torch.equal(found[:, low:high], alone.log_density(part, full[:, low:high]))
        assert torch.equal(mixed.loss(outputs, full)[:, low:high], alone.loss(part, full[:, low:high]))
        assert torch.equal(mixed.mean(outputs)[:, low:high], alone.mean(part))
    biases = [LIKELIHOODS[name].initial_bias(full[:, low:high]) for name, low, high in BLOCKS]
    assert torch.equal(mixed.initial_bias(full), torch.cat(biases))
    swapped = MixedLikelihood([("poisson", 0, 2), *BLOCKS[1:3], ("gaussian", 6, 8)])
    assert not torch.allclose(swapped.log_density(outputs, full), found)


KINDS: dict[str, Callable[[MixedLikelihood, Tensor, Tensor, Tensor], Tensor]] = {
    "log_density": lambda h, o, x, m: h.log_density(o, x, m),
    **{loss: lambda h, o, x, m, loss=loss: h.loss(o, x, m, loss) for loss in ("auto", "mse", "mae", "huber")},
}


@pytest.mark.parametrize("loss", KINDS)
@pytest.mark.parametrize("blocks", [BLOCKS, [("gaussian", 0, 8)], [("squared", 0, 8)]])
def test_missing_cells_have_no_loss(loss: str, blocks: list[tuple[str, int, int]]) -> None:
    """Hidden cells have a loss of 0 and no gradient, and no NaN; observed ones are as if nothing were hidden."""
    mixed = MixedLikelihood(blocks)
    outputs, target, mask = example(mixed)
    found = KINDS[loss](mixed, outputs, target, mask)
    (slope,) = torch.autograd.grad(found.sum(), outputs)
    assert (
        slope.isfinite().all() and torch.equal(found == 0, ~mask | (found == 0)) and (found[mask] != 0).any()
    )
    full = torch.where(mask, target, 1.0)
    everything = KINDS[loss](mixed, outputs, full, torch.ones_like(mask))
    assert torch.equal(found, torch.where(mask, everything, 0.0))
    # Wrong twins: the mask inverted, and none at all.
    assert not torch.allclose(KINDS[loss](mixed, outputs, full, ~mask), found)
    assert KINDS[loss](mixed, outputs, target, None).isnan().any()


def test_losses_of_the_mean() -> None:
    """mse, mae and huber compare the reconstruction with the target, whatever the likelihood."""
    mixed = MixedLikelihood(BLOCKS)
    outputs, target, mask = example(mixed)
    full = torch.where(mask, target, 0.0)
    for loss in ("mse", "mae", "huber"):
        assert torch.equal(mixed.loss(outputs, full, kind=loss), LOSSES[loss](mixed.mean(outputs), full))


def test_cross_entropy_is_for_probabilities(message_of: Any) -> None:
    """It is the own loss of binary and categorical cells, and refused for all others."""
    mixed = MixedLikelihood([("bernoulli", 0, 2), ("categorical", 2, 5)])
    outputs, target, mask = example(mixed)
    found = mixed.loss(outputs, target, mask, "cross_entropy")
    assert torch.equal(found, mixed.loss(outputs, target, mask))
    assert message_of(
        ValueError, MixedLikelihood(BLOCKS).loss, *example(MixedLikelihood(BLOCKS)), "cross_entropy"
    ) == (
        "loss='cross_entropy' is for binary, [0, 1] and categorical data, and some columns have the likelihood "
        "'gaussian'. Use loss='auto'."
    )


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ([("normal", 0, 2)], "There is no likelihood 'normal'; there are 'squared', 'nonnegative', "),
        ([], "MixedLikelihood needs at least one block of cells. Got none."),
        (
            [("gaussian", 0, 2), ("poisson", 3, 4)],
            "Blocks of cells must follow each other without gap. Got 'poisson' from 3 to 4 after 2.",
        ),
        ([("gaussian", 0, 0)], "Blocks of cells must follow each other without gap."),
    ],
)
def test_blocks_that_make_no_row_are_refused(
    blocks: list[tuple[str, int, int]], words: str, message_of: Any
) -> None:
    """Unknown names, gaps and empty blocks are refused in one sentence."""
    assert message_of(ValueError, MixedLikelihood, blocks).startswith(words)


def test_an_unknown_loss_is_refused(message_of: Any) -> None:
    """The five words are named."""
    assert message_of(ValueError, MixedLikelihood(BLOCKS).loss, *example(MixedLikelihood(BLOCKS)), "l2") == (
        "loss must be 'auto', 'mse', 'mae', 'huber' or 'cross_entropy'. Got 'l2' instead."
    )


def test_sequences_and_draws_have_more_axes() -> None:
    """Leading axes are free: (S, B, T, W) outputs against (B, T, E) targets."""
    mixed = MixedLikelihood(BLOCKS)
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(3, 2, 4, mixed.outputs, generator=generator)
    target = mixed.sample(outputs[0], generator)
    mask = torch.rand(2, 4, mixed.cells, generator=generator) > 0.3
    found = mixed.log_density(outputs, target, mask)
    expected = torch.stack([mixed.log_density(each, target, mask) for each in outputs])
    torch.testing.assert_close(found, expected)
