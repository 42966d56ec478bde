"""Real data that ships with the package: small, dated, each with its source and licence.

The series come as pandas objects where pandas is installed, else as polars or pyarrow tables with a ``date`` column.
Full licence texts are in ``SOURCES.md`` in their folder.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any, TypeAlias

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from regen._check import Choice, check_parameters
from regen._optional import require
from regen.data.dataframes import library

__all__ = ["co2", "demand", "demand_days", "digits", "elnino", "exercises", "macro", "sunspots"]

Sequences: TypeAlias = NDArray[np.float32] | list[NDArray[np.float32]]
Labels: TypeAlias = NDArray[np.str_]

_FRAMES = Choice(("auto", "pandas", "polars", "pyarrow", "numpy"))
_CLASSES = np.array(["pendulum", "abduction", "elevation", "internal", "external", "trapezius", "row"])


def sunspots(frame: str = "auto") -> Any:
    """Yearly mean sunspot number, 1700-2008: 309 years, a cycle of about 11 years whose height changes.

    Parameters
    ----------
    frame : ``"auto"`` (pandas, else polars, else pyarrow, whichever is installed first), the name of one of
        them, or ``"numpy"`` for the bare values (309,).

    Returns
    -------
    A pandas Series with a DatetimeIndex of year starts, or a table with columns date and sunspots. Units: mean
    number of the year, on the scale used before 2015.

    Source: US National Geophysical Data Center, as in statsmodels ``sunspots``. Licence: public domain.
    """
    return _series("sunspots", "YS", frame)


def co2(frame: str = "auto") -> Any:
    """Weekly carbon dioxide in the air over Mauna Loa, 1958-03-29 to 2001-12-29: 2,284 weeks, 59 of them missing.

    The dates are regular, every Saturday; weeks without a measurement, up to 18 in a row, are NaN.

    Parameters
    ----------
    frame : as in `sunspots`; ``"numpy"`` gives (2284,).

    Returns
    -------
    A pandas Series with a weekly DatetimeIndex, or a table with columns date and co2. Units: parts per million by
    volume.

    Source: C. D. Keeling and T. P. Whorf (2004), Scripps Institution of Oceanography, in Trends: A Compendium of
    Data on Global Change, as in statsmodels ``co2``. Licence: public domain.
    """
    return _series("co2", "W-SAT", frame)


def elnino(frame: str = "auto") -> Any:
    """Monthly sea surface temperature in the eastern Pacific (Nino 1+2), 1950-01 to 2010-12: 732 months.

    Parameters
    ----------
    frame : as in `sunspots`; ``"numpy"`` gives (732,).

    Returns
    -------
    A pandas Series with a DatetimeIndex of month starts, or a table with columns date and temperature. Units:
    degrees Celsius.

    Source: US National Weather Service, ERSST.V3B, as in statsmodels ``elnino``. Licence: public domain.
    """
    return _series("elnino", "MS", frame)


def macro(frame: str = "auto") -> Any:
    """Four quarterly series of the US economy, 1959 Q1 to 2009 Q3: 203 quarters of 4 columns.

    Parameters
    ----------
    frame : as in `sunspots`; ``"numpy"`` gives (203, 4).

    Returns
    -------
    A pandas DataFrame with a DatetimeIndex of quarter starts, or a table with a column date: gdp, consumption,
    investment (billions of chained 2005 dollars, annual rate) and unemployment (percent), seasonally adjusted.

    Source: Federal Reserve Bank of St. Louis and Bureau of Labor Statistics, as in statsmodels ``macrodata``.
    Licence: public domain.
    """
    return _series("macro", "QS", frame)


def demand(frame: str = "auto") -> Any:
    """Half-hourly electricity demand in England and Wales, 5 June to 27 August 2000: 4,032 half-hours.

    A season of a day (48) within a season of a week (336).

    Parameters
    ----------
    frame : as in `sunspots`; ``"numpy"`` gives (4032,).

    Returns
    -------
    A pandas Series with a half-hourly DatetimeIndex, or a table with columns date and demand. Units: megawatts.

    Source: J. W. Taylor (2003), Journal of the Operational Research Society 54, 799-805, as in darts
    (``TaylorDataset``). Licence: Apache-2.0.
    """
    return _series("demand", "30min", frame)


def demand_days() -> tuple[NDArray[np.float32], Labels, NDArray[np.float32], Labels]:
    """Days of electricity demand, to classify as weekday, Saturday or Sunday.

    `demand` cut at midnight: the first 8 weeks are for training, the last 4 for testing. Always answering
    "weekday" is right on 71% of the days.

    Returns
    -------
    X_train (56, 48, 1), y_train (56,), X_test (28, 48, 1), y_test (28,): float32 gigawatts, and text.

    Source and licence: as `demand`.
    """
    _, _, values = _read("demand")
    X = (values.reshape(84, 48, 1) / 1000).astype(np.float32)
    y = np.tile(np.array(["weekday"] * 5 + ["Saturday", "Sunday"]), 12)
    return X[:56], y[:56], X[56:], y[56:]


def exercises() -> tuple[Sequences, Labels, Sequences, Labels]:
    """Seven physiotherapy exercises of the shoulder, recorded by a smartwatch: sequences of different lengths.

    Ten people did each exercise about 20 times with each arm. Each of the 140 recordings is averaged from 50 to 5
    samples a second and cut into 4 pieces of about 5 repetitions, 23 to 66 steps long. Seven people are for
    training and three others for testing. A guess is right in 1 of 7 cases.

    Returns
    -------
    X_train (392 arrays (T, 6)), y_train (392,), X_test (168 arrays), y_test (168,): float32 acceleration along
    x, y, z and rate of rotation about x, y, z; the exercise as text: pendulum,
    abduction, elevation (forward), internal and external (rotation), trapezius (extension), row.

    Source: D. M. Burns et al. (2018), Shoulder physiotherapy exercise recognition: machine learning the inertial
    signals from a smartwatch, arXiv:1802.01489, as in seglearn ``load_watch``, which states no units. Licence:
    BSD-3-Clause, copyright 2018 David M. Burns.
    """
    with files("regen.datasets").joinpath("files", "exercises.npz").open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        values, lengths, label, subject = (archive[key] for key in ("values", "lengths", "label", "subject"))
    X = np.split((values / np.float32(1000)).astype(np.float32), np.cumsum(lengths)[:-1])
    y, n = _CLASSES[label], int((subject <= 7).sum())
    return X[:n], y[:n], X[n:], y[n:]


def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Handwritten digits, 1,797 images of 8 x 8 pixels.

    Returns
    -------
    X (1797, 8, 8) float32 in [0, 1], dark is 1; y (1797,) int64, 0 to 9. Read as sequences, the rows are steps.

    Source: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI; ships with
    scikit-learn (``load_digits``). Licence: CC BY 4.0.
    """
    datasets = require("sklearn.datasets", extra="dev", purpose="The digits")
    bunch = datasets.load_digits()
    return (bunch.images / 16).astype(np.float32), bunch.target.astype(np.int64)


