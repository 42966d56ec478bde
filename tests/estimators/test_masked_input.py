"""Masked arrays: what a mask hides is missing wherever an array comes in; the value under it, -999, is never learned.

Each case is compared with the same array that has NaN there, bit for bit, and with a twin that has the hidden values.
"""

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.typing import NDArray

import regen
from regen.data.masked_arrays import unmasked
from regen.estimators._online import read_step

RNG = np.random.default_rng(0)
GARBAGE = -999


def hide(values: NDArray[Any]) -> tuple[Any, NDArray[Any], NDArray[Any]]:
    """Values masked in every fifth place, with NaN there, and with what lies under the mask."""
    mask = np.arange(values.size).reshape(values.shape) % 5 == 1
    holes, garbage = values.copy(), values.copy()
    garbage[mask] = GARBAGE
    holes[mask] = np.nan
    return np.ma.MaskedArray(garbage, mask), holes, garbage


def forecast(y: Any) -> Any:
    """Forecasts, and those after an update with the same values."""
    model = regen.Forecaster(horizon=2, hidden=4, max_epochs=1, random_state=0).fit(y)
    return np.concatenate([model.predict(), model.update(y[:5]).predict()])


def forecast_frame(y: Any) -> Any:
    """Forecasts of a dataframe as an array."""
    return np.asarray(regen.Forecaster(horizon=2, hidden=4, max_epochs=1, random_state=0).fit(y).predict())


def codes(X: Any) -> Any:
    """Codes of an autoencoder."""
    return regen.Autoencoder(2, hidden=4, max_epochs=1, random_state=0).fit(X).transform(X)


def image_codes(X: Any) -> Any:
    """Codes of images."""
    model = regen.Autoencoder(2, hidden=(4,), backbone="conv", max_epochs=1, random_state=0)
    return model.fit(X).transform(X)


def imputed(X: Any) -> Any:
    """Rows with their gaps filled."""
    return np.asarray(
        regen.DenoisingAutoencoder(code=2, hidden=4, max_epochs=1, random_state=0).fit(X).impute(X)
    )


def targets(X: Any) -> Any:
    """Predictions from sequences."""
    y = np.linspace(0, 1, len(X))
    return regen.SequenceRegressor(hidden=4, max_epochs=1, random_state=0).fit(X, y).predict(X)


def sequence_codes(X: Any) -> Any:
    """Codes of a recurrent autoencoder."""
    model = regen.Autoencoder(2, hidden=4, backbone="gru", max_epochs=1, random_state=0)
    return model.fit(X).transform(X)


def streamed(X: Any) -> Any:
    """The last predictions of streams, step after step."""
    whole = np.linspace(-1, 1, 60).reshape(12, 5)
    model = regen.SequenceRegressor(hidden=4, bidirectional=False, max_epochs=1, random_state=0)
    stream = model.fit(
        np.where(np.arange(5) == 1, np.nan, whole)[:, :, None].repeat(2, 2), whole[:, 0]
    ).stream()
    return np.array([stream.step(x) for x in X])


