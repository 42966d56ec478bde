"""The compiled kernels in programs that are traced: torch.compile and torch.export.

Run by test_native_operators.py without the suite's conftest, whose checks of shapes torch cannot trace.
"""

import io
from collections.abc import Iterator
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor

from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.nets.recurrent import Recurrent, recurrent

torch.set_num_threads(1)
CELLS = [Jordan("tanh", 3), LSTM("full"), GRU("before")]
B, T, I, H = 3, 4, 2, 5  # noqa: E741
VALID = torch.tensor([4, 0, 2])


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """No program of another test."""
    torch.compiler.reset()
    yield


def made(cell: Cell, **options: Any) -> tuple[Recurrent, Tensor]:
    """A net on backend native and inputs for it."""
    torch.manual_seed(4)
    return recurrent(cell, I, H, backend="native", **options), torch.randn(B, T, I)


def results(net: Any, x: Tensor, **options: Any) -> list[Tensor]:
    """Outputs, states, gates and the gradients of the weights and x."""
    x = x.clone().requires_grad_()
    output, state, *gates = net(x, **options)
    values = [output, *((state,) if isinstance(state, Tensor) else state)]
    values += [gate for each in gates for gate in each.values()]
    loss = sum((v * torch.arange(v.numel()).cos().view(v.shape)).sum() for v in values)
    return [*values, *torch.autograd.grad(loss, [x, *net.parameters()])]  # type: ignore[arg-type]


STACKS: list[dict[str, Any]] = [{}, {"num_layers": 2, "bidirectional": True}]


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_compiled(cell: Cell) -> None:
    """Without a break in the graph: the numbers of eager mode bit for bit, any size of the batch."""
    for options in STACKS:
        net, x = made(cell, **options)
        compiled = torch.compile(net, backend="aot_eager", fullgraph=True, dynamic=True)
        for rows in (x, torch.randn(7, 9, I)):
            for a, b in zip(results(compiled, rows), results(net, rows), strict=True):
                assert torch.equal(a, b)
        with torch.no_grad():
            assert torch.equal(compiled(x)[0], net(x)[0])


@pytest.mark.parametrize(
    ("cell", "dynamic"),
    [*((cell, True) for cell in (*CELLS, Diagonal(), Elman("relu"))), (GRU("before"), None)],
    ids=str,
)
def test_compiled_for_changing_sizes(cell: Cell, dynamic: bool | None) -> None:
    """Training without ``fullgraph``, where nothing but a whole graph keeps Dynamo out of the operators."""
    net, _ = made(cell)
    compiled = torch.compile(net, backend="aot_eager", dynamic=dynamic)
    for sizes in ((B, T), (7, 9), (B, 9)):
        x = torch.randn(*sizes, I)
        for a, b in zip(results(compiled, x), results(net, x), strict=True):
            assert torch.equal(a, b)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # in Dynamo itself
def test_compiled_in_pieces() -> None:
    """A break in the graph between two passes."""
    net, _ = made(LSTM())

    def twice(x: Tensor) -> tuple[Tensor, Tensor]:
        first = net(x)[0]
        torch._dynamo.graph_break()
        return net(x + first.sum(-1, keepdim=True))

    compiled = torch.compile(twice, backend="aot_eager", dynamic=True)
    for rows in (torch.randn(B, T, I), torch.randn(7, 9, I)):
        assert torch.equal(compiled(rows)[0], twice(rows)[0])


def test_compiled_with_options() -> None:
    """Lengths, gates, low memory, zoneout; lengths that do not fit are refused when the program runs."""
    net, x = made(LSTM("full"), memory="low", zoneout=0.2)
    net.eval()
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    options = {"lengths": VALID, "return_gates": True}
    for a, b in zip(results(compiled, x, **options), results(net, x, **options), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match=r"^lengths must be from 0 to 4, the steps of x. Got 1 to 5 instead"):
        compiled(x, lengths=VALID + 1, return_gates=True)


