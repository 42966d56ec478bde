"""Half-lives, events and shares of time against what is known of them, and the sentences made of them."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regen.cells import GRU, LSTM, Diagonal
from regen.data.dataframes import frame
from regen.inspect import clamp, gates
from regen.inspection import Gates, Labelled
from regen.inspection.recurrent.activity import half_life
from regen.nets import recurrent

AXES = ("layer", "direction", "sequence", "step", "unit")


def column(table: object, name: str) -> np.ndarray:
    """A column of whatever dataframe there is."""
    return np.asarray(table[name])  # type: ignore[index]


@given(f=st.floats(0.001, 0.99999), steps=st.integers(1, 60), rows=st.integers(1, 4))
def test_half_life_of_a_constant_gate(f: float, steps: int, rows: int) -> None:
    """log(1/2) / log(f), however short the sequence; not the time to 1/e, and not a whole number of steps."""
    known = np.log(0.5) / np.log(f)
    found = half_life(np.full((rows, steps), f))
    assert found == pytest.approx(known, rel=1e-6)
    assert abs(-1 / np.log(f) - known) > 1e-3 * known
    if abs(known - np.ceil(known)) > 1e-3 * known:
        assert found != pytest.approx(np.ceil(known), rel=1e-6)


@given(cut=st.integers(1, 40))
def test_padding_does_not_count(cut: int) -> None:
    """NaN past a sequence's end is as if it were not there."""
    kept = np.random.default_rng(0).uniform(0.5, 1, (1, 40))
    padded = np.where(np.arange(40) < cut, kept, np.nan)
    assert half_life(padded) == pytest.approx(half_life(kept[:, :cut]), rel=1e-12)


def test_a_unit_that_is_emptied_now_and_then() -> None:
    """Emptied every 10th step: half of all moments lie within 5 steps of that; the gate's mean would mislead."""
    kept = np.where(np.arange(1000) % 10 == 9, 1e-6, 1.0)[None]
    assert half_life(kept) == pytest.approx(5.05, abs=0.6)
    assert np.log(0.5) / np.log(kept).mean() < 1  # the twin: by the geometric mean of the gate
    assert half_life(np.ones((2, 5))) == np.inf
    assert np.isnan(half_life(np.full((2, 5), np.nan)))


@pytest.mark.parametrize("direction", [0, 1])
@pytest.mark.parametrize(("cell", "word"), [(LSTM("full"), "forget"), (GRU(), "update")], ids=str)
def test_half_life_of_a_clamped_gate(cell: object, word: str, direction: int) -> None:
    """Through the whole way: a net whose keeping gate is held at f has that half-life in every unit."""
    net = recurrent(cell, 3, 4, bidirectional=True)  # type: ignore[arg-type]
    with clamp(net, **{word: 0.97}):
        table = gates(net, torch.randn(5, 30, 3)).units()
    found = column(table, "half_life")[column(table, "direction") == ("forward", "backward")[direction]]
    np.testing.assert_allclose(found, np.log(0.5) / np.log(0.97), rtol=1e-5)


def test_half_life_of_the_diagonal_cell() -> None:
    """Where the cell is linear a unit keeps its own weight; where relu is at rest, nothing."""
    net = recurrent(Diagonal("relu"), 1, 3)
    with torch.no_grad():
        net.weight_ih_l0.copy_(torch.tensor([[1.0], [1.0], [-1.0]]))
        net.weight_hh_l0.copy_(torch.tensor([0.9, 0.5, 0.9]))
        net.bias_ih_l0.zero_()
    found = column(gates(net, torch.rand(2, 20, 1) + 0.1).units(), "half_life")
    np.testing.assert_allclose(found[:2], np.log(0.5) / np.log([0.9, 0.5]), rtol=1e-6)
    assert found[2] < 0.02


def test_half_life_of_the_diagonal_cell_with_tanh() -> None:
    """At a state h the share kept is ``|u| (1 - h**2)``: by the rest of a change of the state, and by hand."""
    net = recurrent(Diagonal("tanh"), 1, 2)
    drive, weight = 0.4, np.array([0.9, -0.7])
    with torch.no_grad():
        net.weight_ih_l0.fill_(1.0)
        net.weight_hh_l0.copy_(torch.from_numpy(weight))
        net.bias_ih_l0.zero_()
    found = column(gates(net, torch.full((1, 400, 1), drive)).units(), "half_life")
    h = np.zeros(2)
    for _ in range(400):
        h = np.tanh(drive + weight * h)
    np.testing.assert_allclose(found, np.log(0.5) / np.log(np.abs(weight) * (1 - h**2)), rtol=1e-3)
    moved = h + 1e-6
    for _ in range(3):
        moved = np.tanh(drive + weight * moved)
    np.testing.assert_allclose(np.abs(moved - h) / 1e-6, 0.5 ** (3 / found), rtol=1e-3)


def made(i: np.ndarray, f: np.ndarray, inputs: np.ndarray | None = None) -> Gates:
    """Gates (L, D, n, S, H) of an LSTM with these input and forget gates."""
    L, D, n, S, H = i.shape
    labels = {
        "layer": range(L),
        "direction": ("forward", "backward")[:D],
        "sequence": range(n),
        "step": range(S),
    }
    half = np.full(i.shape, 0.5)
    values = {"input": i, "forget": f, "candidate": half, "output": half, "context": i, "state": i}
    read = None
    if inputs is not None:
        axes = {"sequence": range(n), "step": range(S), "feature": ["mark", "noise"]}
        read = Labelled(inputs, tuple(axes), axes)
    labelled = {word: Labelled(v, AXES, labels | {"unit": range(H)}) for word, v in values.items()}
    return Gates("net", LSTM(), "by hand", labelled, None, read, None, 1)


