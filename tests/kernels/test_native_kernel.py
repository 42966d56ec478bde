"""Backend "native": what it refuses, second derivatives, gradients of gates, and what it keeps in memory."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.kernels import native, reference
from regen.kernels.native import extension

if extension.native is None:
    pytest.skip(f"no compiled kernels: {extension.why_missing}", allow_module_level=True)

CELLS = [
    *(Elman(), Diagonal(), Jordan(), Jordan("tanh", 3)),
    *(LSTM(), LSTM("output"), LSTM("full"), GRU(), GRU("before")),
]
B, T, I, H = 3, 5, 2, 4  # noqa: E741


def inputs(cell: Cell, **changed: Any) -> dict[str, Any]:
    """Arguments of `native.run`, some of them changed, a parameter by its name."""
    generator = torch.Generator().manual_seed(2)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    params = {name: draw(*shape) * 0.6 for name, shape in cell.shapes(I, H).items()}
    state = tuple(draw(B, size) for size in cell.state_sizes(H))
    arguments: dict[str, Any] = {"x": draw(B, T, I), "state": state}
    for name, value in changed.items():
        (params if name in params else arguments)[name] = value
    return arguments | {"cell": cell, "params": {name: p for name, p in params.items() if p is not None}}


def equal(found: Iterable[Tensor], expected: Iterable[Tensor]) -> bool:
    """Whether two sequences hold the same tensors, bit for bit."""
    return all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def leaves(arguments: dict[str, Any]) -> list[Tensor]:
    """Every float tensor among the arguments, as a leaf."""
    return [t.requires_grad_() for t in (arguments["x"], *arguments["state"], *arguments["params"].values())]


FLOAT = "the native kernels expect torch.float32 on cpu with shape"
CANNOT = "Use backend='auto' or 'reference'."
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"x": torch.zeros(B, T)}, "x has shape (3, 5); the native kernels expect (B, T, I) with T >= 1."),
    ({"x": torch.zeros(B, 0, I)}, "x has shape (3, 0, 2); the native kernels expect (B, T, I) with T >= 1."),
    (
        {"x": torch.zeros(B, T, I).double()},
        "backend='native' cannot run this: the native kernels compute in torch.float32 and x is torch.float64. "
        f"{CANNOT}",
    ),
    (
        {"x": torch.zeros(B, T, I, device="meta")},
        f"backend='native' cannot run this: the native kernels take dense tensors on the CPU and x is meta. {CANNOT}",
    ),
    (
        {"x": torch.zeros(B, T, I).to_sparse()},
        "backend='native' cannot run this: the native kernels take dense tensors on the CPU and x is "
        f"torch.sparse_coo. {CANNOT}",
    ),
    ({"x": torch.zeros(B, T, 3)}, f"weight_ih is torch.float32 on cpu with shape (16, 2); {FLOAT} (16, 3)."),
    (
        {"weight_hh": torch.zeros(16, 5)},
        f"weight_hh is torch.float32 on cpu with shape (16, 5); {FLOAT} (16, 4).",
    ),
    (
        {"weight_hh": None},
        "weight_hh is missing; LSTM(peephole='full', proj_size=0) needs it, of shape (16, 4).",
    ),
    (
        {"weight_ih": torch.zeros(15, 2)},
        "weight_ih has shape (15, 2); LSTM(peephole='full', proj_size=0) expects (4*H, I).",
    ),
    (
        {"weight_ih": torch.zeros(0, 2)},
        "weight_ih has shape (0, 2); LSTM(peephole='full', proj_size=0) expects (4*H, I).",
    ),
    (
        {"bias_ih": torch.zeros(16).double()},
        f"bias_ih is torch.float64 on cpu with shape (16,); {FLOAT} (16,).",
    ),
    (
        {"weight_co": torch.zeros(4, device="meta")},
        f"weight_co is torch.float32 on meta with shape (4,); {FLOAT} (4,).",
    ),
    (
        {"weight_hh": torch.zeros(16, 4).to_sparse()},
        f"weight_hh is torch.sparse_coo, torch.float32 on cpu with shape (16, 4); {FLOAT} (16, 4).",
    ),
    ({"state": (torch.zeros(B, H),)}, "state has 1 tensors; LSTM(peephole='full', proj_size=0) has h, c."),
    (
        {"state": (torch.zeros(B, H), torch.zeros(1, H))},
        f"state c is torch.float32 on cpu with shape (1, 4); {FLOAT} (3, 4).",
    ),
    ({"keep": torch.ones(B, 5)}, f"keep is torch.float32 on cpu with shape (3, 5); {FLOAT} (3, 4)."),
    ({"zoneout": [0.5]}, "zoneout has 1 entries; LSTM(peephole='full', proj_size=0) has h, c."),
    (
        {"zoneout": [0.5, torch.ones(B, H)]},
        f"zoneout of c is torch.float32 on cpu with shape (3, 4); {FLOAT} (3, 5, 4).",
    ),
    (
        {"keep": torch.ones(B, H, requires_grad=True)},
        f"backend='native' cannot run this: the native kernels compute no gradient of keep and zoneout. {CANNOT}",
    ),
    (
        {"lengths": torch.tensor([5, 5])},
        "lengths has shape (2,), type torch.int64 and is on cpu; "
        "give one int for each of the 3 rows of x, on the CPU.",
    ),
    (
        {"lengths": torch.tensor([5.0, 5.0, 1.0])},
        "lengths has shape (3,), type torch.float32 and is on cpu; "
        "give one int for each of the 3 rows of x, on the CPU.",
    ),
    (
        {"lengths": torch.tensor([5, -1, 2])},
        "lengths must be from 0 to 5, the steps of x. Got -1 to 5 instead.",
    ),
    (
        {"lengths": torch.tensor([6, 1, 2])},
        "lengths must be from 0 to 5, the steps of x. Got 1 to 6 instead.",
    ),
    ({"memory": "less"}, "memory must be 'normal' or 'low'. Got 'less' instead."),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_refusal(case: int, message_of: Any) -> None:
    """Given and expected, before anything is read; the same kernel runs what is right afterwards."""
    changed, words = REFUSED[case]
    assert message_of(ValueError, native.run, **inputs(LSTM("full"), **changed)) == words
    assert native.run(**inputs(LSTM("full"))).output.shape == (B, T, H)


def test_other_cells_are_refused(message_of: Any) -> None:
    """A projection, and a cell of the user's own."""

    class Own(GRU):  # type: ignore[misc]
        """Another equation under the same name of parameters."""

    for cell, why in (
        (LSTM(proj_size=2), "the native LSTM has no projection"),
        (Own(), "there is no native Own cell"),
    ):
        words = f"backend='native' cannot run this: {why}. {CANNOT}"
        assert message_of(ValueError, native.run, **inputs(cell)) == words


