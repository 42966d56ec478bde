"""Refusals of autoencoders with their exact messages; the fitted state stays. Edge cases that they accept."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from regen.estimators import Autoencoder, DenoisingAutoencoder, VariationalAutoencoder
from regen.estimators.autoencoders._base import AutoencodingEstimator

Kind = Callable[..., AutoencodingEstimator]
KINDS: list[Kind] = [Autoencoder, DenoisingAutoencoder, VariationalAutoencoder]
N = 60
DIGITS = load_digits().data[:400]
COLUMNS = np.random.default_rng(0).normal(2, 3, (N, 4))
GAPS = np.where(np.arange(N)[:, None] % 3 + [0, 0, 1, 1] == 0, np.nan, COLUMNS)
SEQUENCES = [DIGITS[k].reshape(8, 8)[: 3 + k % 5] for k in range(N)]


def table(**changed: Any) -> pd.DataFrame:
    """Two columns of numbers and one of text."""
    rng = np.random.default_rng(0)
    columns = {"a": rng.normal(size=N), "b": rng.normal(size=N), "town": rng.choice(["Oslo", "Rome"], N)}
    return pd.DataFrame(columns | changed)


def images(*shape: int) -> Any:
    """(N, *shape) numbers from 0 to 1."""
    return np.random.default_rng(0).random((N, *shape))


def fitted(kind: Kind, X: Any, **options: Any) -> AutoencodingEstimator:
    """A small estimator, trained for one epoch."""
    defaults = {"code": 2, "max_epochs": 1, "random_state": 0, "hidden": (8,)}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="None of the 2 units of the code", category=UserWarning)
        return kind(**defaults | options).fit(X)


INFINITE = np.r_[np.zeros(N - 1), -np.inf]
INFINITE_MESSAGE = (
    "Column 'b' of X has an infinite value in row 59. Put a number there, or NaN if it is missing."
)
BAD_DATA: dict[str, tuple[Any, dict[str, Any], str]] = {
    "gaps": (table(b=np.nan), {}, "Column 'b' of X has only missing values. Leave it out, or give values."),
    "infinite": (table(b=INFINITE), {}, INFINITE_MESSAGE),
    "shape": (
        images(30),
        {"image_shape": (6, 6)},
        "image_shape=(6, 6) has 36 pixels; the rows of X have 30.",
    ),
    "empty": (table()[:0], {}, "X has 0 sample(s) (shape=(0, 3)) while a minimum of 1 is required."),
}
BAD_PARAMETERS: list[tuple[Kind, dict[str, Any], Any, str]] = [
    (
        Autoencoder,
        {},
        DIGITS.reshape(-1, 8, 8),
        "X of shape (400, 8, 8) may be images (n, Y, X) or sequences (n, T, F). Say which: backbone='conv' or"
        " backbone='recurrent'.",
    ),
    (
        Autoencoder,
        {"backbone": "conv"},
        DIGITS,
        "backbone='conv' needs images (n, Y, X) or (n, C, Y, X), or image_shape=(Y, X) for flat ones. Got X of"
        " shape (400, 64).",
    ),
    (
        Autoencoder,
        {"pretraining": True, "hidden": ()},
        DIGITS,
        "pretraining=True is for dense nets with hidden layers. Got backbone='auto', hidden=(); take"
        " pretraining=False.",
    ),
    (
        Autoencoder,
        {"pretraining": True, "image_shape": (8, 8)},
        DIGITS,
        "pretraining=True needs a dense net, and the net of these data is not dense. Take backbone='mlp'.",
    ),
    (
        Autoencoder,
        {"penalty": {"l2": 1.0}},
        DIGITS,
        "The 'penalty' parameter of Autoencoder must be None or a dict of weights for some of 'l1', 'kl',"
        " 'contractive'. Got {'l2': 1.0} instead.",
    ),
    (
        Autoencoder,
        {"hidden": (0,)},
        DIGITS,
        "The 'hidden' parameter of Autoencoder must be one of 'auto' or an int in [1, inf) or a tuple of ints in"
        " [1, inf), which may be empty. Got (0,) instead.",
    ),
    (
        Autoencoder,
        {"backbone": "lstn"},
        DIGITS,
        "The 'backbone' parameter of Autoencoder must be one of 'auto', 'mlp', 'conv', 'recurrent', 'elman',"
        " 'diagonal', 'jordan', 'lstm', 'gru' or a regen.cells cell. Got 'lstn' instead. Did you mean 'lstm'?",
    ),
    (
        Autoencoder,
        {"contamination": 0.7},
        DIGITS,
        "The 'contamination' parameter of Autoencoder must be a number in (0, 0.5]. Got 0.7 instead.",
    ),
    (
        Autoencoder,
        {"tied": True, "backbone": "gru"},
        DIGITS,
        "tied=True needs dense layers. Use backbone='mlp' instead of 'recurrent'.",
    ),
    (
        Autoencoder,
        {"training": {"loss": "cross_entropy"}},
        DIGITS,
        "loss='cross_entropy' is for binary, [0, 1] and categorical data, and some columns have the likelihood"
        " 'squared'. Use loss='auto'.",
    ),
    (
        Autoencoder,
        {},
        np.full((50, 3), np.nan),
        "Column 0 of X has only missing values. Leave it out, or give values.",
    ),
    (
        DenoisingAutoencoder,
        {"noise": -0.1},
        COLUMNS,
        "The 'noise' parameter of DenoisingAutoencoder must be a number in [0, inf). Got -0.1 instead.",
    ),
    (
        DenoisingAutoencoder,
        {"noise": 1.5, "corruption": "mask"},
        COLUMNS,
        "The 'noise' of corruption='mask' is a share of cells, in [0, 1]. Got 1.5 instead.",
    ),
    (
        DenoisingAutoencoder,
        {"corruption": "blur"},
        COLUMNS,
        "The 'corruption' parameter of DenoisingAutoencoder must be one of 'gaussian', 'mask', 'salt_pepper' or a"
        " callable. Got 'blur' instead.",
    ),
    (
        DenoisingAutoencoder,
        {},
        COLUMNS * [1, 1, np.nan, 1],
        "Column 2 of X has only missing values. Leave it out, or give values.",
    ),
    (
        DenoisingAutoencoder,
        {},
        np.where(np.arange(N * 4).reshape(N, 4) == 31, np.inf, COLUMNS),
        "Column 3 of X has an infinite value in row 7. Put a number there, or NaN if it is missing.",
    ),
    (
        VariationalAutoencoder,
        {"code": 0},
        COLUMNS,
        "The 'code' parameter of VariationalAutoencoder must be an int in [1, inf). Got 0 instead.",
    ),
    (
        VariationalAutoencoder,
        {"likelihood": "normal"},
        COLUMNS,
        "The 'likelihood' parameter of VariationalAutoencoder must be one of 'auto', 'gaussian', 'student',"
        " 'laplace', 'squared', 'rectified', 'bernoulli', 'binarized', 'continuous_bernoulli', 'poisson',"
        " 'negative_binomial', 'categorical'. Got 'normal' instead.",
    ),
    (
        VariationalAutoencoder,
        {"beta": -1.0},
        COLUMNS,
        "The 'beta' parameter of VariationalAutoencoder must be a number in [0, inf). Got -1.0 instead.",
    ),
    (
        VariationalAutoencoder,
        {"training": {"loss": "mse"}},
        COLUMNS,
        "The 'loss' of the training of VariationalAutoencoder must be 'auto'. Got 'mse' instead; the loss is set by"
        " the 'likelihood' parameter.",
    ),
    (
        VariationalAutoencoder,
        {"free_bits": 0.5, "importance_samples": 5},
        COLUMNS,
        "free_bits=0.5 needs importance_samples=1, where the divergence of each unit is known. Got"
        " importance_samples=5.",
    ),
    (
        VariationalAutoencoder,
        {"likelihood": "categorical", "image_shape": (2, 2)},
        COLUMNS,
        "likelihood='categorical' is for columns of categories, not for pixels. Take 'auto'.",
    ),
]


@pytest.mark.parametrize(
    ("kind", "options", "X", "message"),
    [(kind, options, X, message) for kind in KINDS for X, options, message in BAD_DATA.values()]
    + BAD_PARAMETERS,
    ids=[f"{kind.__name__} {name}" for kind in KINDS for name in BAD_DATA]
    + [f"{kind.__name__} {options}" for kind, options, *_ in BAD_PARAMETERS],
)
def test_refused_at_fit(kind: Kind, options: dict[str, Any], X: Any, message: str, message_of: Any) -> None:
    """Before anything is trained; codes are then the same bits as before."""
    model = fitted(kind, table())
    before, parameters = model.transform(table()), model.get_params(deep=False)
    assert message_of(ValueError, model.set_params(**options).fit, X) == message
    assert np.array_equal(model.set_params(**parameters).transform(table()), before)


NEW_DATA: dict[str, tuple[Any, Any, str]] = {
    "infinite": (table(), table(b=INFINITE), INFINITE_MESSAGE),
    "category": (
        table(),
        table(town=["Oslo", "Wien"] * (N // 2)),
        "Column 'town' of X has 'Wien' in row 1, a category that was not in the data of fit. Known categories:"
        " 'Oslo', 'Rome'.",
    ),
    "shape": (
        images(1, 6, 5),
        images(1, 5, 5),
        "X has images of (1, 5, 5) channels, rows and columns. Those fitted had (1, 6, 5).",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", NEW_DATA)
def test_refused_after_fit(kind: Kind, case: str, message_of: Any) -> None:
    """Rows unlike those of fit, by every method."""
    X, X_new, message = NEW_DATA[case]
    model = fitted(kind, X)
    for method in (model.transform, model.reconstruct, model.score_samples, model.predict):
        assert message_of(ValueError, method, X_new) == message


COUNT = "The {!r} parameter of VariationalAutoencoder must be an int in [1, inf). Got 0 instead."
BAD_CALLS: dict[str, tuple[Kind, Any, Callable[[Any], Any], str]] = {
    "width of codes": (
        Autoencoder,
        DIGITS,
        lambda model: model.inverse_transform(np.zeros((4, 3))),
        "Z must have 2 columns, the size of the code. Got 3 columns.",
    ),
    "lengths of rows": (
        Autoencoder,
        DIGITS,
        lambda model: model.inverse_transform(np.zeros((4, 2)), [1, 2, 3, 4]),
        "lengths are for sequences; this estimator was not fitted on any. Leave them out.",
    ),
    "lengths of 0": (
        Autoencoder,
        SEQUENCES,
        lambda model: model.inverse_transform(np.zeros((4, 2)), [1, 0, 3, 4]),
        "lengths must be 4 whole numbers of at least 1, one for each code. Got [1, 0, 3, 4].",
    ),
    "gaps that fit had not": (
        DenoisingAutoencoder,
        COLUMNS,
        lambda model: model.impute(GAPS),
        "X has missing values, and nothing was missing or hidden at fit, so they cannot be filled in. Fit on rows"
        " with missing values, or with corruption='mask'.",
    ),
    "draws of a denoiser": (
        DenoisingAutoencoder,
        GAPS,
        lambda model: model.impute(GAPS, n_draws=0),
        "The 'n_draws' parameter of DenoisingAutoencoder.impute must be None or an int in [1, inf). Got 0 instead.",
    ),
    "n": (VariationalAutoencoder, COLUMNS, lambda model: model.sample(0), COUNT.format("n")),
    "samples": (
        VariationalAutoencoder,
        COLUMNS,
        lambda model: model.log_likelihood(COLUMNS, samples=0),
        COUNT.format("samples"),
    ),
    "n_draws": (
        VariationalAutoencoder,
        COLUMNS,
        lambda model: model.impute(COLUMNS, n_draws=0),
        COUNT.format("n_draws"),
    ),
    "draws of a code": (
        VariationalAutoencoder,
        COLUMNS,
        lambda model: model.sample_code(COLUMNS, n_draws=0),
        COUNT.format("n_draws"),
    ),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_refused_arguments(case: str, message_of: Any) -> None:
    """Arguments of methods."""
    kind, X, call, message = BAD_CALLS[case]
    model = fitted(kind, X)
    assert message_of(ValueError, call, model) == message


@pytest.mark.parametrize("n_draws", [None, 2])
def test_rows_without_gaps_are_imputed_though_fit_had_none(n_draws: int | None) -> None:
    """They come back as they are."""
    imputed = fitted(DenoisingAutoencoder, COLUMNS).impute(COLUMNS, n_draws=n_draws)  # type: ignore[attr-defined]
    assert all(np.array_equal(each, COLUMNS) for each in ([imputed] if n_draws is None else imputed))


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_column_is_accepted(kind: Kind) -> None:
    """It divides nothing by zero; a row where it differs from all of fit is less normal."""
    model = fitted(kind, table(b=3.0), max_epochs=20)
    same = model.score_samples(table(b=3.0))
    assert np.isfinite(same).all()
    np.testing.assert_allclose(model.reconstruct(table(b=3.0))["b"], 3.0, atol=0.5)
    assert (model.score_samples(table(b=9.0)) < same).all()


@pytest.mark.parametrize("kind", [Autoencoder, VariationalAutoencoder])
def test_a_wide_code_is_accepted_with_a_warning(kind: Kind) -> None:
    """Where rows are not corrupted."""
    with pytest.warns(
        UserWarning, match=r"^code=5 is more than the 4 numbers of a row, so nothing is compressed"
    ):
        assert fitted(kind, table(), code=5).transform(table()).shape == (N, 5)
