"""VariationalAutoencoder: training, likelihoods, modalities, diagnosis of collapse, saving."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

import regen
from regen.estimators.autoencoders.elbo import KLWarmup
from regen.estimators.autoencoders.vae import KIND_OF_LIKELIHOOD, VariationalAutoencoder

COLLAPSED = (
    "None of the 2 units of the code depends on the rows: its posterior has collapsed onto the prior. Take a smaller "
    "code, a longer warmup, free_bits of 0.1 or more, a beta below 1, or train for longer."
)
Floats = NDArray[np.float64]


def rows(n: int = 120, seed: int = 0) -> Floats:
    """Rows (n, 6) on a curve, with noise."""
    rng = np.random.default_rng(seed)
    t = rng.uniform(-1, 1, (n, 2))
    return np.c_[t, t**2, t[:, :1] * t[:, 1:], t.sum(1)] + 0.05 * rng.normal(size=(n, 6))


def model(**options: Any) -> VariationalAutoencoder:
    """A small model, trained for a short time."""
    training = {"batch_size": 40, **options.pop("training", {})}
    defaults = {"code": 2, "hidden": (16,), "max_epochs": 15, "learning_rate": 1e-2, "random_state": 0}
    return VariationalAutoencoder(**defaults | options, training=training)


@pytest.fixture
def quiet() -> Iterator[None]:
    """Short trainings may leave a code unused."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=r"(None|Only \d+) of the \d+ units of the code", category=UserWarning
        )
        yield


X = rows()


def test_fit_learns_and_repeats() -> None:
    """The bound rises above that of an untrained net; the same seed gives the same bits, another one does not."""
    first, again, other = model().fit(X), model().fit(X), model(random_state=1).fit(X)
    history = first.history_
    assert history["train.elbo"].iloc[-1] > history["train.elbo"].iloc[0] + 2
    assert first.active_units_.any()
    assert np.array_equal(first.transform(X), again.transform(X))
    assert np.array_equal(first.score_samples(X), again.score_samples(X))
    assert not np.array_equal(first.transform(X), other.transform(X))
    state = torch.get_rng_state()
    first.sample(3, random_state=0)
    first.log_likelihood(X[:3], samples=10, random_state=0)
    first.impute(X[:3], random_state=0)
    assert torch.equal(state, torch.get_rng_state())


VALUES: dict[str, Any] = {
    "unit": lambda rng, n: rng.beta(0.4, 0.6, (n, 5)).clip(0, 1),
    "counts": lambda rng, n: rng.poisson(rng.gamma(2, 3, (n, 1)), (n, 5)),
    "real": lambda rng, n: rng.normal(size=(n, 5)) * 3 + rng.normal(size=(n, 1)) * 10,
    "nonnegative": lambda rng, n: (rng.normal(size=(n, 5)) + rng.normal(size=(n, 1))).clip(0) * 7,
    "categorical": lambda rng, n: rng.integers(0, 3, (n, 5)) * 2,
}
SUPPORT: dict[str, Any] = {
    "unit": lambda x: (x >= 0) & (x <= 1),
    "counts": lambda x: (x >= 0) & (x == np.rint(x)),
    "real": np.isfinite,
    "nonnegative": lambda x: x >= 0,
    "categorical": lambda x: np.isin(x, (0, 2, 4)),
}


@pytest.mark.parametrize("likelihood", KIND_OF_LIKELIHOOD)
@pytest.mark.usefixtures("quiet")
def test_every_likelihood_trains_and_draws(likelihood: str) -> None:
    """On data of its kind: finite densities, the bound below the evidence, draws within its support."""
    kind = KIND_OF_LIKELIHOOD[likelihood]
    data = VALUES[kind](np.random.default_rng(0), 100)
    fitted = model(likelihood=likelihood, max_epochs=5).fit(data)
    few = fitted.log_likelihood(data, samples=5, random_state=0).mean()
    many = fitted.log_likelihood(data, samples=200, random_state=0).mean()
    assert np.isfinite(many) and few < many
    if kind in ("counts", "categorical") or likelihood == "bernoulli":
        assert (fitted.log_likelihood(data, samples=5, random_state=0) < 0).all()  # a probability
    drawn = fitted.sample(200, random_state=0)
    assert drawn.shape == (200, 5) and SUPPORT[kind](drawn).all()
    if likelihood in ("bernoulli", "binarized"):
        assert set(np.unique(drawn)) <= {0, 1}
    assert fitted.inverse_transform(fitted.transform(data)).shape == data.shape


