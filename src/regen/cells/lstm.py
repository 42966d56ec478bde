"""Memory cells with gates that write, keep and read the context."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regen._check import Choice, Int, check_parameters
from regen.cells import _cell
from regen.cells._cell import Cell, Parameters, State, Step, gate_bias, known_lag, recur


@final
@dataclass(frozen=True)
class LSTM(Cell):
    """Long short-term memory, with or without peepholes from the context to the gates::

        i_t = sigmoid(W_i x_t + b_i + U_i h_{t-1} + w_ci * c_{t-1})      input gate: how much is written
        f_t = sigmoid(W_f x_t + b_f + U_f h_{t-1} + w_cf * c_{t-1})      forget gate: how much is kept
        g_t = tanh(W_g x_t + b_g + U_g h_{t-1})                          what would be written
        c_t = f_t * c_{t-1} + i_t * g_t                                  context
        o_t = sigmoid(W_o x_t + b_o + U_o h_{t-1} + w_co * c_t)          output gate: how much is read
        h_t = o_t * tanh(c_t)                                            output; R h_t with a projection

    W: weight_ih, U: weight_hh, each with its blocks in the order i, f, g, o of ``torch.nn``; b = b_ih + b_hh;
    R: weight_hr; w_ci, w_cf, w_co: weight_ci, weight_cf, weight_co.

    Source: Hochreiter & Schmidhuber, "Long short-term memory", 1997; forget gate Gers et al. 2000; peepholes
    Gers & Schmidhuber 2000; projection Sak et al. 2014.
    Where sources disagree: the 1997 cell has no forget gate. Peepholes are vectors here, in ONNX and
    with Gers; some texts write them as matrices (diagonal ones in Graves 2013). The output gate uses
    the new context c_t, the other two the old one.

    Gates: ``i``, ``f``, ``g``, ``o`` and the context ``c``, each (B, H). States: ``h`` (B, P), ``c`` (B, H).
    Weights: ``weight_ih`` (4H, I), ``weight_hh`` (4H, P), ``bias_ih`` and ``bias_hh`` (4H,), ``weight_hr`` (P, H),
    ``weight_ci``, ``weight_cf``, ``weight_co`` (H,).
    Initialisation: the forget gate's bias is `forget_bias`, 1 by default; with "chrono" it is
    b_f = log(U(1, max_lag - 1)), and b_i = -b_f. Peepholes start at zero: the plain LSTM.

    Parameters
    ----------
    peephole : {"none", "output", "full"}, default="none"
        Gates with a peephole: none as in ``torch.nn``, o to c_t, or also i and f to c_{t-1}.
    proj_size : int, default=0
        P, the width of the projected output. 0 is no projection, P = H.

    See Also
    --------
    GRU : Memory without a separate context.
    regen.nn.LSTM : The net of this cell.

    Examples
    --------
    >>> from regen.cells import LSTM
    >>> LSTM("output").shapes(3, 4, bias=False)
    {'weight_ih': (16, 3), 'weight_hh': (16, 4), 'weight_co': (4,)}
    """

    gates: ClassVar[tuple[str, ...]] = ("i", "f", "g", "o")
    states: ClassVar[tuple[str, ...]] = ("h", "c")
    gate_names: ClassVar[Mapping[str, str]] = {
        "i": "input",
        "f": "forget",
        "g": "candidate",
        "o": "output",
        "c": "context",
        "h": "state",
    }
    kept_by: ClassVar[str] = "forget"
    removal: ClassVar[Mapping[str, float]] = {"output": 0.0}

    peephole: str = "none"
    proj_size: int = 0

    def __post_init__(self) -> None:
        table = {"peephole": Choice(("none", "output", "full")), "proj_size": Int(0)}
        check_parameters("LSTM", table, vars(self))

    def shapes(self, I: int, H: int, bias: bool = True) -> dict[str, tuple[int, ...]]:  # noqa: E741
        P, _ = self.state_sizes(H)
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (4 * H, I), "weight_hh": (4 * H, P)}
        shapes |= {"bias_ih": (4 * H,), "bias_hh": (4 * H,)} if bias else {}
        shapes |= {"weight_hr": (P, H)} if self.proj_size else {}
        peepholes = {"none": (), "output": ("weight_co",), "full": ("weight_ci", "weight_cf", "weight_co")}
        return shapes | dict.fromkeys(peepholes[self.peephole], (H,))

    def activations(self) -> dict[str, str]:
        return {"input": "sigmoid", "forget": "sigmoid", "candidate": "tanh", "output": "sigmoid"}

    def state_sizes(self, H: int) -> tuple[int, ...]:
        return (self.proj_size or H, H)

    def step(
        self,
        params: Parameters,
        wx_t: Float[Tensor, "B GH"],
        state: State,
        keep: Float[Tensor, "B P"] | None = None,
    ) -> Step:
        h, c = state
        h_in = h if keep is None else keep * h
        i, f, g, o = (wx_t + recur(params, h_in)).chunk(4, -1)
        if self.peephole == "full":
            i, f = i + params["weight_ci"] * c, f + params["weight_cf"] * c
        i, f, g = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g)
        c = f * c + i * g
        if self.peephole != "none":
            o = o + params["weight_co"] * c
        o = torch.sigmoid(o)
        h = o * torch.tanh(c)
        if self.proj_size:
            h = F.linear(h, params["weight_hr"])
        return h, (h, c), {"i": i, "f": f, "g": g, "o": o, "c": c}

    def init_chrono(self, params: Parameters, max_lag: int | None, generator: torch.Generator | None) -> None:
        H = params["weight_ih"].shape[0] // 4
        forget = gate_bias(params, 1, H)
        _cell.lags(forget, known_lag(max_lag), generator)
        gate_bias(params, 0, H).copy_(-forget)

    def init_forget_bias(self, params: Parameters, forget_bias: float) -> None:
        if "bias_ih" in params:
            gate_bias(params, 1, params["weight_ih"].shape[0] // 4).fill_(forget_bias)
