"""ForecastStream: a fitted forecaster that forecasts after every new observation, on the CPU, with little overhead.

Letters: `H` horizon, `C` columns, `W` window.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regen.data.scaling import Standardizer
from regen.estimators._online import (
    Floats,
    carried_backend,
    check_step,
    eval_copy,
    linear_weights,
    read_step,
)
from regen.estimators.forecasting._preparation import Values, scale_series
from regen.nets.forecast import WindowNet

__all__ = ["ForecastStream"]

Mask = NDArray[np.bool_]


class StepNet(ABC):
    """A `WindowNet` that forecasts after every step."""

    @property
    @abstractmethod
    def backend_(self) -> str:
        """The kernel that runs, and why; and whether the state is carried."""

    @abstractmethod
    def step(self, z: Floats, observed: Mask) -> Floats:
        """The forecast (H, C) after one more step of values (C,), which it may keep, and their mask."""

    @abstractmethod
    def reset(self) -> None:
        """Return to the initial state."""


@final
class CarriedNet(StepNet):
    """``bptt=k``: runs the recurrent net for one step and carries its state.

    net : on the CPU.
    memory : the initial state: the `state_dict` of a `StreamState` of one series.
    """

    _before: Floats

    def __init__(self, net: WindowNet, memory: Mapping[str, Any]) -> None:
        before = memory["before"].reshape(-1).cpu().numpy()
        C = len(before)
        self._independent, self._differences = net.independent, net.normalize == "last"
        self._stream = net.reader.stream(C if net.independent else 1)
        self._start: tuple[tuple[Tensor, ...], Floats] = tuple(memory["state"]), before
        self._weight, self._bias = linear_weights(net.readout)
        self._shape = net.horizon, C
        self._x = torch.zeros(C if net.independent else 1, net.reader.input_size)
        x = self._x.numpy()
        values, mask = (x[:, 0], x[:, 1:].T) if net.independent else (x[0, :C], x[:, C:])
        self._values, self._mask = values, mask if net.gaps else None
        self.reset()

    @property
    def backend_(self) -> str:
        return carried_backend(self._stream)

    def step(self, z: Floats, observed: Mask) -> Floats:
        self._values[:] = z - self._before if self._differences else z
        if self._mask is not None:
            self._mask[0] = observed
        self._before = z
        y = self._stream.step(self._x).numpy() @ self._weight
        y += self._bias
        y = y.T if self._independent else y.reshape(self._shape)
        return y + z if self._differences else y

    def reset(self) -> None:
        self._stream.state, self._before = self._start


@final
class WindowedNet(StepNet):
    """``bptt="full"``: keeps the window and runs over all of it at every step.

    net : on the CPU.
    values, observed : (W, C) float32 and bool, the initial window.
    """

    def __init__(self, net: WindowNet, values: Tensor, observed: Tensor) -> None:
        self._net, self._start = net, (values, observed)
        self.reset()

    @property
    def backend_(self) -> str:
        return f"{self._net.reader.backend_}; the whole window is run at every step, because of bptt='full'"

    def step(self, z: Floats, observed: Mask) -> Floats:
        for window, row in ((self._values.numpy(), z), (self._observed.numpy(), observed)):
            window[:-1] = window[1:]
            window[-1] = row
        with torch.no_grad():
            y = self._net(self._values[None], self._observed[None] if self._net.gaps else None)
        return y[0].numpy()  # type: ignore[no-any-return]

    def reset(self) -> None:
        self._values, self._observed = (part.clone() for part in self._start)


@final
class ForecastStream:
    """A fitted forecaster that forecasts after every new observation.

    Made by `Forecaster.stream`. It takes observations as ``update`` does, without dates, and returns what ``predict``
    would return as an array; the model does not change. It runs on the CPU, with the weights that the model had
    when the stream was made.

    With ``bptt=k`` the state of the network is carried: a step takes microseconds, the same after a thousand steps as
    after one. With ``bptt="full"`` the network runs over the whole window at every step: a step takes as long as the
    forecast from one window.

    Parameters
    ----------
    net : torch.nn.Module
        The trained network; it is copied.
    standardizer : Standardizer
        Centre and scale of the columns.
    window : ndarray of shape (W, C)
        The last steps so far, without gaps, in the unit of the series.
    observed : ndarray of bool of shape (W, C)
        The mask of the observed values of the window.
    memory : mapping or None
        The carried state of the network with ``bptt=k``; None with ``bptt="full"``.
    single : bool
        Whether forecasts have shape (H,).
    names : sequence of str, default=()
        Names of the columns, where they have some: a pandas row is taken by its labels.

    Attributes
    ----------
    n_steps : int
        Steps since the stream was made or reset.

    See Also
    --------
    SequenceStream : The same for sequence classifiers and regressors.

    Examples
    --------
    >>> import numpy as np, regen
    >>> y = np.sin(np.arange(200) / 3)
    >>> model = regen.Forecaster(window=24, horizon=6, bptt=8, max_epochs=1, random_state=0).fit(y[:190])
    >>> stream = model.stream()
    >>> forecasts = [stream.step(value) for value in y[190:]]
    >>> bool(np.allclose(forecasts[-1], model.update(y[190:]).predict(), atol=1e-5))
    True
    """

    n_steps: int
    _last: Values

    def __init__(
        self,
        net: WindowNet,
        standardizer: Standardizer,
        window: Values,
        observed: NDArray[np.bool_],
        memory: Mapping[str, Any] | None,
        single: bool,
        names: Sequence[str] = (),
    ) -> None:
        center, scale = standardizer.center, standardizer.scale
        assert center is not None and scale is not None
        self._center, self._scale, self._single = center, scale, single
        self._divisor = np.where(scale > 0, scale, np.inf)
        self._start, self._names = window[-1], tuple(names)
        net = eval_copy(net)
        self._net: StepNet = (
            WindowedNet(net, *scale_series(standardizer, window, observed))
            if memory is None
            else CarriedNet(net, memory)
        )
        self.reset()

    @property
    def backend_(self) -> str:
        """The kernel that runs, and why; and whether the state is carried."""
        return self._net.backend_

    def step(self, y: Any) -> Values:
        """Add the next observation and forecast the steps after it.

        Parameters
        ----------
        y : float or array-like of shape (C,)
            The columns in the order of fit; a pandas row is taken by its labels. NaN is missing: as in ``update`` it
            is replaced by the last value before it, and where the training series had gaps, the network also receives
            the mask.

        Returns
        -------
        forecast : ndarray of shape (H, C), or (H,) for a series that was fitted without columns
            In the unit of the series.

        Raises
        ------
        ValueError
            When y has another shape, or holds a value that is no number or infinite. The stream is then unchanged.
        """
        row, observed = read_step("y", y, len(self._center), "column", self._names)
        filled = row if observed.all() else np.where(observed, row, self._last)
        z = (filled - self._center) / self._divisor
        check_step("y", z, observed, "column")
        self._last = filled
        self.n_steps += 1
        forecast = self._net.step(z.astype(np.float32), observed)
        values: Values = forecast * self._scale
        values += self._center
        return values[:, 0] if self._single else values

    def reset(self) -> None:
        """Return to the state in which the stream was made."""
        self._last, self.n_steps = self._start, 0
        self._net.reset()
