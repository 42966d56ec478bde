"""A linear variational autoencoder, with evidence, posterior and best weights in closed form."""

from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from regen.estimators.autoencoders.importance_sampling import WeightedDraws, expected_cells, resampled_outputs
from regen.estimators.autoencoders.importance_sampling import log_evidence as estimate
from regen.estimators.autoencoders.vae import VariationalAutoencoder
from regen.losses import MixedLikelihood

SCALES = np.array([1.0, 10.0, 0.1, 3.0, 100.0, 0.02, 7.0, 40.0])
F = len(SCALES)
FALSE_ALARM = 1e-5
"""Probability that a correct sampler would fail without a fixed seed."""
Floats = NDArray[np.float64]


def rows(n: int = 400) -> Floats:
    """Rows (n, 8) of a two-dimensional code with noise, each column in its own unit."""
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(n, 2)) @ rng.normal(size=(2, F)) * 2
    return (mixed + rng.normal(size=(n, F))) * SCALES + 5 * SCALES


X = rows()


@pytest.fixture(scope="module")
def linear() -> VariationalAutoencoder:
    """Trained on X: ``x = W z + b + noise``, the noise of variance 1 in units of the columns' deviations."""
    return VariationalAutoencoder(
        code=2,
        likelihood="squared",
        hidden=(),
        warmup=0,
        max_epochs=60,
        learning_rate=1e-2,
        random_state=0,
        training={"batch_size": 100, "validation": 0},
    ).fit(X, bounds=None)


def decoder_of(model: VariationalAutoencoder) -> tuple[Floats, Floats]:
    """W (8, 2) and b (8,), in scaled units, from outputs of the decoder."""
    with torch.no_grad():
        outputs = model.decoder_(torch.cat([torch.zeros(1, 2), torch.eye(2)]), None).double().numpy()
    return (outputs[1:] - outputs[0]).T, outputs[0]


def scaled(values: Floats) -> Floats:
    """As the network receives them."""
    return (values - X.mean(0)) / X.std(0)


def evidence(model: VariationalAutoencoder, values: Floats) -> Floats:
    """Exact log p of the observed part of each row, in units of the data."""
    W, b = decoder_of(model)
    z, cov, found = scaled(values), W @ W.T + np.eye(F), []
    for row in z:
        seen = ~np.isnan(row)
        assert seen.any()
        law = stats.multivariate_normal(b[seen], cov[np.ix_(seen, seen)])
        found.append(law.logpdf(row[seen]) - np.log(X.std(0))[seen].sum())
    return np.array(found)


def test_likelihood_rises_to_the_evidence_from_below(linear: VariationalAutoencoder) -> None:
    """By a worse encoder: means over 400 rows rise with the samples, and with 5,000 are there to 0.005 nats."""
    exact = evidence(linear, X).mean()
    worse = deepcopy(linear)
    with torch.no_grad():
        list(worse.encoder_.parameters())[-1].add_(0.5)
    found = [worse.log_likelihood(X, samples=k, random_state=1).mean() for k in (1, 5, 50, 5000)]
    assert all(low < high for low, high in pairwise(found))
    assert found[-1] == pytest.approx(exact, abs=5e-3) and found[0] < exact - 0.3
    # Wrong twins: the mean of logarithms, the units forgotten, the number of samples forgotten.
    for twin in (found[0], exact + np.log(X.std(0)).sum(), exact + np.log(5000)):
        assert twin != pytest.approx(exact, abs=5e-3)


def test_each_row_has_its_own_evidence(linear: VariationalAutoencoder) -> None:
    """Row by row to 0.02 nats; where values are missing, of which this encoder has learned nothing, to 0.2.

    Missing values left in at the mean are noticed.
    """
    holes = np.where(np.random.default_rng(1).random(X.shape) < 0.4, np.nan, X)
    holes[np.isnan(holes).all(1), 1] = 0.0
    for values, tolerance in ((X, 0.02), (holes, 0.2)):
        found = linear.log_likelihood(values[:60], samples=20_000, random_state=0)
        np.testing.assert_allclose(found, evidence(linear, values[:60]), atol=tolerance)
    twin = evidence(linear, np.where(np.isnan(holes), X.mean(0), holes)[:60])
    assert np.abs(found - twin).max() > 1


def test_training_finds_the_best_weights(linear: VariationalAutoencoder) -> None:
    """The bound comes within 0.03 nats of the evidence at the maximum-likelihood solution, and is not above it.

    Probabilistic PCA with a noise of variance 1: ``W = U (L - 1)**(1/2)`` of the leading eigenvalues L of the
    covariance (Tipping & Bishop 1999); there the true posterior is of the encoder's family.
    """
    values, vectors = np.linalg.eigh(np.cov(scaled(X).T, bias=True))
    W = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:] - 1, 0))
    best = stats.multivariate_normal(np.zeros(F), W @ W.T + np.eye(F)).logpdf(scaled(X)).mean()
    best -= np.log(X.std(0)).sum()
    elbo = np.mean([linear.log_likelihood(X, samples=1, random_state=seed) for seed in range(50)])
    assert best - 0.03 < elbo < best
    assert elbo == pytest.approx(linear.elbo_terms_["elbo"], abs=0.1)  # by one draw of each code
    assert evidence(linear, X).mean() < best + 1e-6
    untrained = stats.multivariate_normal(np.zeros(F), np.eye(F)).logpdf(scaled(X)).mean()
    assert best > untrained - np.log(X.std(0)).sum() + 0.5


