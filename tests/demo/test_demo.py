"""The demo trains every system, prints one table, and writes one page and the models."""

import re
import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import regen
from regen import demo
from regen.demo.adversarial import _clusters_caption, _grid, _stages, distinguishability
from regen.demo.autoencoders import _erased, _weekends
from regen.demo.recurrent import error_rate
from regen.demo.result import HEADINGS, Row


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A quick demo: its page, and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "runs" / "a demo"
    with redirect_stdout(StringIO()) as printed:
        written = demo.run(folder, quick=True)
    return written, printed.getvalue()


def test_one_table_is_printed(ran: tuple[Path, str]) -> None:
    """A row for each network and baseline, with both errors and their difference, in 80 columns."""
    lines = ran[1].splitlines()
    head, rule, *rows = lines[: lines.index("")]
    assert re.split(r"  +", head) == list(HEADINGS)
    assert set(rule) == {"-", " "}
    cells = [re.split(r"  +", row) for row in rows]
    assert [[*row[:2], row[3]] for row in cells] == [
        ["Elman RNN", "sunspots", "seasonal naive"],
        ["LSTM", "sunspots", "seasonal naive"],
        ["LSTM classifier", "exercises", "majority class"],
        ["LSTM classifier", "exercises", "nearest neighbour"],
        ["autoencoder to 2", "digits", "PCA to 2"],
        ["autoencoder to 8", "digits", "PCA to 8"],
        ["denoiser", "noisy digits", "PCA to 12"],
        ["denoiser", "half a digit", "mean of the pixel"],
        ["denoiser", "half a digit", "nearest 5 digits"],
        ["VAE to 2", "digits", "PCA to 2"],
        ["LSTM to 2", "demand", "PCA to 2"],
        ["GAN", "25 clusters", "one Gaussian"],
        ["GAN", "25 clusters", "10 Gaussians"],
        ["DCGAN", "new digits", "one Gaussian"],
        ["DCGAN", "new digits", "10 Gaussians"],
    ]
    for row in cells:
        assert len(row) == 6
        error, other = (float(cell.rstrip(" %GW")) for cell in (row[2], row[4]))
        assert error > 0
        assert other > 0
        size, _, word = row[5].partition(" % ")
        share = {"less": -1, "more": 1}[word] * int(size) if word else 0
        # The errors that are shown are rounded to a tenth, their difference is not.
        low, high = ((error + a) / (other - a) - 1 for a in (-0.05, 0.05))
        assert 100 * low - 0.5 <= share <= 100 * high + 0.5
    assert max(map(len, [head, rule, *rows])) <= 80


def test_the_page_tells_all(ran: tuple[Path, str]) -> None:
    """The page has the table, both systems and all their figures, and says that it was quick."""
    html = ran[0].read_text(encoding="utf-8")
    assert ran[0].name == "index.html"
    assert str(ran[0]) in ran[1]
    assert html.count('class="plot"') >= 18
    assert len(html.encode()) < 5_000_000
    assert "inspection page of every network" in html
    for words in (
        "Forecasting: the sunspot cycle",
        "Classification of sequences",
        "majority class",
        "Autoencoder: digits in two numbers",
        "Denoising autoencoder: noisy and incomplete digits",
        "VAE: a map of digits",
        "Sequence autoencoder: a day of demand",
        "Of 28 whole days",
        "GAN: points in 25 clusters",
        "DCGAN: digits from noise",
        "quick run",
    ):
        assert words in html
    assert re.search(
        r"The 80 % interval contains \d+ % of the actual values,\s+the 95 % interval \d+ %", html
    )
    assert f"regen predict &#x27;{ran[0].parent / 'sunspots-lstm'}&#x27; --level 80,95" in html
    assert re.search(r"\d+ % of 168 sequences are classified correctly", html)


def test_every_model_has_its_page(ran: tuple[Path, str]) -> None:
    """Each saved model has a page of what is found inside it, and the demo's page leads to each of them."""
    folder, html = ran[0].parent, ran[0].read_text(encoding="utf-8")
    models = sorted(each.parent.name for each in folder.glob("*/model.safetensors"))
    assert sorted(re.findall(r'href="([^"]+)/report\.html"', html)) == models
    for name in models:
        path = folder / name / "report.html"
        assert path.stat().st_size < 5_000_000
        text = path.read_text(encoding="utf-8")
        assert "<h1>Inside the " in text and "How to load it" in text
        assert "nan%" not in text and ">nan<" not in text
    assert "the weights were not fitted to these years" in (folder / "sunspots-lstm/report.html").read_text(
        encoding="utf-8"
    )


