"""Safetensors files taken apart and put together again, with the checksum that docs/file-format.md defines."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from typing import Any

FIELD = re.compile(rb'\{"__metadata__":\{"[a-z ]+":"\{\\"sha256\\":\\"([0-9a-f]{64})')
ZEROS = "0" * 64


def parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and data of a file."""
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def joined(header: str | dict[str, Any], data: bytes) -> bytes:
    """A file of a header and data."""
    text = header if isinstance(header, str) else json.dumps(header, separators=(",", ":"))
    return struct.pack("<Q", len(text.encode())) + text.encode() + data


def sealed(content: bytes) -> bytes:
    """The file with the checksum that its content should have; as it is where it has no place for one."""
    found = FIELD.match(content[8:])
    if found is None:
        return content
    start, end = 8 + found.start(1), 8 + found.end(1)
    blank = content[:start] + ZEROS.encode() + content[end:]
    return blank[:start] + hashlib.sha256(blank).hexdigest().encode() + blank[end:]


def documented(key: str, document: dict[str, Any], header: dict[str, Any], data: bytes) -> bytes:
    """A file with this document under this key, sealed; `header` describes its tensors."""
    text = json.dumps(
        {"sha256": ZEROS} | {name: value for name, value in document.items() if name != "sha256"},
        separators=(",", ":"),
    )
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    return sealed(joined({"__metadata__": {key: text}} | tensors, data))
