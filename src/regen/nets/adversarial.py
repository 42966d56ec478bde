"""Two players of every backbone: a generator, which says rows out of noise, and the critic that reads them.

Letters: `B` batch, `T` steps, `E` encoded numbers of a row or of a step that the critic reads, `K` outputs of the
generator for it, `Z` code, `m` rows that the critic reads together, `n` = B / m.
"""

from collections.abc import Sequence
from typing import Any, final

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from regen._masks import length_mask
from regen.cells import Cell
from regen.nets.autoencoder import (
    Hidden,
    as_tuple,
    check_shape,
    power_of_two,
    recurrent_hidden,
    resolve_backbone,
)
from regen.nets.conditioning import append_label, longest, pack_rows
from regen.nets.dcgan import DCGANCritic, DCGANGenerator
from regen.nets.input_gradients import squared_input_gradients
from regen.nets.mlp import MLPEncoder, init_weight
from regen.nets.recurrent_autoencoder import RecurrentDecoder, RecurrentEncoder

__all__ = ["MLPCritic", "MLPGenerator", "RecurrentCritic", "RecurrentGenerator", "make_gan_nets"]


@final
class MLPGenerator(nn.Module):
    """Code in, row out: dense layers with `activation` between them, the last one linear.

    Parameters
    ----------
    code, outputs : Z and K, how many numbers it reads and says.
    hidden : widths of the layers of the *critic*; the generator passes them backwards.
    activation : a name of `regen.nets.mlp.ACTIVATIONS`.
    classes : how many labels there are, read as ones and zeros beside the code; 0: none.
    """

    def __init__(
        self,
        code: int,
        outputs: int,
        hidden: Sequence[int] = (128, 128, 128, 128),
        activation: str = "relu",
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.code, self.outputs, self.classes = code, outputs, classes
        self.net = MLPEncoder(code + classes, outputs, tuple(reversed(hidden)), activation)

    @property
    def backend_(self) -> str:
        """What runs it."""
        return "torch: dense layers"

    def forward(
        self,
        z: Float[Tensor, "B Z"],
        label: Int64[Tensor, " B"] | None = None,
        steps: int | None = None,
    ) -> Float[Tensor, "B K"]:
        """The row that each code stands for.

        Parameters
        ----------
        z : (B, Z).
        label : (B,) from 0 to classes - 1; None without classes.
        steps : not read; rows have no steps.

        Raises
        ------
        ValueError : no label for a net of classes, or one for a net without.
        """
        return self.net(append_label(z, label, self.classes))  # type: ignore[no-any-return]


@final
class MLPCritic(nn.Module):
    """Row in, logit out: dense layers with `activation` between them, the last one linear.

    Parameters
    ----------
    features : E.
    hidden : widths of the layers between, in the order in which they are passed.
    activation : a name of `regen.nets.mlp.ACTIVATIONS`.
    classes : how many labels there are, read as ones and zeros beside the row; 0: none.
    pack : m rows that are read together, side by side; see `regen.nets.conditioning.beside_rows`.
    spectral_norm : divide every weight by its largest singular value (Miyato et al. 2018).
    """

    def __init__(
        self,
        features: int,
        hidden: Sequence[int] = (128, 128, 128, 128),
        activation: str = "relu",
        classes: int = 0,
        pack: int = 1,
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        self.features, self.classes, self.pack = features, classes, pack
        self.net = MLPEncoder(pack * (features + classes), 1, hidden, activation)
        self._linear_between_kinks = activation == "relu" and not spectral_norm
        asked = torch.cat([torch.ones(features), torch.zeros(classes)]).repeat(pack) if classes else None
        self.register_buffer("_asked", asked, persistent=False)
        if spectral_norm:
            _bound(self.net)

    @property
    def backend_(self) -> str:
        """What runs it."""
        return "torch: dense layers"

    def with_slopes(
        self, x: Float[Tensor, "B E"], label: Int64[Tensor, " B"] | None = None
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]] | None:
        """Logits as of `forward`, and the squared slope of each by its rows, sooner than autograd tells it.

        None for nets that it cannot do: others than ReLU's, those of bounded weights, and products in bfloat16. See
        `regen.nets.input_gradients`.

        x, label : as in `forward`.
        """
        if not self._linear_between_kinks or torch.is_autocast_enabled(x.device.type):
            return None
        rows = pack_rows(append_label(x, label, self.classes), self.pack)
        layers = list(self.net.layers)
        return squared_input_gradients(layers, rows, self._asked)  # type: ignore[arg-type]

    def forward(
        self,
        x: Float[Tensor, "B E"],
        label: Int64[Tensor, " B"] | None = None,
        lengths: Int64[Tensor, " B"] | None = None,
    ) -> Float[Tensor, " n"]:
        """How real each row is, or each `pack` of them together: logits (B / m,), unbounded.

        Parameters
        ----------
        x : (B, E).
        label : (B,) from 0 to classes - 1; None without classes.
        lengths : not read; rows have no steps.

        Raises
        ------
        ValueError : B is no multiple of m, no label for a net of classes, or one for a net without.
        """
        return self.net(pack_rows(append_label(x, label, self.classes), self.pack))[:, 0]  # type: ignore[no-any-return]


@final
class RecurrentGenerator(nn.Module):
    """Code in, sequence out: the code gives the first state and is read again at every step.

    As `regen.nets.recurrent_autoencoder.RecurrentDecoder`, but with a readout of full size from the start: noise
    should be seen in what is said.

    Parameters
    ----------
    cell : a cell or its name.
    code, outputs : Z and K, how many numbers it reads, and says at a step.
    hidden, layers : the recurrent net.
    classes : how many labels there are, read as ones and zeros beside the code; 0: none.
    options : for the recurrent net, such as ``backend=``.
    """

    def __init__(
        self,
        cell: str | Cell,
        code: int,
        outputs: int,
        hidden: int = 64,
        layers: int = 1,
        classes: int = 0,
        **options: Any,
    ) -> None:
        super().__init__()
        self.code, self.outputs, self.classes = code, outputs, classes
        self.net = RecurrentDecoder(cell, code + classes, outputs, hidden, layers, **options)
        init_weight(self.net.readout.weight, None, self.net.readout.in_features, outputs)

    @property
    def backend_(self) -> str:
        """What ran it at the last call, and why."""
        return self.net.writer.backend_

    def forward(
        self,
        z: Float[Tensor, "B Z"],
        label: Int64[Tensor, " B"] | None = None,
        steps: int | None = None,
    ) -> Float[Tensor, "B T K"]:
        """The sequence that each code stands for.

        Parameters
        ----------
        z : (B, Z).
        label : (B,) from 0 to classes - 1; None without classes.
        steps : T; must be given.

        Raises
        ------
        ValueError : no steps, no label for a net of classes, or one for a net without.
        """
        return self.net(append_label(z, label, self.classes), steps)  # type: ignore[no-any-return]


@final
class RecurrentCritic(nn.Module):
    """Sequence in, logit out: read to the end, then a linear layer of the last states.

    Sequences that are read together are side by side at every step. Of unequal lengths, the shorter ones end
    before the reading does; beside each of them stands, at every step, 1 while it goes on and 0 behind its end.

    Parameters
    ----------
    cell : a cell or its name.
    features : E.
    hidden, layers : the recurrent net.
    classes : how many labels there are, read as ones and zeros beside every step; 0: none.
    pack : m sequences that are read together; see `regen.nets.conditioning.beside_rows`.
    spectral_norm : divide every weight matrix by its largest singular value (Miyato et al. 2018).
    options : for the recurrent net, such as ``backend=``.
    """

    def __init__(
        self,
        cell: str | Cell,
        features: int,
        hidden: int = 64,
        layers: int = 1,
        classes: int = 0,
        pack: int = 1,
        spectral_norm: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        self.features, self.classes, self.pack = features, classes, pack
        heard = pack * (features + classes + (pack > 1))
        self.net = RecurrentEncoder(cell, heard, 1, hidden, layers, **options)
        if spectral_norm:
            _bound(self.net)

    @property
    def backend_(self) -> str:
        """What ran it at the last call, and why."""
        return self.net.reader.backend_

    def forward(
        self,
        x: Float[Tensor, "B T E"],
        label: Int64[Tensor, " B"] | None = None,
        lengths: Int64[Tensor, " B"] | None = None,
    ) -> Float[Tensor, " n"]:
        """How real each sequence is, or each `pack` of them together: logits (B / m,), unbounded.

        Has second derivatives on every device: where a gradient to x may be asked for, cuDNN, which has none, does
        not run.

        Parameters
        ----------
        x : (B, T, E).
        label : (B,) from 0 to classes - 1; None without classes.
        lengths : (B,) valid steps of each row; the others are never read. None: all.

        Raises
        ------
        ValueError : B is no multiple of m, no label for a net of classes, or one for a net without.
        """
        rows = append_label(x, label, self.classes)
        if self.pack > 1:
            rows = pack_rows(_ended(rows, lengths), self.pack)
        ends = longest(lengths, self.pack)
        if not (x.is_cuda and x.requires_grad):
            return self.net(rows, None, ends)[:, 0]  # type: ignore[no-any-return]
        with torch.backends.cudnn.flags(enabled=False):
            return self.net(rows, None, ends)[:, 0]  # type: ignore[no-any-return]


Generator = MLPGenerator | DCGANGenerator | RecurrentGenerator
Critic = MLPCritic | DCGANCritic | RecurrentCritic


def make_gan_nets(
    backbone: str | Cell,
    *,
    features: int,
    outputs: int,
    code: int,
    shape: tuple[int, int, int] | None = None,
    hidden: Hidden = "auto",
    activation: str = "relu",
    cell: str | Cell = "gru",
    classes: int = 0,
    pack: int = 1,
    spectral_norm: bool = False,
    norm: bool = False,
    channels: int = 64,
    backend: str = "auto",
) -> tuple[Generator, Critic]:
    """A new generator and its critic, untrained.

    Parameters
    ----------
    backbone : "mlp" for rows, "conv" for images (DCGAN), "recurrent" for sequences, read and said by `cell`; a cell
        or its name is "recurrent" with that cell.
    features : E, encoded numbers of a row, of an image or of a step, which the critic reads.
    outputs : K, of the generator for each row, image or step: for images E or a multiple of it.
    code : Z, what the generator reads.
    shape : (C, Y, X) of the images; conv only.
    hidden : the layers between, in the order of the critic. mlp: their widths; "auto" is four of the power of two
        next to 2 E within [128, 512]: depth does more than width to keep 25 modes apart. recurrent: the width of each
        layer, all of them equal; "auto" is one layer of the power of two next to 2 E within [64, 256], not narrower
        than the code. Not read by conv, see `channels`.
    activation : between the layers of an mlp; see `regen.nets.mlp.ACTIVATIONS`.
    classes, pack, spectral_norm : see `MLPCritic`; the generator is neither packed nor normalised.
    norm, channels : batch norm and width of a conv backbone; see `DCGANGenerator`. The others have no norm.
    backend : who runs a recurrent backbone.

    Returns
    -------
    generator : called with z (B, Z), label (B,) and steps, says (B, K) or (B, T, K).
    critic : called with x (B, E) or (B, T, E), label (B,) and lengths (B,), says logits (B / m,).

    Raises
    ------
    ValueError : unknown backbone or activation, or arguments that do not fit the backbone.
    """
    backbone, cell = resolve_backbone(backbone, cell)
    if norm and backbone != "conv":
        raise ValueError(f"norm=True needs convolutions. Use backbone='conv' instead of {backbone!r}.")
    read: dict[str, Any] = {"classes": classes, "pack": pack, "spectral_norm": spectral_norm}
    if backbone == "mlp":
        widths = (power_of_two(2 * features, 128, 512),) * 4 if hidden == "auto" else as_tuple(hidden)
        generator = MLPGenerator(code, outputs, widths, activation, classes)
        return generator, MLPCritic(features, widths, activation, **read)
    if backbone == "conv":
        image, width = check_shape(shape, features, outputs)
        drawn = DCGANGenerator(code, image, width, channels, norm, classes)
        return drawn, DCGANCritic(image, channels, norm, **read)
    wide, layers = recurrent_hidden(features, code, hidden)
    said = RecurrentGenerator(cell, code, outputs, wide, layers, classes, backend=backend)
    return said, RecurrentCritic(cell, features, wide, layers, **read, backend=backend)


def _ended(x: Float[Tensor, "B T E"], lengths: Int64[Tensor, " B"] | None) -> Float[Tensor, "B T F"]:
    """What of x lies before the ends, 0 behind; beside it 1 at steps that are there, else 0: F = E + 1."""
    if lengths is None:
        return torch.cat([x, x.new_ones((*x.shape[:2], 1))], -1)
    there = length_mask(lengths, x.shape[1])[..., None]
    return torch.cat([torch.where(there, x, 0.0), there.to(x.dtype)], -1)


def _bound(net: nn.Module) -> None:
    """Spectral norm of every weight matrix."""
    for owner in list(net.modules()):
        for name, weight in list(owner.named_parameters(recurse=False)):
            if "weight" in name and weight.ndim > 1:
                parametrizations.spectral_norm(owner, name)
