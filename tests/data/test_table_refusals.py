"""Tables that are refused, in exact words."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from regen.data.table_encoding import Columns
from regen.data.table_input import read_cells

KNOWN = pd.DataFrame({"a": [1.0, 2.0, 4.0], "town": ["Rome", "Oslo", "Rome"], "n": [0, 3, 1], "b": [0, 1, 1]})


ZONE = str(pd.to_datetime(["2020-01-01"]).tz_localize("dateutil/Europe/Lisbon").tz)
DATEUTIL = (
    f"Column 'when' of X is in the time zone {ZONE}, which has no name of its own. Convert it to one such as"
    " 'Europe/Lisbon' or 'UTC'."
)


@pytest.mark.parametrize(
    ("table", "refusal"),
    [
        ([1.0, 2.0], "X must be a table of shape (n, F). Expected 2D array, got 1D array of shape (2,) instead."
                     " Reshape your data."),
        (np.zeros((2, 2, 2)), "X must be a table of shape (n, F). Expected 2D array, got 3D array of shape (2, 2, 2)"
                              " instead. Reshape your data."),
        (np.zeros((0, 3)), "X has 0 sample(s) (shape=(0, 3)) while a minimum of 1 is required."),
        (np.zeros((3, 0)), "X has 0 feature(s) (shape=(3, 0)) while a minimum of 1 is required."),
        (pd.DataFrame({"a": []}), "X has 0 sample(s) (shape=(0, 1)) while a minimum of 1 is required."),
        ([[1, 2], [3]], "The rows of X have different lengths. Give every row a cell per column."),
        (np.array([[1j, 2]]), "X is complex. Complex data not supported."),
        (np.array([["2020-01-01"]], "M8[D]"), "X must be numbers, truth values or text. Got an array of datetime64[D]"
                                              " instead."),
        ([[1.0, 2.0], [3.0, np.inf]], "Column 1 of X has an infinite value in row 1. Put a number there, or NaN if it"
                                      " is missing."),
        (pd.DataFrame({"a": [1.0, -np.inf]}), "Column 'a' of X has an infinite value in row 1. Put a number there, or"
                                              " NaN if it is missing."),
        (pl.DataFrame({"when": [datetime.time(8)]}), "Column 'when' of X holds times of day. Make durations of them,"
                                                     " or numbers such as hours, or leave the column out."),
        (pd.DataFrame({"when": pd.period_range("2020", periods=2, freq="M")}),
         "Column 'when' of X holds periods. Make dates of them with to_timestamp(), or leave the column out."),
        (pd.DataFrame({"when": pd.Series([datetime.date(2020, 1, 1), 3], dtype=object)}),
         "Column 'when' of X mixes dates with other values. Make all its cells one or the other."),
        (pd.DataFrame({"when": pd.Series([datetime.date(2020, 1, 1), datetime.timedelta(1)], dtype=object)}),
         "Column 'when' of X mixes dates with other values. Make all its cells one or the other."),
        (pd.DataFrame({"when": pd.Series([datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)], dtype=object)}),
         "Column 'when' of X holds single datetimes with a time zone. Make a column of them, as pandas.to_datetime"
         " does."),
        (pd.DataFrame({"when": pd.to_datetime(["2020-01-01"]).tz_localize("dateutil/Europe/Lisbon")}), DATEUTIL),
        (pd.DataFrame({"a": [1, "x", 2]}), "Column 'a' of X holds both numbers and text: 'x' in row 1. Make all its"
                                           " cells one or the other."),
        (np.array([[1], [{}]], object),
         "Column 0 of X holds {} in row 1: the argument must be a string or a number."),
        (np.array([[1], [2j]], object), "Column 0 of X holds a complex number in row 1. Complex data not supported."),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "X has several columns named 'a'. Rename them."),
        (pd.DataFrame([[1, 2]], columns=["1", 1]), "X has several columns named '1'. Rename them."),
        (pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])),
         "The columns of X have names of several levels. Give them one level."),
        (sparse.csr_matrix(np.eye(2)), "X is a sparse matrix, which is not supported. Give X.toarray()."),
        (sparse.csr_array(np.eye(2)), "X is a sparse matrix, which is not supported. Give X.toarray()."),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_read(table, refusal, message_of):
    """What is no table of numbers and text is refused with the first place that is wrong."""
    assert message_of((ValueError, TypeError), read_cells, table) == refusal


@pytest.mark.parametrize(
    ("table", "output", "rows", "refusal"),
    [
        (pd.DataFrame({"a": [1.0, 2.0], "b": [np.nan, None]}), "auto", None,
         "Column 'b' of X has only missing values. Leave it out, or give values."),
        ([[np.nan, 1], [np.nan, 2]], "auto", None,
         "Column 0 of X has only missing values. Leave it out, or give values."),
        (pl.DataFrame({"a": [1, 2], "t": [None, None]}, schema={"a": pl.Int64, "t": pl.String}), "auto", None,
         "Column 't' of X has only missing values. Leave it out, or give values."),
        ([[1.0], [np.nan], [np.nan]], "auto", [1, 2],
         "Column 0 of X has only missing values in the rows that are trained on. Leave it out, give more values, or"
         " hold out less."),
        ([[1.0], [-2.0]], "counts", None,
         "Column 0 of X is 'counts', which allows no negative numbers. Got -2 in row 1 instead."),
        ([[1.0], [-0.5]], "nonnegative", None,
         "Column 0 of X is 'nonnegative', which allows no negative numbers. Got -0.5 in row 1 instead."),
        ([[1.0], [1.5]], "unit", None,
         "Column 0 of X is 'unit', which allows numbers in [0, 1]. Got 1.5 in row 1 instead."),
        ([[1.0], [1.5], [2.5]], "binary", None,
         "Column 0 of X is 'binary', which allows 2 distinct values. Got 3 instead."),
        (KNOWN, {"town": "real"}, None, "Column 'town' of X holds text, so it cannot be 'real', only 'categorical'."),
        (KNOWN, {"towm": "real"}, None, "X has no column 'towm', which output names. Did you mean 'town'?"),
        (KNOWN, "integer", None,
         "A kind of columns must be one of 'auto', 'real', 'nonnegative', 'unit', 'binary', 'counts', 'categorical'."
         " Got 'integer' instead."),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_fitted(table, output, rows, refusal, message_of):
    """Columns without a value, or with values that their kind cannot have, are named."""
    index = None if rows is None else np.array(rows)
    assert message_of(ValueError, Columns.fit, read_cells(table), output, index) == refusal


@pytest.mark.parametrize(
    ("fitted", "output", "table", "refusal"),
    [
        (KNOWN, "auto", KNOWN.assign(town=["Rome", "Wien", "Oslo"]),
         "Column 'town' of X has 'Wien' in row 1, a category that was not in the data of fit. Known categories:"
         " 'Oslo', 'Rome'."),
        (KNOWN, "auto", KNOWN.assign(town=[1.0, 2.0, 3.0]), "Column 'town' of X holds numbers; at fit it held text."),
        (KNOWN, "auto", KNOWN.assign(a=["x", "y", "z"]), "Column 'a' of X holds text; at fit it held numbers."),
        (KNOWN, "auto", KNOWN.assign(n=[1, 2, -3]),
         "Column 'n' of X is 'counts', which allows no negative numbers. Got -3 in row 2 instead."),
        (KNOWN, "auto", KNOWN.assign(b=[0, 2, 1]),
         "Column 'b' of X is 'binary', which was 0 or 1 at fit. Got 2 in row 1 instead."),
        (KNOWN, "auto", KNOWN.assign(extra=[1, 2, 3]),
         "X has a column 'extra' that fit has not seen; the model was fitted with 4: a, town, n, b."),
        (KNOWN, "auto", KNOWN.rename(columns={"town": "towns"}),
         "X has no column 'town'. Did you mean 'towns'? The model was fitted with 4: a, town, n, b."),
        (KNOWN, "auto", [[1.0, 2.0]], "X has 2 columns; the model was fitted with 4."),
        ([[1.0], [2.0]], "categorical", [[1.0], [3.0]],
         "Column 0 of X has 3.0 in row 1, a category that was not in the data of fit. Known categories: 1.0, 2.0."),
    ],
)  # fmt: skip
def test_new_tables_that_are_refused(fitted, output, table, refusal, message_of):
    """Values that fit has not seen, and missing, additional or wrong columns, with column, row and value."""
    columns = Columns.fit(read_cells(fitted), output)
    assert message_of(ValueError, columns.encode, read_cells(table)) == refusal


def test_what_is_allowed_in_new_tables():
    """New numbers may lie beyond those of fit, and a new table may have columns without any value."""
    columns = Columns.fit(read_cells([[0.0, 0.5], [1.0, 0.7]]))
    assert columns.kinds == ("unit", "unit")
    encoded = columns.encode(read_cells([[-0.5, np.nan], [1.5, np.nan]]))
    assert encoded[:, 0].tolist() == [-0.5, 1.5]
    assert np.isnan(encoded[:, 1]).all()
    table = Columns.fit(read_cells(KNOWN)).encode(read_cells(KNOWN.assign(town=[None, None, None])))
    assert np.isnan(table[:, -2:]).all()
