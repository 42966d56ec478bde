"""What compresses and restores: all that the autoencoders share, from any form of data to codes and back.

Letters: `n` rows, `B` batch, `T` steps, `E` encoded numbers of a row (of a step, for sequences), `Z` code,
`W` numbers that the decoder writes for them.
"""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, OutlierMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_array
from torch import Generator, Tensor, nn

from regen._masks import length_mask
from regen.cells import Cell
from regen.data.batching import RowBatch, RowBatches
from regen.data.ragged import Ragged
from regen.estimators._base import Estimator, rollback_on_error
from regen.estimators._constraints import ROW_CONSTRAINTS
from regen.estimators._evaluation import EVALUATION_BATCH, evaluating
from regen.estimators._modalities import MODALITIES, Modality, modality_of
from regen.estimators._splits import LEAST_BATCHES, hold_out
from regen.estimators.autoencoders.row_model import RowInputs
from regen.losses.mixed_likelihood import MixedLikelihood
from regen.nets.autoencoder import AutoencoderNet, make_autoencoder
from regen.nets.recurrent_autoencoder import RecurrentEncoder
from regen.training.options import Training
from regen.training.threads import fitting_threads

__all__ = ["ROW_CONSTRAINTS", "AutoencodingEstimator", "RowInputs"]

Floats = NDArray[np.float32]


class AutoencodingEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, OutlierMixin, Estimator):  # type: ignore[misc]
    """Rows in, codes out, and back; a subclass says what it minimises.

    Rows are those of a table, images or sequences, see `regen.estimators._modalities`.
    """

    default_learning_rate = 1e-3
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
    _form: Modality[Any]
    _heads: MixedLikelihood

    # What a subclass says.

    @abstractmethod
    def _likelihood(self, kind: str) -> str:
        """The name in `regen.losses.likelihoods.LIKELIHOODS` for columns of this kind."""

    @abstractmethod
    def _terms(self, reading: RowInputs, generator: Generator | None) -> Mapping[str, Tensor]:
        """Named scalars of a batch, "loss" among them; all chance from `generator` (None: torch's own)."""

    @abstractmethod
    def _row_scores(self, reading: RowInputs) -> Tensor:
        """(B,) how normal each row is, the higher the more; by no chance."""

    @property
    def _output(self) -> str:
        """The kind that is set for all columns of numbers, or "auto"."""
        return "auto"

    @property
    def _parameters_of_code(self) -> int:
        """Numbers that the encoder says for each unit of the code."""
        return 1

    @property
    def _told(self) -> bool:
        """Whether the encoder also reads which values are there."""
        return self.gaps_

    @property
    def _tied(self) -> bool:
        """Whether the decoder has the encoder's weights, transposed."""
        return False

    def _prepare(self, rows: Ragged, training: Tensor, generator: Generator) -> None:
        """Anything to be done with a new network before training."""

    # Fit.

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []  # codes are float32
        return tags

    @rollback_on_error
    def fit(self, X: Any, y: Any = None) -> AutoencodingEstimator:
        """Train on rows.

        Parameters
        ----------
        X : a table (n, F), as an array or a dataframe with columns of numbers, truth values, text or categories;
            images (n, Y, X), (n, C, Y, X), or flat (n, C * Y * X) with `image_shape`; with a recurrent backbone
            sequences (n, T, F), (n, T) or a list of (T_k, F) arrays. NaN is a missing value: what is missing is not
            learned from.
        y : (n,) or None, not used; there for scikit-learn's pipelines.
        """
        self._check_params()
        with self._seeded_rng() as generator:
            self._learn(X, generator)
        return self

    def _learn(self, X: Any, generator: Generator) -> None:
        kind = MODALITIES[modality_of(X, self.backbone, self.image_shape)]
        given = kind.read(self, X, self.image_shape)
        held_out = hold_out(np.zeros(len(given), dtype=np.int64), self._options.validation, generator)
        training = np.setdiff1d(np.arange(len(given)), held_out)
        form = kind.learn(given, self._output, training)
        self.form_ = form.state()
        rows = form.encode(given)
        self.gaps_ = bool(rows.values.isnan().any())
        self.net_ = self._build().to(self._device)
        self._warn_of_a_wide_code(rows)
        rows.values = rows.values.to(self._device)
        known = torch.from_numpy(training)
        copies = 1 if form.steps is None else form.steps
        with fitting_threads(self.net_, self._options.batch_size, copies):
            self._begin(rows, known)
            self._prepare(rows, known, generator)
            self._improve(rows, known, torch.from_numpy(held_out), generator)
            self.threshold_ = float(np.quantile(self._scored(rows), self.contamination))
        self.backend_ = self._who_ran()

    @property
    def _loss(self) -> str:
        """``loss`` of the training plan, which is not made anew to be asked at every batch."""
        given = self.training
        return given.loss if isinstance(given, Training) else str((given or {}).get("loss", "auto"))

    def _who_ran(self) -> str:
        encoder = self.net_.encoder
        if isinstance(encoder, RecurrentEncoder):
            return str(encoder.reader.backend_)
        return f"torch: dense or convolutional layers on {self._device.type}"

    def _begin(self, rows: Ragged, training: Tensor) -> None:
        """Let the decoder start from what is usual in every column; from 0 for a pixel that no image has."""
        known = torch.zeros(len(rows), dtype=torch.bool).index_fill(0, training, True)
        known = known if rows.lengths is None else known.repeat_interleave(rows.lengths)
        values = rows.values[known.to(rows.values.device)]
        bias = self._heads.initial_bias(values.reshape(-1, values.shape[-1]))
        self.net_.decoder.set_bias(bias.nan_to_num(0.0))

    def _improve(self, rows: Ragged, training: Tensor, held_out: Tensor, generator: Generator) -> None:
        """Train, judged on the rows held out, whose chance is the same in every epoch."""
        batch_size = self._options.batch_size
        passes = -(-LEAST_BATCHES // -(-len(training) // batch_size))
        feed = RowBatches(rows, None, training.repeat(passes), batch_size)
        seed = int(torch.randint(2**31 - 1, (), generator=generator))
        device = rows.values.device

        def judge() -> dict[str, float]:
            chance, sums = Generator(device).manual_seed(seed), dict[str, float]()
            for batch in _in_order(rows, held_out):
                for name, value in self._terms(self._read(batch), chance).items():
                    sums[name] = sums.get(name, 0.0) + float(value) * len(batch.x)
            return {name: value / len(held_out) for name, value in sums.items()}

        self._train_module(
            self.net_,
            lambda batch: self._terms(self._read(batch), None),
            feed,
            judge if len(held_out) else None,
            generator,
            rows.values,
            held_out,
        )

    def _warn_of_a_wide_code(self, rows: Ragged) -> None:
        numbers = math.prod(rows.values.shape[1:])
        if rows.lengths is None and self.code > numbers:
            warnings.warn(
                f"code={self.code} is more than the {numbers} numbers of a row, so that nothing need be compressed."
                " Take a smaller code, or corrupt the rows as DenoisingAutoencoder does.",
                UserWarning,
                stacklevel=5,
            )

    def _build(self) -> AutoencoderNet:
        self._form = MODALITIES[self.form_["kind"]].of(self.form_)
        blocks = self._form.layout.blocks
        self._heads = MixedLikelihood(
            [(self._likelihood(block.kind), block.start, block.stop) for block in blocks]
        )
        return make_autoencoder(
            self._kind_of_net(),
            features=self._heads.cells,
            outputs=self._heads.outputs,
            code=self.code,
            code_outputs=self.code * self._parameters_of_code,
            shape=self._form.shape,
            hidden=(self.hidden,) if isinstance(self.hidden, int) else self.hidden,
            activation=self.activation,
            mask_input=self._told,
            tied=self._tied,
            backend=self._options.backend,
        )

    def _kind_of_net(self) -> str | Cell:
        kinds = {"table": "mlp", "images": "conv", "sequences": "gru"}
        return kinds[self.form_["kind"]] if self.backbone in ("auto", "recurrent") else self.backbone

    # Between data, rows, codes and outputs.

    def _rows(self, given: Any) -> Ragged:
        rows = self._form.encode(given)
        rows.values = rows.values.to(self._device)
        return rows

    def _read(self, batch: RowBatch) -> RowInputs:
        """The batch as the network reads it. Steps past the end of a sequence are missing, too."""
        x, lengths = batch.x, batch.lengths
        read = self._form.layout.inputs(x)
        may_miss = self.gaps_ or not self.net_.training  # what fit had not, new rows may have
        if lengths is None and not (may_miss and x.isnan().any()):
            return RowInputs(x, None, read, None)
        observed = ~x.isnan()
        if lengths is not None:
            observed &= length_mask(lengths, x.shape[1])[..., None]
        return RowInputs(torch.where(observed, x, 0.0), observed, torch.where(observed, read, 0.0), lengths)

    def _said_of(self, reading: RowInputs) -> Tensor:
        """(B, Z), or as many numbers as the encoder says."""
        return self.net_.encoder(reading.x, reading.observed if self._told else None, reading.lengths)  # type: ignore[no-any-return]

    def _code_of(self, reading: RowInputs) -> Tensor:
        """(B, Z) the code of each row."""
        said = self._said_of(reading)
        return said if self._parameters_of_code == 1 else said[:, : self.code]

    def _outputs_of(self, code: Tensor, reading: RowInputs) -> Tensor:
        """(B, W) or (B, T, W) what the decoder writes for codes (B, Z) of these rows."""
        steps = reading.x.shape[1] if reading.x.ndim == 3 else None
        return self.net_.decoder(code, steps, reading.lengths)  # type: ignore[no-any-return]

    def _each(self, rows: Ragged, answer: Callable[[RowInputs], Tensor]) -> Tensor:
        """`answer` of all rows, asked batch by batch, on the CPU; without gradients."""
        with evaluating(self.net_):
            return torch.cat([answer(self._read(batch)).cpu() for batch in _in_order(rows)])

    def _scored(self, rows: Ragged) -> NDArray[np.float64]:
        return self._each(rows, self._row_scores).double().numpy()

    def _given(self, X: Any) -> Any:
        """X for a fitted estimator, checked."""
        self._check_fitted()
        return self._form.read_known(self, X)

    # Use.

    def transform(self, X: Any) -> Floats:
        """The codes (n, Z) of rows, always the same for the same rows. X as in `fit`; NaN is allowed."""
        return self._each(self._rows(self._given(X)), self._code_of).numpy()

    def inverse_transform(self, Z: Any, lengths: Any = None) -> Any:
        """What codes stand for, as the kind of data that fit was given.

        Parameters
        ----------
        Z : (n, Z) codes.
        lengths : (n,) steps of each sequence; None: as many as the longest had at fit. Other data have none.
        """
        self._check_fitted()
        codes = check_array(Z, dtype=np.float32, estimator=self, input_name="Z")
        if codes.shape[1] != self.code:
            raise ValueError(f"Z has {codes.shape[1]} columns; the code has {self.code} units.")
        steps, lengths = self._lengths(lengths, len(codes))
        return self._form.decode(self._restored(torch.from_numpy(codes), steps), lengths)

    def reconstruct(self, X: Any) -> Any:
        """Rows X (n, ...) compressed and restored, as the kind of data that came in; missing values are filled in."""
        given = self._given(X)
        rows = self._rows(given)
        codes = self._each(rows, self._code_of)
        lengths = getattr(given, "lengths", None)
        steps = None if lengths is None else int(lengths.max())
        return self._form.decode(self._restored(codes, steps), lengths, like=given)

    def _restored(self, codes: Tensor, steps: int | None) -> Tensor:
        """(n, E) or (n, steps, E) expected values of what codes (n, Z) stand for, encoded, on the CPU."""
        device = self._device
        with evaluating(self.net_):
            return torch.cat(
                [
                    self._heads.mean(self.net_.decoder(some.to(device), steps)).cpu()
                    for some in torch.split(codes, EVALUATION_BATCH)
                ]
            )

    def _lengths(self, lengths: Any, n: int) -> tuple[int | None, NDArray[np.int64] | None]:
        longest = self._form.steps
        if longest is None:
            if lengths is not None:
                raise ValueError(
                    "lengths are for sequences; this estimator was not fitted on any. Leave them out."
                )
            return None, None
        if lengths is None:
            return longest, np.full(n, longest)
        found = np.asarray(lengths)
        if found.shape != (n,) or found.dtype.kind not in "iu" or found.min(initial=1) < 1:
            raise ValueError(
                f"lengths must be {n} whole numbers of at least 1, one for each code. Got {lengths!r}."
            )
        return int(found.max()), found.astype(np.int64)

    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """How normal each row is, (n,), the higher the more; the lowest are anomalies. X as in `fit`."""
        return self._scored(self._rows(self._given(X)))

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of `score_samples`, for model selection.

        X : (n, ...) as in `fit`. y : (n,) or None, not used.
        """
        return float(self.score_samples(X).mean())

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """``score_samples(X) - threshold_``, (n,): below 0 for anomalies."""
        return self.score_samples(X) - self.threshold_

    def predict(self, X: Any) -> NDArray[np.int64]:
        """-1 for anomalies and 1 for the others, (n,): of the rows of fit, the share `contamination` is -1.

        X : (n, ...) as in `fit`.
        """
        return np.where(self.decision_function(X) >= 0, 1, -1)

    @property
    def offset_(self) -> float:
        """`threshold_`, by the name that scikit-learn's outlier detectors have for it."""
        return self.threshold_

    @property
    def encoder_(self) -> nn.Module:
        """The encoder, a torch module: rows (B, E) or (B, T, E), from `encoder_inputs`, to codes (B, Z)."""
        self._check_fitted()
        return self.net_.encoder

    def encoder_inputs(self, X: Any) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Rows X (n, ...) as `encoder_` reads them: ``encoder_(*encoder_inputs(X))`` are their codes.

        Returns
        -------
        x : (n, E) or (n, T, E) float32, scaled, categories as a 0 or 1 for each; 0 where missing.
        observed : as x, True where a number was there; None where the encoder is not told.
        lengths : (n,) steps of sequences of different lengths, else None.
        """
        rows = self._rows(self._given(X))
        with evaluating(self.net_):
            (batch,) = RowBatches(rows, None, None, len(rows), shuffle=False).epoch()
            reading = self._read(batch)
        return reading.x, reading.observed if self._told else None, reading.lengths

    @property
    def decoder_(self) -> nn.Module:
        """The decoder, a torch module: codes (B, Z) to the parameters of each cell (B, W) or (B, T, W)."""
        self._check_fitted()
        return self.net_.decoder

    @property
    def _n_features_out(self) -> int:
        return self.code


def _in_order(rows: Ragged, index: Tensor | None = None) -> Iterator[RowBatch]:
    return RowBatches(rows, None, index, EVALUATION_BATCH, shuffle=False).epoch()
