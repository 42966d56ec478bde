"""The loss of every copy of the unfolded network. Letters: `B` batch, `T` steps, `K` outputs of a step."""

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
"""Share of the decrease of the loss that is left where more steps help little."""


@final
@dataclass(frozen=True, eq=False, repr=False)
class LossPerCopy(Finding):
    """The loss of every copy of the unfolded network.

    Attributes
    ----------
    losses : ndarray of shape (copies,)
        Mean over rows.
    steps : ndarray of shape (copies,)
        Steps of the data up to each copy.
    segment : int
        Steps of the data of each copy.
    of : str
        What a loss is that of: "output" for the whole sequence, computed from the steps up to the copy; or the output
        of each "step".
    """

    losses: NDArray[np.float64]
    steps: NDArray[np.int64]
    segment: int
    of: str

    def frame(self) -> Any:
        """Tabulate the losses.

        Returns
        -------
        table : DataFrame
            One row for each copy: steps and loss.
        """
        return frame({"steps": self.steps, "loss": self.losses})

    def sentences(self) -> list[str]:
        """Summarise the finding in sentences, the most important first.

        Returns
        -------
        sentences : list of str
            How the loss changes with the number of steps.
        """
        known = np.flatnonzero(~np.isnan(self.losses))
        if not len(known):
            return ["No target was observed."]
        losses, steps = self.losses[known], self.steps[known]
        best, worst = int(losses.argmin()), int(losses.argmax())
        if self.of == "step":
            return [
                f"The loss of a copy is {losses.mean():.3g} on average, lowest at step {steps[best]}"
                f" ({losses[best]:.3g}) and highest at step {steps[worst]} ({losses[worst]:.3g})."
            ]
        text = [
            f"The loss is {losses[0]:.3g} when {steps_text(steps[0])} {_verb(steps[0])} used and {losses[-1]:.3g}"
            f" when {steps_text(steps[-1])} are; it is lowest, {losses[best]:.3g}, at"
            f" {steps_text(steps[best])}."
        ]
        if losses[0] > losses[best]:
            near = int(np.argmax(losses <= losses[best] + NEAR * (losses[0] - losses[best])))
            text.append(f"{1 - NEAR:.0%} of the decrease is reached with {steps_text(steps[near])}.")
        return text


def loss_per_copy(
    model: Any, X: Any, y: Any = None, *, loss: Loss | None = None, rows: int = PROBE_ROWS
) -> LossPerCopy:
    """Measure the loss of every copy of the unfolded network.

    A Forecaster: the loss of the same horizon, computed from only the last 1, 2, ... segments before it; with
    ``bptt=k`` that at each place of a window along the series. A sequence estimator: the loss if the sequence
    ended there. An autoencoder: the loss of reconstructing each step. A torch module: the loss of its output at
    each step.

    Parameters
    ----------
    model : Estimator or torch.nn.Module
        A fitted estimator with a recurrent net, or a torch module with outputs (B, T, K) at every step, or in
        the layout of its recurrent net.
    X : array-like, tensor, dataframe or list of arrays
        The input, as in `gates`: a series (N,) or (N, C), sequences such as (n, T, F), or the input of a module.
    y : array-like, default=None
        Classes or targets (n,) or (n, K) of whole sequences; for a torch module also targets (B, T, K) or
        classes (B, T) at every step, in the layout of its outputs. A Forecaster and an autoencoder take none.
    loss : callable, default=None
        For a torch module: ``loss(outputs, y)`` returns the loss (B, T) or (B, T, K). None is the cross-entropy for
        whole numbers y and the squared error for others.
    rows : int, default=256
        Sequences (the first) that are used, at most; a torch module uses all. Of a series with long windows, fewer
        windows are used than of short ones, as every copy needs a run of its own.

    Returns
    -------
    found : LossPerCopy
        The losses, with the steps of the data up to each copy.

    Raises
    ------
    ValueError
        When targets are needed and y is missing, or the module has no output at every step.

    See Also
    --------
    gradient_flow : The gradients of the loss at every copy.

    Examples
    --------
    >>> import torch, regen
    >>> net, x = torch.nn.LSTM(3, 8, batch_first=True), torch.randn(4, 5, 3)
    >>> regen.inspect.loss_per_copy(net, x, torch.zeros(4, 5, 8)).losses.shape
    (5,)
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
