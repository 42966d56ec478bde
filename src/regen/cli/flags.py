"""Flags generated from the estimators: signature, constraints and docstring."""

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated, Any, final

import typer

from regen import estimators
from regen._check import (
    Anything,
    Bool,
    Choice,
    Constraint,
    Duration,
    Either,
    Int,
    Kind,
    Number,
    Seed,
    Text,
    check_parameters,
)
from regen.estimators._base import Estimator
from regen.estimators.adversarial.game import Game
from regen.training.options import Params, Training

__all__ = ["Flag", "chosen", "flags_of", "parameter_help"]


def _widths(text: str) -> tuple[int, ...]:
    """``256,128`` as (256, 128); ``none`` as ()."""
    return () if text.lower() == "none" else tuple(int(part) for part in text.split(","))


def _numbers(text: str) -> dict[str, float]:
    """``l1=0.1,kl=1`` as {"l1": 0.1, "kl": 1.0}."""
    pairs = [part.split("=") for part in text.split(",")]
    return {name.strip(): float(number) for name, number in pairs}


WRITTEN: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "hidden": ("INT,INT|none", _widths),
    "image_shape": ("Y,X|C,Y,X", _widths),
    "penalty": ("NAME=WEIGHT,NAME=WEIGHT", _numbers),
    "turns": ("NAME=NUMBER,NAME=NUMBER", _numbers),
}
"""Parameters that are more than one value: how they are written on a command line, and what reads that."""


PLANS: Mapping[str, type[Params]] = {"game": Game, "training": Training}
"""Arguments that hold words of their own, each of which is a flag in place of the whole."""
LONGEST = 66
"""Letters of what may follow a flag that fit in a line of help; more go into the text."""
RENAMED = {"output": "kind"}
"""Parameters whose name is a flag of all commands, --output FOLDER, and the names that they go by instead."""


@final
@dataclass(frozen=True)
class Flag:
    """One parameter of `owner` as a flag of the command line."""

    owner: str
    name: str
    constraint: Constraint
    default: Any
    help: str

    @property
    def word(self) -> str:
        """The name on the command line."""
        return RENAMED.get(self.name, self.name)

    @property
    def flag(self) -> str:
        """``--max-epochs`` for ``max_epochs``."""
        return "--" + self.word.replace("_", "-")

    @property
    def metavar(self) -> str:
        """What may follow the flag: ``auto|INT|INT,INT``."""
        words = metavar(self.constraint)
        return "|".join(part for part in (words, WRITTEN[self.name][0]) if part) if self._several else words

    @property
    def _several(self) -> bool:
        """Whether it can be more than one value."""
        options = self.constraint.options if isinstance(self.constraint, Either) else (self.constraint,)
        return self.name in WRITTEN and any(isinstance(option, Anything) for option in options)

    def parameter(self) -> inspect.Parameter:
        """The keyword argument from which typer makes the flag; text, because its constraint reads it."""
        long = len(self.metavar) > LONGEST
        words = f" One of {self.metavar.replace('|', ', ')}." if long else ""
        shown = f"{self.help}{words}"
        if "[default:" not in shown:
            shown += f" [default: {_shown(self.default)}]"
        if isinstance(self.constraint, Bool):
            kind: Any = bool | None
            option = typer.Option(f"{self.flag}/--no-{self.flag[2:]}", help=shown, show_default=False)
        else:
            kind = str | None
            option = typer.Option(
                self.flag, help=shown, metavar="NAME" if long else self.metavar, show_default=False
            )
        return inspect.Parameter(
            self.word, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
        )

    def read(self, text: str | bool) -> Any:
        """The parsed text of a flag, checked by the constraint of the Python parameter, named by the flag."""
        value: Any = text
        if isinstance(text, str):
            with suppress(ValueError, KeyError):
                value = self.constraint.parse(text)
            if self._several and not self.constraint.accepts(value):
                with suppress(ValueError):
                    value = WRITTEN[self.name][1](text)
        check_parameters(self.owner, {self.flag: self.constraint}, {self.flag: value})
        return value


