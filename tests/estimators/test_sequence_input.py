"""Input of sequences: kinds, missing values, standardisation, the validation split and exact messages."""

import re
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from sklearn.base import BaseEstimator

import regen
from regen.data.ragged import Ragged
from regen.estimators._sequence_input import read_known_sequences, read_sequences
from regen.estimators._splits import hold_out
from regen.estimators.sequences.bptt import fit_standardizer

NAN = np.nan


class Owner(BaseEstimator):
    """Stands for an estimator."""


def read(X: Any) -> Ragged:
    """X as read for an estimator that is not fitted yet."""
    return read_sequences(Owner(), X).rows


@pytest.mark.parametrize(
    "X",
    [
        [[1, 2, 3], [4, 5, 6]],
        np.array([[1, 2, 3], [4, 5, 6]], dtype=np.int32),
        np.array([[1, 2, 3], [4, 5, 6]], dtype=object),
        np.array([[[1], [2], [3]], [[4], [5], [6]]]),
        [np.array([1, 2, 3]), np.array([4, 5, 6])],
        (torch.tensor([1, 2, 3]), torch.tensor([[4], [5], [6]])),
        [pd.Series([1, 2, 3]), pl.Series([4, 5, 6])],
        pd.DataFrame([[1, 2, 3], [4, 5, 6]]),
        pl.DataFrame({"a": [1, 4], "b": [2, 5], "c": [3, 6]}),
        torch.tensor([[1, 2, 3], [4, 5, 6]]),
    ],
    ids=lambda X: type(X).__name__,
)
def test_every_kind_gives_the_same_block(X: Any) -> None:
    """Two sequences of three steps, from any kind."""
    sequences = read(X)
    np.testing.assert_array_equal(sequences.steps[:, 0], [1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(sequences.n_steps, [3, 3])


@pytest.mark.parametrize(
    "X",
    [
        [np.array([1, 2, 3]), np.array([4])],
        [[1, 2, 3], [4]],
        np.array([np.array([1, 2, 3]), np.array([4])], dtype=object),
    ],
)
def test_different_lengths(X: Any) -> None:
    """Lists of arrays or of lists, and arrays of objects."""
    sequences = read(X)
    np.testing.assert_array_equal(sequences.values, [[1], [2], [3], [4]])
    np.testing.assert_array_equal(sequences.lengths, [3, 1])
    np.testing.assert_array_equal(sequences.starts, [0, 3])


def test_number_of_features() -> None:
    """A table has as many features as columns; other kinds those of each step."""
    owner = Owner()
    table = pd.DataFrame(np.zeros((2, 5)), columns=list("abcde"))
    assert read_sequences(owner, table).kind == "table"
    assert owner.n_features_in_ == 5
    assert owner.feature_names_in_.tolist() == list("abcde")
    assert read_sequences(owner, np.zeros((2, 5, 3))).kind == "block"
    assert owner.n_features_in_ == 3
    assert "feature_names_in_" not in vars(owner)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (
            [np.zeros(3), np.zeros(0)],
            "Sequence 1 of X is empty. Remove it or give it at least one step.",
        ),
        (
            [np.zeros((3, 2)), np.zeros((4, 2)), np.zeros((3, 1))],
            "Sequence 2 of X has 1 features; those before it have 2. All must have the same features.",
        ),
        (
            [np.zeros((3, 2, 1))],
            "Sequence 0 of X must be of shape (T,) or (T, F). Got shape (3, 2, 1) instead.",
        ),
        (
            [[1.0, 2.0], ["a"]],
            "Sequence 1 of X holds text where numbers belong: 'a'. Convert it to numbers.",
        ),
        ([np.zeros(2), np.zeros(3) * 1j], "Sequence 1 of X is complex. Complex data not supported."),
        (
            np.zeros((2, 3, 4, 5)),
            "X must be of shape (n, T, F) or (n, T), or a list of sequences. Got shape (2, 3, 4, 5) instead.",
        ),
        (
            np.zeros((2, 3, 0)),
            "X of shape (2, 3, 0) has no steps or no features. Give at least one of each.",
        ),
        (
            [np.zeros(3), np.array([0, 1, np.inf])],
            "X has an infinite value in sequence 1 at step 2. Put a number there, or NaN if it is missing.",
        ),
        (
            np.array([[0, -np.inf], [0, 0]]),
            "X has an infinite value in sequence 0 at step 1. Put a number there, or NaN if it is missing.",
        ),
    ],
)
def test_refusals(X: Any, message: str, message_of: Any) -> None:
    """What was given, what was expected, what to do; by the number of the sequence."""
    assert message_of(ValueError, read, X) == message


