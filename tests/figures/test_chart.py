"""A chart is a value: what it passes on of plotly's figures, what it refuses, and the old names that still work."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from regen import _drawing, figures
from regen.figures import Chart
from regen.figures.marks import Axis, Band, Bars, Cells, Grid, Line, Panel, Points, Rule


@pytest.fixture
def chart() -> Chart:
    """A chart of one line."""
    return figures.loss_per_step({"a": [3.0, 2.0]})


def test_every_renderer_is_a_method(chart: Chart, tmp_path: Path) -> None:
    """Methods return what the functions return; plotly's figure is a new one at each call."""
    assert chart.svg(400) == figures.svg(chart, 400)
    assert chart.text().splitlines() == figures.text(chart)
    assert chart.describe() == figures.describe(chart)
    assert chart.plotly() == chart.plotly() and chart.plotly() is not chart.plotly()
    path = chart.write(tmp_path / "a.html", width=300)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>\n<html>")


def test_plotly_shows_it(chart: Chart, monkeypatch: pytest.MonkeyPatch) -> None:
    """``show()`` is that of the plotly figure."""
    shown: list[Any] = []
    monkeypatch.setattr(go.Figure, "show", lambda figure: shown.append(figure))
    chart.show()
    assert shown == [chart.plotly()]


@pytest.mark.parametrize("name", ["data", "layout"])
def test_what_was_read_of_plotly_figures(chart: Chart, name: str) -> None:
    """Attributes of the plotly figures of before are passed on, with a warning that names the replacement."""
    with pytest.warns(
        DeprecationWarning, match=rf"^A Chart is no plotly figure\. Use chart\.plotly\(\)\.{name} "
    ):
        found = getattr(chart, name)
    assert found == getattr(chart.plotly(), name)


@pytest.mark.parametrize("name", ["update_layout", "add_scatter", "for_each_trace", "set_subplots"])
def test_a_chart_is_not_changed(chart: Chart, name: str) -> None:
    """Methods that change a plotly figure would have no effect; they are refused, with the way to do it."""
    with pytest.raises(AttributeError, match=rf"figure = chart\.plotly\(\); figure\.{name}\(\.\.\.\)\.$"):
        getattr(chart, name)
    with pytest.raises(AttributeError, match=r"^'Chart' object has no attribute 'nothing'$"):
        chart.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("competed", "training_game"),
        ("cost", "loss_per_copy"),
        ("sketch", "text"),
        ("still", "svg"),
        ("told", "predicted_vs_actual"),
        ("twins", "nearest_training"),
        ("walk", "latent_traversal"),
    ],
)
def test_old_names(old: str, new: str) -> None:
    """They work for one release, and warn."""
    with pytest.warns(
        DeprecationWarning, match=rf"^regen\.figures\.{old} is deprecated .* use regen\.figures\.{new}\.$"
    ):
        found = getattr(figures, old)
    assert found is getattr(figures, new)


def test_bands_have_parts() -> None:
    """NaN in both ends splits a band; NaN in one does not."""
    nan = np.nan
    band = Band(np.arange(6), np.array([1, nan, nan, 1, nan, 1.0]), np.array([2, 2, nan, 2, nan, 2.0]))
    assert [part.tolist() for part in band.parts] == [[0, 1], [3], [5]]


def test_grids() -> None:
    """Edges lie half a step outside of the outermost centers."""
    assert Grid().edges(3) == (-0.5, 2.5)
    np.testing.assert_allclose(Grid(2.0, 4.0).centers(3), [2, 6, 10])


def plotted(*marks: Any, x: Axis | None = None, y: Axis | None = None, **panel: Any) -> Any:
    """The plotly figure of one panel."""
    return Chart([Panel(x or Axis(), y or Axis(), marks, **panel)]).plotly()


def test_marks_as_plotly_traces() -> None:
    """Each kind of mark is a trace of plotly's with its own options."""
    figure = plotted(
        Line(
            [0, 1], [2, 3], dash="dot", marker=5, stepped=True, bridged=True, clipped=False, hover="{y:.1f}"
        ),
        Points([0], [1], hollow=True, opacity=0.5, hover=None),
        Points([0], [1], label="a<b", hover="{x}", named=False),
        Band(np.arange(2.0), np.zeros(2), np.ones(2)),
        Bars([0], [1], base=[2], horizontal=True, labels=["1"], notes=["n"], hover="{note}"),
        Cells(
            [[1]], [5.0], Grid(1, 2), limits=(0, 1), scale=[(0, "#ffffff"), (1, "#000000")], labels=[["x"]]
        ),
    )
    line, ring, label, band, bars, cells = figure.data
    assert (line.mode, line.line.dash, line.line.shape) == ("lines+markers", "dot", "hvh")
    assert (line.connectgaps, line.cliponaxis, line.hovertemplate) == (True, False, "%{y:.1f}")
    assert (ring.marker.color, ring.marker.line.color) == ("#ffffff", "#0072b2")
    assert (ring.marker.opacity, ring.hoverinfo) == (0.5, "skip")
    assert (label.mode, label.text, label.hovertemplate) == ("text", "a&lt;b", "%{x}<extra></extra>")
    assert (band.fill, list(band.x), list(band.y)) == ("toself", [0, 1, 1, 0], [1, 1, 0, 0])
    assert (bars.orientation, bars.base, bars.x, bars.y) == ("h", (2,), (1,), (0,))
    assert (bars.textposition, bars.hovertemplate) == ("outside", "%{customdata}<extra></extra>")
    assert (cells.x, cells.y0, cells.dy, cells.showscale) == ((5.0,), 1, 2, False)
    assert (cells.texttemplate, cells.xgap) == ("%{text}", 2)


def test_axes_as_plotly_axes() -> None:
    """Options of the axes, rules and notes are plotly's; what a logarithmic axis is given are values."""
    log = Axis(
        "t", kind="log", limits=(1, 100), ticks=[1, 10], tick_labels=["one", "ten"], slanted=True, bare=True
    )
    figure = plotted(
        Line([1, 10], [0, 1]),
        x=log,
        y=Axis(from_zero=True, tick_count=3, grid=False, ticks=()),
        rules=[Rule(10), Rule(1, horizontal=True)],
    )
    x, y = figure.layout.xaxis, figure.layout.yaxis
    assert (x.type, x.range, x.ticktext, x.tickangle, x.ticks) == ("log", (0, 2), ("one", "ten"), -45, "")
    assert (y.rangemode, y.nticks, y.showgrid, y.showticklabels) == ("tozero", 3, False, False)
    upright, lying = figure.layout.shapes
    assert (upright.x0, upright.xref, upright.yref) == (10, "x", "y domain")
    assert (lying.y0, lying.xref, lying.yref) == (1, "x domain", "y")


def test_what_is_not_known_has_no_chart() -> None:
    """A value that nothing draws is refused by the name of its type."""
    with pytest.raises(
        ValueError, match=r"^There is no chart of object\. See regen\.figures for what can be drawn\.$"
    ):
        _drawing.plot(object())


def test_a_plot_needs_no_import_of_figures() -> None:
    """``plot()`` finds the charts on its own, in a process that has imported nothing else."""
    line = (
        "import numpy as np, sys\n"
        "from regen.inspection import Moments\n"
        "assert 'regen.figures' not in sys.modules and 'plotly' not in sys.modules\n"
        "found = Moments('a', np.zeros(1, int), np.zeros(1, int), None, np.ones(1), 2.0)\n"
        "print(found.plot().describe())\n"
        "assert 'plotly' not in sys.modules\n"
    )
    found = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=False)
    assert found.stdout.startswith("Bars: distance of the states."), found.stderr
