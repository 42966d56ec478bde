"""Dates in every kind of table, frequency and time zone: continued as pandas' date_range does, updates too."""

import json
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import regen
from regen.data.calendar import KnownStep, Step, find_step, to_local, to_utc
from regen.data.io.tables import read_table
from regen.data.layout import from_layout
from regen.data.series import Series, read_series

ZONES = ("Africa/Cairo", "America/Santiago", "America/Havana", "America/Sao_Paulo", "Europe/Lisbon", "UTC")
SKIPPED = {
    "Africa/Cairo": "2024-04-26",
    "America/Santiago": "2024-09-08",
    "America/Havana": "2024-03-10",
    "America/Sao_Paulo": "2018-11-04",
}
"""Days whose midnight does not exist."""


def forecast(series: Series, n: int = 3) -> Any:
    """The next n steps, by the layout after a trip through JSON, as a saved model has it."""
    layout = json.loads(json.dumps(series.layout()))
    return from_layout(layout, {name: np.arange(float(n)) for name in series.names})


def table(library: str, dates: Any) -> Any:
    """A series with these dates in their index, or in a column of a table of that library."""
    y = np.arange(float(len(dates)))
    if library == "index":
        return pd.Series(y, dates)
    frame = pd.DataFrame({"t": dates, "y": y})
    return {
        "pandas": lambda: frame,
        "polars": lambda: pl.DataFrame(frame),
        "pyarrow": lambda: pa.Table.from_pandas(frame),
    }[library]()


def dates_of(result: Any) -> list[Any]:
    """The dates of a result, as pandas timestamps."""
    if isinstance(result, pd.Series):
        return list(result.index)
    column = result["t"] if isinstance(result, pd.DataFrame | pl.DataFrame) else result.column("t")
    return list(
        pd.DatetimeIndex(
            column.to_list()
            if isinstance(column, pl.Series)
            else column.to_pandas()
            if isinstance(column, pa.ChunkedArray)
            else column
        )
    )


def with_zone(naive: pd.DatetimeIndex, zone: str | None) -> pd.DatetimeIndex:
    """Wall-clock dates in a zone: what does not exist shifted forward, the first of what occurs twice."""
    if zone is None:
        return naive
    return naive.tz_localize(zone, nonexistent="shift_forward", ambiguous=np.ones(len(naive), dtype=bool))


LIBRARIES = ("index", "pandas", "polars", "pyarrow")
WALL = (
    "D",
    "2D",
    "W-SUN",
    "W-WED",
    "MS",
    "ME",
    "QS",
    "QE",
    "YS",
    "BMS",
    "BME",
    "SMS",
    "SME",
    "WOM-2TUE",
    "LWOM-FRI",
)


@settings(max_examples=60)
@given(
    freq=st.sampled_from(WALL),
    zone=st.sampled_from((None, *ZONES)),
    start=st.dates(date(1990, 1, 1), date(2035, 1, 1)),
    hour=st.sampled_from((0, 1, 2, 12, 23)),
    library=st.sampled_from(LIBRARIES),
    n=st.integers(20, 60),
    new=st.integers(1, 4),
)
@example("D", "America/Sao_Paulo", date(2018, 10, 20), 0, "polars", 20, 1)
@example("D", "Africa/Cairo", date(2024, 4, 5), 0, "pyarrow", 21, 1)
@example("W-SUN", "America/Santiago", date(2024, 4, 21), 0, "index", 20, 2)
@example("D", "America/Havana", date(2024, 10, 14), 0, "pandas", 20, 3)
def test_every_frequency_in_every_zone_and_library(freq, zone, start, hour, library, n, new):
    """The next dates are those of pandas' date_range, in the same type, also after an update with some of them."""
    naive = pd.date_range(
        pd.Timestamp(start) + pd.Timedelta(hours=hour), periods=n + new + 3, freq=freq, unit="us"
    )
    dates = with_zone(naive, zone)
    assume(dates.is_unique)
    series = read_series(table(library, dates[:n]))
    ambiguous = library != "index" or zone is not None
    if ambiguous and series.step != find_step(naive.to_numpy()):
        assume(False)  # twenty dates without a stated frequency may have several steps
    result = forecast(series)
    assert dates_of(result) == list(dates[n : n + 3])
    part = read_series(
        table(library, dates[n : n + new]), part=True, known=KnownStep(series.step, series.kind.clock)
    )
    assert dates_of(forecast(series.append(part))) == list(dates[n + new : n + new + 3])


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("zone", SKIPPED)
def test_midnights_that_do_not_exist(zone, library):
    """A daily series at midnight crosses the change of clocks in fit, forecast and update, and never drifts."""
    dates = with_zone(
        pd.date_range(pd.Timestamp(SKIPPED[zone]) - pd.Timedelta(days=6), periods=14, freq="D"), zone
    )
    assert dates[6].hour == 1  # the first hour of that day
    for n in range(2, 10):
        series = read_series(table(library, dates[:n]))
        assert series.step == Step(1, "D") and series.kind.clock == "local"
        assert dates_of(forecast(series)) == list(dates[n : n + 3])
        for new in (1, 2):
            assert len(series.append(read_series(table(library, dates[n : n + new]), part=True))) == n + new


