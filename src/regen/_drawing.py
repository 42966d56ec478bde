"""How values are drawn: the functions of `regen.figures` register here, and ``plot()`` methods call them."""

from collections.abc import Callable
from functools import singledispatch
from typing import Any

__all__ = ["chart_of", "load_with", "plot"]

_loaders: list[Callable[[], object]] = []


@singledispatch
def chart_of(value: Any, **options: Any) -> Any:
    """The chart of a value; `regen.figures` registers a function for each type.

    Raises
    ------
    ValueError
        When no function is registered for the type of the value.
    """
    raise ValueError(f"There is no chart of {type(value).__name__}. See regen.figures for what can be drawn.")


def plot(value: Any, **options: Any) -> Any:
    """The chart of a value, once the charts are loaded."""
    for load in _loaders:
        load()
    return chart_of(value, **options)


def load_with(load: Callable[[], object]) -> None:
    """Have `load` import the functions that draw, when something is drawn for the first time."""
    _loaders.append(load)
