"""`regen fit`: a command for each estimator, its flags made from the estimator itself."""

import inspect
import secrets
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple, final

import typer

from regen.cli.columns import BOUNDS, IDENTIFIERS, column_options
from regen.cli.errors import Interrupted
from regen.cli.flags import Flag, chosen, flags_of, parameter_help
from regen.cli.io import read_labelled, read_rows, refuse_label
from regen.cli.runs import CHECKPOINT, Run, claimed, resume_command
from regen.data.io.paths import content_digest
from regen.data.io.sequence_files import read_sequences
from regen.data.io.tables import read_table
from regen.estimators import ESTIMATORS
from regen.estimators._base import Estimator
from regen.estimators.forecasting.forecaster import Forecaster

__all__ = ["FitCommand", "checkpoint_path", "commands", "report", "train"]

Fit = Callable[[Any, Path, Mapping[str, Any]], None]

SERIES = "CSV or Parquet file of a series, a row per step."
SEQUENCES = "File of sequences: .ts, a wide CSV or Parquet table (a row per sequence), or .npz with X and y."
ROWS = "CSV, Parquet, NPY or NPZ file of rows, or a folder of PNG and JPEG pictures of one size."
LABELLED_ROWS = (
    "CSV, Parquet, NPY or NPZ file of rows; with --backbone recurrent of sequences, or a .ts file of them."
)
LABELLED_IMAGES = (
    "Folder of PNG and JPEG pictures of one size, with --label folder one with a folder of them for each label, or"
    " an NPY or NPZ file of images."
)
OUTPUT = "Folder of the run, whatever it is called. [default: runs/ and the name of DATA]"
CHECKPOINT_HELP = (
    "File that holds the whole state of the run, for regen resume; none writes none. [default: "
    f"{CHECKPOINT} in the folder of the run, removed when the run is finished]"
)


@final
class FitCommand(NamedTuple):
    """A `regen fit` as it was typed, and all that `regen resume` needs to go on with it.

    estimator : name of the class. data : path, as it was typed. own : the options that are no parameters, such as
    --target. options : parameters by the name of their flag. command : the whole line. place : absolute path of the
    data. sha256 : digest of their content; None where they came from a pipe.
    """

    estimator: str
    data: str
    own: dict[str, Any]
    options: dict[str, str | bool]
    command: str
    place: str
    sha256: str | None

    def facts(self) -> dict[str, Any]:
        """Its fields as they are in ``run.json``, where `own` have no level of their own."""
        fields = self._asdict()
        return {
            "estimator": fields.pop("estimator"),
            "data": fields.pop("data"),
            **fields.pop("own"),
            **fields,
        }


def commands() -> dict[str, tuple[Callable[..., None], str]]:
    """The commands below `regen fit` by name: a function, and its line in the help."""
    helps = parameter_help(Forecaster.fit)
    time = _option("time", str, "--time", "NAME", helps["time"])
    target = _option(
        "target", list[str], "--target", "NAME", f"{helps['target']} Can be given several times."
    )
    label = _option("label", str, "--label", "NAME", "Column of labels or targets in a wide table.")
    excluded = _option(
        "label", list[str], "--label", "NAME", "Column to leave out. Can be given several times."
    )
    conditional = _option(
        "label",
        str,
        "--label",
        "NAME|folder|none",
        "Column of labels in a table, so that rows of one label can be drawn; folder takes the names of the folders"
        " of the pictures. Labels of .npz (y) and .ts files are read without it; none ignores them.",
    )
    columns = [
        _option("identifiers", list[str], "--identifiers", "drop|keep|NAME", IDENTIFIERS),
        _option("bounds", list[str], "--bounds", "data|none|NAME=LOW..HIGH", BOUNDS),
    ]
    kinds: dict[str, tuple[str, list[inspect.Parameter]]] = {
        "series": (SERIES, [time, target]),
        "sequences": (SEQUENCES, [label]),
        "rows": (ROWS, [excluded, *columns]),
        "labelled rows": (LABELLED_ROWS, [conditional, *columns]),
        "labelled images": (LABELLED_IMAGES, [conditional]),
    }
    return {
        kind.command.name: (_command(kind, *kinds[kind.command.data]), kind.command.summary)
        for kind in ESTIMATORS
    }


