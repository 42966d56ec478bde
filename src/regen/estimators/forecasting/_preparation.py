"""From a series to what a forecaster trains on: one scale, gaps filled and marked, a split in time.

Letters: `N` steps, `C` columns, `T` window, `H` horizon.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regen._check import Number, check_parameters
from regen.data.calendar import Step
from regen.data.seasonality import season_length
from regen.data.series import Series, read_series
from regen.data.series_input import Kind
from regen.data.series_layout import dates_after
from regen.training.options import validation_share

Values = NDArray[np.float64]

MOST_SEGMENTS = 256
"""Recurrent steps of the longest window that is chosen for the user."""


@dataclass(frozen=True)
class Scale:
    """Centre and scale of each column, both (C,); a constant column has scale 0, so its forecasts are exact."""

    center: Values
    scale: Values

    @classmethod
    def of(cls, values: Values, train: int) -> "Scale":
        """Mean and standard deviation of the observed values of each column in its first `train` steps.

        A column that is constant there but not later takes both from all its steps; one that never moves is its own
        exact mean.
        """
        centers, scales = zip(*(_moments(values[:steps]) for steps in (train, None)), strict=True)
        moves = scales[0] > 0
        return cls(np.where(moves, *centers), np.where(moves, *scales))

    def apply(
        self, filled: Values, observed: NDArray[np.bool_], device: torch.device | str = "cpu"
    ) -> "Scaled":
        """Standardised float32 values (N, C) of a series without gaps, 0 in a constant column, and the given mask."""
        z = np.divide(filled - self.center, self.scale, out=np.zeros_like(filled), where=self.scale > 0)
        return Scaled(
            torch.from_numpy(z.astype(np.float32)).to(device), torch.from_numpy(observed).to(device)
        )

    def undo(self, z: Tensor) -> Values:
        """Values in the unit of the series from standardised ones (..., C)."""
        return z.detach().cpu().double().numpy() * self.scale + self.center


def _moments(values: Values) -> tuple[Values, Values]:
    """Mean and standard deviation (C,) of the observed values, exact where all are the same."""
    low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    size = np.maximum(np.abs(low), np.abs(high))
    unit = np.where(size > 0, size, 1.0)  # squares of values of any size stay finite
    center = np.where(low == high, low, np.nanmean(values / unit, axis=0) * unit)
    return center, np.where(low == high, 0.0, np.nanstd(values / unit, axis=0) * unit)


class Scaled(NamedTuple):
    """Standardised values (N, C) without gaps, and where they were observed (N, C)."""

    values: Tensor
    observed: Tensor


def series_of(layout: Mapping[str, Any], values: Values) -> Series:
    """The series that ends with `values` (N, C) where the one that `layout` describes ends."""
    kind = {field.name: layout[field.name] for field in fields(Kind)}
    kind["labels"] = tuple(kind["labels"])
    step = None if layout["step"] is None else Step(**layout["step"])
    dates = dates_after(layout, 1 - len(values), len(values))
    return Series(values, tuple(layout["names"]), dates, step, Kind(**kind))


def read_more(layout: Mapping[str, Any], y: Any, *, part: bool = False) -> Series:
    """Read more of a series that was fitted, in whatever kind of table it comes, its columns in the fitted order."""
    table = nw.from_native(y, eager_only=True, pass_through=True)
    time = target = None
    if isinstance(table, nw.DataFrame):
        time = layout["time"] if layout["time"] in table.columns else None
        target = layout["names"] if set(layout["names"]) <= set(table.columns) else None
    return read_series(y, time=time, target=target, part=part).aligned(layout["names"])


def check_same_step(layout: Mapping[str, Any], series: Series) -> None:
    """Refuse a series whose dates go by another step than those of the one that was fitted."""
    fitted = None if layout["step"] is None else Step(**layout["step"])
    if fitted is not None and series.step is not None and series.step != fitted:
        raise ValueError(
            f"The dates of y go by {series.step}; the model was fitted with a step of {fitted}. Resample y."
        )


def levels(level: float | Sequence[float] | None) -> tuple[float, ...]:
    """The levels asked for, each a percentage between 0 and 100."""
    asked = () if level is None else tuple(np.atleast_1d(level).tolist())
    for each in asked:
        check_parameters("predict", {"level": Number(0, 100, low_open=True, high_open=True)}, {"level": each})
    return asked


def choose_window(series: Series, horizon: int, segment: int) -> int:
    """Two seasons, or two horizons if that is longer, as far as the series allows; a multiple of `segment`.

    Two seasons let the net compare a step with its twin a season ago and its twin's neighbours; without a season
    it reads at least 24 steps. At most 256 segments are read, for a day of seconds is more than a net remembers, and
    at least half of the series is left to slide the window over.
    """
    season = season_length(series.values, series.step)
    wanted = min(max(2 * season if season > 1 else 24, 2 * horizon), MOST_SEGMENTS * segment)
    window = max(min(wanted, (len(series) - horizon) // 2), 1)
    return -(-window // segment) * segment


def check_length(n_steps: int, window: int, horizon: int) -> None:
    """Refuse a series that holds not even one window and its horizon."""
    if n_steps < window + horizon:
        raise ValueError(
            f"y has {n_steps} steps; window={window} and horizon={horizon} need at least {window + horizon}."
            " Shorten the window or give more data."
        )


def check_horizon(n_steps: int, horizon: int) -> None:
    """Refuse a series that leaves no step to read before one horizon."""
    if n_steps <= horizon:
        raise ValueError(
            f"y has {n_steps} step{'' if n_steps == 1 else 's'}; horizon={horizon} needs at least {horizon + 1}."
            " Shorten the horizon or give more data."
        )


def check_segment(window: int, segment: int) -> None:
    """Refuse a window that is not a whole number of segments."""
    if window % segment:
        raise ValueError(
            f"window={window} is no multiple of segment={segment}. Take window={-(-window // segment) * segment}."
        )


def check_observed(series: Series, cut: int) -> None:
    """Refuse a column without a single value in the training part, the first `cut` steps."""
    for c, name in enumerate(series.names):
        if not series.observed[:cut, c].any():
            raise ValueError(
                f"Column {name!r} of y has only missing values in its first {cut} steps, which train the network."
                " Start y later, or leave the column out."
            )


def first_validation_target(n_steps: int, window: int, horizon: int, validation: float | str) -> int:
    """Where training targets end and validation targets begin; `n_steps` when nothing is held out.

    The validation part is the end of the series, at least one horizon, and never reaches into training targets.
    "auto" holds out a fifth where that leaves a window to train on, else nothing.
    """
    share = validation_share(validation)
    length = max(round(n_steps * share), horizon) if share else 0
    if n_steps - length >= window + horizon:
        return n_steps - length
    if validation == "auto":
        return n_steps
    raise ValueError(
        f"y has {n_steps} steps; validation={share:g} holds out the last {length} and leaves fewer than the"
        f" {window + horizon} that window={window} and horizon={horizon} need to train."
        " Lower validation, shorten the window, or give more data."
    )


def without_validation(n_steps: int, cut: int, validation: float | str) -> int:
    """Hold nothing out where nothing was observed to judge by; refuse that where a share was asked for."""
    if validation == "auto":
        return n_steps
    raise ValueError(
        f"y has only missing values in its last {n_steps - cut} steps, which validate. End y earlier, or take"
        " validation=0."
    )


def half_widths(errors: Values, level: float, horizon: int) -> Values:
    """Half width (horizon, C) of an interval that holds `level` percent of absolute errors (n, H, C), NaN if missing.

    Split conformal prediction (Lei et al. 2018): the ceil((n + 1) level)-th smallest of the n errors at that step,
    or the largest when there are too few for that level. A step without any takes the widest of its column; steps
    beyond H widen with the square root of the distance, as those of a random walk do.
    """
    n = (~np.isnan(errors)).sum(axis=0)
    rank = np.minimum(np.ceil((n + 1) * level / 100), n).astype(np.int64)
    widths = np.take_along_axis(np.sort(errors, axis=0), np.maximum(rank - 1, 0)[None], axis=0)[0]
    widths = np.where(n > 0, widths, np.fmax.reduce(widths, axis=0))
    beyond = np.sqrt(np.arange(len(widths) + 1, horizon + 1) / len(widths))[:, None]
    return np.concatenate([widths, widths[-1:] * beyond])[:horizon]
