"""Recurrent nets, drop-in for those of ``torch.nn``: same arguments, weights and numbers, and more."""

from typing import Any, final

import torch

from regen import cells
from regen._check import closest
from regen.cells import Cell, Diagonal, Elman, Init, Jordan, named
from regen.nets._recurrent import Recurrent

_PLAIN = ("elman", "diagonal", "jordan")

__all__ = ["GRU", "LSTM", "RNN", "Recurrent", "recurrent"]


@final
class RNN(Recurrent):
    """Elman network as ``torch.nn.RNN``, or the diagonal or Jordan one with ``cell``.

    Parameters
    ----------
    input_size, hidden_size, num_layers, nonlinearity, bias, batch_first, dropout, bidirectional, device,
        dtype : as ``torch.nn.RNN``, in the same order and with the same defaults.
    cell : "elman", "diagonal", "jordan", or such a cell (``Jordan(proj_size=3)``) with its own options, its
        nonlinearity among them.
    recurrent_dropout : probability that a previous output is not heard by the recurrent matrix, one draw per
        sequence (Gal & Ghahramani 2016); 0 since dropout between layers comes first.
    zoneout : probability that a state keeps its old value (Krueger et al. 2017): a number, or a tuple
        with one for each state.
    init : a word or an `Init`; see `Cell.initialise`. "torch" is that of ``torch.nn``; the default "auto"
        remembers longer.
    backend : "auto", "native", "torch" or "reference"; see `regen.kernels.choose`.
    memory : what training keeps for the backward pass on the native backend: every gate ("normal"), or as little as
        the gates can be computed again from ("low": less than half the memory, more time). The other
        backends keep what torch keeps.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        cell: str | Cell = "elman",
        recurrent_dropout: float = 0.0,
        zoneout: float | tuple[float, ...] = 0.0,
        init: str | Init = "auto",
        backend: str = "auto",
        memory: str = "normal",
    ) -> None:
        if isinstance(cell, str):
            cell = named(cell, nonlinearity=nonlinearity) if cell in _PLAIN else named(cell)
        if not isinstance(cell, Elman | Diagonal | Jordan):
            raise ValueError(
                f"RNN runs the cells {', '.join(map(repr, _PLAIN))}. Got {cell} instead. "
                f"Use regen.nn.{type(cell).__name__}."
            )
        if nonlinearity not in ("tanh", cell.nonlinearity):
            raise ValueError(
                f"RNN was given nonlinearity={nonlinearity!r} and a cell with its own, {cell}. "
                f"Give it to the cell: {type(cell).__name__}(nonlinearity={nonlinearity!r})."
            )
        super().__init__(
            cell, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device, dtype, recurrent_dropout, zoneout, init, backend, memory,
        )  # fmt: skip


@final
class LSTM(Recurrent):
    """Long short-term memory as ``torch.nn.LSTM``, and what that lacks.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype :
        as ``torch.nn.LSTM``, in the same order and with the same defaults.
    peephole : "none", "output" (the output gate sees c_t) or "full" (the other two see c_{t-1} as well).
    recurrent_dropout, zoneout, init, backend, memory : as `RNN`; zoneout may be a pair for (h, c). Krueger et al. use
        (0.05, 0.5) for language.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        peephole: str = "none",
        recurrent_dropout: float = 0.0,
        zoneout: float | tuple[float, ...] = 0.0,
        init: str | Init = "auto",
        backend: str = "auto",
        memory: str = "normal",
    ) -> None:
        super().__init__(
            cells.LSTM(peephole, proj_size), input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, device, dtype, recurrent_dropout, zoneout, init, backend, memory,
        )  # fmt: skip
        self.proj_size = proj_size


@final
class GRU(Recurrent):
    """Gated recurrent unit as ``torch.nn.GRU``, and with the reset gate where ONNX and Cho et al. have it.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype :
        as ``torch.nn.GRU``, in the same order and with the same defaults.
    reset : "after" the recurrent product, or "before" it.
    recurrent_dropout, zoneout, init, backend, memory : as `RNN`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        reset: str = "after",
        recurrent_dropout: float = 0.0,
        zoneout: float | tuple[float, ...] = 0.0,
        init: str | Init = "auto",
        backend: str = "auto",
        memory: str = "normal",
    ) -> None:
        super().__init__(
            cells.GRU(reset), input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device, dtype, recurrent_dropout, zoneout, init, backend, memory,
        )  # fmt: skip


def recurrent(cell: str | Cell, input_size: int, hidden_size: int, **options: Any) -> Recurrent:
    """The net that runs `cell`, batch first unless told otherwise: ``recurrent("gru", 3, 32, num_layers=2)``.

    Parameters
    ----------
    cell : a name of `regen.cells.NAMES`, or a cell.
    options : those of the cell, when it is a name, and those of `RNN`, `LSTM` and `GRU`.

    Raises
    ------
    ValueError : unknown cell or option (the closest one is offered).
    """
    if isinstance(cell, str):
        own = {name: options.pop(name) for name in cells.options(cell) if name in options}
        cell = named(cell, **own)
    for option in options:
        if option not in _OPTIONS:
            raise ValueError(f"A recurrent net has no option {option!r}.{closest(option, _OPTIONS)}")
    options = {"batch_first": True} | options
    if isinstance(cell, cells.LSTM):
        return LSTM(input_size, hidden_size, peephole=cell.peephole, proj_size=cell.proj_size, **options)
    if isinstance(cell, cells.GRU):
        return GRU(input_size, hidden_size, reset=cell.reset, **options)
    return RNN(input_size, hidden_size, cell=cell, **options)


_OPTIONS = (
    "num_layers", "bias", "batch_first", "dropout", "bidirectional", "device", "dtype",
    "recurrent_dropout", "zoneout", "init", "backend", "memory",
)  # fmt: skip
