"""Infinite, NaN and huge numbers in the compiled kernels reach what they reach in the reference loop, and no more.

For each number of hidden units from 1 to 40, thus with every number of unused lanes in the last vector of units.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regen import nn as ours
from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.kernels import Result, native, reference
from regen.kernels.native import extension

if extension.native is None:
    pytest.skip(f"no compiled kernels: {extension.why_missing}", allow_module_level=True)
module: Any = extension.native

CELLS = [
    *(Elman(), Elman("relu"), Diagonal(), Diagonal("relu"), Jordan(), Jordan("relu", 3)),
    *(LSTM(), LSTM("output"), LSTM("full"), GRU(), GRU("before")),
]
HIDDEN = range(1, 41)
TOLERANCE = 1e-4
"""Of finite values, relative to the largest one (at least 1). Measured over all cases and numbers of units: 2.1e-5,
of a gradient of 1e30 through a saturated tanh, where the reference loop is as far from float64."""
CASES = [
    *((value, where) for value in (torch.inf, -torch.inf, torch.nan, 1e30) for where in ("x", "state")),
    *((value, "gradient") for value in (torch.nan, 1e30)),
]
"""One number of the input, the first state or the gradient of the output. Not an infinite gradient: there the order
of factors decides, inf * (h - n) or inf * h - inf * n, and torch's GRU takes the first."""


def inputs(cell: Cell, H: int, value: float, where: str) -> tuple[dict[str, Tensor], list[Tensor], Tensor]:
    """Parameters, x and states, and the gradient of the output, one number of which is `value`."""
    generator = torch.Generator().manual_seed(H)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    B, T, I = 3, 3, 2  # noqa: E741
    params = {name: draw(*s) * s[-1] ** -0.5 / 2 for name, s in cell.shapes(I, H).items()}
    leaves = [draw(B, T, I), *(draw(B, size) for size in cell.state_sizes(H))]
    grad = draw(B, T, leaves[1].shape[1])
    {"x": leaves[0], "state": leaves[-1], "gradient": grad}[where][1].view(-1)[0] = value
    return params, leaves, grad


def results(
    run: Callable[..., Result], cell: Cell, params: dict[str, Tensor], leaves: list[Tensor], grad: Tensor
) -> dict[str, Tensor]:
    """Output, last states, and all gradients by name."""
    fresh = [t.clone().requires_grad_() for t in (*leaves, *params.values())]
    x, *state = fresh[: len(leaves)]
    result = run(cell, dict(zip(params, fresh[len(leaves) :], strict=True)), x, tuple(state))
    grads = torch.autograd.grad(
        [result.output, *result.state], fresh, [grad, *map(torch.ones_like, result.state)]
    )
    found = {"output": result.output} | {f"last {k}": s for k, s in enumerate(result.state)}
    names = ("x", *(f"first {k}" for k in range(len(state))), *params)
    return found | {f"d {name}": g for name, g in zip(names, grads, strict=True)}


def check(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """NaN and infinities at the same places, and the finite numbers equal."""
    for name, right in expected.items():
        finite = right.isfinite()
        assert torch.equal(found[name].isfinite(), finite), f"{name}: other numbers are finite"
        assert torch.equal(found[name][~finite].nan_to_num(), right[~finite].nan_to_num()), (
            f"{name}: NaN for infinite, or another sign"
        )
        error = (found[name][finite] - right[finite]).abs()
        if finite.any():
            assert error.max() <= TOLERANCE * right[finite].abs().max().clamp_min(1), f"{name} differs"


def case_of(H: int) -> tuple[float, str]:
    """The case of one number of units."""
    return CASES[(H + H // 10) % len(CASES)]


def low_memory(*args: Any) -> Result:
    """The kernel that recomputes its gates in the backward pass."""
    return native.run(*args, memory="low")


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.usefixtures("isa")
def test_no_more_is_reached_than_by_the_reference(cell: Cell) -> None:
    """The cases in turn over the numbers of units."""
    for H in HIDDEN:
        drawn = inputs(cell, H, *case_of(H))
        expected = results(reference.run, cell, *drawn)
        for run in (native.run, low_memory):
            check(results(run, cell, *drawn), expected)


def test_every_case_is_met() -> None:
    """By four numbers of units, of which at least three fill no vector of eight."""
    for case in CASES:
        assert sum(case_of(H) == case and H % 8 > 0 for H in HIDDEN) >= 3


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
@pytest.mark.usefixtures("isa")
def test_as_torch(name: str) -> None:
    """One infinite number in x of a net of five units: no gradient of x is NaN, as in ``torch.nn``."""
    net = getattr(ours, name)(4, 5, batch_first=True, backend="native")
    theirs = getattr(nn, name)(4, 5, batch_first=True)
    theirs.load_state_dict(net.state_dict())
    grads = []
    for each in (net, theirs):
        x = torch.linspace(-1, 1, 24).view(2, 3, 4)
        x[0, 1, 2] = torch.inf
        x.requires_grad_()
        each(x)[0].sum().backward()
        assert not x.grad.isnan().any()
        grads.append(x.grad)
    torch.testing.assert_close(*grads)


def padded(*args: Any) -> Result:
    """The wrong twin: one product more, 0 times the output, as a lane that takes part would add it."""
    result = native.run(*args)
    return result._replace(output=result.output + 0 * result.output.sum())


def test_the_wrong_twin_fails() -> None:
    """A lane of zeros that takes part in a sum makes NaN of an infinite number, and is noticed."""
    drawn = inputs(LSTM(), 5, torch.nan, "x")
    with pytest.raises(AssertionError, match=r"^output: other numbers are finite"):
        check(results(padded, LSTM(), *drawn), results(reference.run, LSTM(), *drawn))
