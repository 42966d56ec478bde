"""The form of saved values: what must be there, of which type and shape, written as a table and checked before use.

A form is checked against a value and the sizes that are known so far; a size with a name, such as ``"F"``, is known
once a value has it, and the same for all values from then on.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from torch import Tensor

__all__ = [
    "AnyTensor",
    "Anything",
    "Cases",
    "Fields",
    "Form",
    "Labels",
    "Mapped",
    "Maybe",
    "Numbers",
    "OneOf",
    "Optional",
    "Real",
    "Row",
    "Several",
    "Sizes",
    "Tensors",
    "Texts",
    "Truth",
    "Whole",
    "Words",
    "check_form",
]

Sizes = dict[str, int]
Shape = tuple[int | str, ...]
"""Sizes by number or by name; ``"*"`` is any."""


class Form(ABC):
    """The set of values that may stand at a place of a saved state."""

    @abstractmethod
    def __str__(self) -> str:
        """The set in words, fit for ``"must be ..."``."""

    @abstractmethod
    def accepts(self, value: Any, place: str, sizes: Sizes) -> bool:
        """Whether `value` is in the set; parts of it are checked, and refused, at places of their own."""


def check_form(form: Form, value: Any, place: str, sizes: Sizes) -> None:
    """Refuse a value that is not of a form, by its place; `sizes` learns the sizes that have names.

    Raises
    ------
    ValueError
        The message names the place, what must be there, and what is.
    """
    if not form.accepts(value, place, sizes):
        raise ValueError(f"{place} must be {_of_sizes(str(form), sizes)}. It is {_shown(value)}")


@final
@dataclass(frozen=True)
class Optional(Form):
    """An attribute or field that may be absent."""

    form: Form

    def __str__(self) -> str:
        return str(self.form)

    def accepts(self, value: Any, place: str, sizes: Sizes) -> bool:
        return self.form.accepts(value, place, sizes)


@final
@dataclass(frozen=True)
class Maybe(Form):
    """None, or a value of a form."""

    form: Form

    def __str__(self) -> str:
        return f"None or {self.form}"

    def accepts(self, value: Any, place: str, sizes: Sizes) -> bool:
        return value is None or self.form.accepts(value, place, sizes)


@final
@dataclass(frozen=True)
class OneOf(Form):
    """A value of one of several forms."""

    forms: tuple[Form, ...]

    def __str__(self) -> str:
        return " or ".join(map(str, self.forms))

    def accepts(self, value: Any, place: str, sizes: Sizes) -> bool:
        return any(form.accepts(value, place, sizes) for form in self.forms)


@final
@dataclass(frozen=True)
class Truth(Form):
    """True or False."""

    def __str__(self) -> str:
        return "a bool"

    def accepts(self, value: Any, place: str, sizes: Sizes) -> bool:
        return isinstance(value, bool | np.bool_)


@final
@dataclass(frozen=True)
class Whole(Form):
    """An int from `low` to `high`; `size` names it."""

    low: float = 0
    high: float = 2**63 - 1
    size: str = ""

    def __str__(self) -> str:
        return f"an int in [{self.low:g}, {self.high:g}]"

    def accepts(self, value: Any, place: str, sizes: Sizes) -> bool:
        number = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not number or not self.low <= int(value) <= self.high:
            return False
        return not self.size or sizes.setdefault(self.size, int(value)) == value


@final
@dataclass(frozen=True)
class Real(Form):
    """A number, finite or not."""

    finite: bool = True

    def __str__(self) -> str:
        return "a finite number" if self.finite else "a number"

    def accepts(self, value: Any, place: str, sizes: Sizes) -> bool:
        if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
            return False
        try:
            return math.isfinite(float(value)) or not self.finite
        except OverflowError:
            return False


@final
@dataclass(frozen=True)
class Words(Form):
    """A text, one of `choices` where there are some."""

    choices: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"one of {', '.join(map(repr, self.choices))}" if self.choices else "a text"

    def accepts(self, value: Any, place: str, sizes: Sizes) -> bool:
        return isinstance(value, str) and (not self.choices or value in self.choices)


@final
@dataclass(frozen=True)
class Several(Form):
    """A list of `size` values of one form; `distinct` ones."""

    form: Form
    size: int | str = "*"
    distinct: bool = False

    def __str__(self) -> str:
        return f"a list of {self.size} {'different ' if self.distinct else ''}values".replace("* ", "")

    def accepts(self, value: Any, place: str, sizes: Sizes) -> bool:
        if not isinstance(value, list) or not _fits((len(value),), (self.size,), sizes):
            return False
        for number, each in enumerate(value):
            check_form(self.form, each, f"{place}[{number}]", sizes)
        return not self.distinct or len({repr(each) for each in value}) == len(value)


@final
@dataclass(frozen=True)
class Row(Form):
    """A tuple of values, each of its form."""

    forms: tuple[Form, ...]

    def __str__(self) -> str:
        return f"a tuple of {len(self.forms)} values"

    def accepts(self, value: Any, place: str, sizes: Sizes) -> bool:
        if not isinstance(value, tuple) or len(value) != len(self.forms):
            return False
        for number, (form, each) in enumerate(zip(self.forms, value, strict=True)):
            check_form(form, each, f"{place}[{number}]", sizes)
        return True


@final
@dataclass(frozen=True)
class Mapped(Form):
    """A dict of values of one form by texts, with at least the keys `needed`."""

    form: Form
    needed: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"a dict with {', '.join(self.needed)}" if self.needed else "a dict"

    def accepts(self, value: Any, place: str, sizes: Sizes) -> bool:
        if not isinstance(value, dict) or not set(self.needed) <= set(value):
            return False
        for key, each in value.items():
            check_form(self.form, each, f"{place}[{key!r}]", sizes)
        return True


@final
@dataclass(frozen=True)
class Fields(Form):
    """A dict with exactly these keys, each with a value of its form; those that are `Optional` may be absent."""

    forms: Mapping[str, Form] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"a dict of {', '.join(self.forms)}"

    def accepts(self, value: Any, place: str, sizes: Sizes) -> bool:
        if not isinstance(value, dict) or set(value) - set(self.forms):
            return False
        for key, form in self.forms.items():
            if key in value:
                check_form(form, value[key], f"{place}[{key!r}]", sizes)
            elif not isinstance(form, Optional):
                return False
        return True


@final
@dataclass(frozen=True)
class Cases(Form):
    """A dict whose form depends on the text under one of its keys."""

    key: str
    cases: Mapping[str, Form]

    def __str__(self) -> str:
        return f"a dict whose {self.key!r} is one of {', '.join(map(repr, self.cases))}"

    def accepts(self, value: Any, place: str, sizes: Sizes) -> bool:
        kind = value.get(self.key) if isinstance(value, dict) else None
        return isinstance(kind, str) and kind in self.cases and self.cases[kind].accepts(value, place, sizes)


@final
@dataclass(frozen=True)
class Numbers(Form):
    """A numpy array of numbers: `kinds` as numpy's letters, a shape (None: any), from `low` on (`above` it)."""

    kinds: str
    shape: Shape | None
    low: float = -math.inf
    above: bool = False
    finite: bool = True

    def __str__(self) -> str:
        kind = {"f": "floats", "b": "truth values", "i": "ints"}.get(self.kinds, "numbers")
        bound = "" if self.low == -math.inf else f" {'above' if self.above else 'from'} {self.low:g}"
        return f"an array of {'finite ' if self.finite else ''}{kind}{bound} of shape {_written(self.shape)}"

    def accepts(self, value: Any, place: str, sizes: Sizes) -> bool:
        if not isinstance(value, np.ndarray) or value.dtype.kind not in self.kinds:
            return False
        if self.shape is not None and not _fits(value.shape, self.shape, sizes):
            return False
        if self.finite and not np.isfinite(value).all():
            return False
        bounded = value if self.finite else value[~np.isnan(value)]
        return bool((bounded > self.low if self.above else bounded >= self.low).all())


