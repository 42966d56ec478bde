"""SequenceClassifier and SequenceRegressor: learning, the validation split, missing values and errors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from regen.cells import LSTM
from regen.data.ragged import Ragged
from regen.estimators import SequenceClassifier, SequenceRegressor
from regen.estimators.sequences.bptt import SequenceBPTT
from regen.losses import cross_entropy
from regen.nets.sequence import SequenceNet
from regen.training import Training

QUICK: dict[str, Any] = {"hidden": 8, "max_epochs": 15, "learning_rate": 1e-2, "random_state": 0}


def waves(n: int = 60, ragged: bool = True, features: int = 1) -> tuple[list[NDArray[np.float64]], list[str]]:
    """Noisy sines: "slow", "fast" and, seldom, "again" in an order that is not that of the alphabet."""
    rng = np.random.default_rng(0)
    names = ["slow", "fast", "again"]
    X, y = [], []
    for k in range(n):
        steps = np.arange(12 + (k % 5 if ragged else 0))
        wave = np.sin(steps[:, None] * (0.4, 1.2, 2.6)[k % 3] + rng.uniform(0, 6))
        X.append(np.repeat(wave, features, axis=1) + rng.normal(0, 0.1, (len(steps), features)))
        y.append(names[k % 3])
    return X, y


def means(n: int = 120) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sequences of noise, and a target that is the mean of some steps, in its own unit."""
    X = np.random.default_rng(0).normal(size=(n, 8))
    return X, 100 + 1000 * X[:, 2:6].mean(1)


@pytest.fixture(scope="module")
def classifier() -> SequenceClassifier:
    """Fitted on `waves`."""
    return SequenceClassifier(**{**QUICK, "max_epochs": 40}).fit(*waves(180))


@pytest.fixture(scope="module")
def regressor() -> SequenceRegressor:
    """Fitted on `means`."""
    return SequenceRegressor(**{**QUICK, "max_epochs": 40}).fit(*means(180))


def test_it_classifies_waves(classifier: SequenceClassifier) -> None:
    """An accuracy above 0.9; with the labels in order of appearance instead of sorted it would be near 0."""
    X, y = waves(240)
    assert classifier.classes_.tolist() == ["again", "fast", "slow"]
    assert classifier.score(X[180:], y[180:]) > 0.9
    twin = np.array(["slow", "fast", "again"])[classifier.predict_proba(X[180:]).argmax(1)]
    assert np.mean(twin == y[180:]) < 0.5


def test_probabilities(classifier: SequenceClassifier) -> None:
    """One row a sequence, one column a class, and the label is that of the largest."""
    X, _ = waves()
    proba = classifier.predict_proba(X)
    assert proba.shape == (60, 3)
    np.testing.assert_allclose(proba.sum(1), 1, atol=1e-12)
    assert (classifier.classes_[proba.argmax(1)] == classifier.predict(X)).all()


def test_targets_keep_their_unit(regressor: SequenceRegressor) -> None:
    """Targets around 100 with a spread of 500 are learned without scaling them first."""
    X, y = means(280)
    assert regressor.score(X[180:], y[180:]) > 0.8
    assert regressor.predict(X).shape == (280,)
    np.testing.assert_allclose(regressor.target_scale_, y[:180].std(), rtol=0.2)


@pytest.mark.parametrize("columns", [1, 2])
def test_several_targets(columns: int) -> None:
    """(n, K) in, (n, K) out, each in its own unit; a constant target is predicted exactly."""
    X, y = means(60)
    Y = np.stack([y, np.full(60, 7.0)], axis=1)[:, :columns]
    predicted = SequenceRegressor(**QUICK).fit(X, Y).predict(X)
    assert predicted.shape == (60, columns)
    assert np.corrcoef(predicted[:, 0], y)[0, 1] > 0.8
    assert (predicted[:, 1:] == 7).all()


def test_neighbours_and_order_do_not_matter(classifier: SequenceClassifier) -> None:
    """A sequence alone, in a batch of longer ones, or in another order: the same prediction."""
    X, _ = waves()
    together = classifier.predict_proba(X)
    np.testing.assert_allclose(
        np.concatenate([classifier.predict_proba([x]) for x in X]), together, atol=1e-6
    )
    np.testing.assert_allclose(classifier.predict_proba(X[::-1]), together[::-1], atol=1e-6)
    padded = np.zeros((60, 16, 1))
    for row, x in zip(padded, X, strict=True):
        row[: len(x)] = x
    assert np.abs(classifier.predict_proba(padded) - together).max() > 1e-3, "padding as input differs"


