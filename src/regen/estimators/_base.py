"""Estimator: parameter checks, seeding, rollback after a failed fit, and training, shared by every estimator."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import wraps
from html import escape
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

import torch
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.utils import Tags, check_random_state, estimator_html_repr
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from regen import _drawing
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
from regen._random import Generators
from regen._schema import Form
from regen.cells import NAMES, Cell
from regen.data.dataframes import frame
from regen.estimators._forms import check_state, check_weights
from regen.estimators._identity import digest, named
from regen.estimators._probe import PROBE_ROWS, Probe, ProbeWindows
from regen.losses.regression import LOSSES
from regen.training.batches import Batches
from regen.training.device import resolve_device
from regen.training.loop import train
from regen.training.options import Params, Training
from regen.training.player import Player, Stateful
from regen.training.row_parts import RowParts
from regen.training.schedule import Schedule, solo

__all__ = ["CELL_CONSTRAINT", "SHARED_CONSTRAINTS", "Estimator", "rollback_on_error"]

CELL_CONSTRAINT = Either((Choice(NAMES), Kind(Cell, "a regen.cells cell")))

SHARED_CONSTRAINTS: Mapping[str, Constraint] = {
    "max_epochs": Int(1),
    "learning_rate": Either((Choice(("auto",)), Number(0, low_open=True))),
    "random_state": Seed(),
    "training": Either(
        (Nothing(), Kind(Training, "a regen.Training"), Kind(dict, "a dict of its arguments"))
    ),
}
"""Constraints of the keyword arguments that every estimator's constructor ends with."""

Method = TypeVar("Method", bound=Callable[..., Any])