def test_terms_are_named_and_belong_together(linear: VariationalAutoencoder) -> None:
    """``elbo = reconstruction - kl``, in the attribute and in every epoch; the loss is -elbo per number."""
    terms = linear.elbo_terms_
    assert set(terms) == {"elbo", "reconstruction", "kl"}
    assert terms["elbo"] == pytest.approx(terms["reconstruction"] - terms["kl"], abs=1e-4)
    assert terms["kl"] == pytest.approx(linear.kl_per_unit_.sum(), rel=1e-4)
    assert terms["kl"] > 0 and terms["elbo"] != pytest.approx(terms["reconstruction"] + terms["kl"], abs=0.1)
    assert linear.active_units_.tolist() == [True, True]
    history = linear.history_
    elbo = history["train.reconstruction"] - history["train.kl"]
    np.testing.assert_allclose(history["train.elbo"], elbo, atol=1e-4)
    np.testing.assert_allclose(history["train.loss"] * F, -history["train.elbo"], rtol=1e-4)


def test_score_is_the_bound_at_the_mean(linear: VariationalAutoencoder) -> None:
    """Log-density at the mean of the code minus the divergence, without the estimator; the same bits each time."""
    W, b = decoder_of(linear)
    with torch.no_grad():
        outputs = linear.encoder_(torch.from_numpy(scaled(X)).float()).double().numpy()
    mean, log_var = outputs[:, :2], 20 * np.tanh(outputs[:, 2:] / 20)
    density = stats.norm.logpdf(scaled(X), mean @ W.T + b).sum(1) - np.log(X.std(0)).sum()
    kl = 0.5 * (mean**2 + np.exp(log_var) - 1 - log_var).sum(1)
    found = linear.score_samples(X)
    np.testing.assert_allclose(found, density - kl, atol=1e-4)
    assert not np.allclose(found, density + kl, atol=0.1)
    assert np.array_equal(found, linear.score_samples(X))
    assert linear.score(X) == found.mean()
    assert np.mean(linear.predict(X) == -1) == pytest.approx(0.1, abs=0.005)
    np.testing.assert_allclose(linear.transform(X), mean, atol=1e-5)


def test_codes_are_drawn_on_request(linear: VariationalAutoencoder) -> None:
    """Codes are means, which never move; draws have the posterior's mean and variance to 5 standard errors."""
    assert np.array_equal(linear.transform(X), linear.transform(X))
    drawn = linear.sample_code(X[:20], n_draws=20_000, random_state=0).astype(np.float64)
    assert drawn.shape == (20_000, 20, 2) and linear.sample_code(X[:3], random_state=0).shape == (3, 2)
    with torch.no_grad():
        outputs = linear.encoder_(torch.from_numpy(scaled(X[:20])).float()).double().numpy()
    variance = np.exp(20 * np.tanh(outputs[:, 2:] / 20))
    assert (np.abs(drawn.mean(0) - linear.transform(X[:20])) < 5 * np.sqrt(variance / 20_000)).all()
    assert (np.abs(drawn.var(0) / variance - 1) < 5 * np.sqrt(2 / 20_000)).all()
    assert (np.abs(drawn.var(0) / variance**2 - 1) > 5 * np.sqrt(2 / 20_000)).all()  # the deviation's twin
    again = linear.sample_code(X[:20], n_draws=2, random_state=3)
    assert np.array_equal(again, linear.sample_code(X[:20], n_draws=2, random_state=3))
    assert not np.array_equal(again, linear.sample_code(X[:20], n_draws=2, random_state=4))


def test_samples_follow_the_model(linear: VariationalAutoencoder) -> None:
    """10,000 rows: each column by Kolmogorov's test, their covariance to 10%; expected values are too narrow."""
    W, b = decoder_of(linear)
    cov = W @ W.T + np.eye(F)
    drawn = scaled(linear.sample(10_000, random_state=0))
    for k in range(F):
        assert stats.kstest(drawn[:, k], stats.norm(b[k], np.sqrt(cov[k, k])).cdf).pvalue > FALSE_ALARM
        means = scaled(linear.sample(10_000, random_state=0, means=True))
        assert stats.kstest(means[:, k], stats.norm(b[k], np.sqrt(cov[k, k])).cdf).pvalue < FALSE_ALARM
    np.testing.assert_allclose(np.cov(drawn.T), cov, atol=0.1)
    assert np.array_equal(linear.sample(3, random_state=1), linear.sample(3, random_state=1))