def test_auto_chooses_for_each_column() -> None:
    """A dataframe of all kinds: each column has its likelihood, and samples are such a dataframe."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": rng.normal(170, 10, 80),
            "paid": rng.gamma(1, 50, 80) * (rng.random(80) < 0.7),
            "visits": rng.poisson(3, 80),
            "member": rng.random(80) < 0.5,
            "town": rng.choice(["Porto", "Braga", "Faro"], 80),
        }
    )
    fitted = model(max_epochs=8, beta=0.5).fit(frame)
    assert sorted(fitted.prepare(frame).model.likelihood.names) == [
        "bernoulli",
        "categorical",
        "negative_binomial",
        "rectified",
        "student",
    ]
    drawn = fitted.sample(50, random_state=0)
    assert list(drawn.columns) == list(frame.columns) and (drawn.dtypes == frame.dtypes).all()
    assert (drawn["paid"] >= 0).all() and (drawn["paid"] == 0).any()
    assert set(drawn["town"]) <= {"Porto", "Braga", "Faro"}
    holes = frame.copy()
    holes.loc[3, "town"] = None
    holes.loc[4, "size"] = np.nan
    filled = fitted.impute(holes, random_state=0)
    assert filled.loc[3, "town"] in {"Porto", "Braga", "Faro"} and 100 < filled.loc[4, "size"] < 240
    pd.testing.assert_frame_equal(filled.drop([3, 4]), frame.drop([3, 4]))
    assert [len(each) for each in fitted.impute(holes, n_draws=2, random_state=0)] == [80, 80]


def test_the_unit_does_not_change_a_probability_of_zero() -> None:
    """Amounts in cents: only what is above 0 has a density per cent; a unit for the zeros too is noticed."""
    amounts = VALUES["nonnegative"](np.random.default_rng(0), 200)
    fits = [model(max_epochs=5, likelihood="rectified", beta=0.1).fit(amounts * unit) for unit in (1, 100)]
    euros, cents = (
        fit.log_likelihood(amounts * unit, samples=50, random_state=0)
        for fit, unit in zip(fits, (1, 100), strict=True)
    )
    expected = euros - np.log(100) * (amounts > 0).sum(1)
    np.testing.assert_allclose(cents, expected, atol=0.05)
    assert np.abs(cents - (euros - np.log(100) * 5)).max() > 4


@pytest.mark.usefixtures("quiet")
def test_missing_values_at_fit_and_later() -> None:
    """Rows with gaps train, code, score and are filled: better than by column means; also gaps that fit had not."""
    complete = rows(400)
    gaps = np.random.default_rng(1).random(complete.shape) < 0.2
    holes = np.where(gaps, np.nan, complete)
    fitted = model(max_epochs=60).fit(holes)
    filled = fitted.impute(holes, random_state=0)
    error = np.sqrt(np.mean((filled - complete)[gaps] ** 2))
    plain = np.sqrt(np.mean((np.nanmean(holes, 0) - complete)[gaps] ** 2))
    assert np.array_equal(filled[~gaps], complete[~gaps]) and error < 0.75 * plain
    assert np.isfinite(fitted.transform(holes)).all() and np.isfinite(fitted.score_samples(holes)).all()
    drawn = fitted.impute(holes[:50], n_draws=20, random_state=0)
    spread = np.std(drawn, axis=0)
    assert (spread[gaps[:50]] > 0).all() and (spread[~gaps[:50]] < 1e-12).all()
    other = model().fit(complete)
    assert np.isfinite(other.log_likelihood(holes, samples=20, random_state=0)).all()
    assert (
        not np.isnan(other.impute(holes, random_state=0)).any() and np.isfinite(other.transform(holes)).all()
    )


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("layout", ["images", "flat", "channels"])
def test_images(layout: str) -> None:
    """Grey images keep their layout and type; missing pixels are filled."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (40, 6, 5), dtype=np.uint8)
    options: dict[str, Any] = {"max_epochs": 2, "hidden": (4, 8)}
    data = {
        "images": pictures,
        "flat": pictures.reshape(40, -1),
        "channels": np.stack([pictures, pictures], 1) / 255,
    }[layout]
    fitted = model(**options, image_shape=(6, 5) if layout == "flat" else None).fit(data)
    drawn = fitted.sample(3, random_state=0)
    assert drawn.shape == (3, *data.shape[1:]) and drawn.dtype == data.dtype
    assert fitted.transform(data).shape == (40, 2)
    assert np.isfinite(fitted.log_likelihood(data[:4], samples=10, random_state=0)).all()
    if layout == "channels":
        holes = data.copy()
        holes[:, :, 2] = np.nan
        filled = fitted.impute(holes, random_state=0, samples=20)
        assert np.array_equal(filled[:, :, 3], data[:, :, 3]) and (filled >= 0).all() and (filled <= 1).all()