def _read(name: str) -> tuple[NDArray[np.datetime64], list[str], NDArray[np.float64]]:
    """Dates (N,), names of columns, values (N, C) with NaN for empty cells."""
    header, *lines = files("regen.datasets").joinpath("files", f"{name}.csv").read_text("utf-8").splitlines()
    cells = [line.split(",") for line in lines]
    dates = np.array([row[0] for row in cells], dtype="M8[us]")
    values = np.array([[float(cell or "nan") for cell in row[1:]] for row in cells])
    return dates, header.split(",")[1:], values


def _series(name: str, freq: str, frame: str) -> Any:
    """A series that ships, as a dated table of the requested library; a single pandas column as a Series."""
    check_parameters(name, {"frame": _FRAMES}, {"frame": frame})
    dates, columns, values = _read(name)
    if frame == "numpy":
        return values[:, 0] if len(columns) == 1 else values
    chosen = library("auto") if frame == "auto" else frame
    module = require(chosen or "pandas", extra="sources", purpose="A dated series")
    if module.__name__ == "pandas":
        index = module.DatetimeIndex(dates, name="date", freq=freq)
        table = module.DataFrame(values, index=index, columns=columns)
        return table[columns[0]] if len(columns) == 1 else table
    data = {"date": dates} | dict(zip(columns, np.ascontiguousarray(values.T), strict=True))
    built: nw.DataFrame[Any] = nw.from_dict(data, backend=module)
    if freq != "30min":
        built = built.with_columns(nw.col("date").cast(nw.Date))
    return built.with_columns(nw.col(name).fill_nan(None) for name in columns).to_native()
