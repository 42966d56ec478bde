"""Columns of dates and durations: read as microseconds, and written in their own type, unit and zone."""

import datetime as dt
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from regen.data.columns.times import in_microseconds, on_clock_of, times_of
from regen.data.table_encoding import Columns
from regen.data.table_input import read_cells

DAY, HOUR, SECOND = 86_400_000_000, 3_600_000_000, 1_000_000
DATES = [dt.date(2020, 2, 28), None, dt.date(2021, 1, 1), dt.date(2020, 3, 1)]
TIMES = [dt.datetime(2020, 2, 28, 23), None, dt.datetime(2021, 1, 1), dt.datetime(2020, 3, 29, 12)]
SPANS = [dt.timedelta(hours=3), None, dt.timedelta(days=2), dt.timedelta(hours=-5)]
MIDNIGHTS = pd.to_datetime(["2020-03-28", None, "2020-03-30", "2020-10-25"]).tz_localize("Europe/Berlin")
FINE = np.array(["2020-01-01T00:00:00.000000001", "NaT", "2020-01-01T00:00:00.000000777"], "M8[ns]")


def pandas_column(values: Any, dtype: str) -> pd.DataFrame:
    """One column named a."""
    return pd.DataFrame({"a": pd.Series(values).astype(dtype)})


def zoned(zone: str, unit: str = "us") -> pd.DataFrame:
    """The times of `TIMES` in a zone."""
    return pd.DataFrame({"a": pd.Series(TIMES).astype(f"datetime64[{unit}]").dt.tz_localize(zone)})


TABLES: dict[str, tuple[Any, int]] = {
    "pandas ns": (pandas_column(TIMES, "datetime64[ns]"), HOUR),
    "pandas s": (pandas_column(TIMES, "datetime64[s]"), HOUR),
    "pandas days": (pandas_column(DATES, "datetime64[us]"), DAY),
    "pandas zoned": (zoned("Europe/Berlin"), HOUR),
    "pandas offset": (zoned("UTC+05:30", "ns"), HOUR),
    "pandas midnights": (pd.DataFrame({"a": MIDNIGHTS}), DAY),
    "pandas nanoseconds": (pd.DataFrame({"a": FINE}), 0),
    "pandas arrow": (pandas_column(TIMES, "timestamp[ms][pyarrow]"), HOUR),
    "pandas arrow zoned": (
        pandas_column(zoned("Asia/Tokyo")["a"], "timestamp[us, tz=Asia/Tokyo][pyarrow]"),
        HOUR,
    ),
    "pandas arrow days": (pandas_column(DATES, "date32[day][pyarrow]"), DAY),
    "pandas objects": (pd.DataFrame({"a": pd.Series(DATES, dtype=object)}), DAY),
    "pandas objects with time": (pd.DataFrame({"a": pd.Series(TIMES, dtype=object)}), HOUR),
    "pandas object spans": (pd.DataFrame({"a": pd.Series(SPANS, dtype=object)}), HOUR),
    "pandas spans": (pandas_column(SPANS, "timedelta64[ns]"), HOUR),
    "pandas arrow spans": (pandas_column(SPANS, "duration[us][pyarrow]"), HOUR),
    "polars": (pl.DataFrame({"a": TIMES}), HOUR),
    "polars ns": (pl.DataFrame({"a": pl.Series(TIMES).cast(pl.Datetime("ns"))}), HOUR),
    "polars zoned": (pl.from_pandas(zoned("Europe/Berlin")), HOUR),
    "polars midnights": (pl.from_pandas(pd.DataFrame({"a": MIDNIGHTS})), DAY),
    "polars days": (pl.DataFrame({"a": DATES}), DAY),
    "polars spans": (pl.DataFrame({"a": pl.Series(SPANS).cast(pl.Duration("ms"))}), HOUR),
    "arrow s": (pa.table({"a": pa.array(TIMES, pa.timestamp("s"))}), HOUR),
    "arrow zoned": (pa.table({"a": pa.array(TIMES, pa.timestamp("ms", "+02:00"))}), HOUR),
    "arrow days": (pa.table({"a": DATES}), DAY),
    "arrow spans": (pa.table({"a": SPANS}), HOUR),
}


def cells_of(table: Any) -> list[Any]:
    """The values of the column, None where missing."""
    values = nw.from_native(table, eager_only=True)["a"].to_list()
    return [None if pd.isna(value) else value for value in values]


def dtype_of(table: Any) -> Any:
    """The type of the column in its own library."""
    return table.schema.field("a").type if isinstance(table, pa.Table) else table["a"].dtype


@pytest.mark.parametrize("name", TABLES)
def test_dates_return_in_their_own_type(name: str) -> None:
    """Encoded, saved and decoded, observed values return; every result has the type, unit and zone of fit."""
    table, step = TABLES[name]
    cells = read_cells(table)
    columns = Columns.from_state(Columns.fit(cells).state())
    assert columns.kinds == ("real",) and columns.supports[0].step == step
    encoded = np.nan_to_num(columns.encode(cells))
    decoded = columns.decode(encoded, rounded=True)
    observed = [value is not None for value in cells_of(table)]
    back = [value for value, there in zip(cells_of(decoded), observed, strict=True) if there]
    if step:
        assert back == [value for value in cells_of(table) if value is not None]
    for result in (
        decoded,
        columns.decode(encoded),
        columns.decode(encoded, like=cells),
        columns.fill(cells, encoded),
    ):
        assert dtype_of(result) == dtype_of(table)
    filled = cells_of(columns.fill(cells, encoded))
    assert None not in filled
    assert [value for value, there in zip(filled, observed, strict=True) if there] == [
        value for value in cells_of(table) if value is not None
    ]


