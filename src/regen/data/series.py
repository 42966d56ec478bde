"""Series from lists, numpy, pandas, polars and pyarrow; dated or not, of one column or many.

`regen.data.layout.from_layout` writes the same kind again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from regen.data.calendar import Step, date_text
from regen.data.layout import dates_after
from regen.data.series_input import Kind, Reading, read

__all__ = ["Series", "read_series"]


@final
@dataclass(frozen=True, eq=False)
class Series:
    """A regular series, from any kind of table.

    values : (N, C) float64, NaN where nothing was observed.
    names : C names of columns.
    dates : (N,) datetime64 or int64 counter, or None. With a time zone they are UTC when the step is shorter
        than
        a day, else local.
    step : from one date to the next; None for a single date and for no dates.
    kind : the kind of table.
    """

    values: NDArray[np.float64]
    names: tuple[str, ...]
    dates: NDArray[Any] | None
    step: Step | None
    kind: Kind

    def __len__(self) -> int:
        return len(self.values)

    @property
    def observed(self) -> NDArray[np.bool_]:
        """(N, C) True where there is a number."""
        return ~np.isnan(self.values)

    def filled(self) -> NDArray[np.float64]:
        """(N, C) without NaN: each gap holds the last number before it, so that no step sees its future.

        Only a gap at the very start, which has nothing before it, holds the first number after it; a column
        without any number holds 0.
        """
        observed = self.observed
        last = np.maximum.accumulate(np.where(observed, np.arange(len(self))[:, None], -1), axis=0)
        source = np.where(last < 0, observed.argmax(axis=0), last)
        return np.nan_to_num(np.take_along_axis(self.values, source, axis=0), nan=0.0)

    def continue_dates(self, n: int) -> NDArray[Any] | None:
        """The next n dates, or None when there are none."""
        return dates_after(self.layout(), 1, n)

    def part(self, start: int, stop: int | None = None) -> Series:
        """Steps start to stop, as a slice counts them."""
        cut = slice(start, stop)
        dates = None if self.dates is None else self.dates[cut]
        return replace(self, values=self.values[cut], dates=dates)

    def tail(self, n: int) -> Series:
        """The last n steps, or all when there are less."""
        return self.part(max(len(self) - n, 0))

    def aligned(self, names: Sequence[str]) -> Series:
        """The same series with its columns in the order of `names`; without names of its own, by position.

        Raises
        ------
        ValueError
            ``"y has 2 columns; the model was fitted with 3: a, b, c."``, or for a name that is not there
            ``"y has no column 'b'; the model was fitted with 3: a, b, c."``
        """
        known = f"the model was fitted with {len(names)}: {', '.join(names)}."
        if len(self.names) != len(names):
            plural = "" if len(self.names) == 1 else "s"
            raise ValueError(f"y has {len(self.names)} column{plural}; {known}")
        if not self.kind.named:
            return replace(self, names=tuple(names))
        for name in names:
            if name not in self.names:
                raise ValueError(f"y has no column {name!r}; {known}")
        order = [self.names.index(name) for name in names]
        labels = tuple(self.kind.labels[k] for k in order)
        return replace(
            self, values=self.values[:, order], names=tuple(names), kind=replace(self.kind, labels=labels)
        )

    def append(self, other: Series) -> Series:
        """The series continued by `other`, which must start at the next step and have the same columns.

        Dates of `other` that are a mere count of rows, or none, are taken to continue.
        """
        other = other.aligned(self.names)
        values = np.concatenate([self.values, other.values])
        if self.dates is None:
            return replace(self, values=values)
        following = self.continue_dates(len(other))
        assert following is not None
        if other.dates is not None and self.kind.index != "labels" and other.kind.index != "labels":
            _refuse_gap(self.dates[-1], following, other.kind.dates_on(other.dates, self.kind), self.step)
        return replace(self, values=values, dates=np.concatenate([self.dates, following]))

    def layout(self) -> dict[str, Any]:
        """All that is needed to return forecasts as the same kind, in JSON's own types.

        Keys: those of `Kind`, and names, step (dict or None), last (date as ISO 8601 text, or int, or None),
        n_steps.
        """
        last: Any = None
        if self.dates is not None:
            last = str(self.dates[-1]) if self.dates.dtype.kind == "M" else int(self.dates[-1])
        described: dict[str, Any] = asdict(self.kind)
        described["labels"] = list(self.kind.labels)
        return described | {
            "names": list(self.names),
            "step": None if self.step is None else asdict(self.step),
            "last": last,
            "n_steps": len(self),
        }


def read_series(
    y: Any, *, time: str | None = None, target: str | Sequence[str] | None = None, part: bool = False
) -> Series:
    """Read a series from any kind of table.

    Parameters
    ----------
    y : list, numpy (N,) or (N, C), masked or not, pandas Series or DataFrame, polars Series or DataFrame, pyarrow
        Table, RecordBatch, ChunkedArray or Array. Its dates are a DatetimeIndex or PeriodIndex, the column `time`,
        or its only column of dates; text is read as ISO 8601 (``1990-12-31``, ``1990-12``, ``19901231``,
        ``1990Q4``, with a time of day or without; ``Z`` or ``+00:00`` at the end of all is the time zone UTC). A
        counter such as a year is continued by its step.
    time : name of the column of dates, or of the pandas index.
    target : name or names of the columns to read; None for all but the dates.
    part : y is a part of a longer series: a column may then have only missing values.

    Raises
    ------
    ValueError
        With the first place that is wrong: no rows, a column that isn't there, text or an infinite value
        where numbers belong, only missing values, dates that are irregular, repeated, or out of order.
    """
    reading: Reading = read(y, time, target)
    series = Series(reading.values, reading.names, reading.dates, reading.step, reading.kind)
    _refuse_values(series, part)
    return series


def _refuse_values(series: Series, part: bool) -> None:
    if len(series) == 0:
        raise ValueError("y is empty: it has no rows.")
    for k, name in enumerate(series.names):
        column = f"Column {name!r} of y" if series.kind.named else f"Column {k} of y"
        if not series.kind.named and len(series.names) == 1:
            column = "y"
        infinite = np.isinf(series.values[:, k])
        if infinite.any():
            row = int(infinite.argmax())
            date = "" if series.dates is None else f" ({date_text(series.dates[row])})"
            raise ValueError(
                f"{column} has an infinite value in row {row}{date}."
                " Put a number there, or NaN if it is missing."
            )
        if not part and np.isnan(series.values[:, k]).all():
            raise ValueError(f"{column} has only missing values.")


def _refuse_gap(last: Any, following: NDArray[Any], found: NDArray[Any], step: Step | None) -> None:
    """Refuse dates that are not those that follow, at the first that is not."""
    agrees = following == found
    if agrees.all():
        return
    where = int(np.argmin(agrees))
    if where == 0:
        raise ValueError(
            f"y must continue at {date_text(following[0])}, the step after the last one known"
            f" ({date_text(last)}). It starts at {date_text(found[0])} instead."
        )
    before, after = date_text(found[where - 1]), date_text(found[where])
    raise ValueError(
        f"The dates of y are not regular: after {before} comes {after}, where the step is {step}."
        " Insert the missing rows with NaN, or resample."
    )
