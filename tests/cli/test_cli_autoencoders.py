"""What autoencoders do from the command line, on tables, arrays, sequences and folders of pictures."""

import json
import os
import re
import shutil
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
from regen.cli.flags import flags_of
from regen.data.io.image_files import read_images
from regen.data.io.tables import read_table

RNG = np.random.default_rng(0)
QUICK = ("--max-epochs", "1", "--hidden", "4", "--code", "2", "--random-state", "0")
DIGITS = (package.datasets.digits()[0][:40] * 255).astype(np.uint8)
CODERS = {
    "autoencoder": package.Autoencoder,
    "denoiser": package.DenoisingAutoencoder,
    "vae": package.VariationalAutoencoder,
}


def told(result: Any) -> str:
    """What stderr says, once the command has been refused."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    return str(result.stderr.rstrip("\n"))


def said(result: Any) -> list[str]:
    """What stdout says, once the command has succeeded."""
    assert result.exit_code == 0, result.output
    return list(result.stdout.splitlines())


def image_size(path: Path | str) -> tuple[int, int]:
    """Width and height of a picture."""
    with Image.open(path) as image:
        return (image.width, image.height)


@pytest.mark.parametrize("name", CODERS)
def test_fit_is_what_python_does(name: str, here: Any) -> None:
    """The run holds the model that Python would have fitted on the same pictures, and says what comes next."""
    lines = said(here("fit", name, "pictures", *QUICK, "-o", "runs/a b"))
    assert re.fullmatch(rf"{CODERS[name].__name__}: 1 epoch in .* s\. Reached max_epochs=1\.", lines[0])
    assert lines[2] == "Saved in runs/a b. Next: regen encode 'runs/a b' pictures"
    twin = CODERS[name](code=2, hidden=4, max_epochs=1, random_state=0).fit(DIGITS[:, None])
    model = package.load("runs/a b")
    np.testing.assert_array_equal(model.transform(DIGITS[:, None]), twin.transform(DIGITS[:, None]))
    facts = json.loads(Path("runs/a b/run.json").read_text())
    assert (facts["estimator"], facts["data"]) == (CODERS[name].__name__, "pictures")


def test_flags_of_more_than_one_value(here: Any) -> None:
    """Widths, shapes and weights are lists with commas; what no list says is refused in Python's words."""
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
    said(here(*words, "--penalty", "l1=0.5,kl=1e-3", "--kind", "unit", "-o", "runs/a"))
    model = package.load("runs/a")
    assert (model.image_shape, model.hidden, model.output) == ((1, 8, 8), (6, 3), "unit")
    assert model.penalty == {"l1": 0.5, "kl": 0.001}
    assert model.form_["kind"] == "images"
    said(here("fit", "autoencoder", "flat.npy", "--max-epochs", "1", "--hidden", "none", "-o", "runs/b"))
    assert package.load("runs/b").hidden == ()
    for flag, text in (
        ("--hidden", "6,x"),
        ("--image-shape", "8"),
        ("--penalty", "l3=1"),
        ("--kind", "loud"),
    ):
        words = told(here("fit", "autoencoder", "flat.npy", flag, text))
        assert words.startswith(f"The '{flag}' parameter of Autoencoder must be "), words
        assert " instead" in words


@pytest.mark.parametrize("name", CODERS)
def test_every_argument_of_a_coder_is_a_flag(name: str) -> None:
    """Every flag has words, and what is shown as its default can be typed."""
    flags = flags_of(CODERS[name])
    assert len({flag.flag for flag in flags} | {"--output", "--force", "--label"}) == len(flags) + 3
    for flag in flags:
        assert len(flag.help) > 10, flag.name
        if not isinstance(flag.default, bool) and flag.name != "random_state":
            assert flag.read("none" if flag.default is None else str(flag.default)) == flag.default


