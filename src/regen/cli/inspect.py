"""`regen inspect` and `regen explain`: what a run has learned, as a page and as text."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from regen.cli.io import read_known_sequences, read_rows_for
from regen.cli.run_options import RunPath
from regen.cli.runs import REPORT, described, label_of, refuse_unfinished
from regen.data.io.tables import read_table
from regen.persistence import load
from regen.report import InspectionData, Section, sections_of, text_report, write

__all__ = ["explain", "inspect"]

DATA = "Data to inspect it with. [default: the data of the fit, if they still exist]"
PAGE = "HTML file to write. [default: report.html in the folder of the run, or next to the saved model]"

Data = Annotated[Path | None, typer.Argument(metavar="DATA", help=DATA, show_default=False)]
Page = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help=PAGE, show_default=False)]


def inspect(run: RunPath, data: Data = None, output: Page = None) -> None:
    """Inspect a run and write all findings on one page, which opens offline."""
    place = output or _default_page(run)
    if place.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{str(place)!r} does not end in .html.")
    model, sections = _found(run, data)
    write(model, sections, place, title=f"{type(model).__name__}: {run.resolve().stem}")
    typer.echo(f"Written to {place}.")


def explain(run: RunPath, data: Data = None) -> None:
    """Inspect a run and print the findings, in sentences and text charts."""
    _, sections = _found(run, data)
    typer.echo(text_report(sections))


def _default_page(run: Path) -> Path:
    return run / REPORT if run.is_dir() else run.with_suffix(".html")


def _found(run: Path, data: Path | None) -> tuple[Any, list[Section]]:
    """The model of a run, and what is found in it."""
    refuse_unfinished(run)
    model, facts = load(run), described(run)
    place, absent = _data_of(run, facts, data)
    found = None if place is None else _read(model, run, facts, place, own=data is None)
    return model, sections_of(model, found, facts=facts, run=str(run), absent=absent)


def _data_of(run: Path, facts: Mapping[str, Any], data: Path | None) -> tuple[Path | None, str]:
    """Where the data lie, or why there are none.

    The path in ``run.json`` is as it was typed: it is looked for from here, then from every folder above the run.
    """
    if data is not None:
        return data, ""
    again = f"Give their path: `regen inspect {shlex.quote(str(run))} DATA`."
    if "data" not in facts:
        return None, f"The run does not record its data. {again}"
    named = Path(str(facts["data"]))
    for folder in (Path(), *run.resolve().parents):
        if (folder / named).exists():
            return folder / named, ""
    return None, f"The data of the fit, `{named}`, no longer exist. {again}"


def _read(model: Any, run: Path, facts: Mapping[str, Any], path: Path, own: bool) -> InspectionData:
    """Data from a file or folder, in the form that the model was fitted on."""
    source = f"`{path}`{_changed(run, path) if own else ''}"
    if model.command.data == "series":
        return InspectionData(read_table(path), None, source, own, facts.get("time"))
    labels = label_of(run)
    if model.command.data == "sequences":
        table = read_known_sequences(path, labels[0] if labels else None)
        return InspectionData(table.rows.arrays(), table.y, source, own)
    labelled = model.command.data.startswith("labelled") or len(labels) == 1
    rows = read_rows_for(model, path, labels, labelled=labelled)
    return InspectionData(rows.X, rows.y, source, own)


def _changed(run: Path, path: Path) -> str:
    """Whether the data are newer than the run, in words."""
    written = (run / "run.json").stat().st_mtime
    return ", which has changed since" if path.stat().st_mtime > written else ""
