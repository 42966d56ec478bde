"""VariationalAutoencoder: a model of the density of rows, with a distribution of the code for each row."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from torch import Generator, Tensor

from regen._check import Choice, Constraint, Int, Number, check_parameters
from regen._random import Generators
from regen._schema import Form, Mapped, Numbers, Real
from regen.cells import Cell
from regen.data.ragged import Ragged
from regen.estimators._base import Command
from regen.estimators._constraints import ROW_CONSTRAINTS
from regen.estimators.autoencoders._base import AutoencodingEstimator
from regen.estimators.autoencoders.elbo import ELBO, KLWarmup, units_of
from regen.estimators.autoencoders.importance_sampling import impute_rows, log_evidence, weighted_draws
from regen.estimators.autoencoders.row_model import RowInputs, RowModel, RowSplit
from regen.losses.elbo import active_units, draw_normal, gaussian_kl, posterior
from regen.training.device import EVALUATION_BATCH, evaluating
from regen.training.options import Training

__all__ = ["VariationalAutoencoder"]

DEFAULT_LIKELIHOODS: Mapping[str, str] = {
    "real": "student",
    "nonnegative": "rectified",
    "unit": "continuous_bernoulli",
    "binary": "bernoulli",
    "counts": "negative_binomial",
    "categorical": "categorical",
}
"""The likelihood of each kind of column."""
KIND_OF_LIKELIHOOD: Mapping[str, str] = {
    "gaussian": "real",
    "student": "real",
    "laplace": "real",
    "squared": "real",
    "rectified": "nonnegative",
    "bernoulli": "unit",
    "binarized": "unit",
    "continuous_bernoulli": "unit",
    "poisson": "counts",
    "negative_binomial": "counts",
    "categorical": "categorical",
}
"""What columns of numbers are taken for when their likelihood is set."""


@final
class VariationalAutoencoder(AutoencodingEstimator):
    """Models the density of rows by a code with a prior N(0, 1) and a likelihood of each column given the code.

    Encoder and decoder are trained together to maximize the evidence lower bound (ELBO) of the rows,
    ``E_q[log p(x | z)] - KL(q(z | x) || p(z))``, where the encoder's outputs are the parameters of
    ``q(z | x) = N(mean, variance)`` (Kingma & Welling 2014; Rezende, Mohamed & Wierstra 2014). Rows, scaling,
    networks and missing values are as in `Autoencoder`; with missing values the bound is that of the observed values
    (Mattei & Frellsen 2019). All densities are in nats and in the units of the data, not of its scaled columns;
    those of [0, 1] pixels are over [0, 1].

    Parameters
    ----------
    code : int, default=2
        Units of the code.
    likelihood : str, default="auto"
        Distribution of a number, given the code. For columns of real numbers "gaussian", "student" (heavy tails),
        "laplace", "squared" (a variance of 1 scaled unit); "rectified" for amounts >= 0, many of them exactly 0;
        "bernoulli", "continuous_bernoulli" (Loaiza-Ganem & Cunningham 2019) and "binarized" for numbers within
        [0, 1]; "poisson", "negative_binomial" for counts; "categorical" for numbers that are labels. "auto" chooses
        for each column among "student", "rectified", "continuous_bernoulli", "bernoulli" where there are two values,
        and "negative_binomial"; on all of ten tables held-out rows have a higher likelihood under "student" than
        under "gaussian", whose variances are prone to overfitting. Text is always categorical. "binarized" takes
        [0, 1] as probabilities and trains on a new draw of 0 or 1 at each use (Burda et al. 2016); rows to score or
        encode are used as they are, so draw them first for a comparison with published numbers.
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
    beta : float, default=1.0
        Weight of the divergence. Above 1 disentangles the units of the code (Higgins et al. 2017).
    warmup : float, default=10
        Epochs over which the weight of the divergence rises linearly from 0 to `beta` (Bowman et al. 2016), so that
        the decoder uses the code before the divergence penalizes it. Validation has the full weight.
    free_bits : float, default=0.0
        Nats of divergence that each unit of the code has without loss, as a mean over the batch (Kingma et al. 2016).
    importance_samples : int, default=1
        Draws of the code per row in training. More than 1 is the tighter bound of importance-weighted autoencoders
        (Burda et al. 2016).
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
        Its two parts, which can be used alone; see `encoder_inputs`. The encoder's outputs are means, then
        log-variances before they are bounded to [-20, 20].
    threshold_ : float
        Rows with a lower score are anomalies.
    history_ : DataFrame
        One row per epoch.
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
    elbo_terms_ : dict of float
        "elbo", "reconstruction" (mean of log p(x | z)), "kl", and "bound" with `importance_samples`: nats per row,
        means over the rows held out, or over those of fit where there are none. `history_` has them for every
        epoch; its "loss" is per observed number.
    kl_per_unit_ : ndarray (code,)
        Mean divergence of each unit over the rows of fit, in nats.
    active_units_ : ndarray (code,) of bool
        Whether the mean of a unit depends on the rows (its variance is above 0.01); the others have collapsed onto
        the prior. A UserWarning is raised where they are more than three quarters.

    See Also
    --------
    Autoencoder : Compresses and restores rows without a density.
    DenoisingAutoencoder : Imputes without a model of the density.
    GAN : Generates rows without a density.

    Examples
    --------
    >>> import regen
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().data[:400]
    >>> vae = regen.VariationalAutoencoder(code=2, warmup=1, max_epochs=3, random_state=0).fit(X)
    >>> vae.transform(X).shape, vae.sample(5, random_state=0).shape
    ((400, 2), (5, 64))
    >>> vae.log_likelihood(X[:10], samples=100, random_state=0).shape
    (10,)
    """

    outputs_per_unit = 2  # mean and log-variance
    loss_parameter: ClassVar[str] = "likelihood"
    command: ClassVar[Command] = Command("vae", "Learn how rows are distributed, to draw new ones.", "rows")
    capabilities: ClassVar[tuple[str, ...]] = ("encode", "decode", "reconstruct", "score", "impute", "sample")
    forms: ClassVar[Mapping[str, Form]] = {
        **AutoencodingEstimator.forms,
        "elbo_terms_": Mapped(Real(finite=False), ("elbo", "reconstruction", "kl")),
        "kl_per_unit_": Numbers("f", ("code",), finite=False),
        "active_units_": Numbers("b", ("code",)),
    }
    constraints: ClassVar[Mapping[str, Constraint]] = {
        **ROW_CONSTRAINTS,
        "likelihood": Choice(("auto", *KIND_OF_LIKELIHOOD)),
        "beta": Number(0),
        "warmup": Number(0),
        "free_bits": Number(0),
        "importance_samples": Int(1),
    }

    def __init__(
        self,
        code: int = 2,
        likelihood: str = "auto",
        backbone: str | Cell = "auto",
        hidden: Any = "auto",
        activation: str = "relu",
        image_shape: Any = None,
        beta: float = 1.0,
        warmup: float = 10,
        free_bits: float = 0.0,
        importance_samples: int = 1,
        contamination: float = 0.1,
        *,
        max_epochs: int = 100,
        learning_rate: float | str = "auto",
        random_state: Any = None,
        training: Training | Mapping[str, Any] | None = None,
    ) -> None:
        self.code = code
        self.likelihood = likelihood
        self.backbone = backbone
        self.hidden = hidden
        self.activation = activation
        self.image_shape = image_shape
        self.beta = beta
        self.warmup = warmup
        self.free_bits = free_bits
        self.importance_samples = importance_samples
        self.contamination = contamination
        self.max_epochs = max_epochs
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.training = training

    # Use.

    def log_likelihood(self, X: Any, samples: int = 5000, random_state: Any = None) -> NDArray[np.float64]:
        """Log-density of each row, estimated by importance sampling from q(z | x).

        The estimate is below the true value on average, and approaches it with more `samples` (Burda et al. 2016).

        Parameters
        ----------
        X : array-like (n, ...), dataframe or list of arrays
            Rows as in `fit`; the density is that of the observed values.
        samples : int, default=5000
            Draws of the code for each row.
        random_state : int, RandomState or None, default=None
            Seed of the draws.

        Returns
        -------
        log_density : ndarray (n,), float64
            In nats and in the units of the data.

        Raises
        ------
        ValueError
            When X does not match the data of fit, or `samples` is below 1.
        """
        elbo, rows = self._elbo(X)
        rng = self._rng(random_state, samples=samples)

        def estimate(inputs: RowInputs) -> Tensor:
            return log_evidence(weighted_draws(elbo, inputs, samples, rng), samples)

        return elbo.model.map(rows, estimate).numpy()

    def sample(self, n: int = 1, random_state: Any = None, means: bool = False) -> Any:
        """Generate rows.

        Parameters
        ----------
        n : int, default=1
            Number of rows.
        random_state : int, RandomState or None, default=None
            Seed of the draws.
        means : bool, default=False
            Return the expected values of cells in place of draws, for smoother images.

        Returns
        -------
        X : array, dataframe or list of arrays
            n rows of the kind of data that fit received; sequences are as long as the longest of them. Numbers and
            dates lie within the `bounds` of `fit`; identifiers that it left out are not among the columns.

        Raises
        ------
        ValueError
            When `n` is below 1.
        """
        self._check_fitted()
        rng, model = self._rng(random_state, n=n), self._row_model()
        steps, lengths = model.lengths(None, n)
        codes = torch.empty(n, self.code, device=model.device).normal_(generator=rng)
        parts = []
        with evaluating(model.net):
            for part in torch.split(codes, EVALUATION_BATCH):
                outputs = model.net.decoder(part, steps)
                cells = model.likelihood.mean(outputs) if means else model.likelihood.sample(outputs, rng)
                parts.append(cells.cpu())
        return model.modality.decode(torch.cat(parts), lengths, rounded=not means)

    def sample_code(
        self, X: Any, n_draws: int | None = None, random_state: Any = None
    ) -> NDArray[np.float32]:
        """Draw codes from q(z | x), whose spread is the uncertainty of the code.

        Parameters
        ----------
        X : array-like (n, ...), dataframe or list of arrays
            Rows as in `fit`; NaN is a missing value.
        n_draws : int, default=None
            Draws for each row; None returns one, without an axis of draws.
        random_state : int, RandomState or None, default=None
            Seed of the draws.

        Returns
        -------
        codes : ndarray (n, Z) or (n_draws, n, Z), float32
            The draws.

        Raises
        ------
        ValueError
            When X does not match the data of fit, or `n_draws` is below 1.
        """
        count = 1 if n_draws is None else n_draws
        elbo, rows = self._elbo(X)
        rng = self._rng(random_state, n_draws=count)

        def drawn(inputs: RowInputs) -> Tensor:
            return draw_normal(*elbo.posterior(inputs), count, rng).transpose(0, 1)

        codes = elbo.model.map(rows, drawn).transpose(0, 1).numpy()
        return codes[0] if n_draws is None else codes

    def impute(
        self, X: Any, n_draws: int | None = None, random_state: Any = None, samples: int = 1000
    ) -> Any:
        """Fill in missing values; observed values keep every bit.

        Codes drawn from q(z | observed), some from wider distributions, are weighted so that they represent
        p(z | observed) (Mattei & Frellsen 2019).

        Parameters
        ----------
        X : array-like (n, ...), dataframe or list of arrays
            Rows as in `fit`; NaN is a missing value.
        n_draws : int, default=None
            None fills in expected values, and the most probable category. A number returns as many imputed data
            sets, whose spread shows the uncertainty of the missing values.
        random_state : int, RandomState or None, default=None
            Seed of the draws.
        samples : int, default=1000
            Codes drawn for each row.

        Returns
        -------
        X_imputed : array, dataframe or list of arrays; list of `n_draws` of them where that is given
            Data of the kind of X. Whole numbers and truth values are rounded.

        Raises
        ------
        ValueError
            When X does not match the data of fit, or `samples` or `n_draws` is below 1.
        """
        objective, data, rows = self.prepare(X)
        assert isinstance(objective, ELBO)
        counts = {} if n_draws is None else {"n_draws": n_draws}
        rng = self._rng(random_state, samples=samples, **counts)
        values = impute_rows(objective, rows, n_draws, samples, rng)
        imputed = [objective.model.modality.fill(data, each) for each in values]
        return imputed[0] if n_draws is None else imputed

    # Fit.

    def _check_combinations(self) -> None:
        if self.likelihood == "categorical" and (self.backbone == "conv" or self.image_shape is not None):
            raise ValueError(
                "likelihood='categorical' is for columns of categories, not for pixels. Take 'auto'."
            )
        if self.free_bits > 0 and self.importance_samples > 1:
            raise ValueError(
                f"free_bits={self.free_bits!r} needs importance_samples=1, where the divergence of each unit is"
                f" known. Got importance_samples={self.importance_samples!r}."
            )

    def _likelihood(self, kind: str) -> str:
        if self.likelihood == "auto" or kind != KIND_OF_LIKELIHOOD[self.likelihood]:
            return DEFAULT_LIKELIHOODS[kind]
        return "bernoulli" if self.likelihood == "binarized" else self.likelihood

    @property
    def _numeric_kind(self) -> str:
        return "auto" if self.likelihood == "auto" else KIND_OF_LIKELIHOOD[self.likelihood]

    @property
    def _encodes_mask(self) -> bool:
        return self.gaps_

    def _objective(self, model: RowModel) -> ELBO:
        binarized, weights = self.likelihood == "binarized", (self.beta, self.free_bits)
        return ELBO(model, "auto", binarized, *weights, self.importance_samples, *units_of(model))

    def _train_net(self, model: RowModel, split: RowSplit, rng: Generators) -> None:
        seed = int(torch.randint(2**31 - 1, (), generator=rng.order))
        rows = split.rows
        warmup = KLWarmup(self.warmup * len(self._batches(split)))
        count = rows.values.numel() if rows.observed is None else float(rows.observed.sum())
        per_row = count / len(rows)
        elbo = replace(self._objective(model), per_row=per_row, warmup=warmup)
        self._minimise(elbo, split, rng, memory=warmup)
        own, sums, index = Generator(model.device).manual_seed(seed), dict[str, float](), split.evaluation
        with evaluating(model.net):
            for inputs in model.batches(rows, index):
                for name, value in elbo.loss(inputs, own).items():
                    sums[name] = sums.get(name, 0.0) + float(value) * len(inputs.x) / len(index)
        self.elbo_terms_ = {name: value for name, value in sums.items() if name != "loss"}
        mean, log_var = posterior(model.map(rows, model.encoder_outputs).double())
        self.kl_per_unit_ = gaussian_kl(mean, log_var).mean(0).numpy()
        self.active_units_ = active_units(mean).numpy()
        self._warn_of_collapse()

    def _warn_of_collapse(self) -> None:
        active = int(self.active_units_.sum())
        if 4 * active >= self.code:
            return
        units = f"Only {active}" if active else "None"
        depend = "depend" if active > 1 else "depends"
        collapsed = "the posterior of the others" if active else "its posterior"
        warnings.warn(
            f"{units} of the {self.code} units of the code {depend} on the rows: {collapsed} has collapsed onto the"
            " prior. Take a smaller code, a longer warmup, free_bits of 0.1 or more, a beta below 1, or train for"
            " longer.",
            UserWarning,
            stacklevel=6,
        )

    def _elbo(self, X: Any) -> tuple[ELBO, Ragged]:
        objective, _, rows = self.prepare(X)
        assert isinstance(objective, ELBO)
        return objective, rows

    def _rng(self, random_state: Any, **counts: Any) -> Generator:
        """A generator seeded by `random_state`, after a check of the `counts` of draws."""
        check_parameters(type(self).__name__, dict.fromkeys(counts, Int(1)), counts)
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        return Generator(self._device).manual_seed(seed)
