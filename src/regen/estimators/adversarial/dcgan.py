"""DCGAN: new images, made by a convolutional network that competes with another one."""

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
from regen.estimators._constraints import ROW_CONSTRAINTS
from regen.estimators._evaluation import EVALUATION_BATCH, evaluating
from regen.estimators._modalities import modality_of
from regen.estimators.adversarial._base import COMPETING, AdversarialEstimator
from regen.estimators.adversarial.game import Game
from regen.nets.adversarial import make_gan_nets
from regen.training.options import Training

__all__ = ["DCGAN"]


@final
class DCGAN(ClassNamePrefixFeaturesOutMixin, TransformerMixin, AdversarialEstimator):  # type: ignore[misc]
    """Makes new images like those of fit, of any channels, height and width, with convolutions that compete.

    The nets of Radford, Metz & Chintala (2016): convolutions that go 2 steps at a time and transposed ones instead of
    pooling, no hidden dense layers, batch norm, ReLU in the generator and leaky ReLU in the discriminator, weights
    from N(0, 0.02); see `regen.nets.dcgan`. What they compete for is newer, see `regen.Game`.

    Parameters
    ----------
    code : numbers drawn from N(0, 1) that stand for an image.
    channels : of the widest maps next to the image; inner ones have twice as many at each halving of the sides, up
        to 8 times.
    norm : batch norm behind every layer but the generator's last and the discriminator's first, as published; False
        is none, and another start of the weights.
    image_shape : (Y, X) or (C, Y, X) of images that come flat.
    output : what pixels are: "real", "nonnegative", "unit" (between 0 and 1), "binary" or "counts". "auto" looks at
        them: uint8 and floats within [0, 1] are "unit", bool and nothing but 0 and 1 "binary".
    game, max_epochs, random_state, training : as in `GAN`.
    learning_rate : size of the optimiser's steps; "auto" is 0.0002, as published.

    Attributes
    ----------
    net_, generator_, discriminator_, quality_, turns_, calibration_, classes_, history_, stopped_, backend_,
        feature_names_in_ : as in `GAN`.
    n_features_in_ : numbers of an image.

    Examples
    --------
    >>> import regen
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().images / 16
    >>> model = regen.DCGAN(channels=8, max_epochs=10, random_state=0).fit(X)
    >>> model.sample(4, random_state=0).shape, model.transform(X).shape
    ((4, 8, 8), (1797, 192))
    """

    capabilities: ClassVar[tuple[str, ...]] = ("sample", "interpolate", "score", "invert", "encode")
    constraints: ClassVar[Mapping[str, Constraint]] = {
        **COMPETING,
        "channels": Int(1),
        "norm": Bool(),
        "image_shape": ROW_CONSTRAINTS["image_shape"],
        "output": Choice(("auto", "real", "nonnegative", "unit", "binary", "counts")),
    }
    default_learning_rate: ClassVar[float] = 2e-4
    default_training: ClassVar[Mapping[str, Any]] = {"schedule": "constant", "batch_size": 64}
    usual_game: ClassVar[Mapping[str, float]] = {
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
        """What the discriminator's convolutions see in images, (n, features).

        The largest activations of every convolution in a 4 x 4 grid, see `regen.nets.dcgan.DCGANCritic.features`:
        with a linear classifier they tell apart what images show (Radford et al. 2016, section 5). They are the same
        for all labels.

        X : images (n, ...) as in `fit`.
        """
        self._check_fitted()
        rows = self._encoded(self._form, self._form.read_known(self, X))
        critic: Any = self.net_.discriminator
        with evaluating(self.net_):
            found = [critic.features(some).cpu() for some in torch.split(rows.values, EVALUATION_BATCH)]
        return torch.cat(found).numpy()

    @property
    def _n_features_out(self) -> int:
        critic: Any = self.net_.discriminator
        with evaluating(self.net_):
            return int(critic.features(torch.zeros(1, self.n_features_in_, device=self._device)).shape[1])

    @property
    def _output(self) -> str:
        return self.output

    @property
    def _shape_given(self) -> Any:
        return self.image_shape

    @property
    def _norm(self) -> bool:
        return bool(self.norm)

    def _kind_of_data(self, X: Any) -> str:
        if self.image_shape is None and len(np.shape(X)) == 2:
            raise ValueError(
                f"DCGAN makes images (n, Y, X) or (n, C, Y, X), or flat ones with image_shape=(Y, X). Got X of shape"
                f" {np.shape(X)}."
            )
        return modality_of(X, "conv", self.image_shape)

    def _nets(self, features: int) -> tuple[nn.Module, nn.Module]:
        return make_gan_nets(
            "conv",
            features=features,
            outputs=features,
            code=self._code,
            shape=self._form.shape,
            classes=self.n_labels_,
            pack=self._game.pack,
            spectral_norm=bool(self._game.spectral_norm),
            norm=bool(self.norm),
            channels=self.channels,
        )
