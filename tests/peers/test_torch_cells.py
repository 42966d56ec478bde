"""RNNCell, LSTMCell and GRUCell of regen.nn against those of ``torch.nn``, and their own options."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regen.nn as ours

I, H, B = 3, 4, 5  # noqa: E741
Make = Callable[[Any], nn.Module]
PAIRS: dict[str, Make] = {
    "RNNCell": lambda m: m.RNNCell(I, H, dtype=torch.float64),
    "RNNCell relu": lambda m: m.RNNCell(I, H, nonlinearity="relu", dtype=torch.float64),
    "RNNCell no bias": lambda m: m.RNNCell(I, H, False, "relu", dtype=torch.float64),
    "LSTMCell": lambda m: m.LSTMCell(I, H, dtype=torch.float64),
    "LSTMCell no bias": lambda m: m.LSTMCell(I, H, bias=False, dtype=torch.float64),
    "GRUCell": lambda m: m.GRUCell(I, H, dtype=torch.float64),
    "GRUCell no bias": lambda m: m.GRUCell(I, H, False, dtype=torch.float64),
}


def tensors(value: Any) -> tuple[Tensor, ...]:
    """The tensors of a state."""
    return (value,) if isinstance(value, Tensor) else tuple(value)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("shape", [(B, I), (I,)], ids=["batch", "one row"])
def test_equals_torch(pair: str, shape: tuple[int, ...]) -> None:
    """Weights load both ways; outputs, gradients and second derivatives, from zeros and from the state before."""
    torch.manual_seed(0)
    mine, theirs = PAIRS[pair](ours), PAIRS[pair](nn)
    mine.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(mine.state_dict())
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    results = []
    for cell in (mine, theirs):
        states = tensors(cell(x, cell(input=x, hx=None)))
        leaves = [x, *cell.parameters()]
        first = torch.autograd.grad(sum(s.square().sum() for s in states), leaves, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), leaves)
        results.append([*states, *first, *second])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)
    assert [name for name, _ in mine.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    assert mine.input_size == theirs.input_size
    assert mine.hidden_size == theirs.hidden_size


STEPS: dict[str, tuple[Make, Make]] = {
    "diagonal": (
        lambda m: m.RNNCell(I, H, cell="diagonal"),
        lambda m: m.RNN(I, H, cell="diagonal", batch_first=True),
    ),
    "jordan relu": (
        lambda m: m.RNNCell(I, H, nonlinearity="relu", cell="jordan"),
        lambda m: m.RNN(I, H, nonlinearity="relu", cell="jordan", batch_first=True),
    ),
    "peepholes": (
        lambda m: m.LSTMCell(I, H, peephole="full"),
        lambda m: m.LSTM(I, H, peephole="full", batch_first=True),
    ),
    "reset before": (
        lambda m: m.GRUCell(I, H, reset="before"),
        lambda m: m.GRU(I, H, reset="before", batch_first=True),
    ),
    "lstm": (lambda m: m.LSTMCell(I, H), lambda m: m.LSTM(I, H, batch_first=True)),
}


@pytest.mark.parametrize("name", STEPS)
def test_steps_are_the_sequence(name: str) -> None:
    """The cell step by step is the net of the same cell over the sequence."""
    torch.manual_seed(0)
    cell, net = (make(ours) for make in STEPS[name])
    cell.load_state_dict({k.removesuffix("_l0"): w for k, w in net.state_dict().items()})
    x, state, outputs = torch.randn(B, 6, I), None, []
    for t in range(6):
        state = cell(x[:, t], state)
        outputs.append(tensors(state)[0])
    output, last = net(x)
    torch.testing.assert_close(torch.stack(outputs, 1), output)
    for a, b in zip(tensors(state), tensors(last), strict=True):
        torch.testing.assert_close(a, b[0])


REFUSALS: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: ours.GRUCell(I, H)(torch.zeros(2, 9)),
        "input has shape (2, 9); this GRUCell takes (B, 3) or (3,).",
    ),
    (
        lambda: ours.GRUCell(I, H)(torch.zeros(2, I).double()),
        "input is torch.float64 and the weights of this GRUCell are torch.float32. "
        "Convert it: input.to(torch.float32).",
    ),
    (
        lambda: ours.LSTMCell(I, H)(torch.zeros(2, I), torch.zeros(2, H)),
        "hx has the shapes (2, 4); LSTMCell takes h_0 (2, 4), c_0 (2, 4).",
    ),
    (
        lambda: ours.RNNCell(I, H)(torch.zeros(I), torch.zeros(1, H)),
        "hx has the shapes (1, 4); RNNCell takes h_0 (4,).",
    ),
    (
        lambda: ours.RNNCell(0, H),
        "The 'input_size' parameter of RNNCell must be an int in [1, inf). Got 0 instead.",
    ),
    (
        lambda: ours.RNNCell(I, H, cell="lstm"),
        "RNNCell takes the cells 'elman', 'diagonal', 'jordan'. Got 'lstm' instead.",
    ),
]


@pytest.mark.parametrize(("call", "words"), REFUSALS, ids=[words[:40] for _, words in REFUSALS])
def test_refusal(call: Callable[[], Any], words: str, message_of: Callable[..., str]) -> None:
    """One sentence each."""
    assert message_of(ValueError, call) == words


def test_initial_weights_come_from_the_generator() -> None:
    """The same seed gives the same weights, without touching torch's generator."""
    cell, before = ours.LSTMCell(I, H, init="torch"), torch.get_rng_state()
    drawn = []
    for _ in range(2):
        cell.reset_parameters(torch.Generator().manual_seed(3))
        drawn.append(torch.cat([p.detach().flatten() for p in cell.parameters()]))
    assert torch.equal(*drawn)
    assert torch.equal(torch.get_rng_state(), before)