@pytest.mark.parametrize("name", CODERS)
def test_codes_there_and_back(name: str, here: Any) -> None:
    """Codes of pictures beside their names, as text, table and array; decoded, they are the reconstruction."""
    run = f"{name}-pictures"
    model = package.load(run)
    codes = model.transform(DIGITS[:, None])
    lines = said(here("encode", run, "pictures"))
    assert lines[0].split() == ["file", *model.get_feature_names_out()]
    assert lines[2].split()[0] == "0002.png"
    assert said(here("encode", run, "pictures", "-o", "c.parquet")) == ["Written to c.parquet."]
    said(here("encode", run, "pictures", "-o", "c.csv"))
    said(here("encode", run, "pictures", "-o", "c.npz"))
    table = pyarrow.parquet.read_table("c.parquet")
    assert table["file"].to_pylist()[-1] == "0040.png"
    found = np.stack([table[column].to_numpy() for column in table.column_names[1:]], axis=1)
    np.testing.assert_array_equal(found, codes)
    again = model.inverse_transform(codes)
    for source in ("c.parquet", "c.csv", "c.npz"):
        said(here("decode", run, source, "-o", "again.npy"))
        np.testing.assert_array_equal(np.load("again.npy"), again)
    said(here("reconstruct", run, "pictures", "-o", "same.npy"))
    np.testing.assert_array_equal(np.load("same.npy"), again)


def test_pictures_out(here: Any) -> None:
    """A .png is a grid of all, a folder has a picture each under the name that it had, a table the pixels."""
    run = "autoencoder-pictures"
    restored = package.load(run).reconstruct(DIGITS[:, None])
    said(here("reconstruct", run, "pictures", "-o", "grid.png"))
    assert image_size("grid.png") == (7 * 33 + 1, 6 * 33 + 1)
    assert said(here("reconstruct", run, "pictures", "-o", "out/deep")) == ["Written to out/deep."]
    images, names = read_images("out/deep")
    np.testing.assert_array_equal(images, restored)
    assert names == [f"{k:04d}.png" for k in range(1, 41)]
    said(here("reconstruct", run, "pictures/0002.png", "-o", "one"))
    np.testing.assert_array_equal(read_images("one")[0], restored[1:2])
    said(here("reconstruct", run, "pictures", "-o", "out.csv"))
    table = read_table("out.csv")
    assert table.column_names[-1] == "pixel63"
    assert table["pixel20"].to_pylist() == restored.reshape(40, 64)[:, 20].tolist()


def test_pictures_for_floats(here: Any) -> None:
    """A model of floats from 0 to 1 reads pictures as that."""
    np.save("floats.npy", (DIGITS / 255).astype(np.float32)[:, None])
    said(here("fit", "autoencoder", "floats.npy", *QUICK, "-o", "runs/a"))
    said(here("encode", "runs/a", "floats.npy", "-o", "a.npy"))
    said(here("encode", "runs/a", "pictures", "-o", "b.npy"))
    np.testing.assert_allclose(np.load("a.npy"), np.load("b.npy"), atol=1e-5)


@pytest.mark.parametrize("name", CODERS)
def test_tables(name: str, here: Any) -> None:
    """Mixed columns come back by name; the column left out at fit is left out again, where it is there."""
    run = f"{name}-table"
    cells = read_table("table.csv").drop_columns(["number"])
    restored = package.load(run).reconstruct(cells)
    said(here("reconstruct", run, "table.csv", "-o", "out.parquet"))
    assert pyarrow.parquet.read_table("out.parquet").equals(restored)
    package.data.io.tables.write_table("bare.csv", cells)
    said(here("reconstruct", run, "bare.csv", "-o", "bare.parquet"))
    assert pyarrow.parquet.read_table("bare.parquet").equals(restored)
    assert said(here("reconstruct", run, "table.csv"))[0].split() == ["a", "b", "c", "kind"]
    words = told(here("reconstruct", run, "table.csv", "-o", "out.npy"))
    assert words == "Column 'kind' of the rows holds no numbers. Give a .csv or .parquet file."


