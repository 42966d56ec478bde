"""The command line: `fit`, `resume`; `predict`, `encode` and others that use a run; `inspect`; `demo`, `doctor`."""

from pathlib import Path
from typing import Annotated

import typer

from regen import __version__
from regen.cli.autoencoders import COMMANDS as AUTOENCODERS
from regen.cli.check import check as check_files
from regen.cli.errors import PlainGroup
from regen.cli.fit import commands
from regen.cli.generate import COMMANDS as GENERATE
from regen.cli.inspect import explain, inspect
from regen.cli.predict import backtest, predict
from regen.cli.resume import resume
from regen.demo import run as run_demo
from regen.doctor import examine, report

__all__ = ["app"]

DAMAGED = 1
"""Exit code of `regen doctor --check` when a file is damaged."""

PLAIN = {"add_completion": False, "rich_markup_mode": None, "pretty_exceptions_enable": False}
app = typer.Typer(name="regen", cls=PlainGroup, invoke_without_command=True, **PLAIN)  # type: ignore[arg-type]
fit = typer.Typer(no_args_is_help=True, **PLAIN)  # type: ignore[arg-type]
app.add_typer(fit, name="fit", help="Train on a file and keep all in a folder.")
app.command(short_help="Continue a training that was interrupted.")(resume)
app.command(short_help="Forecast what follows, or predict sequences.")(predict)
app.command(short_help="Score forecasts along a series, compared with seasonal naive ones.")(backtest)
for _name, (_command, _short) in (AUTOENCODERS | GENERATE).items():
    app.command(_name, short_help=_short)(_command)
app.command(short_help="What a run has learned, on one page.")(inspect)
app.command(short_help="What a run has learned, in the terminal.")(explain)
for _name, (_command, _short) in commands().items():
    fit.command(_name, short_help=_short)(_command)


@app.callback()
def regen(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Recurrent and generative networks: networks that remember, compress and create."""
    if version:
        typer.echo(f"regen {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(short_help="What is installed, and what this machine has; whether a run is intact.")
def doctor(
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Verify every file of a run, or a model or checkpoint, instead; exit with 1 if one is damaged.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Versions, backends and why each is or isn't available, devices, threads; with --check the files of a run."""
    if check is None:
        typer.echo(report(examine()))
        return
    sections = check_files(check)
    typer.echo(report(sections))
    if not all(finding.there for finding in sections[0].findings):
        raise typer.Exit(DAMAGED)


@app.command(short_help="Every system on real data, and one page of results.")
def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where index.html and the models go.")
    ] = Path("runs/demo"),
    quick: Annotated[bool, typer.Option("--quick", help="Train for two epochs only.")] = False,
) -> None:
    """Train every system on real data that ships with regen, and write one page of results."""
    run_demo(output, quick=quick)
