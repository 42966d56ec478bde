"""Supervised objectives: the cost of every single prediction, and the means of such costs.

A cost function returns the cost of each element (or each sample); nothing is summed or averaged in it, so
that the cost of every unfolded time step stays available. `mean` and `mean_per_step` reduce.

Where the target is missing (NaN), pass ``mask=observed(target)``: such an element costs 0, sends back no
gradient, and does not count in the means.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = [
    "LOSSES",
    "absolute_error",
    "cross_entropy",
    "huber",
    "mean",
    "mean_per_step",
    "observed",
    "squared_error",
]


def observed(target: Float[Tensor, "..."]) -> Bool[Tensor, "..."]:
    """Where the target is known: True unless NaN. Same shape as `target`."""
    return ~target.isnan()


def squared_error(
    prediction: Float[Tensor, "..."], target: Float[Tensor, "..."], mask: Bool[Tensor, "..."] | None = None
) -> Float[Tensor, "..."]:
    """``(prediction - target)**2``, elementwise; 0 where `mask` is False.

    Parameters
    ----------
    prediction, target : same shape, any. ValueError if the shapes differ: nothing is broadcast.
    mask : same shape, or None if every target is known.
    """
    return _difference(prediction, target, mask).square()


def absolute_error(
    prediction: Float[Tensor, "..."], target: Float[Tensor, "..."], mask: Bool[Tensor, "..."] | None = None
) -> Float[Tensor, "..."]:
    """``|prediction - target|``, elementwise; 0 where `mask` is False. Shapes as in `squared_error`."""
    return _difference(prediction, target, mask).abs()


def huber(
    prediction: Float[Tensor, "..."],
    target: Float[Tensor, "..."],
    mask: Bool[Tensor, "..."] | None = None,
    delta: float = 1.0,
) -> Float[Tensor, "..."]:
    """``d**2 / 2`` where ``|d| <= delta``, else ``delta * (|d| - delta / 2)``; ``d = prediction - target``.

    Elementwise; 0 where `mask` is False. Shapes as in `squared_error`. Source: Huber (1964).

    Parameters
    ----------
    delta : where the square turns into a line, in units of the target; 1 suits targets of unit scale.
    """
    difference = _difference(prediction, target, mask)
    size = difference.abs()
    return torch.where(size <= delta, difference.square() / 2, delta * (size - delta / 2))


def cross_entropy(
    logits: Float[Tensor, "... classes"], target: Int[Tensor, "..."], mask: Bool[Tensor, "..."] | None = None
) -> Float[Tensor, "..."]:
    """``-log softmax(logits)[target]``, per sample; 0 where `mask` is False.

    Parameters
    ----------
    logits : (..., classes)
    target : (...), class numbers from 0. ValueError unless shaped as `logits` without the last axis.
    mask : (...), or None if every target is known.
    """
    _same("logits without its last axis", logits[..., 0], "target", target)
    if mask is not None:
        _same("mask", mask, "target", target)
        target = torch.where(mask, target, 0)
    cost = -logits.log_softmax(-1).gather(-1, target.unsqueeze(-1).long()).squeeze(-1)
    return cost if mask is None else torch.where(mask, cost, 0.0)


def mean(cost: Float[Tensor, "..."], mask: Bool[Tensor, "..."] | None = None) -> Float[Tensor, ""]:
    """Mean of `cost` over all elements, or over those where `mask` is True (0 if there are none)."""
    if mask is None:
        return cost.mean()
    _same("mask", mask, "cost", cost)
    return torch.where(mask, cost, 0.0).sum() / mask.sum().clamp(min=1)


def mean_per_step(
    cost: Float[Tensor, "batch time ..."], mask: Bool[Tensor, "..."] | None = None
) -> Float[Tensor, "time"]:
    """Mean of `cost` for each time step (axis 1): the cost of each unfolded copy of the network.

    Parameters
    ----------
    cost : (batch, time, ...)
    mask : same shape or None; a step at which nothing was observed has NaN, for it has no cost.
    """
    others = [axis for axis in range(cost.ndim) if axis != 1]
    if mask is None:
        return cost.mean(others)
    _same("mask", mask, "cost", cost)
    return torch.where(mask, cost, 0.0).sum(others) / mask.sum(others)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "mse": squared_error,
    "mae": absolute_error,
    "huber": huber,
    "cross_entropy": cross_entropy,
}
"""Cost functions by the names that ``Training(loss=...)`` takes."""


def _difference(prediction: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
    _same("prediction", prediction, "target", target)
    if mask is None:
        return prediction - target
    _same("mask", mask, "target", target)
    # The masked target is replaced before the subtraction: in the backward pass, NaN times 0 is still NaN.
    return torch.where(mask, prediction - torch.where(mask, target, 0.0), 0.0)


def _same(left_name: str, left: Tensor, right_name: str, right: Tensor) -> None:
    if left.shape != right.shape:
        raise ValueError(
            f"{left_name} has shape {tuple(left.shape)} and {right_name} has shape {tuple(right.shape)}. "
            "They must be equal: nothing is broadcast."
        )
