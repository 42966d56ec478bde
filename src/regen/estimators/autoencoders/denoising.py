"""DenoisingAutoencoder: rows made worse and restored, so that noise is taken off and gaps are filled."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, final

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Generator, Tensor

from regen._check import Anything, Choice, Constraint, Either, Int, Nothing, Number, check_parameters
from regen._masks import length_mask
from regen.cells import Cell
from regen.data.batching import RowBatches
from regen.data.corruption import CORRUPTIONS, corrupt
from regen.data.ragged import Ragged
from regen.estimators._constraints import ROW_CONSTRAINTS
from regen.estimators._evaluation import EVALUATION_BATCH, evaluating
from regen.estimators.autoencoders._base import AutoencodingEstimator
from regen.estimators.autoencoders.autoencoder import KINDS, RESTORED, row_errors
from regen.estimators.autoencoders.imputation import (
    DONATED,
    FEW,
    NEAREST,
    choose_donors,
    column_of,
    drawn,
    hidden,
    in_parts,
    there,
)
from regen.estimators.autoencoders.row_model import RowInputs
from regen.nets.autoencoder import AutoencoderNet
from regen.training.options import Training

__all__ = ["DenoisingAutoencoder"]

Corrupt = Callable[[Tensor, Generator | None], Tensor]

DRAWN_IN = 4
"""Parts in which gaps are drawn, each after the net has read those before."""
CALIBRATED_ON = 2000
"""Rows (or steps), at most, whose values are hidden to see how near the net comes."""
CALIBRATIONS = (4, 20)
"""Times that they are hidden, at least and at most."""
CALIBRATION_SHARE = 0.2
"""Share of values hidden for it where the data do not say."""

DRAWING: Mapping[str, Constraint] = {"n_draws": Either((Nothing(), Int(1)))}


@final
class DenoisingAutoencoder(AutoencodingEstimator):
    """Restores rows from corrupted ones: takes noise off, and fills in what is missing.

    In training every row is corrupted anew, and the net must restore the row as it was (Vincent et al. 2008). So it
    learns what goes with what, not to copy: the code may well be wider than the row. Where rows have missing
    values, the encoder is told which; what was observed is hidden in part, by the gaps of other rows and a few at
    random, and the net is judged by what it says of the hidden values as much as by the others. What is missing is
    never learned from.

    Parameters
    ----------
    noise : how much rows are corrupted: the standard deviation of "gaussian", in standard deviations of a column; the
        share of cells of "mask" and "salt_pepper".
    corruption : "gaussian" adds noise, "mask" hides cells, "salt_pepper" sets cells to the lowest or highest value of
        their column; or a callable ``corruption(x, generator)``: x (B, E) or (B, T, E) as the encoder reads it, 0
        where missing, to a tensor of that shape, NaN in it hiding a cell; all its chance from the generator, where
        None is torch's own.
    code : numbers that a row is compressed to.
    backbone, hidden, activation, image_shape, output, contamination : as in `Autoencoder`.
    max_epochs, learning_rate, random_state, training : as in `Autoencoder`.

    Attributes
    ----------
    net_, encoder_, decoder_, threshold_, history_, stopped_, backend_, n_features_in_, feature_names_in_ : as in
        `Autoencoder`. The history has the mean cost of "hidden" and of "visible" values, where any are hidden.
    donors_ : (2, D, E) what was expected of hidden values and how far above it they were, which `impute` draws
        from; None where nothing is hidden in training. extremes_ : (2, E) lowest and highest encoded values.

    Examples
    --------
    >>> import numpy as np, regen
    >>> X = np.random.default_rng(0).normal(size=(300, 1)) * [1.0, 2.0, -3.0]
    >>> X[::3, 1] = np.nan
    >>> model = regen.DenoisingAutoencoder(code=4, max_epochs=30, random_state=0).fit(X)
    >>> filled = model.impute(X)
    >>> bool(np.isnan(filled).any()), bool((filled[1] == X[1]).all())
    (False, True)
    """

    capabilities: ClassVar[tuple[str, ...]] = (
        "encode",
        "decode",
        "reconstruct",
        "score",
        "denoise",
        "impute",
    )
    constraints: ClassVar[Mapping[str, Constraint]] = {
        **ROW_CONSTRAINTS,
        "noise": Number(0),
        "corruption": Either((Choice(CORRUPTIONS), Anything("a callable", callable))),
        "output": Choice(("auto", *KINDS)),
    }
    donors_: Any
    extremes_: Any

    def __init__(
        self,
        noise: float = 0.3,
        corruption: str | Corrupt = "gaussian",
        code: int = 64,
        backbone: str | Cell = "auto",
        hidden: Any = "auto",
        activation: str = "relu",
        image_shape: Any = None,
        output: str = "auto",
        contamination: float = 0.1,
        *,
        max_epochs: int = 100,
        learning_rate: float | str = "auto",
        random_state: Any = None,
        training: Training | Mapping[str, Any] | None = None,
    ) -> None:
        self.noise = noise
        self.corruption = corruption
        self.code = code
        self.backbone = backbone
        self.hidden = hidden
        self.activation = activation
        self.image_shape = image_shape
        self.output = output
        self.contamination = contamination
        self.max_epochs = max_epochs
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.training = training

    # Use.

    def denoise(self, X: Any) -> Any:
        """The rows without their noise, of the kind that came in: what `reconstruct` returns. Gaps are filled, too.

        X : (n, F), images or sequences, as in `fit`.
        """
        return self.reconstruct(X)

    def impute(self, X: Any, n_draws: int | None = None, random_state: Any = None) -> Any:
        """The rows with their missing values filled in, and with no other bit changed.

        Parameters
        ----------
        X : as in `fit`, (n, F) or images or sequences. Rows need not be those of fit.
        n_draws : None fills in what is expected: means, of categories the most probable. A number returns a list of
            so many tables, each with other values that could have been there, so that what is computed from them
            varies as much as the gaps make it uncertain (multiple imputation; Rubin 1987). Missing values are drawn
            in four parts, each knowing the ones before. Categories and truth values come from the probabilities
            that the net says. Numbers are as far from the expected as hidden values of that column were, in rows
            held out in training, for one of the 32 of which the net expected nearly the same (local residual draws,
            Schenker & Taylor 1996), within the lowest and highest value of fit. Chance in the net's own weights is
            not counted, so intervals are a little narrow.
        random_state : seed of the draws.

        Returns
        -------
        The same kind of data as X, or a list of n_draws of them. Whole numbers and truth values are rounded.
        """
        check_parameters("DenoisingAutoencoder.impute", DRAWING, {"n_draws": n_draws})
        given = self._given(X)
        rows = self._rows(given)
        gaps = rows.values.isnan()
        if bool(gaps.any()):
            self._know_gaps()
        if n_draws is None:
            return self._filled(given, rows, self._expected(rows))
        chance = Generator().manual_seed(int(check_random_state(random_state).randint(2**31 - 1)))
        return [self._filled(given, rows, self._drawn(rows, chance)) for _ in range(n_draws)]

    def _know_gaps(self) -> None:
        if self.donors_ is None:
            raise ValueError(
                "X has missing values, and nothing was missing or hidden at fit, so they cannot be filled in."
                " Fit on rows with missing values, or with corruption='mask'."
            )

    def _expected(self, rows: Ragged) -> Tensor:
        """What is expected in every cell, encoded, shaped as the values of `rows`; on the CPU."""
        steps = None if rows.values.ndim == 2 else rows.values.shape[1]
        if rows.lengths is None:
            return self._restored(self._each(rows, self._code_of), steps)
        padded = self._restored(self._each(rows, self._code_of), int(rows.lengths.max()))
        return padded[length_mask(rows.lengths, padded.shape[1])]

    def _drawn(self, rows: Ragged, chance: Generator) -> Tensor:
        """As `_expected`, but every gap is drawn, part after part."""
        values = rows.values.cpu()
        donors, extremes = torch.from_numpy(self.donors_), torch.from_numpy(self.extremes_)
        parts = in_parts(values.isnan(), self._column, DRAWN_IN, chance)
        for part in range(DRAWN_IN):
            now = values.isnan() & (parts == part)
            if bool(now.any()):
                said = self._expected(Ragged(values.to(self._device), rows.lengths))
                found = drawn(said, self._form.layout.blocks, donors, extremes, chance)
                values = torch.where(now, found, values)
        return values

    def _filled(self, given: Any, rows: Ragged, values: Tensor) -> Any:
        """What was given with its gaps taken from encoded values, shaped as those of `rows`."""
        if rows.lengths is not None:
            valid = length_mask(rows.lengths, int(rows.lengths.max()))
            padded = values.new_zeros((*valid.shape, values.shape[-1]))
            padded[valid] = values
            values = padded
        return self._form.fill(given, values)

    # Fit.

    def _check_combinations(self) -> None:
        if self.corruption in ("mask", "salt_pepper") and self.noise > 1:
            raise ValueError(
                f"The 'noise' of corruption={self.corruption!r} is a share of cells, in [0, 1]. Got {self.noise}"
                " instead."
            )

    def _likelihood(self, kind: str) -> str:
        return RESTORED[kind]

    @property
    def _output(self) -> str:
        return self.output

    @property
    def _hides(self) -> bool:
        """Whether cells are hidden in training."""
        return self.gaps_ or self.corruption == "mask" or callable(self.corruption)

    @property
    def _told(self) -> bool:
        return self._hides

    def _build(self) -> AutoencoderNet:
        net = super()._build()
        self._column = column_of(self._form.layout.blocks)
        return net

    def _warn_of_a_wide_code(self, rows: Ragged) -> None:
        """A wide code does no harm where rows are not merely copied."""

    def _prepare(self, rows: Ragged, training: Tensor, generator: Generator) -> None:
        """The lowest and highest of each column, which salt and pepper are."""
        cells = rows.values.reshape(-1, rows.values.shape[-1])
        gaps = cells.isnan()
        low, high = cells.masked_fill(gaps, torch.inf).amin(0), cells.masked_fill(gaps, -torch.inf).amax(0)
        self.extremes_ = torch.stack([low, high]).cpu().numpy()
        read = self._form.layout.inputs(torch.stack([low, high]))
        self._bounds = (read[0], read[1])

    def _improve(self, rows: Ragged, training: Tensor, held_out: Tensor, generator: Generator) -> None:
        super()._improve(rows, training, held_out, generator)
        index = held_out if len(held_out) else training
        self.donors_ = self._find_donors(rows, index, generator) if self._hides else None

    def _find_donors(self, rows: Ragged, index: Tensor, generator: Generator) -> Any:
        """Hide values of some rows, and keep what is said of them beside what they were."""
        steps = 1 if self._form.steps is None else self._form.steps
        most = max(min(CALIBRATED_ON, DONATED // self._heads.cells) // steps, NEAREST)
        index = index[torch.randperm(len(index), generator=generator)[:most]]
        times = int(np.clip(most // len(index), *CALIBRATIONS))
        chance = Generator(rows.values.device).manual_seed(
            int(torch.randint(2**31 - 1, (), generator=generator))
        )
        share = self.noise if self.corruption == "mask" else FEW if self.gaps_ else CALIBRATION_SHARE
        found: list[tuple[Tensor, ...]] = []
        with evaluating(self.net_):
            feed = RowBatches(rows, None, index.repeat(times), EVALUATION_BATCH, shuffle=False)
            for batch in feed.epoch():
                reading = self._read(batch)
                unseen = hidden(reading, share, self.gaps_, self._column, chance)
                seen = there(reading) & ~unseen
                left = reading._replace(x=torch.where(seen, reading.x, 0.0), observed=seen)
                said = self._heads.mean(self._outputs_of(self._code_of(left), reading))
                cells = (said, reading.target, unseen, there(reading))
                found.append(tuple(each.reshape(-1, said.shape[-1]).cpu() for each in cells))
        return choose_donors(*(torch.cat(parts) for parts in zip(*found, strict=True)))

    def _terms(self, reading: RowInputs, generator: Generator | None) -> Mapping[str, Tensor]:
        worse, unseen = self._worsened(reading, generator)
        outputs = self._outputs_of(self._code_of(worse), reading)
        cost = self._heads.loss(outputs, reading.target, reading.observed, self._options.loss)
        if unseen is None:
            observed = reading.observed
            return {"loss": cost.mean() if observed is None else cost.sum() / observed.sum().clamp(min=1)}
        seen = worse.observed
        assert seen is not None
        terms = {
            "hidden": (cost * unseen).sum() / unseen.sum().clamp(min=1),
            "visible": (cost * seen).sum() / seen.sum().clamp(min=1),
        }
        return {"loss": terms["hidden"] + terms["visible"], **terms}

    def _worsened(self, reading: RowInputs, generator: Generator | None) -> tuple[RowInputs, Tensor | None]:
        """The reading corrupted, and which observed cells (as x) were hidden; None where none are ever."""
        if callable(self.corruption):
            x = self.corruption(reading.x, generator)
        elif self.corruption == "mask":
            x = reading.x  # hidden below, together with what other rows lack
        else:
            x = corrupt(
                reading.x,
                self.corruption,  # type: ignore[arg-type]
                self.noise,
                generator,
                bounds=self._bounds,
                column=self._column.to(reading.x.device) if self.corruption == "salt_pepper" else None,
            )
        if not self._hides:
            visible = reading.observed  # past the end of a sequence there is nothing
            return reading._replace(x=x if visible is None else torch.where(visible, x, 0.0)), None
        known = there(reading)
        share = self.noise if self.corruption == "mask" else 0.0 if callable(self.corruption) else FEW
        unseen = x.isnan() & known if callable(self.corruption) else torch.zeros_like(known)
        unseen |= hidden(reading, share, self.gaps_, self._column, generator)
        seen = known & ~unseen
        return reading._replace(x=torch.where(seen, x, 0.0), observed=seen), unseen

    def _row_scores(self, reading: RowInputs) -> Tensor:
        return -row_errors(self, reading)
