"""Safetensors files with one JSON document and a checksum, judged from their header before the rest is read.

The header's metadata has one entry, whose text is the document. The document begins with ``sha256``: the SHA-256, in
hexadecimal digits, of the whole file with zeros in the place of these digits. So it covers every byte of data and of
description, and stands at the same offset in every file of one kind.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, NoReturn, final

import torch
from torch import Tensor

from regen._files import atomic_write

__all__ = [
    "DAMAGE",
    "Header",
    "InvalidFileError",
    "dumps",
    "loads",
    "read_header",
    "read_tensors",
    "verify",
    "write",
]

LONGEST_HEADER = 100_000_000
"""Bytes; the limit that safetensors itself sets."""
BLOCK = 1 << 20
MOST_DIMENSIONS = 64
"""As in torch and numpy."""
NAMES = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.int16: "I16",
    torch.uint16: "U16",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int32: "I32",
    torch.uint32: "U32",
    torch.float32: "F32",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.uint64: "U64",
}
"""Names of dtypes in the header."""
DTYPES = tuple(NAMES)
"""In reversed order, tensors stand in the file: the longest numbers first, so that all are aligned."""
BY_NAME = {name: dtype for dtype, name in NAMES.items()}
FIELD = "sha256"
ZEROS = b"0" * 64
DAMAGE = (KeyError, TypeError, ValueError, OverflowError, RuntimeError, AttributeError, IndexError)
"""What decoding altered bytes may raise; RecursionError is a RuntimeError."""


Kind = Literal["empty", "truncated", "stranger", "damaged", "newer"]


@final
class InvalidFileError(ValueError):
    """A file that is none of ours or not as it was written; the message continues a sentence that its path begins.

    Attributes
    ----------
    kind : "empty", "truncated", "stranger" (of another program), "damaged" or "newer" (than this version).
    """

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@final
class Header(NamedTuple):
    """The contents of the header of a file.

    metadata : texts by name.
    entries : dtype, as safetensors names it, and shape of each tensor, in the order of their data.
    has_checksum : whether the document begins with one.
    start : offset of the first tensor's data in the file.
    """

    metadata: dict[str, str]
    entries: dict[str, tuple[str, list[int]]]
    has_checksum: bool
    start: int


def write(path: Path, key: str, document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Replace the file at `path` by one with `document` in its metadata under `key`, or raise OSError.

    The tensors are written from where they are, without a copy of all of them in memory. The same document and
    tensors give the same bytes. (`safetensors.torch.save` copies them, writes metadata in an order that changes, and
    ends in an error of Rust, which no handler expects, where there is no memory for the copy.)
    """
    order = sorted(tensors, key=lambda name: (-DTYPES.index(tensors[name].dtype), name))
    parts = [_bytes_of(tensors[name]) for name in order]
    ends = list(accumulate(len(part) for part in parts))
    header: dict[str, Any] = {"__metadata__": {key: dumps({FIELD: ZEROS.decode(), **document})}}
    for name, part, end in zip(order, parts, ends, strict=True):
        dtype, shape = NAMES[tensors[name].dtype], list(tensors[name].shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end - len(part), end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    start = len(text).to_bytes(8, "little") + text
    digest = hashlib.sha256(start)
    for part in parts:
        digest.update(part)
    place = _place(key)
    with atomic_write(path) as file:
        file.write(start[:place] + digest.hexdigest().encode() + start[place + len(ZEROS) :])
        for part in parts:
            file.write(part)


def _bytes_of(tensor: Tensor) -> memoryview:
    """The numbers of a tensor on the CPU, row by row, as bytes."""
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data


def read_header(file: IO[bytes], key: str) -> Header:
    """The header of an open file, without reading further.

    Raises
    ------
    InvalidFileError
        When the file is empty, cut short, a pickle, a zip archive or any other bytes, or its header is none.
    """
    size = os.fstat(file.fileno()).st_size
    if not size:
        raise InvalidFileError("empty", "is empty")
    file.seek(0)
    start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    if start[8:] != b"{" or length > LONGEST_HEADER:
        _refuse_stranger(file, start)
    _refuse_short(8 + length, size)
    file.seek(8)
    text = file.read(length)
    try:
        header = loads(text.decode())
        metadata = header.pop("__metadata__", {})
        entries = {name: (entry["dtype"], entry["shape"]) for name, entry in header.items()}
        spans = sorted((*_offsets(entry["data_offsets"]), name) for name, entry in header.items())
        if not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("metadata holds texts only")
    except DAMAGE as error:
        raise _damaged("its header is no safetensors header") from error
    end = max((span[1] for span in spans), default=0)
    _refuse_short(8 + length + end, size)
    if size != 8 + length + end or not _side_by_side(spans, entries):
        raise _damaged("its tensors cannot be read (they are not of their shapes, overlap, or leave gaps)")
    in_order = {name: entries[name] for *_, name in spans}
    return Header(metadata, in_order, text.startswith(_start(key)), 8 + length)


def verify(file: IO[bytes], key: str) -> None:
    """Refuse an open file whose bytes are not those that were written; read block by block.

    Raises
    ------
    InvalidFileError
        When they differ from the checksum, which `Header.has_checksum` must have found.
    """
    place = _place(key)
    digest = hashlib.sha256()
    file.seek(0)
    digest.update(file.read(place))
    expected = file.read(len(ZEROS))
    digest.update(ZEROS)
    while block := file.read(BLOCK):
        digest.update(block)
    if digest.hexdigest().encode() != expected:
        raise _damaged("its content does not have the checksum that was written with it")


def read_tensors(file: IO[bytes], header: Header) -> dict[str, Tensor]:
    """All tensors of an open file, by name, each read into its own memory.

    Raises
    ------
    InvalidFileError
        When the file ends before them, or a tensor of truth values has other numbers.
    MemoryError
        When there is no memory for them. (`safetensors.torch.load`, which takes the bytes of the whole file at once,
        would end in an error of Rust there.)
    """
    file.seek(header.start)
    return {name: _read_tensor(file, name, dtype, shape) for name, (dtype, shape) in header.entries.items()}


def _read_tensor(file: IO[bytes], name: str, dtype: str, shape: list[int]) -> Tensor:
    """The next tensor of a file."""
    size = BY_NAME[dtype].itemsize * math.prod(shape)
    try:
        content = torch.empty(size, dtype=torch.uint8)
    except RuntimeError as error:
        raise MemoryError(
            f"There is not enough memory for the tensor {name!r} of {file.name!r}, which takes {size} bytes. Free"
            " some memory, or read the file on a larger machine."
        ) from error
    if file.readinto(content.numpy().data) != size:  # type: ignore[attr-defined]
        raise _damaged(f"it ends within the tensor {name!r}")
    if dtype == "BOOL" and bool((content > 1).any()):
        raise _damaged(f"the tensor {name!r} holds other numbers than truth values")
    try:
        return content.view(BY_NAME[dtype]).reshape(shape)
    except RuntimeError as error:
        raise _damaged(f"the tensor {name!r} cannot have the shape {tuple(shape)}") from error


def dumps(document: Any) -> str:
    """Strict JSON, as short as it can be."""
    return json.dumps(document, allow_nan=False, separators=(",", ":"))


def loads(text: str) -> Any:
    """Strict JSON: no NaN or Infinity, no name twice in an object."""
    return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)


