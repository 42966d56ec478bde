"""`regen inspect` writes a page, `regen explain` prints the same; data are found where they were, or requested."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def trained(regen: Any, sales: str) -> str:
    """A run on the sales, in the folder of the data."""
    options = ["--time", "month", "--target", "units", "--window", 6, "--horizon", 2, "--hidden", 3]
    assert regen("fit", "forecaster", sales, *options, "--max-epochs", 1, "-o", "runs/s").exit_code == 0
    return "runs/s"


def test_a_page_in_the_folder_of_the_run(regen: Any, trained: str) -> None:
    """The page lies in the run, has its sections and the path of the data, and a new run deletes it."""
    result = regen("inspect", trained)
    assert (result.exit_code, result.stdout) == (0, "Written to runs/s/report.html.\n")
    html = Path("runs/s/report.html").read_text(encoding="utf-8")
    assert "<title>Forecaster: s</title>" in html
    for words in (
        "How it trained",
        "What it predicts",
        "What it remembers",
        "<code>sales.csv</code>.",
        "Made with regen",
    ):
        assert words in html
    options = ["--time", "month", "--window", 6, "--horizon", 2, "--hidden", 3, "--max-epochs", 1]
    assert regen("fit", "forecaster", "sales.csv", *options, "-o", "runs/s", "--force").exit_code == 0
    assert not Path("runs/s/report.html").exists(), "it describes the run before"


def test_the_same_in_the_terminal(regen: Any, trained: str) -> None:
    """Sentences and charts of letters, in 80 columns; nothing is written."""
    before = sorted(os.listdir(trained))
    result = regen("explain", trained)
    assert result.exit_code == 0 and sorted(os.listdir(trained)) == before
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "WHAT IT REMEMBERS" in lines and "HOW TO LOAD IT" in lines
    assert any(line.startswith("training") and "█" in line + "█▁" for line in lines)
    assert "These are the training data: sales.csv." in lines


def test_data_that_are_gone(regen: Any, trained: str) -> None:
    """Missing data are reported with the command to type; a new path is used and named."""
    shutil.move("sales.csv", "moved.csv")
    result = regen("explain", trained)
    assert result.exit_code == 0
    words = " ".join(result.stdout.split())
    assert "The data of the fit, sales.csv, no longer exist." in words
    assert "Give their path: regen inspect runs/s DATA." in words
    assert "WHAT IT REMEMBERS" not in words
    result = regen("explain", trained, "moved.csv")
    assert "These are not the training data: moved.csv." in result.stdout
    assert "WHAT IT REMEMBERS" in result.stdout


def test_data_are_looked_for_above_the_run(regen: Any, trained: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From another folder the data are found relative to the run, by their path as it was typed."""
    monkeypatch.chdir("runs")
    result = regen("explain", "s")
    assert result.exit_code == 0 and "WHAT IT REMEMBERS" in result.stdout


def test_changed_data_are_reported(regen: Any, trained: str) -> None:
    """A file that is newer than the run is reported as changed."""
    later = Path(trained, "run.json").stat().st_mtime + 10
    os.utime("sales.csv", (later, later))
    assert "sales.csv, which has changed since." in regen("explain", trained).stdout


@pytest.mark.parametrize(
    ("kind", "file", "options", "heading"),
    [
        ("classifier", "waves", ["--label", "kind"], "WHAT IT PREDICTS"),
        ("autoencoder", "rows", ["--label", "name", "--code", 2], "WHAT IT COMPRESSES"),
        ("vae", "rows", ["--label", "name", "--code", 2], "WHAT IT CREATES"),
    ],
)
def test_other_runs(
    regen: Any, waves: str, kind: str, file: str, options: list[object], heading: str
) -> None:
    """Sequences and tables are read as they were at fit, the column of labels left out."""
    X = np.random.default_rng(0).normal(size=(40, 3)).round(3)
    lines = [",".join([*map(str, row), "pq"[k % 2]]) for k, row in enumerate(X)]
    Path("rows.csv").write_text("\n".join(["a,b,c,name", *lines]) + "\n")
    fit = regen("fit", kind, f"{file}.csv", *options, "--hidden", 4, "--max-epochs", 1, "-o", "run")
    assert fit.exit_code == 0, fit.output
    result = regen("inspect", "run", "-o", "page.html")
    assert (result.exit_code, result.stdout) == (0, "Written to page.html.\n")
    assert heading.capitalize() in Path("page.html").read_text(encoding="utf-8")
    assert heading in regen("explain", "run").stdout


def test_a_saved_model_has_its_page_next_to_it(regen: Any, trained: str) -> None:
    """The page of a model file has the name of the file; without data the page reports that they are unknown."""
    shutil.copy("runs/s/model.safetensors", "mine.safetensors")
    result = regen("inspect", "mine.safetensors")
    assert (result.exit_code, result.stdout) == (0, "Written to mine.html.\n")
    assert "The run does not record its data." in Path("mine.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["inspect", "runs/s", "-o", "a.pdf"], "'a.pdf' does not end in .html.\n"),
        (["inspect", "runs/t"], "There is no file or folder 'runs/t'.\n"),
        (["explain", "runs/s", "not.csv"], "There is no file 'not.csv'.\n"),
        (["inspect", "runs/s", "-o", "not/a.html"], "there is no folder"),
    ],
)
def test_refusals(regen: Any, trained: str, words: list[str], sentence: str) -> None:
    """A sentence on stderr, exit code 2, and nothing is written."""
    result = regen(*words)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert not list(Path().glob("**/*.html"))


def test_a_description_that_was_altered_does_no_harm(regen: Any, trained: str) -> None:
    """A run.json that names another file is only looked up, and a file that is no data is refused."""
    path = Path(trained, "run.json")
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"data": "runs/s/model.safetensors"}))
    result = regen("explain", trained)
    assert result.exit_code == 2 and "model.safetensors" in result.stderr
