"""Autoencoder: rows compressed to a code of a few numbers, and restored from it."""

from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from regen._check import Anything, Bool, Choice, Constraint, Either, Nothing, Number
from regen._random import Generators
from regen.cells import Cell
from regen.data.batching import RowBatches
from regen.estimators._base import Command
from regen.estimators._constraints import ROW_CONSTRAINTS
from regen.estimators.autoencoders._base import AutoencodingEstimator
from regen.estimators.autoencoders.objectives import (
    NUMERIC_KINDS,
    PENALTIES,
    RECONSTRUCTION_LIKELIHOODS,
    Reconstruction,
)
from regen.estimators.autoencoders.pretraining import pretrain
from regen.estimators.autoencoders.row_model import RowModel, RowSplit
from regen.nets.mlp import MLPEncoder
from regen.training.options import Training

__all__ = ["Autoencoder"]


def _penalties(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and all(name in PENALTIES for name in value)
        and all(map(Number(0).accepts, value.values()))
    )


@final
class Autoencoder(AutoencodingEstimator):
    """Compresses rows to a code of a few numbers and restores them from it.

    Encoder and decoder are trained together. Rows are those of a table, images, or sequences; columns are scaled
    internally, and restored rows are in the units of the data. With ``hidden=()`` both networks are linear and the
    code spans the space of the first principal components (Baldi & Hornik 1989).

    Parameters
    ----------
    code : int, default=8
        Units of the code: numbers that a row is compressed to.
    backbone : str or Cell, default="auto"
        Kind of network: "mlp" for tables, "conv" for images, "recurrent" (a GRU), the name of a cell or a
        `regen.cells` cell for sequences. "auto" depends on X: arrays of 4 axes, or of 3 in uint8 or bool, and flat
        ones with `image_shape` are images; lists of arrays are sequences; other arrays of 2 axes and dataframes are
        tables.
    hidden : int, tuple of int or "auto", default="auto"
        Widths of the encoder's layers between data and code: units with "mlp" and "recurrent", channels with "conv".
        The decoder has them in reverse order. An int is one layer, () none. "auto" depends on the size of a row.
    activation : str, default="relu"
        Activation between layers: "relu", "tanh", "sigmoid", "elu", "gelu", "silu" or "selu". Only for "mlp" and
        "conv".
    image_shape : tuple of int or None, default=None
        Shape (Y, X) or (C, Y, X) of images that come as flat rows.
    output : str, default="auto"
        Kind of the columns of numbers: "real", "nonnegative", "unit" (within [0, 1]), "binary" or "counts". It sets
        the last activation and the loss: the squared error in standard deviations for the first two, the
        cross-entropy for the next two, and minus the Poisson log-likelihood. "auto" chooses for each column;
        categories are never numbers, and dates and durations are numbers of time. ``training={"loss": "mse"}`` (or
        "mae", "huber") compares means for every kind.
    tied : bool, default=False
        Use the encoder's weights, transposed, in the decoder. Only for "mlp".
    penalty : dict or None, default=None
        Weights of penalties on the code: "l1", "kl" and "contractive". "l1" penalizes its absolute values, "kl" the
        divergence of the mean activity of its units from 0.05 (Ng 2011; the activity is the sigmoid of the code),
        "contractive" the squared norm of its Jacobian (Rifai et al. 2011). For example ``{"l1": 1e-3}``.
    pretraining : bool, default=False
        First train one layer after another, each to restore its own input (Bengio et al. 2007). Only for "mlp" with
        hidden layers; deep nets of saturating activations train better with it.
    contamination : float, default=0.1
        Share of the rows of fit that `predict` labels as anomalies, in (0, 0.5].
    max_epochs : int, default=100
        Passes over the training rows, at most. Where one pass has fewer than 8 batches, an epoch is as many passes
        as have 8.
    learning_rate : float or "auto", default="auto"
        Step size of the optimizer. "auto" is 0.001.
    random_state : int, RandomState or None, default=None
        Seed of the initial weights, of the order of the rows and of the rows held out.
    training : Training, dict or None, default=None
        All other options of training: a `regen.Training` or a dict of its arguments. Its validation rows are drawn
        at random; "auto" holds none out where a fifth is fewer than 32 rows.

    Attributes
    ----------
    net_ : nn.Module
        The trained network.
    encoder_, decoder_ : nn.Module
        Its two parts, which can be used alone; see `encoder_inputs`.
    threshold_ : float
        Rows with a lower score are anomalies.
    history_ : DataFrame
        One row per epoch.
    stopped_ : str
        Why training ended.
    backend_ : str
        Which backend ran the network, and on which device.
    n_features_in_ : int
        Columns of a table, numbers of an image, or features of a step.
    feature_names_in_ : ndarray of str
        Names of the columns, where X has them.
    identifiers_ : list of str
        Columns of a dataframe that identify single rows and were left out, see `fit`: new data may have them or not.

    See Also
    --------
    DenoisingAutoencoder : Trained on corrupted rows; removes noise and imputes missing values.
    VariationalAutoencoder : Models the density of rows; generates new ones.

    Examples
    --------
    >>> import regen
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().data[:400]
    >>> autoencoder = regen.Autoencoder(code=8, max_epochs=3, random_state=0).fit(X)
    >>> autoencoder.transform(X).shape, autoencoder.reconstruct(X).shape
    ((400, 8), (400, 64))
    """

    command: ClassVar[Command] = Command(
        "autoencoder", "Learn to compress rows, images or sequences and restore them.", "rows"
    )
    capabilities: ClassVar[tuple[str, ...]] = ("encode", "decode", "reconstruct", "score")
    constraints: ClassVar[Mapping[str, Constraint]] = {
        **ROW_CONSTRAINTS,
        "output": Choice(("auto", *NUMERIC_KINDS)),
        "tied": Bool(),
        "penalty": Either(
            (
                Nothing(),
                Anything(f"a dict of weights for some of {', '.join(map(repr, PENALTIES))}", _penalties),
            )
        ),
        "pretraining": Bool(),
    }

    def __init__(
        self,
        code: int = 8,
        backbone: str | Cell = "auto",
        hidden: Any = "auto",
        activation: str = "relu",
        image_shape: Any = None,
        output: str = "auto",
        tied: bool = False,
        penalty: Mapping[str, float] | None = None,
        pretraining: bool = False,
        contamination: float = 0.1,
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
        self.image_shape = image_shape
        self.output = output
        self.tied = tied
        self.penalty = penalty
        self.pretraining = pretraining
        self.contamination = contamination
        self.max_epochs = max_epochs
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.training = training

    def reconstruction_error(self, X: Any) -> NDArray[np.float64]:
        """Mean loss of the observed values of each row, restored from its code: minus `score_samples`.

        Parameters
        ----------
        X : array-like (n, ...), dataframe or list of arrays
            Rows as in `fit`; NaN is a missing value, and has no loss.

        Returns
        -------
        errors : ndarray (n,), float64
            By default squared errors in standard deviations of numbers, cross-entropies of truth values and
            categories, and minus log-likelihoods of counts.
        """
        return -self.score_samples(X)

    def _check_combinations(self) -> None:
        dense = self.backbone in ("auto", "mlp") and self.hidden not in ((), [])
        if self.pretraining and not dense:
            raise ValueError(
                "pretraining=True is for dense nets with hidden layers. Got"
                f" backbone={self.backbone!r}, hidden={self.hidden!r}; take pretraining=False."
            )

    def _likelihood(self, kind: str) -> str:
        return RECONSTRUCTION_LIKELIHOODS[kind]

    @property
    def _numeric_kind(self) -> str:
        return self.output

    @property
    def _encodes_mask(self) -> bool:
        return self.gaps_

    def _objective(self, model: RowModel) -> Reconstruction:
        penalty = {name: weight for name, weight in (self.penalty or {}).items() if weight}
        return Reconstruction(model, self._options.loss, penalty)

    def _train_net(self, model: RowModel, split: RowSplit, rng: Generators) -> None:
        objective = self._objective(model)
        if self.pretraining:
            if not isinstance(self.net_.encoder, MLPEncoder):
                raise ValueError(
                    "pretraining=True needs a dense net, and the net of these data is not dense. Take backbone='mlp'."
                )
            plan = self._options
            batches = RowBatches(split.rows, None, split.training, plan.batch_size)
            pretrain(
                objective, self.activation, batches, plan, self.max_epochs, self._learning_rate, rng.order
            )
        self._minimise(objective, split, rng)
