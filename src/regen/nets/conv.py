"""Encoder and decoder of images: convolutions that halve height and width, and their transpose.

Letters: `B` batch, `C Y X` channels, height and width of an image, `E` = C Y X cells, `Z` code, `K` outputs,
`c y x` what is left of C Y X in between. Images are flat at both ends: (B, E), in the order of (B, C, Y, X).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import final

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from regen.nets.mlp import SMALL, append_missing_mask, get_activation, init_weight

__all__ = ["ConvDecoder", "ConvEncoder", "sizes"]

KERNEL = 3


@final
class ConvEncoder(nn.Module):
    """Encoder of images: 3 x 3 convolutions of stride 2, and a linear layer.

    A side of n becomes ceil(n / 2), so that images of any size can pass any number of them; 1 stays 1.

    Parameters
    ----------
    shape : (C, Y, X).
    outputs : K, number of outputs.
    channels : of each convolution, in order.
    activation : after each convolution; a name of `regen.nets.mlp.ACTIVATIONS`.
    mask_input : append C channels of indicators of missing cells; see `MLPEncoder`.

    Raises
    ------
    ValueError : no channels, or an unknown activation (the message names the closest one).
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        outputs: int,
        channels: Sequence[int] = (32, 64),
        activation: str = "relu",
        mask_input: bool = False,
    ) -> None:
        super().__init__()
        _refuse_none(channels)
        self.shape, self.outputs, self.mask_input = shape, outputs, mask_input
        self._act = get_activation(activation)
        C, Y, X = shape
        self.layers = nn.ModuleList()
        for before, after in pairwise((C, *channels)):
            flags = C if mask_input and not len(self.layers) else 0
            layer = nn.Conv2d(before + flags, after, KERNEL, stride=2, padding=1)
            _start(layer, activation, before * KERNEL**2, after * KERNEL**2)
            self.layers.append(layer)
        y, x = sizes(Y, len(channels))[-1], sizes(X, len(channels))[-1]
        self.code = nn.Linear(channels[-1] * y * x, outputs)
        _start(self.code, None, self.code.in_features, outputs)

    def forward(
        self,
        x: Float[Tensor, "B E"],
        observed: Bool[Tensor, "B E"] | None = None,
        lengths: Int64[Tensor, " B"] | None = None,
    ) -> Float[Tensor, "B K"]:
        """The code of each image.

        Parameters
        ----------
        x : (B, C*Y*X) without NaN.
        observed : (B, C*Y*X), False where a cell is missing; None: nowhere. Ignored without `mask_input`.
        lengths : ignored; images have no steps.
        """
        _, Y, X = self.shape
        h = (append_missing_mask(x, observed) if self.mask_input else x).view(len(x), -1, Y, X)
        for layer in self.layers:
            h = self._act(layer(h))
        return self.code(h.flatten(1))  # type: ignore[no-any-return]


@final
class ConvDecoder(nn.Module):
    """Decoder of images: a linear layer, and transposed convolutions that undo each halving of `ConvEncoder`.

    Each cell has its own bias, as in a dense decoder: what all images have in common, such as a dark border, need not
    be decoded from the code, which would move all codes far from 0.

    Parameters
    ----------
    code : Z, number of inputs.
    shape : (C, Y, X).
    width : outputs per cell; it has ``width * C * Y * X`` outputs, the first of all cells before the second of any.
    channels : those of the *encoder*; the decoder has them in reverse order.
    activation : between two layers.

    Raises
    ------
    ValueError : no channels, or an unknown activation (the message names the closest one).
    """

    def __init__(
        self,
        code: int,
        shape: tuple[int, int, int],
        width: int = 1,
        channels: Sequence[int] = (32, 64),
        activation: str = "relu",
    ) -> None:
        super().__init__()
        _refuse_none(channels)
        C, Y, X = shape
        self.code, self.shape, self.outputs = code, shape, width * C * Y * X
        self._act = get_activation(activation)
        ys, xs = sizes(Y, len(channels))[::-1], sizes(X, len(channels))[::-1]
        wide = (*reversed(channels), width * C)
        self._first = (wide[0], ys[0], xs[0])
        self.spread = nn.Linear(code, wide[0] * ys[0] * xs[0])
        _start(self.spread, activation, code, self.spread.out_features)
        self.layers = nn.ModuleList()
        for k, (before, after) in enumerate(pairwise(wide)):
            odd = (
                1 - ys[k + 1] % 2,
                1 - xs[k + 1] % 2,
            )  # m cells become 2 m - 1, and one more for an even size
            inner = k + 1 < len(channels)
            layer = nn.ConvTranspose2d(before, after, KERNEL, 2, padding=1, output_padding=odd, bias=inner)
            # Each output sums a quarter of the kernel, because the stride is 2 in both directions.
            fan_in = before * KERNEL**2 // 4
            _start(layer, activation if inner else None, fan_in, after * KERNEL**2, 1.0 if inner else SMALL)
            self.layers.append(layer)
        self.bias = nn.Parameter(torch.zeros(self.outputs))

    @torch.no_grad()
    def set_bias(self, values: Float[Tensor, " K"]) -> None:
        """Set the bias so that the output at the code 0 is `values` (width * C * Y * X,)."""
        self.bias.copy_(values)
        self.bias.add_(values - self(self.bias.new_zeros((1, self.code)))[0])

    def forward(
        self,
        z: Float[Tensor, "B Z"],
        steps: int | None = None,
        lengths: Int64[Tensor, " B"] | None = None,
    ) -> Float[Tensor, "B K"]:
        """Decode each code.

        Parameters
        ----------
        z : (B, Z).
        steps, lengths : ignored; images have no steps.
        """
        h = self.spread(z).view(-1, *self._first)
        for layer in self.layers:
            h = layer(self._act(h))
        return h.flatten(1) + self.bias  # type: ignore[no-any-return]


def sizes(side: int, times: int) -> list[int]:
    """A side of an image before and after each of `times` halvings, rounded up."""
    found = [side]
    for _ in range(times):
        found.append(-(-found[-1] // 2))
    return found


def _start(layer: nn.Module, activation: str | None, fan_in: int, fan_out: int, size: float = 1.0) -> None:
    init_weight(layer.weight, activation, fan_in, fan_out, size)  # type: ignore[arg-type]
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


def _refuse_none(channels: Sequence[int]) -> None:
    if not channels:
        raise ValueError("channels is empty; give the channels of at least one convolution, such as (32,).")
