"""Constraints of the arguments that estimators of rows share: autoencoders and GANs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regen._check import Anything, Choice, Constraint, Either, Int, Kind, Nothing, Number, check_parameters
from regen.cells import NAMES, Cell
from regen.estimators._base import SHARED_CONSTRAINTS
from regen.nets.mlp import ACTIVATIONS


def _widths(value: Any) -> bool:
    return isinstance(value, tuple | list) and all(map(Int(1).accepts, value))


def _image_shape(value: Any) -> bool:
    return _widths(value) and len(value) in (2, 3)


def _names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(each, str | int) for each in value)


def _ranges(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        pair is None or (isinstance(pair, list | tuple) and len(pair) == 2) for pair in value.values()
    )


COLUMN_CONSTRAINTS: Mapping[str, Constraint] = {
    "identifiers": Either((Choice(("drop", "keep")), Anything("a list of names of columns", _names))),
    "bounds": Either(
        (
            Choice(("data",)),
            Nothing(),
            Anything("a dict from names of columns to None or (lowest, highest)", _ranges),
        )
    ),
}
"""Constraints of the arguments of `fit` that describe the columns of a table."""


def check_columns(owner: str, identifiers: Any, bounds: Any) -> None:
    """Refuse arguments of the `fit` of `owner` that are out of their range."""
    options = {"identifiers": identifiers, "bounds": bounds}
    check_parameters(f"{owner}.fit", COLUMN_CONSTRAINTS, options)


ROW_CONSTRAINTS: Mapping[str, Constraint] = {
    "code": Int(1),
    "backbone": Either(
        (Choice(("auto", "mlp", "conv", "recurrent", *NAMES)), Kind(Cell, "a regen.cells cell"))
    ),
    "hidden": Either(
        (Choice(("auto",)), Int(1), Anything("a tuple of ints in [1, inf), which may be empty", _widths))
    ),
    "activation": Choice(tuple(ACTIVATIONS)),
    "image_shape": Either((Nothing(), Anything("a tuple (Y, X) or (C, Y, X)", _image_shape))),
    "contamination": Number(0, 0.5, low_open=True),
    **SHARED_CONSTRAINTS,
}
"""Constraints of the arguments that the autoencoders share."""
