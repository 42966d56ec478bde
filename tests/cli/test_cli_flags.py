"""Flags, their types, defaults and help come from the constructors and their docstrings."""

import inspect
from typing import Any

import pytest

import regen as package
from regen._check import Choice, Duration, Either, Int, Nothing, Number, Seed, Text
from regen.cli.flags import Flag, chosen, flags_of, metavar, parameter_help
from regen.cli.tables import columns_of, text_table
from regen.training.options import Training

SEQUENCE_MODELS = [package.Forecaster, package.SequenceClassifier, package.SequenceRegressor]
AUTOENCODERS = [package.Autoencoder, package.DenoisingAutoencoder, package.VariationalAutoencoder]
GANS = [package.GAN, package.DCGAN]


@pytest.mark.parametrize("kind", SEQUENCE_MODELS, ids=lambda kind: kind.__name__)
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


@pytest.mark.parametrize("kind", GANS, ids=lambda kind: kind.__name__)
def test_every_argument_of_a_gan_is_a_flag(kind: Any) -> None:
    """Those of the estimator, of Game and of Training, without the loss, which is the objective of Game."""
    flags = flags_of(kind)
    assert {flag.owner for flag in flags} == {kind.__name__, "Game", "Training"}
    fields = set(package.Game.constraints) | set(package.Training.constraints) - {"loss"}
    assert {flag.name for flag in flags} == set(kind.constraints) - {"game", "training"} | fields
    assert not any("{" in flag.help for flag in flags)


@pytest.mark.parametrize("kind", [*SEQUENCE_MODELS, *AUTOENCODERS, *GANS], ids=lambda kind: kind.__name__)
def test_every_default_can_be_typed(kind: type) -> None:
    """Flags are unique and have help; the default in the help can be typed, with the same value."""
    flags = flags_of(kind)
    assert len({flag.flag for flag in flags} | {"--output", "--force", "--label"}) == len(flags) + 3
    for flag in flags:
        assert len(flag.help) > 10, flag.name
        if not isinstance(flag.default, bool) and flag.name != "random_state":
            assert flag.read("none" if flag.default is None else str(flag.default)) == flag.default, flag.name


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
    ("name", "constraint", "text", "message"),
    [
        ("horizon", Int(1), "0", "an int in [1, inf). Got 0 instead."),
        ("hidden", Int(1), "x", "an int in [1, inf). Got 'x' instead."),
        ("hidden", Int(1), "", "an int in [1, inf). Got '' instead."),
        ("learning_rate", Number(0, low_open=True), "nan", "a number in (0, inf). Got nan instead."),
        (
            "bptt",
            Either((Choice(("full",)), Int(1))),
            "ful",
            "one of 'full' or an int in [1, inf). Got 'ful' instead. Did you mean 'full'?",
        ),
    ],
)
def test_refusals_name_the_flag(name: str, constraint: Any, text: str, message: str) -> None:
    """The message of the Python interface, with the flag in place of the argument."""
    with pytest.raises(ValueError) as caught:
        flag(name, constraint).read(text)
    shown = f"--{name.replace('_', '-')}"
    assert str(caught.value) == f"The '{shown}' parameter of Forecaster must be {message}"


def test_omitted_flags_keep_their_default() -> None:
    """Only flags with a value reach the constructor; fields of Training come in a dict of their own."""
    flags = flags_of(package.Forecaster)
    values: dict[str, Any] = {flag.name: None for flag in flags}
    assert chosen(flags, values) == {}
    values |= {"window": "auto", "hidden": "4", "clip": "none", "verbose": False}
    assert chosen(flags, values) == {
        "window": "auto",
        "hidden": 4,
        "training": {"clip": None, "verbose": False},
    }


def test_metavars() -> None:
    """The type of value that a flag takes."""
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
            read. More follows.
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
    """``as in `First``` copies the description from there, also for names over two lines."""
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


def test_losses_that_the_estimator_can_minimise(refusal: Any) -> None:
    """--loss of a forecaster does not offer the loss of classifiers, in its help as in its refusal."""
    for kind, words in (("Forecaster", "auto|mae|mse|huber"), ("SequenceClassifier", "auto|cross_entropy")):
        flags = {flag.name: flag for flag in flags_of(getattr(package, kind))}
        assert flags["loss"].metavar == words
    assert refusal("fit", "forecaster", "a.csv", "--loss", "cross_entropy").startswith(
        "The '--loss' parameter of Training must be one of 'auto', 'mae', 'mse', 'huber'."
    )
