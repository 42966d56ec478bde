"""Forecasts over the actual values."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from regen._drawing import chart_of
from regen.data.series import Series, read_series
from regen.estimators import Backtest
from regen.figures.chart import Chart, color_key
from regen.figures.marks import Axis, Band, Line, Panel, Points, Span
from regen.figures.style import BLUE, INK, VERMILLION, columns_of

__all__ = ["backtest", "forecast"]

Values = NDArray[np.float64]


def forecast(
    y: Any,
    forecasts: Any,
    *,
    time: str | None = None,
    column: str | None = None,
    unit: str = "",
    past: int = 0,
) -> Chart:
    """Draw forecasts over the actual values, with their intervals and the seasonal naive forecast.

    The blue line should follow the dark one more closely than the dotted one, which repeats the season before. A dot
    marks where a new forecast begins: the values to its left were observed, those to its right were not. The dark
    line should leave the wide band about as seldom as its level promises.

    Parameters
    ----------
    y : array of shape (N,) or (N, C), Series or DataFrame
        The actual values as an array or a pandas, polars or pyarrow object: all of them, or those before the
        forecasts.
    forecasts : array, Series, DataFrame or dict
        What `Forecaster.predict` returned, with ``level=`` or without, or the ``forecasts`` of a `Backtest`.
        Of overlapping forecasts, each is drawn that begins where the one before it has ended.
    time : str, default=None
        Name of the column of dates, when they are not the index.
    column : str, default=None
        The column to draw; None is the first one.
    unit : str, default=""
        Of the values, for the axis.
    past : int, default=0
        Steps to draw before the first forecast; 0 draws as many as are forecast, and at least 24.

    Returns
    -------
    Chart
        With dates on the horizontal axis where `y` has some, else the numbers of the steps.

    Raises
    ------
    ValueError
        When there is no such column, or an interval has its lower end above its upper one.

    See Also
    --------
    regen.figures.backtest : Forecasts from many origins.

    Examples
    --------
    >>> import numpy as np
    >>> from regen import figures
    >>> y = np.array([1.0, 2.0, 1.0, 2.0])
    >>> figures.forecast(y, np.array([1.1, 1.9]), unit="kg").panels[0].marks[1].x
    array([4, 5])
    """
    series = read_series(y, time=time)
    name = series.names[0] if column is None else column
    if name not in series.names:
        raise ValueError(f"y has no column {name!r}; it has {', '.join(series.names)}.")
    columns = {} if isinstance(forecasts, np.ndarray) else columns_of(forecasts)
    if {"origin", "forecast"} <= set(columns):
        read = _from_backtest(columns, name)
    else:
        read = _from_predict(series, forecasts, name, time)
    dates = np.arange(len(series)) if series.dates is None else series.dates
    before = int((dates < read.time.min()).sum())
    first = max(before - (past or max(24, len(read.time))), 0)
    actual = dates[first:], series.values[first:, series.names.index(name)]
    return _fan(*actual, read, f"{name} ({unit})" if unit else name)


@chart_of.register
def backtest(finding: Backtest, *, column: str | None = None, unit: str = "") -> Chart:
    """The forecasts of a backtest over the actual values, as in `forecast`.

    Parameters
    ----------
    finding : Backtest
        What `Forecaster.backtest` returned.
    column : str, default=None
        The column to draw; None is the first one.
    unit : str, default=""
        Of the values, for the axis.

    Returns
    -------
    Chart
        Of the part of the series that was forecast.

    Raises
    ------
    ValueError
        When there is no such column.

    See Also
    --------
    forecast : Forecasts over a series of your own, with steps before the first forecast.

    Examples
    --------
    >>> import numpy as np, regen
    >>> y = np.sin(np.arange(120) / 3)
    >>> model = regen.Forecaster("gru", 12, 6, hidden=3, max_epochs=1, random_state=0).fit(y[:90])
    >>> regen.figures.backtest(model.backtest(y, start=90)).panels[0].marks[0].name
    'actual'
    """
    columns = columns_of(finding.forecasts)
    name = columns["column"][0] if column is None else column
    read = _from_backtest(columns, name)
    mask = columns["column"] == name
    time, rows = np.unique(columns["time"][mask], return_index=True)
    return _fan(time, columns["y"][mask][rows], read, f"{name} ({unit})" if unit else str(name))


def _fan(time: NDArray[Any], actual: Values, read: "_Forecasts", title: str) -> Chart:
    """Intervals behind, then the actual values, the naive forecast and the forecasts with their first steps."""
    x = Axis({"M": "date", "m": "seconds"}.get(time.dtype.kind, "step"))
    if time.dtype.kind == "m":  # no chart has an axis of durations
        second = np.timedelta64(1, "s")
        time, read = time / second, read._replace(time=read.time / second)
    marks: list[Any] = [
        Band(
            _broken(read, read.time),
            *(_broken(read, each, np.nan) for each in ends),
            name=f"{level:g} % interval",
            color=f"rgba(0, 114, 178, {0.13 + 0.12 * k:.2f})",
        )
        for k, (level, ends) in enumerate(sorted(read.bounds.items(), reverse=True))
    ]
    marks.append(Line(time, actual, name="actual", color=INK, width=1.6))
    if read.naive is not None:
        marks.append(Line(*_line(read, read.naive), name="naive", color=VERMILLION, width=1.6, dash="dot"))
    marks.append(Line(*_line(read, read.point), name="forecast", color=BLUE, width=2.4))
    first = Points(read.time[read.begins], read.point[read.begins], name="first step", size=8, hover=None)
    return Chart([Panel(x, Axis(title), [*marks, first])], title=_key(read), height=380)


class _Forecasts(NamedTuple):
    """Forecasts in order of time: `begins` marks the first step of each."""

    time: NDArray[Any]
    point: Values
    begins: NDArray[np.bool_]
    naive: Values | None
    bounds: dict[float, tuple[Values, Values]]


def _from_backtest(columns: Mapping[str, NDArray[Any]], name: str) -> _Forecasts:
    """The forecasts in the table of a backtest that do not overlap."""
    _refuse_unknown(name, columns["column"].tolist())
    rows = _in_turn(columns, columns["column"] == name)
    found = {key: each[rows] for key, each in columns.items()}
    bounds = _bounds(found, "", found["time"])
    return _Forecasts(found["time"], found["forecast"], found["step"] == 1, found.get("naive"), bounds)


def _from_predict(series: Series, forecasts: Any, name: str, time: str | None) -> _Forecasts:
    """The forecast that `predict` returned, after the end of the series."""
    point, dates, columns = _predicted(series, forecasts, name, time)
    return _Forecasts(dates, point, np.arange(len(point)) == 0, None, _bounds(columns, f"{name}-", dates))


def _bounds(
    columns: Mapping[str, NDArray[Any]], lead: str, dates: NDArray[Any]
) -> dict[float, tuple[Values, Values]]:
    """The ends of the interval of each level, of columns with names that begin with `lead`."""
    bounds = {}
    for column in columns:
        if column.startswith(f"{lead}lo-"):
            level = column.removeprefix(f"{lead}lo-")
            low, high = columns[column], columns[f"{lead}hi-{level}"]
            if (low > high).any():
                where = dates[int(np.argmax(low > high))]
                raise ValueError(f"The {level} % interval at {where} has its lower end above its upper one.")
            bounds[float(level)] = (low, high)
    return bounds


def _in_turn(columns: Mapping[str, NDArray[Any]], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rows of the forecasts in a backtest's table that do not overlap, each beginning where the last one ends."""
    rows, end = [], None
    for origin in np.unique(columns["origin"][mask]):
        mine = np.flatnonzero(mask & (columns["origin"] == origin))
        if end is None or origin >= end:
            rows.append(mine)
            end = columns["time"][mine].max()
    return np.concatenate(rows)


