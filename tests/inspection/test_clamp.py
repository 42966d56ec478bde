"""Gates held open or closed: what the equations give when a gate is replaced, in every backend; nothing is left."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import regen
from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.inspect import clamp, gates
from regen.inspection.recurrent import clamping
from regen.nets import recurrent

CASES = [
    *((LSTM("full"), word) for word in ("input", "forget", "output", "candidate")),
    *((GRU(), word) for word in ("reset", "update", "candidate")),
    *((GRU("before"), word) for word in ("reset", "update", "candidate")),
    *((Elman(), "state"), (Elman("relu"), "state"), (Diagonal(), "state"), (Jordan(), "hidden")),
]
ALLOWED = 2e-6  # between replaced gates and held ones, over 12 steps; measured 4e-7


def drawn(cell: Cell, **options: Any) -> Any:
    """A net with weights of all sizes, none of them zero."""
    torch.manual_seed(3)
    net = recurrent(cell, 3, 5, **options)
    for weight in net.parameters():
        nn.init.normal_(weight, std=0.7)
    return net


def replaced(
    cell: Cell, params: Mapping[str, Tensor], x: Tensor, word: str, units: list[int], value: float
) -> Tensor:
    """The equations written out with one gate replaced after its activation: (B, T, H) states."""
    w = {name: p.detach().double() for name, p in params.items()}
    U, b = w.get("weight_hh", w.get("weight_yh")), w.get("bias_hh", 0.0)
    H = 5
    h, c = torch.zeros(len(x), H).double(), torch.zeros(len(x), H).double()
    outputs = []

    def put(name: str, gate: Tensor) -> Tensor:
        return gate.index_fill(1, torch.tensor(units), value) if name == word else gate

    for t in range(x.shape[1]):
        wx = x[:, t].double() @ w["weight_ih"].T + w["bias_ih"]
        if isinstance(cell, LSTM):
            i, f, g, o = (wx + h @ U.T + b).chunk(4, -1)
            i = put("input", torch.sigmoid(i + w["weight_ci"] * c))
            f = put("forget", torch.sigmoid(f + w["weight_cf"] * c))
            g = put("candidate", torch.tanh(g))
            c = f * c + i * g
            o = put("output", torch.sigmoid(o + w["weight_co"] * c))
            h = o * torch.tanh(c)
        elif isinstance(cell, GRU):
            wr, wz, wn = wx.chunk(3, -1)
            ur, uz, _ = (h @ U.T + b).chunk(3, -1)
            r, z = put("reset", torch.sigmoid(wr + ur)), put("update", torch.sigmoid(wz + uz))
            recurrent_input = (
                r * (h @ U[2 * H :].T + b[2 * H :])
                if cell.reset == "after"
                else (r * h) @ U[2 * H :].T + b[2 * H :]
            )
            n = put("candidate", torch.tanh(wn + recurrent_input))
            h = (1 - z) * n + z * h
        else:
            f = torch.relu if cell.nonlinearity == "relu" else torch.tanh  # type: ignore[attr-defined]
            recurrent_input = U * h if isinstance(cell, Diagonal) else h @ U.T + b
            h = put("hidden" if isinstance(cell, Jordan) else "state", f(wx + recurrent_input))
            h = h @ w["weight_hy"].T + w["bias_hy"] if isinstance(cell, Jordan) else h
        outputs.append(h)
    return torch.stack(outputs, 1)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.3])
@pytest.mark.parametrize(("cell", "word"), CASES, ids=str)
def test_a_held_gate_is_a_replaced_gate(cell: Cell, word: str, value: float) -> None:
    """All later steps are those of the equations with the gate replaced; 0 and 1 are held exactly."""
    net, x, units = drawn(cell), torch.randn(4, 12, 3) * 2, [1, 3]
    params = {name.removesuffix("_l0"): w for name, w in net.named_parameters()}
    expected = replaced(cell, params, x, word, units, value)
    with clamp(net, units=units, **{word: value}):
        outputs, recorded = net(x)[0].detach().double(), gates(net, x)[word].values[0, 0][..., units]
    assert np.abs(recorded - value).max() < 2e-7
    if value != 0.3:
        assert (recorded == value).all()
    scale = max(1.0, float(expected.abs().max()))
    assert float((outputs - expected).abs().max()) < ALLOWED * scale
    wrong = {
        "another unit": replaced(cell, params, x, word, [0, 3], value),
        "not held": net(x)[0].detach().double(),
        "another value": replaced(cell, params, x, word, units, 0.5),
    }
    for name, twin in wrong.items():
        assert float((outputs - twin).abs().max()) > 100 * ALLOWED * scale, name


def test_all_inputs_of_a_gate_are_removed() -> None:
    """Twins that leave the peephole, the second bias or the recurrent row, or take another gate's, do not hold it."""
    cell, units = LSTM("full"), torch.tensor([1, 3])
    net, x = drawn(cell), torch.randn(4, 12, 3) * 2
    params = {name.removesuffix("_l0"): w.detach() for name, w in net.named_parameters()}
    hold = clamping._hold(cell, "forget", 0.3, (1, 3))
    right = clamping._edited(cell, params, [hold])
    for kept in ("weight_cf", "bias_hh", "weight_hh", "weight_ih"):
        twin = right | {kept: params[kept]}
        with net.intercept(weights=lambda *_, twin=twin: twin):
            assert np.abs(gates(net, x)["forget"].values[0, 0][..., units.numpy()] - 0.3).max() > 1e-3, kept
    shifted = clamping._edited(cell, params, [clamping.Hold("forget", 2, hold.units, hold.at)])
    with net.intercept(weights=lambda *_: shifted):
        assert np.abs(gates(net, x)["forget"].values[0, 0][..., units.numpy()] - 0.3).max() > 1e-3


