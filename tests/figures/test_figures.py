"""Figures hold the numbers that they were given, and refuse those that cannot be."""

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import plotly.io
import polars as pl
import pytest
from sklearn.exceptions import NotFittedError

from regen import Forecaster, figures
from regen.figures import Chart
from regen.figures.basic import labelled_lines
from regen.figures.marks import Cells

DATES = pd.date_range("2000-01-01", periods=60, freq="MS")
Y = pd.Series(50 + 10 * np.sin(np.arange(60) / 2), index=DATES, name="sales")


def marks(chart: Chart) -> dict[str, Any]:
    """The marks of all panels by name."""
    return {mark.name: mark for panel in chart.panels for mark in panel.marks}


def backtest_table(origins: list[int], horizon: int = 3, **change: float) -> pd.DataFrame:
    """A backtest's table of made-up numbers, all different."""
    rows = [
        {
            "origin": DATES[n - 1],
            "time": DATES[n - 1 + step],
            "step": step,
            "column": "sales",
            "y": 0.0,
            "forecast": n + step / 10,
            "naive": -n - step / 10,
            "lo-80": n + step / 10 - 1 + change.get("low", 0.0),
            "hi-80": n + step / 10 + 2,
            "lo-95": n + step / 10 - 3,
            "hi-95": n + step / 10 + 4,
        }
        for n in origins
        for step in range(1, horizon + 1)
    ]
    return pd.DataFrame(rows)


def test_forecasts_of_a_backtest() -> None:
    """Truth, forecasts with a gap between them, naive guess and both bands hold the table's numbers, dated."""
    found = marks(figures.forecast(Y, backtest_table([40, 43]), unit="pieces", past=5))
    truth, point, naive = found["actual"], found["forecast"], found["naive"]
    np.testing.assert_array_equal(truth.x, DATES[35:].to_numpy())
    np.testing.assert_array_equal(truth.y, Y.to_numpy()[35:])
    expected = [40.1, 40.2, 40.3, np.nan, 43.1, 43.2, 43.3]
    np.testing.assert_allclose(point.y, expected)
    np.testing.assert_allclose(naive.y, -np.array(expected))
    np.testing.assert_array_equal(np.delete(point.x, 3), DATES[40:46].to_numpy())
    for level, below, above in ((80, 1, 2), (95, 3, 4)):
        first = [40.1 + above, 40.2 + above, 40.3 + above, 40.3 - below, 40.2 - below, 40.1 - below]
        band = found[f"{level} % interval"]
        outline = [[*band.high[part], *band.low[part[::-1]]] for part in band.parts]
        np.testing.assert_allclose(outline, [first, np.array(first) + 3])
    np.testing.assert_array_equal(found["first step"].x, DATES[[40, 43]].to_numpy())


def test_the_wide_band_lies_behind() -> None:
    """The 95 % band is drawn before the 80 % band, and axes name the column with its unit."""
    figure = figures.forecast(Y, backtest_table([40]), unit="pieces")
    assert list(marks(figure))[:2] == ["95 % interval", "80 % interval"]
    assert figure.panels[0].y.title == "sales (pieces)"
    assert figure.panels[0].x.title == "date"


def test_overlapping_forecasts_are_left_out() -> None:
    """Of forecasts from every step, those are drawn that begin where the last one has ended."""
    found = marks(figures.forecast(Y, backtest_table(list(range(40, 50)))))
    np.testing.assert_array_equal(found["first step"].x, DATES[[40, 43, 46, 49]].to_numpy())


def test_swapped_bounds_are_refused() -> None:
    """A lower end above its upper one is refused with its date; equal ends are an interval."""
    with pytest.raises(ValueError, match=r"The 80 % interval at 2003-05-01.* has its lower end above"):
        figures.forecast(Y, backtest_table([40], low=3.1))
    figures.forecast(Y, backtest_table([40], low=3.0))


@pytest.mark.parametrize("kind", ["numpy", "pandas", "polars"])
@pytest.mark.parametrize("level", [None, [80, 95]])
def test_what_predict_returns(kind: str, level: Any) -> None:
    """A prediction in every kind, with bands or without, is drawn after the last step."""
    y: Any = Y
    if kind == "numpy":
        y = Y.to_numpy()
    elif kind == "polars":
        y = pl.DataFrame({"month": DATES.to_numpy(), "sales": Y.to_numpy()})
    model = Forecaster(window=12, horizon=4, hidden=4, max_epochs=1, random_state=0).fit(y)
    found = marks(figures.forecast(y, model.predict(level=level)))
    times = np.arange(60, 64) if kind == "numpy" else DATES.append(DATES[-1:].shift(1)).to_numpy()[-1:]
    np.testing.assert_array_equal(found["forecast"].x[: len(times)], times)
    plain = Forecaster(window=12, horizon=4, hidden=4, max_epochs=1, random_state=0).fit(Y.to_numpy())
    np.testing.assert_allclose(found["forecast"].y, plain.predict(), rtol=1e-5)
    if level is not None:
        bounds = plain.predict(level=80)
        band = found["80 % interval"]
        np.testing.assert_allclose(band.high, bounds["y-hi-80"], rtol=1e-5)
        np.testing.assert_allclose(band.low, bounds["y-lo-80"], rtol=1e-5)
    assert ("80 % interval" in found) == (level is not None)


