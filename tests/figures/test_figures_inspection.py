"""Every finding has a chart, which holds the numbers of the finding."""

import re
from functools import cache
from typing import Any

import numpy as np
import pytest

import regen
from regen import figures
from regen.figures import Chart
from regen.figures.basic import horizontal_bars
from regen.figures.render._layout import in_words
from regen.figures.style import columns_of
from regen.inspection import Ablation, Labelled, Moments
from regen.inspection.recurrent.gradients import GradientFlow


def marks(chart: Chart) -> dict[str, Any]:
    """The marks of all panels by name."""
    return {mark.name: mark for panel in chart.panels for mark in panel.marks}


def only(chart: Chart) -> Any:
    """The mark of a chart that has one."""
    ((mark,),) = (panel.marks for panel in chart.panels)
    return mark


@cache
def series() -> np.ndarray:
    """A series of one column."""
    return np.sin(np.arange(120) / 3) + np.random.default_rng(0).normal(size=120) / 10


@cache
def forecaster(cell: str = "lstm") -> Any:
    """A forecaster, hardly trained."""
    return regen.Forecaster(cell, 12, 3, hidden=5, max_epochs=1, random_state=0).fit(series())


def test_maps_of_gates() -> None:
    """A map for each gate, below the input; rows are the units by half-life, columns the steps."""
    found = regen.inspect.gates(forecaster(), series())
    figure = found.plot()
    drawn = marks(figure)
    assert list(drawn) == ["x" if "x" in drawn else next(iter(drawn)), *found.values]
    last = found["forget"].labels["sequence"][-1]
    values = np.asarray(found["forget"].at(layer=0, direction="forward", sequence=last))
    lives = columns_of(found.units())["half_life"]
    order = np.argsort(-lives, kind="stable")
    assert sorted(drawn["forget"].notes[:, 0]) == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(drawn["forget"].notes[:, 0], order)
    np.testing.assert_allclose(drawn["forget"].z, values[:, order].T)
    assert not np.allclose(drawn["forget"].z, values.T), "units in their own order are another picture"
    assert drawn["forget"].limits == (0, 1)
    low, high = drawn["context"].limits
    assert low == -high < 0
    assert figure.panels[0].x.title == "step"
    assert [in_words(panel.heading).split(":")[0] for panel in figure.panels] == [
        "input",
        *found.values,
    ]


def test_one_gate_and_one_unit() -> None:
    """``word=`` draws one map; ``unit=`` the lines of one unit: gates in one panel, its state in another."""
    found = regen.inspect.gates(forecaster(), series())
    assert len(marks(found.plot(word="input"))) == 2
    figure = found.plot(unit=2, steps=4)
    drawn = marks(figure)
    last = found["forget"].labels["sequence"][-1]
    for word in ("input", "forget", "output", "candidate", "context", "state"):
        values = np.asarray(found[word].at(layer=0, direction="forward", sequence=last))[-4:, 2]
        np.testing.assert_allclose(drawn[word].y, values, rtol=1e-6)
    _, gates, others = figure.panels
    assert {"forget", "input"} <= {mark.name for mark in gates.marks}
    assert {"context", "state"} <= {mark.name for mark in others.marks}


def test_half_lives_are_ranked() -> None:
    """A bar for each unit, the longest on top; a cell that multiplies its state by a matrix has none."""
    found = regen.inspect.gates(forecaster(), series())
    bars = only(found.plot(of="half_life"))
    lives = columns_of(found.units())["half_life"]
    np.testing.assert_allclose(bars.size, np.sort(lives)[::-1])
    with pytest.raises(
        ValueError,
        match=r"^No unit of Elman has a half-life: the cell multiplies its state by a matrix, or forgets",
    ):
        regen.inspect.gates(forecaster("elman"), series()).plot(of="half_life")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"unit": 5}, "There is no unit 5. They go from 0 to 4."),
        ({"layer": 1}, "There is no layer 1. They go from 0 to 0."),
        (
            {"of": "life"},
            "The 'of' parameter of Gates.plot must be one of 'values', 'half_life'. Got 'life' instead.",
        ),
        ({"word": "reset"}, "The cell LSTM has no 'reset'."),
    ],
)
def test_gates_that_are_not_there(options: dict[str, Any], sentence: str) -> None:
    """A unit, a layer, a gate that is not there is refused."""
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        regen.inspect.gates(forecaster(), series()).plot(**options)


def test_losses_and_flow() -> None:
    """The loss of every copy over the time steps; norms over the steps, and below them the change by lag."""
    found = regen.inspect.loss_per_copy(forecaster(), series())
    line = only(found.plot(unit="sd"))
    np.testing.assert_allclose(line.y, found.losses)
    np.testing.assert_array_equal(line.x, found.steps)
    assert found.plot().panels[0].x.title == "time steps"
    X = np.random.default_rng(0).normal(size=(20, 6, 2))
    coder = regen.Autoencoder(2, "gru", hidden=4, max_epochs=1, random_state=0).fit(X)
    assert regen.inspect.loss_per_copy(coder, X).plot().panels[0].x.title == "step"
    flow = regen.inspect.gradient_flow(forecaster(), series())
    drawn = marks(flow.plot())
    assert set(drawn) == {"input", "state", "context", f"change of the {flow.output}"}
    np.testing.assert_allclose(drawn["context"].y, flow.norms["context"].values[0, 0])
    np.testing.assert_allclose(drawn[f"change of the {flow.output}"].y, 100 * flow.change)
    assert flow.plot().panels[0].y.kind == "log"


