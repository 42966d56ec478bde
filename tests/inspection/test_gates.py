"""Gates, contexts and states of every unit and step: equal to the equations, for our nets, torch's and estimators."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import regen
from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.inspect import clamp, gates, parts
from regen.kernels import reference
from regen.nets import recurrent

# Largest error allowed, and the largest that was measured over all cases of this file.
TOLERANCE = 4e-6  # 6e-7
CELLS = [
    LSTM(),
    LSTM("output"),
    LSTM("full"),
    LSTM(proj_size=3),
    GRU(),
    GRU("before"),
    Elman(),
    Elman("relu"),
]
CELLS += [Diagonal(), Jordan(), Jordan(proj_size=2)]
LETTERS = {
    LSTM: {"i": "input", "f": "forget", "g": "candidate", "o": "output", "c": "context"},
    GRU: {"r": "reset", "z": "update", "n": "candidate"},
    Jordan: {"h": "hidden"},
}


def oracle(net: Any, x: Tensor, lengths: Tensor | None = None) -> dict[str, np.ndarray]:
    """The gates of every layer and direction, (L, D, B, T, size), by the reference loop in float64."""
    D, recorded = 1 + net.bidirectional, []
    weights = {name: w.detach().double() for name, w in net.named_parameters()}
    layer_input = x.double()
    for layer in range(net.num_layers):
        outputs = []
        for suffix in (f"_l{layer}", f"_l{layer}_reverse")[:D]:
            params = {name.removesuffix(suffix): w for name, w in weights.items() if name.endswith(suffix)}
            options = {"lengths": lengths, "reverse": suffix.endswith("reverse"), "gates": True}
            result = reference.run(net.cell, params, layer_input, **options)
            names = LETTERS.get(type(net.cell), {})
            recorded.append({names[k]: gate for k, gate in result.gates.items()} | {"state": result.output})
            outputs.append(result.output)
        layer_input = torch.cat(outputs, -1)
    stacked = {word: torch.stack([each[word] for each in recorded]) for word in recorded[0]}
    return {word: v.unflatten(0, (-1, D)).numpy() for word, v in stacked.items()}


def worst(found: Any, expected: dict[str, np.ndarray]) -> float:
    """Largest difference of any gate."""
    assert set(found.values) == set(expected)
    return max(float(np.nanmax(np.abs(found[word].values - expected[word]))) for word in expected)


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize(("layers", "both"), [(1, False), (2, True)])
def test_equal_to_the_equations(cell: Cell, layers: int, both: bool) -> None:
    """Every gate of every layer, direction and step, from the fastest backend; a gate of another place is seen."""
    torch.manual_seed(0)
    net = recurrent(cell, 3, 5, num_layers=layers, bidirectional=both)
    x = torch.randn(4, 9, 3)
    found, expected = gates(net, x), oracle(net, x)
    assert worst(found, expected) < TOLERANCE
    state = found["state"]
    assert state.axes == ("layer", "direction", "sequence", "step", "unit")
    assert state.shape == (layers, 1 + both, 4, 9, cell.state_sizes(5)[0])
    wrong = {
        "a step late": {word: np.roll(v, 1, axis=3) for word, v in expected.items()},
        "units turned": {word: v[..., ::-1] for word, v in expected.items()},
        "sequences turned": {word: v[:, :, ::-1] for word, v in expected.items()},
    }
    if both:
        wrong["directions swapped"] = {word: v[:, ::-1] for word, v in expected.items()}
        wrong["layers swapped"] = {word: v[::-1] for word, v in expected.items()}
    if isinstance(cell, LSTM):
        wrong["i for f"] = expected | {"input": expected["forget"], "forget": expected["input"]}
    for name, twin in wrong.items():
        assert worst(found, twin) > 100 * TOLERANCE, name


@pytest.mark.parametrize(
    "module",
    [
        nn.LSTM(3, 5, 2, bidirectional=True),
        nn.LSTM(3, 6, proj_size=2, batch_first=True),
        nn.GRU(3, 5, bias=False, batch_first=True),
        nn.RNN(3, 5, nonlinearity="relu"),
        nn.LSTM(3, 5, dtype=torch.float64),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_modules_of_torch(module: Any) -> None:
    """Nets of torch.nn: gates as of the net of ours with the same weights, states as torch returns them."""
    x = torch.randn(4, 4, 3, dtype=module.weight_ih_l0.dtype)
    rows = x if module.batch_first else x.transpose(0, 1)
    found = gates(module, x.numpy())
    kind = {"LSTM": "lstm", "GRU": "gru"}.get(module.mode, "elman")
    options = {"num_layers": module.num_layers, "bidirectional": module.bidirectional, "bias": module.bias}
    options |= {"proj_size": module.proj_size} if kind == "lstm" else {}
    options |= {"nonlinearity": "relu"} if module.mode == "RNN_RELU" else {}
    net = recurrent(kind, 3, module.hidden_size, **options)
    net.load_state_dict(module.state_dict())
    assert worst(found, oracle(net, rows)) < TOLERANCE
    outputs = module(x)[0].detach().numpy()
    state = np.concatenate(list(found["state"].values[-1]), -1)
    assert np.abs((outputs if module.batch_first else outputs.swapaxes(0, 1)) - state).max() < TOLERANCE


def test_ends_of_sequences_are_not_numbers() -> None:
    """Past a sequence's end every gate is NaN, before it as if the sequence were alone; both directions."""
    torch.manual_seed(0)
    module, x, lengths = nn.LSTM(3, 5, bidirectional=True, batch_first=True), torch.randn(3, 8, 3), [8, 2, 5]
    found = gates(
        module, pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    )
    for word, values in found.values.items():
        for row, length in enumerate(lengths):
            alone = gates(module, x[row : row + 1, :length])[word].values[:, :, 0]
            assert np.isnan(values.values[:, :, row, length:]).all(), word
            np.testing.assert_allclose(values.values[:, :, row, :length], alone, atol=TOLERANCE)
    assert found.inputs is not None
    assert np.isnan(found.inputs.values[1, 2:]).all() and not np.isnan(found.inputs.values[1, :2]).any()