@final
@dataclass(frozen=True)
class Texts(Form):
    """A numpy array (n,) of texts."""

    size: int | str = "*"

    def __str__(self) -> str:
        return f"an array of {self.size} texts".replace("* ", "")

    def accepts(self, value: Any, place: str, sizes: Sizes) -> bool:
        return (
            isinstance(value, np.ndarray)
            and value.dtype.kind in "UO"
            and all(isinstance(each, str) for each in value.flat)
            and _fits(value.shape, (self.size,), sizes)
        )


@final
@dataclass(frozen=True)
class Labels(Form):
    """A numpy array (n,) of labels, numbers or texts, sorted and without repetition, as `numpy.unique` gives it."""

    size: int | str = "*"

    def __str__(self) -> str:
        return f"an array of {self.size} sorted labels".replace("* ", "")

    def accepts(self, value: Any, place: str, sizes: Sizes) -> bool:
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "biufUOMm":
            return False
        if value.dtype.kind == "O" and not all(isinstance(each, str) for each in value.flat):
            return False
        return _fits(value.shape, (self.size,), sizes) and bool((value[1:] > value[:-1]).all())


@final
@dataclass(frozen=True)
class Tensors(Form):
    """A torch tensor of floats of a shape."""

    shape: Shape

    def __str__(self) -> str:
        return f"a tensor of floats of shape {_written(self.shape)}"

    def accepts(self, value: Any, place: str, sizes: Sizes) -> bool:
        return (
            isinstance(value, Tensor)
            and value.dtype.is_floating_point
            and _fits(tuple(value.shape), self.shape, sizes)
        )


@final
@dataclass(frozen=True)
class Anything(Form):
    """Any value."""

    def __str__(self) -> str:
        return "any value"

    def accepts(self, value: Any, place: str, sizes: Sizes) -> bool:
        return True


@final
@dataclass(frozen=True)
class AnyTensor(Form):
    """A torch tensor of any dtype and shape."""

    def __str__(self) -> str:
        return "a tensor"

    def accepts(self, value: Any, place: str, sizes: Sizes) -> bool:
        return isinstance(value, Tensor)


def _fits(found: tuple[int, ...], shape: Shape, sizes: Sizes) -> bool:
    """Whether a shape is as it must be; sizes with names that are not known yet become known."""
    if len(found) != len(shape):
        return False
    return all(
        size == "*" or (size if isinstance(size, int) else sizes.setdefault(size, number)) == number
        for number, size in zip(found, shape, strict=True)
    )


def _written(shape: Shape | None) -> str:
    if shape is None:
        return "of any number of axes"
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _of_sizes(words: str, sizes: Sizes) -> str:
    """The words with the sizes that are known."""
    known = ", ".join(
        f"{name} = {size}" for name, size in sizes.items() if f"({name}" in words or f" {name}" in words
    )
    return f"{words} ({known})" if known else words


def _shown(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, np.ndarray | Tensor):
        return f"an array of {value.dtype} of shape {tuple(value.shape)}"
    if isinstance(value, dict | list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
