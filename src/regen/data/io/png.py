"""PNG files: the checksums of their parts, and whether their data has every row, neither of which Pillow compares."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

__all__ = ["is_whole_png"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Numbers of a pixel, for each type of colour."""
PASSES = ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1))
"""First row, step of rows, first column and step of columns of what an interlaced picture is stored in."""
BLOCK = 1 << 20


def is_whole_png(path: Path) -> bool:
    """Whether a file that begins as a PNG has parts that their checksums fit, and data for all of its rows.

    A picture whose data ends early is opened by Pillow as one that is black from there on. Other files than PNG are
    True. The data is unpacked in blocks, no more of it than the picture needs.
    """
    with path.open("rb") as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            return True
        needed, unpacker = 0, zlib.decompressobj()
        try:
            for name, data in _parts(file):
                if name == b"IHDR":
                    needed = _size(data)
                while name == b"IDAT" and data and needed > 0:
                    needed -= len(unpacker.decompress(data, BLOCK))
                    data = unpacker.unconsumed_tail
                if name == b"IEND":
                    return needed <= 0
        except (struct.error, zlib.error, KeyError, EOFError):
            return False
        return False


def _parts(file: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Names and data of the parts; EOFError when one is cut short or its checksum does not fit."""
    while True:
        size, name = struct.unpack(">I4s", file.read(8))
        data = file.read(size)
        if len(data) < size or struct.unpack(">I", file.read(4))[0] != zlib.crc32(name + data):
            raise EOFError
        yield name, data


def _size(header: bytes) -> int:
    """Bytes of the unpacked data: for each row a byte for its filter, and its pixels in whole bytes."""
    columns, rows, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    passes = PASSES if interlaced else ((0, 1, 0, 1),)
    total = 0
    for top, down, left, right in passes:
        height, width = -(-(rows - top) // down), -(-(columns - left) // right)
        if height > 0 and width > 0:
            total += height * (1 + (width * bits * SAMPLES[colour] + 7) // 8)
    return total
