"""NumPy files are read as they were written, and hostile ones are refused before they do harm."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regen.data.io.arrays import read_array, read_labels, write_array

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.mark.parametrize("ending", ["npy", "npz", "NPY"])
@pytest.mark.parametrize("array", [X, X.astype(np.uint8), X > 9, X.T, X.astype(">f8"), np.float64(3)])
def test_written_and_read(ending: str, array: Any, tmp_path: Path) -> None:
    """Shape, dtype and values come back; the array read is one of its own, to be written in."""
    path = tmp_path / f"a.{ending}"
    write_array(path, array)
    again = read_array(path)
    assert (again.dtype, again.shape, type(again)) == (np.asarray(array).dtype, np.shape(array), np.ndarray)
    np.testing.assert_array_equal(again, array)
    again[...] = 0
    np.testing.assert_array_equal(read_array(path), array)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_arrays_of_an_archive(tmp_path: Path, message_of: Any) -> None:
    """The requested array, or the only one."""
    path = tmp_path / "a.npz"
    np.savez_compressed(path, X=X, y=X[0])
    np.testing.assert_array_equal(read_array(path), X)
    np.testing.assert_array_equal(read_array(path, "y"), X[0])
    assert message_of(ValueError, read_array, path, "Z") == f"{str(path)!r} has no array Z. It holds X, y."
    np.savez(path, images=X)
    np.testing.assert_array_equal(read_array(path), X)
    np.savez(path)
    assert message_of(ValueError, read_array, path) == f"{str(path)!r} has no array X. It holds nothing."


@pytest.mark.parametrize("labels", [np.array(["a", "bc"]), np.array([1, 0]), np.array([True, False])])
def test_labels_of_an_archive(labels: Any, tmp_path: Path) -> None:
    """Written with the rows, and read again, also as text; without them there are none."""
    path = tmp_path / "a.npz"
    write_array(path, X, labels=labels)
    found = read_labels(path)
    assert found is not None
    assert found.dtype == labels.dtype
    np.testing.assert_array_equal(found, labels)
    np.testing.assert_array_equal(read_array(path), X)
    write_array(path, X)
    assert read_labels(path) is None


def test_labels_that_are_none(tmp_path: Path, message_of: Any) -> None:
    """Objects are not opened, complex numbers are no labels, and a missing file is refused."""
    path = tmp_path / "a.npz"
    np.savez(path, X=X, y=np.array([None, "a"]))
    words = f"{str(path)!r} is no NumPy file of numbers: it is damaged"
    assert message_of(ValueError, read_labels, path).startswith(words)
    np.savez(path, X=X, y=np.array([1j]))
    words = f"y in {str(path)!r} must hold labels: numbers or texts. It holds complex128 instead."
    assert message_of(ValueError, read_labels, path) == words
    missing = tmp_path / "b.npz"
    assert message_of(FileNotFoundError, read_labels, missing).startswith(
        f"There is no file {str(missing)!r}"
    )


def saved(array: Any) -> bytes:
    """The bytes of a .npy file."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def promised(shape: tuple[int, ...]) -> bytes:
    """A .npy file of a few bytes whose header promises that shape."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue() + b"\0" * 64


class Trap:
    """Writes a file when it is unpickled."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("sprung"),))


BAD = {
    "empty": b"",
    "text": b"a,b\n1,2\n",
    "objects": saved(np.array([None, "a"])),
    "trap": saved(np.array([Trap()])),
    "short": saved(X)[:-5],
    "header": saved(X)[:40],
    "vast": promised((10**6, 10**6)),
    "beyond": promised((2**62, 2**62)),
    "code": saved(X).replace(b"'<f4'", b"exit("),
}


@pytest.mark.parametrize("packed", [False, True], ids=["npy", "npz"])
@pytest.mark.parametrize("case", BAD)
def test_files_that_are_refused(
    case: str, packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message_of: Any
) -> None:
    """Damaged, cut short, promising what is not there, or holding objects: one sentence, and nothing is run."""
    monkeypatch.chdir(tmp_path)
    path = Path("a.npz" if packed else "a.npy")
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("X.npy", BAD[case])
    else:
        path.write_bytes(BAD[case])
    sentence = (
        f"{str(path)!r} is no NumPy file of numbers: it is damaged, was cut short, or holds Python objects, which"
        " regen does not open."
    )
    assert message_of(ValueError, read_array, path) == sentence
    assert not Path("sprung").exists()


def test_packed_bytes_that_are_damaged(tmp_path: Path) -> None:
    """Wherever a byte of an archive is changed, it is read as it was or refused, and nothing else happens."""
    path = tmp_path / "a.npz"
    np.savez_compressed(path, X=np.random.default_rng(0).integers(0, 9, 600))
    whole = path.read_bytes()
    refused = 0
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            read_array(path)
        except ValueError:
            refused += 1
    assert refused > len(whole) // 4


def test_a_bomb(tmp_path: Path) -> None:
    """An archive that would fill the memory is refused by the sizes that it declares."""
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("X.npy", b"\0" * (80 << 20))
    with pytest.raises(ValueError, match=r"would unpack to 83886080, over 100 times as many"):
        read_array(path)


def test_other_refusals(tmp_path: Path, message_of: Any) -> None:
    """No file, text, and an archive under the name of an array are refused."""
    a, b, c = (tmp_path / f"{name}.npy" for name in "abc")
    assert message_of(FileNotFoundError, read_array, b) == f"There is no file {str(b)!r}."
    np.save(a, np.array(["a"]))
    words = "must hold numbers or truth values. It holds <U1 instead."
    assert message_of(ValueError, read_array, a).endswith(words)
    np.savez(tmp_path / "c.npz", X=X)
    (tmp_path / "c.npz").rename(c)
    words = "is an archive of arrays. Give it a name that ends in .npz."
    assert message_of(ValueError, read_array, c).endswith(words)
