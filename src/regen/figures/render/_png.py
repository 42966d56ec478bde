"""Pixels as a PNG file (RFC 2083): red, green, blue and opacity, a byte each."""

import struct
import zlib
from base64 import b64encode

import numpy as np
from numpy.typing import NDArray

__all__ = ["data_url"]

HEAD = "data:image/png;base64,"
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def data_url(pixels: NDArray[np.uint8]) -> str:
    """Pixels (R, K, 4) as a PNG file in a data URL."""
    R, K, _ = pixels.shape
    rows = np.concatenate([np.zeros((R, 1), np.uint8), pixels.reshape(R, 4 * K)], axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", K, R, 8, 6, 0, 0, 0)
    body = zlib.compress(rows.tobytes(), 9)
    file = SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return HEAD + b64encode(file).decode()
