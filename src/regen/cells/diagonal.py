"""Feedback of each unit to itself only: the recurrent matrix is a vector."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from jaxtyping import Float
from torch import Tensor

from regen._check import Choice, check_parameters
from regen.cells._cell import NONLINEARITIES, Cell, Parameters, State, Step


@final
@dataclass(frozen=True)
class Diagonal(Cell):
    """The independently recurrent network: every unit receives only its own previous output::

        h_t = f(W x_t + b_ih + u * h_{t-1})               W: weight_ih  u: weight_hh

    Source: Li et al., "Independently recurrent neural network (IndRNN)", CVPR 2018, eq. 2; the idea of
    self-connected context units is Mozer's (1989).
    Where sources disagree: IndRNN uses relu and bounds ``|u|`` by 2**(1/T) during training; here the default
    is tanh, as in the other cells, and u is free. One bias: a second one would only add to the first.

    Gates: none; ``weight_ih`` is the one block ``h``. State: ``h``, the output.
    Weights: ``weight_ih`` (H, I), ``weight_hh`` (H,), ``bias_ih`` (H,).
    Initialisation: u from U(0, 1) with "auto", random signs with "orthogonal" (the orthogonal diagonal
    matrices), 1 with "identity".

    Parameters
    ----------
    nonlinearity : {"tanh", "relu"}, default="tanh"
        The function f. The default is bounded.

    See Also
    --------
    Elman : Feedback of all units.

    Examples
    --------
    >>> from regen.cells import Diagonal
    >>> Diagonal().shapes(3, 4)
    {'weight_ih': (4, 3), 'weight_hh': (4,), 'bias_ih': (4,)}
    """

    gates: ClassVar[tuple[str, ...]] = ("h",)
    states: ClassVar[tuple[str, ...]] = ("h",)
    gate_names: ClassVar[Mapping[str, str]] = {"h": "state"}
    removal: ClassVar[Mapping[str, float]] = {"state": 0.0}

    nonlinearity: str = "tanh"

    def __post_init__(self) -> None:
        check_parameters("Diagonal", {"nonlinearity": Choice(tuple(NONLINEARITIES))}, vars(self))

    def shapes(self, I: int, H: int, bias: bool = True) -> dict[str, tuple[int, ...]]:  # noqa: E741
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (H, I), "weight_hh": (H,)}
        return shapes | ({"bias_ih": (H,)} if bias else {})

    def activations(self) -> dict[str, str]:
        return {"state": self.nonlinearity}

    def state_sizes(self, H: int) -> tuple[int, ...]:
        return (H,)

    def step(
        self,
        params: Parameters,
        wx_t: Float[Tensor, "B H"],
        state: State,
        keep: Float[Tensor, "B H"] | None = None,
    ) -> Step:
        (h,) = state
        h_in = h if keep is None else keep * h
        h = NONLINEARITIES[self.nonlinearity](wx_t + params["weight_hh"] * h_in)
        return h, (h,), {}
