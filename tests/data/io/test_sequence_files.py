"""Sequences from files: read as they stand, and refused where they cannot be."""

import gzip
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regen.data.io.sequence_files import LabelledSequences, read_sequences

TS = """#Two people, one watch.
@problemName Walks
@timeStamps false
@univariate false
@dimensions 2
@classLabel true slow fast
@data
1,2,3:4,5,6:slow

7,8,?:10,11,12:fast
"""


def read(folder: Path, name: str, text: str, label: str | None = None) -> LabelledSequences:
    """The sequences of a file with that text."""
    (folder / name).write_text(text, encoding="utf-8")
    return read_sequences(folder / name, label=label)


def refusal(folder: Path, name: str, text: str | bytes, label: str | None = None) -> str:
    """The words in which it is refused, with the folder left out."""
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError) as caught:
        read_sequences(folder / name, label=label)
    return str(caught.value).replace(f"{folder}/", "")


def test_ts(tmp_path: Path) -> None:
    """Channels become features, `?` becomes NaN, labels stay text; comments and blank lines are passed over."""
    table = read(tmp_path, "walks.ts", TS)
    assert isinstance(table.rows.arrays(), np.ndarray)
    assert table.rows.arrays().shape == (2, 3, 2)
    np.testing.assert_array_equal(table.rows.arrays()[0], [[1, 4], [2, 5], [3, 6]])
    np.testing.assert_array_equal(table.rows.arrays()[1, :, 0], [7, 8, np.nan])
    assert table.y is not None
    assert table.y.tolist() == ["slow", "fast"]
    assert len(table) == 2


def test_ts_of_many_lengths(tmp_path: Path) -> None:
    """Different lengths become a list; capital letters in the header do not matter."""
    table = read(tmp_path, "a.TS", "@CLASSLABEL TRUE 1 2\n@DATA\n1,2,3:1\n4,5:2\n")
    assert isinstance(table.rows.arrays(), list)
    assert [x.tolist() for x in table.rows.arrays()] == [[[1], [2], [3]], [[4], [5]]]


def test_ts_with_targets_or_nothing(tmp_path: Path) -> None:
    """Targets become numbers; without labels y is None, and the last channel is no label."""
    targets = read(tmp_path, "a.ts", "@targetLabel true\n@data\n1,2:0.5\n3,4:-1\n")
    assert targets.y is not None
    assert targets.y.tolist() == [0.5, -1.0]
    bare = read(tmp_path, "b.ts", "@classLabel false\n@data\n1,2:5,6\n")
    assert bare.y is None
    assert np.shape(bare.rows.arrays()) == (1, 2, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,2:1\n", "'a.ts' is no .ts file: line 1 comes before '@data'."),
        ("@classLabel true\n", "'a.ts' holds no sequences: nothing follows '@data'."),
        ("", "'a.ts' holds no sequences: nothing follows '@data'."),
        ("@timeStamps true\n@data\n(1,2):1\n", "'a.ts' has time stamps, which regen does not read. "
         "Write the values alone."),
        ("@classLabel true\n@data\n1,2:1\n1,x:1\n", "Line 4 of 'a.ts' holds text where numbers belong."),
        ("@classLabel true\n@data\n1,2:3,4:1\n1,2:1\n", "Line 4 of 'a.ts' has 1 channels instead of 2."),
        ("@classLabel true\n@data\n1,2:3:1\n", "Line 3 of 'a.ts' has channels of different lengths."),
        ("@classLabel true\n@data\n1,2:\n", "Line 3 of 'a.ts' ends without a label."),
        ("@classLabel true\n@data\nlabel\n", "Line 3 of 'a.ts' has 0 channels instead of at least 1."),
        ("@targetLabel true\n@data\n1,2:a\n", "'a.ts' holds text where target numbers belong."),
        (b"@data\n\xff\xfe", "'a.ts' is not UTF-8 text: line 2 has bytes that cannot be read."),
    ],
)  # fmt: skip
def test_ts_refusals(text: str | bytes, words: str, tmp_path: Path) -> None:
    """Each message names the line."""
    assert refusal(tmp_path, "a.ts", text) == words


WIDE = "a,kind,b,c\n1,x,2,3\n4,y,5,\n6,x,,7\n"


def test_a_wide_table(tmp_path: Path) -> None:
    """Steps in the order of the columns; a cell empty at the end shortens, one between stays a gap."""
    table = read(tmp_path, "w.csv", WIDE, "kind")
    assert [x[:, 0].tolist() for x in table.rows.arrays()[:2]] == [[1, 2, 3], [4, 5]]
    np.testing.assert_array_equal(table.rows.arrays()[2][:, 0], [6, np.nan, 7])
    assert table.y is not None
    assert table.y.tolist() == ["x", "y", "x"]


