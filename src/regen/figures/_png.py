"""PNG files of plain pixels, written and read back (RFC 2083): red, green, blue and opacity, a byte each."""

import struct
import zlib
from base64 import b64decode, b64encode

import numpy as np
from numpy.typing import NDArray

__all__ = ["address", "pixels_at"]

HEAD = "data:image/png;base64,"
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def address(pixels: NDArray[np.uint8]) -> str:
    """Pixels (R, K, 4) as a file, in an address that holds it."""
    R, K, _ = pixels.shape
    rows = np.concatenate([np.zeros((R, 1), np.uint8), pixels.reshape(R, 4 * K)], axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", K, R, 8, 6, 0, 0, 0)
    body = zlib.compress(rows.tobytes(), 9)
    file = SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return HEAD + b64encode(file).decode()


def pixels_at(url: str) -> NDArray[np.uint8]:
    """The pixels (R, K, 4) of an address that `address` made."""
    assert url.startswith(HEAD)
    file = b64decode(url.removeprefix(HEAD))
    K, R, size = (
        struct.unpack(">I", file[at : at + 4])[0] for at in (16, 20, 33)
    )  # after head and check sum
    rows = np.frombuffer(zlib.decompress(file[41 : 41 + size]), np.uint8).reshape(R, 4 * K + 1)
    return rows[:, 1:].reshape(R, K, 4)
