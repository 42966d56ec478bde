"""Preparation of a series for training: standardisation, choice of the window, validation split.

Letters: `N` steps, `C` columns.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regen.data import magnitude
from regen.data.calendar import KnownStep, Step, season_length
from regen.data.layout import dates_after, from_layout
from regen.data.scaling import Standardizer, moments
from regen.data.series import Kind, Series, read_series
from regen.training.options import validation_share

Values = NDArray[np.float64]

MAX_SEGMENTS = 256
"""Most recurrent steps of ``window="auto"``."""


class Scaled(NamedTuple):
    """Standardised values (N, C) without gaps, and the mask of the observed ones (N, C)."""

    values: Tensor
    observed: Tensor


def center_and_scale(values: Values, train: int) -> tuple[Values, Values]:
    """Mean and standard deviation of the observed values of each column in its first `train` steps.

    A column that is constant there but not later takes both from all its steps; the mean of a constant column is
    exact, so that its forecasts are.
    """
    centers, scales = zip(*(_moments(values[:steps]) for steps in (train, None)), strict=True)
    varies = scales[0] > 0
    return np.where(varies, *centers), np.where(varies, *scales)


def scale_series(
    standardizer: Standardizer,
    filled: Values,
    observed: NDArray[np.bool_],
    device: torch.device | str = "cpu",
) -> Scaled:
    """Standardised float32 tensors of a series (N, C) without gaps and of its mask."""
    z = torch.from_numpy(standardizer.transform(filled).astype(np.float32))
    return Scaled(z.to(device), torch.from_numpy(observed).to(device))


def refuse_far(series: Series, standardizer: Standardizer) -> None:
    """Refuse values with which a network overflows, once they are standardised."""
    z = standardizer.transform(series.values)
    magnitude.refuse_far(z, series.place)


def _moments(values: Values) -> tuple[Values, Values]:
    """Mean and standard deviation (C,) of the observed values, exact where all are the same."""
    low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    size = np.maximum(np.abs(low), np.abs(high))
    unit = np.where(size > 0, size, 1.0)  # so that squares neither overflow nor underflow
    center, deviation = (each * unit for each in moments(values / unit))
    return np.where(low == high, low, center), np.where(low == high, 0.0, deviation)


def series_of(layout: Mapping[str, Any], values: Values) -> Series:
    """The series of values (N, C) that ends at the step where the series of `layout` ends."""
    kind = {field.name: layout[field.name] for field in fields(Kind) if field.name in layout}
    kind["labels"] = tuple(kind["labels"])
    step = None if layout["step"] is None else Step(**layout["step"])
    dates = dates_after(layout, 1 - len(values), len(values))
    return Series(values, tuple(layout["names"]), dates, step, Kind(**kind))


def read_again(
    layout: Mapping[str, Any], y: Any, standardizer: Standardizer, *, part: bool = False
) -> Series:
    """Convert y, a table of any kind, to a series with the columns of `layout` in their order.

    A whole series must have the date step of `layout`; a `part`, which continues the series, may be too short to
    have one. Standardised, its values must be such that no network overflows.
    """
    table = nw.from_native(y, eager_only=True, pass_through=True)
    time = target = None
    if isinstance(table, nw.DataFrame):
        time = layout["time"] if layout["time"] in table.columns else None
        target = layout["names"] if set(layout["names"]) <= set(table.columns) else None
    fitted = None if layout["step"] is None else Step(**layout["step"])
    known = None if fitted is None else KnownStep(fitted, layout["clock"])
    series = read_series(y, time=time, target=target, part=part, known=known).aligned(layout["names"])
    if not part and fitted is not None and series.step is not None and series.step != fitted:
        raise ValueError(
            f"The dates of y go by {series.step}; the model was fitted with a step of {fitted}. Resample y."
        )
    refuse_far(series, standardizer)
    return series


def check_continuation(series: Series, horizon: int) -> None:
    """Refuse, before training, dates that cannot be continued or written in the kind of the series."""
    try:
        from_layout(series.layout(), {name: np.zeros(horizon) for name in series.names})
    except ValueError:
        raise
    except Exception as error:  # of the library of the table
        raise ValueError(
            f"The dates of y cannot be continued by horizon={horizon} steps: {error}. Convert them to another unit or"
            " time zone."
        ) from error


def resolve_window(window: int | str, series: Series, horizon: int, segment: int) -> int:
    """The window in steps, "auto" resolved; refuse a window, or dates, that do not allow a forecast."""
    n_steps = len(series)
    check_continuation(series, horizon)
    if window == "auto":
        if n_steps <= horizon:
            raise ValueError(
                f"y has {n_steps} step{'' if n_steps == 1 else 's'}; horizon={horizon} needs at least {horizon + 1}."
                " Shorten the horizon or give more data."
            )
        window = choose_window(series, horizon, segment)
    window = int(window)
    check_length(n_steps, window, horizon)
    if window % segment:
        raise ValueError(
            f"window={window} is no multiple of segment={segment}. Take window={-(-window // segment) * segment}."
        )
    return window


def choose_window(series: Series, horizon: int, segment: int) -> int:
    """Two seasons, or two horizons if that is longer, as far as the series allows; a multiple of `segment`.

    With two seasons the window contains the step one season before each step of the first horizon, and its
    neighbours; without a season it has at least 24 steps. It has at most 256 segments, because a net does not
    remember more, and leaves at least half of the series to slide over.
    """
    season = season_length(series.values, series.step)
    target = min(max(2 * season if season > 1 else 24, 2 * horizon), MAX_SEGMENTS * segment)
    window = max(min(target, (len(series) - horizon) // 2), 1)
    return -(-window // segment) * segment


def check_length(n_steps: int, window: int, horizon: int) -> None:
    """Refuse a series shorter than one window and its horizon."""
    if n_steps < window + horizon:
        raise ValueError(
            f"y has {n_steps} steps; window={window} and horizon={horizon} need at least {window + horizon}."
            " Shorten the window or give more data."
        )


def validation_start(series: Series, window: int, horizon: int, validation: float | str) -> int:
    """The first step of the validation targets; N when nothing is held out.

    The validation part is the end of the series, at least one horizon, and does not overlap training targets. "auto"
    holds out a fifth where that leaves a window to train on and has an observed value, else nothing.
    """
    n_steps, share = len(series), validation_share(validation)
    length = max(round(n_steps * share), horizon) if share else 0
    cut = n_steps - length
    if cut < window + horizon:
        if validation != "auto":
            raise ValueError(
                f"y has {n_steps} steps; validation={share:g} holds out the last {length} and leaves fewer than the"
                f" {window + horizon} that window={window} and horizon={horizon} need to train."
                " Lower validation, shorten the window, or give more data."
            )
        cut = n_steps
    for c, name in enumerate(series.names):
        if not series.observed[:cut, c].any():
            raise ValueError(
                f"Column {name!r} of y has only missing values in its first {cut} steps, which train the network."
                " Start y later, or leave the column out."
            )
    if cut == n_steps or series.observed[cut:].any():
        return cut
    if validation != "auto":
        raise ValueError(
            f"y has only missing values in its last {n_steps - cut} steps, which validate. End y earlier, or take"
            " validation=0."
        )
    return n_steps
