"""GAN and DCGAN from the command line, on tables, archives, sequences and folders of pictures."""

import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import regen as package
from regen.data.io.image_files import read_images, write_images
from regen.data.io.tables import read_table

# After one epoch every fit warns.
pytestmark = pytest.mark.filterwarnings("ignore:The generated rows cover", "ignore:The discriminator has won")

QUICK = ("--max-epochs", "1", "--code", "2", "--random-state", "0")
OPTIONS: dict[str, Any] = {"code": 2, "max_epochs": 1, "random_state": 0}
DIGITS = (package.datasets.digits()[0][:40] * 255).astype(np.uint8)
LABELS = np.array(["one", "two"] * 20)


@pytest.fixture(scope="session")
def gan_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of both on data with labels and without, and the data."""
    folder = tmp_path_factory.mktemp("gans")
    write_images(folder / "pictures", DIGITS)
    np.savez(folder / "digits.npz", X=DIGITS, y=LABELS)
    np.savez(folder / "steps.npz", X=np.random.default_rng(1).random((40, 5, 2)), y=np.arange(40) % 2)
    x = np.random.default_rng(0).random((40, 2)).round(3)
    lines = [f"{a},{'xyz'[k % 3]},{k % 4},{b}" for k, (a, b) in enumerate(x)]
    (folder / "table.csv").write_text("\n".join(["a,kind,class,b", *lines]) + "\n")
    cells = read_table(folder / "table.csv")
    plain, label = cells.drop_columns(["class"]), cells["class"].to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        models = {
            "dcgan-plain": (package.DCGAN(channels=4, **OPTIONS).fit(DIGITS[:, None]), None),
            "dcgan-labelled": (package.DCGAN(channels=4, **OPTIONS).fit(DIGITS, LABELS), None),
            "gan-plain": (package.GAN(hidden=(16, 16), **OPTIONS).fit(plain), None),
            "gan-labelled": (package.GAN(hidden=(16, 16), **OPTIONS).fit(plain, label), "class"),
        }
    for name, (model, column) in models.items():
        package.save(model, f"{folder / name}/")
        (folder / name / "run.json").write_text(json.dumps({"label": column}))
    return folder


@pytest.fixture(autouse=True)
def gan_files(gan_runs: Path, regen: Any, tmp_path: Path) -> None:
    """Link all of `gan_runs` into the folder in which `regen` runs."""
    for each in gan_runs.iterdir():
        (tmp_path / each.name).symlink_to(each)


def column(path: str, name: str) -> NDArray[Any]:
    """A column of a table."""
    found: NDArray[Any] = np.array(read_table(path)[name].to_pylist())
    return found


def test_the_game_is_made_of_flags(output: Any, refusal: Any) -> None:
    """Fields of Game and of Training each reach their own; a dict is NAME=NUMBER with commas."""
    words = ("--objective", "hinge", "--pack", "4", "--turns", "low=20,high=40.5", "--batch-size", "8")
    output("fit", "gan", "table.csv", *QUICK, "--hidden", "16,16", *words, "-o", "runs/a")
    model = package.load("runs/a")
    assert model.game == {"objective": "hinge", "pack": 4, "turns": {"low": 20, "high": 40.5}}
    assert model.training == {"batch_size": 8}
    assert refusal("fit", "gan", "table.csv", "--turns", "hihg=40") == (
        "The '--turns' parameter of Game must be one of 'alternate', 'scores' or a dict of moves for some of"
        " 'discriminator', 'generator' or of numbers for some of 'low', 'high', 'cap', 'smoothing', 'warmup'. Got"
        " {'hihg': 40.0} instead."
    )
    assert refusal("fit", "dcgan", "pictures", "--penalty", "r3") == (
        "The '--penalty' parameter of Game must be one of 'auto', 'r1+r2', 'r1', 'r2', 'gradient', 'none'. Got 'r3'"
        " instead."
    )


def test_fit_is_what_python_does(output: Any) -> None:
    """The run of a folder of pictures is the model that Python fits; how good it is stands in one line."""
    lines = output("fit", "dcgan", "pictures", *QUICK, "--channels", "4", "-o", "runs/a b")
    assert re.fullmatch(r"DCGAN: 1 epoch in .* s\. Reached max_epochs=1\.", lines[0])
    assert re.fullmatch(
        r"Of generated rows \d+ % lie among real ones, of real rows \d+ % are covered\. Mean scores, 50 being a"
        r" guess: real \d+, generated \d+\.",
        lines[2],
    )
    assert lines[3] == "Saved in runs/a b. Next: regen sample 'runs/a b' -o new.png"
    model, twin = package.load("runs/a b"), package.load("dcgan-plain")
    np.testing.assert_array_equal(model.sample(4, random_state=1), twin.sample(4, random_state=1))


def test_warnings_are_notes(regen: Any) -> None:
    """A warning of fit is a note on stderr."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = regen("fit", "dcgan", "pictures", *QUICK, "--channels", "4")
    assert result.exit_code == 0, result.output
    assert (
        result.stdout.splitlines()[-1]
        == "Saved in runs/pictures. Next: regen sample runs/pictures -o new.png"
    )
    assert result.stderr.startswith("Note: The ")
    assert (
        "Note: The discriminator has won: its mean score is 100 for training rows and 1 for" in result.stderr
    )