def flags_of(kind: type[Estimator]) -> tuple[Flag, ...]:
    """A flag for each parameter of an estimator; last, in place of those of `PLANS`, one for each of their fields.

    Where another parameter of the estimator sets the loss, there is none for that of the training options; else it
    takes the losses that the estimator can minimise.
    """
    own = _flags(kind, kind.constraints)
    plans = [PLANS[flag.name] for flag in own if flag.name in PLANS]
    fields = [flag for plan in plans for flag in _flags(plan, plan.constraints)]
    fields = [flag for flag in fields if not (flag.name == "loss" and kind.loss_parameter)]
    if kind.losses:
        losses = Choice(("auto", *kind.losses))
        fields = [replace(flag, constraint=losses) if flag.name == "loss" else flag for flag in fields]
    return (*(flag for flag in own if flag.name not in PLANS), *fields)


def chosen(flags: Iterable[Flag], values: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor arguments from the flags that were set; the others keep their defaults."""
    arguments: dict[str, Any] = {}
    places = {plan.__name__: name for name, plan in PLANS.items()}
    for flag in flags:
        if values.get(flag.word) is not None:
            of = arguments.setdefault(places[flag.owner], {}) if flag.owner in places else arguments
            of[flag.name] = flag.read(values[flag.word])
    return arguments


def parameter_help(function: Callable[..., Any] | type) -> dict[str, str]:
    """First sentence of each entry in the Parameters section of a numpydoc docstring, by parameter.

    ``name : text``, and ``name : type, default=...`` or ``name : {words}`` with the text below, are all read;
    ``a, b : text`` documents both; ``as in `Other``` takes the text of another estimator.
    """
    section = re.search(
        r"^Parameters\n-+\n(.*?)(?=^\S[^\n]*\n-+\n|\Z)", inspect.getdoc(function) or "", re.M | re.S
    )
    helps: dict[str, str] = {}
    for entry in re.finditer(
        r"^(\w+(?:,\s+\w+)*) : (.*(?:\n(?: .*|$))*)", section[1] if section else "", re.M
    ):
        first, _, rest = entry[2].partition("\n")
        typed = "default=" in first or first.startswith("{")
        body = rest if typed else f"{first}\n{rest}"
        other = re.fullmatch(r"\s*as in `(\w+)`\.\s*", body)
        near = vars(estimators) | vars(sys.modules[function.__module__])
        known = parameter_help(near[other[1]]) if other else {}
        for name in re.split(r",\s+", entry[1]):
            helps[name] = known[name] if other else _first_sentence(body)
    return helps


def metavar(constraint: Constraint) -> str:
    """What may follow a flag: ``auto|INT`` for a word or a number."""
    if isinstance(constraint, Either):
        texts = [metavar(option) for option in constraint.options if not isinstance(option, Kind | Anything)]
        return "|".join(texts)
    if isinstance(constraint, Choice):
        return "|".join(constraint.words)
    names = {Int: "INT", Number: "NUMBER", Seed: "INT", Duration: "TIME", Text: "TEXT"}
    return names.get(type(constraint), str(constraint).lower())


def _flags(kind: type, constraints: Mapping[str, Constraint]) -> list[Flag]:
    helps = parameter_help(kind)
    return [
        Flag(kind.__name__, name, constraints[name], parameter.default, helps.get(name, ""))
        for name, parameter in inspect.signature(kind.__init__).parameters.items()  # type: ignore[misc]
        if name in constraints
    ]


def _first_sentence(text: str) -> str:
    plain = re.sub(r"`+|\s+", lambda match: "" if match[0].startswith("`") else " ", text).strip()
    first = re.split(r"(?<=[^.\d]\.)(?<!e\.g\.)(?<!i\.e\.)(?<! al\.) (?=[A-Z\"\d])", plain, maxsplit=1)[0]
    return first[:1].upper() + first[1:]


def _shown(default: Any) -> str:
    return (
        {None: "none", True: "yes", False: "no"}.get(default, str(default))
        if _plain(default)
        else str(default)
    )


def _plain(default: Any) -> bool:
    return default is None or isinstance(default, bool)
