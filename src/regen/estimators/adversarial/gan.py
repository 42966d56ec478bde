"""GAN: new rows of a table, points or sequences, made by a network that competes with another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
from torch import nn

from regen._check import Choice, Constraint, Either, Int, Kind
from regen.cells import NAMES, Cell
from regen.estimators._constraints import ROW_CONSTRAINTS
from regen.estimators._modalities import modality_of, ragged
from regen.estimators.adversarial._base import COMPETING, AdversarialEstimator
from regen.estimators.adversarial.game import Game
from regen.nets.adversarial import make_gan_nets
from regen.training.options import Training

__all__ = ["GAN"]


@final
class GAN(AdversarialEstimator):
    """Makes new rows like those of fit: a generator competes with a discriminator that tells real from generated.

    Rows are those of a table, points, or sequences. The generator makes a row of a code drawn from N(0, 1); the
    discriminator scores rows from 1 to 100; each learns from the other (Goodfellow et al. 2014). Columns are scaled
    inside, and generated rows are in their own units and types: categories, whole numbers and truth values stay such.
    Quality is measured on rows held out while the two compete, and the generator that was best is kept.

    Parameters
    ----------
    code : numbers drawn from N(0, 1) that stand for a row; "auto" is as many as a row has, within [2, 64], and 16
        for a sequence.
    backbone : "mlp" for tables, "recurrent" (a GRU) or the name of a cell or a `regen.cells` cell for sequences;
        "auto" takes what the data look like: lists of arrays are sequences. Images are for `DCGAN`.
    hidden : widths of the discriminator's layers, units with "recurrent"; the generator has them backwards. An int
        is one layer, () none. "auto" is chosen by the size of a row.
    activation : between layers: "relu", "tanh", "sigmoid", "elu", "gelu", "silu" or "selu". Of "mlp".
    output : what the columns of numbers are: "real", "nonnegative", "unit" (between 0 and 1), "binary", "counts" or
        "categorical". "auto" looks at each column; text is always categorical.
    game : a `regen.Game` (or a dict of its arguments): what the two compete for, with which penalties, and who moves
        when.
    max_epochs : passes over the training rows, at most. Where one pass gives less than 100 batches, an epoch is as
        many passes as give 100.
    learning_rate : size of the optimiser's steps; "auto" is 0.004. It falls, over 1 + step / 1000, unless the
        training plan has another schedule: what wanders around the end of a game comes to rest.
    random_state : seed of the first weights, of the codes, of the order of the rows and of what is held out.
    training : a `regen.Training` (or a dict of its arguments) for everything else about training. Its validation
        part is drawn at random, the same share of each label; "auto" holds nothing out where a fifth is less than 32
        rows. Its patience counts measurements of quality, and only with the game's early_stopping.

    Attributes
    ----------
    net_, generator_, discriminator_ : the trained torch modules, whole and apart; the generator is the moving average
        of the one that competed.
    quality_ : precision, recall, density, coverage, two_sample, mmd, both scores, and with rows held out
        memorisation, of the generator that was kept on codes it was not chosen by; see `regen.metrics.generative`.
    turns_ : the turns that were taken by scores: player, first batch, batches, why it ended.
    calibration_ : slope and offset by which scores are made of logits, of rows with their labels and without.
    classes_ : the labels, sorted; only after a fit with y.
    history_ : one row per epoch, as a dataframe: loss and scores of both players, and quality whenever it was
        measured. stopped_ : why training ended, in words.
    backend_ : who ran the networks.
    n_features_in_, feature_names_in_ : columns of a table; features of a step.

    Warns
    -----
    UserWarning
        Of generated rows that cover few of the others, or that may be copies, and of a discriminator that has won.
    RuntimeWarning
        Of a player that starves where scores say who moves.

    Examples
    --------
    >>> import regen
    >>> from sklearn.datasets import load_wine
    >>> X, y = load_wine(return_X_y=True, as_frame=True)
    >>> model = regen.GAN(max_epochs=20, random_state=0).fit(X, y)
    >>> model.sample(3, random_state=0, label=1).shape, model.score_samples(X, y).shape
    ((3, 13), (178,))
    """

    capabilities: ClassVar[tuple[str, ...]] = ("sample", "interpolate", "score", "invert")
    constraints: ClassVar[Mapping[str, Constraint]] = {
        **COMPETING,
        "code": Either((Choice(("auto",)), Int(1))),
        "backbone": Either((Choice(("auto", "mlp", "recurrent", *NAMES)), Kind(Cell, "a regen.cells cell"))),
        "hidden": ROW_CONSTRAINTS["hidden"],
        "activation": ROW_CONSTRAINTS["activation"],
        "output": Choice(("auto", "real", "nonnegative", "unit", "binary", "counts", "categorical")),
    }
    default_learning_rate: ClassVar[float] = 4e-3
    default_training: ClassVar[Mapping[str, Any]] = {"schedule": "inverse", "batch_size": 256}
    usual_game: ClassVar[Mapping[str, float]] = {
        "penalty_weight": 0.05,  # with 0.5 each of many clouds of points shrinks to a line
        "ema_half_life": 500,
        "beta1": 0.0,
        "beta2": 0.99,
    }

    def __init__(
        self,
        code: int | str = "auto",
        backbone: str | Cell = "auto",
        hidden: Any = "auto",
        activation: str = "relu",
        output: str = "auto",
        game: Game | Mapping[str, Any] | None = None,
        *,
        max_epochs: int = 100,
        learning_rate: float | str = "auto",
        random_state: Any = None,
        training: Training | Mapping[str, Any] | None = None,
    ) -> None:
        self.code = code
        self.backbone = backbone
        self.hidden = hidden
        self.activation = activation
        self.output = output
        self.game = game
        self.max_epochs = max_epochs
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.training = training

    @property
    def _output(self) -> str:
        return self.output

    def _kind_of_data(self, X: Any) -> str:
        if self.backbone != "auto" or ragged(X) or len(np.shape(X)) < 3:
            return modality_of(X, self.backbone, None)
        if len(np.shape(X)) > 3 or np.asarray(X).dtype in (np.uint8, np.bool_):
            raise ValueError(
                f"X of shape {np.shape(X)} looks like images, which regen.DCGAN makes. GAN is for tables, points and"
                " sequences (n, T, F); for images without convolutions take backbone='mlp'."
            )
        return "sequences"

    @property
    def _usual_code(self) -> int:
        return max(2, min(self._head.cells, 64)) if self.form_["kind"] == "table" else 16

    def _nets(self, features: int) -> tuple[nn.Module, nn.Module]:
        named = self.backbone not in ("auto", "recurrent")
        usual = "gru" if self.form_["kind"] == "sequences" else "mlp"
        return make_gan_nets(
            self.backbone if named else usual,
            features=features,
            outputs=features,
            code=self._code,
            hidden=(self.hidden,) if isinstance(self.hidden, int) else self.hidden,
            activation=self.activation,
            classes=self.n_labels_,
            pack=self._game.pack,
            spectral_norm=bool(self._game.spectral_norm),
            backend=self._options.backend,
        )
