"""Gradients to every copy against closed forms and differences, and the reach of a memory of known length."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from regen.cells import GRU, LSTM, Diagonal, Elman
from regen.inspect import gradient_flow
from regen.inspection.recurrent import memory_span, unfolded
from regen.nets import recurrent

U = [0.95, 0.8, 0.5]


class Readout(nn.Module):
    """A recurrent net with a linear readout of its last output, or of the state after a row's last step."""

    def __init__(self, net: Any, outputs: int = 1) -> None:
        super().__init__()
        self.net, self.readout = net, nn.Linear(net.hidden_size, outputs)

    def forward(self, x: Any) -> Tensor:
        last = self.net(x)[1]
        last = last[0] if isinstance(last, tuple) else last
        return self.readout(last[-1])


def linear(u: list[float], steps: int) -> tuple[Readout, Tensor]:
    """A diagonal cell that is linear, for relu never rests: positive weights and inputs."""
    net = recurrent(Diagonal("relu"), 1, len(u))
    with torch.no_grad():
        net.weight_ih_l0.fill_(0.5)
        net.weight_hh_l0.copy_(torch.tensor(u))
        net.bias_ih_l0.zero_()
    return Readout(net), torch.rand(3, steps, 1) + 0.1


def test_the_diagonal_cell_where_it_is_linear() -> None:
    """dL/dh_t = v u^(T-1-t) and dL/dx_t = w . dL/dh_t, unit by unit; a step more or less is seen."""
    model, x = linear(U, 40)
    found = gradient_flow(model, x)
    v, back = model.readout.weight[0].detach().double().numpy(), np.arange(39, -1, -1)[:, None]
    each = v * np.array(U) ** back
    np.testing.assert_allclose(found.norms["state"].values[0, 0], np.linalg.norm(each, axis=1), rtol=1e-5)
    np.testing.assert_allclose(found.norms["input"].values[0, 0], np.abs(0.5 * each.sum(1)), rtol=1e-5)
    for twin in (back + 1, back[::-1]):
        apart = np.abs(
            np.linalg.norm(v * np.array(U) ** twin, axis=1) / found.norms["state"].values[0, 0] - 1
        )
        assert apart.max() > 0.05
    np.testing.assert_allclose(found.radius.values, max(U), rtol=1e-5)
    assert "context" not in found.norms


@pytest.mark.parametrize("u", [0.5, 0.9, 1.0, 1.1])
def test_the_rate_of_a_diagonal_cell(u: float) -> None:
    """|u| at every step, and its sentences."""
    model, x = linear([u], 30)
    found = gradient_flow(model, x)
    assert found.rate.values[0, 0] == pytest.approx(u, rel=1e-5)
    start = "Back in time, the gradient with respect to the state"
    sentences = {
        0.5: "shrinks by 50.0% at every recurrent step: half is left after 1 step.",
        0.9: "shrinks by 10.0% at every recurrent step: half is left after 6.6 steps.",
        1.0: "is constant from step to step.",
        1.1: "grows by 10.0% at every recurrent step: it doubles in 7.3 steps.",
    }
    assert found.sentences()[1] == f"{start} {sentences[u]}"
    assert found.sentences()[2] == (
        f"The spectral radius of its recurrent Jacobian is {u:.2f} on average along the data and {u:.2f} at most."
    )


@pytest.mark.parametrize("cell", [LSTM(), GRU("before"), Elman()], ids=str)
def test_gradients_are_differences(cell: Any) -> None:
    """dL/dh_t and dL/dc_t: how the loss changes when the state is moved there and the rest is read on; float64.

    When the context is moved, h_t = o_t tanh(c_t) moves with it.
    """
    torch.manual_seed(0)
    model, x, y = (
        Readout(recurrent(cell, 2, 3, dtype=torch.float64)).double(),
        torch.randn(1, 7, 2).double(),
        torch.randn(1),
    )
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.6)
    found = gradient_flow(model, x, y.numpy())
    t, eps = 3, 1e-6
    _, state = model.net(x[:, : t + 1])
    state = [part.detach() for part in (state if isinstance(state, tuple) else (state,))]
    opened = state[0] / torch.tanh(state[1]) if len(state) > 1 else torch.ones(1)

    def loss(parts: list[Tensor]) -> float:
        after = model.net(x[:, t + 1 :], tuple(parts) if len(parts) > 1 else parts[0])[1]
        output = model.readout((after[0] if isinstance(after, tuple) else after)[-1])
        return float((output[0, 0] - y.double()).square().detach())

    for at, word in enumerate(("state", "context")[: len(state)]):
        gradients = []
        for unit in range(3):
            ends = []
            for sign in (1, -1):
                parts = [part.clone() for part in state]
                parts[at][0, 0, unit] += sign * eps
                if at == 1:
                    parts[0] = opened * torch.tanh(parts[1])
                ends.append(loss(parts))
            gradients.append((ends[0] - ends[1]) / (2 * eps))
        norm = float(np.linalg.norm(gradients))
        assert found.norms[word].at(layer=0, direction="forward", step=t).values == pytest.approx(
            norm, rel=1e-6
        )
        assert found.norms[word].at(layer=0, direction="forward", step=t - 1).values != pytest.approx(
            norm, rel=1e-3
        )