def test_clocks_of_zones():
    """To UTC and back: what is skipped is the first moment after it, of what occurs twice the first is meant."""
    local = np.array(["2024-03-31T01:30", "2024-10-27T01:30", "2024-07-01T00:00"], dtype="M8[ns]")
    utc = to_utc(local, "Europe/Lisbon")
    assert utc.dtype == local.dtype
    assert [str(each)[:16] for each in utc] == ["2024-03-31T01:00", "2024-10-27T00:30", "2024-06-30T23:00"]
    assert [str(each)[:16] for each in to_local(utc, "Europe/Lisbon")] == [
        "2024-03-31T02:00",
        "2024-10-27T01:30",
        "2024-07-01T00:00",
    ]
    half = to_utc(np.array(["2024-10-06T02:10"], dtype="M8[s]"), "Australia/Lord_Howe")  # skips half an hour
    assert str(to_local(half, "Australia/Lord_Howe")[0]) == "2024-10-06T02:30:00"
    assert str(to_utc(np.array(["2024-07-01"], dtype="M8[D]"), "+03:00")[0]) == "2024-06-30T21:00:00"


def test_hours_that_occur_twice_continue_one_by_one():
    """Each of the two hours is an instant of its own, in a series and in an update of a single row."""
    dates = pd.date_range("2024-10-26 20:00", periods=12, freq="h", tz="Europe/Lisbon")
    for library in LIBRARIES:
        for n in range(3, 9):
            series = read_series(table(library, dates[:n]))
            assert dates_of(forecast(series)) == list(dates[n : n + 3])
            assert len(series.append(read_series(table(library, dates[n : n + 1]), part=True))) == n + 1


def test_times_of_day_that_step_by_less_than_a_day():
    """Twice a day by the clock on the wall is regular there, across a change of clocks."""
    naive = pd.date_range("2024-03-29 08:00", periods=9, freq="12h")
    dates = with_zone(naive, "Europe/Lisbon")
    for library in LIBRARIES:
        assert dates_of(forecast(read_series(table(library, dates[:6])))) == list(dates[6:9])


HOLIDAYS = pd.offsets.CustomBusinessDay(holidays=["2024-12-25", "2025-01-01"], weekmask="Sun Mon Tue Wed Thu")
STATED: list[Any] = [
    "B", "2B", "BME", "BMS", "BQE", "BQS", "BYE", "BYS", "SME", "SMS", "2SME", "WOM-3FRI", "LWOM-WED", "bh", "cbh",
    "C", "CBME", "CBMS", "REQ-N-NOV-MON-1", "RE-N-DEC-MON", "24h", "90min", "W-FRI", "YE-MAR", HOLIDAYS,
    pd.offsets.BusinessHour(start="10:00", end="14:00"), pd.DateOffset(months=1), pd.DateOffset(days=3),
    pd.offsets.Easter(),
]  # fmt: skip


@pytest.mark.parametrize("freq", STATED, ids=str)
@pytest.mark.parametrize("n", [1, 3, 5, 17])
def test_the_frequency_that_an_index_states_is_obeyed(freq, n):
    """Also where so few dates could have another step: five business days continue on Monday."""
    index = pd.date_range("2024-12-09 10:00", periods=n + 4, freq=freq)
    series = read_series(pd.Series(np.arange(float(n)), index[:n]))
    result = forecast(series, 4)
    pd.testing.assert_index_equal(result.index, index[n:], exact=True)
    assert result.index.freq == index.freq
    back = Step(**json.loads(json.dumps(series.layout()["step"])))
    assert back == series.step and str(back)
    for new in (1, 2, 4):  # also where the rows have lost their frequency
        rows = pd.Series(1.0, pd.DatetimeIndex(list(index[n : n + new])))
        assert (
            len(series.append(read_series(rows, part=True, known=KnownStep(back, series.kind.clock))))
            == n + new
        )


