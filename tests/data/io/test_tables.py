"""Files in and out: what is read back is what was written, and a refusal names the place of the fault."""

import errno
import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from regen.data.io.tables import column_names, read_table, write_table
from regen.data.series import read_series

DATES = pd.date_range("1990-01-31", periods=4, freq="ME", name="month")
FRAME = pd.DataFrame({"a": [1.0, np.nan, 0.1 + 0.2, 1e-300], "b, c": [1, 2, 3, 4]}, DATES)


def refusal(path, kind=ValueError) -> str:
    """The words in which a file is refused, without its folder."""
    with pytest.raises(kind) as caught:
        read_table(path)
    return str(caught.value).replace(str(Path(path).parent) + os.sep, "")


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet", "CSV"])
@pytest.mark.parametrize(
    "frame",
    [
        FRAME,
        pl.DataFrame(FRAME.reset_index()),
        pa.Table.from_pandas(FRAME.reset_index(), preserve_index=False),
    ],
    ids=["pandas", "polars", "pyarrow"],
)
def test_written_is_read_back(tmp_path, frame, ending):
    """The same numbers to the last bit, the same dates, whatever wrote them."""
    path = tmp_path / f"table.{ending}"
    write_table(path, frame)
    series = read_series(read_table(path), time="month")
    assert series.names == ("a", "b, c")
    np.testing.assert_array_equal(series.values, FRAME.to_numpy())
    assert (series.dates == DATES.to_numpy()).all()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_csv_text(tmp_path):
    """A CSV is as short as it can be: days as days, a missing number as an empty cell."""
    write_table(tmp_path / "a.csv", FRAME.a)
    assert (tmp_path / "a.csv").read_text().replace('"', "").splitlines() == [
        "month,a",
        "1990-01-31,1",
        "1990-02-28,",
        "1990-03-31,0.30000000000000004",
        "1990-04-30,1e-300",
    ]
    index = pd.date_range("2020-01-01", periods=2, freq="90min")
    write_table(tmp_path / "b.csv", pd.Series([1, 2], index, name="y"))
    assert (tmp_path / "b.csv").read_text().replace('"', "").splitlines()[1:] == [
        "2020-01-01 00:00:00,1",
        "2020-01-01 01:30:00,2",
    ]


def test_missing_text(tmp_path):
    """An empty cell is a missing value in a column of text, too, and is written as one."""
    (tmp_path / "a.csv").write_text('town,x\nRome,1\n,\nNA,3\n"",4\n')
    table = read_table(tmp_path / "a.csv")
    assert table["town"].to_pylist() == ["Rome", None, None, None]
    assert table["x"].to_pylist() == [1, None, 3, 4]
    write_table(tmp_path / "b.csv", table)
    assert read_table(tmp_path / "b.csv").equals(table)


@pytest.mark.parametrize(
    ("frame", "columns"),
    [
        ({"x": np.array([1.0, np.nan]), "t": np.array(["2020-01-01", "2020-01-02"], "M8[D]")}, ["x", "t"]),
        (np.ones(3), ["y"]),
        (np.ones((3, 2)), ["y0", "y1"]),
        (pl.Series("u", [1, 2]), ["u"]),
        (pd.Series([1, 2]), ["y"]),
        (pd.DataFrame({3: [1, 2]}, pd.period_range("2020", periods=2, freq="Y")), ["time", "3"]),
    ],
)
def test_other_kinds_are_written_too(tmp_path, frame, columns):
    """Dicts, arrays, series and periods have columns too."""
    for ending in ("csv", "parquet"):
        write_table(tmp_path / f"t.{ending}", frame)
        assert read_table(tmp_path / f"t.{ending}").column_names == columns


@pytest.mark.parametrize(
    "text",
    [
        "t,y\n2020-01-01,1.5\n2020-01-02,NA\n2020-01-03,-2\n",
        "\ufefft,y\r\n2020-01-01,1.5\r\n2020-01-02,\r\n2020-01-03,-2\r\n",
        "t;y\n2020-01-01;1.5\n2020-01-02;\n2020-01-03;-2\n",
        "t;y\n2020-01-01;1,5\n2020-01-02;\n2020-01-03;-2\n",
        "t\ty\n2020-01-01\t1,5\n2020-01-02\tnan\n2020-01-03\t-2",
        't;"sales, total"\n2020-01-01;1.5\n2020-01-02;\n2020-01-03;-2\n',
        't\t"a ""b"", c; d"\n2020-01-01\t1,5\n2020-01-02\t\n2020-01-03\t-2\n',
    ],
)
def test_csv_as_people_write_it(tmp_path, text):
    """Commas, semicolons or tabs; decimal points or commas; with or without a byte order mark."""
    (tmp_path / "t.csv").write_bytes(text.encode())
    series = read_series(read_table(tmp_path / "t.csv"), time="t")
    np.testing.assert_array_equal(series.values, [[1.5], [np.nan], [-2]])
    assert str(series.dates[0]) == "2020-01-01"


