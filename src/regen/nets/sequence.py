"""The network of the sequence estimators: one output for a whole sequence.

Letters: `B` batch, `T` steps, `S` recurrent steps (segments), `F` features, `K` outputs (classes or targets),
`W` outputs of all directions of the recurrent net at a step.
"""

from collections.abc import Sequence
from typing import Any, Literal, final

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from regen._masks import length_mask
from regen._random import dropout
from regen.cells import Cell
from regen.nets.recurrent import recurrent

__all__ = ["Pool", "SequenceNet"]

Pool = Literal["last", "mean", "max", "all"]
BEFORE = 3
"""Segments before its own that a recurrent step reads too, so that no shape is cut at the border of two."""


@final
class SequenceNet(nn.Module):
    """K outputs for a sequence: cut into segments, run a recurrent net, pool over time, linear readout.

    Parameters
    ----------
    cell : a cell or its name.
    features, outputs : F and K.
    hidden, layers, bidirectional, dropout : the recurrent net; dropout acts between layers and before the
        readout.
    segment : steps of the sequence per recurrent step; the end is padded with zeros to a whole segment. With
        more than 1, each recurrent step also reads the 3 segments before its own (zeros before the start).
    pool : what of the unfolded outputs reaches the readout: the "last" step of each direction (the end forward,
        the start backward), the "mean" or "max" over the valid steps, or "all" three side by side.
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
        *,
        hidden: int,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        segment: int = 1,
        pool: Pool = "all",
        **options: Any,
    ) -> None:
        super().__init__()
        self.segment, self.pool, self.bidirectional = segment, pool, bidirectional
        wide = (1 + BEFORE) * segment * features
        self.embed = nn.Sequential(nn.Linear(wide, hidden), nn.ReLU()) if segment > 1 else nn.Identity()
        self.reader = recurrent(
            cell,
            hidden if segment > 1 else features,
            hidden,
            num_layers=layers,
            bidirectional=bidirectional,
            dropout=dropout if layers > 1 else 0.0,
            **options,
        )
        self.dropout = dropout
        width = self.reader.output_size * (2 if bidirectional else 1)
        self.readout = nn.Linear(width * (3 if pool == "all" else 1), outputs)

    def forward(
        self, x: Float[Tensor, "B T F"], lengths: Int64[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B K"]:
        """The outputs for each sequence; `lengths` are the valid steps of each row (all of them when None)."""
        output, valid = self._read(x, lengths)
        kinds = ("last", "mean", "max") if self.pool == "all" else (self.pool,)
        pooled = {"last": self._last, "mean": _mean, "max": _max}
        return self._written(torch.cat([pooled[kind](output, valid) for kind in kinds], 1))

    def copy_outputs(
        self,
        x: Float[Tensor, "B T F"],
        lengths: Int64[Tensor, " B"] | None = None,
        copies: Sequence[int] | None = None,
    ) -> Float[Tensor, "B copies K"]:
        """The outputs of unfolded copies: those of the net if the sequence ended at their segments.

        The outputs no longer change after the end of a sequence, so the last ones are those of `forward`. One pass
        gives all of them, except that a bidirectional net needs one pass for each copy.

        copies : numbers of the requested copies, from 0 to S - 1; None for all S.
        """
        copies = range(-(-x.shape[1] // self.segment)) if copies is None else copies
        if self.bidirectional:
            stops = [(copy + 1) * self.segment for copy in copies]
            read = torch.full_like(x[:, 0, 0], x.shape[1], dtype=torch.int64) if lengths is None else lengths
            return torch.stack([self(x[:, :end], read.clamp(max=end)) for end in stops], 1)
        output, valid = self._read(x, lengths)
        steps = torch.arange(1, output.shape[1] + 1, device=x.device)
        past = {
            "last": output,
            "mean": output.cumsum(1) / steps[:, None],
            "max": output.cummax(1).values,
        }
        kinds = ("last", "mean", "max") if self.pool == "all" else (self.pool,)
        outputs = self._written(torch.cat([past[kind] for kind in kinds], 2))
        ends = steps[list(copies)]
        if valid is None:
            return outputs[:, ends - 1]
        last = torch.minimum(ends, valid.sum(1, keepdim=True)) - 1
        return outputs.gather(1, last[..., None].expand(-1, -1, outputs.shape[2]))

    def _written(self, pooled: Float[Tensor, "B *copies W"]) -> Float[Tensor, "B *copies K"]:
        return self.readout(dropout(pooled, self.dropout, self.training))  # type: ignore[no-any-return]

    def _read(
        self, x: Float[Tensor, "B T F"], lengths: Int64[Tensor, " B"] | None
    ) -> tuple[Float[Tensor, "B S W"], Bool[Tensor, "B S"] | None]:
        """Output of the recurrent net at every segment, and which segments hold a valid step (None: all do)."""
        if lengths is not None:
            x = x * length_mask(lengths, x.shape[1])[..., None]
        read = None if lengths is None else -(-lengths // self.segment)
        output, _ = self.reader(self.embed(self._segments(x)), lengths=read)
        return output, None if read is None else length_mask(read, output.shape[1])

    def _segments(self, x: Float[Tensor, "B T F"]) -> Float[Tensor, "B S values"]:
        """The input of each recurrent step: its own segment and those before it."""
        if self.segment == 1:
            return x
        x = F.pad(x, (0, 0, BEFORE * self.segment, -x.shape[1] % self.segment))
        return x.unfold(1, (1 + BEFORE) * self.segment, self.segment).flatten(2)

    def _last(
        self, output: Float[Tensor, "B S W"], valid: Bool[Tensor, "B S"] | None
    ) -> Float[Tensor, "B W"]:
        """The last output of each direction: at the end forward, at the start backward."""
        if valid is None:
            end = output[:, -1]
        else:
            rows = torch.arange(output.shape[0], device=output.device)
            end = output[rows, valid.sum(1) - 1]
        if not self.bidirectional:
            return end
        half = output.shape[2] // 2
        return torch.cat([end[:, :half], output[:, 0, half:]], 1)


def _mean(output: Float[Tensor, "B S W"], valid: Bool[Tensor, "B S"] | None) -> Float[Tensor, "B W"]:
    if valid is None:
        return output.mean(1)
    return (output * valid[..., None]).sum(1) / valid.sum(1, keepdim=True)


def _max(output: Float[Tensor, "B S W"], valid: Bool[Tensor, "B S"] | None) -> Float[Tensor, "B W"]:
    return (output if valid is None else output.masked_fill(~valid[..., None], -torch.inf)).amax(1)
