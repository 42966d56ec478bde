"""One step at a time: the numbers of the whole sequence, on every backend."""

from typing import Any

import pytest
import torch
from torch import Tensor

from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.kernels.native import extension
from regen.nets.recurrent import recurrent
from regen.nets.stream import Stream

CELLS = [
    Elman(),
    Diagonal("relu"),
    Jordan("tanh", 3),
    LSTM(),
    LSTM("full"),
    LSTM(proj_size=2),
    GRU(),
    GRU("before"),
]
BACKENDS = ["auto", "reference"]
T, I, H = 7, 3, 5  # noqa: E741


def states(state: Any) -> tuple[Tensor, ...]:
    """A state, or the pair of them, as a tuple."""
    return (state,) if isinstance(state, Tensor) else tuple(state)


def read(stream: Stream, x: Tensor) -> Tensor:
    """Every step of x (B, T, I), the outputs side by side."""
    return torch.stack([stream.step(step).clone() for step in x.unbind(1)], 1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_stream_reads_as_the_net(cell: Cell, dtype: torch.dtype, backend: str) -> None:
    """Outputs and states after every layer, from zeros, again after reset, and on from states read whole."""
    torch.manual_seed(6)
    for layers, bias in ((1, True), (3, False)):
        net = recurrent(cell, I, H, num_layers=layers, bias=bias, backend=backend, dtype=dtype)
        x = torch.randn(4, T, I, dtype=dtype)
        output, hidden = net(x)
        stream = net.stream(4)
        for _ in range(2):
            torch.testing.assert_close(read(stream, x), output)
            for a, b in zip(states(stream.state), states(hidden), strict=True):
                torch.testing.assert_close(a, b)
            stream.reset()
            assert not any(s.any() for s in states(stream.state))
        middle = net(x[:, :3])[1]
        stream.state = middle
        torch.testing.assert_close(read(stream, x[:, 3:]), output[:, 3:])
        with pytest.raises(AssertionError):  # the twin that does not carry its states
            torch.testing.assert_close(torch.cat([(stream.reset(), stream.step(s).clone())[1] for s in x.unbind(1)]),
                                       output.flatten(0, 1))  # fmt: skip


def test_backend_has_what_runs() -> None:
    """The compiled step where there is one."""
    net = recurrent("lstm", I, H)
    assert net.stream().backend_.startswith("native: " if extension.native is not None else "reference: ")
    assert recurrent("lstm", I, H, backend="reference").stream().backend_ == "reference: requested"
    assert recurrent("lstm", I, H, zoneout=0.1).stream().backend_.startswith("reference: ")


def test_one_sequence() -> None:
    """Steps (I,) give (P,), steps (1, I) give (1, P); strides do not matter."""
    torch.manual_seed(7)
    net = recurrent("gru", I, H)
    x = torch.randn(T, 2 * I)[:, ::2]
    expected = net(x[None])[0][0]
    for backend in BACKENDS:
        net.backend = backend
        flat, rows = net.stream(), net.stream()
        for t in range(T):
            torch.testing.assert_close(flat.step(x[t]), expected[t])
            torch.testing.assert_close(rows.step(x[t : t + 1]), expected[t : t + 1])


def test_the_output_is_written_over() -> None:
    """One tensor for all steps, without a graph; the state that was read is a copy."""
    net = recurrent("lstm", I, H)
    for backend in BACKENDS:
        net.backend = backend
        stream = net.stream()
        first = stream.step(torch.ones(I))
        before, kept = stream.state[0], first.clone()
        assert stream.step(torch.ones(I)).data_ptr() == first.data_ptr()
        assert not first.requires_grad
        assert not torch.equal(first, kept)
        assert not torch.equal(before, stream.state[0])


def test_a_stream_keeps_its_weights() -> None:
    """Trained on, the net is another one; the stream is not."""
    net, x = recurrent("gru", I, H), torch.ones(I)
    for backend in BACKENDS:
        net.backend = backend
        stream = net.stream()
        first = stream.step(x).clone()
        with torch.no_grad():
            net.weight_hh_l0.zero_()
            net.weight_ih_l0.mul_(2)
        stream.reset()
        assert torch.equal(stream.step(x), first)
        assert not torch.equal(net.stream().step(x), first)


def test_zoneout_by_its_expectation() -> None:
    """As in evaluation, in training mode too; recurrent dropout is off."""
    torch.manual_seed(8)
    net = recurrent("lstm", I, H, zoneout=(0.2, 0.4), recurrent_dropout=0.5)
    x = torch.randn(2, T, I)
    stream = net.stream(2)
    torch.testing.assert_close(read(stream, x), net.eval()(x)[0])
    if extension.native is not None:
        net.backend = "native"
        with pytest.raises(
            ValueError, match=r"^backend='native' cannot stream zoneout. Use backend='auto'.$"
        ):
            net.stream()
