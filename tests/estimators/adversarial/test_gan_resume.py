"""An interrupted training resumes, and a finished one is extended, bit for bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import regen
from regen.estimators.adversarial.game_losses import GANLosses
from regen.training.checkpoint import read_tree, write_tree
from regen.training.loop import RNG_KEY

pytestmark = pytest.mark.filterwarnings(
    "ignore:The generated rows cover:UserWarning",
    "ignore:The discriminator has won:UserWarning",
    "ignore:Generated rows may be copies:UserWarning",
    "ignore:The .* does not get ahead:RuntimeWarning",
)
RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(200, 2)) ** 3
MIXED = pd.DataFrame({"a": POINTS[:, 0], "b": np.resize(["x", "y", "z"], 200), "n": RNG.poisson(2, 200)})
LABELS = np.resize(["one", "two"], 200)
IMAGES = RNG.random((60, 6, 7))
SEQUENCES = [RNG.normal(size=(3 + k % 4, 2)) for k in range(40)]
STEPS = 23


def gan(**options: Any) -> regen.GAN:
    """A small GAN with everything that has a state: scores, average, momentum."""
    game = {
        "turns": {"warmup": 3, "cap": 5, "low": 40},
        "ema_half_life": 30,
        "beta1": 0.5,
        "quality_every": 1,
    }
    return regen.GAN(**{"hidden": (8, 8), "random_state": 0, "game": game} | options)


MODELS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "points": (gan, (POINTS,)),
    "alternating": (lambda: gan(game={"ema_half_life": 30, "beta1": 0.5, "quality_every": 10**6}), (POINTS,)),
    "mixed": (lambda: gan(game={"pack": 2, "instance_noise": 0.1}), (MIXED, LABELS)),
    "sequences": (lambda: gan(backbone="gru", hidden=5), (SEQUENCES,)),
    "images": (
        lambda: regen.DCGAN(channels=2, random_state=0, game={"turns": {"discriminator": 2}}),
        (IMAGES,),
    ),
}


class Crash(Exception):
    """An interruption of the process."""


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check for divergence every 3 batches, write at every check, and measure quality twice in a run."""
    monkeypatch.setattr("regen.training.loop.CHECK_EVERY", 3)
    monkeypatch.setattr("regen.training.checkpoint.WRITE_EVERY", -1e9)
    monkeypatch.setattr("regen.training.checkpoint.time.monotonic", lambda: 0.0)
    monkeypatch.setattr("regen.estimators.adversarial.game_training.MIN_BATCHES", 8)


def run(name: str, steps: int = STEPS, path: Path | None = None) -> Any:
    """A model of that name, trained for `steps` batches."""
    make, data = MODELS[name]
    training = {"batch_size": 8, "max_steps": steps, "checkpoint": path, "validation": 0.2}
    if name == "images":  # a cut epoch is none; few images, short epochs
        training["batch_size"] = 6
    return make().set_params(training=training).fit(*data)


def facts(model: Any) -> tuple[Any, ...]:
    """The results of a run: weights of both nets, history without times, turns, calibration, samples."""
    history = {name: values for name, values in model.epochs_.items() if name != "seconds"}
    weights = {name: value.numpy().tobytes() for name, value in model.net_.state_dict().items()}
    label = {"label": model.classes_[0]} if "classes_" in vars(model) else {}
    sample = model.sample(4, random_state=1, **label)
    return repr(history), weights, model.turns_, model.calibration_, repr(np.asarray(sample, dtype=object))


def crash_at(move: int, patch: pytest.MonkeyPatch, how: type[BaseException] = Crash) -> None:
    """Raise at that step of either player."""
    moves = [0]

    def counted(loss: Any) -> Any:
        def computed(self: GANLosses, batch: Any) -> Any:
            moves[0] += 1
            if moves[0] == move:
                raise how
            return loss(self, batch)

        return computed

    patch.setattr(GANLosses, "generator_loss", counted(GANLosses.generator_loss))
    patch.setattr(GANLosses, "discriminator_loss", counted(GANLosses.discriminator_loss))