def _command(kind: type[Estimator], data: str, own: list[inspect.Parameter]) -> Callable[..., None]:
    """A function whose signature is the flags of `kind`, for typer to read."""
    flags = flags_of(kind)

    def command(**values: Any) -> None:
        typed = _typed(kind, flags, [parameter.name for parameter in own], values)
        folder = values["output"] or Path("runs") / values["data"].stem
        with claimed(folder, values["force"], checkpoint_path(typed.options, folder)) as run:
            model = train(run, typed)
        report(run, model, values["data"])

    parameters = [
        _parameter(
            "data",
            Path,
            typer.Argument(metavar="DATA", help=data, show_default=False),
            inspect.Parameter.empty,
        ),
        _parameter(
            "output", Path | None, typer.Option("--output", "-o", help=OUTPUT, show_default=False), None
        ),
        _parameter("force", bool, typer.Option("--force", help="Replace a run in that folder."), False),
        *own,
        *(_with_help(flag).parameter() for flag in flags),
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    summary = (inspect.getdoc(kind) or "").partition("\n\n")[0]
    command.__doc__ = " ".join(summary.split())
    return command


def _typed(
    kind: type[Estimator], flags: Sequence[Flag], own: Sequence[str], values: Mapping[str, Any]
) -> FitCommand:
    options = {flag.word: values[flag.word] for flag in flags if values[flag.word] is not None}
    chosen(flags, options)  # refused before anything is made
    options.setdefault("random_state", str(secrets.randbelow(2**31)))  # a resumed run needs the same
    if "checkpoint" in options and checkpoint_path(options, Path()) is not None:
        options["checkpoint"] = str(Path(options["checkpoint"]).absolute())
    data: Path = values["data"]
    return FitCommand(
        kind.__name__,
        str(data),
        {name: values[name] for name in own},
        options,
        shlex.join(["regen", *sys.argv[1:]]),
        str(data.absolute()),
        content_digest(data),
    )


def train(run: Run, typed: FitCommand) -> Any:
    """Describe the run, train, and write it, or what there is of it, in its folder; return the model."""
    (kind,) = (kind for kind in ESTIMATORS if kind.__name__ == typed.estimator)
    arguments = chosen(flags_of(kind), typed.options)
    wanted = arguments.get("training", {})
    training = wanted | {"checkpoint": run.checkpoint}
    if "verbose" not in wanted and sys.stderr.isatty():
        training["verbose"] = True
    run.begin(typed.facts())
    model = kind(**arguments | {"training": training})
    _FITS[kind.command.data](model, Path(typed.data), typed.own)
    model.set_params(training=wanted or None)  # the paths of this machine are no part of the model
    stopped = str(model.stopped_)
    run.keep(model, finished=not stopped.startswith(("Interrupted", "Reached max_time")))
    return model


def checkpoint_path(options: Mapping[str, Any], folder: Path) -> Path | None:
    """Where the state of a training with these options goes; None for nowhere."""
    path = options.get("checkpoint")
    if path is None:
        return folder / CHECKPOINT
    return None if path.lower() == "none" else Path(path)


def _with_help(flag: Flag) -> Flag:
    """A flag as `regen fit` has it, where the state of a run is saved by default."""
    return replace(flag, help=CHECKPOINT_HELP) if flag.name == "checkpoint" else flag


def _parameter(name: str, kind: Any, info: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info]
    )


def _option(name: str, kind: Any, flag: str, metavar: str, help: str) -> inspect.Parameter:
    return _parameter(
        name, kind | None, typer.Option(flag, metavar=metavar, help=help, show_default=False), None
    )


def _fit_series(model: Any, data: Path, own: Mapping[str, Any]) -> None:
    target: Sequence[str] | None = own["target"] or None
    required = [name for name in (own["time"], *(target or ())) if name is not None]
    model.fit(read_table(data, required=required), time=own["time"], target=target)


def _fit_sequences(model: Any, data: Path, own: Mapping[str, Any]) -> None:
    if own["label"] is not None:
        refuse_label(data, own["label"])
    table = read_sequences(data, label=own["label"])
    if table.y is None:
        raise ValueError(f"{str(data)!r} holds no labels to learn. Name their column with --label.")
    model.fit(table.rows.arrays(), table.y)


def _fit_rows(model: Any, data: Path, own: Mapping[str, Any]) -> None:
    sequences = model.backbone not in ("auto", "mlp", "conv")
    labels = own["label"] or []
    for label in labels:
        refuse_label(data, label)
    found = read_rows(data, labels, sequences=sequences, flat=model.image_shape is not None)
    model.fit(found.X, **column_options(own))


def _fit_labelled_rows(model: Any, data: Path, own: Mapping[str, Any]) -> None:
    sequences = model.backbone not in ("auto", "mlp", "conv")
    found = read_labelled(data, own["label"], sequences=sequences, flat=False)
    model.fit(found.X, found.y, **column_options(own))


def _fit_labelled_images(model: Any, data: Path, own: Mapping[str, Any]) -> None:
    found = read_labelled(data, own["label"], sequences=False, flat=model.image_shape is not None)
    model.fit(found.X, found.y)


_FITS: Mapping[str, Fit] = {
    "series": _fit_series,
    "sequences": _fit_sequences,
    "rows": _fit_rows,
    "labelled rows": _fit_labelled_rows,
    "labelled images": _fit_labelled_images,
}


def report(run: Run, model: Any, data: Path) -> None:
    """Report the training; one that a signal stopped is a run, too."""
    stopped = str(model.stopped_)
    go_on = f"Continue it with: {resume_command(run.folder)}" if run.checkpoint is not None else ""
    if stopped.startswith("Interrupted"):
        raise Interrupted(f"The run is saved in {run.folder}. {go_on}".rstrip())
    epochs = f"{model.n_epochs_} epoch{'' if model.n_epochs_ == 1 else 's'}"
    typer.echo(f"{type(model).__name__}: {epochs} in {run.seconds:.1f} s. {stopped}")
    typer.echo(f"Backend {model.backend_}.")
    if "quality_" in vars(model):
        typer.echo(_quality(model))
    use, more = _next(model, data)
    if stopped.startswith("Reached max_time") and run.checkpoint is not None:
        typer.echo(f"{go_on} --max-time TIME")
    typer.echo(f"Saved in {run.folder}. Next: regen {use} {shlex.quote(str(run.folder))}{more}")


def _next(model: Any, data: Path) -> tuple[str, str]:
    """The first command that a model is for, and what follows the run there."""
    use = model.capabilities[0]
    if use == "encode":
        return use, f" {shlex.quote(str(data))}"
    return use, " -o new.png" if use == "sample" and model.form_["kind"] == "images" else ""


def _quality(model: Any) -> str:
    """How good the generator is that was kept."""
    found = model.quality_
    return (
        f"Of generated rows {100 * found['precision']:.0f} % lie among real ones, of real rows"
        f" {100 * found['coverage']:.0f} % are covered. Mean scores, 50 being a guess: real"
        f" {found['score_real']:.0f}, generated {found['score']:.0f}."
    )