def test_a_wide_table_of_one_length(tmp_path: Path) -> None:
    """One length gives one block; labels that are numbers stay numbers; without label there is no y."""
    table = read(tmp_path, "w.csv", "y,a,b\n3,1,2\n4,3,4\n", "y")
    assert np.shape(table.rows.arrays()) == (2, 2, 1)
    assert table.y is not None
    assert table.y.tolist() == [3, 4]
    bare = read(tmp_path, "v.csv", "a,b\n1,2\n")
    assert bare.y is None
    (tmp_path / "w.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert np.array_equal(read_sequences(tmp_path / "w.csv.gz").rows.arrays(), bare.rows.arrays())


@pytest.mark.parametrize(
    ("text", "label", "words"),
    [
        (WIDE, None, "Column 'kind' of 'w.csv' holds no numbers. If it is the label, say so with label."),
        (
            WIDE,
            "kinds",
            "'w.csv' has no column 'kinds'. Did you mean 'kind'? Its columns are: a, kind, b, c.",
        ),
        ("a,b,k\n1,t,x\n", "k", "Column 'b' of 'w.csv' holds no numbers."),
        ("k\nx\n", "k", "'w.csv' holds no sequences: it has 1 rows and 0 steps."),
        ("a,k\n1,3\n2,\n", "k", "Column 'k' of 'w.csv' has no label in row 1."),
        ("a,b,k\n1,2,x\n,,y\n", "k", "Row 1 of 'w.csv' has no values. Remove it."),
    ],
)
def test_wide_refusals(text: str, label: str | None, words: str, tmp_path: Path) -> None:
    """Each message names the column or row."""
    assert refusal(tmp_path, "w.csv", text, label) == words


def test_an_archive(tmp_path: Path) -> None:
    """X of two or three dimensions, y or none."""
    X = np.arange(12.0).reshape(2, 3, 2)
    np.savez(tmp_path / "a.npz", X=X, y=np.array(["a", "b"]))
    table = read_sequences(tmp_path / "a.npz")
    assert np.array_equal(table.rows.arrays(), X)
    assert table.y is not None
    assert table.y.tolist() == ["a", "b"]
    np.savez_compressed(tmp_path / "b.npz", X=X[:, :, 0].astype(np.float32))
    table = read_sequences(tmp_path / "b.npz")
    assert np.array_equal(table.rows.arrays(), X[:, :, :1])
    assert table.y is None


DAMAGED = (
    "'a.npz' is no NumPy file of numbers: it is damaged, was cut short, or holds Python objects, which regen does not"
    " open."
)


def test_archive_refusals(tmp_path: Path) -> None:
    """Archives of other arrays, of Python objects, cut short, or something else."""

    def refusal_of(**arrays: object) -> str:
        np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
        return refusal(tmp_path, "a.npz", (tmp_path / "a.npz").read_bytes())

    assert refusal_of(data=np.zeros(3)) == "'a.npz' has no array X. It holds data."
    shape = "X in 'a.npz' must be numbers of shape (n, T) or (n, T, F). Got"
    assert refusal_of(X=np.zeros(3)) == f"{shape} float64 of shape (3,) instead."
    assert refusal_of(X=np.array([["a"]])) == (
        "'a.npz' must hold numbers or truth values. It holds <U1 instead."
    )
    assert refusal_of(X=np.zeros((0, 3))) == f"{shape} float64 of shape (0, 3) instead."
    assert refusal_of(X=np.zeros((2, 3)), y=np.zeros(3)) == "y in 'a.npz' has shape (3,); X has 2 sequences."
    assert refusal_of(X=np.array([[1], [2, 3]], dtype=object)) == DAMAGED
    np.savez(tmp_path / "a.npz", X=np.zeros((5, 5)))
    whole = (tmp_path / "a.npz").read_bytes()
    for content in (whole[:100], b"", b"garbage", whole[:-30]):
        assert refusal(tmp_path, "a.npz", content) == DAMAGED


def test_an_archive_that_would_fill_the_memory(tmp_path: Path) -> None:
    """A small file of many zeros is refused unread; the same zeros on the disk, or a few of them, are read."""
    path, X = tmp_path / "a.npz", np.zeros((10, 1 << 20))
    np.savez_compressed(path, X=X)
    size = path.stat().st_size
    tracemalloc.start()
    try:
        words = refusal(tmp_path, "a.npz", path.read_bytes())
        assert tracemalloc.get_traced_memory()[1] < X.nbytes / 10
    finally:
        tracemalloc.stop()
    assert words == (
        f"'a.npz' has {size} bytes and would unpack to {X.nbytes + 128}, over 100 times as many."
        " If that is right, save it without compression, with numpy.savez, or set the environment variable"
        f" REGEN_UNPACK_LIMIT to {X.nbytes + 128}."
    )
    np.savez(path, X=X)
    assert len(read_sequences(path).rows) == 10
    np.savez_compressed(path, X=X[:, :1000])
    assert len(read_sequences(path).rows) == 10


def test_an_archive_that_lies_about_its_shape(tmp_path: Path) -> None:
    """A header that needs more than any memory is refused as damage."""
    path = tmp_path / "a.npz"
    np.savez(path, X=np.zeros((2, 3)))
    content = path.read_bytes().replace(b"(2, 3), }            ", b"(2, 300000000000000)}")
    with zipfile.ZipFile(path, "w") as archive:
        start = content.index(b"\x93NUMPY")
        archive.writestr("X.npy", content[start : start + 128 + 48])
    assert refusal(tmp_path, "a.npz", path.read_bytes()) == DAMAGED


def test_no_such_file(tmp_path: Path, message_of: Any) -> None:
    """A missing file with the closest name, and an ending that is not read."""
    (tmp_path / "walks.ts").touch()
    assert (
        message_of(FileNotFoundError, read_sequences, tmp_path / "walk.ts")
        == f"There is no file {str(tmp_path / 'walk.ts')!r}. Did you mean 'walks.ts'?"
    )
    assert refusal(tmp_path, "a.xlsx", "") == (
        "'a.xlsx' does not end in one of .ts, .npz, .csv, .csv.gz, .parquet, the files of sequences that regen reads."
    )