@pytest.mark.parametrize("backend", ["auto", "reference", "torch", "native"])
def test_every_backend_runs_held_cells(backend: str) -> None:
    """With gates of two kinds held, with layers and directions, with and without biases."""
    for bias in (True, False):
        net, x = drawn(LSTM(), num_layers=2, bidirectional=True, bias=bias), torch.randn(4, 12, 3)
        with clamp(net, forget=0.9, input=[0.2, 0.8], units=[0, 4], layers=1, direction="backward"):
            expected = net(x)[0].detach()
            net.backend = backend
            assert float((net(x)[0].detach() - expected).abs().max()) < ALLOWED, backend
        held = drawn(LSTM(), num_layers=2, bidirectional=True, bias=bias)
        assert float((held(x)[0].detach() - expected).abs().max()) > 0.01


def test_layers_and_directions() -> None:
    """Only the gates that are named are held."""
    net, x = drawn(GRU(), num_layers=2, bidirectional=True), torch.randn(4, 12, 3)
    before = gates(net, x)
    with clamp(net, update=1.0, units=2, layers=0, direction="backward"):
        after = gates(net, x)
    assert (after["update"].values[0, 1, ..., 2] == 1).all()
    assert np.array_equal(after["update"].values[0, 0], before["update"].values[0, 0])
    assert (after["update"].values[1] < 1).all() and (
        after["update"].values[0, 1, ..., [0, 1, 3, 4]] < 1
    ).all()


@pytest.mark.parametrize("module", [drawn(LSTM()), nn.LSTM(3, 5, batch_first=True)], ids=["ours", "torch"])
def test_nothing_is_left_behind(module: Any) -> None:
    """The same bits after the block and after an error in it; one block in another; gradients through the block."""
    x = torch.randn(2, 7, 3)
    before, methods = module(x)[0].detach(), set(vars(module))
    weights = {name: w.detach().clone() for name, w in module.state_dict().items()}
    with pytest.raises(RuntimeError, match="on purpose"), clamp(module, forget=1.0) as same:
        assert same is module
        assert not torch.equal(module(x)[0], before)
        raise RuntimeError("on purpose")
    assert torch.equal(module(x)[0], before) and set(vars(module)) == methods
    with clamp(module, output=0.0, units=1):
        outer = module(x)[0]
        with clamp(module, input=0.0, units=2):
            inner = gates(module, x)
            assert (inner["output"].values[..., 1] == 0).all() and (inner["input"].values[..., 2] == 0).all()
        assert torch.equal(module(x)[0], outer)
        module(x)[0].sum().backward()
    assert torch.equal(module(x)[0], before) and set(vars(module)) == methods
    grad = module.weight_ih_l0.grad.view(4, 5, 3)
    assert (grad[3, 1] == 0).all() and (grad[3, 0] != 0).all()
    assert all(torch.equal(w, weights[name]) for name, w in module.state_dict().items())


def test_estimators_and_streams() -> None:
    """A Forecaster forecasts with its gates held, and a stream made within the block keeps them held."""
    y = np.sin(np.arange(120) / 3)
    model = regen.Forecaster(window=12, horizon=2, hidden=8, bptt=6, max_epochs=2, random_state=0).fit(y)
    plain = model.predict()
    forecasts = model.stream().step(0.3)
    with clamp(model, output=0.0) as same:
        assert same is model
        stream = model.stream()
    held = stream.step(0.3)
    assert not np.allclose(held, forecasts, atol=1e-4)
    silent = (model.net_.readout.bias.detach().numpy() + 0.0) * model.scale_
    stream.reset()
    assert np.allclose(
        stream.step(0.5) - 0.5, silent, atol=1e-6
    )  # of "last": the change that a silent net forecasts
    assert np.array_equal(model.predict(), plain)


RANGE = "or one for each of the 5 units. Got"
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "clamp() needs a gate to hold. Name one with its value, such as forget=1.0."),
    (
        {"forgt": 1},
        "The cell LSTM has no gate 'forgt'. It has 'input', 'forget', 'candidate', 'output'. Did you mean",
    ),
    ({"reset": 1}, "The cell LSTM has no gate 'reset'. It has 'input', 'forget', 'candidate', 'output'."),
    ({"forget": 1.5}, f"forget must be a number from 0 to 1, {RANGE} 1.5 instead."),
    ({"forget": [0, 1]}, f"forget must be a number from 0 to 1, {RANGE} [0, 1] instead."),
    ({"forget": float("nan")}, f"forget must be a number from 0 to 1, {RANGE} nan instead."),
    ({"candidate": -2}, f"candidate must be a number from -1 to 1, {RANGE} -2 instead."),
    ({"forget": 1, "units": 5}, "units must be ints from 0 to 4. Got 5 instead."),
    ({"forget": 1, "units": []}, "units must be ints from 0 to 4. Got [] instead."),
    ({"forget": 1, "units": [0.5]}, "units must be ints from 0 to 4. Got [0.5] instead."),
    ({"forget": 1, "layers": -1}, "layers must be ints from 0 to 0. Got -1 instead."),
    (
        {"forget": 1, "direction": "backward"},
        "direction must be 'forward' for this net. Got 'backward' instead.",
    ),
    ({"forget": 1, "part": "rnn"}, "There is no part 'rnn'. The recurrent nets of this model are 'net'."),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_refusals(options: dict[str, Any], message: str) -> None:
    """What was given, what was expected, what to do; and no gate is held meanwhile."""
    net = nn.LSTM(3, 5)
    with pytest.raises(ValueError, match=re.escape(message)), clamp(net, **options):
        pass
    assert "forward" not in vars(net)
