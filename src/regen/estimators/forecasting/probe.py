"""The probe of a forecaster: windows of a series, with the horizon after each as targets.

Letters: `N` steps, `C` columns, `n` windows, `W` steps of a window, `H` horizon.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regen.data.batching import Windows
from regen.data.calendar import date_text
from regen.data.series import Series
from regen.estimators._probe import CopyLosses, Probe, ProbeTraits, ProbeWindows, mean_per_row
from regen.estimators.forecasting._preparation import Scaled, check_length
from regen.estimators.forecasting.bptt import BPTT, evenly_spaced
from regen.nets.forecast import WindowNet

__all__ = ["ForecastProbing"]

STREAM_WINDOWS = 4
"""Windows that a model which carries its state reads before a forecast that is evaluated."""


@final
@dataclass(frozen=True, eq=False)
class ForecastProbing:
    """A fitted forecaster with a whole series, from which probes are cut.

    Parameters
    ----------
    net : the network. series : in the units of the data. data : the same, standardised.
    window : W. stream : whether the state is carried along the whole series. loss : of each value of a forecast.
    task : a new `BPTT` over the whole series.
    receives_mask : whether the network receives the mask of observed values.
    """

    net: WindowNet
    series: Series
    data: Scaled
    window: int
    stream: bool
    loss: Callable[[Tensor, Tensor], Tensor]
    task: Callable[[], BPTT]
    receives_mask: bool

    def probe(self, windows: ProbeWindows, rows: int | None) -> Probe:
        """Windows side by side up to the end ("tiled"), one ending at each step ("sliding"), or at most `rows` with
        their targets ("spread").
        """
        N, W, H = len(self.series), self.window, self.net.horizon
        if windows == "spread":
            check_length(N, W, H)
            W = min(STREAM_WINDOWS * W, N - H) if self.stream else W
            starts = range(N - W - H + 1)
            return self._cut(np.array(starts if rows is None else evenly_spaced(starts, rows)), W, H)
        W = N if self.stream else W
        if W > N:
            raise ValueError(
                f"y has {N} steps, and the window of this Forecaster has {W}. Give at least {W} steps."
            )
        starts = range(N % W, N - W + 1, W) if windows == "tiled" else range(N - W + 1)
        return self._cut(np.array(starts), W, 0)

    def _cut(self, starts: NDArray[np.int64], width: int, horizon: int) -> Probe:
        """The windows that begin at `starts`, with targets for a horizon above 0."""
        index = torch.from_numpy(starts)
        x, targets = Windows(self.data.values, width, horizon).gather(index)
        observed, target_mask = Windows(self.data.observed, width, horizon).gather(index)
        steps = starts[:, None] + np.arange(width)
        series = self.series
        times = np.arange(len(series)) if series.dates is None else series.dates
        dated = times.dtype.kind == "M"
        return Probe(
            net=self.net,
            x=x,
            run=lambda probe, x: self._run(probe, x, bool(horizon)).flatten(1),
            loss=lambda probe, x: mean_per_row(
                self.loss(self._run(probe, x, True), probe.targets),  # type: ignore[arg-type]
                probe.target_mask,
            ),
            copy_losses=self._copy_losses,
            observed=observed if self.receives_mask else None,
            targets=targets if horizon else None,
            target_mask=target_mask if horizon else None,
            values=series.filled()[steps],
            times=times[steps],
            features=series.names,
            rows=[date_text(time) if dated else int(time) for time in times[steps[:, -1]]],
            traits=ProbeTraits(
                segment=self.net.segment, stream=self.stream, output="forecast", horizon=self.net.horizon
            ),
        )

    def _run(self, probe: Probe, x: Tensor, whole: bool) -> Tensor:
        """Forecasts (n, H, C); a recursive decoder runs no further than one pass where the horizon is not `whole`."""
        if self.stream:
            return self.net.stream(x, x[:, :1], probe.observed)[0][:, -1]
        once = self.net.decoding == "recursive" and not whole
        return self.net(x, probe.observed, self.net.segment if once else None)  # type: ignore[no-any-return]

    def _copy_losses(self, probe: Probe) -> CopyLosses:
        """As in training, over the whole series."""
        check_length(len(self.series), self.window, self.net.horizon)
        return CopyLosses(self.task().loss_per_copy(), self.window, "step" if self.stream else "output")
