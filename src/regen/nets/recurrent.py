"""Recurrent nets, drop-in replacements of those of ``torch.nn``: same arguments, weights and results."""

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
    """Recurrent net of Elman, diagonal or Jordan cells.

    As in ``torch.nn``, with the same arguments, defaults and weights; options of regen are keywords.

    Parameters
    ----------
    input_size : int
        I, input features.
    hidden_size : int
        H, hidden units.
    num_layers : int, default=1
        Layers, each on the output of the previous one.
    nonlinearity : {"tanh", "relu"}, default="tanh"
        Activation of a `cell` given by name.
    bias : bool, default=True
        Whether the cells have biases.
    batch_first : bool, default=False
        Whether input and output are (B, T, features) and not (T, B, features).
    dropout : float, default=0.0
        Probability that an output is zeroed for the next layer, in training.
    bidirectional : bool, default=False
        Whether each layer also runs backward in time.
    device : torch.device or str, default=None
        Device of the weights.
    dtype : torch.dtype, default=None
        Type of the weights.
    cell : {"elman", "diagonal", "jordan"} or Cell, default="elman"
        The recurrent equation. The default is that of ``torch.nn.RNN``. A cell such as ``Jordan(proj_size=3)`` has
        its own nonlinearity.
    recurrent_dropout : float, default=0.0
        Probability that a previous output is zeroed before the recurrent matrix, one mask per sequence (Gal &
        Ghahramani 2016). 0 because dropout between layers comes first.
    zoneout : float or tuple of float, default=0.0
        Probability that a state keeps its old value (Krueger et al. 2017): one number, or one for each state.
    init : str or Init, default="auto"
        Distribution of the initial weights, see `regen.cells.Cell.initialise`. "auto" keeps memories longer than
        "torch", that of ``torch.nn``.
    backend : {"auto", "native", "torch", "reference"}, default="auto"
        Who runs the cells. "auto" takes the fastest that supports the run; see `regen.kernels.choose`.
    memory : {"normal", "low"}, default="normal"
        What training with the native backend saves for the backward pass: every gate, or as little as the gates can
        be recomputed from (less than half the memory, more time). Other backends save what torch saves.

    See Also
    --------
    LSTM : Memory cells with a context.
    GRU : Memory cells without a context.

    Examples
    --------
    >>> import torch
    >>> from regen.nn import RNN
    >>> net = RNN(3, 4, batch_first=True, cell="diagonal")
    >>> output, h = net(torch.zeros(2, 5, 3))
    >>> output.shape
    torch.Size([2, 5, 4])
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
        if isinstance(cell, cells.LSTM | cells.GRU):
            raise ValueError(
                f"RNN runs the cells {', '.join(map(repr, _PLAIN))}. Got {cell} instead. "
                f"Use regen.nn.{type(cell).__name__}."
            )
        own = cell.nonlinearity if isinstance(cell, Elman | Diagonal | Jordan) else "tanh"
        if nonlinearity not in ("tanh", own):
            raise ValueError(
                f"RNN was given nonlinearity={nonlinearity!r} and a cell with its own, {cell}. "
                f"Give it to the cell: {type(cell).__name__}(nonlinearity={nonlinearity!r})."
            )
        super().__init__(
            cell, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device, dtype, recurrent_dropout, zoneout, init, backend, memory,
        )  # fmt: skip
        self.nonlinearity = own


@final
class LSTM(Recurrent):
    """Long short-term memory.

    As in ``torch.nn``, with the same arguments, defaults and weights; options of regen are keywords.

    Parameters
    ----------
    input_size : int
        I, input features.
    hidden_size : int
        H, hidden units.
    num_layers : int, default=1
        Layers, each on the output of the previous one.
    bias : bool, default=True
        Whether the cells have biases.
    batch_first : bool, default=False
        Whether input and output are (B, T, features) and not (T, B, features).
    dropout : float, default=0.0
        Probability that an output is zeroed for the next layer, in training.
    bidirectional : bool, default=False
        Whether each layer also runs backward in time.
    proj_size : int, default=0
        P, the width of the projected output. 0 is no projection.
    device : torch.device or str, default=None
        Device of the weights.
    dtype : torch.dtype, default=None
        Type of the weights.
    peephole : {"none", "output", "full"}, default="none"
        Gates with a peephole: none as in ``torch.nn``, the output gate to c_t, or also the other two to c_{t-1}.
    recurrent_dropout : float, default=0.0
        Probability that a previous output is zeroed before the recurrent matrix, one mask per sequence (Gal &
        Ghahramani 2016). 0 because dropout between layers comes first.
    zoneout : float or tuple of float, default=0.0
        Probability that a state keeps its old value (Krueger et al. 2017): one number, or one for each state. Krueger
        et al. use (0.05, 0.5) for language.
    init : str or Init, default="auto"
        Distribution of the initial weights, see `regen.cells.Cell.initialise`. "auto" keeps memories longer than
        "torch", that of ``torch.nn``.
    backend : {"auto", "native", "torch", "reference"}, default="auto"
        Who runs the cells. "auto" takes the fastest that supports the run; see `regen.kernels.choose`.
    memory : {"normal", "low"}, default="normal"
        What training with the native backend saves for the backward pass: every gate, or as little as the gates can
        be recomputed from (less than half the memory, more time). Other backends save what torch saves.

    See Also
    --------
    GRU : Memory cells without a context.
    regen.cells.LSTM : The equations.

    Examples
    --------
    >>> import torch
    >>> from regen.nn import LSTM
    >>> net = LSTM(3, 4, batch_first=True, peephole="full")
    >>> output, (h, c) = net(torch.zeros(2, 5, 3))
    >>> output.shape
    torch.Size([2, 5, 4])
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


