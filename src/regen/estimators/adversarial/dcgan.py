"""DCGAN: generates images with convolutional networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from torch import nn

from regen._check import Bool, Choice, Constraint, Int
from regen.data.plain import plain, shape_of
from regen.estimators._base import Command
from regen.estimators._constraints import ROW_CONSTRAINTS
from regen.estimators._modalities import Modality, modality_of
from regen.estimators.adversarial._base import GAN_CONSTRAINTS, AdversarialEstimator
from regen.estimators.adversarial.game import Game
from regen.estimators.adversarial.gan_model import resolve_code_size
from regen.nets.adversarial import make_gan_nets
from regen.training.device import EVALUATION_BATCH, evaluating
from regen.training.options import Training

__all__ = ["DCGAN"]


@final
class DCGAN(ClassNamePrefixFeaturesOutMixin, TransformerMixin, AdversarialEstimator):  # type: ignore[misc]
    """Generates new images like those of fit, of any number of channels, height and width, with convolutions.

    The networks of Radford, Metz & Chintala (2016): strided and transposed convolutions in place of pooling, no
    hidden dense layers, batch normalization, ReLU in the generator and leaky ReLU in the discriminator, weights from
    N(0, 0.02); see `regen.nets.dcgan`. The objective is a newer one, see `regen.Game`.

    Parameters
    ----------
    code : int, default=100
        Size of the code, the vector drawn from N(0, 1) from which an image is generated.
    channels : int, default=64
        Channels of the largest feature maps. Each halving of the sides doubles them, up to 8 times.
    norm : bool, default=True
        Batch normalization after every layer except the generator's last and the discriminator's first, as
        published. False has none, and another initialization of the weights.
    image_shape : tuple (Y, X) or (C, Y, X), default=None
        Shape of images that are given as flat rows.
    output : {"auto", "real", "nonnegative", "unit", "binary", "counts"}, default="auto"
        What pixels are: "unit" is between 0 and 1. "auto" is chosen by the data: uint8 and floats within [0, 1] are
        "unit", bool and nothing but 0 and 1 "binary".
    game : Game, dict of its parameters or None, default=None
        Objective, penalties and schedule of the training, a `regen.Game`.
    max_epochs : int, default=100
        Maximum number of epochs. An epoch is a pass over the training images, or as many passes as give 100 batches.
    learning_rate : float or "auto", default="auto"
        Learning rate of both optimizers; "auto" is 0.0002, as published.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the codes, the order of the images and the held-out images.
    training : Training, dict of its parameters or None, default=None
        All other options of training, a `regen.Training`, as in `GAN`.

    Attributes
    ----------
    net_, generator_, discriminator_, model_, modality_, quality_, turns_, calibration_, classes_, history_, \
stopped_, backend_, feature_names_in_ : as in `GAN`.
    n_features_in_ : int
        Numbers of an image.

    See Also
    --------
    GAN : Generates rows of a table, points or sequences.
    Game : Objective, penalties and schedule.
    VariationalAutoencoder : Generates rows by their likelihood.

    Examples
    --------
    >>> import regen
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().images / 16
    >>> dcgan = regen.DCGAN(channels=8, max_epochs=10, random_state=0).fit(X)
    >>> dcgan.sample(4, random_state=0).shape, dcgan.transform(X).shape
    ((4, 8, 8), (1797, 192))
    """

    command: ClassVar[Command] = Command("dcgan", "Learn to generate realistic images.", "labelled images")
    capabilities: ClassVar[tuple[str, ...]] = ("sample", "interpolate", "score", "invert", "encode")
    constraints: ClassVar[Mapping[str, Constraint]] = {
        **GAN_CONSTRAINTS,
        "channels": Int(1),
        "norm": Bool(),
        "image_shape": ROW_CONSTRAINTS["image_shape"],
        "output": Choice(("auto", "real", "nonnegative", "unit", "binary", "counts")),
    }
    default_learning_rate: ClassVar[float] = 2e-4
    default_training: ClassVar[Mapping[str, Any]] = {"schedule": "constant", "batch_size": 64}
    default_game: ClassVar[Mapping[str, float]] = {
        "penalty_weight": 1.0,
        "ema_half_life": 500,
        "beta1": 0.5,
        "beta2": 0.999,
    }

    def __init__(
        self,
        code: int = 100,
        channels: int = 64,
        norm: bool = True,
        image_shape: Any = None,
        output: str = "auto",
        game: Game | Mapping[str, Any] | None = None,
        *,
        max_epochs: int = 100,
        learning_rate: float | str = "auto",
        random_state: Any = None,
        training: Training | Mapping[str, Any] | None = None,
    ) -> None:
        self.code = code
        self.channels = channels
        self.norm = norm
        self.image_shape = image_shape
        self.output = output
        self.game = game
        self.max_epochs = max_epochs
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.training = training

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self.image_shape is not None
        tags.transformer_tags.preserves_dtype = []  # features are float32
        return tags

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Extract features of images from the discriminator's convolutions.

        The maximum activations of every convolution in a 4 x 4 grid, see `regen.nets.dcgan.DCGANCritic.features`: a
        linear classifier of these features distinguishes what images show (Radford et al. 2016, section 5). They do
        not depend on labels.

        Parameters
        ----------
        X : array-like, (n, ...)
            Images, as in `fit`.

        Returns
        -------
        features : ndarray of shape (n, n_features)
            Activations of the layer before the score, float32.
        """
        rows = self.encode_rows(X).x
        discriminator: Any = self.net_.discriminator
        with evaluating(self.net_):
            features = [discriminator.features(part).cpu() for part in torch.split(rows, EVALUATION_BATCH)]
        return torch.cat(features).numpy()

    @property
    def _n_features_out(self) -> int:
        discriminator: Any = self.net_.discriminator
        with evaluating(self.net_):
            image = torch.zeros(1, self.n_features_in_, device=self._device)
            return int(discriminator.features(image).shape[1])

    def _modality_name(self, X: Any) -> str:
        shape = shape_of(plain(X))
        if self.image_shape is None and len(shape) == 2:
            raise ValueError(
                f"DCGAN takes images (n, Y, X) or (n, C, Y, X), or flat ones with image_shape=(Y, X). Got X of shape"
                f" {shape}."
            )
        return modality_of(X, "conv", self.image_shape)

    def _networks(self, modality: Modality[Any]) -> tuple[nn.Module, nn.Module]:
        features = modality.layout.blocks[-1].stop
        return make_gan_nets(
            "conv",
            features=features,
            outputs=features,
            code=resolve_code_size(self.code, modality),
            shape=modality.shape,
            classes=self.n_labels_,
            pack=self._game.pack,
            spectral_norm=bool(self._game.spectral_norm),
            norm=bool(self.norm),
            channels=self.channels,
        )
