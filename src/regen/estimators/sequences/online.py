"""SequenceStream: a fitted sequence estimator that predicts after every step of one new sequence.

Letters: `F` features of a sequence, `K` classes or targets, `V` input values of a step, `s` steps of a segment.
"""

from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from regen.data.ragged import Ragged
from regen.data.scaling import Standardizer
from regen.estimators._online import Floats, carried_backend, check_step, eval_copy, linear_weights, read_step
from regen.nets.sequence import BEFORE, SequenceNet

__all__ = ["SequenceStream"]


@final
class CarriedNet:
    """A unidirectional `SequenceNet` that runs step by step and carries its state and the pooled outputs.

    A segment that is not complete is run as if the sequence ended there, from the state before the segment.

    net : on the CPU, not bidirectional.
    values : V.
    """

    def __init__(self, net: SequenceNet, values: int) -> None:
        self._s = net.segment
        self._stream = net.reader.stream()
        self._embed = None if self._s == 1 else linear_weights(net.embed[0])  # type: ignore[index,arg-type]
        self._weight, self._bias = linear_weights(net.readout)
        self._kinds = ("last", "mean", "max") if net.pool == "all" else (net.pool,)
        self._P = net.reader.output_size
        self._x = torch.zeros(1, net.reader.input_size)
        self._window = np.zeros((values, (1 + BEFORE) * self._s), dtype=np.float32)
        self.backend_ = carried_backend(self._stream)
        self.reset()

    def reset(self) -> None:
        """Return to the state before the first step."""
        self._stream.reset()
        self._segment_state: Any = None
        self._step_in_segment, self._segments = 0, 0
        self._window[:] = 0
        self._sum, self._max = np.zeros(self._P), np.full(self._P, -np.inf, dtype=np.float32)

    def step(self, z: Floats) -> Floats:
        """The outputs (K,) after one more step with the input values (V,)."""
        h = self._recurrent_output(z)
        total, largest = self._sum + h, np.maximum(self._max, h)
        by_kind = {"last": h, "mean": (total / (self._segments + 1)).astype(np.float32), "max": largest}
        pooled = np.concatenate([by_kind[kind] for kind in self._kinds])
        self._step_in_segment += 1
        if self._step_in_segment == self._s:
            self._step_in_segment, self._segments = 0, self._segments + 1
            self._sum, self._max = total, largest
            self._window[:, : -self._s] = self._window[:, self._s :]
            self._window[:, -self._s :] = 0
        return pooled @ self._weight + self._bias

    def _recurrent_output(self, z: Floats) -> Floats:
        """Output (P,) of the recurrent net if the sequence ends with this step; the next call overwrites it."""
        if self._embed is None:
            self._x.numpy()[0] = z
            return self._stream.step(self._x)[0].numpy()
        if self._step_in_segment == 0:
            self._segment_state = self._stream.state
        else:
            self._stream.state = self._segment_state
        self._window[:, BEFORE * self._s + self._step_in_segment] = z
        weight, bias = self._embed
        np.maximum(self._window.ravel() @ weight + bias, 0, out=self._x.numpy()[0])
        return self._stream.step(self._x)[0].numpy()


INITIAL_CAPACITY = 64
"""Steps of a sequence that memory is allocated for at first."""


