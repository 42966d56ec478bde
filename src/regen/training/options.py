"""Training options: one set of parameters shared by every estimator."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass, fields
from os import PathLike
from typing import Any, ClassVar, Self, final

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
    check_parameters,
    closest,
)

__all__ = ["Params", "Training", "validation_share"]

AUTO_SHARE = 0.2
"""The share that ``validation="auto"`` holds out where there are enough rows."""


@dataclass(kw_only=True, repr=False)
class Params(ABC):
    """A set of parameters with scikit-learn's ``get_params`` and ``set_params``.

    The constructor only stores; estimators call `check` in ``fit``. A subclass is a dataclass (with ``repr=False``)
    whose fields all have defaults, with one constraint for each in `constraints`.
    """

    constraints: ClassVar[dict[str, Constraint]]

    def __new__(cls, *_: Any, **params: Any) -> Self:
        """Name the closest field when one is misspelt."""
        for name in params:
            if name not in cls.constraints:
                raise TypeError(cls._unknown(name))
        return super().__new__(cls)

    @classmethod
    def of(cls, value: Self | Mapping[str, Any] | None) -> Self:
        """An instance made of `value`.

        Parameters
        ----------
        value : instance of this class, mapping or None
            None stands for the defaults; a mapping sets some of the fields.

        Returns
        -------
        instance of this class
            `value` itself if it is one.

        Raises
        ------
        ValueError
            When `value` is none of these, or a key is not a field (the closest one is named).
        """
        if value is None:
            return cls()
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            name = cls.__name__
            raise ValueError(
                f"{name.lower()} must be a {name}, a dict of its fields or None. Got {value!r} instead."
            )
        return cls().set_params(**value)

    def check(self) -> None:
        """Check every field against its constraint, and that the fields fit together.

        Raises
        ------
        ValueError
            For the first field that is out of range, by name, and for fields that do not fit together.
        """
        check_parameters(type(self).__name__, self.constraints, self.get_params())
        self._check_combinations()

    def _check_combinations(self) -> None:  # noqa: B027  (a hook that may stay empty)
        """Refuse fields that do not fit together."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All fields.

        Parameters
        ----------
        deep : bool, default=True
            Part of scikit-learn's interface; has no effect.

        Returns
        -------
        dict
            Field name -> value.
        """
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def set_params(self, **params: Any) -> Self:
        """Set fields.

        Parameters
        ----------
        **params : object
            Field name -> value.

        Returns
        -------
        self : Self
            The value itself.

        Raises
        ------
        ValueError
            For an unknown field.
        """
        for name in params:
            if name not in self.constraints:
                raise ValueError(self._unknown(name))
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """Only the fields that differ from their defaults."""
        changed = (
            f"{field.name}={value!r}"
            for field in fields(self)
            if (value := getattr(self, field.name)) is not field.default and value != field.default
        )
        return f"{type(self).__name__}({', '.join(changed)})"

    @classmethod
    def _unknown(cls, name: str) -> str:
        return f"{cls.__name__} has no parameter {name!r}.{closest(str(name), cls.constraints)}"


@final
@dataclass(kw_only=True, repr=False)
class Training(Params):
    """Training options, apart from ``max_epochs`` and ``learning_rate``, which are parameters of the estimator.

    It has scikit-learn's ``get_params`` and ``set_params``, so that ``clone`` copies it and ``GridSearchCV`` can
    search over ``training__weight_decay``. As for an estimator, the constructor only stores; every estimator checks
    the values in ``fit``. The ``repr`` shows only what differs from the defaults.

    Parameters
    ----------
    loss : {"auto", "mse", "mae", "huber", "cross_entropy"}, default="auto"
        The loss to minimise. ``"auto"`` leaves it to the estimator: squared error for values, cross-entropy for
        classes. ``"mae"`` and ``"huber"`` are for targets with outliers.
    optimizer : {"adam", "adamw", "sgd"}, default="adam"
        Adam (Kingma & Ba 2015) by default, because it needs the least tuning of the rate. ``"adamw"``
        decouples the weight decay (Loshchilov & Hutter 2019); ``"sgd"`` has Nesterov momentum 0.9.
    weight_decay : float, default=0.0
        L2 penalty of the optimizer; off by default, because early stopping already regularises small networks.
    schedule : {"auto", "constant", "inverse", "cosine", "step", "plateau", "onecycle"}, default="auto"
        Learning rate over the run; see `regen.training.lr_schedules.LearningRate`. ``"auto"`` leaves it to the
        estimator: ``"inverse"`` for `GAN`, ``"constant"`` for the others. A longer run with one of these two is the
        continuation of a shorter one.
    clip : float or None, default=1.0
        Largest norm of a player's whole gradient; longer ones are scaled down to it (Pascanu, Mikolov &
        Bengio 2013). On by default: recurrent gradients explode. None does not clip.
    batch_size : int or "auto", default="auto"
        Rows (windows, sequences, streams) per step. ``"auto"`` is 32, as small batches generalise at least as
        well (Masters & Luschi 2018), and more for `GAN` and `DCGAN`, which detect missing modes within a batch.
    max_steps : int or None, default=None
        Stop after this many batches, counted over the whole run and across resumes. None: no limit.
    max_time : float, str or None, default=None
        Stop after this many seconds, or ``"90s"``, ``"5m"``, ``"2h"``, counted across resumes. None: no limit.
    validation : float or "auto", default="auto"
        Share of the data held out to choose the best epoch: the last part of a series, rows drawn at random
        otherwise. ``"auto"`` is 0.2, or 0 where too few rows would be held out to compare epochs; each estimator
        documents when. 0 holds nothing out: all epochs are run and the last weights are kept.
    patience : int or None, default=10
        Stop after this many epochs in a row without a lower validation loss (Prechelt 1998). None: run all
        epochs, and still keep the best weights. Without validation it has no effect, because a training loss can
        keep falling.
    device : {"auto", "cpu", "cuda", "mps"}, default="auto"
        ``"auto"`` takes CUDA if there is one, then MPS, then the CPU.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        ``"bfloat16"`` runs matrix products in bfloat16 (autocast) and keeps weights in float32. ``"auto"``
        does so only on CUDA devices that compute in bfloat16; on a CPU it rarely pays.
    backend : str, default="auto"
        Backend that runs the recurrent cells: ``"auto"`` or a name; the network refuses an unknown one.
    checkpoint : path or None, default=None
        File that holds the whole state of the run. If it exists, training resumes from it, bit for bit as if
        never interrupted; see `regen.training.checkpoint`. Its folder must exist. None: no file.
    verbose : bool, default=False
        Show a progress bar on stderr.

    See Also
    --------
    regen.Game : The options of GAN training.

    Examples
    --------
    >>> Training(optimizer="adamw", weight_decay=0.01)
    Training(optimizer='adamw', weight_decay=0.01)
    >>> Training()
    Training()
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
    """The share of the data to hold out for a value of `Training.validation`."""
    return AUTO_SHARE if validation == "auto" else float(validation)
