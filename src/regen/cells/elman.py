"""Full feedback: every neuron hears the previous output of all neurons of its layer."""

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
    Where sources disagree: Elman's units were logistic; tanh is what is used since, and relu with U = 1 is
    the IRNN (Le et al. 2015). Elman has one bias; the two here are torch's and only their sum matters.

    Gates: none; ``weight_ih`` is the one block ``h``. State: ``h``, the output.

    Parameters
    ----------
    nonlinearity : f, "tanh" (bounded, hence the default) or "relu".
    """

    gates: ClassVar[tuple[str, ...]] = ("h",)
    states: ClassVar[tuple[str, ...]] = ("h",)

    nonlinearity: str = "tanh"

    def __post_init__(self) -> None:
        check_parameters("Elman", {"nonlinearity": Choice(tuple(NONLINEARITIES))}, vars(self))

    def shapes(self, I: int, H: int, bias: bool = True) -> dict[str, tuple[int, ...]]:  # noqa: E741
        """``weight_ih`` (H, I), ``weight_hh`` (H, H), ``bias_ih`` and ``bias_hh`` (H,)."""
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (H, I), "weight_hh": (H, H)}
        return shapes | ({"bias_ih": (H,), "bias_hh": (H,)} if bias else {})

    def state_sizes(self, H: int) -> tuple[int, ...]:
        """Width H of ``h``."""
        return (H,)

    def step(
        self,
        params: Parameters,
        wx_t: Float[Tensor, "B H"],
        state: State,
        keep: Float[Tensor, "B H"] | None = None,
    ) -> Step:
        """h_t = f(W x_t + b_ih + U h_{t-1} + b_hh); see `Cell.step`."""
        (h,) = state
        heard = h if keep is None else keep * h
        h = NONLINEARITIES[self.nonlinearity](wx_t + recur(params, heard))
        return h, (h,), {}
