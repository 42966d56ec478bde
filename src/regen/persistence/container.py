"""The file: safetensors with one JSON document in its header, read with suspicion and written whole or not at all."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from regen import _tensor_files
from regen._tensor_files import DAMAGE, Header, InvalidFileError, loads, read_header, read_tensors, verify

__all__ = ["read", "write"]

KEY = "regen"
FORMAT = 2
WITHOUT_CHECKSUM = (1,)
"""Formats whose files have no checksum."""
READS = "regen.load reads what regen.save wrote."
ADVICE = {
    "empty": "Save the model again.",
    "truncated": "Copy or save it again.",
    "stranger": READS,
    "damaged": "Save the model again.",
    "newer": "Upgrade regen.",
}
DTYPES = {
    **{f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"F{bits}" for bits in (16, 32, 64)},
    "bool": "BOOL",
    "bfloat16": "BF16",
}
"""Names of dtypes in the header by those in the document."""
DATES = "I64"
"""The one of dates, whose dtypes have a unit each."""


def write(path: Path, document: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
    """Replace the file at `path`, or leave everything as it was and raise OSError."""
    _tensor_files.write(path, KEY, document, tensors)


def read(path: Path) -> tuple[Any, dict[str, Tensor]]:
    """The JSON document and the tensors of the file at `path`.

    The document is compared with the header, and all bytes with their checksum, before the tensors are decoded.

    Raises
    ------
    ValueError
        One sentence for each way in which a file can be another one: empty, cut short, a pickle, a zip file, any
        other bytes, safetensors without our document, or altered.
    """
    try:
        with path.open("rb") as file:
            header = read_header(file, KEY)
            document = _document(header)
            if _format(document) > FORMAT:
                if header.has_checksum:
                    verify(file, KEY)
                raise _newer(_format(document))
            _refuse_other(document, header)
            _compare(document, header)
            if header.has_checksum:
                verify(file, KEY)
            return document, read_tensors(file, header)
    except InvalidFileError as error:
        raise ValueError(f"{str(path)!r} {error}. {ADVICE[error.kind]}") from error


def damaged(name: str, reason: object) -> ValueError:
    """The refusal of a file that is ours and cannot be right."""
    return ValueError(f"{name!r} is damaged or was altered: {reason}. {ADVICE['damaged']}")


def _document(header: Header) -> Any:
    """The document, without its checksum."""
    if KEY not in header.metadata:
        raise InvalidFileError("stranger", "is a safetensors file without a regen model in it")
    try:
        document = loads(header.metadata[KEY])
    except DAMAGE as error:
        raise _damaged("its description is no JSON") from error
    if header.has_checksum:
        document.pop("sha256")
    return document


def _format(document: Any) -> int:
    """The number of the format; 0 where there is none."""
    number = document.get("format") if isinstance(document, dict) else None
    return number if type(number) is int and number > 0 else 0


def _refuse_other(document: Any, header: Header) -> None:
    """Refuse a document without the parts of a model, and one that must have a checksum and has none."""
    if not _format(document) or set(document) - {"sha256"} != {
        "format",
        "regen",
        "class",
        "params",
        "fitted",
    }:
        raise _damaged("its description lacks format, regen, class, params or fitted, or has more")
    if "sha256" in document or (not header.has_checksum and document["format"] not in WITHOUT_CHECKSUM):
        raise _damaged("its checksum is not at its place")


def _compare(document: Any, header: Header) -> None:
    """Refuse a document that does not use each tensor of the file once, with its dtype and its shape."""
    unused = dict(header.entries)
    for spec in _specs(document):
        name, dtype, shape = spec["entry"], spec["dtype"], spec["shape"]
        if not isinstance(name, str) or name not in unused:
            raise _damaged(f"the tensor {name!r} is missing or used twice")
        stored, size = unused.pop(name)
        if size != shape:
            raise _damaged(f"the tensor {name!r} has shape {size} instead of {shape}")
        if not isinstance(dtype, str) or stored != DTYPES.get(dtype, DATES):
            raise _damaged(f"the tensor {name!r} holds {stored} instead of {dtype}")
    if unused:
        raise _damaged(f"nothing uses the tensor {min(unused)!r}")


def _specs(document: Any) -> Iterator[dict[str, Any]]:
    """Every place of the document that names a tensor."""
    waiting = [document]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            for tag in ("array", "tensor"):
                if isinstance(node.get(tag), dict) and set(node[tag]) == {"entry", "dtype", "shape"}:
                    yield node[tag]
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _newer(number: int) -> InvalidFileError:
    return InvalidFileError(
        "newer", f"was written by a newer regen (format {number}); this one reads formats up to {FORMAT}"
    )


def _damaged(reason: str) -> InvalidFileError:
    return InvalidFileError("damaged", f"is damaged or was altered: {reason}")
