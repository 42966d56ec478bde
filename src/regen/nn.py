"""Drop-in replacements of ``torch.nn``: the same arguments, weights and results, with more cells and options.

`RNN`, `LSTM` and `GRU` run over sequences; `RNNCell`, `LSTMCell` and `GRUCell` compute one step.
"""

from abc import ABC, abstractmethod
from typing import Any, final

import torch
from torch import Tensor, nn

from regen import cells
from regen._check import Bool, Int, check_parameters
from regen.cells import Cell, Init, named
from regen.nets.recurrent import GRU, LSTM, RNN

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]

_PLAIN = ("elman", "diagonal", "jordan")
_TABLE = {"input_size": Int(1), "hidden_size": Int(1), "bias": Bool()}


class RecurrentCell(nn.Module, ABC):
    """One step of a cell with its weights: what `RNNCell`, `LSTMCell` and `GRUCell` have in common.

    Weights are named and shaped as in ``torch.nn``, so ``load_state_dict`` works both ways.

    Attributes
    ----------
    cell : Cell
        The recurrent equation.
    """

    cell: Cell
    weight_ih: Tensor

    @abstractmethod
    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        bias: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
        init: str | Init,
    ) -> None:
        super().__init__()
        self.cell, self.input_size, self.hidden_size, self.bias = cell, input_size, hidden_size, bias
        self.init = init
        check_parameters(type(self).__name__, _TABLE, vars(self))
        shapes = cell.shapes(input_size, hidden_size, bias)
        for name in cell.shapes(input_size, hidden_size):
            weight = torch.empty(shapes[name], device=device, dtype=dtype) if name in shapes else None
            self.register_parameter(name, None if weight is None else nn.Parameter(weight))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights from the distribution ``init``; see `regen.cells.Cell.initialise`.

        Parameters
        ----------
        generator : torch.Generator, default=None
            Random generator. None is torch's global one.
        """
        start = self.init if isinstance(self.init, Init) else Init(self.init)
        self.cell.initialise(self._weights(), start.init, generator, start.forget_bias, start.max_lag)

    def forward(self, input: Tensor, hx: Tensor | tuple[Tensor, ...] | None = None) -> Any:
        """Compute one step.

        Parameters
        ----------
        input : Tensor of shape (B, I)
            Input, or (I,) for one row.
        hx : Tensor of shape (B, H) or pair of such, default=None
            State before the step, without B for one row; for the LSTM the pair (h_0, c_0). None is zeros.

        Returns
        -------
        Tensor of shape (B, H) or pair of such
            State after the step, the first of which is the output: h_1, for the LSTM (h_1, c_1).

        Raises
        ------
        ValueError
            If input or hx do not fit the cell.
        """
        batched = self._check(input)
        x = input if batched else input[None]
        state = self._state(hx, x, batched)
        weights = self._weights()
        _, new, _ = self.cell.step(weights, self.cell.project(weights, x), state)
        new = new if batched else tuple(s[0] for s in new)
        return new if len(new) > 1 else new[0]

    def _weights(self) -> dict[str, Tensor]:
        return {
            name: getattr(self, name)
            for name in self.cell.shapes(self.input_size, self.hidden_size, self.bias)
        }

    def _check(self, x: Tensor) -> bool:
        """Whether x has rows; ValueError unless it fits the weights."""
        name, I = type(self).__name__, self.input_size  # noqa: E741
        if x.ndim not in (1, 2) or x.shape[-1] != I:
            raise ValueError(f"input has shape {tuple(x.shape)}; this {name} takes (B, {I}) or ({I},).")
        if x.dtype != self.weight_ih.dtype and not torch.is_autocast_enabled(x.device.type):
            raise ValueError(
                f"input is {x.dtype} and the weights of this {name} are {self.weight_ih.dtype}. "
                f"Convert it: input.to({self.weight_ih.dtype})."
            )
        return x.ndim == 2

    def _state(self, hx: Tensor | tuple[Tensor, ...] | None, x: Tensor, batched: bool) -> tuple[Tensor, ...]:
        """The states as (B, size) each; zeros for None."""
        names, sizes = self.cell.states, self.cell.state_sizes(self.hidden_size)
        if hx is None:
            return tuple([x.new_zeros(x.shape[0], size) for size in sizes])
        states = (hx,) if isinstance(hx, Tensor) else tuple(hx)
        expected = [(x.shape[0], size) if batched else (size,) for size in sizes]
        if [tuple(s.shape) for s in states] != expected or isinstance(hx, Tensor) != (len(names) == 1):
            got = ", ".join(str(tuple(s.shape)) for s in states)
            raise ValueError(
                f"hx has the shapes {got}; {type(self).__name__} takes "
                + ", ".join(f"{name}_0 {shape}" for name, shape in zip(names, expected, strict=True))
                + "."
            )
        return states if batched else tuple([s[None] for s in states])

    def extra_repr(self) -> str:
        """Sizes, cell, and whether there is no bias.

        Returns
        -------
        str
            Text of the repr.
        """
        return f"{self.input_size}, {self.hidden_size}, cell={self.cell}" + (
            "" if self.bias else ", bias=False"
        )


@final
class RNNCell(RecurrentCell):
    """One step of an Elman, diagonal or Jordan cell.

    As in ``torch.nn``, with the same arguments, defaults and weights; options of regen are keywords.

    Parameters
    ----------
    input_size : int
        I, input features.
    hidden_size : int
        H, hidden units.
    bias : bool, default=True
        Whether the cell has biases.
    nonlinearity : {"tanh", "relu"}, default="tanh"
        Activation of a `cell` given by name.
    device : torch.device or str, default=None
        Device of the weights.
    dtype : torch.dtype, default=None
        Type of the weights.
    cell : {"elman", "diagonal", "jordan"} or Cell, default="elman"
        The recurrent equation. The default is that of ``torch.nn.RNNCell``.
    init : str or Init, default="auto"
        Distribution of the initial weights, see `regen.cells.Cell.initialise`. "auto" keeps memories longer than
        "torch", that of ``torch.nn``.

    See Also
    --------
    RNN : The same cell over whole sequences.

    Examples
    --------
    >>> import torch
    >>> from regen.nn import RNNCell
    >>> RNNCell(3, 4, cell="diagonal")(torch.zeros(2, 3)).shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        cell: str | Cell = "elman",
        init: str | Init = "auto",
    ) -> None:
        plain = named(cell, nonlinearity=nonlinearity) if cell in _PLAIN else cell
        if not isinstance(plain, cells.Elman | cells.Diagonal | cells.Jordan):
            raise ValueError(f"RNNCell takes the cells {', '.join(map(repr, _PLAIN))}. Got {cell!r} instead.")
        if nonlinearity not in ("tanh", plain.nonlinearity):
            raise ValueError(
                f"RNNCell was given nonlinearity={nonlinearity!r} and a cell with its own, {plain}. "
                f"Give it to the cell: {type(plain).__name__}(nonlinearity={nonlinearity!r})."
            )
        super().__init__(plain, input_size, hidden_size, bias, device, dtype, init)
        self.nonlinearity = plain.nonlinearity


