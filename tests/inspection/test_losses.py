"""The loss of every copy: of the output from the steps up to it, or of the output of its step."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence

import regen
from regen.inspect import loss_per_copy
from regen.inspection import LossPerCopy


def test_a_forecaster() -> None:
    """Of each length: the error of the same horizon when only so much of the window is read."""
    y = np.sin(np.arange(80) / 3)
    options: dict[str, Any] = {"hidden": 6, "normalize": "none", "max_epochs": 3, "random_state": 0}
    model = regen.Forecaster(window=12, horizon=3, segment=3, **options).fit(y)
    found = loss_per_copy(model, y)
    assert found.steps.tolist() == [3, 6, 9, 12] and found.segment == 3 and found.of == "output"
    z = torch.from_numpy(((y - model.center_) / model.scale_).astype(np.float32))[:, None]
    windows = z.unfold(0, 15, 1).transpose(1, 2)
    expected = []
    with torch.no_grad():
        for read in (3, 6, 9, 12):
            expected.append(float((model.net_(windows[:, 12 - read : 12]) - windows[:, 12:]).abs().mean()))
    np.testing.assert_allclose(found.losses, expected, rtol=1e-4)
    assert abs(found.losses[:-1] - np.array(expected)[1:]).max() > 1e-3  # the twin: a segment more
    assert np.asarray(found.frame()["steps"]).tolist() == [3, 6, 9, 12]


def test_a_stream() -> None:
    """At each place of a window along the series: every window-th step of what was forecast after every step."""
    y = np.sin(np.arange(100) / 3)
    model = regen.Forecaster(window=10, horizon=2, hidden=6, bptt=5, max_epochs=2, random_state=0).fit(y)
    found = loss_per_copy(model, y)
    assert found.of == "step" and found.steps.tolist() == list(range(1, 11))
    z = torch.from_numpy(((y - model.center_) / model.scale_).astype(np.float32))[None, :, None]
    with torch.no_grad():
        outputs, _ = model.net_.stream(z, z[:, :1])
    error = (outputs[0, :98, :, 0] - z[0, 1:, 0].unfold(0, 2, 1)).abs().mean(1).numpy()
    np.testing.assert_allclose(found.losses, [error[k::10].mean() for k in range(10)], rtol=1e-4)
    assert found.sentences()[0].startswith("The loss of a copy is ")


def test_a_classifier() -> None:
    """If each sequence ended there: the loss of the outputs for its beginnings, also for different lengths."""
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(length, 2)) for length in (8, 5, 8, 6, 7, 8)]
    y = np.array(["a", "b"] * 3)
    for both in (False, True):
        model = regen.SequenceClassifier(
            hidden=4, segment=2, bidirectional=both, max_epochs=3, random_state=0
        ).fit(X, y)
        found = loss_per_copy(model, X, y)
        assert found.steps.tolist() == [2, 4, 6, 8]
        expected = []
        for end in (2, 4, 6, 8):
            probabilities = model.predict_proba([x[:end] for x in X])
            expected.append(-np.log(probabilities[np.arange(6), (y == "b").astype(int)]).mean())
        np.testing.assert_allclose(found.losses, expected, rtol=1e-4)
        assert np.abs(np.diff(expected)).max() > 1e-3


def test_an_autoencoder() -> None:
    """The loss of restoring each step; steps past the end of a sequence are left out."""
    X = np.random.default_rng(0).normal(size=(10, 6, 2)).cumsum(1)
    model = regen.Autoencoder(code=2, backbone="gru", hidden=6, max_epochs=3, random_state=0).fit(X)
    assert loss_per_copy(model, X).losses.mean() == pytest.approx(-model.score(X), rel=1e-5)
    scale = X.reshape(-1, 2).std(0)
    by_step = np.square((model.reconstruct(X) - X) / scale).mean((0, 2))
    np.testing.assert_allclose(loss_per_copy(model, X).losses, by_step, rtol=1e-3)
    ragged = [X[0], X[1, :3]]
    found = loss_per_copy(model, ragged)
    alone = [loss_per_copy(model, X[:1]).losses, loss_per_copy(model, X[1:2, :3]).losses]
    np.testing.assert_allclose(found.losses[:3], (alone[0][:3] + alone[1]) / 2, rtol=1e-4)
    np.testing.assert_allclose(found.losses[3:], alone[0][3:], rtol=1e-4)


class Everywhere(nn.Module):
    """A net with an output at every step."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net, self.readout = nn.GRU(2, 3, batch_first=True), nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.net(x)[0])


