"""Trained networks that read one standardised step at a time, on the CPU and without more Python than that takes.

Letters: `H` horizon, `C` columns, `W` window, `V` values of a step, `K` outputs, `P` width of what the recurrent net
says, `s` steps of a segment.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regen.estimators._online import carried_backend, eval_copy, linear_weights, read_step
from regen.estimators.forecasting._preparation import Scale, Values
from regen.nets.forecast import WindowNet

__all__ = ["ForecastStream"]

Floats = NDArray[np.float32]
Seen = NDArray[np.bool_]


class Forecasting(ABC):
    """A `WindowNet` that forecasts after every step."""

    @property
    @abstractmethod
    def backend_(self) -> str:
        """Which kernel runs, and why; whether its state is carried."""

    @abstractmethod
    def read(self, z: Floats, seen: Seen) -> Floats:
        """The forecast (H, C) after one more step: values (C,), which it may keep, and where they were observed."""

    @abstractmethod
    def reset(self) -> None:
        """Back to where it began."""


@final
class CarriedForecast(Forecasting):
    """``bptt=k``: reads the step alone, and carries the state of the recurrent net.

    net : on the CPU.
    memory : where it begins: the `state_dict` of a `StreamState` of one series.
    """

    _before: Floats

    def __init__(self, net: WindowNet, memory: Mapping[str, Any]) -> None:
        before = memory["before"].reshape(-1).cpu().numpy()
        C = len(before)
        self._independent, self._moving = net.independent, net.normalize == "last"
        self._stream = net.reader.stream(C if net.independent else 1)
        self._start: tuple[tuple[Tensor, ...], Floats] = tuple(memory["state"]), before
        self._weight, self._bias = linear_weights(net.readout)
        self._shape = net.horizon, C
        self._x = torch.zeros(C if net.independent else 1, net.reader.input_size)
        x = self._x.numpy()
        values, seen = (x[:, 0], x[:, 1:].T) if net.independent else (x[0, :C], x[:, C:])
        self._values, self._seen = values, seen if net.gaps else None
        self.reset()

    @property
    def backend_(self) -> str:
        return carried_backend(self._stream)

    def read(self, z: Floats, seen: Seen) -> Floats:
        self._values[:] = z - self._before if self._moving else z
        if self._seen is not None:
            self._seen[0] = seen
        self._before = z
        y = self._stream.step(self._x).numpy() @ self._weight
        y += self._bias
        y = y.T if self._independent else y.reshape(self._shape)
        return y + z if self._moving else y

    def reset(self) -> None:
        self._stream.state, self._before = self._start


@final
class WindowForecast(Forecasting):
    """``bptt="full"``: keeps the window, and reads all of it at every step.

    net : on the CPU.
    values, observed : (W, C) float32 and bool, the window where it begins.
    """

    def __init__(self, net: WindowNet, values: Tensor, observed: Tensor) -> None:
        self._net, self._start = net, (values, observed)
        self.reset()

    @property
    def backend_(self) -> str:
        return f"{self._net.reader.backend_}; the window is read anew at every step, as bptt='full' does"

    def read(self, z: Floats, seen: Seen) -> Floats:
        for window, row in ((self._values.numpy(), z), (self._observed.numpy(), seen)):
            window[:-1] = window[1:]
            window[-1] = row
        with torch.no_grad():
            y = self._net(self._values[None], self._observed[None] if self._net.gaps else None)
        return y[0].numpy()  # type: ignore[no-any-return]

    def reset(self) -> None:
        self._values, self._observed = (part.clone() for part in self._start)


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
        net = eval_copy(net)
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
