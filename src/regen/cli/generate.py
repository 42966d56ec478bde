"""Generated rows and scores of rows: the commands sample, interpolate, invert and score."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from sklearn.base import is_outlier_detector
from sklearn.utils import check_random_state

from regen._check import Int, Number, Seed
from regen.cli.flags import parameter_help
from regen.cli.io import check_output, give_rows, one_after_another, read_rows_for
from regen.cli.run_options import (
    Data,
    EscapeFormulas,
    RunPath,
    SeedText,
    TablePath,
    Where,
    check_table,
    give_codes,
    give_table,
    loaded,
    read_flag,
    refuse_flags,
    takes,
)
from regen.cli.runs import label_of
from regen.estimators.adversarial.gan import GAN

__all__ = ["COMMANDS"]

INVERT = parameter_help(GAN.invert)


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
    output: TablePath = None,
    escape_formulas: EscapeFormulas = False,
) -> None:
    """Score how normal each row is, and mark anomalies; of a gan or dcgan how real each row looks, from 1 to 100."""
    model = loaded(run, "score")
    check_table(output)
    refuse_flags(model, run, "log_likelihood", samples=samples)
    if random_state is not None and samples is None:
        raise ValueError("--random-state is the seed of --samples. Give both, or leave it out.")
    draws = read_flag(model, "--samples", Int(1), samples)
    seed = read_flag(model, "--random-state", Seed(), random_state)
    labelled = takes(type(model), "score_samples", "y") and model.n_labels_ > 0
    found = read_rows_for(model, data, label_of(run), labelled=labelled)
    scores = model.score_samples(found.X, found.y) if labelled else model.score_samples(found.X)
    columns: dict[str, Any] = {"row": np.arange(len(scores))}
    columns |= {} if found.names is None else {"file": np.array(found.names)}
    columns |= {"score": scores}
    if not is_outlier_detector(model):
        give_table(columns, output, escape_formulas)
        typer.echo(
            f"Mean score {scores.mean():.1f} of 100, where at 50 real and generated are equally likely;"
            f" {int((scores >= 50).sum())} of {len(scores)} rows reach it."
        )
        return
    columns |= {"anomaly": scores < model.threshold_}
    if draws is not None:
        columns["log_likelihood"] = model.log_likelihood(found.X, draws, seed)
    give_table(columns, output, escape_formulas)
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
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL",
            help="Draw rows of this label, of a gan or dcgan that was fitted with labels. Can be given several times,"
            " for as many rows of each. [default: labels as often as in the data]",
            show_default=False,
        ),
    ] = None,
    truncation: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="Draw codes of a gan or dcgan within so many standard deviations only: rows become more typical and"
            " less diverse. [default: none]",
            show_default=False,
        ),
    ] = None,
    random_state: SeedText = None,
    means: Annotated[
        bool,
        typer.Option("--means", help="Expected values in place of draws, of a vae: smoother images."),
    ] = False,
    output: Where = None,
    escape_formulas: EscapeFormulas = False,
) -> None:
    """Draw new rows from a vae, a gan or a dcgan."""
    model = loaded(run, "sample")
    check_output(model, output)
    refuse_flags(model, run, "sample", means=means, label=label, truncation=truncation)
    number = read_flag(model, "--number", Int(1), n)
    seed = read_flag(model, "--random-state", Seed(), random_state)
    if takes(type(model), "sample", "means"):
        typer.echo(
            give_rows(
                model,
                model.sample(number, random_state=seed, means=means),
                output,
                escape_formulas=escape_formulas,
            )
        )
        return
    limit = read_flag(model, "--truncation", Number(0, low_open=True), truncation)
    labels = _labels(model, number, label, seed)
    n_rows = number if labels is None else len(labels)
    rows = model.sample(n_rows, random_state=seed, label=labels, truncation=limit)
    if labels is None:
        typer.echo(give_rows(model, rows, output, escape_formulas=escape_formulas))
        return
    names = [f"{text}-{k:04d}.png" for k, text in enumerate(map(_in_file_name, labels.tolist()), start=1)]
    typer.echo(
        give_rows(model, rows, output, names, (_label_name(run), labels), escape_formulas=escape_formulas)
    )


def interpolate(
    run: RunPath,
    n: Annotated[
        str,
        typer.Option(
            "--number",
            "-n",
            metavar="INT",
            help="Rows on each path, both ends included. [default: 8]",
            show_default=False,
        ),
    ] = "8",
    ways: Annotated[
        str,
        typer.Option(metavar="INT", help="Paths, each between other codes. [default: 1]", show_default=False),
    ] = "1",
    label: Annotated[
        str | None,
        typer.Option(
            metavar="LABEL",
            help="Label of all rows, of a run that was fitted with labels. [default: one drawn for each path]",
            show_default=False,
        ),
    ] = None,
    random_state: SeedText = None,
    output: Where = None,
    escape_formulas: EscapeFormulas = False,
) -> None:
    """Make rows along a path between two random codes of a gan or dcgan; in a .png, a grid row for each path."""
    model = loaded(run, "interpolate")
    check_output(model, output)
    steps, number = read_flag(model, "--number", Int(2), n), read_flag(model, "--ways", Int(1), ways)
    rng = check_random_state(read_flag(model, "--random-state", Seed(), random_state))
    texts = None if label is None else [label]
    labels_of_paths = [_labels(model, 1, texts, rng) for _ in range(number)]
    found = [
        model.interpolate(steps=steps, label=None if each is None else each[0], random_state=rng)
        for each in labels_of_paths
    ]
    drawn = [each for each in labels_of_paths if each is not None]
    labels = (_label_name(run), np.repeat(np.concatenate(drawn), steps)) if drawn else None
    typer.echo(
        give_rows(
            model,
            one_after_another(found),
            output,
            labels=labels,
            columns=steps,
            escape_formulas=escape_formulas,
        )
    )


def invert(
    run: RunPath,
    data: Data,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="LABEL",
            help="Label of all rows, of a run that was fitted with labels. [default: those that the data have]",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        str, typer.Option(metavar="INT", help=f"{INVERT['steps']} [default: 300]", show_default=False)
    ] = "300",
    random_state: SeedText = None,
    output: TablePath = None,
    escape_formulas: EscapeFormulas = False,
) -> None:
    """Find the codes from which a gan or dcgan generates rows closest to these, a row of numbers each."""
    model = loaded(run, "invert")
    check_table(output)
    number = read_flag(model, "--steps", Int(1), steps)
    seed = read_flag(model, "--random-state", Seed(), random_state)
    found = read_rows_for(model, data, label_of(run), labelled=model.n_labels_ > 0 and label is None)
    labels = found.y if label is None else _labels(model, len(found.X), [label], seed)
    codes = model.invert(found.X, labels, steps=number, random_state=seed)
    give_codes((f"code{k}" for k in range(codes.shape[1])), codes, found.names, output, escape_formulas)


COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "score": (score, "Score how normal or how real rows look."),
    "sample": (sample, "Draw new rows."),
    "interpolate": (interpolate, "Make rows along a path from one code to another."),
    "invert": (invert, "Find the codes that generate rows."),
}
"""Functions below `regen`, with their line in its help."""


def _labels(model: Any, n: int, texts: list[str] | None, seed: Any) -> NDArray[Any] | None:
    """The labels of the rows to draw: `n` of each requested label, or (n,) in the proportions of the data.

    None without labels at fit; a requested label is then refused by the model.
    """
    if not model.n_labels_:
        return np.repeat(texts, n) if texts else None
    if texts:
        known = {str(each): each for each in model.classes_.tolist()}
        return np.repeat(np.array([known.get(text, text) for text in texts], dtype=object), n)
    drawn: NDArray[Any] = check_random_state(seed).choice(model.classes_, n, p=model.label_shares_)
    return drawn


def _label_name(run: Path) -> str:
    """The column of labels."""
    return next(iter(label_of(run)), "label")


def _in_file_name(label: Any) -> str:
    """A label as part of a file's name."""
    return "".join(letter if letter.isalnum() or letter in "._+" else "-" for letter in str(label))
