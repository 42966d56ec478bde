"""Game: its parameters, their "auto" values, and refusals."""

import re
from typing import Any

import pytest
from sklearn.base import clone

import regen
from regen.estimators.adversarial.game import MEASURES, Game
from regen.training.options import Training

DEFAULTS = {"penalty_weight": 0.25, "ema_half_life": 500, "beta1": 0.0, "beta2": 0.99}


def test_it_is_a_plain_value() -> None:
    """Equal fields are equal games; parameters are read, set, cloned, and reached through the estimator."""
    game = Game(pack=2, turns={"high": 40})
    assert Game.of({"pack": 2, "turns": {"high": 40}}) == game
    assert Game.of(None) == Game() and Game.of(game) is game
    model = regen.GAN(game=game)
    assert clone(model).game == game and clone(model).game is not game
    assert model.get_params()["game__pack"] == 2
    assert model.set_params(game__objective="hinge").game.objective == "hinge"
    empty = regen.GAN().set_params(game__spectral_norm=True, training__batch_size=8)
    assert (empty.game.spectral_norm, empty.training.batch_size) == (True, 8)
    assert regen.GAN(game={"pack": 3}).set_params(game__objective="hinge").game == Game(
        pack=3, objective="hinge"
    )


def test_no_parameter_is_also_one_of_training() -> None:
    """So that both can be flags of one command."""
    assert not set(Game.constraints) & set(Training.constraints)
    assert list(Game.constraints) == list(Game().get_params())


@pytest.mark.parametrize(
    ("fields", "penalty", "weight"),
    [
        ({}, "r1+r2", 0.25),
        ({"penalty_weight": 2}, "r1+r2", 2.0),
        ({"objective": "wasserstein"}, "gradient", 10.0),
        ({"objective": "wasserstein", "penalty_weight": 3}, "gradient", 3.0),
        ({"objective": "wasserstein", "penalty": "r1"}, "r1", 0.25),
        ({"objective": "hinge", "spectral_norm": True}, "none", 0.25),
        ({"spectral_norm": True, "penalty": "r1+r2"}, "r1+r2", 0.25),
        ({"penalty": "gradient"}, "gradient", 10.0),
    ],
)
def test_auto_penalties(fields: dict[str, Any], penalty: str, weight: float) -> None:
    """The penalty by the objective, the weight by the penalty or by the estimator."""
    rules = Game(**fields).rules(DEFAULTS, batch_norm=False)
    assert (rules.penalty, rules.penalty_weight) == (penalty, weight)


@pytest.mark.parametrize(
    ("turns", "description"),
    [
        ("alternate", "alternate(discriminator=1, generator=1)"),
        ({"discriminator": 5}, "alternate(discriminator=5, generator=1)"),
        ({"generator": 2.0, "discriminator": 1}, "alternate(discriminator=1, generator=2)"),
        (
            "scores",
            "turns(generator=generator, discriminator=discriminator, low=30.0, high=45.0, cap=50, smoothing=0.9, "
            "warmup=10, term=score)",
        ),
        (
            {"low": 20.5, "cap": 7.0},
            "turns(generator=generator, discriminator=discriminator, low=20.5, high=45.0, cap=7, smoothing=0.9, "
            "warmup=10, term=score)",
        ),
    ],
)
def test_turns(turns: Any, description: str) -> None:
    """A name or some of the numbers; each call makes a new schedule, which has a state."""
    game = Game(turns=turns)
    game.check()
    assert game.schedule().describe() == description
    assert game.schedule() is not game.schedule()
    assert game.by_scores == description.startswith("turns")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "objective",
            "hinges",
            "one of 'relativistic', 'nonsaturating', 'minimax', 'hinge', 'least_squares', 'wasserstein'. Got 'hinges'"
            " instead. Did you mean 'hinge'?",
        ),
        ("penalty", "r3", "one of 'auto', 'r1+r2', 'r1', 'r2', 'gradient', 'none'. Got 'r3' instead."),
        ("penalty_weight", -1, "one of 'auto' or a number in [0, inf). Got -1 instead."),
        ("spectral_norm", 1, "a bool. Got 1 instead."),
        ("pack", 0, "an int in [1, inf). Got 0 instead."),
        ("ema_half_life", "long", "one of 'auto' or a number in [0, inf). Got 'long' instead."),
        ("label_smoothing", 0.5, "a number in [0, 0.5). Got 0.5 instead."),
        ("instance_noise", -0.1, "a number in [0, inf). Got -0.1 instead."),
        ("beta1", 1, "one of 'auto' or a number in [0, 1). Got 1 instead."),
        ("discriminator_rate", 0, "a number in (0, inf). Got 0 instead."),
        (
            "turns",
            {"low": 3, "generator": 1},
            "one of 'alternate', 'scores' or a dict of moves for some of 'discriminator', 'generator' or of numbers"
            " for some of 'low', 'high', 'cap', 'smoothing', 'warmup'. Got {'low': 3, 'generator': 1} instead.",
        ),
        (
            "early_stopping",
            "coverag",
            f"one of {', '.join(map(repr, MEASURES))} or None. Got 'coverag' instead.",
        ),
        ("quality_every", 0, "an int in [1, inf). Got 0 instead."),
    ],
)
def test_out_of_range(field: str, value: Any, message: str) -> None:
    """By fit, not by the constructor."""
    with pytest.raises(
        ValueError, match="^" + re.escape(f"The '{field}' parameter of Game must be {message}")
    ):
        regen.GAN(game={field: value}).fit([[0.0], [1.0]])


@pytest.mark.parametrize(
    ("game", "training", "message"),
    [
        (
            {"label_smoothing": 0.1},
            {},
            "Label smoothing needs a loss with labels, and 'relativistic' has none.",
        ),
        (
            {"turns": {"low": 50}},
            {},
            "turns needs low < high, so that no batch ends two turns. Got low=50 and",
        ),
        (
            {"pack": 3},
            {"batch_size": 32},
            "pack=3 gives the discriminator 3 rows at once, so that batch_size must be a multiple of it. Got"
            " batch_size=32.",
        ),
        (
            {},
            {"loss": "mse"},
            "The 'loss' of the training of GAN must be 'auto'. Got 'mse' instead; the loss is set by"
            " the 'game' parameter.",
        ),
    ],
)
def test_parameters_that_do_not_fit_together(
    game: dict[str, Any], training: dict[str, Any], message: str
) -> None:
    """Smoothing without labels, thresholds in the wrong order, packs that do not fill a batch."""
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        regen.GAN(game=game, training=training).fit([[0.0], [1.0]])


def test_unknown_fields() -> None:
    """The closest one is named, by the constructor, set_params and fit; other types are rejected."""
    words = "Game has no parameter 'spectral_nrom'. Did you mean 'spectral_norm'?"
    for kind, attempt in (
        (TypeError, lambda: Game(spectral_nrom=True)),
        (ValueError, lambda: Game().set_params(spectral_nrom=True)),
        (ValueError, lambda: regen.GAN(game={"spectral_nrom": True}).fit([[0.0]])),
    ):
        with pytest.raises(kind) as refusal:
            attempt()
        assert str(refusal.value) == words
    with pytest.raises(
        ValueError, match=r"^game must be a Game, a dict of its fields or None\. Got 'hinge' instead"
    ):
        Game.of("hinge")  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"^The 'game' parameter of GAN must be None or a regen.Game or a dict of its"
    ):
        regen.GAN(game="hinge").fit([[0.0]])
