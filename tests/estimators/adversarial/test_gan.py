"""GAN: rows of every form, labels, scores, quality, and what is kept."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from numpy.typing import NDArray

import regen
from regen.estimators.adversarial.evaluation import QualityMonitor, quality_warnings
from regen.metrics.generative import Memorisation

pytestmark = pytest.mark.filterwarnings(
    "ignore:The generated rows cover:UserWarning", "ignore:The discriminator has won:UserWarning"
)
Floats = NDArray[np.float64]


def points(n: int = 240, seed: int = 0) -> Floats:
    """Points (n, 2) of three clouds."""
    rng = np.random.default_rng(seed)
    centres = np.array([[0.0, 10.0], [5.0, -10.0], [-5.0, -10.0]])
    return centres[rng.integers(3, size=n)] + rng.normal(size=(n, 2)) * [0.3, 0.6]


def model(steps: int = 30, **options: Any) -> regen.GAN:
    """A small one, quick to train; `steps` batches."""
    training = {"batch_size": 24, "max_steps": steps, **options.pop("training", {})}
    return regen.GAN(**{"hidden": (16, 16), "random_state": 0} | options, training=training)


X = points()
SEQUENCES = [np.sin(np.arange(6 + k % 5) / 2 + k)[:, None] * [1.0, -2.0] for k in range(60)]
MIXED = pd.DataFrame(
    {
        "height": np.random.default_rng(1).normal(170, 10, 90),
        "shirt": pd.Categorical(np.resize(["S", "M", "L"], 90), ["S", "M", "L", "XL"], ordered=True),
        "city": np.resize(["Rome", "Oslo"], 90),
        "trips": np.random.default_rng(2).poisson(3, 90),
        "left": np.arange(90) % 3 == 0,
        "pay": np.random.default_rng(3).exponential(size=90).round(3),
        "share": np.linspace(0, 1, 90),
    }
)


def test_the_same_seed_gives_the_same_bits() -> None:
    """Fit and samples repeat; another seed gives others; torch's own generator is left where it was."""
    first, again, other = model().fit(X), model().fit(X), model(random_state=1).fit(X)
    state = torch.get_rng_state()
    sample = first.sample(7, random_state=3)
    assert np.array_equal(sample, again.sample(7, random_state=3))
    assert np.array_equal(first.score_samples(X), again.score_samples(X))
    assert not np.array_equal(sample, first.sample(7, random_state=4))
    assert not np.array_equal(sample, other.sample(7, random_state=3))
    assert torch.equal(state, torch.get_rng_state())


def test_it_learns() -> None:
    """Three clouds are all made, and rows lie in them; untrained they lie nowhere."""
    found = model(600, training={"batch_size": 64}, hidden=(64, 64, 64)).fit(X)
    assert found.quality_["precision"] > 0.5 and found.quality_["coverage"] > 0.3, found.quality_
    assert found.score(points(seed=5)) > 0.3
    assert model(1).fit(X).quality_["coverage"] < 0.1


def test_a_mixed_table_comes_back_as_it_was() -> None:
    """Columns in order, with their types and values that fit has seen; by names, not by places."""
    fitted = model().fit(MIXED)
    sample = fitted.sample(50, random_state=0)
    assert isinstance(sample, pd.DataFrame) and list(sample.columns) == list(MIXED.columns)
    assert (sample.dtypes == MIXED.dtypes).all()
    assert set(sample["city"]) <= {"Rome", "Oslo"} and set(sample["shirt"]) <= {"S", "M", "L"}
    assert (sample["trips"] >= 0).all() and (sample["pay"] >= 0).all() and sample["share"].between(0, 1).all()
    scores = fitted.score_samples(MIXED)
    assert np.array_equal(scores, fitted.score_samples(MIXED[MIXED.columns[::-1]][MIXED.columns]))
    assert scores.shape == (90,) and (scores >= 1).all() and (scores <= 100).all()


def test_every_library_of_tables() -> None:
    """Polars in, polars out; arrays keep their type."""
    frame = pl.DataFrame({"a": X[:, 0], "b": np.resize(["x", "y"], len(X))})
    sample = model().fit(frame).sample(4, random_state=0)
    assert isinstance(sample, pl.DataFrame) and sample.schema == frame.schema
    assert model().fit(X.astype(np.float32)).sample(4).dtype == np.float32
    assert model().fit(np.arange(120).reshape(60, 2) % 7).sample(4).dtype.kind == "i"