def flowing(layers: int, reach: int | None) -> GradientFlow:
    """Gradients made up, of several layers, one of which gets none."""
    labels = {"layer": range(layers), "direction": ["forward"], "step": range(3)}
    norms = np.arange(3.0 * layers).reshape(layers, 1, 3)
    axes = ("layer", "direction", "step")
    state = Labelled(norms, axes, labels)
    rate = Labelled(np.ones((layers, 1)), axes[:2], {axis: labels[axis] for axis in axes[:2]})
    lags, change = np.arange(4), np.array([1.0, 0.5, 0.02, 0.0])
    return GradientFlow(
        "net", 2, {"input": state, "state": state}, state, rate, lags, change, reach, 0.01, "forecast"
    )


def test_flow_through_layers() -> None:
    """Of several layers the states alone are drawn, each by its number; nothing on a logarithmic axis is a gap."""
    figure = flowing(2, 3).plot()
    drawn = marks(figure)
    assert list(drawn) == ["0", "1", "change of the forecast"]
    assert np.isnan(drawn["0"].y[0]) and drawn["0"].y[2] == 2
    np.testing.assert_array_equal(drawn["0"].x, [2, 4, 6])
    assert figure.panels[1].heading == "under 1 % from age 3 on"
    assert "oldest inputs: 1 % or more" in str(flowing(1, None).plot().panels[1].heading)


def test_saliency_by_lag() -> None:
    """One feature is bars over the lags, several a map; the newest stands at the right; one sequence has signs."""
    found = regen.inspect.saliency(forecaster(), series(), rows=8)
    bars = only(found.plot())
    np.testing.assert_allclose(bars.size, np.abs(found.values.values[..., 0]).mean(axis=0))
    assert found.plot().panels[0].x.reverse
    one = only(found.plot(sequence=found.values.labels["sequence"][0]))
    np.testing.assert_allclose(one.size, found.values.values[0, :, 0])
    X = np.random.default_rng(0).normal(size=(30, 6, 3))
    model = regen.SequenceRegressor("gru", hidden=4, max_epochs=1, random_state=0).fit(X, X[:, 0, 0])
    several = regen.inspect.saliency(model, X[:9])
    cells = only(several.plot())
    np.testing.assert_allclose(cells.z, np.abs(several.values.values).mean(axis=0).T)
    assert (only(several.plot(sequence=4)).z < 0).any()


def test_moments_and_ablation() -> None:
    """A bar for each moment and a line at the typical distance; a bar for each unit, the largest increase on top."""
    found = regen.inspect.similar_moments(forecaster(), series(), -1)
    bars = only(found.plot())
    np.testing.assert_allclose(bars.size, found.distances)
    assert found.plot().panels[0].rules[0].at == found.typical
    dated = Moments(
        "a", np.zeros(1, int), np.zeros(1, int), np.array(["2001-02-03"], "M8[ns]"), np.ones(1), 2.0
    )
    assert dated.plot().panels[0].y.tick_labels == ["2001-02-03"]
    lost = regen.inspect.ablate(forecaster(), series())
    bars = only(lost.plot())
    np.testing.assert_allclose(bars.size, np.sort(100 * lost.lost / lost.loss)[::-1])
    named = f"unit {lost.names[np.argmax(lost.lost)]}"
    assert lost.plot().panels[0].y.tick_labels[0] == named


def test_losses_that_shrink_have_room_for_their_numbers() -> None:
    """Without something the loss may shrink: its bar goes to the left, and the axis goes further."""
    names = np.array(["input", "forget"])
    where = (np.zeros(2, int), np.array(["forward"] * 2))
    figure = Ablation("gates", "net", 2.0, *where, names, np.array([2.2, 1.8])).plot()
    np.testing.assert_allclose(only(figure).size, [10, -10])
    low, high = figure.panels[0].x.limits
    assert low < -12 and high > 10
    assert figure.panels[0].y.tick_labels == ["input gate", "forget gate"]


@pytest.mark.parametrize(
    ("sizes", "limits"),
    [([10.0, -10.0], (-16.0, 12.0)), ([-4.0, -8.0], (-10.4, 0.8)), ([3.0, np.nan], None)],
)
def test_ranges_of_bars(sizes: list[float], limits: tuple[float, float] | None) -> None:
    """Bars to the left get 0.3 of the spread for their numbers there, 0.1 on the right; others begin at 0."""
    axis = horizontal_bars(["a", "b"], np.array(sizes), "#000000", "size").panels[0].x
    assert axis.from_zero == (limits is None)
    assert axis.limits == (pytest.approx(limits) if limits else None)


