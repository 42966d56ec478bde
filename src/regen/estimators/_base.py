"""What every estimator shares: checked parameters, a seeded fit that is all or nothing, one way into the loop."""

import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from html import escape
from typing import Any, ClassVar, TypeVar

import torch
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state, estimator_html_repr
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from regen._check import (
    Choice,
    Constraint,
    Either,
    Int,
    Kind,
    Nothing,
    Number,
    Seed,
    check_parameters,
    closest,
)
from regen.cells import NAMES, Cell
from regen.data.series import frame
from regen.training.batches import Feed
from regen.training.device import resolve_device
from regen.training.loop import train
from regen.training.options import Training
from regen.training.player import Memory, Player
from regen.training.schedule import Schedule, solo

__all__ = ["CELL", "SHARED", "Estimator", "all_or_nothing"]

CELL = Either((Choice(NAMES), Kind(Cell, "a regen.cells cell")))

SHARED: Mapping[str, Constraint] = {
    "max_epochs": Int(1),
    "learning_rate": Either((Choice(("auto",)), Number(0, low_open=True))),
    "random_state": Seed(),
    "training": Either(
        (Nothing(), Kind(Training, "a regen.Training"), Kind(dict, "a dict of its arguments"))
    ),
}
"""Constraints of the arguments that close every estimator's constructor."""

Method = TypeVar("Method", bound=Callable[..., Any])


def all_or_nothing(method: Method) -> Method:
    """A method that, when it fails, leaves the estimator as it was before the call."""

    @wraps(method)
    def whole(self: Any, *arguments: Any, **named: Any) -> Any:
        before = dict(vars(self))
        try:
            return method(self, *arguments, **named)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return whole  # type: ignore[return-value]


