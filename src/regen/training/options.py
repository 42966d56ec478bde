"""How a network is trained: one set of words shared by every estimator."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import ClassVar, final

from regen._check import (
    Bool,
    Choice,
    Constraint,
    Duration,
    Either,
    Int,
    Nothing,
    Number,
    Text,
)
from regen.training.params import Params

__all__ = ["Training", "validation_share"]

AUTO_SHARE = 0.2
"""The share that ``validation="auto"`` holds out where there is room for it."""


@final
@dataclass(kw_only=True)
class Training(Params):
    """How to train, apart from ``max_epochs`` and ``learning_rate``, which belong to the estimator.

    It is a plain value with scikit-learn's ``get_params`` and ``set_params``, so that ``clone`` copies it and
    ``GridSearchCV`` can search over ``training__weight_decay``. Like an estimator, it only stores what it is
    given; `check` refuses, and every estimator calls it in ``fit``.

    Parameters
    ----------
    loss : {"auto", "mse", "mae", "huber", "cross_entropy"}, default="auto"
        The number to minimise. ``"auto"`` leaves it to the estimator: squared error for values, cross-entropy
        for classes. ``"mae"`` and ``"huber"`` are for targets with outliers.
    optimizer : {"adam", "adamw", "sgd"}, default="adam"
        Adam (Kingma & Ba 2015) by default, because it needs the least tuning of the rate. ``"adamw"``
        decouples the weight decay (Loshchilov & Hutter 2019); ``"sgd"`` has Nesterov momentum 0.9.
    weight_decay : float, default=0.0
        L2 penalty of the optimiser; off by default: early stopping already holds small networks back.
    schedule : {"auto", "constant", "inverse", "cosine", "step", "plateau", "onecycle"}, default="auto"
        Learning rate over the run; see `regen.training.lr_schedules.Rate`. ``"auto"`` leaves it to the estimator:
        constant, but for `GAN` inverse. A longer run with one of these two is the continuation of a shorter one.
    clip : float or None, default=1.0
        Largest norm of a player's whole gradient; longer ones are scaled down to it (Pascanu, Mikolov &
        Bengio 2013). On by default: recurrent gradients explode. None does not clip.
    batch_size : int or "auto", default="auto"
        Rows (windows, sequences, streams) per step. ``"auto"`` is 32, as small batches generalise at least as
        well (Masters & Luschi 2018), and more for `GAN` and `DCGAN`, whose players see in a batch what is missing.
    max_steps : int or None, default=None
        Stop after this many batches, counted over the whole run and across resumes. None: no limit.
    max_time : float, str or None, default=None
        Stop after so many seconds, or ``"90s"``, ``"5m"``, ``"2h"``, counted across resumes. None: no limit.
    validation : float or "auto", default="auto"
        Share of the data held out to choose the best epoch: the last part of a series, rows drawn at random
        otherwise. "auto" is 0.2, or 0 where so few rows would be held out that they could not tell one epoch
        from another; each estimator says when. 0 holds nothing out: every epoch is run and the last weights are
        kept.
    patience : int or None, default=10
        Stop after this many epochs in a row without a lower validation loss (Prechelt 1998). None: run all
        epochs, and still keep the best weights. Without validation it has no effect, because a training loss
        can fall forever.
    device : {"auto", "cpu", "cuda", "mps"}, default="auto"
        ``"auto"`` takes CUDA if there is one, then MPS, then the CPU.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        ``"bfloat16"`` runs matrix products in bfloat16 (autocast) and keeps weights in float32. ``"auto"``
        does so only on CUDA devices that compute in bfloat16; on a CPU it rarely pays.
    backend : str, default="auto"
        Who runs the recurrent cells: ``"auto"`` or a backend's name; refused by the network if unknown.
    checkpoint : path or None, default=None
        File that holds the whole state of the run. If it exists, training resumes from it, bit for bit as if
        never interrupted; see `regen.training.checkpoint`. Its folder must be there. None: no file.
    verbose : bool, default=False
        Show a progress bar on stderr.
    """

    loss: str = "auto"
    optimizer: str = "adam"
    weight_decay: float = 0.0
    schedule: str = "auto"
    clip: float | None = 1.0
    batch_size: int = "auto"  # type: ignore[assignment]  # an int once the estimator has resolved it
    max_steps: int | None = None
    max_time: float | str | None = None
    validation: float | str = "auto"
    patience: int | None = 10
    device: str = "auto"
    precision: str = "auto"
    backend: str = "auto"
    checkpoint: str | PathLike[str] | None = None
    verbose: bool = False

    constraints: ClassVar[dict[str, Constraint]] = {
        "loss": Choice(("auto", "mse", "mae", "huber", "cross_entropy")),
        "optimizer": Choice(("adam", "adamw", "sgd")),
        "weight_decay": Number(0),
        "schedule": Choice(("auto", "constant", "inverse", "cosine", "step", "plateau", "onecycle")),
        "clip": Either((Number(0, low_open=True), Nothing())),
        "batch_size": Either((Choice(("auto",)), Int(1))),
        "max_steps": Either((Int(1), Nothing())),
        "max_time": Either((Duration(), Nothing())),
        "validation": Either((Choice(("auto",)), Number(0, 1, high_open=True))),
        "patience": Either((Int(1), Nothing())),
        "device": Choice(("auto", "cpu", "cuda", "mps")),
        "precision": Choice(("auto", "float32", "bfloat16")),
        "backend": Text("a backend's name"),
        "checkpoint": Either((Nothing(), Text("a path"))),
        "verbose": Bool(),
    }


def validation_share(validation: float | str) -> float:
    """The share of the data that `Training.validation` asks to hold out."""
    return AUTO_SHARE if validation == "auto" else float(validation)