def test_drawn_images_are_as_bright_as_the_data() -> None:
    """The bias holds the dark borders: codes stay around 0, and draws have the brightness of the digits.

    With one bias for all cells of a channel the mean of the draws was a fiftieth of that of the digits.
    """
    digits = (regen.datasets.digits()[0][:300] * 255).astype(np.uint8)
    fitted = VariationalAutoencoder(max_epochs=10, learning_rate=2e-3, random_state=0).fit(digits)
    drawn = fitted.sample(300, random_state=0, means=True)
    assert abs(drawn.mean() / digits.mean() - 1) < 0.2
    assert np.corrcoef(drawn.mean(0).ravel(), digits.mean(0).ravel())[0, 1] > 0.95
    assert (np.abs(fitted.transform(digits).mean(0)) < 0.5).all()


@pytest.mark.usefixtures("quiet")
def test_sequences_of_any_length() -> None:
    """Lists of sequences: draws as long as the longest, gaps filled in each, sums over the steps that count."""
    rng = np.random.default_rng(0)
    data = [np.cumsum(rng.normal(size=(4 + k % 5, 2)), 0) for k in range(40)]
    fitted = model(backbone="recurrent", hidden=8, max_epochs=3).fit(data)
    assert fitted.transform(data).shape == (40, 2)
    assert np.shape(fitted.sample(3, random_state=0)) == (3, 8, 2)
    found = fitted.log_likelihood(data, samples=20, random_state=0)
    assert found.shape == (40,) and np.isfinite(found).all()
    alone = fitted.score_samples([data[0]])  # without the padding of longer ones
    np.testing.assert_allclose(alone, fitted.score_samples(data)[:1], rtol=1e-4)
    holes = [each.copy() for each in data]
    holes[0][1, 0] = holes[7][-1] = np.nan
    filled = fitted.impute(holes, random_state=0, samples=50)
    assert [len(each) for each in filled] == [len(each) for each in data]
    assert not any(np.isnan(each).any() for each in filled)
    assert all(np.array_equal(filled[k], data[k]) for k in range(40) if k not in (0, 7))


def test_more_draws_train_on_a_tighter_bound() -> None:
    """importance_samples: the bound is reported, above the ELBO, and minimized."""
    fitted = model(importance_samples=8, max_epochs=8, warmup=0).fit(X)
    terms, history = fitted.elbo_terms_, fitted.history_
    assert set(terms) == {"elbo", "reconstruction", "kl", "bound"} and terms["bound"] > terms["elbo"]
    np.testing.assert_allclose(history["train.loss"] * 6, -history["train.bound"], rtol=1e-4)
    evidence = fitted.log_likelihood(X, samples=2000, random_state=0).mean()
    assert terms["elbo"] < terms["bound"] < evidence + 0.1


