"""Series of every kind in, the same kind out; dates continued."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import polars as pl
import polars.testing
import pyarrow as pa
import pytest

from regen.data.calendar import Step
from regen.data.dataframes import frame
from regen.data.layout import from_layout
from regen.data.series import read_series

MONTHS = pd.date_range("1990-01-01", periods=6, freq="MS")
NEXT = pd.date_range("1990-07-01", periods=2, freq="MS")
UNITS = [1.0, 2.0, np.nan, 4.0, 5.0, 6.0]
DAYS = [date(2020, 1, day) for day in range(1, 7)]


def forecast(y, *columns: str, **options):
    """Two steps of 10, 11 for each column, by the layout after a trip through JSON."""
    series = read_series(y, **options)
    layout = json.loads(json.dumps(series.layout()))
    return from_layout(layout, {name: [10.0, 11.0] for name in columns or series.names})


def read_values(y, **options) -> list:
    """The values read, as lists, NaN as None."""
    values = read_series(y, **options).values
    return [[None if np.isnan(each) else each for each in row] for row in values.tolist()]


@pytest.mark.parametrize(
    "y",
    [
        [1, None, 3],
        (1.0, float("nan"), 3),
        np.array([1, np.nan, 3]),
        np.array([[1], [np.nan], [3]]),
        pd.Series([1, np.nan, 3]),
        pd.Series([1, None, 3], dtype="Int64"),
        pd.Series([1, None, 3], dtype=object),
        pd.DataFrame({"a": [1, None, 3]}),
        pl.Series("a", [1, None, 3]),
        pl.DataFrame({"a": [1, None, 3]}),
        pa.table({"a": [1, None, 3]}),
        pa.chunked_array([[1, None], [3]]),
        pa.array([1, None, 3]),
        pa.record_batch({"a": [1, None, 3]}),
        np.ma.masked_equal([1, 99, 3], 99),
        np.ma.masked_equal([[1.0], [99.0], [3.0]], 99),
        np.ma.array([1, "x", 3], mask=[0, 1, 0], dtype=object),
    ],
)
def test_numbers_read_from_anything(y):
    """Every kind of table gives the same (N, 1) values, missing ones as NaN."""
    series = read_series(y)
    assert series.values.dtype == np.float64
    assert series.values.shape == (3, 1)
    assert read_values(y) == [[1], [None], [3]]
    assert series.observed[:, 0].tolist() == [True, False, True]


def test_booleans_are_numbers():
    """True is 1."""
    assert read_values(pd.DataFrame({"open": [True, False]})) == [[1], [0]]
    assert read_values(pa.table({"open": [True, None]})) == [[1], [None]]
    assert read_values([True, False]) == [[1], [0]]


def test_filled_never_looks_ahead():
    """Gaps hold the last number before them; only a gap at the start holds the first number."""
    series = read_series(np.array([[np.nan, 1], [2, np.nan], [np.nan, np.nan], [4, 5]]))
    assert series.filled().tolist() == [[2, 1], [2, 1], [2, 1], [4, 5]]


def test_target_and_time_choose_columns():
    """time= and target= name the columns; their order is that of target=."""
    y = pd.DataFrame({"shop": ["x"] * 6, "when": MONTHS, "b": range(6), "a": UNITS})
    series = read_series(y, time="when", target=["a", "b"])
    assert series.names == ("a", "b")
    assert series.values[:, 1].tolist() == [0, 1, 2, 3, 4, 5]
    assert series.step == Step(1, "M", 1)


@pytest.mark.parametrize(
    ("texts", "following"),
    [
        (["1990-11-30", "1990-12-31"], "1991-01-31"),
        (["1990-11", "1990-12"], "1991-01-01"),
        (["19901130", "19901231"], "1991-01-31"),
        (["1990/12/30", "1990/12/31"], "1991-01-01"),
        (["1990Q3", "1990Q4"], "1991-01-01"),
        (["1990-12-31 22:00", "1990-12-31T23:00"], "1991-01-01"),
        ([19901130, 19901231], "1991-01-31"),
    ],
)
def test_text_is_read_as_iso_dates(texts, following):
    """Dates as text or as YYYYMMDD numbers are dates."""
    for y in (pd.DataFrame({"t": texts, "y": [1, 2]}), pl.DataFrame({"t": texts, "y": [1, 2]})):
        series = read_series(y, time="t")
        assert series.continue_dates(1)[0] == np.datetime64(following)


def test_python_dates_in_an_object_column():
    """Python's own dates in a pandas column are dates."""
    series = read_series(pd.DataFrame({"t": DAYS, "y": UNITS}), time="t")
    assert series.continue_dates(1)[0] == np.datetime64("2020-01-07")