def test_same_seed_same_bits() -> None:
    """Another seed gives other bits; the global generator is unchanged."""
    X, y = waves(30)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = (SequenceClassifier(**QUICK, dropout=0.2).fit(X, y).predict_proba(X) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(first, second)
    other = SequenceClassifier(**{**QUICK, "random_state": 1}, dropout=0.2).fit(X, y).predict_proba(X)
    assert not np.array_equal(first, other)


def test_every_label_type() -> None:
    """Numbers, booleans, texts and objects come back as they were."""
    X, _ = waves(30)
    for labels in (
        np.array([0, 5, -3]),
        np.array([False, True, True]),
        np.array(["b", "a", "c"], dtype=object),
    ):
        y = labels[np.arange(30) % 3]
        predicted = SequenceClassifier(**{**QUICK, "max_epochs": 2}).fit(X, y).predict(X)
        assert predicted.dtype == y.dtype
        assert set(predicted) <= set(y)


def test_few_rows() -> None:
    """A class of one, two rows, one row, one class: fitted, with nothing held out where nothing can be."""
    X, _ = waves(4)
    for y in (["a", "a", "a", "b"], ["a", "b", "c", "d"], ["a"] * 4):
        model = SequenceClassifier(**{**QUICK, "max_epochs": 2}).fit(X, y)
        assert model.predict(X).shape == (4,)
    assert SequenceClassifier(**{**QUICK, "max_epochs": 2}).fit(X, ["a"] * 4).predict(X).tolist() == ["a"] * 4
    assert (
        SequenceClassifier(**{**QUICK, "max_epochs": 2}).fit(X[:1], ["a"]).predict_proba(X).tolist()
        == [[1.0]] * 4
    )
    alone = SequenceRegressor(**{**QUICK, "max_epochs": 2}).fit(X[:1], [3.0])
    assert alone.predict(X).tolist() == [3.0] * 4


def test_rows_held_out_are_not_trained_on() -> None:
    """No batch of any epoch holds one; the twin that trains on all rows does."""
    x = torch.arange(40, dtype=torch.float32)[:, None, None]
    net = SequenceNet("elman", 1, 2, hidden=2)
    y = torch.zeros(40, dtype=torch.int64)
    held_out = np.arange(0, 40, 5)

    def trained_on(held_out: NDArray[np.int64]) -> set[int]:
        bptt = SequenceBPTT(net, cross_entropy, Ragged(x), y, held_out, 16)
        batches = list(bptt.batches.epoch(torch.Generator().manual_seed(0)))
        assert len(batches) >= 8
        return {int(value) for batch in batches for value in batch.x.flatten()}

    assert trained_on(held_out) == set(range(40)) - set(held_out.tolist())
    assert trained_on(np.array([], dtype=np.int64)) == set(range(40))


def test_held_out_sequences_only_choose_the_epoch() -> None:
    """Other values in the held-out rows leaves the scale and, after one epoch, every weight as it was."""
    quick = {**QUICK, "max_epochs": 1, "training": {"validation": 0.5}}
    # Each row is the only one with a number in its own feature: the mean shows which rows were measured.
    own = SequenceRegressor(**quick).fit(np.eye(70)[:, None, :], np.arange(70))
    measured = own.center_ > 0
    assert measured.sum() == 35
    X, y = means(70)
    first = SequenceRegressor(**quick).fit(X, y)
    X[~measured], y[~measured] = 1e3, 1e6
    second = SequenceRegressor(**quick).fit(X, y)
    for name, weight in first.net_.state_dict().items():
        assert torch.equal(weight, second.net_.state_dict()[name]), name
    X[measured] += 1
    twin = SequenceRegressor(**quick).fit(X, y)
    assert not np.array_equal(twin.center_, first.center_)


def test_a_run_is_resumed_bit_for_bit_and_only_with_the_same_rows_held_out(tmp_path: Path) -> None:
    """Cut and resumed is uninterrupted; another seed would validate on rows that were trained on."""
    X, y = means(170)
    quick = {**QUICK, "max_epochs": 2}
    whole = SequenceRegressor(**quick).fit(X, y)
    training = Training(checkpoint=tmp_path / "run")
    cut = SequenceRegressor(**quick, training=clone(training, safe=False).set_params(max_time=1e-3)).fit(X, y)
    assert cut.stopped_.startswith("Reached max_time")
    resumed = SequenceRegressor(**quick, training=training).fit(X, y)
    assert np.array_equal(resumed.predict(X), whole.predict(X))
    with pytest.raises(ValueError, match="belongs to another run: the data are not the same"):
        SequenceRegressor(**{**quick, "random_state": 1}, training=training).fit(X, y)


def test_loss_of_every_copy(classifier: SequenceClassifier, regressor: SequenceRegressor) -> None:
    """It falls as the input grows; the last is the best validation loss."""
    assert classifier.loss_per_step_.shape == (16,)
    assert classifier.loss_per_step_[-1] < classifier.loss_per_step_[0] / 2
    best = min(classifier.history_["validation.loss"])
    assert classifier.loss_per_step_[-1] == pytest.approx(best, rel=1e-4)
    assert regressor.loss_per_step_.shape == (8,)
    assert regressor.loss_per_step_[-1] == pytest.approx(min(regressor.history_["validation.loss"]), rel=1e-4)
    reference = regressor.loss_per_step_
    assert reference[5] < reference[1] / 2, "the target depends on the first six steps only"


def test_loss_of_very_many_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long bidirectional net runs on 64 prefixes of at most 32 rows; losses in between are interpolated."""
    torch.manual_seed(0)
    net = SequenceNet("gru", 1, 2, hidden=3, bidirectional=True)
    x, y = torch.randn(70, 200, 1), torch.arange(70) % 2
    runs: list[tuple[int, int]] = []
    monkeypatch.setattr(
        SequenceNet,
        "forward",
        lambda self, x, lengths, f=net.forward: runs.append(x.shape[:2]) or f(x, lengths),
    )
    bptt = SequenceBPTT(net, cross_entropy, Ragged(x), y, np.arange(2, 67), 8)
    losses = bptt.loss_per_copy()
    assert net.training, "left as it was"
    assert len(runs) == 64 and {rows for rows, _ in runs} == {22}
    ends = [steps for _, steps in runs]
    assert ends[0] == 1 and ends[-1] == 200 and set(np.diff(ends)) == {3, 4}
    rows = slice(2, 67, 3)
    with torch.no_grad():
        every = torch.stack(
            [cross_entropy(net(x[rows, :end], None), y[rows]).mean() for end in range(1, 201)]
        )
    at = torch.tensor(ends) - 1
    torch.testing.assert_close(losses[at], every[at])
    torch.testing.assert_close(losses, torch.from_numpy(np.interp(range(200), at, every[at])).float())
    assert not torch.allclose(losses, every)


def test_missing_values() -> None:
    """NaN is filled and marked, and accepted by predict even when the training data had none."""
    X, y = waves(60, ragged=False)
    full = SequenceClassifier(**QUICK).fit(X, y)
    gaps = [x.copy() for x in X]
    for k, x in enumerate(gaps):
        x[k % 12] = np.nan
    assert np.isfinite(full.predict_proba(gaps)).all()
    assert full.net_.reader.input_size == 1
    marked = SequenceClassifier(**{**QUICK, "max_epochs": 40}).fit(gaps, y)
    assert marked.net_.reader.input_size == 2
    assert marked.score(gaps, y) > 0.8
    assert marked.predict(X).shape == (60,)


def test_missing_values_are_informative() -> None:
    """Classes that differ in the mask only are distinguished."""
    X = np.random.default_rng(0).normal(size=(60, 10))
    y = np.arange(60) % 2
    X[y == 1, 3] = np.nan
    assert SequenceClassifier(**{**QUICK, "max_epochs": 40}).fit(X, y).score(X, y) > 0.95


def test_long_sequences_are_cut_into_segments() -> None:
    """At most 32 recurrent steps by default, else the number that `segment` gives."""
    X = np.random.default_rng(0).normal(size=(12, 100, 2))
    y = np.arange(12) % 2
    quick = {**QUICK, "max_epochs": 1}
    model = SequenceClassifier(**quick).fit(X, y)
    assert (model.segment_, len(model.loss_per_step_)) == (4, 25)
    model = SequenceClassifier(**quick, segment=1, bidirectional=False).fit(X, y)
    assert (model.segment_, len(model.loss_per_step_)) == (1, 100)
    assert model.backend_.startswith(("native", "torch"))
    model = SequenceClassifier(**quick, cell=LSTM(peephole="full")).fit(X, y)
    assert model.backend_.startswith(("native", "reference"))


def test_in_a_pipeline_and_a_grid() -> None:
    """clone, Pipeline, cross_val_score and GridSearchCV, also over the training options."""
    X, y = waves(36, ragged=False)
    block = np.concatenate(X, axis=1).T
    quick = {**QUICK, "max_epochs": 2}
    model = SequenceClassifier(**quick, training=Training(batch_size=16))
    assert clone(model).training.batch_size == 16
    pipe = make_pipeline(FunctionTransformer(np.tanh), model)
    assert cross_val_score(pipe, block, y, cv=2).shape == (2,)
    grid = {"hidden": [2, 4], "training__weight_decay": [0.0, 0.1]}
    search = GridSearchCV(model, grid, cv=2, n_jobs=1).fit(block, y)
    assert set(search.best_params_) == set(grid)
    assert search.best_estimator_.training.weight_decay == search.best_params_["training__weight_decay"]
    assert model.training.weight_decay == 0, "the options of the original are unchanged"


def test_columns_of_a_dataframe_are_checked() -> None:
    """Other names at predict are refused by scikit-learn's own check."""
    X, y = means(20)
    table = pd.DataFrame(X, columns=[f"t{k}" for k in range(8)])
    model = SequenceRegressor(**{**QUICK, "max_epochs": 1}).fit(table, y)
    assert model.feature_names_in_.tolist() == list(table.columns)
    assert model.predict(table).shape == (20,)
    with pytest.raises(ValueError, match="The feature names should match those that were passed during fit"):
        model.predict(table.rename(columns={"t0": "first"}))


def test_a_failed_fit_keeps_the_previous_one() -> None:
    """Refused data change nothing."""
    X, y = means(20)
    model = SequenceRegressor(**{**QUICK, "max_epochs": 1}).fit(X, y)
    predicted = model.predict(X)
    with pytest.raises(ValueError):
        model.fit(np.full((5, 3), np.inf), np.zeros(5))
    assert np.array_equal(model.predict(X), predicted)


REFUSALS: list[tuple[Callable[[Any, Any], Any], type[Exception], str]] = [
    (
        lambda X, y: SequenceClassifier(hidden=0).fit(X, y),
        ValueError,
        "The 'hidden' parameter of SequenceClassifier must be an int in [1, inf). Got 0 instead.",
    ),
    (
        lambda X, y: SequenceClassifier(pool="lst").fit(X, y),  # type: ignore[arg-type]
        ValueError,
        "The 'pool' parameter of SequenceClassifier must be one of 'all', 'last', 'mean', 'max'. Got 'lst' instead."
        " Did you mean 'last'?",
    ),
    (
        lambda X, y: SequenceClassifier(training={"loss": "mse"}).fit(X, y),
        ValueError,
        "The 'loss' of the training of SequenceClassifier must be one of 'auto', 'cross_entropy'. Got 'mse' instead.",
    ),
    (
        lambda X, y: SequenceRegressor().fit(X, None),
        ValueError,
        "SequenceRegressor requires y to be passed, but the target y is None.",
    ),
    (
        lambda X, y: SequenceClassifier().fit(X, y[:4]),
        ValueError,
        "Found input variables with inconsistent numbers of samples: [6, 4]",
    ),
    (
        lambda X, y: SequenceClassifier().fit(X, [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]),
        ValueError,
        "Unknown label type: continuous.",
    ),
    (
        lambda X, y: SequenceClassifier(hiden=3),  # type: ignore[call-arg]
        TypeError,
        "SequenceClassifier has no parameter 'hiden'. Did you mean 'hidden'?",
    ),
    (
        lambda X, y: SequenceClassifier().predict(X),
        NotFittedError,
        "This SequenceClassifier instance is not fitted yet.",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSALS, ids=[each[2][:30] for each in REFUSALS])
def test_refusals(call: Callable[[Any, Any], Any], error: type[Exception], message: str) -> None:
    """The exact message, or the beginning of scikit-learn's."""
    with pytest.raises(error) as refusal:
        call(*waves(6))
    ours = not message.startswith(("Unknown label", "This Seq"))
    assert str(refusal.value) == message if ours else str(refusal.value).startswith(message)
