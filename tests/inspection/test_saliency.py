"""Attribution: exact where the model is linear, complete where it is not."""

import re
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import regen
from regen.cells import Diagonal
from regen.inspect import saliency
from regen.nets import recurrent

COMPLETE = 0.01
"""Share of the usual difference that may be missing, as promised; measured 0.004."""


class Linear(nn.Module):
    """A diagonal cell that is linear for positive inputs, and a linear readout of its last state."""

    def __init__(self, batch_first: bool = True) -> None:
        super().__init__()
        self.net = recurrent(Diagonal("relu"), 2, 2, batch_first=batch_first)
        self.readout = nn.Linear(2, 3)
        with torch.no_grad():
            self.net.weight_ih_l0.copy_(torch.tensor([[0.5, 0.1], [0.2, 0.7]]))
            self.net.weight_hh_l0.copy_(torch.tensor([0.9, 0.5]))
            self.net.bias_ih_l0.fill_(0.3)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.net(x)[1][-1])


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("method", ["integrated", "gradient"])
def test_a_linear_model(method: str, batch_first: bool) -> None:
    """The value at lag k is v u^k w x, by both methods; lags, features and sequences in their places."""
    torch.manual_seed(0)
    model, x = Linear(batch_first), torch.rand(4, 6, 2) + 0.1
    found = saliency(model, x if batch_first else x.transpose(0, 1), of=1, method=method)
    v = model.readout.weight[1].detach().double().numpy()
    u, w = np.array([0.9, 0.5]), model.net.weight_ih_l0.detach().double().numpy()
    expected = np.stack([x[:, 5 - k].double().numpy() * ((v * u**k) @ w) for k in range(6)], 1)
    assert found.values.axes == ("sequence", "lag", "feature") and found.values.labels["feature"] == (
        "x0",
        "x1",
    )
    np.testing.assert_allclose(found.values.values, expected, rtol=2e-5)
    wrong = (expected[:, ::-1], expected[..., ::-1], expected[::-1], np.roll(expected, 1, axis=1))
    assert all(np.abs(found.values.values - twin).max() > 0.01 for twin in wrong)
    assert found.gap.max() < 1e-5
    table = found.frame()
    assert np.asarray(table["lag"]).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    np.testing.assert_allclose(np.asarray(table["value"]), expected.mean(0).ravel(), rtol=2e-5)
    np.testing.assert_allclose(np.asarray(table["size"]), np.abs(expected).mean(0).ravel(), rtol=2e-5)


def test_a_baseline() -> None:
    """Values are differences to the baseline, and add up to the difference of the outputs."""
    model, x = Linear(), torch.rand(3, 5, 2) + 0.2
    base = np.full((5, 2), 0.1)
    found, plain = saliency(model, x, baseline=base), saliency(model, x)
    scale = (x.numpy() - 0.1)[:, ::-1] / x.numpy()[:, ::-1]
    np.testing.assert_allclose(found.values.values, plain.values.values * scale, rtol=1e-4)
    outputs = model(torch.full((3, 5, 2), 0.1)).mean(1).detach().numpy()
    np.testing.assert_allclose(found.baseline, outputs, rtol=1e-5)
    np.testing.assert_allclose(found.values.values.sum((1, 2)), found.outputs - found.baseline, rtol=1e-4)


@pytest.fixture(scope="module")
def forecaster() -> tuple[Any, np.ndarray]:
    """A forecaster that reads segments of windows."""
    y = np.sin(np.arange(160) / 3) + np.arange(160) / 40
    options: dict[str, Any] = {"hidden": 8, "normalize": "last", "max_epochs": 8, "random_state": 0}
    return regen.Forecaster(window=24, horizon=4, segment=4, **options).fit(y), y


@pytest.fixture(scope="module")
def classifier() -> tuple[Any, list[np.ndarray]]:
    """A bidirectional classifier of sequences of many lengths, which takes a maximum over time."""
    rng = np.random.default_rng(0)
    X = [np.c_[np.sin(np.arange(20 + k) / (2 + k % 2)), rng.normal(size=20 + k)] for k in range(12)]
    model = regen.SequenceClassifier(hidden=6, max_epochs=8, random_state=0).fit(X, ["a", "b"] * 6)
    return model, X


def test_integrated_gradients_are_complete(forecaster: Any, classifier: Any) -> None:
    """Within 1 %, whatever bends between; gradient times input, the twin, and 4 points, another, are not."""
    for model, X in (forecaster, classifier):
        found = saliency(model, X, rows=12)
        total = np.nansum(found.values.values, (1, 2))
        difference = found.outputs - found.baseline
        assert np.abs(total - difference).max() < COMPLETE * np.abs(difference).mean()
        np.testing.assert_allclose(
            found.gap, np.abs(total - difference) / np.abs(difference).mean(), atol=1e-9
        )
        assert found.gap.max() < COMPLETE
        assert saliency(model, X, rows=12, method="gradient").gap.max() > 10 * COMPLETE


