"""Fitted estimators that read one step at a time: what their `stream()` returns.

Letters: `H` horizon, `C` columns of a series, `F` features of a sequence, `K` classes or targets.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, TypeVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from regen.estimators._sequence_unfolding import SequenceScale
from regen.estimators._sequences_in import Sequences
from regen.estimators._series import Scale, Values
from regen.estimators._stepping import CarriedAnswer, CarriedForecast, Forecasting, WindowForecast
from regen.nets.forecast import WindowNet
from regen.nets.sequence import SequenceNet

__all__ = ["ForecastStream", "SequenceStream", "read_step", "softmax"]

Net = TypeVar("Net", bound=nn.Module)
FEW = 64
"""Steps of a sequence that there is room for at first."""


@final
class ForecastStream:
    """A fitted forecaster that goes on from where it stands, an observation at a time: see `Forecaster.stream`.

    It reads as ``update`` does, dates aside, and answers as ``predict``; the model stays as it is. It runs on the
    CPU, with the weights that the model had when the stream was made.

    With ``bptt=k`` the state of the network is carried, so that a step costs microseconds, the same after a
    thousand steps as after one. With ``bptt="full"`` the whole window is read anew at every step, which costs
    what a forecast of one window costs, and grows with it.

    Attributes
    ----------
    n_steps : steps read.
    """

    n_steps: int
    _last: Values

    def __init__(
        self,
        net: WindowNet,
        scale: Scale,
        window: Values,
        observed: NDArray[np.bool_],
        memory: Mapping[str, Any] | None,
        single: bool,
    ) -> None:
        self._center, self._scale, self._single = scale.center, scale.scale, single
        self._divisor = np.where(scale.scale > 0, scale.scale, np.inf)
        self._start = window[-1]
        net = _own(net)
        self._net: Forecasting = (
            WindowForecast(net, *scale.apply(window, observed))
            if memory is None
            else CarriedForecast(net, memory)
        )
        self.reset()

    @property
    def backend_(self) -> str:
        """Which kernel runs, and why; whether its state is carried."""
        return self._net.backend_

    def step(self, y: Any) -> Values:
        """Read the next observation and forecast what follows it.

        Parameters
        ----------
        y : (C,) values of the columns in the order that was fitted, or a number for a series of one. NaN is
            missing: as in ``update`` the last value before it is read in its place, and where the series that was
            fitted had gaps, also that it is missing.

        Returns
        -------
        (H, C), or (H,) for a series that was fitted without columns, in the unit of the series.

        Raises
        ------
        ValueError
            y has another shape, or holds what is no number or infinite. The stream then stays where it was.
        """
        row, seen = read_step("y", y, len(self._center), "column")
        filled = row if seen.all() else np.where(seen, row, self._last)
        self._last = filled
        self.n_steps += 1
        forecast = self._net.read(((filled - self._center) / self._divisor).astype(np.float32), seen)
        values: Values = forecast * self._scale
        values += self._center
        return values[:, 0] if self._single else values

    def reset(self) -> None:
        """Back to where the model stood when the stream was made."""
        self._last, self.n_steps = self._start, 0
        self._net.reset()


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
        self._net, self._scale, self._features, self._said = _own(net), scale, features, said
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


def read_step(name: str, given: Any, width: int, part: str) -> tuple[Values, NDArray[np.bool_]]:
    """One step (width,) of numbers, its own copy, and where they were observed.

    Parameters
    ----------
    name, part : what the step is called, and each of its values.
    given : (width,) numbers, or one when width is 1; NaN is missing.
    """
    try:
        raw = np.asarray(given)
        row = np.array(raw, dtype=np.float64) if raw.dtype.kind in "biufO" else None
    except (TypeError, ValueError):
        row = None
    if row is None:
        raise ValueError(
            f"{name} holds something that is no number. Give numbers, and NaN where one is missing."
        )
    if row.shape != (width,):
        if width > 1 or row.shape != ():
            columns = f"{width} {part}{'' if width == 1 else 's'}"
            one = " or a number" if width == 1 else ""
            raise ValueError(
                f"{name} is one step of {columns}, of shape ({width},){one}. Got shape {row.shape} instead."
            )
        row = row.reshape(1)
    seen = np.isfinite(row)
    if not seen.all() and np.isinf(row).any():
        raise ValueError(f"{name} has an infinite value. Put a number there, or NaN if it is missing.")
    return row, seen


def softmax(logits: NDArray[np.float32]) -> Values:
    """Probabilities (K,) of classes from their logits (K,)."""
    exp: Values = np.exp(logits.astype(np.float64) - logits.max())
    return exp / exp.sum()  # type: ignore[no-any-return]


def _own(net: Net) -> Net:
    """A copy on the CPU that answers as in evaluation, and stays as it is when the model is trained on."""
    return deepcopy(net).cpu().eval()
