"""Small fits of every estimator, with all that is random in one switched on, for tests that run them many times.

A module of its own, for new processes import it.
"""

import hashlib
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

import regen
from regen import inspect
from regen.cells import LSTM, Cell, Elman
from regen.estimators import ESTIMATORS

RNG = np.random.default_rng(0)
SERIES = np.sin(np.arange(90) / 3) + 0.1 * RNG.normal(size=90)
ROWS = RNG.normal(size=(48, 3)) @ RNG.normal(size=(3, 5))
GAPPY = np.where(RNG.random(ROWS.shape) < 0.1, np.nan, ROWS)
SEQUENCES = RNG.normal(size=(40, 9, 2))
LABELS = np.arange(40) % 3
IMAGES = RNG.random((36, 8, 8))
TRAINING: dict[str, Any] = {"validation": 0.25}
PLANS: dict[str, dict[str, Any]] = {
    "Forecaster by torch": {"backend": "torch"},
    "GAN": {"max_steps": 30},
    "DCGAN": {"max_steps": 12, "batch_size": 12},
}


class NoisyCell(Cell):
    """A cell of a user, whose state is disturbed in training."""

    gates: ClassVar[tuple[str, ...]] = ("h",)
    states: ClassVar[tuple[str, ...]] = ("h",)

    def shapes(self, I: int, H: int, bias: bool = True) -> dict[str, tuple[int, ...]]:  # noqa: E741
        """Weights of an Elman cell."""
        return Elman().shapes(I, H, bias)

    def state_sizes(self, H: int) -> tuple[int, ...]:
        """One state."""
        return (H,)

    def activations(self) -> dict[str, str]:
        """Of the state."""
        return {"h": "tanh"}

    def step(self, params: Any, wx_t: Any, state: Any, keep: Any = None) -> Any:
        """Elman's step, with noise."""
        h, _, gates = Elman().step(params, wx_t, state, keep)
        h = h + 0.1 * torch.randn_like(h) if torch.is_grad_enabled() else h
        return h, (h,), gates


def noisy(X: Any, rng: torch.Generator) -> Any:
    """A corruption that ignores the generator that it receives, as a user's may."""
    return X + 0.1 * torch.randn_like(X)


def model(name: str, seed: Any = 0, **options: Any) -> tuple[Any, tuple[Any, ...]]:
    """An unfitted estimator and what it is fitted on; `seed` is its random_state."""
    plan = TRAINING | PLANS.get(name, {}) | options.pop("training", {})
    every = {"max_epochs": 2, "random_state": seed, "training": plan, **options}
    forecaster = {"window": 8, "horizon": 2, "hidden": 4, "layers": 2, "dropout": 0.3}
    made: dict[str, Callable[[], tuple[Any, tuple[Any, ...]]]] = {
        "Forecaster": lambda: (regen.Forecaster(**forecaster, **every), (SERIES,)),
        "Forecaster by torch": lambda: (regen.Forecaster(**forecaster, **every), (SERIES,)),
        "Forecaster of a user's cell": lambda: (
            regen.Forecaster(NoisyCell(), **forecaster, **every),
            (SERIES,),
        ),
        "SequenceClassifier": lambda: (
            regen.SequenceClassifier("gru", hidden=4, layers=2, dropout=0.3, **every),
            (SEQUENCES, LABELS),
        ),
        "SequenceRegressor": lambda: (
            regen.SequenceRegressor(LSTM(peephole="full"), hidden=4, dropout=0.3, **every),
            (SEQUENCES, SEQUENCES[:, :, 0].sum(1)),
        ),
        "Autoencoder": lambda: (
            regen.Autoencoder(code=33, hidden=(8,), penalty={"contractive": 0.1}, pretraining=True, **every),
            (ROWS,),
        ),
        "DenoisingAutoencoder": lambda: (
            regen.DenoisingAutoencoder(code=2, hidden=(8,), corruption="mask", **every),
            (GAPPY,),
        ),
        "DenoisingAutoencoder by a function": lambda: (
            regen.DenoisingAutoencoder(code=2, hidden=(8,), corruption=noisy, **every),
            (ROWS,),
        ),
        "VariationalAutoencoder": lambda: (
            regen.VariationalAutoencoder(code=2, hidden=(8,), **every),
            (GAPPY,),
        ),
        "GAN": lambda: (
            regen.GAN(code=2, hidden=8, game={"instance_noise": 0.1, "penalty": "gradient"}, **every),
            (ROWS, LABELS[:1].repeat(24).tolist() + [1] * 24),
        ),
        "DCGAN": lambda: (regen.DCGAN(channels=2, **every | {"max_epochs": 1}), (IMAGES,)),
    }
    return made[name]()


