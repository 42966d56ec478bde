"""Recurrent.intercept: hooks that read and replace what each layer computes."""

import copy
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from regen.cells import GRU, LSTM, Cell, Elman, Jordan
from regen.cells._cell import Step
from regen.kernels import LayerCall, Result, reference
from regen.nets import Recurrent, recurrent

Run = Callable[[LayerCall], Result]
LENGTHS = torch.tensor([5, 2, 3, 1])


def made(cell: Cell | str = "lstm", dtype: torch.dtype = torch.float32, **options: Any) -> Recurrent:
    """Three inputs and four units, always with the same weights."""
    net = recurrent(cell, 3, 4, dtype=dtype, **options)
    with torch.no_grad():
        for k, parameter in enumerate(net.parameters()):
            parameter.uniform_(-0.8, 0.8, generator=torch.Generator().manual_seed(k))
    return net


def drawn(dtype: torch.dtype = torch.float32) -> Tensor:
    """(4, 5, 3) normal numbers."""
    return torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(9)).to(dtype)


def outputs(net: Recurrent, x: Any, **options: Any) -> list[Tensor]:
    """The output and the last states, without gradients."""
    with torch.no_grad():
        output, state = net(x, **options)
    return [
        output if isinstance(output, Tensor) else output.data,
        *([state] if isinstance(state, Tensor) else state),
    ]


def collecting(calls: list[LayerCall], results: list[Result]) -> Callable[[LayerCall, Run], Result]:
    """A hook that requests the gates and keeps every call and result."""

    def collect(call: LayerCall, run: Run) -> Result:
        calls.append(call)
        results.append(run(call._replace(gates=True)))
        return results[-1]

    return collect


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("cell", [Elman(), Jordan(proj_size=3), LSTM("full"), GRU()], ids=str)
def test_gates_that_a_hook_reads_are_those_that_the_net_returns(cell: Cell, dtype: torch.dtype) -> None:
    """For every layer and direction, with lengths, and without a change of the outputs."""
    net, x = made(cell, dtype, num_layers=2, bidirectional=True), drawn(dtype)
    expected, state, gates = net(x, lengths=LENGTHS, return_gates=True)
    calls: list[LayerCall] = []
    results: list[Result] = []
    with net.intercept(layer=collecting(calls, results)) as entered:
        assert entered is net
        output, last = net(x, lengths=LENGTHS)
    assert [(call.layer, call.direction, call.reverse) for call in calls] == [
        (0, 0, False), (0, 1, True), (1, 0, False), (1, 1, True),
    ]  # fmt: skip
    assert [call.x.shape[-1] for call in calls] == [3, 3, 2 * net.output_size, 2 * net.output_size]
    assert all((call.lengths == LENGTHS).all() and not call.gates for call in calls)
    assert torch.equal(output, expected)
    for got, want in zip(
        last if isinstance(last, tuple) else (last,),
        state if isinstance(state, tuple) else (state,),
        strict=True,
    ):
        assert torch.equal(got, want)
    for name, values in gates.items():
        assert torch.equal(torch.stack([result.gates[name] for result in results]), values), name


def held(params: Mapping[str, Tensor], layer: int, direction: int) -> Mapping[str, Tensor]:
    """Weights with which the forget gate of the backward direction of layer 1 is 1."""
    if (layer, direction) != (1, 1):
        return params
    rows = torch.arange(4, 8)
    edited = {name: w.index_fill(0, rows, 0.0) if w.shape[0] == 16 else w for name, w in params.items()}
    return edited | {"bias_ih": edited["bias_ih"].index_fill(0, rows, 1000.0)}


class Remembering(Cell):
    """The LSTM with a forget gate of 1: written out."""

    gates, states = LSTM.gates, LSTM.states

    def shapes(self, I: int, H: int, bias: bool = True) -> dict[str, tuple[int, ...]]:  # noqa: E741
        return LSTM().shapes(I, H, bias)

    def state_sizes(self, H: int) -> tuple[int, ...]:
        return (H, H)

    def step(self, params: Any, wx_t: Tensor, state: Any, keep: Tensor | None = None) -> Step:
        h, c = state
        i, _, g, o = (wx_t + h @ params["weight_hh"].T + params["bias_hh"]).chunk(4, -1)
        c = c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        return h, (h, c), {}


@pytest.mark.parametrize("backend", ["auto", "native", "torch", "reference"])
def test_clamped_weights_are_the_reference_cell_with_that_gate(backend: str) -> None:
    """In one layer and direction, on every backend; the net without the hook differs."""
    net, x = made(num_layers=2, bidirectional=True), drawn()
    plain = outputs(net, x)
    params = net._own_weights()
    below = torch.cat([reference.run(LSTM(), params[k], x, reverse=k == 1).output for k in (0, 1)], -1)
    forward = reference.run(LSTM(), params[2], below).output
    expected = torch.cat([forward, reference.run(Remembering(), params[3], below, reverse=True).output], -1)
    net.backend = backend
    with net.intercept(weights=held):
        output = outputs(net, x)[0]
    torch.testing.assert_close(output, expected.detach(), rtol=0, atol=1e-6)
    assert float((plain[0] - output).abs().max()) > 0.01
    assert all(map(torch.equal, outputs(made(num_layers=2, bidirectional=True), x), plain))


def test_gradients_flow_through_replaced_weights_and_results() -> None:
    """Doubled weights and a doubled output give the gradients of the same net written out."""
    net, x = made("elman", torch.float64), drawn(torch.float64)
    with net.intercept(
        weights=lambda params, *_: {name: 2 * w for name, w in params.items()},
        layer=lambda call, run: (result := run(call))._replace(output=2 * result.output),
    ):
        net(x)[0].sum().backward()
    params = {name.removesuffix("_l0"): 2 * w.detach() for name, w in net.named_parameters()}
    leaves = {name: w.requires_grad_() for name, w in params.items()}
    (2 * reference.run(net.cell, leaves, x).output).sum().backward()
    for name, w in net.named_parameters():
        torch.testing.assert_close(w.grad, 2 * leaves[name.removesuffix("_l0")].grad, rtol=1e-12, atol=1e-12)