def test_modules() -> None:
    """Targets at every step, or of the whole sequence; classes; layouts of torch; packed sequences; any loss."""
    model, x = Everywhere(), torch.randn(5, 6, 2)
    outputs = model(x).detach()
    each, whole = torch.randn(5, 6, 4), torch.randn(5, 4)
    found = loss_per_copy(model, x, each)
    np.testing.assert_allclose(found.losses, (outputs - each).square().mean((0, 2)), rtol=1e-5)
    assert found.of == "step"
    found = loss_per_copy(model, x.numpy(), whole.numpy())
    np.testing.assert_allclose(found.losses, (outputs - whole[:, None]).square().mean((0, 2)), rtol=1e-5)
    assert found.of == "output"
    classes = torch.randint(4, (5, 6))
    entropy = F.cross_entropy(outputs.transpose(1, 2), classes, reduction="none")
    np.testing.assert_allclose(loss_per_copy(model, x, classes).losses, entropy.mean(0), rtol=1e-5)
    once = F.cross_entropy(outputs.transpose(1, 2), classes[:, :1].expand(5, 6), reduction="none")
    np.testing.assert_allclose(loss_per_copy(model, x, classes[:, 0]).losses, once.mean(0), rtol=1e-5)
    found = loss_per_copy(model, x, each, loss=lambda outputs, y: (outputs - y).abs())
    np.testing.assert_allclose(found.losses, (outputs - each).abs().mean((0, 2)), rtol=1e-5)
    first = nn.GRU(2, 3)
    first.load_state_dict(model.net.state_dict())
    states, y = model.net(x)[0].detach(), torch.randn(5, 6, 3)
    found = loss_per_copy(first, x.transpose(0, 1), y.transpose(0, 1))
    np.testing.assert_allclose(found.losses, (states - y).square().mean((0, 2)), rtol=1e-5)
    packed = pack_padded_sequence(x, torch.tensor([6, 4, 4, 2, 1]), batch_first=True)
    found, there = (
        loss_per_copy(model.net, packed, y),
        torch.arange(6) < torch.tensor([6, 4, 4, 2, 1])[:, None],
    )
    error = (states - y).square().mean(2)
    np.testing.assert_allclose(found.losses, (error * there).sum(0) / there.sum(0), rtol=1e-5)


def test_sentences() -> None:
    """The last loss, the lowest, and the steps that reach most of the decrease."""
    found = LossPerCopy(np.array([1.0, 0.5, 0.2, 0.12, 0.1, 0.11]), np.arange(1, 7) * 2, 2, "output")
    assert found.sentences() == [
        "The loss is 1 when 2 steps are used and 0.11 when 12 steps are; it is lowest, 0.1, at 10 steps.",
        "90% of the decrease is reached with 8 steps.",
    ]
    assert LossPerCopy(found.losses, found.steps, 2, "step").sentences() == [
        "The loss of a copy is 0.338 on average, lowest at step 10 (0.1) and highest at step 2 (1).",
    ]
    nothing = LossPerCopy(np.full(2, np.nan), np.arange(2), 1, "step")
    assert nothing.sentences() == ["No target was observed."]


def test_refusals() -> None:
    """No targets, one output for all steps, or an argument that a Forecaster does not take."""
    series = np.sin(np.arange(40.0))
    forecaster = regen.Forecaster(window=4, horizon=1, hidden=4, max_epochs=1, random_state=0).fit(series)
    net, x = nn.GRU(2, 3, batch_first=True), torch.zeros(2, 3, 2)
    one = nn.Sequential(net, Last())
    cases: list[tuple[Any, Any, dict[str, Any], str]] = [
        (
            net,
            x,
            {},
            "There are no targets to compute a loss with. Give y, the class or the targets of each row.",
        ),
        (
            one,
            x,
            {"y": torch.zeros(2, 3)},
            "Sequential returns shape (2, 3); a loss of every copy needs outputs (B, T",
        ),
        (
            forecaster,
            series,
            {"y": series},
            "The targets of a Forecaster are the next steps of its series. Leave out y.",
        ),
        (
            net,
            x,
            {"rows": 0},
            "The 'rows' parameter of loss_per_copy must be an int in [1, inf). Got 0 instead.",
        ),
    ]
    for model, x_case, options, message in cases:
        with pytest.raises(ValueError, match=re.escape(message)):
            loss_per_copy(model, x_case, **options)


class Last(nn.Module):
    """The last output of a recurrent net."""

    def forward(self, outputs: Any) -> Tensor:
        return outputs[0][:, -1]
