"""The text of a CSV file: quotes that swallow rows, giant rows, packed files, values of several lines."""

import gzip
import os
import warnings
from pathlib import Path
from typing import Any

import pytest

from regen.data.io.csv_text import scan_csv
from regen.data.io.tables import column_names, read_table

TWICE = "Close it, or write it twice if it is part of a text."
LOST = f"in the middle of a value: the lines between would be lost. {TWICE}"


def refusal(path: Path) -> str:
    """The message of a refusal, without the folder."""
    with pytest.raises(ValueError) as caught:
        read_table(path)
    return str(caught.value).replace(str(path.parent) + os.sep, "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('a,b\n1,"x\n2,y\n3,z\n', f"has a quote in line 2 that is never closed. {TWICE}"),
        ('a,b\n1,x\n2,"y\n3,"z"\n', f"has a quote in line 3 that is closed in line 4, {LOST}"),
        ('a,b\r\n1,x\r\n2,"y\r\n3,"z"\r\n', f"has a quote in line 3 that is closed in line 4, {LOST}"),
        ('a,b\r1,x\r2,"y\r3,"z"\r', f"has a quote in line 3 that is closed in line 4, {LOST}"),
        ('\n\na,b\n1,"x\n2,y\n', f"has a quote in line 4 that is never closed. {TWICE}"),
        (
            'a,b\n1,"x" y\n2,z\n',
            "has a quote in the middle of a value in line 2. Write it twice if it is part of a text.",
        ),
        ('a;b\n1;5" pipe\n2;"x\n', f"has a quote in line 3 that is never closed. {TWICE}"),
        ('"a,b\n1,2\n', f"has a quote in line 1 that is never closed. {TWICE}"),
        ("a,b,a\n1,2,3\n", "has several columns named 'a'. Rename them."),
        ("a,b,,\n1,2,3,4\n", "has several columns named ''. Rename them."),
        ("\r\n\n", "has no header: all of its lines are empty."),
        ("a,\0b\n1,2\n", "is no text: its header has a zero byte. Save it as UTF-8."),
        ("a,b", "has 2 columns but no rows."),
        ("a,b\n\n\r\n", "has 2 columns but no rows."),
        (
            "," * 100_000 + "\n1\n",
            "has 100001 columns, more than the 100000 of a table. Save the numbers as a .npy file.",
        ),
    ],
)
@pytest.mark.parametrize("block", [1, 3, 1 << 20])
def test_refusals(tmp_path: Path, monkeypatch: Any, text: str, words: str, block: int) -> None:
    """The exact words, however the file falls into blocks."""
    monkeypatch.setattr("regen.data.io.csv_text.BLOCK", block if len(text) < 100 else 30_000)
    (tmp_path / "t.csv").write_bytes(text.encode())
    assert refusal(tmp_path / "t.csv") == f"'t.csv' {words}"


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ('a,b\n1,"x\ny"\n2,z\n', {"a": [1, 2], "b": ["x\ny", "z"]}),
        ('a,b\n1,5" pipe\n2,"z ""q"""\n', {"a": [1, 2], "b": ['5" pipe', 'z "q"']}),
        ('a,b\n1,"say ""x\n2"" y"\n2,""""\n', {"a": [1, 2], "b": ['say "x\n2" y', '"']}),
        ('"a\nx","b ""c"""\n1,""\n', {"a\nx": [1], 'b "c"': [None]}),
        ('\ufeff"a",b\r\n1,"x\r\ny"', {"a": [1], "b": ["x\r\ny"]}),
        ("\n\r\na;b\n1;2\n\n", {"a": [1], "b": [2]}),
    ],
)
@pytest.mark.parametrize("block", [1, 4, 1 << 20])
def test_quotes_in_their_place(
    tmp_path: Path, monkeypatch: Any, text: str, columns: dict[str, Any], block: int
) -> None:
    """Values of several lines, quotes written twice, and quotes in values that do not begin with one."""
    monkeypatch.setattr("regen.data.io.csv_text.BLOCK", block)
    (tmp_path / "t.csv").write_bytes(text.encode())
    assert read_table(tmp_path / "t.csv").to_pydict() == columns
    assert column_names(tmp_path / "t.csv") == list(columns)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('a,b,c\n1,"x,3\n2,y,4\n3,z",5\n', (2, 4)),
        ('a,b,c\n1,x,2\n1,"x,3\n3,z",5\n4,u,2\n', (3, 4)),
        ('a,b,c\n1,"dear Anna, dear Bob\nbye",3\n', None),
        ('a\n"1\n2"\n', None),
    ],
)
def test_lines_that_look_like_rows(tmp_path: Path, text: str, lines: tuple[int, int] | None) -> None:
    """Two quotes that are out of place swallow rows without an error: the user is warned, with the lines."""
    path = tmp_path / "t.csv"
    path.write_text(text)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_table(path)
    expected = (
        []
        if lines is None
        else [
            f"Lines {lines[0]} to {lines[1]} of {str(path)!r} are one row, for a quote opens in line {lines[0]} and"
            f" closes in line {lines[1]}; yet each of them has as many values as the header. If they are rows of"
            " their own, remove the quotes or write them twice."
        ]
    )
    assert [str(each.message) for each in caught] == expected


