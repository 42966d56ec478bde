"""The states of the random generators of a training, as a checkpoint holds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, final

import torch
from torch import Tensor

from regen._random import Generators, fit_generators
from regen.training.batches import Batches

__all__ = ["RNGStates"]


@final
class RNGStates:
    """The generator of the data's order, and those of all other draws on the CPU and on `device`.

    The others are those of the fit that runs in this thread. A training that is no part of a fit has torch's global
    ones, which its modules draw from as in any loop of torch; they are read for a checkpoint, and set to resume one.
    """

    def __init__(self, generator: torch.Generator, device: torch.device) -> None:
        self._generator = generator
        self._device = device
        generators = fit_generators()
        self._draws: _Draws = _Global() if generators is None else _Own(generators)
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
        state = {"epoch_start": self._epoch_start, "order": self._generator.get_state()}
        return state | {device.type: self._draws.get_state(device) for device in self._devices()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned; generators of a device that is not in use are left alone."""
        self._generator.set_state(state["epoch_start"])  # refuses what is no state now, not at the next epoch
        self._epoch_start = state["epoch_start"]
        self._generator.set_state(state["order"])
        for device in self._devices():
            if device.type in state:
                self._draws.set_state(device, state[device.type])

    def _devices(self) -> list[torch.device]:
        return list(dict.fromkeys((torch.device("cpu"), self._device)))


class _Draws(Protocol):
    def get_state(self, device: torch.device) -> Tensor: ...

    def set_state(self, device: torch.device, state: Tensor) -> None: ...


@final
class _Own:
    """The generators of a fit."""

    def __init__(self, generators: Generators) -> None:
        self._generators = generators

    def get_state(self, device: torch.device) -> Tensor:
        return self._generators.on(device).get_state()

    def set_state(self, device: torch.device, state: Tensor) -> None:
        self._generators.on(device).set_state(state)


@final
class _Global:
    """Torch's global generators, for losses and modules that draw from them, as in any loop of torch."""

    def get_state(self, device: torch.device) -> Tensor:
        if device.type == "cpu":
            return torch.get_rng_state()
        return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.mps.get_rng_state()

    def set_state(self, device: torch.device, state: Tensor) -> None:
        if device.type == "cpu":
            torch.set_rng_state(state)
        elif device.type == "cuda":
            torch.cuda.set_rng_state(state, device)
        else:
            torch.mps.set_rng_state(state)
