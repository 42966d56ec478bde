"""Autoencoder: rows compressed to a code of a few numbers, and restored from it."""

from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray
from torch import Generator

from regen._check import Anything, Bool, Choice, Constraint, Either, Nothing, Number
from regen.cells import Cell
from regen.data.batching import RowBatches
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
    """Compresses rows to a code of a few numbers and restores them from it, with two networks trained together.

    Rows are those of a table, images, or sequences. Columns are scaled inside, and what is restored is in their
    own units. With ``hidden=()`` both networks are linear and the code spans the space of the first principal
    components (Baldi & Hornik 1989).

    Parameters
    ----------
    code : numbers that a row is compressed to.
    backbone : "mlp" for tables, "conv" for images, "recurrent" (a GRU) or the name of a cell or a `regen.cells`
        cell for sequences; "auto" takes what the data look like: arrays of 4 axes, or of 3 in uint8 or bool, and
        flat ones with `image_shape` are images, lists of arrays are sequences.
    hidden : widths of the encoder's layers between data and code, channels with "conv", units with "recurrent"; the
        decoder has them backwards. An int is one layer, () none. "auto" is chosen by the size of a row.
    activation : between layers: "relu", "tanh", "sigmoid", "elu", "gelu", "silu" or "selu". Of "mlp" and "conv".
    image_shape : (Y, X) or (C, Y, X) of images that come flat.
    output : what the columns of numbers are: "real", "nonnegative", "unit" (between 0 and 1), "binary" or "counts".
        It decides the last activation and the cost: squared error in standard deviations for the first two, cross-
        entropy, cross-entropy, and the Poisson likelihood. "auto" looks at each column; categories are never
        numbers. ``training={"loss": "mse"}`` (or "mae", "huber") compares means whatever the kind.
    tied : the decoder has the encoder's weights, transposed; of "mlp".
    penalty : weights of penalties on the code, by name: "l1" its absolute values, "kl" the divergence of the mean
        activity of its units from 0.05 (Ng 2011; activity is the sigmoid of the code), "contractive" the squared
        norm of its Jacobian (Rifai et al. 2011). None is none: ``{"l1": 1e-3}``.
    pretraining : train layer after layer first, each to restore what it reads (Bengio et al. 2007); of "mlp" with
        hidden layers. It lets saturating activations learn deep nets.
    contamination : share of the rows of fit that `predict` calls anomalies, in (0, 0.5].
    max_epochs : passes over the training rows, at most. Where one pass gives less than 8 batches, an epoch is as
        many passes as give 8.
    learning_rate : size of the optimiser's steps; "auto" is 0.001.
    random_state : seed of the first weights, of the order of the rows and of what is held out.
    training : a `regen.Training` (or a dict of its arguments) for everything else about training. Its validation
        part is drawn at random; "auto" holds nothing out where a fifth is less than 32 rows.

    Attributes
    ----------
    net_, encoder_, decoder_ : the trained torch modules, whole and apart.
    threshold_ : the score below which a row is an anomaly.
    history_ : one row per epoch, as a dataframe. stopped_ : why training ended, in words.
    backend_ : who ran the network.
    n_features_in_, feature_names_in_ : columns of a table; numbers of an image; features of a step.

    Examples
    --------
    >>> import regen
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().data
    >>> model = regen.Autoencoder(code=8, max_epochs=3, random_state=0).fit(X)
    >>> model.transform(X).shape, model.reconstruct(X).shape
    ((1797, 8), (1797, 64))
    """

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
        X : array-like, dataframe or list of arrays
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

    def _train_net(self, model: RowModel, split: RowSplit, rng: Generator) -> None:
        objective = self._objective(model)
        if self.pretraining:
            if not isinstance(self.net_.encoder, MLPEncoder):
                raise ValueError(
                    "pretraining=True needs a dense net, and the net of these data is not dense. Take backbone='mlp'."
                )
            plan = self._options
            batches = RowBatches(split.rows, None, split.training, plan.batch_size)
            pretrain(objective, self.activation, batches, plan, self.max_epochs, self._learning_rate, rng)
        self._minimise(objective, split, rng)