def test_values_of_several_lines_across_blocks(tmp_path: Path) -> None:
    """A file beyond the block of the parser keeps every row, for the parser is told of its line breaks."""
    rows = 40_000
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f'{k},"line one,\nline {k}"\n' for k in range(rows)))
    table = read_table(tmp_path / "t.csv")
    assert table["a"].to_pylist() == list(range(rows))
    assert table["b"][rows - 1].as_py() == f"line one,\nline {rows - 1}"


def test_long_rows(tmp_path: Path, monkeypatch: Any) -> None:
    """A row beyond the block of the parser is read; one beyond the limit is refused with its line."""
    path = tmp_path / "t.csv"
    path.write_text(f"a,{'h' * 1_100_000}\n1,2\n3,{'x' * 1_200_000}\n")
    assert read_table(path).num_rows == 2
    monkeypatch.setattr("regen.data.io.csv_text.LONGEST", 1 << 10)
    monkeypatch.setattr("regen.data.io.csv_text.BLOCK", 1 << 9)
    path.write_text("a,b\n1,2\n3," + "x" * 5_000)
    assert refusal(path) == (
        "'t.csv' has more than 1024 bytes in line 3, the most of a row. Give every row a line of its own."
    )
    path.write_text('a,b\n1,2\n3,"' + "x\n" * 5_000)
    assert refusal(path) == f"'t.csv' has a quote in line 3 that is not closed within 1024 bytes. {TWICE}"


WHOLE = gzip.compress(b"a,b\n" + b"1,2\n" * 5_000, mtime=0)


@pytest.mark.parametrize("place", [2, 30, len(WHOLE) - 6, len(WHOLE) - 2])
def test_a_damaged_packed_file(tmp_path: Path, place: int) -> None:
    """A flipped byte of the header, the data, the checksum and the length."""
    damaged = bytearray(WHOLE)
    damaged[place] ^= 0xFF
    (tmp_path / "t.csv.gz").write_bytes(bytes(damaged))
    assert (
        refusal(tmp_path / "t.csv.gz") == "'t.csv.gz' is damaged or was cut short. Write or fetch it again."
    )


def test_packed_twice_and_padded(tmp_path: Path) -> None:
    """Several members, one after the other, and zeros at the end, as tapes have them."""
    (tmp_path / "T.CSV.GZ").write_bytes(WHOLE + gzip.compress(b"3,4\n") + bytes(64))
    assert read_table(tmp_path / "T.CSV.GZ")["a"].to_pylist() == [1] * 5_000 + [3]


def test_a_bomb(tmp_path: Path, monkeypatch: Any) -> None:
    """A few bytes that unpack to many: refused as soon as they are too many, with the way to raise the limit."""
    path = tmp_path / "b.csv.gz"
    monkeypatch.setattr("regen.data.io.limits.UNPACKED", 1 << 20)
    path.write_bytes(gzip.compress(b"a,b\n", mtime=0) + gzip.compress(b"10,20\n" * (1 << 20), mtime=0))
    size = path.stat().st_size
    limit = max(1 << 20, 100 * size)
    assert refusal(path) == (
        f"'b.csv.gz' has {size} bytes and would unpack to more than {limit + 1}, over 100 times as many. If that is"
        " right, unpack it with gunzip and give the .csv file, or set the environment variable REGEN_UNPACK_LIMIT to"
        " as many as it has."
    )
    monkeypatch.setenv("REGEN_UNPACK_LIMIT", str(1 << 23))
    assert scan_csv(path).longest == 6
    monkeypatch.setenv("REGEN_UNPACK_LIMIT", "1 GB")
    assert refusal(path) == (
        "REGEN_UNPACK_LIMIT must be a number of bytes, such as 1000000000. Got '1 GB' instead."
    )
