"""The cost of every copy of the unfolded network. Letters: `B` batch, `S` recurrent steps, `K` answers of a step."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from regen._check import Int, check_parameters
from regen.data.dataframes import frame
from regen.estimators._probe import PROBE_ROWS
from regen.inspection.finding import Finding
from regen.inspection.recurrent.models import Loss, gradients_in_evaluation, net_of, probe_to_evaluate
from regen.inspection.recurrent.sentences import steps_text

__all__ = ["LossPerCopy", "loss_per_copy"]

NEAR = 0.1
"""Share of the fall of the cost that may be missing where reading on is said not to help much."""


@final
@dataclass(frozen=True, eq=False)
class LossPerCopy(Finding):
    """What every unfolded copy costs.

    Attributes
    ----------
    losses : (copies,). steps : (copies,) steps of the data that are read by then.
    segment : steps that each copy reads.
    of : what a copy is held to: "answer", as if what it has read were all; "step", what belongs to its own step.
    """

    losses: NDArray[np.float64]
    steps: NDArray[np.int64]
    segment: int
    of: str

    def frame(self) -> Any:
        """A dataframe of one row for each copy: steps (read by then) and loss."""
        return frame({"steps": self.steps, "loss": self.losses})

    def sentences(self) -> list[str]:
        """How the cost changes with what was read, and where reading on helps no more."""
        known = np.flatnonzero(~np.isnan(self.losses))
        if not len(known):
            return ["Nothing was observed that a copy could be held against."]
        cost, steps = self.losses[known], self.steps[known]
        best, worst = int(cost.argmin()), int(cost.argmax())
        if self.of == "step":
            return [
                f"The cost of a copy is {cost.mean():.3g} on average, lowest at step {steps[best]}"
                f" ({cost[best]:.3g}) and highest at step {steps[worst]} ({cost[worst]:.3g})."
            ]
        told = [
            f"The cost is {cost[0]:.3g} when {steps_text(steps[0])} {_verb(steps[0])} read and {cost[-1]:.3g}"
            f" when {steps_text(steps[-1])} are; it is lowest, {cost[best]:.3g}, at"
            f" {steps_text(steps[best])}."
        ]
        if cost[0] > cost[best]:
            near = int(np.argmax(cost <= cost[best] + NEAR * (cost[0] - cost[best])))
            told.append(f"{1 - NEAR:.0%} of its fall is reached with {steps_text(steps[near])}.")
        return told


def loss_per_copy(
    model: Any, X: Any, y: Any = None, *, loss: Loss | None = None, rows: int = PROBE_ROWS
) -> LossPerCopy:
    """The cost of every copy of the unfolded network.

    A Forecaster: of the same horizon when only the last 1, 2, ... segments before it are read; one that carries its
    state: at each place of a window along the series. A sequence estimator: had the sequence ended there. An
    autoencoder: of restoring each step. A torch module: of what it says at each step.

    Parameters
    ----------
    model : a fitted estimator with a recurrent net, or a torch module that answers at every step, (B, T, K), or as
        its recurrent net lays it out.
    X : what the model reads, as in `gates`: a series (N,) or (N, C), sequences such as (n, T, F), a module's input.
    y : what should be answered: (n,) or (n, K) classes or targets of whole sequences; for a torch module also
        (B, T, K) targets or (B, T) classes at every step, laid out as its answers. A Forecaster and an autoencoder
        take none.
    loss : for a torch module: ``loss(answers, y)`` gives the cost (B, T) or (B, T, K) of each answer. None is the
        cross-entropy for whole numbers y and the squared error for others.
    rows : sequences (the first) that are used, at most. Not for torch modules; of long windows of a series fewer are
        read than of short ones.

    Raises
    ------
    ValueError : there is no y where one is needed, or the module does not answer at every step.
    """
    check_parameters("loss_per_copy", {"rows": Int(1)}, {"rows": rows})
    net_of(model)
    probe = probe_to_evaluate(model, X, y, None, loss, rows)
    if probe.copy_losses is None:
        raise ValueError(
            f"{type(model).__name__} has one output for a whole sequence: its unfolded copies have no loss."
        )
    with gradients_in_evaluation(probe.net), torch.no_grad():
        losses, longest, of = probe.copy_losses(probe)
    steps = np.minimum(probe.segment * np.arange(1, len(losses) + 1), longest)
    return LossPerCopy(losses.astype(np.float64), steps, probe.segment, of)


def _verb(steps: float) -> str:
    return "is" if steps == 1 else "are"
