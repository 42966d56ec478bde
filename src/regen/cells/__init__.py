"""What a cell is: equation, gates, parameter shapes and source. How it is run over time is in `kernels`."""

from dataclasses import fields

from regen._check import closest
from regen.cells._cell import Cell, Gates, Parameters, State
from regen.cells._initialization import Init
from regen.cells.diagonal import Diagonal
from regen.cells.elman import Elman
from regen.cells.gru import GRU
from regen.cells.jordan import Jordan
from regen.cells.lstm import LSTM

__all__ = [
    "GRU",
    "LSTM",
    "NAMES",
    "Cell",
    "Diagonal",
    "Elman",
    "Gates",
    "Init",
    "Jordan",
    "Parameters",
    "State",
    "named",
    "options",
]

_CELLS: dict[str, type[Cell]] = {
    "elman": Elman,
    "diagonal": Diagonal,
    "jordan": Jordan,
    "lstm": LSTM,
    "gru": GRU,
}
NAMES = tuple(_CELLS)


def options(name: str) -> tuple[str, ...]:
    """The options of the cell called `name`: ``options("gru")`` is ``("reset",)``."""
    return tuple(field.name for field in fields(_known(name)))  # type: ignore[arg-type]


def named(name: str, **chosen: object) -> Cell:
    """The cell called `name` with some of its options: ``named("lstm", peephole="full")``.

    Raises
    ------
    ValueError : the name is not one of `NAMES`, or the cell has no such option, or not with such a value.
    """
    cell, known = _known(name), options(name)
    for option in chosen:
        if option not in known:
            raise ValueError(
                f"The cell {name!r} has no option {option!r}. It has {', '.join(map(repr, known))}."
                + closest(option, known)
            )
    return cell(**chosen)


def _known(name: str) -> type[Cell]:
    if name not in NAMES:
        raise ValueError(
            f"The cell must be one of {', '.join(map(repr, NAMES))}. Got {name!r} instead."
            + closest(name, NAMES)
        )
    return _CELLS[name]
