"""The text of a CSV file before it is parsed: its encoding, its header and its quotes, checked in blocks.

A parser takes what lies between two quotes for one value, over as many lines as it has: one quote too many makes rows
vanish without an error. Here every quote is followed through the file, and one that is out of place is named with its
line.
"""

from __future__ import annotations

import codecs
import gzip
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, final

import numpy as np
from numpy.typing import NDArray

from regen.data.io.limits import refuse_bomb, unpack_limit

__all__ = ["CsvText", "opened_csv", "refuse_equal_names", "scan_csv"]

BLOCK = 1 << 20
LONGEST = 16 << 20
"""Bytes of a row."""
COLUMNS = 100_000
DELIMITERS = (",", ";", "\t")
_QUOTE, _LINE, _RETURN = b'"\n\r'
_QUOTED = re.compile(rb'"(?:[^"]|"")*"')
_TWICE = "Close it, or write it twice if it is part of a text."

Places = NDArray[np.int64]


@final
@dataclass(frozen=True)
class CsvText:
    """What is known of a CSV text that is fit to be parsed.

    names : of its columns. delimiter : between values. longest : bytes of its longest row. multiline : whether a
    value has several lines. empty : whether nothing follows the header.
    """

    names: tuple[str, ...]
    delimiter: str
    longest: int
    multiline: bool
    empty: bool


