"""Findings of constant units, features that are never observed, and single steps: no warning of NumPy leaks."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import regen
from regen import figures
from regen.inspection.recurrent.sentences import _correlation, _deviation

pytestmark = pytest.mark.filterwarnings("error")
QUICK: dict[str, Any] = {"hidden": 3, "max_epochs": 1, "random_state": 0}
STEPS = np.arange(40)
SEQUENCES = np.sin(np.arange(16 * 6 * 2)).reshape(16, 6, 2)
NEVER = np.where(np.arange(2) == 1, np.nan, SEQUENCES)
SERIES = {
    "constant": np.full(40, 5.0),
    "zero": np.zeros(40),
    "tail": np.where(STEPS > 25, np.nan, np.sin(STEPS / 3)),
    "large": 1e37 * np.sin(STEPS / 3),
}
INPUTS = {
    "constant": np.full((16, 6, 2), 2.0),
    "never observed": NEVER,
    "tails": np.where(np.arange(6)[:, None] > 2, np.nan, SEQUENCES),
    "one step": SEQUENCES[:, :1],
    "lengths": [each[: 1 + k % 5] for k, each in enumerate(SEQUENCES)],
}
FINDINGS: tuple[Callable[..., Any], ...] = (
    regen.inspect.gates,
    regen.inspect.gradient_flow,
    regen.inspect.saliency,
    regen.inspect.loss_per_copy,
)


def shown(finding: Any) -> None:
    """The finding in sentences and as a chart of every kind."""
    assert str(finding)
    chart = finding.plot()
    assert figures.describe(chart) and figures.svg(chart) and figures.text(chart)
    figures.numbers(chart)


@pytest.mark.parametrize("y", SERIES.values(), ids=SERIES)
def test_series(y):
    """Of constants, of a tail without values and of large values."""
    model = regen.Forecaster(window=6, horizon=2, **QUICK, training={"validation": 0}).fit(y)
    for find in FINDINGS:
        shown(find(model, y))


@pytest.mark.parametrize("X", INPUTS.values(), ids=INPUTS)
def test_sequences(X):
    """Of constants, features and tails without values, single steps and several lengths."""
    y = np.arange(16) % 2
    model = regen.SequenceClassifier(**QUICK).fit(X, y)
    for find in FINDINGS:
        receives_labels = find in (regen.inspect.gradient_flow, regen.inspect.loss_per_copy)
        shown(find(model, X, y) if receives_labels else find(model, X))


@pytest.mark.parametrize("scale", [0.0, 1e4], ids=["without weights", "saturated"])
@pytest.mark.parametrize("cell", [regen.nn.LSTM, regen.nn.GRU, regen.nn.RNN])
def test_constant_units(cell, scale):
    """Units that never change, of each cell, also for inputs that overflow an axis."""
    net = cell(2, 3)
    with torch.no_grad():
        for weight in net.parameters():
            weight.mul_(scale)
    for x in (torch.ones(2, 5, 2), torch.full((2, 5, 2), 1e20)):
        shown(regen.inspect.gates(net, x))


CONSTANT = np.full(9, 0.1, dtype=np.float32) * np.linspace(1, 1 + 1e-7, 9, dtype=np.float32)


@pytest.mark.parametrize(
    "values", [CONSTANT, np.full(9, np.nan), np.zeros(9)], ids=["rounding", "missing", "zero"]
)
def test_statistics_of_what_does_not_vary(values):
    """Neither rounding nor nothing correlates with anything, or is unusual."""
    other = np.arange(9.0)
    assert _correlation(values, other) == _correlation(other, values) == 0
    assert _deviation(other > 5, values) == 0
    assert _correlation(other, other) == pytest.approx(1)
    assert _deviation(other > 7, other) == pytest.approx(4 / other.std())


def test_an_axis_of_one_value_has_ticks():
    """However large or small the value is."""
    for value in (0.0, 1e-320, 1e20, -1e300):
        assert figures.svg(figures.loss_per_step(np.array([value, value])))
