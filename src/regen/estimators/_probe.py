"""A fitted network with data, as `regen.inspect` and the report receive them from an estimator.

Letters: `n` rows, `T` steps, `F` features, `K` outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, NamedTuple, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from regen._masks import length_mask
from regen.data.ragged import Ragged
from regen.training.device import EVALUATION_BATCH

__all__ = [
    "PROBE_ROWS",
    "CopyLosses",
    "Probe",
    "ProbeTraits",
    "ProbeWindows",
    "column_names",
    "mean_per_row",
    "padded_values",
]

PROBE_ROWS = 256
"""Rows of a probe, where the caller does not set their number."""
ROW_FIELDS = ("x", "lengths", "observed", "values", "times", "targets", "target_mask", "labels")
"""Fields with an entry for each row."""

ProbeWindows: TypeAlias = Literal["spread", "tiled", "sliding"]


class CopyLosses(NamedTuple):
    """The mean loss of each copy of the unfolded network.

    losses : (copies,). steps : of the longest sequence. of : "output", the loss of the output for the whole sequence,
    computed from the steps up to the copy; "step", the loss of the output of that step.
    """

    losses: NDArray[Any]
    steps: int
    of: Literal["output", "step"]


@final
@dataclass(frozen=True)
class ProbeTraits:
    """Properties of a network and its outputs.

    Attributes
    ----------
    segment : steps of the data in each recurrent step.
    stream : whether the state is carried along the whole series.
    divisible : whether the first axis of every row-wise field is that of the rows, so that `take` is possible.
    needs_targets : whether the loss needs targets.
    default_part : name of the recurrent net that is inspected by default; None is the first.
    output : "forecast" or "output". classes : labels of the K outputs of a classifier.
    horizon : steps ahead into which the K outputs are divided; None where they are not forecasts.
    """

    segment: int = 1
    stream: bool = False
    divisible: bool = True
    needs_targets: bool = True
    default_part: str | None = None
    output: Literal["forecast", "output"] = "output"
    classes: Sequence[Any] | None = None
    horizon: int | None = None


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Probe:
    """A network with rows of data, ready to run.

    Attributes
    ----------
    net : the network.
    x : (n, T, F) its input.
    run : ``run(probe, x)`` are the outputs (n, K) for the input x in place of that of the probe.
    loss : ``loss(probe, x)`` are the losses (n,) of these outputs; None where there is no loss.
    copy_losses : ``copy_losses(probe)`` are the losses of the unfolded copies; None where a copy has none.
    lengths : (n,) valid steps of each row; None where all are valid.
    observed : as `x`, the mask that the network receives; None where it receives none.
    targets, target_mask : (n, ...) targets of the loss, and which of them were observed; None where there are none.
    labels : (n,) labels that are an input of the network; None where it has no such input.
    values : (n, T, F) the input in the units of the data, NaN past the end of a row; None where they are not known.
    times : (n, T) date or number of each step; None where a step has only its place in the row.
    features, rows : names of the features and of the n rows.
    traits : what else an inspection must respect; each is also an attribute of the probe.
    """

    net: nn.Module
    x: Any
    run: Callable[[Probe, Any], Tensor]
    loss: Callable[[Probe, Any], Tensor] | None = None
    copy_losses: Callable[[Probe], CopyLosses] | None = None
    lengths: Tensor | None = None
    observed: Tensor | None = None
    targets: Tensor | None = None
    target_mask: Tensor | None = None
    labels: Tensor | None = None
    values: NDArray[Any] | None = None
    times: NDArray[Any] | None = None
    features: Sequence[str] = ()
    rows: Sequence[Any] = ()
    traits: ProbeTraits = ProbeTraits()

    @property
    def segment(self) -> int:
        """See `ProbeTraits`."""
        return self.traits.segment

    @property
    def stream(self) -> bool:
        """See `ProbeTraits`."""
        return self.traits.stream

    @property
    def divisible(self) -> bool:
        """See `ProbeTraits`."""
        return self.traits.divisible

    @property
    def needs_targets(self) -> bool:
        """See `ProbeTraits`."""
        return self.traits.needs_targets

    @property
    def default_part(self) -> str | None:
        """See `ProbeTraits`."""
        return self.traits.default_part

    @property
    def output(self) -> str:
        """See `ProbeTraits`."""
        return self.traits.output

    @property
    def classes(self) -> Sequence[Any] | None:
        """See `ProbeTraits`."""
        return self.traits.classes

    @property
    def horizon(self) -> int | None:
        """See `ProbeTraits`."""
        return self.traits.horizon

    def outputs(self, x: Any) -> Tensor:
        """(n, K) outputs of the network for the input x."""
        return self.run(self, x)

    def losses(self, x: Any) -> Tensor:
        """(n,) loss of the outputs for the input x; ValueError without targets."""
        self.check_targets()
        if self.loss is None:
            raise ValueError(f"{type(self.net).__name__} has no loss that could be computed for each row.")
        return self.loss(self, x)

    def check_targets(self) -> None:
        """Refuse a loss without targets."""
        if self.needs_targets and self.targets is None:
            raise ValueError(
                "There are no targets to compute a loss with. Give y, the class or the targets of each row."
            )

    def objective(self, x: Any) -> Tensor:
        """(n,) what gradients are taken of: the losses, or the sum of the outputs of each row without targets."""
        return self.outputs(x).sum(1) if self.targets is None else self.losses(x)

    def mean_loss(self) -> float:
        """Mean loss of all rows."""
        with torch.no_grad():
            losses = torch.cat([batch.losses(batch.x) for batch in self.batches()])
        return float(losses.double().mean())

    def batches(self) -> Iterator[Probe]:
        """The same in batches of at most 512 rows, where it is divisible."""
        n = len(self.rows)
        if not self.divisible or n <= EVALUATION_BATCH:
            yield self
            return
        for start in range(0, n, EVALUATION_BATCH):
            yield self.take(np.arange(start, min(start + EVALUATION_BATCH, n)))

    def head(self, rows: int) -> Probe:
        """The first `rows` rows, where it is divisible and has more."""
        return self if not self.divisible or len(self.rows) <= rows else self.take(np.arange(rows))

    def take(self, index: NDArray[np.int64]) -> Probe:
        """Rows number `index`."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name in ROW_FIELDS}
        chosen: dict[str, Any] = {name: None if each is None else each[index] for name, each in own.items()}
        return replace(self, rows=[self.rows[row] for row in index.tolist()], **chosen)


def mean_per_row(losses: Tensor, mask: Tensor | None) -> Tensor:
    """(n,) mean loss of each row, (n, ...), over its observed values."""
    if mask is None:
        return losses.flatten(1).mean(1) if losses.ndim > 1 else losses
    return torch.where(mask, losses, 0.0).flatten(1).sum(1) / mask.flatten(1).sum(1).clamp(min=1)


def padded_values(sequences: Ragged) -> NDArray[np.float64]:
    """(n, T, F) sequences with gaps filled, NaN past the end of each."""
    filled = Ragged.from_steps(sequences.filled(), sequences.n_steps)
    padded = filled.pad(filled.with_nan())
    valid = length_mask(filled.n_steps, padded.shape[1])
    return padded.masked_fill(~valid[..., None], torch.nan).numpy()


def column_names(n_features: int) -> tuple[str, ...]:
    """``("x",)``, or ``("x0", "x1", ...)``."""
    return ("x",) if n_features == 1 else tuple(f"x{k}" for k in range(n_features))
