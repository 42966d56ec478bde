"""Autoencoder: codes, reconstructions, scores, penalties and pretraining of every modality."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

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


MODALITIES = [
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


def test_pixels_of_a_frame_keep_their_columns() -> None:
    """Flat images with named pixels: other names, or the same in another order, are refused at use."""
    names = [f"p{k}" for k in range(16)]
    X = pd.DataFrame(np.random.default_rng(0).random((30, 16)), columns=names)
    model = regen.Autoencoder(2, image_shape=(4, 4), hidden=(8,), max_epochs=1, random_state=0).fit(X)
    assert model.feature_names_in_.tolist() == names
    assert model.transform(X).shape == (30, 2)
    for other in (X.rename(columns={"p3": "q3"}), X[names[::-1]]):
        with pytest.raises(
            ValueError, match="The feature names should match those that were passed during fit"
        ):
            model.transform(other)


@pytest.mark.parametrize(
    ("options", "X"), MODALITIES, ids=lambda each: str(each) if isinstance(each, dict) else ""
)
def test_modalities(options: dict[str, Any], X: NDArray[Any], tmp_path: Path) -> None:
    """Data of every modality come back in shape and type, and a saved model gives the same bits."""
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
    """Each keeps its length; the other rows of its batch, and its padding, change nothing."""
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
    """Sines are restored far better than by their mean, and worse when compared one step off."""
    t = np.arange(16)
    rng = np.random.default_rng(0)
    X = np.sin(0.4 * t + rng.uniform(0, 6.28, (300, 1)))[:, :, None]
    model = Autoencoder(2, "gru", max_epochs=60, learning_rate=1e-2, random_state=0).fit(X)
    error = np.square(model.reconstruct(X) - X).mean()
    assert error < 0.1 * X.var()
    assert np.square(model.reconstruct(X)[:, 1:] - X[:, :-1]).mean() > 2 * error


def test_dataframe() -> None:
    """Columns of every kind keep their types; codes are a dataframe with set_output."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "size": rng.normal(5, 2, 200),
            "kind": rng.choice(["x", "y", "z"], 200),
            "ok": rng.random(200) > 0.5,
            "n": rng.poisson(3, 200),
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
    """The same seed gives the same net, another seed another one."""
    first, second, other = (Autoencoder(4, max_epochs=2, random_state=seed).fit(DIGITS) for seed in (0, 0, 1))
    assert np.array_equal(first.transform(DIGITS), second.transform(DIGITS))
    assert not np.array_equal(first.transform(DIGITS), other.transform(DIGITS))
    assert np.array_equal(first.score_samples(DIGITS), first.score_samples(DIGITS))


def test_resumed_as_uninterrupted(tmp_path: Path) -> None:
    """An interrupted and resumed training gives the bits of an uninterrupted one."""
    plan = {"checkpoint": tmp_path / "run"}
    whole = Autoencoder(4, penalty={"l1": 0.01}, **QUICK).fit(DIGITS)
    Autoencoder(4, penalty={"l1": 0.01}, **QUICK, training=plan | {"max_steps": 14}).fit(DIGITS)
    resumed = Autoencoder(4, penalty={"l1": 0.01}, **QUICK, training=plan).fit(DIGITS)
    assert "Resumed" in resumed.stopped_
    assert np.array_equal(whole.transform(DIGITS), resumed.transform(DIGITS))


def test_the_error_is_that_of_observed_values() -> None:
    """The score of a row with gaps is minus the mean squared error, in deviations, of its observed cells."""
    X = DIGITS[:, 2:6].copy()
    X[::3, 1] = np.nan
    X[5, :3] = np.nan
    model = Autoencoder(2, **QUICK, output="real", training={"validation": 0}).fit(X, bounds=None)
    scale = np.nanstd(X, axis=0)
    squared = np.square((model.reconstruct(X) - X) / scale)
    np.testing.assert_allclose(model.score_samples(X), -np.nanmean(squared, axis=1), rtol=1e-4)
    np.testing.assert_allclose(model.reconstruction_error(X), np.nanmean(squared, axis=1), rtol=1e-4)
    twin = np.nan_to_num(squared).mean(axis=1)  # a gap counted as no error
    assert not np.allclose(model.reconstruction_error(X), twin, rtol=1e-2)


