"""Autoencoders from the command line, on tables, arrays, sequences and folders of pictures."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from numpy.typing import NDArray
from PIL import Image

import regen as package
from regen.data.io.image_files import read_images
from regen.data.io.tables import read_table

pytestmark = pytest.mark.usefixtures("autoencoder_files")

RNG = np.random.default_rng(0)
QUICK = ("--max-epochs", "1", "--hidden", "4", "--code", "2", "--random-state", "0")
DIGITS = (package.datasets.digits()[0][:40] * 255).astype(np.uint8)
AUTOENCODERS = {
    "autoencoder": package.Autoencoder,
    "denoiser": package.DenoisingAutoencoder,
    "vae": package.VariationalAutoencoder,
}


def image_size(path: Path | str) -> tuple[int, int]:
    """Width and height of a picture."""
    with Image.open(path) as image:
        return (image.width, image.height)


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_fit_is_what_python_does(name: str, output: Any) -> None:
    """The run holds the model that Python fits on the same pictures; the output names the next command."""
    lines = output("fit", name, "pictures", *QUICK, "-o", "runs/a b")
    assert re.fullmatch(rf"{AUTOENCODERS[name].__name__}: 1 epoch in .* s\. Reached max_epochs=1\.", lines[0])
    assert lines[2] == "Saved in runs/a b. Next: regen encode 'runs/a b' pictures"
    twin = AUTOENCODERS[name](code=2, hidden=4, max_epochs=1, random_state=0).fit(DIGITS[:, None])
    model = package.load("runs/a b")
    np.testing.assert_array_equal(model.transform(DIGITS[:, None]), twin.transform(DIGITS[:, None]))
    facts = json.loads(Path("runs/a b/run.json").read_text())
    assert (facts["estimator"], facts["data"]) == (AUTOENCODERS[name].__name__, "pictures")


def test_flags_of_more_than_one_value(output: Any, refusal: Any) -> None:
    """Widths, shapes and weights are lists with commas; other text is refused with the message of Python."""
    np.save("flat.npy", DIGITS.reshape(40, 64))
    words = (
        "fit",
        "autoencoder",
        "flat.npy",
        "--max-epochs",
        "1",
        "--image-shape",
        "1,8,8",
        "--hidden",
        "6,3",
    )
    output(*words, "--penalty", "l1=0.5,kl=1e-3", "--kind", "unit", "-o", "runs/a")
    model = package.load("runs/a")
    assert (model.image_shape, model.hidden, model.output) == ((1, 8, 8), (6, 3), "unit")
    assert model.penalty == {"l1": 0.5, "kl": 0.001}
    assert model.form_["kind"] == "images"
    output("fit", "autoencoder", "flat.npy", "--max-epochs", "1", "--hidden", "none", "-o", "runs/b")
    assert package.load("runs/b").hidden == ()
    for flag, text in (
        ("--hidden", "6,x"),
        ("--image-shape", "8"),
        ("--penalty", "l3=1"),
        ("--kind", "loud"),
    ):
        words = refusal("fit", "autoencoder", "flat.npy", flag, text)
        assert words.startswith(f"The '{flag}' parameter of Autoencoder must be "), words
        assert " instead" in words


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_codes_there_and_back(name: str, output: Any) -> None:
    """Codes of pictures with their names, as text, table and array; decoded, they are the reconstruction."""
    run = f"{name}-pictures"
    model = package.load(run)
    codes = model.transform(DIGITS[:, None])
    lines = output("encode", run, "pictures")
    assert lines[0].split() == ["file", *model.get_feature_names_out()]
    assert lines[2].split()[0] == "0002.png"
    assert output("encode", run, "pictures", "-o", "c.parquet") == ["Written to c.parquet."]
    output("encode", run, "pictures", "-o", "c.csv")
    output("encode", run, "pictures", "-o", "c.npz")
    table = pyarrow.parquet.read_table("c.parquet")
    assert table["file"].to_pylist()[-1] == "0040.png"
    found = np.stack([table[column].to_numpy() for column in table.column_names[1:]], axis=1)
    np.testing.assert_array_equal(found, codes)
    again = model.inverse_transform(codes)
    for source in ("c.parquet", "c.csv", "c.npz"):
        output("decode", run, source, "-o", "again.npy")
        np.testing.assert_array_equal(np.load("again.npy"), again)
    output("reconstruct", run, "pictures", "-o", "same.npy")
    np.testing.assert_array_equal(np.load("same.npy"), again)


def test_pictures_out(output: Any) -> None:
    """A .png is a grid of all, a folder has a picture each under the name that it had, a table the pixels."""
    run = "autoencoder-pictures"
    restored = package.load(run).reconstruct(DIGITS[:, None])
    output("reconstruct", run, "pictures", "-o", "grid.png")
    assert image_size("grid.png") == (7 * 33 + 1, 6 * 33 + 1)
    assert output("reconstruct", run, "pictures", "-o", "out/deep") == ["Written to out/deep."]
    images, names = read_images("out/deep")
    np.testing.assert_array_equal(images, restored)
    assert names == [f"{k:04d}.png" for k in range(1, 41)]
    output("reconstruct", run, "pictures/0002.png", "-o", "one")
    np.testing.assert_array_equal(read_images("one")[0], restored[1:2])
    output("reconstruct", run, "pictures", "-o", "out.csv")
    table = read_table("out.csv")
    assert table.column_names[-1] == "pixel63"
    assert table["pixel20"].to_pylist() == restored.reshape(40, 64)[:, 20].tolist()


def test_pictures_for_floats(output: Any) -> None:
    """For a model of floats from 0 to 1, pictures are scaled to that range."""
    np.save("floats.npy", (DIGITS / 255).astype(np.float32)[:, None])
    output("fit", "autoencoder", "floats.npy", *QUICK, "-o", "runs/a")
    output("encode", "runs/a", "floats.npy", "-o", "a.npy")
    output("encode", "runs/a", "pictures", "-o", "b.npy")
    np.testing.assert_allclose(np.load("a.npy"), np.load("b.npy"), atol=1e-5)


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_tables(name: str, output: Any, refusal: Any) -> None:
    """Mixed columns come back by name; the column left out at fit is left out again, if the table has it."""
    run = f"{name}-table"
    cells = read_table("table.csv").drop_columns(["number"])
    restored = package.load(run).reconstruct(cells)
    output("reconstruct", run, "table.csv", "-o", "out.parquet")
    assert pyarrow.parquet.read_table("out.parquet").equals(restored)
    package.data.io.tables.write_table("bare.csv", cells)
    output("reconstruct", run, "bare.csv", "-o", "bare.parquet")
    assert pyarrow.parquet.read_table("bare.parquet").equals(restored)
    assert output("reconstruct", run, "table.csv")[0].split() == ["a", "b", "c", "kind"]
    words = refusal("reconstruct", run, "table.csv", "-o", "out.npy")
    assert words == "Column 'kind' of the rows holds no numbers. Give a .csv or .parquet file."


def test_a_column_to_leave_out(output: Any, refusal: Any) -> None:
    """--label can be given several times; an unknown column is refused with the closest name."""
    output("fit", "vae", "table.csv", *QUICK, "--label", "number", "--label", "kind", "-o", "runs/a")
    assert list(package.load("runs/a").feature_names_in_) == ["a", "b", "c"]
    assert len(output("encode", "runs/a", "table.csv")) == 41
    assert refusal("fit", "vae", "table.csv", *QUICK, "--label", "nmber") == (
        "'table.csv' has no column 'nmber'. Did you mean 'number'? Its columns are: a, b, c, kind, number."
    )
    words = refusal("fit", "vae", "table.csv", *QUICK, "--image-shape", "1,5")
    assert words == "Column 'kind' of 'table.csv' holds no numbers. Leave it out with --label."


@pytest.mark.parametrize("name", ["denoiser", "vae"])
def test_impute(name: str, output: Any, refusal: Any) -> None:
    """Only the missing cell is filled; several draws go to several files, which agree where nothing was missing."""
    output("impute", f"{name}-table", "table.csv", "--random-state", "1", "-o", "full.csv")
    before, after = Path("table.csv").read_text().splitlines(), Path("full.csv").read_text().splitlines()
    for k, (old, new) in enumerate(zip(before[1:], after[1:], strict=True)):
        first, *rest = old.split(",")[:4]
        filled, *others = new.replace('"', "").split(",")
        assert others == rest
        assert (filled == first) == (k != 3)
    lines = output(
        "impute", f"{name}-table", "table.csv", "--draws", "2", "--random-state", "1", "-o", "d.csv"
    )
    assert lines == ["Written to d-1.csv.", "Written to d-2.csv."]
    draws = [Path(f"d-{k}.csv").read_text().splitlines() for k in (1, 2)]
    differing = [k for k, (a, b) in enumerate(zip(*draws, strict=True)) if a != b]
    assert differing == [4]
    assert refusal("impute", f"{name}-table", "table.csv", "--draws", "2").startswith("Give --output")
    assert refusal("impute", f"{name}-table", "table.csv", "--draws", "0") == (
        f"The '--draws' parameter of {AUTOENCODERS[name].__name__} must be an int in [1, inf). Got 0 instead."
    )


def test_denoise(output: Any) -> None:
    """The rows are those of `DenoisingAutoencoder.denoise`."""
    output("denoise", "denoiser-pictures", "pictures", "-o", "out.npy")
    expected = package.load("denoiser-pictures").denoise(DIGITS[:, None])
    np.testing.assert_array_equal(np.load("out.npy"), expected)


def test_score(output: Any, refusal: Any) -> None:
    """A score and a verdict for each row, and a summary; the log-likelihood of a vae on request."""
    lines = output("score", "vae-table", "table.csv")
    assert lines[0].split() == ["row", "score", "anomaly"]
    model = package.load("vae-table")
    cells = read_table("table.csv").drop_columns(["number"])
    scores = model.score_samples(cells)
    below = int((model.predict(cells) == -1).sum())
    assert 0 < below < 40
    assert sum(line.endswith("True") for line in lines) == below
    assert lines[-1] == (
        f"Mean score {scores.mean():.4f}; {below} of 40 rows lie below {model.threshold_:.4f}, the threshold."
    )
    output("score", "vae-pictures", "pictures", "--samples", "3", "--random-state", "1", "-o", "s.csv")
    table = read_table("s.csv")
    assert table.column_names == ["row", "file", "score", "anomaly", "log_likelihood"]
    likelihood = package.load("vae-pictures").log_likelihood(DIGITS[:, None], 3, 1)
    np.testing.assert_allclose(table["log_likelihood"].to_numpy(), likelihood, rtol=1e-6)
    assert refusal("score", "autoencoder-table", "table.csv", "--samples", "3") == (
        "--samples is for a VariationalAutoencoder. 'autoencoder-table' holds an Autoencoder."
    )


def test_sample(output: Any, refusal: Any) -> None:
    """As many new rows as requested, the same for the same seed."""
    output("sample", "vae-pictures", "-n", "6", "--random-state", "3", "-o", "new")
    model = package.load("vae-pictures")
    np.testing.assert_array_equal(read_images("new")[0], model.sample(6, random_state=3))
    output("sample", "vae-pictures", "--number", "6", "--random-state", "3", "--means", "-o", "new.npy")
    np.testing.assert_array_equal(np.load("new.npy"), model.sample(6, random_state=3, means=True))
    output("sample", "vae-pictures", "-o", "new.png")
    assert image_size("new.png") == (8 * 33 + 1, 8 * 33 + 1)
    lines = output("sample", "vae-table", "-n", "5")
    assert (lines[0].split(), len(lines)) == (["a", "b", "c", "kind"], 6)
    assert refusal("sample", "vae-table", "-n", "many") == (
        "The '--number' parameter of VariationalAutoencoder must be an int in [1, inf). Got 'many' instead."
    )


def sequences(lengths: list[int]) -> list[NDArray[Any]]:
    """Random sequences (T, 2)."""
    return [RNG.random((length, 2)) for length in lengths]


def test_sequences(output: Any, refusal: Any) -> None:
    """A block of sequences comes back as a block, or with a row for every step; ragged ones only so."""
    np.save("block.npy", np.stack(sequences([5] * 12)))
    output("fit", "autoencoder", "block.npy", "--backbone", "gru", *QUICK, "-o", "runs/a")
    output("reconstruct", "runs/a", "block.npy", "-o", "again.npz")
    again = np.load("again.npz")["X"]
    np.testing.assert_array_equal(again, package.load("runs/a").reconstruct(np.load("block.npy")))
    output("reconstruct", "runs/a", "block.npy", "-o", "again.csv")
    table = read_table("again.csv")
    assert table.column_names == ["sequence", "step", "x0", "x1"]
    np.testing.assert_allclose(table["x1"].to_numpy().reshape(12, 5), again[:, :, 1], rtol=1e-6)
    assert table["step"].to_pylist()[:7] == [0, 1, 2, 3, 4, 0, 1]
    cases = [":".join(",".join(map(str, x)) for x in one.T) for one in sequences([3, 5] * 6)]
    Path("ragged.ts").write_text("@problemName x\n@classLabel false\n@data\n" + "\n".join(cases) + "\n")
    output("fit", "autoencoder", "ragged.ts", "--backbone", "recurrent", *QUICK, "-o", "runs/b")
    assert len(output("reconstruct", "runs/b", "ragged.ts")) == 1 + 6 * 8
    assert refusal("reconstruct", "runs/b", "ragged.ts", "-o", "x.npy") == (
        "The sequences have from 3 to 5 steps, which are no array. Give a .csv or .parquet file in place of 'x.npy'."
    )
    assert refusal("fit", "autoencoder", "ragged.ts") == (
        "'ragged.ts' holds sequences. Say what reads them, such as --backbone recurrent."
    )
    output("fit", "autoencoder", "table.csv", "--backbone", "gru", "--label", "kind", *QUICK, "-o", "runs/c")
    assert len(package.load("runs/c").reconstruct(RNG.random((2, 4)))) == 2


def test_a_real_process(tmp_path: Path) -> None:
    """From a shell: pictures in, a model, and new pictures out."""

    def shell(*words: str) -> str:
        command = [sys.executable, "-m", "regen", *words]
        environment = os.environ | {"COLUMNS": "80", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert "Next: regen encode runs/pictures pictures" in shell("fit", "vae", "pictures", *QUICK)
    assert shell("sample", "runs/pictures", "-n", "4", "-o", "new.png") == "Written to new.png.\n"
    assert image_size(tmp_path / "new.png") == (67, 67)


def test_a_column_without_a_value(output: Any) -> None:
    """A column of the CSV that is empty in all rows is restored, and filled with what the model expects there."""
    Path("empty.csv").write_text("a,b,c,kind\n" + "0.5,,0.25,x\n" * 3)
    output("reconstruct", "vae-table", "empty.csv", "-o", "again.csv")
    output("impute", "vae-table", "empty.csv", "-o", "filled.csv")
    for name in ("again.csv", "filled.csv"):
        assert np.isfinite(read_table(name)["b"].to_numpy()).all()
    filled = read_table("filled.csv")
    assert filled["a"].to_pylist() == [0.5] * 3
    assert filled["kind"].to_pylist() == ["x"] * 3
