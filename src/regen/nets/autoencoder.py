"""Encoder and decoder in one net, by the backbone of the data.

Letters: `B` batch, `T` steps, `E` encoded numbers of a row or of a step, `Z` code, `K` outputs.
"""

from collections.abc import Sequence
from typing import final

from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from regen._check import closest
from regen.cells import NAMES, Cell
from regen.nets.conv import ConvDecoder, ConvEncoder
from regen.nets.mlp import MLPDecoder, MLPEncoder
from regen.nets.recurrent_autoencoder import RecurrentDecoder, RecurrentEncoder

__all__ = ["BACKBONES", "AutoencoderNet", "make_autoencoder"]

BACKBONES = ("mlp", "conv", "recurrent", *NAMES)

Encoder = MLPEncoder | ConvEncoder | RecurrentEncoder
Decoder = MLPDecoder | ConvDecoder | RecurrentDecoder
Hidden = str | int | Sequence[int]


@final
class AutoencoderNet(nn.Module):
    """An encoder and the decoder of its codes, trained together; each can be used alone.

    Parameters
    ----------
    encoder : module with at least Z outputs for each row, the code (or its mean) first.
    decoder : module with Z inputs.
    """

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    @property
    def backend_(self) -> str:
        """The backend of a recurrent backbone at the last call, and why; torch for the others."""
        if isinstance(self.encoder, RecurrentEncoder):
            return self.encoder.reader.backend_
        return "torch: dense layers" if isinstance(self.encoder, MLPEncoder) else "torch: convolutions"

    def forward(
        self,
        x: Float[Tensor, "B *steps E"],
        observed: Bool[Tensor, "B *steps E"] | None = None,
        lengths: Int64[Tensor, " B"] | None = None,
    ) -> Float[Tensor, "B *steps K"]:
        """Outputs of the decoder for the code of each row: the first Z outputs of the encoder.

        Parameters
        ----------
        x : (B, E), or (B, T, E) for a recurrent backbone, without NaN.
        observed : as x, False where a number was missing; None: nowhere.
        lengths : (B,) valid steps of each row; None: all.
        """
        z = self.encoder(x, observed, lengths)
        return self.decoder(z[:, : self.decoder.code], x.shape[1], lengths)  # type: ignore[no-any-return]


def make_autoencoder(
    backbone: str | Cell,
    *,
    features: int,
    outputs: int,
    code_outputs: int,
    code: int,
    shape: tuple[int, int, int] | None = None,
    hidden: Hidden = "auto",
    activation: str = "relu",
    cell: str | Cell = "gru",
    mask_input: bool = False,
    tied: bool = False,
    backend: str = "auto",
) -> AutoencoderNet:
    """A new encoder and its decoder, untrained.

    Parameters
    ----------
    backbone : "mlp" for rows, "conv" for images, "recurrent" for sequences, with `cell`; a cell or its name is
        "recurrent" with that cell.
    features : E, encoded numbers of a row, of an image or of a step.
    outputs : of the decoder, for each row, image or step: E, or a multiple of it.
    code_outputs : of the encoder: Z for an autoencoder, 2 Z for a variational one (mean, then log-variance).
    code : Z, inputs of the decoder.
    shape : (C, Y, X) of the images; conv only.
    hidden : the layers between, in the order of the encoder. mlp: their widths, () for a linear coder. conv: the
        channels of the convolutions. recurrent: the width of each layer, all of them equal. An int is one layer.
        "auto" is for an mlp two layers, the first of the power of two next to 2 E within [128, 512], the second
        of half that, neither narrower than the code; for conv 32 channels, then twice as many at each convolution
        (256 at most), until no side is longer than 7, but at least two; for recurrent one layer of the power of
        two next to 2 E within [64, 256], not narrower than the code.
    activation : between the layers of an mlp or conv; see `regen.nets.mlp.ACTIVATIONS`.
    mask_input : the encoder also receives the mask of missing numbers.
    tied : the decoder's weights are the encoder's, transposed; mlp only.
    backend : backend of a recurrent backbone.

    Returns
    -------
    AutoencoderNet

    Raises
    ------
    ValueError : unknown backbone or activation, or arguments that do not fit the backbone.
    """
    backbone, cell = resolve_backbone(backbone, cell)
    if tied and backbone != "mlp":
        raise ValueError(f"tied=True needs dense layers. Use backbone='mlp' instead of {backbone!r}.")
    if backbone == "mlp":
        widths = _mlp_hidden(features, code) if hidden == "auto" else as_tuple(hidden)
        encoder = MLPEncoder(features, code_outputs, widths, activation, mask_input)
        return AutoencoderNet(
            encoder, MLPDecoder(code, outputs, widths, activation, encoder if tied else None)
        )
    if backbone == "conv":
        return _conv(shape, features, outputs, code_outputs, code, hidden, activation, mask_input)
    width, layers = recurrent_hidden(features, code, hidden)
    return AutoencoderNet(
        RecurrentEncoder(cell, features, code_outputs, width, layers, mask_input=mask_input, backend=backend),
        RecurrentDecoder(cell, code, outputs, width, layers, backend=backend),
    )


