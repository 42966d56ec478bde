"""Autoencoder: what it compresses, restores, scores and refuses."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

import regen
from regen.data.batching import RowBatch
from regen.data.ragged import Ragged
from regen.estimators import Autoencoder
from regen.estimators.autoencoders.objectives import SPARSITY

DIGITS: NDArray[np.float64] = load_digits().data[:400]
QUICK: dict[str, Any] = {"max_epochs": 3, "random_state": 0}


def ragged(n: int = 60) -> list[NDArray[np.float64]]:
    """Sequences of 3 to 7 steps, of 8 features."""
    return [DIGITS[k].reshape(8, 8)[: 3 + k % 5].copy() for k in range(n)]


FORMS = [
    ({}, DIGITS),
    ({"image_shape": (8, 8)}, DIGITS),
    ({"image_shape": (1, 8, 8), "backbone": "mlp"}, DIGITS),
    ({}, (DIGITS * 15).astype(np.uint8).reshape(-1, 8, 8)),
    ({}, DIGITS.reshape(-1, 1, 8, 8).astype(np.float32)),
    ({}, DIGITS.reshape(-1, 8, 8) > 8),
    ({"backbone": "lstm"}, DIGITS.reshape(-1, 8, 8)),
    ({"backbone": regen.cells.LSTM("full")}, DIGITS.reshape(-1, 8, 8)),
    ({"backbone": "recurrent"}, DIGITS[:, :20]),
    ({"output": "unit"}, DIGITS / 16),
    ({"output": "counts"}, DIGITS),
    ({"hidden": ()}, DIGITS),
    ({"tied": True, "hidden": 32, "activation": "tanh"}, DIGITS),
    ({"pretraining": True, "tied": True}, DIGITS),
]


@pytest.mark.parametrize(
    ("options", "X"), FORMS, ids=lambda each: str(each) if isinstance(each, dict) else ""
)
def test_forms(options: dict[str, Any], X: NDArray[Any], tmp_path: Path) -> None:
    """Every form of data comes back in shape and kind, and a saved model gives the same bits."""
    model = Autoencoder(4, **options, **QUICK).fit(X)
    codes = model.transform(X)
    assert codes.shape == (len(X), 4)
    for restored in (model.reconstruct(X), model.inverse_transform(codes)):
        assert restored.shape == X.shape
        assert restored.dtype == (np.float32 if X.dtype == bool else X.dtype)
    loaded = regen.load(regen.save(model, tmp_path / "model"))
    assert np.array_equal(loaded.transform(X), codes)
    assert np.array_equal(loaded.score_samples(X), model.score_samples(X))
    assert np.array_equal(model.reconstruct(X), model.inverse_transform(codes))


@pytest.mark.parametrize("backbone", ["auto", "elman", regen.cells.Jordan("tanh", 5)], ids=str)
def test_ragged_sequences(backbone: Any, tmp_path: Path) -> None:
    """Each keeps its length; what else is in the batch, and its padding, changes nothing."""
    X = ragged()
    X[3][1, 1] = np.nan
    model = Autoencoder(4, backbone, **QUICK).fit(X)
    restored = model.reconstruct(X)
    assert [each.shape for each in restored] == [each.shape for each in X]
    assert not any(np.isnan(each).any() for each in restored)
    alone = np.concatenate([model.score_samples([each]) for each in X])
    np.testing.assert_allclose(alone, model.score_samples(X), rtol=1e-5)
    lengths = [len(each) for each in X]
    for a, b in zip(model.inverse_transform(model.transform(X), lengths), restored, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.array_equal(regen.load(regen.save(model, tmp_path / "m")).transform(X), model.transform(X))


def test_a_sequence_is_restored_not_shifted() -> None:
    """Sequences of one sine each: restored far better than by their mean, and worse when compared a step off."""
    t = np.arange(16)
    chance = np.random.default_rng(0)
    X = np.sin(0.4 * t + chance.uniform(0, 6.28, (300, 1)))[:, :, None]
    model = Autoencoder(2, "gru", max_epochs=60, learning_rate=1e-2, random_state=0).fit(X)
    error = np.square(model.reconstruct(X) - X).mean()
    assert error < 0.1 * X.var()
    assert np.square(model.reconstruct(X)[:, 1:] - X[:, :-1]).mean() > 2 * error


def test_dataframe() -> None:
    """Columns of every kind come back as they were; codes as a dataframe when asked."""
    chance = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "size": chance.normal(5, 2, 200),
            "kind": chance.choice(["x", "y", "z"], 200),
            "ok": chance.random(200) > 0.5,
            "n": chance.poisson(3, 200),
        },
        index=np.arange(200) + 7,
    )
    X.loc[10, "kind"] = None
    X.loc[11, "size"] = np.nan
    model = Autoencoder(2, **QUICK).set_output(transform="pandas").fit(X)
    codes, restored = model.transform(X), model.reconstruct(X)
    assert list(codes.columns) == ["autoencoder0", "autoencoder1"]
    assert list(restored.columns) == list(X.columns)
    assert restored["kind"].isin(["x", "y", "z"]).all()
    assert restored["size"].notna().all()
    assert restored["n"].min() >= 0
    assert list(model.feature_names_in_) == list(X.columns)
    with pytest.raises(ValueError, match="feature names"):
        model.transform(X.rename(columns={"n": "m"}))


def test_same_seed_same_bits() -> None:
    """Twice the same, and another seed another net."""
    first, second, other = (Autoencoder(4, max_epochs=2, random_state=seed).fit(DIGITS) for seed in (0, 0, 1))
    assert np.array_equal(first.transform(DIGITS), second.transform(DIGITS))
    assert not np.array_equal(first.transform(DIGITS), other.transform(DIGITS))
    assert np.array_equal(first.score_samples(DIGITS), first.score_samples(DIGITS))


def test_resumed_as_uninterrupted(tmp_path: Path) -> None:
    """A run that was cut and taken up again has the bits of one that was not."""
    plan = {"checkpoint": tmp_path / "run"}
    whole = Autoencoder(4, penalty={"l1": 0.01}, **QUICK).fit(DIGITS)
    Autoencoder(4, penalty={"l1": 0.01}, **QUICK, training=plan | {"max_steps": 14}).fit(DIGITS)
    resumed = Autoencoder(4, penalty={"l1": 0.01}, **QUICK, training=plan).fit(DIGITS)
    assert "Resumed" in resumed.stopped_
    assert np.array_equal(whole.transform(DIGITS), resumed.transform(DIGITS))


def test_error_is_that_of_what_was_observed() -> None:
    """The score of a row with gaps is minus the mean squared error, in deviations, of the cells that are there."""
    X = DIGITS[:, 2:6].copy()
    X[::3, 1] = np.nan
    X[5, :3] = np.nan
    model = Autoencoder(2, **QUICK, output="real", training={"validation": 0}).fit(X)
    scale = np.nanstd(X, axis=0)
    away = np.square((model.reconstruct(X) - X) / scale)
    np.testing.assert_allclose(model.score_samples(X), -np.nanmean(away, axis=1), rtol=1e-4)
    np.testing.assert_allclose(model.reconstruction_error(X), np.nanmean(away, axis=1), rtol=1e-4)
    twin = np.nan_to_num(away).mean(axis=1)  # a gap counted as no error
    assert not np.allclose(model.reconstruction_error(X), twin, rtol=1e-2)


def test_the_loss_is_that_of_what_was_observed() -> None:
    """Mean over the observed cells of a batch; gradients are finite, and a gap sends none."""
    X = DIGITS[:, 2:6].copy()
    X[::2, 0] = np.nan
    model = Autoencoder(2, **QUICK, output="real").fit(X)
    x = torch.tensor([[float("nan"), 1.0, 2.0, 3.0], [0.5, float("nan"), float("nan"), 1.0]])
    objective = model.prepare(X).objective
    rows = Ragged.from_block(x)
    inputs = objective.model.inputs(RowBatch(rows.values, None, None, rows.observed))
    outputs = objective.model.outputs(objective.model.codes(inputs), inputs)
    expected = (outputs - x)[~x.isnan()].square().mean()
    loss = objective.loss(inputs, None)["loss"]
    torch.testing.assert_close(loss, expected)
    gradients = torch.autograd.grad(loss, list(model.net_.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_anomalies() -> None:
    """As many of the rows of fit as asked are called anomalies, and rows from elsewhere nearly all."""
    model = Autoencoder(8, contamination=0.05, max_epochs=20, random_state=0).fit(DIGITS)
    assert np.mean(model.predict(DIGITS) == -1) == pytest.approx(0.05, abs=0.003)
    noise = np.random.default_rng(0).uniform(0, 16, DIGITS.shape)
    assert np.mean(model.predict(noise) == -1) > 0.9
    assert model.score(DIGITS) > model.score(noise)
    np.testing.assert_array_equal(
        model.decision_function(noise), model.score_samples(noise) - model.threshold_
    )


def test_penalties() -> None:
    """Each presses what it is a penalty on."""

    def jacobian(model: Autoencoder) -> float:
        x = torch.from_numpy(model.prepare(DIGITS[:20]).rows.values.numpy())
        slopes = torch.func.vmap(torch.func.jacrev(lambda row: model.encoder_(row[None])[0]))(x)
        return float(slopes.detach().square().sum((1, 2)).mean())

    plain = Autoencoder(8, max_epochs=10, random_state=0).fit(DIGITS)
    sparse = Autoencoder(8, penalty={"l1": 0.1}, max_epochs=10, random_state=0).fit(DIGITS)
    seldom = Autoencoder(8, penalty={"kl": 1.0}, max_epochs=10, random_state=0).fit(DIGITS)
    stiff = Autoencoder(8, penalty={"contractive": 0.1}, max_epochs=10, random_state=0).fit(DIGITS)
    assert np.abs(sparse.transform(DIGITS)).mean() < 0.5 * np.abs(plain.transform(DIGITS)).mean()
    assert jacobian(stiff) < 0.5 * jacobian(plain)
    often, rarely = ((1 / (1 + np.exp(-model.transform(DIGITS)))).mean(0) for model in (plain, seldom))
    assert np.abs(rarely - SPARSITY).max() < 0.5 * np.abs(often - SPARSITY).min()
    assert {"train.error", "train.contractive", "validation.error"} <= set(stiff.history_)


def test_pretraining() -> None:
    """Layers that have learned to restore each other's outputs begin a deep net of sigmoids further on."""
    deep = {"code": 8, "hidden": (64,) * 6, "activation": "sigmoid", "max_epochs": 20, "random_state": 0}
    plain = Autoencoder(**deep).fit(DIGITS)
    begun = Autoencoder(**deep, pretraining=True).fit(DIGITS)
    assert begun.score(DIGITS) > plain.score(DIGITS) + 0.03