def test_the_loss_is_that_of_observed_values() -> None:
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
    """The share `contamination` of the rows of fit is labelled as anomalies, and nearly all rows of noise."""
    model = Autoencoder(8, contamination=0.05, max_epochs=20, random_state=0).fit(DIGITS)
    assert np.mean(model.predict(DIGITS) == -1) == pytest.approx(0.05, abs=0.003)
    noise = np.random.default_rng(0).uniform(0, 16, DIGITS.shape)
    assert np.mean(model.predict(noise) == -1) > 0.9
    assert model.score(DIGITS) > model.score(noise)
    np.testing.assert_array_equal(
        model.decision_function(noise), model.score_samples(noise) - model.threshold_
    )


def test_penalties() -> None:
    """Each penalty reduces what it penalizes."""

    def jacobian(model: Autoencoder) -> float:
        x = torch.from_numpy(model.prepare(DIGITS[:20]).rows.values.numpy())
        jacobians = torch.func.vmap(torch.func.jacrev(lambda row: model.encoder_(row[None])[0]))(x)
        return float(jacobians.detach().square().sum((1, 2)).mean())

    plain = Autoencoder(8, max_epochs=10, random_state=0).fit(DIGITS)
    sparse = Autoencoder(8, penalty={"l1": 0.1}, max_epochs=10, random_state=0).fit(DIGITS)
    rare = Autoencoder(8, penalty={"kl": 1.0}, max_epochs=10, random_state=0).fit(DIGITS)
    contractive = Autoencoder(8, penalty={"contractive": 0.1}, max_epochs=10, random_state=0).fit(DIGITS)
    assert np.abs(sparse.transform(DIGITS)).mean() < 0.5 * np.abs(plain.transform(DIGITS)).mean()
    assert jacobian(contractive) < 0.5 * jacobian(plain)
    activity, sparse_activity = (
        (1 / (1 + np.exp(-model.transform(DIGITS)))).mean(0) for model in (plain, rare)
    )
    assert np.abs(sparse_activity - SPARSITY).max() < 0.5 * np.abs(activity - SPARSITY).min()
    assert {"train.error", "train.contractive", "validation.error"} <= set(contractive.history_)


def test_pretraining() -> None:
    """A deep net of sigmoids with pretrained layers has a higher score after as many epochs."""
    deep = {"code": 8, "hidden": (64,) * 6, "activation": "sigmoid", "max_epochs": 20, "random_state": 0}
    plain = Autoencoder(**deep).fit(DIGITS)
    pretrained = Autoencoder(**deep, pretraining=True).fit(DIGITS)
    assert pretrained.score(DIGITS) > plain.score(DIGITS) + 0.03


def with_gaps() -> NDArray[np.float64]:
    """Digits with every fifth pixel missing."""
    X = DIGITS[:60].copy()
    X.flat[::5] = np.nan
    return X


@pytest.mark.parametrize("X", [DIGITS[:60], with_gaps(), DIGITS[:60].reshape(-1, 1, 8, 8), ragged()], ids=str)
def test_encoder_and_decoder_alone(X: Any) -> None:
    """Two torch modules, which give the codes of transform with the inputs of `encoder_inputs`.

    Other scales and another mask give other codes.
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


def test_nonnegative_data_stay_nonnegative() -> None:
    """For any code, also those of no row."""
    model = Autoencoder(2, output="nonnegative", **QUICK).fit(DIGITS)
    assert (model.inverse_transform(np.random.default_rng(0).normal(0, 50, (99, 2))) >= 0).all()
    assert (model.reconstruct(DIGITS) >= 0).all()