def rollback_on_error(method: Method) -> Method:
    """Decorate a method so that the estimator keeps its previous attributes when the method raises."""

    @wraps(method)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = dict(vars(self))
        try:
            return method(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return wrapped  # type: ignore[return-value]


class Command(NamedTuple):
    """How the command line fits an estimator: ``regen fit NAME``, its help line, and what its data file holds."""

    name: str
    summary: str
    data: Literal["series", "sequences", "rows", "labelled rows", "labelled images"]


class Estimator(BaseEstimator, ABC):  # type: ignore[misc]
    """A scikit-learn estimator around one network.

    The constructor only stores its arguments. `fit` checks them against `constraints` and trains; if anything
    fails, the previous fitted state stays as it was.

    Class attributes
    ----------------
    constraints : the constraint of each constructor argument.
    forms : the form of each fitted attribute but `net_`; a saved state is checked against it.
    capabilities : what a fitted model can do, in the order in which messages list it; each is also a command of
        the command line. The vocabulary:

        predict       forecasts, labels or targets of new data
        backtest      rolling-origin evaluation along a series
        encode        codes of rows
        decode        rows from codes
        reconstruct   rows passed through encoder and decoder
        score         a number for each row: its reconstruction error, or the discriminator's 1-100
        denoise       rows without noise
        impute        rows with missing values filled
        sample        new rows
        interpolate   rows along a line between two codes
        invert        the codes from which a generator comes closest to given rows
    y_is_input : whether the `y` of `probe` is an input of the network, not a target.
    command : how the command line fits it.
    default_learning_rate : the value of ``learning_rate="auto"``.
    default_training : values of the fields of `training` that are "auto".
    nested_params : parameters that have parameters of their own, and their types.
    losses : names of the losses of `training` that fit this estimator; the first is "auto". Empty where the
        estimator resolves the loss itself.
    loss_parameter : name of the constructor argument that sets the loss, for estimators that do not take it from
        `training`; else empty.
    """

    constraints: ClassVar[Mapping[str, Constraint]]
    forms: ClassVar[Mapping[str, Form]]
    capabilities: ClassVar[tuple[str, ...]]
    y_is_input: ClassVar[bool] = False
    command: ClassVar[Command]
    default_learning_rate: ClassVar[float] = 3e-3
    default_training: ClassVar[Mapping[str, Any]] = {"schedule": "constant", "batch_size": 32}
    nested_params: ClassVar[Mapping[str, type[Params]]] = {"training": Training}
    losses: ClassVar[tuple[str, ...]] = ()
    loss_parameter: ClassVar[str] = ""
    net_: nn.Module
    max_epochs: int
    learning_rate: float | str
    random_state: Any
    training: Training | Mapping[str, Any] | None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = _naming_unknown_arguments(cls.__init__)  # type: ignore[method-assign]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        if self.command.data == "series":  # one series along time, no matrix of samples
            tags.input_tags.one_d_array, tags.input_tags.two_d_array = True, False
            tags.input_tags.allow_nan = True
        return tags

    @abstractmethod
    def _build(self) -> nn.Module:
        """Return a new network of the size that the fitted attributes determine, and set nothing."""

    def fitted_net(self) -> nn.Module:
        """Return the trained network, unless a parameter was changed after fit.

        Returns
        -------
        net : torch.nn.Module
            `net_`.

        Raises
        ------
        ValueError
            Before fit, or when a parameter that shapes the network differs from that of fit.
        """
        self._check_fitted()
        return self.net_

    @abstractmethod
    def probe(
        self,
        X: Any,
        y: Any = None,
        *,
        part: str | None = None,
        windows: ProbeWindows = "spread",
        rows: int | None = PROBE_ROWS,
    ) -> Probe:
        """Prepare data for inspection.

        Parameters
        ----------
        X : array-like, dataframe or list of arrays
            Data as in `fit`: a series, a table, images or sequences.
        y : array-like of shape (n,) or (n, K), default=None
            Classes or targets; labels where the network has an input for them. None where there are none.
        part : str, default=None
            Name of the recurrent net that is inspected: for the decoder of an autoencoder, the outputs are the
            reconstruction in place of the code.
        windows : {"spread", "tiled", "sliding"}, default="spread"
            How a series is cut: at most `rows` windows spread over it, each with its horizon as target; windows side
            by side up to its end; a window ending at every step. Other data have no windows.
        rows : int or None, default=256
            Rows, or windows that are spread, at most; None is all.

        Returns
        -------
        probe : Probe
            The network with its inputs and targets.
        """

    def set_params(self, **params: Any) -> "Estimator":
        """Set the parameters of this estimator.

        Parameters
        ----------
        **params : dict
            Parameters by name. ``training__batch_size=64`` sets a field of `training`, also where that is None or
            a dict.

        Returns
        -------
        self : Estimator
            The estimator itself.
        """
        for name, kind in self.nested_params.items():
            if any(each.startswith(f"{name}__") for each in params):
                setattr(self, name, kind.of(getattr(self, name)))
        super().set_params(**params)
        return self

    @property
    def history_(self) -> Any:
        """One row per epoch of training, as a dataframe; see `regen.training.history.History`."""
        check_is_fitted(self, "epochs_")
        return frame(self.epochs_)

    def plot(self, **options: Any) -> Any:
        """A chart of the losses of every epoch.

        Parameters
        ----------
        **options
            ``unit="..."``, of the loss, for the axis.

        Returns
        -------
        chart : regen.figures.Chart
            As `regen.figures.learning_curves` draws it.

        Raises
        ------
        NotFittedError
            Before fit.
        """
        return _drawing.plot(self, **options)

    # Parameters with "auto" resolved.

    @property
    def _options(self) -> Training:
        """`training`, its "auto" fields replaced by the defaults of this estimator."""
        options = Training.of(self.training)
        auto = {
            name: value for name, value in self.default_training.items() if getattr(options, name) == "auto"
        }
        return self._adjust_options(replace(options, **auto) if auto else options)

    def _adjust_options(self, options: Training) -> Training:
        """Hook: the training options, after the defaults have been filled in."""
        return options

    @property
    def _learning_rate(self) -> float:
        return self.default_learning_rate if isinstance(self.learning_rate, str) else self.learning_rate

    @property
    def _loss_function(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The loss of `training` for each element, one of `losses`."""
        if not self.losses:  # no IndexError: scikit-learn's dir() reads every attribute
            raise AttributeError(f"{type(self).__name__} resolves its loss itself.")
        loss = self._options.loss
        return LOSSES[self.losses[0] if loss == "auto" else loss]

    @property
    def _device(self) -> torch.device:
        return resolve_device(self._options.device)

    # Checks.

    def _check_params(self) -> None:
        """Refuse parameters out of their range, and a device that this machine lacks."""
        check_parameters(type(self).__name__, self.constraints, self.get_params(deep=False))
        options = self._options
        options.check()
        if self.loss_parameter and options.loss != "auto":
            raise ValueError(
                f"The 'loss' of the training of {type(self).__name__} must be 'auto'. Got {options.loss!r} instead;"
                f" the loss is set by the {self.loss_parameter!r} parameter."
            )
        if self.losses and options.loss not in ("auto", *self.losses):
            names = ", ".join(map(repr, ("auto", *self.losses)))
            raise ValueError(
                f"The 'loss' of the training of {type(self).__name__} must be one of {names}. Got {options.loss!r}"
                " instead."
            )
        _ = self._device
        self._check_combinations()

    def _check_combinations(self) -> None:
        """Hook: refuse parameters that do not fit together, each of which is in its range."""

    def _check_fitted(self) -> None:
        """Refuse an estimator before fit, or with other parameters than those it was fitted with."""
        check_is_fitted(self, "net_")
        for name, value in self._frozen_params().items():
            if repr(value) != self.fitted_with_.get(name, repr(value)):  # a later version may have added it
                raise ValueError(
                    f"{name}={value!r} was set after fit, which had {name}={self.fitted_with_[name]}. Fit again, or"
                    " set it back."
                )

    def _frozen_params(self) -> dict[str, Any]:
        """Parameters that shape the network or its data, and may not change after fit."""
        return {
            name: value
            for name, value in self.get_params(deep=False).items()
            if name not in SHARED_CONSTRAINTS
        }

    # Training.

    @contextmanager
    def _seeded_rng(self) -> Iterator[Generators]:
        """Yield the generators of one fit, seeded by `random_state`; networks draw from them in this context."""
        rng = Generators(int(check_random_state(self.random_state).randint(2**31 - 1)))
        with rng.serving():
            yield rng

    def _new_net(self, rng: Generators) -> Any:
        """A network with weights drawn from `rng`, on its device."""
        with rng.redirecting():
            net = self._build()
        return net.to(self._device)

    def _train_module(
        self,
        module: nn.Module,
        loss: Callable[[Any], Mapping[str, Tensor]],
        batches: Batches,
        validate: Callable[[], dict[str, float]] | None,
        rng: Generators,
        *data: Tensor,
        memory: Stateful | None = None,
        parts: RowParts | None = None,
    ) -> None:
        """Train `module` on the given batches, keep the weights of the lowest validation loss, and set the
        fitted attributes that describe the training.

        `data` are the tensors that the batches are drawn from; a checkpoint made with other data is refused. `parts`
        is what the loss runs the module with.
        """
        players = [Player("train", module, loss, stateful=memory, parts=parts)]
        self._train_players(players, solo("train"), batches, validate, rng, *data)

    def _train_players(
        self,
        players: Sequence[Player],
        schedule: Schedule,
        batches: Batches,
        validate: Callable[[], dict[str, float]] | None,
        rng: Generators,
        *data: Tensor,
    ) -> None:
        """Train several players in turn; otherwise as `_train_module`."""
        params = self._frozen_params()
        with rng.redirecting() if _has_own_cell(params) else nullcontext():
            history = train(
                players,
                schedule,
                batches,
                self._options,
                max_epochs=self.max_epochs,
                learning_rate=self._learning_rate,
                validate=validate,
                generator=rng.order,
                fingerprint=f"{type(self).__name__} {named(params)} seed {self._int_seed()} {digest(data)}",
            )
        self.fitted_with_ = {name: repr(value) for name, value in params.items()}
        self.epochs_ = history.columns()
        self.stopped_ = f"{history.stopped} {history.resumed}".strip()
        self.n_epochs_ = len(history.rows)
        self.best_epoch_ = history.best_epoch

    def _int_seed(self) -> int | None:
        """`random_state` if it is an int, which then identifies the run; else None."""
        if self.random_state is None or not Int().accepts(self.random_state):
            return None
        return int(self.random_state)

    # Persistence.

    def fitted_state(self) -> dict[str, Any]:
        """Return everything that fit has learned.

        Returns
        -------
        state : dict
            Fitted attributes by name: numbers, texts, arrays, tensors, and lists and dicts of them. ``net_`` is
            the state_dict of the network.
        """
        self._check_fitted()
        fitted = {name: value for name, value in vars(self).items() if name.endswith("_")}
        return fitted | {"net_": self.net_.state_dict()}

    def restore_fitted_state(self, state: Mapping[str, Any]) -> None:
        """Set the fitted attributes to what `fitted_state` returned, and build the network anew.

        Parameters
        ----------
        state : mapping
            The fitted attributes, with ``net_`` as a state_dict.

        Raises
        ------
        ValueError
            When an attribute is missing or not of its form, or the weights are not those of the network described.
        """
        check_state(type(self).__name__, self.forms, state)
        weights = state["net_"]
        for name in self.forms.keys() & state.keys():
            setattr(self, name, state[name])
        layers = self.get_params(deep=False).get("layers", 0)
        if layers > len(weights):  # each layer has a weight; building very many layers takes seconds
            raise ValueError(f"layers={layers} is more than its {len(weights)} weights")
        with torch.device("meta"):  # a wrong size is refused before memory is allocated for it
            check_weights(weights, self._build().state_dict())
        self.net_ = self._new_net(Generators(0))  # of any seed: the saved weights replace those that it draws
        self.net_.load_state_dict(weights)
        self.net_.eval()
        self._check_fitted()
        self._check_restored()

    def _check_restored(self) -> None:
        """Hook: refuse restored attributes that do not fit together, each of which is of its form."""

    # Notebooks.

    def _repr_html_inner(self) -> str:
        """scikit-learn's diagram, and a line on the training of a fitted estimator."""
        summary = f"<p>{escape(self._training_summary())}</p>" if "epochs_" in vars(self) else ""
        return f"{estimator_html_repr(self)}{summary}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """The representations that a notebook chooses from; text alone where scikit-learn's ``display`` is "text"."""
        diagram = get_config()["display"] == "diagram"
        return {"text/plain": repr(self)} | ({"text/html": self._repr_html_inner()} if diagram else {})

    def _training_summary(self) -> str:
        """The number of epochs, the reason training ended, and the first and the lowest loss."""
        held_out = "validation.loss" in self.epochs_
        losses = self.epochs_.get("validation.loss" if held_out else "train.loss", [])
        losses = [loss for loss in losses if loss == loss]
        epochs = f"Trained for {self.n_epochs_} epoch{'' if self.n_epochs_ == 1 else 's'}. {self.stopped_}"
        if not losses:
            return epochs
        part = "on the validation data" if held_out else "on the training data"
        return f"{epochs} The loss {part} was {losses[0]:.3g} at first and {min(losses):.3g} at its best."


def _naming_unknown_arguments(init: Callable[..., None]) -> Callable[..., None]:
    """Return `init` with an error for an unknown argument that names the closest known one."""
    known = list(inspect.signature(init).parameters)[1:]

    @wraps(init)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        for name in kwargs:
            if name not in known:
                raise TypeError(f"{type(self).__name__} has no parameter {name!r}.{closest(name, known)}")
        init(self, *args, **kwargs)

    return checked


def _has_own_cell(params: Mapping[str, Any]) -> bool:
    """Whether a cell among the parameters is a class of the user, who may draw random numbers in its steps."""
    cells = [value for value in params.values() if isinstance(value, Cell)]
    return any(not type(cell).__module__.startswith("regen.cells.") for cell in cells)