def test_as_a_citizen_of_scikit_learn() -> None:
    """Before a classifier, searched over, cloned, in two processes."""
    y = load_digits().target[:400]
    pipeline = make_pipeline(Autoencoder(8, max_epochs=10, random_state=0), LogisticRegression(max_iter=500))
    assert cross_val_score(pipeline, DIGITS, y, cv=2).mean() > 0.6
    search = GridSearchCV(Autoencoder(max_epochs=4, random_state=0), {"code": [1, 16]}, cv=2, n_jobs=2)
    assert search.fit(DIGITS).best_params_ == {"code": 16}
    copy = clone(Autoencoder(3, "conv", penalty={"l1": 0.5}))
    assert (copy.code, copy.backbone, copy.penalty) == (3, "conv", {"l1": 0.5})


def with_gaps() -> NDArray[np.float64]:
    """Digits of which every fifth pixel is missing."""
    X = DIGITS[:60].copy()
    X.flat[::5] = np.nan
    return X


@pytest.mark.parametrize("X", [DIGITS[:60], with_gaps(), DIGITS[:60].reshape(-1, 1, 8, 8), ragged()], ids=str)
def test_encoder_and_decoder_apart(X: Any) -> None:
    """Two torch modules, which need nothing else to make what transform and inverse_transform do.

    Rows that are not scaled have other codes, and so have gaps that the encoder is not told of.
    """
    model = Autoencoder(4, output="real", **QUICK).fit(X)
    x, observed, lengths = model.encoder_inputs(X)
    with torch.no_grad():
        code = model.encoder_(x, observed, lengths)
        np.testing.assert_allclose(code.numpy(), model.transform(X), atol=1e-5)
        assert model.decoder_(code, x.shape[1], lengths).shape == x.shape
        assert (lengths is not None) == isinstance(X, list)
        if observed is not None:
            assert not torch.allclose(model.encoder_(x, ~observed, lengths), code, atol=1e-2)
        assert not torch.allclose(model.encoder_(3 * x, observed, lengths), code, atol=1e-2)


