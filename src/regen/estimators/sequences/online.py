"""A fitted sequence estimator that reads one step at a time: what its `stream()` returns.

Letters: `F` features of a sequence, `K` classes or targets, `V` values of a step, `s` steps of a segment.
"""

from collections.abc import Callable
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from regen.estimators._online import Floats, carried_by, own_copy, read_step, weights_of
from regen.estimators._sequence_input import Sequences, Values
from regen.estimators.sequences._training import SequenceScale
from regen.nets.sequence import BEFORE, SequenceNet


@final
class CarriedAnswer:
    """A `SequenceNet` that reads forward, and carries its state and what it has pooled.

    A segment that is not whole yet is read as if the sequence ended there, from the state before it.

    net : on the CPU, not bidirectional.
    """

    def __init__(self, net: SequenceNet, values: int) -> None:
        self._s = net.segment
        self._stream = net.reader.stream()
        self._embed = None if self._s == 1 else weights_of(net.embed[0])  # type: ignore[index,arg-type]
        self._weight, self._bias = weights_of(net.readout)
        self._kinds = ("last", "mean", "max") if net.pool == "all" else (net.pool,)
        self._P = net.reader.output_size
        self._x = torch.zeros(1, net.reader.input_size)
        self._window = np.zeros((values, (1 + BEFORE) * self._s), dtype=np.float32)
        self.backend_ = carried_by(self._stream)
        self.reset()

    def reset(self) -> None:
        """Before the first step again."""
        self._stream.reset()
        self._before: Any = None
        self._within, self._whole = 0, 0
        self._window[:] = 0
        self._sum, self._max = np.zeros(self._P), np.full(self._P, -np.inf, dtype=np.float32)

    def read(self, z: Floats) -> Floats:
        """The answer (K,) after one more step, of values (V,)."""
        h = self._heard(z)
        total, most = self._sum + h, np.maximum(self._max, h)
        past = {"last": h, "mean": (total / (self._whole + 1)).astype(np.float32), "max": most}
        pooled = np.concatenate([past[kind] for kind in self._kinds])
        self._within += 1
        if self._within == self._s:
            self._within, self._whole, self._sum, self._max = 0, self._whole + 1, total, most
            self._window[:, : -self._s] = self._window[:, self._s :]
            self._window[:, -self._s :] = 0
        return pooled @ self._weight + self._bias

    def _heard(self, z: Floats) -> Floats:
        """What the recurrent net says (P,) when the sequence ends with this step; the next one writes over it."""
        if self._embed is None:
            self._x.numpy()[0] = z
            return self._stream.step(self._x)[0].numpy()
        if self._within == 0:
            self._before = self._stream.state
        else:
            self._stream.state = self._before
        self._window[:, BEFORE * self._s + self._within] = z
        weight, bias = self._embed
        np.maximum(self._window.ravel() @ weight + bias, 0, out=self._x.numpy()[0])
        return self._stream.step(self._x)[0].numpy()


FEW = 64
"""Steps of a sequence that there is room for at first."""


@final
class SequenceStream:
    """A fitted sequence estimator that reads one new sequence a step at a time: see `SequenceClassifier.stream`.

    After every step it answers as ``predict_proba`` or ``predict`` does for the sequence read so far. It runs on the
    CPU, with the weights that the model had when the stream was made.

    With ``bidirectional=False`` and ``normalize="train"`` or ``"none"`` the state of the network is carried, so that
    a step costs microseconds, the same after a thousand steps as after one. Otherwise every step changes how the
    first is read, and all steps so far are read anew: that costs what the answer to one sequence costs, and grows
    with the sequence, as does the memory.

    Attributes
    ----------
    n_steps : steps read.
    """

    n_steps: int
    _last: Values
    _waiting: bool

    def __init__(
        self,
        net: SequenceNet,
        scale: SequenceScale,
        features: int,
        said: Callable[[NDArray[np.float32]], Any],
    ) -> None:
        self._net, self._scale, self._features, self._said = own_copy(net), scale, features, said
        self._carried: CarriedAnswer | None = None
        if not net.bidirectional and scale.center is not None and scale.scale is not None:
            self._carried = CarriedAnswer(self._net, features * (2 if scale.gaps else 1))
            self._center, self._divisor = scale.center, scale.scale
        self.reset()

    @property
    def backend_(self) -> str:
        """Which kernel runs, and why; whether its state is carried."""
        if self._carried is not None:
            return self._carried.backend_
        why = "bidirectional=True" if self._net.bidirectional else "normalize='sequence'"
        return f"{self._net.reader.backend_}; all is read anew at every step, as {why} asks for"

    def step(self, x: Any) -> Any:
        """Read the next step of the sequence and answer.

        Parameters
        ----------
        x : (F,) values of the features, or a number for a sequence of one. NaN is missing.

        Returns
        -------
        The classifier: probabilities (K,) in the order of ``classes_``. The regressor: a number, or (K,) when
        it was fitted on so many targets.

        Raises
        ------
        ValueError
            x has another shape, or holds what is no number or infinite. The stream then stays where it was.
        """
        row, seen = read_step("x", x, self._features, "feature")
        self.n_steps += 1
        if self._carried is None:
            self._keep(row)
            return self._said(self._anew())
        if self._waiting:
            return self._said(self._while_waiting(self._carried, row, seen))
        self._last = row if seen.all() else np.where(seen, row, self._last)
        return self._said(self._carried.read(self._scaled(seen)))

    def reset(self) -> None:
        """Before the first step of another sequence."""
        self.n_steps = 0
        self._kept = np.empty((FEW, self._features))
        self._last = np.full(self._features, np.nan)
        self._waiting = True
        if self._carried is not None:
            self._carried.reset()

    def _scaled(self, seen: NDArray[np.bool_]) -> NDArray[np.float32]:
        """What the net reads of the last step, (F,) or (2 F,): `SequenceScale.rows` of one row."""
        z = (self._last - self._center) / self._divisor
        return (np.concatenate([z, seen]) if self._scale.gaps else z).astype(np.float32)

    def _while_waiting(
        self, carried: CarriedAnswer, row: Values, seen: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """The answer while a feature has had no number yet: when its first comes, the gap before it holds that one
        too, so all is read again.
        """
        self._keep(row)
        first = np.isnan(self._last) & seen
        self._last = np.where(seen, row, self._last)
        self._waiting = bool(np.isnan(self._last).any())
        if first.any():
            carried.reset()
            for z in self._rows()[0, :-1].numpy():
                carried.read(z)
        return carried.read(np.nan_to_num(self._scaled(seen)))

    def _anew(self) -> NDArray[np.float32]:
        with torch.no_grad():
            return self._net(self._rows())[0].numpy()  # type: ignore[no-any-return]

    def _rows(self) -> torch.Tensor:
        """(1, n_steps, F or 2 F) the sequence so far, standardised."""
        known = Sequences(self._kept[: self.n_steps], np.array([self.n_steps]))
        return self._scale.rows(known).values

    def _keep(self, row: Values) -> None:
        if self.n_steps > len(self._kept):
            self._kept = np.concatenate([self._kept, np.empty_like(self._kept)])
        self._kept[self.n_steps - 1] = row
