"""The base of the autoencoders: from any modality of rows to codes and back.

Letters: `n` rows, `B` batch, `T` steps, `E` encoded numbers of a row (of a step, for sequences), `Z` code,
`W` outputs of the decoder.
"""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, OutlierMixin, TransformerMixin
from sklearn.utils import Tags
from torch import Generator, Tensor, nn

from regen._random import Generators
from regen._schema import Form, Real, Truth
from regen.cells import Cell
from regen.data.batching import RowBatches
from regen.data.ragged import Ragged
from regen.estimators._base import Estimator, rollback_on_error
from regen.estimators._constraints import check_columns
from regen.estimators._forms import MODALITY, SHARED_FORMS
from regen.estimators._modalities import MODALITIES, Modality, modality_of, read_codes
from regen.estimators._probe import PROBE_ROWS, Probe, ProbeWindows
from regen.estimators._splits import LEAST_BATCHES, hold_out
from regen.estimators.autoencoders.objectives import Objective
from regen.estimators.autoencoders.probe import row_probe
from regen.estimators.autoencoders.row_model import RowModel, RowSplit
from regen.losses.mixed_likelihood import MixedLikelihood
from regen.nets.autoencoder import AutoencoderNet, make_autoencoder
from regen.training.device import fitting_threads
from regen.training.player import Stateful
from regen.training.row_parts import RowParts

__all__ = ["AutoencodingEstimator", "PreparedRows"]

Floats = NDArray[np.float32]
DEFAULT_BACKBONES = {"table": "mlp", "images": "conv", "sequences": "gru"}


class PreparedRows(NamedTuple):
    """Rows as the network receives them, with the objective that scores them."""

    objective: Objective
    data: Any
    rows: Ragged

    @property
    def model(self) -> RowModel:
        """The network and the encoding of the rows."""
        return self.objective.model


class AutoencodingEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, OutlierMixin, Estimator):  # type: ignore[misc]
    """An estimator of rows in, codes out, and back; a subclass sets the objective and the recipe of training.

    Rows are those of a table, images or sequences, see `regen.estimators._modalities`.
    """

    default_learning_rate = 1e-3
    forms: ClassVar[Mapping[str, Form]] = {
        **SHARED_FORMS,
        "form_": MODALITY,
        "gaps_": Truth(),
        "threshold_": Real(finite=False),
    }
    outputs_per_unit: ClassVar[int] = 1
    """Outputs of the encoder for each unit of the code."""
    warns_of_wide_code: ClassVar[bool] = True
    """Whether a code wider than a row lets the network copy the row."""
    tied = False
    net_: AutoencoderNet
    code: int
    backbone: str | Cell
    hidden: Any
    activation: str
    image_shape: Any
    contamination: float
    form_: dict[str, Any]
    gaps_: bool
    threshold_: float

    # Set by a subclass.

    @abstractmethod
    def _likelihood(self, kind: str) -> str:
        """The name in `regen.losses.likelihoods.LIKELIHOODS` for columns of this kind."""

    @abstractmethod
    def _objective(self, model: RowModel) -> Objective:
        """What is minimised, and what scores rows."""

    @abstractmethod
    def _train_net(self, model: RowModel, split: RowSplit, rng: Generators) -> None:
        """Train the new network, and set the attributes that only this estimator has."""

    @property
    @abstractmethod
    def _numeric_kind(self) -> str:
        """The kind of all columns of numbers, or "auto"."""

    @property
    @abstractmethod
    def _encodes_mask(self) -> bool:
        """Whether the encoder also receives the mask of observed values."""

    # Fit.

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []  # codes are float32
        return tags

    @rollback_on_error
    def fit(
        self, X: Any, y: Any = None, *, identifiers: str | Sequence[Any] = "drop", bounds: Any = "data"
    ) -> AutoencodingEstimator:
        """Train on rows.

        Parameters
        ----------
        X : array-like, dataframe or list of arrays
            A table (n, F), as an array or a dataframe with columns of numbers, truth values, dates, durations, text
            or categories; images (n, Y, X), (n, C, Y, X), or flat (n, C * Y * X) with `image_shape`; with a recurrent
            backbone sequences (n, T, F), (n, T) or a list of (T_k, F) arrays. NaN is a missing value, and has no
            loss.
        y : None
            Not used; present for scikit-learn's pipelines.
        identifiers : {"drop", "keep"} or list of names of columns, default="drop"
            Columns of a dataframe that identify single rows (names, e-mail addresses, numbers of customers, free
            text), where nearly all values differ: "drop" notices them and leaves them out, with a warning, because
            a network can only learn them by heart; "keep" trains on all columns; a list leaves out its columns.
        bounds : {"data"}, None or dict of name to (lowest, highest), default="data"
            Range of the numbers and dates of restored and generated rows, for each column: that of X, none, or for
            some columns another; None for a lowest, highest or pair is no limit. Observed values are not changed.

        Returns
        -------
        self : estimator
            The fitted estimator.

        Raises
        ------
        ValueError
            When a parameter is out of its range, X is of no modality of the backbone, a column has only missing
            values, or a value is infinite.
        """
        self._check_params()
        check_columns(type(self).__name__, identifiers, bounds)
        with self._seeded_rng() as rng:
            self._fit_rows(X, identifiers, bounds, rng)
        return self

    def _fit_rows(self, X: Any, identifiers: Any, bounds: Any, rng: Generators) -> None:
        kind = MODALITIES[modality_of(X, self.backbone, self.image_shape)]
        data = kind.read(self, X, self.image_shape, identifiers)
        held_out = hold_out(np.zeros(len(data), dtype=np.int64), self._options.validation, rng.order)
        training = np.setdiff1d(np.arange(len(data)), held_out)
        modality = kind.learn(data, self._numeric_kind, training, bounds)
        self.form_ = modality.state()
        rows = modality.encode(data)
        self.gaps_ = rows.observed is not None
        self.net_ = self._new_net(rng)
        if self.warns_of_wide_code:
            _warn_of_wide_code(self.code, rows)
        rows = rows.to(self._device)
        model = self._row_model()
        split = RowSplit(rows, torch.from_numpy(training), torch.from_numpy(held_out))
        with fitting_threads(self.net_, self._options.batch_size, modality.steps or 1):
            model.init_decoder_bias(split)
            self._train_net(model, split, rng)
            scores = model.map(rows, self._objective(model).row_scores)
            self.threshold_ = float(np.quantile(scores.double().numpy(), self.contamination))
        self.backend_ = model.backend

    def _build(self) -> AutoencoderNet:
        modality = self._modality
        likelihood = self._mixed_likelihood(modality)
        backbone = self.backbone
        if backbone in ("auto", "recurrent"):
            backbone = DEFAULT_BACKBONES[self.form_["kind"]]
        return make_autoencoder(
            backbone,
            features=likelihood.cells,
            outputs=likelihood.outputs,
            code=self.code,
            code_outputs=self.code * self.outputs_per_unit,
            shape=modality.shape,
            hidden=(self.hidden,) if isinstance(self.hidden, int) else self.hidden,
            activation=self.activation,
            mask_input=self._encodes_mask,
            tied=bool(self.tied),
            backend=self._options.backend,
        )

    def _check_restored(self) -> None:
        self._modality.refuse_other(self.n_features_in_)

    @property
    def _modality(self) -> Modality[Any]:
        return MODALITIES[self.form_["kind"]].of(self.form_)

    def _mixed_likelihood(self, modality: Modality[Any]) -> MixedLikelihood:
        return MixedLikelihood(
            [(self._likelihood(block.kind), block.start, block.stop) for block in modality.layout.blocks]
        )

    def _row_model(self) -> RowModel:
        modality = self._modality
        likelihood, device = self._mixed_likelihood(modality), self._device
        masks = self._encodes_mask, self.gaps_
        return RowModel(self.net_, modality, likelihood, self.code, *masks, device, RowParts(self.net_))

    def _batches(self, split: RowSplit) -> RowBatches:
        """Training batches; an epoch of few rows is several passes over them."""
        batch_size = self._options.batch_size
        passes = -(-LEAST_BATCHES // -(-len(split.training) // batch_size))
        return RowBatches(split.rows, None, split.training.repeat(passes), batch_size)

    def _minimise(
        self, objective: Objective, split: RowSplit, rng: Generators, memory: Stateful | None = None
    ) -> None:
        """Train, and validate on the rows held out, with the same random numbers in every epoch."""
        model, rows, held_out = objective.model, split.rows, split.held_out
        seed = int(torch.randint(2**31 - 1, (), generator=rng.order))
        noise = rng.on(model.device)

        def validate() -> dict[str, float]:
            own, sums = Generator(model.device).manual_seed(seed), dict[str, float]()
            for inputs in model.batches(rows, held_out):
                for name, value in objective.loss(inputs, own).items():
                    sums[name] = sums.get(name, 0.0) + float(value) * len(inputs.x)
            return {name: value / len(held_out) for name, value in sums.items()}

        self._train_module(
            self.net_,
            lambda batch: objective.loss(model.inputs(batch), noise),
            self._batches(split),
            validate if len(held_out) else None,
            rng,
            rows.with_nan(),
            held_out,
            memory=memory,
            parts=model.parts,
        )

    # Use.

    def prepare(self, X: Any) -> PreparedRows:
        """Check and encode rows as the network receives them.

        Parameters
        ----------
        X : array-like (n, ...), dataframe or list of arrays
            Rows as in `fit`; NaN is a missing value.

        Returns
        -------
        prepared : PreparedRows
            The objective with the network, the checked data, and the encoded rows.

        Raises
        ------
        ValueError
            When X does not match the data of fit.
        """
        self._check_fitted()
        model = self._row_model()
        data = model.modality.read_known(self, X)
        return PreparedRows(self._objective(model), data, model.encode(data))

    def probe(
        self,
        X: Any,
        y: Any = None,
        *,
        part: str | None = None,
        windows: ProbeWindows = "spread",
        rows: int | None = PROBE_ROWS,
    ) -> Probe:
        """Prepare rows for inspection; parameters as in `Estimator.probe`."""
        if y is not None:
            raise ValueError(f"The targets of {type(self).__name__} are X itself. Leave out y.")
        probe = row_probe(*self.prepare(X), of_decoder=(part or "").startswith("decoder"))
        return probe if rows is None else probe.head(rows)

    def transform(self, X: Any) -> Floats:
        """Compress rows to their codes.

        Parameters
        ----------
        X : array-like (n, ...), dataframe or list of arrays
            Rows as in `fit`; NaN is a missing value.

        Returns
        -------
        codes : ndarray (n, Z), float32
            The code of each row; deterministic.

        Raises
        ------
        ValueError
            When X does not match the data of fit.
        """
        prepared = self.prepare(X)
        return prepared.model.map(prepared.rows, prepared.model.codes).numpy()

    def inverse_transform(self, Z: Any, lengths: Any = None) -> Any:
        """Decode codes to data of the kind that fit received.

        Parameters
        ----------
        Z : array-like (n, Z)
            Codes.
        lengths : array-like (n,) of int, default=None
            Steps of each sequence; None takes as many as the longest had at fit. Only for sequences.

        Returns
        -------
        X : array, dataframe or list of arrays
            Expected values of n rows, of the kind of data that fit received.

        Raises
        ------
        ValueError
            When Z has another width than the code, or `lengths` are no lengths of n sequences.
        """
        self._check_fitted()
        model = self._row_model()
        codes = read_codes(self, Z, self.code)
        steps, lengths = model.lengths(lengths, len(codes))
        return model.modality.decode(model.expected(codes, steps), lengths)

    def reconstruct(self, X: Any) -> Any:
        """Compress rows and restore them.

        Parameters
        ----------
        X : array-like (n, ...), dataframe or list of arrays
            Rows as in `fit`; NaN is a missing value.

        Returns
        -------
        X_restored : array, dataframe or list of arrays
            The rows restored from their codes, of the kind of X; missing values are filled in.

        Raises
        ------
        ValueError
            When X does not match the data of fit.
        """
        objective, data, rows = self.prepare(X)
        model = objective.model
        codes = model.map(rows, model.codes)
        lengths, steps = None, None
        if objective.model.modality.steps is not None:
            lengths, steps = rows.n_steps.numpy(), rows.longest
        return model.modality.decode(model.expected(codes, steps), lengths, like=data)

    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """Score each row; the lowest scores are anomalies.

        Parameters
        ----------
        X : array-like (n, ...), dataframe or list of arrays
            Rows as in `fit`; NaN is a missing value, and is not scored.

        Returns
        -------
        scores : ndarray (n,), float64
            Higher for more normal rows.

        Raises
        ------
        ValueError
            When X does not match the data of fit.
        """
        objective, _, rows = self.prepare(X)
        return objective.model.map(rows, objective.row_scores).double().numpy()

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of `score_samples`, for model selection.

        Parameters
        ----------
        X : array-like (n, ...), dataframe or list of arrays
            Rows as in `fit`.
        y : None
            Not used; present for scikit-learn's pipelines.

        Returns
        -------
        score : float
            The mean score.
        """
        return float(self.score_samples(X).mean())

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Scores relative to the threshold: ``score_samples(X) - threshold_``.

        Parameters
        ----------
        X : array-like (n, ...), dataframe or list of arrays
            Rows as in `fit`.

        Returns
        -------
        decision : ndarray (n,), float64
            Below 0 for anomalies.
        """
        return self.score_samples(X) - self.threshold_

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Classify rows as anomalies or not: of the rows of fit, the share `contamination` are anomalies.

        Parameters
        ----------
        X : array-like (n, ...), dataframe or list of arrays
            Rows as in `fit`.

        Returns
        -------
        labels : ndarray (n,), int64
            -1 for anomalies, 1 for the others.
        """
        return np.where(self.decision_function(X) >= 0, 1, -1)

    @property
    def offset_(self) -> float:
        """`threshold_`, by the name that scikit-learn's outlier detectors have for it."""
        return self.threshold_

    @property
    def identifiers_(self) -> list[str]:
        """Columns of the data of fit that were left out."""
        return list(self.form_.get("left_out", ()))

    @property
    def encoder_(self) -> nn.Module:
        """The encoder, a torch module: rows (B, E) or (B, T, E), from `encoder_inputs`, to codes (B, Z)."""
        self._check_fitted()
        return self.net_.encoder

    def encoder_inputs(self, X: Any) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Rows as inputs of `encoder_`: ``encoder_(*encoder_inputs(X))`` are their codes.

        Parameters
        ----------
        X : array-like (n, ...), dataframe or list of arrays
            Rows as in `fit`; NaN is a missing value.

        Returns
        -------
        x : Tensor (n, E) or (n, T, E), float32
            Scaled numbers, categories as 0 or 1 for each; 0 where missing.
        observed : Tensor of bool, shaped as x, or None
            True where a value was observed; None where the encoder does not receive the mask.
        lengths : Tensor (n,), int64, or None
            Steps of sequences of different lengths, else None.
        """
        prepared = self.prepare(X)
        inputs = prepared.model.one_batch(prepared.rows)
        return inputs.x, inputs.observed if prepared.model.encodes_mask else None, inputs.lengths

    @property
    def decoder_(self) -> nn.Module:
        """The decoder, a torch module: codes (B, Z) to the parameters of each cell (B, W) or (B, T, W)."""
        self._check_fitted()
        return self.net_.decoder

    @property
    def _n_features_out(self) -> int:
        return self.code


def _warn_of_wide_code(code: int, rows: Ragged) -> None:
    numbers = math.prod(rows.values.shape[1:])
    if rows.lengths is None and code > numbers:
        warnings.warn(
            f"code={code} is more than the {numbers} numbers of a row, so nothing is compressed."
            " Take a smaller code, or corrupt the rows as DenoisingAutoencoder does.",
            UserWarning,
            stacklevel=5,
        )