def test_nested_blocks() -> None:
    """Outer weights are edited first; the inner layer hook is called first, and the outer one is its run."""
    net, x, order = made("elman"), drawn(), []

    def layer(name: str, factor: float, shift: float) -> Callable[[LayerCall, Run], Result]:
        def hook(call: LayerCall, run: Run) -> Result:
            order.append(name)
            result = run(call)
            return result._replace(output=factor * result.output + shift)

        return hook

    def weights(name: str, factor: float, shift: float) -> Callable[..., Mapping[str, Tensor]]:
        def hook(params: Mapping[str, Tensor], *_: int) -> Mapping[str, Tensor]:
            order.append(name)
            return {key: factor * w + shift for key, w in params.items()}

        return hook

    params = {key: 2 * (w + 0.1) for key, w in net._own_weights()[0].items()}
    expected = 3 * reference.run(net.cell, params, x).output + 0.5
    with (
        net.intercept(layer=layer("outer layer", 3, 0), weights=weights("outer weights", 1, 0.1)),
        net.intercept(layer=layer("inner layer", 1, 0.5), weights=weights("inner weights", 2, 0)),
    ):
        output = net(x)[0]
    assert order == ["outer weights", "inner weights", "inner layer", "outer layer"]
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-5)


def test_the_net_is_as_before_after_the_block_and_after_an_error() -> None:
    """Also when blocks are left in another order than they were entered in."""
    net, x = made(), drawn()
    plain, backend = outputs(net, x), net.backend_

    def broken(call: LayerCall, run: Run) -> Result:
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"), net.intercept(layer=broken, weights=held):
        net(x)
    assert all(map(torch.equal, outputs(net, x), plain))
    first, second = net.intercept(layer=broken), net.intercept(weights=lambda params, *_: params)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert all(map(torch.equal, outputs(net, x), plain))
    second.__exit__(None, None, None)
    assert net._interceptions == () and net.backend_ == backend
    with net.intercept():
        assert all(map(torch.equal, outputs(net, x), plain))


def test_hooks_of_a_block_are_used_by_every_thread() -> None:
    """A block opened in one thread counts in others; blocks opened by threads at once all end."""
    net, x = made("elman"), drawn()
    plain = outputs(net, x)[0]
    with (
        net.intercept(weights=lambda params, *_: {n: 0 * w for n, w in params.items()}),
        ThreadPoolExecutor(1) as pool,
    ):
        assert (pool.submit(outputs, net, x).result()[0] == 0).all()
    barrier = Barrier(4)

    def enter(_: int) -> None:
        for _ in range(200):
            with net.intercept(layer=lambda call, run: run(call)):
                pass
        barrier.wait()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enter, range(4)))
    assert net._interceptions == ()
    assert torch.equal(outputs(net, x)[0], plain)


def test_packed_input_streams_and_training_noise() -> None:
    """What else runs the net: packed sequences, a stream of edited weights, and dropout masks in the call."""
    net, x = made(recurrent_dropout=0.5, zoneout=0.25, backend="reference", memory="low"), drawn()
    packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    torch.manual_seed(0)
    plain = outputs(net, packed)
    calls: list[LayerCall] = []
    torch.manual_seed(0)
    with net.intercept(layer=collecting(calls, [])):
        assert all(map(torch.equal, outputs(net, packed), plain))
    (call,) = calls
    assert call.keep is not None and call.keep.shape == (4, 4) and call.memory == "low"
    assert call.zoneout is not None and [z.shape for z in call.zoneout] == [(4, 5, 4)] * 2  # type: ignore[union-attr]
    assert call.backend == "reference" and call.kernel()[0] is reference.run
    net = made("elman").eval()
    with net.intercept(weights=lambda params, *_: {n: 2 * w for n, w in params.items()}):
        stream, whole = net.stream(4), outputs(net, x)[0]
    steps = torch.stack([stream.step(x[:, t]).clone() for t in range(5)], 1)
    torch.testing.assert_close(steps, whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("backend", "options", "words"),
    [
        (
            "torch",
            {"return_gates": True},
            "backend='torch' cannot run this: torch's operators keep their gates",
        ),
        ("native", {}, "backend='native' cannot run this: the native kernels compute in torch.float32"),
    ],
)
def test_an_explicit_backend_is_obeyed_or_refused(backend: str, options: dict[str, Any], words: str) -> None:
    """With a hook as without."""
    net, x = made("lstm", torch.float64, backend=backend), drawn(torch.float64)
    for block in (net.intercept(), net.intercept(layer=lambda call, run: run(call))):
        with pytest.raises(ValueError, match=words), block:
            net(x, **options)


def test_weights_are_reset_and_copied_without_the_hook() -> None:
    """reset_parameters writes to the own weights of the net, and a copy has its own and the hooks of the block."""
    net = made("elman")
    with net.intercept(weights=lambda params, *_: {n: torch.zeros_like(w) for n, w in params.items()}):
        net.reset_parameters(torch.Generator().manual_seed(3))
    again = recurrent("elman", 3, 4)
    again.reset_parameters(torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    with net.intercept(weights=lambda params, *_: {n: 2 * w for n, w in params.items()}):
        twin = copy.deepcopy(net)
        with torch.no_grad():
            twin.weight_ih_l0.zero_()
        assert not torch.equal(outputs(twin, drawn())[0], outputs(net, drawn())[0])
