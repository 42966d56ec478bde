"""SequenceEstimator: what the classifier and the regressor of sequences share."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import Tags
from torch import Tensor

from regen._check import Bool, Choice, Constraint, Either, Int, Number
from regen._random import Generators
from regen._schema import Form, Maybe, Numbers, Truth, Whole
from regen.cells import Cell
from regen.data.plain import complete_labels
from regen.data.ragged import Ragged
from regen.data.scaling import Standardizer
from regen.estimators._base import CELL_CONSTRAINT, SHARED_CONSTRAINTS, Estimator
from regen.estimators._forms import SHARED_FORMS
from regen.estimators._probe import PROBE_ROWS, Probe, ProbeWindows
from regen.estimators._sequence_input import SequenceInput, read_known_sequences
from regen.estimators.sequences.bptt import SequenceBPTT, fit_standardizer, predict_rows
from regen.estimators.sequences.online import SequenceStream
from regen.estimators.sequences.probe import sequence_probe
from regen.nets.sequence import Pool, SequenceNet
from regen.training.device import fitting_threads
from regen.training.options import Training

__all__ = ["SequenceEstimator"]

MOST_STEPS = 32
"""Most recurrent steps of the longest training sequence with ``segment="auto"``."""


class SequenceEstimator(Estimator):
    """Predicts from whole sequences with one recurrent network; see `SequenceClassifier` for the parameters."""

    capabilities: ClassVar[tuple[str, ...]] = ("predict",)
    constraints: ClassVar[Mapping[str, Constraint]] = {
        "cell": CELL_CONSTRAINT,
        "hidden": Int(1),
        "layers": Int(1),
        "bidirectional": Bool(),
        "dropout": Number(0, 1, high_open=True),
        "segment": Either((Choice(("auto",)), Int(1))),
        "pool": Choice(("all", "last", "mean", "max")),
        "normalize": Choice(("train", "sequence", "none")),
        **SHARED_CONSTRAINTS,
    }
    forms: ClassVar[Mapping[str, Form]] = {
        **SHARED_FORMS,
        "n_features_per_step_": Whole(1, size="features"),
        "n_outputs_": Whole(1, size="outputs"),
        "n_steps_in_": Maybe(Whole(1)),
        "segment_": Whole(1),
        "gaps_": Truth(),
        "center_": Numbers("f", ("features",)),
        "scale_": Numbers("f", ("features",), low=0),
        "loss_per_step_": Numbers("f", ("*",), finite=False),
    }
    net_: SequenceNet
    n_outputs_: int

    def __init__(
        self,
        cell: str | Cell = "gru",
        hidden: int = 64,
        layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
        segment: int | str = "auto",
        pool: Pool = "all",
        normalize: str = "train",
        *,
        max_epochs: int = 100,
        learning_rate: float | str = "auto",
        random_state: Any = None,
        training: Training | Mapping[str, Any] | None = None,
    ) -> None:
        self.cell = cell
        self.hidden = hidden
        self.layers = layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.segment = segment
        self.pool = pool
        self.normalize = normalize
        self.max_epochs = max_epochs
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.training = training

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        return tags

    def _refuse_missing_target(self, y: Any) -> None:
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")

    def _fit(self, X: SequenceInput, y: Tensor, held_out: NDArray[np.int64], rng: Generators) -> None:
        """Standardise the sequences, build the network and train it.

        y : (n,) places of the classes, or (n, K) standardised targets.
        held_out : (m,) numbers of the sequences that validate; the others train.
        """
        sequences, longest = X.rows, X.rows.longest
        train = np.setdiff1d(np.arange(len(sequences)), held_out)
        scale = fit_standardizer(sequences, train, self.normalize)
        self.center_, self.scale_ = scale.center, scale.scale
        self.gaps_ = sequences.observed is not None
        self.n_steps_in_ = longest if X.kind == "table" else None
        self.n_features_per_step_ = sequences.values.shape[-1]
        self.segment_ = -(-longest // MOST_STEPS) if self.segment == "auto" else int(self.segment)
        self.net_ = self._new_net(rng)
        rows, y = self._standardized(sequences), y.to(self._device)
        batch_size = self._options.batch_size
        bptt = SequenceBPTT(self.net_, self._loss_function, rows, y, held_out, batch_size)
        validate = bptt.validate if len(held_out) else None
        # `held_out` identifies the run too: resumed with another one, it would validate on what it was trained on.
        data = (rows.values, y, torch.from_numpy(held_out))
        with fitting_threads(self.net_, batch_size, -(-longest // self.segment_)):
            self._train_module(self.net_, bptt.loss, bptt.batches, validate, rng, *data, parts=bptt.parts)
            self.loss_per_step_ = bptt.loss_per_copy().cpu().numpy()
        self.backend_ = self.net_.reader.backend_

    def _build(self) -> SequenceNet:
        return SequenceNet(
            self.cell,
            self.n_features_per_step_ * (2 if self.gaps_ else 1),
            self.n_outputs_,
            hidden=self.hidden,
            layers=self.layers,
            bidirectional=bool(self.bidirectional),
            dropout=self.dropout,
            segment=self.segment_,
            pool=self.pool,
            backend=self._options.backend,
        )

    def _check_restored(self) -> None:
        if self.n_features_in_ != (self.n_steps_in_ or self.n_features_per_step_):
            raise ValueError(f"n_features_in_={self.n_features_in_} is not the number of features or steps")

    @property
    def _standardizer(self) -> Standardizer:
        return Standardizer(self.center_, self.scale_)

    def _standardized(self, sequences: Ragged) -> Ragged:
        """Input of the network: F features, or 2 F with the mask of the observed ones."""
        return self._standardizer.standardized(sequences, mark=self.gaps_).to(self._device)

    def _outputs(self, X: Any) -> Tensor:
        """Outputs (n, K) of the trained network: logits, or standardised targets."""
        self._check_fitted()
        sequences = read_known_sequences(self, X, self.n_features_per_step_, self.n_steps_in_)
        return predict_rows(self.net_, self._standardized(sequences.rows)).cpu()

    def probe(
        self,
        X: Any,
        y: Any = None,
        *,
        part: str | None = None,
        windows: ProbeWindows = "spread",
        rows: int | None = PROBE_ROWS,
    ) -> Probe:
        """Prepare sequences for inspection; parameters as in `Estimator.probe`."""
        self._check_fitted()
        y = complete_labels("y", y)
        sequences = read_known_sequences(self, X, self.n_features_per_step_, self.n_steps_in_).rows
        probe = sequence_probe(
            self.net_,
            sequences,
            self._standardized(sequences),
            None if y is None else self._encode_targets(np.asarray(y)),
            self._loss_function,
            receives_mask=self.gaps_,
            classes=self._output_labels,
        )
        return probe if rows is None else probe.head(rows)

    @abstractmethod
    def _encode_targets(self, y: NDArray[Any]) -> Tensor:
        """Targets y (n,) or (n, K) as in training: (n,) places of the classes, or (n, K) standardised."""

    @property
    @abstractmethod
    def _output_labels(self) -> list[Any] | None:
        """The label of each output of a classifier."""

    def _stream(self, predict: Callable[[NDArray[np.float32]], Any]) -> SequenceStream:
        """A stream that applies `predict` to the outputs (K,) of the network."""
        self._check_fitted()
        names = getattr(self, "feature_names_in_", ()) if self.n_steps_in_ is None else ()
        return SequenceStream(
            self.net_, self._standardizer, self.gaps_, self.n_features_per_step_, predict, names
        )