@contextmanager
def opened_csv(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a ``.csv`` or ``.csv.gz`` file, unpacked; ValueError when they are found to be damaged."""
    packed = path.name.lower().endswith(".gz")
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            yield file  # type: ignore[misc]
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{str(path)!r} is damaged or was cut short. Write or fetch it again.") from error


def scan_csv(path: Path, *, header_only: bool = False) -> CsvText:
    """Check the text of a CSV file, in blocks, the header before all else.

    Parameters
    ----------
    path : of a ``.csv`` or ``.csv.gz`` file.
    header_only : bool, default=False
        Read no more than the block in which the header ends.

    Raises
    ------
    ValueError
        When the file is damaged, not UTF-8, or unpacks to far more than its size; when it has no header, one of
        equal names or of more than 100,000; a row of more than 16 MiB; or a quote in the middle of a value, or one
        that is never closed.

    Warns
    -----
    UserWarning
        When the lines between two quotes, which are one value, each look like a row.
    """
    scan = _Scan(path)
    packed = path.name.lower().endswith(".gz")
    limit = unpack_limit(path) if packed else 0
    with opened_csv(path) as file:
        rest, read = b"", 0
        while True:
            block = file.read(max(BLOCK, len(rest)))
            scan.decode(block)
            read += len(block)
            if packed and read > limit:
                refuse_bomb(path, limit + 1, "unpack it with gunzip and give the .csv file", at_least=True)
            rest = scan.take(rest + block, last=not block)
            if not block or (header_only and scan.names):
                scan.warn()
                return scan.text()


@final
class _Scan:
    """A CSV text that comes in pieces."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: list[str] = []
        self.delimiter = ""
        self.longest = 0
        self.multiline = False
        self._empty = True
        self._line = 1
        self._like_rows: tuple[int, int] | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._decoded, self._decoded_lines = 0, 1

    def decode(self, block: bytes) -> None:
        """Refuse a block, the next of the file, that is not UTF-8."""
        before = len(self._decoder.getstate()[0])
        try:
            if before or not block.isascii():
                self._decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            place = error.start - before
            line = self._decoded_lines + block[: max(place, 0)].count(b"\n")
            raise ValueError(
                f"{str(self.path)!r} is not UTF-8: byte {self._decoded + place}, in line {line}, is no part of it."
                " Save it as UTF-8."
            ) from None
        self._decoded += len(block)
        self._decoded_lines += block.count(b"\n")

    def take(self, chunk: bytes, *, last: bool) -> bytes:
        """Check the whole rows at the beginning of `chunk`, which begins with a row; what is left of it.

        last : whether the file ends with the chunk.
        """
        if not self.names:
            chunk = chunk.removeprefix(codecs.BOM_UTF8)
            blank = len(chunk) - len(chunk.lstrip(b"\r\n"))
            self._line += len(_line_ends(np.frombuffer(chunk[:blank], np.uint8), last=True))
            chunk = chunk[blank:]
            if last and not chunk:
                raise ValueError(f"{str(self.path)!r} has no header: all of its lines are empty.")
        marks = np.frombuffer(chunk, np.uint8)
        ends = _line_ends(marks, last)
        if not self.delimiter and (len(ends) or last):
            self.delimiter = _delimiter(_QUOTED.sub(b"", chunk[: ends[0]] if len(ends) else chunk))
        turns = self._turns(chunk, marks, ends) if self.delimiter else np.empty(0, np.int64)
        outside = ends[np.searchsorted(turns, ends) % 2 == 0]
        if last and len(turns) % 2:
            line = self._line_of(turns[-1], ends)
            raise ValueError(f"{str(self.path)!r} has a quote in line {line} that is never closed. {_TWICE}")
        if not last and not len(outside):
            self._refuse_long(chunk, turns, ends)
            return chunk
        cut = len(chunk) if last else int(outside[-1]) + 1
        borders = np.concatenate([[-1], outside, [cut - 1] if last else []]).astype(np.int64)
        self.longest = max(self.longest, int(np.diff(borders).max(initial=0)))
        begin = 0
        if not self.names:
            begin = int(outside[0]) if len(outside) else cut
            self._read_header(chunk[:begin].rstrip(b"\r"), turns)
        self._empty = self._empty and not chunk[begin:cut].strip(b"\r\n")
        if len(outside) < len(ends):
            self._look_between_quotes(chunk[:cut], turns, ends)
        self._line += int(np.searchsorted(ends, cut))
        return chunk[cut:]

    def text(self) -> CsvText:
        """What was found."""
        return CsvText(tuple(self.names), self.delimiter, self.longest, self.multiline, self._empty)

    def warn(self) -> None:
        """Warn of the first value whose lines each look like a row, if there is one."""
        if self._like_rows is None:
            return
        opened, closed = self._like_rows
        warnings.warn(
            f"Lines {opened} to {closed} of {str(self.path)!r} are one row, for a quote opens in line {opened} and"
            f" closes in line {closed}; yet each of them has as many values as the header. If they are rows of their"
            " own, remove the quotes or write them twice.",
            UserWarning,
            stacklevel=4,
        )

    def _turns(self, chunk: bytes, marks: NDArray[np.uint8], ends: Places) -> Places:
        """Places of the quotes that open and close, in turn; ValueError for one in the middle of a value."""
        quotes = np.flatnonzero(marks == _QUOTE)
        if not len(quotes):
            return quotes
        border = np.zeros(256, dtype=bool)
        border[[_QUOTE, _LINE, _RETURN, ord(self.delimiter)]] = True
        opening, closing = quotes[0::2], quotes[1::2]
        before = border[marks[opening[opening > 0] - 1]]
        after = border[marks[closing[closing < len(marks) - 1] + 1]]
        # a quote before an opening one closes: only together are they a quote that is part of the text
        if before.all() and after.all():
            return quotes
        return self._turns_one_by_one(chunk, quotes.tolist(), ends)

    def _turns_one_by_one(self, chunk: bytes, quotes: list[int], ends: Places) -> Places:
        """As `_turns`, where values that do not begin with a quote have some: those are part of the text."""
        border = {_LINE, _RETURN, ord(self.delimiter)}
        turns: list[int] = []
        at = iter(quotes)
        for place in at:
            if len(turns) % 2 == 0:
                if place == 0 or chunk[place - 1] in border:
                    turns.append(place)
                continue
            following = chunk[place + 1] if place + 1 < len(chunk) else _LINE
            if following == _QUOTE:
                next(at)
            elif following in border:
                turns.append(place)
            else:
                raise ValueError(self._misplaced(self._line_of(turns[-1], ends), self._line_of(place, ends)))
        return np.array(turns, dtype=np.int64)

    def _misplaced(self, opened: int, closed: int) -> str:
        if opened == closed:
            return (
                f"{str(self.path)!r} has a quote in the middle of a value in line {closed}. Write it twice if it is"
                " part of a text."
            )
        return (
            f"{str(self.path)!r} has a quote in line {opened} that is closed in line {closed}, in the middle of a"
            f" value: the lines between would be lost. {_TWICE}"
        )

    def _read_header(self, header: bytes, turns: Places) -> None:
        """The names of the columns; refused before a table of them is made."""
        marks = np.frombuffer(header, np.uint8)
        between = np.flatnonzero(marks == ord(self.delimiter))
        between = between[np.searchsorted(turns, between) % 2 == 0]
        if len(between) >= COLUMNS:
            raise ValueError(
                f"{str(self.path)!r} has {len(between) + 1} columns, more than the {COLUMNS} of a table. Save the"
                " numbers as a .npy file."
            )
        if b"\0" in header:
            raise ValueError(f"{str(self.path)!r} is no text: its header has a zero byte. Save it as UTF-8.")
        borders = [-1, *between.tolist(), len(header)]
        cells = [header[a + 1 : b].decode() for a, b in pairwise(borders)]
        self.names = [cell[1:-1].replace('""', '"') if cell.startswith('"') else cell for cell in cells]
        refuse_equal_names(self.path, self.names)

    def _look_between_quotes(self, chunk: bytes, turns: Places, ends: Places) -> None:
        """Note that a value has several lines, and the first whose lines each have as many values as the header."""
        self.multiline = True
        pairs = len(turns) // 2
        first = np.searchsorted(ends, turns[: 2 * pairs : 2])
        last = np.searchsorted(ends, turns[1 : 2 * pairs : 2])
        for a, b in zip(first[first < last].tolist(), last[first < last].tolist(), strict=True):
            if self._like_rows is not None or len(self.names) < 2:
                return
            starts = [0 if k == 0 else int(ends[k - 1]) + 1 for k in range(a, b + 1)]
            starts.append(int(ends[b]) if b < len(ends) else len(chunk))
            lines = [chunk[start:end] for start, end in pairwise(starts)]
            if all(line.count(self.delimiter.encode()) == len(self.names) - 1 for line in lines):
                self._like_rows = (self._line + a, self._line + b)

    def _refuse_long(self, chunk: bytes, turns: Places, ends: Places) -> None:
        """Refuse the beginning of a row that has too many bytes already."""
        if len(chunk) <= LONGEST:
            return
        if len(turns) % 2:
            raise ValueError(
                f"{str(self.path)!r} has a quote in line {self._line_of(turns[-1], ends)} that is not closed within"
                f" {LONGEST} bytes. {_TWICE}"
            )
        raise ValueError(
            f"{str(self.path)!r} has more than {LONGEST} bytes in line {self._line}, the most of a row. Give every"
            " row a line of its own."
        )

    def _line_of(self, place: int, ends: Places) -> int:
        """The number of the line in which a place of the chunk lies."""
        return self._line + int(np.searchsorted(ends, place))


def refuse_equal_names(path: Path, names: Sequence[str]) -> None:
    """Refuse a table of which two columns have one name."""
    if len(set(names)) < len(names):
        name = next(name for name, count in Counter(names).items() if count > 1)
        raise ValueError(f"{str(path)!r} has several columns named {name!r}. Rename them.")


def _line_ends(marks: NDArray[np.uint8], last: bool) -> Places:
    """Places of the last byte of each line end: LF, CR LF, or CR."""
    feeds = marks == _LINE
    returns = marks == _RETURN
    if returns.any():
        returns[:-1] &= ~feeds[1:]
        returns[-1:] &= last  # what follows is not known yet
        feeds |= returns
    return np.flatnonzero(feeds)


def _delimiter(header: bytes) -> str:
    return next((mark for mark in DELIMITERS if mark.encode() in header), DELIMITERS[0])
