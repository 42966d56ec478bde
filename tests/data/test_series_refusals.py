"""Series that cannot be read or joined, each refused in exact words with the first place that is wrong."""

from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from regen.data.series import read_series

MONTHS = pd.date_range("1990-01-01", periods=6, freq="MS")
UNITS = [1.0, 2.0, np.nan, 4.0, 5.0, 6.0]
DAYS = [date(2020, 1, day) for day in range(1, 7)]
PLACES = "Its columns are: units, when."
NAMELESS = pd.date_range("2024-01-01", periods=3, freq="h", tz="dateutil/Europe/Lisbon")
GOOD = pd.DataFrame({"units": UNITS, "when": MONTHS})
REFUSED = [
    ([], {}, "y is empty: it has no rows."),
    (pd.DataFrame({"a": []}), {}, "y is empty: it has no rows."),
    (pd.DataFrame(), {}, "y has no columns of numbers."),
    (pd.DataFrame({"t": MONTHS}), {}, "y has no columns of numbers."),
    ([np.nan, None], {}, "y has only missing values."),
    (np.array([[1, np.nan], [2, np.nan]]), {}, "Column 1 of y has only missing values."),
    (pd.DataFrame({"a": [1], "units": [None]}), {}, "Column 'units' of y has only missing values."),
    (pl.DataFrame({"a": [1], "units": [None]}), {}, "Column 'units' of y has only missing values."),
    (pa.table({"a": [1], "units": [None]}), {}, "Column 'units' of y has only missing values."),
    ([1, np.inf], {}, "y has an infinite value in row 1. Put a number there, or NaN if it is missing."),
    (
        pd.Series([1, 2, 3, -np.inf, 5, 6], MONTHS, name="units"),
        {},
        "Column 'units' of y has an infinite value in row 3 (1990-04-01)."
        " Put a number there, or NaN if it is missing.",
    ),
    (GOOD, {"target": 5}, f"y has no column '5'. {PLACES}"),
    (GOOD, {"target": 5.5}, "target must be the name of a column, or a list of names. Got 5.5 instead."),
    (
        GOOD,
        {"time": "when", "target": "when"},
        "Column 'when' of y holds its dates. Choose another column with target=.",
    ),
    (GOOD, {"target": "when"}, "Column 'when' of y holds its dates. Choose another column with target=."),
    (["a", "b"], {}, "y holds text where numbers belong: 'a' in row 0. Convert it."),
    ([1, "b"], {}, "y holds text where numbers belong: 'b' in row 1. Convert it."),
    ([["1", 2], [3, 4]], {}, "y holds text where numbers belong: '1' in row 0. Convert it."),
    (
        np.array([[1, 2], [3, "b"]], object),
        {},
        "y holds text where numbers belong: 'b' in row 1. Convert it.",
    ),
    (
        pd.DataFrame({"shop": ["x", "z"], "units": [1, 2]}),
        {},
        "Column 'shop' of y holds text where numbers belong: 'x' in row 0."
        " Convert it, or choose other columns with target=.",
    ),
    (
        pl.DataFrame({"units": [None, "n/a"]}),
        {},
        "Column 'units' of y holds text where numbers belong: 'n/a' in row 1."
        " Convert it, or choose other columns with target=.",
    ),
    (
        pa.table({"units": ["1", "2"]}),
        {},
        "Column 'units' of y holds text where numbers belong: '1' in row 0."
        " Convert it, or choose other columns with target=.",
    ),
    (
        pl.DataFrame({"units": ["1", "2,5", " 3e2", "-4", "abc", "5x"]}),
        {},
        "Column 'units' of y holds text where numbers belong: 'abc' in row 4."
        " Convert it, or choose other columns with target=.",
    ),
    (
        [["1", "2"], ["3", "1.234,5"]],
        {},
        "y holds text where numbers belong: '1.234,5' in row 1. Convert it.",
    ),
    (
        pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], columns=[1, "1"]),
        {},
        "y has several columns named '1'. Rename them.",
    ),
    (GOOD, {"target": "unit"}, f"y has no column 'unit'. Did you mean 'units'? {PLACES}"),
    (GOOD, {"time": "date"}, f"y has no column 'date'. {PLACES}"),
    (pl.DataFrame(GOOD), {"time": "wen"}, f"y has no column 'wen'. Did you mean 'when'? {PLACES}"),
    (pa.Table.from_pandas(GOOD), {"target": ["units", "x"]}, f"y has no column 'x'. {PLACES}"),
    (
        GOOD.units,
        {"target": "units"},
        "y is a single series, so time= and target= cannot be used. Give a dataframe.",
    ),
    (
        [1, 2],
        {"time": "t"},
        "y has no names of columns, so time= and target= cannot be used. Give a dataframe.",
    ),
    (pd.concat([GOOD, GOOD], axis=1), {"time": "when"}, "y has several columns named 'units'. Rename them."),
    (
        GOOD.assign(then=MONTHS),
        {},
        "y has 2 columns of dates: when, then. Say which with time=, and target=.",
    ),
    (GOOD.set_index(MONTHS), {}, "Column 'when' of y holds dates where numbers belong. Name it with time=."),
    (
        GOOD.assign(when=["31/12/1990"] * 6),
        {"time": "when"},
        "Column 'when' of y holds '31/12/1990' in row 0, which is not an ISO 8601 date."
        " Write dates as 1990-12-31 or 1990-12-31 23:59.",
    ),
    (
        GOOD.assign(when=[*MONTHS[:-1], None]),
        {"time": "when"},
        "Column 'when' of y has no date in row 5. Every row needs one.",
    ),
    (
        GOOD.assign(when=np.arange(6) / 2),
        {"time": "when"},
        "Column 'when' of y holds no dates: the first is 0.0. Write dates as 1990-12-31.",
    ),
    (
        pd.Series([1, 2], index=["a", "b"]),
        {},
        "The index of y holds 'a' in row 0, which is not an ISO 8601 date."
        " Write dates as 1990-12-31 or 1990-12-31 23:59.",
    ),
    (
        pd.Series(UNITS, MONTHS).drop(MONTHS[3]),
        {},
        "The dates of y are not regular: after 1990-03-01 comes 1990-05-01, where the step is 1 month."
        " Insert the missing rows with NaN, or resample.",
    ),
    (
        pl.DataFrame({"t": [DAYS[0], DAYS[1], DAYS[1]], "y": [1, 2, 3]}),
        {},
        "The dates of y are not unique: 2020-01-02 comes twice, in rows 1 and 2."
        " Keep one row per date; several series go into columns of their own.",
    ),
    (
        pa.table({"t": [DAYS[1], DAYS[0], DAYS[2]], "y": [1, 2, 3]}),
        {},
        "The dates of y are not in order: after 2020-01-02 comes 2020-01-01, in row 1. Sort the rows by date.",
    ),
    (
        np.zeros((2, 2, 2)),
        {},
        "y must be numbers in a list, an array of shape (N,) or (N, C), or a pandas, polars or pyarrow"
        " series or table. Got shape (2, 2, 2) of float64 instead.",
    ),
    (
        pl.LazyFrame({"a": [1]}),
        {},
        "y must be numbers in a list, an array of shape (N,) or (N, C), or a pandas, polars or pyarrow"
        " series or table. Got a LazyFrame instead.",
    ),
    ([[1, 2], [3]], {}, "The rows of y have different lengths. Give every row a number per column."),
    (
        pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])),
        {},
        "The columns of y have names of several levels. Give them one level.",
    ),
    (
        pd.Series([1, 2], index=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])),
        {},
        "The index of y has several levels. Give each series a column of its own.",
    ),
    (
        pd.Series([1, 2, 3], NAMELESS),
        {},
        f"The index of y is in the time zone {NAMELESS.tz}, which has no name of its own."
        " Convert it to one such as 'Europe/Lisbon' or 'UTC'.",
    ),
    (
        pd.DataFrame({"t": ["2024-01-01 00:00Z", "2024-01-01 01:00Z", "2024-01-01 02:00"], "y": [1, 2, 3]}),
        {"time": "t"},
        "Column 't' of y holds '2024-01-01 00:00Z' in row 0 and '2024-01-01 02:00' in row 2."
        " Write all dates with a time zone, or none.",
    ),
]