@pytest.mark.parametrize("move", [11, 18])
@pytest.mark.parametrize("name", MODELS)
def test_killed_and_resumed_is_uninterrupted(
    name: str, move: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within an epoch and within a turn: weights, average, order, history, turns and quality, to the bit."""
    whole = run(name)
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(move, patch)
        run(name, path=tmp_path / "run.ckpt")
    torch.manual_seed(99)
    resumed = run(name, path=tmp_path / "run.ckpt")
    assert "Resumed from" in resumed.stopped_ and "at step 0." not in resumed.stopped_
    assert facts(resumed) == facts(whole)


@pytest.mark.parametrize("name", MODELS)
def test_a_finished_run_is_extended(name: str, tmp_path: Path) -> None:
    """max_steps raised afterwards, also from the middle of an epoch, gives the long run."""
    first = run(name, 11, tmp_path / "run.ckpt")
    assert "Reached max_steps=11" in first.stopped_
    assert facts(run(name, STEPS, tmp_path / "run.ckpt")) == facts(run(name))


def test_more_epochs_afterwards(tmp_path: Path) -> None:
    """max_epochs may be raised as well."""
    training = {"batch_size": 8, "checkpoint": tmp_path / "run.ckpt"}
    gan(max_epochs=1).set_params(training=training).fit(POINTS)
    longer = gan(max_epochs=3).set_params(training=training).fit(POINTS)
    whole = gan(max_epochs=3).set_params(training={"batch_size": 8}).fit(POINTS)
    assert facts(longer) == facts(whole)


PARTS = ("average", "live generator", "discriminator", "moments", "order", "torch rng", "turn", "rate")


@pytest.mark.parametrize("lost", PARTS)
def test_a_checkpoint_without_one_part_would_be_noticed(
    lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resume that loses one part of the state differs from the uninterrupted run."""
    path, name = tmp_path / "run.ckpt", "points" if lost == "turn" else "alternating"
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(18 if lost == "turn" else 34, patch)
        run(name, path=path)
    tree = read_tree(path)
    state = tree["state"]
    players = state["guard"]["players"]
    fresh = torch.Generator().manual_seed(3).get_state()
    if lost == "average":
        players["generator"]["module"]["average.net.net.layers.0.weight"] += 1.0
    elif lost == "live generator":
        players["generator"]["module"]["net.net.layers.0.weight"] += 0.01
    elif lost == "discriminator":
        players["discriminator"]["module"]["net.layers.0.weight"] += 0.01
    elif lost == "moments":
        players["generator"]["optimizer"]["state"] = {}
    elif lost == "order":
        state[RNG_KEY].update(epoch_start=fresh, order=fresh.clone())
    elif lost == "torch rng":
        state[RNG_KEY]["cpu"] = fresh
    elif lost == "turn":
        state["schedule"]["steps"] += 1
    elif lost == "rate":
        players["generator"]["rate"]["steps"] = 0
    write_tree(path, tree)
    assert facts(run(name, path=path)) != facts(run(name))


@pytest.mark.parametrize("forgotten", [False, True])
def test_quality_is_measured_when_it_was_due(
    forgotten: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After every second epoch, whatever was interrupted; a monitor that loses its count is detected."""
    path, fields = tmp_path / "run.ckpt", {"game": {"quality_every": 40}, "max_epochs": 5}
    training = {"batch_size": 8, "checkpoint": path}
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(50, patch)
        gan(**fields).set_params(training=training).fit(POINTS)
    if forgotten:
        tree = read_tree(path)
        tree["state"]["guard"]["players"]["generator"]["memory"]["epochs"] = 0
        write_tree(path, tree)
    history = gan(**fields).set_params(training=training).fit(POINTS).history_
    due = history.loc[history["validation.loss"].notna(), "epoch"].tolist()
    assert due == ([2, 4] if not forgotten else [3, 5])


def test_the_checkpoint_of_another_game_is_refused(tmp_path: Path) -> None:
    """Other rows, another seed or other rules are another run."""
    training = {"batch_size": 8, "max_steps": 5, "checkpoint": tmp_path / "run.ckpt"}
    gan(training=training).fit(POINTS)
    for other in (gan(random_state=1), gan(game={"penalty": "r1"}), gan(output="real", code=3)):
        with pytest.raises(ValueError, match="belongs to another run"):
            other.set_params(training=training).fit(POINTS)
    with pytest.raises(ValueError, match="belongs to another run"):
        gan(training=training).fit(POINTS[::-1])


@pytest.mark.parametrize("name", MODELS)
def test_saved_and_loaded_it_is_the_same(name: str, tmp_path: Path) -> None:
    """Samples, scores, codes and quality are the same bits; the game and the turns are kept."""
    model = run(name)
    data = MODELS[name][1]
    loaded = regen.load(regen.save(model, tmp_path / "model.regen"))
    assert facts(loaded) == facts(model)
    assert (
        loaded.get_params() == model.get_params() | {"training__checkpoint": None}
        or loaded.game == model.game
    )
    assert np.array_equal(loaded.score_samples(*data), model.score_samples(*data))
    assert np.array_equal(
        loaded.invert(*(each[:3] for each in data), steps=3, random_state=0),
        model.invert(*(each[:3] for each in data), steps=3, random_state=0),
    )
    assert loaded.quality(*data, random_state=0) == model.quality(*data, random_state=0)


def test_a_game_is_saved_with_all_its_fields(tmp_path: Path) -> None:
    """A regen.Game comes back as one, a dict as a dict."""
    game = regen.Game(pack=2, turns={"low": 20, "high": 60.5}, early_stopping="mmd", ema_half_life=0)
    model = regen.GAN(hidden=4, game=game, training={"batch_size": 8, "max_steps": 2}).fit(POINTS)
    assert regen.load(regen.save(model, tmp_path / "a")).game == game
    model = regen.GAN(hidden=4, game={"pack": 2}, training={"batch_size": 8, "max_steps": 2}).fit(POINTS)
    assert regen.load(regen.save(model, tmp_path / "b")).game == {"pack": 2}


def test_ctrl_c_keeps_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a warning, and the generator trained so far samples."""
    crash_at(60, monkeypatch, KeyboardInterrupt)
    model = gan(game={"quality_every": 8})
    with pytest.warns(UserWarning, match=r"^Interrupted by Ctrl-C in epoch 2; the best weights so far"):
        model.set_params(training={"batch_size": 8}).fit(POINTS)
    assert model.sample(3).shape == (3, 2)
    assert model.best_epoch_ == 1
