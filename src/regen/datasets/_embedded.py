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
    """Yearly mean sunspot number, 1700-2008: 309 years, a cycle of about 11 years with changing height.

    Parameters
    ----------
    frame : str, default="auto"
        Kind of table: "pandas", "polars" or "pyarrow"; "auto" is the first of them that is installed. "numpy" returns
        the bare values, an array of shape (309,).

    Returns
    -------
    sunspots : pandas Series or table
        Mean number of each year, on the scale used before 2015: a Series with a DatetimeIndex of year starts, or a
        table with the columns ``date`` and ``sunspots``.

    See Also
    --------
    co2 : A longer series, weekly and with missing values.

    Notes
    -----
    Source: US National Geophysical Data Center, as in statsmodels ``sunspots``. Licence: public domain.

    Examples
    --------
    >>> import regen
    >>> regen.datasets.sunspots("numpy").shape
    (309,)
    """
    return _series("sunspots", "YS", frame)


def co2(frame: str = "auto") -> Any:
    """Weekly carbon dioxide in the air over Mauna Loa, 1958-03-29 to 2001-12-29: 2,284 weeks, 59 of them missing.

    The dates are regular, every Saturday; weeks without a measurement, up to 18 in a row, are NaN.

    Parameters
    ----------
    frame : str, default="auto"
        Kind of table: "pandas", "polars" or "pyarrow"; "auto" is the first of them that is installed. "numpy" returns
        the bare values, an array of shape (2284,).

    Returns
    -------
    co2 : pandas Series or table
        Parts per million by volume: a Series with a weekly DatetimeIndex, or a table with the columns ``date`` and
        ``co2``.

    See Also
    --------
    sunspots : A series without missing values.

    Notes
    -----
    Source: C. D. Keeling and T. P. Whorf (2004), Scripps Institution of Oceanography, in Trends: A Compendium of
    Data on Global Change, as in statsmodels ``co2``. Licence: public domain.

    Examples
    --------
    >>> import numpy as np, regen
    >>> int(np.isnan(regen.datasets.co2("numpy")).sum())
    59
    """
    return _series("co2", "W-SAT", frame)


def elnino(frame: str = "auto") -> Any:
    """Monthly sea surface temperature in the eastern Pacific (Nino 1+2), 1950-01 to 2010-12: 732 months.

    Parameters
    ----------
    frame : str, default="auto"
        Kind of table: "pandas", "polars" or "pyarrow"; "auto" is the first of them that is installed. "numpy" returns
        the bare values, an array of shape (732,).

    Returns
    -------
    temperature : pandas Series or table
        Degrees Celsius: a Series with a DatetimeIndex of month starts, or a table with the columns ``date`` and
        ``temperature``.

    See Also
    --------
    co2 : A weekly series with a trend.

    Notes
    -----
    Source: US National Weather Service, ERSST.V3B, as in statsmodels ``elnino``. Licence: public domain.

    Examples
    --------
    >>> import regen
    >>> regen.datasets.elnino("numpy").shape
    (732,)
    """
    return _series("elnino", "MS", frame)


def macro(frame: str = "auto") -> Any:
    """Four quarterly series of the US economy, 1959 Q1 to 2009 Q3: 203 quarters of 4 columns.

    Parameters
    ----------
    frame : str, default="auto"
        Kind of table: "pandas", "polars" or "pyarrow"; "auto" is the first of them that is installed. "numpy" returns
        the bare values, an array of shape (203, 4).

    Returns
    -------
    macro : pandas DataFrame or table
        The columns ``gdp``, ``consumption``, ``investment`` (billions of chained 2005 dollars, annual rate) and
        ``unemployment`` (percent), seasonally adjusted: a DataFrame with a DatetimeIndex of quarter starts, or a
        table with a column ``date``.

    See Also
    --------
    demand : One series with two seasons.

    Notes
    -----
    Source: Federal Reserve Bank of St. Louis and Bureau of Labor Statistics, as in statsmodels ``macrodata``.
    Licence: public domain.

    Examples
    --------
    >>> import regen
    >>> regen.datasets.macro("numpy").shape
    (203, 4)
    """
    return _series("macro", "QS", frame)


