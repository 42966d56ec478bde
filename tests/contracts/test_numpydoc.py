"""Public docstrings are numpydoc: every parameter with type and description, results, related names, an example."""

import importlib
import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from numpydoc.validate import validate

MODULES = (
    "regen",
    "regen.nn",
    "regen.cells",
    "regen.datasets",
    "regen.inspect",
    "regen.figures",
    "regen.losses",
)
MODULES += ("regen.metrics", "regen.training")
OF_METHODS = {"GL08", "PR01", "PR02", "PR04", "PR07", "PR10", "RT01", "RT03"}
"""numpydoc's codes: a docstring; all parameters and no others, with type and description; what is returned."""
OF_NAMES = OF_METHODS | {"SA01", "EX01"}
"""... and for what users import: See Also, and an example, which runs as a doctest."""


def documented() -> Iterator[str]:
    """Public classes and functions, each by the shortest path that it is imported from."""
    seen: set[int] = set()
    for path in MODULES:
        module = importlib.import_module(path)
        for name in module.__all__:
            value = getattr(module, name)
            if is_protocol(value):
                continue
            if (inspect.isclass(value) or inspect.isfunction(value)) and id(value) not in seen:
                seen.add(id(value))
                yield f"{path}.{name}"


def is_protocol(value: Any) -> bool:
    """Whether it only describes the methods of other classes; its constructor is none."""
    return bool(getattr(value, "_is_protocol", False))


def methods(owner: type) -> Iterator[str]:
    """Public methods of a class, each by the class of ours that introduces and documents it."""
    own = [each for each in reversed(owner.__mro__) if each.__module__.startswith("regen.")]
    found: dict[str, str] = {}
    for each in own:
        for name, value in vars(each).items():
            function = getattr(value, "__func__", value)
            if inspect.isfunction(function) and not name.startswith("_"):
                found.setdefault(name, f"{each.__module__}.{each.__qualname__}.{name}")
    return iter(found.values())


def problems(path: str) -> list[str]:
    """What numpydoc misses in the docstring of a name, and in those of its methods."""
    module, _, name = path.rpartition(".")
    value: Any = getattr(importlib.import_module(module), name)
    found = [(path, OF_NAMES)]
    if inspect.isclass(value):
        found += [(method, OF_METHODS) for method in methods(value)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            f"{each}: {code} {text}"
            for each, wanted in found
            for code, text in validate(each)["errors"]
            if code in wanted
        ]


@pytest.mark.parametrize("path", list(documented()))
def test_docstring(path: str) -> None:
    """Nothing is missing."""
    found = problems(path)
    assert not found, "\n".join(found)


def test_a_bare_docstring_is_caught() -> None:
    """A parameter without a type, without a description, and one left out are all seen."""
    assert {code for code, _ in validate(f"{__name__}._bare")["errors"]} >= {
        "PR01",
        "PR07",
        "RT01",
        "SA01",
        "EX01",
    }


def _bare(a: int, b: int) -> int:
    """Add.

    Parameters
    ----------
    a : the first number.
    """
    return a + b