@pytest.mark.parametrize("backbone", ["auto", "lstm", regen.cells.GRU()])
def test_sequences(backbone: Any) -> None:
    """Lists of any lengths: samples have lengths that fit has seen, or the requested ones."""
    fitted = model(8, backbone=backbone, hidden=8, training={"batch_size": 12}).fit(SEQUENCES)
    sample = fitted.sample(9, random_state=0)
    assert all(each.shape[1] == 2 for each in sample)
    assert {len(each) for each in sample} <= {6, 7, 8, 9, 10} and len({len(each) for each in sample}) > 1
    assert [len(each) for each in fitted.sample(2, lengths=[3, 12])] == [3, 12]
    assert fitted.score_samples(SEQUENCES).shape == (60,)
    alone = fitted.score_samples(SEQUENCES[:1])  # padding is never read
    assert alone[0] == pytest.approx(fitted.score_samples(SEQUENCES)[0], rel=1e-5)
    assert [each.shape for each in fitted.interpolate(steps=3)] == [(10, 2)] * 3


def test_sequences_of_one_length_come_as_a_block() -> None:
    """(n, T, F) stays so, and (n, T) with a recurrent backbone."""
    block = np.stack([each[:6] for each in SEQUENCES])
    assert model(4).fit(block).sample(3).shape == (3, 6, 2)
    assert model(4, backbone="gru").fit(block[:, :, 0]).sample(3).shape == (3, 6)


def test_images_without_convolutions() -> None:
    """Dense nets make images too, with backbone='mlp'."""
    images = (np.random.default_rng(0).random((60, 4, 5)) * 255).astype(np.uint8)
    sample = model(backbone="mlp").fit(images).sample(3)
    assert sample.shape == (3, 4, 5) and sample.dtype == np.uint8


def test_labels() -> None:
    """Rows of a label are like those of that label; without one labels come as often as at fit; text is one too."""
    y = np.where(X[:, 1] > 0, "up", np.where(X[:, 0] > 0, "right", "left"))
    fitted = model(400, training={"batch_size": 64}, hidden=(32, 32)).fit(X, y)
    assert fitted.classes_.tolist() == ["left", "right", "up"]
    up, down = (
        fitted.sample(100, label="up", random_state=0),
        fitted.sample(100, label="left", random_state=0),
    )
    assert np.median(up[:, 1]) > 5 and np.median(down[:, 1]) < -5
    several = fitted.sample(4, label=["up", "left", "up", "left"], random_state=0)
    assert (several[::2, 1] > several[1::2, 1]).all()
    assert fitted.score_samples(X, y).shape == fitted.score_samples(X).shape == (len(X),)
    assert fitted.quality(X, y, random_state=0)["coverage"] >= 0
    assert model(2).fit(X).__dict__.get("classes_") is None


def test_label_shares() -> None:
    """One in ten rows of a rare label at fit, about one in ten in samples."""
    y = (np.arange(len(X)) % 10 == 0).astype(int)
    fitted = model(2).fit(X, y)
    assert fitted.label_shares_ == pytest.approx([0.9, 0.1], abs=0.01)


def test_scores_of_real_and_strange_rows() -> None:
    """Real rows and rows of the same distribution score 50 in the mean; strange ones score low."""
    fitted = model(800, training={"batch_size": 64}, hidden=(64, 64, 64)).fit(X)
    quality = fitted.quality_
    assert quality["score_real"] + quality["score"] == pytest.approx(100, abs=2)
    assert quality["score_real"] >= 50
    new = points(2000, seed=9)
    assert fitted.score_samples(new).mean() == pytest.approx(quality["score_real"], abs=12)
    scores = fitted.score_samples(np.r_[X, [[60.0, 60.0]]])
    assert scores[-1] < np.median(scores[:-1])
    assert (scores >= 1).all() and (scores <= 100).all()


def test_codes_and_back() -> None:
    """The same code gives the same rows; a code that is sought for generated rows finds nearly these rows."""
    fitted = model(200).fit(X)
    Z = np.random.default_rng(0).normal(size=(5, 2))
    rows = fitted.inverse_transform(Z)
    assert np.array_equal(rows, fitted.inverse_transform(Z))
    found = fitted.invert(rows, random_state=0)
    assert found.shape == (5, 2)
    unit = X.std(0)
    assert np.abs((fitted.inverse_transform(found) - rows) / unit).max() < 0.1
    assert np.abs((fitted.inverse_transform(Z[::-1]) - rows) / unit).max() > 0.2, (
        "the twin that mixes rows up differs"
    )
    assert np.array_equal(found, fitted.invert(rows, random_state=0))


