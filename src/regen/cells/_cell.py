"""The contract that every cell keeps: what a recurrent equation must tell to be run, initialised and drawn.

Letters: `B` batch, `T` time, `I` input features, `H` hidden units, `G` gates, `P` width of the output.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regen._check import check_parameters
from regen.cells import _initialization

Parameters: TypeAlias = Mapping[str, Tensor]
State: TypeAlias = tuple[Tensor, ...]
Gates: TypeAlias = dict[str, Tensor]
Step: TypeAlias = tuple[Tensor, State, Gates]

NONLINEARITIES = {"tanh": torch.tanh, "relu": torch.relu}


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
    def step(self, params: Parameters, wx_t: Tensor, state: State, keep: Tensor | None = None) -> Step:
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

    def project(self, params: Parameters, x: Float[Tensor, "*batch I"]) -> Float[Tensor, "*batch GH"]:
        """W x + b_ih for any number of steps in one matrix product."""
        return F.linear(x, params["weight_ih"], params.get("bias_ih"))

    def initialise(
        self,
        params: Parameters,
        init: str = "auto",
        generator: torch.Generator | None = None,
        forget_bias: float = 1.0,
        max_lag: int | None = None,
    ) -> None:
        """Fill `params` in place.

        Parameters
        ----------
        params : the cell's parameters, as `shapes` lists them.
        init : how the past is to be remembered at the start.

            - ``"auto"``, ``"orthogonal"``: input and readout matrices U(-a, a), a² = 6 / (rows + columns),
              gate by gate (Glorot & Bengio 2010); recurrent matrices orthogonal, gate by gate, so that the
              past neither fades nor explodes by multiplication (Saxe et al. 2014); the rest zero.
            - ``"identity"``: recurrent matrices the identity, input matrices of standard deviation 0.001
              (IRNN, Le et al. 2015).
            - ``"chrono"``: as "auto", with the gates that keep the past biased so that memories last from
              1 to `max_lag` steps (Tallec & Ollivier 2018).
            - ``"torch"``: everything U(-1/sqrt(H), 1/sqrt(H)), drawn as ``torch.nn`` does from the same seed.
        generator : source of the draws; None is torch's global one.
        forget_bias : where the LSTM's forget gate starts; 1 lets the first gradients through (Gers et al.
            2000; Jozefowicz et al. 2015). Not used by "torch" and "chrono", nor without a forget gate.
        max_lag : the longest lag to be remembered, in steps, at least 3; "chrono" needs it.
        """
        given = {"init": init, "forget_bias": forget_bias, "max_lag": max_lag}
        check_parameters(type(self).__name__, _initialization.STARTS, given)
        with torch.no_grad():
            if init == "torch":
                H = params["weight_ih"].shape[0] // len(self.gates)
                _initialization.uniform(params.values(), H, generator)
                return
            for name, parameter in params.items():
                _initialization.fill(name, parameter, len(self.gates), init, generator)
            if init == "chrono":
                self._remember(params, max_lag, generator)
            else:
                self._open(params, forget_bias)

    def _remember(self, params: Parameters, max_lag: int | None, generator: torch.Generator | None) -> None:
        """Bias the gates for memories of 1 to `max_lag` steps; refused by cells without such a gate."""
        raise ValueError(
            f"init='chrono' sets the biases of gates and {type(self).__name__} has none. "
            "Use init='orthogonal' or init='identity'."
        )

    def _open(self, params: Parameters, forget_bias: float) -> None:  # noqa: B027
        """Start the forget gate at `forget_bias`; nothing to do without one."""


def recur(params: Parameters, heard: Tensor, rows: slice | None = None) -> Tensor:
    """U h + b_hh: what the recurrent matrix, or some rows of it, makes of the previous output."""
    U, b = params["weight_hh"], params.get("bias_hh")
    if rows is not None:
        U, b = U[rows], None if b is None else b[rows]
    return F.linear(heard, U, b)


def gate_bias(params: Parameters, gate: int, H: int) -> Tensor:
    """The part of ``bias_ih`` that belongs to one gate; refused when the cell has no bias."""
    if "bias_ih" not in params:
        raise ValueError("init='chrono' sets the biases of gates and bias=False leaves none. Use bias=True.")
    return params["bias_ih"][gate * H : (gate + 1) * H]


def known_lag(max_lag: int | None) -> int:
    """`max_lag`, refused when it was not given."""
    if max_lag is None:
        raise ValueError(
            "init='chrono' needs max_lag, the longest lag to be remembered in steps. Got None instead."
        )
    return max_lag
