"""SequenceClassifier and SequenceRegressor: a whole sequence in, one answer out, from one recurrent network."""

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    assert_all_finite,
    check_array,
    check_consistent_length,
    column_or_1d,
)
from torch import Tensor

from regen._check import Bool, Choice, Constraint, Either, Int, Number
from regen.cells import Cell
from regen.estimators._base import CELL_CONSTRAINT, SHARED_CONSTRAINTS, Estimator, rollback_on_error
from regen.estimators._online import softmax
from regen.estimators._sequence_input import Sequences, read_known_sequences, read_sequences
from regen.estimators._splits import hold_out
from regen.estimators.sequences._training import SequenceScale, SequenceUnfolding, still_answers
from regen.estimators.sequences.online import SequenceStream
from regen.losses.regression import LOSSES
from regen.nets.sequence import Pool, SequenceNet
from regen.training.options import Training
from regen.training.threads import fitting_threads

__all__ = ["SequenceClassifier", "SequenceRegressor"]

MOST_STEPS = 32
"""Recurrent steps that segment="auto" reads a sequence in, at most."""

CONSTRAINTS: Mapping[str, Constraint] = {
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


@final
class SequenceClassifier(ClassifierMixin, Estimator):  # type: ignore[misc]
    """Tells the class of a sequence with a recurrent network.

    The network reads the sequence, unfolded into one copy per step, and what its copies say is pooled over time.

    Parameters
    ----------
    cell : "gru", "lstm", "elman", "diagonal", "jordan", or a `regen.cells` cell with its options. The GRU learns
        small training sets as well as the LSTM or a little better (ArrowHead 0.77 against 0.73, GunPoint 0.99
        against 0.97, ECG200 and JapaneseVowels alike; means of three seeds).
    hidden : units of the network, in each direction.
    layers : depth of the network.
    bidirectional : read from both ends, as a whole sequence is known when it is told apart. With False every
        answer depends on the past only.
    dropout : share of units silenced in training, between layers and before the readout, in [0, 1).
    segment : steps of the sequence that are new at each recurrent step; with more than 1 the step also reads the
        3 segments before, so that no shape is cut at a border. "auto" reads in at most 32 recurrent steps: long
        sequences train many times faster, and the state bridges them more easily.
    pool : what reaches the readout of all that the copies say: "last" (when everything is read), "mean", "max",
        or "all" three, which lets training choose.
    normalize : "train" standardises each feature by the mean and standard deviation of the training sequences;
        "sequence" each sequence by its own, for data whose level and size mean nothing; "none" not at all.
    max_epochs : passes over the training sequences, at most. Where one pass gives less than 8 batches, an epoch is
        as many passes as give 8.
    learning_rate : size of the optimiser's steps; "auto" is 0.003.
    random_state : seed of the first weights, of dropout, of the order of the sequences and of what is held out.
    training : a `regen.Training` (or a dict of its arguments) for everything else about training. Its validation
        part is drawn at random, the same share of each class; a class with too few members gives none. "auto" holds
        nothing out where a fifth is less than 32 sequences: all epochs are run, and the last weights are kept. To
        resume from a checkpoint give `random_state` too, which draws that part.

    Attributes
    ----------
    classes_ : the labels, sorted.
    net_ : the trained torch module; standardised sequences in, one logit per class out.
    history_ : one row per epoch, as a dataframe. stopped_ : why training ended, in words.
    loss_per_step_ : (copies,) cost of each copy of the unfolded network on the validation part (training part
        when there is none): the mean cost if it had to answer when the first 1, 2, ... segments are read. A
        bidirectional net must read anew for each: of more than 64 copies, 64 are asked on at most 32 rows, and the
        costs of those between lie on a straight line.
    backend_ : which kernel ran, and why.
    segment_ : steps per recurrent step.
    n_features_in_ : features of each step; for an (n, T) table its columns, as in all of scikit-learn.
    feature_names_in_ : columns of a dataframe.

    Examples
    --------
    >>> import numpy as np, regen
    >>> X = [np.sin(np.arange(20 + k) / (2 + k % 2)) for k in range(40)]
    >>> y = ["fast", "slow"] * 20
    >>> model = regen.SequenceClassifier(hidden=8, max_epochs=10, random_state=0).fit(X, y)
    >>> model.predict(X[:2]).tolist()
    ['fast', 'slow']
    """

    capabilities: ClassVar[tuple[str, ...]] = ("predict",)
    constraints: ClassVar[Mapping[str, Constraint]] = CONSTRAINTS
    net_: SequenceNet

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
        return _tagged(super().__sklearn_tags__())

    @rollback_on_error
    def fit(self, X: Any, y: Any) -> "SequenceClassifier":
        """Train on labelled sequences.

        Parameters
        ----------
        X : (n, T, F) array, (n, T) array or dataframe, or a list of n arrays (T_k, F) or (T_k,) of different
            lengths. NaN is a missing value.
        y : (n,) labels of any type that sorts.
        """
        self._check_params()
        cost = _cost(self, "cross_entropy", ("cross_entropy",))
        sequences = read_sequences(self, X)
        y = _given(self, y)
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        check_consistent_length(sequences.lengths, y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        self.n_outputs_ = len(self.classes_)
        with self._seeded_rng() as generator:
            held_out = hold_out(codes, self._options.validation, generator)
            _learn(self, sequences, torch.from_numpy(codes.astype(np.int64)), held_out, cost, generator)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probability (n, classes) of each class, in the order of ``classes_``.

        X : (n, T, F), (n, T) or a list of (T_k, F) arrays, as in `fit`.
        """
        return torch.softmax(_answers(self, X).double(), 1).numpy()

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable label (n,) of each sequence.

        X : (n, T, F), (n, T) or a list of (T_k, F) arrays, as in `fit`.
        """
        answers = _answers(self, X)
        return self.classes_[answers.argmax(1).numpy()]  # type: ignore[no-any-return]

    def stream(self) -> SequenceStream:
        """Read one new sequence a step at a time: ``step(x)`` says the probabilities (classes,) so far."""
        return _stream(self, softmax)

    def _build(self) -> SequenceNet:
        return _net(self)


@final
class SequenceRegressor(RegressorMixin, Estimator):  # type: ignore[misc]
    """Tells one or several numbers that belong to a whole sequence with a recurrent network.

    The network reads the sequence, unfolded into one copy per step, and what its copies say is pooled over time.
    Targets are standardised inside, so their unit does not matter.

    Parameters
    ----------
    cell, hidden, layers, bidirectional, dropout, segment, pool, normalize, max_epochs, learning_rate,
        random_state : as in `SequenceClassifier`.
    training : a `regen.Training` (or a dict of its arguments); the loss "auto" is "mse", in units of the standard
        deviation of each target. The validation part is drawn at random; "auto" as in `SequenceClassifier`.

    Attributes
    ----------
    net_, history_, stopped_, loss_per_step_, backend_, segment_, n_features_in_, feature_names_in_ : as in
        `SequenceClassifier`.
    target_center_, target_scale_ : (K,) mean and standard deviation of the targets of the training part.

    Examples
    --------
    >>> import numpy as np, regen
    >>> X = np.random.default_rng(0).normal(size=(64, 12))
    >>> model = regen.SequenceRegressor(hidden=8, max_epochs=5, random_state=0).fit(X, X.mean(1))
    >>> model.predict(X[:3]).shape
    (3,)
    """

    capabilities: ClassVar[tuple[str, ...]] = ("predict",)
    constraints: ClassVar[Mapping[str, Constraint]] = CONSTRAINTS
    net_: SequenceNet

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
        tags = _tagged(super().__sklearn_tags__())
        tags.target_tags.multi_output = True
        return tags

    @rollback_on_error
    def fit(self, X: Any, y: Any) -> "SequenceRegressor":
        """Train on sequences with their targets.

        Parameters
        ----------
        X : (n, T, F) array, (n, T) array or dataframe, or a list of n arrays (T_k, F) or (T_k,) of different
            lengths. NaN is a missing value.
        y : (n,) numbers, or (n, K) for K numbers each.
        """
        self._check_params()
        cost = _cost(self, "mse", ("mse", "mae", "huber"))
        sequences = read_sequences(self, X)
        y = check_array(_given(self, y), ensure_2d=False, dtype=np.float64, input_name="y", estimator=self)
        check_consistent_length(sequences.lengths, y)
        self.one_target_ = y.ndim == 1
        y = y.reshape(len(y), -1)
        self.n_outputs_ = y.shape[1]
        with self._seeded_rng() as generator:
            alike = np.zeros(len(y), dtype=np.int64)
            held_out = hold_out(alike, self._options.validation, generator)
            told = np.delete(y, held_out, axis=0)
            spread = told.std(axis=0)
            self.target_center_ = told.mean(axis=0)
            self.target_scale_ = np.where(spread > 1e-12 * np.abs(self.target_center_), spread, 0.0)
            z = (y - self.target_center_) / np.where(self.target_scale_ > 0, self.target_scale_, 1.0)
            _learn(self, sequences, torch.from_numpy(z.astype(np.float32)), held_out, cost, generator)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """The targets (n,), or (n, K) when fit was given so many.

        X : (n, T, F), (n, T) or a list of (T_k, F) arrays, as in `fit`.
        """
        return self._targets(_answers(self, X).numpy())

    def stream(self) -> SequenceStream:
        """Read one new sequence a step at a time: ``step(x)`` says the target, or targets (K,), so far."""
        return _stream(self, copy(self)._targets)

    def _targets(self, z: NDArray[np.float32]) -> NDArray[np.float64]:
        """Targets in their unit from standardised ones (..., K); without K when there is one."""
        y = z.astype(np.float64) * self.target_scale_ + self.target_center_
        return y[..., 0] if self.one_target_ else y  # type: ignore[no-any-return]

    def _build(self) -> SequenceNet:
        return _net(self)


SequenceEstimator = SequenceClassifier | SequenceRegressor


def _tagged(tags: Tags) -> Tags:
    """What scikit-learn is told of both: three axes are welcome, and NaN too."""
    tags.input_tags.three_d_array = True
    tags.input_tags.allow_nan = True
    return tags


def _given(model: SequenceEstimator, y: Any) -> Any:
    if y is None:
        raise ValueError(f"{type(model).__name__} requires y to be passed, but the target y is None.")
    return y


def _cost(
    model: SequenceEstimator, default: str, known: tuple[str, ...]
) -> Callable[[Tensor, Tensor], Tensor]:
    """The cost that the training plan asks for; ValueError when it does not fit the targets."""
    loss = default if model._options.loss == "auto" else model._options.loss
    if loss not in known:
        words = ", ".join(repr(word) for word in ("auto", *known))
        raise ValueError(
            f"The 'loss' of the training of {type(model).__name__} must be one of {words}. Got {loss!r} instead."
        )
    return LOSSES[loss]


def _learn(
    model: SequenceEstimator,
    sequences: Sequences,
    y: Tensor,
    held_out: NDArray[np.int64],
    cost: Callable[[Tensor, Tensor], Tensor],
    generator: torch.Generator,
) -> None:
    """Scale, build and train: what both kinds of `fit` have in common."""
    training = np.setdiff1d(np.arange(len(sequences)), held_out)
    scale = SequenceScale.of(sequences, training, model.normalize)
    model.center_, model.scale_, model.gaps_ = scale.center, scale.scale, scale.gaps
    longest = int(sequences.lengths.max())
    model.n_steps_in_ = longest if sequences.table else None
    model.n_features_per_step_ = sequences.values.shape[1]
    model.segment_ = -(-longest // MOST_STEPS) if model.segment == "auto" else int(model.segment)
    model.net_ = model._build().to(model._device)
    rows, y = scale.rows(sequences, model._device), y.to(model._device)
    batch_size = model._options.batch_size
    unfolding = SequenceUnfolding(model.net_, cost, rows, y, held_out, batch_size)
    judge = unfolding.judge if len(held_out) else None
    drawn = torch.from_numpy(
        held_out
    )  # a run resumed with others held out would validate on what it was trained on
    copies = -(-longest // model.segment_)
    data = (rows.values, y, drawn)
    with fitting_threads(model.net_, batch_size, copies):
        model._train_module(model.net_, unfolding.loss, unfolding.feed, judge, generator, *data)
        model.loss_per_step_ = unfolding.per_step().cpu().numpy()
    model.backend_ = model.net_.reader.backend_


def _answers(model: SequenceEstimator, X: Any) -> Tensor:
    """(n, K) what the trained network answers."""
    model._check_fitted()
    sequences = read_known_sequences(model, X, model.n_features_per_step_, model.n_steps_in_)
    scale = SequenceScale(model.center_, model.scale_, model.gaps_)
    return still_answers(model.net_, scale.rows(sequences, model._device)).cpu()


def _stream(model: SequenceEstimator, said: Callable[[NDArray[np.float32]], Any]) -> SequenceStream:
    model._check_fitted()
    scale = SequenceScale(model.center_, model.scale_, model.gaps_)
    return SequenceStream(model.net_, scale, model.n_features_per_step_, said)


def _net(model: SequenceEstimator) -> SequenceNet:
    """An untrained network for the data that fit has measured."""
    return SequenceNet(
        model.cell,
        model.n_features_per_step_ * (2 if model.gaps_ else 1),
        model.n_outputs_,
        hidden=model.hidden,
        layers=model.layers,
        bidirectional=bool(model.bidirectional),
        dropout=model.dropout,
        segment=model.segment_,
        pool=model.pool,
        backend=model._options.backend,
    )
