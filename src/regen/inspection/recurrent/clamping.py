"""Gates held at fixed values, for write, read and reset experiments.

The rows of the held units in W and U, their second bias and their peephole are replaced by 0, and their first bias b
by the value that the activation maps to the fixed value::

    i_t = sigmoid(0 x_t + 0 h_{t-1} + b) = value            b = log(value / (1 - value)); 1000 for 1, -1000 for 0

The equation of the cell stays the same, so that every backend runs held gates at its usual speed. 0 and 1 are held
exactly, values between them to the rounding of the activation.
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
from regen.cells import Cell
from regen.inspection.recurrent.models import net_of
from regen.inspection.recurrent.parts import Part, part_named, parts_of
from regen.nets import Recurrent, WeightsHook

__all__ = ["clamp", "clampable", "held"]

FAR = 1000.0
"""Argument at which sigmoid and tanh are saturated in every precision."""
GATE_INPUTS = ("weight_ih", "weight_hh", "weight_yh", "bias_hh")
"""Parameters of the input of a gate, with H rows for each gate."""
PEEPHOLES = {"input": "weight_ci", "forget": "weight_cf", "output": "weight_co"}
DIRECTIONS = ("forward", "backward")


@final
@dataclass(frozen=True)
class Hold:
    """Some units of one gate, and the argument (units,) of its activation for each."""

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
    """Hold gates of a model at fixed values within a ``with`` block.

    ``with clamp(model, forget=1.0, units=[7]): model.predict()`` predicts as if unit 7 never forgot. The gates
    are held for every call within the block, also in other threads and in training, in which gradients flow to
    all other weights. A stream that is created within the block keeps them held; a saved model does not. After
    the block, also after an error, the model is as before.

    Every backend runs held gates: the weights of the gate are replaced by 0 and its bias by the value that its
    activation maps to the fixed value, so that the equation of the cell stays the same.

    Parameters
    ----------
    model : Estimator or torch.nn.Module
        A fitted estimator with a recurrent net, a net of `regen.nn` or ``torch.nn``, or a torch module that
        contains one.
    units : int or sequence of int, default=None
        Units, as numbers from 0; None is all.
    layers : int or sequence of int, default=None
        Layers, as numbers from 0; None is all.
    direction : {"forward", "backward"}, default=None
        Direction of a bidirectional net; None is both.
    part : str, default=None
        Name of the recurrent net, see `parts`; None is all that have such gates.
    **gates : float or array-like of shape (units,)
        The value of each gate. LSTM: ``input``, ``forget`` and ``output`` from 0 (closed) to 1 (open), ``candidate``
        from -1 to 1. GRU: ``reset`` and ``update`` from 0 to 1, ``candidate``. Elman and diagonal: ``state``; Jordan:
        ``hidden``; from -1 to 1, with relu from 0.

    Yields
    ------
    model : Estimator or torch.nn.Module
        The model itself.

    Raises
    ------
    ValueError
        When no gate is named, the cell has no such gate, unit, layer or direction, or a value is out of range.

    See Also
    --------
    gates : Record gates in place of holding them.
    ablate : The loss without each unit or gate.

    Examples
    --------
    >>> import torch, regen
    >>> net, x = torch.nn.LSTM(3, 8, batch_first=True), torch.randn(4, 5, 3)
    >>> with regen.inspect.clamp(net, forget=1.0, units=[7]):
    ...     outputs, _ = net(x)
    >>> outputs.shape
    torch.Size([4, 5, 8])
    """
    if not gates:
        raise ValueError("clamp() needs a gate to hold. Name one with its value, such as forget=1.0.")
    with ExitStack() as stack:
        for chosen in _chosen(model, part, gates):
            weights = held(chosen.net, units=units, layers=layers, direction=direction, **gates)
            stack.enter_context(chosen.intercept(weights=weights))
        yield model


def clampable(cell: Cell) -> dict[str, tuple[int, str]]:
    """By name, the block of rows of each gate and its activation; empty for a cell that does not define them."""
    return {name: (block, activation) for block, (name, activation) in enumerate(cell.activations().items())}


def held(
    net: Recurrent,
    *,
    units: int | Sequence[int] | None = None,
    layers: int | Sequence[int] | None = None,
    direction: str | None = None,
    **gates: ArrayLike,
) -> WeightsHook:
    """A hook for ``Recurrent.intercept`` that holds some gates.

    gates : by name a value or (units,) values; the other arguments as in `clamp`.
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
    matching = [each for each in found if set(gates) <= set(clampable(each.net.cell))]
    if matching:
        return matching
    known = clampable(found[0].net.cell)
    kind = type(found[0].net.cell).__name__
    wrong = next(word for word in gates if word not in known)
    words = (
        f"It has {', '.join(map(repr, known))}."
        if known
        else "Only cells of regen.cells have gates that can be held."
    )
    raise ValueError(f"The cell {kind} has no gate {wrong!r}. {words}{closest(wrong, known)}")


def _numbers(name: str, value: int | Sequence[int] | None, n: int) -> tuple[int, ...]:
    """Some of the numbers from 0 to n - 1."""
    if value is None:
        return tuple(range(n))
    numbers = np.atleast_1d(np.asarray(value))
    if (
        numbers.dtype.kind not in "iu"
        or numbers.ndim != 1
        or not len(numbers)
        or numbers.min() < 0
        or numbers.max() >= n
    ):
        raise ValueError(f"{name} must be ints from 0 to {n - 1}. Got {value!r} instead.")
    return tuple(numbers.tolist())


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
    """The arguments that an activation maps to `values`."""
    if kind == "relu":
        return values
    with np.errstate(divide="ignore"):
        at = np.arctanh(values) if kind == "tanh" else np.log(values) - np.log1p(-values)
    return np.clip(at, -FAR, FAR)


def _edited(cell: Cell, params: Mapping[str, Tensor], holds: list[Hold]) -> dict[str, Tensor]:
    """The parameters of one layer with some gates held; also with biases where the net has none."""
    W = params["weight_ih"]
    H = W.shape[0] // len(cell.gates)
    shapes = cell.shapes(W.shape[1], H)
    biases = {name: W.new_zeros(shapes[name]) for name in ("bias_ih", "bias_hh") if name in shapes}
    edited = {name: (biases | dict(params))[name] for name in shapes if name in params or name in biases}
    for hold in holds:
        units = torch.tensor(hold.units, device=W.device)
        rows = hold.block * H + units
        for name in GATE_INPUTS:
            if name in edited:
                edited[name] = edited[name].index_fill(0, rows, 0.0)
        peephole = PEEPHOLES.get(hold.gate)
        if peephole in edited:
            edited[peephole] = edited[peephole].index_fill(0, units, 0.0)
        edited["bias_ih"] = edited["bias_ih"].index_copy(0, rows, W.new_tensor(hold.at))
    return edited
