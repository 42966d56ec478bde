"""How weights start, and what a cell refuses."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regen.cells import GRU, LSTM, NAMES, Cell, Diagonal, Elman, Init, Jordan, named, options

EYE = torch.eye(8)


def started(cell: Cell, init: str = "auto", bias: bool = True, **choices: object) -> dict[str, Tensor]:
    """Parameters for I = 5 and H = 8, filled."""
    params = {name: torch.full(shape, 9.0) for name, shape in cell.shapes(5, 8, bias).items()}
    cell.initialise(params, init, torch.Generator().manual_seed(0), **choices)  # type: ignore[arg-type]
    return params


@pytest.mark.parametrize("cell", [Elman(), LSTM("full"), GRU()], ids=str)
@pytest.mark.parametrize("init", ["auto", "orthogonal", "chrono"])
def test_recurrent_matrices_are_orthogonal_gate_by_gate(cell: Cell, init: str) -> None:
    """U^T U = 1 for every gate, and no two gates start alike."""
    if init == "chrono" and cell == Elman():
        init = "auto"
    blocks = started(cell, init, max_lag=20)["weight_hh"].chunk(len(cell.gates))
    for block in blocks:
        torch.testing.assert_close(block.T @ block, EYE)
    assert len({round(block[0, 0].item(), 6) for block in blocks}) == len(blocks)


def test_glorot_bound_is_that_of_one_gate() -> None:
    """Input matrices stay within sqrt(6 / (I + H)) and come near it."""
    largest = started(LSTM())["weight_ih"].abs().max().item()
    assert 0.9 * (6 / 13) ** 0.5 < largest <= (6 / 13) ** 0.5


def test_forget_gate_starts_open() -> None:
    """The forget gate's bias is 1, or `forget_bias`; all other biases and peepholes are 0."""
    for init, expected in (({}, 1.0), ({"forget_bias": 2.5}, 2.5)):
        params = started(LSTM("full"), **init)
        i, f, g, o = params["bias_ih"].chunk(4)
        assert f.tolist() == [expected] * 8
        assert not torch.cat([i, g, o, params["bias_hh"]]).any()
        assert not torch.cat([params[name] for name in ("weight_ci", "weight_cf", "weight_co")]).any()


def test_chrono_lstm() -> None:
    """b_f = log(U(1, max_lag - 1)) and b_i = -b_f."""
    i, f, _, _ = started(LSTM(), "chrono", max_lag=100)["bias_ih"].chunk(4)
    assert torch.equal(i, -f)
    assert 0 <= f.min() < f.max() <= torch.tensor(99.0).log()
    assert f.unique().numel() == 8


def test_chrono_gru() -> None:
    """The update gate, which keeps the past, gets the long memory; the others start at 0."""
    r, z, n = started(GRU(), "chrono", max_lag=100)["bias_ih"].chunk(3)
    assert 0 <= z.min() < z.max() <= torch.tensor(99.0).log()
    assert not r.any() and not n.any()


def test_identity() -> None:
    """The IRNN: U = 1, small inputs; for a diagonal u = 1."""
    params = started(Elman("relu"), "identity")
    assert torch.equal(params["weight_hh"], EYE)
    assert params["weight_ih"].abs().max() < 0.005
    assert started(Diagonal(), "identity")["weight_hh"].tolist() == [1.0] * 8


def test_diagonal_memories_differ() -> None:
    """U from U(0, 1) by default, signs with "orthogonal"."""
    u = started(Diagonal())["weight_hh"]
    assert 0 <= u.min() < u.max() <= 1
    assert started(Diagonal(), "orthogonal")["weight_hh"].unique().tolist() == [-1.0, 1.0]


def test_jordan_start() -> None:
    """What comes back is orthogonal, the biases are zero."""
    params = started(Jordan(proj_size=3))
    torch.testing.assert_close(params["weight_yh"].T @ params["weight_yh"], torch.eye(3))
    assert not params["bias_hy"].any()