def gradients(
    run: Callable[..., Any], arguments: dict[str, Any], which: Callable[[Any], list[Tensor]]
) -> list[Tensor]:
    """First derivatives of a loss of `which` results, then those of a loss of the first."""
    results = which(run(**arguments))
    loss = sum((t * torch.arange(t.numel(), dtype=t.dtype).cos().view(t.shape)).sum() for t in results)
    first = torch.autograd.grad(loss, leaves(arguments), create_graph=True, allow_unused=True)  # type: ignore[arg-type]
    reached = [g for g in first if g is not None]
    second = torch.autograd.grad(sum(g.square().sum() for g in reached), leaves(arguments), allow_unused=True)  # type: ignore[arg-type]
    return [g for g in (*first, *second) if g is not None]


def double(arguments: dict[str, Any]) -> dict[str, Any]:
    """The same arguments in float64."""
    params = {name: p.detach().double() for name, p in arguments["params"].items()}
    exact = {"params": params, "x": arguments["x"].detach().double()}
    return arguments | exact | {"state": tuple(s.detach().double() for s in arguments["state"])}


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_second_derivatives(cell: Cell) -> None:
    """Through outputs and states; a float32 error of 1e-6 stays about that."""
    for options in (
        {},
        {"lengths": torch.tensor([5, 0, 3]), "reverse": True, "zoneout": [0.25] * len(cell.states)},
    ):
        arguments = inputs(cell) | options
        leaves(arguments)
        found = gradients(native.run, arguments, lambda r: [r.output, *r.state])
        exact = double(arguments)
        leaves(exact)
        expected = gradients(reference.run, exact, lambda r: [r.output, *r.state])
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cell", [Jordan(), LSTM("full"), LSTM(), GRU(), GRU("before")], ids=str)
def test_gradients_of_gates(cell: Cell) -> None:
    """A loss of gates reaches everything that they depend on, alone or added to a loss of the output."""
    arguments = inputs(cell, gates=True)
    leaves(arguments)
    exact = double(arguments)
    leaves(exact)
    choices: list[Callable[[Any], list[Tensor]]] = [
        lambda r: list(r.gates.values()),
        lambda r: [r.output, *r.gates.values()],
        lambda r: [next(iter(r.gates.values()))],
    ]
    for which in choices:
        found, expected = gradients(native.run, arguments, which), gradients(reference.run, exact, which)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-4)