def test_the_models_are_saved(ran: tuple[Path, str]) -> None:
    """Forecasters load, stand at the end of all data, and go on from 2009; the classifier knows its classes."""
    folder = ran[0].parent
    for cell in ("elman", "lstm"):
        ahead = regen.load(folder / f"sunspots-{cell}").predict(level=80)
        assert len(ahead) == 11
        assert ahead.index[0].year == 2009
    X, _, _, _ = regen.datasets.exercises()
    classifier = regen.load(folder / "exercises-lstm")
    assert set(classifier.predict(X[:5])) <= set(classifier.classes_)
    names = sorted(each.name for each in folder.iterdir())
    codes = ["digits-2", "digits-8", "digits-dcgan", "digits-denoiser", "digits-gaps", "digits-vae"]
    assert names == [
        "clusters-gan",
        "demand-days",
        *codes,
        "exercises-lstm",
        "index.html",
        "sunspots-elman",
        "sunspots-lstm",
    ]
    assert regen.load(folder / "digits-vae").sample(3, random_state=0, means=True).shape == (3, 8, 8)
    assert regen.load(folder / "demand-days").transform(np.zeros((2, 48, 1))).shape == (2, 2)


def test_the_games_can_be_sampled(ran: tuple[Path, str]) -> None:
    """Both load without the checkpoint that they were trained through, and make rows of their form."""
    folder = ran[0].parent
    for name, shape in (("clusters-gan", (5, 2)), ("digits-dcgan", (5, 8, 8))):
        model = regen.load(folder / name)
        assert not model.training, "no path of a folder that is gone"
        assert model.sample(5, random_state=0).shape == shape


def test_distinguishability() -> None:
    """0 % where two kinds of rows mix evenly, near 100 % where they are far apart, whatever their shape."""
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 400, 2, 2))
    assert distinguishability(first, second) < 15
    assert distinguishability(first, second + 99) == 100


def test_a_model_at_several_stages() -> None:
    """Each stage resumes from the previous one: the last equals an uninterrupted training."""
    X = _grid(200, np.random.default_rng(0))
    options = {"hidden": 8, "random_state": 0}

    def build(**more: Any) -> Any:
        return regen.GAN(**options, **more)

    stages = dict(_stages(build, X, 3, {"batch_size": 32}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it has hardly learned
        whole = build(max_epochs=3, training={"batch_size": 32}).fit(X)
    assert len(stages) == 3
    np.testing.assert_array_equal(
        stages[max(stages)].sample(9, random_state=1), whole.sample(9, random_state=1)
    )
    assert (stages[min(stages)].sample(9, random_state=1) != whole.sample(9, random_state=1)).any()


def test_points_in_clusters_are_counted() -> None:
    """Points on two of the middles, and one between all."""
    made = np.array([[0.0, 0.0], [2.0, 4.1], [1.0, 1.0], [2.1, 4.0]], dtype=np.float32)
    assert _clusters_caption(7, made).startswith("After 7 batches: 75 % of the generated points lie within")
    assert _clusters_caption(7, made).endswith("and 2 of the 25 clusters are covered.")
    grid = _grid(2500, np.random.default_rng(0))
    assert "99 % of the generated" in _clusters_caption(1, grid) and "25 of the 25" in _clusters_caption(
        1, grid
    )


def test_a_row_tells_who_is_better() -> None:
    """Less error is less, more is more, and a perfect baseline is no division by zero."""
    assert Row("a", "b", 3.0, "c", 4.0).cells()[-1] == "25 % less"
    assert Row("a", "b", 4.0, "c", 3.0, " %").cells()[2:] == ("4.0 %", "c", "3.0 %", "33 % more")
    assert Row("a", "b", 1.0, "c", 0.0).cells()[-1] == "none"


def test_wrong_labels_are_counted() -> None:
    """The share of labels that differ, in percent."""
    assert error_rate(np.array(["a", "b", "c", "d"]), np.array(["a", "b", "d", "c"])) == 50


def test_erased_halves() -> None:
    """Each of the four halves, and none."""
    images = np.arange(320, dtype=np.float32).reshape(5, 8, 8)
    broken = _erased(images, np.array([0, 1, 2, 3, 7]))
    missing = np.isnan(broken)
    assert missing.sum(axis=(1, 2)).tolist() == [32, 32, 32, 32, 0]
    assert (
        missing[0, :4].all() and missing[1, 4:].all() and missing[2, :, :4].all() and missing[3, :, 4:].all()
    )
    np.testing.assert_array_equal(broken[~missing], images[~missing])
    assert not np.isnan(images).any()


def test_weekends_are_counted() -> None:
    """Days from a Monday on: all separated, and not when codes ignore the week."""
    weekend = (np.arange(14) % 7 >= 5).astype(float)
    assert _weekends(np.stack([weekend, weekend], axis=1)).startswith("Of 14 whole days, 14 are closer")
    swapped = np.where(np.arange(14) % 7 == 0, 1.0, weekend)
    assert _weekends(np.stack([swapped, swapped], axis=1)).startswith("Of 14 whole days, 12 are closer")


def test_a_folder_that_cannot_be_is_refused_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file where the folder should be is refused before any training, and is left as it was."""
    monkeypatch.setattr(demo, "SYSTEMS", [pytest.fail])
    path = tmp_path / "runs"
    path.write_text("mine")
    with pytest.raises(
        OSError, match=r"^The output folder '.*runs' cannot be written: File exists\. Choose another\.$"
    ):
        demo.run(path)
    assert path.read_text() == "mine"
