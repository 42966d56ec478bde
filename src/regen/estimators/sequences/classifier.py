"""SequenceClassifier: the class of a whole sequence, from one recurrent network."""

from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_consistent_length, column_or_1d

from regen._schema import Form, Labels
from regen.data.plain import complete_labels, plain
from regen.estimators._base import Command, rollback_on_error
from regen.estimators._online import softmax
from regen.estimators._sequence_input import read_sequences
from regen.estimators._splits import hold_out
from regen.estimators.sequences._base import SequenceEstimator
from regen.estimators.sequences.online import SequenceStream

__all__ = ["SequenceClassifier"]


@final
class SequenceClassifier(ClassifierMixin, SequenceEstimator):  # type: ignore[misc]
    """Classifier of sequences with a recurrent network.

    The network is unfolded over the sequence into one copy per recurrent step, the outputs of the copies are pooled
    over time, and a linear layer computes one logit per class.

    Parameters
    ----------
    cell : {"gru", "lstm", "elman", "diagonal", "jordan"} or Cell, default="gru"
        Recurrent cell, by name or as a `regen.cells` cell with its options. The GRU learns small training sets as
        well as the LSTM or a little better (accuracy on ArrowHead 0.77 against 0.73, on GunPoint 0.99 against 0.97,
        the same on ECG200 and JapaneseVowels; means of three seeds).
    hidden : int, default=64
        Units of the network, in each direction.
    layers : int, default=1
        Depth of the network.
    bidirectional : bool, default=True
        Process the sequence from both ends, which is possible because the whole sequence is given. With False
        every output depends on the past only, and `stream` takes constant time per step.
    dropout : float, default=0.0
        Share of units silenced in training, between layers and before the readout, in [0, 1).
    segment : int or "auto", default="auto"
        Steps of the sequence that are new at each recurrent step. With more than 1, the recurrent step also
        receives the 3 segments before, so that no shape is cut at a border. "auto" takes at most 32 recurrent steps:
        long sequences train many times faster, and the state bridges them more easily.
    pool : {"all", "last", "mean", "max"}, default="all"
        Which outputs of the copies reach the readout: "last" (after the last step of each direction), "mean" or
        "max" over time, or "all" three, among which training chooses.
    normalize : {"train", "sequence", "none"}, default="train"
        Standardisation of each feature: "train" by the mean and standard deviation of the training sequences,
        "sequence" of each sequence by its own, for data whose level and size carry no information, "none" not at
        all.
    max_epochs : int, default=100
        Passes over the training sequences, at most. Where one pass gives less than 8 batches, an epoch is as many
        passes as give 8.
    learning_rate : float or "auto", default="auto"
        Step size of the optimizer; "auto" is 0.003.
    random_state : int, RandomState or None, default=None
        Seed of the initial weights, of dropout, of the order of the sequences and of the validation split.
    training : Training, dict or None, default=None
        A `regen.Training` (or a dict of its arguments) for everything else about training. Its validation split is
        drawn at random, the same share of each class; a class with too few members gives none. "auto" holds nothing
        out where a fifth is less than 32 sequences: all epochs are run, and the last weights are kept. To resume
        from a checkpoint give `random_state` too, which draws the split.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
        The labels, sorted.
    net_ : torch.nn.Module
        The trained network: standardised sequences in, one logit per class out.
    history_ : dataframe
        One row per epoch.
    stopped_ : str
        Why training ended.
    loss_per_step_ : ndarray of shape (copies,)
        Loss of each copy of the unfolded network on the validation split (the training split when there is none):
        the mean loss when only the first 1, 2, ... segments are given. A bidirectional network is run anew for each:
        of more than 64 copies, 64 are measured on at most 32 sequences and the others interpolated.
    backend_ : str
        The kernel that ran, and why.
    segment_ : int
        Steps per recurrent step.
    n_features_in_ : int
        Features of each step; for an (n, T) table its columns, as in all of scikit-learn.
    feature_names_in_ : ndarray of str
        Columns of a dataframe.

    See Also
    --------
    SequenceRegressor : Numbers in place of classes.
    Forecaster : The next steps of a series.

    Examples
    --------
    >>> import numpy as np, regen
    >>> X = [np.sin(np.arange(20 + k) / (2 + k % 2)) for k in range(40)]
    >>> y = ["fast", "slow"] * 20
    >>> clf = regen.SequenceClassifier(hidden=8, max_epochs=10, random_state=0).fit(X, y)
    >>> clf.predict(X[:2]).tolist()
    ['fast', 'slow']
    """

    command: ClassVar[Command] = Command("classifier", "Learn sequences with a label each.", "sequences")
    forms: ClassVar[Mapping[str, Form]] = {**SequenceEstimator.forms, "classes_": Labels("outputs")}
    losses: ClassVar[tuple[str, ...]] = ("cross_entropy",)

    @rollback_on_error
    def fit(self, X: Any, y: Any) -> "SequenceClassifier":
        """Train on labelled sequences.

        Parameters
        ----------
        X : array-like of shape (n, T, F) or (n, T), dataframe, or list of n arrays (T_k, F) or (T_k,)
            The sequences; in a list they may have different lengths. NaN is a missing value.
        y : array-like of shape (n,)
            Labels of any type that sorts.

        Returns
        -------
        self : SequenceClassifier
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
        y = complete_labels("y", plain(y, "y"))
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        check_consistent_length(sequences.rows.n_steps, y)
        self.classes_, places = np.unique(y, return_inverse=True)
        self.n_outputs_ = len(self.classes_)
        with self._seeded_rng() as rng:
            held_out = hold_out(places, self._options.validation, rng.order)
            self._fit(sequences, torch.from_numpy(places.astype(np.int64)), held_out, rng)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Predict the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n, T, F) or (n, T), dataframe, or list of n arrays (T_k, F) or (T_k,)
            The sequences, with the features of fit.

        Returns
        -------
        proba : ndarray of shape (n, K)
            Probabilities in the order of ``classes_``.
        """
        return torch.softmax(self._outputs(X).double(), 1).numpy()

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the most probable label of each sequence.

        Parameters
        ----------
        X : array-like of shape (n, T, F) or (n, T), dataframe, or list of n arrays (T_k, F) or (T_k,)
            The sequences, with the features of fit.

        Returns
        -------
        labels : ndarray of shape (n,)
            Elements of ``classes_``.
        """
        outputs = self._outputs(X)  # refuses an estimator that is not fitted
        return self.classes_[outputs.argmax(1).numpy()]  # type: ignore[no-any-return]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Compute the share of sequences that are classified correctly.

        Parameters
        ----------
        X : array-like of shape (n, T, F) or (n, T), dataframe, or list of n arrays (T_k, F) or (T_k,)
            The sequences, with the features of fit.
        y : array-like of shape (n,)
            Their labels; none may be masked or missing.
        sample_weight : array-like of shape (n,), default=None
            How much each sequence counts. None counts each as 1.

        Returns
        -------
        accuracy : float
            Between 0 and 1.
        """
        y = complete_labels("y", y)
        return float(super().score(X, y, sample_weight))

    def stream(self) -> SequenceStream:
        """Classify one new sequence step by step.

        Returns
        -------
        stream : SequenceStream
            ``stream.step(x)`` returns the probabilities (K,) of the classes after the steps so far.
        """
        return self._stream(softmax)

    @property
    def _output_labels(self) -> list[Any]:
        return self.classes_.tolist()  # type: ignore[no-any-return]

    def _encode_targets(self, y: NDArray[Any]) -> torch.Tensor:
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"y holds the class {unknown.tolist()[0]!r}, which the model was not fitted on.")
        return torch.from_numpy(np.searchsorted(self.classes_, y))