@pytest.mark.parametrize("beta", [0.25, 4.0])
def test_the_importance_bound_with_a_weight_of_the_divergence(beta: float) -> None:
    """Training minimises ``log mean p(x|z) (p(z) / q(z|x))**beta``; the bound reported has the weight 1."""
    fitted = model(importance_samples=5, beta=beta, max_epochs=1, warmup=0).fit(X)
    objective, _, encoded = fitted.prepare(X)
    (inputs,) = objective.model.batches(encoded)
    with torch.no_grad():
        terms = objective.loss(inputs, torch.Generator().manual_seed(7))
        mean, log_var = objective.posterior(inputs)
        q = torch.distributions.Normal(mean, (0.5 * log_var).exp())
        noise = torch.empty(5, *mean.shape).normal_(generator=torch.Generator().manual_seed(7))
        z = mean + (0.5 * log_var).exp() * noise
        prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
        ratio = prior - q.log_prob(z).sum(-1)
        density = objective.log_density(objective.model.outputs_of_draws(z, inputs), inputs)
    weighted, plain = (
        torch.logsumexp(density + weight * ratio, 0).mean() - np.log(5) for weight in (beta, 1.0)
    )
    assert abs(float(weighted - plain)) > 0.02, "the two bounds differ enough to tell them apart"
    assert float(terms["loss"]) == pytest.approx(-float(weighted), rel=1e-5)
    assert float(terms["bound"]) == pytest.approx(float(plain), rel=1e-5)


def test_terms_of_the_rows_held_out() -> None:
    """elbo_terms_ are means over the rows held out, of which one here is far away."""
    far = X.copy()
    far[0] += 30
    for seed in range(9):
        fitted = model(random_state=seed, training={"validation": 0.5}, max_epochs=5).fit(far)
        best = fitted.history_.iloc[int(fitted.history_["validation.loss"].argmin())]
        if best["validation.elbo"] < best["train.elbo"] - 50:  # the far row is among them
            break
    else:
        pytest.fail("of nine splits none holds out the far row")
    assert fitted.elbo_terms_["elbo"] == pytest.approx(best["validation.elbo"], rel=0.2)


def test_the_divergence_is_warmed_up() -> None:
    """Its weight rises linearly from 0 to beta; validation has the full weight."""
    warmup = KLWarmup(4.0)
    assert [warmup.weight(2.0) for _ in range(6)] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.0]
    other = KLWarmup(4.0)
    other.load_state_dict(warmup.state_dict())
    assert other.weight(2.0) == 2.0 and KLWarmup(0).weight(3.0) == 3.0
    fitted = model(warmup=10, max_epochs=10, training={"validation": 0.3}).fit(X)
    history = fitted.history_
    beta = (-history["train.reconstruction"] - 6 * history["train.loss"]) / -history["train.kl"]
    steps = history["step"] / history["step"].iloc[-1]
    np.testing.assert_allclose(beta, steps - 0.05, atol=0.06)
    np.testing.assert_allclose(history["validation.loss"] * 6, -history["validation.elbo"], rtol=1e-4)


def test_a_resumed_warm_up_goes_on_where_it_was(tmp_path: Any) -> None:
    """Interrupted during the warm-up: the same bits as without interruption."""
    whole = model(warmup=6, max_epochs=8).fit(X)
    plan = {"checkpoint": str(tmp_path / "run.ckpt")}
    model(warmup=6, max_epochs=3, training=plan).fit(X)
    resumed = model(warmup=6, max_epochs=8, training=plan).fit(X)
    assert "Resumed" in resumed.stopped_
    assert np.array_equal(whole.transform(X), resumed.transform(X))


def test_free_bits_keep_the_code_in_use() -> None:
    """Under a heavy weight the code collapses; with free bits every unit keeps about as many."""
    heavy: dict[str, Any] = {"beta": 20.0, "warmup": 0, "max_epochs": 40}
    with pytest.warns(UserWarning) as warned:
        collapsed = model(**heavy).fit(X)
    assert [str(each.message) for each in warned] == [COLLAPSED]
    assert warned[0].filename == __file__
    assert not collapsed.active_units_.any() and (collapsed.kl_per_unit_ < 0.01).all()
    assert collapsed.elbo_terms_["kl"] >= 0
    free = model(**heavy, free_bits=0.5).fit(X)
    assert (free.kl_per_unit_ > 0.3).all() and (free.kl_per_unit_ < 0.8).all()


