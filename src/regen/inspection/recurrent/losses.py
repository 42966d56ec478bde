"""The cost of every copy of the unfolded network. Letters: `B` batch, `S` recurrent steps, `K` answers of a step."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from regen._check import Int, check_parameters
from regen._masks import length_mask
from regen.data.ragged import Ragged
from regen.data.series import frame
from regen.estimators import Forecaster
from regen.estimators.forecasting._preparation import Scaled, check_length
from regen.estimators.sequences.bptt import SequenceBPTT
from regen.inspection._batches import MOST_ROWS, judged, net_of, series_of_model
from regen.inspection._subject import (
    CodingSubject,
    CriticSubject,
    Loss,
    ModuleSubject,
    SequenceSubject,
    settled,
)
from regen.inspection.finding import Finding
from regen.inspection.recurrent.sentences import steps_text
from regen.losses.regression import LOSSES, mean_per_step
from regen.nets import Recurrent

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
    model: Any, X: Any, y: Any = None, *, loss: Loss | None = None, rows: int = MOST_ROWS
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
    net = net_of(model)
    if isinstance(model, Forecaster):
        if y is not None or loss is not None:
            raise ValueError("A Forecaster is held against the series by its own loss. Leave out y and loss.")
        with settled(net):
            found = _along_series(model, X)
        of = "answer" if model.bptt == "full" else "step"
        return _told(found, model.segment, model.window_, of)
    subject = judged(model, X, y, None, loss, rows)
    with settled(net), torch.no_grad():
        if isinstance(subject, SequenceSubject):
            return _told(_had_it_ended(subject), subject.segment, subject.x.shape[1], "answer")
        if isinstance(subject, CodingSubject):
            return _told(_restored(subject), 1, subject.x.shape[1], "step")
        if isinstance(subject, CriticSubject):
            raise ValueError(
                f"{type(model).__name__} judges whole sequences: its copies have no cost of their own."
            )
        assert isinstance(subject, ModuleSubject)
        found, of = _said(subject)
        return _told(found, 1, len(found), of)


def _told(cost: NDArray[Any], segment: int, longest: int, of: str) -> LossPerCopy:
    steps = np.minimum(segment * np.arange(1, len(cost) + 1), longest)
    return LossPerCopy(cost.astype(np.float64), steps, segment, of)


def _verb(steps: float) -> str:
    return "is" if steps == 1 else "are"


def _along_series(model: Forecaster, y: Any) -> NDArray[np.float64]:
    """By the unfolding that trained the model, over the whole of the series."""
    series = series_of_model(model, y)
    check_length(len(series), model.window_, model.horizon)
    data: Scaled = model._scale.apply(series.filled(), series.observed, model._device)
    cut = model.window_ if model.bptt == "full" else len(series)  # so that the whole series is measured
    return model._bptt(data, cut).loss_per_copy()


def _had_it_ended(subject: SequenceSubject) -> NDArray[np.float64]:
    if subject.y is None or subject.cost is None:
        subject.costs(subject.x)  # refuses
    assert subject.y is not None and subject.cost is not None
    x, lengths = subject.x, subject.lengths
    if lengths is not None:
        x = x[length_mask(lengths, x.shape[1])]
    everything = np.empty(0, dtype=np.int64)
    rows = Ragged(x, lengths=lengths)
    unfolding = SequenceBPTT(subject.net, subject.cost, rows, subject.y, everything, len(subject.y))  # type: ignore[arg-type]
    return unfolding.loss_per_copy().cpu().numpy()


def _restored(subject: CodingSubject) -> NDArray[np.float64]:
    model, sums = subject.objective.model, []
    for piece in subject.pieces():
        inputs = piece.inputs(piece.x)
        outputs = model.outputs(model.codes(inputs), inputs)
        cost = model.cell_losses(outputs, inputs, subject.objective.cell_loss)
        seen = inputs.mask.to(cost.dtype)
        sums.append(torch.stack([each.double().sum((0, 2)) for each in (cost, seen)]))
    total, count = torch.stack(sums).sum(0).cpu().numpy()
    found: NDArray[np.float64] = total / np.where(count > 0, count, np.nan)
    return found


def _said(subject: ModuleSubject) -> tuple[NDArray[np.float64], str]:
    if subject.y is None:
        subject.costs(subject.x)  # refuses
    assert subject.y is not None
    said, y, lengths = subject.net(subject.x, *subject.others), subject.y, None
    said = said[0] if isinstance(said, tuple) and not isinstance(said, PackedSequence) else said
    time_first = isinstance(subject.net, Recurrent | nn.RNNBase) and not subject.net.batch_first
    if isinstance(said, PackedSequence):
        said, lengths = pad_packed_sequence(said, batch_first=True)
    elif time_first:
        said = said.transpose(0, 1)
        y = y.transpose(0, 1) if y.shape[:2] == said.shape[1::-1] and y.ndim > 1 else y
    if said.ndim != 3:
        raise ValueError(
            f"{type(subject.net).__name__} answers with shape {tuple(said.shape)}; a cost of every copy needs answers"
            " (B, T, K) at every step. Give a module that answers so."
        )
    classes = not y.is_floating_point()
    wanted = said.shape[:2] if classes else said.shape
    of = "step" if y.shape == wanted else "answer"
    if of == "answer":  # the same at every step
        y = y.reshape(len(y), 1, *y.shape[1:]).expand(wanted)
    if subject.cost is not None:
        each = subject.cost(said, y)
    else:
        each = LOSSES["cross_entropy" if classes else "mse"](said, y)
    if lengths is None:
        return mean_per_step(each).cpu().double().numpy(), of
    there = length_mask(lengths, each.shape[1])
    there = there.view(*there.shape, *[1] * (each.ndim - 2)).expand(each.shape).to(each.device)
    return mean_per_step(each, there).cpu().double().numpy(), of
