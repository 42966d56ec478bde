"""What is lost without each unit and gate: nothing where nothing listens, all where all does."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import regen
from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.inspect import ablate
from regen.inspection import Ablation, clamp
from regen.nets import recurrent


class ReadoutOfUnit1(nn.Module):
    """A recurrent net with a readout of unit 1 alone, and units without connections to each other."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = recurrent(cell, 2, 3)
        self.readout = nn.Linear(self.net.output_size, 1, bias=False)
        with torch.no_grad():
            for name, weight in self.net.named_parameters():
                if name.startswith(("weight_hh", "weight_yh", "weight_hy")) and weight.ndim > 1:
                    apart = torch.eye(3).repeat(weight.shape[0] // 3, 1)
                    weight.mul_(apart)
            self.readout.weight.copy_(torch.tensor([[0.0, 1.0, 0.0]]))

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.net(x)[0][:, -1])


@pytest.mark.parametrize(
    "cell", [LSTM("full"), GRU(), GRU("before"), Elman(), Elman("relu"), Diagonal(), Jordan()], ids=str
)
def test_a_unit_without_influence(cell: Cell) -> None:
    """Only unit 1 is needed, and without it the output is exactly 0, for every cell."""
    model, x = ReadoutOfUnit1(cell), torch.randn(40, 5, 2)
    y = model(x).detach() + 0.1
    found = ablate(model, x, y)
    assert found.loss == pytest.approx(0.01, rel=1e-4)
    expected = [0.01, float(y.square().mean()), 0.01]
    if isinstance(cell, Jordan):  # its readout has a bias: what is silent is the hidden unit
        expected[1] = float((y - model.net.bias_hy_l0[1].detach()).square().mean())
    np.testing.assert_allclose(found.losses, expected, rtol=1e-4)
    assert found.names.tolist() == [0, 1, 2] and expected[1] > 0.011
    assert [f"{each:.3f}" for each in found.lost[[0, 2]]] == ["0.000", "0.000"]
    table = found.frame()
    assert np.asarray(table["unit"])[0] == 1 and np.asarray(table["rank"]).tolist() == [1, 2, 3]
    np.testing.assert_allclose(np.asarray(table["share"])[0], (expected[1] - 0.01) / 0.01, rtol=1e-3)


def test_gates_are_held_at_their_mean() -> None:
    """What is lost without what a gate has to tell: the loss with every unit of it at its mean over the data."""
    torch.manual_seed(0)
    net, x = nn.LSTM(2, 4, 2, batch_first=True), torch.randn(30, 6, 2)
    y = net(x)[1][0][-1].detach()
    found = ablate(net, x, y, of="gates")
    assert found.loss == pytest.approx(0, abs=1e-12)
    assert found.names.tolist() == ["input", "input", "forget", "forget", "output", "output"]
    assert found.layers.tolist() == [0, 1] * 3
    mean = regen.inspect.gates(net, x)["forget"].values[1, 0].mean((0, 1))
    with clamp(net, forget=mean, layers=1):
        expected = float((net(x)[1][0][-1] - y).square().mean().detach())
    assert found.losses[3] == pytest.approx(expected, rel=1e-5)
    for twin in (
        {"forget": mean, "layers": 0},
        {"input": mean, "layers": 1},
        {"forget": mean.mean(), "layers": 1},
    ):
        with clamp(net, **twin):
            assert found.losses[3] != pytest.approx(
                float((net(x)[1][0][-1] - y).square().mean().detach()), rel=1e-2
            )


def test_losses_of_modules() -> None:
    """Squared errors for numbers, cross-entropy for whole ones, or any other."""
    torch.manual_seed(0)
    net, x = nn.GRU(2, 3, batch_first=True), torch.randn(8, 5, 2)
    outputs, classes, targets = net(x)[1][-1].detach(), torch.randint(3, (8,)), torch.randn(8, 3)
    assert ablate(net, x, targets).loss == pytest.approx(float((outputs - targets).square().mean()), rel=1e-5)
    expected = float(nn.functional.cross_entropy(outputs, classes))
    assert ablate(net, x, classes).loss == pytest.approx(expected, rel=1e-5)
    mae = ablate(net, x, targets.numpy(), loss=lambda outputs, y: (outputs - y).abs().mean(1))
    assert mae.loss == pytest.approx(float((outputs - targets).abs().mean()), rel=1e-5)