@pytest.mark.parametrize("name", TABLES)
def test_dates_stay_within_the_range_and_on_their_step(name: str) -> None:
    """Far encoded numbers become dates between the first and the last; without bounds they leave that range."""
    table, step = TABLES[name]
    cells = read_cells(table)
    seen = [value for value in cells_of(table) if value is not None]
    encoded = np.linspace(-4, 4, 41)[:, None]
    drawn = cells_of(Columns.fit(cells).decode(encoded, rounded=True))
    assert min(drawn) == min(seen) and max(drawn) == max(seen)
    if step == DAY and isinstance(seen[0], dt.datetime):
        assert {(each.hour, each.minute) for each in drawn} == {(0, 0)}
    if step == HOUR and isinstance(seen[0], dt.datetime):
        assert {(each.minute, each.second) for each in drawn} == {(0, 0)}
    free = cells_of(Columns.fit(cells, bounds=None).decode(encoded, rounded=True))
    assert min(free) < min(seen) and max(free) > max(seen)


def test_dates_far_from_1970_are_no_constant() -> None:
    """Times within a second of each other are learned from the first of them: their differences are not lost."""
    table = pd.DataFrame({"a": pd.to_datetime(["2261-01-01T00:00:00.000001", "2261-01-01T00:00:00.000004"])})
    columns = Columns.fit(read_cells(table))
    assert columns.encode(read_cells(table)).ravel().tolist() == [-1.0, 1.0]


@pytest.mark.parametrize(
    ("fitted", "new", "refusal"),
    [
        (DATES, [1.0, 2.0, 3.0, 4.0], "Column 'a' of X holds numbers; at fit it held dates."),
        ([1.0, 2.0, 3.0, 4.0], DATES, "Column 'a' of X holds dates; at fit it held numbers."),
        (DATES, ["x", "y", "x", "y"], "Column 'a' of X holds text; at fit it held dates."),
        (SPANS, DATES, "Column 'a' of X holds dates; at fit it held durations."),
    ],
)
def test_other_types_than_at_fit(fitted: Any, new: Any, refusal: str, message_of: Any) -> None:
    """Dates in place of numbers, or the other way round, are refused."""
    columns = Columns.fit(read_cells(pl.DataFrame({"a": fitted})))
    assert message_of(ValueError, columns.encode, read_cells(pl.DataFrame({"a": new}))) == refusal


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_a_column_without_any_date_is_filled(make: Any) -> None:
    """A column whose cells are all missing, and that has no type therefore, is filled with dates."""
    columns = Columns.fit(read_cells(make({"a": [each for each in TIMES if each], "b": [1.0, 2.0, 3.0]})))
    empty = read_cells(make({"a": [None, None], "b": [1.0, 2.0]}))
    filled = columns.fill(empty, np.nan_to_num(columns.encode(empty)))
    assert all(isinstance(value, dt.datetime) for value in cells_of(filled))


@pytest.mark.parametrize("likelihood", ["counts", "unit", "binary"])
def test_a_kind_for_all_numbers_is_not_for_dates(likelihood: str) -> None:
    """Dates stay real when all numbers are said to be of another kind; requested for the column, it is refused."""
    table = pl.DataFrame({"a": TIMES, "b": [0, 1, 1, 0]})
    assert Columns.fit(read_cells(table), likelihood).kinds == ("real", likelihood)
    with pytest.raises(
        ValueError, match=f"holds dates or durations, so it cannot be '{likelihood}', only 'real'"
    ):
        Columns.fit(read_cells(table), {"a": likelihood})


def test_long_durations_are_nonnegative() -> None:
    """Waiting times, skewed to the right, are nonnegative numbers."""
    waits = pd.to_timedelta(np.random.default_rng(0).exponential(100, 50).round(), unit="s")
    assert Columns.fit(read_cells(pd.DataFrame({"a": waits}))).kinds == ("nonnegative",)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (dt.date(1970, 1, 2), DAY),
        (dt.datetime(1970, 1, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=1))), HOUR),
        (pd.Timestamp("1970-01-01T01"), HOUR),
        (np.datetime64("1970-01-01T00:00:01"), SECOND),
        ("1970-01-02", DAY),
        (dt.timedelta(hours=1), HOUR),
        (np.timedelta64(1, "D"), DAY),
        ("soon", None),
        (5, None),
    ],
)
def test_single_dates_in_microseconds(value: Any, expected: int | None) -> None:
    """Dates of any library, with zones, as text, and durations."""
    assert in_microseconds(value) == expected


def test_counts_of_any_size_become_dates() -> None:
    """Microseconds beyond what a type holds become its last; NaN becomes NaT."""
    counts = np.array([np.nan, -1e300, 1e300, 0.25])
    for unit, duration in (("us", False), ("ns", False), ("us", True), ("ns", True)):
        found = times_of(counts, unit, duration)
        assert np.isnat(found[0]) and found[1] < found[3] < found[2]
    assert times_of(counts, "us", False)[2].astype(object).year == 9999


def test_clocks_that_change() -> None:
    """The two hours of one name in autumn are one on the clock, and the first of them on the way back."""
    assert on_clock_of(np.array([0.0, np.nan]), "+01:00").tolist()[0] == HOUR
    autumn = np.array(["2020-10-25T00:30", "2020-10-25T01:30"], "M8[us]").astype(np.int64).astype(float)
    shown = on_clock_of(autumn, "Europe/Berlin")
    assert shown[0] == shown[1]
    assert on_clock_of(shown, "Europe/Berlin", back=True).tolist() == [autumn[0], autumn[0]]
