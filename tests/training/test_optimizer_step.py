"""The direct way down a gradient is torch's own: clip_grad_norm_ and Optimizer.step, bit for bit."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, Adam, AdamW, Optimizer

from regen.training.optimizer_step import OptimizerStep

OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], Optimizer]] = {
    "adam": lambda weights: Adam(weights, 0.03, fused=True),
    "adam with other numbers": lambda weights: Adam(
        weights, 0.03, (0.5, 0.9), 1e-3, weight_decay=0.1, maximize=True, fused=True
    ),
    "adamw": lambda weights: AdamW(weights, 0.03, weight_decay=0.1, fused=True),
    "amsgrad": lambda weights: Adam(weights, 0.03, amsgrad=True, fused=True),
    "not fused": lambda weights: Adam(weights, 0.03),
    "sgd": lambda weights: SGD(weights, 0.03, 0.9, nesterov=True, fused=True),
    "two groups": lambda weights: Adam(
        [{"params": weights[:1]}, {"params": weights[1:], "lr": 0.1}], fused=True
    ),
    "a part": lambda weights: Adam(weights[1:], 0.03, fused=True),
}


def weights() -> list[nn.Parameter]:
    """Of some shapes, always the same."""
    draw = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=draw)) for shape in ((5, 3), (7,), (), (2, 2, 2))]


def gradients(step: int, size: float = 1.0) -> list[Tensor]:
    """Of a step, with the norm `size`."""
    draw = torch.Generator().manual_seed(step)
    drawn = [torch.randn(weight.shape, generator=draw) for weight in weights()]
    norm = torch.cat([gradient.flatten() for gradient in drawn]).norm()
    return [gradient * (size / norm) for gradient in drawn]


def by_torch(
    moved: list[nn.Parameter], optimizer: Optimizer, clip: float | None, grads: list[Tensor | None]
) -> None:
    """A step as everyone writes it."""
    for weight, gradient in zip(moved, grads, strict=True):
        weight.grad = None if gradient is None else gradient.clone()
    if clip is not None:
        clip_grad_norm_(moved, clip)
    optimizer.step()


def by_ours(moved: list[nn.Parameter], ours_step: OptimizerStep, grads: list[Tensor | None]) -> None:
    """The same by an OptimizerStep."""
    ours_step.zero_grad()
    for weight, gradient in zip(moved, grads, strict=True):
        weight.grad = None if gradient is None else gradient.clone()
    ours_step.step()


def same(left: Any, right: Any) -> bool:
    """Equal trees, NaN equal to NaN."""
    if isinstance(left, Tensor):
        return torch.equal(left.nan_to_num(7.25), right.nan_to_num(7.25)) and left.dtype == right.dtype
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


@pytest.mark.parametrize("clip", [None, 1.0, 2.5])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_those_of_torch(name: str, clip: float | None) -> None:
    """Weights and the whole state of the optimiser, while norms wander around the limit and the rate changes."""
    ours, plain = weights(), weights()
    our_rule, rule = OPTIMIZERS[name](ours), OPTIMIZERS[name](plain)
    ours_step = OptimizerStep(our_rule, ours, clip)
    for step in range(8):
        grads = gradients(step, size=0.5 + 0.5 * step)
        by_ours(ours, ours_step, grads)
        by_torch(plain, rule, clip, grads)
        for each in (our_rule, rule):
            each.param_groups[0]["lr"] *= 0.9
    assert same(ours, plain)
    assert same(our_rule.state_dict(), rule.state_dict())


@pytest.mark.parametrize(
    "size", [1e-3, 0.998, 0.999, 0.999999, 1.0, 1.000001, 1.002, 1e10, torch.inf, torch.nan]
)
@pytest.mark.parametrize("limit", [1e-6, 1.0, 1e6])
def test_clipping_at_the_limit(size: float, limit: float) -> None:
    """Gradients just below, at and above the limit, and such that are not finite, are clipped as torch does."""
    grads = gradients(0, size * limit)
    ours, plain = weights(), weights()
    by_ours(ours, OptimizerStep(SGD(ours, 0.0), ours, limit), grads)
    by_torch(plain, SGD(plain, 0.0), limit, grads)
    assert same([weight.grad for weight in ours], [weight.grad for weight in plain])


@pytest.mark.parametrize("missing", [[2], [0, 1, 2, 3]])
def test_a_weight_without_a_gradient_is_left_alone(missing: list[int]) -> None:
    """One that has no gradient on some steps keeps its value and its count of steps."""
    ours, plain = weights(), weights()
    our_rule, rule = OPTIMIZERS["adam"](ours), OPTIMIZERS["adam"](plain)
    ours_step = OptimizerStep(our_rule, ours, 1.0)
    for step in range(7):
        grads = [
            None if step in (0, 3, 4) and place in missing else gradient
            for place, gradient in enumerate(gradients(step))
        ]
        by_ours(ours, ours_step, grads)
        by_torch(plain, rule, 1.0, grads)
    assert same(ours, plain)
    assert same(our_rule.state_dict(), rule.state_dict())


@pytest.mark.parametrize("reset", [True, False])
def test_a_state_that_was_replaced_is_looked_up_again(reset: bool) -> None:
    """After `reset` the loaded moments are used; the twin without it goes on with the old ones."""
    ours, plain = weights(), weights()
    our_rule, rule = OPTIMIZERS["adam"](ours), OPTIMIZERS["adam"](plain)
    ours_step = OptimizerStep(our_rule, ours, 1.0)
    for step in range(3):
        by_ours(ours, ours_step, gradients(step))
        by_torch(plain, rule, 1.0, gradients(step))
    other = weights()
    loaded = OPTIMIZERS["adam"](other)
    by_torch(other, loaded, None, gradients(9))
    for each in (our_rule, rule):
        each.load_state_dict(deepcopy(loaded.state_dict()))
    if reset:
        ours_step.reset()
    for step in range(3, 6):
        by_ours(ours, ours_step, gradients(step))
        by_torch(plain, rule, 1.0, gradients(step))
    assert same(ours, plain) == reset


def test_hooks_of_an_optimizer_are_called() -> None:
    """Hooks run at every step."""
    moved, seen = weights(), []
    optimizer = OPTIMIZERS["adam"](moved)
    optimizer.register_step_post_hook(lambda *_: seen.append(1))
    ours_step = OptimizerStep(optimizer, moved, None)
    for step in range(4):
        by_ours(moved, ours_step, gradients(step))
    assert len(seen) == 4


def test_float64_and_mixed_weights() -> None:
    """Weights that are not all float32 go torch's own way, to the same numbers."""
    ours, plain = weights(), weights()
    for moved in (ours, plain):
        moved[1] = nn.Parameter(moved[1].detach().double())
    ours_step, rule = OptimizerStep(Adam(ours, 0.03, fused=True), ours, 1.0), Adam(plain, 0.03, fused=True)
    for step in range(3):
        grads = [gradient.to(weight) for gradient, weight in zip(gradients(step), plain, strict=True)]
        by_ours(ours, ours_step, grads)
        by_torch(plain, rule, 1.0, grads)
    assert same(ours, plain)