def _predicted(
    series: Series, forecasts: Any, name: str, time: str | None
) -> tuple[Values, NDArray[Any], dict[str, NDArray[Any]]]:
    """The point forecast, its dates, and all columns of what `predict` returned."""
    if isinstance(forecasts, np.ndarray | Mapping):
        single = isinstance(forecasts, np.ndarray) and forecasts.ndim == 1
        table = {series.names[0]: forecasts} if single else forecasts
        if isinstance(table, np.ndarray):
            table = dict(zip(series.names, table.T, strict=True))
        columns = {key: np.asarray(each) for key, each in table.items()}
        _refuse_unknown(name, columns)
        dates = series.continue_dates(len(columns[name]))
        dates = np.arange(len(series), len(series) + len(columns[name])) if dates is None else dates
        return columns[name], dates, columns
    named = isinstance(nw.from_native(forecasts, allow_series=True), nw.DataFrame)
    read = read_series(forecasts, time=time if named else None, part=True)
    columns = {key: read.values[:, c] for c, key in enumerate(read.names)}
    _refuse_unknown(name, columns)
    dates = np.arange(len(series), len(series) + len(read)) if read.dates is None else read.dates
    if read.dates is not None and series.dates is not None and read.kind.tz is not None:
        dates = read.kind.dates_on(read.dates, series.kind)  # a single row is read as an instant
    return columns[name], dates, columns


def _refuse_unknown(name: str, names: Iterable[str]) -> None:
    unique = dict.fromkeys(names)
    if name not in unique:
        raise ValueError(f"forecasts has no column {name!r}; it has {', '.join(map(str, unique))}.")


def _key(read: _Forecasts) -> list[Span]:
    """What the colors mean; short enough for a phone."""
    bands = ", ".join(f"{level:g} %" for level in sorted(read.bounds))
    names = {"actual": INK, f"forecast ({bands} bands)" if bands else "forecast": BLUE}
    return color_key(names | ({} if read.naive is None else {"··· naive": VERMILLION}))


def _broken(read: _Forecasts, values: NDArray[Any], gap: Any = None) -> NDArray[Any]:
    """`values` with a gap, or the next value, before each forecast but the first, so that nothing joins them."""
    begins = np.flatnonzero(read.begins)[1:]
    values = values if gap is None else values.astype(np.float64)
    return np.insert(values, begins, values[begins] if gap is None else gap)


def _line(read: _Forecasts, values: Values) -> tuple[NDArray[Any], Values]:
    """A line along each forecast."""
    return _broken(read, read.time), _broken(read, values, np.nan)
