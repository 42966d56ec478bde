"""Feedback from the network's output: the readout is fed back instead of the hidden layer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regen._check import Choice, Int, check_parameters
from regen.cells._cell import NONLINEARITIES, Cell, Parameters, State, Step


@final
@dataclass(frozen=True)
class Jordan(Cell):
    """The Jordan network: the readout, not the hidden layer, is fed back::

        h_t = f(W x_t + b_ih + U y_{t-1})                 W: weight_ih  U: weight_yh
        y_t = V h_t + b_hy                                V: weight_hy

    Source: Jordan, "Serial order: a parallel distributed processing approach", ICS report 8604, 1986.
    Where sources disagree: Jordan's state units also receive their own value with a fixed decay, and his
    readout is logistic; here, as in later textbook forms, the readout is linear and fed back once.

    Gates: none; ``weight_ih`` is the one block ``h``, returned as gate ``h`` since it is not the output.
    State: ``y``, the output, of width P.
    Weights: ``weight_ih`` (H, I), ``weight_yh`` (H, P), ``weight_hy`` (P, H), ``bias_ih`` (H,), ``bias_hy`` (P,).

    Parameters
    ----------
    nonlinearity : {"tanh", "relu"}, default="tanh"
        The function f. The default is bounded.
    proj_size : int, default=0
        P, the width of the readout y. 0 is the width H of h.

    See Also
    --------
    Elman : Feedback of the hidden layer.

    Examples
    --------
    >>> from regen.cells import Jordan
    >>> Jordan(proj_size=2).state_sizes(4)
    (2,)
    """

    gates: ClassVar[tuple[str, ...]] = ("h",)
    states: ClassVar[tuple[str, ...]] = ("y",)
    gate_names: ClassVar[Mapping[str, str]] = {"h": "hidden", "y": "state"}
    removal: ClassVar[Mapping[str, float]] = {"hidden": 0.0}

    nonlinearity: str = "tanh"
    proj_size: int = 0

    def __post_init__(self) -> None:
        table = {"nonlinearity": Choice(tuple(NONLINEARITIES)), "proj_size": Int(0)}
        check_parameters("Jordan", table, vars(self))

    def shapes(self, I: int, H: int, bias: bool = True) -> dict[str, tuple[int, ...]]:  # noqa: E741
        (P,) = self.state_sizes(H)
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (H, I), "weight_yh": (H, P), "weight_hy": (P, H)}
        return shapes | ({"bias_ih": (H,), "bias_hy": (P,)} if bias else {})

    def activations(self) -> dict[str, str]:
        return {"hidden": self.nonlinearity}

    def state_sizes(self, H: int) -> tuple[int, ...]:
        return (self.proj_size or H,)

    def step(
        self,
        params: Parameters,
        wx_t: Float[Tensor, "B H"],
        state: State,
        keep: Float[Tensor, "B P"] | None = None,
    ) -> Step:
        (y,) = state
        y_in = y if keep is None else keep * y
        h = NONLINEARITIES[self.nonlinearity](wx_t + F.linear(y_in, params["weight_yh"]))
        y = F.linear(h, params["weight_hy"], params.get("bias_hy"))
        return y, (y,), {"h": h}