def test_a_warning_counts_the_units_in_use() -> None:
    """Of five units for rows on a line, most are unused: the warning has their number."""
    line = rows()[:, :1] * np.arange(1, 7) + 0.1 * np.random.default_rng(1).normal(size=(120, 6))
    with pytest.warns(UserWarning, match=r"^Only 1 of the 5 units of the code depends on the rows: "):
        fitted = model(code=5, max_epochs=60, warmup=0, beta=2.0, hidden=()).fit(line)
    assert fitted.kl_per_unit_.shape == (5,) and fitted.active_units_.sum() == 1
    assert (fitted.kl_per_unit_[fitted.active_units_] > 0.1).all()


@pytest.mark.usefixtures("quiet")
def test_binarized_draws_anew_in_training_only() -> None:
    """Grey values are probabilities in training; rows are scored and encoded as they are."""
    grey = np.random.default_rng(0).beta(0.5, 0.5, (100, 8))
    drawn, fixed = (model(likelihood=name, max_epochs=4).fit(grey) for name in ("binarized", "bernoulli"))
    assert not np.array_equal(drawn.transform(grey), fixed.transform(grey))
    assert np.array_equal(drawn.score_samples(grey), drawn.score_samples(grey))
    assert set(np.unique(drawn.sample(50, random_state=0))) == {0.0, 1.0}
    entropy = -(grey * np.log(grey) + (1 - grey) * np.log(1 - grey)).sum(1).mean()
    assert -drawn.elbo_terms_["elbo"] > entropy - 1  # drawn bits need at least their entropy


def test_rows_far_out_have_finite_scores() -> None:
    """Rows a thousand deviations away have low scores, not NaN."""
    fitted = model().fit(X)
    far = X[:3] * 1000
    for found in (fitted.score_samples(far), fitted.log_likelihood(far, samples=50, random_state=0)):
        assert np.isfinite(found).all() and (found < fitted.score_samples(X).min()).all()
    assert (fitted.predict(far) == -1).all()


def test_half_precision_keeps_densities_whole() -> None:
    """Products in bfloat16, divergences and densities in float32: nearly the same bound."""
    half = model(training={"precision": "bfloat16"}).fit(X)
    assert half.elbo_terms_["elbo"] == pytest.approx(model().fit(X).elbo_terms_["elbo"], abs=0.5)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("kind", ["table", "gaps", "images", "sequences"])
def test_a_loaded_model_gives_the_same_bits(kind: str, tmp_path: Any) -> None:
    """Codes, scores, likelihoods, draws, imputations and attributes, of every modality."""
    rng = np.random.default_rng(0)
    options: dict[str, Any] = {"max_epochs": 2}
    data: Any = rows(60)
    if kind == "gaps":
        data = np.where(rng.random(data.shape) < 0.2, np.nan, data)
    if kind == "images":
        data, options = rng.integers(0, 256, (40, 5, 4), dtype=np.uint8), options | {"hidden": (4, 8)}
    if kind == "sequences":
        data = [rng.normal(size=(3 + k % 4, 2)) for k in range(40)]
        options |= {"backbone": "lstm", "hidden": 8}
    fitted = model(**options).fit(data)
    loaded = regen.load(regen.save(fitted, tmp_path / "vae.regen"))
    methods: list[Any] = [
        lambda vae: vae.transform(data),
        lambda vae: vae.score_samples(data),
        lambda vae: vae.log_likelihood(data, samples=7, random_state=0),
        lambda vae: np.asarray(vae.sample(4, random_state=0)),
        lambda vae: np.concatenate([np.ravel(row) for row in vae.impute(data, random_state=0, samples=5)]),
        lambda vae: vae.sample_code(data, 2, random_state=0),
        lambda vae: vae.kl_per_unit_,
        lambda vae: vae.active_units_,
    ]
    for method in methods:
        assert np.array_equal(method(fitted), method(loaded))
    assert loaded.elbo_terms_ == fitted.elbo_terms_ and loaded.threshold_ == fitted.threshold_