def test_radius_is_no_norm() -> None:
    """The largest eigenvalue of a Jacobian with a closed form; its norm, the twin, is larger."""
    matrix = torch.tensor([[0.9, 5.0], [0.0, 0.4]])
    net = recurrent(Elman(), 1, 2)
    with torch.no_grad():
        net.weight_ih_l0.zero_()
        net.bias_ih_l0.zero_()
        net.bias_hh_l0.zero_()
        net.weight_hh_l0.copy_(matrix)
    found = gradient_flow(net, torch.randn(2, 6, 1))
    np.testing.assert_allclose(found.radius.values, 0.9, rtol=1e-5)
    assert float(torch.linalg.matrix_norm(matrix, 2)) > 5


def test_zoneout_is_in_the_jacobian() -> None:
    """With zoneout z the step keeps z of the old state: eigenvalues z + (1 - z) u."""
    net = recurrent(Diagonal("relu"), 1, 1, zoneout=0.25)
    with torch.no_grad():
        net.weight_ih_l0.fill_(0.5)
        net.weight_hh_l0.fill_(0.6)
    found = gradient_flow(net, torch.rand(2, 6, 1) + 0.1)
    np.testing.assert_allclose(found.radius.values, 0.25 + 0.75 * 0.6, rtol=1e-5)
    assert found.rate.values[0, 0] == pytest.approx(0.25 + 0.75 * 0.6, rel=1e-5)


def test_lengths_and_directions() -> None:
    """A shorter sequence in a batch with a longer one has the gradients that it has alone; none past its end."""
    torch.manual_seed(0)
    net, x = nn.LSTM(2, 3, bidirectional=True, batch_first=True), torch.randn(2, 6, 2)
    packed = pack_padded_sequence(x, torch.tensor([6, 4]), batch_first=True)
    both = gradient_flow(net, packed)
    alone = [gradient_flow(net, x[:1]), gradient_flow(net, x[1:, :4])]
    for word in ("state", "context", "input"):
        first, second = (each.norms[word].values[0] for each in alone)
        found = both.norms[word].values[0]
        np.testing.assert_allclose(found[:, :4], (first[:, :4] + second) / 2, rtol=1e-4)
        np.testing.assert_allclose(found[:, 4:], first[:, 4:], rtol=1e-4)
    assert both.norms["state"].labels["direction"] == ("forward", "backward")


def test_lstm_and_elman_over_200_steps() -> None:
    """As they start, an LSTM's gradient fades slower over 200 steps than an Elman net's; as measured otherwise."""
    torch.manual_seed(0)
    rates = {}
    for kind, module in {
        "lstm": nn.LSTM(1, 16, batch_first=True),
        "elman": nn.RNN(1, 16, batch_first=True),
    }.items():
        net = recurrent(kind, 1, 16, init="torch" if kind == "elman" else "auto")
        x = torch.randn(4, 200, 1)
        found = gradient_flow(net, x)
        assert len(found.norms["state"].values[0, 0]) == 200
        rates[kind] = float(found.rate.values[0, 0])
        module.load_state_dict(net.state_dict())
        assert rates[kind] == pytest.approx(by_inputs(module, x), abs=0.02)
    assert rates["lstm"] > 0.6 > rates["elman"], rates
    assert rates["lstm"] ** 199 > 1e20 * rates["elman"] ** 199