def resolve_backbone(backbone: str | Cell, cell: str | Cell) -> tuple[str, str | Cell]:
    """The family, "mlp", "conv" or "recurrent", and the cell of the last: what `backbone` names, or else `cell`."""
    if isinstance(backbone, Cell) or backbone in NAMES:
        backbone, cell = "recurrent", backbone
    if backbone not in BACKBONES:
        raise ValueError(
            f"The backbone must be one of {', '.join(map(repr, BACKBONES))}, or a regen.cells cell. "
            f"Got {backbone!r} instead.{closest(backbone, BACKBONES)}"
        )
    return backbone, cell


def check_shape(
    shape: tuple[int, int, int] | None, features: int, outputs: int
) -> tuple[tuple[int, int, int], int]:
    """The shape (C, Y, X) of images of so many cells, and how many of a decoder's outputs each cell has.

    Raises
    ------
    ValueError : no shape, one of another count of cells, or outputs that are no multiple of it.
    """
    if shape is None or shape[0] * shape[1] * shape[2] != features:
        found = "none" if shape is None else str(tuple(shape))
        raise ValueError(
            f"backbone='conv' is for images, and needs the shape (channels, height, width) of their {features} "
            f"cells. Got {found} instead."
        )
    width, rest = divmod(outputs, features)
    if rest:
        raise ValueError(f"outputs={outputs} is no multiple of the {features} cells of an image.")
    return shape, width


def _conv(
    shape: tuple[int, int, int] | None,
    features: int,
    outputs: int,
    code_outputs: int,
    code: int,
    hidden: Hidden,
    activation: str,
    mask_input: bool,
) -> AutoencoderNet:
    shape, width = check_shape(shape, features, outputs)
    channels = _conv_channels(shape) if hidden == "auto" else as_tuple(hidden)
    return AutoencoderNet(
        ConvEncoder(shape, code_outputs, channels, activation, mask_input),
        ConvDecoder(code, shape, width, channels, activation),
    )


def _mlp_hidden(features: int, code: int) -> tuple[int, ...]:
    wide = power_of_two(2 * features, 128, 512)
    return max(wide, code), max(wide // 2, code)


def _conv_channels(shape: tuple[int, int, int]) -> tuple[int, ...]:
    halvings, side = 0, max(shape[1:])
    while side > 7:
        side, halvings = -(-side // 2), halvings + 1
    return tuple(min(32 * 2**k, 256) for k in range(max(halvings, 2)))


def recurrent_hidden(features: int, code: int, hidden: Hidden) -> tuple[int, int]:
    """Width and count of the layers."""
    if hidden == "auto":
        return max(power_of_two(2 * features, 64, 256), code), 1
    widths = as_tuple(hidden)
    if len(set(widths)) != 1:
        raise ValueError(
            f"hidden={widths!r}; a recurrent net has at least one layer, and all of one width, such as (64, 64)."
        )
    return widths[0], len(widths)


def power_of_two(least: int, low: int, high: int) -> int:
    """The smallest power of two that is not below `least`, within [low, high]."""
    return int(min(max(1 << (least - 1).bit_length(), low), high))


def as_tuple(hidden: Hidden) -> tuple[int, ...]:
    if isinstance(hidden, str):
        raise ValueError(f"hidden must be 'auto', an int or a tuple of ints. Got {hidden!r} instead.")
    return (hidden,) if isinstance(hidden, int) else tuple(hidden)
