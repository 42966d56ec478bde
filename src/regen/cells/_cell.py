"""The contract that every cell keeps: what a recurrent equation must tell to be run, initialised and drawn.

Letters: `B` batch, `T` time, `I` input features, `H` hidden units, `G` gates, `P` size of the fed-back output.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Parameters: TypeAlias = Mapping[str, Tensor]
State: TypeAlias = tuple[Tensor, ...]
Gates: TypeAlias = dict[str, Tensor]


class Cell(ABC):
    """One recurrent equation: the network of a single time step, before it is unfolded.

    A cell holds no numbers. Its parameters come as a mapping from name to tensor, named and shaped as in
    ``torch.nn`` (without the layer suffix), so weights travel both ways unchanged.
    """

    gates: ClassVar[tuple[str, ...]]
    """Blocks of H rows in ``weight_ih``, in the order of ``torch.nn``."""
    states: ClassVar[tuple[str, ...]]
    """What is carried from step to step. The first is the cell's output."""

    @abstractmethod
    def shapes(self, I: int, H: int, bias: bool = True) -> dict[str, tuple[int, ...]]:  # noqa: E741
        """Name and shape of every parameter for I input features and H hidden units."""

    @abstractmethod
    def state_sizes(self, H: int) -> tuple[int, ...]:
        """Width of each of `states` for H hidden units."""

    @abstractmethod
    def step(
        self, params: Parameters, wx_t: Tensor, state: State, keep: Tensor | None = None
    ) -> tuple[Tensor, State, Gates]:
        """Advance one time step.

        Parameters
        ----------
        params : the cell's parameters, as `shapes` lists them.
        wx_t : (B, G*H), the projected input W x_t + b_ih of this step.
        state : one (B, size) tensor for each of `states`, as the previous step left it.
        keep : (B, P) factors on what the recurrent matrix hears (variational dropout), or None.

        Returns
        -------
        (B, P) output, the new state, and the gates and contexts by name, each (B, H).
        """

    @abstractmethod
    def initialise(
        self,
        params: Parameters,
        init: str = "auto",
        generator: torch.Generator | None = None,
        forget_bias: float = 1.0,
        max_lag: int | None = None,
    ) -> None:
        """Fill `params` in place; each cell documents its choices."""

    def project(self, params: Parameters, x: Float[Tensor, "*batch I"]) -> Float[Tensor, "*batch GH"]:
        """W x + b_ih for any number of steps in one matrix product."""
        return F.linear(x, params["weight_ih"], params.get("bias_ih"))