@final
class SequenceStream:
    """A fitted sequence estimator that predicts after every step of one new sequence.

    Made by `SequenceClassifier.stream` and `SequenceRegressor.stream`. After every step it returns what
    ``predict_proba`` or ``predict`` would return for the steps so far. It runs on the CPU, with the weights that the
    model had when the stream was made.

    With ``bidirectional=False`` and ``normalize="train"`` or ``"none"`` the state of the network is carried: a step
    takes microseconds, the same after a thousand steps as after one. Otherwise every step changes the network's
    input or its state at the first step, and all steps so far are run anew: a step takes as long as the prediction
    of one sequence, and time and memory grow with the sequence.

    Parameters
    ----------
    net : torch.nn.Module
        The trained network; it is copied.
    scale : Standardizer
        Centre and scale of the features.
    mark : bool
        Whether the network receives the mask of the observed values.
    features : int
        F.
    predict : callable
        Converts the outputs (K,) of the network to the prediction.
    names : sequence of str, default=()
        Names of the features, where they have some: a pandas row is taken by its labels.

    Attributes
    ----------
    n_steps : int
        Steps since the stream was made or reset.

    See Also
    --------
    ForecastStream : The same for `Forecaster`.

    Examples
    --------
    >>> import numpy as np, regen
    >>> X = np.random.default_rng(0).normal(size=(64, 12))
    >>> reg = regen.SequenceRegressor(hidden=8, bidirectional=False, max_epochs=1, random_state=0)
    >>> stream = reg.fit(X, X.mean(1)).stream()
    >>> predictions = [stream.step(x) for x in X[0]]
    >>> bool(np.isclose(predictions[-1], reg.predict(X[:1])[0], atol=1e-5))
    True
    """

    n_steps: int
    _last: NDArray[np.float64]
    _incomplete: bool

    def __init__(
        self,
        net: SequenceNet,
        scale: Standardizer,
        mark: bool,
        features: int,
        predict: Callable[[NDArray[np.float32]], Any],
        names: Sequence[str] = (),
    ) -> None:
        self._names = tuple(names)
        self._net, self._scale, self._mark = eval_copy(net), scale, mark
        self._features, self._predict = features, predict
        self._carried: CarriedNet | None = None
        if not net.bidirectional and scale.center is not None and scale.scale is not None:
            self._carried = CarriedNet(self._net, features * (2 if mark else 1))
            self._center, self._divisor = scale.center, scale.scale
        self.reset()

    @property
    def backend_(self) -> str:
        """The kernel that runs, and why; and whether the state is carried."""
        if self._carried is not None:
            return self._carried.backend_
        reason = "bidirectional=True" if self._net.bidirectional else "normalize='sequence'"
        return f"{self._net.reader.backend_}; all steps are run anew at every step, because of {reason}"

    def step(self, x: Any) -> Any:
        """Add the next step of the sequence and predict.

        Parameters
        ----------
        x : float or array-like of shape (F,)
            The features of the step. NaN is missing.

        Returns
        -------
        prediction : float or ndarray of shape (K,)
            Of a classifier the probabilities in the order of ``classes_``; of a regressor the target or targets.

        Raises
        ------
        ValueError
            When x has another shape, or holds a value that is no number or infinite. The stream is then unchanged.
        """
        row, observed = read_step("x", x, self._features, "feature", self._names)
        if self._scale.center is not None:
            check_step("x", self._scale.transform(row), observed, "feature")
        self.n_steps += 1
        if self._carried is None:
            self._store(row)
            return self._predict(self._run_anew())
        if self._incomplete:
            return self._predict(self._step_incomplete(self._carried, row, observed))
        self._last = row if observed.all() else np.where(observed, row, self._last)
        return self._predict(self._carried.step(self._standardised(observed)))

    def reset(self) -> None:
        """Return to the state before the first step, for another sequence."""
        self.n_steps = 0
        self._stored = np.empty((INITIAL_CAPACITY, self._features))
        self._last = np.full(self._features, np.nan)
        self._incomplete = True
        if self._carried is not None:
            self._carried.reset()

    def _standardised(self, observed: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Input values (F,) or (2 F,) of the last step, as `Standardizer.standardized` computes them."""
        z = (self._last - self._center) / self._divisor
        return (np.concatenate([z, observed]) if self._mark else z).astype(np.float32)

    def _step_incomplete(
        self, carried: CarriedNet, row: NDArray[np.float64], observed: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """The outputs while a feature has had no value yet.

        The first value of a feature also fills the gap before it, so that all steps are run anew then.
        """
        self._store(row)
        first = np.isnan(self._last) & observed
        self._last = np.where(observed, row, self._last)
        self._incomplete = bool(np.isnan(self._last).any())
        if first.any():
            carried.reset()
            for z in self._rows()[0, :-1].numpy():
                carried.step(z)
        return carried.step(np.nan_to_num(self._standardised(observed)))

    def _run_anew(self) -> NDArray[np.float32]:
        with torch.no_grad():
            return self._net(self._rows())[0].numpy()  # type: ignore[no-any-return]

    def _rows(self) -> torch.Tensor:
        """(1, n_steps, F or 2 F) the sequence so far, standardised."""
        sequence = Ragged.from_block(self._stored[None, : self.n_steps])
        return self._scale.standardized(sequence, self._mark).values

    def _store(self, row: NDArray[np.float64]) -> None:
        if self.n_steps > len(self._stored):
            self._stored = np.concatenate([self._stored, np.empty_like(self._stored)])
        self._stored[self.n_steps - 1] = row
