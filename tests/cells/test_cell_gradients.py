"""First and second derivatives of every cell, through the reference loop, against finite differences."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.kernels import reference

CELLS = [
    Elman(), Elman("relu"), Diagonal(), Jordan(), Jordan(proj_size=1),
    LSTM(), LSTM("output"), LSTM("full"), LSTM("full", proj_size=1), GRU(), GRU("before"),
]  # fmt: skip


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_derivatives(cell: Cell, check: object) -> None:
    """By x, every initial state and every parameter, with lengths and reverse direction in play."""
    generator = torch.Generator().manual_seed(7)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)

    shapes = cell.shapes(2, 2)
    states = [draw(2, size) for size in cell.state_sizes(2)]
    lengths = torch.tensor([3, 2])

    def whole(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        params = dict(zip(shapes, rest[len(states) :], strict=True))
        result = reference.run(
            cell, params, x, rest[: len(states)], lengths=lengths, reverse=cell == LSTM(), gates=True
        )
        return (result.output, *result.state, *result.gates.values())

    inputs = (draw(2, 3, 2), *states, *(draw(*shape) for shape in shapes.values()))
    assert check(whole, inputs, fast_mode=True)  # type: ignore[operator]