MONTHS, DAYS = [202410, 202411, 202412], [20241229, 20241230, 20241231]
NUMBERS: dict[str, tuple[Any, list[Any], str]] = {
    "months": (pd.DataFrame({"t": MONTHS, "y": [1, 2, 3]}), [202501, 202502, 202503], "int64"),
    "days": (pd.DataFrame({"t": DAYS, "y": [1, 2, 3]}), [20250101, 20250102, 20250103], "int64"),
    "quarters": (
        pd.DataFrame({"t": [202404, 202407, 202410], "y": [1, 2, 3]}),
        [202501, 202504, 202507],
        "int64",
    ),
    "short": (
        pd.DataFrame({"t": np.array(MONTHS, "int32"), "y": [1, 2, 3]}),
        [202501, 202502, 202503],
        "int32",
    ),
    "nullable": (
        pd.DataFrame({"t": pd.array(MONTHS, "Int64"), "y": [1, 2, 3]}),
        [202501, 202502, 202503],
        "Int64",
    ),
    "years": (pd.DataFrame({"t": [2001, 2002, 2003], "y": [1, 2, 3]}), [2004, 2005, 2006], "int64"),
    "float years": (pd.DataFrame({"t": [2001.0, 2003.0], "y": [1, 2]}), [2005.0, 2007.0, 2009.0], "float64"),
    "no months": (
        pd.DataFrame({"t": [202412, 202413, 202414], "y": [1, 2, 3]}),
        [202415, 202416, 202417],
        "int64",
    ),
    "polars": (
        pl.DataFrame({"t": pl.Series(MONTHS, dtype=pl.Int32), "y": [1, 2, 3]}),
        [202501, 202502, 202503],
        "Int32",
    ),
    "pyarrow": (
        pa.table({"t": pa.array(MONTHS, pa.int64()), "y": [1, 2, 3]}),
        [202501, 202502, 202503],
        "int64",
    ),
    "index": (pd.Series([1, 2, 3], MONTHS), [202501, 202502, 202503], "int64"),
    "index of days": (pd.Series([1, 2, 3], DAYS), [20250101, 20250102, 20250103], "int64"),
    "index of floats": (pd.Series([1, 2, 3], [2001.0, 2002.0, 2003.0]), [2004.0, 2005.0, 2006.0], "float64"),
}


@pytest.mark.parametrize(("y", "following", "dtype"), NUMBERS.values(), ids=NUMBERS)
def test_numbers_continue_as_the_calendar_does(y, following, dtype):
    """After 202412 comes 202501, in the type of the numbers; what is no month counts on."""
    named = {} if isinstance(y, pd.Series) else {"time": "t"}
    series = read_series(y, **named)
    result = forecast(series)
    numbers = result.index if isinstance(y, pd.Series) else result["t"]
    assert list(numbers.to_pylist() if isinstance(y, pa.Table) else numbers) == following
    assert str(numbers.type if isinstance(y, pa.Table) else numbers.dtype) == dtype
    more = (
        pd.Series([1.0], following[:1])
        if isinstance(y, pd.Series)
        else pd.DataFrame({"t": following[:1], "y": 1.0})
    )
    assert (
        len(series.append(read_series(more, part=True, known=KnownStep(series.step), **named)))
        == len(series) + 1
    )


def test_a_counter_that_looks_like_a_month_continues_a_counter():
    """A single new row is read as the fitted series is."""
    series = read_series(pd.DataFrame({"t": np.arange(200_095, 200_101), "y": np.arange(6.0)}), time="t")
    assert series.step == Step(1, "1")
    row = pd.DataFrame({"t": [200_101], "y": [1.0]})
    for known in (None, KnownStep(series.step)):
        assert series.append(read_series(row, time="t", part=True, known=known)).dates[-1] == 200_101