@final
class GRU(Recurrent):
    """Gated recurrent unit.

    As in ``torch.nn``, with the same arguments, defaults and weights; options of regen are keywords.

    Parameters
    ----------
    input_size : int
        I, input features.
    hidden_size : int
        H, hidden units.
    num_layers : int, default=1
        Layers, each on the output of the previous one.
    bias : bool, default=True
        Whether the cells have biases.
    batch_first : bool, default=False
        Whether input and output are (B, T, features) and not (T, B, features).
    dropout : float, default=0.0
        Probability that an output is zeroed for the next layer, in training.
    bidirectional : bool, default=False
        Whether each layer also runs backward in time.
    device : torch.device or str, default=None
        Device of the weights.
    dtype : torch.dtype, default=None
        Type of the weights.
    reset : {"after", "before"}, default="after"
        Whether the reset gate acts after the recurrent product, as in ``torch.nn``, or before it, as in ONNX and Cho
        et al.
    recurrent_dropout : float, default=0.0
        Probability that a previous output is zeroed before the recurrent matrix, one mask per sequence (Gal &
        Ghahramani 2016). 0 because dropout between layers comes first.
    zoneout : float or tuple of float, default=0.0
        Probability that a state keeps its old value (Krueger et al. 2017): one number, or one for each state.
    init : str or Init, default="auto"
        Distribution of the initial weights, see `regen.cells.Cell.initialise`. "auto" keeps memories longer than
        "torch", that of ``torch.nn``.
    backend : {"auto", "native", "torch", "reference"}, default="auto"
        Who runs the cells. "auto" takes the fastest that supports the run; see `regen.kernels.choose`.
    memory : {"normal", "low"}, default="normal"
        What training with the native backend saves for the backward pass: every gate, or as little as the gates can
        be recomputed from (less than half the memory, more time). Other backends save what torch saves.

    See Also
    --------
    LSTM : Memory cells with a context.
    regen.cells.GRU : The equations.

    Examples
    --------
    >>> import torch
    >>> from regen.nn import GRU
    >>> net = GRU(3, 4, batch_first=True)
    >>> output, h = net(torch.zeros(2, 5, 3))
    >>> output.shape
    torch.Size([2, 5, 4])
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
    """The net that runs a cell, batch first unless ``batch_first=False``.

    Parameters
    ----------
    cell : str or Cell
        One of `regen.cells.NAMES`, or a cell.
    input_size : int
        I, input features.
    hidden_size : int
        H, hidden units.
    **options : object
        Options of the cell, when it is a name, and of `RNN`, `LSTM` and `GRU`.

    Returns
    -------
    Recurrent
        An `RNN`, `LSTM` or `GRU`.

    Raises
    ------
    ValueError
        If the cell or an option is unknown.

    See Also
    --------
    regen.cells.named : The cell of a name.

    Examples
    --------
    >>> from regen.nets import recurrent
    >>> recurrent("gru", 3, 32, num_layers=2).num_layers
    2
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
