"""regen.nn against torch.nn: outputs, states and every gradient, with torch's weights loaded; and wrong twins."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import regen.nn as ours
from regen import cells
from regen.kernels import native
from regen.nets.recurrent import Recurrent, recurrent

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")  # torch.nn's, not ours
KINDS: dict[str, tuple[type[Recurrent], type[nn.RNNBase], dict[str, Any]]] = {
    "tanh": (ours.RNN, nn.RNN, {}),
    "relu": (ours.RNN, nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (ours.LSTM, nn.LSTM, {}),
    "lstm projected": (ours.LSTM, nn.LSTM, {"proj_size": 3}),
    "gru": (ours.GRU, nn.GRU, {}),
}
# Largest error, relative to the largest number compared (at least 1), over all cases of this file on CPU:
#             backend       dtype           allowed  measured
TOLERANCE = {
    ("reference", torch.float64): 1e-10,  # 8.1e-16
    ("reference", torch.float32): 1e-5,  #  6.4e-7
    ("torch", torch.float64): 1e-10,  #     0
    ("torch", torch.float32): 1e-5,  #      0
    ("auto", torch.float64): 1e-10,  #      0
    ("auto", torch.float32): 1e-5,  #  5.6e-7
}
T, B, H = 6, 4, 5
INPUTS = 3
LENGTHS = [6, 1, 4, 4]
Hidden = Tensor | tuple[Tensor, ...]


def tuple_of(hidden: Hidden) -> tuple[Tensor, ...]:
    """The states as a tuple, also when there is one."""
    return (hidden,) if isinstance(hidden, Tensor) else tuple(hidden)


def loss(results: list[Tensor]) -> Tensor:
    """A sum in which every number has its own weight, so that no gradient is like another."""
    weights = [torch.linspace(-1, 1, t.numel(), dtype=t.dtype, device=t.device).cos() for t in results]
    return sum(
        ((t.flatten() * (1 + w)).sum() for t, w in zip(results, weights, strict=True)), torch.zeros(())
    )


def their_results(net: nn.RNNBase, x: Tensor, hx: Hidden, lengths: list[int] | None) -> list[Tensor]:
    """Outputs and states of torch's net, packed and padded again when there are lengths."""
    if lengths is None:
        output, hidden = net(x, hx)
    else:
        packed, hidden = net(pack_padded_sequence(x, torch.tensor(lengths), net.batch_first, False), hx)
        output, _ = pad_packed_sequence(packed, net.batch_first)
    return [output, *tuple_of(hidden)]


def check(
    net: Callable[..., Any],
    theirs: nn.RNNBase,
    tolerance: float,
    lengths: list[int] | None = None,
    weights: dict[str, Tensor] | None = None,
) -> float:
    """Largest error of `net` against torch's net in values and gradients; raises when above the tolerance.

    `weights` are the leaves of `net` by torch's names; its own parameters unless a twin has others.
    """
    generator, like = torch.Generator().manual_seed(5), theirs.weight_ih_l0
    assert isinstance(like, Tensor)

    def draw(*shape: int) -> Tensor:
        drawn = torch.randn(shape, generator=generator, dtype=torch.float64)
        return drawn.to(like.device, like.dtype).requires_grad_()

    x = draw(B, T, INPUTS) if theirs.batch_first else draw(T, B, INPUTS)
    D = theirs.num_layers * (1 + theirs.bidirectional)
    sizes = [theirs.proj_size or H] + [H] * isinstance(theirs, nn.LSTM)
    state = tuple(draw(D, B, size) for size in sizes)
    hx: Hidden = state if len(state) > 1 else state[0]
    expected = their_results(theirs, x, hx, lengths)
    output, hidden = net(x, hx, lengths=None if lengths is None else torch.tensor(lengths))
    results = [output, *tuple_of(hidden)]
    leaves = dict(weights if weights is not None else net.named_parameters())  # type: ignore[attr-defined]
    a = torch.autograd.grad(loss(results), [x, *state, *leaves.values()])
    b = torch.autograd.grad(loss(expected), [x, *state, *(theirs.get_parameter(name) for name in leaves)])
    names = ["output", *"hc"[: len(sizes)], "dx", "dh_0", *["dc_0"] * (len(sizes) - 1), *leaves]
    worst = 0.0
    for name, mine, other in zip(names, [*results, *a], [*expected, *b], strict=True):
        assert mine.shape == other.shape, (
            f"{name} has shape {tuple(mine.shape)}, torch's {tuple(other.shape)}"
        )
        error = ((mine - other).abs().max() / other.abs().max().clamp_min(1)).item()
        assert error <= tolerance, f"{name} differs by {error:.1e}"
        worst = max(worst, error)
    return worst