def test_losses_of_estimators() -> None:
    """The loss of the whole is that of the estimator on what it is held against."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 9, 2))
    model = regen.SequenceClassifier(hidden=4, max_epochs=2, random_state=0).fit(X, np.array(["a", "b"] * 15))
    y = np.array(["b", "a", "a"] * 10)
    probability = model.predict_proba(X)[np.arange(30), (y == "b").astype(int)]
    assert ablate(model, X, y).loss == pytest.approx(-np.log(probability).mean(), rel=1e-5)
    assert ablate(model, X, y, rows=7).loss == pytest.approx(-np.log(probability[:7]).mean(), rel=1e-5)
    number = regen.SequenceRegressor(hidden=4, max_epochs=2, random_state=0).fit(X, X[:, 0, 0])
    error = (number.predict(X) - X[:, 1, 1]) / number.target_scale_
    assert ablate(number, X, X[:, 1, 1]).loss == pytest.approx(float(np.square(error).mean()), rel=1e-4)
    coder = regen.Autoencoder(code=2, backbone="gru", hidden=4, max_epochs=2, random_state=0).fit(X)
    assert ablate(coder, X).loss == pytest.approx(-coder.score(X), rel=1e-5)
    assert ablate(coder, X, part="decoder.writer").part == "decoder.writer"
    series = np.sin(np.arange(120) / 3)
    forecaster = regen.Forecaster(window=12, horizon=3, hidden=4, max_epochs=2, random_state=0).fit(series)
    back = forecaster.backtest(series, start=12, stride=1)
    expected = back.scores["mae"] / forecaster.scale_[0]
    assert ablate(forecaster, series).loss == pytest.approx(expected, rel=1e-4)


def test_sentences() -> None:
    """The largest increases, and the units that are not needed."""
    names, losses = np.array([0, 1, 2, 3]), np.array([0.5, 0.6, 0.502, 5.0])
    found = Ablation("units", "net", 0.5, np.array([0, 0, 1, 1]), np.array(["forward"] * 4), names, losses)
    assert found.sentences(3) == [
        "Without unit 3 of layer 1 the loss is 10 times as large, from 0.5 to 5.",
        "Without unit 1 of layer 0 the loss grows by 20%, from 0.5 to 0.6.",
        "Without unit 2 of layer 1 the loss hardly changes, from 0.5 to 0.502.",
        "2 of the 4 units are not needed: without, the loss grows by less than 1 %.",
    ]
    gates = Ablation(
        "gates",
        "net",
        0.5,
        names[:2] * 0,
        np.array(["forward", "backward"]),
        np.array(["input"] * 2),
        losses[1:3],
    )
    assert gates.sentences() == [
        "Without the variation of the input gate (forward) the loss grows by 20%, from 0.5 to 0.6.",
        "Without the variation of the input gate (backward) the loss hardly changes, from 0.5 to 0.502.",
        "1 of the 2 gates is not needed: without, the loss grows by less than 1 %.",
    ]


REFUSED: list[tuple[Any, dict[str, Any], str]] = [
    (nn.RNN(2, 3), {"of": "gates"}, "The cell Elman has no gates. Use of='units'."),
    (
        nn.RNN(2, 3),
        {"of": "gate"},
        "The 'of' parameter of ablate must be one of 'units', 'gates'. Got 'gate' instead.",
    ),
    (
        nn.RNN(2, 3),
        {"y": None},
        "There are no targets to compute a loss with. Give y, the class or the targets of each row.",
    ),
]


@pytest.mark.parametrize(("model", "options", "message"), REFUSED)
def test_refusals(model: Any, options: dict[str, Any], message: str) -> None:
    """What was given, what was expected."""
    with pytest.raises(ValueError, match=re.escape(message)):
        ablate(model, torch.zeros(1, 1, 2), **{"y": torch.zeros(1, 3)} | options)


def test_refusals_of_estimators() -> None:
    """The targets of an estimator are its own data, or must be given."""
    X = np.random.default_rng(0).normal(size=(12, 5, 2))
    coder = regen.Autoencoder(code=2, backbone="gru", hidden=4, max_epochs=1, random_state=0).fit(X)
    dense = regen.Autoencoder(code=1, max_epochs=1, random_state=0).fit(X[:, 0])
    model = regen.SequenceClassifier(hidden=4, max_epochs=1, random_state=0).fit(X, ["a", "b"] * 6)
    forecaster = regen.Forecaster(window=4, horizon=1, hidden=4, max_epochs=1, random_state=0).fit(
        np.arange(30.0)
    )
    cases: list[tuple[Any, Any, dict[str, Any], str]] = [
        (coder, X, {"y": [0] * 12}, "The targets of Autoencoder are X itself. Leave out y."),
        (
            coder,
            X,
            {"loss": torch.sub},
            "loss= is for torch modules; an estimator has the loss that it was trained with.",
        ),
        (dense, X[:, 0], {}, "There is no recurrent net in this AutoencoderNet."),
        (
            model,
            X,
            {},
            "There are no targets to compute a loss with. Give y, the class or the targets of each row.",
        ),
        (model, X, {"y": ["a"]}, "y has 1 rows and X has 12. Give one for each."),
        (model, X, {"y": ["c"] * 12}, "y holds the class 'c', which the model was not fitted on."),
        (
            forecaster,
            np.arange(30.0),
            {"y": [1]},
            "The targets of a Forecaster are the next steps of its series.",
        ),
        (forecaster, np.arange(3.0), {}, "y has 3 steps; window=4 and horizon=1 need at least 5."),
    ]
    for owner, X_case, options, message in cases:
        with pytest.raises(ValueError, match=re.escape(message)):
            ablate(owner, X_case, **options)
