"""Steps of dates: found, continued, and refused at the first place where they break."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regen.data.calendar import Step, date_text, find_step


def dates(*texts: str, unit: str = "D") -> np.ndarray:
    """Dates from texts."""
    return np.array(texts, dtype=f"M8[{unit}]")


FOUND = [
    (dates("2020-01-01", "2020-02-01", "2020-03-01"), Step(1, "M", 1), "1 month", "2020-04-01"),
    (dates("2020-01-31", "2020-02-29", "2020-03-31"), Step(1, "M", 31), "1 month", "2020-04-30"),
    (dates("2019-01-30", "2019-02-28", "2019-03-30"), Step(1, "M", 30), "1 month", "2019-04-30"),
    (dates("2019-12-30", "2020-01-30", "2020-02-29"), Step(1, "M", 30), "1 month", "2020-03-30"),
    (dates("2019-03-31", "2019-06-30"), Step(3, "M", 31), "3 months", "2019-09-30"),
    (dates("2020-02-29", "2021-02-28"), Step(12, "M", 31), "1 year", "2022-02-28"),
    (dates("1700-01-01", "1701-01-01"), Step(12, "M", 1), "1 year", "1702-01-01"),
    (dates("2020-01-01", "2020-01-08", "2020-01-15"), Step(7, "D"), "7 days", "2020-01-22"),
    (dates("2020-01-30", "2020-02-06"), Step(7, "D"), "7 days", "2020-02-13"),
    (dates("2020-01-01", "2020-01-29", "2020-02-26"), Step(28, "D"), "28 days", "2020-03-25"),
    (dates("2020-01-02", "2020-01-03", "2020-01-06"), Step(1, "B"), "1 business day", "2020-01-07"),
    (dates("2020-01-01T00", "2020-01-01T01", unit="ns"), Step(1, "h"), "1 hour", "2020-01-01T02"),
    (
        dates("2020-01-01T00:00", "2020-01-01T00:15", unit="s"),
        Step(15, "m"),
        "15 minutes",
        "2020-01-01T00:30",
    ),
    (dates("2020-01-31T12", "2020-02-29T12", unit="us"), Step(1, "M", 31), "1 month", "2020-03-31T12"),
    (np.array([1700, 1702, 1704]), Step(2, "1"), "2", 1706),
]


@pytest.mark.parametrize(("dates", "step", "text", "following"), FOUND)
def test_step_found_and_continued(dates, step, text, following):
    """The step, its words, and the date that comes next."""
    assert find_step(dates) == step
    assert str(step) == text
    after = step.after(dates[-1], 1)
    assert after == np.array(following, dtype=dates.dtype)
    assert after.dtype == dates.dtype


@pytest.mark.parametrize(("dates", "step", "text", "following"), FOUND)
def test_steps_go_back_too(dates, step, text, following):
    """From the last date, negative steps lead through all dates before it."""
    back = step.after(dates[-1], np.arange(1 - len(dates), 1))
    assert (back == dates).all()


def test_one_date_has_no_step():
    """A single date has no step."""
    assert find_step(dates("2020-01-01")) is None


REFUSED = [
    (
        dates("1990-01-01", "1990-02-01", "1990-03-01", "1990-05-01", "1990-06-01"),
        "The dates of y are not regular: after 1990-03-01 comes 1990-05-01, where the step is 1 month."
        " Insert the missing rows with NaN, or resample.",
    ),
    (
        dates("1990-01-01", "1990-02-01", "1990-03-05", "1990-04-01", "1990-05-01", "1990-06-01"),
        "The dates of y are not regular: after 1990-02-01 comes 1990-03-05, where the step is 1 month."
        " Insert the missing rows with NaN, or resample.",
    ),
    (
        dates("2020-01-01T00:00", "2020-01-01T00:30", "2020-01-01T01:00", "2020-01-01T02:00", unit="us"),
        "The dates of y are not regular: after 2020-01-01 01:00 comes 2020-01-01 02:00, where the step is"
        " 30 minutes. Insert the missing rows with NaN, or resample.",
    ),
    (
        dates("2020-04-07", "2020-04-08", "2020-04-09", "2020-04-13", "2020-04-14", "2020-04-15"),
        "The dates of y are not regular: after 2020-04-09 comes 2020-04-13, where the step is 1 day."
        " Insert the missing rows with NaN, or resample.",
    ),
    (
        np.array([1990, 1991, 1993, 1994]),
        "The dates of y are not regular: after 1991 comes 1993, where the step is 1."
        " Insert the missing rows with NaN, or resample.",
    ),
    (
        dates("1990-01-01", "1990-02-01", "1990-02-01", "1990-03-01"),
        "The dates of y are not unique: 1990-02-01 comes twice, in rows 1 and 2."
        " Keep one row per date; several series go into columns of their own.",
    ),
    (
        dates("1990-01-01", "1990-03-01", "1990-02-01"),
        "The dates of y are not in order: after 1990-03-01 comes 1990-02-01, in row 2."
        " Sort the rows by date.",
    ),
]


@pytest.mark.parametrize(("dates", "sentence"), REFUSED)
def test_broken_dates_are_refused_where_they_break(dates, sentence, message_of):
    """The first offending place is named."""
    assert message_of(ValueError, find_step, dates) == sentence


@given(
    step=st.one_of(
        st.builds(Step, st.integers(1, 14), st.just("M"), st.integers(1, 31)),
        st.builds(Step, st.integers(1, 3), st.just("B")),
        st.builds(Step, st.integers(1, 500), st.sampled_from(["D", "h", "m", "s"])),
    ),
    start=st.integers(-5000, 30000),
    n=st.integers(2, 40),
)
def test_what_was_found_repeats_the_dates(step, start, n):
    """Whatever step made the dates, the step found from them makes them again."""
    start_date = np.datetime64(start, "D").astype("M8[s]")
    made = step.after(step.after(start_date, 0), np.arange(n))
    found = find_step(made)
    assert (found.after(made[-1], np.arange(1 - n, 1)) == made).all()
    assert (found.after(made[0], np.arange(n)) == made).all()


def test_date_text_is_short():
    """Dates are written as short as they are."""
    assert date_text(np.datetime64("2020-01-01T00:00:00.5", "ns")) == "2020-01-01 00:00:00.500"
    assert date_text(np.datetime64("2020-01-01T00:00:03", "ns")) == "2020-01-01 00:00:03"