def test_only_requested_gradients_are_computed() -> None:
    """Weights that are frozen get no gradient, the others the same as before."""
    arguments = inputs(LSTM())
    leaves(arguments)
    native.run(**arguments).output.sum().backward()
    all_of_them = {name: p.grad for name, p in arguments["params"].items()}
    arguments = inputs(LSTM())
    arguments["params"]["weight_hh"].requires_grad_()
    native.run(**arguments).output.sum().backward()
    assert torch.equal(arguments["params"]["weight_hh"].grad, all_of_them["weight_hh"])
    assert arguments["x"].grad is None
    assert arguments["params"]["weight_ih"].grad is None


def test_backward_twice() -> None:
    """What is kept is not used up."""
    arguments = inputs(GRU("before"))
    every = leaves(arguments)
    output = native.run(**arguments).output
    first = torch.autograd.grad(output.sum(), every, retain_graph=True)
    assert equal(first, torch.autograd.grad(output.sum(), every))


def test_changes_before_the_backward_pass_are_noticed() -> None:
    """Weights or lengths written over in between are torch's error, not a wrong gradient or address."""
    for name in ("weight", "lengths"):
        arguments = inputs(GRU(), lengths=torch.tensor([5, 2, 3]))
        leaves(arguments)
        output = native.run(**arguments).output
        with torch.no_grad():
            (arguments["params"]["weight_hh"] if name == "weight" else arguments["lengths"]).mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            output.sum().backward()


def kept(memory: str, cell: Cell, **options: Any) -> int:
    """Numbers that autograd keeps between the passes, the inputs and outputs left out."""
    seen: list[Tensor] = []

    def see(t: Tensor) -> Tensor:
        seen.append(t)
        return t

    arguments = inputs(cell, memory=memory, **options)
    own = {t.data_ptr() for t in leaves(arguments)}
    with torch.autograd.graph.saved_tensors_hooks(see, lambda t: t):
        output = native.run(**arguments).output
    return sum(t.numel() for t in seen if t.data_ptr() not in own | {output.data_ptr()})


@pytest.mark.parametrize("cell", [LSTM(), LSTM("full"), GRU(), GRU("before")], ids=str)
def test_low_memory_keeps_less(cell: Cell) -> None:
    """At most half of what is kept otherwise."""
    assert 0 <= kept("low", cell) <= kept("normal", cell) / 2


