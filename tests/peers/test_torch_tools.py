"""What torch's tools do with regen.nn: TorchScript, fx, quantisation, DDP (tracing: kernels/traced_programs.py)."""

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regen.nn as ours
from regen.nets.recurrent import Recurrent

NAMES = ("RNN", "LSTM", "GRU")
T, B, I, H = 5, 2, 3, 4  # noqa: E741


@pytest.fixture(autouse=True)
def deprecated() -> Iterator[None]:
    """Torch says of the older of its tools that they are deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def made(name: str, **options: Any) -> tuple[Recurrent, Tensor]:
    """A net of regen.nn and an input."""
    torch.manual_seed(1)
    return getattr(ours, name)(I, H, **options), torch.randn(T, B, I)


def flat(value: Any) -> list[Tensor]:
    """Every tensor in what a net returns."""
    return [value] if isinstance(value, Tensor) else [t for each in value for t in flat(each)]


def same(a: Any, b: Any) -> None:
    """Equal results."""
    for mine, other in zip(flat(a), flat(b), strict=True):
        torch.testing.assert_close(mine, other)


# Attributes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2, "bidirectional": True, "bias": False}], ids=["one layer", "four"]
)
def test_attributes(name: str, options: dict[str, Any]) -> None:
    """Those that ``torch.nn`` documents or that libraries read, with its values; the same names of parameters."""
    net, theirs = getattr(ours, name)(I, H, **options), getattr(nn, name)(I, H, **options)
    for attribute in ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional",
                      "proj_size", "mode"):  # fmt: skip
        assert getattr(net, attribute) == getattr(theirs, attribute)
    assert [[w.shape for w in layer] for layer in net.all_weights] == [
        [w.shape for w in layer] for layer in theirs.all_weights
    ]
    assert all(isinstance(w, nn.Parameter) for layer in net.all_weights for w in layer)
    assert net.flatten_parameters() is None
    assert [name for name, _ in net.named_parameters()] == [name for name, _ in theirs.named_parameters()]


def test_attributes_of_one_class() -> None:
    """`nonlinearity` of the RNN, `proj_size` of the LSTM; cells that torch lacks have names of their own."""
    assert ours.RNN(I, H, nonlinearity="relu").nonlinearity == nn.RNN(I, H, nonlinearity="relu").nonlinearity
    assert ours.RNN(I, H, nonlinearity="relu").mode == "RNN_RELU"
    projected, theirs = ours.LSTM(I, H, proj_size=2), nn.LSTM(I, H, proj_size=2)
    assert projected.proj_size == theirs.proj_size == 2
    assert [w.shape for w in projected.all_weights[0]] == [w.shape for w in theirs.all_weights[0]]
    assert ours.RNN(I, H, cell="jordan").mode == "JORDAN_TANH"
    assert ours.RNN(I, H, cell="diagonal", nonlinearity="relu").mode == "DIAGONAL_RELU"


@pytest.mark.parametrize("name", NAMES)
def test_arguments_by_name(name: str) -> None:
    """The input is called `input` and the state `hx`, as in ``torch.nn``."""
    net, x = made(name)
    _, state = net(x)
    same(net(input=x, hx=state), net(x, state))


# Tools ---------------------------------------------------------------------------------------------------------


class Model(nn.Module):
    """A net in a model."""

    def __init__(self, net: Recurrent) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """The output of the net."""
        output: Tensor = self.net(2 * x)[0]
        return output


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize(
    "net",
    [
        ours.LSTM(I, H, num_layers=2, bidirectional=True, dropout=0.5).eval(),
        ours.LSTM(I, H, proj_size=2, bias=False),
        ours.GRU(I, H, num_layers=2),
        ours.RNN(I, H, nonlinearity="relu"),
    ],
    ids=str,
)
def test_jit_script(net: Recurrent) -> None:
    """The net of ``torch.nn`` that shares the weights is compiled in its place."""
    model, x = Model(net), torch.randn(T, B, I)
    scripted = torch.jit.script(model)
    same(scripted(x), model(x))
    with torch.no_grad():
        net.weight_ih_l0.zero_()
    same(scripted(x), model(x))


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (ours.LSTM(I, H, peephole="full"), "LSTM in place of regen.nn.LSTM: torch's LSTM has no peepholes"),
        (ours.RNN(I, H, cell="jordan"), "RNN in place of regen.nn.RNN: torch has no jordan cell"),
        (ours.GRU(I, H, zoneout=0.1), "GRU in place of regen.nn.GRU: torch's operators have no zoneout"),
    ],
    ids=["peephole", "jordan", "zoneout"],
)
def test_jit_script_refuses(net: Recurrent, reason: str) -> None:
    """What torch's nets cannot do, in one sentence."""
    message = f"torch.jit.script compiles torch.nn.{reason}. Use torch.jit.trace or torch.export."
    with pytest.raises(ValueError) as caught:
        torch.jit.script(net)
    assert str(caught.value) == message


def test_fx_keeps_the_net_whole() -> None:
    """A tracer for which it is a leaf; without one the refusal says so (tests/nets/test_recurrent_refusals.py)."""

    class Tracer(torch.fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return isinstance(m, Recurrent) or super().is_leaf_module(m, module_qualified_name)

    model, x = Model(ours.GRU(I, H)), torch.randn(T, B, I)
    traced = torch.fx.GraphModule(model, Tracer().trace(model))
    same(traced(x), model(x))


def test_quantisation_is_never_silent() -> None:
    """A warning that the net stays float where it is not named, a refusal where it is; the linear layer is not."""
    model = nn.ModuleDict({"net": ours.LSTM(I, H), "out": nn.Linear(H, 1)})
    with pytest.warns(UserWarning) as caught:
        quantised = torch.ao.quantization.quantize_dynamic(model)
    assert [str(each.message) for each in caught if "regen" in str(each.message)] == [
        "regen.nn.LSTM is not quantised and stays in torch.float32: "
        "load its weights into torch.nn.LSTM to quantise that."
    ]
    assert type(quantised["out"]) is not nn.Linear
    x = torch.randn(T, B, I)
    same(quantised["net"](x), model["net"](x))
    with pytest.raises(ValueError) as refused:
        torch.ao.quantization.quantize_dynamic(model, {ours.LSTM})
    assert str(refused.value) == (
        "torch.ao.quantization cannot quantise regen.nn.LSTM: load its weights into torch.nn.LSTM to quantise that."
    )
    with pytest.warns(
        UserWarning, match=r"stays in torch.float32: torch's GRU resets after the recurrent product\.$"
    ):
        torch.ao.quantization.quantize_dynamic(nn.ModuleList([ours.GRU(I, H, reset="before")]))


def test_ddp() -> None:
    """Two processes with half of the rows each have the gradients of the whole batch, and those of each other."""
    script = Path(__file__).with_name("two_processes.py")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["equal"] * 2
