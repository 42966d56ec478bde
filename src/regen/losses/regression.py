"""Supervised losses: the loss of every single prediction, and means of such losses.

A loss function returns the loss of each element (or each sample) without reducing it, so that the loss of every
unfolded time step stays available. `mean` and `mean_per_step` reduce.

Where the target is missing (NaN), pass ``mask=observed(target)``: such an element has a loss of 0, no gradient, and
does not count in the means.
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
    """Mask of the observed values.

    Parameters
    ----------
    target : Tensor of shape (...)
        With NaN where a value is missing.

    Returns
    -------
    Tensor of shape (...), dtype=bool
        False where `target` is NaN.

    See Also
    --------
    squared_error : Takes such a mask.

    Examples
    --------
    >>> observed(torch.tensor([1.0, torch.nan]))
    tensor([ True, False])
    """
    return ~target.isnan()


def squared_error(
    prediction: Float[Tensor, "..."], target: Float[Tensor, "..."], mask: Bool[Tensor, "..."] | None = None
) -> Float[Tensor, "..."]:
    """``(prediction - target)**2``, elementwise.

    Parameters
    ----------
    prediction, target : Tensor of shape (...)
        Of equal shapes: nothing is broadcast.
    mask : Tensor of shape (...), default=None
        True where the target is observed; None where all are.

    Returns
    -------
    Tensor of shape (...)
        0 where `mask` is False.

    Raises
    ------
    ValueError
        When the shapes differ.

    See Also
    --------
    absolute_error, huber : Less sensitive to outliers.
    mean : Reduces it.

    Examples
    --------
    >>> squared_error(torch.tensor([1.0, 5.0]), torch.tensor([3.0, 5.0]))
    tensor([4., 0.])
    """
    return _difference(prediction, target, mask).square()


def absolute_error(
    prediction: Float[Tensor, "..."], target: Float[Tensor, "..."], mask: Bool[Tensor, "..."] | None = None
) -> Float[Tensor, "..."]:
    """``|prediction - target|``, elementwise.

    Parameters
    ----------
    prediction, target : Tensor of shape (...)
        Of equal shapes: nothing is broadcast.
    mask : Tensor of shape (...), default=None
        True where the target is observed; None where all are.

    Returns
    -------
    Tensor of shape (...)
        0 where `mask` is False.

    Raises
    ------
    ValueError
        When the shapes differ.

    See Also
    --------
    squared_error, huber : Other losses for values.

    Examples
    --------
    >>> absolute_error(torch.tensor([1.0, 5.0]), torch.tensor([3.0, 5.0]))
    tensor([2., 0.])
    """
    return _difference(prediction, target, mask).abs()


def huber(
    prediction: Float[Tensor, "..."],
    target: Float[Tensor, "..."],
    mask: Bool[Tensor, "..."] | None = None,
    delta: float = 1.0,
) -> Float[Tensor, "..."]:
    """``d**2 / 2`` where ``|d| <= delta``, otherwise ``delta * (|d| - delta / 2)``; ``d = prediction - target``.

    Source: Huber (1964).

    Parameters
    ----------
    prediction, target : Tensor of shape (...)
        Of equal shapes: nothing is broadcast.
    mask : Tensor of shape (...), default=None
        True where the target is observed; None where all are.
    delta : float, default=1.0
        Where the square becomes a line, in units of the target; 1 suits targets of unit scale.

    Returns
    -------
    Tensor of shape (...)
        0 where `mask` is False.

    Raises
    ------
    ValueError
        When the shapes differ.

    See Also
    --------
    squared_error, absolute_error : Its two limits.

    Examples
    --------
    >>> huber(torch.tensor([0.5, 3.0]), torch.zeros(2))
    tensor([0.1250, 2.5000])
    """
    difference = _difference(prediction, target, mask)
    size = difference.abs()
    return torch.where(size <= delta, difference.square() / 2, delta * (size - delta / 2))


def cross_entropy(
    logits: Float[Tensor, "... classes"], target: Int[Tensor, "..."], mask: Bool[Tensor, "..."] | None = None
) -> Float[Tensor, "..."]:
    """``-log softmax(logits)[target]``, per sample.

    Parameters
    ----------
    logits : Tensor of shape (..., classes)
        Unnormalised log-probabilities.
    target : Tensor of shape (...), dtype=int
        Class numbers from 0.
    mask : Tensor of shape (...), default=None
        True where the target is observed; None where all are.

    Returns
    -------
    Tensor of shape (...)
        In nats; 0 where `mask` is False.

    Raises
    ------
    ValueError
        When `target` has not the shape of `logits` without the last axis.

    See Also
    --------
    squared_error : The usual loss for values.

    Examples
    --------
    >>> cross_entropy(torch.zeros(1, 2), torch.tensor([1]))
    tensor([0.6931])
    """
    _check_shapes("logits without its last axis", logits[..., 0], "target", target)
    if mask is not None:
        _check_shapes("mask", mask, "target", target)
        target = torch.where(mask, target, 0)
    loss = -logits.log_softmax(-1).gather(-1, target.unsqueeze(-1).long()).squeeze(-1)
    return loss if mask is None else torch.where(mask, loss, 0.0)


def mean(loss: Float[Tensor, "..."], mask: Bool[Tensor, "..."] | None = None) -> Float[Tensor, ""]:
    """Mean of a loss over all observed elements.

    Parameters
    ----------
    loss : Tensor of shape (...)
        Elementwise losses.
    mask : Tensor of shape (...), default=None
        True where the target is observed; None where all are.

    Returns
    -------
    Tensor of shape ()
        0 if nothing is observed.

    See Also
    --------
    mean_per_step : Keeps the time axis.

    Examples
    --------
    >>> mean(torch.tensor([1.0, 2.0, 9.0]), torch.tensor([True, True, False]))
    tensor(1.5000)
    """
    if mask is None:
        return loss.mean()
    _check_shapes("mask", mask, "loss", loss)
    return torch.where(mask, loss, 0.0).sum() / mask.sum().clamp(min=1)


def mean_per_step(
    loss: Float[Tensor, "batch time ..."], mask: Bool[Tensor, "..."] | None = None
) -> Float[Tensor, "time"]:
    """Mean of a loss for each time step: the loss of each unfolded copy of the network.

    Parameters
    ----------
    loss : Tensor of shape (batch, time, ...)
        Elementwise losses.
    mask : Tensor of the same shape, default=None
        True where the target is observed; None where all are.

    Returns
    -------
    Tensor of shape (time,)
        NaN at steps at which nothing is observed.

    See Also
    --------
    mean : Over all elements.

    Examples
    --------
    >>> mean_per_step(torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
    tensor([2., 4.])
    """
    others = [axis for axis in range(loss.ndim) if axis != 1]
    if mask is None:
        return loss.mean(others)
    _check_shapes("mask", mask, "loss", loss)
    return torch.where(mask, loss, 0.0).sum(others) / mask.sum(others)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "mse": squared_error,
    "mae": absolute_error,
    "huber": huber,
    "cross_entropy": cross_entropy,
}
"""Loss functions by the names that ``Training(loss=...)`` takes."""


def _difference(prediction: Tensor, target: Tensor, mask: Tensor | None) -> Tensor:
    _check_shapes("prediction", prediction, "target", target)
    if mask is None:
        return prediction - target
    _check_shapes("mask", mask, "target", target)
    # The masked target is replaced before the subtraction: in the backward pass, NaN times 0 is still NaN.
    return torch.where(mask, prediction - torch.where(mask, target, 0.0), 0.0)


def _check_shapes(left_name: str, left: Tensor, right_name: str, right: Tensor) -> None:
    if left.shape != right.shape:
        raise ValueError(
            f"{left_name} has shape {tuple(left.shape)} and {right_name} has shape {tuple(right.shape)}. "
            "They must be equal: nothing is broadcast."
        )