def test_a_net_that_scales_what_it_reads() -> None:
    """With windows scaled by their own spread a forecast is as large as what is read, so that x dA/dx adds up, too.

    The path bends sharply where it leaves 0, at which the spread is that of rounding; its points lie close there.
    """
    y = np.sin(np.arange(160) / 3) + np.arange(160) / 40
    model = regen.Forecaster(window=24, horizon=4, hidden=8, max_epochs=4, random_state=0).fit(y)
    assert saliency(model, y, rows=12).gap.max() < COMPLETE
    assert saliency(model, y, rows=12, method="gradient").gap.max() < COMPLETE


def test_more_points_are_taken_where_they_are_needed(
    classifier: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 4 points and no more, the values of the classifier do not add up."""
    model, X = classifier
    for name in ("FIRST_POINTS", "MOST_POINTS"):
        monkeypatch.setattr(sys.modules[saliency.__module__], name, 4)
    assert saliency(model, X).gap.max() > COMPLETE


def test_outputs_of_estimators(forecaster: Any, classifier: Any) -> None:
    """The explained output: a step of the horizon, standardised, or the logit of a class."""
    model, y = forecaster
    steps = [saliency(model, y, of=k, method="gradient").outputs[-1] for k in range(4)]
    mean = saliency(model, y, method="gradient").outputs[-1]
    assert np.mean(steps) == pytest.approx(mean, rel=1e-5)
    assert len({round(each, 6) for each in steps}) == 4
    model, X = classifier
    odds = [saliency(model, X, of=label, method="gradient").outputs for label in ("a", "b")]
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(
        odds[1] - odds[0], np.log(probabilities[:, 1] / probabilities[:, 0]), rtol=1e-4
    )
    top = saliency(model, X, method="gradient")
    np.testing.assert_allclose(top.outputs, np.max(odds, 0), rtol=1e-6)
    assert np.isnan(top.values.values[0, 20:]).all() and not np.isnan(top.values.values[0, :20]).any()
    assert top.values.shape == (12, 31, 2)


def test_sentences() -> None:
    """Which feature at which lag, how much lies near, and whether it adds up."""
    torch.manual_seed(0)
    model = Linear()
    with torch.no_grad():
        model.net.weight_ih_l0.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
        model.net.weight_hh_l0.copy_(torch.tensor([0.5, 0.5]))
    found = saliency(model, torch.ones(2, 3, 2), of=0)
    assert found.sentences() == [
        "x0 at lag 0 contributes most to the output: 57% of the total.",
        "Half of the contributions lie within the last 1 step of 3.",
        "Of the features, x0 has 100%, x1 has 0%.",
        "The values of a sequence add up to its output, minus that for the baseline, within 0.0%.",
    ]
    with torch.no_grad():
        model.readout.weight.zero_()
    assert saliency(model, torch.ones(2, 3, 2)).sentences() == ["No input changes the output."]


def test_refusals(forecaster: Any, classifier: Any) -> None:
    """Another step, class or output than there is; an input that has no gradient."""
    cases: list[tuple[Any, Any, dict[str, Any], str]] = [
        (
            *forecaster,
            {"of": 4},
            "of must be the number of the step of the horizon, from 0 to 3. Got 4 instead.",
        ),
        (*classifier, {"of": "c"}, "There is no class 'c'. The classes are 'a', 'b'."),
        (
            Linear(),
            torch.zeros(1, 2, 2),
            {"of": 3},
            "of must be the number of the output, from 0 to 2. Got 3 instead.",
        ),
        (
            Linear(),
            torch.zeros(1, 2, 2),
            {"method": "both"},
            "The 'method' parameter of saliency must be one of",
        ),
        (
            nn.LSTM(2, 3),
            pack_padded_sequence(torch.zeros(3, 1, 2), [3]),  # type: ignore[arg-type]
            {},
            "saliency needs one tensor (B, T, F) of numbers as the input of the model. Got a PackedSequence instead.",
        ),
        (nn.Linear(2, 2), torch.zeros(1, 2), {}, "There is no recurrent net in this Linear."),
    ]
    for model, X, options, message in cases:
        with pytest.raises(ValueError, match=re.escape(message)):
            saliency(model, X, **options)


def test_lags_end_with_the_longest_sequence() -> None:
    """Of sequences that are shorter than others of X only the lags that one of them has are returned."""
    X = [np.random.default_rng(k).normal(size=(length, 2)) for k, length in enumerate((4, 5, 9, 3, 6, 4))]
    model = regen.SequenceRegressor("gru", hidden=3, max_epochs=1, random_state=0).fit(X, np.arange(6.0))
    found = saliency(model, X, rows=2)
    assert found.values.shape == (2, 5, 2)
    assert np.isnan(found.values.values[0, 4]).all() and not np.isnan(found.values.values[1]).any()
    assert "within the last" in str(found) and "of 5." in str(found)