def demand(frame: str = "auto") -> Any:
    """Half-hourly electricity demand in England and Wales, 5 June to 27 August 2000: 4,032 half-hours.

    A season of a day (48) within a season of a week (336).

    Parameters
    ----------
    frame : str, default="auto"
        Kind of table: "pandas", "polars" or "pyarrow"; "auto" is the first of them that is installed. "numpy" returns
        the bare values, an array of shape (4032,).

    Returns
    -------
    demand : pandas Series or table
        Megawatts: a Series with a half-hourly DatetimeIndex, or a table with the columns ``date`` and ``demand``.

    See Also
    --------
    demand_days : The same data cut into days, to classify.

    Notes
    -----
    Source: J. W. Taylor (2003), Journal of the Operational Research Society 54, 799-805, as in darts
    (``TaylorDataset``). Licence: Apache-2.0.

    Examples
    --------
    >>> import regen
    >>> regen.datasets.demand("numpy").shape
    (4032,)
    """
    return _series("demand", "30min", frame)


def demand_days() -> tuple[NDArray[np.float32], Labels, NDArray[np.float32], Labels]:
    """Days of electricity demand, to classify as weekday, Saturday or Sunday.

    `demand` cut at midnight: the first 8 weeks are for training, the last 4 for testing. Predicting "weekday" for
    every day is right on 71% of the days.

    Returns
    -------
    X_train : ndarray of shape (56, 48, 1)
        Gigawatts, float32.
    y_train : ndarray of shape (56,)
        "weekday", "Saturday" or "Sunday".
    X_test : ndarray of shape (28, 48, 1)
        As `X_train`.
    y_test : ndarray of shape (28,)
        As `y_train`.

    See Also
    --------
    exercises : Sequences of different lengths with labels.

    Notes
    -----
    Source and licence: as `demand`.

    Examples
    --------
    >>> import regen
    >>> X_train, y_train, X_test, y_test = regen.datasets.demand_days()
    >>> X_train.shape, X_test.shape
    ((56, 48, 1), (28, 48, 1))
    """
    _, _, values = _read("demand")
    X = (values.reshape(84, 48, 1) / 1000).astype(np.float32)
    y = np.tile(np.array(["weekday"] * 5 + ["Saturday", "Sunday"]), 12)
    return X[:56], y[:56], X[56:], y[56:]


def exercises() -> tuple[Sequences, Labels, Sequences, Labels]:
    """Seven physiotherapy exercises of the shoulder, recorded by a smartwatch: sequences of different lengths.

    Ten people did each exercise about 20 times with each arm. Each of the 140 recordings is averaged from 50 to 5
    samples a second and cut into 4 pieces of about 5 repetitions, 23 to 66 steps long. Seven people are for
    training and three others for testing. A random guess is right in 1 of 7 cases.

    Returns
    -------
    X_train : list of 392 ndarrays of shape (T, 6)
        Acceleration along x, y, z and rate of rotation about x, y, z, float32.
    y_train : ndarray of shape (392,)
        The exercise: pendulum, abduction, elevation (forward), internal and external (rotation), trapezius
        (extension), row.
    X_test : list of 168 ndarrays of shape (T, 6)
        As `X_train`.
    y_test : ndarray of shape (168,)
        As `y_train`.

    See Also
    --------
    demand_days : Sequences of one length with labels.

    Notes
    -----
    Source: D. M. Burns et al. (2018), Shoulder physiotherapy exercise recognition: machine learning the inertial
    signals from a smartwatch, arXiv:1802.01489, as in seglearn ``load_watch``, which states no units. Licence:
    BSD-3-Clause, copyright 2018 David M. Burns.

    Examples
    --------
    >>> import regen
    >>> X_train, y_train, X_test, y_test = regen.datasets.exercises()
    >>> len(X_train), X_train[0].shape[1]
    (392, 6)
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
    X : ndarray of shape (1797, 8, 8)
        Pixels in [0, 1], float32; dark is 1. As sequences, the rows of an image are its steps.
    y : ndarray of shape (1797,)
        The digit, int64.

    See Also
    --------
    exercises : Sequences with labels.

    Notes
    -----
    Source: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI; ships with
    scikit-learn (``load_digits``). Licence: CC BY 4.0.

    Examples
    --------
    >>> import regen
    >>> X, y = regen.datasets.digits()
    >>> X.shape
    (1797, 8, 8)
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
