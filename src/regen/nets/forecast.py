"""The network of a forecaster: from a window of a series to the horizon that follows.

Letters: `B` batch, `T` steps of the window, `C` channels (columns of the series), `H` steps of the horizon,
`s` values per recurrent step (the segment), `N` hidden units.
"""

from typing import Any, Literal, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from regen._random import dropout
from regen.cells import Cell
from regen.nets.recurrent import recurrent

Window = Float[Tensor, "B T C"]
Observed = Bool[Tensor, "B T C"]
Normalize = Literal["last", "mean", "none"]
Decoding = Literal["direct", "recursive"]


@final
class WindowNet(nn.Module):
    """Forecast a horizon from a window: normalise, cut into segments, run a recurrent net, decode the forecast.

    Parameters
    ----------
    cell : a cell or its name.
    channels : columns of the series, C.
    horizon : steps forecast, H.
    hidden, layers, dropout : width and depth of the recurrent net; dropout acts before the readout and
        between layers.
    segment : values of each channel read per recurrent step, s. Long windows are read in few steps
        (SegRNN, Lin et al. 2023); T must be a multiple of it.
    independent : read every channel alone with the same weights (channels become rows of the batch).
    normalize : "last" forecasts the change from the window's last value; "mean" removes the window's mean and
        scale (Kim et al. 2022, RevIN without its affine part); "none" reads the values as they are.
    decoding : "direct" writes the H steps at once; "recursive" writes one segment, reads it back, and goes on.
    gaps : also read which values were observed.
    options : for the recurrent net, such as ``backend=``.

    Attributes
    ----------
    reader : the recurrent net.
    """

    def __init__(
        self,
        cell: str | Cell,
        channels: int,
        horizon: int,
        *,
        hidden: int,
        layers: int = 1,
        dropout: float = 0.0,
        segment: int = 1,
        independent: bool = False,
        normalize: Normalize = "last",
        decoding: Decoding = "direct",
        gaps: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        self.horizon, self.segment, self.independent = horizon, segment, independent
        self.normalize, self.decoding, self.gaps = normalize, decoding, gaps
        width = 1 if independent else channels
        values = segment * width * (2 if gaps else 1)
        self.embed = nn.Sequential(nn.Linear(values, hidden), nn.ReLU()) if segment > 1 else nn.Identity()
        self.reader = recurrent(
            cell,
            hidden if segment > 1 else values,
            hidden,
            num_layers=layers,
            dropout=dropout if layers > 1 else 0.0,
            **options,
        )
        self.dropout = dropout
        steps = horizon if decoding == "direct" else segment
        self.readout = nn.Linear(self.reader.output_size, steps * width)
        nn.init.zeros_(self.readout.bias)

    def forward(
        self, x: Window, observed: Observed | None = None, horizon: int | None = None
    ) -> Float[Tensor, "B H C"]:
        """Forecast the `horizon` steps after the window (the trained horizon when None).

        Missing values of `x` must have been filled; `observed` is their mask, an input when `gaps` is on. Beyond the
        trained horizon a direct net slides its window over what it has just forecast; a recursive one goes on.
        """
        batch, steps, channels = x.shape
        horizon = self.horizon if horizon is None else horizon
        if self.independent:
            x, observed = self._fold(x), None if observed is None else self._fold(observed)
        if self.decoding == "recursive":
            y = self._recursive(x, observed, horizon)
        else:
            y = block = self._direct(x, observed)
            while y.shape[1] < horizon:
                x = torch.cat([x, block], 1)[:, -steps:]
                observed = None if observed is None else _slide(observed, self.horizon)
                block = self._direct(x, observed)
                y = torch.cat([y, block], 1)
        y = y[:, :horizon]
        return y.reshape(batch, channels, -1).transpose(1, 2) if self.independent else y

    def stream(
        self,
        x: Window,
        before: Float[Tensor, "B 1 C"],
        observed: Observed | None = None,
        state: Any = None,
    ) -> tuple[Float[Tensor, "B T H C"], Any]:
        """Forecast after every step of a stream, carrying `state` from the steps read so far.

        `before` is the value just before the first step. With normalize="last" the net reads changes and
        forecasts changes from each step's own value, so the level of the series never enters the state.
        """
        batch, steps, channels = x.shape
        if self.independent:
            x, before = self._fold(x), self._fold(before)
            observed = None if observed is None else self._fold(observed)
        moving = self.normalize == "last"
        u = torch.cat([before, x], 1).diff(dim=1) if moving else x
        output, state = self.reader(self._segments(u, observed), state)
        y = self.readout(self._dropped(output)).unflatten(-1, (self.horizon, x.shape[-1]))
        y = y + x[:, :, None] if moving else y
        if self.independent:
            y = y.reshape(batch, channels, steps, self.horizon).permute(0, 2, 3, 1)
        return y, state

    def _direct(self, x: Window, observed: Observed | None) -> Float[Tensor, "B H C"]:
        u, shift, scale = self._normalised(x)
        _, state = self.reader(self._segments(u, observed))
        y = self._write(state, self.horizon, x.shape[-1])
        return _undone(y, shift, scale)

    def _recursive(self, x: Window, observed: Observed | None, horizon: int) -> Float[Tensor, "B H C"]:
        u, shift, scale = self._normalised(x)
        _, state = self.reader(self._segments(u, observed))
        last, blocks = u[:, -1:], []
        for written in range(0, horizon, self.segment):
            blocks.append(last + self._write(state, self.segment, u.shape[-1]))
            last = blocks[-1][:, -1:]
            if written + self.segment < horizon:
                seen = None if observed is None else torch.ones_like(blocks[-1], dtype=torch.bool)
                _, state = self.reader(self._segments(blocks[-1], seen), state)
        return _undone(torch.cat(blocks, 1), shift, scale)

    def _write(self, state: Any, steps: int, width: int) -> Float[Tensor, "B steps width"]:
        """What the readout makes of the last layer's last output, which is the first part of its state."""
        output = state[0] if isinstance(state, tuple) else state
        return self.readout(self._dropped(output[-1])).view(-1, steps, width)  # type: ignore[no-any-return]

    def _dropped(self, output: Tensor) -> Tensor:
        return dropout(output, self.dropout, self.training) if self.dropout else output

    def _normalised(self, x: Window) -> tuple[Window, Tensor | None, Tensor | None]:
        """Each window less its shift over its scale, both (B, 1, C), by `normalize`; None is 0 and 1."""
        if self.normalize == "none":
            return x, None, None
        if self.normalize == "last":
            return x - x[:, -1:], x[:, -1:], None
        variance, mean = torch.var_mean(x, 1, correction=0, keepdim=True)
        scale = (variance + 1e-5).sqrt_()
        return (x - mean).div_(scale), mean, scale

    def _segments(self, u: Window, observed: Observed | None) -> Float[Tensor, "B steps values"]:
        if self.gaps:
            seen = torch.ones_like(u) if observed is None else observed.to(u.dtype)
            u = torch.cat([u, seen], -1)
        if self.segment == 1:
            return u
        steps = u.shape[1] // self.segment
        return self.embed(u.reshape(u.shape[0], steps, self.segment * u.shape[2]))  # type: ignore[no-any-return]

    @staticmethod
    def _fold(x: Tensor) -> Tensor:
        return x.transpose(1, 2).reshape(-1, x.shape[1], 1)


def _undone(y: Tensor, shift: Tensor | None, scale: Tensor | None) -> Tensor:
    """Undo `WindowNet._normalised`."""
    if scale is not None:
        y = y * scale
    return y if shift is None else y + shift


def _slide(observed: Observed, steps: int) -> Observed:
    """The mask of a window that slid `steps` forward over values that are all present."""
    width = observed.shape[1]
    ahead = torch.ones_like(observed[:, :1]).expand(-1, steps, -1)
    return torch.cat([observed, ahead], 1)[:, -width:]