class Net(nn.Module):
    """A model of a user: two nets of torch, dropout, and a batch norm that is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.LSTM(2, 6, batch_first=True)
        self.second = nn.GRU(6, 5, batch_first=True)
        self.drop, self.norm = nn.Dropout(0.5), nn.BatchNorm1d(5)
        self.norm.eval()
        self.fails = False

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.second(self.drop(self.first(x)[0]))
        if self.fails:
            raise RuntimeError("on purpose")
        return self.norm(h[:, -1])


def test_a_model_is_left_as_it_was() -> None:
    """Modes, methods, gradients and torch's seed are what they were, also after an error inside the model."""
    net, x = Net(), torch.randn(3, 4, 2)
    modes = {name: module.training for name, module in net.named_modules()}
    methods = {name: set(vars(module)) for name, module in net.named_modules()}
    random_state = torch.random.get_rng_state()
    assert parts(net) == ("first", "second")
    before = gates(net, x, part="second")["update"].values
    with clamp(net, output=0.0):
        assert np.abs(gates(net, x, part="second")["update"].values - before).max() > 1e-3
    net.fails = True
    with pytest.raises(RuntimeError, match="on purpose"):
        gates(net, x, part="second")
    net.fails = False
    assert {name: module.training for name, module in net.named_modules()} == modes
    assert {name: set(vars(module)) for name, module in net.named_modules()} == methods
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert all(parameter.grad is None for parameter in net.parameters())
    assert np.array_equal(gates(net, x, part="second")["update"].values, before)


@pytest.mark.parametrize("cell", ["diagonal", "lstm"])
def test_recorded_values_stay(cell: str) -> None:
    """What is put together late is what went on when the model read: neither weights nor lengths of later."""
    net, x, lengths = recurrent(cell, 2, 3, num_layers=2), torch.randn(2, 5, 2), torch.tensor([5, 3])

    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            output, _, recorded = self.net(
                x, lengths=lengths, return_gates=True
            )  # it goes on getting its own
            assert bool(recorded) == (cell == "lstm")
            return output[:, -1]

    early, late = gates(Reader(), x), gates(Reader(), x)
    seen, lived = early["state"].values.copy(), early.units()["half_life"].to_numpy()
    with torch.no_grad():
        for weight in net.parameters():
            weight.zero_()
    lengths.fill_(1)
    np.testing.assert_array_equal(late["state"].values, seen)
    np.testing.assert_array_equal(late.units()["half_life"].to_numpy(), lived)
    assert np.isnan(seen[:, :, 1, 3:]).all() and not np.isnan(seen[:, :, 1, :3]).any()


