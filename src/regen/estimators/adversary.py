"""What competes to create: all that GAN and DCGAN share, from any form of data to two players, and samples back.

Letters: `n` rows, `B` batch, `T` steps, `E` encoded numbers of a row (of a step, for sequences), `Z` code.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d
from torch import Generator, Tensor, nn

from regen._check import Constraint, Either, Int, Kind, Nothing, check_parameters
from regen.data.windows import RowBatch, Rows
from regen.estimators._asked import codes_for, labels_for, lengths_for
from regen.estimators._board import NEIGHBOURS, logits_of
from regen.estimators._competing import compete
from regen.estimators._duel import Duellists, Rules
from regen.estimators._estimator import SHARED, Estimator, all_or_nothing
from regen.estimators._forms import FORMS, DataForm
from regen.estimators._sequence_unfolding import hold_out
from regen.estimators._unfolding import EVALUATION_BATCH, still
from regen.estimators.game import GRADIENT_WEIGHT, Game
from regen.objectives.adversarial import adversarial, score
from regen.objectives.relaxed import Relaxed
from regen.training.plan import Training

__all__ = ["COMPETING", "AdversarialEstimator"]

COMPETING: Mapping[str, Constraint] = {
    "code": Int(1),
    "game": Either((Nothing(), Kind(Game, "a regen.Game"), Kind(dict, "a dict of its arguments"))),
    **SHARED,
}
"""Constraints of the arguments that GAN and DCGAN share."""


class AdversarialEstimator(Estimator):
    """Codes in, rows out, learned against a discriminator that scores rows from 1 to 100.

    A subclass says what nets play, and how its data are read.
    """

    usual_game: ClassVar[Mapping[str, float]]
    """What "auto" is in `Game`: penalty_weight, ema_half_life, beta1 and beta2."""
    net_: Duellists
    code: int
    game: Game | Mapping[str, Any] | None
    form_: dict[str, Any]
    n_labels_: int
    calibration_: tuple[float, float]
    companions_: list[NDArray[Any] | None]
    classes_: NDArray[Any]
    turns_: list[tuple[Any, ...]]
    quality_: dict[str, float]
    _form: DataForm[Any]

    # What a subclass says.

    @abstractmethod
    def _kind_of_data(self, X: Any) -> str:
        """Which of `FORMS` X is (n, ...)."""

    @abstractmethod
    def _nets(self, features: int) -> tuple[nn.Module, nn.Module]:
        """A new generator and discriminator for rows (or steps) of so many numbers."""

    @property
    def _output(self) -> str:
        """The kind that is set for all columns of numbers, or "auto"."""
        return "auto"

    @property
    def _shape_given(self) -> Any:
        """(Y, X) or (C, Y, X) of images that come flat."""
        return None

    @property
    def _norm(self) -> bool:
        """Whether the discriminator has a batch norm."""
        return False

    # Fit.

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def set_params(self, **params: Any) -> AdversarialEstimator:
        """Set parameters by name; ``game__pack`` reaches into the game, also where it is still None."""
        if any(name.startswith("game__") for name in params) and not isinstance(self.game, Game):
            self.game = Game.of(self.game)
        super().set_params(**params)
        return self

    @all_or_nothing
    def fit(self, X: Any, y: Any = None) -> AdversarialEstimator:
        """Train on rows.

        Parameters
        ----------
        X : (n, ...) rows, as the class says.
        y : (n,) labels of any type that sorts, or None. With labels both players read them, and `sample` takes one.
        """
        self._check()
        with self._seeded() as generator:
            self._learn(X, y, generator)
        return self

    def _learn(self, X: Any, y: Any, generator: Generator) -> None:
        kind = FORMS[self._kind_of_data(X)]
        given = kind.read(self, X, self._shape_given)
        n = len(given)
        labels = self._learn_labels(y, n)
        groups = np.zeros(n, dtype=np.int64) if labels is None else labels
        held_out = hold_out(groups, self._plan.validation, generator)
        training = np.setdiff1d(np.arange(n), held_out)
        self._refuse_few(len(training), len(held_out))
        form = kind.learn(given, self._output, training)
        self.form_ = form.state()
        rows = self._encoded(form, given)
        self.lengths_ = None if rows.lengths is None else rows.lengths.numpy()[training]
        shares = np.bincount(labels[training], minlength=self.n_labels_) if labels is not None else np.ones(1)
        self.label_shares_ = shares / shares.sum()
        self.net_ = self._build().to(self._device)
        told = None if labels is None else torch.from_numpy(labels).to(self._device)
        with_rows = rows, told, torch.from_numpy(training), torch.from_numpy(held_out)
        compete(self, *with_rows, generator)

    def _learn_labels(self, y: Any, n: int) -> NDArray[np.int64] | None:
        """Places of the labels among `classes_`, which it sets; without labels there are none."""
        if y is None and "classes_" in vars(self):
            del self.classes_
        self.n_labels_ = 0
        if y is None:
            return None
        y = column_or_1d(y, warn=True)
        check_consistent_length(np.empty(n), y)
        check_classification_targets(y)
        self.classes_, places = np.unique(y, return_inverse=True)
        self.n_labels_ = len(self.classes_)
        return places.astype(np.int64)

    def _encoded(self, form: DataForm[Any], given: Any) -> Rows:
        """Rows as the discriminator reads them."""
        rows = form.encode(given)
        if rows.values.isnan().any():
            raise ValueError(
                f"X has missing values, and {type(self).__name__} compares whole rows. Fill them first, as"
                " regen.DenoisingAutoencoder().impute does, or leave those rows out."
            )
        rows.values = form.layout.inputs(rows.values).to(self._device)
        return rows

    @property
    def _plan(self) -> Training:
        """The training plan; without early stopping no patience ends it."""
        plan = Training.of(self.training)
        return plan if Game.of(self.game).early_stopping else replace(plan, patience=None)

    @property
    def _game(self) -> Game:
        return Game.of(self.game)

    def _usual(self, name: str) -> float:
        """A field of the game, "auto" resolved."""
        value = getattr(self._game, name)
        return float(self.usual_game[name] if value == "auto" else value)

    @property
    def _rules(self) -> Rules:
        game = self._game
        wants_slope = game.penalised == "gradient" and game.penalty_weight == "auto"
        weight = GRADIENT_WEIGHT if wants_slope else self._usual("penalty_weight")
        losses = adversarial(game.objective, game.label_smoothing)
        return Rules(
            objective=game.objective,
            losses=losses,
            penalty=game.penalised,
            weight=weight,
            pack=game.pack,
            noise=float(game.instance_noise),
            norm=self._norm,
            scored=game.by_scores,
        )

    def _check(self) -> None:
        super()._check()
        game, plan = self._game, self._plan
        game.check()
        if plan.loss != "auto":
            raise ValueError(
                f"The 'loss' of the training of {type(self).__name__} must be 'auto'. Got {plan.loss!r} instead; what"
                " the players compete for is said by the objective of game=."
            )
        if plan.batch_size % game.pack:
            raise ValueError(
                f"pack={game.pack} reads {game.pack} rows at once, so that batch_size must be a multiple of it. Got"
                f" batch_size={plan.batch_size}."
            )

    def _refuse_few(self, training: int, held_out: int) -> None:
        if training < 2:
            raise ValueError(
                f"{type(self).__name__} learns how rows differ, and needs 2 at least. Got n_samples={training}."
            )
        if 0 < held_out <= NEIGHBOURS:
            raise ValueError(
                f"validation={self._plan.validation!r} holds out {held_out} rows; quality needs {NEIGHBOURS + 1} at"
                " least. Raise it, take validation=0, or give more rows."
            )

    def _build(self) -> Duellists:
        self._form = FORMS[self.form_["kind"]].of(self.form_)
        layout = self._form.layout
        blocks = [(block.kind, block.start, block.stop) for block in layout.blocks]
        self._head = Relaxed(blocks, *map(torch.from_numpy, layout.usual))
        return Duellists(*self._nets(self._head.cells))

    # Between codes, rows and logits.

    def _inputs(self, outputs: Tensor, chance: Generator | None = None) -> Tensor:
        """What the discriminator reads of what a generator wrote; a gradient comes back through it."""
        return self._form.layout.inputs(self._head.draw(outputs, chance))

    @torch.no_grad()
    def _write(
        self, generator: Any, codes: Tensor, label: Tensor | None, steps: int | None, chance: Generator | None
    ) -> Tensor:
        """(n, ...) what the discriminator reads of the rows that codes stand for; None: by no chance."""
        cells = self._cells(generator, codes, label, steps, chance)
        return self._form.layout.inputs(cells)

    @torch.no_grad()
    def _cells(
        self, generator: Any, codes: Tensor, label: Tensor | None, steps: int | None, chance: Generator | None
    ) -> Tensor:
        """(n, E) or (n, T, E) encoded cells of the rows that codes stand for; drawn, or None: the most probable."""
        found = []
        for start in range(0, len(codes), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            outputs = generator(codes[part], None if label is None else label[part], steps)
            found.append(self._head.mean(outputs) if chance is None else self._head.draw(outputs, chance))
        return torch.cat(found)

    def _remember(self, companions: RowBatch) -> None:
        """Keep the rows that stand beside every row that is scored, where packs are read."""
        if self._game.pack > 1:
            self.companions_ = [None if each is None else each.cpu().numpy() for each in companions]
        else:
            self.companions_ = []

    def _logits(self, batch: RowBatch) -> Tensor:
        """(n,) what the discriminator says of rows."""
        beside = None
        if self.companions_:
            kept = (None if each is None else torch.from_numpy(each) for each in self.companions_)
            x, lengths, y = (None if each is None else each.to(batch.x.device) for each in kept)
            assert x is not None
            beside = RowBatch(x, lengths, y)
        return logits_of(self.net_.discriminator, batch, beside)

    # Use.

    def sample(
        self,
        n: int = 1,
        random_state: Any = None,
        label: Any = None,
        truncation: float | None = None,
        lengths: Any = None,
    ) -> Any:
        """`n` new rows, as the kind of data that fit was given.

        Parameters
        ----------
        n : how many.
        random_state : seed of the codes, and of what else is drawn.
        label : of a conditional estimator: one of ``classes_`` for all rows, or (n,) of them. None draws labels as
            often as they were at fit.
        truncation : codes are drawn within (-truncation, truncation) only: with less than 2 rows become more usual
            and less different (Brock et al. 2019). None: everywhere.
        lengths : (n,) steps of each sequence; None draws them from those of fit.
        """
        self._ready()
        chance = self._chance(random_state, n=n)
        told = labels_for(self, label, n, chance)
        codes = codes_for(self, n, truncation, chance)
        return self._decoded(codes, told, lengths_for(self, lengths, n, chance), chance)

    def inverse_transform(self, Z: Any, label: Any = None, lengths: Any = None) -> Any:
        """The rows that codes stand for, as the kind of data that fit was given; always the same for the same codes.

        Parameters
        ----------
        Z : (n, Z) codes.
        label, lengths : as in `sample`, but a conditional estimator must be told the label, and sequences are as
            long as the longest at fit where nothing is said.
        """
        self._ready()
        codes = check_array(Z, dtype=np.float32, estimator=self, input_name="Z")
        if codes.shape[1] != self.code:
            raise ValueError(f"Z has {codes.shape[1]} columns; the code has {self.code} units.")
        told = labels_for(self, label, len(codes), None)
        return self._decoded(
            torch.from_numpy(codes).to(self._device), told, lengths_for(self, lengths, len(codes), None), None
        )

    def score_samples(self, X: Any, y: Any = None) -> NDArray[np.float64]:
        """How real each row looks to the discriminator, (n,): from 1 to 100, and 50 where it cannot tell.

        Calibrated on rows held out (those of fit where there are none) and as many generated ones: of rows with a
        score of 80, half of them real and half generated, 80 in a hundred are real.

        Parameters
        ----------
        X : rows as in `fit`: real ones, generated ones, or anyone's.
        y : (n,) their labels, for a conditional estimator. None takes for each row the label under which it looks
            most real.
        """
        self._ready()
        given = self._form.read_known(self, X)
        batch = RowBatch(*self._encoded(self._form, given).gather(torch.arange(len(given))), None)
        slope, offset = self.calibration_
        if not self.n_labels_ or y is not None:
            label = None if y is None else labels_for(self, column_or_1d(y), len(given), None)
            logits = self._logits(batch._replace(y=label))
        else:
            each = (torch.full((len(given),), k, device=batch.x.device) for k in range(self.n_labels_))
            logits = torch.stack([self._logits(batch._replace(y=label)) for label in each]).amax(0)
        return score(logits.double(), slope, offset).cpu().numpy()

    @property
    def generator_(self) -> nn.Module:
        """The generator that samples, a torch module: codes (B, Z) to what `regen.objectives.Relaxed` reads."""
        self._ready()
        return self.net_.generator

    @property
    def discriminator_(self) -> nn.Module:
        """The discriminator, a torch module: encoded rows (B, E) or (B, T, E) to logits (B / pack,)."""
        self._ready()
        return self.net_.discriminator

    def _decoded(
        self, codes: Tensor, label: Tensor | None, lengths: NDArray[np.int64] | None, chance: Generator | None
    ) -> Any:
        steps = None if lengths is None else int(lengths.max())
        with still(self.net_):
            cells = self._cells(self.net_.generator, codes, label, steps, chance).cpu()
        return self._form.decode(cells, lengths, rounded=True)

    def _chance(self, random_state: Any, **counts: Any) -> Generator:
        """A generator by `random_state`, once the `counts` of what it is to draw are seen to be counts."""
        check_parameters(type(self).__name__, dict.fromkeys(counts, Int(1)), counts)
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        return Generator(self._device).manual_seed(seed)
