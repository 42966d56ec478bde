"""Supervised losses against their formulas in numpy, on unequal values, and wrong twins."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from regen.losses import (
    LOSSES,
    absolute_error,
    cross_entropy,
    huber,
    mean,
    mean_per_step,
    observed,
    squared_error,
)

PREDICTION = np.array([[[0.5, -2.0], [3.0, 0.25]], [[1.0, 4.0], [-1.5, 7.0]], [[0.0, 2.0], [9.0, -3.0]]])
TARGET = np.array([[[1.0, 1.5], [2.8, -4.0]], [[1.0, 0.0], [2.5, 6.0]], [[-8.0, 2.1], [4.0, 3.5]]])
HOLES = np.array([[[1, 0], [1, 1]], [[0, 1], [1, 1]], [[1, 1], [0, 0]]], dtype=bool)
LOGITS = np.array([[0.2, -1.0, 3.0], [1.5, 0.1, -0.7], [2.0, 2.5, -4.0], [0.0, 1.0, 0.5]])
CLASSES = np.array([2, 1, 0, 1])


def numpy_huber(difference: np.ndarray, delta: float) -> np.ndarray:
    """Huber's loss, case by case."""
    return np.where(
        np.abs(difference) <= delta, 0.5 * difference**2, delta * (np.abs(difference) - 0.5 * delta)
    )


