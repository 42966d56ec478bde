"""Forecasts over what came."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from regen.data.series import Series, read_series
from regen.figures.style import BLUE, INK, VERMILLION, columns_of, key, new_figure, shown

__all__ = ["forecast"]

Values = NDArray[np.float64]


def forecast(
    y: Any,
    forecasts: Any,
    *,
    time: str | None = None,
    column: str | None = None,
    unit: str = "",
    past: int = 0,
) -> Any:
    """The forecasts over what came, with their intervals and the naive guess.

    What to read: the blue line should follow the dark one more closely than the dotted one, which merely repeats
    the season before. A dot marks where a new forecast begins: everything to its left was known, nothing to its
    right. The dark line should leave the wide band about as seldom as its level says.

    Parameters
    ----------
    y : (N,) or (N, C) what came, as an array or a pandas, polars or pyarrow object; all of it, or what was known.
    forecasts : what `Forecaster.predict` returned, with ``level=`` or without, or the ``forecasts`` of a `Backtest`.
        Of overlapping forecasts, each is drawn that begins where the one before it has ended.
    time : name of the column of dates, when they are not the index.
    column : the column to draw; the first one when None.
    unit : unit of the values, for the axis.
    past : steps to draw before the first forecast; 0 draws as many as are forecast, and at least 24.

    Raises
    ------
    ValueError
        When there is no such column, or an interval has its lower end above its upper one.
    """
    series = read_series(y, time=time)
    name = series.names[0] if column is None else column
    if name not in series.names:
        raise ValueError(f"y has no column {name!r}; it has {', '.join(series.names)}.")
    said = _said(series, forecasts, name, time)
    figure = new_figure(height=380, title=_key(said))
    for k, (level, (low, high)) in enumerate(sorted(said.bounds.items(), reverse=True)):
        figure.add_scatter(
            **_band(said, low, high),
            fillcolor=f"rgba(0, 114, 178, {0.13 + 0.12 * k:.2f})",
            fill="toself",
            line={"width": 0},
            name=f"{level:g} % interval",
            hoverinfo="skip",
        )
    truth = {"color": INK, "width": 1.6}
    figure.add_scatter(**_came(series, said, name, past), name="what came", mode="lines", line=truth)
    if said.naive is not None:
        line = {"color": VERMILLION, "width": 1.6, "dash": "dot"}
        figure.add_scatter(**_line(said, said.naive), name="naive", mode="lines", line=line)
    line = {"color": BLUE, "width": 2.4}
    figure.add_scatter(**_line(said, said.point), name="forecast", mode="lines", line=line)
    figure.add_scatter(
        x=said.time[said.begins],
        y=said.point[said.begins],
        name="first step",
        mode="markers",
        marker={"size": 8, "color": BLUE},
        hoverinfo="skip",
    )
    figure.update_xaxes(title_text="step" if series.dates is None else "date")
    figure.update_yaxes(title_text=shown(f"{name} ({unit})" if unit else name))
    return figure


def _came(series: Series, said: "_Said", name: str, past: int) -> dict[str, Any]:
    """The series from `past` steps before the first forecast on."""
    dates = np.arange(len(series)) if series.dates is None else series.dates
    before = int((dates < said.time.min()).sum())
    first = max(before - (past or max(24, len(said.time))), 0)
    return {"x": dates[first:], "y": series.values[first:, series.names.index(name)]}


class _Said(NamedTuple):
    """Forecasts in order of time: `begins` marks the first step of each."""

    time: NDArray[Any]
    point: Values
    begins: NDArray[np.bool_]
    naive: Values | None
    bounds: dict[float, tuple[Values, Values]]


def _said(series: Series, forecasts: Any, name: str, time: str | None) -> _Said:
    """Take apart what a forecaster returned: the table of a backtest, or that of a predict."""
    columns = {} if isinstance(forecasts, np.ndarray) else columns_of(forecasts)
    if {"origin", "forecast"} <= set(columns):
        _refuse_unknown(name, columns["column"].tolist())
        rows = _in_turn(columns, columns["column"] == name)
        found = {key: each[rows] for key, each in columns.items()}
        point, dates, naive = found["forecast"], found["time"], found.get("naive")
        begins, lead = found["step"] == 1, ""
    else:
        point, dates, columns = _predicted(series, forecasts, name, time)
        begins, naive, lead = np.arange(len(point)) == 0, None, f"{name}-"
        found = columns
    bounds = {}
    for column in found:
        if column.startswith(f"{lead}lo-"):
            level = column.removeprefix(f"{lead}lo-")
            low, high = found[column], found[f"{lead}hi-{level}"]
            if (low > high).any():
                where = dates[int(np.argmax(low > high))]
                raise ValueError(f"The {level} % interval at {where} has its lower end above its upper one.")
            bounds[float(level)] = (low, high)
    return _Said(dates, point, begins, naive, bounds)


def _in_turn(columns: Mapping[str, NDArray[Any]], wanted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rows of a backtest's table whose forecasts do not overlap, each beginning where the last one has ended."""
    rows, end = [], None
    for origin in np.unique(columns["origin"][wanted]):
        mine = np.flatnonzero(wanted & (columns["origin"] == origin))
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
    return columns[name], dates, columns


def _refuse_unknown(name: str, known: Iterable[str]) -> None:
    names = dict.fromkeys(known)
    if name not in names:
        raise ValueError(f"forecasts has no column {name!r}; it has {', '.join(map(str, names))}.")


def _key(said: _Said) -> dict[str, Any]:
    """What the colours mean; short enough for a phone."""
    bands = ", ".join(f"{level:g} %" for level in sorted(said.bounds))
    words = {"what came": INK, f"forecast ({bands} bands)" if bands else "forecast": BLUE}
    return key(words | ({} if said.naive is None else {"··· naive": VERMILLION}))


def _spaced(said: _Said, values: NDArray[Any]) -> NDArray[Any]:
    """`values` with a gap before each forecast but the first, so that lines do not join them."""
    gaps = np.flatnonzero(said.begins)[1:]
    return np.insert(values.astype(np.float64), gaps, np.nan)


def _line(said: _Said, values: Values) -> dict[str, Any]:
    """A line along each forecast."""
    return {
        "x": np.insert(said.time, (gaps := np.flatnonzero(said.begins)[1:]), said.time[gaps]),
        "y": _spaced(said, values),
    }


def _band(said: _Said, low: Values, high: Values) -> dict[str, Any]:
    """The outline of the band of each forecast: along its upper end, and back along the lower one."""
    x: list[Any] = []
    y: list[Any] = []
    for rows in np.split(np.arange(len(said.time)), np.flatnonzero(said.begins)[1:]):
        around = np.concatenate([rows, rows[::-1]])
        x += [*said.time[around], None]
        y += [*high[rows], *low[rows[::-1]], None]
    return {"x": x[:-1], "y": y[:-1], "mode": "lines"}