def test_list_and_numpy_out():
    """One column: (h,); several: (h, C); other columns: a dict of arrays."""
    assert forecast([1, 2, 3]).tolist() == [10, 11]
    assert forecast(np.ones((4, 3))).shape == (2, 3)
    result = forecast([1, 2, 3], "y", "y-lo-80", "y-hi-80")
    assert list(result) == ["y", "y-lo-80", "y-hi-80"]
    assert result["y-lo-80"].tolist() == [10, 11]


def test_pandas_series_out():
    """A dated Series continues as a Series of its own name, index name and frequency."""
    y = pd.Series(UNITS, MONTHS.rename("month"), name="units")
    expected = pd.Series([10.0, 11.0], NEXT.rename("month"), name="units")
    pd.testing.assert_series_equal(forecast(y), expected, check_index_type=True)
    assert forecast(y).index.freq == MONTHS.freq


def test_pandas_series_with_intervals_out():
    """With intervals a Series becomes a DataFrame."""
    result = forecast(pd.Series(UNITS, MONTHS, name="units"), "units", "units-lo-80", "units-hi-80")
    assert list(result.columns) == ["units", "units-lo-80", "units-hi-80"]
    assert result.index.equals(NEXT)


def test_nameless_series_out():
    """A nameless Series comes back nameless, and is called y among intervals."""
    assert forecast(pd.Series(UNITS, MONTHS)).name is None
    assert list(forecast(pd.Series(UNITS, MONTHS), "y", "y-lo-80").columns) == ["y", "y-lo-80"]
    assert forecast(pd.Series([1, 2, 3])).index.tolist() == [3, 4]


def test_pandas_frame_out():
    """A DataFrame with dates in its index keeps them there."""
    y = pd.DataFrame({"a": UNITS, 7: UNITS}, MONTHS)
    pd.testing.assert_frame_equal(forecast(y), pd.DataFrame({"a": [10.0, 11], 7: [10.0, 11]}, NEXT))


@pytest.mark.parametrize("freq", ["M", "Q-DEC", "Y-DEC", "W-SUN", "D", "h"])
def test_periods_out(freq):
    """A PeriodIndex continues as a PeriodIndex."""
    index = pd.period_range("1990-01-01", periods=8, freq=freq)
    result = forecast(pd.Series(range(6), index[:6]))
    pd.testing.assert_index_equal(result.index, index[6:])


@pytest.mark.parametrize(
    "freq", ["D", "W-WED", "MS", "ME", "QS", "QE-JAN", "YS", "YE", "2h", "15min", "B", "s"]
)
@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_frequencies_out(freq, unit):
    """Every regular frequency of pandas continues, in the same unit."""
    index = pd.date_range("1990-01-01", periods=20, freq=freq, unit=unit)
    result = forecast(pd.Series(range(18), index[:18]))
    pd.testing.assert_index_equal(result.index, index[18:], exact=True)


@pytest.mark.parametrize("freq", ["D", "h", "MS"])
def test_time_zones_out(freq):
    """Time zones are kept across a change of clocks: days stay days, hours stay hours."""
    index = pd.date_range("2021-03-26", periods=100, freq=freq, tz="Europe/Lisbon")
    for n in (5, 24, 50, 90):
        result = forecast(pd.Series(range(n), index[:n]))
        pd.testing.assert_index_equal(result.index, index[n : n + 2], exact=True)
        assert result.index.freq == index.freq
        y = pl.DataFrame({"t": pl.Series(index[:n]), "y": range(n)})
        assert forecast(y)["t"].to_list() == index[n : n + 2].to_pydatetime().tolist()
        assert forecast(y).schema["t"] == y.schema["t"]


def test_counter_column_continues_by_its_step():
    """Years as integers are continued as integers."""
    y = pd.DataFrame({"YEAR": np.arange(1700, 1706), "spots": UNITS})
    pd.testing.assert_frame_equal(
        forecast(y, time="YEAR"), pd.DataFrame({"YEAR": [1706, 1707], "spots": [10.0, 11.0]})
    )
    assert forecast(pl.DataFrame(y), time="YEAR")["YEAR"].to_list() == [1706, 1707]
    assert forecast(y.set_index("YEAR").spots).index.tolist() == [1706, 1707]
    assert read_series(y.astype({"YEAR": float}), time="YEAR").continue_dates(1).tolist() == [1706]


def test_row_labels_do_not_matter():
    """A pandas index that only counts rows is no date: unordered labels are ignored, not refused."""
    assert forecast(pd.Series([1, 2, 3], index=[5, 2, 9])).index.tolist() == [3, 4]
    assert forecast(pd.Series([1, 2, 3], index=[5, 6, 7])).index.tolist() == [8, 9]


