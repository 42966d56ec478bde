"""Moments at which the state was alike: found where the data repeat, and by comparing all states with one."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import regen
from regen.inspect import gates, similar_moments

pandas = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def model() -> Any:
    """A forecaster of a wave of 12 steps, whose dates are months."""
    y = pandas.Series(
        np.sin(2 * np.pi * np.arange(132) / 12),
        index=pandas.date_range("2000-01-01", periods=132, freq="MS"),
        name="y",
    )
    return regen.Forecaster(window=24, horizon=3, hidden=8, max_epochs=3, random_state=0).fit(y), y


def test_a_wave_repeats(model: Any) -> None:
    """Moments like a June are Junes, whole periods apart, and nearly the same state; by date and by number."""
    forecaster, y = model
    found = similar_moments(forecaster, y, "2005-06-01", n=5)
    assert found.at == "2005-06-01"
    assert all(str(time)[5:7] == "06" for time in found.times.astype("M8[D]"))
    assert (
        ((found.steps - 65) % 12 == 0).all() and 65 not in found.steps and len(set(found.steps.tolist())) == 5
    )
    assert found.distances.max() < 1e-4 * found.typical
    assert np.array_equal(similar_moments(forecaster, y, 65, n=5).steps, found.steps)
    assert similar_moments(forecaster, y, -1, n=1).at == "2010-12-01"
    table = found.frame()
    assert np.asarray(table["rank"]).tolist() == [1, 2, 3, 4, 5]
    assert np.array_equal(np.asarray(table["distance"]), found.distances)


def test_against_all_states() -> None:
    """Every local minimum of the distance to all states, and no other step, in the order of the distance."""
    torch.manual_seed(0)
    net, x = nn.LSTM(2, 4, batch_first=True), torch.randn(3, 20, 2)
    for of, k in (("state", "state"), ("context", "context")):
        states = gates(net, x)[k].values[0, 0]
        away = np.linalg.norm(states - states[1, 7], axis=-1)
        expected = sorted(
            (away[row, step], row, step)
            for row in range(3)
            for step in range(20)
            if (row, step) != (1, 7)
            and all(away[row, step] < away[row, near] for near in (step - 1, step + 1) if 0 <= near < 20)
        )
        found = similar_moments(net, x, (1, 7), n=100, of=of)
        result = list(
            zip(found.distances.tolist(), found.sequences.tolist(), found.steps.tolist(), strict=True)
        )
        assert [each[1:] for each in result] == [each[1:] for each in expected]
        np.testing.assert_allclose(found.distances, [each[0] for each in expected], rtol=1e-5)
        assert found.typical == pytest.approx(float(np.median(away)))
    assert found.sentences()[0].startswith(
        "The state at step 7 of sequence 1 was most similar to that at step "
    )
    assert similar_moments(net, x[:1], 7).at == (0, 7)


def test_a_stream() -> None:
    """A forecaster that carries its state has one at every step of the series."""
    y = np.sin(2 * np.pi * np.arange(200) / 20)
    model = regen.Forecaster(window=20, horizon=2, hidden=6, bptt=10, max_epochs=2, random_state=0).fit(y)
    found = similar_moments(model, y, 130, n=3)
    assert ((found.steps - 130) % 20 == 0).all() and found.at == "130"


def test_a_window_is_read_before_the_first_moment(model: Any) -> None:
    """The state at a step is that after the window that ends there; the steps before have none."""
    forecaster, y = model
    first = similar_moments(forecaster, y, 23, n=1)
    assert first.at == "2001-12-01"
    message = "There is no state at 22: whole windows end from 2001-12-01 to 2010-12-01."
    with pytest.raises(ValueError, match=re.escape(message)):
        similar_moments(forecaster, y, 22)


ROWS = torch.zeros(3, 4, 2)
REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    (5, {}, "t must be (sequence, step), for there are 3 sequences. Got 5 instead."),
    ((0, 4), {}, "There is no step 4 in sequence 0: 3 sequences of at most 4 recurrent steps."),
    ((3, 0), {}, "There is no step 0 in sequence 3: 3 sequences of at most 4 recurrent steps."),
    ((0, 0), {"n": 0}, "The 'n' parameter of similar_moments must be an int in [1, inf). Got 0 instead."),
    (
        (0, 0),
        {"of": "context"},
        "The cell GRU has no 'context'. It has 'reset', 'update', 'candidate', 'state'.",
    ),
]


@pytest.mark.parametrize(("t", "options", "message"), REFUSED)
def test_refusals(t: Any, options: dict[str, Any], message: str) -> None:
    """What was given, what was expected."""
    with pytest.raises(ValueError, match=re.escape(message)):
        similar_moments(nn.GRU(2, 3, batch_first=True), ROWS, t, **options)


def test_refusals_of_a_series(model: Any) -> None:
    """A date that is not there, and one that is no date."""
    forecaster, y = model
    for t in ("1990-01-01", "yesterday", 4.5):
        with pytest.raises(ValueError, match=re.escape(f"There is no state at {t!r}: whole windows end")):
            similar_moments(forecaster, y, t)
