"""VariationalAutoencoder: a model of the density of rows, with codes of which each says how sure it is."""

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
from regen.cells import Cell
from regen.data.ragged import Ragged
from regen.estimators._constraints import ROW_CONSTRAINTS
from regen.estimators._evaluation import EVALUATION_BATCH, evaluating
from regen.estimators.autoencoders._base import AutoencodingEstimator
from regen.estimators.autoencoders.elbo import ELBO, KLWarmup, units_of
from regen.estimators.autoencoders.importance_sampling import impute_rows, log_evidence, weighted_draws
from regen.estimators.autoencoders.row_model import RowInputs, RowModel, RowSplit
from regen.losses.elbo import active_units, draw_normal, gaussian_kl, posterior
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
    """Models how rows are distributed: a code drawn from N(0, 1), and cells drawn by what the decoder says of it.

    Two networks are trained together to raise the evidence lower bound (ELBO) of the rows, ``E_q[log p(x | z)] -
    KL(q(z | x) || p(z))``, where the encoder says ``q(z | x) = N(mean, variance)`` (Kingma & Welling 2014; Rezende,
    Mohamed & Wierstra 2014). Rows, scaling, networks and missing values are as in `Autoencoder`; with missing values
    the bound is that of what was observed (Mattei & Frellsen 2019). All densities are in nats and in the units of
    the data, not of its scaled columns; those of [0, 1] pixels are over [0, 1].

    Parameters
    ----------
    code : units of the code.
    likelihood : how a cell is distributed, given the code. Of columns of numbers "gaussian", "student" (heavy tails),
        "laplace", "squared" (a variance of 1 scaled unit); "rectified" (amounts >= 0, many of them exactly 0);
        "bernoulli", "continuous_bernoulli" (Loaiza-Ganem & Cunningham 2019) and "binarized" of numbers within
        [0, 1]; "poisson", "negative_binomial" of counts; "categorical" of numbers that only name. "auto" looks at
        each column and takes "student", "rectified", "continuous_bernoulli", "bernoulli" where there are two
        values, or "negative_binomial". On all of ten tables rows held out are likelier under "student" than under
        "gaussian", whose variances are easily fitted too close. Text is always categorical. "binarized" takes [0, 1]
        for chances and trains on a new draw of 0 or 1 at each use (Burda et al. 2016); it scores and codes what it is
        given, which for a comparison with published numbers has to be drawn, too.
    backbone, hidden, activation, image_shape : as in `Autoencoder`.
    beta : weight of the divergence; above 1 for codes whose units are told apart (Higgins et al. 2017).
    warmup : epochs over which the weight of the divergence rises evenly from 0 to `beta` in training (Bowman et al.
        2016), so that the code is of use before it costs. Epochs are judged at the full weight.
    free_bits : nats of divergence that each unit of the code has free, as a mean over the batch (Kingma et al. 2016).
    importance_samples : draws of the code per row in training; with more than 1 the bound is the tighter one of
        importance-weighted autoencoders (Burda et al. 2016).
    contamination : share of the rows of fit that `predict` calls anomalies, in (0, 0.5].
    max_epochs, learning_rate, random_state, training : as in `Autoencoder`.

    Attributes
    ----------
    elbo_terms_ : "elbo", "reconstruction" (mean of log p(x | z)), "kl", and "bound" with `importance_samples`: nats
        per row, means over the rows held out, or those of fit when there are none. `history_` has them at every
        epoch; the "loss" there is what is minimised, per observed number.
    kl_per_unit_ : (code,) mean divergence of each unit over the rows of fit, in nats.
    active_units_ : (code,) whether a unit's mean changes over the rows (its variance is above 0.01); the others have
        collapsed onto the prior. A UserWarning tells when they are more than three quarters.
    net_, encoder_, decoder_, threshold_, history_, stopped_, backend_, n_features_in_, feature_names_in_ : as in
        `Autoencoder`. The encoder says means, then log-variances (before they are held within 20).

    Examples
    --------
    >>> import regen
    >>> from sklearn.datasets import load_digits
    >>> X = load_digits().data
    >>> model = regen.VariationalAutoencoder(code=2, max_epochs=3, random_state=0).fit(X)
    >>> model.transform(X).shape, model.sample(5, random_state=0).shape
    ((1797, 2), (5, 64))
    >>> model.log_likelihood(X[:10], samples=100, random_state=0).shape
    (10,)
    """

    outputs_per_unit = 2  # mean and log-variance
    loss_parameter: ClassVar[str] = "likelihood"
    capabilities: ClassVar[tuple[str, ...]] = ("encode", "decode", "reconstruct", "score", "impute", "sample")
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
        X : array-like, dataframe or list of arrays
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
            n rows of the kind of data that fit received; sequences are as long as the longest of them.

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
        X : array-like, dataframe or list of arrays
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
        X : array-like, dataframe or list of arrays
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

    def _train_net(self, model: RowModel, split: RowSplit, rng: Generator) -> None:
        seed = int(torch.randint(2**31 - 1, (), generator=rng))
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
