"""regen.nn on backend "native" against the same nets on the reference loop, in every layout and with every noise."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.kernels.native import extension
from regen.nets.recurrent import Recurrent, recurrent

if extension.native is None:
    pytest.skip(f"no compiled kernels: {extension.why_missing}", allow_module_level=True)

CELLS = [Elman("relu"), Diagonal(), Jordan("tanh", 3), LSTM(), LSTM("full"), GRU(), GRU("before")]
T, B, I, H = 6, 5, 3, 7  # noqa: E741
LENGTHS = torch.tensor([6, 1, 4, 2, 3])
NETS: list[dict[str, Any]] = [
    {"batch_first": False},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 3, "dropout": 0.4, "bias": False},
    {"recurrent_dropout": 0.4, "bidirectional": True},
    {"zoneout": 0.3, "num_layers": 2},
    {"memory": "low", "recurrent_dropout": 0.2, "zoneout": 0.2},
]


def flat(value: Any) -> list[Tensor]:
    """Every tensor in what a net returns."""
    if isinstance(value, PackedSequence):
        return [value.data]
    if isinstance(value, Tensor):
        return [value]
    return [t for each in (value.values() if isinstance(value, dict) else value) for t in flat(each)]


def results(net: Recurrent, *args: Any, **options: Any) -> list[Tensor]:
    """Everything returned, and the gradients of the weights from the outputs and states."""
    torch.manual_seed(11)  # of dropout and zoneout
    result = net(*args, **options)
    loss = sum((t * torch.arange(t.numel()).cos().view(t.shape)).sum() for t in flat(result[:2]))
    return [*flat(result), *torch.autograd.grad(loss, list(net.parameters()))]  # type: ignore[arg-type]


def same(net: Recurrent, *args: Any, **options: Any) -> None:
    """The net runs native, and gives what the reference loop gives with the same draws."""
    net.backend = "native"
    found = results(net, *args, **options)
    assert net.backend_ == "native: requested"
    net.backend = "reference"
    for a, b in zip(found, results(net, *args, **options), strict=True):
        assert a.shape == b.shape
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("options", NETS, ids=str)
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_equals_the_reference(cell: Cell, options: dict[str, Any]) -> None:
    """Layers, directions, layouts, dropouts and zoneout, with lengths and without, packed, and in evaluation."""
    torch.manual_seed(10)
    net = recurrent(cell, I, H, **options)
    x = torch.randn(B, T, I) if net.batch_first else torch.randn(T, B, I)
    L = net.num_layers * (1 + net.bidirectional)
    hx = tuple(torch.randn(L, B, size) for size in cell.state_sizes(H))
    start = hx if len(hx) > 1 else hx[0]
    same(net, x)
    same(net, x, start, lengths=LENGTHS.tolist(), return_gates=True)
    same(net, x, lengths=LENGTHS - 1)
    same(net, pack_padded_sequence(x, LENGTHS, net.batch_first, enforce_sorted=False), start)
    same(net, x[0] if net.batch_first else x[:, 0])
    same(net.eval(), x, start)


def test_packed_is_padded() -> None:
    """The same bits, in the packed order."""
    net, x = recurrent("lstm", I, H, num_layers=2, bidirectional=True), torch.randn(B, T, I)
    packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    output, state = net(packed)
    assert net.backend_.startswith("native: ")
    expected, hidden = net(x, lengths=LENGTHS)
    assert torch.equal(pad_packed_sequence(output, batch_first=True)[0], expected)
    assert all(torch.equal(a, b) for a, b in zip(state, hidden, strict=True))


def test_gates_change_no_bit() -> None:
    """Asking for gates changes neither who runs nor any number; the last context is c_n."""
    net, x = recurrent("lstm", I, H, num_layers=2), torch.randn(B, T, I)
    output, (h, c) = net(x)
    again, states, gates = net(x, return_gates=True)
    assert net.backend_.startswith("native: ")
    assert sorted(gates) == ["c", "f", "g", "i", "o"]
    assert all(torch.equal(a, b) for a, b in ((output, again), (h, states[0]), (c, states[1])))
    assert torch.equal(gates["c"][:, :, -1], c)


def test_autocast_stays_in_float32() -> None:
    """Autocast does not reach into the kernels; what comes in another precision is for torch's operators."""
    net, x = recurrent("gru", I, H), torch.randn(B, T, I)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(net(x)[0], net(x)[0].float())
        assert net.backend_.startswith("native: ")
        net(x.bfloat16())
        assert net.backend_.startswith("torch: ")