def _offsets(offsets: Any) -> tuple[int, int]:
    begin, end = offsets
    if type(begin) is not int or type(end) is not int:
        raise TypeError("offsets are ints")
    return begin, end


def _side_by_side(spans: list[tuple[Any, ...]], entries: Mapping[str, tuple[Any, Any]]) -> bool:
    """Whether each tensor begins where the one before it ends, and has the bytes that its shape needs."""
    place = 0
    for span in spans:
        begin, end, name = span
        dtype, shape = entries[name]
        if not isinstance(dtype, str) or dtype not in BY_NAME or not _is_shape(shape):
            return False
        if begin != place or end - begin != BY_NAME[dtype].itemsize * math.prod(shape):
            return False
        place = end
    return True


def _is_shape(shape: Any) -> bool:
    return (
        isinstance(shape, list)
        and len(shape) <= MOST_DIMENSIONS
        and all(type(size) is int and 0 <= size < 1 << 63 for size in shape)
    )


def _start(key: str) -> bytes:
    """How the header of a file with a checksum begins."""
    return b'{"__metadata__":{"%s":"{\\"%s\\":\\"' % (key.encode(), FIELD.encode())


def _place(key: str) -> int:
    """Offset of the digits of the checksum in a file."""
    return 8 + len(_start(key))


def _damaged(reason: str) -> InvalidFileError:
    return InvalidFileError("damaged", f"is damaged or was altered: {reason}")


def _refuse_stranger(file: IO[bytes], start: bytes) -> NoReturn:
    file.seek(-1, os.SEEK_END)
    last = file.read(1)
    if start[:2] == b"PK":
        raise InvalidFileError("stranger", "is a zip archive, such as torch.save writes")
    if (start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05") or last == b".":
        raise InvalidFileError(
            "stranger", "is a pickle, which can run any code when opened; regen never does"
        )
    raise InvalidFileError("stranger", "is not a regen file")


def _refuse_short(needed: int, size: int) -> None:
    if size < needed:
        raise InvalidFileError("truncated", f"is truncated: it holds {size} bytes of at least {needed}")


def _refuse_constant(token: str) -> NoReturn:
    raise ValueError(f"{token} is no JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    items = dict(pairs)
    if len(items) != len(pairs):
        raise ValueError("a name comes twice")
    return items