def columns_of(tmp_path, text) -> dict:
    """The columns of a CSV file of this text."""
    (tmp_path / "t.csv").write_text(text)
    return read_table(tmp_path / "t.csv").to_pydict()


def test_decimal_commas_anywhere(tmp_path):
    """One number with a decimal comma is enough, wherever it stands; text with one turns no numbers into text."""
    assert columns_of(tmp_path, "y;z\n1;a\n2,5;b\n,5;c\n-1,5e3;d\n") == {
        "y": [1, 2.5, 0.5, -1500],
        "z": ["a", "b", "c", "d"],
    }
    assert columns_of(tmp_path, "y;z\n1.5;3,4\n2.5;b\n") == {"y": [1.5, 2.5], "z": ["3,4", "b"]}
    assert columns_of(tmp_path, "y;z\n1.5;1\n2.5;3,4\n") == {"y": [1.5, 2.5], "z": ["1", "3,4"]}


def test_a_typo_is_found_in_its_row(tmp_path):
    """One cell that is no number turns the column into text, and is the one that is named."""
    for mark, comma in ((",", "."), (";", ",")):
        cells = [f"{row}{comma}5" for row in range(30)]
        cells[19] = "abc"
        (tmp_path / "t.csv").write_text("\n".join([f"y{mark}z", *(f"{cell}{mark}1" for cell in cells)]))
        with pytest.raises(ValueError, match=r"Column 'y' of y holds text where .*: 'abc' in row 19"):
            read_series(read_table(tmp_path / "t.csv"))


def test_names_that_are_equal_as_text_are_not_written(tmp_path, message_of):
    """A column is not lost without a word because its name is another's as text."""
    index = pd.date_range("2020-01-01", periods=2, name="time")
    frames = {
        "1": [pd.DataFrame([[1, 2], [3, 4]], columns=[1, "1"]), {1: np.ones(2), "1": np.ones(2)}],
        "time": [pd.DataFrame({"time": [1, 2]}, index)],
    }
    for name, some in frames.items():
        for frame in some:
            assert (
                message_of(ValueError, write_table, tmp_path / "t.csv", frame)
                == f"The table has several columns named {name!r}. Rename them."
            )
    assert not list(tmp_path.iterdir())


def test_missing_file_offers_the_closest(tmp_path):
    """A file that is not there is named, with its nearest neighbour."""
    (tmp_path / "sales.csv").write_text("a\n1\n")
    kind = FileNotFoundError
    assert refusal(tmp_path / "sale.csv", kind) == "There is no file 'sale.csv'. Did you mean 'sales.csv'?"
    assert refusal(tmp_path / "zzz.csv", kind) == "There is no file 'zzz.csv'."
    assert refusal("no/such/folder.csv", kind) == "There is no file 'folder.csv'."


def test_folder(tmp_path):
    """A folder is no file."""
    (tmp_path / "x.csv").mkdir()
    assert refusal(tmp_path / "x.csv", IsADirectoryError) == "'x.csv' is a folder. Give a file in it."


