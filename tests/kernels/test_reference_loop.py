"""The generic loop: lengths, direction, dropout inside, zoneout, gates, and transforms of torch.func."""

import pytest
import torch
from torch import Tensor
from torch.func import grad, jacfwd, jacrev, vmap

from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.kernels import reference

CELLS = [
    Elman(),
    Diagonal("relu"),
    Jordan(proj_size=3),
    LSTM("full", proj_size=2),
    LSTM(),
    GRU("before"),
    GRU(),
]
H = 4


def weights(cell: Cell, seed: int = 0) -> dict[str, Tensor]:
    """Random parameters for I = 2."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(shape, generator=generator, dtype=torch.float64) * 0.5
        for name, shape in cell.shapes(2, H).items()
    }


def draw(*shape: int, seed: int = 1) -> Tensor:
    """Normal numbers in float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_shapes_of_the_result(cell: Cell) -> None:
    """Output, states and gates have the documented shapes; gates only when requested."""
    result = reference.run(cell, weights(cell), draw(3, 5, 2), gates=True)
    sizes = cell.state_sizes(H)
    assert result.output.shape == (3, 5, sizes[0])
    assert [tuple(s.shape) for s in result.state] == [(3, size) for size in sizes]
    assert all(gate.shape == (3, 5, H) for gate in result.gates.values())
    assert torch.equal(result.output[:, -1], result.state[0])
    assert reference.run(cell, weights(cell), draw(3, 5, 2)).gates == {}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_lengths_are_rows_run_alone(cell: Cell, reverse: bool) -> None:
    """A row with a length gives what the cut row gives on its own, zeros beyond, and never reads padding."""
    params, x, lengths = weights(cell), draw(4, 5, 2), torch.tensor([5, 3, 1, 0])
    for row, length in enumerate(lengths):
        x[row, length:] = torch.nan
    start = tuple(draw(4, size, seed=k) for k, size in enumerate(cell.state_sizes(H)))
    whole = reference.run(cell, params, x, start, lengths=lengths, reverse=reverse, gates=True)
    for row, length in enumerate(lengths.tolist()):
        before = tuple(s[row : row + 1] for s in start)
        assert not whole.output[row, length:].any()
        assert not any(gate[row, length:].any() for gate in whole.gates.values())
        if length == 0:
            assert all(torch.equal(s[row], b[0]) for s, b in zip(whole.state, before, strict=True))
            continue
        alone = reference.run(cell, params, x[row : row + 1, :length], before, reverse=reverse, gates=True)
        torch.testing.assert_close(whole.output[row, :length], alone.output[0])
        for s, b in zip(whole.state, alone.state, strict=True):
            torch.testing.assert_close(s[row], b[0])
        for name, gate in whole.gates.items():
            torch.testing.assert_close(gate[row, :length], alone.gates[name][0])


def test_no_gradient_reaches_padding() -> None:
    """Padding of NaN leaves every gradient finite, and its own at zero."""
    params, x = weights(LSTM()), draw(2, 4, 2)
    x[1, 2:] = torch.nan
    x.requires_grad_()
    U = params["weight_hh"].requires_grad_()
    result = reference.run(LSTM(), params, x, lengths=torch.tensor([4, 2]))
    (result.output.sum() + result.state[1].sum()).backward()
    assert x.grad is not None and U.grad is not None
    assert not x.grad[1, 2:].any() and x.grad[1, :2].all()
    assert U.grad.isfinite().all()


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_reverse_is_the_flipped_sequence(cell: Cell) -> None:
    """Reverse direction = flip, run, flip back; the last state is that after the first step."""
    x, params = draw(3, 5, 2), weights(cell)
    back = reference.run(cell, params, x, reverse=True)
    ahead = reference.run(cell, params, x.flip(1))
    torch.testing.assert_close(back.output, ahead.output.flip(1), rtol=0, atol=1e-12)
    assert torch.equal(back.state[0], back.output[:, 0])


def test_gates_satisfy_the_equation() -> None:
    """c_t = f c_{t-1} + i g and h_t = o tanh(c_t) hold among what is returned."""
    start = (draw(3, H), draw(3, H, seed=2))
    output, _, g = reference.run(LSTM("full"), weights(LSTM("full")), draw(3, 5, 2), start, gates=True)
    before = torch.cat([start[1][:, None], g["c"][:, :-1]], 1)
    torch.testing.assert_close(g["c"], g["f"] * before + g["i"] * g["g"])
    torch.testing.assert_close(output, g["o"] * g["c"].tanh())


def test_recurrent_dropout_is_one_mask_for_all_steps() -> None:
    """Silencing a unit's feedback = a zero column in the recurrent matrix; doubling = a doubled one."""
    params, x = weights(Elman()), draw(3, 5, 2)
    factors = torch.tensor([0.0, 2.0, 1.0, 1.0], dtype=torch.float64)
    dropped = reference.run(Elman(), params, x, keep=factors.expand(3, H))
    edited = reference.run(Elman(), params | {"weight_hh": params["weight_hh"] * factors}, x)
    torch.testing.assert_close(dropped.output, edited.output)


def test_zoneout_by_hand() -> None:
    """H and c keep a fraction of their old values; h is made of the new c (Krueger et al. 2017, eq. 4 to 6)."""
    cell, params, x = LSTM(), weights(LSTM()), draw(2, 2, 2)
    h, c = draw(2, H), draw(2, H, seed=2)
    result = reference.run(cell, params, x, (h, c), zoneout=(0.3, 0.8), gates=True)
    for t in range(2):
        _, (fresh_h, fresh_c), _ = cell.step(params, cell.project(params, x[:, t]), (h, c))
        h, c = 0.3 * h + 0.7 * fresh_h, 0.8 * c + 0.2 * fresh_c
        torch.testing.assert_close(result.output[:, t], h)
        torch.testing.assert_close(result.gates["c"][:, t], c)


def test_zoneout_masks() -> None:
    """With masks of 0 and 1 a state is either the new one or the old one, unit by unit and step by step."""
    x, params, start = draw(3, 6, 2), weights(GRU()), draw(3, H)
    kept = (draw(3, 6, H, seed=5) > 0).double()
    output = reference.run(GRU(), params, x, (start,), zoneout=[kept]).output
    before = torch.cat([start[:, None], output[:, :-1]], 1)
    assert torch.equal(output == before, kept.bool())


@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # torch's own, inside jacfwd
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_torch_func(cell: Cell) -> None:
    """Vmap over rows = the batch; reverse and forward Jacobians agree; per-sample gradients add up."""
    params, x = weights(cell), draw(3, 4, 2)

    def one(row: Tensor) -> Tensor:
        return reference.run(cell, params, row[None]).output[0]

    def loss(p: dict[str, Tensor], row: Tensor) -> Tensor:
        return reference.run(cell, p, row[None]).output.square().sum()

    torch.testing.assert_close(vmap(one)(x), reference.run(cell, params, x).output)
    torch.testing.assert_close(jacrev(one)(x[0]), jacfwd(one)(x[0]))
    each = vmap(grad(loss), (None, 0))(params, x)
    total = grad(lambda p: reference.run(cell, p, x).output.square().sum())(params)
    for name in params:
        torch.testing.assert_close(each[name].sum(0), total[name])
