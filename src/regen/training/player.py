"""Players: who moves in a training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, final

from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

__all__ = ["Player", "Stateful", "make_optimizer"]


class Stateful(Protocol):
    """What a loss carries from batch to batch, such as the state of streams; saved with the run."""

    def state_dict(self) -> dict[str, Any]:
        """A tree of dicts, lists, tensors, numbers, texts and None."""

    def load_state_dict(self, state: dict[str, Any], /) -> object:
        """Take back what `state_dict` returned."""


@final
@dataclass(frozen=True, eq=False)
class Player:
    """A set of parameters with its optimiser and its loss: one for a regression, two for a GAN.

    Parameters
    ----------
    name : str
        Prefix of its columns in the history.
    module : nn.Module
        Its parameters that require a gradient are what it moves; its whole ``state_dict`` (batch-norm
        statistics and a frozen average of weights included) is what is saved, restored and chosen as best.
    loss : callable, batch -> dict of scalar tensors
        ``"loss"`` is minimised; the other terms only go to the history. The loss may run through the modules
        of other players: their parameters get no gradient. It must not return the same tensor twice and
        change it later.
    optimizer : torch.optim.Optimizer or None
        None: the one that the training plan names, with the run's learning rate.
    memory : Stateful or None
        What `loss` carries from batch to batch. Needed only to resume in the middle of an epoch.
    moved : callable or None
        What follows each of its moves, such as an average of its weights taking in the new ones.
    """

    name: str
    module: nn.Module
    loss: Callable[[Any], Mapping[str, Tensor]]
    optimizer: Optimizer | None = None
    memory: Stateful | None = None
    moved: Callable[[], None] | None = None

    def parameters(self) -> list[nn.Parameter]:
        """What this player moves."""
        return [parameter for parameter in self.module.parameters() if parameter.requires_grad]


def make_optimizer(
    name: str,
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
) -> Optimizer:
    """The optimiser called `name`, fused into one kernel where torch has one (CPU, CUDA and MPS do).

    Parameters
    ----------
    name : "adam", "adamw" or "sgd" (with Nesterov momentum 0.9, the usual one).
    parameters : what it moves; put them on their device first.
    learning_rate, weight_decay : float
    betas : of Adam and AdamW: how much of the past its two means keep at a step. Momentum hurts a game, in which the
        slope turns (Radford et al. 2016 take 0.5 instead of 0.9).
    """
    weights = list(parameters)
    kernels = ("cpu", "cuda", "mps")
    fused = all(weight.is_floating_point() and weight.device.type in kernels for weight in weights) or None
    if name == "sgd":
        return SGD(weights, learning_rate, 0.9, weight_decay=weight_decay, nesterov=True, fused=fused)
    kind: type[Adam] = {"adam": Adam, "adamw": AdamW}[name]
    return kind(weights, learning_rate, betas, weight_decay=weight_decay, fused=fused)
