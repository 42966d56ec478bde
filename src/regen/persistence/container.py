"""The file: safetensors with one JSON document in its header, read with suspicion and written whole or not at all."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from regen._files import atomic_write

__all__ = ["read", "write"]

KEY = "regen"
LONGEST_HEADER = 100_000_000
"""Bytes; the limit that safetensors itself sets."""
READS = "regen.load reads what regen.save wrote."
DAMAGE = (KeyError, TypeError, ValueError, OverflowError, RuntimeError, AttributeError, IndexError)
"""What decoding altered bytes may raise; RecursionError is a RuntimeError."""


def write(path: Path, document: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
    """Replace the file at `path`, or leave everything as it was and raise OSError."""
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    content = safetensors.torch.save(tensors, {KEY: text})
    with atomic_write(path) as file:
        file.write(content)


def read(path: Path) -> tuple[Any, dict[str, Tensor]]:
    """The JSON document and the tensors of the file at `path`.

    Raises
    ------
    ValueError
        One sentence for each way in which a file can be another one: empty, cut short, a pickle, a zip file, any
        other bytes, safetensors without our document, or altered.
    """
    name = str(path)
    content = path.read_bytes()
    if not content:
        raise ValueError(f"{name!r} is empty. Save the model again.")
    length = int.from_bytes(content[:8], "little")
    if content[8:9] != b"{" or length > LONGEST_HEADER:
        _refuse_stranger(name, content)
    _refuse_short(name, 8 + length, content)
    try:
        header = loads(content[8 : 8 + length].decode())
        metadata = header.pop("__metadata__", {})
        ends = [int(entry["data_offsets"][1]) for entry in header.values()]
    except DAMAGE as error:
        raise damaged(name, "its header is no safetensors header") from error
    _refuse_short(name, 8 + length + max(ends, default=0), content)
    if not isinstance(metadata, dict) or not isinstance(metadata.get(KEY), str):
        raise ValueError(f"{name!r} is a safetensors file without a regen model in it. {READS}")
    try:
        document = loads(metadata[KEY])
    except DAMAGE as error:
        raise damaged(name, "its description is no JSON") from error
    try:
        return document, safetensors.torch.load(content)
    except (SafetensorError, *DAMAGE) as error:
        raise damaged(name, f"its tensors cannot be read ({error})") from error


def loads(text: str) -> Any:
    """Strict JSON: no NaN or Infinity, no name twice in an object."""
    return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)


def damaged(name: str, reason: object) -> ValueError:
    """The refusal of a file that is ours and cannot be right."""
    return ValueError(f"{name!r} is damaged or was altered: {reason}. Save the model again.")


def _refuse_stranger(name: str, content: bytes) -> NoReturn:
    if content[:2] == b"PK":
        raise ValueError(f"{name!r} is a zip archive, such as torch.save writes. {READS}")
    if (content[:1] == b"\x80" and content[1:2] in b"\x02\x03\x04\x05") or content[-1:] == b".":
        raise ValueError(
            f"{name!r} is a pickle, which can run any code when opened; regen never does. {READS}"
        )
    raise ValueError(f"{name!r} is not a regen file. {READS}")


def _refuse_short(name: str, needed: int, content: bytes) -> None:
    if len(content) < needed:
        raise ValueError(
            f"{name!r} is truncated: it holds {len(content)} bytes of at least {needed}. Copy or save it again."
        )


def _refuse_constant(token: str) -> NoReturn:
    raise ValueError(f"{token} is no JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    items = dict(pairs)
    if len(items) != len(pairs):
        raise ValueError("a name comes twice")
    return items
