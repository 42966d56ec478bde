"""The data that ships: unchanged to the byte, known values at known dates, small, and with its licence."""

from hashlib import sha256
from importlib.resources import files

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from regen import datasets
from regen.data.calendar import Step, season_length
from regen.data.series import read_series

FILES = files("regen.datasets").joinpath("files")
CHECKSUMS = {
    "co2.csv": "2737f74222cf1fb702d41058927d2b8d2a34778d519bfa6b1dea2f1b47c234f4",
    "demand.csv": "68f74ff28b69f719936d1a378619930809876bf81f9298c6bcf4b7ca289b7377",
    "elnino.csv": "db4f1ee756fea8386be58ae299976ea5329a11120bb3567e149985619bd15fb6",
    "exercises.npz": "cbf55b1d4d9d82cab5724d4ecaca294119ce256064bd3f31a20eecf258cc1877",
    "macro.csv": "4515238e7831af22f4193759ff5e2edff166c48d7675b6757051bcee06ac654f",
    "sunspots.csv": "de0f402cceabbc207e27e22e4d6196c16e1d21b59c1f64e93cbd2f8ef7f2cce7",
}
SERIES = {
    "sunspots": ((309,), Step(12, "M", 1), "1705-01-01", [58.0], "2009-01-01", (10, 11)),
    "co2": ((2284,), Step(7, "D"), "1958-03-29", [316.1], "2002-01-05", (52,)),
    "elnino": ((732,), Step(1, "M", 1), "1951-12-01", [22.89], "2011-01-01", (12,)),
    "macro": (
        (203, 4),
        Step(3, "M", 1),
        "2009-07-01",
        [12990.341, 9256.0, 1486.398, 9.6],
        "2009-10-01",
        (4,),
    ),
    "demand": ((4032,), Step(30, "m"), "2000-06-05 00:30", [21756.0], "2000-08-28", (48,)),
}


def test_files_are_what_they_were():
    """Every file has its checksum, and a row with its licence; together they are less than 1 MB."""
    found = {each.name: each.read_bytes() for each in FILES.iterdir() if each.name != "SOURCES.md"}
    assert {name: sha256(content).hexdigest() for name, content in found.items()} == CHECKSUMS
    assert sum(map(len, found.values())) < 1_000_000
    sources = FILES.joinpath("SOURCES.md").read_text("utf-8")
    assert all(f"| `{name}` |" in sources for name in found)


@pytest.mark.parametrize("name", SERIES)
def test_series(name):
    """Shape, step, a known value at a known date, the date that follows, and the season found."""
    shape, step, date, known, following, seasons = SERIES[name]
    y = getattr(datasets, name)()
    assert isinstance(y, pd.Series if len(shape) == 1 else pd.DataFrame)
    assert y.index.freq is not None
    np.testing.assert_array_equal(np.atleast_1d(y.loc[date]), known)
    series = read_series(y)
    assert y.shape == shape
    assert series.step == step
    assert series.continue_dates(1)[0] == np.datetime64(following)
    assert season_length(series.values, series.step) in seasons
    if name != "macro":  # seasonally adjusted: its 4 is the calendar's alone
        assert season_length(series.values) in seasons


@pytest.mark.parametrize("name", SERIES)
def test_every_kind_of_table_holds_the_same(name):
    """polars, pyarrow and numpy have the numbers and dates that pandas has."""
    get = getattr(datasets, name)
    whole = read_series(get())
    for frame, kind in (("polars", pl.DataFrame), ("pyarrow", pa.Table), ("numpy", np.ndarray)):
        y = get(frame)
        assert isinstance(y, kind)
        series = read_series(y)
        np.testing.assert_array_equal(series.values, whole.values)
        if frame != "numpy":
            assert series.names == whole.names
            assert (series.dates == whole.dates).all()
            assert series.step == whole.step


def test_co2_has_its_gaps():
    """59 weeks are missing, 18 of them in a row."""
    missing = datasets.co2().isna().to_numpy()
    assert missing.sum() == 59
    assert max(map(len, "".join("x" if gap else " " for gap in missing).split())) == 18


def test_demand_days():
    """Whole weeks: the label of a day is that of its date."""
    X_train, y_train, X_test, y_test = datasets.demand_days()
    assert X_train.shape == (56, 48, 1)
    assert X_test.shape == (28, 48, 1)
    days = datasets.demand()[::48]
    names = [name if name in ("Saturday", "Sunday") else "weekday" for name in days.index.day_name()]
    assert [*y_train, *y_test] == names
    np.testing.assert_allclose(np.vstack([X_train, X_test])[:, 0, 0], days / 1000, rtol=1e-6)


def test_exercises():
    """Sequences of different lengths, each exercise as often as any other in both parts."""
    X_train, y_train, X_test, y_test = datasets.exercises()
    assert (len(X_train), len(X_test)) == (392, 168)
    assert np.unique(y_train, return_counts=True)[1].tolist() == [56] * 7
    assert np.unique(y_test, return_counts=True)[1].tolist() == [24] * 7
    lengths = {len(each) for each in X_train}
    assert {each.shape[1] for each in X_train} == {6}
    assert (min(lengths), max(lengths)) == (23, 66)
    assert {each.dtype for each in X_train + X_test} == {np.dtype("float32")}


def test_digits():
    """Images between 0 and 1, read from scikit-learn."""
    X, y = datasets.digits()
    assert X.shape == (1797, 8, 8)
    assert (X.min(), X.max()) == (0, 1)
    assert y[:4].tolist() == [0, 1, 2, 3]


def test_unknown_frame():
    """An unknown library is refused with the closest."""
    with pytest.raises(ValueError) as refusal:
        datasets.sunspots("panda")
    assert str(refusal.value) == (
        "The 'frame' parameter of sunspots must be one of 'auto', 'pandas', 'polars', 'pyarrow', 'numpy'."
        " Got 'panda' instead. Did you mean 'pandas'?"
    )


def test_without_any_table_library(monkeypatch):
    """Without any, the line that installs one is given, and the bare values still come."""
    monkeypatch.setattr("regen.data.dataframes.installed", lambda _: False)

    def absent(name, **_):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("regen._optional.import_module", absent)
    with pytest.raises(ImportError) as refusal:
        datasets.sunspots()
    assert str(refusal.value) == (
        "A dated series needs pandas, which is not installed. Run: pip install 'regen[sources]'"
    )
    assert datasets.sunspots("numpy").shape == (309,)


def test_public_names_are_documented():
    """The docstring of every set has its source, its licence and what it returns."""
    for name in datasets.__all__:
        words = getattr(datasets, name).__doc__
        assert "Source" in words
        assert "icence" in words
        assert "Returns" in words
