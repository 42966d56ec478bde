"""Players: who moves in a training, and the state of each during a run."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from regen._schema import Anything, Fields, Mapped, Optional, Several, Truth, Whole, check_form
from regen.training.lr_schedules import LearningRate
from regen.training.optimizer_step import GradientHook, OptimizerStep, fitting_state
from regen.training.options import Training
from regen.training.rng import RNGStates
from regen.training.row_parts import RowParts, lacks_memory

__all__ = ["Player", "PlayerState", "Stateful", "clone", "make_optimizer", "tensors"]


PARTS_KEY = "parts"
"""Name of the number of parts in which a batch is run, in a checkpoint file of a run that lacked memory."""
FORM = Fields(
    {
        "module": Mapped(Anything()),
        "optimizer": Fields({"state": Anything(), "param_groups": Several(Anything())}),
        "rate": Mapped(Anything()),
        "memory": Anything(),
        "moved": Truth(),
        PARTS_KEY: Optional(Whole(1)),
    }
)
"""Of a state; torch checks the module's, and the other parts theirs."""


class Stateful(Protocol):
    """What a loss carries from batch to batch, such as the hidden state of streams; saved with the run.

    See Also
    --------
    Player : Takes one as its `stateful`.

    Examples
    --------
    >>> class Counter:
    ...     count = 0
    ...
    ...     def state_dict(self):
    ...         return {"count": self.count}
    ...
    ...     def load_state_dict(self, state):
    ...         self.count = state["count"]
    >>> counter: Stateful = Counter()
    """

    def state_dict(self) -> dict[str, Any]:
        """The state as a tree.

        Returns
        -------
        dict
            A tree of dicts, lists, tensors, numbers, texts and None.
        """

    def load_state_dict(self, state: dict[str, Any], /) -> object:
        """Restore a state.

        Parameters
        ----------
        state : dict
            What `state_dict` returned.

        Returns
        -------
        object
            Ignored.
        """


@final
@dataclass(frozen=True, eq=False)
class Player:
    """A set of parameters with its optimizer and its loss: one for a regression, two for a GAN.

    Parameters
    ----------
    name : str
        Prefix of its columns in the history.
    module : torch.nn.Module
        Its parameters that require a gradient are optimized; its whole ``state_dict`` (batch-norm statistics and
        a frozen moving average of the weights included) is saved, restored and kept as the best one.
    loss : callable
        Batch -> dict of scalar tensors. ``"loss"`` is minimised; the other terms only go to the history. The loss
        may run through the modules of other players: their parameters get no gradient. It must not return a
        tensor that it changes in place later.
    optimizer : torch.optim.Optimizer or None, default=None
        None makes the one that `Training` names, with the run's learning rate.
    stateful : Stateful or None, default=None
        What `loss` carries from batch to batch. Needed only to resume in the middle of an epoch.
    after_step : callable or None, default=None
        Called without arguments after each of its optimizer steps, for example to update a moving average.
    gradient_hook : callable or None, default=None
        Called once per step, after the backward pass and before clipping, with the gradients of this player's
        parameters (in the order of `parameters`; parameters without a gradient are left out). It changes them in
        place. Data-parallel training reduces gradients over processes here.
    parts : RowParts or None, default=None
        What `loss` runs its modules with. When a step lacks memory, the rows of a batch are run in twice as many
        parts from then on. None: such a step raises its error.

    See Also
    --------
    train : Trains players.
    make_optimizer : The optimizer of a player without one.

    Examples
    --------
    >>> net = torch.nn.Linear(2, 1)
    >>> player = Player("net", net, lambda batch: {"loss": (net(batch[0]) - batch[1]).square().mean()})
    >>> len(player.parameters())
    2
    """

    name: str
    module: nn.Module
    loss: Callable[[Any], Mapping[str, Tensor]]
    optimizer: Optimizer | None = None
    stateful: Stateful | None = None
    after_step: Callable[[], None] | None = None
    gradient_hook: GradientHook | None = None
    parts: RowParts | None = None

    def parameters(self) -> list[nn.Parameter]:
        """The parameters that this player optimizes.

        Returns
        -------
        list of torch.nn.Parameter
            Those of its module that require a gradient.
        """
        return [parameter for parameter in self.module.parameters() if parameter.requires_grad]


def make_optimizer(
    name: str,
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
) -> Optimizer:
    """Make an optimizer, fused into one kernel where torch has one (on CPU, CUDA and MPS).

    Parameters
    ----------
    name : {"adam", "adamw", "sgd"}
        ``"sgd"`` has Nesterov momentum 0.9.
    parameters : iterable of torch.nn.Parameter
        On their final device.
    learning_rate : float
        Step size.
    weight_decay : float, default=0.0
        L2 penalty; decoupled for ``"adamw"``.
    betas : tuple of float, default=(0.9, 0.999)
        Decay of the two moving averages of Adam and AdamW. Momentum harms GANs, in which the direction of the
        gradient rotates: Radford et al. (2016) use 0.5 instead of 0.9.

    Returns
    -------
    torch.optim.Optimizer
        Over all `parameters`, in one group.

    See Also
    --------
    Player : Takes an optimizer.

    Examples
    --------
    >>> type(make_optimizer("adam", torch.nn.Linear(2, 1).parameters(), 1e-3)).__name__
    'Adam'
    """
    weights = list(parameters)
    kernels = ("cpu", "cuda", "mps")
    fused = all(weight.is_floating_point() and weight.device.type in kernels for weight in weights) or None
    if name == "sgd":
        return SGD(weights, learning_rate, 0.9, weight_decay=weight_decay, nesterov=True, fused=fused)
    kind: type[Adam] = {"adam": Adam, "adamw": AdamW}[name]
    return kind(weights, learning_rate, betas, weight_decay=weight_decay, fused=fused)


