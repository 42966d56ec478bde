"""Generators and critics of every backbone: a generator maps codes to rows, a critic maps rows to logits.

Letters: `B` batch, `T` steps, `E` encoded numbers of a row or of a step, the inputs of the critic, `K` outputs of the
generator for them, `Z` code, `m` rows of a pack, `n` = B / m.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
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

_CUDNN = Lock()

__all__ = ["MLPCritic", "MLPGenerator", "RecurrentCritic", "RecurrentGenerator", "make_gan_nets"]


@final
class MLPGenerator(nn.Module):
    """Maps codes to rows: dense layers with `activation` between them, the last one linear.

    Parameters
    ----------
    code, outputs : Z and K, numbers of inputs and outputs.
    hidden : widths of the hidden layers of the *critic*; the generator has them in reverse order.
    activation : a name of `regen.nets.mlp.ACTIVATIONS`.
    classes : number of labels, one-hot and appended to the code; 0: unconditional.
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
        """The backend."""
        return "torch: dense layers"

    def forward(
        self,
        z: Float[Tensor, "B Z"],
        label: Int64[Tensor, " B"] | None = None,
        steps: int | None = None,
    ) -> Float[Tensor, "B K"]:
        """Generate a row from each code.

        Parameters
        ----------
        z : (B, Z).
        label : (B,) from 0 to classes - 1; None without classes.
        steps : not used; rows have no steps.

        Raises
        ------
        ValueError : no label for a net of classes, or one for a net without.
        """
        return self.net(append_label(z, label, self.classes))  # type: ignore[no-any-return]


@final
class MLPCritic(nn.Module):
    """Maps rows to logits: dense layers with `activation` between them, the last one linear.

    Parameters
    ----------
    features : E.
    hidden : widths of the hidden layers, from input to output.
    activation : a name of `regen.nets.mlp.ACTIVATIONS`.
    classes : number of labels, one-hot and appended to the row; 0: unconditional.
    pack : m rows that are concatenated into one input; see `regen.nets.conditioning.pack_rows`.
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
        penalised = torch.cat([torch.ones(features), torch.zeros(classes)]).repeat(pack) if classes else None
        self.register_buffer("_penalised", penalised, persistent=False)
        if spectral_norm:
            _bound_weights(self.net)

    @property
    def backend_(self) -> str:
        """The backend."""
        return "torch: dense layers"

    def squared_input_gradients(
        self, x: Float[Tensor, "B E"], label: Int64[Tensor, " B"] | None = None
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]] | None:
        """Logits as of `forward`, and the squared norm of their gradient with respect to the rows.

        Faster than autograd, see `regen.nets.input_gradients`; None for other activations than ReLU, with spectral
        norm, and for products in bfloat16.

        x, label : as in `forward`.
        """
        if not self._linear_between_kinks or torch.is_autocast_enabled(x.device.type):
            return None
        rows = pack_rows(append_label(x, label, self.classes), self.pack)
        layers = list(self.net.layers)
        return squared_input_gradients(layers, rows, self._penalised)  # type: ignore[arg-type]

    def forward(
        self,
        x: Float[Tensor, "B E"],
        label: Int64[Tensor, " B"] | None = None,
        lengths: Int64[Tensor, " B"] | None = None,
    ) -> Float[Tensor, " n"]:
        """Logits (B / m,) of rows, or of packs of rows: the larger, the more real.

        Parameters
        ----------
        x : (B, E).
        label : (B,) from 0 to classes - 1; None without classes.
        lengths : not used; rows have no steps.

        Raises
        ------
        ValueError : B is no multiple of m, no label for a net of classes, or one for a net without.
        """
        return self.net(pack_rows(append_label(x, label, self.classes), self.pack))[:, 0]  # type: ignore[no-any-return]


@final
class RecurrentGenerator(nn.Module):
    """Maps codes to sequences: the code gives the initial state and is an input at every step.

    As `regen.nets.recurrent_autoencoder.RecurrentDecoder`, but the readout is initialized at full scale, so that
    outputs depend on the code from the start.

    Parameters
    ----------
    cell : a cell or its name.
    code, outputs : Z and K, numbers of inputs, and of outputs at each step.
    hidden, layers : the recurrent net.
    classes : number of labels, one-hot and appended to the code; 0: unconditional.
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
        """The backend of the last call, and why it was chosen."""
        return self.net.writer.backend_

    def forward(
        self,
        z: Float[Tensor, "B Z"],
        label: Int64[Tensor, " B"] | None = None,
        steps: int | None = None,
    ) -> Float[Tensor, "B T K"]:
        """Generate a sequence from each code.

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
    """Maps sequences to logits: a recurrent net, then a linear layer of its last states.

    The sequences of a pack are concatenated at every step. As their lengths may differ, a mask is appended to each: 1
    at its valid steps, 0 after its end.

    Parameters
    ----------
    cell : a cell or its name.
    features : E.
    hidden, layers : the recurrent net.
    classes : number of labels, one-hot and appended to every step; 0: unconditional.
    pack : m sequences that are concatenated at every step; see `regen.nets.conditioning.pack_rows`.
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
        inputs = pack * (features + classes + (pack > 1))
        self.net = RecurrentEncoder(cell, inputs, 1, hidden, layers, **options)
        if spectral_norm:
            _bound_weights(self.net)

    @property
    def backend_(self) -> str:
        """The backend of the last call, and why it was chosen."""
        return self.net.reader.backend_

    def forward(
        self,
        x: Float[Tensor, "B T E"],
        label: Int64[Tensor, " B"] | None = None,
        lengths: Int64[Tensor, " B"] | None = None,
    ) -> Float[Tensor, " n"]:
        """Logits (B / m,) of sequences, or of packs of sequences: the larger, the more real.

        Twice differentiable on every device: where x requires a gradient, cuDNN, which has no double backward, is
        disabled.

        Parameters
        ----------
        x : (B, T, E).
        label : (B,) from 0 to classes - 1; None without classes.
        lengths : (B,) valid steps of each row; None: all.

        Raises
        ------
        ValueError : B is no multiple of m, no label for a net of classes, or one for a net without.
        """
        rows = append_label(x, label, self.classes)
        if self.pack > 1:
            rows = pack_rows(_with_mask(rows, lengths), self.pack)
        ends = longest(lengths, self.pack)
        if not (x.is_cuda and x.requires_grad):
            return self.net(rows, None, ends)[:, 0]  # type: ignore[no-any-return]
        with _without_cudnn():
            return self.net(rows, None, ends)[:, 0]  # type: ignore[no-any-return]