def test_time_column_out():
    """A DataFrame with a column of dates gets the column continued, also when it was found by itself."""
    y = pd.DataFrame({"units": UNITS, "month": MONTHS})
    expected = pd.DataFrame({"month": NEXT, "units": [10.0, 11.0]})
    pd.testing.assert_frame_equal(forecast(y, time="month"), expected)
    pd.testing.assert_frame_equal(forecast(y), expected)


def test_polars_out():
    """polars: a frame with its date column, dates staying dates; a series stays a series."""
    y = pl.DataFrame({"day": DAYS, "units": UNITS})
    expected = pl.DataFrame({"day": [date(2020, 1, 7), date(2020, 1, 8)], "units": [10.0, 11.0]})
    polars.testing.assert_frame_equal(forecast(y), expected)
    y = y.with_columns(pl.col("day").cast(pl.Datetime("ms")))
    polars.testing.assert_frame_equal(
        forecast(y), expected.with_columns(pl.col("day").cast(pl.Datetime("ms")))
    )
    polars.testing.assert_series_equal(forecast(pl.Series("u", UNITS)), pl.Series("u", [10.0, 11.0]))
    assert forecast(pl.Series("u", UNITS), "u", "u-lo-80").columns == ["u", "u-lo-80"]
    assert forecast(pl.DataFrame({"u": UNITS})).columns == ["u"]


@pytest.mark.parametrize(
    "kind", [pa.date32(), pa.timestamp("s"), pa.timestamp("ns"), pa.timestamp("us", "UTC")]
)
def test_pyarrow_out(kind):
    """pyarrow: a table with its date column in its own type."""
    y = pa.table({"day": pa.array(DAYS).cast(kind), "units": UNITS})
    result = forecast(y)
    assert result.schema == pa.schema({"day": kind, "units": pa.float64()})
    assert [str(day)[:10] for day in result["day"].to_pylist()] == ["2020-01-07", "2020-01-08"]
    assert isinstance(forecast(pa.chunked_array([UNITS])), pa.ChunkedArray)


def test_rows_of_the_past_out():
    """Start counts from the last row of the series: 0 is the last, so a test part can be written too."""
    series = read_series(pd.Series(UNITS, MONTHS, name="units"))
    assert from_layout(series.layout(), {"units": [1, 2]}, start=-1).index.equals(MONTHS[-2:])
    chosen = from_layout(series.layout(), {"units": [1, 2]}, dates=series.dates[[0, 3]])
    assert chosen.index.equals(MONTHS[[0, 3]])


@pytest.mark.parametrize(
    ("missing", "kind"),
    [(("pandas",), pl.DataFrame), (("pandas", "polars"), pa.Table), (("pandas", "polars", "pyarrow"), dict)],
)
def test_without_the_library_another_is_used(monkeypatch, missing, kind):
    """A model saved with pandas and used without it returns what is installed; else a dict of arrays."""
    layout = read_series(pd.Series(UNITS, MONTHS, name="units")).layout()
    monkeypatch.setattr("regen.data.dataframes.installed", lambda name: name not in missing)
    result = from_layout(layout, {"units": np.array([10.0, 11.0])})
    assert isinstance(result, kind)
    if kind is not dict:
        assert [
            str(each)[:10]
            for each in list(result["time"].to_pylist() if kind is pa.Table else result["time"])
        ] == ["1990-07-01", "1990-08-01"]
    assert isinstance(frame({"a": [1, 2]}), kind)


def test_tail_keeps_dates_and_step():
    """The last rows of a series keep its step, even a single row."""
    tail = read_series(pd.Series(UNITS, MONTHS)).tail(1)
    assert len(tail) == 1
    assert tail.continue_dates(1)[0] == np.datetime64("1990-07-01")
    assert len(tail.tail(9)) == 1


@pytest.mark.parametrize("n", [1, 3])
def test_append_continues(n):
    """New rows that start at the next step are joined, one or many, in any order of columns."""
    y = pd.DataFrame({"a": range(10), "b": range(10, 20)}, pd.date_range("1990-01-31", periods=10, freq="ME"))
    whole = read_series(y)
    joined = read_series(y[:6]).append(read_series(y[["b", "a"]][6 : 6 + n]))
    assert (joined.dates == whole.dates[: 6 + n]).all()
    assert (joined.values == whole.values[: 6 + n]).all()


def test_append_without_dates_continues():
    """An array, or rows whose index merely counts, are taken to follow."""
    dated = read_series(pd.Series(UNITS, MONTHS))
    assert dated.append(read_series([7, 8])).dates[-1] == np.datetime64("1990-08-01")
    assert dated.append(read_series(pd.Series([7]))).dates[-1] == np.datetime64("1990-07-01")
    counted = read_series(pd.Series(UNITS))
    assert counted.append(read_series(pd.Series([7, 8]))).dates[-1] == 7
    assert len(read_series([1, 2]).append(read_series([3]))) == 3


