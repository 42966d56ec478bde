"""What the commands that use a run share: their options, and the refusal of runs and flags that do not fit."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from regen._check import Constraint, check_parameters
from regen.cli.runs import refuse_unfinished
from regen.cli.tables import text_table
from regen.data.io.arrays import ARRAYS, write_array
from regen.data.io.sequence_files import TABLES
from regen.data.io.tables import write_table
from regen.estimators import ESTIMATORS
from regen.persistence import load

__all__ = [
    "Data",
    "EscapeFormulas",
    "RunPath",
    "SeedText",
    "TablePath",
    "Where",
    "check_table",
    "give_codes",
    "give_table",
    "loaded",
    "read_flag",
    "refuse_flags",
    "refuse_other",
    "takes",
]

ROWS = "CSV, Parquet, NPY or NPZ file, or a folder of PNG and JPEG pictures, like those fitted."
WHERE = (
    "File or folder to write: .csv, .parquet, .npy, .npz; of images also .png, a grid of all, or a folder."
)
TABLE = "CSV, Parquet, NPY or NPZ file to write instead of the terminal."

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, or a saved model.")]
Data = Annotated[Path, typer.Argument(metavar="DATA", help=ROWS, show_default=False)]
Where = Annotated[Path | None, typer.Option("--output", "-o", help=WHERE, show_default=False)]
ESCAPE = (
    "Write ' before texts of a CSV file that begin with =, +, -, @, a tab or a carriage return, which spreadsheets"
    " compute as formulas. [default: no, so that what is written is read back as it was]"
)
EscapeFormulas = Annotated[bool, typer.Option("--escape-formulas", help=ESCAPE, show_default=False)]
TablePath = Annotated[Path | None, typer.Option("--output", "-o", help=TABLE, show_default=False)]
SeedText = Annotated[
    str | None, typer.Option(metavar="INT", help="Seed of what is drawn. [default: none]", show_default=False)
]


def loaded(run: Path, use: str) -> Any:
    """The model of a run, which must be one for `use`."""
    refuse_unfinished(run)
    model = load(run)
    refuse_other(model, run, use)
    return model


def refuse_other(model: Any, run: Path, use: str) -> None:
    """Refuse a run that is not for `use`, and say what it is for."""
    if use not in model.capabilities:
        able = [_article(kind.__name__) for kind in ESTIMATORS if use in kind.capabilities]
        raise ValueError(
            f"regen {use} is for {_listed(able, 'or')}. {str(run)!r} holds {_article(type(model).__name__)}, which is"
            f" for regen {_listed(model.capabilities, 'and')}."
        )


def takes(kind: type, method: str, parameter: str) -> bool:
    """Whether a class has a method with such a parameter."""
    function = getattr(kind, method, None)
    return function is not None and parameter in signature(function).parameters


def refuse_flags(model: Any, run: Path, method: str, **flags: Any) -> None:
    """Refuse `flags` that were set but are no parameters of this method of the model."""
    for name, value in flags.items():
        if value and not takes(type(model), method, name):
            able = [_article(kind.__name__) for kind in ESTIMATORS if takes(kind, method, name)]
            raise ValueError(
                f"--{name} is for {_listed(able, 'or')}. {str(run)!r} holds {_article(type(model).__name__)}."
            )


def read_flag(model: Any, flag: str, constraint: Constraint, text: str | None) -> Any:
    """The value of a flag, checked by the constraint of the Python parameter; None where it was not set."""
    if text is None:
        return None
    value: Any = text
    with suppress(ValueError):
        value = constraint.parse(text)
    check_parameters(type(model).__name__, {flag: constraint}, {flag: value})
    return value


def check_table(output: Path | None) -> None:
    """Refuse, before any work, an output that is no table or array file."""
    if output is not None and not output.name.lower().endswith((*TABLES, *ARRAYS)):
        raise ValueError(f"{str(output)!r} does not end in .csv, .csv.gz, .parquet, .npy or .npz.")


def give_table(columns: Any, output: Path | None, escape_formulas: bool) -> None:
    """Show a dict of arrays (n,), or write it; an array has the columns of numbers alone."""
    if output is None:
        typer.echo(text_table({name: values.tolist() for name, values in columns.items()}))
        return
    if output.name.lower().endswith(ARRAYS):
        numbers = [values for values in columns.values() if values.dtype.kind != "U"]
        write_array(output, np.stack(numbers, axis=1))
    else:
        write_table(output, columns, escape_formulas=escape_formulas)
    typer.echo(f"Written to {output}.")


def give_codes(
    columns: Iterable[str],
    codes: NDArray[Any],
    files: Sequence[str] | None,
    output: Path | None,
    escape_formulas: bool,
) -> None:
    """Show codes (n, Z) under the names of their columns, or write them; those of pictures with the file names."""
    if output is not None and output.name.lower().endswith(ARRAYS):
        write_array(output, codes, "Z")
        typer.echo(f"Written to {output}.")
        return
    table = {} if files is None else {"file": np.array(files)}
    give_table(table | {str(name): codes[:, k] for k, name in enumerate(columns)}, output, escape_formulas)


def _listed(words: Iterable[str], joint: str) -> str:
    """``a, b or c``."""
    words = list(words)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {joint} {words[-1]}"


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"