def pair(
    kind: str, dtype: torch.dtype, backend: str = "auto", **options: Any
) -> tuple[Recurrent, nn.RNNBase]:
    """Our net and torch's with the same weights, drawn large enough that every gate matters."""
    our, their, extra = KINDS[kind]
    torch.manual_seed(2)
    theirs = their(INPUTS, H, dtype=dtype, **extra, **options)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.uniform_(-0.7, 0.7)
    net = our(INPUTS, H, dtype=dtype, backend=backend, **extra, **options)
    net.load_state_dict(theirs.state_dict())
    return net, theirs


STACKS = [
    {"num_layers": layers, "bidirectional": both, "bias": bias, "batch_first": layers == 2}
    for layers, both, bias in product((1, 2), (False, True), (True, False))
]


@pytest.mark.parametrize(("backend", "dtype"), TOLERANCE, ids=str)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("kind", KINDS)
def test_parity(kind: str, lengths: list[int] | None, backend: str, dtype: torch.dtype) -> None:
    """Layers x directions x bias x layout: values and all gradients, h_0 and c_0 included."""
    for options in STACKS:
        net, theirs = pair(kind, dtype, backend, **options)
        check(net, theirs, TOLERANCE[backend, dtype], lengths)
        compiled = not native.unsupported_reason(net.cell, torch.zeros(1, 1, 1, dtype=dtype))
        ran = backend if backend != "auto" else "native" if compiled else "torch"
        assert net.backend_.startswith(f"{ran}: ")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", KINDS)
