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
from sklearn.utils.validation import column_or_1d
from torch import Generator, Tensor, nn

from regen._check import Constraint, Either, Int, Kind, Nothing, check_parameters
from regen.data.batching import RowBatch
from regen.data.ragged import Ragged
from regen.estimators._base import SHARED_CONSTRAINTS, Estimator, rollback_on_error
from regen.estimators._evaluation import EVALUATION_BATCH, evaluating
from regen.estimators._modalities import MODALITIES, Modality
from regen.estimators.adversarial.evaluation import Board, logits_of
from regen.estimators.adversarial.game import Game, Rules
from regen.estimators.adversarial.game_losses import Duellists
from regen.estimators.adversarial.game_training import MOST_COMPARED, learn
from regen.estimators.adversarial.latent import great_circle, inverted
from regen.estimators.adversarial.sampling import codes_for, codes_of, labels_for, lengths_for
from regen.losses.gan import score
from regen.losses.straight_through import StraightThrough
from regen.training.options import Training

__all__ = ["COMPETING", "AdversarialEstimator"]

COMPETING: Mapping[str, Constraint] = {
    "code": Int(1),
    "game": Either((Nothing(), Kind(Game, "a regen.Game"), Kind(dict, "a dict of its arguments"))),
    **SHARED_CONSTRAINTS,
}
"""Constraints of the arguments that GAN and DCGAN share."""