def test_the_way_between_codes() -> None:
    """It begins and ends where it should, and its codes are as long as its ends are."""
    fitted = model(50).fit(X)
    a, b = np.array([1.0, 0.0]), np.array([0.0, 2.0])
    rows = fitted.interpolate(a, b, steps=5)
    ends = fitted.inverse_transform(np.stack([a, b]))
    np.testing.assert_allclose(rows[[0, -1]], ends, rtol=1e-5, atol=1e-5)
    half = fitted.inverse_transform(np.array([[1.0, 2.0]]) / np.sqrt(2))
    np.testing.assert_allclose(rows[2:3], half, rtol=1e-4, atol=1e-4)
    straight = fitted.inverse_transform([[0.5, 1.0]])
    assert np.abs(straight - half).max() > 1e-3, "the straight line is another way"
    assert fitted.interpolate(steps=3, random_state=0).shape == (3, 2)


def test_truncation() -> None:
    """Codes are within the bound and evenly drawn there: their spread is that of a truncated normal."""
    fitted = model(5).fit(X)
    seen: list[torch.Tensor] = []
    handle = fitted.generator_.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    fitted.sample(4000, random_state=0, truncation=0.7)
    handle.remove()
    codes = torch.cat(seen)
    assert codes.abs().max() <= 0.7
    assert float(codes.std()) == pytest.approx(0.3878, abs=0.01)  # of N(0, 1) within 0.7
    assert float(codes.abs().max()) > 0.69


def test_nets_alone() -> None:
    """Generator and discriminator are torch modules with the outputs of the estimator."""
    fitted = model(20).fit(X)
    with torch.no_grad():
        logit = fitted.discriminator_(torch.from_numpy(((X - X.mean(0)) / X.std(0)).astype(np.float32)))
        outputs = fitted.generator_(torch.zeros(1, 2))
    assert np.corrcoef(fitted.score_samples(X), logit.numpy())[0, 1] > 0.9
    assert outputs.shape == (1, 2)


def test_quality_in_the_history_and_the_best_is_kept() -> None:
    """It is measured every `quality_every` batches, and the generator of the lowest loss is kept."""
    fitted = model(
        None, max_epochs=9, game={"quality_every": 200}, training={"batch_size": 8, "max_steps": None}
    ).fit(X)
    history = fitted.history_
    measured = history["validation.coverage"].notna()
    assert measured.tolist() == [k % 2 == 1 for k in range(9)]
    best = history["validation.loss"].idxmin()
    assert fitted.best_epoch_ == history["epoch"][best]
    for name in ("precision", "recall", "density", "two_sample", "mmd", "score_real", "score"):
        assert history.loc[measured, f"validation.{name}"].notna().all()
    for name in ("discriminator.score_real", "discriminator.penalty", "generator.loss"):
        assert history[name].notna().all()
    both = (history["validation.precision"] + history["validation.coverage"]) / 2
    np.testing.assert_allclose(history.loc[measured, "validation.loss"], 1 - both[measured])