def test_labels_of_a_table(output: Any, refusal: Any) -> None:
    """The column named by --label is the condition of the rows, not a part of them, and is written with them."""
    output("fit", "gan", "table.csv", *QUICK, "--hidden", "16,16", "--label", "class", "-o", "runs/a")
    twin = package.load("gan-labelled")
    assert package.load("runs/a").classes_.tolist() == [0, 1, 2, 3]
    output(
        "sample", "runs/a", "-n", "3", "--label", "2", "--label", "0", "--random-state", "5", "-o", "a.csv"
    )
    assert read_table("a.csv").column_names == ["class", "a", "kind", "b"]
    assert column("a.csv", "class").tolist() == [2, 2, 2, 0, 0, 0]
    rows = twin.sample(6, random_state=5, label=[2, 2, 2, 0, 0, 0])
    np.testing.assert_allclose(column("a.csv", "a"), rows["a"].to_numpy())
    assert column("a.csv", "kind").tolist() == rows["kind"].to_pylist()
    assert output("sample", "runs/a", "-n", "3", "--label", "2")[0].split() == ["class", "a", "kind", "b"]
    assert refusal("fit", "gan", "table.csv", "--label", "clas") == (
        "'table.csv' has no column 'clas'. Did you mean 'class'? Its columns are: a, kind, class, b."
    )
    output("fit", "gan", "table.csv", *QUICK, "--hidden", "16,16", "--label", "none", "-o", "runs/b")
    assert package.load("runs/b").n_labels_ == 0


def test_labels_are_drawn_as_often_as_in_the_data(output: Any) -> None:
    """Without --label each row gets a label of fit, which is written with it; the same for the same seed."""
    for path in ("a.csv", "b.csv"):
        output("sample", "gan-labelled", "-n", "60", "--random-state", "3", "-o", path)
    assert Path("a.csv").read_text() == Path("b.csv").read_text()
    labels = column("a.csv", "class")
    assert set(labels) == {0, 1, 2, 3}
    rows = package.load("gan-labelled").sample(60, random_state=3, label=labels)
    np.testing.assert_allclose(column("a.csv", "a"), rows["a"].to_numpy())
    lines = output("sample", "gan-plain", "-n", "5")
    assert (lines[0].split(), len(lines)) == (["a", "kind", "b"], 6)


def test_labels_of_an_archive(output: Any) -> None:
    """The y of a .npz file is read without --label and written again, also in names of pictures; none ignores it."""
    output("fit", "dcgan", "digits.npz", *QUICK, "--channels", "4", "-o", "runs/a")
    model, twin = package.load("runs/a"), package.load("dcgan-labelled")
    assert model.classes_.tolist() == ["one", "two"]
    same = {"label": "two", "random_state": 3}
    np.testing.assert_array_equal(model.sample(4, **same), twin.sample(4, **same))
    output("sample", "dcgan-labelled", "-n", "4", "--label", "two", "--random-state", "3", "-o", "new")
    images, names = read_images("new")
    np.testing.assert_array_equal(images[:, 0], twin.sample(4, **same))
    assert names == [f"two-{k:04d}.png" for k in range(1, 5)]
    assert output("sample", "dcgan-labelled", "-n", "9", "-o", "new.npz") == ["Written to new.npz."]
    archive = np.load("new.npz")
    assert (archive["X"].shape, set(archive["y"])) == ((9, 8, 8), {"one", "two"})
    assert output("sample", "dcgan-labelled", "-n", "9", "-o", "new.npy") == [
        "Written to new.npy. Its labels are not: a .npz or .csv file has room for them."
    ]
    output("fit", "dcgan", "digits.npz", *QUICK, "--channels", "4", "--label", "none", "-o", "runs/b")
    assert package.load("runs/b").n_labels_ == 0