@final
class LSTMCell(RecurrentCell):
    """One step of long short-term memory.

    As in ``torch.nn``, with the same arguments, defaults and weights; options of regen are keywords.

    Parameters
    ----------
    input_size : int
        I, input features.
    hidden_size : int
        H, hidden units.
    bias : bool, default=True
        Whether the cell has biases.
    device : torch.device or str, default=None
        Device of the weights.
    dtype : torch.dtype, default=None
        Type of the weights.
    peephole : {"none", "output", "full"}, default="none"
        Gates with a peephole: none as in ``torch.nn``, the output gate to c_t, or also the other two to c_{t-1}.
    init : str or Init, default="auto"
        Distribution of the initial weights, see `regen.cells.Cell.initialise`. "auto" keeps memories longer than
        "torch", that of ``torch.nn``.

    See Also
    --------
    LSTM : The same cell over whole sequences.

    Examples
    --------
    >>> import torch
    >>> from regen.nn import LSTMCell
    >>> h, c = LSTMCell(3, 4, peephole="full")(torch.zeros(2, 3))
    >>> h.shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        peephole: str = "none",
        init: str | Init = "auto",
    ) -> None:
        super().__init__(cells.LSTM(peephole), input_size, hidden_size, bias, device, dtype, init)


@final
class GRUCell(RecurrentCell):
    """One step of a gated recurrent unit.

    As in ``torch.nn``, with the same arguments, defaults and weights; options of regen are keywords.

    Parameters
    ----------
    input_size : int
        I, input features.
    hidden_size : int
        H, hidden units.
    bias : bool, default=True
        Whether the cell has biases.
    device : torch.device or str, default=None
        Device of the weights.
    dtype : torch.dtype, default=None
        Type of the weights.
    reset : {"after", "before"}, default="after"
        Whether the reset gate acts after the recurrent product, as in ``torch.nn``, or before it, as in ONNX.
    init : str or Init, default="auto"
        Distribution of the initial weights, see `regen.cells.Cell.initialise`. "auto" keeps memories longer than
        "torch", that of ``torch.nn``.

    See Also
    --------
    GRU : The same cell over whole sequences.

    Examples
    --------
    >>> import torch
    >>> from regen.nn import GRUCell
    >>> GRUCell(3, 4)(torch.zeros(2, 3)).shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        reset: str = "after",
        init: str | Init = "auto",
    ) -> None:
        super().__init__(cells.GRU(reset), input_size, hidden_size, bias, device, dtype, init)