@pytest.mark.skipif(" " in torch.__file__, reason="inductor cannot compile where torch's path has a space")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # in inductor itself
def test_compiled_to_machine_code() -> None:
    """Between operations that inductor compiles, where there is a compiler for it."""
    net, x = made(GRU())

    def whole(x: Tensor) -> Tensor:
        return torch.tanh(net(2 * x)[0]).sum()

    compiled = torch.compile(whole, dynamic=True)
    for rows in (x, torch.randn(7, 9, I)):
        try:
            loss = compiled(rows)
        except torch._inductor.exc.InvalidCxxCompiler:
            pytest.skip("inductor finds no C++ compiler")
        torch.testing.assert_close(loss, whole(rows))
        for a, b in zip(
            *(torch.autograd.grad(f(rows), list(net.parameters())) for f in (compiled, whole)), strict=True
        ):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_exported(cell: Cell, strict: bool) -> None:
    """One operator a layer and direction; the program runs other batches and can be trained on."""
    for options in STACKS:
        net, x = made(cell, **options)
        sizes = {"input": {0: torch.export.Dim("B", min=2, max=64), 1: torch.export.Dim("T", min=2, max=64)}}
        program = torch.export.export(net, (x,), dynamic_shapes=sizes, strict=strict)
        operators = [node for node in program.graph.nodes if node.target is torch.ops.regen.unfold.default]
        assert len(operators) == net.num_layers * (1 + net.bidirectional)
        module, other = program.module(), torch.randn(6, 9, I)
        assert torch.equal(module(other)[0], net(other)[0])
        module(x)[0].square().sum().backward()
        net(x)[0].square().sum().backward()
        for name, weight in net.named_parameters():
            torch.testing.assert_close(module.get_parameter(name).grad, weight.grad)


def test_an_exported_program_gives_second_derivatives() -> None:
    """The operator's own backward pass goes through the equations then."""
    net, x = made(LSTM())
    module = torch.export.export(net, (x,)).module()
    x.requires_grad_()
    twice = []
    for run in (module, net):
        (first,) = torch.autograd.grad(run(x)[0].square().sum(), x, create_graph=True)
        twice.append(torch.autograd.grad(first.square().sum(), x)[0])
    torch.testing.assert_close(*twice)


def test_auto_compiles_too() -> None:
    """Backend "auto" is traced without a break; backend_ has what ran."""
    net, x = made(GRU())
    net.backend = "auto"
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(x)[0], net(x)[0])
    compiled(x)
    assert net.backend_ == "native: gru in a traced program"


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning"
)  # sizes are fixed
@pytest.mark.parametrize(
    "cell", [Elman("relu"), LSTM(), GRU(), GRU("before"), LSTM("full"), Jordan()], ids=str
)
def test_torch_jit_traces_something_else(cell: Cell) -> None:
    """Its graphs cannot hold the operator: torch's or the reference loop's is recorded, and passes torch's check."""
    ran = "torch" if cell in (Elman("relu"), LSTM(), GRU()) else "reference"
    for options in STACKS:
        net, x = made(cell, **options)
        net.backend = "auto"
        torch.jit.trace(net, (x,), check_trace=False)
        assert net.backend_.startswith(f"{ran}: ")
        assert net.backend_.endswith("; torch.jit.trace is under way")
        for grad in (False, True):  # torch checks without gradients
            with torch.set_grad_enabled(grad):
                traced = torch.jit.trace(net, (x,))
            torch.testing.assert_close(traced(2 * x)[0], net(2 * x)[0])


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::torch.jit.TracerWarning",
    "ignore:Exporting a model to ONNX with a batch",
)
@pytest.mark.parametrize("cell", [Elman(), LSTM(), GRU(), GRU("before"), LSTM("full")], ids=str)
def test_the_legacy_exporter_of_onnx(cell: Cell) -> None:
    """A bare net; onnxruntime gives its numbers."""
    for options in STACKS:
        net, x = made(cell, **options)
        net.backend = "auto"
        file = io.BytesIO()
        torch.onnx.export(net.eval(), (x,), file, dynamo=False)
        session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
        output, *_ = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        torch.testing.assert_close(torch.from_numpy(output), net(x)[0])