def test_another_number_of_features_is_refused(message_of: Any) -> None:
    """For tables the columns must be as many; for other kinds the features of each step."""
    owner = Owner()
    read_sequences(owner, np.zeros((4, 5)))
    found = message_of(ValueError, read_known_sequences, owner, np.zeros((4, 6)), features=1, steps=5)
    assert found == "X has 6 features, but Owner is expecting 5 features as input."
    assert len(read_known_sequences(owner, np.zeros((4, 6, 1)), features=1, steps=5).rows) == 4
    found = message_of(ValueError, read_known_sequences, owner, np.zeros((4, 5, 2)), features=3, steps=None)
    assert found == "X has 2 features, but Owner is expecting 3 features as input."
    found = message_of(ValueError, read_known_sequences, owner, np.zeros((4, 5)), features=3, steps=None)
    assert found == "X has 1 features, but Owner is expecting 3 features as input."


def test_gaps_are_filled_within_their_own_sequence() -> None:
    """With the number before, at the start with the number after; never with a neighbour's."""
    sequences = read([[1, NAN, 2], [NAN, 5], [NAN], [7, NAN]])
    np.testing.assert_array_equal(sequences.filled()[:, 0], [1, 1, 2, 5, 5, NAN, 7, 7])


def test_gaps_are_marked_and_do_not_move_the_scale() -> None:
    """Mean and scale are of observed values; the second feature is the mask."""
    sequences = read([[1, NAN, 3], [NAN, NAN]])
    scale = fit_standardizer(sequences, np.array([0, 1]), "train")
    assert (scale.center, scale.scale) == (2, 1)
    rows = scale.standardized(sequences, mark=True)
    np.testing.assert_array_equal(rows.values, [[-1, 1], [-1, 0], [1, 1], [0, 0], [0, 0]])


def test_the_scale_is_that_of_the_training_rows() -> None:
    """Rows held out do not take part; measured on all rows it differs."""
    sequences = read([[0.0, 2.0], [4.0, 6.0], [100.0, 300.0]])
    scale = fit_standardizer(sequences, np.array([0, 1]), "train")
    assert scale.center == 3
    assert scale.scale == pytest.approx(np.std([0, 2, 4, 6]))
    twin = fit_standardizer(sequences, np.array([0, 1, 2]), "train")
    assert twin.center != 3


@pytest.mark.parametrize("ragged", [False, True])
def test_each_sequence_by_its_own_mean_and_scale(ragged: bool) -> None:
    """Level and size of a sequence vanish; a constant one becomes 0."""
    X = [np.array([1.0, 3.0, 1.0, 3.0]), np.array([10.0, 10.0, 50.0, 50.0]), np.full(3 if ragged else 4, 7.0)]
    sequences = read(X)
    rows = fit_standardizer(sequences, np.arange(3), "sequence").standardized(sequences, mark=False)
    np.testing.assert_array_equal(rows.values.flatten(), [-1, 1, -1, 1, -1, -1, 1, 1] + [0] * len(X[2]))


def test_as_they_are() -> None:
    """normalize="none" changes nothing; a feature that is constant in training is 0 under "train"."""
    sequences = read([[1.0, 2.0], [3.0, 4.0]])
    rows = fit_standardizer(sequences, np.arange(2), "none").standardized(sequences, mark=False)
    np.testing.assert_array_equal(rows.values.flatten(), [1, 2, 3, 4])
    constant = read(np.full((2, 3, 1), 1e8 + 0.1))
    scale = fit_standardizer(constant, np.arange(2), "train")
    assert not scale.standardized(constant, mark=False).values.any()
    assert not scale.standardized(read(np.full((2, 3, 1), 5.0)), mark=False).values.any()


def held_out(groups: list[int], share: float | str, seed: int = 0) -> list[int]:
    """The rows of these groups that are held out."""
    return hold_out(np.array(groups), share, torch.Generator().manual_seed(seed)).tolist()


def test_the_same_share_of_each_class_is_held_out() -> None:
    """80 and 20 rows give 16 and 4."""
    groups = [0] * 80 + [1] * 20
    rows = held_out(groups, 0.2)
    assert len(rows) == len(set(rows)) == 20
    assert sum(groups[row] for row in rows) == 4
    assert rows == held_out(groups, 0.2)
    assert rows != held_out(groups, 0.2, seed=1)


def test_a_class_of_one_stays_in_the_training_part() -> None:
    """Too few members give none, whatever the share."""
    groups = [0, 1, 1, 2, 2, 2, 2, 2]
    for share in (0.2, 0.5, 0.99):
        left = set(range(8)) - set(held_out(groups, share))
        assert {groups[row] for row in left} == {0, 1, 2}
    assert held_out([0] * 10, 0.0) == []
    for groups, share in (([0], 0.9), ([0, 1, 2, 3], 0.2)):
        message = f"validation={share} holds out none of {len(groups)} rows. Raise it, or take validation=0."
        with pytest.raises(ValueError, match=re.escape(message)):
            held_out(groups, share)
        assert held_out(groups, "auto") == []