@pytest.mark.parametrize(
    ("cell", "theirs", "extra"),
    [
        (Elman(), nn.RNN, {}),
        (LSTM(), nn.LSTM, {}),
        (LSTM(proj_size=3), nn.LSTM, {"proj_size": 3}),
        (GRU(), nn.GRU, {}),
    ],
    ids=str,
)
def test_torch_draws(cell: Cell, theirs: type[nn.RNNBase], extra: dict[str, int]) -> None:
    """init="torch" gives the very weights of torch.nn from the same seed."""
    torch.manual_seed(3)
    expected = theirs(5, 8, **extra).state_dict()
    params = {name: torch.empty(shape) for name, shape in cell.shapes(5, 8).items()}
    torch.manual_seed(3)
    cell.initialise(params, "torch")
    assert [f"{name}_l0" for name in params] == list(expected)
    assert all(torch.equal(params[name], expected[f"{name}_l0"]) for name in params)


def test_half_precision_starts() -> None:
    """QR has no half precision; the start has."""
    params = {name: torch.empty(shape, dtype=torch.bfloat16) for name, shape in GRU().shapes(5, 8).items()}
    GRU().initialise(params)
    block = params["weight_hh"][:8].float()
    torch.testing.assert_close(block.T @ block, EYE, rtol=0, atol=0.05)


def test_named() -> None:
    """A name and its options give the cell."""
    assert NAMES == ("elman", "diagonal", "jordan", "lstm", "gru")
    assert named("lstm", peephole="full", proj_size=2) == LSTM("full", 2)
    assert named("gru", reset="before") == GRU("before")
    assert options("jordan") == ("nonlinearity", "proj_size")


REFUSALS = [
    (
        lambda: named("lsmt"),
        "The cell must be one of 'elman', 'diagonal', 'jordan', 'lstm', 'gru'. Got 'lsmt' instead. "
        "Did you mean 'lstm'?",
    ),
    (
        lambda: named("gru", peephole="full"),
        "The cell 'gru' has no option 'peephole'. It has 'reset'.",
    ),
    (
        lambda: named("lstm", peehole="full"),
        "The cell 'lstm' has no option 'peehole'. It has 'peephole', 'proj_size'. Did you mean 'peephole'?",
    ),
    (
        lambda: LSTM("ful"),
        "The 'peephole' parameter of LSTM must be one of 'none', 'output', 'full'. Got 'ful' instead. "
        "Did you mean 'full'?",
    ),
    (
        lambda: Elman("sigmoid"),
        "The 'nonlinearity' parameter of Elman must be one of 'tanh', 'relu'. Got 'sigmoid' instead.",
    ),
    (
        lambda: Diagonal("sigmoid"),
        "The 'nonlinearity' parameter of Diagonal must be one of 'tanh', 'relu'. Got 'sigmoid' instead.",
    ),
    (lambda: GRU("never"), "The 'reset' parameter of GRU must be one of 'after', 'before'. Got 'never' instead."),
    (lambda: Jordan(proj_size=-1), "The 'proj_size' parameter of Jordan must be an int in [0, inf). Got -1 instead."),
    (
        lambda: started(LSTM(), "crono"),
        "The 'init' parameter of LSTM must be one of 'auto', 'torch', 'orthogonal', 'identity', 'chrono'. "
        "Got 'crono' instead. Did you mean 'chrono'?",
    ),
    (
        lambda: Init("chrono", max_lag=2),
        "The 'max_lag' parameter of Init must be None or an int in [3, inf). Got 2 instead.",
    ),
    (
        lambda: started(LSTM(), "chrono"),
        "init='chrono' needs max_lag, the longest lag to be remembered in steps. Got None instead.",
    ),
    (
        lambda: started(GRU(), "chrono", bias=False, max_lag=9),
        "init='chrono' sets the biases of gates and bias=False leaves none. Use bias=True.",
    ),
    (
        lambda: started(Elman(), "chrono", max_lag=9),
        "init='chrono' sets the biases of gates and Elman has none. Use init='orthogonal' or init='identity'.",
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(REFUSALS)))
def test_refusals(case: int, message_of: Any) -> None:
    """Each refusal in its exact words."""
    call, words = REFUSALS[case]
    assert message_of(ValueError, call) == words
