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
from torch import Tensor, nn

from regen.nets.forecast import WindowNet
from regen.nets.sequence import BEFORE, SequenceNet
from regen.nets.stream import Stream

__all__ = ["CarriedAnswer", "CarriedForecast", "Forecasting", "WindowForecast"]

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
    memory : where it begins: the `state_dict` of a `SeriesMemory` of one series.
    """

    _before: Floats

    def __init__(self, net: WindowNet, memory: Mapping[str, Any]) -> None:
        before = memory["before"].reshape(-1).cpu().numpy()
        C = len(before)
        self._independent, self._moving = net.independent, net.normalize == "last"
        self._stream = net.reader.stream(C if net.independent else 1)
        self._start: tuple[tuple[Tensor, ...], Floats] = tuple(memory["state"]), before
        self._weight, self._bias = _weights(net.readout)
        self._shape = net.horizon, C
        self._x = torch.zeros(C if net.independent else 1, net.reader.input_size)
        x = self._x.numpy()
        values, seen = (x[:, 0], x[:, 1:].T) if net.independent else (x[0, :C], x[:, C:])
        self._values, self._seen = values, seen if net.gaps else None
        self.reset()

    @property
    def backend_(self) -> str:
        return _carried(self._stream)

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
class CarriedAnswer:
    """A `SequenceNet` that reads forward, and carries its state and what it has pooled.

    A segment that is not whole yet is read as if the sequence ended there, from the state before it.

    net : on the CPU, not bidirectional.
    """

    def __init__(self, net: SequenceNet, values: int) -> None:
        self._s = net.segment
        self._stream = net.reader.stream()
        self._embed = None if self._s == 1 else _weights(net.embed[0])  # type: ignore[index,arg-type]
        self._weight, self._bias = _weights(net.readout)
        self._kinds = ("last", "mean", "max") if net.pool == "all" else (net.pool,)
        self._P = net.reader.output_size
        self._x = torch.zeros(1, net.reader.input_size)
        self._window = np.zeros((values, (1 + BEFORE) * self._s), dtype=np.float32)
        self.backend_ = _carried(self._stream)
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


def _carried(stream: Stream) -> str:
    return f"{stream.backend_}; the state is carried from step to step"


def _weights(linear: nn.Linear) -> tuple[Floats, Floats]:
    """Its weight (inputs, outputs) and bias (outputs,), as they are now."""
    return linear.weight.detach().numpy().T, linear.bias.detach().numpy()
