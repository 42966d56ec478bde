"""What `training_game` finds of two players is there: their history, who is ahead, what is missing, and copies."""

import re
import warnings
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import regen
from regen import figures
from regen.estimators.adversarial.gan import GAN
from regen.inspection import NearestTraining, TrainingGame
from regen.inspection.adversarial.training_game import _nearest, training_game
from regen.inspection.display import DisplayRows

GAME = {"turns": "scores", "quality_every": 50}


def table(n: int = 200) -> np.ndarray:
    """Rows of two clouds."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 2)) + 6.0 * rng.integers(0, 2, n)[:, None]


@cache
def fitted() -> GAN:
    """Two players that have taken turns for a while."""
    return quietly(regen.GAN(4, hidden=(16,), game=GAME, max_epochs=4, random_state=0), table())


def quietly(model: Any, X: Any) -> Any:
    """Fit so briefly that there is something to warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X)


@cache
def found() -> TrainingGame:
    """What is found with the rows of fit."""
    return training_game(fitted(), table(), n=60)


def test_the_history_is_that_of_fit() -> None:
    """Losses, scores and measures are those of the history, in the order of the batches; turns are the model's."""
    history = pd.DataFrame(fitted().history_)
    np.testing.assert_array_equal(found().steps, history["step"])
    np.testing.assert_array_equal(found().losses["generator"], history["generator.loss"])
    np.testing.assert_array_equal(found().scores["real"], history["discriminator.score_real"])
    np.testing.assert_array_equal(found().scores["generated"], history["discriminator.score"])
    np.testing.assert_array_equal(found().quality["coverage"], history["validation.coverage"])
    assert [tuple(turn) for turn in fitted().turns_] == found().turns
    assert found().final == fitted().quality_
    frame = pd.DataFrame(found().frame())
    assert len(frame) == len(history) and {"step", "generator_loss", "score_real", "coverage"} <= set(frame)


def test_scores_are_the_discriminators() -> None:
    """Real rows and generated ones have the scores that the model gives them."""
    made = fitted().sample(60, random_state=0)
    np.testing.assert_array_equal(found().generated_scores, fitted().score_samples(made))
    np.testing.assert_array_equal(found().data_scores, fitted().score_samples(table()))  # type: ignore[arg-type]


def test_the_nearest_rows() -> None:
    """Of every generated row the nearest real one, by all distances of scaled columns; not the second."""
    nearest = found().nearest
    assert nearest is not None
    scale = fitted().modality_.layout.scale
    made, X = fitted().sample(60, random_state=0) / scale, table() / scale
    distances = np.linalg.norm(made[:, None] - X[None], axis=2)
    np.testing.assert_array_equal(nearest.nearest, distances.argmin(axis=1))
    np.testing.assert_allclose(nearest.distances, distances.min(axis=1), rtol=1e-4)
    second = np.sort(distances, axis=1)[:, 1]
    assert not np.allclose(nearest.distances, second, rtol=1e-2)
    own = np.linalg.norm(made[:, None] - made[None], axis=2) + np.diag(np.full(60, np.inf))
    assert nearest.generated_distance == pytest.approx(
        float(np.quantile(own.min(axis=1), 0.5, method="lower")), rel=1e-3
    )
    np.testing.assert_allclose(nearest.neighbours.values[:, 0], standard(X)[nearest.nearest, 0], atol=1e-3)
    assert list(pd.DataFrame(nearest.frame())) == ["generated", "nearest", "distance"]


def standard(X: np.ndarray) -> np.ndarray:
    """Columns that were divided by their scale, as the discriminator reads them."""
    layout = fitted().modality_.layout
    return X - layout.center / layout.scale


def test_nearest_leaves_out_itself() -> None:
    """With its own place given, a row is not its own neighbour, also where it stands twice."""
    rows = torch.tensor([[0.0], [0.0], [5.0]], dtype=torch.float64)
    distances, places = _nearest(rows, rows)
    assert distances.tolist() == [0, 0, 0] and places[2] == 2
    distances, places = _nearest(rows, rows, torch.arange(3))
    assert distances.tolist() == [0, 0, 5] and places[:2].tolist() == [1, 0]


def made_up(distances: Any, apart: float = 1.0) -> NearestTraining:
    """NearestTraining of given distances."""
    some = DisplayRows("table", np.zeros((len(distances), 1)), ("a",))
    nearest = np.zeros(len(distances), dtype=np.int64)
    return NearestTraining(nearest, np.asarray(distances, dtype=float), 1.0, apart, some, some)


def test_copies_and_collapse_are_reported() -> None:
    """Rows that sit on real ones are copies, rows that are all alike a collapse; as far as real ones are neither."""
    assert made_up([0.0, 0.1, 2.0, 2.0]).copied == 0.5
    assert made_up([1.0, 1.1]).copied == 0
    assert "50% are nearer than half of that" in str(made_up([0.0, 0.1, 2.0, 2.0]))
    assert "alike" not in str(made_up([1.0], apart=0.9))
    assert "Generated rows are alike: the nearest other one is 0.2 times as far" in str(
        made_up([1.0], apart=0.2)
    )


