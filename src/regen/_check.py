"""What a parameter may be, declared once: checks, refusals and command-line flags all read the same table.

A table maps a parameter's name to a `Constraint`. There is one sentence for every refusal::

    The 'horizon' parameter of Forecaster must be an int in [1, inf). Got 0 instead.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, final

import numpy as np

__all__ = [
    "Anything",
    "Bool",
    "Choice",
    "Constraint",
    "Duration",
    "Either",
    "Int",
    "Kind",
    "Nothing",
    "Number",
    "Seed",
    "Text",
    "check_parameters",
    "closest",
    "seconds",
]


class Constraint(ABC):
    """The set of values that a parameter may take, with its wording and its reading from a command line."""

    @abstractmethod
    def accepts(self, value: Any) -> bool:
        """Whether `value` is allowed."""

    @abstractmethod
    def __str__(self) -> str:
        """The set in words, fit for ``"must be ..."``."""

    @abstractmethod
    def parse(self, text: str) -> Any:
        """The value that `text` stands for on a command line; ValueError when it stands for none."""


@final
@dataclass(frozen=True)
class Int(Constraint):
    """A whole number in [low, high]; an infinite end is open."""

    low: float = -math.inf
    high: float = math.inf

    def accepts(self, value: Any) -> bool:
        return (
            isinstance(value, Integral)
            and not isinstance(value, bool)
            and self.low <= int(value) <= self.high
        )

    def __str__(self) -> str:
        return f"an int in {_interval(self.low, self.high, low_open=False, high_open=False)}"

    def parse(self, text: str) -> int:
        return int(text)


@final
@dataclass(frozen=True)
class Number(Constraint):
    """A finite real number between low and high; each end open or closed, an infinite end always open."""

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def accepts(self, value: Any) -> bool:
        if not isinstance(value, Real) or isinstance(value, bool):
            return False
        try:
            number = float(value)
        except OverflowError:  # an int or a fraction beyond every float
            return False
        if not math.isfinite(number):
            return False
        above = number > self.low if self.low_open else number >= self.low
        below = number < self.high if self.high_open else number <= self.high
        return above and below

    def __str__(self) -> str:
        return f"a number in {_interval(self.low, self.high, self.low_open, self.high_open)}"

    def parse(self, text: str) -> float:
        return float(text)


@final
@dataclass(frozen=True)
class Choice(Constraint):
    """One of a few words."""

    words: tuple[str, ...]

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and value in self.words

    def __str__(self) -> str:
        return f"one of {', '.join(repr(word) for word in self.words)}"

    def parse(self, text: str) -> str:
        if text not in self.words:
            raise ValueError(text)
        return text


@final
@dataclass(frozen=True)
class Bool(Constraint):
    """True or False."""

    def accepts(self, value: Any) -> bool:
        return isinstance(value, bool | np.bool_)

    def __str__(self) -> str:
        return "a bool"

    def parse(self, text: str) -> bool:
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]


@final
@dataclass(frozen=True)
class Text(Constraint):
    """Any text that is not empty, such as a path; `meaning` is how the refusal names it."""

    meaning: str = "a text"

    def accepts(self, value: Any) -> bool:
        return bool(str(value)) and (isinstance(value, str) or callable(getattr(value, "__fspath__", None)))

    def __str__(self) -> str:
        return self.meaning

    def parse(self, text: str) -> str:
        return text


@final
@dataclass(frozen=True)
class Nothing(Constraint):
    """None."""

    def accepts(self, value: Any) -> bool:
        return value is None

    def __str__(self) -> str:
        return "None"

    def parse(self, text: str) -> None:
        if text.lower() != "none":
            raise ValueError(text)


@final
@dataclass(frozen=True)
class Kind(Constraint):
    """An instance of a class; it has no form on a command line."""

    kind: type
    meaning: str

    def accepts(self, value: Any) -> bool:
        return isinstance(value, self.kind)

    def __str__(self) -> str:
        return self.meaning

    def parse(self, text: str) -> Any:
        raise ValueError(text)


@final
@dataclass(frozen=True)
class Anything(Constraint):
    """What `test` allows, in the words of `meaning`."""

    meaning: str
    test: Callable[[Any], bool]

    def accepts(self, value: Any) -> bool:
        return self.test(value)

    def __str__(self) -> str:
        return self.meaning

    def parse(self, text: str) -> str:
        return text


@final
@dataclass(frozen=True)
class Duration(Constraint):
    """A time: a positive number of seconds, or a text such as "90s", "5m", "2h"."""

    def accepts(self, value: Any) -> bool:
        try:
            return seconds(value) > 0
        except (TypeError, ValueError, OverflowError):
            return False

    def __str__(self) -> str:
        return 'a time such as "90s", "5m" or "2h"'

    def parse(self, text: str) -> str:
        return text


@final
@dataclass(frozen=True)
class Seed(Constraint):
    """What scikit-learn takes as ``random_state``: None, an int in [0, 2**32) or a numpy RandomState."""

    def accepts(self, value: Any) -> bool:
        return value is None or Int(0, 2**32 - 1).accepts(value) or type(value).__name__ == "RandomState"

    def __str__(self) -> str:
        return "None, an int in [0, 4294967295] or a numpy.random.RandomState"

    def parse(self, text: str) -> int:
        return int(text)


@final
@dataclass(frozen=True)
class Either(Constraint):
    """Any of several constraints, tried in order."""

    options: tuple[Constraint, ...]

    def accepts(self, value: Any) -> bool:
        return any(option.accepts(value) for option in self.options)

    def __str__(self) -> str:
        return " or ".join(str(option) for option in self.options)

    def parse(self, text: str) -> Any:
        for option in self.options:
            try:
                value = option.parse(text)
            except (ValueError, KeyError):
                continue
            if option.accepts(value):
                return value
        raise ValueError(text)


def check_parameters(owner: str, table: Mapping[str, Constraint], values: Mapping[str, Any]) -> None:
    """Refuse the first of `values` that its constraint in `table` does not accept."""
    for name, constraint in table.items():
        value = values[name]
        if not constraint.accepts(value):
            hint = closest(value, _words(constraint)) if isinstance(value, str) else ""
            raise ValueError(
                f"The '{name}' parameter of {owner} must be {constraint}. Got {value!r} instead.{hint}"
            )


def closest(word: str, known: Iterable[str]) -> str:
    """`` Did you mean 'lstm'?`` for a misspelt word, or nothing when no known word is near."""
    match = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {match[0]!r}?" if match else ""


def seconds(time: float | str) -> float:
    """Seconds in a time: ``90``, ``"90s"``, ``"5m"``, ``"2h"``."""
    if isinstance(time, Real) and not isinstance(time, bool):
        return float(time)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|h)\s*", time) if isinstance(time, str) else None
    if match is None:
        raise ValueError(f"A time must look like 90, '90s', '5m' or '2h'. Got {time!r} instead.")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def _words(constraint: Constraint) -> tuple[str, ...]:
    if isinstance(constraint, Choice):
        return constraint.words
    if isinstance(constraint, Either):
        return tuple(word for option in constraint.options for word in _words(option))
    return ()


def _interval(low: float, high: float, low_open: bool, high_open: bool) -> str:
    left = "(" if low_open or low == -math.inf else "["
    right = ")" if high_open or high == math.inf else "]"
    return f"{left}{low:g}, {high:g}{right}"
