"""One step down a gradient: find it, clip it, then let the optimiser move.

A small net is trained on the CPU by thousands of steps of a few hundred microseconds, of which `autograd.backward`,
`clip_grad_norm_` and `Optimizer.step` would take a hundred and more beside what they call, an engine and four small
kernels. Here those are called directly. The numbers are torch's, bit for bit: the tests of the loop prove it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam, AdamW, Optimizer

__all__ = ["OptimizerStep"]

_ENGINE = torch.autograd.Variable._execution_engine
ROUNDING = 1e-3
"""A norm that is this share below the limit is not clipped, however the arithmetic is rounded."""


@final
class OptimizerStep:
    """An optimiser and the norm to which it clips.

    Parameters
    ----------
    optimizer : any; torch's fused Adam and AdamW on the CPU are called without detours.
    parameters : those that are moved, and whose gradients are clipped.
    clip : the largest norm of the whole gradient, or None.
    """

    def __init__(self, optimizer: Optimizer, parameters: Sequence[nn.Parameter], clip: float | None) -> None:
        self._optimizer = optimizer
        self._parameters = list(parameters)
        self._inputs = tuple(self._parameters)
        self._clip = clip
        kinds = {(weight.device.type, weight.dtype) for weight in parameters}
        self._direct = kinds == {("cpu", torch.float32)}
        self._adam: _FusedAdam | None = None

    def clear(self) -> None:
        """Forget the gradients, of whatever else the optimiser may hold too."""
        for group in self._optimizer.param_groups:
            for weight in group["params"]:
                weight.grad = None

    def pull(self, loss: Tensor) -> None:
        """Add the gradient of `loss`, a scalar, to those of the parameters, and to no others."""
        assert not loss.ndim, "a loss is a scalar"
        start = torch.ones_like(loss)
        _ENGINE.run_backward((loss,), (start,), False, False, self._inputs, True, accumulate_grad=True)

    def step(self) -> None:
        """Clip the gradients that are there and move."""
        gradients = [weight.grad for weight in self._parameters if weight.grad is not None]
        direct = self._direct and len(gradients) == len(self._parameters)
        if self._clip is not None:
            if direct:
                _shorten(gradients, self._clip)
            else:
                clip_grad_norm_(self._parameters, self._clip)
        if direct and self._adam is not None:
            self._adam.step(gradients)
            return
        self._optimizer.step()
        self._adam = _FusedAdam(self._optimizer, self._parameters) if direct and self._is_adam() else None

    def forget(self) -> None:
        """The optimiser's state was replaced: look it up again."""
        self._adam = None

    def _is_adam(self) -> bool:
        """Whether it is torch's fused Adam or AdamW, of these parameters, and nobody waits for its steps."""
        optimizer, groups = self._optimizer, self._optimizer.param_groups
        return (
            type(optimizer) in (Adam, AdamW)
            and [list(map(id, group["params"])) for group in groups] == [list(map(id, self._parameters))]
            and bool(groups[0]["fused"])
            and not groups[0]["amsgrad"]
            and not optimizer._optimizer_step_pre_hooks
            and not optimizer._optimizer_step_post_hooks
        )


@final
class _FusedAdam:
    """The kernel of a fused Adam that has moved before, on the tensors of its state."""

    def __init__(self, optimizer: Optimizer, parameters: Sequence[nn.Parameter]) -> None:
        states = [optimizer.state[weight] for weight in parameters]
        # The counts of steps become views of one tensor, to be raised by one addition.
        self._counts = torch.stack([state["step"] for state in states])
        for state, count in zip(states, self._counts.unbind(), strict=True):
            state["step"] = count
        self._group = optimizer.param_groups[0]
        self._weights = [weight.detach() for weight in parameters]  # the same memory, that needs no gradient
        self._means = [state["exp_avg"] for state in states]
        self._squares = [state["exp_avg_sq"] for state in states]
        self._steps = [state["step"] for state in states]
        decoupled = self._group["decoupled_weight_decay"]
        self._kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_

    def step(self, gradients: list[Tensor]) -> None:
        """Move along `gradients` with the present learning rate."""
        group = self._group
        self._counts += 1
        self._kernel(
            self._weights,
            gradients,
            self._means,
            self._squares,
            [],
            self._steps,
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=group["maximize"],
        )


def _shorten(gradients: list[Tensor], limit: float) -> None:
    """As `clip_grad_norm_`, which multiplies by 1 where there is nothing to clip."""
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    if float(norm) + 1e-6 < limit * (1 - ROUNDING):
        return
    torch._foreach_mul_(gradients, (limit / (norm + 1e-6)).clamp(max=1.0))
