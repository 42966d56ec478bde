"""Full feedback: every unit receives the previous output of all units of its layer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from jaxtyping import Float
from torch import Tensor

from regen._check import Choice, check_parameters
from regen.cells._cell import NONLINEARITIES, Cell, Parameters, State, Step, recur


@final
@dataclass(frozen=True)
class Elman(Cell):
    """The simple recurrent network of ``torch.nn.RNN``::

        h_t = f(W x_t + b_ih + U h_{t-1} + b_hh)          W: weight_ih  U: weight_hh

    Source: Elman, "Finding structure in time", Cognitive Science 14, 1990.
    Where sources disagree: Elman's units were logistic; tanh has been used since, and relu with U = 1 is
    the IRNN (Le et al. 2015). Elman has one bias; the two here are torch's and only their sum matters.

    Gates: none; ``weight_ih`` is the one block ``h``. State: ``h``, the output.
    Weights: ``weight_ih`` (H, I), ``weight_hh`` (H, H), ``bias_ih`` and ``bias_hh`` (H,).

    Parameters
    ----------
    nonlinearity : {"tanh", "relu"}, default="tanh"
        The function f. The default is bounded.

    See Also
    --------
    Diagonal : Feedback of each unit to itself.
    Jordan : Feedback from the output of the network.

    Examples
    --------
    >>> from regen.cells import Elman
    >>> Elman("relu").shapes(3, 4, bias=False)
    {'weight_ih': (4, 3), 'weight_hh': (4, 4)}
    """

    gates: ClassVar[tuple[str, ...]] = ("h",)
    states: ClassVar[tuple[str, ...]] = ("h",)
    gate_names: ClassVar[Mapping[str, str]] = {"h": "state"}
    removal: ClassVar[Mapping[str, float]] = {"state": 0.0}

    nonlinearity: str = "tanh"

    def __post_init__(self) -> None:
        check_parameters("Elman", {"nonlinearity": Choice(tuple(NONLINEARITIES))}, vars(self))

    def shapes(self, I: int, H: int, bias: bool = True) -> dict[str, tuple[int, ...]]:  # noqa: E741
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (H, I), "weight_hh": (H, H)}
        return shapes | ({"bias_ih": (H,), "bias_hh": (H,)} if bias else {})

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
        h = NONLINEARITIES[self.nonlinearity](wx_t + recur(params, h_in))
        return h, (h,), {}