def tensors(holes: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Prediction, target (with NaN holes) and mask."""
    target = np.where(HOLES, TARGET, np.nan) if holes else TARGET
    known = torch.tensor(target)
    return torch.tensor(PREDICTION, requires_grad=True), known, observed(known) if holes else None


FORMULAS = {
    "mse": (PREDICTION - TARGET) ** 2,
    "mae": np.abs(PREDICTION - TARGET),
    "huber": numpy_huber(PREDICTION - TARGET, 1.0),
}


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("name", FORMULAS)
def test_loss_is_the_formula_element_by_element(name: str, holes: bool) -> None:
    """Every element has its loss, and a missing target has no loss; a loss that ignores holes is not it."""
    prediction, target, mask = tensors(holes)
    loss = LOSSES[name](prediction, target, mask).detach().numpy()
    expected = np.where(HOLES, FORMULAS[name], 0) if holes else FORMULAS[name]
    np.testing.assert_allclose(loss, expected, rtol=1e-15)
    for other in FORMULAS:
        assert other == name or not np.allclose(loss, FORMULAS[other])
    if holes:
        assert not np.allclose(loss, FORMULAS[name])
        assert np.isnan(LOSSES[name](prediction, target).detach().numpy()).any()


def test_huber_turns_into_a_line_at_delta() -> None:
    """`delta` moves the turn, and leaves loss and gradient continuous."""
    prediction, target, _ = tensors(False)
    loss = huber(prediction, target, delta=2.0).detach().numpy()
    np.testing.assert_allclose(loss, numpy_huber(PREDICTION - TARGET, 2.0), rtol=1e-15)
    assert not np.allclose(loss, numpy_huber(PREDICTION - TARGET, 1.0))
    edge = torch.tensor([1.0 - 1e-12, 1.0 + 1e-12], dtype=torch.float64, requires_grad=True)
    values = huber(edge, torch.zeros_like(edge))
    (gradient,) = torch.autograd.grad(values.sum(), edge)
    torch.testing.assert_close(values[0], values[1], rtol=0, atol=1e-11)
    torch.testing.assert_close(gradient[0], gradient[1], rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_hole_sends_back_no_gradient(name: str) -> None:
    """Gradients are finite, 0 at the holes, and elsewhere those of the loss without holes."""
    prediction, target, mask = tensors(True)
    (gradient,) = torch.autograd.grad(LOSSES[name](prediction, target, mask).sum(), prediction)
    whole, known, _ = tensors(False)
    (expected,) = torch.autograd.grad(LOSSES[name](whole, known).sum(), whole)
    torch.testing.assert_close(gradient, torch.where(torch.tensor(HOLES), expected, 0.0), rtol=0, atol=0)
    careless = torch.where(observed(target), (prediction - target) ** 2, 0.0)
    (poisoned,) = torch.autograd.grad(careless.sum(), prediction)
    assert poisoned.isnan().any(), "the careless mask would send NaN back"


@pytest.mark.parametrize("shape", [(4,), (2, 2)])
def test_cross_entropy_is_minus_the_log_probability(shape: tuple[int, ...]) -> None:
    """Per sample, for any number of axes; the mean, or another class, is something else."""
    probabilities = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    expected = -np.log(probabilities[np.arange(4), CLASSES]).reshape(shape)
    logits, classes = torch.tensor(LOGITS).reshape(*shape, 3), torch.tensor(CLASSES).reshape(shape)
    loss = cross_entropy(logits, classes).numpy()
    np.testing.assert_allclose(loss, expected, rtol=1e-12)
    assert not np.allclose(loss, expected.mean())
    assert not np.allclose(cross_entropy(logits, (classes + 1) % 3).numpy(), expected)


def test_cross_entropy_of_an_unknown_class_is_zero() -> None:
    """A masked sample has no loss and sends nothing back, even when its class number is out of range."""
    mask = torch.tensor([True, False, True, False])
    logits = torch.tensor(LOGITS, requires_grad=True)
    classes = torch.where(mask, torch.tensor(CLASSES), -100)
    loss = cross_entropy(logits, classes, mask)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert loss[~mask].eq(0).all() and gradient[~mask].eq(0).all()
    assert loss[mask].gt(0).all() and gradient[mask].ne(0).all()


def test_means_count_only_what_is_known() -> None:
    """The mean divides by the known elements, per step or over all; neither the sum nor the naive mean does."""
    prediction, target, mask = tensors(True)
    loss = squared_error(prediction, target, mask)
    known = FORMULAS["mse"][HOLES]
    np.testing.assert_allclose(mean(loss, mask).item(), known.mean(), rtol=1e-12)
    assert not np.isclose(loss.mean().item(), known.mean())
    assert not np.isclose(loss.sum().item(), known.mean())
    steps = [FORMULAS["mse"][:, t][HOLES[:, t]].mean() for t in range(2)]
    np.testing.assert_allclose(mean_per_step(loss, mask).detach().numpy(), steps, rtol=1e-12)
    assert not np.allclose(loss.mean((0, 2)).detach().numpy(), steps)


def test_means_without_holes() -> None:
    """Without a mask the mean is that of all elements, and the steps' mean is their mean."""
    prediction, target, _ = tensors(False)
    loss = absolute_error(prediction, target)
    np.testing.assert_allclose(mean(loss).item(), FORMULAS["mae"].mean(), rtol=1e-12)
    np.testing.assert_allclose(mean_per_step(loss).detach().numpy(), FORMULAS["mae"].mean((0, 2)), rtol=1e-12)
    assert not np.allclose(mean_per_step(loss).detach().numpy(), FORMULAS["mae"].mean((1, 2))[:2])


def test_nothing_known() -> None:
    """The mean of nothing is 0, so that such a batch changes nothing; the loss of a step without values is NaN."""
    prediction = torch.ones(2, 3, 1, requires_grad=True)
    target = torch.full((2, 3, 1), torch.nan)
    target[:, 0] = 3.0
    loss = squared_error(prediction, target, observed(target))
    torch.testing.assert_close(
        mean_per_step(loss, observed(target)), torch.tensor([4.0, torch.nan, torch.nan]), equal_nan=True
    )
    nothing = torch.zeros(2, 3, 1, dtype=torch.bool)
    total = mean(squared_error(prediction, target, nothing), nothing)
    (gradient,) = torch.autograd.grad(total, prediction)
    assert total == 0 and gradient.eq(0).all()


EQUAL = "They must be equal: nothing is broadcast."


@pytest.mark.parametrize("loss", [squared_error, absolute_error, huber])
def test_shapes_are_never_broadcast(loss: Callable[..., torch.Tensor], message_of: Any) -> None:
    """(B,) against (B, 1) is refused."""
    words = f"prediction has shape (3, 1) and target has shape (3,). {EQUAL}"
    assert message_of(ValueError, loss, torch.zeros(3, 1), torch.zeros(3)) == words
    words, mask = (
        f"mask has shape (3, 1) and target has shape (3,). {EQUAL}",
        torch.ones(3, 1, dtype=torch.bool),
    )
    assert message_of(ValueError, loss, torch.zeros(3), torch.zeros(3), mask) == words


def test_cross_entropy_and_means_refuse_other_shapes(message_of: Any) -> None:
    """Class numbers must fit the logits, and a mask its loss."""
    words = f"logits without its last axis has shape (4,) and target has shape (3,). {EQUAL}"
    classes, mask = torch.zeros(3, dtype=torch.int64), torch.ones(2, 3, dtype=torch.bool)
    assert message_of(ValueError, cross_entropy, torch.zeros(4, 3), classes) == words
    words = f"mask has shape (2, 3) and loss has shape (2, 3, 1). {EQUAL}"
    for reduce in (mean, mean_per_step):
        assert message_of(ValueError, reduce, torch.zeros(2, 3, 1), mask) == words


def test_mean_leaves_out_what_the_mask_hides() -> None:
    """Also a loss that was computed without the mask counts only where the mask is True."""
    loss, mask = torch.tensor([[1.0, 10.0], [3.0, 100.0]]), torch.tensor([[True, False], [True, False]])
    assert float(mean(loss, mask)) == 2.0
    torch.testing.assert_close(mean_per_step(loss, mask), torch.tensor([2.0, torch.nan]), equal_nan=True)
