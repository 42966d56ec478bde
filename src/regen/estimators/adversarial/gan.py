"""GAN: generates rows of a table, points or sequences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
from torch import nn

from regen._check import Choice, Constraint, Either, Int, Kind
from regen.cells import NAMES, Cell
from regen.data.plain import plain, shape_of
from regen.estimators._base import Command
from regen.estimators._constraints import ROW_CONSTRAINTS
from regen.estimators._modalities import Modality, modality_of, ragged
from regen.estimators.adversarial._base import GAN_CONSTRAINTS, AdversarialEstimator
from regen.estimators.adversarial.game import Game
from regen.estimators.adversarial.gan_model import resolve_code_size
from regen.nets.adversarial import make_gan_nets
from regen.training.options import Training

__all__ = ["GAN"]


@final
class GAN(AdversarialEstimator):
    """Generates new rows like those of fit, by a generator that is trained against a discriminator.

    Rows are those of a table, points, or sequences. The generator maps a code drawn from N(0, 1) to a row; the
    discriminator scores rows from 1 to 100; the two are trained in turn (Goodfellow et al. 2014). Columns are scaled
    internally, and generated rows are in the original units and types: categories, integers, booleans, decimals,
    dates and durations are kept, within the range of the data. Quality is measured on held-out rows during training,
    and the best generator is kept.

    Parameters
    ----------
    code : int or "auto", default="auto"
        Size of the code, the vector drawn from N(0, 1) from which a row is generated. "auto" is the number of encoded
        columns within [2, 64], and 16 for a sequence.
    backbone : {"auto", "mlp", "recurrent"}, name of a cell or `regen.cells` cell, default="auto"
        "mlp" for tables, "recurrent" (a GRU) or a cell for sequences. "auto" is chosen by the data: lists of arrays
        are sequences. For images, see `DCGAN`.
    hidden : int, tuple of int or "auto", default="auto"
        Widths of the discriminator's layers, units with "recurrent". The generator has them in reverse order. An int
        is one layer, () none. "auto" is chosen by the size of a row.
    activation : {"relu", "tanh", "sigmoid", "elu", "gelu", "silu", "selu"}, default="relu"
        Activation between the layers of "mlp".
    output : {"auto", "real", "nonnegative", "unit", "binary", "counts", "categorical"}, default="auto"
        What the numeric columns are: "unit" is between 0 and 1. "auto" is chosen for each column; text is always
        categorical.
    game : Game, dict of its parameters or None, default=None
        Objective, penalties and schedule of the training, a `regen.Game`.
    max_epochs : int, default=100
        Maximum number of epochs. An epoch is a pass over the training rows, or as many passes as give 100 batches.
    learning_rate : float or "auto", default="auto"
        Learning rate of both optimizers; "auto" is 0.004. It decays as 1 / (1 + step / 1000), unless the training
        options have another schedule, so that the oscillation around the equilibrium dies out.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the codes, the order of the rows and the held-out rows.
    training : Training, dict of its parameters or None, default=None
        All other options of training, a `regen.Training`. The validation part is drawn at random and stratified by
        label; "auto" holds nothing out where a fifth is less than 32 rows. The patience counts measurements of
        quality, and applies only with the early_stopping of `game`.

    Attributes
    ----------
    net_ : torch.nn.Module
        The trained networks; the generator is the moving average of the one that was trained.
    generator_, discriminator_ : torch.nn.Module
        The two parts of `net_`.
    model_ : GANModel
        The networks with the encoding of the data, for inspection.
    modality_ : Modality
        The encoding of the data.
    quality_ : dict of str to float
        precision, recall, density, coverage, two_sample, mmd, both scores, and with held-out rows memorisation, of
        the generator that was kept, on codes that it was not selected by; see `regen.metrics.generative`.
    turns_ : list of tuple
        Turns of the schedule by scores: player, first batch, batches, why it ended.
    calibration_ : list of tuple
        Slope and offset of the scores as a function of logits, for rows with labels and without.
    classes_ : ndarray of shape (n_labels_,)
        The labels, sorted; only after a fit with y.
    history_ : dataframe
        One row per epoch: loss and scores of both players, and quality where it was measured.
    stopped_ : str
        Why training ended.
    backend_ : str
        What ran the networks.
    n_features_in_ : int
        Columns of a table; features of a step.
    feature_names_in_ : ndarray of str
        Names of the columns, where they have names.
    identifiers_ : list of str
        Columns of a dataframe that identify single rows and were left out, see `fit`: samples lack them, and new data
        may have them or not.

    Warns
    -----
    UserWarning
        When generated rows cover few of the real ones or may be copies, and when the discriminator has won.
    RuntimeWarning
        When a player of the schedule by scores does not reach its threshold.

    See Also
    --------
    DCGAN : Generates images.
    Game : Objective, penalties and schedule.
    VariationalAutoencoder : Generates rows by their likelihood.

    Examples
    --------
    >>> import regen
    >>> from sklearn.datasets import load_wine
    >>> X, y = load_wine(return_X_y=True, as_frame=True)
    >>> gan = regen.GAN(max_epochs=20, random_state=0).fit(X, y)
    >>> gan.sample(3, random_state=0, label=1).shape, gan.score_samples(X, y).shape
    ((3, 13), (178,))
    """

    command: ClassVar[Command] = Command(
        "gan", "Learn to generate realistic rows or sequences.", "labelled rows"
    )
    capabilities: ClassVar[tuple[str, ...]] = ("sample", "interpolate", "score", "invert")
    constraints: ClassVar[Mapping[str, Constraint]] = {
        **GAN_CONSTRAINTS,
        "code": Either((Choice(("auto",)), Int(1))),
        "backbone": Either((Choice(("auto", "mlp", "recurrent", *NAMES)), Kind(Cell, "a regen.cells cell"))),
        "hidden": ROW_CONSTRAINTS["hidden"],
        "activation": ROW_CONSTRAINTS["activation"],
        "output": Choice(("auto", "real", "nonnegative", "unit", "binary", "counts", "categorical")),
    }
    default_learning_rate: ClassVar[float] = 4e-3
    default_training: ClassVar[Mapping[str, Any]] = {"schedule": "inverse", "batch_size": 256}
    default_game: ClassVar[Mapping[str, float]] = {
        "penalty_weight": 0.05,  # with 0.5, each of many Gaussians collapses to a line
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

    def _modality_name(self, X: Any) -> str:
        X = plain(X)
        if self.backbone != "auto" or ragged(X) or len(shape_of(X)) < 3:
            return modality_of(X, self.backbone, None)
        if len(shape_of(X)) > 3 or np.asarray(X).dtype in (np.uint8, np.bool_):
            raise ValueError(
                f"X of shape {shape_of(X)} looks like images, which regen.DCGAN generates. GAN is for tables, points"
                " and sequences (n, T, F); for images without convolutions set backbone='mlp'."
            )
        return "sequences"

    def _networks(self, modality: Modality[Any]) -> tuple[nn.Module, nn.Module]:
        default = "mlp" if modality.steps is None else "gru"
        features = modality.layout.blocks[-1].stop
        return make_gan_nets(
            default if self.backbone in ("auto", "recurrent") else self.backbone,
            features=features,
            outputs=features,
            code=resolve_code_size(self.code, modality),
            hidden=(self.hidden,) if isinstance(self.hidden, int) else self.hidden,
            activation=self.activation,
            classes=self.n_labels_,
            pack=self._game.pack,
            spectral_norm=bool(self._game.spectral_norm),
            backend=self._options.backend,
        )
