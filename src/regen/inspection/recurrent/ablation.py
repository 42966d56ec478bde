"""Which units and gates a model needs: what its error loses without them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from regen._check import Choice, Int, check_parameters
from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.data.dataframes import frame
from regen.estimators._probe import PROBE_ROWS, Probe
from regen.inspection.finding import Finding
from regen.inspection.recurrent.activity import SIGMOIDS
from regen.inspection.recurrent.clamping import DIRECTIONS, held
from regen.inspection.recurrent.gates import gates_of
from regen.inspection.recurrent.models import Loss, gradients_in_evaluation, inspected_part, probe_to_evaluate
from regen.inspection.recurrent.parts import Part

__all__ = ["Ablation", "ablate"]

SILENCE: Mapping[type[Cell], Mapping[str, float]] = {
    LSTM: {"output": 0.0},
    GRU: {"update": 0.0, "candidate": 0.0},
    Elman: {"state": 0.0},
    Diagonal: {"state": 0.0},
    Jordan: {"hidden": 0.0},
}
"""What makes a unit say 0 at every step."""
MANY = 2.0
"""Share of the loss from which on it is told as so many times as large."""
LITTLE = 0.01
"""Share of the loss below which something is not missed."""


class Trial(NamedTuple):
    """What is taken away at once: some gates held, in one layer and direction, of some units or all."""

    layer: int
    direction: str
    name: Any
    units: list[int] | None
    gates: Mapping[str, Any]


@final
@dataclass(frozen=True, eq=False)
class Ablation(Finding):
    """What the loss is without each unit, or without what each gate has to tell.

    Attributes
    ----------
    of : "units" or "gates". part : which net of the model.
    loss : of the whole model.
    layers, directions, names : (k,) where each thing is, and its number (units) or word (gates).
    losses : (k,) the loss without it.
    """

    of: str
    part: str
    loss: float
    layers: NDArray[np.int64]
    directions: NDArray[np.str_]
    names: NDArray[Any]
    losses: NDArray[np.float64]

    @property
    def lost(self) -> NDArray[np.float64]:
        """(k,) how much larger the loss is without each."""
        return self.losses - self.loss

    def frame(self) -> Any:
        """A dataframe, what is missed most first.

        Columns: layer, direction, unit or gate, loss, lost, share (lost, as a share of the whole model's loss), rank.
        """
        order = np.argsort(-self.lost, kind="stable")
        columns = {"layer": self.layers, "direction": self.directions, self.of[:-1]: self.names}
        columns |= {"loss": self.losses, "lost": self.lost, "share": self.lost / self.loss}
        ranked = {name: each[order] for name, each in columns.items()}
        return frame(ranked | {"rank": np.arange(1, len(order) + 1)})

    def sentences(self, n: int = 5) -> list[str]:
        """What is missed most, and how much is not missed at all."""
        told = []
        for k in np.argsort(-self.lost, kind="stable")[:n].tolist():
            change = f"{self._change(k)}, from {self.loss:.3g} to {self.losses[k]:.3g}"
            told.append(f"Without {self._name(k)} the loss {change}.")
        spare, every = int((self.lost < LITTLE * self.loss).sum()), len(self.losses)
        verb = "is" if spare == 1 else "are"
        missed = f"{spare} of the {every} {self.of} {verb} not missed: less than 1 % is lost without."
        return [*told, missed if spare else f"Each of the {every} {self.of} is missed."]

    def _change(self, k: int) -> str:
        share = self.lost[k] / self.loss if self.loss else np.inf
        if abs(share) < 0.005:
            return "hardly changes"
        if share > MANY:
            return (
                f"is {1 + share:,.3g} times as large"
                if share < 999
                else f"is {1 + share:,.0f} times as large"
            )
        return f"{'grows' if share > 0 else 'shrinks'} by {abs(share):.0%}"

    def _name(self, k: int) -> str:
        what = f"unit {self.names[k]}" if self.of == "units" else f"what the {self.names[k]} gate has to tell"
        layer = f" of layer {self.layers[k]}" if len(np.unique(self.layers)) > 1 else ""
        way = f" reading {self.directions[k]}" if len(np.unique(self.directions)) > 1 else ""
        return f"{what}{layer}{way}"


def ablate(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    of: str = "units",
    part: str | None = None,
    loss: Loss | None = None,
    rows: int = PROBE_ROWS,
) -> Ablation:
    """What the loss of a model becomes when each unit is silenced, or each gate told nothing, one at a time.

    A unit that is silenced says 0 at every step (LSTM: its output gate is shut; GRU: nothing is kept and nothing
    written). A gate that has nothing to tell is held at its mean over X in each unit, so that its level stays and
    only what it does from step to step is gone. The model runs once for each.

    Parameters
    ----------
    model : a fitted estimator with a recurrent net, a net of `regen.nn` or ``torch.nn``, or a torch module that holds
        some.
    X : what the model reads, as in `gates`: a series (N,) or (N, C), sequences such as (n, T, F), a module's input.
    y : (n,) or (n, K) what should be answered: classes or targets. A Forecaster is held against what followed in
        the series, an autoencoder against X: they take none.
    of : "units" or "gates".
    part : which recurrent net, of several; see `parts`. None is the first.
    loss : for a torch module: ``loss(answers, y)`` gives the cost (n,) of each answer. None is the cross-entropy for
        whole numbers y and the squared error for others.
    rows : windows of a series (evenly spread) or sequences (the first) that are used, at most. Not for torch modules.

    Raises
    ------
    ValueError : there is no y where one is needed, nothing in the model is recurrent, or its cell is not one of ours.
    """
    check_parameters("ablate", {"of": Choice(("units", "gates")), "rows": Int(1)}, {"of": of, "rows": rows})
    probe = probe_to_evaluate(model, X, y, part, loss, rows)
    chosen = inspected_part(probe, part)
    trials = list(_units(chosen) if of == "units" else _gates(probe, chosen))
    losses = []
    with gradients_in_evaluation(probe.net):
        whole = probe.mean_loss()
        for layer, direction, _, units, silence in trials:
            without = held(chosen.net, units=units, layers=layer, direction=direction, **silence)
            with chosen.intercept(weights=without):
                losses.append(probe.mean_loss())
    layers, ways, names = (np.array(each) for each in zip(*[trial[:3] for trial in trials], strict=True))
    return Ablation(of, chosen.name, whole, layers, ways, names, np.array(losses))


def _units(part: Part) -> Iterator[Trial]:
    net = part.net
    silence = SILENCE.get(type(net.cell))
    if silence is None:
        kind = type(net.cell).__name__
        raise ValueError(
            f"It is not known what silences a unit of the cell {kind}. Ablate a cell of regen.cells."
        )
    for layer in range(net.num_layers):
        for direction in DIRECTIONS[: 1 + net.bidirectional]:
            for unit in range(net.hidden_size):
                yield Trial(layer, direction, unit, [unit], silence)


def _gates(probe: Probe, part: Part) -> Iterator[Trial]:
    words = SIGMOIDS.get(type(part.net.cell), ())
    if not words:
        kind = type(part.net.cell).__name__
        raise ValueError(f"The cell {kind} has no gates. Use of='units'.")
    found = gates_of(probe, part)
    for word in words:
        mean: NDArray[np.float64] = np.nanmean(found[word].values, axis=(2, 3), dtype=np.float64)
        for layer, d in np.ndindex(*mean.shape[:2]):
            yield Trial(layer, DIRECTIONS[d], word, None, {word: mean[layer, d]})