@pytest.fixture
def worse(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """A monitor whose coverage gets worse after the second measurement."""
    coverage = [0.2, 0.9, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.04]
    waiting = list(coverage)

    def measure(self: QualityMonitor) -> dict[str, float]:
        return {"loss": 1 - waiting.pop(0)}

    monkeypatch.setattr(QualityMonitor, "__call__", measure)
    yield coverage


def test_early_stopping(worse: list[float]) -> None:
    """It stops after so many measurements without a better one, by the patience of the training options."""
    plan = {"batch_size": 8, "max_steps": None, "patience": 3}
    stopped = model(None, max_epochs=8, game={"early_stopping": "coverage"}, training=plan).fit(X)
    assert stopped.stopped_ == "No improvement for 3 epochs; best was epoch 2."
    assert stopped.n_epochs_ == 5


def test_no_early_stopping_by_default(worse: list[float]) -> None:
    """Patience alone ends nothing, and the best is kept all the same."""
    plan = {"batch_size": 8, "max_steps": None, "patience": 3}
    whole = model(None, max_epochs=8, training=plan).fit(X)
    assert (whole.stopped_, whole.best_epoch_) == ("Reached max_epochs=8.", 2)


def test_without_rows_held_out() -> None:
    """The last generator is kept, and quality is that on the rows of fit; copies are not looked for."""
    few = model(40).fit(X[:40])
    assert "validation.loss" not in few.history_.columns
    assert few.best_epoch_ == few.n_epochs_
    assert "memorisation_closer" not in few.quality_ and "coverage" in few.quality_


@pytest.mark.filterwarnings("ignore:The .* does not get ahead:RuntimeWarning")
def test_turns_by_scores() -> None:
    """Every turn is logged, and the shares of both are in the history."""
    fitted = model(60, game={"turns": {"warmup": 4, "cap": 6}}).fit(X)
    assert fitted.turns_[0] == ("both", 0, 4, "warm-up")
    assert sum(steps for _, _, steps, _ in fitted.turns_) == 60
    assert {player for player, *_ in fitted.turns_[1:]} == {"generator", "discriminator"}
    assert 0 < fitted.history_["schedule.generator_share"].iloc[-1] < 1
    assert model(5).fit(X).turns_ == []


@pytest.mark.parametrize("pack", [2, 4])
def test_packs_are_scored_row_by_row(pack: int) -> None:
    """A row's score does not depend on the others that are scored with it, only on companions of fit."""
    fitted = model(20, game={"pack": pack}).fit(X)
    assert len(fitted.companions_[0]) == pack - 1
    whole = fitted.score_samples(X)
    np.testing.assert_allclose(fitted.score_samples(X[5:9]), whole[5:9], rtol=1e-4)


def test_the_average_samples() -> None:
    """With a half-life the kept generator is the average; without, the last one: their samples differ."""
    long, none = (
        model(60, game={"ema_half_life": 20}).fit(X[:40]),
        model(60, game={"ema_half_life": 0}).fit(X[:40]),
    )
    assert np.array_equal(long.epochs_["generator.loss"], none.epochs_["generator.loss"])
    assert not np.allclose(long.sample(5, random_state=0), none.sample(5, random_state=0))


def test_quality_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mode collapse, copies and a discriminator that has won, one warning each."""
    quality = {"coverage": 0.04, "precision": 0.9, "score_real": 99.7, "score": 1.0}
    copies = Memorisation(0.1, 0.97)
    found = quality_warnings(quality, copies, held_out=True)
    assert found == [
        "The generated rows cover 4 % of the held-out rows; real rows would cover 97 %. Most of them lie among real"
        " rows, but modes are missing: the generator has collapsed. Train for more epochs, or see in history_ when"
        " coverage fell.",
        "Generated rows may be copies: with a probability of 97 % one is closer to the training rows than a new real"
        " row is (50 % without copying), at 0.10 times the distance. Give more rows, smaller networks or fewer"
        " epochs.",
        "The discriminator has won: its mean score is 100 for held-out rows and 1 for generated ones, where 50 is a"
        " guess, and the generator receives little gradient. Raise penalty_weight, lower discriminator_rate, or take"
        " turns by scores (turns='scores').",
    ]
    bad = quality_warnings(quality | {"precision": 0.01}, None, held_out=False)
    assert "of the training rows" in bad[0] and "has not learned the distribution of the rows" in bad[0]
    good = {"coverage": 0.9, "precision": 0.9, "score_real": 60.0, "score": 40.0}
    for usual in (
        Memorisation(1.0, 0.5),
        Memorisation(0.76, 0.87),
        Memorisation(0.4, 0.8),
    ):
        assert quality_warnings(good, usual, held_out=True) == []


def test_a_collapsed_generator_warns() -> None:
    """A generator of nearly constant rows covers nothing, and fit warns."""
    with pytest.warns(UserWarning, match="^The generated rows cover"):
        model(2).fit(X)


def test_a_search_and_a_pipeline() -> None:
    """GridSearchCV chooses by coverage; a pipeline scales first."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    search = GridSearchCV(model(10), {"code": [2, 3], "game__pack": [1, 2]}, cv=2).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    piped = make_pipeline(StandardScaler(), model(10)).fit(X)
    assert piped[-1].sample(3).shape == (3, 2)
