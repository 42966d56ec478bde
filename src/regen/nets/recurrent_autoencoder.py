"""Encoder and decoder of sequences: a recurrent net encodes them, another one decodes the code.

Letters: `B` batch, `T` steps, `F` features of a step, `Z` code, `K` outputs. After Srivastava, Mansimov &
Salakhutdinov (2015).
"""

from typing import Any, final

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from regen._masks import length_mask
from regen.cells import Cell
from regen.nets.mlp import SMALL, append_missing_mask, init_weight
from regen.nets.recurrent import recurrent

__all__ = ["RecurrentDecoder", "RecurrentEncoder"]


@final
class RecurrentEncoder(nn.Module):
    """Sequence in, code out: a recurrent net, then a linear layer of the last states of every layer.

    Parameters
    ----------
    cell : a cell or its name.
    features, outputs : F inputs of a step, and K outputs.
    hidden, layers, bidirectional : the recurrent net; backwards it ends at the first step.
    mask_input : F more inputs of a step, the mask of missing numbers; see `MLPEncoder`.
    options : for the recurrent net, such as ``backend=``.

    Attributes
    ----------
    reader : the recurrent net.
    """

    def __init__(
        self,
        cell: str | Cell,
        features: int,
        outputs: int,
        hidden: int = 64,
        layers: int = 1,
        bidirectional: bool = False,
        mask_input: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        self.outputs, self.mask_input = outputs, mask_input
        inputs = features * (1 + mask_input)
        options |= {"num_layers": layers, "bidirectional": bidirectional}
        self.reader = recurrent(cell, inputs, hidden, **options)
        width = layers * (1 + bidirectional) * sum(self.reader.cell.state_sizes(hidden))
        self.code = _linear(width, outputs)

    def forward(
        self,
        x: Float[Tensor, "B T F"],
        observed: Bool[Tensor, "B T F"] | None = None,
        lengths: Int64[Tensor, " B"] | None = None,
    ) -> Float[Tensor, "B K"]:
        """The code of each sequence.

        Parameters
        ----------
        x : (B, T, F) without NaN in the valid steps.
        observed : (B, T, F), False where a number was missing; None: nowhere. An input if `mask_input`.
        lengths : (B,) valid steps of each row; the others have no effect. None: all.
        """
        _, last = self.reader(append_missing_mask(x, observed) if self.mask_input else x, lengths=lengths)
        states = last if isinstance(last, tuple) else (last,)
        return self.code(torch.cat([state.transpose(0, 1).flatten(1) for state in states], 1))  # type: ignore[no-any-return]


@final
class RecurrentDecoder(nn.Module):
    """Code in, sequence out: the code sets the state before the first step, and is the input of every step.

    ``s_0 = W z + b``, ``h_t, s_t = cell(z, s_{t-1})``, ``out_t = V h_t + c``. A step does not depend on the number
    of steps after it.

    Parameters
    ----------
    cell : a cell or its name.
    code, outputs : Z inputs, and K outputs of a step.
    hidden, layers : the recurrent net.
    options : for the recurrent net, such as ``backend=``.

    Attributes
    ----------
    writer : the recurrent net.
    """

    def __init__(
        self,
        cell: str | Cell,
        code: int,
        outputs: int,
        hidden: int = 64,
        layers: int = 1,
        **options: Any,
    ) -> None:
        super().__init__()
        self.code, self.outputs = code, outputs
        self.writer = recurrent(cell, code, hidden, num_layers=layers, **options)
        self._sizes = self.writer.cell.state_sizes(hidden)
        self.start = _linear(code, layers * sum(self._sizes))
        self.readout = _linear(self.writer.output_size, outputs, SMALL)

    @property
    def bias(self) -> nn.Parameter:
        """Of the last layer, (K,), at every step."""
        return self.readout.bias

    @torch.no_grad()
    def set_bias(self, values: Float[Tensor, " K"]) -> None:
        """Set the outputs of an untrained decoder at the code 0 to `values` (K,), at every step.

        Exact where inputs of 0 keep the state of the cell at 0, as with the initial biases.
        """
        self.bias.copy_(values)

    def forward(
        self,
        z: Float[Tensor, "B Z"],
        steps: int | None = None,
        lengths: Int64[Tensor, " B"] | None = None,
    ) -> Float[Tensor, "B T K"]:
        """Decode each code to a sequence.

        Parameters
        ----------
        z : (B, Z).
        steps : T; None: the longest of `lengths`.
        lengths : (B,) steps of each row; the others are 0. None: all.

        Raises
        ------
        ValueError : neither `steps` nor `lengths` is given.
        """
        if steps is None:
            if lengths is None:
                raise ValueError(
                    "A recurrent decoder needs the number of steps to decode. Give steps or lengths."
                )
            steps = int(lengths.max())
        layers = self.writer.num_layers
        parts = self.start(z).split([layers * size for size in self._sizes], 1)
        state = tuple(part.unflatten(1, (layers, -1)).transpose(0, 1).contiguous() for part in parts)
        inputs = z[:, None].expand(-1, steps, -1)
        hidden, _ = self.writer(inputs, state if len(state) > 1 else state[0], lengths=lengths)
        values = self.readout(hidden)
        if lengths is None:
            return values  # type: ignore[no-any-return]
        past = ~length_mask(lengths, steps, z.device)
        return values.masked_fill(past[..., None], 0.0)  # type: ignore[no-any-return]


def _linear(inputs: int, outputs: int, size: float = 1.0) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    init_weight(layer.weight, None, inputs, outputs, size)
    nn.init.zeros_(layer.bias)
    return layer
