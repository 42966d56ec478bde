"""Encoder and decoder of sequences: a recurrent net reads them into a code, another one says them again.

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
    """Sequence in, code out: read to the end, then a linear layer of the last states of every layer.

    Parameters
    ----------
    cell : a cell or its name.
    features, outputs : F and K, how many numbers it reads at a step, and says.
    hidden, layers, bidirectional : the recurrent net; backwards it ends at the first step.
    mask_input : also read at each step which numbers are missing, as F zeros and ones; see `MLPEncoder`.
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
        heard = features * (1 + mask_input)
        options |= {"num_layers": layers, "bidirectional": bidirectional}
        self.reader = recurrent(cell, heard, hidden, **options)
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
        x : (B, T, F) without NaN in the steps that are read.
        observed : (B, T, F), False where a number was missing; None: nowhere. Read if `mask_input`.
        lengths : (B,) valid steps of each row; the others are never read. None: all.
        """
        _, last = self.reader(append_missing_mask(x, observed) if self.mask_input else x, lengths=lengths)
        states = last if isinstance(last, tuple) else (last,)
        return self.code(torch.cat([state.transpose(0, 1).flatten(1) for state in states], 1))  # type: ignore[no-any-return]


@final
class RecurrentDecoder(nn.Module):
    """Code in, sequence out: the code gives the state before the first step, and is read again at every step.

    ``s_0 = W z + b``, ``h_t, s_t = cell(z, s_{t-1})``, ``out_t = V h_t + c``: as many steps as are asked, for a
    step never depends on how many follow.

    Parameters
    ----------
    cell : a cell or its name.
    code, outputs : Z and K, how many numbers it reads, and says at a step.
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
        """Make an untrained decoder say `values` (K,) at every step, at the code 0.

        Exact where the cell keeps a state of 0 as long as it reads 0, as it does with the biases it starts with.
        """
        self.bias.copy_(values)

    def forward(
        self,
        z: Float[Tensor, "B Z"],
        steps: int | None = None,
        lengths: Int64[Tensor, " B"] | None = None,
    ) -> Float[Tensor, "B T K"]:
        """The sequence that each code stands for.

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
                    "A recurrent decoder must know how many steps to say. Give steps or lengths."
                )
            steps = int(lengths.max())
        layers = self.writer.num_layers
        parts = self.start(z).split([layers * size for size in self._sizes], 1)
        state = tuple(part.unflatten(1, (layers, -1)).transpose(0, 1).contiguous() for part in parts)
        heard = z[:, None].expand(-1, steps, -1)
        said, _ = self.writer(heard, state if len(state) > 1 else state[0], lengths=lengths)
        values = self.readout(said)
        if lengths is None:
            return values  # type: ignore[no-any-return]
        past = ~length_mask(lengths, steps, z.device)
        return values.masked_fill(past[..., None], 0.0)  # type: ignore[no-any-return]


def _linear(heard: int, outputs: int, size: float = 1.0) -> nn.Linear:
    layer = nn.Linear(heard, outputs)
    init_weight(layer.weight, None, heard, outputs, size)
    nn.init.zeros_(layer.bias)
    return layer
