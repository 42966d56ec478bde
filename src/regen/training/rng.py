"""The random generators of a training: the order of the data, and torch's global generators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

import torch
from torch import Tensor

from regen.training.batches import Batches

__all__ = ["RNGStates"]


@final
class RNGStates:
    """The generator of the data's order, and torch's global generators of the CPU and of `device`."""

    def __init__(self, generator: torch.Generator, device: torch.device) -> None:
        self._generator = generator
        self._device = device
        self._epoch_start = generator.get_state()

    def epoch(self, batches: Batches, n_done: int) -> Iterator[Any]:
        """A new epoch, or the rest of one of which `n_done` batches were used before an interruption."""
        if not n_done:
            self._epoch_start = self._generator.get_state()
            return batches.epoch(self._generator)
        now = self.state_dict()
        self._generator.set_state(self._epoch_start)
        rest = batches.epoch(self._generator)
        for _ in range(n_done):
            next(rest)
        self.load_state_dict(now)
        return rest

    def state_dict(self) -> dict[str, Tensor]:
        """The state of every generator, and that of the data's order at the start of the epoch."""
        state = {
            "epoch_start": self._epoch_start,
            "order": self._generator.get_state(),
            "cpu": torch.get_rng_state(),
        }
        if self._device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self._device)
        elif self._device.type == "mps":
            state["mps"] = torch.mps.get_rng_state()
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned; generators of a device that is not in use are left alone."""
        self._epoch_start = state["epoch_start"]
        self._generator.set_state(state["order"])
        torch.set_rng_state(state["cpu"])
        if self._device.type == "cuda" and "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self._device)
        elif self._device.type == "mps" and "mps" in state:
            torch.mps.set_rng_state(state["mps"])