def test_nonnegative_data_stay_so() -> None:
    """Also from codes that no row has."""
    model = Autoencoder(2, output="nonnegative", **QUICK).fit(DIGITS)
    assert (model.inverse_transform(np.random.default_rng(0).normal(0, 50, (99, 2))) >= 0).all()
    assert (model.reconstruct(DIGITS) >= 0).all()


REFUSALS: list[tuple[dict[str, Any], Any, str]] = [
    (
        {},
        DIGITS.reshape(-1, 8, 8),
        "X of shape (400, 8, 8) may be images (n, Y, X) or sequences (n, T, F). Say which: backbone='conv' or"
        " backbone='recurrent'.",
    ),
    (
        {"backbone": "conv"},
        DIGITS,
        "backbone='conv' needs images (n, Y, X) or (n, C, Y, X), or image_shape=(Y, X) for flat ones. Got X of"
        " shape (400, 64).",
    ),
    (
        {"pretraining": True, "hidden": ()},
        DIGITS,
        "pretraining=True is for dense nets with hidden layers. Got backbone='auto', hidden=(); take"
        " pretraining=False.",
    ),
    (
        {"pretraining": True, "image_shape": (8, 8)},
        DIGITS,
        "pretraining=True needs a dense net, and the net of these data is not dense. Take backbone='mlp'.",
    ),
    (
        {"penalty": {"l2": 1.0}},
        DIGITS,
        "The 'penalty' parameter of Autoencoder must be None or a dict of weights for some of 'l1', 'kl',"
        " 'contractive'. Got {'l2': 1.0} instead.",
    ),
    (
        {"hidden": (0,)},
        DIGITS,
        "The 'hidden' parameter of Autoencoder must be one of 'auto' or an int in [1, inf) or a tuple of ints in"
        " [1, inf), which may be empty. Got (0,) instead.",
    ),
    (
        {"backbone": "lstn"},
        DIGITS,
        "Got 'lstn' instead. Did you mean 'lstm'?",
    ),
    (
        {"contamination": 0.7},
        DIGITS,
        "The 'contamination' parameter of Autoencoder must be a number in (0, 0.5]. Got 0.7 instead.",
    ),
    (
        {"tied": True, "backbone": "gru"},
        DIGITS,
        "tied=True needs dense layers. Use backbone='mlp' instead of",
    ),
    (
        {"training": {"loss": "cross_entropy"}},
        DIGITS,
        "loss='cross_entropy' is for binary, [0, 1] and categorical data, and some of these are read as",
    ),
    ({}, np.full((50, 3), np.nan), "Column 0 of X has only missing values. Leave it out, or give values."),
]