def test_sequences(output: Any) -> None:
    """Sequences with labels in, and a row for every step of new ones out, each with its label."""
    words = ("--backbone", "recurrent", "--hidden", "16,16", *QUICK)
    output("fit", "gan", "steps.npz", *words, "-o", "runs/a")
    output("sample", "runs/a", "-n", "2", "--label", "1", "--label", "0", "-o", "a.csv")
    assert read_table("a.csv").column_names == ["label", "sequence", "step", "x0", "x1"]
    assert column("a.csv", "label").tolist() == [1] * 10 + [0] * 10
    output("sample", "runs/a", "-n", "3", "--random-state", "1", "--label", "1", "-o", "a.npy")
    expected = package.load("runs/a").sample(3, random_state=1, label=1)
    np.testing.assert_array_equal(np.load("a.npy"), expected)
    lines = output("score", "runs/a", "steps.npz")
    assert len(lines) == 1 + 40 + 1


def test_truncation(output: Any) -> None:
    """Codes within a bound, as in Python."""
    words = ("-n", "5", "--random-state", "2", "-o", "a.npy")
    output("sample", "dcgan-plain", "--truncation", "0.1", *words)
    expected = package.load("dcgan-plain").sample(5, random_state=2, truncation=0.1)
    np.testing.assert_array_equal(np.load("a.npy"), expected)
    output("sample", "dcgan-plain", *words)
    assert (np.load("a.npy") != expected).any()


def test_ways_between_codes(output: Any, refusal: Any) -> None:
    """A row of the grid for each way; the same seed, the same ways; a label for all, or one of each way's own."""
    words = ("-n", "5", "--ways", "3", "--random-state", "1")
    output("interpolate", "dcgan-plain", *words, "-o", "ways.png")
    with Image.open("ways.png") as image:
        assert image.size == (5 * 33 + 1, 3 * 33 + 1)
    output("interpolate", "dcgan-plain", *words, "-o", "ways.npy")
    model, rng = package.load("dcgan-plain"), np.random.RandomState(1)
    expected = [model.interpolate(steps=5, random_state=rng) for _ in range(3)]
    np.testing.assert_array_equal(np.load("ways.npy"), np.concatenate(expected))
    output("interpolate", "gan-labelled", *words, "--label", "3", "-o", "ways.csv")
    assert read_table("ways.csv").column_names == ["class", "a", "kind", "b"]
    assert column("ways.csv", "class").tolist() == [3] * 15
    output("interpolate", "gan-labelled", "--ways", "9", "--random-state", "1", "-o", "ways.csv")
    drawn = column("ways.csv", "class").reshape(9, 8)
    assert (drawn == drawn[:, :1]).all()
    assert len(np.unique(drawn)) > 1
    assert len(output("interpolate", "gan-plain")) == 1 + 8
    assert refusal("interpolate", "gan-plain", "-n", "1") == (
        "The '--number' parameter of GAN must be an int in [2, inf). Got 1 instead."
    )


def test_pictures_out(output: Any) -> None:
    """A .png is a grid of all."""
    output("sample", "dcgan-plain", "-n", "6", "-o", "new.png")
    with Image.open("new.png") as image:
        assert image.size == (3 * 33 + 1, 2 * 33 + 1)


def test_scores(output: Any) -> None:
    """From 1 to 100, for real and generated rows, under the labels of the data; and a summary of the mean."""
    output("score", "gan-labelled", "table.csv", "-o", "s.csv")
    model, table = package.load("gan-labelled"), read_table("table.csv")
    rows, labels = table.drop_columns(["class"]), table["class"].to_numpy()
    expected = model.score_samples(rows, labels)
    np.testing.assert_allclose(column("s.csv", "score"), expected, rtol=1e-6)
    assert (model.score_samples(rows, 3 - labels) != expected).any(), "the label counts"
    package.data.io.tables.write_table("bare.csv", rows)
    output("score", "gan-labelled", "bare.csv", "-o", "s.csv")
    np.testing.assert_allclose(column("s.csv", "score"), model.score_samples(rows), rtol=1e-6)
    lines = output("score", "dcgan-plain", "pictures")
    scores = package.load("dcgan-plain").score_samples(DIGITS[:, None])
    assert (lines[0].split(), lines[2].split()[:2]) == (["row", "file", "score"], ["1", "0002.png"])
    assert lines[-1] == (
        f"Mean score {scores.mean():.1f} of 100, where at 50 real and generated are equally likely;"
        f" {(scores >= 50).sum()} of 40 rows reach it."
    )


