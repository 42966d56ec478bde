"""VariationalAutoencoder: a model of the density of rows, with codes of which each says how sure it is."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from torch import Generator, Tensor

from regen._check import Choice, Constraint, Int, Number, check_parameters
from regen.cells import Cell
from regen.data.batching import RowBatches
from regen.data.ragged import Ragged
from regen.estimators._constraints import ROW_CONSTRAINTS
from regen.estimators._evaluation import EVALUATION_BATCH, evaluating
from regen.estimators.autoencoders._base import AutoencodingEstimator
from regen.estimators.autoencoders.importance_sampling import (
    drawn_outputs,
    evidence,
    expected_cells,
    longest,
    many,
    padded,
    weighed,
    with_gaps,
)
from regen.estimators.autoencoders.kl_warmup import KLWarmup
from regen.estimators.autoencoders.row_model import RowInputs
from regen.losses.elbo import (
    active_units,
    draw_normal,
    elbo_terms,
    gaussian_kl,
    importance_bound,
    normal_log_density,
    posterior,
)
from regen.nets.autoencoder import AutoencoderNet
from regen.training.options import Training

__all__ = ["VariationalAutoencoder"]

USUAL: Mapping[str, str] = {
    "real": "student",
    "nonnegative": "rectified",
    "unit": "continuous_bernoulli",
    "binary": "bernoulli",
    "counts": "negative_binomial",
    "categorical": "categorical",
}
"""The likelihood of each kind of column."""
OF_NUMBERS: Mapping[str, str] = {
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
STRETCHED = ("gaussian", "student", "laplace", "squared", "rectified")
"""Likelihoods of numbers that have a unit: their densities are per unit."""


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

    loss_parameter: ClassVar[str] = "likelihood"
    capabilities: ClassVar[tuple[str, ...]] = ("encode", "decode", "reconstruct", "score", "impute", "sample")
    constraints: ClassVar[Mapping[str, Constraint]] = {
        **ROW_CONSTRAINTS,
        "likelihood": Choice(("auto", *OF_NUMBERS)),
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
        """Logarithm of the density of each row, (n,), in nats and in the units of the data.

        Estimated by importance sampling from q(z | x): below the true value on average, and closer to it the more
        `samples` are drawn (Burda et al. 2016). What is missing is left out of the density.

        X : rows (n, F), or other data as in `fit`. samples : draws of the code for each row.
        """
        rows, generator = self._rows(self._given(X)), self._chance(random_state, samples=samples)
        return self._each(rows, lambda r: evidence(self._weighed(r, samples, generator), samples)).numpy()

    def sample(self, n: int = 1, random_state: Any = None, means: bool = False) -> Any:
        """`n` new rows, as the kind of data that fit was given; sequences are as long as the longest at fit.

        means : the expected values of cells rather than draws of them, which makes smoother images.
        """
        self._check_fitted()
        generator = self._chance(random_state, n=n)
        steps, lengths = self._lengths(None, n)
        codes = torch.empty(n, self.code, device=self._device).normal_(generator=generator)
        parts = []
        with evaluating(self.net_):
            for some in torch.split(codes, EVALUATION_BATCH):
                outputs = self.net_.decoder(some, steps)
                cells = self._heads.mean(outputs) if means else self._heads.sample(outputs, generator)
                parts.append(cells.cpu())
        return self._form.decode(torch.cat(parts), lengths, rounded=not means)

    def sample_code(
        self, X: Any, n_draws: int | None = None, random_state: Any = None
    ) -> NDArray[np.float32]:
        """Draws from q(z | x), (n, Z), or (n_draws, n, Z): how sure the code is. X as in `fit`."""
        count = 1 if n_draws is None else n_draws
        rows, generator = self._rows(self._given(X)), self._chance(random_state, n_draws=count)

        def drawn(reading: RowInputs) -> Tensor:
            return draw_normal(*self._posterior(reading), count, generator).transpose(0, 1)

        codes = self._each(rows, drawn).transpose(0, 1).numpy()
        return codes[0] if n_draws is None else codes

    def impute(
        self, X: Any, n_draws: int | None = None, random_state: Any = None, samples: int = 1000
    ) -> Any:
        """X with its missing values filled in, the others as they were, to the bit.

        Codes drawn from q(z | observed), some from wider distributions, are weighed so that they stand for
        p(z | observed) (Mattei & Frellsen 2019).

        Parameters
        ----------
        X : rows (n, F), or other data as in `fit`.
        n_draws : None fills in expected values (of categories the most probable). A number returns a list of so many
            tables like X, in each of which missing values are drawn: together they show how sure one can be.
        random_state : seed of the draws.
        samples : codes drawn for each row.
        """
        given = self._given(X)
        generator = self._chance(
            random_state, samples=samples, **({} if n_draws is None else {"n_draws": n_draws})
        )
        rows = self._rows(given)
        index = with_gaps(rows)
        steps = None if rows.values.ndim == 2 and rows.lengths is None else longest(rows)
        shape = (len(rows), self._heads.cells) if steps is None else (len(rows), steps, self._heads.cells)
        filled = torch.zeros(n_draws or 1, *shape)

        def restored(reading: RowInputs) -> Tensor:
            draws = self._weighed(reading, samples, generator, wary=True)
            if n_draws is None:
                return padded(expected_cells(draws, self._heads), steps)[None].cpu()
            chosen = drawn_outputs(draws, n_draws, generator)
            return padded(self._heads.sample(chosen, generator), steps).cpu()

        with evaluating(self.net_):
            for some in torch.split(index, EVALUATION_BATCH):
                for batch in RowBatches(rows, None, some, len(some), shuffle=False).epoch():
                    filled[:, some] = restored(self._read(batch))
        tables = [self._form.fill(given, values) for values in filled]
        return tables[0] if n_draws is None else tables

    # What is minimised.

    def _check_combinations(self) -> None:
        if self.likelihood == "categorical" and (self.backbone == "conv" or self.image_shape is not None):
            raise ValueError(
                "likelihood='categorical' is for columns that name, not for pixels. Take 'auto'."
            )
        if self.free_bits > 0 and self.importance_samples > 1:
            raise ValueError(
                f"free_bits={self.free_bits!r} needs importance_samples=1, whose divergence is known unit by unit."
                f" Got importance_samples={self.importance_samples!r}."
            )

    def _likelihood(self, kind: str) -> str:
        if self.likelihood == "auto" or kind != OF_NUMBERS[self.likelihood]:
            return USUAL[kind]
        return "bernoulli" if self.likelihood == "binarized" else self.likelihood

    @property
    def _output(self) -> str:
        return "auto" if self.likelihood == "auto" else OF_NUMBERS[self.likelihood]

    @property
    def _parameters_of_code(self) -> int:
        return 2

    def _build(self) -> AutoencoderNet:
        net = super()._build()
        scale, cut = np.array(self._form.layout.log_scale, dtype=np.float64), []
        for name, block in zip(self._heads.names, self._form.layout.blocks, strict=True):
            if name not in STRETCHED:
                scale[block.start : block.stop] = 0.0
            cut += [name == "rectified"] * (block.stop - block.start)
        self._log_scale = torch.from_numpy(scale.astype(np.float32))
        self._cut, self._stretched = torch.tensor(cut), bool(scale.any())
        return net

    def _prepare(self, rows: Ragged, training: Tensor, generator: Generator) -> None:
        self._numbers = float((~rows.values.isnan()).sum()) / len(rows)

    def _terms(self, reading: RowInputs, generator: Generator | None) -> Mapping[str, Tensor]:
        if self.likelihood == "binarized":
            chance = torch.empty_like(reading.target).uniform_(generator=generator)
            drawn = (chance < reading.target).to(chance.dtype)
            read = self._form.layout.inputs(drawn)
            read = read if reading.observed is None else torch.where(reading.observed, read, 0.0)
            reading = reading._replace(target=drawn, x=read)
        beta = self._warmth.weight(self.beta) if generator is None else self.beta
        mean, log_var = self._posterior(reading)
        kl = gaussian_kl(mean, log_var)
        z = draw_normal(mean, log_var, self.importance_samples, generator)
        told = self._density(many(z, reading, self._outputs_of), reading)
        terms = elbo_terms(told.mean(0), kl, beta, self.free_bits)
        if self.importance_samples > 1:
            zero = torch.zeros_like(mean)
            apart = normal_log_density(z, zero, zero) - normal_log_density(z, mean, log_var)
            terms["loss"] = -importance_bound(told + beta * apart).mean()
            terms["bound"] = importance_bound((told + apart).detach()).mean()
        return {**terms, "loss": terms["loss"] / self._numbers}

    def _posterior(self, reading: RowInputs) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, Z) of the code of each row, in float32 also where products are in bfloat16."""
        return posterior(self._said_of(reading).float())

    def _density(self, outputs: Tensor, reading: RowInputs) -> Tensor:
        """(..., B) log-density of what was observed of each row, in units of the data."""
        cells = (-1,) if reading.target.ndim == 2 else (-2, -1)
        found = self._heads.log_density(outputs.float(), reading.target, reading.observed).sum(cells)
        unit = self._log_scale.to(found.device)
        if self._stretched and (reading.observed is not None or self._cut.any()):
            counted = (reading.target != 0) | ~self._cut.to(found.device)
            counted = counted if reading.observed is None else counted & reading.observed
            return found - (counted * unit).sum(cells)
        return found - unit.sum() * (1 if reading.target.ndim == 2 else reading.target.shape[1])

    def _row_scores(self, reading: RowInputs) -> Tensor:
        """The ELBO with the code at its mean."""
        mean, log_var = self._posterior(reading)
        return self._density(self._outputs_of(mean, reading), reading) - gaussian_kl(mean, log_var).sum(1)

    def _improve(self, rows: Ragged, training: Tensor, held_out: Tensor, generator: Generator) -> None:
        seed = int(torch.randint(2**31 - 1, (), generator=generator))
        super()._improve(rows, training, held_out, generator)
        chance, sums = Generator(rows.values.device).manual_seed(seed), dict[str, float]()
        told = held_out if len(held_out) else training
        with evaluating(self.net_):
            for batch in RowBatches(rows, None, told, EVALUATION_BATCH, shuffle=False).epoch():
                for name, value in self._terms(self._read(batch), chance).items():
                    sums[name] = sums.get(name, 0.0) + float(value) * len(batch.x) / len(told)
        self.elbo_terms_ = {name: value for name, value in sums.items() if name != "loss"}
        said = self._each(rows, self._said_of).double()
        mean, log_var = posterior(said)
        self.kl_per_unit_ = gaussian_kl(mean, log_var).mean(0).numpy()
        self.active_units_ = active_units(mean).numpy()
        self._warn_of_collapse()

    def _warn_of_collapse(self) -> None:
        active = int(self.active_units_.sum())
        if 4 * active >= self.code:
            return
        who = f"Only {active}" if active else "None"
        depend, whose = (
            "depend" if active > 1 else "depends",
            "the posterior of the others" if active else "its posterior",
        )
        warnings.warn(
            f"{who} of the {self.code} units of the code {depend} on the rows: {whose} has collapsed onto the prior."
            " Take a smaller code, a longer warmup, free_bits of 0.1 or more, a beta below 1, or train for longer.",
            UserWarning,
            stacklevel=6,
        )

    def _train_module(self, *arguments: Any, **named: Any) -> None:
        _, _, feed, *_ = arguments
        self._warmth = KLWarmup(self.warmup * len(feed))
        super()._train_module(*arguments, **named, memory=self._warmth)

    # Draws.

    def _chance(self, random_state: Any, **counts: Any) -> Generator:
        """A generator by `random_state`, once the `counts` of what it is to draw are seen to be counts."""
        check_parameters(type(self).__name__, dict.fromkeys(counts, Int(1)), counts)
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        return Generator(self._device).manual_seed(seed)

    def _weighed(self, reading: RowInputs, samples: int, generator: Generator, wary: bool = False) -> Any:
        mean, log_var = self._posterior(reading)
        return weighed(mean, log_var, reading, self._outputs_of, self._density, samples, generator, wary)