@contextmanager
def _without_cudnn() -> Iterator[None]:
    """A context without cuDNN. Its switch belongs to the process: threads take turns, so that it ends as it was."""
    with _CUDNN, torch.backends.cudnn.flags(enabled=False):
        yield


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
    """Make a new generator and a new critic.

    Parameters
    ----------
    backbone : "mlp" for rows, "conv" for images (DCGAN), "recurrent" for sequences, with `cell`; a cell or its
        name is "recurrent" with that cell.
    features : E, encoded numbers of a row, of an image or of a step, the inputs of the critic.
    outputs : K, of the generator for each row, image or step: for images E or a multiple of it.
    code : Z, the inputs of the generator.
    shape : (C, Y, X) of the images; conv only.
    hidden : the hidden layers, in the order of the critic. mlp: their widths; "auto" is four of the power of two
        next to 2 E within [128, 512]: depth does more than width to keep 25 modes apart. recurrent: the width of each
        layer, all of them equal; "auto" is one layer of the power of two next to 2 E within [64, 256], not narrower
        than the code. Not used by conv, see `channels`.
    activation : between the layers of an mlp; see `regen.nets.mlp.ACTIVATIONS`.
    classes, pack, spectral_norm : see `MLPCritic`; they apply to the critic.
    norm, channels : batch norm and width of a conv backbone; see `DCGANGenerator`. The others have no norm.
    backend : what runs a recurrent backbone.

    Returns
    -------
    generator : takes z (B, Z), label (B,) and steps, returns (B, K) or (B, T, K).
    critic : takes x (B, E) or (B, T, E), label (B,) and lengths (B,), returns logits (B / m,).

    Raises
    ------
    ValueError : unknown backbone or activation, or arguments that do not fit the backbone.
    """
    backbone, cell = resolve_backbone(backbone, cell)
    if norm and backbone != "conv":
        raise ValueError(f"norm=True needs convolutions. Use backbone='conv' instead of {backbone!r}.")
    options: dict[str, Any] = {"classes": classes, "pack": pack, "spectral_norm": spectral_norm}
    if backbone == "mlp":
        widths = (power_of_two(2 * features, 128, 512),) * 4 if hidden == "auto" else as_tuple(hidden)
        generator = MLPGenerator(code, outputs, widths, activation, classes)
        return generator, MLPCritic(features, widths, activation, **options)
    if backbone == "conv":
        image, width = check_shape(shape, features, outputs)
        images = DCGANGenerator(code, image, width, channels, norm, classes)
        return images, DCGANCritic(image, channels, norm, **options)
    wide, layers = recurrent_hidden(features, code, hidden)
    sequences = RecurrentGenerator(cell, code, outputs, wide, layers, classes, backend=backend)
    return sequences, RecurrentCritic(cell, features, wide, layers, **options, backend=backend)


def _with_mask(x: Float[Tensor, "B T E"], lengths: Int64[Tensor, " B"] | None) -> Float[Tensor, "B T F"]:
    """Zero-padded x with a mask of the valid steps appended: F = E + 1."""
    if lengths is None:
        return torch.cat([x, x.new_ones((*x.shape[:2], 1))], -1)
    mask = length_mask(lengths, x.shape[1])[..., None]
    return torch.cat([torch.where(mask, x, 0.0), mask.to(x.dtype)], -1)


def _bound_weights(net: nn.Module) -> None:
    """Apply spectral norm to every weight matrix."""
    for owner in list(net.modules()):
        for name, weight in list(owner.named_parameters(recurse=False)):
            if "weight" in name and weight.ndim > 1:
                parametrizations.spectral_norm(owner, name)
