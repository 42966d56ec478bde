"""Numbers beyond what float32 holds: refused by their place wherever data enter, as infinite ones are.

What is not refused gives finite results, whatever its unit, and no warning of NumPy.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import regen
from regen.data.scaling import moments
from regen.data.series import read_series

pytestmark = pytest.mark.filterwarnings("error")
QUICK: dict[str, Any] = {"max_epochs": 1, "random_state": 0}
RNG = np.random.default_rng(0)
Y = np.sin(np.arange(40.0))
TABLE, BLOCK, IMAGES = RNG.normal(size=(40, 3)), RNG.normal(size=(40, 6, 2)), RNG.normal(size=(40, 8, 8)) / 3
LABELS = np.arange(40) % 2
HUGE, FAR = 1e300, 1e33
BEYOND = "beyond ±3.4e+38 (float32)"


def worse(values: np.ndarray, value: float = HUGE, row: int = 33) -> np.ndarray:
    """A copy with one value replaced, in the first place of a row."""
    copy = values.copy()
    copy.reshape(len(copy), -1)[row, 0] = value
    return copy


def forecaster(**options: Any) -> Any:
    """A quick forecaster."""
    return regen.Forecaster(window=6, horizon=2, hidden=3, **QUICK, **options)


def autoencoder(**options: Any) -> Any:
    """A quick autoencoder."""
    return regen.Autoencoder(2, hidden=3, **QUICK, **options)


def classifier(**options: Any) -> Any:
    """A quick classifier."""
    return regen.SequenceClassifier(hidden=3, **QUICK, **options)


def gan() -> Any:
    """A quick GAN."""
    return regen.GAN(2, hidden=4, **QUICK)


FITS: dict[str, tuple[Callable[[], Any], str]] = {
    "list": (lambda: forecaster().fit(worse(Y).tolist()), f"y has a value {BEYOND} in row 33."),
    "whole number": (lambda: forecaster().fit([*Y, 10**400]), f"y has a value {BEYOND} in row 40."),
    "series": (
        lambda: forecaster().fit(pd.Series(worse(Y), pd.date_range("2020", periods=40), name="a")),
        f"Column 'a' of y has a value {BEYOND} in row 33 (2020-02-03).",
    ),
    "polars": (
        lambda: forecaster().fit(pl.DataFrame({"a": worse(Y)})),
        f"Column 'a' of y has a value {BEYOND} in row 33.",
    ),
    "arrow": (
        lambda: forecaster().fit(pa.table({"a": worse(Y)})),
        f"Column 'a' of y has a value {BEYOND} in row 33.",
    ),
    "masked": (
        lambda: forecaster().fit(np.ma.array(worse(Y), mask=np.arange(40) == 2)),
        f"y has a value {BEYOND} in row 33.",
    ),
    "far": (
        lambda: forecaster().fit(worse(Y, FAR, 39)),
        "y has a value in row 39 that reaches the network as",
    ),
    "table": (lambda: autoencoder().fit(worse(TABLE)), f"Column 0 of X has a value {BEYOND} in row 33."),
    "rows": (
        lambda: autoencoder().fit([*TABLE.tolist(), [0, -(10**400), 0]]),
        f"Column 1 of X has a value {BEYOND} in row 40.",
    ),
    "frame": (
        lambda: autoencoder().fit(pd.DataFrame(worse(TABLE), columns=list("abc"))),
        f"Column 'a' of X has a value {BEYOND} in row 33.",
    ),
    "gan": (lambda: gan().fit(worse(TABLE)), f"Column 0 of X has a value {BEYOND} in row 33."),
    "images": (
        lambda: autoencoder(backbone="conv").fit(worse(IMAGES)),
        f"Image 33 of X has a value {BEYOND} in channel 0, row 0, column 0.",
    ),
    "block": (
        lambda: classifier().fit(worse(BLOCK), LABELS),
        f"X has a value {BEYOND} in sequence 33 at step 0.",
    ),
    "sequences": (
        lambda: classifier().fit([[1.0, 2.0, 10**400], *BLOCK[1:, :, 0].tolist()], LABELS),
        f"X has a value {BEYOND} in sequence 0 at step 2.",
    ),
    "sequences by themselves": (
        lambda: classifier(normalize="none").fit(worse(BLOCK, FAR), LABELS),
        "X has a value in sequence 33 at step 0 that reaches the network as 1.0e+33",
    ),
    "targets": (
        lambda: regen.SequenceRegressor(hidden=3, **QUICK).fit(BLOCK, worse(Y)),
        f"y has a value {BEYOND} in row 33.",
    ),
    "whole targets": (
        lambda: regen.SequenceRegressor(hidden=3, **QUICK).fit(BLOCK, [10**400, *Y[1:]]),
        f"y has a value {BEYOND} in row 0.",
    ),
}


@pytest.mark.parametrize(("fit", "message"), FITS.values(), ids=FITS)
def test_refused_at_fit(fit, message):
    """The place and the remedy, before any training."""
    with pytest.raises(ValueError, match="^" + re.escape(message)) as caught:
        fit()
    assert str(caught.value).endswith("or put NaN there if it is missing.")


@pytest.fixture(scope="module")
def fitted() -> dict[str, Any]:
    """A fitted estimator of each family."""
    return {
        "forecaster": forecaster().fit(Y),
        "autoencoder": autoencoder().fit(TABLE),
        "vae": regen.VariationalAutoencoder(2, hidden=3, **QUICK).fit(TABLE),
        "images": autoencoder(backbone="conv").fit(IMAGES),
        "gan": gan().fit(TABLE),
        "classifier": classifier().fit(BLOCK, LABELS),
        "raw": classifier(normalize="none", bidirectional=False).fit(BLOCK, LABELS),
    }


CALLS: dict[str, tuple[str, Callable[[Any, float], Any], str]] = {
    "update": ("forecaster", lambda m, x: m.update([0.0, x]), "y has a value"),
    "backtest": ("forecaster", lambda m, x: m.backtest(worse(Y, x)), "y has a value"),
    "probe": ("forecaster", lambda m, x: m.probe(worse(Y, x)), "y has a value"),
    "stream": ("forecaster", lambda m, x: m.stream().step(x), "y has a value"),
    "transform": ("autoencoder", lambda m, x: m.transform(worse(TABLE, x)), "Column 0 of X has a value"),
    "inverse": ("autoencoder", lambda m, x: m.inverse_transform([[x, 0.0]]), "Column 0 of Z has a value"),
    "score_samples": ("vae", lambda m, x: m.score_samples(worse(TABLE, x)), "Column 0 of X has a value"),
    "likelihood": ("vae", lambda m, x: m.log_likelihood(worse(TABLE, x)), "Column 0 of X has a value"),
    "pictures": ("images", lambda m, x: m.reconstruct(worse(IMAGES, x)), "Image 33 of X has a value"),
    "score": ("gan", lambda m, x: m.score_samples(worse(TABLE, x)), "Column 0 of X has a value"),
    "codes": ("gan", lambda m, x: m.inverse_transform([[x, 0.0]]), "Column 0 of Z has a value"),
    "predict": ("classifier", lambda m, x: m.predict(worse(BLOCK, x)), "X has a value"),
    "raw": ("raw", lambda m, x: m.predict_proba(worse(BLOCK, x)), "X has a value"),
    "steps": ("raw", lambda m, x: m.stream().step([x, 0.0]), "x has a value"),
}


@pytest.mark.parametrize("value", [HUGE, FAR, -FAR], ids=["beyond", "far", "far below"])
@pytest.mark.parametrize(("model", "call", "message"), CALLS.values(), ids=CALLS)
def test_refused_after_fit(fitted, model, call, message, value):
    """By everything that takes data, whether the value is beyond float32 or too far from those of fit."""
    with pytest.raises(ValueError, match="^" + re.escape(message)) as caught:
        call(fitted[model], value)
    beyond = value == HUGE and not message.endswith("of Z has a value")  # codes are not scaled
    assert ("beyond ±3.4e+38" in str(caught.value)) == beyond


@pytest.mark.parametrize(("model", "call", "message"), CALLS.values(), ids=CALLS)
def test_the_farthest_that_is_accepted_is_finite(fitted, model, call, message):
    """Just within the limit nothing overflows: no NaN comes out, and nothing warns."""
    found = call(fitted[model], 1e14)
    if isinstance(found, np.ndarray | list):
        assert np.isfinite(np.asarray(found, dtype=float)).all()


@pytest.mark.parametrize("unit", [1e-320, 1e-200, 1e-38, 1e30, 8e37])
def test_results_do_not_depend_on_the_unit(unit):
    """Values of any size that float32 or float64 holds are standardised: no scale under- or overflows."""
    exact = 1e-2 if unit < 1e-300 else 1e-6  # subnormal numbers have few digits
    plain = forecaster().fit(Y).predict()
    np.testing.assert_allclose(forecaster().fit(Y * unit).predict() / unit, plain, rtol=exact, atol=exact)
    restored = autoencoder().fit(TABLE).reconstruct(TABLE)
    found = autoencoder().fit(TABLE * unit).reconstruct(TABLE * unit) / unit
    np.testing.assert_allclose(found, restored, rtol=exact, atol=exact)
    pictures = autoencoder(backbone="conv").fit(IMAGES * unit).reconstruct(IMAGES * unit) / unit
    np.testing.assert_allclose(
        pictures, autoencoder(backbone="conv").fit(IMAGES).reconstruct(IMAGES), rtol=exact, atol=exact
    )
    labels = [classifier().fit(X, LABELS).predict_proba(X) for X in (BLOCK, BLOCK * unit)]
    np.testing.assert_allclose(labels[1], labels[0], rtol=exact, atol=exact)
    targets = [regen.SequenceRegressor(hidden=3, **QUICK).fit(BLOCK, y).predict(BLOCK) for y in (Y, Y * unit)]
    np.testing.assert_allclose(targets[1] / unit, targets[0], rtol=exact, atol=exact)


@pytest.mark.parametrize("size", [1e-320, 1e-200, 1e-160, 1e200, 1e308])
def test_moments_of_any_size(size):
    """Squares that would be 0 or infinite are taken of scaled values; in the usual range no bit changes."""
    values = np.array([[0.25, 0.5], [0.75, 0.5]]) * size
    center, deviation = moments(values)
    np.testing.assert_allclose(center, [size / 2, size / 2], rtol=1e-3)
    np.testing.assert_allclose(deviation, [size / 4, 0], rtol=1e-3)


def test_longest_floats_are_read_without_a_warning():
    """Extended precision beyond float64 is refused as infinite."""
    with pytest.raises(ValueError, match=r"y has an infinite value in row 1\."):
        read_series(np.array([1, np.longdouble(10) ** 400]))