def by_inputs(module: Any, x: Tensor) -> float:
    """The factor per step of the gradient of the inputs, by the backward pass of torch in float64."""
    module, x = module.double(), x.double().requires_grad_()
    module(x)[0][:, -1].sum().backward()
    assert x.grad is not None
    sizes = x.grad.abs().mean((0, 2)).numpy()
    there = sizes > 1e-36
    return float(np.exp(-np.polyfit(np.flatnonzero(there), np.log(sizes[there]), 1)[0]))


def register(length: int) -> Readout:
    """A network that remembers exactly its last `length` inputs: passed on from unit to unit, and dropped."""
    net = recurrent(Elman("relu"), 1, length)
    model = Readout(net)
    with torch.no_grad():
        for weight in net.parameters():
            weight.zero_()
        net.weight_ih_l0[0, 0] = 1.0
        net.weight_hh_l0.copy_(torch.eye(length).roll(1, 0))
        net.weight_hh_l0[0] = 0.0
        model.readout.weight.fill_(1.0)
    return model


@pytest.mark.parametrize("length", [1, 7, 43])
@pytest.mark.parametrize("rows", [1, 5])
def test_the_reach_of_a_known_memory(length: int, rows: int) -> None:
    """Exactly that many steps; also between the lags that are measured first."""
    torch.manual_seed(0)
    found = gradient_flow(register(length), torch.rand(rows, 120, 1))
    assert found.reach == length
    word = "step" if length == 1 else "steps"
    assert found.sentences()[0] == f"Inputs older than {length} {word} change the output by under 1%."
    assert found.change[found.lags >= length].max() == 0 and found.change[found.lags < length].min() > 0.01
    assert found.change[0] == 1


def test_a_memory_without_end_and_one_without_anything() -> None:
    """What depends on the oldest input has no reach; what depends on nothing has a reach of 0."""
    model, x = linear([1.0], 30)
    found = gradient_flow(model, x)
    assert found.reach is None
    assert found.sentences()[0] == (
        "The output depends on all 30 steps of the input: the oldest changes it by 1% or more."
    )
    with torch.no_grad():
        model.readout.weight.zero_()
    constant = gradient_flow(model, x)
    assert constant.reach == 0 and constant.sentences()[0] == "No input changes the output."
    assert np.isnan(constant.rate.values).all()


def test_old_inputs_are_swapped_and_no_others() -> None:
    """By age from each row's own end, from a row half of all further on; a single row from half of its steps on."""
    x = torch.arange(24.0).view(4, 6, 1)
    lengths = torch.tensor([6, 5, 3, 2])
    found = memory_span.swapped(x, lengths, 2)[..., 0]
    assert found[0].tolist() == [12, 13, 14, 12, 4, 5]
    assert found[1].tolist() == [18, 19, 18, 9, 10, 11]
    assert found[2].tolist() == [0, 13, 14, 15, 16, 17]
    assert found[3].tolist() == [18, 19, 20, 21, 22, 23]
    assert memory_span.swapped(x[:1], None, 3)[0, :, 0].tolist() == [3, 4, 5, 3, 4, 5]
    assert torch.equal(memory_span.swapped(x, None, 6), x)


def test_nothing_is_left_behind() -> None:
    """No gradient on a parameter, no method replaced, the same outputs to the bit; also where gradients are off."""
    model, x = Readout(nn.LSTM(2, 3, batch_first=True)), torch.randn(3, 5, 2)
    before = model(x).detach()
    with torch.no_grad():
        gradient_flow(model, x)
    assert all(weight.grad is None for weight in model.parameters())
    assert "forward" not in vars(model.net) and torch.equal(model(x), before)


def test_the_reference_loop_is_run_with_the_cell_as_it_is() -> None:
    """A recording cell passes everything on and returns the same."""
    cell = LSTM("full")
    noted = unfolded.RecordingCell(cell)
    assert (noted.gates, noted.states) == (cell.gates, cell.states)
    assert noted.shapes(3, 4, False) == cell.shapes(3, 4, False) and noted.state_sizes(4) == cell.state_sizes(
        4
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 0}, "The 'rows' parameter of gradient_flow must be an int in [1, inf). Got 0 instead."),
        ({"share": 0}, "The 'share' parameter of gradient_flow must be a number in (0, 1]. Got 0 instead."),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    """What was given, what was expected."""
    with pytest.raises(ValueError, match=re.escape(message)):
        gradient_flow(nn.GRU(2, 3), torch.zeros(2, 1, 2), **options)