def test_features(output: Any) -> None:
    """Features of the discriminator of a DCGAN, a row for each picture."""
    output("encode", "dcgan-plain", "pictures", "-o", "f.npy")
    np.testing.assert_array_equal(np.load("f.npy"), package.load("dcgan-plain").transform(DIGITS[:, None]))
    assert output("encode", "dcgan-plain", "pictures")[0].split()[:2] == ["file", "dcgan0"]


REFUSED: list[tuple[tuple[str, ...], str]] = [
    (
        ("fit", "dcgan", "mixed"),
        "The pictures of 'mixed' differ in size: 'a.png' has 8 x 8 pixels, 'b.png' 8 x 7. Bring them to one size.",
    ),
    (
        ("fit", "dcgan", "broken"),
        "'broken/a.png' is not a whole PNG or JPEG picture: it is damaged, was cut short, or is something else. Write"
        " or fetch it again, or take it away.",
    ),
    (
        ("fit", "dcgan", "pictures", "--label", "y"),
        "--label y is for a column of a table. 'pictures' holds pictures. Leave --label out, or put those of each"
        " label in a folder of its own and give --label folder.",
    ),
    (
        ("fit", "dcgan", "plain.npy", "--label", "y"),
        "--label y is for a column of a table. 'plain.npy' has no columns. Leave --label out, or save X and labels y"
        " as a .npz file.",
    ),
    (
        ("fit", "dcgan", "digits.npz", "--label", "y"),
        "--label y is for a column of a table. 'digits.npz' has no columns: its own labels are read. Leave --label"
        " out, or give --label none for none.",
    ),
    (
        ("fit", "dcgan", "table.csv"),
        "DCGAN takes images (n, Y, X) or (n, C, Y, X), or flat ones with image_shape=(Y, X). Got X of shape (40, 4).",
    ),
    (
        ("sample", "gan-labelled", "--label", "7"),
        "Unknown label '7'. The labels of fit are 0, 1, 2, 3.",
    ),
    (
        ("sample", "gan-plain", "--label", "7"),
        "This GAN was fitted without labels. Fit it with y, or leave label out.",
    ),
    (
        ("sample", "gan-plain", "--truncation", "0"),
        "The '--truncation' parameter of GAN must be a number in (0, inf). Got 0.0 instead.",
    ),
    (
        ("sample", "gan-plain", "-n", "0"),
        "The '--number' parameter of GAN must be an int in [1, inf). Got 0 instead.",
    ),
    (("sample", "gan-plain", "--means"), "--means is for a VariationalAutoencoder. 'gan-plain' holds a GAN."),
    (
        ("score", "gan-plain", "table.csv", "--samples", "3"),
        "--samples is for a VariationalAutoencoder. 'gan-plain' holds a GAN.",
    ),
    (
        ("score", "gan-plain", "table.csv", "--random-state", "3"),
        "--random-state is the seed of --samples. Give both, or leave it out.",
    ),
    (
        ("score", "gan-labelled", "other.csv"),
        "Unknown label 9. The labels of fit are 0, 1, 2, 3.",
    ),
    (("score", "gan-plain", "pictures"), "'pictures' holds pictures. The GAN was fitted on a table."),
    (
        ("sample", "dcgan-plain"),
        "Give --output for the images: a .png file for all in a grid, a folder for a picture each, or a"
        " .npy, .npz, .csv or .parquet file of numbers.",
    ),
    (
        ("encode", "gan-plain", "table.csv"),
        "regen encode is for an Autoencoder, a DenoisingAutoencoder, a VariationalAutoencoder or a DCGAN. 'gan-plain'"
        " holds a GAN, which is for regen sample, interpolate, score and invert.",
    ),
    (
        ("predict", "dcgan-plain", "table.csv"),
        "regen predict is for a Forecaster, a SequenceClassifier or a SequenceRegressor. 'dcgan-plain' holds a DCGAN,"
        " which is for regen sample, interpolate, score, invert and encode.",
    ),
]


@pytest.mark.parametrize(("words", "sentence"), REFUSED, ids=range(len(REFUSED)))
def test_refusals(words: tuple[str, ...], sentence: str, refusal: Any) -> None:
    """One sentence on stderr, exit code 2, and nothing is written."""
    np.save("plain.npy", DIGITS)
    Path("other.csv").write_text("a,kind,class,b\n1,x,0,1\n1,x,9,1\n")
    for name, size in (("a", 8), ("b", 7)):
        write_images("mixed", np.zeros((1, size, 8), np.uint8), [name])
    Path("broken").mkdir()
    Path("broken/a.png").write_bytes(Path("pictures/0001.png").read_bytes()[:60])
    before = sorted(path.name for path in Path().iterdir())
    assert refusal(*words) == sentence
    assert sorted(path.name for path in Path().iterdir()) == before
