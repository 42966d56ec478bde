"""`regen resume`: go on with a run that was interrupted, killed or limited, to the end that it would have had."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from regen.cli.errors import say
from regen.cli.fit import FitCommand, checkpoint_path, report, train
from regen.cli.run_options import RunPath
from regen.cli.runs import CHECKPOINT, described, opened, resume_command, versions
from regen.data.io.paths import content_digest, not_found_error

__all__ = ["resume"]


def _option(metavar: str, help: str) -> Any:
    return typer.Option(metavar=metavar, show_default=False, help=help)


Limit = Annotated[str | None, _option("INT", "Another limit of epochs.")]
Steps = Annotated[str | None, _option("INT|none", "Another limit of batches.")]
Time = Annotated[
    str | None, _option("TIME|none", "Another limit of time, counted over all parts of the run.")
]
Patience = Annotated[str | None, _option("INT|none", "Another patience of early stopping.")]
Moved = Annotated[
    Path | None,
    _option("DATA", "Where the data are now, if no longer where they were. They must be the same."),
]
Verbose = Annotated[
    bool | None,
    typer.Option("--verbose/--no-verbose", show_default=False, help="Show a progress bar on stderr."),
]


def resume(
    run: RunPath,
    max_epochs: Limit = None,
    max_steps: Steps = None,
    max_time: Time = None,
    patience: Patience = None,
    data: Moved = None,
    verbose: Verbose = None,
) -> None:
    """Continue the training of a run that Ctrl-C, SIGTERM, a crash or --max-time ended before its time.

    Options and data are those of the fit, which run.json records. The result is that of a run without interruption,
    bit for bit on the same device. Limits can be changed; a run that is finished can be extended if it was fitted
    with --checkpoint FILE.
    """
    facts = described(run)
    typed = _typed(run, facts)
    limits = {"max_epochs": max_epochs, "max_steps": max_steps, "max_time": max_time, "patience": patience}
    changed: dict[str, str | bool] = {name: text for name, text in limits.items() if text is not None}
    checkpoint = checkpoint_path(typed.options, run)
    _refuse_ended(run, facts, checkpoint, changed)
    place = _same_data(run, typed, data)
    _note_versions(facts)
    if verbose is not None:
        changed["verbose"] = verbose
    typed = typed._replace(options=typed.options | changed, data=str(place), place=str(place.absolute()))
    with opened(run, checkpoint) as folder:
        model = train(folder, typed)
    report(folder, model, place)


def _typed(run: Path, facts: Mapping[str, Any]) -> FitCommand:
    """The command that began a run."""
    if not run.is_dir():
        if not run.exists():
            raise not_found_error(run, "folder")
        raise ValueError(f"{str(run)!r} is a file. Give the folder of a run.")
    if not facts:
        raise ValueError(f"The folder {str(run)!r} holds no run.json. Give a folder that regen fit made.")
    with suppress(KeyError, TypeError):
        fields = {name: facts[name] for name in FitCommand._fields if name != "own"}
        own = {name: facts[name] for name in ("time", "target", "label") if name in facts}
        if all(isinstance(text, str | bool) for text in fields["options"].values()):
            return FitCommand(own=own, **fields)
    raise ValueError(
        f"The run in {str(run)!r} cannot be resumed: its run.json does not record how it began, as that of an earlier"
        " version of regen. Fit again."
    )


def _refuse_ended(
    run: Path, facts: Mapping[str, Any], checkpoint: Path | None, changed: Mapping[str, Any]
) -> None:
    """Refuse a run that is finished, out of time, or without a state to go on from."""
    name, stopped = repr(str(run)), str(facts.get("stopped", ""))
    there = checkpoint is not None and checkpoint.exists()
    if facts.get("finished") and not (there and changed):
        if checkpoint == run / CHECKPOINT:  # left by a process that was killed right after its end
            checkpoint.unlink(missing_ok=True)
            there = False
        advice = (
            "Give more, such as --max-epochs, to extend it."
            if there
            else "Its checkpoint is gone, so that it cannot be extended; fit with --checkpoint FILE to keep one."
        )
        raise ValueError(f"The run in {name} is finished: {stopped} {advice}")
    if stopped and checkpoint is None:
        raise ValueError(
            f"The run in {name} was fitted with --checkpoint none: there is nothing to resume. Fit again with"
            " --force."
        )
    if stopped and not there:
        raise ValueError(
            f"The checkpoint {str(checkpoint)!r} of the run in {name} is gone: there is nothing to resume. Fit again"
            " with --force."
        )
    if stopped.startswith("Reached max_time") and not changed:
        raise ValueError(
            f"The run in {name} has used up its time: {stopped} Give more: {resume_command(run)} --max-time TIME"
        )
    if not there:
        say("Note: Nothing of the run has been saved: it begins anew.")


def _same_data(run: Path, typed: FitCommand, moved: Path | None) -> Path:
    """Where the data of a run are, which must be the same as when it began."""
    if typed.sha256 is None:
        raise ValueError(
            f"The run in {str(run)!r} cannot be resumed: its data came from {typed.data!r}, a pipe that cannot be"
            " read again. Write them to a file and fit on that."
        )
    place = moved if moved is not None else _place(typed)
    if not place.exists():
        if moved is not None:
            raise not_found_error(place, "file or folder")
        raise FileNotFoundError(
            f"The data of the run in {str(run)!r}, {typed.place!r}, are gone. Put them back, or name their new place"
            " with --data."
        )
    if content_digest(place) != typed.sha256:
        _refuse_changed(run, place)
    return place


def _place(typed: FitCommand) -> Path:
    """The path as it was typed if it leads to the data from here, else the absolute one."""
    return Path(typed.data) if Path(typed.data).absolute() == Path(typed.place) else Path(typed.place)


def _refuse_changed(run: Path, place: Path) -> NoReturn:
    raise ValueError(
        f"The run in {str(run)!r} cannot be resumed: the content of {str(place)!r} has changed since it began. Bring"
        " the former content back, or fit again with --force."
    )


def _note_versions(facts: Mapping[str, Any]) -> None:
    """Warn where other versions than those that began the run may give other bits."""
    then = facts.get("versions")
    for name, now in versions().items():
        if isinstance(then, dict) and then.get(name, now) != now:
            say(
                f"Note: The run began with {name} {then[name]}, this is {name} {now}: results may differ in the last"
                " digits."
            )