def test_too_few_to_validate_are_not_held_out() -> None:
    """31 rows are not enough to choose an epoch, 32 are; an explicit share is used."""
    assert held_out([0] * 155, "auto") == []
    assert len(held_out([0] * 155, 0.2)) == 31
    assert len(held_out([0] * 160, "auto")) == 32


FIRST = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4, 5, 6]})
LIBRARIES = [lambda frame: frame, pl.from_pandas, pa.Table.from_pandas]


@pytest.mark.parametrize("kind", LIBRARIES, ids=["pandas", "polars", "pyarrow"])
def test_dataframes_in_a_list_are_aligned_by_name(kind: Any) -> None:
    """Columns in another order are the same features, at fit and afterwards; arrays are taken in order."""
    owner = Owner()
    found = read_sequences(owner, [kind(FIRST), kind(FIRST[["b", "a"]][:2])]).rows
    np.testing.assert_array_equal(found.values, [[1, 4], [2, 5], [3, 6], [1, 4], [2, 5]])
    assert owner.feature_names_in_.tolist() == ["a", "b"] and owner.n_features_in_ == 2
    later = read_known_sequences(owner, [kind(FIRST[["b", "a"]]), FIRST.to_numpy()], 2, None).rows
    np.testing.assert_array_equal(later.values[0], later.values[1])
    read_sequences(owner, [FIRST.to_numpy(), FIRST.to_numpy()[:2]])
    assert "feature_names_in_" not in vars(owner)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (
            [FIRST, FIRST.rename(columns={"b": "bb"})],
            "Sequence 1 of X has no column 'b'. Did you mean 'bb'? Its columns must be: a, b.",
        ),
        ([FIRST, FIRST[["a"]]], "Sequence 1 of X has no column 'b'. Its columns must be: a, b."),
        ([FIRST[["a"]], FIRST], "Sequence 1 of X has a column 'b'. Its columns must be: a."),
        (
            [FIRST, FIRST.assign(b=["x", "y", "z"])],
            "Sequence 1 of X, column 'b', row 0, holds text where numbers belong: 'x'. Convert it to numbers.",
        ),
    ],
)
def test_dataframes_with_other_names_are_refused(X: Any, message: str, message_of: Any) -> None:
    """Silently mixed before: now the first name that differs is named, at fit and afterwards."""
    assert message_of(ValueError, read, X) == message
    owner = Owner()
    read_sequences(owner, X[:1])
    assert message_of(
        ValueError, read_known_sequences, owner, [X[1]], X[0].shape[1], None
    ) == message.replace("Sequence 1", "Sequence 0")


ESTIMATORS = {
    "classifier": lambda X: regen.SequenceClassifier(hidden=3, max_epochs=1, random_state=0).fit(
        X, [0, 1] * 8
    ),
    "regressor": lambda X: regen.SequenceRegressor(hidden=3, max_epochs=1, random_state=0).fit(
        X, np.arange(16.0)
    ),
    "autoencoder": lambda X: regen.Autoencoder(2, hidden=3, max_epochs=1, random_state=0).fit(X),
    "gan": lambda X: regen.GAN(2, hidden=3, max_epochs=1, random_state=0).fit(X),
}


@pytest.mark.parametrize("fit", ESTIMATORS.values(), ids=ESTIMATORS)
def test_estimators_take_columns_by_name(fit: Any, tmp_path: Any) -> None:
    """Another order of columns is the same data, before and after saving; other names are refused."""
    rng = np.random.default_rng(0)
    X = [pd.DataFrame(rng.normal(size=(5 + k % 2, 2)), columns=["a", "b"]) for k in range(16)]
    turned = [frame[["b", "a"]] if k % 3 else frame for k, frame in enumerate(X)]
    model = fit(turned)
    regen.save(model, tmp_path / "model")
    kept = regen.load(tmp_path / "model")
    use = next(name for name in ("predict", "transform", "score_samples") if name in dir(model))
    expected = np.ravel(getattr(model, use)(X))
    for each, rows in ((model, turned), (kept, turned), (kept, [frame.to_numpy() for frame in X])):
        np.testing.assert_array_equal(np.ravel(getattr(each, use)(rows)), expected)
    with pytest.raises(ValueError, match="Sequence 0 of X has no column 'b'"):
        getattr(kept, use)([frame.rename(columns={"b": "c"}) for frame in X])