class AdversarialEstimator(Estimator):
    """Codes in, rows out, learned against a discriminator that scores rows from 1 to 100.

    A subclass says what nets play, and how its data are read.
    """

    loss_parameter: ClassVar[str] = "game"
    usual_game: ClassVar[Mapping[str, float]]
    """What "auto" is in `Game`: penalty_weight, ema_half_life, beta1 and beta2."""
    net_: Duellists
    code: int | str
    game: Game | Mapping[str, Any] | None
    form_: dict[str, Any]
    n_labels_: int
    calibration_: list[tuple[float, float]]
    companions_: list[NDArray[Any] | None]
    classes_: NDArray[Any]
    turns_: list[tuple[Any, ...]]
    quality_: dict[str, float]
    _form: Modality[Any]

    # What a subclass says.

    @abstractmethod
    def _kind_of_data(self, X: Any) -> str:
        """Which of `MODALITIES` X is (n, ...)."""

    @abstractmethod
    def _nets(self, features: int) -> tuple[nn.Module, nn.Module]:
        """A new generator and discriminator for rows (or steps) of so many numbers."""

    @property
    def _usual_code(self) -> int:
        """What ``code="auto"`` is."""
        return 64

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
        """Set parameters by name; ``game__pack`` reaches into the game, also where it is evaluating None."""
        if any(name.startswith("game__") for name in params) and not isinstance(self.game, Game):
            self.game = Game.of(self.game)
        super().set_params(**params)
        return self

    @rollback_on_error
    def fit(self, X: Any, y: Any = None) -> AdversarialEstimator:
        """Train on rows.

        Parameters
        ----------
        X : (n, ...) rows, as the class says.
        y : (n,) labels of any type that sorts, or None. With labels both players read them, and `sample` takes one.
        """
        self._check_params()
        with self._seeded_rng() as generator:
            learn(self, X, y, generator)
        return self

    def _encoded(self, form: Modality[Any], given: Any) -> Ragged:
        """Rows as the discriminator reads them."""
        rows = form.encode(given)
        if rows.values.isnan().any():
            raise ValueError(
                f"X has missing values (NaN), and {type(self).__name__} compares whole rows. Fill them first, as"
                " regen.DenoisingAutoencoder().impute does, or leave those rows out."
            )
        rows.values = form.layout.inputs(rows.values).to(self._device)
        return rows

    def _adjust_options(self, options: Training) -> Training:
        """Without early stopping no patience ends the training."""
        return options if self._game.early_stopping else replace(options, patience=None)

    @property
    def _game(self) -> Game:
        return Game.of(self.game)

    def _usual(self, name: str) -> float:
        """A field of the game, "auto" resolved."""
        value = getattr(self._game, name)
        return float(self.usual_game[name] if value == "auto" else value)

    @property
    def _rules(self) -> Rules:
        return self._game.rules(self.usual_game, self._norm)

    @property
    def _code(self) -> int:
        """Z, "auto" resolved; known once the data have been measured."""
        return self.code if isinstance(self.code, int) else self._usual_code

    def _check_combinations(self) -> None:
        game, plan = self._game, self._options
        game.check()
        if plan.batch_size % game.pack:
            raise ValueError(
                f"pack={game.pack} reads {game.pack} rows at once, so that batch_size must be a multiple of it. Got"
                f" batch_size={plan.batch_size}."
            )

    def _build(self) -> Duellists:
        self._form = MODALITIES[self.form_["kind"]].of(self.form_)
        layout = self._form.layout
        blocks = [(block.kind, block.start, block.stop) for block in layout.blocks]
        self._head = StraightThrough(blocks, *map(torch.from_numpy, layout.usual))
        return Duellists(*self._nets(self._head.cells))

    # Between codes, rows and logits.

    def _inputs(self, outputs: Tensor, chance: Generator | None = None) -> Tensor:
        """What the discriminator reads of what a generator wrote; a gradient comes back through it."""
        return self._form.layout.inputs(self._head.sample(outputs, chance))

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
            found.append(self._head.mean(outputs) if chance is None else self._head.sample(outputs, chance))
        return torch.cat(found)

    def _remember(self, companions: RowBatch) -> None:
        """Keep the rows that stand beside every row that is scored, where packs are read."""
        if self._game.pack > 1:
            self.companions_ = [None if each is None else each.cpu().numpy() for each in companions]
        else:
            self.companions_ = []

    def _logits(self, batch: RowBatch) -> Tensor:
        """(n,) what the discriminator says of rows; of rows without their labels, under the one it likes best."""
        beside = None
        if self.companions_:
            kept = (None if each is None else torch.from_numpy(each) for each in self.companions_)
            x, lengths, y = (None if each is None else each.to(batch.x.device) for each in kept)
            assert x is not None
            beside = RowBatch(x, lengths, y)
        critic = self.net_.discriminator
        if not self.n_labels_ or batch.y is not None:
            return logits_of(critic, batch, beside)
        each = (torch.full((len(batch.x),), k, device=batch.x.device) for k in range(self.n_labels_))
        return torch.stack([logits_of(critic, batch._replace(y=label), beside) for label in each]).amax(0)

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
        self._check_fitted()
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
        self._check_fitted()
        codes = codes_of(self, Z)
        told = labels_for(self, label, len(codes), None)
        return self._decoded(codes, told, lengths_for(self, lengths, len(codes), None), None)

    def interpolate(
        self, first: Any = None, last: Any = None, steps: int = 8, label: Any = None, random_state: Any = None
    ) -> Any:
        """`steps` rows on the way from one code to another, both ends included, as the kind of data of fit.

        Codes go along an arc around 0, on which all are as usual as its ends (White 2016).

        Parameters
        ----------
        first, last : (Z,) codes, such as `invert` gives; None draws one.
        steps : rows, 2 at least.
        label : as in `sample`; None draws one for all.
        random_state : seed of what is drawn.
        """
        self._check_fitted()
        check_parameters(type(self).__name__, {"steps": Int(2)}, {"steps": steps})
        chance = self._chance(random_state)
        ends = [
            codes_for(self, 1, None, chance) if each is None else codes_of(self, np.reshape(each, (1, -1)))
            for each in (first, last)
        ]
        told = labels_for(self, label, 1 if label is None else steps, chance)
        told = None if told is None else told.expand(steps)
        return self._decoded(
            great_circle(ends[0][0], ends[1][0], steps), told, lengths_for(self, None, steps, None), None
        )

    def invert(
        self, X: Any, y: Any = None, steps: int = 300, random_state: Any = None
    ) -> NDArray[np.float32]:
        """Codes (n, Z) of which the generator makes rows as near to X as a search finds.

        The search goes down the squared error of scaled columns from 4 random codes for each row, and keeps the best.
        What the generator cannot make stays apart: ``inverse_transform(invert(X))`` shows how near it comes.

        Parameters
        ----------
        X : rows (n, ...) as in `fit`.
        y : (n,) their labels, for a conditional estimator.
        steps : how many the search takes, from each of its starts.
        random_state : seed of its starts.
        """
        batch = self._known(X, y)
        if self.n_labels_ and y is None:
            labels_for(self, None, len(batch.x), None)  # says that they are needed
        chance = self._chance(random_state, steps=steps)
        return inverted(self, batch, steps, chance).cpu().numpy()

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
        batch = self._known(X, y)
        slope, offset = self.calibration_[batch.y is None]
        with evaluating(self.net_):
            logits = self._logits(batch)
        return score(logits.double(), slope, offset).cpu().numpy()

    def quality(self, X: Any, y: Any = None, random_state: Any = None) -> dict[str, float]:
        """How good generated rows are beside X: precision, recall, density, coverage, two_sample and mmd.

        As many rows are generated as X has; at most 1,000 of either are compared. See `regen.metrics.generative`.

        Parameters
        ----------
        X : real rows (n, ...) as in `fit`, at least 6; those of fit flatter a generator that copies.
        y : (n,) their labels, for a conditional estimator: generated rows have the same, and labels are compared too.
        random_state : seed of the generated rows.
        """
        batch = self._known(X, y)
        chance = self._chance(random_state)
        if len(batch.x) > MOST_COMPARED:
            index = torch.randperm(len(batch.x), generator=chance, device=chance.device)[:MOST_COMPARED]
            batch = RowBatch(batch.x[index], *(None if each is None else each[index] for each in batch[1:]))
        labels = labels_for(self, None, len(batch.x), chance) if batch.y is None else None
        board = Board(batch, self._write, self._logits, self._code, chance.initial_seed(), labels)
        with evaluating(self.net_):
            return board.measured(board.fake(self.net_.generator))

    def score(self, X: Any, y: Any = None) -> float:
        """Coverage of X by generated rows, in [0, 1]: what `quality` says, by seed 0; for model selection.

        X : real rows (n, ...), y : (n,) labels or None, as in `quality`.
        """
        return self.quality(X, y, random_state=0)["coverage"]

    def _known(self, X: Any, y: Any) -> RowBatch:
        """Rows for a fitted estimator, as the discriminator reads them, with their labels."""
        self._check_fitted()
        given = self._form.read_known(self, X)
        label = None if y is None else labels_for(self, column_or_1d(y), len(given), None)
        return RowBatch(*self._encoded(self._form, given).gather(torch.arange(len(given))), label)

    @property
    def generator_(self) -> nn.Module:
        """The generator that samples, a torch module: codes (B, Z) to what `regen.losses.StraightThrough` reads."""
        self._check_fitted()
        return self.net_.generator

    @property
    def discriminator_(self) -> nn.Module:
        """The discriminator, a torch module: encoded rows (B, E) or (B, T, E) to logits (B / pack,)."""
        self._check_fitted()
        return self.net_.discriminator

    def _decoded(
        self, codes: Tensor, label: Tensor | None, lengths: NDArray[np.int64] | None, chance: Generator | None
    ) -> Any:
        steps = None if lengths is None else int(lengths.max())
        with evaluating(self.net_):
            cells = self._cells(self.net_.generator, codes, label, steps, chance).cpu()
        return self._form.decode(cells, lengths, rounded=True)

    def _chance(self, random_state: Any, **counts: Any) -> Generator:
        """A generator by `random_state`, once the `counts` of what it is to draw are seen to be counts."""
        check_parameters(type(self).__name__, dict.fromkeys(counts, Int(1)), counts)
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        return Generator(self._device).manual_seed(seed)
