"""Backend "torch" against the reference loop, one layer and one direction, on every device there is."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from regen.cells import GRU, LSTM, Cell, Elman
from regen.kernels import Result, reference, torch_fused

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")),
]
CELLS = [Elman(), Elman("relu"), LSTM(), LSTM(proj_size=3), GRU()]
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5}
"""Largest error allowed in a value, and in a gradient of size about 1. Measured over this file, on CPU:
float64 1.6e-15, float32 6.7e-7."""


def check(
    run: Callable[..., Result],
    cell: Cell,
    dtype: torch.dtype,
    device: str,
    *,
    reverse: bool = False,
    lengths: Tensor | None = None,
    bias: bool = True,
) -> float:
    """Largest error of `run` against the reference loop in outputs, states and all gradients; raises if too large."""
    generator = torch.Generator().manual_seed(11)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(device, dtype).requires_grad_()

    B, T, I, H = 5, 7, 3, 6  # noqa: E741
    params = {name: draw(*shape) for name, shape in cell.shapes(I, H, bias).items()}
    x, state = draw(B, T, I), tuple(draw(B, size) for size in cell.state_sizes(H))
    leaves = [x, *state, *params.values()]
    numbers: list[list[Tensor]] = []
    for kernel in (run, reference.run):
        result = kernel(cell, params, x, state, lengths=lengths, reverse=reverse)
        results = [result.output, *result.state]
        loss = sum(
            (t * torch.cos(torch.arange(t.numel(), device=device).view(t.shape))).sum() for t in results
        )
        numbers.append([*results, *torch.autograd.grad(loss, leaves)])  # type: ignore[arg-type]
    worst = max(
        ((a - b).abs().max() / b.abs().max().clamp_min(1)).item() for a, b in zip(*numbers, strict=True)
    )
    assert worst <= TOLERANCES[dtype], f"{worst:.1e} is above {TOLERANCES[dtype]:.0e}"
    return worst


LENGTHS = [None, [7, 7, 7, 7, 7], [2, 7, 1, 5, 5]]


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_equals_the_reference(
    cell: Cell, lengths: list[int] | None, reverse: bool, dtype: torch.dtype
) -> None:
    """Values and every gradient, h_0 and c_0 included."""
    valid = None if lengths is None else torch.tensor(lengths)
    check(torch_fused.run, cell, dtype, "cpu", reverse=reverse, lengths=valid)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_equals_the_reference_on_cuda(cell: Cell, dtype: torch.dtype) -> None:
    """CuDNN as well, in full float32 products."""
    for lengths in LENGTHS:
        valid = None if lengths is None else torch.tensor(lengths)
        with torch.backends.cudnn.flags(allow_tf32=False):
            check(torch_fused.run, cell, dtype, "cuda", reverse=True, lengths=valid)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_without_bias(cell: Cell) -> None:
    """The flat list of weights is shorter then."""
    check(torch_fused.run, cell, torch.float64, "cpu", bias=False)


def ignoring(name: str) -> Callable[..., Result]:
    """A kernel that does not see one of its arguments."""
    return lambda *args, **options: torch_fused.run(
        *args, **options | {name: None if name == "lengths" else False}
    )


def detached(
    cell: Cell, params: dict[str, Tensor], x: Tensor, state: tuple[Tensor, ...], **options: object
) -> Result:
    """The same values with no gradient to the initial state."""
    return torch_fused.run(cell, params, x, tuple(s.detach() + 0 * s for s in state), **options)  # type: ignore[arg-type]


def blocks_turned(cell: Cell, params: dict[str, Tensor], *args: object, **options: object) -> Result:
    """The gates of the input matrix one place further."""
    reversed_x = {name: p.roll(6, 0) if name == "weight_ih" else p for name, p in params.items()}
    return torch_fused.run(cell, reversed_x, *args, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "twin",
    [ignoring("lengths"), ignoring("reverse"), detached, blocks_turned],
    ids=["lengths", "reverse", "h0", "gates"],
)  # fmt: skip
@pytest.mark.parametrize("cell", [LSTM(), GRU()], ids=str)
def test_wrong_variants_fail(cell: Cell, twin: Callable[..., Result]) -> None:
    """Lengths or direction ignored, no gradient to h_0, gates in another order: float32's tolerance notices."""
    with pytest.raises(AssertionError):
        check(twin, cell, torch.float32, "cpu", reverse=True, lengths=torch.tensor([2, 7, 1, 5, 5]))


def test_reversed_steps() -> None:
    """Valid steps reversed row by row, padding where it was; twice is nothing."""
    x = torch.arange(8.0).reshape(2, 4, 1)
    reversed_x = torch_fused.reversed_steps(x, torch.tensor([4, 2]))
    assert reversed_x[..., 0].tolist() == [[3, 2, 1, 0], [5, 4, 6, 7]]
    assert torch.equal(torch_fused.reversed_steps(reversed_x, torch.tensor([4, 2])), x)


def test_projection_does_not_warn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch remarks once that oneDNN has no projection; users of proj_size need not see that, in any thread."""
    params = {name: torch.randn(shape) for name, shape in LSTM(proj_size=2).shapes(3, 4).items()}
    torch_fused._use_up_projection_warning.cache_clear()
    torch.set_warn_always(True)
    try:
        torch_fused._use_up_projection_warning()
        with pytest.warns(UserWarning, match="LSTM with projections"):
            torch_fused.run(LSTM(proj_size=2), params, torch.randn(2, 3, 3))
    finally:
        torch.set_warn_always(False)
    monkeypatch.setattr(warnings, "catch_warnings", None)  # which would change the filters of all threads
    torch_fused.run(LSTM(proj_size=2), params, torch.randn(2, 3, 3))