def test_parity_on_cuda(kind: str) -> None:
    """The loop and cuDNN against torch.nn on the GPU, where weights must stay in one block."""
    for backend, options in product(("reference", "auto"), STACKS):
        net, theirs = pair(kind, torch.float32, backend, **options)
        with torch.backends.cudnn.flags(allow_tf32=False):
            check(net.cuda(), theirs.cuda(), 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_state_dict_both_ways(kind: str) -> None:
    """Names, order and shapes are torch's: our weights load into torch.nn and run the same there."""
    _, theirs = pair(kind, torch.float64, num_layers=2, bidirectional=True)
    net = KINDS[kind][0](INPUTS, H, 2, bidirectional=True, dtype=torch.float64, **KINDS[kind][2])
    assert list(net.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(net.state_dict())
    check(net, theirs, 1e-10)


# Wrong twins -------------------------------------------------------------------------------------------------


def edited(kind: str, edit: Callable[[str, Tensor], Tensor]) -> Callable[[torch.dtype], None]:
    """The check on a net whose weights went through `edit` on the way from torch."""

    def run(dtype: torch.dtype) -> None:
        net, theirs = pair(kind, dtype, "reference", bidirectional=True)
        net.load_state_dict({name: edit(name, w) for name, w in theirs.state_dict().items()})
        check(net, theirs, TOLERANCE["reference", dtype])

    return run


def wrapped(
    kind: str, change: Callable[..., Any], lengths: list[int] | None = None
) -> Callable[[torch.dtype], None]:
    """The check on a net that is called in another way than it should be."""

    def run(dtype: torch.dtype) -> None:
        net, theirs = pair(kind, dtype, "reference", bidirectional=True)
        check(lambda *a, **k: change(net, *a, **k), theirs, 1e-5, lengths, dict(net.named_parameters()))

    return run


def replaced(kind: str, cell: cells.Cell) -> Callable[[torch.dtype], None]:
    """The check on a net that runs another equation with the same weights."""

    def run(dtype: torch.dtype) -> None:
        net, theirs = pair(kind, dtype, "reference", num_layers=2)
        net.cell = cell
        check(net, theirs, TOLERANCE["reference", dtype])

    return run


def gates_swapped(a: int, b: int, which: str, G: int) -> Callable[[str, Tensor], Tensor]:
    """Two gates exchanged in the weights whose names start with `which`."""

    def edit(name: str, w: Tensor) -> Tensor:
        order = list(range(G))
        order[a], order[b] = b, a
        return torch.cat([w.chunk(G)[k] for k in order]) if name.startswith(which) else w

    return edit


def transposed(G: int) -> Callable[[str, Tensor], Tensor]:
    """Every gate's recurrent matrix transposed."""
    return lambda name, w: torch.cat([u.T for u in w.chunk(G)]) if name.startswith("weight_hh") else w


def without(which: str) -> Callable[[str, Tensor], Tensor]:
    """Weights whose names start with `which` are zero."""
    return lambda name, w: torch.zeros_like(w) if name.startswith(which) else w


def sides_swapped(name: str, w: Tensor) -> Tensor:
    """The reverse direction's weights upside down."""
    return w.flip(0) if "reverse" in name else w


def from_changed_states(change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> cells.Cell:
    """An LSTM that makes every step from `change(h, c)`."""

    class Changed(cells.LSTM):  # type: ignore[misc]
        def step(self, params: Any, wx_t: Tensor, state: Any, keep: Any = None) -> Any:
            return super().step(params, wx_t, change(*state), keep)

    return Changed()


class OtherWay(cells.GRU):  # type: ignore[misc]
    """z lets the new in, as in Chung et al., instead of keeping the old."""

    def step(self, params: Any, wx_t: Tensor, state: Any, keep: Any = None) -> Any:
        _, _, results = super().step(params, wx_t, state, keep)
        h = results["z"] * results["n"] + (1 - results["z"]) * state[0]
        return h, (h,), results


def no_lengths(net: Any, x: Tensor, hx: Hidden, lengths: Tensor | None = None) -> Any:
    """Padding is read."""
    return net(x, hx)


def no_state(net: Any, x: Tensor, hx: Hidden, lengths: Tensor | None = None) -> Any:
    """Starts from zeros."""
    output, hidden = net(x, lengths=lengths)
    return output + 0 * sum(s.sum() for s in tuple_of(hx)), hidden


def states_exchanged(net: Any, x: Tensor, hx: Hidden, lengths: Tensor | None = None) -> Any:
    """c_n first."""
    output, hidden = net(x, hx, lengths=lengths)
    return output, tuple(reversed(hidden))


def directions_exchanged(net: Any, x: Tensor, hx: Hidden, lengths: Tensor | None = None) -> Any:
    """Reverse outputs first."""
    output, hidden = net(x, hx, lengths=lengths)
    return output.roll(H, -1), hidden


def late(net: Any, x: Tensor, hx: Hidden, lengths: Tensor | None = None) -> Any:
    """Outputs one step late."""
    output, hidden = net(x, hx, lengths=lengths)
    return output.roll(1, 0), hidden


WRONG_VARIANTS = {
    **{
        f"lstm gates {a}{b} swapped in {which}": edited("lstm", gates_swapped(a, b, which, 4))
        for a in range(4)
        for b in range(a)
        for which in ("", "weight_ih", "bias_hh")
    },
    **{f"gru gates {a}{b} swapped": edited("gru", gates_swapped(a, b, "", 3)) for a, b in ((0, 1), (1, 2), (0, 2))},
    **{f"{k} recurrent transposed": edited(k, transposed(G)) for k, G in (("tanh", 1), ("lstm", 4), ("gru", 3))},
    **{f"{k} without {b}": edited(k, without(b)) for k in ("tanh", "lstm", "gru") for b in ("bias_ih", "bias_hh")},
    "gru recurrent bias moved into the input's": edited("gru", lambda name, w: w.roll(1) if "bias" in name else w),
    "reverse weights turned": edited("tanh", sides_swapped),
    "context not carried": replaced("lstm", from_changed_states(lambda h, c: (h, 0 * c))),
    "output not carried": replaced("lstm", from_changed_states(lambda h, c: (0 * h, c))),
    "gradient cut at every step": replaced("lstm", from_changed_states(lambda h, c: (h, c.detach() + 0 * c))),
    "update gate the other way": replaced("gru", OtherWay()),
    "reset before the product": replaced("gru", cells.GRU("before")),
    "relu for tanh": replaced("tanh", cells.Elman("relu")),
    "lengths ignored": wrapped("gru", no_lengths, LENGTHS),
    "initial state ignored": wrapped("lstm", no_state),
    "h and c exchanged": wrapped("lstm", states_exchanged),
    "directions exchanged": wrapped("gru", directions_exchanged),
    "one step late": wrapped("gru", late),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("twin", WRONG_VARIANTS)
def test_wrong_variants_fail(twin: str, dtype: torch.dtype) -> None:
    """The check notices every one of these mistakes, in the coarser precision too."""
    with pytest.raises(AssertionError, match="differs by"):
        WRONG_VARIANTS[twin](dtype)


def test_dropout_draws_as_torch() -> None:
    """With torch's operators even the dropout between layers is the same, draw for draw."""
    net, theirs = pair("lstm", torch.float64, num_layers=3, dropout=0.4)
    x = torch.randn(T, B, INPUTS, dtype=torch.float64)
    torch.manual_seed(0)
    expected = theirs(x)[0]
    torch.manual_seed(0)
    assert torch.equal(net(x)[0], expected)
    assert torch.equal(net.eval()(x)[0], theirs.eval()(x)[0])


def test_example_of_the_cpp_tests() -> None:
    """The numbers of torch's C++ test CheckOutputValuesMatchPyTorch, whose weights differ gate by gate."""
    for backend in ("reference", "torch"):
        net = ours.LSTM(2, 2, backend=backend, dtype=torch.float64)
        with torch.no_grad():
            for parameter in net.parameters():
                n = parameter.numel()
                parameter.copy_((torch.arange(n, dtype=torch.float64) / n).view(parameter.shape))
        n = 3 * 4 * 2
        x = ((n - torch.arange(n, dtype=torch.float64)) / n).view(3, 4, 2)
        output, (h, c) = net(x)
        expected = [
            0.4391, 0.5402, 0.4330, 0.5324, 0.4261, 0.5239, 0.4183, 0.5147, 0.6822, 0.8064, 0.6726, 0.7968,
            0.6620, 0.7860, 0.6501, 0.7741, 0.7889, 0.9003, 0.7769, 0.8905, 0.7635, 0.8794, 0.7484, 0.8666,
        ]  # fmt: skip
        contexts = [1.1647, 1.6106, 1.1425, 1.5726, 1.1187, 1.5329, 1.0931, 1.4911]
        assert output.flatten().tolist() == pytest.approx(expected, abs=1e-3)
        assert h.flatten().tolist() == pytest.approx(expected[16:], abs=1e-3)
        assert c.flatten().tolist() == pytest.approx(contexts, abs=1e-3)


def test_every_cell_by_name_is_the_same_net() -> None:
    """recurrent("lstm", ...) and regen.nn.LSTM(...) are one thing."""
    net, _ = pair("lstm", torch.float64, batch_first=True)
    other = recurrent("lstm", INPUTS, H, dtype=torch.float64)
    other.load_state_dict(net.state_dict())
    x = torch.randn(B, T, INPUTS, dtype=torch.float64)
    assert torch.equal(net(x)[0], other(x)[0])
