"""What autoencoders are for, from the command line: encode, decode, reconstruct, denoise, impute, score, sample."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from regen._check import Constraint, Int, Seed, check_parameters
from regen.cli.rows import (
    Found,
    check_output,
    codes_table,
    give_rows,
    read_codes,
    read_rows_for,
)
from regen.cli.runs import described
from regen.cli.tables import text_table
from regen.data.arrays import ARRAYS, write_array
from regen.data.sequences import TABLES
from regen.data.sources import write_table
from regen.estimators.autoencoder import Autoencoder
from regen.estimators.coder import CodingEstimator
from regen.estimators.denoising import DenoisingAutoencoder
from regen.estimators.forecaster import Forecaster
from regen.estimators.sequences import SequenceClassifier, SequenceRegressor
from regen.estimators.vae import VariationalAutoencoder
from regen.persistence import load

__all__ = ["COMMANDS", "refuse_other"]

CODING = ("encode", "decode", "reconstruct", "score")
USES: dict[type, tuple[str, ...]] = {
    Forecaster: ("predict", "backtest"),
    SequenceClassifier: ("predict",),
    SequenceRegressor: ("predict",),
    Autoencoder: CODING,
    DenoisingAutoencoder: (*CODING, "denoise", "impute"),
    VariationalAutoencoder: (*CODING, "impute", "sample"),
}
"""What each estimator can be asked for once it is a run."""

ROWS = "CSV, Parquet, NPY or NPZ file, or a folder of PNG and JPEG pictures, like those fitted."
WHERE = (
    "File or folder to write: .csv, .parquet, .npy, .npz; of images also .png, a grid of all, or a folder."
)
TABLE = "CSV, Parquet, NPY or NPZ file to write instead of the terminal."

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, or a saved model.")]
Data = Annotated[Path, typer.Argument(metavar="DATA", help=ROWS, show_default=False)]
Where = Annotated[Path | None, typer.Option("--output", "-o", help=WHERE, show_default=False)]
Table = Annotated[Path | None, typer.Option("--output", "-o", help=TABLE, show_default=False)]
SeedText = Annotated[
    str | None, typer.Option(metavar="INT", help="Seed of what is drawn. [default: none]", show_default=False)
]


def encode(run: RunPath, data: Data, output: Table = None) -> None:
    """Compress rows to their codes, a row of numbers each."""
    model = _loaded(run, "encode")
    _check_table(output)
    found = _found(model, run, data)
    codes = model.transform(found.X)
    if output is not None and output.name.lower().endswith(ARRAYS):
        write_array(output, codes, "Z")
        typer.echo(f"Written to {output}.")
    else:
        _give_table(codes_table(model, codes, found.names), output)


def decode(
    run: RunPath,
    codes: Annotated[
        Path,
        typer.Argument(metavar="CODES", help="CSV, Parquet, NPY or NPZ file of codes.", show_default=False),
    ],
    output: Where = None,
) -> None:
    """Restore rows from codes."""
    model = _loaded(run, "decode")
    check_output(model, output)
    typer.echo(give_rows(model, model.inverse_transform(read_codes(model, codes)), output))


def reconstruct(run: RunPath, data: Data, output: Where = None) -> None:
    """Compress rows and restore them, to see what the code keeps."""
    model = _loaded(run, "reconstruct")
    _rows_again(model, run, data, output, model.reconstruct)


def denoise(run: RunPath, data: Data, output: Where = None) -> None:
    """Take the noise off rows."""
    model = _loaded(run, "denoise")
    _rows_again(model, run, data, output, model.denoise)


def impute(
    run: RunPath,
    data: Data,
    draws: Annotated[
        str | None,
        typer.Option(
            metavar="INT",
            help="Draw so many times, into as many files: -1, -2 and so on.",
            show_default=False,
        ),
    ] = None,
    random_state: SeedText = None,
    output: Where = None,
) -> None:
    """Fill in what is missing, and nothing else."""
    model = _loaded(run, "impute")
    number, seed = (
        _read(model, "--draws", Int(1), draws),
        _read(model, "--random-state", Seed(), random_state),
    )
    if number is None:
        _rows_again(model, run, data, output, lambda X: model.impute(X, random_state=seed))
        return
    if output is None:
        raise ValueError(
            "Say with --output where the draws go: each has a file of its own, such as filled-1.csv."
        )
    check_output(model, output)
    found = _found(model, run, data)
    for k, rows in enumerate(model.impute(found.X, n_draws=number, random_state=seed), start=1):
        ending = next((each for each in (".csv.gz",) if output.name.lower().endswith(each)), output.suffix)
        place = output.with_name(f"{output.name[: len(output.name) - len(ending)]}-{k}{ending}")
        typer.echo(give_rows(model, rows, place, found))


def score(
    run: RunPath,
    data: Data,
    samples: Annotated[
        str | None,
        typer.Option(
            metavar="INT",
            help="Draws to estimate the log-likelihood of each row, of a vae.",
            show_default=False,
        ),
    ] = None,
    random_state: SeedText = None,
    output: Table = None,
) -> None:
    """Tell how normal each row is, and which are anomalies."""
    model = _loaded(run, "score")
    _check_table(output)
    draws, seed = (
        _read(model, "--samples", Int(1), samples),
        _read(model, "--random-state", Seed(), random_state),
    )
    if draws is not None and not isinstance(model, VariationalAutoencoder):
        raise ValueError(
            f"--samples is for a VariationalAutoencoder. {str(run)!r} holds {_article(type(model).__name__)}."
        )
    found = _found(model, run, data)
    scores = model.score_samples(found.X)
    columns: dict[str, Any] = {"row": np.arange(len(scores))}
    columns |= {} if found.names is None else {"file": np.array(found.names)}
    columns |= {"score": scores, "anomaly": scores < model.threshold_}
    if draws is not None:
        columns["log_likelihood"] = model.log_likelihood(found.X, draws, seed)
    _give_table(columns, output)
    typer.echo(
        f"Mean score {scores.mean():.4f}; {int(columns['anomaly'].sum())} of {len(scores)} rows lie below"
        f" {model.threshold_:.4f}, the threshold."
    )


def sample(
    run: RunPath,
    n: Annotated[
        str,
        typer.Option("--number", "-n", metavar="INT", help="Rows to draw. [default: 64]", show_default=False),
    ] = "64",
    random_state: SeedText = None,
    means: Annotated[
        bool, typer.Option("--means", help="Expected values in place of draws: smoother images.")
    ] = False,
    output: Where = None,
) -> None:
    """Draw new rows from a vae."""
    model = _loaded(run, "sample")
    check_output(model, output)
    number, seed = _read(model, "--number", Int(1), n), _read(model, "--random-state", Seed(), random_state)
    typer.echo(give_rows(model, model.sample(number, random_state=seed, means=means), output))


COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "encode": (encode, "Compress rows to codes."),
    "decode": (decode, "Restore rows from codes."),
    "reconstruct": (reconstruct, "Compress rows and restore them."),
    "denoise": (denoise, "Take the noise off rows."),
    "impute": (impute, "Fill in what is missing in rows."),
    "score": (score, "Tell how normal rows are, to find anomalies."),
    "sample": (sample, "Draw new rows."),
}
"""The functions below `regen`, with their line in its help."""


def refuse_other(model: Any, run: Path, use: str) -> None:
    """Refuse a run that is not for `use`, and say what it is for."""
    uses = USES.get(type(model), ())
    if use not in uses:
        can = _either([_article(kind.__name__) for kind, those in USES.items() if use in those], "or")
        raise ValueError(
            f"regen {use} is for {can}. {str(run)!r} holds {_article(type(model).__name__)}, which is for regen"
            f" {_either(uses, 'and')}."
        )


def _either(words: Any, joint: str) -> str:
    """``a, b or c``."""
    words = list(words)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {joint} {words[-1]}"


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"


def _loaded(run: Path, use: str) -> Any:
    model = load(run)
    refuse_other(model, run, use)
    return model


def _found(model: CodingEstimator, run: Path, data: Path) -> Found:
    return read_rows_for(model, data, described(run).get("label") or [])


def _rows_again(model: Any, run: Path, data: Path, output: Path | None, answer: Callable[[Any], Any]) -> None:
    """Rows in, as many rows of the same kind out."""
    check_output(model, output)
    if output is not None and output.exists() and data.exists() and output.samefile(data):
        raise ValueError(f"{str(output)!r} is what is read. Choose another place with --output.")
    found = _found(model, run, data)
    typer.echo(give_rows(model, answer(found.X), output, found))


def _check_table(output: Path | None) -> None:
    if output is not None and not output.name.lower().endswith((*TABLES, *ARRAYS)):
        raise ValueError(f"{str(output)!r} does not end in .csv, .csv.gz, .parquet, .npy or .npz.")


def _give_table(columns: Any, output: Path | None) -> None:
    if output is None:
        typer.echo(text_table({name: values.tolist() for name, values in columns.items()}))
        return
    if output.name.lower().endswith(ARRAYS):
        numbers = [values for values in columns.values() if values.dtype.kind != "U"]
        write_array(output, np.stack(numbers, axis=1))
    else:
        write_table(output, columns)
    typer.echo(f"Written to {output}.")


def _read(model: Any, flag: str, constraint: Constraint, text: str | None) -> Any:
    """What `text` says, refused in the words of the Python interface."""
    if text is None:
        return None
    value: Any = text
    with suppress(ValueError):
        value = constraint.parse(text)
    check_parameters(type(model).__name__, {flag: constraint}, {flag: value})
    return value