def test_a_column_to_leave_out(here: Any) -> None:
    """--label can be given several times; a column that is not there is refused with the closest."""
    said(here("fit", "vae", "table.csv", *QUICK, "--label", "number", "--label", "kind", "-o", "runs/a"))
    assert list(package.load("runs/a").feature_names_in_) == ["a", "b", "c"]
    assert len(said(here("encode", "runs/a", "table.csv"))) == 41
    assert told(here("fit", "vae", "table.csv", *QUICK, "--label", "nmber")) == (
        "'table.csv' has no column 'nmber'. Did you mean 'number'?"
    )
    words = told(here("fit", "vae", "table.csv", *QUICK, "--image-shape", "1,5"))
    assert words == "Column 'kind' of 'table.csv' holds no numbers. Leave it out with --label."


@pytest.mark.parametrize("name", ["denoiser", "vae"])
def test_impute(name: str, here: Any) -> None:
    """Only the missing cell is filled; several draws go to several files, which agree where nothing was missing."""
    said(here("impute", f"{name}-table", "table.csv", "--random-state", "1", "-o", "full.csv"))
    before, after = Path("table.csv").read_text().splitlines(), Path("full.csv").read_text().splitlines()
    for k, (old, new) in enumerate(zip(before[1:], after[1:], strict=True)):
        first, *rest = old.split(",")[:4]
        filled, *others = new.replace('"', "").split(",")
        assert others == rest
        assert (filled == first) == (k != 3)
    lines = said(
        here("impute", f"{name}-table", "table.csv", "--draws", "2", "--random-state", "1", "-o", "d.csv")
    )
    assert lines == ["Written to d-1.csv.", "Written to d-2.csv."]
    draws = [Path(f"d-{k}.csv").read_text().splitlines() for k in (1, 2)]
    differing = [k for k, (a, b) in enumerate(zip(*draws, strict=True)) if a != b]
    assert differing == [4]
    assert told(here("impute", f"{name}-table", "table.csv", "--draws", "2")).startswith("Give --output")
    assert told(here("impute", f"{name}-table", "table.csv", "--draws", "0")) == (
        f"The '--draws' parameter of {CODERS[name].__name__} must be an int in [1, inf). Got 0 instead."
    )


def test_denoise(here: Any) -> None:
    """What Python's denoise gives."""
    said(here("denoise", "denoiser-pictures", "pictures", "-o", "out.npy"))
    expected = package.load("denoiser-pictures").denoise(DIGITS[:, None])
    np.testing.assert_array_equal(np.load("out.npy"), expected)


def test_score(here: Any) -> None:
    """A score and a verdict for each row, and their sum in words; a vae's log-likelihood when asked for."""
    lines = said(here("score", "vae-table", "table.csv"))
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
    said(here("score", "vae-pictures", "pictures", "--samples", "3", "--random-state", "1", "-o", "s.csv"))
    table = read_table("s.csv")
    assert table.column_names == ["row", "file", "score", "anomaly", "log_likelihood"]
    likelihood = package.load("vae-pictures").log_likelihood(DIGITS[:, None], 3, 1)
    np.testing.assert_allclose(table["log_likelihood"].to_numpy(), likelihood, rtol=1e-6)
    assert told(here("score", "autoencoder-table", "table.csv", "--samples", "3")) == (
        "--samples is for a VariationalAutoencoder. 'autoencoder-table' holds an Autoencoder."
    )


def test_sample(here: Any) -> None:
    """As many new rows as asked for, the same for the same seed."""
    said(here("sample", "vae-pictures", "-n", "6", "--random-state", "3", "-o", "new"))
    model = package.load("vae-pictures")
    np.testing.assert_array_equal(read_images("new")[0], model.sample(6, random_state=3))
    said(here("sample", "vae-pictures", "--number", "6", "--random-state", "3", "--means", "-o", "new.npy"))
    np.testing.assert_array_equal(np.load("new.npy"), model.sample(6, random_state=3, means=True))
    said(here("sample", "vae-pictures", "-o", "new.png"))
    assert image_size("new.png") == (8 * 33 + 1, 8 * 33 + 1)
    lines = said(here("sample", "vae-table", "-n", "5"))
    assert (lines[0].split(), len(lines)) == (["a", "b", "c", "kind"], 6)
    assert told(here("sample", "vae-table", "-n", "many")) == (
        "The '--number' parameter of VariationalAutoencoder must be an int in [1, inf). Got 'many' instead."
    )


