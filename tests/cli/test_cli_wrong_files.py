"""Files that a command cannot use: one sentence on stderr and exit code 2, no traceback."""

import json
import os
import re
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.main import get_command

import regen as package
from regen.cli import app
from regen.cli.io import read_rows_for
from regen.data.io.image_files import write_images
from regen.data.io.tables import read_table
from regen.report import InspectionData
from regen.report.predictions import memory_section

OPTIONS: dict[str, Any] = {"max_epochs": 1, "random_state": 0}
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


@pytest.fixture(scope="module")
def runs_of_all_kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run of every kind, a table for each, and files that suit none of them."""
    folder = tmp_path_factory.mktemp("kinds")
    rng = np.random.default_rng(0)
    cells = [f"{a:.3f},{b:.3f},{'xyz'[k % 3]}" for k, (a, b) in enumerate(rng.random((30, 2)))]
    (folder / "table.csv").write_text("\n".join(["a,b,kind", *cells]) + "\n")
    steps = [f"2020-01-{k + 1:02d},{20 + k % 7}" for k in range(30)]
    (folder / "series.csv").write_text("\n".join(["day,units", *steps]) + "\n")
    table, series = read_table(folder / "table.csv"), read_table(folder / "series.csv")
    X, labels = rng.random((16, 4, 1)), np.array(["fast", "slow"] * 8)
    images, plain = rng.integers(0, 256, (16, 1, 8, 8)).astype(np.uint8), table.select(["a", "b"])
    small: dict[str, Any] = {"code": 2, "hidden": (4,), **OPTIONS}
    fits: dict[str, tuple[Any, tuple[Any, ...], str | None]] = {
        "forecaster": (package.Forecaster(window=4, horizon=2, hidden=4, **OPTIONS), (series,), None),
        "classifier": (package.SequenceClassifier(hidden=4, **OPTIONS), (X, labels), "kind"),
        "regressor": (package.SequenceRegressor(hidden=4, **OPTIONS), (X, X[:, 0, 0]), "kind"),
        "autoencoder": (package.Autoencoder(**small), (table,), None),
        "denoiser": (package.DenoisingAutoencoder(**small), (images,), None),
        "vae": (package.VariationalAutoencoder(**small), (rng.random((30, 3)),), None),
        "sequences": (package.Autoencoder(2, hidden=4, backbone="gru", **OPTIONS), (X,), None),
        "gan": (package.GAN(**small), (plain, np.array(["p", "q"] * 15)), "kind"),
        "dcgan": (package.DCGAN(channels=4, code=2, **OPTIONS), (images, labels), None),
    }
    for name, (estimator, data, label) in fits.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            package.save(estimator.fit(*data), f"{folder / name}/")
        (folder / name / "run.json").write_text(json.dumps({"label": label, "finished": True}))
    arrays: dict[str, Any] = {
        "no-axis": np.float64(3),
        "one-axis": rng.random(7),
        "five-axes": rng.random((2,) * 5),
        "no-rows": np.empty((0, 3)),
        "two-columns": np.eye(2),
        "text": np.array([["a", "b"]]),
        "infinite": np.full((4, 5, 1), np.inf),
    }
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    archives: dict[str, dict[str, Any]] = {
        "no-names": {},
        "other-names": {"p": np.eye(3), "q": np.eye(3)},
        "no-axis": {"X": np.float64(3), "y": np.float64(4)},
        "few-labels": {"X": images, "y": labels[:3]},
        "labels-of-two-axes": {"X": images, "y": np.ones((16, 2))},
        "unknown-labels": {"X": images[:, 0, :5, :1], "y": np.array(["odd"] * 16)},
    }
    for name, members in archives.items():
        np.savez(folder / f"{name}.npz", **members)
    contents: dict[str, bytes] = {
        **{f"empty.{ending}": b"" for ending in ("csv", "npy", "npz", "parquet", "png", "ts", "csv.gz")},
        "header.csv": b"a,b,kind\n",
        "texts.csv": b"a,b,kind\nq,w,x\ne,r,y\n",
        "other-columns.csv": b"p,q,r\nu,2,3\nv,4,5\n",
        "infinite.csv": b"a,b,kind\ninf,-inf,x\ninf,inf,y\n",
        "missing-values.csv": b"a,b,kind\n,,\n,,\n",
        "junk.csv": bytes(range(256)),
        "junk.parquet": bytes(range(256)),
        "note.txt": b"a,b\n1,2\n",
        "no-ending": b"a,b\n1,2\n",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    write_images(folder / "pictures-of-other-size", np.zeros((2, 1, 5, 5), np.uint8))
    (folder / "no-pictures").mkdir()
    (folder / "link.csv").symlink_to("link.csv")
    return folder


WRONG = (
    *("no-axis.npy", "one-axis.npy", "five-axes.npy", "no-rows.npy", "text.npy", "infinite.npy"),
    *("no-names.npz", "other-names.npz", "no-axis.npz", "few-labels.npz", "labels-of-two-axes.npz"),
    *("unknown-labels.npz", "empty.csv", "empty.npy", "empty.npz", "empty.parquet", "empty.png", "empty.ts"),
    *("empty.csv.gz", "header.csv", "texts.csv", "other-columns.csv", "infinite.csv", "missing-values.csv"),
    *(
        "junk.csv",
        "junk.parquet",
        "note.txt",
        "no-ending",
        "pictures-of-other-size",
        "no-pictures",
        "link.csv",
    ),
    *("absent.csv", "absent", "vae/model.safetensors", "vae", "/dev/null", "."),
)
FEW = ("no-axis.npy", "few-labels.npz", "other-columns.csv", "infinite.csv", "no-pictures")
PAGES = ("explain", "inspect")
READERS = (
    *("predict", "backtest", "encode", "decode", "reconstruct", "denoise", "impute", "score", "invert"),
    *PAGES,
)
MAIN = {
    "forecaster": "predict",
    "classifier": "predict",
    "regressor": "predict",
    "gan": "score",
    "dcgan": "invert",
}
"""The command that is tried with every wrong file, where it is not encode; the others are tried with FEW."""
GROUP = get_command(app)


@pytest.fixture
def tried(
    runs_of_all_kinds: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """Run a command on those runs; the exit code, and its stderr, which is notes or one sentence in plain words."""
    monkeypatch.chdir(runs_of_all_kinds)

    def command(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            GROUP.main([str(argument) for argument in arguments], prog_name="regen")
        stdout, stderr = capsys.readouterr()
        code = int(ended.value.code or 0)
        assert not re.search("Traceback|Errno|Warning|encountered|Mean of empty", stderr), (arguments, stderr)
        if code == 2:
            assert re.fullmatch(r"[^\n]{15,}[.?]\n", stderr), (arguments, stderr)
            assert stdout == "", arguments
        return code, stderr

    return command


@pytest.mark.filterwarnings("ignore:X has feature names, but VariationalAutoencoder was fitted without")
@pytest.mark.parametrize(
    "run",
    ["forecaster", "classifier", "regressor", "autoencoder", "denoiser", "vae", "sequences", "gan", "dcgan"],
)
def test_every_command_with_wrong_files(tried: Any, tmp_path: Path, run: str) -> None:
    """Each is refused in a sentence, or the file suits the run after all."""
    outputs = dict.fromkeys(("decode", "reconstruct", "denoise", "impute"), "rows.npy") | {
        "inspect": "page.html"
    }
    capabilities, outcomes = ("explain", *package.load(f"{run}/").capabilities), {0: 0, 2: 0}
    for command in READERS:
        output = ("-o", tmp_path / outputs[command]) if command in outputs else ()
        able = command in capabilities
        for name in WRONG if MAIN.get(run, "encode") == command else FEW if able else FEW[:1]:
            outcomes[tried(command, run, name, *output)[0]] += 1
    assert outcomes[2] > 4 * outcomes[0], outcomes


def test_runs_that_are_none(tried: Any) -> None:
    """Data, pictures and folders in place of a run; `regen doctor --check` reports damage with exit code 1."""
    for run in ("table.csv", "no-axis.npy", "no-names.npz", "empty.csv", "no-pictures", "absent", "link.csv"):
        for command in READERS:
            assert tried(command, run, *(() if command in PAGES else ("table.csv",)))[0] == 2
        for command in ("sample", "interpolate", "resume"):
            assert tried(command, run)[0] == 2
        assert tried("doctor", "--check", run)[0] == (2 if run in ("absent", "link.csv") else 1)
    for run in ("forecaster", "classifier", "dcgan"):
        assert tried("resume", run)[0] == 2
        assert tried("resume", run, "--data", "absent.csv")[0] == 2
        assert tried("doctor", "--check", f"{run}/model.safetensors")[0] == 0


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (
            b"a,b\n1,2\n",
            "lacks column 'kind': the Autoencoder was fitted with columns 'a', 'b', 'kind'. Give",
        ),
        (b"p,q,r\n1,2,x\n", "lacks columns 'a', 'b', 'kind': the Autoencoder was fitted with"),
        (b"b,a,kind\n1,2,x\n", "has its columns in another order: the Autoencoder was fitted with"),
        (
            b"a,b,kind,c,d,e,f,g,h\n1,2,x,1,2,3,4,5,6\n",
            "also has columns 'c', 'd', 'e', 'f', 'g' and 1 more: the Autoencoder was fitted with",
        ),
    ],
)
def test_other_columns_than_those_of_the_fit(tried: Any, tmp_path: Path, header: bytes, words: str) -> None:
    """What the table has, what the run was fitted with, and what to do, in one line."""
    (tmp_path / "t.csv").write_bytes(header)
    code, sentence = tried("encode", "autoencoder", tmp_path / "t.csv")
    assert code == 2
    assert words in sentence


def test_arrays_without_rows_or_with_labels_of_others(tried: Any) -> None:
    """The fault of the file is named, for every command alike."""
    for command in ("encode", "explain"):
        assert tried(command, "vae", "no-axis.npy")[1] == (
            "'no-axis.npy' holds one number and no rows. Give an array of shape (n, ...).\n"
        )
    assert tried("explain", "dcgan", "few-labels.npz")[1] == (
        "y in 'few-labels.npz' has shape (3,); X has 16 rows. Give every row one label.\n"
    )
    assert (
        "has rows of 2 numbers: the Autoencoder was fitted with"
        in tried("encode", "autoencoder", "two-columns.npy")[1]
    )
    with pytest.raises(ValueError, match=r"X must have rows\. Got one float64 instead\."):
        InspectionData(np.float64(3))
    with pytest.raises(ValueError, match=r"y has shape \(2,\); X has 3 rows"):
        InspectionData(np.eye(3), np.zeros(2))
