"""`regen doctor --check`: what of a run is intact, what is damaged, and what can be recovered."""

import csv
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from regen._files import FileLock
from regen._tensor_files import DAMAGE, InvalidFileError, read_header
from regen.cli.runs import CHECKPOINT, DESCRIPTION, HISTORY, MODEL, resume_command
from regen.data.io.paths import not_found_error
from regen.doctor import Finding, Section
from regen.persistence import load
from regen.persistence.container import WITHOUT_CHECKSUM, read
from regen.training.checkpoint import KEY as CHECKPOINT_KEY
from regen.training.checkpoint import read_tree

__all__ = ["check"]


class Examined(NamedTuple):
    """One file: whether it is there and whole, what was found in words, and what it holds."""

    name: str
    there: bool
    whole: bool
    words: str
    content: Any = None


def check(path: Path) -> list[Section]:
    """Verify every file of a run, or one model or checkpoint.

    Returns
    -------
    list of Section
        The files, one finding each, and what can be recovered where one is damaged; findings of damaged files are not
        `there`.

    Raises
    ------
    FileNotFoundError
        When there is nothing at `path`.
    """
    if not path.exists():
        raise not_found_error(path, "file or folder")
    if not path.is_dir():
        examined = _checkpoint(path) if _is_checkpoint(path) else _model(path)
        return _sections(
            [examined], [] if examined.whole else ["Copy the file again from where it is intact."]
        )
    model, checkpoint = _model(path / MODEL), _checkpoint(path / CHECKPOINT)
    if not model.there and not checkpoint.there:
        model = model._replace(whole=False, words="missing, and there is no checkpoint")
    description = _described(path / DESCRIPTION, model)
    history = _history(path / HISTORY, model)
    return _sections(
        [model, checkpoint, description, history], _recovery(path, model, checkpoint, description, history)
    )


def _sections(files: list[Examined], recovery: list[str]) -> list[Section]:
    seen = [Finding(each.name, each.whole, each.words) for each in files if each.there or not each.whole]
    advice = [Finding("what to do", True, each) for each in recovery]
    return [Section("files", tuple(seen)), *([Section("recovery", tuple(advice))] if advice else [])]


def _examined(path: Path, look: Callable[[Path], tuple[str, Any]]) -> Examined:
    """The file at `path`; `look` returns its words and its content, or raises."""
    if not path.is_file():
        return Examined(
            path.name, False, not path.exists(), "" if not path.exists() else "damaged: not a file"
        )
    try:
        words, content = look(path)
    except (OSError, *DAMAGE) as error:
        reason = str(error).removeprefix(f"The checkpoint {str(path)!r} ").removeprefix(f"{str(path)!r} ")
        return Examined(path.name, True, False, f"damaged: {reason}" if "damaged" not in reason else reason)
    return Examined(path.name, True, True, words, content)


def _model(path: Path) -> Examined:
    def look(path: Path) -> tuple[str, Any]:
        document, _ = read(path)
        model = load(path)
        words = f"intact: a {type(model).__name__}, {_epochs(model.n_epochs_)}"
        if document["format"] in WITHOUT_CHECKSUM:
            words = (
                f"can be read: a {type(model).__name__}, {_epochs(model.n_epochs_)}, of format {document['format']},"
                " which has no checksum; load and save it once to give it one"
            )
        return words, model

    return _examined(path, look)


def _checkpoint(path: Path) -> Examined:
    def look(path: Path) -> tuple[str, Any]:
        state = read_tree(path)["state"]
        words = f"intact: a training after {_epochs(int(state['epoch']))}, at step {int(state['step'])}"
        holder = FileLock(path).holder()
        return words + ("" if holder is None else f"; in use by {holder}"), state

    return _examined(path, look)


def _described(path: Path, model: Examined) -> Examined:
    def look(path: Path) -> tuple[str, Any]:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts, dict) or not isinstance(facts.get("estimator"), str):
            raise ValueError("it is no description of a run")
        if model.content is not None and facts["estimator"] != type(model.content).__name__:
            raise ValueError(f"it describes a {facts['estimator']}, and the model is another")
        return f"intact: how a {facts['estimator']} is trained", facts

    return _examined(path, look)


def _history(path: Path, model: Examined) -> Examined:
    def look(path: Path) -> tuple[str, Any]:
        with path.open(encoding="utf-8", newline="") as file:
            names, *rows = csv.reader(file)
        if any(len(row) != len(names) for row in rows):
            raise ValueError("a row has more or fewer values than the header")
        for row in rows:
            for value in row:
                float(value)
        if model.content is not None and len(rows) != model.content.n_epochs_:
            raise ValueError(
                f"it has {len(rows)} rows, and the model was trained for another number of epochs"
            )
        return f"intact: {_epochs(len(rows))}", rows

    return _examined(path, look)


def _recovery(
    run: Path, model: Examined, checkpoint: Examined, description: Examined, history: Examined
) -> list[str]:
    """Sentences on what can be done, one for each fault."""
    usable, resumable = model.there and model.whole, checkpoint.there and checkpoint.whole
    found = []
    if not usable and resumable:
        held = f"The checkpoint holds the training up to step {checkpoint.content['step']}."
        found.append(f"{held} {_continuing(run, description)}")
    elif not usable:
        command = description.content.get("command") if isinstance(description.content, dict) else None
        again = f" Train it again with: {_written(command)}" if command else " Train it again."
        found.append(f"Without a whole model or checkpoint, nothing of the training can be recovered.{again}")
    if not checkpoint.whole:
        found.append(
            f"Delete {str(run / CHECKPOINT)!r}." + (" The model does not need it." if usable else "")
        )
    if not history.whole and usable:
        found.append("The history of every epoch is in the model, too: regen.load(...).history_")
    if not description.whole and usable:
        found.append(f"The model can be used without {DESCRIPTION}; regen resume cannot.")
    return (
        found
        if not all(each.whole for each in (model, checkpoint, description, history)) or not usable
        else []
    )


def _continuing(run: Path, description: Examined) -> str:
    """How to go on from a checkpoint."""
    if description.there and description.whole:
        return f"Continue it, which writes the model anew, with: {resume_command(run)}"
    path = str(run / CHECKPOINT)
    return f"Fit the same estimator on the same data in Python with training={{'checkpoint': {path!r}}}."


def _is_checkpoint(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            metadata = read_header(file, CHECKPOINT_KEY).metadata
    except (InvalidFileError, OSError):
        return False
    return CHECKPOINT_KEY in metadata or metadata.get("format") == CHECKPOINT_KEY


def _epochs(count: int) -> str:
    return f"{count} epoch{'' if count == 1 else 's'}"


def _written(command: Any) -> str:
    return shlex.join(map(str, command)) if isinstance(command, list) else str(command)