class Estimator(BaseEstimator, ABC):  # type: ignore[misc]
    """A scikit-learn estimator around one network.

    The constructor only stores; `fit` checks the parameters against `constraints`, trains, and leaves the former
    state untouched if anything fails.
    """

    constraints: ClassVar[Mapping[str, Constraint]]
    usual_rate: ClassVar[float] = 3e-3
    """What ``learning_rate="auto"`` is."""
    usual_training: ClassVar[Mapping[str, Any]] = {"schedule": "constant", "batch_size": 32}
    """What "auto" is in those fields of the training plan."""
    own_loss: ClassVar[str] = ""
    """What says the loss in place of the training plan, in words; nothing where the plan does."""
    net_: nn.Module
    max_epochs: int
    learning_rate: float | str
    random_state: Any
    training: Training | Mapping[str, Any] | None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = _naming_unknown_arguments(cls.__init__, cls.__name__)  # type: ignore[method-assign]

    @abstractmethod
    def _build(self) -> nn.Module:
        """A new network for the data that fit has measured; load rebuilds a saved one through it."""

    def set_params(self, **params: Any) -> "Estimator":
        """Set parameters by name; ``training__batch_size`` reaches into the plan, also where it is still None."""
        if any(name.startswith("training__") for name in params) and not isinstance(self.training, Training):
            self.training = Training.of(self.training)
        super().set_params(**params)
        return self

    @property
    def _plan(self) -> Training:
        """The training plan, with what is usual for this estimator."""
        plan = Training.of(self.training)
        usual = {name: value for name, value in self.usual_training.items() if getattr(plan, name) == "auto"}
        return replace(plan, **usual) if usual else plan

    @property
    def _rate(self) -> float:
        return self.usual_rate if isinstance(self.learning_rate, str) else self.learning_rate

    @property
    def _device(self) -> torch.device:
        return resolve_device(self._plan.device)

    @property
    def history_(self) -> Any:
        """One row per epoch of training, as a dataframe; see `regen.training.history.History`."""
        check_is_fitted(self, "epochs_")
        return frame(self.epochs_)

    def _check(self) -> None:
        """Refuse parameters out of their range, and a device that this machine lacks."""
        check_parameters(type(self).__name__, self.constraints, self.get_params(deep=False))
        plan = self._plan
        plan.check()
        if self.own_loss and plan.loss != "auto":
            raise ValueError(
                f"The 'loss' of the training of {type(self).__name__} must be 'auto'. Got {plan.loss!r} instead;"
                f" {self.own_loss}."
            )
        _ = self._device

    @contextmanager
    def _seeded(self) -> Iterator[torch.Generator]:
        """Random numbers from `random_state`: torch's own for weights and dropout, put back afterwards, and a
        generator for the order of the data.
        """
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        with torch.random.fork_rng(range(torch.cuda.device_count())):  # a seed reaches every GPU
            torch.manual_seed(seed)
            yield torch.Generator().manual_seed(seed)

    def _train(
        self,
        module: nn.Module,
        loss: Callable[[Any], Mapping[str, Tensor]],
        feed: Feed,
        judge: Callable[[], dict[str, float]] | None,
        generator: torch.Generator,
        *data: Tensor,
        memory: Memory | None = None,
    ) -> None:
        """Train `module` on `feed`, keep the weights that `judge` likes best, and record what happened.

        `data` is what the feed draws from; a checkpoint of other data is refused by it.
        """
        players = [Player("train", module, loss, memory=memory)]
        self._play(players, solo("train"), feed, judge, generator, *data)

    def _play(
        self,
        players: Sequence[Player],
        schedule: Schedule,
        feed: Feed,
        judge: Callable[[], dict[str, float]] | None,
        generator: torch.Generator,
        *data: Tensor,
    ) -> None:
        """Train several players in turn, as `_train` does one."""
        history = train(
            players,
            schedule,
            feed,
            self._plan,
            max_epochs=self.max_epochs,
            learning_rate=self._rate,
            validate=judge,
            generator=generator,
            fingerprint=f"{type(self).__name__} {self._settings()} seed {self._seed()} {_digest(data)}",
        )
        self.fitted_with_ = {name: repr(value) for name, value in self._settings().items()}
        self.epochs_ = history.columns()
        self.stopped_ = f"{history.stopped} {history.resumed}".strip()
        self.n_epochs_ = len(history.rows)
        self.best_epoch_ = history.best_epoch

    def _seed(self) -> int | None:
        """The seed that was given, if it was a number: another one begins another run."""
        return (
            None
            if self.random_state is None or not Int().accepts(self.random_state)
            else int(self.random_state)
        )

    def _ready(self) -> None:
        """Refuse to be used before fit, or with parameters that are no longer those of fit."""
        check_is_fitted(self, "net_")
        for name, value in self._settings().items():
            if repr(value) != self.fitted_with_[name]:
                raise ValueError(
                    f"{name}={value!r} was set after fit, which had {name}={self.fitted_with_[name]}. Fit again, or"
                    " set it back."
                )

    def _fitted(self) -> dict[str, Any]:
        """Everything that fit has learned, as numbers, texts, arrays, tensors, and lists and dicts of them."""
        self._ready()
        learned = {name: value for name, value in vars(self).items() if name.endswith("_")}
        return learned | {"net_": self.net_.state_dict()}

    def _restore(self, fitted: Mapping[str, Any]) -> None:
        """Take back what `_fitted` returned, into a network built anew."""
        for name, value in fitted.items():
            if name != "net_":
                setattr(self, name, value)
        self.net_ = self._build().to(self._device)
        self.net_.load_state_dict(fitted["net_"])
        self.net_.eval()

    # In a notebook.

    def _repr_html_inner(self) -> str:
        """Scikit-learn's diagram, and a line on the training where there was one."""
        told = f"<p>{escape(self._told_of_training())}</p>" if "epochs_" in vars(self) else ""
        return f"{estimator_html_repr(self)}{told}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """What a notebook shows; text alone where scikit-learn's ``display`` is set to that."""
        diagram = get_config()["display"] == "diagram"
        return {"text/plain": repr(self)} | ({"text/html": self._repr_html_inner()} if diagram else {})

    def _told_of_training(self) -> str:
        """How long it was, why it ended, and how far the loss came."""
        losses = [name for name in self.epochs_ if name == "validation.loss"] or ["train.loss"]
        known = [each for each in self.epochs_.get(losses[0], []) if each == each]
        epochs = f"Trained for {self.n_epochs_} epoch{'' if self.n_epochs_ == 1 else 's'}. {self.stopped_}"
        where = "on what was held out" if losses[0].startswith("validation") else "on the training data"
        fell = (
            f" The loss {where} was {known[0]:.3g} at first and {min(known):.3g} at its best."
            if known
            else ""
        )
        return f"{epochs}{fell}"

    def _settings(self) -> dict[str, Any]:
        """Parameters that shape the network or the data; limits and the training plan are the loop's to compare."""
        return {name: value for name, value in self.get_params(deep=False).items() if name not in SHARED}


def _naming_unknown_arguments(init: Callable[..., None], owner: str) -> Callable[..., None]:
    """`init`, naming the closest argument when it is given one it does not have."""
    known = list(inspect.signature(init).parameters)[1:]

    @wraps(init)
    def checked(self: Any, *arguments: Any, **named: Any) -> None:
        for name in named:
            if name not in known:
                raise TypeError(f"{owner} has no parameter {name!r}.{closest(name, known)}")
        init(self, *arguments, **named)

    return checked


def _digest(tensors: tuple[Tensor, ...]) -> str:
    """A short name for the exact contents of some tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(str(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