def test_a_net_that_is_called_step_by_step() -> None:
    """Calls that go on from each other are steps of the same sequences, equal to reading them at once."""

    class Stepwise(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRU(2, 3, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            outputs, state = [], None
            for t in range(x.shape[1]):
                out, state = self.cell(x[:, t : t + 1], state)
                outputs.append(out)
            return torch.cat(outputs, 1)

    torch.manual_seed(0)
    net, x = Stepwise(), torch.randn(3, 6, 2)
    whole = gates(net.cell, x)["reset"].values
    assert np.abs(gates(net, x)["reset"].values - whole).max() < TOLERANCE
    assert np.abs(gates(net, x)["reset"].values - whole[:, :, :, ::-1]).max() > 0.01


def test_batches_that_are_no_steps_are_refused() -> None:
    """A net that is run on batches of other sizes in turn."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRU(2, 3, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.cell(x)[0][:1] + self.cell(x[:1])[0]

    message = "The net was run on batches of 3, 1 rows in turn, which are no steps of the same sequences."
    with pytest.raises(ValueError, match=re.escape(message)):
        gates(Twice(), torch.randn(3, 4, 2))


ONE = torch.zeros(1, 1, 2)
REFUSED: list[tuple[Any, Any, dict[str, Any], str]] = [
    (
        nn.Linear(2, 3),
        ONE,
        {},
        "There is no recurrent net in this Linear. Inspect a model that holds an LSTM, GRU",
    ),
    (
        nn.GRU(2, 3),
        ONE,
        {"part": "nett"},
        "There is no part 'nett'. The recurrent nets of this model are 'net'.",
    ),
    (nn.GRU(2, 3), ONE, {"y": [0]}, "GRU has no input for labels. Leave out y."),
    (nn.GRU(2, 3), [["a"]], {}, "X must hold numbers. Got list of <U1 instead."),
    (3, [0], {}, "A model must be a fitted estimator of regen or a torch module. Got int instead."),
]


@pytest.mark.parametrize(("model", "X", "options", "message"), REFUSED)
def test_refusals(model: Any, X: Any, options: dict[str, Any], message: str) -> None:
    """What was given, what was expected, what to do."""
    with pytest.raises(ValueError, match=re.escape(message)):
        gates(model, X, **options)


def test_a_part_that_does_not_run_and_a_word_that_is_not_there() -> None:
    """A net that the model holds but does not run; a gate that the cell does not have."""

    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.GRU(2, 3), nn.LSTM(2, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)[0]

    message = "'idle' was not run by the model. Inspect that net itself, with its own input."
    with pytest.raises(ValueError, match=re.escape(message)):
        gates(Idle(), torch.zeros(1, 1, 2), part="idle")
    found = gates(Idle(), torch.zeros(1, 1, 2))
    message = "The cell GRU has no 'forget'. It has 'reset', 'update', 'candidate', 'state'."
    with pytest.raises(ValueError, match=re.escape(message)):
        found["forget"]
    assert found["z"] is found["update"]


def test_an_unfitted_estimator() -> None:
    """scikit-learn's own refusal."""
    with pytest.raises(ValueError, match="not fitted yet"):
        gates(regen.Forecaster(), np.arange(100.0))


def test_half_precision() -> None:
    """Gates of nets in bfloat16 are returned in float32, as numpy has no such numbers."""
    net, x = nn.GRU(3, 5, batch_first=True), torch.randn(2, 4, 3)
    expected, found = gates(net, x)["reset"], gates(net.bfloat16(), x.bfloat16())["reset"]
    assert found.values.dtype == np.float32
    assert 0 < np.abs(found.values - expected.values).max() < 0.02
