"""A player in a training: its move, and everything of it that is saved and restored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, final

import torch
from torch import Tensor

from regen.training.lr_schedules import LearningRate
from regen.training.optimizer_step import OptimizerStep
from regen.training.options import Training
from regen.training.player import Player, make_optimizer
from regen.training.pytree import clone, tensors

__all__ = ["PlayerState"]


@final
class PlayerState:
    """One player with its optimiser, learning rate and clipping.

    Parameters
    ----------
    player : Player
    training : Training
        Says how to clip, the rate's schedule, and the optimiser if the player has none of its own.
    learning_rate : of an optimiser made here.
    steps : batches in the whole run, over which some schedules are laid out.
    precision : context in which the loss is computed.
    """

    def __init__(
        self,
        player: Player,
        training: Training,
        learning_rate: float,
        steps: int,
        precision: AbstractContextManager[object],
    ) -> None:
        self.module = player.module
        self.parameters = player.parameters()
        self.optimizer = player.optimizer or make_optimizer(
            training.optimizer, self.parameters, learning_rate, training.weight_decay
        )
        self.rate = LearningRate(training.schedule, self.optimizer, steps)
        self.moved = False
        self._loss = player.loss
        self._memory = player.memory
        self._after = player.moved
        self._descent = OptimizerStep(self.optimizer, self.parameters, training.clip)
        self._precision = precision

    def move(self, batch: Any) -> dict[str, Tensor]:
        """Descend the loss of `batch` one step; returns its terms, detached and still on the device.

        The gradient is that of this player's parameters alone: those of the others that the loss runs through
        keep theirs as it was.
        """
        self._descent.clear()
        with self._precision:
            terms = self._loss(batch)
        self._descent.pull(terms["loss"])
        self._descent.step()
        if self._after is not None:
            self._after()
        self.moved = True
        return {name: term.detach() for name, term in terms.items()}

    @torch.no_grad()
    def finite(self) -> bool:
        """Whether every weight, buffer and number of the optimiser is finite."""
        floats = [tensor for tensor in self._numbers() if tensor.is_floating_point() and tensor.numel()]
        if len({(tensor.device, tensor.dtype) for tensor in floats}) == 1:  # as below, without sorting them
            largest = torch.stack(torch._foreach_norm(floats, torch.inf)).max()
        else:
            largest = torch.nn.utils.get_total_norm(floats, torch.inf)  # the largest absolute value
        return bool(largest.isfinite())

    def state_dict(self) -> dict[str, Any]:
        """A copy of everything."""
        return {
            "module": clone(self.module.state_dict()),
            "optimizer": clone(self.optimizer.state_dict()),
            "rate": clone(self.rate.state_dict()),
            "memory": None if self._memory is None else clone(self._memory.state_dict()),
            "moved": self.moved,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self._load(state, state["optimizer"]["param_groups"])
        self.rate.load_state_dict(state["rate"])
        self.moved = state["moved"]

    def go_back(self, state: dict[str, Any]) -> None:
        """Take back weights, the optimiser's moments and the memory; the learning rate stays as it is now."""
        self._load(state, self.optimizer.state_dict()["param_groups"])

    def _load(self, state: dict[str, Any], groups: list[dict[str, Any]]) -> None:
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict({"state": clone(state["optimizer"]["state"]), "param_groups": groups})
        self._descent.forget()
        if self._memory is not None:
            self._memory.load_state_dict(clone(state["memory"]))

    def _numbers(self) -> Iterator[Tensor]:
        yield from self.parameters
        yield from self.module.buffers()
        yield from tensors(list(self.optimizer.state.values()))