UNSAVED = ("Forecaster of a user's cell", "DenoisingAutoencoder by a function")
"""Fits with code of a user, which is not saved."""
NAMES = (
    *(kind.__name__ for kind in ESTIMATORS),
    "Forecaster by torch",
    *UNSAVED,
)


def outputs(fitted: Any, data: tuple[Any, ...]) -> list[Any]:
    """What a fitted estimator gives: predictions, codes, scores, samples."""
    X = data[0]
    calls: dict[str, Callable[[], Any]] = {
        "predict": lambda: fitted.predict() if isinstance(fitted, regen.Forecaster) else fitted.predict(X),
        "transform": lambda: fitted.transform(X),
        "score_samples": lambda: fitted.score_samples(X),
        "sample": lambda: fitted.sample(3, random_state=1),
        "impute": lambda: fitted.impute(X, n_draws=2, random_state=1)[1],
    }
    able = set(dir(type(fitted)))
    return [call() for name, call in calls.items() if name in able]


def learned(fitted: Any) -> str:
    """A hash of weights and history."""
    found = hashlib.sha256()
    for name, tensor in fitted.net_.state_dict().items():
        found.update(name.encode() + tensor.numpy().tobytes())
    for name, column in fitted.epochs_.items():
        if name != "seconds":
            found.update(name.encode() + np.asarray(column, dtype=np.float64).tobytes())
    return found.hexdigest()[:16]


def digest(fitted: Any, data: tuple[Any, ...]) -> str:
    """A hash of weights, history and outputs."""
    found = hashlib.sha256(learned(fitted).encode())
    for values in outputs(fitted, data):
        for part in values if isinstance(values, list) else [values]:
            found.update(np.ascontiguousarray(part).tobytes())
    return found.hexdigest()[:16]


def fit(name: str, seed: Any = 0, **options: Any) -> Any:
    """A fitted estimator, without the warnings of so short a training."""
    estimator, data = model(name, seed, **options)
    return estimator.fit(*data)


def result(name: str, seed: int = 0) -> str:
    """The hash of a fit, in whichever thread or process it runs."""
    return digest(fit(name, seed), model(name)[1])


def results(names: tuple[str, ...], threads: int) -> dict[str, str]:
    """The hash of several fits, in a process with a number of threads."""
    torch.set_num_threads(threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: result(name) for name in names}


def use(fitted: Any, data: tuple[Any, ...]) -> None:
    """Everything that is done with a fitted estimator: outputs, a file, and inspection."""
    outputs(fitted, data)
    with tempfile.TemporaryDirectory() as folder:
        loaded = regen.load(regen.save(fitted, Path(folder) / "model"))
    outputs(loaded, data)
    probed = data if fitted.y_is_input else data[:1]
    if isinstance(fitted, regen.GAN | regen.DCGAN):
        inspect.training_game(fitted, *probed)
    elif "encode" in fitted.capabilities:
        inspect.codes(fitted, data[0])
    else:
        inspect.gates(fitted, data[0])
        inspect.saliency(fitted, data[0])
