"""Gates held open or closed, to see what they do: read, write and reset experiments.

A gate that is held is a gate that hears nothing: the rows of its units in W and U, its second bias and its peepholes
become 0, and its first bias b the number at which its activation says the wanted value, so that::

    i_t = sigmoid(0 x_t + 0 h_{t-1} + b) = value            b = log(value / (1 - value)); 1000 for 1, -1000 for 0

The equation of a cell is not touched, and so every backend runs held cells, as fast as others: what differs are the
weights that it is handed. 0 and 1 are held exactly, numbers between them to the rounding of the activation.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from regen._check import closest
from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.inspection.recurrent.models import net_of
from regen.inspection.recurrent.parts import Part, part_named, parts_of
from regen.nets import Recurrent, WeightsHook

__all__ = ["clamp", "clampable", "held"]

FAR = 1000.0
"""Where sigmoid and tanh are at their ends in every precision."""
HEARD = ("weight_ih", "weight_hh", "weight_yh", "bias_hh")
"""What a gate hears by: each has H rows for every gate."""
PEEPHOLES = {"input": "weight_ci", "forget": "weight_cf", "output": "weight_co"}
DIRECTIONS = ("forward", "backward")


@final
@dataclass(frozen=True)
class Hold:
    """Some units of one gate, and the number (units,) that its activation is to be given for each."""

    gate: str
    block: int
    units: tuple[int, ...]
    at: tuple[float, ...]


@contextmanager
def clamp(
    model: Any,
    *,
    units: int | Sequence[int] | None = None,
    layers: int | Sequence[int] | None = None,
    direction: str | None = None,
    part: str | None = None,
    **gates: ArrayLike,
) -> Iterator[Any]:
    """Hold gates of a model within a ``with`` block; afterwards, also after an error, it is as it was.

    ``with clamp(model, forget=1.0, units=[7]): model.predict()`` asks what would be said if unit 7 never forgot. All
    that the model does within the block is done with the gates held, also in other threads, and also training it:
    gradients flow to all other weights. What is made of the model meanwhile, such as a stream, keeps them held; what
    is saved of it does not.

    Any backend runs held cells: the gate's weights are replaced by 0 and its bias by what its activation turns into
    the wanted value, which leaves the equation as it is.

    Parameters
    ----------
    model : a fitted estimator, a net of `regen.nn` or ``torch.nn``, or a torch module that holds some.
    units : which units, as numbers from 0; None is all.
    layers : which layers, as numbers from 0; None is all.
    direction : "forward" or "backward" of a bidirectional net; None is both.
    part : which recurrent net, of several; see `parts`. None is all of them that have such a gate.
    gates : by word the value, a number or (units,) one for each unit. LSTM: ``input``, ``forget`` and ``output`` from
        0 (closed) to 1 (open), ``candidate`` from -1 to 1. GRU: ``reset`` and ``update`` from 0 to 1, ``candidate``.
        Elman and diagonal: ``state``; Jordan: ``hidden``; from -1 to 1, with relu from 0.

    Raises
    ------
    ValueError : no gate is given, the cell has no such gate, unit, layer or direction, or the value is out of range.
    """
    if not gates:
        raise ValueError("clamp() was given no gate to hold. Name one with its value, such as forget=1.0.")
    with ExitStack() as stack:
        for chosen in _chosen(model, part, gates):
            weights = held(chosen.net, units=units, layers=layers, direction=direction, **gates)
            stack.enter_context(chosen.intercept(weights=weights))
        yield model


def clampable(cell: Cell) -> dict[str, tuple[int, str]]:
    """By word, which block of the cell's rows each gate is, and its activation; nothing for cells of others."""
    if isinstance(cell, LSTM):
        kinds = {"input": "sigmoid", "forget": "sigmoid", "candidate": "tanh", "output": "sigmoid"}
    elif isinstance(cell, GRU):
        kinds = {"reset": "sigmoid", "update": "sigmoid", "candidate": "tanh"}
    elif isinstance(cell, Elman | Diagonal | Jordan):
        kinds = {"hidden" if isinstance(cell, Jordan) else "state": cell.nonlinearity}
    else:
        kinds = {}
    return {word: (block, kind) for block, (word, kind) in enumerate(kinds.items())}