def test_one_of_many_columns() -> None:
    """The requested column is drawn, in the series and in the forecasts."""
    y = np.arange(20.0)[:, None] * [1, -1]
    found = marks(figures.forecast(y, np.array([[5.0, 6.0], [7.0, 8.0]]), column="y1"))
    np.testing.assert_array_equal(found["forecast"].y, [6, 8])
    np.testing.assert_array_equal(found["actual"].y, y[:, 1])


def test_a_backtest_plots_itself() -> None:
    """The fan chart of ``plot()`` has the forecasts, intervals and actual values of its table, for each column."""
    y = pd.DataFrame({"a": Y, "b": -Y})
    model = Forecaster(window=12, horizon=4, hidden=4, max_epochs=1, random_state=0).fit(y[:48])
    result = model.backtest(y, start=48, level=80)
    for column, title in ((None, "a (kg)"), ("b", "b (kg)")):
        chart = result.plot(column=column, unit="kg")
        found, table = marks(chart), result.forecasts[result.forecasts["column"] == (column or "a")]
        np.testing.assert_array_equal(found["actual"].x, DATES[48:].to_numpy())
        np.testing.assert_allclose(found["actual"].y, y[column or "a"].to_numpy()[48:])
        np.testing.assert_allclose(found["forecast"].y[:4], table["forecast"][:4])
        np.testing.assert_allclose(found["80 % interval"].low[:4], table["lo-80"][:4])
        assert (chart.panels[0].x.title, chart.panels[0].y.title) == ("date", title)
    with pytest.raises(ValueError, match=r"^forecasts has no column 'c'; it has a, b\.$"):
        result.plot(column="c")


def test_an_estimator_plots_its_learning_curves() -> None:
    """``plot()`` is that of the history; before fit there is none."""
    model = Forecaster(window=12, horizon=4, hidden=4, max_epochs=2, random_state=0)
    with pytest.raises(NotFittedError):
        model.plot()
    chart, expected = model.fit(Y).plot(unit="sd"), figures.learning_curves(model.history_, unit="sd")
    assert chart.svg() == expected.svg() and chart.panels[0].y.title == "loss (sd)"


HISTORY = {
    "epoch": [1, 2, 3, 4],
    "train.loss": [4.0, 2.0, 1.0, 0.5],
    "validation.loss": [4.5, 3.0, 2.5, 2.7],
}


def test_learning_curves() -> None:
    """Both losses of every epoch; the marked epoch is that of the lowest held-out loss, not the last one."""
    for history in (HISTORY, pd.DataFrame(HISTORY), pl.DataFrame(HISTORY)):
        figure = figures.learning_curves(history, unit="nats")
        found = marks(figure)
        np.testing.assert_array_equal(found["training"].y, HISTORY["train.loss"])
        np.testing.assert_array_equal(found["validation"].y, HISTORY["validation.loss"])
        np.testing.assert_array_equal(found["validation"].x, [1, 2, 3, 4])
        assert (found["lowest"].x, found["lowest"].y) == ([3], [2.5])
        assert any("2.5 at epoch 3" in note.text for note in figure.panels[0].notes)
        assert figure.panels[0].y.title == "loss (nats)"
        assert figure.panels[0].y.kind == "linear"


def test_learning_curves_of_decades_are_logarithmic() -> None:
    """Losses that differ by more than ten times get a logarithmic axis; one that is not positive does not."""
    figure = figures.learning_curves(HISTORY | {"train.loss": [4.0, 2.0, 0.1, 0.05]})
    y = figure.panels[0].y
    assert (y.kind, y.tick_labels) == ("log", ["0.05", "0.1", "0.2", "0.5", "1", "2", "5"])
    low, high = y.limits or (0, 0)
    assert low < 0.05 < 4.5 < high
    negative = figures.learning_curves(HISTORY | {"train.loss": [4.0, 0.1, 0.0, -1.0]})
    assert negative.panels[0].y.kind == "linear"


