"""Memory without a separate context: one gate mixes the old output and the new."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from regen._check import Choice, check_parameters
from regen.cells import _cell
from regen.cells._cell import Cell, Parameters, State, Step, gate_bias, known_lag, recur


@final
@dataclass(frozen=True)
class GRU(Cell):
    """Gated recurrent unit, in its two published forms::

        r_t = sigmoid(W_r x_t + b_r + U_r h_{t-1} + b_hr)           reset gate: how much of h_{t-1} is used
        z_t = sigmoid(W_z x_t + b_z + U_z h_{t-1} + b_hz)           update gate: how much of h_{t-1} is kept
        n_t = tanh(W_n x_t + b_n + r_t * (U_n h_{t-1} + b_hn))      candidate, reset="after"
        n_t = tanh(W_n x_t + b_n + U_n (r_t * h_{t-1}) + b_hn)      candidate, reset="before"
        h_t = (1 - z_t) * n_t + z_t * h_{t-1}                       output

    W: weight_ih, U: weight_hh, b: bias_ih, b_h: bias_hh, each with its blocks in torch's order r, z, n.

    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014.
    Where sources disagree: the reset gate acts before the recurrent product in the published paper and in
    ONNX (``linear_before_reset=0``), after it in arXiv v1 (1406.1078v1), cuDNN, torch and Keras
    (``reset_after``), where one matrix product serves all gates. z keeps the past in Cho et al., torch and
    ONNX; it weights the candidate in Chung et al. 2014.

    Gates: ``r``, ``z``, ``n``, each (B, H). State: ``h``, the output.
    Weights: ``weight_ih`` (3H, I), ``weight_hh`` (3H, H), ``bias_ih`` and ``bias_hh`` (3H,).
    Initialisation: with "chrono" b_z = log(U(1, max_lag - 1)), z being the gate that keeps; `forget_bias` is
    not used.

    Parameters
    ----------
    reset : {"after", "before"}, default="after"
        Whether the reset gate acts after or before the recurrent product. The default is that of ``torch.nn``.

    See Also
    --------
    LSTM : Memory with a separate context.

    Examples
    --------
    >>> from regen.cells import GRU
    >>> GRU("before").gates
    ('r', 'z', 'n')
    """

    gates: ClassVar[tuple[str, ...]] = ("r", "z", "n")
    states: ClassVar[tuple[str, ...]] = ("h",)
    gate_names: ClassVar[Mapping[str, str]] = {"r": "reset", "z": "update", "n": "candidate", "h": "state"}
    kept_by: ClassVar[str] = "update"
    removal: ClassVar[Mapping[str, float]] = {"update": 0.0, "candidate": 0.0}

    reset: str = "after"

    def __post_init__(self) -> None:
        check_parameters("GRU", {"reset": Choice(("after", "before"))}, vars(self))

    def shapes(self, I: int, H: int, bias: bool = True) -> dict[str, tuple[int, ...]]:  # noqa: E741
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (3 * H, I), "weight_hh": (3 * H, H)}
        return shapes | ({"bias_ih": (3 * H,), "bias_hh": (3 * H,)} if bias else {})

    def activations(self) -> dict[str, str]:
        return {"reset": "sigmoid", "update": "sigmoid", "candidate": "tanh"}

    def state_sizes(self, H: int) -> tuple[int, ...]:
        return (H,)

    def step(
        self,
        params: Parameters,
        wx_t: Float[Tensor, "B GH"],
        state: State,
        keep: Float[Tensor, "B H"] | None = None,
    ) -> Step:
        (h,) = state
        H = h.shape[-1]
        h_in = h if keep is None else keep * h
        wr, wz, wn = wx_t.chunk(3, -1)
        if self.reset == "after":
            ur, uz, un = recur(params, h_in).chunk(3, -1)
        else:
            ur, uz = recur(params, h_in, slice(2 * H)).chunk(2, -1)
        r, z = torch.sigmoid(wr + ur), torch.sigmoid(wz + uz)
        un = r * un if self.reset == "after" else recur(params, r * h_in, slice(2 * H, None))
        n = torch.tanh(wn + un)
        h = (1 - z) * n + z * h
        return h, (h,), {"r": r, "z": z, "n": n}

    def init_chrono(self, params: Parameters, max_lag: int | None, generator: torch.Generator | None) -> None:
        _cell.lags(gate_bias(params, 1, params["weight_ih"].shape[0] // 3), known_lag(max_lag), generator)
