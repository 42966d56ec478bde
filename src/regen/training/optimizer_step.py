"""One optimizer step: backward pass, gradient hook, clipping, update.

A small net is trained on the CPU by thousands of steps of a few hundred microseconds. `autograd.backward`,
`clip_grad_norm_` and `Optimizer.step` add a hundred and more to the engine and the four small kernels that they
call. Here those are called directly. The numbers are torch's, bit for bit, as the tests of the loop prove.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, Adam, AdamW, Optimizer

from regen._schema import (
    Anything,
    Fields,
    Form,
    Mapped,
    Maybe,
    Optional,
    Real,
    Row,
    Several,
    Tensors,
    check_form,
)

__all__ = ["GradientHook", "OptimizerStep", "fitting_state"]

GradientHook = Callable[[Sequence[Tensor]], None]
"""Changes gradients in place, between the backward pass and clipping."""
_ENGINE = torch.autograd.Variable._execution_engine
RATES = ("lr", "initial_lr", "max_lr", "min_lr")
LARGEST = 1e30
"""Of the numbers of an optimizer; the kernels take those of float32."""
ROUNDING = 1e-3
"""A norm that is below the limit by this share is not clipped, however the arithmetic is rounded."""


@final
class OptimizerStep:
    """An optimizer with gradient clipping.

    Parameters
    ----------
    optimizer : any; torch's fused Adam and AdamW on the CPU are called directly.
    parameters : those that are optimized, and whose gradients are clipped.
    clip : the largest norm of the whole gradient, or None.
    gradient_hook : called once per step with the gradients, before they are clipped; None calls nothing. See
        `regen.training.Player`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        parameters: Sequence[nn.Parameter],
        clip: float | None,
        gradient_hook: GradientHook | None = None,
    ) -> None:
        self._optimizer = optimizer
        self._parameters = list(parameters)
        self._inputs = tuple(self._parameters)
        self._clip = clip
        self._gradient_hook = gradient_hook
        kinds = {(weight.device.type, weight.dtype) for weight in parameters}
        self._direct = kinds == {("cpu", torch.float32)}
        self._adam: _FusedAdam | None = None

    def zero_grad(self) -> None:
        """Set the gradients of all parameters of the optimizer to None."""
        for group in self._optimizer.param_groups:
            for weight in group["params"]:
                weight.grad = None

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of `loss`, a scalar, to those of the parameters, and of no others."""
        assert not loss.ndim, "a loss is a scalar"
        start = torch.ones_like(loss)
        _ENGINE.run_backward((loss,), (start,), False, False, self._inputs, True, accumulate_grad=True)

    def step(self) -> None:
        """Run the gradient hook, clip the gradients and update the parameters."""
        gradients = [weight.grad for weight in self._parameters if weight.grad is not None]
        if self._gradient_hook is not None:
            self._gradient_hook(gradients)
        direct = self._direct and len(gradients) == len(self._parameters)
        if self._clip is not None:
            if direct:
                _clip_norm(gradients, self._clip)
            else:
                clip_grad_norm_(self._parameters, self._clip)
        if direct and self._adam is not None:
            self._adam.step(gradients)
            return
        self._optimizer.step()
        self._adam = _FusedAdam(self._optimizer, self._parameters) if direct and self._is_adam() else None

    def reset(self) -> None:
        """Look up the optimizer's state again at the next step: it was replaced."""
        self._adam = None

    def _is_adam(self) -> bool:
        """Whether it is torch's fused Adam or AdamW of exactly these parameters, without step hooks."""
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
    """The kernel of a fused Adam that has made a step before, on the tensors of its state."""

    def __init__(self, optimizer: Optimizer, parameters: Sequence[nn.Parameter]) -> None:
        states = [optimizer.state[weight] for weight in parameters]
        # The step counts become views of one tensor, so that one addition raises them all.
        self._counts = torch.stack([state["step"] for state in states])
        for state, count in zip(states, self._counts.unbind(), strict=True):
            state["step"] = count
        self._group = optimizer.param_groups[0]
        self._weights = [weight.detach() for weight in parameters]  # the same memory, without autograd
        self._means = [state["exp_avg"] for state in states]
        self._squares = [state["exp_avg_sq"] for state in states]
        self._steps = [state["step"] for state in states]
        decoupled = self._group["decoupled_weight_decay"]
        self._kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_

    def step(self, gradients: list[Tensor]) -> None:
        """Update the parameters with the present learning rate."""
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