def test_append_across_a_change_of_clocks(message_of):
    """One new hour in a time zone is enough to verify that it follows."""
    index = pd.date_range("2021-03-27", periods=60, freq="h", tz="Europe/Lisbon")
    y = pd.Series(range(60), index)
    base = read_series(y[:59])
    assert base.append(read_series(y[59:])).dates[-1] == np.datetime64("2021-03-29T11")
    assert message_of(ValueError, base.append, read_series(y[58:])) == (
        "y must continue at 2021-03-29 11:00, the step after the last one known (2021-03-29 10:00)."
        " It starts at 2021-03-29 10:00 instead."
    )


BARE = """
import sys
from importlib.abc import MetaPathFinder


class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pandas", "polars", "pyarrow"):
            raise ModuleNotFoundError(name, name=name)


sys.meta_path.insert(0, Absent())
from regen.data import calendar, layout, series as frames

series = frames.read_series([1, 2, None, 4])
result = layout.from_layout(series.layout(), {"y": calendar.seasonal_naive(series.values, 1, 2)[:, 0]})
print(result.tolist(), sorted({"pandas", "polars", "pyarrow"} & set(sys.modules)))
"""


def test_numpy_alone_is_enough():
    """Where no table library can be imported, lists and arrays still work."""
    done = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[4.0, 4.0] []", done.stderr


NAMED = ("America/New_York", "America/Sao_Paulo", "Etc/GMT+3", "Europe/Lisbon", "+03:00", "UTC")


@pytest.mark.parametrize("tz", NAMED)
@pytest.mark.parametrize(("freq", "step"), [("h", "1 hour"), ("D", "1 day"), ("MS", "1 month")])
def test_time_zones_of_any_name(tz, freq, step):
    """Zones with _, digits and signs in their names come back, from an index and from a column."""
    index = pd.date_range("2024-02-28", periods=40, freq=freq, tz=tz)
    y = pd.Series(range(39), index[:-1], name="units", dtype=float)
    series = read_series(y)
    assert str(series.step) == step and str(series.kind.tz) == str(index.tz)
    assert list(forecast(y).index) == list(pd.date_range(index[-1], periods=2, freq=freq))
    column = forecast(y.rename_axis("t").reset_index())
    assert list(column["t"]) == list(pd.date_range(index[-1], periods=2, freq=freq))
    assert series.append(read_series(y.reset_index(drop=True).set_axis(index[1:])[-1:], part=True)).dates[
        -1
    ] == np.datetime64(
        index[-1].tz_convert("UTC" if series.kind.clock == "utc" else index.tz).tz_localize(None)
    )


@pytest.mark.parametrize("end", ["Z", "+00:00", " +0000", "-00:00"])
def test_text_that_ends_in_utc(end):
    """ISO 8601 dates that say they are UTC are read as that."""
    texts = [f"2024-01-01T0{hour}:00:00{end}" for hour in range(3)]
    for y in (pd.DataFrame({"t": texts, "y": [1, 2, 3]}), pl.DataFrame({"t": texts, "y": [1, 2, 3]})):
        series = read_series(y, time="t")
        assert series.kind.tz == "UTC" and series.continue_dates(1)[0] == np.datetime64("2024-01-01T03")
    assert forecast(pd.DataFrame({"t": texts, "y": [1, 2, 3]}), time="t")["t"][0] == pd.Timestamp(
        "2024-01-01 03:00Z"
    )


def test_python_dates_with_a_time_zone():
    """Python's own dates of several zones are instants, on the clock of UTC."""
    zones = (UTC, timezone(timedelta(hours=2)), UTC)
    dates = [datetime(2024, 1, 1, 5 + k, tzinfo=UTC).astimezone(zone) for k, zone in enumerate(zones)]
    series = read_series(pd.DataFrame({"t": pd.Series(dates, dtype=object), "y": [1, 2, 3]}), time="t")
    assert series.kind.tz == "UTC" and series.continue_dates(1)[0] == np.datetime64("2024-01-01T08")


def test_record_batches_have_names_and_dates():
    """A RecordBatch is read as the Table of it, and a Table comes out."""
    y = pa.record_batch({"t": DAYS, "a": UNITS})
    assert read_series(y).names == ("a",)
    assert forecast(y).equals(forecast(pa.Table.from_batches([y])))


def test_target_may_be_the_number_of_a_column():
    """Columns that are numbered are named by their number."""
    y = pd.DataFrame({0: [1, 2], 5: [3, 4]})
    for target in (5, np.int64(5), [5], np.array([5])):
        assert read_values(y, target=target) == [[3], [4]]
