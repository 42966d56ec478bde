"""When a training ends: epochs, steps, time, and no improvement."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, final

from torch import nn

from regen._check import seconds
from regen.training.options import Training
from regen.training.pytree import clone

__all__ = ["Budget", "EarlyStopping"]


@final
class Budget:
    """Budget on epochs, steps and time; time counts from here, plus what a resumed run had used before."""

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
        """Count on from the time that a run had used before it was interrupted."""
        self._start = time.monotonic() - used

    def steps(self, per_epoch: int) -> int:
        """Batches in the whole run, unless time or patience ends it."""
        return int(min(self.max_epochs * per_epoch, self.max_steps))

    def out(self, step: int) -> bool:
        """Whether the run must end after `step` batches, even within an epoch."""
        return step >= self.max_steps or time.monotonic() - self._start >= self.max_time

    def verdict(self, epochs: int, step: int, done: int) -> str:
        """Why the run ends after that many whole epochs, steps, and batches of the next epoch, or nothing."""
        if epochs >= self.max_epochs:
            return f"Reached max_epochs={self.max_epochs}."
        if step >= self.max_steps:
            return f"Reached max_steps={self.max_steps}."
        if step and self.seconds >= self.max_time:
            place = f"in epoch {epochs + 1}" if done else f"after {_count(epochs, 'epoch')}"
            return f"Reached max_time={self.max_time:g}s {place}."
        return ""


@final
class EarlyStopping:
    """The best epoch so far by its validation loss, its weights, and how long ago it was.

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
        self.waited = 0
        self._weights: dict[str, Any] = {}

    def judge(self, loss: float, epoch: int) -> None:
        """Keep the present weights if `loss` is lower than any before; NaN never is."""
        if loss < self.loss:
            self.loss, self.epoch, self.waited = loss, epoch, 0
            self._weights = {name: clone(module.state_dict()) for name, module in self._modules.items()}
        else:
            self.waited += 1

    def verdict(self) -> str:
        """Why patience is at its end, or nothing."""
        if self.waited < self._patience:
            return ""
        if not self._weights:
            return f"No finite validation loss in {_count(self.waited, 'epoch')}; the last weights are kept."
        return f"No improvement for {_count(self.waited, 'epoch')}; best was epoch {self.epoch}."

    def restore(self) -> None:
        """Give the modules their best weights, if there are any yet."""
        for name, weights in self._weights.items():
            self._modules[name].load_state_dict(weights)

    def state_dict(self) -> dict[str, Any]:
        """Everything; the weights are shared, as they never change."""
        return {"loss": self.loss, "epoch": self.epoch, "waited": self.waited, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self.loss, self.epoch, self.waited = state["loss"], state["epoch"], state["waited"]
        self._weights = state["weights"]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
