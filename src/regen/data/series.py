"""Series from lists, numpy, pandas, polars and pyarrow; dated or not, of one column or many.

`regen.data.layout.from_layout` writes the same kind again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, final

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from regen._check import closest
from regen.data.calendar import (
    Dates,
    KnownStep,
    Step,
    column_dates,
    date_text,
    holds_dates,
    index_dates,
    to_local,
    to_utc,
    written_numbers,
)
from regen.data.dataframes import column_labels, json_label, open_dataframe
from regen.data.layout import dates_after
from regen.data.magnitude import as_float, as_floats, refuse_unusable
from regen.data.masked_arrays import unmasked
from regen.data.plain import is_missing, without_tensors

__all__ = ["Kind", "Reading", "Series", "read", "read_series"]


@final
@dataclass(frozen=True)
class Kind:
    """The kind of table of a series; every field is one of JSON's own types.

    library : ``numpy`` (also lists), ``pandas``, ``polars`` or ``pyarrow``.
    shape : ``series`` for one unbracketed column, ``frame`` for a table or an (N, C) array.
    labels : the columns' own labels (text, int, or None for a nameless one).
    named : whether the columns have names of their own.
    index : where the dates are: ``index``, ``column``, ``labels`` (a pandas index that counts rows) or
        ``none``.
    time, index_name : name of the date column; of the pandas index.
    dtype : numpy's name of the dates' type. date : days without a time of day.
    tz, clock : time zone; whether `dates` are on the ``utc`` or the ``local`` clock.
    freq, period : pandas' name of the frequency of a DatetimeIndex; of periods.
    number, written : type of the numbers that the dates came as; ``YYYYMM`` or ``YYYYMMDD`` where they are dates.
    """

    library: str
    shape: str
    labels: tuple[str | int | None, ...]
    named: bool = True
    index: str = "none"
    time: str | None = None
    index_name: str | None = None
    dtype: str = ""
    date: bool = False
    tz: str | None = None
    clock: str = "local"
    freq: str | None = None
    period: str | None = None
    number: str = ""
    written: str = ""

    def dates_on(self, dates: NDArray[Any], other: Kind) -> NDArray[Any]:
        """`dates` (N,) of this kind on the clock and in the unit of another."""
        if self.tz != other.tz:
            raise ValueError(
                f"The dates of y have {_zone(self.tz)}; the model was fitted with {_zone(other.tz)}."
                " Convert them to the same."
            )
        if self.tz is not None and self.clock != other.clock:
            dates = (to_local if other.clock == "local" else to_utc)(dates, self.tz)
        if self.written and np.dtype(other.dtype).kind == "i":
            dates = written_numbers(dates, self.written)
        found, fitted = (
            _TIMES.get(kind, "a counter") for kind in (dates.dtype.kind, np.dtype(other.dtype).kind)
        )
        if found != fitted:
            raise ValueError(f"y has {found} for its time; the model was fitted with {fitted}.")
        return dates.astype(np.promote_types(dates.dtype, np.dtype(other.dtype)))


_TIMES = {"M": "dates", "m": "durations"}


class Reading(NamedTuple):
    """The parts of a table: values (N, C) float64, C names, dates (N,) or None, their step, and the kind."""

    values: NDArray[np.float64]
    names: tuple[str, ...]
    dates: NDArray[Any] | None
    step: Step | None
    kind: Kind


def read(
    y: Any, time: str | None, target: str | Sequence[str] | None, known: KnownStep | None = None
) -> Reading:
    """Read the parts of `y`, (N,) or (N, C); the arguments are those of `read_series`."""
    table = open_dataframe(y, "y", series=True)
    if isinstance(table, nw.Series):
        return _read_series(table, time, target, known)
    if isinstance(table, nw.DataFrame):
        return _read_frame(table, time, target, known)
    return _read_array(y, time, target)


def _read_array(y: Any, time: str | None, target: Any) -> Reading:
    if time is not None or target is not None:
        raise ValueError("y has no names of columns, so time= and target= cannot be used. Give a dataframe.")
    y = without_tensors(y, "y")
    try:
        array = np.asarray(unmasked(y))
    except ValueError:
        raise ValueError(
            "The rows of y have different lengths. Give every row a number per column."
        ) from None
    if array.dtype.kind in "OUS" and array.ndim in (1, 2):
        objects = np.array(array if isinstance(y, np.ndarray) else y, dtype=object)
        array = _objects("y", objects.ravel(), objects.size // max(len(objects), 1)).reshape(array.shape)
    if array.dtype.kind not in "biuf" or array.ndim not in (1, 2):
        raise ValueError(
            "y must be numbers in a list, an array of shape (N,) or (N, C), or a pandas, polars or pyarrow"
            f" series or table. Got {_described(y, array)} instead."
        )
    shape = "series" if array.ndim == 1 else "frame"
    values = as_floats(array).reshape(len(array), -1) if array.size else np.zeros((0, 1))
    count = values.shape[1]
    names = ("y",) if shape == "series" else tuple(f"y{k}" for k in range(count))
    return Reading(values, names, None, None, Kind("numpy", shape, names, named=False))


def _read_series(column: nw.Series[Any], time: str | None, target: Any, known: KnownStep | None) -> Reading:
    if time is not None or target is not None:
        raise ValueError("y is a single series, so time= and target= cannot be used. Give a dataframe.")
    native = column.to_native()
    label = getattr(native, "name", None)
    name = "y" if label in (None, "") else str(label)
    found = index_dates(native, column.implementation, known)
    kind = Kind(
        column.implementation.value, "series", (json_label(label),), label not in (None, ""), **found.fields
    )
    return Reading(_numbers(column, name)[:, None], (name,), found.dates, found.step, kind)


def _read_frame(table: nw.DataFrame[Any], time: str | None, target: Any, known: KnownStep | None) -> Reading:
    native = table.to_native()
    labels = column_labels(table, "y")
    names = [str(label) for label in labels]
    columns = dict(zip(names, table.iter_columns(), strict=True))
    found = _frame_dates(native, table.implementation, columns, time, known)
    wanted = _wanted(target)
    for name in wanted:
        if name not in columns:
            raise ValueError(_no_column(name, columns))
    if (chosen := found.fields.get("time")) in wanted:
        raise ValueError(f"Column {chosen!r} of y holds its dates. Choose another column with target=.")
    names = wanted or [name for name in columns if name != found.fields.get("time")]
    if not names:
        raise ValueError("y has no columns of numbers.")
    values = np.stack([_numbers(columns[name], name) for name in names], axis=1)
    own = dict(zip(columns, labels, strict=True))
    kind = Kind(
        table.implementation.value, "frame", tuple(json_label(own[name]) for name in names), **found.fields
    )
    return Reading(values, tuple(names), found.dates, found.step, kind)


def _wanted(target: Any) -> list[str]:
    """Names of the requested columns, all when there are none; an integer label is a name."""
    if target is None:
        return []
    if isinstance(target, str | int | np.integer):
        return [str(target)]
    if isinstance(target, Sequence | np.ndarray) and not isinstance(target, bytes):
        return [str(name) for name in target]
    raise ValueError(f"target must be the name of a column, or a list of names. Got {target!r} instead.")


def _frame_dates(
    native: Any,
    implementation: Any,
    columns: dict[str, nw.Series[Any]],
    time: str | None,
    known: KnownStep | None,
) -> Dates:
    """Dates from the requested column, else the index, else the only column of dates."""
    index = getattr(native, "index", None) if implementation.is_pandas_like() else None
    if time is not None and time not in columns:
        if index is None or index.name != time:
            raise ValueError(_no_column(time, columns))
        time = None
    if time is None:
        found = index_dates(native, implementation, known)
        if found.fields.get("index") == "index":
            return found
        dated = [name for name, each in columns.items() if holds_dates(each)]
        if len(dated) > 1:
            raise ValueError(
                f"y has {len(dated)} columns of dates: {', '.join(dated)}. Say which with time=, and target=."
            )
        if not dated:
            return found
        time = dated[0]
    found = column_dates(columns[time], f"Column {time!r} of y", known)
    return found._replace(fields=found.fields | {"index": "column", "time": time})


def _numbers(column: nw.Series[Any], name: str) -> NDArray[np.float64]:
    """(N,) float64 of a column, NaN where it has none."""
    dtype = column.dtype
    if dtype.is_numeric() or isinstance(dtype, nw.Boolean):
        return np.asarray(column.cast(nw.Float64).to_numpy(), dtype=np.float64)
    if column.null_count() == len(column):
        return np.full(len(column), np.nan)
    if holds_dates(column):
        raise ValueError(f"Column {name!r} of y holds dates where numbers belong. Name it with time=.")
    if isinstance(dtype, nw.Duration):
        raise ValueError(
            f"Column {name!r} of y holds durations where numbers belong. Name it with time=, or convert it to"
            " seconds."
        )
    return _objects(f"Column {name!r} of y", np.array(column.to_list(), dtype=object))


def _objects(where: str, values: NDArray[Any], per_row: int = 1) -> NDArray[np.float64]:
    """Numbers out of Python objects, None as NaN; text is refused."""
    numbers = np.full(len(values), np.nan)
    texts: list[int] = []
    for place, value in enumerate(values):
        if isinstance(value, str):
            texts.append(place)
        elif not is_missing(value):
            try:
                numbers[place] = as_float(value)
            except (TypeError, ValueError):
                texts.append(place)
    if texts:  # numbers written as text are the fault of the cell that is none, if there is one
        place = next((place for place in texts if not _reads_as_number(values[place])), texts[0])
        what = "text" if isinstance(values[place], str | bytes) else "something else"
        raise ValueError(
            f"{where} holds {what} where numbers belong: {values[place]!r} in row {place // per_row}."
            f" Convert it{'' if where == 'y' else ', or choose other columns with target='}."
        )
    return numbers


def _reads_as_number(value: Any) -> bool:
    """Whether `value` is a number in text, with a decimal point or a decimal comma."""
    try:
        float(value.replace(",", "."))
    except (AttributeError, TypeError, ValueError):
        return False
    return True


def _no_column(name: str, columns: Sequence[str] | dict[str, Any]) -> str:
    shown = ", ".join(list(columns)[:12]) + (", ..." if len(columns) > 12 else "")
    return f"y has no column {name!r}.{closest(name, columns)} Its columns are: {shown}."


def _described(y: Any, array: NDArray[Any]) -> str:
    if isinstance(y, np.ndarray | list | tuple):
        return f"shape {array.shape} of {array.dtype}"
    return f"a {type(y).__name__}"


def _zone(tz: str | None) -> str:
    return "no time zone" if tz is None else f"time zone {tz}"


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

    def place(self, row: int, k: int) -> tuple[str, str]:
        """Column k and a row in words, fit for a refusal: ``("Column 'a' of y", "in row 3 (1990-04-01)")``."""
        column = f"Column {self.names[k]!r} of y" if self.kind.named else f"Column {k} of y"
        if not self.kind.named and len(self.names) == 1:
            column = "y"
        date = "" if self.dates is None else f" ({date_text(self.dates[row])})"
        return column, f"in row {row}{date}"

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
            found = other.kind.dates_on(other.dates, self.kind)
            agrees = following == found
            if self.kind.tz is not None and self.kind.clock == "local":
                agrees |= to_utc(following, self.kind.tz) == to_utc(found, self.kind.tz)
            _refuse_gap(self.dates[-1], following, found, agrees, self.step)
        return replace(self, values=values, dates=np.concatenate([self.dates, following]))

    def layout(self) -> dict[str, Any]:
        """All that is needed to return forecasts as the same kind, in JSON's own types.

        Keys: those of `Kind`, and names, step (dict or None), last (date as ISO 8601 text, or int, or None),
        n_steps.
        """
        last: Any = None
        if self.dates is not None:
            last = (
                str(self.dates[-1]) if self.dates.dtype.kind == "M" else int(self.dates[-1].astype(np.int64))
            )
        described: dict[str, Any] = asdict(self.kind)
        described["labels"] = list(self.kind.labels)
        return described | {
            "names": list(self.names),
            "step": None if self.step is None else asdict(self.step),
            "last": last,
            "n_steps": len(self),
        }


def read_series(
    y: Any,
    *,
    time: str | None = None,
    target: str | Sequence[str] | None = None,
    part: bool = False,
    known: KnownStep | None = None,
) -> Series:
    """Read a series from any kind of table.

    Parameters
    ----------
    y : list, numpy (N,) or (N, C), masked or not, pandas Series or DataFrame, polars Series or DataFrame, pyarrow
        Table, RecordBatch, ChunkedArray or Array. Its dates are an index of dates, periods or durations, the column
        `time`, or its only column of dates or periods; text is read as ISO 8601 (``1990-12-31``, ``1990-12``,
        ``19901231``, ``1990Q4``, with a time of day or without; with ``Z`` or a distance such as ``+02:00`` at the
        end of all they are instants in the time zone UTC). Whole numbers are days where all are YYYYMMDD, months
        where all are YYYYMM, else a counter such as a year, which is continued by its step. The frequency that a
        pandas index states is its step. In a time zone, days and longer steps are those of its clock: a time that
        daylight saving removes is the first that exists after it, and of one that occurs twice the first.
    time : name of the column of dates, or of the pandas index.
    target : name or names of the columns to read; None for all but the dates.
    part : y is a part of a longer series: a column may then have only missing values.
    known : a step that is taken where the dates keep it, before others are tried.

    Raises
    ------
    ValueError
        With the first place that is wrong: no rows, a column that isn't there, text or an infinite value
        where numbers belong, a number beyond float32, only missing values, dates that are irregular, repeated, or
        out of order.
    """
    reading: Reading = read(y, time, target, known)
    series = Series(reading.values, reading.names, reading.dates, reading.step, reading.kind)
    _refuse_values(series, part)
    return series


def _refuse_values(series: Series, part: bool) -> None:
    if len(series) == 0:
        raise ValueError("y is empty: it has no rows.")
    refuse_unusable(series.values, series.place)
    for k in range(len(series.names)):
        column, _ = series.place(0, k)
        if not part and np.isnan(series.values[:, k]).all():
            raise ValueError(f"{column} has only missing values.")


def _refuse_gap(
    last: Any, following: NDArray[Any], found: NDArray[Any], agrees: NDArray[np.bool_], step: Step | None
) -> None:
    """Refuse dates `found` that are not those that follow, at the first that is not."""
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
