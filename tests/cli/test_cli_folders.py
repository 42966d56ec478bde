"""DCGAN on folders of pictures that are labels, and the codes of rows, from the command line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import regen as package
from regen.data.io.image_files import read_images, write_images
from regen.data.io.tables import read_table, write_table

# After one epoch every fit warns.
pytestmark = pytest.mark.filterwarnings("ignore:The generated rows cover", "ignore:The discriminator has won")

DIGITS = (package.datasets.digits()[0][:40] * 255).astype(np.uint8)
LABELS = np.repeat(["one", "two"], [25, 15])
QUICK = ("--max-epochs", "1", "--code", "2", "--channels", "4", "--random-state", "0")
FLAG_OF_LOSS = {"gan": "--objective", "dcgan": "--objective", "vae": "--likelihood"}


@pytest.fixture(autouse=True)
def trees(regen: Any) -> None:
    """Pictures in folders of labels: whole, one alone, and next to pictures."""
    for label in ("one", "two"):
        write_images(f"tree/{label}", DIGITS[label == LABELS])
    write_images("alone/one", DIGITS[:9])
    for folder in ("loose", "loose/one", "loose/two"):
        write_images(folder, DIGITS[:9])


def test_folders_are_labels(output: Any) -> None:
    """The run is the model that Python fits with the folders' names as labels; it samples and scores by them."""
    output("fit", "dcgan", "tree", "--label", "folder", *QUICK, "-o", "run")
    twin = package.DCGAN(channels=4, code=2, max_epochs=1, random_state=0).fit(DIGITS[:, None], LABELS)
    model = package.load("run")
    assert model.classes_.tolist() == ["one", "two"]
    expected = twin.sample(3, random_state=1, label="two")
    output("sample", "run", "--label", "two", "-n", "3", "--random-state", "1", "-o", "new")
    images, names = read_images("new")
    np.testing.assert_array_equal(images, expected)
    assert names == ["two-0001.png", "two-0002.png", "two-0003.png"]
    output("score", "run", "tree", "-o", "s.csv")
    scores = read_table("s.csv")
    np.testing.assert_allclose(
        scores["score"].to_numpy(), twin.score_samples(DIGITS[:, None], LABELS), rtol=1e-6
    )
    assert scores["file"].to_pylist()[25] == "two/0001.png"
    output("sample", "run", "-n", "9", "-o", "new.csv")
    assert set(read_table("new.csv")["folder"].to_pylist()) == {"one", "two"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("dcgan", "tree"),
            "The folder 'tree' has no pictures of its own, but folders. Say --label folder to take their names as"
            " labels of the pictures in them.",
        ),
        (
            ("dcgan", "alone", "--label", "folder"),
            "Labels that are folders need a folder with two or more in it, one for each label. 'alone' has only"
            " 'one'. Put the pictures of each label in a folder of its own.",
        ),
        (
            ("dcgan", "loose", "--label", "folder"),
            "The folder 'loose' has folders, one for each label, and '0001.png' next to them. Move it into the folder"
            " of its label, or take it away.",
        ),
        (("dcgan", "tre", "--label", "folder"), "There is no file or folder 'tre'. Did you mean 'tree'?"),
        (
            ("vae", "loose", "--label", "folder"),
            "--label folder is for a column of a table. 'loose' has no columns. Leave --label out.",
        ),
        (
            ("classifier", "waves.npz", "--label", "y"),
            "--label y is for a column of a table. 'waves.npz' has no columns. Leave --label out.",
        ),
    ],
)
def test_refused_labels(arguments: tuple[str, ...], message: str, refusal: Any) -> None:
    """One sentence, and no run."""
    np.savez("waves.npz", X=np.ones((4, 3)), y=[0, 1, 0, 1])
    assert refusal("fit", *arguments) == message
    assert not Path("runs").exists()


def test_codes_of_rows(output: Any, refusal: Any) -> None:
    """Codes as Python finds them, shown or written, by the labels of the data or by that of --label."""
    table = {"a": np.linspace(0, 1, 30), "b": np.linspace(1, 0, 30) ** 2, "class": np.arange(30) % 2}
    write_table("t.csv", table)
    words = ("--max-epochs", "1", "--code", "3", "--hidden", "8", "--random-state", "0")
    output("fit", "gan", "t.csv", "--label", "class", *words, "-o", "run")
    model, X = package.load("run"), read_table("t.csv").drop_columns(["class"])
    search = ("--steps", "5", "--random-state", "1")
    own = model.invert(X, table["class"], steps=5, random_state=1)
    assert output("invert", "run", "t.csv", *search, "-o", "z.npy") == ["Written to z.npy."]
    np.testing.assert_array_equal(np.load("z.npy"), own)
    output("invert", "run", "t.csv", *search, "--label", "1", "-o", "z.csv")
    found = read_table("z.csv")
    assert found.column_names == ["code0", "code1", "code2"]
    codes = np.stack([column.to_numpy() for column in found.columns], axis=1)
    np.testing.assert_allclose(codes, model.invert(X, np.ones(30, int), steps=5, random_state=1), rtol=1e-6)
    assert np.abs(codes - own).max() > 0.01, "the label counts"
    assert output("invert", "run", "t.csv", *search)[0].split() == ["code0", "code1", "code2"]
    write_table("bare.csv", X)
    assert refusal("invert", "run", "bare.csv") == (
        "This GAN was fitted with labels. Give label, one of 0, 1, or one for each row."
    )
    assert refusal("invert", "run", "t.csv", "--steps", "0") == (
        "The '--steps' parameter of GAN must be an int in [1, inf). Got 0 instead."
    )


@pytest.mark.parametrize("kind", ["autoencoder", "denoiser", "vae", "gan", "dcgan"])
def test_flag_of_the_loss(kind: str, output: Any) -> None:
    """--loss is a flag of the estimators that use it; the others have their own flag for the loss."""
    help = "\n".join(output("fit", kind, "--help"))
    assert (f"{FLAG_OF_LOSS[kind]} " in help) if kind in FLAG_OF_LOSS else ("--loss " in help)
    assert ("--loss " in help) == (kind not in FLAG_OF_LOSS)


def test_help_of_turns(output: Any) -> None:
    """The help of --turns lists every choice and every key."""
    help = " ".join(" ".join(output("fit", "gan", "--help")).split())
    description = help.partition("--turns")[2].partition("[default:")[0]
    names = ("alternate", "scores", "discriminator", "generator", "low", "high", "cap", "smoothing", "warmup")
    assert [name for name in names if f'"{name}"' not in description] == []