@pytest.mark.parametrize(("options", "X", "words"), REFUSALS)
def test_refusals(options: dict[str, Any], X: Any, words: str) -> None:
    """One sentence each, before anything is trained; what was fitted before stays."""
    model = Autoencoder(2, **QUICK).fit(DIGITS[:, :9])
    before = model.transform(DIGITS[:, :9])
    parameters = model.get_params(deep=False)
    with pytest.raises(ValueError, match=re.escape(words)):
        model.set_params(**options).fit(X)
    assert np.array_equal(model.set_params(**parameters).transform(DIGITS[:, :9]), before)


def test_refusals_of_codes() -> None:
    """Codes of another width, lengths of what has none, lengths that are none."""
    model = Autoencoder(2, **QUICK).fit(DIGITS)
    with pytest.raises(ValueError, match=r"^Z has 3 columns; the code has 2 units\.$"):
        model.inverse_transform(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="lengths are for sequences; this estimator was not fitted on any"):
        model.inverse_transform(np.zeros((4, 2)), [1, 2, 3, 4])
    model = Autoencoder(2, **QUICK).fit(ragged())
    with pytest.raises(ValueError, match="lengths must be 4 whole numbers of at least 1, one for each code"):
        model.inverse_transform(np.zeros((4, 2)), [1, 0, 3, 4])