@cache
def coded(modality: str) -> Any:
    """What was found in the code of images, of a table or of sequences."""
    rng = np.random.default_rng(0)
    options: dict[str, Any] = {"max_epochs": 1, "random_state": 0}
    if modality == "images":
        X = regen.datasets.digits()[0][:60]
        model = regen.DenoisingAutoencoder(code=3, backbone="mlp", image_shape=(8, 8), hidden=(8,), **options)
    elif modality == "sequences":
        X = rng.normal(size=(20, 6, 2))
        model = regen.Autoencoder(2, "gru", hidden=4, **options)
    else:
        X = rng.normal(size=(40, 7)) * np.arange(1, 8)
        kind = regen.VariationalAutoencoder if modality == "vae" else regen.DenoisingAutoencoder
        model = kind(code=3, hidden=(8,), **options)
    return regen.inspect.codes(model.fit(X), X)


def test_units_of_a_code() -> None:
    """Bars are the divergences where there is a prior, else the loss; the largest first; idle ones are grey."""
    found = coded("vae")
    bars = only(found.plot())
    np.testing.assert_allclose(bars.size, np.sort(found.kl)[::-1])
    order = np.argsort(-found.kl, kind="stable")
    assert [colour == "#0072b2" for colour in bars.color] == found.active[order].tolist()
    bars = only(coded("table").plot())
    np.testing.assert_allclose(
        bars.size, np.sort(100 * (coded("table").losses / coded("table").loss - 1))[::-1]
    )
    with pytest.raises(ValueError, match=r"^of='kl' is for a VariationalAutoencoder"):
        coded("table").plot(of="kl")


def test_traversals_of_every_modality() -> None:
    """Images side by side over their places, the columns of a table that change most, sequences in shades of blue."""
    traversal = coded("images").traversal(n=5)
    figure = traversal.plot()
    assert only(figure).z.shape == (8, 5 * 9 - 1)
    assert figure.panels[0].x.tick_labels == [f"{place:.2g}" for place in traversal.positions]
    assert figure.panels[0].x.title == f"value of unit {traversal.unit}"
    traversal = coded("table").traversal()
    drawn = marks(traversal.plot())
    most = np.argsort(-np.ptp(traversal.decoded.values, axis=0), kind="stable")[:4]
    assert set(drawn) == {traversal.decoded.names[k] for k in most}
    np.testing.assert_allclose(
        drawn[traversal.decoded.names[most[0]]].y, traversal.decoded.values[:, most[0]]
    )
    traversal = coded("sequences").interpolation(0, 1, n=4)
    shades = [mark.color for mark in traversal.plot().panels[0].marks]
    assert len(set(shades)) == 4 and shades[0] > shades[-1]


def test_maps_neighbours_and_repairs() -> None:
    """A map lies over what its places stand for; neighbours stand below their row; repairs show before and after."""
    found = coded("images")
    drawn = found.map(grid=4)
    figure = drawn.plot(labels=np.arange(60) % 3)
    assert list(marks(figure)) == ["decoded", "0", "1", "2"]
    assert marks(figure)["decoded"].z.shape == (32, 32)
    assert figure.panels[0].x.title == "first component"
    assert only(coded("table").map().plot()).name == "code"
    near = found.neighbours([0, 7], n=2).plot()
    assert near.panels[0].y.tick_labels == ["row", "1st", "2nd"]
    before, after = marks(found.repair.plot()).values()
    np.testing.assert_allclose(np.asarray(before.z).ravel(), found.repair.before)
    assert before.limits[1] == after.limits[1] == max(found.repair.before.max(), found.repair.after.max())
    lines = coded("sequences").neighbours([0, 1]).plot()
    assert list(marks(lines)) == ["row", "nearest"]
    cells = coded("table").neighbours([3], n=2).plot()
    assert cells.panels[0].y.tick_labels == ["row 3", "1st", "2nd"]
    wide, thin = marks(coded("table").repair.plot()).values()
    order = np.argsort(-coded("table").repair.before, kind="stable")
    np.testing.assert_allclose(thin.size, coded("table").repair.after[order])
    assert (wide.name, thin.name) == ("before", "after")


def test_every_figure_can_be_read_without_eyes() -> None:
    """Of each there is a drawing of our own, a sketch in 80 columns, and a sentence."""
    found = [
        regen.inspect.gates(forecaster(), series()),
        regen.inspect.gradient_flow(forecaster(), series()),
        regen.inspect.ablate(forecaster(), series(), of="gates"),
        *(coded(modality) for modality in ("images", "table", "vae")),
        coded("images").repair,
        coded("table").map(),
    ]
    for each in found:
        figure = each.plot()
        assert figures.svg(figure).startswith("<svg")
        rows = figures.text(figure)
        assert rows and max(map(len, rows)) <= 80
        assert figures.describe(figure).endswith(".")
        assert figure.panels[0].x.title
