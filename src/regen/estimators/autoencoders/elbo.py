"""The objective of a variational autoencoder: the evidence lower bound, with a weight of the divergence that rises.

Letters: `B` batch, `S` draws, `T` steps, `E` encoded numbers of a row (of a step, for sequences), `Z` code,
`W` outputs of the decoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Generator, Tensor

from regen.estimators.autoencoders.objectives import Objective
from regen.estimators.autoencoders.row_model import RowInputs, RowModel
from regen.losses.elbo import (
    draw_normal,
    elbo_terms,
    gaussian_kl,
    importance_bound,
    normal_log_density,
    posterior,
)

__all__ = ["ELBO", "KLWarmup", "units_of"]

WITH_UNIT = ("gaussian", "student", "laplace", "squared", "rectified")
"""Likelihoods whose density is per unit of the data."""


@final
class KLWarmup:
    """Weight of the divergence over the first steps of training; a checkpoint includes its step."""

    def __init__(self, steps: float) -> None:
        self.steps, self.step = steps, 0

    def weight(self, full: float) -> float:
        """The weight at this step, linear from 0 up to `full`; advances by one step."""
        share = min(self.step / self.steps, 1.0) if self.steps else 1.0
        self.step += 1
        return full * share

    def state_dict(self) -> dict[str, Any]:
        """The number of steps so far."""
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Restore what `state_dict` returned."""
        self.step = int(state["step"])


@final
@dataclass(frozen=True, eq=False)
class ELBO(Objective):
    """Minus the evidence lower bound of a batch, per observed number.

    Parameters
    ----------
    binarized : draw targets of 0 or 1 from the data at each use.
    beta, free_bits, importance_samples : as in `VariationalAutoencoder`.
    log_units, rectified : (E,) from `units_of`.
    per_row : observed numbers of a row, on average; the loss is divided by it.
    warmup : of beta in training; None is full weight at once.
    """

    binarized: bool
    beta: float
    free_bits: float
    importance_samples: int
    log_units: Tensor
    rectified: Tensor
    per_row: float = 1.0
    warmup: KLWarmup | None = None

    def loss(self, inputs: RowInputs, rng: Generator) -> Mapping[str, Tensor]:
        """With the beta of the warm-up while the network trains; else with the full one."""
        if self.binarized:
            inputs = self._binarize(inputs, rng)
        warmup = self.warmup if self.model.net.training else None
        beta = self.beta if warmup is None else warmup.weight(self.beta)
        mean, log_var = self.posterior(inputs)
        kl = gaussian_kl(mean, log_var)
        z = draw_normal(mean, log_var, self.importance_samples, rng)
        log_px = self.log_density(self.model.outputs_of_draws(z, inputs), inputs)
        terms = elbo_terms(log_px.mean(0), kl, beta, self.free_bits)
        if self.importance_samples > 1:
            zero = torch.zeros_like(mean)
            log_ratio = normal_log_density(z, zero, zero) - normal_log_density(z, mean, log_var)
            terms["loss"] = -importance_bound(log_px + beta * log_ratio).mean()
            terms["bound"] = importance_bound((log_px + log_ratio).detach()).mean()
        return {**terms, "loss": terms["loss"] / self.per_row}

    def row_scores(self, inputs: RowInputs) -> Tensor:
        """The ELBO with the code at its mean."""
        mean, log_var = self.posterior(inputs)
        density = self.log_density(self.model.outputs(mean, inputs), inputs)
        return density - gaussian_kl(mean, log_var).sum(1)

    def posterior(self, inputs: RowInputs) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, Z) of the code of each row; float32 also where products are in bfloat16."""
        return posterior(self.model.encoder_outputs(inputs).float())

    def log_density(self, outputs: Tensor, inputs: RowInputs) -> Tensor:
        """(..., B) log-density of the observed values of each row, in units of the data.

        outputs : (..., B, W) or (..., B, T, W).
        """
        target, observed = inputs.target, inputs.observed
        cells = (-1,) if target.ndim == 2 else (-2, -1)
        density = self.model.likelihood.log_density(outputs.float(), target, observed).sum(cells)
        units = self.log_units.to(density.device)
        if self.log_units.any() and (observed is not None or self.rectified.any()):
            counted = (target != 0) | ~self.rectified.to(density.device)
            counted = counted if observed is None else counted & observed
            return density - (counted * units).sum(cells)
        return density - units.sum() * (1 if target.ndim == 2 else target.shape[1])

    def _binarize(self, inputs: RowInputs, rng: Generator) -> RowInputs:
        uniform = torch.empty_like(inputs.target).uniform_(generator=rng)
        target = (uniform < inputs.target).to(uniform.dtype)
        x = self.model.modality.layout.inputs(target)
        x = x if inputs.observed is None else torch.where(inputs.observed, x, 0.0)
        return inputs._replace(target=target, x=x)


def units_of(model: RowModel) -> tuple[Tensor, Tensor]:
    """Log of the unit of each encoded number, 0 where its density has none, and which are rectified; (E,) each.

    A rectified number has a unit only where it is above 0: at 0 it has a probability.
    """
    layout = model.modality.layout
    units = np.array(layout.log_scale, dtype=np.float64)
    rectified = np.zeros(len(units), dtype=np.bool_)
    for name, block in zip(model.likelihood.names, layout.blocks, strict=True):
        cells = slice(block.start, block.stop)
        rectified[cells] = name == "rectified"
        if name not in WITH_UNIT:
            units[cells] = 0.0
    return torch.from_numpy(units.astype(np.float32)), torch.from_numpy(rectified)
