"""Run folders: everything of one training, in files that other programs can read too.

``run.json`` is written before training begins, so that a run that was killed can be resumed; its state is in
``checkpoint.safetensors`` until it is finished.
"""

import json
import platform
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, final

from regen import __version__
from regen._files import FileLock, atomic_write, sweep
from regen.cli.errors import say
from regen.cli.tables import columns_of
from regen.data.io.paths import make_folder
from regen.persistence import save
from regen.training.checkpoint import read_tree

__all__ = [
    "CHECKPOINT",
    "DESCRIPTION",
    "HISTORY",
    "MODEL",
    "REPORT",
    "Run",
    "claimed",
    "described",
    "label_of",
    "opened",
    "refuse_unfinished",
    "resume_command",
    "versions",
]

MODEL, HISTORY, DESCRIPTION = "model.safetensors", "history.csv", "run.json"
CHECKPOINT, FORMER_CHECKPOINT = "checkpoint.safetensors", "checkpoint.former.safetensors"
REPORT = "report.html"
"""Written by `regen inspect`; that of an earlier run in the same folder is removed."""


@final
@dataclass(frozen=True)
class Run:
    """A folder that is ours to write in, claimed at `began` (seconds of the monotonic clock).

    checkpoint : where the state of the training is; None for nowhere.
    """

    folder: Path
    checkpoint: Path | None
    began: float

    @property
    def seconds(self) -> float:
        """Since the folder was claimed."""
        return time.monotonic() - self.began

    def begin(self, facts: dict[str, Any]) -> None:
        """Describe a training that is to begin: `facts` are what `regen resume` needs."""
        _write_json(self.folder / DESCRIPTION, facts | {"finished": False, "versions": versions()})

    def keep(self, model: Any, *, finished: bool) -> None:
        """Write the model, its history and how its training ended; a run that is finished needs no checkpoint."""
        (self.folder / REPORT).unlink(missing_ok=True)
        save(model, self.folder / MODEL)
        _write(self.folder / HISTORY, _csv(columns_of(model.history_)))
        seconds = max([self.seconds, *model.epochs_.get("seconds", [])[-1:]])
        ending = {"seconds": round(seconds, 3), "stopped": model.stopped_, "finished": finished}
        _write_json(self.folder / DESCRIPTION, described(self.folder) | ending)
        if finished and self.checkpoint == self.folder / CHECKPOINT:
            self.checkpoint.unlink(missing_ok=True)


@contextmanager
def claimed(folder: Path, force: bool, checkpoint: Path | None) -> Iterator[Run]:
    """A folder for one run: created and tested before training begins, and as it was before when training fails.

    What was trained until then stays, with the description of the run, so that it can be resumed.

    Raises
    ------
    ValueError
        When there is a run in it already, unless `force`, or something else.
    OSError
        When it cannot be written in.
    """
    _refuse_full(folder, force)
    made = [] if folder.exists() else [path for path in (folder, *folder.parents) if not path.exists()]
    former = _read(folder / DESCRIPTION)
    own = folder / CHECKPOINT
    before = 0 if checkpoint == own else _steps(checkpoint)
    try:
        make_folder(folder, "Choose another with --output.")
        _move(own, folder / FORMER_CHECKPOINT)  # of a run that is replaced
        yield Run(folder, checkpoint, time.monotonic())
    except BaseException:
        if (steps := _steps(checkpoint)) > before:
            say(f"{steps} steps of the training are kept. Continue it with: {resume_command(folder)}")
        else:
            with suppress(OSError):
                own.unlink(missing_ok=True)
            _move(folder / FORMER_CHECKPOINT, own)
            _restore(folder / DESCRIPTION, former)
            sweep(folder)
            _remove(made)
        raise
    (folder / FORMER_CHECKPOINT).unlink(missing_ok=True)


@contextmanager
def opened(folder: Path, checkpoint: Path | None) -> Iterator[Run]:
    """The folder of a run that is resumed; its description is as it was before when the training is refused."""
    _refuse_busy(folder)
    make_folder(folder)
    former = _read(folder / DESCRIPTION)
    try:
        yield Run(folder, checkpoint, time.monotonic())
    except Exception:
        _restore(folder / DESCRIPTION, former)
        raise
    (folder / FORMER_CHECKPOINT).unlink(missing_ok=True)


def described(path: Path) -> dict[str, Any]:
    """The contents of `run.json` of the run at `path`; empty when there is none."""
    try:
        facts = json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def label_of(path: Path) -> list[str]:
    """Columns of labels that the run at `path` was fitted with, or without: those that are no part of a row."""
    label = described(path).get("label") or []
    return [label] if isinstance(label, str) else list(label)


def refuse_unfinished(path: Path) -> None:
    """Refuse a run that has no model yet."""
    if described(path).get("finished") is False and not (path / MODEL).exists():
        raise ValueError(
            f"The run in {str(path)!r} is not finished and has no model yet. Continue it with: {resume_command(path)}"
        )


def resume_command(folder: Path) -> str:
    """The command that continues a run."""
    return f"regen resume {shlex.quote(str(folder))}"


def versions() -> dict[str, str]:
    """Those of regen, Python and the packages that compute."""
    packages = {name: version(name) for name in ("torch", "numpy", "scikit-learn")}
    return {"regen": __version__, "python": platform.python_version(), **packages}


def _refuse_full(folder: Path, force: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"The output folder {str(folder)!r} is a file. Choose another with --output.")
    _refuse_busy(folder)
    sweep(folder)  # a fit may have been killed before it wrote anything else
    if (folder / MODEL).exists() or (folder / DESCRIPTION).exists():
        if not force:
            begun = described(folder).get("finished") is False
            what, also = ("an unfinished run", f"Continue it with {resume_command(folder)}, choose")
            what, also = (what, also) if begun else ("a run", "Choose")
            raise ValueError(
                f"There is {what} in {str(folder)!r} already. {also} another folder with --output, or replace it"
                " with --force."
            )
    elif any(folder.iterdir()):
        raise ValueError(
            f"The output folder {str(folder)!r} is not empty and holds no run. Choose another with --output."
        )


def _refuse_busy(folder: Path) -> None:
    """Refuse a run that another process is training."""
    holder = FileLock(folder / CHECKPOINT).holder()
    if holder is not None:
        raise ValueError(
            f"The run in {str(folder)!r} is being trained by {holder}. Wait until that training ends, or end it."
        )


def _steps(checkpoint: Path | None) -> int:
    """Steps of the training whose state is in a file; 0 without one, or when it cannot be read."""
    try:
        return 0 if checkpoint is None else int(read_tree(checkpoint)["state"]["step"])
    except (OSError, ValueError, LookupError, TypeError):
        return 0


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _restore(path: Path, content: bytes | None) -> None:
    """Bring back what a file was, or that there was none, as far as that is possible."""
    with suppress(OSError):
        if content is None:
            path.unlink(missing_ok=True)
        else:
            with atomic_write(path) as file:
                file.write(content)


def _move(path: Path, to: Path) -> None:
    with suppress(OSError):
        path.replace(to)


def _remove(made: list[Path]) -> None:
    """Take away empty folders, the innermost first."""
    for path in made:
        try:
            path.rmdir()
        except OSError:
            return


def _csv(columns: dict[str, list[Any]]) -> str:
    """Columns of numbers as CSV, each number as short as it can be read back exactly."""
    rows = [list(columns), *([repr(value) for value in row] for row in zip(*columns.values(), strict=True))]
    return "".join(",".join(row) + "\n" for row in rows)


def _write_json(path: Path, facts: dict[str, Any]) -> None:
    _write(path, json.dumps(facts, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text.encode())
