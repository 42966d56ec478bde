"""Files that a command cannot use: one sentence on stderr and exit code 2, no traceback."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import regen as package
from regen.cli.io import read_rows_for
from regen.report import InspectionData
from regen.report.predictions import memory_section

QUICK = ("--max-epochs", "1", "--hidden", "4", "-o", "run")


def write(name: str, content: Any) -> str:
    """A file of this name in the current folder."""
    if isinstance(content, bytes):
        Path(name).write_bytes(content)
    elif isinstance(content, pa.Table):
        pq.write_table(content, name)
    else:
        np.savez(name, **content)
    return name


CASES = {
    "bytes in Parquet": (
        "autoencoder",
        "b.parquet",
        pa.table({"a": [b"x"] * 3}),
        "holds binary: a cell must be",
    ),
    "text targets": (
        "regressor",
        "t.ts",
        b"@classLabel true\n@data\n1,2:a\n3,4:b\n",
        "y holds text where numbers",
    ),
    "labels of objects": (
        "classifier",
        "y.npz",
        {"X": np.eye(3), "y": np.array([None] * 3)},
        "is no NumPy file",
    ),
    "text rows": ("classifier", "x.npz", {"X": np.array([["a"]])}, "must hold numbers or truth values"),
    "unclosed quote": (
        "forecaster",
        "q.csv",
        b'a,b\n1,"x\n2,3\n',
        "has a quote in line 2 that is never closed.",
    ),
    "equal names": ("gan", "d.csv", b"a,a\n1,2\n", "has several columns named 'a'. Rename them."),
    "damaged picture": (
        "autoencoder",
        "p.png",
        b"\x89PNG\r\n\x1a\njunk",
        "is not a whole PNG or JPEG picture",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_wrong_files(refusal: Any, case: str) -> None:
    """The fault of the file, in words."""
    command, name, content, words = CASES[case]
    assert words in refusal("fit", command, write(name, content), *QUICK)
    assert not Path("run").exists()


@pytest.mark.parametrize("name", ["pipe.csv", "pipe.npy", "pipe.png", "pipe.ts"])
def test_pipes(refusal: Any, name: str) -> None:
    """A pipe that nothing is written to is refused at once."""
    os.mkfifo(name)
    command = (
        ("fit", "dcgan", name, "--max-epochs", "1") if name == "pipe.png" else ("fit", "classifier", name)
    )
    assert refusal(*command).startswith(f"'{name}' ")


def test_names_that_are_too_long(refusal: Any) -> None:
    """The system's own message without its number."""
    name = "a" * 300 + ".csv"
    assert refusal("fit", "forecaster", name, *QUICK) == f"'{name}': File name too long."


def test_an_encoder_that_is_no_autoencoder(tmp_path: Path) -> None:
    """Rows for an estimator that encodes sequences and has no form of rows."""
    (tmp_path / "s.csv").write_text("k,a,b\nx,1,2\ny,3,4\n")
    (tmp_path / "s.ts").write_text("@data\n1,2\n3,4\n")
    model = SimpleNamespace(command=SimpleNamespace(data="sequences"), capabilities=("encode",))
    for name, labels in (("s.csv", ["k"]), ("s.ts", [])):
        found = read_rows_for(model, tmp_path / name, labels)
        np.testing.assert_array_equal(np.asarray(found.X)[:, :, 0], [[1, 2], [3, 4]])
    series = SimpleNamespace(command=SimpleNamespace(data="series"), capabilities=("encode",))
    assert read_rows_for(series, tmp_path / "s.csv", []).X.num_rows == 2


@pytest.mark.filterwarnings("ignore")
def test_memory_of_an_estimator_that_only_encodes(monkeypatch: Any) -> None:
    """A recurrent net is inspected whatever its estimator is for."""
    X = np.random.default_rng(0).normal(size=(12, 6, 2))
    model = package.Autoencoder(2, hidden=4, backbone="gru", max_epochs=1, random_state=0).fit(X)
    monkeypatch.setattr(package.Autoencoder, "capabilities", ("encode",))
    assert memory_section(model, InspectionData(X)) is not None
    monkeypatch.setattr(package.Autoencoder, "capabilities", ("sample",))
    assert memory_section(model, InspectionData(X)) is None