def parquet_bytes() -> bytes:
    """A whole Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": list(range(100))}), sink)
    return sink.getvalue().to_pybytes()


WHOLE = parquet_bytes()
CUT = "is not a whole Parquet file: it is damaged, was cut short, or is something else. Write or fetch it again."
RAGGED = "Give every row as many as the header."


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("e.csv", b"", "'e.csv' is empty: it has 0 bytes."),
        ("e.parquet", b"", "'e.parquet' is empty: it has 0 bytes."),
        ("h.csv", b"a,b\n", "'h.csv' has 2 columns but no rows."),
        ("t.parquet", WHOLE[: len(WHOLE) // 2], f"'t.parquet' {CUT}"),
        ("t.parquet", WHOLE[:4] + bytes(40) + WHOLE[44:], f"'t.parquet' {CUT}"),
        ("t.parquet", b"a,b\n1,2\n", f"'t.parquet' {CUT}"),
        (
            "l.csv",
            "a,b\n1,x\n2,é\n".encode("latin-1"),
            "'l.csv' is not UTF-8: byte 10, in line 3, is no part of it. Save it as UTF-8.",
        ),
        (
            "h.csv",
            "é,b\n1,x\n".encode("latin-1"),
            "'h.csv' is not UTF-8: byte 0, in line 1, is no part of it. Save it as UTF-8.",
        ),
        (
            "u.csv",
            "a,b\n1,x\n".encode("utf-16"),
            "'u.csv' is not UTF-8: byte 0, in line 1, is no part of it. Save it as UTF-8.",
        ),
        (
            "cut.csv",
            "a,b\n1,é".encode()[:-1],
            "'cut.csv' is not UTF-8: byte 6, in line 2, is no part of it. Save it as UTF-8.",
        ),
        ("r.csv", b"a,b\n1,2\n3\n4,5\n", f"'r.csv' has 1 value in line 3, where its header has 2. {RAGGED}"),
        (
            "r.csv",
            b"a,b\n1,2\n3,4\n5,6,7\n",
            f"'r.csv' has 3 values in line 4, where its header has 2. {RAGGED}",
        ),
        ("g.csv.gz", b"a,b\n", "'g.csv.gz' is damaged or was cut short. Write or fetch it again."),
        (
            "g.csv.gz",
            gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:-9],
            "'g.csv.gz' is damaged or was cut short. Write or fetch it again.",
        ),
        ("t.xlsx", b"PK", "'t.xlsx' does not end in .csv, .csv.gz or .parquet, the tables that regen reads."),
    ],
)
def test_refusals(tmp_path, name, content, words):
    """The exact message of each faulty file."""
    (tmp_path / name).write_bytes(content)
    assert refusal(tmp_path / name) == words


def test_not_utf8_is_found_in_any_block(tmp_path, monkeypatch):
    """The place is right however the file falls into blocks."""
    content = "a,é\n1,ü\n".encode() * 5 + b"1,\xe9\n"
    (tmp_path / "t.csv").write_bytes(content)
    for size in (1, 2, 3, 7, 1000):
        monkeypatch.setattr("regen.data.io.csv_text.BLOCK", size)
        assert refusal(tmp_path / "t.csv").startswith("'t.csv' is not UTF-8: byte 52, in line 11,")


def test_unknown_ending_to_write(tmp_path, message_of):
    """An unknown ending is refused before anything is written."""
    assert message_of(ValueError, write_table, tmp_path / "t.json", FRAME).endswith(
        "t.json' does not end in .csv, .csv.gz or .parquet, the tables that regen writes."
    )


def test_no_folder_to_write_to(tmp_path, message_of):
    """A folder that is not there is named."""
    assert message_of(FileNotFoundError, write_table, tmp_path / "gone" / "t.csv", FRAME) == (
        f"{str(tmp_path / 'gone' / 't.csv')!r} cannot be written: there is no folder {str(tmp_path / 'gone')!r}."
    )


def test_read_only_folder(tmp_path, monkeypatch, message_of):
    """A read-only folder is named, and nothing is left in it."""

    def refuse(path, *_):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(os, "open", refuse)
    assert message_of(PermissionError, write_table, tmp_path / "t.csv", FRAME) == (
        f"{str(tmp_path / 't.csv')!r} cannot be written: the folder {str(tmp_path)!r} is read-only. Choose another."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    """When writing fails half way, the file that was there is whole and no other is left."""
    path = tmp_path / "t.parquet"
    write_table(path, FRAME)
    before = path.read_bytes()

    def fail(table, file, **_):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OSError):
        write_table(path, FRAME)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["t.parquet"]


def test_a_link_to_nothing(tmp_path, message_of):
    """The refusal names what the link points at, and does not offer the link itself."""
    for name in ("a.csv", "a.parquet"):
        link = tmp_path / name
        link.symlink_to(tmp_path / "gone" / name)
        assert message_of(FileNotFoundError, read_table, link) == (
            f"{str(link)!r} is a link to {str(tmp_path / 'gone' / name)!r}, which does not exist. Give the path of a"
            " file."
        )


def test_a_device(tmp_path):
    """A device would be read without end."""
    (tmp_path / "z.csv").symlink_to("/dev/zero")
    assert refusal(tmp_path / "z.csv") == (
        "'z.csv' is a device or a pipe. Write its content to a file first."
    )


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_absent_columns_are_refused_by_the_header(tmp_path, monkeypatch, name):
    """A column that is not there is refused before the rows are read, whatever faults they have."""
    write_table(tmp_path / name, {"apple": np.arange(3), "b": np.arange(3)})
    assert column_names(tmp_path / name) == ["apple", "b"]
    assert read_table(tmp_path / name, required=["b", "apple"]).num_rows == 3
    monkeypatch.setattr(pq.ParquetFile, "read", None)
    monkeypatch.setattr("regen.data.io.tables._parsed", None)
    with pytest.raises(ValueError) as caught:
        read_table(tmp_path / name, required=["b", "aple"])
    assert str(caught.value).endswith(
        f"{name}' has no column 'aple'. Did you mean 'apple'? Its columns are: apple, b."
    )


def parquet_of(path: Path, table: pa.Table, **options) -> str:
    """A Parquet file, and the refusal to read it."""
    pq.write_table(table, path, **options)
    return refusal(path)


def test_parquet_bombs(tmp_path, monkeypatch):
    """Columns stored as one value and its count, and a long text that is stored once: refused unread."""
    monkeypatch.setattr("regen.data.io.limits.UNPACKED", 1 << 20)
    path = tmp_path / "t.parquet"
    numbers = pa.table({"a": np.zeros(1 << 20)})
    words = parquet_of(path, numbers)
    size = path.stat().st_size
    assert words == (
        f"'t.parquet' has {size} bytes and would unpack to {8 << 20}, over 100 times as many. If that is right, write"
        f" it as a .csv file, or set the environment variable REGEN_UNPACK_LIMIT to {8 << 20}."
    )
    texts = pa.table({"a": pa.array(["x" * 10_000]).take(pa.array(np.zeros(1000, np.int64)))})
    assert f"would unpack to {10_000_000 + 8_000}, over 100" in parquet_of(path, texts)
    monkeypatch.setenv("REGEN_UNPACK_LIMIT", str(1 << 27))
    assert read_table(path).equals(texts)
    pq.write_table(numbers, path)
    assert read_table(path).equals(numbers)


def test_texts_that_are_stored_once(tmp_path):
    """Types of columns that are stored as a dictionary, or are one, come back as they were."""
    words = ["ab", None, "c", "ab"]
    table = pa.table(
        {
            "string": words,
            "large": pa.array(words, pa.large_string()),
            "category": pa.array(words).dictionary_encode(),
            "number": [1, None, 1, 1],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").equals(table)


def test_damage_in_a_page(tmp_path):
    """A flipped bit in the values of a Parquet file that regen wrote fails its checksum."""
    write_table(tmp_path / "t.parquet", {"a": np.random.default_rng(0).normal(size=1000)})
    content = bytearray((tmp_path / "t.parquet").read_bytes())
    content[3000] ^= 1
    (tmp_path / "t.parquet").write_bytes(bytes(content))
    assert refusal(tmp_path / "t.parquet") == f"'t.parquet' {CUT}"


def test_texts_that_are_not_utf8(tmp_path):
    """Bytes that are no text in a column of text are refused, not raised where the text is used."""
    array = pa.array([b"ok", b"\xff\xfe"]).view(pa.string())
    assert parquet_of(tmp_path / "t.parquet", pa.table({"a": array})) == f"'t.parquet' {CUT}"


def test_lists_in_cells(tmp_path):
    """A column of lists, structs or bytes is refused by the header, with its type."""
    kinds = [([[1, 2], None], "list<element: int64>"), ([{"a": 1}], "struct<a: int64>"), ([b"x"], "binary")]
    for cells, kind in kinds:
        assert parquet_of(tmp_path / "t.parquet", pa.table({"n": cells})) == (
            f"Column 'n' of 't.parquet' holds {kind}: a cell must be one number, text or date. Write each value of it"
            " into a column of its own, or leave it out."
        )


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_formulas(tmp_path, name):
    """Texts that a spreadsheet would compute are escaped in CSV on request; numbers, and other texts, never."""
    texts = ["=cmd|'/c calc'!A0", "+1", "-1+2", "@SUM(A1)", "\tx", "\r=x", "a=b", "'x", None]
    frame = pa.table(
        {"=name": texts, "kind": pa.array(texts).dictionary_encode(), "number": [-1.5] * len(texts)}
    )
    write_table(tmp_path / name, frame)
    assert read_table(tmp_path / name)["=name"].to_pylist() == texts
    write_table(tmp_path / name, frame, escape_formulas=True)
    found = read_table(tmp_path / name)
    escaped = texts if name == "t.parquet" else [f"'{text}" for text in texts[:6]] + texts[6:]
    assert found.column(0).to_pylist() == found.column(1).to_pylist() == escaped
    assert found.column_names[0] == ("=name" if name == "t.parquet" else "'=name")
    assert found["number"].to_pylist() == [-1.5] * len(texts)
