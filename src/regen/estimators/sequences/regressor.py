"""SequenceRegressor: one or several numbers for a whole sequence, from one recurrent network."""

from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_array, check_consistent_length

from regen._schema import Form, Numbers, Truth
from regen.data.magnitude import overflow_refusal, refuse_far, refuse_unusable
from regen.data.masked_arrays import unmasked
from regen.data.plain import complete_labels, numbers_of, plain
from regen.data.scaling import is_constant, moments
from regen.estimators._base import Command, rollback_on_error
from regen.estimators._sequence_input import read_sequences
from regen.estimators._splits import hold_out
from regen.estimators.sequences._base import SequenceEstimator
from regen.estimators.sequences.online import SequenceStream

__all__ = ["SequenceRegressor"]


@final
class SequenceRegressor(RegressorMixin, SequenceEstimator):  # type: ignore[misc]
    """Regressor of sequences with a recurrent network: one or several numbers for each sequence.

    The network is that of `SequenceClassifier`, with one output per target. Targets are standardised inside, so their
    unit does not matter.

    Parameters
    ----------
    cell : {"gru", "lstm", "elman", "diagonal", "jordan"} or Cell, default="gru"
        Recurrent cell, by name or as a `regen.cells` cell with its options.
    hidden : int, default=64
        Units of the network, in each direction.
    layers : int, default=1
        Depth of the network.
    bidirectional : bool, default=True
        Process the sequence from both ends. With False every output depends on the past only, and `stream` takes
        constant time per step.
    dropout : float, default=0.0
        Share of units silenced in training, between layers and before the readout, in [0, 1).
    segment : int or "auto", default="auto"
        Steps of the sequence that are new at each recurrent step; "auto" takes at most 32 recurrent steps. More in
        `SequenceClassifier`.
    pool : {"all", "last", "mean", "max"}, default="all"
        Which outputs of the copies reach the readout: "last", "mean" or "max" over time, or "all" three.
    normalize : {"train", "sequence", "none"}, default="train"
        Standardisation of each feature: "train" by the mean and standard deviation of the training sequences,
        "sequence" of each sequence by its own, "none" not at all.
    max_epochs : int, default=100
        Passes over the training sequences, at most. Where one pass gives less than 8 batches, an epoch is as many
        passes as give 8.
    learning_rate : float or "auto", default="auto"
        Step size of the optimizer; "auto" is 0.003.
    random_state : int, RandomState or None, default=None
        Seed of the initial weights, of dropout, of the order of the sequences and of the validation split.
    training : Training, dict or None, default=None
        A `regen.Training` (or a dict of its arguments) for everything else about training. The loss "auto" is
        "mse", in units of the standard deviation of each target. The validation split is drawn at random; "auto"
        holds nothing out where a fifth is less than 32 sequences.

    Attributes
    ----------
    target_center_, target_scale_ : ndarray of shape (K,)
        Mean and standard deviation of the targets of the training split.
    net_ : torch.nn.Module
        The trained network: standardised sequences in, standardised targets out.
    history_, stopped_, loss_per_step_, backend_, segment_, n_features_in_, feature_names_in_
        As in `SequenceClassifier`.

    See Also
    --------
    SequenceClassifier : Classes in place of numbers.
    Forecaster : The next steps of a series.

    Examples
    --------
    >>> import numpy as np, regen
    >>> X = np.random.default_rng(0).normal(size=(64, 12))
    >>> reg = regen.SequenceRegressor(hidden=8, max_epochs=5, random_state=0).fit(X, X.mean(1))
    >>> reg.predict(X[:3]).shape
    (3,)
    """

    command: ClassVar[Command] = Command("regressor", "Learn sequences with a number each.", "sequences")
    forms: ClassVar[Mapping[str, Form]] = {
        **SequenceEstimator.forms,
        "one_target_": Truth(),
        "target_center_": Numbers("f", ("outputs",)),
        "target_scale_": Numbers("f", ("outputs",), low=0),
    }
    losses: ClassVar[tuple[str, ...]] = ("mse", "mae", "huber")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @rollback_on_error
    def fit(self, X: Any, y: Any) -> "SequenceRegressor":
        """Train on sequences with their targets.

        Parameters
        ----------
        X : array-like of shape (n, T, F) or (n, T), dataframe, or list of n arrays (T_k, F) or (T_k,)
            The sequences; in a list they may have different lengths. NaN is a missing value.
        y : array-like of shape (n,) or (n, K)
            One number for each sequence, or K numbers.

        Returns
        -------
        self : SequenceRegressor
            The fitted estimator.

        Raises
        ------
        ValueError
            When a parameter is out of its range, X or y is none of these, or their lengths differ. The estimator
            then stays as it was.
        """
        self._check_params()
        sequences = read_sequences(self, X)
        self._refuse_missing_target(y)
        y = unmasked(plain(y, "y"))
        if np.asarray(y).dtype.kind in "OUS":
            y = numbers_of(np.asarray(y), lambda *_: "y")
        try:
            y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y", estimator=self)
        except OverflowError:  # a whole number beyond all floats
            raise overflow_refusal("y", y) from None
        refuse_unusable(y, _place)
        check_consistent_length(sequences.rows.n_steps, y)
        self.one_target_ = y.ndim == 1
        y = y.reshape(len(y), -1)
        self.n_outputs_ = y.shape[1]
        with self._seeded_rng() as rng:
            held_out = hold_out(np.zeros(len(y), dtype=np.int64), self._options.validation, rng.order)
            train = np.delete(y, held_out, axis=0)
            self.target_center_, deviation = moments(train)
            self.target_scale_ = np.where(is_constant(self.target_center_, deviation), 0.0, deviation)
            self._fit(sequences, self._encode_targets(y), held_out, rng)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Predict the targets of each sequence.

        Parameters
        ----------
        X : array-like of shape (n, T, F) or (n, T), dataframe, or list of n arrays (T_k, F) or (T_k,)
            The sequences, with the features of fit.

        Returns
        -------
        targets : ndarray of shape (n,) or (n, K)
            In the unit and the number of dimensions that y had in fit.
        """
        return self._targets(self._outputs(X).numpy())

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Compute R2, the share of the variance of the targets that is explained.

        Parameters
        ----------
        X : array-like of shape (n, T, F) or (n, T), dataframe, or list of n arrays (T_k, F) or (T_k,)
            The sequences, with the features of fit.
        y : array-like of shape (n,) or (n, K)
            Their targets; none may be masked or missing.
        sample_weight : array-like of shape (n,), default=None
            How much each sequence counts. None counts each as 1.

        Returns
        -------
        r2 : float
            1 for exact predictions, 0 for those of the mean of y; the mean over K targets.
        """
        y = complete_labels("y", y)
        return float(super().score(X, y, sample_weight))

    def stream(self) -> SequenceStream:
        """Predict the targets of one new sequence step by step.

        Returns
        -------
        stream : SequenceStream
            ``stream.step(x)`` returns the target, or targets (K,), after the steps so far.
        """
        return self._stream(copy(self)._targets)

    def _targets(self, z: NDArray[np.float32]) -> NDArray[np.float64]:
        """Targets in their unit from standardised ones (..., K); without the last axis when y had none."""
        y = z.astype(np.float64) * self.target_scale_ + self.target_center_
        return y[..., 0] if self.one_target_ else y

    @property
    def _output_labels(self) -> None:
        return None

    def _encode_targets(self, y: NDArray[Any]) -> torch.Tensor:
        scale = np.where(self.target_scale_ > 0, self.target_scale_, 1.0)
        with np.errstate(over="ignore"):  # what overflows is refused
            z = (y.astype(np.float64).reshape(len(y), -1) - self.target_center_) / scale
        refuse_far(z, _place)
        return torch.from_numpy(z.astype(np.float32))


def _place(row: int, target: int = 0) -> tuple[str, str]:
    """A target in words, fit for a refusal."""
    return "y", f"in row {row}" + (f", target {target}" if target else "")
