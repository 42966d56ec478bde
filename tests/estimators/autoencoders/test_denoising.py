"""DenoisingAutoencoder: noise removed, missing values imputed, observed values left as they are."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.datasets import load_digits

import regen
from regen import DenoisingAutoencoder

ROWS = 400


def related(seed: int = 0, rows: int = ROWS) -> np.ndarray:
    """Six columns made of two latent causes, with a little noise."""
    rng = np.random.default_rng(seed)
    causes = rng.normal(size=(rows, 2))
    mixed = causes @ rng.normal(size=(2, 6)) + 0.05 * rng.normal(size=(rows, 6))
    return mixed * [1, 10, 0.1, 1, 5, 2] + [0, 100, 3, -4, 0, 1]


def with_gaps(X: np.ndarray, share: float = 0.2, seed: int = 1) -> np.ndarray:
    """X with a share of its cells missing."""
    gaps = np.random.default_rng(seed).random(X.shape) < share
    return np.where(gaps, np.nan, X)


def quick(**options) -> DenoisingAutoencoder:
    """A small net, trained for a short time."""
    defaults = {"code": 16, "hidden": (32,), "max_epochs": 40, "learning_rate": 3e-3, "random_state": 0}
    return DenoisingAutoencoder(**(defaults | options))


def error(X: np.ndarray, filled: np.ndarray, gaps: np.ndarray) -> float:
    """Root mean squared error of the filled cells, in standard deviations of their columns."""
    return float(np.sqrt((((filled - X) / X.std(0))[gaps] ** 2).mean()))


@pytest.fixture(scope="module")
def imputer() -> DenoisingAutoencoder:
    """Fitted on rows with gaps."""
    return quick(noise=0.1, max_epochs=80).fit(with_gaps(related()))


def test_gaps_are_filled_from_the_other_cells(imputer):
    """Far nearer to the truth than the means, on rows of fit and on new rows; observed cells are the same bits."""
    for seed in (0, 5):
        X = related(seed=0) if seed == 0 else related(seed=0)[::-1].copy()
        gappy = with_gaps(X, seed=1 + seed)
        gaps = np.isnan(gappy)
        filled = imputer.impute(gappy)
        assert filled.dtype == X.dtype
        assert filled[~gaps].tobytes() == X[~gaps].tobytes()
        assert error(X, filled, gaps) < 0.45
        assert error(X, np.broadcast_to(X.mean(0), X.shape), gaps) > 0.8


def test_complete_data_are_the_identity(imputer):
    """Rows without gaps are returned as they are, with draws or expected values."""
    X = related()
    assert imputer.impute(X).tobytes() == X.tobytes()
    for drawn in imputer.impute(X, n_draws=2, random_state=0):
        assert drawn.tobytes() == X.tobytes()


def test_a_row_of_gaps_only(imputer):
    """It is filled with numbers, near the means."""
    X = related()
    row = imputer.impute(np.full((1, 6), np.nan))
    assert (np.abs(row - X.mean(0)) < 2 * X.std(0)).all()


def test_draws_are_as_uncertain_as_the_values(imputer):
    """The spread of the draws is that of the errors of the mean; the same seed gives the same draws."""
    X = related()
    gappy = with_gaps(X)
    gaps = np.isnan(gappy)
    draws = np.stack(imputer.impute(gappy, n_draws=20, random_state=3))
    assert draws.shape == (20, *X.shape)
    assert (draws[:, ~gaps] == X[~gaps]).all()
    spread = np.sqrt((draws.var(0, ddof=1) / X.var(0))[gaps].mean())
    assert 0.6 < spread / error(X, imputer.impute(gappy), gaps) < 1.6
    low, high = np.quantile(draws[:, gaps], [0.05, 0.95], axis=0)
    assert 0.75 < ((low <= X[gaps]) & (X[gaps] <= high)).mean() <= 0.97
    again = np.stack(imputer.impute(gappy, n_draws=20, random_state=3))
    assert np.array_equal(again, draws)
    assert not np.array_equal(np.stack(imputer.impute(gappy, n_draws=20, random_state=4)), draws)


def test_drawn_gaps_of_a_row_go_together():
    """Two equal columns are drawn nearly equal where both are missing: each draw depends on the ones before."""
    x = np.random.default_rng(0).normal(size=(600, 1))
    X = np.hstack([x, x, np.random.default_rng(1).normal(size=(600, 1))])
    model = quick(noise=0.05, max_epochs=60).fit(with_gaps(X, 0.4))
    test = X.copy()
    test[:, :2] = np.nan
    drawn = model.impute(test, n_draws=1, random_state=0)[0]
    assert np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1] > 0.6
    assert drawn[:, 0].std() > 0.7


def test_the_global_generators_are_left_alone(imputer):
    """Neither fit nor draws move torch's or numpy's own generators."""
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    quick(max_epochs=2).fit(with_gaps(related()))
    imputer.impute(with_gaps(related()), n_draws=2, random_state=0)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()


@pytest.mark.parametrize(("corruption", "noise"), [("gaussian", 0.5), ("salt_pepper", 0.2), ("mask", 0.3)])
def test_digits_are_denoised(corruption, noise):
    """Restored digits are nearer to the clean ones than the noisy ones are."""
    X = load_digits().data[:600] / 16
    rng = np.random.default_rng(0)
    net = {"hidden": (128,), "code": 32, "max_epochs": 20, "learning_rate": 8e-3}
    model = quick(noise=noise, corruption=corruption, **net).fit(X)
    worse = X.copy()
    if corruption == "gaussian":
        worse += 0.3 * rng.normal(size=X.shape)
        corrupted = worse
    elif corruption == "salt_pepper":
        spots = rng.random(X.shape) < 0.2
        worse[spots] = rng.integers(0, 2, spots.sum())
        corrupted = worse
    else:
        gone = rng.random(X.shape) < 0.3
        corrupted, worse = np.where(gone, np.nan, X), np.where(gone, X.mean(0), X)
    restored = model.denoise(corrupted)
    assert restored.shape == X.shape
    assert ((restored - X) ** 2).mean() < 0.75 * ((worse - X) ** 2).mean()
    assert np.array_equal(restored, model.reconstruct(corrupted))


def test_a_callable_corrupts():
    """It receives the batch and the generator; NaN in its result hides cells, which then are imputed."""
    widths = []

    def lose_the_first(x, generator):
        widths.append(x.shape[1])
        gone = torch.rand(len(x), generator=generator) < 0.5
        return torch.where(gone[:, None] & (torch.arange(x.shape[1]) == 0), torch.nan, x)

    X = related()
    model = quick(corruption=lose_the_first).fit(X)
    assert set(widths) == {6}
    gappy = X.copy()
    gappy[::2, 0] = np.nan
    gaps = np.isnan(gappy)
    assert error(X, model.impute(gappy), gaps) < 0.5


def test_masked_training_learns_to_impute_from_complete_rows():
    """With corruption="mask" fit needs no missing values."""
    X = related()
    model = quick(corruption="mask", max_epochs=80).fit(X)
    gappy = with_gaps(X)
    assert error(X, model.impute(gappy), np.isnan(gappy)) < 0.45


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_mixed_dataframes(library):
    """Numbers, counts, truth values and text are filled in, each with its type, in a table of the same library."""
    rng = np.random.default_rng(0)
    size = rng.normal(size=300)
    table = pd.DataFrame(
        {
            "size": size,
            "large": pd.array(size > 0, dtype="boolean"),
            "town": pd.array(np.where(size > 0.5, "Rome", "Oslo"), dtype="str"),
            "visits": pd.array(rng.poisson(np.exp(size)), dtype="Int64"),
        },
        index=np.arange(300) * 2,
    )
    whole = table.copy()
    for name in table.columns:
        table.loc[rng.random(300) < 0.15, name] = None
    X = table if library == "pandas" else pl.from_pandas(table)
    model = quick(max_epochs=60, output="auto").fit(X)
    filled = model.impute(X)
    drawn = model.impute(X, n_draws=2, random_state=0)
    for result in (filled, *drawn):
        if library == "polars":
            assert result.schema == X.schema
            result = result.to_pandas().set_axis(table.index)
        else:
            assert (result.dtypes == table.dtypes).all()
            assert result.index.equals(table.index)
        assert not result.isna().any().any()
        for name in table.columns:
            seen = table[name].notna()
            assert (result[name][seen] == whole[name][seen]).all()
    filled = filled if library == "pandas" else filled.to_pandas().set_axis(table.index)
    lost = table["large"].isna() & table["size"].notna()
    assert (filled["large"][lost] == whole["large"][lost]).mean() > 0.85
    lost = table["town"].isna() & table["size"].notna()
    assert (filled["town"][lost] == whole["town"][lost]).mean() > 0.8


def test_images_are_imputed():
    """Erased halves of digits are restored; the other halves stay as they are."""
    X = load_digits().images[:400] / 16
    model = quick(corruption="mask", noise=0.4, hidden=(8, 16), code=32, max_epochs=15).fit(X[:, None])
    half = X[:, None].copy()
    half[:, :, 5:] = np.nan
    filled = model.impute(half)
    assert filled.shape == half.shape
    assert (filled[:, :, :5] == X[:, None, :5]).all()
    lost = X[:, None, 5:]
    assert ((filled[:, :, 5:] - lost) ** 2).mean() < ((lost - lost.mean(0)) ** 2).mean()
    assert len(model.impute(half, n_draws=2, random_state=0)) == 2


@pytest.mark.parametrize("ragged", [False, True])
def test_sequences_are_imputed(ragged):
    """Steps that are missing are filled in, in sequences of one length or of many."""
    waves = [np.sin(np.arange(12 - (k % 3 if ragged else 0)) / 2 + k)[:, None] for k in range(120)]
    gappy = [wave.copy() for wave in waves]
    for k, wave in enumerate(gappy):
        wave[k % 9] = np.nan
    X = gappy if ragged else np.stack(gappy)
    model = quick(backbone="gru", hidden=16, code=8, max_epochs=5).fit(X)
    for filled in (model.impute(X), *model.impute(X, n_draws=2, random_state=0)):
        for k, wave in enumerate(filled):
            seen = ~np.isnan(gappy[k])
            assert (wave[seen] == waves[k][seen]).all()
            assert not np.isnan(wave).any()


def test_constant_columns():
    """A column that never varies is filled with its value, nearly."""
    X = related()
    X[:, 2] = 7.5
    filled = quick().fit(with_gaps(X)).impute(with_gaps(X))
    assert np.abs(filled[:, 2] - 7.5).max() < 0.5


def test_saved_and_loaded(imputer, tmp_path):
    """A loaded model gives the same bits: codes, imputations and draws."""
    gappy = with_gaps(related(), seed=9)
    regen.save(imputer, tmp_path / "model")
    again = regen.load(tmp_path / "model")
    assert np.array_equal(again.transform(gappy), imputer.transform(gappy))
    assert np.array_equal(again.impute(gappy), imputer.impute(gappy))
    assert np.array_equal(
        again.impute(gappy, n_draws=1, random_state=0)[0], imputer.impute(gappy, n_draws=1, random_state=0)[0]
    )


def test_a_loaded_model_corrupts_rows_as_before(tmp_path):
    """Salt and pepper are the extremes of fit, which are saved."""
    X = related()
    model = quick(corruption="salt_pepper", noise=0.2, max_epochs=1).fit(X)
    found = []
    for each in (model, regen.load(regen.save(model, tmp_path / "model"))):
        objective, _, rows = each.prepare(X)
        rng = torch.Generator().manual_seed(0)
        found.append(objective.corrupt(objective.model.one_batch(rows), rng)[0].x)
    assert torch.equal(*found)


def test_fit_repeats():
    """The same seed, the same bits; another one, others."""
    gappy = with_gaps(related())
    first, same, other = (quick(max_epochs=3, random_state=seed).fit(gappy) for seed in (0, 0, 1))
    assert np.array_equal(first.impute(gappy), same.impute(gappy))
    assert not np.array_equal(first.impute(gappy), other.impute(gappy))


def test_history_of_hidden_and_visible_values(imputer):
    """Where cells are hidden, their loss is recorded, and that of the others."""
    names = {name.rpartition(".")[2] for name in imputer.history_.columns}
    assert {"hidden", "visible"} <= names


def test_a_wide_code_has_no_warning():
    """A code wider than the row is common here: corrupted rows cannot be copied."""
    quick(code=50, max_epochs=1).fit(related())


@pytest.mark.parametrize(
    "kind", [regen.DenoisingAutoencoder, regen.Autoencoder, regen.VariationalAutoencoder]
)
def test_a_pixel_that_no_image_has(kind):
    """The other pixels are learned, and it is restored and imputed with a finite number."""
    X = load_digits().images[:200].copy()
    X[:, 2, 3] = np.nan
    model = kind(code=4, backbone="conv", hidden=(8, 8), max_epochs=3, random_state=0)
    model.fit(X)
    assert np.isfinite(model.history_.filter(like="loss").dropna(axis=1).to_numpy()).all()
    assert model.stopped_ == "Reached max_epochs=3."
    restored = model.reconstruct(X)
    assert np.isfinite(restored).all()
    if kind is not regen.Autoencoder:
        filled = model.impute(X)
        assert np.isfinite(filled).all()
        observed = ~np.isnan(X)
        assert filled[observed].tobytes() == X[observed].tobytes()
