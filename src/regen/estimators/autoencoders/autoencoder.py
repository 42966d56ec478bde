"""Autoencoder: rows compressed to a code of a few numbers, and restored from it."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from regen._check import Anything, Bool, Choice, Constraint, Either, Nothing, Number
from regen.cells import Cell
from regen.data.batching import RowBatch, RowBatches
from regen.data.ragged import Ragged
from regen.estimators._constraints import ROW_CONSTRAINTS
from regen.estimators.autoencoders._base import AutoencodingEstimator
from regen.estimators.autoencoders.pretraining import pretrain
from regen.estimators.autoencoders.row_model import RowInputs
from regen.losses.penalties import contractive, kl_sparsity, l1
from regen.nets.mlp import MLPEncoder, append_missing_mask
from regen.training.options import Training

__all__ = ["KINDS", "RESTORED", "Autoencoder", "row_errors"]

KINDS = ("real", "nonnegative", "unit", "binary", "counts")
"""What a column of numbers may be."""
RESTORED: Mapping[str, str] = {
    "real": "squared",
    "nonnegative": "nonnegative",
    "unit": "bernoulli",
    "binary": "bernoulli",
    "counts": "poisson",
    "categorical": "categorical",
}
"""How an autoencoder restores each kind of column, and what an error costs, by the name of the likelihood."""
PENALTIES = ("l1", "kl", "contractive")
SPARSE = 0.05
"""Mean activity that the "kl" penalty wants of a unit of the code (Ng 2011)."""


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
        "output": Choice(("auto", *KINDS)),
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
        """Mean cost (n,) of the observed values of each row: what `score_samples` is minus of. X as in `fit`."""
        return -self.score_samples(X)

    def _likelihood(self, kind: str) -> str:
        return RESTORED[kind]

    @property
    def _output(self) -> str:
        return self.output

    @property
    def _tied(self) -> bool:
        return bool(self.tied)

    def _check_combinations(self) -> None:
        dense = self.backbone in ("auto", "mlp") and self.hidden not in ((), [])
        if self.pretraining and not dense:
            raise ValueError(
                "pretraining=True is for dense nets with hidden layers. Got"
                f" backbone={self.backbone!r}, hidden={self.hidden!r}; take pretraining=False."
            )

    def _prepare(self, rows: Ragged, training: Tensor, generator: Generator) -> None:
        if not self.pretraining:
            return
        if not isinstance(self.net_.encoder, MLPEncoder):
            raise ValueError(
                "pretraining=True is for dense nets, and these data are read by another. Take backbone='mlp'."
            )
        feed = RowBatches(rows, None, training, self._options.batch_size)

        def heard(batch: RowBatch) -> Tensor:
            reading = self._read(batch)
            return append_missing_mask(reading.x, reading.observed) if self._told else reading.x

        def cost(outputs: Tensor, batch: RowBatch) -> Tensor:
            return self._error(outputs, self._read(batch))

        limits = (self._options, self.max_epochs, self._learning_rate)
        pretrain(self.net_, self.activation, feed, heard, cost, *limits, generator)

    def _error(self, outputs: Tensor, reading: RowInputs) -> Tensor:
        """Mean cost of the observed cells."""
        cost = self._heads.loss(outputs, reading.target, reading.observed, self._loss)
        return cost.mean() if reading.observed is None else cost.sum() / reading.observed.sum().clamp(min=1)

    def _terms(self, reading: RowInputs, generator: Generator | None) -> Mapping[str, Tensor]:
        penalty = {name: weight for name, weight in (self.penalty or {}).items() if weight}
        if not penalty:
            return {"loss": self._error(self._outputs_of(self._code_of(reading), reading), reading)}
        with torch.enable_grad():  # the Jacobian is asked for when judging, too
            reading = reading._replace(x=reading.x.detach().requires_grad_("contractive" in penalty))
            code = self._code_of(reading)
            asked: dict[str, Callable[[], Tensor]] = {
                "l1": lambda: l1(code).mean(),
                "kl": lambda: kl_sparsity(code.sigmoid(), SPARSE).sum(),
                "contractive": lambda: contractive(code, reading.x).mean(),
            }
            terms = {name: asked[name]() for name in penalty}
        error = self._error(self._outputs_of(code, reading), reading)
        return {"loss": error + sum(penalty[name] * terms[name] for name in terms), "error": error, **terms}

    def _row_scores(self, reading: RowInputs) -> Tensor:
        return -row_errors(self, reading)


def row_errors(model: AutoencodingEstimator, reading: RowInputs) -> Tensor:
    """(B,) mean cost of the observed cells of each row, restored from its code."""
    outputs = model._outputs_of(model._code_of(reading), reading)
    cost = model._heads.loss(outputs, reading.target, reading.observed, model._loss).flatten(1)
    if reading.observed is None:
        return cost.mean(1)
    return cost.sum(1) / reading.observed.flatten(1).sum(1).clamp(min=1)
