"""Recurrent cells: equation, gates, parameter shapes and source. `kernels` runs them over time."""

from dataclasses import fields

from regen._check import closest
from regen.cells._cell import Cell, Gates, Init, Parameters, State
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
    """Names of the options of a cell.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    tuple of str
        The keyword arguments of `named`.

    See Also
    --------
    named : The cell with some of its options.

    Examples
    --------
    >>> from regen.cells import options
    >>> options("gru")
    ('reset',)
    """
    return tuple(field.name for field in fields(_known(name)))  # type: ignore[arg-type]


def named(name: str, **chosen: object) -> Cell:
    """The cell of a name.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    **chosen : object
        Options of the cell, as in its constructor.

    Returns
    -------
    Cell
        The cell.

    Raises
    ------
    ValueError
        If the name is not one of `NAMES`, or the cell has no such option or does not accept its value.

    See Also
    --------
    options : Names of the options of a cell.

    Examples
    --------
    >>> from regen.cells import named
    >>> named("lstm", peephole="full")
    LSTM(peephole='full', proj_size=0)
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
