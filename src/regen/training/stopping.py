"""When a training ends: epochs, steps, time, and early stopping."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, final

import torch
from torch import nn

from regen._check import seconds
from regen._schema import AnyTensor, Fields, Mapped, Real, Whole, check_form
from regen.training.options import Training
from regen.training.player import clone

__all__ = ["Budget", "EarlyStopping"]


@final
class Budget:
    """Limits of epochs, steps and time; time counts from the constructor, plus what a resumed run used before."""

    def __init__(self, training: Training, max_epochs: int) -> None:
        self.max_epochs = max_epochs
        self.max_steps = math.inf if training.max_steps is None else training.max_steps
        self.max_time = math.inf if training.max_time is None else seconds(training.max_time)
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time used so far."""
        return time.monotonic() - self._start

    def resume(self, used: float) -> None:
        """Add the seconds that the run used before it was interrupted."""
        self._start = time.monotonic() - used

    def total_steps(self, per_epoch: int) -> int:
        """Batches in the whole run, unless time or early stopping ends it."""
        return int(min(self.max_epochs * per_epoch, self.max_steps))

    def exceeded(self, step: int) -> bool:
        """Whether the run must end after `step` batches, even within an epoch."""
        return step >= self.max_steps or time.monotonic() - self._start >= self.max_time

    def stop_reason(self, epochs: int, step: int, n_done: int) -> str:
        """Why the run ends after so many whole epochs, steps, and batches of the next epoch; or an empty text."""
        if epochs >= self.max_epochs:
            return f"Reached max_epochs={self.max_epochs}."
        if step >= self.max_steps:
            return f"Reached max_steps={self.max_steps}."
        if step and self.seconds >= self.max_time:
            place = f"in epoch {epochs + 1}" if n_done else f"after {_count(epochs, 'epoch')}"
            return f"Reached max_time={self.max_time:g}s {place}."
        return ""


@final
class EarlyStopping:
    """The epoch with the lowest validation loss so far, its weights, and how long ago it was.

    Parameters
    ----------
    modules : the players' modules by name.
    patience : epochs in a row without a lower loss after which to stop, or None.
    """

    def __init__(self, modules: Mapping[str, nn.Module], patience: int | None) -> None:
        self._modules = modules
        self._patience = math.inf if patience is None else patience
        self.loss = math.inf
        self.epoch = 0
        self.n_worse = 0
        self._weights: dict[str, Any] = {}

    def update(self, loss: float, epoch: int) -> None:
        """Keep the present weights if `loss` is lower than any before; NaN never is."""
        if loss < self.loss:
            self.loss, self.epoch, self.n_worse = loss, epoch, 0
            self._weights = {name: clone(module.state_dict()) for name, module in self._modules.items()}
        else:
            self.n_worse += 1

    def stop_reason(self) -> str:
        """Why patience ends the run now, or an empty text."""
        if self.n_worse < self._patience:
            return ""
        if not self._weights:
            return f"No finite validation loss in {_count(self.n_worse, 'epoch')}; the last weights are kept."
        return f"No improvement for {_count(self.n_worse, 'epoch')}; best was epoch {self.epoch}."

    def restore(self) -> None:
        """Load the best weights into the modules, if there are any yet."""
        for name, weights in self._weights.items():
            self._modules[name].load_state_dict(weights)

    def state_dict(self) -> dict[str, Any]:
        """Loss, epoch, count and weights, which are shared because they never change. Keys as in checkpoint files."""
        return {"loss": self.loss, "epoch": self.epoch, "waited": self.n_worse, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        weights = Fields({name: Mapped(AnyTensor()) for name in self._modules if state["epoch"]})
        form = Fields({"loss": Real(finite=False), "epoch": Whole(), "waited": Whole(), "weights": weights})
        check_form(form, state, "best", {})
        for name, tensors in state["weights"].items():
            own = self._modules[name].state_dict()
            if {key: each.shape for key, each in tensors.items()} != {
                key: each.shape for key, each in own.items()
            }:
                raise ValueError(f"the best weights of {name!r} are not those of the network")
            if not all(bool(torch.isfinite(each).all()) for each in tensors.values()):
                raise ValueError(f"a best weight of {name!r} is not finite")
        self.loss, self.epoch, self.n_worse = state["loss"], state["epoch"], state["waited"]
        self._weights = state["weights"]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