@pytest.mark.parametrize(("y", "options", "sentence"), REFUSED)
def test_refusals(y, options, sentence, message_of):
    """Wrong input is refused in these words."""
    assert message_of(ValueError, read_series, y, **options) == sentence


def test_a_part_may_be_missing():
    """A new row of nothing but NaN is fine where it continues a series."""
    assert len(read_series([np.nan], part=True)) == 1


THREE = pd.DataFrame({"a": UNITS, "b": UNITS, "c": UNITS}, MONTHS)
ONE, APPEND = read_series(pd.Series([1], pd.DatetimeIndex(MONTHS[:1], freq=None))), read_series(THREE).append
LATER = pd.date_range("1990-07-01", periods=3, freq="MS")


@pytest.mark.parametrize(
    ("call", "argument", "sentence"),
    [
        (ONE.continue_dates, 2, "y has a single date, so its step is not known. Give at least two rows."),
        (APPEND, read_series(THREE[["a", "b"]]), "y has 2 columns; the model was fitted with 3: a, b, c."),
        (APPEND, read_series([1, 2]), "y has 1 column; the model was fitted with 3: a, b, c."),
        (
            APPEND,
            read_series(THREE.rename(columns={"b": "d"})),
            "y has no column 'b'; the model was fitted with 3: a, b, c.",
        ),
        (
            APPEND,
            read_series(THREE.set_index(MONTHS + pd.DateOffset(months=7))),
            "y must continue at 1990-07-01, the step after the last one known (1990-06-01)."
            " It starts at 1990-08-01 instead.",
        ),
        (
            APPEND,
            read_series(THREE[:2].set_index(LATER[[0, 2]])),
            "The dates of y are not regular: after 1990-07-01 comes 1990-09-01, where the step is 1 month."
            " Insert the missing rows with NaN, or resample.",
        ),
        (
            APPEND,
            read_series(THREE[:3].set_index(LATER.tz_localize("UTC"))),
            "The dates of y have time zone UTC; the model was fitted with no time zone. Convert them to the same.",
        ),
    ],
)
def test_refusals_of_what_continues_a_series(call, argument, sentence, message_of):
    """A single date has no step, and new rows that do not fit are refused in these words."""
    assert message_of(ValueError, call, argument) == sentence
