"""The report of a run has the sections that fit its kind, with true numbers; the same on a page and as text."""

import re
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import regen
from regen.report import InspectionData, Picture, Section, Table, sections_of, text_report, write
from regen.report.card import card
from regen.report.data import last, select_rows
from regen.report.text import aligned

ALWAYS = ["How it trained", "What it was trained on", "How to load it"]
QUICK: dict[str, Any] = {"max_epochs": 1, "random_state": 0}


def series() -> pd.Series:
    """A monthly series."""
    dates = pd.date_range("2000-01-01", periods=90, freq="MS")
    return pd.Series(50 + 10 * np.sin(np.arange(90) / 2), index=dates, name="sales")


def sequences() -> tuple[np.ndarray, np.ndarray]:
    """Sequences of two features with a label each."""
    X = np.random.default_rng(0).normal(size=(40, 9, 2))
    return X, np.where(X[:, 0, 0] > 0, "up", "down")


def table() -> pd.DataFrame:
    """A table with a gap, a text and a number that is no measure."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 3)), columns=["a", "b", "c"])
    frame.loc[3, "a"] = np.nan
    return frame.assign(kind=["x", "y"] * 30)


@cache
def fitted(kind: str) -> Any:
    """A model of each kind, hardly trained, with the data to look at it with."""
    X, y = sequences()
    images = regen.datasets.digits()[0][:60]
    if kind == "forecaster":
        return regen.Forecaster("lstm", 12, 3, hidden=4, **QUICK).fit(series()), InspectionData(
            series(), source="`a.csv`"
        )
    if kind == "classifier":
        return regen.SequenceClassifier("gru", hidden=4, **QUICK).fit(X, y), InspectionData(X, y)
    if kind == "regressor":
        return regen.SequenceRegressor("elman", hidden=4, **QUICK).fit(X, X[:, 0, 1]), InspectionData(
            X, X[:, 0, 1]
        )
    if kind == "autoencoder":
        return regen.Autoencoder(2, hidden=(8,), **QUICK).fit(table()), InspectionData(table())
    if kind == "sequences":
        return regen.Autoencoder(2, "gru", hidden=4, **QUICK).fit(X), InspectionData(X)
    if kind == "denoiser":
        options: dict[str, Any] = {
            "code": 4,
            "backbone": "mlp",
            "image_shape": (8, 8),
            "hidden": (8,),
            **QUICK,
        }
        return regen.DenoisingAutoencoder(0.3, **options).fit(images), InspectionData(images)
    if kind == "vae":
        return regen.VariationalAutoencoder(2, hidden=(8,), **QUICK).fit(table()), InspectionData(table())
    rows = np.random.default_rng(0).normal(size=(200, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that one epoch is too few
        return regen.GAN(3, hidden=(8,), **QUICK).fit(rows), InspectionData(rows)


@cache
def sections(kind: str) -> tuple[Section, ...]:
    """What is found in a model of each kind."""
    model, data = fitted(kind)
    return tuple(sections_of(model, data, facts={"seconds": 300.0}, run="runs/a b"))


def part(kind: str, heading: str) -> Section:
    """One section of a report."""
    return next(each for each in sections(kind) if each.heading == heading)


def words(section: Section) -> str:
    """All words of a section."""
    text = [section.text] if isinstance(section.text, str) else list(section.text)
    return " ".join([*text, *(each.caption for each in section.content)])


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        ("forecaster", ["What it predicts", "What it remembers"]),
        ("classifier", ["What it predicts", "What it remembers"]),
        ("regressor", ["What it predicts", "What it remembers"]),
        ("autoencoder", ["What it compresses"]),
        ("sequences", ["What it remembers", "What it compresses"]),
        ("denoiser", ["What it compresses"]),
        ("vae", ["What it compresses", "What it creates"]),
        ("gan", ["What it creates"]),
    ],
)
def test_sections_fit_the_kind(kind: str, own: list[str], tmp_path: Path) -> None:
    """Each kind has its own sections between those that all have; the page is small, the text narrow."""
    assert [each.heading for each in sections(kind)] == [ALWAYS[0], *own, *ALWAYS[1:]]
    path = write(fitted(kind)[0], list(sections(kind)), tmp_path / "report.html", "a title")
    html = path.read_text(encoding="utf-8")
    pictures = sum(isinstance(each, Picture) for section in sections(kind) for each in section.content)
    assert html.count('class="plot"') == pictures >= 2
    assert len(html) < 5_000_000 and "<title>a title</title>" in html
    text = text_report(sections(kind))
    assert max(map(len, text.splitlines())) <= 80
    assert [line for line in text.splitlines() if line.isupper() and "  " not in line][:1] == [
        "HOW IT TRAINED"
    ]
    assert all(heading.upper() in text for heading in own)


def test_how_it_trained() -> None:
    """Epochs, time, why it ended, the backend, and the parameters that are not the usual ones."""
    section = part("forecaster", "How it trained")
    model, _ = fitted("forecaster")
    assert section.text[0] == f"Forecaster, 1 epoch in 5 minutes. {model.stopped_}"
    assert f"Backend: {model.backend_}." in section.text
    (settings,) = [each for each in section.content if isinstance(each, Table)]
    names = ["hidden", "horizon", "max_epochs", "random_state", "window"]
    assert [row[0] for row in settings.rows] == names


def test_the_curves_of_two_players() -> None:
    """A GAN has no best loss; one network has."""
    assert "The losses of both players" in words(part("gan", "How it trained"))
    assert "At the best epoch" in words(part("forecaster", "How it trained"))


def test_what_it_predicts() -> None:
    """Errors are those of the model, with a baseline; training data are named as such."""
    model, data = fitted("classifier")
    right = np.mean(model.predict(data.X) == data.y)
    section = part("classifier", "What it predicts")
    assert f"{100 * right:.0f} % of 40 sequences are classified correctly" in words(section)
    assert "expect larger errors on new ones" in words(section)
    model, data = fitted("regressor")
    error = np.abs(model.predict(data.X) - data.y).mean()
    assert f"mean absolute error is {error:.4g}; that of always predicting the median" in words(
        part("regressor", "What it predicts")
    )
    model, data = fitted("forecaster")
    scores = model.backtest(data.X, start=0.8, level=[80, 95]).scores
    section = part("forecaster", "What it predicts")
    assert f"mean absolute error of its forecasts is {scores['mae']:.4g}" in words(section)
    assert ["coverage of the 80 % interval (%)", f"{scores['coverage_80']:.4g}"] in section.content[1].rows  # type: ignore[union-attr]
    assert len(section.content) == 3


def test_other_data_than_those_of_fit() -> None:
    """Other data are named as such, and there is no forecast after their end."""
    model, data = fitted("forecaster")
    others = sections_of(model, InspectionData(data.X, source="`b.csv`", own=False))
    assert "it was not trained on these data, as far as is known" in words(others[1])
    assert sum(isinstance(each, Picture) for each in others[1].content) == 1
    assert others[-2].text[0] == "These are not the training data: `b.csv`."
    assert part("forecaster", "What it was trained on").text[0].endswith("the training data: `a.csv`.")


def test_without_data_there_is_what_the_model_knows() -> None:
    """Without data the forecasts are a table, and the data section states why there are none."""
    model, _ = fitted("forecaster")
    alone = sections_of(model, absent="They are gone.")
    assert [each.heading for each in alone] == [ALWAYS[0], "What it predicts", *ALWAYS[1:]]
    (ahead,) = alone[1].content
    assert isinstance(ahead, Table) and len(ahead.rows) == 3
    assert alone[2].text == ["They are gone.", "The model was fitted on 90 steps of sales."]
    model, _ = fitted("gan")
    (creates,) = [each for each in sections_of(model) if each.heading == "What it creates"]
    assert len(creates.content) == 3 and "The discriminator scores real rows" in words(creates)


def test_the_unit_that_moves_most_is_drawn_in_its_direction() -> None:
    """Of a net that reads both ways, the lines are those of the direction that the unit is in."""
    X, y = sequences()
    model = regen.SequenceClassifier("lstm", hidden=3, bidirectional=True, **QUICK).fit(X, y)
    gates = regen.inspect.gates(model, X)
    units = pd.DataFrame(gates.units()).set_index("rank").loc[1]
    (section,) = [
        each for each in sections_of(model, InspectionData(X, y)) if each.heading == "What it remembers"
    ]
    first = section.content[0]
    assert isinstance(first, Picture) and first.caption.startswith(f"Unit {units['unit']}, which varies most")
    values = np.asarray(gates["state"].at(layer=units["layer"], direction=units["direction"], sequence=39))
    drawn = {mark.name: mark for panel in first.figure.panels for mark in panel.marks}
    np.testing.assert_allclose(drawn["state"].y, values[:, units["unit"]], rtol=1e-5)


def test_labels_are_not_invented() -> None:
    """Without labels, the predicted classes are counted."""
    model, data = fitted("classifier")
    section = sections_of(model, InspectionData(data.X))[1]
    names, counts = np.unique(model.predict(data.X), return_counts=True)
    assert section.content[0].rows == [[n, c] for n, c in zip(names.tolist(), counts.tolist(), strict=True)]  # type: ignore[union-attr]
    assert "no labels" in words(section)


def test_how_to_load_it() -> None:
    """The lines are those that work: with the path as it must be typed."""
    rows = part("vae", "How to load it").content[0].rows  # type: ignore[union-attr]
    assert ["load it in Python", "`regen.load('runs/a b')`"] in rows
    assert ["sample new rows", "`regen sample 'runs/a b' -n 64 -o FILE`"] in rows


def test_nothing_is_changed(tmp_path: Path) -> None:
    """An inspection leaves the predictions as they were; the same page twice."""
    model, data = fitted("forecaster")
    before = model.predict()
    pages = [write(model, sections_of(model, data), tmp_path / f"{k}.html").read_bytes() for k in range(2)]
    pd.testing.assert_series_equal(model.predict(), before)
    assert pages[0] == pages[1]


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_the_card_of_a_table(kind: str) -> None:
    """Numbers with their ends and gaps, text with its commonest values, whatever the library."""
    frame: Any = table().assign(when=pd.date_range("2000-01-01", periods=60))
    frame = {"pandas": frame, "polars": pl.from_pandas(frame), "pyarrow": pa.Table.from_pandas(frame)}[kind]
    drawn, sentence = card(InspectionData(frame, np.array(["p", "q", "q"] * 20)))
    assert drawn.columns == ("column", "values", "missing", "lowest", "mean", "highest")
    a = table()["a"]
    assert drawn.rows[0] == ["a", "60", "1", f"{a.min():.4g}", f"{a.mean():.4g}", f"{a.max():.4g}"]
    assert drawn.rows[3] == ["kind", "60", "0", "2 texts", "", "x, y"]
    assert drawn.rows[4] == ["when", "60", "0", "2000-01-01", "", "2000-02-29"]
    assert sentence == "60 rows of 5 columns. Labels: p (20), q (40)."


def test_cards_of_arrays_and_lists() -> None:
    """Series, rows, images, sequences of one length and of many."""
    assert card(InspectionData(np.arange(5.0)))[1] == "5 steps. "
    assert card(InspectionData(np.zeros((4, 40))))[0].caption == "10 more columns are not listed."
    assert card(InspectionData(np.zeros((4, 8, 8))), "images")[1] == "4 images of 8 x 8 numbers (float64). "
    assert card(InspectionData(np.zeros((4, 8, 2))))[1] == "4 sequences of 8 steps and 2 features. "
    drawn, sentence = card(InspectionData([np.zeros((2, 1)), np.ones((3, 1))], np.array([0.5, 1.5])))
    assert sentence == "2 sequences of 2 to 3 steps and 1 features. Labels: 0.5 (1), 1.5 (1)."
    assert drawn.rows == [["x0", "5", "0", "0", "0.6", "1"]]


@pytest.mark.parametrize("kind", ["list", "numpy", "pandas", "polars", "pyarrow"])
def test_parts_of_data(kind: str) -> None:
    """The last steps, and rows evenly, of every kind of data; of few, all."""
    frame = pd.DataFrame({"a": np.arange(10.0)})
    kinds: dict[str, Any] = {
        "list": list(range(10)),
        "numpy": np.arange(10.0),
        "pandas": frame,
        "polars": pl.from_pandas(frame),
        "pyarrow": pa.Table.from_pandas(frame),
    }
    table_data = kinds[kind]
    values = np.asarray(
        last(table_data, 3) if kind in ("list", "numpy") else pd.DataFrame(_plain(last(table_data, 3)))["a"]
    )
    assert values.tolist() == [7, 8, 9] and len(last(table_data, 20)) == 10
    some = select_rows(table_data, np.array([0, 9]))
    values = np.asarray(some if kind in ("list", "numpy") else pd.DataFrame(_plain(some))["a"])
    assert values.tolist() == [0, 9]
    few = InspectionData(table_data, np.arange(10)).subset(4)
    assert len(few.X) == len(few.y) == 4 and few.y.tolist() == [0, 3, 6, 9]


def _plain(frame: Any) -> Any:
    return frame.to_pandas() if not isinstance(frame, pd.DataFrame) else frame


def test_text_is_cut_to_the_terminal() -> None:
    """Words are wrapped, columns and rows that do not fit are counted, code loses its marks."""
    wide = Table([f"column {k}" for k in range(20)], [["`x`"] * 20] * 40, "word " * 40)
    text = text_report([Section("Heading", ["one " * 40], [wide])])
    lines = text.splitlines()
    assert lines[0] == "HEADING" and max(map(len, lines)) <= 80
    assert "... and 24 more rows" in lines and "... and 12 more columns" in lines
    assert "`" not in text
    assert list(aligned([["a", "n"], ["x", "10"], ["y", "5"]])) == [
        "a  n".replace("  n", "   n"),
        "-  --",
        "x  10",
        "y   5",
    ]


def test_hostile_names_stay_words(tmp_path: Path) -> None:
    """A column and a label named like HTML reach the page as text, in every section."""
    nasty = "<script>alert(1)</script>"
    frame = table()[["a", "b"]].rename(columns={"a": nasty})
    model = regen.Autoencoder(2, hidden=(4,), **QUICK).fit(frame)
    y = np.array([nasty, "b"] * 30)
    path = write(
        model,
        sections_of(model, InspectionData(frame, y, source=nasty), run=nasty),
        tmp_path / "a.html",
        nasty,
    )
    assert "<script>alert" not in path.read_text(encoding="utf-8")
    assert re.search(r"&lt;script&gt;alert\(1\)", path.read_text(encoding="utf-8"))
