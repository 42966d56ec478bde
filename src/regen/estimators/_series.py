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
from regen.data.frames import Series, read_series
from regen.data.reading import Kind
from regen.data.season import season_length
from regen.data.tables import dates_after

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """Centre and scale of each column, both (C,); a constant column has scale 0, so its forecasts are exact."""

    center: Values
    scale: Values

    @classmethod
    def of(cls, values: Values) -> "Scale":
        """Mean and standard deviation of the observed values of each column; a constant is its own exact mean."""
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        center = np.where(low == high, low, np.nanmean(values, axis=0))
        return cls(center, np.where(low == high, 0.0, np.nanstd(values, axis=0)))

    def apply(self, series: Series, device: torch.device | str = "cpu") -> "Scaled":
        """Standardised float32 values (N, C) with gaps filled, and a mask of what was observed."""
        z = (series.filled() - self.center) / np.where(self.scale > 0, self.scale, 1.0)
        return Scaled(
            torch.from_numpy(z.astype(np.float32)).to(device), torch.from_numpy(series.observed).to(device)
        )

    def undo(self, z: Tensor) -> Values:
        """Values in the unit of the series from standardised ones (..., C)."""
        return z.detach().cpu().double().numpy() * self.scale + self.center


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


def levels(level: float | Sequence[float] | None) -> tuple[float, ...]:
    """The levels asked for, each a percentage between 0 and 100."""
    asked = () if level is None else tuple(level) if isinstance(level, Sequence) else (level,)
    for each in asked:
        check_parameters("predict", {"level": Number(0, 100, low_open=True, high_open=True)}, {"level": each})
    return asked


def choose_window(series: Series, horizon: int, segment: int) -> int:
    """Two seasons, or two horizons if that is longer, as far as the series allows; a multiple of `segment`.

    Two seasons let the net compare a step with its twin a season ago and its twin's neighbours; without a season
    it reads at least 24 steps. At least half of the series is left to slide the window over.
    """
    season = season_length(series.values, series.step)
    wanted = max(2 * season if season > 1 else 24, 2 * horizon)
    window = max(min(wanted, (len(series) - horizon) // 2), 1)
    return -(-window // segment) * segment


def check_length(n_steps: int, window: int, horizon: int) -> None:
    """Refuse a series that holds not even one window and its horizon."""
    if n_steps < window + horizon:
        raise ValueError(
            f"y has {n_steps} steps; window={window} and horizon={horizon} need at least {window + horizon}."
            " Shorten the window or give more data."
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
    share = 0.2 if validation == "auto" else float(validation)
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


def half_widths(errors: Values, level: float) -> Values:
    """Half width (H, C) of an interval that holds `level` percent of absolute errors (n, H, C).

    Split conformal prediction (Lei et al. 2018): the ceil((n + 1) level)-th smallest error, or the largest when
    there are too few errors for that level.
    """
    n = len(errors)
    rank = min(int(np.ceil((n + 1) * level / 100)), n)
    return np.sort(errors, axis=0)[rank - 1]  # type: ignore[no-any-return]