@final
class PlayerState:
    """One player during a run: its optimizer, learning rate and clipping, and all that is saved and restored.

    Parameters
    ----------
    player : the player.
    training : clipping, learning-rate schedule, and the optimizer if the player has none.
    learning_rate : of an optimizer made here.
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
        self.learning_rate = LearningRate(training.schedule, self.optimizer, steps)
        self.has_stepped = False
        self._loss, self._parts = player.loss, player.parts
        self._stateful = player.stateful
        self._after_step = player.after_step
        self._optimizer_step = OptimizerStep(
            self.optimizer, self.parameters, training.clip, player.gradient_hook
        )
        self._precision = precision

    def step(self, batch: Any) -> dict[str, Tensor]:
        """One optimizer step on the loss of `batch`; returns its terms, detached and still on the device.

        Only this player's parameters get a gradient: those of other players that the loss runs through keep
        theirs as it was.
        """
        while (terms := self._gradients(batch)) is None:
            pass
        self._optimizer_step.step()
        if self._after_step is not None:
            self._after_step()
        self.has_stepped = True
        return {name: term.detach() for name, term in terms.items()}

    def _gradients(self, batch: Any) -> Mapping[str, Tensor] | None:
        """Compute the gradients of a batch and return its terms; None when it must be run again in smaller parts."""
        carried = None if self._stateful is None else self._stateful.state_dict()
        try:
            self._optimizer_step.zero_grad()
            with self._precision:
                terms = self._loss(batch)
            self._optimizer_step.backward(terms["loss"])
            return terms
        except (RuntimeError, MemoryError) as error:
            if self._parts is None or not lacks_memory(error) or not self._parts.can_halve():
                raise
        # Only here, without the error, is the memory of the step free.
        self._optimizer_step.zero_grad()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self._stateful is not None:
            self._stateful.load_state_dict(carried)  # type: ignore[arg-type]
        self._halve(self._parts)
        return None

    def _halve(self, parts: RowParts) -> None:
        parts.halve()
        if parts.n == 2:  # once
            warnings.warn(
                "There is not enough memory for a step on a whole batch. From now on its rows are run in parts, whose"
                " gradients are added up: the loss stays that of the whole batch, and a step takes longer. Lower"
                " batch_size to avoid that.",
                RuntimeWarning,
                stacklevel=8,
            )

    def follow(self, rng: RNGStates) -> None:
        """Let the parts of a batch draw from these generators."""
        if self._parts is not None:
            self._parts.follow(rng)

    @torch.no_grad()
    def is_finite(self) -> bool:
        """Whether every weight, buffer and number of the optimizer is finite."""
        floats = [tensor for tensor in self._state_tensors() if tensor.is_floating_point() and tensor.numel()]
        if len({(tensor.device, tensor.dtype) for tensor in floats}) == 1:  # as below, without sorting them
            largest = torch.stack(torch._foreach_norm(floats, torch.inf)).max()
        else:
            largest = torch.nn.utils.get_total_norm(floats, torch.inf)  # the largest absolute value
        return bool(largest.isfinite())

    def state_dict(self) -> dict[str, Any]:
        """A copy of the whole state. The keys are those of checkpoint files: they stay."""
        return {
            "module": clone(self.module.state_dict()),
            "optimizer": clone(self.optimizer.state_dict()),
            "rate": clone(self.learning_rate.state_dict()),
            "memory": None if self._stateful is None else clone(self._stateful.state_dict()),
            "moved": self.has_stepped,
            **({PARTS_KEY: self._parts.n} if self._parts is not None and self._parts.n > 1 else {}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        check_form(FORM, state, "player", {})
        self._load(state, state["optimizer"]["param_groups"])
        self.learning_rate.load_state_dict(state["rate"])
        self.has_stepped = state["moved"]
        if self._parts is not None:
            self._parts.n = state.get(PARTS_KEY, 1)

    def roll_back(self, state: dict[str, Any]) -> None:
        """Restore weights, optimizer moments and the carried state; the learning rate stays as it is now."""
        self._load(state, self.optimizer.state_dict()["param_groups"])

    def _load(self, state: dict[str, Any], groups: list[dict[str, Any]]) -> None:
        self.module.load_state_dict(state["module"])
        fitting = fitting_state(self.optimizer, clone(state["optimizer"]["state"]), groups)
        self.optimizer.load_state_dict(fitting)
        self._optimizer_step.reset()
        if self._stateful is not None:
            self._stateful.load_state_dict(clone(state["memory"]))

    def _state_tensors(self) -> Iterator[Tensor]:
        yield from self.parameters
        yield from self.module.buffers()
        yield from tensors(list(self.optimizer.state.values()))


def clone(tree: Any) -> Any:
    """The same tree with a copy of every tensor; leaves of other types are shared."""
    if isinstance(tree, Tensor):
        return tree.detach().clone()
    if isinstance(tree, Mapping):
        return {key: clone(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)([clone(value) for value in tree])
    return tree


def tensors(tree: Any) -> Iterator[Tensor]:
    """The tensors of a tree, in order."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from tensors(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from tensors(value)
