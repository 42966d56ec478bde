"""The loss of a model without each of its units or gates."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from regen._check import Choice, Int, check_parameters
from regen.data.dataframes import frame
from regen.estimators._probe import PROBE_ROWS, Probe
from regen.inspection.finding import Finding
from regen.inspection.recurrent.activity import sigmoid_gates
from regen.inspection.recurrent.clamping import DIRECTIONS, held
from regen.inspection.recurrent.gates import gates_of
from regen.inspection.recurrent.models import Loss, gradients_in_evaluation, inspected_part, probe_to_evaluate
from regen.inspection.recurrent.parts import Part

__all__ = ["Ablation", "ablate"]

MANY = 2.0
"""Relative increase above which the sentences give a factor in place of a percentage."""
LITTLE = 0.01
"""Relative increase below which a unit or gate could be removed."""


class Trial(NamedTuple):
    """Gates held at once: in one layer and direction, of some units or all."""

    layer: int
    direction: str
    name: Any
    units: list[int] | None
    gates: Mapping[str, Any]


@final
@dataclass(frozen=True, eq=False, repr=False)
class Ablation(Finding):
    """The loss without each unit, or without the variation of each gate.

    Attributes
    ----------
    of : str
        "units" or "gates".
    part : str
        Name of the net inside the model.
    loss : float
        Loss of the whole model.
    layers, directions, names : ndarray of shape (k,)
        Layer and direction of each, and its number (units) or name (gates).
    losses : ndarray of shape (k,)
        The loss without each.
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
        """(k,) increase of the loss without each."""
        return self.losses - self.loss

    def frame(self) -> Any:
        """Tabulate the losses, the largest increase first.

        Returns
        -------
        table : DataFrame
            Columns: layer, direction, unit or gate, loss, lost (the increase), share (the increase as a share
            of the loss of the whole model), rank.
        """
        order = np.argsort(-self.lost, kind="stable")
        columns = {"layer": self.layers, "direction": self.directions, self.of[:-1]: self.names}
        columns |= {"loss": self.losses, "lost": self.lost, "share": self.lost / self.loss}
        ranked = {name: each[order] for name, each in columns.items()}
        return frame(ranked | {"rank": np.arange(1, len(order) + 1)})

    def sentences(self, n: int = 5) -> list[str]:
        """Summarise the finding in sentences, the most important first.

        Parameters
        ----------
        n : int, default=5
            Units or gates that are described.

        Returns
        -------
        sentences : list of str
            The largest increases, and the number of units or gates that could be removed.
        """
        text = []
        for k in np.argsort(-self.lost, kind="stable")[:n].tolist():
            change = f"{self._change(k)}, from {self.loss:.3g} to {self.losses[k]:.3g}"
            text.append(f"Without {self._name(k)} the loss {change}.")
        spare, every = int((self.lost < LITTLE * self.loss).sum()), len(self.losses)
        verb = "is" if spare == 1 else "are"
        removable = (
            f"{spare} of the {every} {self.of} {verb} not needed: without, the loss grows by less than 1 %."
        )
        return [*text, removable if spare else f"Each of the {every} {self.of} is needed."]

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
        what = f"unit {self.names[k]}" if self.of == "units" else f"the variation of the {self.names[k]} gate"
        layer = f" of layer {self.layers[k]}" if len(np.unique(self.layers)) > 1 else ""
        way = f" ({self.directions[k]})" if len(np.unique(self.directions)) > 1 else ""
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
    """Measure the loss of a model without each unit, or without the variation of each gate.

    A unit is removed by an output of 0 at every step (LSTM: its output gate is closed; GRU: nothing is kept and
    nothing written). A gate is removed by holding it at its mean over X in each unit: its level stays, only its
    variation from step to step is removed. The model runs once for each.

    Parameters
    ----------
    model : Estimator or torch.nn.Module
        A fitted estimator with a recurrent net, a net of `regen.nn` or ``torch.nn``, or a torch module that
        contains one.
    X : array-like, tensor, dataframe or list of arrays
        The input, as in `gates`: a series (N,) or (N, C), sequences such as (n, T, F), or the input of a module.
    y : array-like of shape (n,) or (n, K), default=None
        Classes or targets. The targets of a Forecaster are the next steps of its series and those of an
        autoencoder are X: they take none.
    of : {"units", "gates"}, default="units"
        What is removed, one at a time.
    part : str, default=None
        Name of the recurrent net, see `parts`; None is the first.
    loss : callable, default=None
        For a torch module: ``loss(outputs, y)`` returns the loss (n,) of each row. None is the cross-entropy
        for whole numbers y and the squared error for others.
    rows : int, default=256
        Windows of a series (evenly spaced) or sequences (the first) that are used, at most: a stable mean in a
        second for nets of 64 units. A torch module uses all.

    Returns
    -------
    found : Ablation
        The loss without each.

    Raises
    ------
    ValueError
        When targets are needed and y is missing, the model has no recurrent net, or its cell is none of regen.

    See Also
    --------
    clamp : Hold gates at values of choice.
    saliency : Contributions of inputs in place of units.

    Examples
    --------
    >>> import torch, regen
    >>> net, x = torch.nn.LSTM(3, 8, batch_first=True), torch.randn(4, 5, 3)
    >>> y = torch.tensor([0, 1, 2, 3])
    >>> regen.inspect.ablate(net, x, y).losses.shape
    (8,)
    """
    check_parameters("ablate", {"of": Choice(("units", "gates")), "rows": Int(1)}, {"of": of, "rows": rows})
    probe = probe_to_evaluate(model, X, y, part, loss, rows)
    chosen = inspected_part(probe, part)
    trials = list(_units(chosen) if of == "units" else _gates(probe, chosen))
    losses = []
    with gradients_in_evaluation(probe.net):
        whole = probe.mean_loss()
        for layer, direction, _, units, removal in trials:
            without = held(chosen.net, units=units, layers=layer, direction=direction, **removal)
            with chosen.intercept(weights=without):
                losses.append(probe.mean_loss())
    layers, ways, names = (np.array(each) for each in zip(*[trial[:3] for trial in trials], strict=True))
    return Ablation(of, chosen.name, whole, layers, ways, names, np.array(losses))


def _units(part: Part) -> Iterator[Trial]:
    net = part.net
    removal = net.cell.removal
    if not removal:
        kind = type(net.cell).__name__
        raise ValueError(
            f"There is no rule to remove a unit of the cell {kind}. Ablate a cell of regen.cells."
        )
    for layer in range(net.num_layers):
        for direction in DIRECTIONS[: 1 + net.bidirectional]:
            for unit in range(net.hidden_size):
                yield Trial(layer, direction, unit, [unit], removal)


def _gates(probe: Probe, part: Part) -> Iterator[Trial]:
    words = sigmoid_gates(part.net.cell)
    if not words:
        kind = type(part.net.cell).__name__
        raise ValueError(f"The cell {kind} has no gates. Use of='units'.")
    found = gates_of(probe, part)
    for word in words:
        mean: NDArray[np.float64] = np.nanmean(found[word].values, axis=(2, 3), dtype=np.float64)
        for layer, d in np.ndindex(*mean.shape[:2]):
            yield Trial(layer, DIRECTIONS[d], word, None, {word: mean[layer, d]})