@pytest.fixture(scope="module")
def with_gaps() -> Floats:
    """Rows with 40% of their values missing, complete ones among them."""
    return np.where(np.random.default_rng(2).random((60, F)) < 0.4, np.nan, X[:60])


def conditional(model: VariationalAutoencoder, row: Floats) -> tuple[Floats, Floats]:
    """Exact mean and covariance, scaled, of what is missing of a row, given the rest."""
    W, b = decoder_of(model)
    cov, seen = W @ W.T + np.eye(F), ~np.isnan(row)
    gain = cov[np.ix_(~seen, seen)] @ np.linalg.inv(cov[np.ix_(seen, seen)])
    mean = b[~seen] + gain @ (scaled(row)[seen] - b[seen])
    return mean, cov[np.ix_(~seen, ~seen)] - gain @ cov[np.ix_(seen, ~seen)]


def test_missing_values_get_their_expected_value(linear: VariationalAutoencoder, with_gaps: Floats) -> None:
    """The conditional mean of the linear model to 0.05 deviations; unweighted draws of the code give another one."""
    found = linear.impute(with_gaps, random_state=0, samples=20_000)
    gaps = np.isnan(with_gaps)
    assert np.array_equal(found[~gaps], with_gaps[~gaps])
    restored = linear.reconstruct(with_gaps)
    errors, wrong_errors = [], []
    for row, filled, other in zip(with_gaps, found, restored, strict=True):
        missing = np.isnan(row)
        expected = conditional(linear, row)[0]
        errors += list(scaled(filled)[missing] - expected)
        wrong_errors += list(scaled(other)[missing] - expected)
    assert np.abs(errors).max() < 0.05 and np.abs(wrong_errors).max() > 0.2


def test_drawn_values_have_the_conditional_spread(linear: VariationalAutoencoder, with_gaps: Floats) -> None:
    """2,000 tables: mean and covariance of what is missing of the rows are those of the linear model."""
    few = with_gaps[np.isnan(with_gaps).sum(1) == 2][:4]
    tables = linear.impute(few, n_draws=2000, random_state=0, samples=4000)
    assert len(tables) == 2000
    for k, row in enumerate(few):
        missing = np.isnan(row)
        drawn = np.array([scaled(table[k])[missing] for table in tables])
        mean, cov = conditional(linear, row)
        np.testing.assert_allclose(drawn.mean(0), mean, atol=0.15)
        np.testing.assert_allclose(np.cov(drawn.T), cov, atol=0.2)
    again = linear.impute(few, n_draws=2, random_state=7)
    assert np.array_equal(again[1], linear.impute(few, n_draws=2, random_state=7)[1])
    assert not np.array_equal(again[0], again[1])


def test_complete_rows_are_returned_as_they_are(linear: VariationalAutoencoder) -> None:
    """Nothing to fill: the same bits, once or in each of the draws, which are writable copies."""
    assert np.array_equal(linear.impute(X), X)
    tables = linear.impute(X[:5], n_draws=3)
    assert all(np.array_equal(table, X[:5]) for table in tables)
    tables[0][0, 0] = 0
    assert tables[1][0, 0] == X[0, 0]


def test_units_of_the_data_count(linear: VariationalAutoencoder) -> None:
    """The same rows in other units: each log-density moves by the logarithm of the unit of every value."""
    other = VariationalAutoencoder(**linear.get_params()).fit(X * 1000)
    found = other.log_likelihood(X[:20] * 1000, samples=100, random_state=0)
    expected = linear.log_likelihood(X[:20], samples=100, random_state=0) - F * np.log(1000)
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_draws_in_chunks_are_those_at_once() -> None:
    """Chunks of draws give the same evidence and means, and draws as often as their weight."""
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(9, 2, 3, dtype=torch.float64, generator=generator)
    log_weights = 2 * torch.randn(9, 2, dtype=torch.float64, generator=generator) - 800
    likelihood = MixedLikelihood([("squared", 0, 3)])

    def chunks(*sizes: int) -> Iterator[WeightedDraws]:
        pairs = zip(outputs.split(sizes), log_weights.split(sizes), strict=True)
        return (WeightedDraws(*pair) for pair in pairs)

    weights = torch.softmax(log_weights, 0)
    for sizes in ((9,), (4, 5), (1, 2, 1, 5)):
        found = estimate(chunks(*sizes), 9)
        torch.testing.assert_close(found, torch.logsumexp(log_weights, 0) - np.log(9))
        mean = expected_cells(chunks(*sizes), likelihood)
        torch.testing.assert_close(mean, (weights[..., None] * outputs).sum(0))
        drawn = resampled_outputs(chunks(*sizes), 20_000, generator)
        for row in range(2):
            which = (drawn[:, row, None] == outputs[:, row]).all(-1).double()
            seen = which.sum(0).numpy()
            assert stats.chisquare(seen, weights[:, row].numpy() * 20_000).pvalue > 1e-5
            assert stats.chisquare(seen, np.full(9, 20_000 / 9)).pvalue < 1e-5  # unweighted
