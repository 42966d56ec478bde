"""AdversarialEstimator: all that GAN and DCGAN share.

Letters: `n` rows, `B` batch, `T` steps, `E` encoded numbers of a row (of a step, for sequences), `Z` code.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import column_or_1d
from torch import Generator, nn

from regen._check import Constraint, Either, Int, Kind, Nothing, check_parameters
from regen._random import Generators
from regen._schema import Form
from regen.data.batching import RowBatch
from regen.data.plain import complete_labels
from regen.estimators._base import SHARED_CONSTRAINTS, Estimator, rollback_on_error
from regen.estimators._constraints import check_columns
from regen.estimators._modalities import MODALITIES, Modality
from regen.estimators._probe import PROBE_ROWS, Probe, ProbeWindows
from regen.estimators.adversarial.evaluation import Evaluator
from regen.estimators.adversarial.forms import FORMS, refuse_inconsistent
from regen.estimators.adversarial.game import Game, GameRules
from regen.estimators.adversarial.game_training import (
    MAX_COMPARED,
    GameData,
    GameTraining,
    encode_labels,
    split_rows,
)
from regen.estimators.adversarial.gan_model import GANModel, GANPair, resolve_code_size
from regen.estimators.adversarial.latent import (
    check_codes,
    draw_codes,
    invert,
    label_index,
    sequence_lengths,
    slerp,
)
from regen.estimators.adversarial.probe import discriminator_probe
from regen.losses.gan import score
from regen.training.device import evaluating
from regen.training.options import Params, Training

__all__ = ["GAN_CONSTRAINTS", "AdversarialEstimator"]

GAN_CONSTRAINTS: Mapping[str, Constraint] = {
    "code": Int(1),
    "game": Either((Nothing(), Kind(Game, "a regen.Game"), Kind(dict, "a dict of its arguments"))),
    **SHARED_CONSTRAINTS,
}
"""Constraints of the parameters that GAN and DCGAN share."""


class AdversarialEstimator(Estimator):
    """A generator of rows, trained against a discriminator that scores rows from 1 to 100.

    A subclass chooses the networks and the modality of the data.

    Class attributes
    ----------------
    default_game : what "auto" is in `Game`, for penalty_weight, ema_half_life, beta1 and beta2.
    output, image_shape, norm : the values of estimators that do not have these parameters.
    """

    nested_params: ClassVar[Mapping[str, type[Params]]] = {"training": Training, "game": Game}
    loss_parameter: ClassVar[str] = "game"
    y_is_input: ClassVar[bool] = True
    default_game: ClassVar[Mapping[str, float]]
    forms: ClassVar[Mapping[str, Form]] = FORMS
    output: str = "auto"
    image_shape: Any = None
    norm: bool = False
    code: int | str
    game: Game | Mapping[str, Any] | None
    net_: GANPair
    form_: dict[str, Any]
    n_labels_: int
    label_shares_: NDArray[np.float64]
    lengths_: NDArray[np.int64] | None
    calibration_: list[tuple[float, float]]
    companions_: list[NDArray[Any] | None]
    classes_: NDArray[Any]
    turns_: list[tuple[Any, ...]]
    quality_: dict[str, float]
    backend_: str

    # Hooks.

    @abstractmethod
    def _modality_name(self, X: Any) -> str:
        """The key of `MODALITIES` for data X (n, ...)."""

    @abstractmethod
    def _networks(self, modality: Modality[Any]) -> tuple[nn.Module, nn.Module]:
        """A new generator and a new discriminator for rows of that modality."""

    # Parameters.

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    @property
    def _game(self) -> Game:
        return Game.of(self.game)

    @property
    def _rules(self) -> GameRules:
        return self._game.rules(self.default_game, bool(self.norm))

    def _adjust_options(self, options: Training) -> Training:
        return options if self._game.early_stopping else replace(options, patience=None)

    def _check_combinations(self) -> None:
        game, batch_size = self._game, self._options.batch_size
        game.check()
        if batch_size % game.pack:
            raise ValueError(
                f"pack={game.pack} gives the discriminator {game.pack} rows at once, so that batch_size must be a"
                f" multiple of it. Got batch_size={batch_size}."
            )

    # Fit.

    @rollback_on_error
    def fit(
        self, X: Any, y: Any = None, *, identifiers: str | Sequence[Any] = "drop", bounds: Any = "data"
    ) -> AdversarialEstimator:
        """Train the generator and the discriminator.

        Parameters
        ----------
        X : array-like, dataframe or list of arrays, (n, ...)
            Rows, without missing values.
        y : array-like of shape (n,), default=None
            Labels of any type that sorts. With labels, generator and discriminator are conditional: both receive the
            label of a row, and `sample` takes one.
        identifiers : {"drop", "keep"} or list of names of columns, default="drop"
            Columns that identify single rows (names, numbers of customers, free text), where nearly all values
            differ: "drop" leaves them out, with a warning; "keep" trains on them; a list leaves out its columns.
        bounds : {"data"}, None or dict of name to (lowest, highest), default="data"
            Range of generated numbers and dates: that of X, none, or another for some columns; a None is no limit.

        Returns
        -------
        self : AdversarialEstimator
            Fitted.

        Raises
        ------
        ValueError
            When a parameter is out of its range, or X or y cannot be used for training.
        """
        self._check_params()
        check_columns(type(self).__name__, identifiers, bounds)
        with self._seeded_rng() as rng:
            data = self._prepare(X, y, identifiers, bounds, rng)
            schedule = self._game.schedule()
            training = GameTraining(self._model(), self._rules, schedule, self._options, self._learning_rate)
            result = training.run(data, self._train_players, rng)
        self.net_, self.backend_, self.turns_ = result.net, result.backend, result.turns
        self.calibration_, self.quality_ = result.calibration, result.quality
        self.companions_ = result.companion_arrays()
        for message in result.warnings:
            warnings.warn(message, UserWarning, stacklevel=3)
        return self

    def _prepare(self, X: Any, y: Any, identifiers: Any, bounds: Any, rng: Generators) -> GameData:
        """Read, split and encode the data, build the networks, and set the attributes that describe them."""
        kind = MODALITIES[self._modality_name(X)]
        raw = kind.read(self, X, self.image_shape, identifiers)
        if y is None and "classes_" in vars(self):
            del self.classes_
        classes, labels = encode_labels(y, len(raw))
        self.n_labels_ = 0
        shares: NDArray[Any] = np.ones(1)
        owner, share = type(self).__name__, self._options.validation
        training, held_out = split_rows(owner, len(raw), labels, share, rng.order)
        if classes is not None and labels is not None:
            self.classes_, self.n_labels_ = classes, len(classes)
            shares = np.bincount(labels[training], minlength=len(classes))
        self.label_shares_ = shares / shares.sum()
        self.form_ = kind.learn(raw, self.output, training, bounds).state()
        self.companions_, self.lengths_ = [], None
        self.net_ = self._new_net(rng)
        rows = self._model().encode(raw)
        self.lengths_ = None if rows.lengths is None else rows.lengths.numpy()[training]
        index = None if labels is None else torch.from_numpy(labels).to(self._device)
        return GameData(rows, index, torch.from_numpy(training), torch.from_numpy(held_out))

    def _build(self) -> GANPair:
        return GANPair(*self._networks(self.modality_))

    def _model(self) -> GANModel:
        """The fitted model."""
        modality = self.modality_
        parts = [
            None if each is None else torch.from_numpy(each).to(self._device) for each in self.companions_
        ]
        return GANModel(
            owner=type(self).__name__,
            modality=modality,
            net=self.net_,
            code_size=resolve_code_size(self.code, modality),
            device=self._device,
            classes=self.classes_ if self.n_labels_ else None,
            label_shares=self.label_shares_,
            lengths=self.lengths_,
            companions=RowBatch(*parts) if parts else None,  # type: ignore[arg-type]
        )

    def _check_restored(self) -> None:
        self.modality_.refuse_other(self.n_features_in_)
        refuse_inconsistent(self._model(), self._rules.pack)

    # Fitted parts.

    @property
    def modality_(self) -> Modality[Any]:
        """The modality of the training data: how they are encoded as rows of numbers, and decoded."""
        return MODALITIES[self.form_["kind"]].of(self.form_)

    @property
    def identifiers_(self) -> list[str]:
        """Columns of the data of fit that were left out."""
        return list(self.form_.get("left_out", ()))

    @property
    def model_(self) -> GANModel:
        """The networks with all that turns codes into rows and rows into logits, for inspection."""
        self._check_fitted()
        return self._model()

    @property
    def generator_(self) -> nn.Module:
        """The generator that samples, a torch module: codes (B, Z) to inputs of `regen.losses.StraightThrough`."""
        self._check_fitted()
        return self.net_.generator

    @property
    def discriminator_(self) -> nn.Module:
        """The discriminator, a torch module: encoded rows (B, E) or (B, T, E) to logits (B / pack,)."""
        self._check_fitted()
        return self.net_.discriminator

    # Use.

    def sample(
        self,
        n: int = 1,
        random_state: Any = None,
        label: Any = None,
        truncation: float | None = None,
        lengths: Any = None,
    ) -> Any:
        """Generate rows.

        Parameters
        ----------
        n : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Seed of the codes, and of everything else that is drawn.
        label : scalar or array-like of shape (n,), default=None
            Of a conditional estimator: one of ``classes_`` for all rows, or one for each. None draws labels with
            their frequencies in the training data.
        truncation : float, default=None
            Codes are drawn from a normal distribution truncated to (-truncation, truncation): below 2, rows become
            more typical and less diverse (Brock et al. 2019). None does not truncate.
        lengths : array-like of int of shape (n,), default=None
            Steps of each sequence; None draws them from those of the training data.

        Returns
        -------
        X : array, dataframe or list of arrays
            n new rows, of the type of data of fit.
        """
        model, rng = self.model_, self._rng(random_state, n=n)
        labels = label_index(model, label, n, rng)
        codes = draw_codes(model, n, truncation, rng)
        return model.decode(codes, labels, sequence_lengths(model, lengths, n, rng), rng)

    def inverse_transform(self, Z: Any, label: Any = None, lengths: Any = None) -> Any:
        """Generate rows from codes; the same rows for the same codes.

        Parameters
        ----------
        Z : array-like of shape (n, Z)
            Codes.
        label : scalar or array-like of shape (n,), default=None
            Required for a conditional estimator: one of ``classes_`` for all rows, or one for each.
        lengths : array-like of int of shape (n,), default=None
            Steps of each sequence; None takes the longest of the training data.

        Returns
        -------
        X : array, dataframe or list of arrays
            n rows, of the type of data of fit.
        """
        model = self.model_
        codes = check_codes(model, Z)
        labels = label_index(model, label, len(codes), None)
        return model.decode(codes, labels, sequence_lengths(model, lengths, len(codes), None), None)

    def interpolate(
        self, first: Any = None, last: Any = None, steps: int = 8, label: Any = None, random_state: Any = None
    ) -> Any:
        """Generate rows along the path from one code to another.

        Codes are interpolated on an arc around 0 (spherical linear interpolation), where all are as probable as its
        ends (White 2016).

        Parameters
        ----------
        first, last : array-like of shape (Z,), default=None
            Codes at both ends, for example from `invert`; None draws one.
        steps : int, default=8
            Number of rows, at least 2.
        label : scalar or array-like of shape (steps,), default=None
            As in `sample`; None draws one for all rows.
        random_state : int, RandomState instance or None, default=None
            Seed of what is drawn.

        Returns
        -------
        X : array, dataframe or list of arrays
            Rows from `first` to `last`, both included, of the type of data of fit.
        """
        model, rng = self.model_, self._rng(random_state)
        check_parameters(type(self).__name__, {"steps": Int(2)}, {"steps": steps})
        ends = [
            draw_codes(model, 1, None, rng) if each is None else check_codes(model, np.reshape(each, (1, -1)))
            for each in (first, last)
        ]
        labels = label_index(model, label, 1 if label is None else steps, rng)
        labels = None if labels is None else labels.expand(steps)
        codes = slerp(ends[0][0], ends[1][0], steps)
        return model.decode(codes, labels, sequence_lengths(model, None, steps, None), None)

    def invert(
        self, X: Any, y: Any = None, steps: int = 300, random_state: Any = None
    ) -> NDArray[np.float32]:
        """Find the codes from which the generator comes closest to given rows.

        Gradient descent on the squared error of scaled columns, from 4 random codes for each row, of which the best
        result is kept. ``inverse_transform(invert(X))`` shows how close the generator comes.

        Parameters
        ----------
        X : array-like, dataframe or list of arrays, (n, ...)
            Rows, as in `fit`.
        y : array-like of shape (n,), default=None
            Their labels; required for a conditional estimator.
        steps : int, default=300
            Gradient steps from each starting point.
        random_state : int, RandomState instance or None, default=None
            Seed of the starting points.

        Returns
        -------
        Z : ndarray of shape (n, Z)
            Codes.
        """
        batch, model = self.encode_rows(X, y), self._model()
        if y is None:
            label_index(model, None, len(batch.x), None)  # raises for a conditional estimator
        rng = self._rng(random_state, steps=steps)
        return invert(model, batch, steps, rng).cpu().numpy()

    def score_samples(self, X: Any, y: Any = None) -> NDArray[np.float64]:
        """Score how real rows look to the discriminator, from 1 to 100; 50 means that it cannot tell.

        Scores are calibrated on held-out rows (those of fit if none are held out) and as many generated ones: of rows
        with a score of 80, half of them real and half generated, 80 % are real.

        Parameters
        ----------
        X : array-like, dataframe or list of arrays, (n, ...)
            Rows as in `fit`, real or generated.
        y : array-like of shape (n,), default=None
            Their labels, for a conditional estimator. None takes for each row the label with the largest logit.

        Returns
        -------
        scores : ndarray of shape (n,)
            From 1 to 100.
        """
        batch, model = self.encode_rows(X, y), self._model()
        slope, offset = self.calibration_[batch.y is None]
        with evaluating(self.net_):
            logits = model.logits(batch)
        return score(logits.double(), slope, offset).cpu().numpy()

    def quality(self, X: Any, y: Any = None, random_state: Any = None) -> dict[str, float]:
        """Measure the quality of generated rows, compared with real rows X.

        As many rows are generated as X has; at most 1,000 of either are compared. See `regen.metrics.generative`.

        Parameters
        ----------
        X : array-like, dataframe or list of arrays, (n, ...)
            At least 6 real rows, as in `fit`. Those of fit overrate a generator that copies them.
        y : array-like of shape (n,), default=None
            Their labels, for a conditional estimator: generated rows have the same, and labels are compared too.
        random_state : int, RandomState instance or None, default=None
            Seed of the generated rows.

        Returns
        -------
        measures : dict of str to float
            precision, recall, density, coverage, two_sample and mmd.
        """
        batch, model = self.encode_rows(X, y), self._model()
        rng = self._rng(random_state)
        if len(batch.x) > MAX_COMPARED:
            index = torch.randperm(len(batch.x), generator=rng, device=rng.device)[:MAX_COMPARED]
            batch = RowBatch(*(None if each is None else each[index] for each in batch))  # type: ignore[arg-type]
        labels = label_index(model, None, len(batch.x), rng) if batch.y is None else None
        evaluator = Evaluator(
            batch, model.generate, model.logits, model.code_size, rng.initial_seed(), labels
        )
        with evaluating(self.net_):
            return evaluator.quality(evaluator.generated(self.net_.generator))

    def score(self, X: Any, y: Any = None) -> float:
        """Return the coverage of X by generated rows, for model selection: that of `quality` with random_state=0.

        Parameters
        ----------
        X : array-like, dataframe or list of arrays, (n, ...)
            At least 6 real rows, as in `fit`.
        y : array-like of shape (n,), default=None
            Their labels, for a conditional estimator.

        Returns
        -------
        coverage : float
            Between 0 and 1.
        """
        return self.quality(X, y, random_state=0)["coverage"]

    def encode_rows(self, X: Any, y: Any = None) -> RowBatch:
        """Encode rows as inputs of the discriminator.

        Parameters
        ----------
        X : array-like, dataframe or list of arrays, (n, ...)
            Rows, as in `fit`.
        y : array-like of shape (n,), default=None
            Their labels, for a conditional estimator.

        Returns
        -------
        batch : RowBatch
            x (n, E) or (n, T, E); lengths (n,) of sequences of different lengths, else None; y (n,) the positions of
            labels among ``classes_``, None without labels.
        """
        model = self.model_
        raw = model.modality.read_known(self, X)
        y = complete_labels("y", y)
        labels = None if y is None else label_index(model, column_or_1d(y), len(raw), None)
        x, lengths, _ = model.encode(raw).gather(torch.arange(len(raw)))
        return RowBatch(x, lengths, labels)

    def probe(
        self,
        X: Any,
        y: Any = None,
        *,
        part: str | None = None,
        windows: ProbeWindows = "spread",
        rows: int | None = PROBE_ROWS,
    ) -> Probe:
        """Prepare rows for inspection of the discriminator; parameters as in `Estimator.probe`."""
        self._check_fitted()
        if (y is None) == bool(self.n_labels_):
            words = "with labels. Give y, one for each row." if y is None else "without labels. Leave out y."
            raise ValueError(f"This {type(self).__name__} was fitted {words}")
        data = self.modality_.read_known(self, X)
        probe = discriminator_probe(self.model_, data, self.encode_rows(X, y))
        return probe if rows is None else probe.head(rows)

    def _rng(self, random_state: Any, **counts: Any) -> Generator:
        """A random generator seeded by `random_state`, after a check that `counts` are positive ints."""
        check_parameters(type(self).__name__, dict.fromkeys(counts, Int(1)), counts)
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        return Generator(self._device).manual_seed(seed)