PERIODS = pd.period_range("2024-10", periods=8, freq="M")
LAPSE = pd.timedelta_range("0h", periods=8, freq="30min")
KINDS: dict[str, tuple[Any, Any, Any]] = {
    "periods": (pd.DataFrame({"t": PERIODS[:5], "y": np.arange(5.0)}), {}, PERIODS[5:]),
    "periods among objects": (
        pd.DataFrame({"t": pd.Series(list(PERIODS[:5]), dtype=object), "y": np.arange(5.0)}),
        {"time": "t"},
        PERIODS[5:],
    ),
    "every other period": (
        pd.Series([1.0, 2.0], PERIODS[:4:2]),
        {},
        pd.PeriodIndex(["2025-02", "2025-04", "2025-06"], freq="M"),
    ),
    "quarters": (
        pd.Series([1.0, 2.0], pd.period_range("2024Q3", periods=2, freq="Q-FEB")),
        {},
        pd.period_range("2025Q1", periods=3, freq="Q-FEB"),
    ),
    "durations": (pd.Series(np.arange(5.0), LAPSE[:5]), {}, LAPSE[5:]),
    "a column of durations": (pd.DataFrame({"t": LAPSE[:5], "y": np.arange(5.0)}), {"time": "t"}, LAPSE[5:]),
    "durations of a month": (
        pd.Series([1.0, 2.0], pd.to_timedelta([0, 31], unit="D")),
        {},
        pd.to_timedelta([62, 93, 124], unit="D"),
    ),
}


@pytest.mark.parametrize(("y", "options", "following"), KINDS.values(), ids=KINDS)
def test_periods_and_durations_come_back(y, options, following):
    """The kind that goes in comes out, in an index and in a column."""
    series = read_series(y, **options)
    result = forecast(series)
    found = result.index if isinstance(y, pd.Series) else pd.Index(result["t"])
    assert list(found) == list(following) and found.dtype == following.dtype
    assert not isinstance(y, pd.Series) or found.freq == following.freq
    new = (
        pd.Series([1.0], following[:1])
        if isinstance(y, pd.Series)
        else pd.DataFrame({"t": following[:1], "y": [1.0]})
    )
    assert len(series.append(read_series(new, part=True, **options))) == len(series) + 1


@pytest.mark.parametrize("kind", [pl.DataFrame, pa.Table.from_pandas], ids=["polars", "pyarrow"])
def test_durations_of_other_libraries(kind):
    """Durations stay such."""
    y = kind(pd.DataFrame({"t": LAPSE[:5], "y": np.arange(5.0)}))
    column = forecast(read_series(y, time="t"))["t"]
    assert (column.to_list() if isinstance(column, pl.Series) else column.to_pylist()) == [
        each.to_pytimedelta() for each in LAPSE[5:]
    ]
    assert getattr(column, "type", None) == getattr(y["t"], "type", None)


@pytest.mark.parametrize("end", ["+02:00", "+0200", " +02"])
@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame, pa.table])
def test_text_with_a_distance_from_utc(kind, end, tmp_path):
    """It is the instant, as the command line reads it from a file: the zone is UTC."""
    texts = [f"2024-01-01T0{hour}:30:00{end}" for hour in range(3)]
    series = read_series(kind({"t": texts, "y": [1, 2, 3]}), time="t")
    assert series.kind.tz == "UTC" and series.continue_dates(1)[0] == np.datetime64("2024-01-01T01:30")
    (tmp_path / "a.csv").write_text("t,y\n" + "".join(f"{text.replace(' ', '')},1\n" for text in texts))
    file = read_series(read_table(tmp_path / "a.csv"))
    assert file.kind.tz == "UTC" and (file.dates == series.dates).all() and file.step == series.step


def test_texts_of_several_offsets_are_instants():
    """The distance may change from row to row, as it does when clocks change."""
    texts = [
        "2024-10-27T00:30+01:00",
        "2024-10-27T01:30+01:00",
        "2024-10-27T01:30+00:00",
        "2024-10-27T02:30Z",
    ]
    series = read_series(pd.DataFrame({"t": texts, "y": [1, 2, 3, 4]}), time="t")
    assert series.step == Step(1, "h")