CASES: dict[str, tuple[Callable[[Any], Any], NDArray[Any]]] = {
    "series": (forecast, RNG.normal(size=60)),
    "series of two columns": (forecast, RNG.normal(size=(60, 2))),
    "table": (codes, RNG.normal(size=(40, 4))),
    "imputed table": (imputed, RNG.normal(size=(40, 4))),
    "images": (image_codes, RNG.random(size=(24, 8, 8))),
    "images with channels": (image_codes, RNG.random(size=(24, 2, 8, 8))),
    "sequences": (targets, RNG.normal(size=(24, 6, 2))),
    "table of sequences": (targets, RNG.normal(size=(24, 6))),
    "recurrent autoencoder": (sequence_codes, RNG.normal(size=(24, 6, 2))),
    "steps of a stream": (streamed, RNG.normal(size=(6, 2))),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore")
def test_a_mask_is_a_gap(case: str) -> None:
    """The same bits as with NaN, not those of the values under the mask."""
    run, values = CASES[case]
    masked, holes, garbage = hide(values)
    expected = run(holes)
    np.testing.assert_array_equal(run(masked), expected)
    assert not np.array_equal(run(garbage), expected)
    assert (np.ma.getdata(masked) == garbage).all()  # the array given is not changed


@pytest.mark.parametrize("run", [targets, sequence_codes])
@pytest.mark.filterwarnings("ignore")
def test_a_list_of_masked_sequences(run: Callable[[Any], Any]) -> None:
    """Of different lengths, each with a mask of its own."""
    parts = [hide(RNG.normal(size=(3 + k % 3, 2))) for k in range(24)]
    masked, holes, garbage = (list(each) for each in zip(*parts, strict=True))
    expected = run(holes)
    np.testing.assert_array_equal(run(masked), expected)
    assert not np.array_equal(run(garbage), expected)


def test_masked_integers() -> None:
    """Whole numbers of a table and of images stay whole: gaps are filled by integers."""
    X = np.ma.MaskedArray(RNG.integers(0, 9, size=(40, 3)), np.arange(120).reshape(40, 3) % 7 == 0)
    filled = regen.DenoisingAutoencoder(code=2, hidden=4, max_epochs=1, random_state=0).fit(X).impute(X)
    assert filled.dtype == X.dtype
    assert (filled[~X.mask] == X.data[~X.mask]).all()


def masked_last(values: list[Any]) -> Any:
    """A masked array, the last of which is hidden."""
    return np.ma.MaskedArray(values, np.arange(len(values)) == len(values) - 1)


X12 = RNG.normal(size=(12, 3))
LABELS = [0, 1] * 6


def regressor() -> Any:
    """A small one, not fitted."""
    return regen.SequenceRegressor(hidden=4, max_epochs=1, random_state=0)


REFUSED: list[tuple[str, Callable[[], Any], str]] = [
    (
        "classes",
        lambda: regen.SequenceClassifier(hidden=4, max_epochs=1).fit(X12, masked_last(LABELS)),
        "y is masked in row 11: give every row a label, or leave such rows out.",
    ),
    (
        "labels of a GAN",
        lambda: regen.GAN(hidden=4, max_epochs=1).fit(X12, masked_last(LABELS)),
        "y is masked in row 11: give every row a label, or leave such rows out.",
    ),
    ("targets", lambda: regressor().fit(X12, masked_last([0.5] * 12)), "Input y contains NaN."),
    (
        "codes",
        lambda: (
            regen.Autoencoder(2, hidden=4, max_epochs=1)
            .fit(X12)
            .inverse_transform(np.ma.MaskedArray(np.zeros((1, 2)), [[True, False]]))
        ),
        "Input Z contains NaN.",
    ),
    (
        "rows of a GAN",
        lambda: regen.GAN(hidden=4, max_epochs=1).fit(hide(X12)[0]),
        "X has missing values (NaN), and GAN requires complete rows.",
    ),
]


@pytest.mark.parametrize(("run", "words"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED])
def test_where_nothing_may_be_missing(run: Callable[[], Any], words: str) -> None:
    """A masked label, target or code is refused, as NaN is."""
    with warnings.catch_warnings(), pytest.raises(ValueError, match="^" + re.escape(words)):
        warnings.simplefilter("ignore")
        run()


def with_missing(library: str, values: list[Any]) -> Any:
    """A column whose second value is missing, as each library has it."""
    holes = [values[0], None, *values[2:]]
    return {
        "pandas": lambda: pd.array(holes, dtype="Int64"),
        "pandas floats": lambda: pd.Series(pd.array(holes, dtype="Float64")),
        "pandas objects": lambda: pd.Series(holes, dtype=object),
        "polars": lambda: pl.Series(holes),
        "pyarrow": lambda: pa.array(holes),
        "list": lambda: holes,
    }[library]()


LIBRARIES = ["pandas", "pandas floats", "pandas objects", "polars", "pyarrow", "list"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_missing_labels_of_any_library(library: str) -> None:
    """A label that is null or NA is none: at fit of classifiers, regressors and GANs, and where they are scored."""
    y = with_missing(library, LABELS)
    models = [regen.SequenceClassifier(hidden=4, max_epochs=1, random_state=0), regressor()]
    models.append(regen.GAN(hidden=4, max_epochs=1, random_state=0))
    for model in models:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(ValueError, match=r"y has no value in row 1|Input y contains NaN"):
                model.fit(X12, y)
            model.fit(X12, LABELS)
        with pytest.raises(ValueError, match=r"^y has no value in row 1: give every row a label"):
            model.score(X12, y)
        with pytest.raises(ValueError, match=r"^y is masked in row 11: give every row a label"):
            model.score(X12, masked_last(LABELS))


FRAMES: dict[str, Callable[[NDArray[Any]], Any]] = {
    "pandas Float64": lambda X: pd.DataFrame(X).astype("Float64"),
    "pandas Int64": lambda X: pd.DataFrame(X).astype("Int64"),
    "polars": lambda X: pl.DataFrame(
        {f"c{k}": [None if np.isnan(x) else x for x in X[:, k]] for k in range(X.shape[1])}
    ),
    "pyarrow": lambda X: pa.table({f"c{k}": pa.array(X[:, k], from_pandas=True) for k in range(X.shape[1])}),
}


@pytest.mark.parametrize("library", FRAMES)
@pytest.mark.parametrize("run", [forecast_frame, codes, targets])
@pytest.mark.filterwarnings("ignore")
def test_nulls_of_dataframes(run: Callable[[Any], Any], library: str) -> None:
    """NA and null are what NaN is in an array, for series, tables and sequences, at fit and at use."""
    X = np.rint(4 * RNG.normal(size=(40, 4)))
    X[np.arange(160).reshape(40, 4) % 7 == 1] = np.nan
    np.testing.assert_allclose(run(FRAMES[library](X)), run(X), rtol=1e-6)


def test_labels_to_sample() -> None:
    """A masked label is none to draw rows of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = regen.GAN(hidden=4, max_epochs=1, random_state=0).fit(X12, LABELS)
    with pytest.raises(ValueError, match=r"^label is masked in row 1: give every row a label"):
        model.sample(2, label=masked_last([0, 1]))
    with pytest.raises(ValueError, match=r"^y is masked in row 11: give every row a label"):
        model.score(X12, masked_last(LABELS))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.ma.MaskedArray([1, 2], [False, True]), [1.0, np.nan]),
        (np.ma.MaskedArray([1.5, 2.5], [True, False]), [np.nan, 2.5]),
        (np.ma.MaskedArray([True, False], [True, False]), [np.nan, 0.0]),
        (np.ma.MaskedArray(["a", "b"], [True, False]), [None, "b"]),
        (np.ma.MaskedArray([1, 2]), [1, 2]),
        ([1, 2], [1, 2]),
    ],
)
def test_unmasked(given: Any, expected: list[Any]) -> None:
    """NaN for numbers, None for objects; without a masked value the dtype stays."""
    found = unmasked(given)
    assert not isinstance(found, np.ma.MaskedArray)
    assert [None if x is None else x for x in list(found)] == pytest.approx(expected, nan_ok=True)


def test_one_step() -> None:
    """The step of a stream."""
    row, observed = read_step("x", np.ma.MaskedArray([GARBAGE, 2], [True, False]), 2, "feature")
    assert np.isnan(row[0]) and observed.tolist() == [False, True]