def test_learning_curves_with_nothing_held_out() -> None:
    """Without held-out data the training loss is marked, and named so; a lost epoch is never the best."""
    found = marks(figures.learning_curves({"epoch": [1, 2, 3], "train.loss": [2.0, np.nan, 1.0]}))
    assert set(found) == {"training", "lowest (no validation data)"}
    assert found["lowest (no validation data)"].x == [3]


def test_two_players_keep_their_names() -> None:
    """With more than one player, each loss is named by its player."""
    history = {
        "epoch": [1, 2],
        "generator.loss": [1.0, 2.0],
        "critic.loss": [3.0, 2.0],
        "schedule.loss": [0, 0],
    }
    assert {"generator", "critic"} <= set(marks(figures.learning_curves(history)))
    assert "schedule" not in marks(figures.learning_curves(history))


def test_loss_per_step() -> None:
    """Each loss stands over the time steps so far, whole segments of them."""
    (line,) = marks(figures.loss_per_step([3.0, 2.0, 1.0], segment=4, unit="nats")).values()
    np.testing.assert_array_equal(line.x, [4, 8, 12])
    np.testing.assert_array_equal(line.y, [3, 2, 1])
    found = marks(figures.loss_per_step({"a": [3.0, 2.0], "b": [1.0, 1.5]}))
    np.testing.assert_array_equal(found["b"].y, [1, 1.5])


@pytest.mark.parametrize(
    "ends", [[1.0, 1.0, 1.0], [1.0, 1.01, 0.99], [0.0, 1.0, 0.5], [5.0, 5.1, 0.0], [0, 0, 0]]
)
def test_labels_at_line_ends_do_not_touch(ends: list[float]) -> None:
    """Names at line ends stand apart, in the order of the ends, and stay there when already apart."""
    lines = {str(k): (np.arange(2.0), np.array([0.0, end])) for k, end in enumerate(ends)}
    (panel,) = labelled_lines(lines, ("", "")).panels
    places = np.array([note.y for note in panel.notes])
    low, high = panel.y.limits or (0, 0)
    gaps = np.diff(np.sort(places))
    assert (gaps > 0.08 * (high - low)).all()
    assert (np.argsort(places, kind="stable") == np.argsort(ends, kind="stable")).all()
    if ends == [0.0, 1.0, 0.5]:
        np.testing.assert_allclose(places, ends)


def test_confusion() -> None:
    """Rows are true classes and columns what was predicted; the transposed twin would show other counts."""
    true, predicted = ["a", "a", "a", "b", "c"], ["a", "b", "b", "b", "a"]
    ((cells,),) = (panel.marks for panel in figures.confusion(true, predicted).panels)
    assert isinstance(cells, Cells)
    counts = np.array([[1, 2, 0], [0, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(cells.notes, counts)
    np.testing.assert_allclose(cells.z, counts / [[3], [1], [1]])
    assert cells.labels.tolist() == [["1", "2", ""], ["", "1", ""], ["1", "", ""]]
    assert not np.array_equal(counts, counts.T)
    figure = figures.confusion(true, predicted, labels=["c", "b", "a", "d"])
    (panel,) = figure.panels
    np.testing.assert_array_equal(marks(figure)[""].notes, np.pad(counts[::-1, ::-1], ((0, 1), (0, 1))))
    assert panel.x.tick_labels == ["c", "b", "a", "d"]
    assert (panel.y.title, panel.y.reverse) == ("true class", True)


def test_names_from_data_are_shown_as_they_are() -> None:
    """A name that looks like HTML is escaped wherever plotly would take it for markup."""
    name = "<script>alert(1)</script>"
    y, losses = Y.rename(name), figures.loss_per_step({name: [1.0]}).plotly()
    texts = [
        figures.forecast(y, backtest_table([40]).assign(column=name)).plotly().layout.yaxis.title.text,
        figures.confusion([name], [name]).plotly().layout.xaxis.ticktext[0],
        losses.data[0].name,
        losses.layout.annotations[0].text,
        figures.learning_curves(HISTORY, unit=name).plotly().layout.yaxis.title.text,
        figures.restored({name: np.zeros((1, 2))}).plotly().layout.title.text,
    ]
    assert all("<script>" not in text and "&lt;script&gt;" in text for text in texts)


def test_nothing_global_changes() -> None:
    """Drawing leaves plotly's default template as it was, and each figure carries its own."""
    before = plotly.io.templates.default
    figure = figures.loss_per_step([1.0, 2.0]).plotly()
    assert plotly.io.templates.default == before
    assert figure.layout.template.layout.colorway == figures.template().layout.colorway


def test_plotly_comes_when_drawing() -> None:
    """Importing the figures does not import plotly."""
    line = "import sys, regen.figures, regen.report; print('plotly' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
