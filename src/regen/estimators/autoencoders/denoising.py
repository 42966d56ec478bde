"""DenoisingAutoencoder: rows restored from corrupted ones, to remove noise and impute missing values."""

from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from torch import Generator, Tensor

from regen._check import Anything, Choice, Constraint, Either, Int, Nothing, Number, check_parameters
from regen._random import Generators
from regen._schema import Form, Maybe, Numbers
from regen.cells import Cell
from regen.data.corruption import CORRUPTIONS
from regen.estimators._base import Command
from regen.estimators._constraints import ROW_CONSTRAINTS
from regen.estimators.autoencoders._base import AutoencodingEstimator
from regen.estimators.autoencoders.imputation import DonorDraws, expected_values, fill, find_donors
from regen.estimators.autoencoders.objectives import (
    NUMERIC_KINDS,
    RECONSTRUCTION_LIKELIHOODS,
    Corruption,
    Denoising,
    columns_of,
)
from regen.estimators.autoencoders.row_model import RowModel, RowSplit
from regen.training.options import Training

__all__ = ["DenoisingAutoencoder"]

DRAWING: Mapping[str, Constraint] = {"n_draws": Either((Nothing(), Int(1)))}


@final
class DenoisingAutoencoder(AutoencodingEstimator):
    """Restores rows from corrupted ones: removes noise and imputes missing values.

    In training every row is corrupted anew, and the loss compares the restored row with the clean one (Vincent et
    al. 2008), so that copying is no solution and the code may be wider than the row. Where rows have missing values,
    the encoder also receives the mask of observed values; some observed values are hidden, by the gaps of other rows
    and a few at random, and the loss is the mean over hidden values plus the mean over visible ones. Missing values
    have no loss.

    Parameters
    ----------
    noise : float, default=0.3
        Strength of the corruption: the standard deviation of "gaussian", in standard deviations of a column; the
        share of cells of "mask" and "salt_pepper".
    corruption : str or callable, default="gaussian"
        Kind of the corruption: "gaussian" adds noise, "mask" hides cells, "salt_pepper" sets cells to the lowest or
        highest value of their column. A callable ``corruption(x, generator)`` receives the encoder's input x (B, E)
        or (B, T, E), 0 where missing, and returns a tensor of that shape, in which NaN hides a cell; all its random
        numbers must come from the generator, where None is torch's own.
    code : int, default=64
        Units of the code: numbers that a row is compressed to.
    backbone : str or Cell, default="auto"
        Kind of network: "mlp" for tables, "conv" for images, "recurrent" (a GRU), the name of a cell or a
        `regen.cells` cell for sequences. "auto" depends on X: arrays of 4 axes, or of 3 in uint8 or bool, and flat
        ones with `image_shape` are images; lists of arrays are sequences; other arrays of 2 axes and dataframes are
        tables.
    hidden : int, tuple of int or "auto", default="auto"
        Widths of the encoder's layers between data and code: units with "mlp" and "recurrent", channels with "conv".
        The decoder has them in reverse order. An int is one layer, () none. "auto" depends on the size of a row.
    activation : str, default="relu"
        Activation between layers: "relu", "tanh", "sigmoid", "elu", "gelu", "silu" or "selu". Only for "mlp" and
        "conv".
    image_shape : tuple of int or None, default=None
        Shape (Y, X) or (C, Y, X) of images that come as flat rows.
    output : str, default="auto"
        Kind of the columns of numbers: "real", "nonnegative", "unit" (within [0, 1]), "binary" or "counts". It sets
        the last activation and the loss: the squared error in standard deviations for the first two, the
        cross-entropy for the next two, and minus the Poisson log-likelihood. "auto" chooses for each column;
        categories are never numbers, and dates and durations are numbers of time. ``training={"loss": "mse"}`` (or
        "mae", "huber") compares means for every kind.
    contamination : float, default=0.1
        Share of the rows of fit that `predict` labels as anomalies, in (0, 0.5].
    max_epochs : int, default=100
        Passes over the training rows, at most. Where one pass has fewer than 8 batches, an epoch is as many passes
        as have 8.
    learning_rate : float or "auto", default="auto"
        Step size of the optimizer. "auto" is 0.001.
    random_state : int, RandomState or None, default=None
        Seed of the initial weights, of the order of the rows and of the rows held out.
    training : Training, dict or None, default=None
        All other options of training: a `regen.Training` or a dict of its arguments. Its validation rows are drawn
        at random; "auto" holds none out where a fifth is fewer than 32 rows.

    Attributes
    ----------
    net_ : nn.Module
        The trained network.
    encoder_, decoder_ : nn.Module
        Its two parts, which can be used alone; see `encoder_inputs`.
    threshold_ : float
        Rows with a lower score are anomalies.
    history_ : DataFrame
        One row per epoch, with the mean loss of "hidden" and of "visible" values where any are hidden.
    stopped_ : str
        Why training ended.
    backend_ : str
        Which backend ran the network, and on which device.
    n_features_in_ : int
        Columns of a table, numbers of an image, or features of a step.
    feature_names_in_ : ndarray of str
        Names of the columns, where X has them.
    identifiers_ : list of str
        Columns of a dataframe that identify single rows and were left out, see `fit`: new data may have them or not.
    donors_ : ndarray (2, D, E) or None
        Predictions of hidden values, and by how much the true ones exceeded them, from which `impute` draws; None
        where nothing is hidden in training.
    extremes_ : ndarray (2, E)
        Lowest and highest encoded values.

    See Also
    --------
    Autoencoder : Trained on rows as they are.
    VariationalAutoencoder : Imputes by a model of the density of rows.

    Examples
    --------
    >>> import numpy as np, regen
    >>> X = np.random.default_rng(0).normal(size=(300, 1)) * [1.0, 2.0, -3.0]
    >>> X[::3, 1] = np.nan
    >>> imputer = regen.DenoisingAutoencoder(code=4, max_epochs=3, random_state=0).fit(X)
    >>> X_imputed = imputer.impute(X)
    >>> bool(np.isnan(X_imputed).any()), bool((X_imputed[1] == X[1]).all())
    (False, True)
    """

    command: ClassVar[Command] = Command(
        "denoiser", "Learn to restore rows that are noisy or incomplete.", "rows"
    )
    capabilities: ClassVar[tuple[str, ...]] = (
        "encode",
        "decode",
        "reconstruct",
        "score",
        "denoise",
        "impute",
    )
    forms: ClassVar[Mapping[str, Form]] = {
        **AutoencodingEstimator.forms,
        "extremes_": Numbers("f", (2, "E"), finite=False),
        "donors_": Maybe(Numbers("f", (2, "*", "E"), finite=False)),
    }
    constraints: ClassVar[Mapping[str, Constraint]] = {
        **ROW_CONSTRAINTS,
        "noise": Number(0),
        "corruption": Either((Choice(CORRUPTIONS), Anything("a callable", callable))),
        "output": Choice(("auto", *NUMERIC_KINDS)),
    }
    warns_of_wide_code = False
    donors_: Any
    extremes_: Any

    def __init__(
        self,
        noise: float = 0.3,
        corruption: str | Corruption = "gaussian",
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
        """Remove the noise of rows: another name of `reconstruct`.

        Parameters
        ----------
        X : array-like (n, ...), dataframe or list of arrays
            Rows as in `fit`; NaN is a missing value.

        Returns
        -------
        X_restored : array, dataframe or list of arrays
            The rows restored from their codes, of the kind of X; missing values are filled in.
        """
        return self.reconstruct(X)

    def impute(self, X: Any, n_draws: int | None = None, random_state: Any = None) -> Any:
        """Fill in missing values; observed values keep every bit.

        A number is drawn as its expected value plus the error of a hidden value of its column, from rows held out in
        training: that of one of the 32 with the nearest predictions (local residual draws, Schenker & Taylor 1996),
        within the lowest and highest value of fit. Categories and truth values are drawn from their predicted
        probabilities. The gaps of a row are drawn in four parts, each given the values drawn before. The uncertainty
        of the weights is not included, so intervals are a little narrow.

        Parameters
        ----------
        X : array-like (n, ...), dataframe or list of arrays
            Rows as in `fit`, but not necessarily those of fit; NaN is a missing value.
        n_draws : int, default=None
            None fills in expected values, and the most probable category. A number returns as many imputed data
            sets, whose spread shows the uncertainty of the missing values (multiple imputation; Rubin 1987).
        random_state : int, RandomState or None, default=None
            Seed of the draws.

        Returns
        -------
        X_imputed : array, dataframe or list of arrays; list of `n_draws` of them where that is given
            Data of the kind of X. Whole numbers and truth values are rounded.

        Raises
        ------
        ValueError
            When X has missing values and none were missing or hidden at fit.
        """
        check_parameters("DenoisingAutoencoder.impute", DRAWING, {"n_draws": n_draws})
        objective, data, rows = self.prepare(X)
        if self.donors_ is None and rows.observed is not None:
            raise ValueError(
                "X has missing values, and nothing was missing or hidden at fit, so they cannot be filled in."
                " Fit on rows with missing values, or with corruption='mask'."
            )
        model = objective.model
        if n_draws is None:
            return fill(model, data, rows, expected_values(model, rows))
        rng = Generator().manual_seed(int(check_random_state(random_state).randint(2**31 - 1)))
        if self.donors_ is None:  # nothing is missing
            return [fill(model, data, rows, rows.values.cpu()) for _ in range(n_draws)]
        columns = columns_of(model.modality.layout.blocks)
        donors, extremes = torch.from_numpy(self.donors_), torch.from_numpy(self.extremes_)
        draws = DonorDraws(model, columns, donors, extremes)
        return [fill(model, data, rows, draws.draw(rows, rng)) for _ in range(n_draws)]

    # Fit.

    def _check_combinations(self) -> None:
        if self.corruption in ("mask", "salt_pepper") and self.noise > 1:
            raise ValueError(
                f"The 'noise' of corruption={self.corruption!r} is a share of cells, in [0, 1]. Got {self.noise}"
                " instead."
            )

    def _likelihood(self, kind: str) -> str:
        return RECONSTRUCTION_LIKELIHOODS[kind]

    @property
    def _numeric_kind(self) -> str:
        return self.output

    @property
    def _encodes_mask(self) -> bool:
        """Whether cells are hidden in training."""
        return self.gaps_ or self.corruption == "mask" or callable(self.corruption)

    def _objective(self, model: RowModel) -> Denoising:
        layout = model.modality.layout
        low, high = layout.inputs(torch.from_numpy(self.extremes_).to(model.device))
        columns = columns_of(layout.blocks)
        return Denoising(model, self._options.loss, self.corruption, self.noise, columns, (low, high))

    def _train_net(self, model: RowModel, split: RowSplit, rng: Generators) -> None:
        self.extremes_ = _extremes(split.rows.with_nan())
        objective = self._objective(model)
        self._minimise(objective, split, rng)
        self.donors_ = (
            find_donors(objective, split.rows, split.evaluation, rng.order) if objective.hides else None
        )


def _extremes(values: Tensor) -> NDArray[np.float32]:
    """(2, E) lowest and highest value of each column."""
    cells = values.reshape(-1, values.shape[-1])
    gaps = cells.isnan()
    low, high = cells.masked_fill(gaps, torch.inf).amin(0), cells.masked_fill(gaps, -torch.inf).amax(0)
    return torch.stack([low, high]).cpu().numpy()
