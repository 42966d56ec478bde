"""Arrays in files: NumPy's ``.npy`` and ``.npz``, of numbers only, read without opening Python objects."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from regen._files import atomic_write
from regen.data.io.paths import not_found_error

__all__ = ["ARRAYS", "InvalidFileError", "read_array", "read_labels", "refuse_zip_bomb", "write_array"]

ARRAYS = (".npy", ".npz")
UNPACKED, RATIO = 64 << 20, 100
"""Bytes that any archive may unpack to, and times its own size that a larger one may."""
DAMAGED = (
    *(ValueError, TypeError, AttributeError, KeyError, OverflowError, MemoryError, RecursionError),
    *(OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, SyntaxError, TokenError),
)


class InvalidFileError(ValueError):
    """A file with a fault that the message names."""


def read_array(path: str | PathLike[str], name: str = "X") -> NDArray[Any]:
    """The array of numbers or truth values in a ``.npy`` file, or in a ``.npz`` archive.

    Parameters
    ----------
    path : of the file.
    name : of the array in an archive, when it holds more than one.

    Returns
    -------
    An array of the shape and dtype of the file.

    Raises
    ------
    FileNotFoundError
        When there is no such file; the message names the closest one in its folder.
    ValueError
        When the file is damaged, was cut short, holds Python objects or text, has no such array, or is an archive
        that unpacks to more than 64 MiB and more than 100 times its size.
    """
    path = Path(path)
    array = _read(path, lambda: _npz(path, name) if path.name.lower().endswith(".npz") else _npy(path))
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{str(path)!r} must hold numbers or truth values. It holds {array.dtype} instead.")
    return array


def read_labels(path: str | PathLike[str]) -> NDArray[Any] | None:
    """The array y in a ``.npz`` archive of rows X: their labels (n,), numbers, truth values or texts; or None.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_array`.
    """
    path = Path(path)
    labels = _read(path, lambda: _npz(path, "y") if "y" in _names(path) else np.empty(0))
    if labels.dtype.kind not in "biufU":
        raise ValueError(
            f"y in {str(path)!r} must hold labels: numbers or texts. It holds {labels.dtype} instead."
        )
    return labels if labels.size else None


def write_array(
    path: str | PathLike[str], array: NDArray[Any], name: str = "X", labels: NDArray[Any] | None = None
) -> None:
    """Write an array of any shape as ``.npy``, or in a ``.npz`` archive; the file appears whole or not at all.

    array : (n, ...) numbers. name : of the array in an archive. labels : (n,) to store in the archive as y.
    """
    path = Path(path)
    extra = {} if labels is None else {"y": labels}
    with atomic_write(path) as file:
        if path.name.lower().endswith(".npz"):
            np.savez(file, **{name: array}, **extra)  # type: ignore[arg-type]  # for the stub it is allow_pickle
        else:
            np.save(file, array, allow_pickle=False)


def refuse_zip_bomb(path: Path) -> None:
    """Refuse a zip bomb, an archive that is small on the disk and fills the memory, by the sizes that it declares.

    No member can unpack to more than it declares: what is beyond is not read.
    """
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    packed = path.stat().st_size
    if unpacked > UNPACKED and unpacked > RATIO * packed:
        raise InvalidFileError(
            f"{str(path)!r} has {packed} bytes and would unpack to {unpacked}, more than {RATIO} times as many."
            " If that is right, save it without compression, with numpy.savez."
        )


def _read(path: Path, read: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """The array that `read` returns, or an error that names the fault."""
    if not path.is_file():
        raise not_found_error(path)
    try:
        return read()
    except InvalidFileError:
        raise
    except PermissionError:
        raise PermissionError(f"{str(path)!r} cannot be read: permission denied.") from None
    except DAMAGED as error:
        raise ValueError(
            f"{str(path)!r} is no NumPy file of numbers: it is damaged, was cut short, or holds Python objects, which"
            " regen does not open."
        ) from error


def _names(path: Path) -> list[str]:
    """The arrays of an archive."""
    with zipfile.ZipFile(path) as archive:
        return [member.removesuffix(".npy") for member in archive.namelist()]


def _npy(path: Path) -> NDArray[Any]:
    with path.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":
            raise InvalidFileError(
                f"{str(path)!r} is an archive of arrays. Give it a name that ends in .npz."
            )
        file.seek(0)
        _refuse_short(file, path.stat().st_size)
        file.seek(0)
        return np.load(file, allow_pickle=False)  # type: ignore[no-any-return]


def _npz(path: Path, name: str) -> NDArray[Any]:
    refuse_zip_bomb(path)
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        names = list(archive.files)
        if name not in names and len(names) != 1:
            found = ", ".join(names) or "nothing"
            raise InvalidFileError(f"{str(path)!r} has no array {name}. It holds {found}.")
        name = name if name in names else names[0]
        with zipfile.ZipFile(path) as members, members.open(f"{name}.npy") as member:
            _refuse_short(member, members.getinfo(f"{name}.npy").file_size)
        return archive[name]  # type: ignore[no-any-return]


def _refuse_short(file: IO[bytes], size: int) -> None:
    """Refuse an array that its header declares larger than the file, before memory is taken for it."""
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, _, dtype = read[version](file)
    if math.prod(shape) * dtype.itemsize > size or min(shape, default=0) < 0:
        raise EOFError