def _clip_norm(gradients: list[Tensor], limit: float) -> None:
    """As `clip_grad_norm_`, which multiplies by 1 where there is nothing to clip."""
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    if float(norm) + 1e-6 < limit * (1 - ROUNDING):
        return
    torch._foreach_mul_(gradients, (limit / (norm + 1e-6)).clamp(max=1.0))


def fitting_state(optimizer: Optimizer, state: Any, groups: Any) -> dict[str, Any]:
    """What `optimizer` can load, of the states and the parameter groups that a checkpoint holds of it.

    Settings that choose an implementation, such as ``fused``, stay those of `optimizer`; so do settings that the
    torch which wrote the checkpoint did not have.

    Raises
    ------
    ValueError
        When the optimizer could not make a step from them.
    """
    own = optimizer.state_dict()["param_groups"]
    check_form(Several(Mapped(Anything(), needed=("params", "lr")), len(own)), groups, "param_groups", {})
    fitting = [_fitting_group(new, old) for new, old in zip(own, groups, strict=True)]
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    check_form(Mapped(Mapped(Anything())), state, "state", {})
    for place, numbers in state.items():
        if type(place) is not int or not 0 <= place < len(weights):
            raise ValueError(f"the optimizer has no parameter {place!r}")
        form = _form_of(optimizer, tuple(weights[place].shape))
        if form is not None and numbers:
            check_form(form, numbers, f"state[{place}]", {})
        if isinstance(optimizer, Adam) and numbers and not 0 <= float(numbers["step"]) < LARGEST:
            raise ValueError(f"the parameter {place} cannot have had {float(numbers['step'])} steps")
    return {"state": state, "param_groups": fitting}


def _form_of(optimizer: Optimizer, shape: tuple[int, ...]) -> Form | None:
    """The form of the state of a parameter; None for an optimizer that is not known here."""
    if type(optimizer) is SGD:
        return Fields({"momentum_buffer": Optional(Maybe(Tensors(shape)))})
    if type(optimizer) not in (Adam, AdamW):
        return None
    largest = {"max_exp_avg_sq": Tensors(shape)} if any(g["amsgrad"] for g in optimizer.param_groups) else {}
    return Fields({"step": Tensors(()), "exp_avg": Tensors(shape), "exp_avg_sq": Tensors(shape), **largest})


def _fitting_group(own: dict[str, Any], saved: dict[str, Any]) -> dict[str, Any]:
    """A parameter group of a checkpoint, as the optimizer whose group is `own` can use it."""
    if saved["params"] != own["params"]:
        raise ValueError("the optimizer has other parameters")
    if missing := [name for name in RATES if name in own and name not in saved]:
        raise ValueError(f"a parameter group lacks {missing[0]}")
    return saved | {name: _fitting_value(name, value, saved.get(name, value)) for name, value in own.items()}


def _fitting_value(name: str, own: Any, saved: Any) -> Any:
    """A setting of a parameter group; `own` is the one that the optimizer has now."""
    if own is None or isinstance(own, bool | str):
        return own
    if isinstance(own, int | float):
        check_form(Real(), saved, name, {})
        if abs(saved) > LARGEST or (name in RATES and saved < 0):
            raise ValueError(f"{name} cannot be {saved}")
        return float(saved) if isinstance(own, float) else saved
    if isinstance(own, tuple):
        check_form(Row((Real(),) * len(own)), saved, name, {})
        if name == "betas" and not all(0 <= each < 1 for each in saved):
            raise ValueError(f"betas cannot be {saved}")
    elif type(saved) is not type(own):
        raise ValueError(f"{name} is no {type(own).__name__}")
    return saved