def test_events_and_shares() -> None:
    """Openings and closings, forward and backward; what is so at the first step that is read has not become so."""
    i = np.full((1, 2, 1, 6, 1), 0.5)
    i[0, :, 0, :, 0] = [0.95, 0.95, 0.2, 0.95, 0.95, 0.05]
    f = np.full_like(i, 0.8)
    f[0, :, 0, :, 0] = [0.8, 0.8, 0.05, 0.05, 0.8, 0.05]
    found = made(i, f)
    events = found.events()
    labelled = sorted(
        zip(column(events, "event"), column(events, "direction"), column(events, "step"), strict=True)
    )
    assert [(a, b, int(c)) for a, b, c in labelled] == [
        ("reset", "backward", 3),
        ("reset", "forward", 2),
        ("reset", "forward", 5),
        ("write", "backward", 1),
        ("write", "backward", 4),
        ("write", "forward", 3),
    ]
    units = found.units()
    np.testing.assert_allclose(column(units, "input_open"), 4 / 6)
    np.testing.assert_allclose(column(units, "input_closed"), 1 / 6)
    np.testing.assert_allclose(column(units, "forget_closed"), 3 / 6)
    np.testing.assert_allclose(column(units, "writes"), [100 / 6, 200 / 6])
    np.testing.assert_allclose(column(units, "resets"), [200 / 6, 100 / 6])


def test_sentences() -> None:
    """Sentences about a unit: its half-life, how often and at which inputs it is written and reset."""
    n, S = 4, 60
    mark = np.zeros((n, S))
    mark[:, 9::10] = 1
    noise = np.random.default_rng(0).normal(size=(n, S))
    i, f = np.full((1, 1, n, S, 2), 0.3), np.full((1, 1, n, S, 2), 0.99)
    i[0, 0, :, :, 0] = 0.05 + 0.94 * mark
    f[0, 0, :, :, 0] = 0.999 - 0.95 * np.roll(mark, 1, axis=1)
    found = made(i, f, np.stack([mark, noise], 2))
    assert found.sentences(1) == [
        "Half of the 2 units forget half of their content in 37 steps; unit 1 has the longest half-life, 69 steps.",
        "Unit 0 keeps half of its content for 5.2 steps, is written about every 10 steps when mark is high and is"
        " reset about every 10 steps when mark falls.",
    ]
    assert str(found) == "\n".join(found.sentences())
    swapped = made(f, i, np.stack([noise, mark], 2))  # the twin: gates and features in each other's place
    assert "mark" not in swapped.sentences(1)[1]


def test_sentences_of_two_directions_and_layers() -> None:
    """Units have a layer and a direction; inputs of a backward unit change in the order that it receives them."""
    n, S = 4, 60
    mark = np.zeros((n, S))
    mark[:, 9::10] = 1
    i, f = np.full((2, 2, n, S, 1), 0.3), np.full((2, 2, n, S, 1), 0.5)
    f[1, 1] = 0.99
    i[1, 1, :, :, 0] = 0.05 + 0.94 * np.roll(mark, -1, axis=1)  # backwards, the step after the mark
    found = made(i, f, np.stack([mark, np.zeros((n, S))], 2))
    assert found.sentences(1) == [
        "Half of the 4 units forget half of their content in 1 step; unit 0 of layer 1, backward has the longest"
        " half-life, 69 steps.",
        "Unit 0 of layer 1, backward keeps half of its content for 69 steps and is written about every 10 steps when"
        " mark falls.",
    ]
    forward = made(i[:, :1], np.flip(f, 1)[:, :1])
    assert "unit 0 of layer 1 has the longest" in forward.sentences(1)[0]


def test_cells_with_a_recurrent_matrix() -> None:
    """Elman's units have no half-life; the sentence names gradient_flow."""
    found = gates(recurrent("elman", 2, 3), torch.randn(2, 5, 2))
    assert np.isnan(column(found.units(), "half_life")).all()
    assert len(column(found.events(), "event")) == 0
    assert found.sentences()[0] == (
        "The Elman cell has a recurrent matrix and no half-life of single units: see its gradient_flow."
    )


def test_labelled() -> None:
    """Places by label, a dataframe of all numbers, and refusals."""
    held = Labelled(np.arange(6.0).reshape(2, 3), ("row", "unit"), {"row": ["a", "b"], "unit": range(3)})
    assert held.at(row="b").values.tolist() == [3, 4, 5]
    assert float(np.asarray(held.at(row="b", unit=1))) == 4
    table = held.frame()
    assert column(table, "row").tolist() == ["a"] * 3 + ["b"] * 3
    assert column(table, "unit").tolist() == [0, 1, 2, 0, 1, 2]
    assert column(table, "value").tolist() == [0, 1, 2, 3, 4, 5]
    assert type(table) is type(frame({"a": np.arange(1)}))
    with pytest.raises(ValueError, match=re.escape("There is no axis 'step'. The axes are row, unit.")):
        held.at(step=1)
    with pytest.raises(ValueError, match=re.escape("There is no unit 7. They go from 0 to 2.")):
        held.at(unit=7)
