"""Each cell against two steps worked by hand, with weights that all differ."""

from collections.abc import Callable
from math import exp, tanh

import pytest
import torch
from torch import Tensor

from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.kernels import reference

X = (0.5, -1.0)


def sigmoid(a: float) -> float:
    """1 / (1 + e^-a)."""
    return 1 / (1 + exp(-a))


def tensors(**numbers: object) -> dict[str, Tensor]:
    """Parameters in float64."""
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in numbers.items()}


def played(cell: Cell, params: dict[str, Tensor], *state: list[float]) -> Tensor:
    """Outputs of two steps over X, (T, P)."""
    x = torch.tensor(X, dtype=torch.float64).reshape(1, 2, 1)
    before = tuple(torch.tensor([s], dtype=torch.float64) for s in state) or None
    return reference.run(cell, params, x, before).output[0]


def holds(cell: Cell, params: dict[str, Tensor], expected: list[list[float]], *state: list[float]) -> None:
    """The check of this file: outputs equal the hand-worked ones to 1e-12 (measured: 6e-17)."""
    torch.testing.assert_close(
        played(cell, params, *state), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12
    )


ELMAN = tensors(
    weight_ih=[[0.6], [-0.4]], weight_hh=[[0.5, -0.3], [0.2, 0.7]], bias_ih=[0.1, -0.2], bias_hh=[0.05, 0.3]
)


def elman(f: Callable[[float], float], a: float = 0.2, b: float = -0.1) -> list[list[float]]:
    """Two units, written out."""
    results = []
    for x in X:
        a, b = (f(0.6 * x + 0.1 + 0.5 * a - 0.3 * b + 0.05), f(-0.4 * x - 0.2 + 0.2 * a + 0.7 * b + 0.3))
        results.append([a, b])
    return results


def relu(a: float) -> float:
    """The larger of a and 0."""
    return max(a, 0.0)


def test_diagonal_by_hand() -> None:
    """Each unit receives its own previous output only."""
    params = tensors(weight_ih=[[0.6], [-0.4]], weight_hh=[0.9, -0.5], bias_ih=[0.1, -0.2])
    a, b, expected = 0.2, -0.1, []
    for x in X:
        a, b = tanh(0.6 * x + 0.1 + 0.9 * a), tanh(-0.4 * x - 0.2 - 0.5 * b)
        expected.append([a, b])
    holds(Diagonal(), params, expected, [0.2, -0.1])


def test_jordan_by_hand() -> None:
    """The readout comes back: y is one number, h is two."""
    params = tensors(
        weight_ih=[[0.6], [-0.4]], weight_yh=[[0.8], [-0.7]], weight_hy=[[0.3, -1.1]], bias_ih=[0.1, -0.2],
        bias_hy=[0.25],
    )  # fmt: skip
    y, expected = 0.4, []
    for x in X:
        a, b = tanh(0.6 * x + 0.1 + 0.8 * y), tanh(-0.4 * x - 0.2 - 0.7 * y)
        y = 0.3 * a - 1.1 * b + 0.25
        expected.append([y])
    holds(Jordan(proj_size=1), params, expected, [0.4])


LSTM_ONE = {
    "weight_ih": [[0.1], [0.2], [0.3], [0.4]],
    "weight_hh": [[0.5], [-0.6], [0.7], [-0.8]],
    "bias_ih": [0.11, 0.12, 0.13, 0.14],
    "bias_hh": [0.21, 0.22, 0.23, 0.24],
}
PEEPHOLES = {"weight_ci": [0.9], "weight_cf": [-0.35], "weight_co": [0.45]}


def lstm(wi: float, wf: float, wo: float, scale: float = 1.0) -> list[list[float]]:
    """One memory cell, written out; its peepholes as arguments."""
    h, c, results = 0.3, -0.2, []
    for x in X:
        i = sigmoid(0.1 * x + 0.5 * h + 0.32 + wi * c)
        f = sigmoid(0.2 * x - 0.6 * h + 0.34 + wf * c)
        g = tanh(0.3 * x + 0.7 * h + 0.36)
        c = f * c + i * g
        o = sigmoid(0.4 * x - 0.8 * h + 0.38 + wo * c)
        h = scale * o * tanh(c)
        results.append([h])
    return results


BY_HAND: dict[str, tuple[Cell, dict[str, Tensor], list[list[float]], *tuple[list[float], ...]]] = {
    "elman": (Elman(), ELMAN, elman(tanh), [0.2, -0.1]),
    "elman, relu": (Elman("relu"), ELMAN, elman(relu), [0.2, -0.1]),
    "lstm": (LSTM(), tensors(**LSTM_ONE), lstm(0, 0, 0), [0.3], [-0.2]),
    # The output gate receives the new context, the input and forget gates the old one.
    "output peephole": (LSTM("output"), tensors(**LSTM_ONE, weight_co=[0.45]),
        lstm(0, 0, 0.45), [0.3], [-0.2]),
    "full peepholes": (LSTM("full"), tensors(**LSTM_ONE, **PEEPHOLES),
        lstm(0.9, -0.35, 0.45), [0.3], [-0.2]),
    # The recurrent input and the output are R h.
    "projection": (LSTM(proj_size=1), tensors(**LSTM_ONE, weight_hr=[[1.5]]),
        lstm(0, 0, 0, scale=1.5), [0.3], [-0.2]),
}  # fmt: skip


