"""The compiled kernels, on every instruction set that runs here, against the reference loop in float64."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.kernels import Result, native, reference
from regen.kernels.native import extension

if extension.native is None:
    pytest.skip(f"no compiled kernels: {extension.why_missing}", allow_module_level=True)
module: Any = extension.native

# Largest error, relative to the largest number of the tensor compared (at least 1), over all cases of this file:
#                       allowed  measured
TOLERANCE = {
    "value": 4e-6,  #     1.7e-6
    "gradient": 2e-5,  #  8.2e-6
}
CELLS = [
    *(Elman(), Elman("relu"), Diagonal(), Diagonal("relu"), Jordan(), Jordan("relu", 3)),
    *(LSTM(), LSTM("output"), LSTM("full"), GRU(), GRU("before")),
]
SIZES = [  # B, T, I, H: no multiples of a vector's width, and multiples; panels of one to four vectors
    *((1, 1, 1, 1), (3, 2, 3, 5), (7, 19, 17, 16), (33, 2, 1, 33)),
    *((3, 19, 3, 64), (7, 19, 1, 5), (1, 19, 17, 33), (33, 1, 3, 16)),
    *((33, 19, 2, 24), (11, 3, 2, 44)),
]
LONG = (30, 30, 2, 300)  # more pairs of row and step than a chunk of the backward pass holds, for every cell
OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"state": False},
    {"lengths": True},
    {"reverse": True},
    {"lengths": True, "reverse": True},
    {"keep": True},
    {"zoneout": "number"},
    {"zoneout": "mask"},
    {"zoneout": "both", "lengths": True, "reverse": True},
    {"gates": True},
    {"memory": "low"},
    {"memory": "low", "zoneout": "mask", "keep": True, "lengths": True},
    {"layout": "time first"},
    {"layout": "one row"},
    {"layout": "every other feature"},
    {"layout": "part"},
]
EVERYTHING = {"lengths": True, "keep": True, "zoneout": "mask", "gates": True}


def laid_out(x: Tensor, layout: str) -> Tensor:
    """Numbers like those of x (B, T, I), elsewhere in memory."""
    if layout == "time first":
        return x.transpose(0, 1).contiguous().transpose(0, 1)
    if layout == "one row":
        return x[:1].expand_as(x)
    if layout == "every other feature":
        return x.repeat_interleave(2, -1)[..., ::2]
    if layout == "part":
        return torch.cat([x.new_full((x.shape[0], 2, x.shape[2]), torch.nan), x], 1)[:, 2:]
    return x


class Case:
    """Inputs of a kernel, float64 but exact in float32."""

    def __init__(
        self, cell: Cell, sizes: tuple[int, int, int, int], *, seed: int = 0, bias: bool = True, state: bool = True,
        lengths: bool = False, reverse: bool = False, keep: bool = False, zoneout: str = "", gates: bool = False,
        memory: str = "normal", layout: str = "",
    ) -> None:  # fmt: skip
        generator = torch.Generator().manual_seed(seed)
        (B, T, I, H), self.cell, self.memory, self.layout = sizes, cell, memory, layout  # noqa: E741

        def draw(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator).double()

        widths = cell.state_sizes(H)
        shapes = cell.shapes(I, H, bias)
        self.params = {
            n: (draw(*s) * (s[-1] ** -0.5 if len(s) > 1 else 0.7)).float().double() for n, s in shapes.items()
        }
        if "vector_u" in self.params:  # beyond 1 every error grows with the steps
            self.params["vector_u"].clamp_(-1, 1)
        self.x = draw(B, T, I)
        self.state = tuple(draw(B, width) for width in widths) if state else None
        self.options: dict[str, Any] = {"reverse": reverse, "gates": gates}
        if lengths:
            valid = torch.randint(0, T + 1, (B,), generator=generator)
            valid[0], valid[-1] = T, 0
            self.options["lengths"] = valid
            self.x[torch.arange(T) >= valid[:, None]] = torch.nan  # padding is never read
        if keep:
            self.options["keep"] = (
                torch.bernoulli(torch.full((B, widths[0]), 0.5), generator=generator).double() * 2
            )
        if zoneout:
            mask = [torch.bernoulli(torch.full((B, T, w), 0.3), generator=generator).double() for w in widths]
            number = [0.25, 0.125][: len(widths)]
            both = [mask[0], 0.5][: len(widths)]
            self.options["zoneout"] = {"mask": mask, "number": number, "both": both}[zoneout]

    def results(self, run: Callable[..., Result], dtype: torch.dtype) -> dict[str, Tensor]:
        """Values and gradients by name."""

        def leaf(t: Tensor) -> Tensor:
            return t.to(dtype).requires_grad_()

        def cast(value: Any) -> Any:
            if isinstance(value, list):
                return [cast(each) for each in value]
            return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value

        params = {name: leaf(p) for name, p in self.params.items()}
        x, state = leaf(self.x), None if self.state is None else tuple(leaf(s) for s in self.state)
        options = {name: cast(value) for name, value in self.options.items()}
        if run is not reference.run:
            options["memory"] = self.memory
        result = run(self.cell, params, laid_out(x, self.layout), state, **options)
        results = {"output": result.output}
        results |= {f"last {n}": s for n, s in zip(self.cell.states, result.state, strict=True)}
        results |= {f"gate {n}": g for n, g in result.gates.items()}
        loss = sum((results[n] * weight(results[n])).sum() for n in results if not n.startswith("gate"))
        leaves = {"x": x, **params}
        leaves |= {f"first {n}": s for n, s in zip(self.cell.states, state or (), strict=False)}
        grads = torch.autograd.grad(loss, list(leaves.values()))  # type: ignore[arg-type]
        if "lengths" in self.options:
            assert not grads[0].isnan().any()
        return results | {f"d {name}": grad for name, grad in zip(leaves, grads, strict=True)}


def weight(t: Tensor) -> Tensor:
    """A weight of its own for every number, so that no gradient is like another."""
    return (
        torch.arange(t.numel(), dtype=torch.float64).mul(0.7).cos().to(t.dtype).view(t.shape)
        / t.shape[0] ** 0.5
    )


def check(case: Case, run: Callable[..., Result] = native.run) -> dict[str, float]:
    """Largest errors of `run`, in values and gradients; raises when one is above its tolerance."""
    expected, found = case.results(reference.run, torch.float64), case.results(run, torch.float32)
    worst = dict.fromkeys(TOLERANCE, 0.0)
    assert expected.keys() == found.keys()
    for name, right in expected.items():
        sort = "gradient" if name.startswith("d ") else "value"
        assert found[name].shape == right.shape, f"{name} differs in shape"
        error = ((found[name] - right).abs().max() / right.abs().max().clamp_min(1)).item()
        worst[sort] = max(worst[sort], error)
        assert error <= TOLERANCE[sort], f"{name} differs by {error:.1e}"
    return worst


def cases(cell: Cell) -> Iterator[Case]:
    """Every option at some size, and everything at once at every size."""
    for k, options in enumerate(OPTIONS):
        yield Case(cell, SIZES[2 + k % 5], seed=k, **options)
    for k, sizes in enumerate(SIZES):
        yield Case(
            cell, sizes, seed=k, reverse=k % 2 == 1, memory=("normal", "low")[k // 4 % 2], **EVERYTHING
        )


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.usefixtures("isa")
def test_equals_the_reference(cell: Cell) -> None:
    """Values, gates and all gradients, for every option and size."""
    for case in cases(cell):
        check(case)


@given(
    cell=st.sampled_from(CELLS),
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 8), st.integers(1, 20), st.integers(1, 40)),
    options=st.fixed_dictionaries(
        {name: st.booleans() for name in ("bias", "state", "lengths", "reverse", "keep", "gates")}
        | {"zoneout": st.sampled_from(["", "mask", "number", "both"]), "memory": st.sampled_from(["normal", "low"])}
    ),
    seed=st.integers(0, 999),
)  # fmt: skip
def test_equals_the_reference_anywhere(
    cell: Cell, sizes: tuple[int, int, int, int], options: dict[str, Any], seed: int
) -> None:
    """Any size with any options."""
    check(Case(cell, sizes, seed=seed, **options))


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_equals_the_reference_in_several_chunks(cell: Cell) -> None:
    """The gradients of the weights are summed chunk by chunk."""
    check(Case(cell, LONG, lengths=True))


# Wrong twins -------------------------------------------------------------------------------------------------


def edited(edit: Callable[[str, Tensor], Tensor]) -> Callable[..., Result]:
    """The kernel with other weights than it was given."""

    def run(cell: Cell, params: dict[str, Tensor], *args: Any, **options: Any) -> Result:
        return native.run(cell, {name: edit(name, p) for name, p in params.items()}, *args, **options)

    return run


def without(option: str) -> Callable[..., Result]:
    """The kernel without one option."""

    def run(*args: Any, **options: Any) -> Result:
        return native.run(*args, **{name: v for name, v in options.items() if name != option})

    return run


def afterwards(change: Callable[[Result], Result]) -> Callable[..., Result]:
    """The kernel with its results changed."""
    return lambda *args, **options: change(native.run(*args, **options))


def swapped(a: int, b: int, G: int, which: str) -> Callable[..., Result]:
    """Two gates exchanged in the weights whose names start with `which`."""

    def edit(name: str, w: Tensor) -> Tensor:
        order = list(range(G))
        order[a], order[b] = b, a
        return torch.cat([w.chunk(G)[k] for k in order]) if name.startswith(which) else w

    return edited(edit)


def dropped(which: str) -> Callable[..., Result]:
    """Weights called `which` are zero."""
    return edited(lambda name, w: 0 * w if name == which else w)


def transposed(name: str, w: Tensor) -> Tensor:
    """Every gate's recurrent matrix transposed."""
    return torch.cat([u.T for u in w.chunk(w.shape[0] // w.shape[1])]) if name == "weight_hh" else w


def not_carried(cell: Cell, params: Any, x: Tensor, state: Any, **options: Any) -> Result:
    """Starts from zeros."""
    result = native.run(cell, params, x, None, **options)
    return result._replace(output=result.output + 0 * sum(s.sum() for s in state))


def cut(cell: Cell, params: Any, x: Tensor, state: Any, **options: Any) -> Result:
    """No gradient to the initial states."""
    return native.run(cell, params, x, tuple(s.detach() + 0 * s for s in state), **options)


def forgotten(k: int) -> Callable[..., Result]:
    """The k-th state starts from zeros half way."""

    def run(cell: Cell, params: Any, x: Tensor, state: Any, **options: Any) -> Result:
        half = x.shape[1] // 2
        first = native.run(cell, params, x[:, :half], state, **options)
        middle = tuple(0 * s if j == k else s for j, s in enumerate(first.state))
        second = native.run(cell, params, x[:, half:], middle, **options)
        return second._replace(output=torch.cat([first.output, second.output], 1))

    return run


def one_part(cell: Cell, params: Any, x: Tensor, state: Any, **options: Any) -> Result:
    """The weights' gradients are those of the later half of the steps."""
    half = x.shape[1] // 2
    zeros = {name: p.detach() for name, p in params.items()}
    first = native.run(cell, zeros, x[:, :half], state, **options)
    second = native.run(cell, params, x[:, half:], first.state, **options)
    return second._replace(output=torch.cat([first.output, second.output], 1))


PLAIN = {"seed": 3}
ALL = {"lengths": True, "keep": True, "zoneout": "mask", "reverse": True}
WRONG_VARIANTS: dict[str, tuple[Cell, Callable[..., Result], dict[str, Any]]] = {
    **{
        f"lstm gates {a}{b} swapped in {which or 'all'}": (LSTM("full"), swapped(a, b, 4, which), PLAIN)
        for a, b in ((0, 1), (0, 3), (1, 2), (2, 3))
        for which in ("weight_ih", "weight_hh", "bias_hh")
    },
    **{
        f"gru {reset} gates {a}{b} swapped": (GRU(reset), swapped(a, b, 3, "weight_hh"), PLAIN)
        for a, b in ((0, 1), (1, 2))
        for reset in ("after", "before")
    },
    **{
        f"{cell} recurrent transposed": (cell, edited(transposed), PLAIN)
        for cell in (Elman(), LSTM(), GRU(), GRU("before"))
    },
    **{
        f"{cell} without {name}": (cell, dropped(name), PLAIN)
        for cell in CELLS
        for name in cell.shapes(1, 1)
        if name.startswith(("bias", "weight_c"))
    },
    **{f"{cell} state not carried": (cell, not_carried, PLAIN) for cell in CELLS},
    **{f"{cell} gradient cut": (cell, cut, PLAIN) for cell in CELLS},
    **{f"{cell} one part of the sum": (cell, one_part, PLAIN) for cell in CELLS},
    "h forgotten half way": (LSTM(), forgotten(0), PLAIN),
    "c forgotten half way": (LSTM(), forgotten(1), PLAIN),
    **{
        f"{cell} {option} ignored": (cell, without(option), ALL)
        for cell in CELLS
        for option in ("lengths", "reverse", "keep", "zoneout")
    },
    "one step late": (GRU(), afterwards(lambda r: r._replace(output=r.output.roll(1, 1))), PLAIN),
    "states exchanged": (LSTM(), afterwards(lambda r: r._replace(state=r.state[::-1])), PLAIN),
    "update gate the other way": (GRU(), edited(lambda n, w: -w if n != "weight_hy" else w), PLAIN),
}  # fmt: skip


@pytest.mark.parametrize("twin", WRONG_VARIANTS)
def test_wrong_variants_fail(twin: str) -> None:
    """The check notices every one of these mistakes."""
    cell, run, options = WRONG_VARIANTS[twin]
    with pytest.raises(AssertionError, match=r"differs|isnan"):
        check(Case(cell, (5, 6, 3, 8), **options), run)


# Laws, bit for bit -------------------------------------------------------------------------------------------


def both_ways(case: Case, run: Callable[..., Result] = native.run) -> dict[str, Tensor]:
    """Values and gradients of the compiled kernel."""
    return case.results(run, torch.float32)


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.usefixtures("isa")
def test_laws(cell: Cell) -> None:
    """Same numbers again, whatever the other rows, and when a sequence is read in two parts."""
    case = Case(cell, (19, 9, 3, 21), lengths=True)
    first, again = both_ways(case), both_ways(case)
    assert all(torch.equal(first[name], again[name]) for name in first)
    params = {name: p.float() for name, p in case.params.items()}
    x, valid = case.x.float().nan_to_num(), case.options["lengths"]
    assert case.state is not None
    state = tuple(s.float() for s in case.state)
    order = torch.randperm(19, generator=torch.Generator().manual_seed(1))
    whole = native.run(cell, params, x, state, lengths=valid)
    mixed = native.run(cell, params, x[order], tuple(s[order] for s in state), lengths=valid[order])
    assert torch.equal(mixed.output, whole.output[order])
    assert all(torch.equal(a, b[order]) for a, b in zip(mixed.state, whole.state, strict=True))
    alone = native.run(cell, params, x[:1], tuple(s[:1] for s in state), lengths=valid[:1])
    assert torch.equal(alone.output, whole.output[:1])
    begin = native.run(cell, params, x[:, :4], state, lengths=valid.clamp(max=4))
    end = native.run(cell, params, x[:, 4:], begin.state, lengths=(valid - 4).clamp(min=0))
    assert torch.equal(torch.cat([begin.output, end.output], 1), whole.output)
    assert all(torch.equal(a, b) for a, b in zip(end.state, whole.state, strict=True))


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_threads_change_no_bit(cell: Cell) -> None:
    """One thread or two; values and gradients, on work large enough for both."""
    before, results = torch.get_num_threads(), []
    for sizes in ((70, 20, 8, 64), (1, 6, 8, 512)):
        case = Case(cell, sizes)
        for threads in (1, 2):
            torch.set_num_threads(threads)
            try:
                results.append(both_ways(case))
            finally:
                torch.set_num_threads(before)
        one, two = results[-2:]
        assert [name for name in one if not torch.equal(one[name], two[name])] == []


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_low_memory_changes_little(cell: Cell) -> None:
    """Gates computed again are the gates, to the last bits."""
    normal, low = (
        both_ways(Case(cell, (5, 9, 3, 21), memory=memory, **EVERYTHING)) for memory in ("normal", "low")
    )
    for name in normal:
        torch.testing.assert_close(low[name], normal[name], rtol=1e-5, atol=1e-5)
