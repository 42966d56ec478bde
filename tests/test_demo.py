"""The demo trains every system, prints one table, and writes one page and the models."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

import regen
from regen import demo


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
    assert re.split(r"  +", head) == list(demo.HEADINGS)
    assert set(rule) == {"-", " "}
    cells = [re.split(r"  +", row) for row in rows]
    assert [[*row[:2], row[3]] for row in cells] == [
        ["Elman RNN", "sunspots", "a season ago"],
        ["LSTM", "sunspots", "a season ago"],
        ["LSTM classifier", "exercises", "one class for all"],
        ["LSTM classifier", "exercises", "nearest neighbour"],
    ]
    for row in cells:
        assert len(row) == 6
        error, other = (float(cell.rstrip(" %")) for cell in (row[2], row[4]))
        assert error > 0
        assert other > 0
        share = round(100 * (error / other - 1))
        shown = [
            "none" if not k else f"{abs(k)} % {'less' if k < 0 else 'more'}"
            for k in range(share - 1, share + 2)
        ]
        assert row[5] in shown, "the errors that are shown are rounded, their difference is not"
    assert max(map(len, [head, rule, *rows])) <= 80


def test_the_page_tells_all(ran: tuple[Path, str]) -> None:
    """The page has the table, both systems and all their figures, and says that it was quick."""
    html = ran[0].read_text(encoding="utf-8")
    assert ran[0].name == "index.html"
    assert str(ran[0]) in ran[1]
    assert html.count("Plotly.newPlot(") >= 9
    for words in (
        "Forecasting: the sunspot cycle",
        "Telling sequences apart",
        "one class for all",
        "quick run",
    ):
        assert words in html
    assert re.search(r"The 80 % band held \d+ % of what came,\s+the 95 % band \d+ %", html)
    assert f"regen predict &#x27;{ran[0].parent / 'sunspots-lstm'}&#x27; --level 80,95" in html
    assert re.search(r"\d+ % of 168 sequences are told rightly", html)


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
    assert names == ["exercises-lstm", "index.html", "sunspots-elman", "sunspots-lstm"]


def test_a_row_tells_who_is_better() -> None:
    """Less error is less, more is more, and a perfect baseline is no division by zero."""
    assert demo.Row("a", "b", 3.0, "c", 4.0).cells()[-1] == "25 % less"
    assert demo.Row("a", "b", 4.0, "c", 3.0, " %").cells()[2:] == ("4.0 %", "c", "3.0 %", "33 % more")
    assert demo.Row("a", "b", 1.0, "c", 0.0).cells()[-1] == "none"


def test_wrong_labels_are_counted() -> None:
    """The share of labels that differ, in percent."""
    assert demo.wrong(np.array(["a", "b", "c", "d"]), np.array(["a", "b", "d", "c"])) == 50


def test_a_folder_that_cannot_be_is_refused_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file where the folder should be is told before any training, and is left as it was."""
    monkeypatch.setattr(demo, "SYSTEMS", [pytest.fail])
    path = tmp_path / "runs"
    path.write_text("mine")
    with pytest.raises(
        OSError, match=r"^The output folder '.*runs' cannot be written: File exists\. Choose another\.$"
    ):
        demo.run(path)
    assert path.read_text() == "mine"
