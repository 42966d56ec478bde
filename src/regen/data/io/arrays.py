"""Arrays in files: NumPy's ``.npy`` and ``.npz``, of numbers only, read without opening Python objects."""

from __future__ import annotations

import lzma
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from regen._files import atomic_write
from regen.data.io.limits import refuse_bomb
from regen.data.io.paths import not_found_error

__all__ = ["ARRAYS", "names_of_arrays", "read_array", "read_labels", "write_array"]

ARRAYS = (".npy", ".npz")
NUMBERS, LABELS = "biuf", "biufU"
"""Kinds of dtypes, as numpy names them."""
DAMAGED = (
    *(
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        OverflowError,
        RuntimeError,
        SyntaxError,
        TokenError,
    ),
    *(OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, struct.error),
)


class _InvalidFileError(ValueError):
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
        When the file is damaged, was cut short, holds Python objects or text, which its header tells before it is
        read, has no such array, or is an archive that unpacks to more than 64 MiB and more than 100 times its size.
        The environment variable ``REGEN_UNPACK_LIMIT`` raises that limit to a number of bytes.
    """
    return _read(Path(path), name, NUMBERS, "{path} must hold numbers or truth values.")


def read_labels(path: str | PathLike[str]) -> NDArray[Any] | None:
    """The array y in a ``.npz`` archive of rows X: their labels (n,), numbers, truth values or texts; or None.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_array`.
    """
    if "y" not in names_of_arrays(path):
        return None
    labels = _read(Path(path), "y", LABELS, "y in {path} must hold labels: numbers or texts.")
    return labels if labels.size else None


def names_of_arrays(path: str | PathLike[str]) -> list[str]:
    """Names of the arrays in a ``.npz`` archive.

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_array`.
    """
    path = Path(path)
    with _whole(path), zipfile.ZipFile(path) as archive:
        return [member.removesuffix(".npy") for member in archive.namelist()]


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


def _read(path: Path, name: str, kinds: str, expected: str) -> NDArray[Any]:
    """The array in a file, of one of `kinds` of dtypes; an error that begins with `expected` for others."""
    with _whole(path):
        if not path.name.lower().endswith(".npz"):
            return _npy(path, kinds, expected)
        with zipfile.ZipFile(path) as archive:
            return _npz(path, archive, name, kinds, expected)


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Turn what NumPy and zipfile raise for a damaged file into a sentence."""
    if not path.exists():
        raise not_found_error(path)
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is no file. Give a file of numbers.")
    try:
        yield
    except (_InvalidFileError, MemoryError):
        raise
    except PermissionError:
        raise PermissionError(f"{str(path)!r} cannot be read: permission denied.") from None
    except DAMAGED as error:
        raise ValueError(_damaged(path)) from error


def _damaged(path: Path) -> str:
    return (
        f"{str(path)!r} is no NumPy file of numbers: it is damaged, was cut short, or holds Python objects, which"
        " regen does not open."
    )


def _npy(path: Path, kinds: str, expected: str) -> NDArray[Any]:
    with path.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":
            raise _InvalidFileError(
                f"{str(path)!r} is an archive of arrays. Give it a name that ends in .npz."
            )
        file.seek(0)
        _check_header(path, file, path.stat().st_size, kinds, expected)
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)


def _npz(path: Path, archive: zipfile.ZipFile, name: str, kinds: str, expected: str) -> NDArray[Any]:
    members = archive.infolist()
    try:
        # No member unpacks to more than it declares: what is beyond is not read.
        unpacked = sum(member.file_size for member in members)
        refuse_bomb(path, unpacked, "save it without compression, with numpy.savez")
    except ValueError as error:
        raise _InvalidFileError(str(error)) from None
    names = [member.filename.removesuffix(".npy") for member in members]
    if name not in names and len(names) != 1:
        found = ", ".join(names) or "nothing"
        raise _InvalidFileError(f"{str(path)!r} has no array {name}. It holds {found}.")
    chosen = members[names.index(name) if name in names else 0]
    with archive.open(chosen) as file:
        _check_header(path, file, chosen.file_size, kinds, expected)
    with archive.open(chosen) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        if file.read(1):  # zipfile compares the checksum once it has read to the end
            raise _InvalidFileError(_damaged(path))
    return array


def _check_header(path: Path, file: IO[bytes], size: int, kinds: str, expected: str) -> None:
    """Refuse an array of other kinds, or declared larger than its file, before memory is taken for it."""
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, _, dtype = read[version](file)
    except MemoryError as error:  # Python's parser, of too many brackets
        raise _InvalidFileError(_damaged(path)) from error
    if dtype.hasobject or math.prod(shape) * dtype.itemsize > size or min(shape, default=0) < 0:
        raise _InvalidFileError(_damaged(path))
    if dtype.kind not in kinds:
        raise _InvalidFileError(f"{expected.format(path=repr(str(path)))} It holds {dtype} instead.")