def sentences(**final: float) -> str:
    """The sentences of a training game with such measures at its end."""
    measures = {
        "precision": 0.9,
        "recall": 0.5,
        "density": 1.0,
        "coverage": 0.9,
        "score_real": 50.0,
        "score": 50.0,
    }
    one = np.ones(1)
    players = {"discriminator": one, "generator": one}
    scores = {"real": one, "generated": one}
    turns = [
        ("both", 0, 5, "warm-up"),
        ("generator", 5, 30, "cap"),
        ("discriminator", 35, 10, "fell under 30"),
    ]
    game = TrainingGame(np.ones(1, int), players, scores, {}, turns, measures | final, True, one, None, None)
    return str(game)


def test_who_is_ahead() -> None:
    """Scores about 50 are a draw; far apart, the discriminator is ahead; at the ends, it has won."""
    assert "neither is ahead" in sentences()
    assert "the discriminator is ahead" in sentences(score_real=80.0, score=20.0)
    assert "has won" in sentences(score_real=98.0, score=2.0)
    assert (
        "In 3 turns the discriminator moved on 25%, the generator moved on 75% of the batches; 1 turns"
        in sentences()
    )
    assert "collapsed" in sentences(coverage=0.1, precision=0.9)
    assert "collapsed" not in sentences(coverage=0.1, precision=0.1) and "collapsed" not in sentences()
    assert "than a new real one is 90%" in sentences(memorisation_closer=0.9)


def test_figures_of_a_training_game() -> None:
    """Both players, both scores, a bar for each turn, the measures; scores as shares; rows with their nearest."""
    drawn = {mark.name: mark for panel in found().plot().panels for mark in panel.marks}
    assert list(drawn) == [
        *("discriminator loss", "generator loss", "score of real rows", "score of generated rows", "turns"),
        *("coverage", "precision", "recall", "density"),
    ]
    np.testing.assert_array_equal(drawn["generator loss"].y, found().losses["generator"])
    np.testing.assert_array_equal(drawn["turns"].size, [turn[2] for turn in found().turns])
    np.testing.assert_array_equal(drawn["turns"].base, [turn[1] for turn in found().turns])
    colours = {turn[0]: colour for turn, colour in zip(found().turns, drawn["turns"].color, strict=True)}
    assert colours["generator"] == drawn["generator loss"].color
    assert colours["discriminator"] == drawn["discriminator loss"].color
    there = np.isfinite(found().quality["coverage"])
    np.testing.assert_array_equal(drawn["coverage"].y, found().quality["coverage"][there])
    scores = {mark.name: np.sum(mark.y) for mark in found().plot(of="scores").panels[0].marks}
    assert scores == pytest.approx({"generated rows": 100, "real rows": 100})
    (cells,) = found().plot(of="nearest").panels[0].marks
    assert cells.z.shape == (20, 2)
    with pytest.warns(DeprecationWarning, match="^of='twins' is deprecated: use of='nearest'.$"):
        found().plot(of="twins")
    assert figures.svg(found().plot()).startswith("<svg")
    assert any(row.startswith("turns: ") for row in figures.text(found().plot()))


def test_images_and_sequences() -> None:
    """Generated images stand over their nearest, sequences lie over theirs, whatever their lengths."""
    images = regen.datasets.digits()[0][:80]
    model = quietly(regen.DCGAN(4, max_epochs=1, random_state=0, training={"batch_size": 32}), images)
    drawn = training_game(model, images, n=12).plot(of="nearest")
    assert drawn.panels[0].y.tick_labels == ["generated", "nearest"]
    steps = [np.random.default_rng(k).normal(size=(4 + k % 3, 1)) for k in range(40)]
    model = quietly(regen.GAN(4, "gru", hidden=4, max_epochs=1, random_state=0), steps)
    drawn = training_game(model, steps, n=8).plot(of="nearest")
    assert [mark.name for mark in drawn.panels[0].marks] == ["nearest", "generated"]


def test_the_same_again() -> None:
    """The same seed generates the same rows, another seed others, and torch's random state is unchanged."""
    before = torch.random.get_rng_state()
    again = training_game(fitted(), table(), n=60)
    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(again.generated_scores, found().generated_scores)
    assert not np.array_equal(
        training_game(fitted(), n=60, random_state=1).generated_scores, found().generated_scores
    )


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: training_game(regen.Autoencoder()),
            "training_game inspects a GAN or DCGAN. Got Autoencoder instead.",
        ),
        (
            lambda: training_game(fitted(), n=1),
            "The 'n' parameter of training_game must be an int in [2, inf). Got 1 instead.",
        ),
        (
            lambda: training_game(fitted(), table()[:1]),
            "X has 1 row. Give at least two: rows are compared with each other.",
        ),
        (
            lambda: training_game(fitted(), n=4).plot(of="nearest"),
            "of='nearest' compares generated rows with data. Give X to training_game.",
        ),
    ],
)
def test_refusals(call: Any, sentence: str) -> None:
    """What cannot be inspected is refused in one sentence."""
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        call()
