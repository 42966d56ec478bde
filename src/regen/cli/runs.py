"""Run folders: everything of one training, in files that other programs can read too."""

import json
import platform
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, final

from regen import __version__
from regen._files import atomic_write
from regen.cli.tables import columns_of
from regen.data.io.paths import make_folder
from regen.persistence import save

__all__ = ["REPORT", "Run", "claimed", "described", "label_of"]

MODEL, HISTORY, DESCRIPTION = "model.safetensors", "history.csv", "run.json"
REPORT = "report.html"
"""Written by `regen inspect`; that of an earlier run in the same folder is removed."""


@final
@dataclass(frozen=True)
class Run:
    """A folder that is ours to write in, claimed at `began` (seconds of the monotonic clock)."""

    folder: Path
    began: float

    @property
    def seconds(self) -> float:
        """Since the folder was claimed."""
        return time.monotonic() - self.began

    def keep(self, model: Any, facts: dict[str, Any]) -> None:
        """Write the model, its history, and what made it; `facts` join the description."""
        (self.folder / REPORT).unlink(missing_ok=True)
        save(model, self.folder / MODEL)
        _write(self.folder / HISTORY, _csv(columns_of(model.history_)))
        facts = {
            "estimator": type(model).__name__,
            **facts,
            "seconds": round(self.seconds, 3),
            "stopped": model.stopped_,
            "command": shlex.join(["regen", *sys.argv[1:]]),
            "versions": {
                "regen": __version__,
                "python": platform.python_version(),
                **{name: version(name) for name in ("torch", "numpy", "scikit-learn")},
            },
        }
        _write(self.folder / DESCRIPTION, json.dumps(facts, indent=2) + "\n")


@contextmanager
def claimed(folder: Path, force: bool) -> Iterator[Run]:
    """A folder for one run: created and tested before training begins, removed again when training fails.

    Raises
    ------
    ValueError
        When there is a run in it already, unless `force`, or something else.
    OSError
        When it cannot be written in.
    """
    _refuse_full(folder, force)
    made = [] if folder.exists() else [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        make_folder(folder, "Choose another with --output.")
        yield Run(folder, time.monotonic())
    except BaseException:
        _remove(made)
        raise


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


def _refuse_full(folder: Path, force: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"The output folder {str(folder)!r} is a file. Choose another with --output.")
    if (folder / MODEL).exists() or (folder / DESCRIPTION).exists():
        if not force:
            raise ValueError(
                f"There is a run in {str(folder)!r} already. Choose another folder with --output, or replace it"
                " with --force."
            )
    elif any(folder.iterdir()):
        raise ValueError(
            f"The output folder {str(folder)!r} is not empty and holds no run. Choose another with --output."
        )


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


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text.encode())