@pytest.mark.parametrize("cell", [Elman(), Elman("relu"), Diagonal()], ids=str)
def test_nothing_is_kept_where_the_output_determines_the_gate(cell: Cell) -> None:
    """Unless zoneout mixes it with the past."""
    assert kept("normal", cell) == kept("low", cell) == 0
    assert kept("normal", cell, zoneout=[0.0]) == 0
    for zoneout, own in ((0.5, 0), (torch.full((B, T, H), 0.5), B * T * H)):
        assert kept("normal", cell, zoneout=[zoneout]) >= own + B * T * H
        assert kept("low", cell, zoneout=[zoneout]) == own


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients_nothing_is_kept(mode: Any) -> None:
    """The same numbers and no graph."""
    arguments = inputs(LSTM())
    leaves(arguments)
    expected = native.run(**arguments)
    with mode():
        result = native.run(**arguments)
    assert not result.output.requires_grad
    assert torch.equal(result.output, expected.output)
    assert equal(result.state, expected.state)


def test_computed_again_by_torch() -> None:
    """Activation checkpoints, and tensors that are kept elsewhere, change no bit."""
    arguments = inputs(LSTM("output"))
    every = leaves(arguments)
    expected = torch.autograd.grad(native.run(**arguments).output.sum(), every)
    again = checkpoint(lambda: native.run(**arguments).output, use_reentrant=False)
    assert equal(torch.autograd.grad(again.sum(), every), expected)
    with torch.autograd.graph.save_on_cpu():
        output = native.run(**arguments).output
    assert equal(torch.autograd.grad(output.sum(), every), expected)


def test_several_python_threads() -> None:
    """Forward and backward passes at the same time do not meet."""

    def work(seed: int) -> list[Tensor]:
        arguments = inputs(GRU(), x=torch.full((B, T, I), float(seed)))
        every = leaves(arguments)
        for _ in range(20):
            found = torch.autograd.grad(native.run(**arguments).output.sum(), every)
        return list(found)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, range(8)))
    for seed, found in enumerate(together):
        assert equal(found, work(seed))


def test_other_defaults_of_torch() -> None:
    """Results are float32 on the CPU whatever torch makes by default."""
    arguments = inputs(LSTM())
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            result = native.run(**arguments)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(result.output, native.run(**arguments).output)


def test_negated_views() -> None:
    """A view that negates only when read is read as it should be."""
    arguments = inputs(GRU())
    x = torch.complex(torch.zeros_like(arguments["x"]), -arguments["x"]).conj().imag
    assert x.is_neg()
    assert torch.equal(native.run(**arguments | {"x": x}).output, native.run(**arguments).output)


def test_tensors_of_a_finished_transform() -> None:
    """A tensor of torch.func that has outlived its transform is read as the one within it."""
    arguments, left = inputs(GRU()), []

    def loss(x: Tensor) -> Tensor:
        left.append(2 * x)
        return left[0].sum()

    torch.func.grad(loss)(arguments["x"])
    expected = native.run(**arguments | {"x": 2 * arguments["x"]}).output
    assert torch.equal(native.run(**arguments | {"x": left[0]}).output, expected)
    arguments["params"]["weight_hh"].requires_grad_()
    assert torch.equal(native.run(**arguments | {"x": left[0]}).output, expected)


def test_stacked_states() -> None:
    """With a first dimension of one, in the backward passes too."""
    arguments = inputs(LSTM())
    every = leaves(arguments)
    result = native.run(**arguments, stacked=True)
    assert [s.shape for s in result.state] == [(1, B, H)] * 2
    for again in (False, True):
        expected = torch.autograd.grad(native.run(**arguments).state[1].sum(), every, create_graph=again)
        found = torch.autograd.grad(
            native.run(**arguments, stacked=True).state[1].sum(), every, create_graph=again
        )
        assert equal(found, expected)


def test_no_rows() -> None:
    """Nothing in, nothing out, and gradients of zero."""
    arguments = inputs(LSTM(), x=torch.zeros(0, T, I), state=(torch.zeros(0, H), torch.zeros(0, H)))
    every = leaves(arguments)
    result = native.run(**arguments, lengths=torch.zeros(0, dtype=torch.int64))
    assert result.output.shape == (0, T, H)
    assert not any(g.any() for g in torch.autograd.grad(result.output.sum(), every))
