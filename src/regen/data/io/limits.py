"""Limits of what a packed file may unpack to: a few bytes on the disk can fill the memory."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["VARIABLE", "refuse_bomb", "unpack_limit"]

UNPACKED, RATIO = 64 << 20, 100
"""Bytes that any packed file may unpack to, and times its own size that a larger one may."""
VARIABLE = "REGEN_UNPACK_LIMIT"
"""Environment variable with the bytes that every packed file may unpack to."""


def unpack_limit(path: Path) -> int:
    """Bytes that the file at `path` may unpack to: 64 MiB, 100 times its size, or ``REGEN_UNPACK_LIMIT``, the most.

    Raises
    ------
    ValueError
        When ``REGEN_UNPACK_LIMIT`` is set and is no whole number of bytes.
    """
    text = os.environ.get(VARIABLE, "0")
    if not text.isdecimal():
        raise ValueError(f"{VARIABLE} must be a number of bytes, such as 1000000000. Got {text!r} instead.")
    return max(UNPACKED, RATIO * path.stat().st_size, int(text))


def refuse_bomb(path: Path, unpacked: int, advice: str, *, at_least: bool = False) -> None:
    """Refuse a file that unpacks to more than it may.

    Parameters
    ----------
    path : of the file.
    unpacked : bytes that it declares or was found to unpack to.
    advice : how to store the same without packing it, fit for "If that is right, ...".
    at_least : whether more may follow `unpacked` bytes.

    Raises
    ------
    ValueError
        When that is more than `unpack_limit`.
    """
    if unpacked <= unpack_limit(path):
        return
    found, allowed = (f"more than {unpacked}", "as many as it has") if at_least else (unpacked, unpacked)
    raise ValueError(
        f"{str(path)!r} has {path.stat().st_size} bytes and would unpack to {found}, over {RATIO} times as many. If"
        f" that is right, {advice}, or set the environment variable {VARIABLE} to {allowed}."
    )
