"""Files and folders that the user names: those that are not there, and those that cannot be written."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

from regen._check import closest

__all__ = ["content_digest", "make_folder", "not_found_error"]


def not_found_error(path: Path, kind: str = "file") -> FileNotFoundError:
    """The error for a path at which there is nothing; it names the closest one in the folder."""
    if path.is_symlink():
        return FileNotFoundError(
            f"{str(path)!r} is a link to {str(path.readlink())!r}, which does not exist. Give the path of a {kind}."
        )
    near: list[str] = []
    with suppress(OSError):  # a folder that may not be read has no neighbours to name
        near = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    return FileNotFoundError(f"There is no {kind} {str(path)!r}.{closest(path.name, near)}")


def make_folder(folder: Path, advice: str = "Choose another.") -> None:
    """Make a folder for output, with those above it, and try to write in it; OSError, in words, if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise type(error)(
            f"The output folder {str(folder)!r} cannot be written: {error.strerror or error}. {advice}"
        ) from error


def content_digest(path: Path) -> str | None:
    """SHA-256 of the content of a file, or of the names and contents of all files below a folder.

    None for a pipe or device, whose content can be read only once, and for what cannot be read.
    """
    try:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file())
            parts = [f"{file.relative_to(path).as_posix()} {_file_digest(file)}\n" for file in files]
            return hashlib.sha256("".join(parts).encode()).hexdigest()
        return _file_digest(path) if path.is_file() else None
    except OSError:
        return None


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
