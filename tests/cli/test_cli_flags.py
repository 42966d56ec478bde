"""Flags are what the estimators say of themselves: nothing is said twice."""

import inspect
from typing import Any

import pytest

import regen as package
from regen._check import Bool, Choice, Duration, Either, Int, Nothing, Number, Seed, Text
from regen.cli.flags import Flag, chosen, flags_of, metavar, parameter_help
from regen.cli.tables import columns_of, text_table
from regen.training.options import Training

KINDS = [package.Forecaster, package.SequenceClassifier, package.SequenceRegressor]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_argument_is_a_flag(kind: type) -> None:
    """Each argument of the constructor and of Training, with its default, in that order, and no other."""
    arguments = dict(inspect.signature(kind).parameters)
    del arguments["training"]
    arguments |= inspect.signature(Training.__init__).parameters
    arguments.pop("self", None)
    flags = {flag.name: flag for flag in flags_of(kind)}
    assert list(flags) == list(arguments)
    for name, flag in flags.items():
        assert flag.default == arguments[name].default, name
        assert flag.constraint.accepts(flag.default), name
        assert flag.help.endswith(".") or ":" in flag.help, name


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_default_can_be_given(kind: type) -> None:
    """What the help shows as default can be typed, and means the same."""
    for flag in flags_of(kind):
        if isinstance(flag.constraint, Bool) or flag.name == "random_state":
            continue
        shown = "none" if flag.default is None else str(flag.default)
        assert flag.read(shown) == flag.default, flag.name


def flag(name: str, constraint: Any) -> Flag:
    """A flag of Forecaster."""
    return Flag("Forecaster", name, constraint, None, "")


@pytest.mark.parametrize(
    ("constraint", "text", "value"),
    [
        (Int(1), "12", 12),
        (Either((Choice(("auto",)), Int(1))), "auto", "auto"),
        (Either((Choice(("auto",)), Int(1))), "7", 7),
        (Number(0), "1e-3", 0.001),
        (Either((Number(0), Nothing())), "none", None),
        (Either((Duration(), Nothing())), "5m", "5m"),
        (Either((Duration(), Nothing())), "none", None),
        (Seed(), "3", 3),
        (Text(), "a/b", "a/b"),
    ],
)
def test_values_are_read_by_their_constraint(constraint: Any, text: str, value: Any) -> None:
    """Text becomes what the constraint makes of it."""
    found = flag("x", constraint).read(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "constraint", "text", "words"),
    [
        (
            "horizon",
            Int(1),
            "0",
            "The '--horizon' parameter of Forecaster must be an int in [1, inf). Got 0 instead.",
        ),
        (
            "hidden",
            Int(1),
            "x",
            "The '--hidden' parameter of Forecaster must be an int in [1, inf). Got 'x' instead.",
        ),
        (
            "hidden",
            Int(1),
            "",
            "The '--hidden' parameter of Forecaster must be an int in [1, inf). Got '' instead.",
        ),
        (
            "learning_rate",
            Number(0, low_open=True),
            "nan",
            "The '--learning-rate' parameter of Forecaster must be a number in (0, inf). Got nan instead.",
        ),
        (
            "bptt",
            Either((Choice(("full",)), Int(1))),
            "ful",
            "The '--bptt' parameter of Forecaster must be one of 'full' or an int in [1, inf). Got 'ful' instead."
            " Did you mean 'full'?",
        ),
    ],
)
def test_refusals_name_the_flag(name: str, constraint: Any, text: str, words: str) -> None:
    """The sentence of the Python interface, with the flag in place of the argument."""
    with pytest.raises(ValueError) as caught:
        flag(name, constraint).read(text)
    assert str(caught.value) == words


def test_what_is_not_given_keeps_its_default() -> None:
    """Only what was given reaches the constructor; fields of Training come in a dict of their own."""
    flags = flags_of(package.Forecaster)
    given: dict[str, Any] = {flag.name: None for flag in flags}
    assert chosen(flags, given) == {}
    given |= {"window": "auto", "hidden": "4", "clip": "none", "verbose": False}
    assert chosen(flags, given) == {
        "window": "auto",
        "hidden": 4,
        "training": {"clip": None, "verbose": False},
    }


def test_metavars() -> None:
    """What may follow a flag, in few words."""
    assert metavar(Int(1)) == "INT"
    assert metavar(package.Forecaster.constraints["cell"]) == "elman|diagonal|jordan|lstm|gru"
    assert metavar(package.Forecaster.constraints["window"]) == "auto|INT"
    assert metavar(Training.constraints["max_time"]) == "TIME|none"


def test_help_from_docstrings() -> None:
    """Both ways to write a Parameters section; the first sentence; names that share a text; no other section."""

    def documented() -> None:
        """Do it.

        Parameters
        ----------
        window : steps that are
            read. More is told here.
        hidden, layers : size of ``net``, e.g. 3.5 (Lin et al. 2023), as in `regen.nn`. More.
        loss : {"mse", "mae"}, default="mse"
            The number to minimise. ``"mse"`` is usual.

        Returns
        -------
        other : nothing.
        """

    assert parameter_help(documented) == {
        "window": "Steps that are read.",
        "hidden": "Size of net, e.g. 3.5 (Lin et al. 2023), as in regen.nn.",
        "layers": "Size of net, e.g. 3.5 (Lin et al. 2023), as in regen.nn.",
        "loss": "The number to minimise.",
    }


class First:
    """One.

    Parameters
    ----------
    a, b : of the first. More.
    """


class Second:
    """Two.

    Parameters
    ----------
    a,
        b : as in `First`.
    c : its own.
    """


def test_help_that_refers_to_another_class() -> None:
    """``as in `First``` takes the words from there, also for names over two lines."""
    assert parameter_help(Second) == {"a": "Of the first.", "b": "Of the first.", "c": "Its own."}


def test_tables_fit_80_columns() -> None:
    """Numbers to the right, texts to the left, what does not fit is counted."""
    columns = {"name": ["a", "long"], "x": [1.0, float("nan")], "n": [1, 20]}
    assert text_table(columns).splitlines() == ["name       x   n", "a     1.0000   1", "long     nan  20"]
    wide = text_table({f"column {k}": [1.5] * 2 for k in range(20)})
    assert max(map(len, wide.splitlines())) <= 80
    assert wide.splitlines()[-1] == "... and 12 more columns, from 'column 8'; write all with -o."


def test_columns_of_any_table() -> None:
    """A dict of columns is a table too."""
    assert columns_of({"a": (1, 2)}) == {"a": [1, 2]}