def sequences(lengths: list[int]) -> list[NDArray[Any]]:
    """Random sequences (T, 2)."""
    return [RNG.random((length, 2)) for length in lengths]


def test_sequences(here: Any) -> None:
    """A block of sequences comes back as a block, or with a row for every step; ragged ones only so."""
    np.save("block.npy", np.stack(sequences([5] * 12)))
    said(here("fit", "autoencoder", "block.npy", "--backbone", "gru", *QUICK, "-o", "runs/a"))
    said(here("reconstruct", "runs/a", "block.npy", "-o", "again.npz"))
    again = np.load("again.npz")["X"]
    np.testing.assert_array_equal(again, package.load("runs/a").reconstruct(np.load("block.npy")))
    said(here("reconstruct", "runs/a", "block.npy", "-o", "again.csv"))
    table = read_table("again.csv")
    assert table.column_names == ["sequence", "step", "x0", "x1"]
    np.testing.assert_allclose(table["x1"].to_numpy().reshape(12, 5), again[:, :, 1], rtol=1e-6)
    assert table["step"].to_pylist()[:7] == [0, 1, 2, 3, 4, 0, 1]
    cases = [":".join(",".join(map(str, x)) for x in one.T) for one in sequences([3, 5] * 6)]
    Path("ragged.ts").write_text("@problemName x\n@classLabel false\n@data\n" + "\n".join(cases) + "\n")
    said(here("fit", "autoencoder", "ragged.ts", "--backbone", "recurrent", *QUICK, "-o", "runs/b"))
    assert len(said(here("reconstruct", "runs/b", "ragged.ts"))) == 1 + 6 * 8
    assert told(here("reconstruct", "runs/b", "ragged.ts", "-o", "x.npy")) == (
        "The sequences have from 3 to 5 steps, which are no array. Give a .csv or .parquet file in place of 'x.npy'."
    )
    assert told(here("fit", "autoencoder", "ragged.ts")) == (
        "'ragged.ts' holds sequences. Say what reads them, such as --backbone recurrent."
    )
    said(
        here(
            "fit", "autoencoder", "table.csv", "--backbone", "gru", "--label", "kind", *QUICK, "-o", "runs/c"
        )
    )
    assert len(package.load("runs/c").reconstruct(RNG.random((2, 4)))) == 2


def test_a_real_process(kept: Path, tmp_path: Path) -> None:
    """From a shell: pictures in, a model, and new pictures out."""

    def shell(*words: str) -> str:
        command = [sys.executable, "-m", "regen", *words]
        environment = os.environ | {"COLUMNS": "80", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    shutil.copytree(kept / "pictures", tmp_path / "pictures")
    assert "Next: regen encode runs/pictures pictures" in shell("fit", "vae", "pictures", *QUICK)
    assert shell("sample", "runs/pictures", "-n", "4", "-o", "new.png") == "Written to new.png.\n"
    assert image_size(tmp_path / "new.png") == (67, 67)


def test_a_column_without_a_value(here: Any) -> None:
    """A column of the CSV that is empty in all rows is restored, and filled with what the model expects there."""
    Path("empty.csv").write_text("a,b,c,kind\n" + "0.5,,0.25,x\n" * 3)
    said(here("reconstruct", "vae-table", "empty.csv", "-o", "again.csv"))
    said(here("impute", "vae-table", "empty.csv", "-o", "filled.csv"))
    for name in ("again.csv", "filled.csv"):
        assert np.isfinite(read_table(name)["b"].to_numpy()).all()
    filled = read_table("filled.csv")
    assert filled["a"].to_pylist() == [0.5] * 3
    assert filled["kind"].to_pylist() == ["x"] * 3
