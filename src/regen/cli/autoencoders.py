"""What autoencoders are for, from the command line: encode, decode, reconstruct, denoise, impute."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from regen._check import Int, Seed
from regen.cli.io import check_output, give_rows, read_codes, read_rows_for
from regen.cli.run_options import (
    Data,
    EscapeFormulas,
    RunPath,
    SeedText,
    TablePath,
    Where,
    check_table,
    give_codes,
    loaded,
    read_flag,
)
from regen.cli.runs import label_of

__all__ = ["COMMANDS"]


def encode(
    run: RunPath, data: Data, output: TablePath = None, escape_formulas: EscapeFormulas = False
) -> None:
    """Compress rows to their codes, a row of numbers each; of a dcgan the discriminator's features of images."""
    model = loaded(run, "encode")
    check_table(output)
    found = read_rows_for(model, data, label_of(run))
    give_codes(model.get_feature_names_out(), model.transform(found.X), found.names, output, escape_formulas)


def decode(
    run: RunPath,
    codes: Annotated[
        Path,
        typer.Argument(metavar="CODES", help="CSV, Parquet, NPY or NPZ file of codes.", show_default=False),
    ],
    output: Where = None,
    escape_formulas: EscapeFormulas = False,
) -> None:
    """Restore rows from codes."""
    model = loaded(run, "decode")
    check_output(model, output)
    typer.echo(
        give_rows(
            model, model.inverse_transform(read_codes(model, codes)), output, escape_formulas=escape_formulas
        )
    )


def reconstruct(
    run: RunPath, data: Data, output: Where = None, escape_formulas: EscapeFormulas = False
) -> None:
    """Compress rows and restore them, to see what the code keeps."""
    model = loaded(run, "reconstruct")
    _transform_rows(model, run, data, output, escape_formulas, model.reconstruct)


def denoise(run: RunPath, data: Data, output: Where = None, escape_formulas: EscapeFormulas = False) -> None:
    """Remove noise from rows."""
    model = loaded(run, "denoise")
    _transform_rows(model, run, data, output, escape_formulas, model.denoise)


def impute(
    run: RunPath,
    data: Data,
    draws: Annotated[
        str | None,
        typer.Option(
            metavar="INT",
            help="Number of draws, each in a file of its own: -1, -2 and so on.",
            show_default=False,
        ),
    ] = None,
    random_state: SeedText = None,
    output: Where = None,
    escape_formulas: EscapeFormulas = False,
) -> None:
    """Fill in missing values; observed ones stay as they are."""
    model = loaded(run, "impute")
    number = read_flag(model, "--draws", Int(1), draws)
    seed = read_flag(model, "--random-state", Seed(), random_state)
    if number is None:
        _transform_rows(
            model, run, data, output, escape_formulas, lambda X: model.impute(X, random_state=seed)
        )
        return
    if output is None:
        raise ValueError("Give --output for the draws: each has a file of its own, such as filled-1.csv.")
    check_output(model, output)
    found = read_rows_for(model, data, label_of(run))
    for k, rows in enumerate(model.impute(found.X, n_draws=number, random_state=seed), start=1):
        ending = next((each for each in (".csv.gz",) if output.name.lower().endswith(each)), output.suffix)
        place = output.with_name(f"{output.name[: len(output.name) - len(ending)]}-{k}{ending}")
        typer.echo(give_rows(model, rows, place, found.names, escape_formulas=escape_formulas))


COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "encode": (encode, "Compress rows to codes."),
    "decode": (decode, "Restore rows from codes."),
    "reconstruct": (reconstruct, "Compress rows and restore them."),
    "denoise": (denoise, "Remove noise from rows."),
    "impute": (impute, "Fill in missing values in rows."),
}
"""Functions below `regen`, with their line in its help."""


def _transform_rows(
    model: Any,
    run: Path,
    data: Path,
    output: Path | None,
    escape_formulas: bool,
    transform: Callable[[Any], Any],
) -> None:
    """Rows in, as many rows of the same kind out."""
    check_output(model, output)
    if output is not None and output.exists() and data.exists() and output.samefile(data):
        raise ValueError(f"{str(output)!r} is the input file. Choose another file with --output.")
    found = read_rows_for(model, data, label_of(run))
    typer.echo(give_rows(model, transform(found.X), output, found.names, escape_formulas=escape_formulas))