DOWN = "Sort the rows by it, or drop it with reset_index(drop=True) to keep this order."
REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "labels": (pd.Series([1, 2, 3], [2, 1, 0]), {}, f"The index of y counts down, from 2 to 0. {DOWN}"),
    "years": (pd.Series([1, 2], [2001, 1999]), {}, f"The index of y counts down, from 2001 to 1999. {DOWN}"),
    "floats": (pd.Series([1, 2], [0.5, 0.25]), {}, f"The index of y counts down, from 0.5 to 0.25. {DOWN}"),
    "column": (
        pl.DataFrame({"t": [2003, 2002], "y": [1, 2]}),
        {"time": "t"},
        "The dates of y are not in order: after 2003 comes 2002, in row 1. Sort the rows by date.",
    ),
    "dates": (
        pd.Series([1, 2], pd.DatetimeIndex(["2024-01-02", "2024-01-01"])),
        {},
        "The dates of y are not in order: after 2024-01-02 comes 2024-01-01, in row 1. Sort the rows by date.",
    ),
    "durations among numbers": (
        pd.DataFrame({"t": LAPSE, "y": np.arange(8.0)}),
        {},
        "Column 't' of y holds durations where numbers belong. Name it with time=, or convert it to seconds.",
    ),
    "an offset beyond a day": (
        pd.DataFrame({"t": ["2024-01-01T00:00+25:00"], "y": [1]}),
        {"time": "t"},
        "Column 't' of y holds '2024-01-01T00:00+25:00' in row 0, which is not an ISO 8601 date."
        " Write dates as 1990-12-31 or 1990-12-31 23:59.",
    ),
}


@pytest.mark.parametrize(("y", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_refusals(y, options, message, message_of):
    """What counts down is never read in reverse in silence."""
    assert message_of(ValueError, read_series, y, **options) == message


END = pd.date_range("2262-03-01", periods=40, freq="D", unit="ns")
LAST = pl.Series(pd.date_range("9999-11-22", periods=40, unit="us")).dt.replace_time_zone("Europe/Lisbon")
NO_FUTURE: dict[str, tuple[Any, str]] = {
    "nanoseconds": (
        pd.Series(np.sin(np.arange(40.0)), END),
        "The 3 steps of 1 day from 2262-04-09 leave the range of datetime64[ns]. Convert the dates to a coarser unit,"
        " such as microseconds or days.",
    ),
    "offsets": (
        pd.Series(np.sin(np.arange(28.0)), pd.date_range(END[0], periods=28, freq="C", unit="ns")),
        "The dates of frequency 'C' leave the range of datetime64[ns]. Convert them to a coarser unit, such as"
        " microseconds or days.",
    ),
    "the last year": (
        pl.DataFrame({"t": LAST, "y": np.sin(np.arange(40.0))}),
        "Dates with a time zone must lie in the years 1 to 9999. Take the time zone off.",
    ),
}


@pytest.mark.parametrize(("y", "message"), NO_FUTURE.values(), ids=NO_FUTURE)
def test_dates_that_cannot_be_continued_are_refused_before_training(y, message, message_of):
    """Not after it: the estimator is not fitted."""
    model = regen.Forecaster(window=4, horizon=3, hidden=2, max_epochs=1)
    assert message_of(ValueError, model.fit, y) == message
    assert "net_" not in vars(model)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_forecaster_across_a_change_of_clocks(library, tmp_path):
    """Fit, save, load, update with the real next row, backtest: the dates stay those of the wall."""
    dates = with_zone(pd.date_range("2018-10-05", periods=40, freq="D"), "America/Sao_Paulo")
    model = regen.Forecaster(window=4, horizon=3, hidden=2, max_epochs=1, random_state=0)
    model.fit(table(library, dates[:30]))
    assert dates_of(model.predict()) == list(dates[30:33])
    regen.save(model, tmp_path / "model")
    kept = (
        regen.load(tmp_path / "model")
        .update(table(library, dates[30:31]))
        .update(table(library, dates[31:33]))
    )
    assert dates_of(kept.predict()) == list(dates[33:36])
    assert kept.backtest(table(library, dates)).n_origins > 1


def test_a_forecaster_with_holidays(tmp_path):
    """A stated frequency is kept in the file, and rows that have lost it are read by it."""
    index = pd.date_range("2024-11-25", periods=40, freq=HOLIDAYS)
    model = regen.Forecaster(window=4, horizon=3, hidden=2, max_epochs=1, random_state=0)
    model.fit(pd.Series(np.sin(np.arange(30.0)), index[:30]))
    regen.save(model, tmp_path / "model")
    kept = regen.load(tmp_path / "model")
    pd.testing.assert_index_equal(kept.predict().index, index[30:33], exact=True)
    loose = pd.Series(np.sin(np.arange(40.0)), pd.DatetimeIndex(list(index)))
    assert kept.backtest(loose).n_origins > 1
    assert list(kept.update(loose[30:34]).predict().index) == list(index[34:37])