def held(
    net: Recurrent,
    *,
    units: int | Sequence[int] | None = None,
    layers: int | Sequence[int] | None = None,
    direction: str | None = None,
    **gates: ArrayLike,
) -> WeightsHook:
    """A hook for ``Recurrent.intercept`` that holds some gates.

    gates : by word a number or (units,) values, and the other arguments, as in `clamp`.
    """
    D = 1 + net.bidirectional
    chosen = _numbers("units", units, net.hidden_size)
    wanted = set(_numbers("layers", layers, net.num_layers))
    ways = {DIRECTIONS.index(direction)} if direction in DIRECTIONS[:D] else set(range(D))
    if direction is not None and direction not in DIRECTIONS[:D]:
        ways_known = " or ".join(map(repr, DIRECTIONS[:D]))
        raise ValueError(f"direction must be {ways_known} for this net. Got {direction!r} instead.")
    holds = [_hold(net.cell, word, value, chosen) for word, value in gates.items()]

    def hold(params: Mapping[str, Tensor], layer: int, way: int) -> Mapping[str, Tensor]:
        return _edited(net.cell, params, holds if layer in wanted and way in ways else [])

    return hold


def _chosen(model: Any, part: str | None, gates: Mapping[str, ArrayLike]) -> list[Part]:
    """The parts that have all these gates; ValueError when there is none."""
    net = net_of(model)
    found = parts_of(net) if part is None else [part_named(net, part)]
    able = [each for each in found if set(gates) <= set(clampable(each.net.cell))]
    if able:
        return able
    known = clampable(found[0].net.cell)
    kind = type(found[0].net.cell).__name__
    wrong = next(word for word in gates if word not in known)
    words = (
        f"It has {', '.join(map(repr, known))}." if known else "Gates can be held in cells of regen.cells."
    )
    raise ValueError(f"The cell {kind} has no gate {wrong!r}. {words}{closest(wrong, known)}")


def _numbers(name: str, given: int | Sequence[int] | None, n: int) -> tuple[int, ...]:
    """Some of the numbers from 0 to n - 1."""
    if given is None:
        return tuple(range(n))
    asked = np.atleast_1d(np.asarray(given))
    if (
        asked.dtype.kind not in "iu"
        or asked.ndim != 1
        or not len(asked)
        or asked.min() < 0
        or asked.max() >= n
    ):
        raise ValueError(f"{name} must be ints from 0 to {n - 1}. Got {given!r} instead.")
    return tuple(asked.tolist())


def _hold(cell: Cell, word: str, value: ArrayLike, units: tuple[int, ...]) -> Hold:
    block, kind = clampable(cell)[word]
    low, high = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "relu": (0.0, np.inf)}[kind]
    values = np.asarray(value, dtype=np.float64)
    if (
        values.ndim > 1
        or values.size not in (1, len(units))
        or not ((values >= low) & (values <= high)).all()
    ):
        raise ValueError(
            f"{word} must be a number from {low:g} to {high:g}, or one for each of the {len(units)} units."
            f" Got {value!r} instead."
        )
    at = np.broadcast_to(_before_activation(kind, values), len(units))
    return Hold(word, block, units, tuple(at.tolist()))


def _before_activation(kind: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The numbers that an activation turns into `values`."""
    if kind == "relu":
        return values
    with np.errstate(divide="ignore"):
        at = np.arctanh(values) if kind == "tanh" else np.log(values) - np.log1p(-values)
    return np.clip(at, -FAR, FAR)


def _edited(cell: Cell, params: Mapping[str, Tensor], holds: list[Hold]) -> dict[str, Tensor]:
    """The parameters of one layer with some gates held; biases are there, for they are what holds."""
    W = params["weight_ih"]
    H = W.shape[0] // len(cell.gates)
    shapes = cell.shapes(W.shape[1], H)
    biases = {name: W.new_zeros(shapes[name]) for name in ("bias_ih", "bias_hh") if name in shapes}
    edited = {name: (biases | dict(params))[name] for name in shapes if name in params or name in biases}
    for hold in holds:
        units = torch.tensor(hold.units, device=W.device)
        rows = hold.block * H + units
        for name in HEARD:
            if name in edited:
                edited[name] = edited[name].index_fill(0, rows, 0.0)
        peephole = PEEPHOLES.get(hold.gate)
        if peephole in edited:
            edited[peephole] = edited[peephole].index_fill(0, units, 0.0)
        edited["bias_ih"] = edited["bias_ih"].index_copy(0, rows, W.new_tensor(hold.at))
    return edited