@pytest.mark.parametrize("case", BY_HAND)
def test_by_hand(case: str) -> None:
    """From states that are not 0, with gates and biases that all differ."""
    holds(*BY_HAND[case])


def test_two_numbers_on_paper() -> None:
    """The first of the Elman net, and that of the unit that is 0 at the second step under relu."""
    assert elman(tanh)[0][0] == pytest.approx(tanh(0.58))
    assert elman(relu)[1][0] == 0.0


GRU_ONE = {
    "weight_ih": [[0.1], [0.2], [0.3]],
    "weight_hh": [[0.5], [-0.6], [0.7]],
    "bias_ih": [0.11, 0.12, 0.13],
    "bias_hh": [0.21, 0.22, 0.23],
}


@pytest.mark.parametrize("reset", ["after", "before"])
def test_gru_by_hand(reset: str) -> None:
    """With one unit the two conventions differ in what the reset gate does to the recurrent bias."""
    h, expected = 0.3, []
    for x in X:
        r = sigmoid(0.1 * x + 0.11 + 0.5 * h + 0.21)
        z = sigmoid(0.2 * x + 0.12 - 0.6 * h + 0.22)
        recurrent = r * (0.7 * h + 0.23) if reset == "after" else 0.7 * r * h + 0.23
        h = (1 - z) * tanh(0.3 * x + 0.13 + recurrent) + z * h
        expected.append([h])
    holds(GRU(reset), tensors(**GRU_ONE), expected, [0.3])


def swapped(values: list[object], a: int, b: int) -> list[object]:
    """The list with two places exchanged."""
    values = list(values)
    values[a], values[b] = values[b], values[a]
    return values


START = [0.2, -0.1]
WRONG = {
    "elman transposed": (Elman(), ELMAN | {"weight_hh": ELMAN["weight_hh"].T}, elman(tanh), START),
    "elman without a bias": (Elman(), {k: ELMAN[k] for k in ELMAN if k != "bias_hh"}, elman(tanh), START),
    "state not carried": (Elman(), ELMAN, elman(tanh)),
    "relu for tanh": (Elman("relu"), ELMAN, elman(tanh), START),
    "context not carried": (LSTM(), tensors(**LSTM_ONE), lstm(0, 0, 0), [0.3], [0.0]),
    "peephole missing": (LSTM("output"), tensors(**LSTM_ONE, weight_co=[0.45]),
        lstm(0.9, -0.35, 0.45), [0.3], [-0.2]),
    "peepholes swapped": (LSTM("full"), tensors(**LSTM_ONE, **PEEPHOLES),
        lstm(-0.35, 0.9, 0.45), [0.3], [-0.2]),
    "reset before for after": (GRU("before"), tensors(**GRU_ONE),
        played(GRU("after"), tensors(**GRU_ONE), [0.3]).tolist(), [0.3]),
} | {
    f"lstm gates {a} and {b} swapped in {name}": (
        LSTM(), tensors(**LSTM_ONE | {name: swapped(LSTM_ONE[name], a, b)}), lstm(0, 0, 0), [0.3], [-0.2]
    )
    for a in range(4)
    for b in range(a)
    for name in ("weight_ih", "weight_hh", "bias_ih")
}  # fmt: skip


@pytest.mark.parametrize("twin", WRONG)
def test_wrong_variants_fail(twin: str) -> None:
    """The check of this file notices each of these mistakes."""
    with pytest.raises(AssertionError):
        holds(*WRONG[twin])


@pytest.mark.parametrize(
    ("cell", "names"),
    [(LSTM(), "ifgoc"), (LSTM("full"), "ifgoc"), (GRU(), "rzn"), (Jordan(), "h"), (Elman(), "")],
)
def test_gates_are_returned_by_name(cell: Cell, names: str) -> None:
    """A step returns the gates that the cell has, each (B, H), and the first state is the output."""
    params = {name: torch.randn(shape) for name, shape in cell.shapes(3, 4).items()}
    state = tuple(torch.randn(2, size) for size in cell.state_sizes(4))
    output, after, gates = cell.step(params, cell.project(params, torch.randn(2, 3)), state)
    assert output is after[0]
    assert "".join(gates) == names
    assert all(gate.shape == (2, 4) for gate in gates.values())


def test_dropout_is_only_inside_the_recurrent_product() -> None:
    """A GRU with a zero recurrent matrix keeps the old output through its update gate."""
    params = tensors(**GRU_ONE)
    h, keep = torch.tensor([[0.3]], dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    wx = GRU().project(params, torch.tensor([[0.5]], dtype=torch.float64))
    _, (after,), gates = GRU().step(params, wx, (h,), keep)
    z = sigmoid(0.2 * 0.5 + 0.12 + 0.22)
    assert gates["z"].item() == pytest.approx(z)
    assert after.item() == pytest.approx((1 - z) * gates["n"].item() + z * 0.3)
