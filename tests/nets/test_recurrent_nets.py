"""regen.nn as a module: layouts, lengths, packed and single sequences, gates, dropout, zoneout, and its life."""

import copy
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Init, Jordan
from regen.kernels import reference
from regen.nets.recurrent import Recurrent, recurrent

CELLS = [
    Elman(),
    Diagonal("relu"),
    Jordan(proj_size=3),
    LSTM(),
    LSTM("full", proj_size=2),
    GRU(),
    GRU("before"),
]
LENGTHS = torch.tensor([5, 2, 3, 1])


def made(cell: Cell, **options: Any) -> Recurrent:
    """Three inputs, four hidden units, float64, always the same weights."""
    torch.manual_seed(4)
    net = recurrent(cell, 3, 4, dtype=torch.float64, **options)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.uniform_(-0.8, 0.8)
    return net


def draw(*shape: int, seed: int = 1) -> Tensor:
    """Normal numbers in float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tuple_of(hidden: Any) -> tuple[Tensor, ...]:
    """The states as a tuple, also when there is one."""
    return (hidden,) if isinstance(hidden, Tensor) else hidden


def same(results: Any, expected: Any) -> None:
    """Outputs, states and gates equal to 1e-12 (measured: 3e-16)."""
    torch.testing.assert_close(results, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_layers_and_directions_are_cells_in_a_row(cell: Cell) -> None:
    """Two layers, two directions = four runs of the loop, concatenated; states from l0, l0_reverse, l1, ..."""
    net, x = made(cell, num_layers=2, bidirectional=True), draw(4, 5, 3)
    output, hidden, gates = net(x, lengths=LENGTHS, return_gates=True)
    states, results = [], []
    for layer in range(2):
        sides = []
        for suffix in ("", "_reverse"):
            params = {n: net.get_parameter(f"{n}_l{layer}{suffix}") for n in cell.shapes(1, 4)}
            result = reference.run(cell, params, x, lengths=LENGTHS, reverse=suffix != "", gates=True)
            sides.append(result.output)
            states.append(result.state)
            results.append(result.gates)
        x = torch.cat(sides, -1)
    same(output, x)
    same(tuple_of(hidden), tuple(torch.stack(s) for s in zip(*states, strict=True)))
    same(gates, {name: torch.stack([g[name] for g in results]) for name in results[0]})


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_time_first(cell: Cell) -> None:
    """Without batch_first everything but the state has time in front."""
    first, x = made(cell, bidirectional=True), draw(4, 5, 3)
    second = made(cell, bidirectional=True, batch_first=False)
    output, hidden, gates = first(x, return_gates=True)
    other, states, results = second(x.transpose(0, 1), return_gates=True)
    assert other.shape[:2] == (5, 4)
    same(other.transpose(0, 1), output)
    same(states, hidden)
    same({name: gate.transpose(1, 2) for name, gate in results.items()}, gates)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_one_sequence(cell: Cell, batch_first: bool) -> None:
    """A (T, I) input is a batch of one without its B, in states and gates too."""
    net, x = made(cell, num_layers=2, batch_first=batch_first), draw(5, 3)
    start = tuple(draw(2, size, seed=size) for size in cell.state_sizes(4))
    batch = made(cell, num_layers=2)
    hx = start if len(start) > 1 else start[0]
    more = tuple(s[:, None] for s in start)
    output, hidden, gates = net(x, hx, return_gates=True)
    expected, states, results = batch(x[None], more if len(more) > 1 else more[0], return_gates=True)
    same(output, expected[0])
    same(tuple_of(hidden), tuple(s[:, 0] for s in tuple_of(states)))
    same(gates, {name: gate[:, 0] for name, gate in results.items()})


@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_packed_is_lengths(cell: Cell, enforce_sorted: bool) -> None:
    """A PackedSequence comes back packed in its own order, with the numbers that lengths give."""
    net, x = made(cell, num_layers=2, bidirectional=True), draw(4, 5, 3)
    lengths = LENGTHS.sort(descending=True)[0] if enforce_sorted else LENGTHS
    start = tuple(draw(4, 4, size, seed=size) for size in cell.state_sizes(4))
    hx = start if len(start) > 1 else start[0]
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=enforce_sorted)
    output, hidden = net(packed, hx)
    expected, states = net(x, hx, lengths=lengths)
    assert isinstance(output, PackedSequence)
    assert torch.equal(output.batch_sizes, packed.batch_sizes)
    assert output.sorted_indices is packed.sorted_indices
    same(pad_packed_sequence(output, batch_first=True, total_length=5)[0], expected)
    same(hidden, states)


def test_empty_rows() -> None:
    """Length 0 gives zeros and the initial state back, through the reference loop; a list of lengths will do."""
    net, x, h = made(GRU()), draw(2, 5, 3), draw(1, 2, 4)
    output, hidden = net(x, h, lengths=[5, 0])
    assert net.backend_.startswith("reference: torch's operators need at least one valid step in every row; ")
    assert not output[1].any()
    assert torch.equal(hidden[:, 1], h[:, 1])


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_empty_batch(cell: Cell) -> None:
    """No rows in, no rows out, with lengths as well."""
    net, x = made(cell, num_layers=2, bidirectional=True), draw(0, 5, 3)
    for lengths in (None, []):
        output, hidden = net(
            x, lengths=lengths if lengths is None else torch.tensor(lengths, dtype=torch.int64)
        )
        assert output.shape == (0, 5, 2 * net.output_size)
        assert all(s.shape[:2] == (4, 0) for s in tuple_of(hidden))


def test_gates_do_not_change_the_output() -> None:
    """Asking for gates changes who runs it and nothing else; c_n is the last context."""
    net, x = made(LSTM(), num_layers=2), draw(4, 5, 3)
    output, (h, c), gates = net(x, return_gates=True)
    assert net.backend_.startswith("reference: torch's operators keep their gates to themselves; ")
    assert sorted(gates) == ["c", "f", "g", "i", "o"]
    same(gates["c"][:, :, -1], c)
    same((output, (h, c)), net(x))
    assert net.backend_.startswith("torch: its fused LSTM on cpu; ")


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_dropout_between_layers(backend: str) -> None:
    """Dropout of 1 leaves the second layer without input; it is off in evaluation and after the last layer."""
    net, x = made(GRU(), num_layers=2, dropout=1.0, backend=backend), draw(4, 5, 3)
    params = {n: net.get_parameter(f"{n}_l1") for n in GRU().shapes(4, 4)}
    same(net(x)[0], reference.run(GRU(), params, torch.zeros(4, 5, 4, dtype=torch.float64)).output)
    same(net.eval()(x)[0], made(GRU(), num_layers=2)(x)[0])


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_recurrent_dropout(cell: Cell) -> None:
    """One draw for every call, constant over time, off in evaluation; the first step has no output to drop."""
    net, x = made(cell, recurrent_dropout=0.5), draw(4, 5, 3)
    first, second, plain = net(x)[0], net(x)[0], made(cell)(x)[0]
    assert net.backend_.startswith("reference")
    assert not torch.equal(first, second)
    same(first[:, 0], plain[:, 0])
    same(net.eval()(x)[0], plain)


def test_recurrent_dropout_keeps_the_expectation() -> None:
    """Factors are 0 or 1 / (1 - p): with p = 0.75 a single relu unit receives 0 or 4 times its past."""
    net = recurrent(Diagonal("relu"), 1, 1, recurrent_dropout=0.75, init="identity", bias=False)
    with torch.no_grad():
        net.weight_ih_l0.fill_(1.0)
    torch.manual_seed(0)
    last = net(torch.ones(4000, 2, 1))[0][:, 1, 0]
    assert sorted(last.unique().tolist()) == [1.0, 5.0]
    assert last.mean().item() == pytest.approx(
        2.0, abs=0.13
    )  # 5 standard errors, 4 * sqrt(0.25 * 0.75 / 4000)


@pytest.mark.parametrize("zoneout", [0.3, (0.3, 0.6)])
def test_zoneout(zoneout: Any) -> None:
    """Random in training, the expectation in evaluation; the pair is for (h, c)."""
    net, x = made(LSTM(), zoneout=zoneout), draw(64, 6, 3)
    params = {n: net.get_parameter(f"{n}_l0") for n in LSTM().shapes(3, 4)}
    pair = zoneout if isinstance(zoneout, tuple) else (zoneout, zoneout)
    torch.manual_seed(0)
    output, _, gates = net(x, return_gates=True)
    for results, z in zip((output, gates["c"][0]), pair, strict=True):
        kept = (results[:, 1:] == results[:, :-1]).double().mean().item()
        assert kept == pytest.approx(z, abs=0.07)  # 5 standard errors of 64 * 5 * 4 draws
    same(net.eval()(x)[0], reference.run(LSTM(), params, x, zoneout=pair).output)


def test_copies_and_transforms() -> None:
    """deepcopy, a state dict through another net, functional_call and per-sample gradients give the same numbers."""
    net, x = made(LSTM("full")), draw(4, 5, 3)
    twin, other = copy.deepcopy(net), recurrent(LSTM("full"), 3, 4, dtype=torch.float64)
    other.load_state_dict(net.state_dict())
    params = dict(net.named_parameters())
    for copied in (twin(x)[0], other(x)[0], functional_call(net, params, (x,))[0]):
        assert torch.equal(copied, net(x)[0])
    plain = made(GRU())

    def loss(weights: dict[str, Tensor], row: Tensor) -> Tensor:
        return functional_call(plain, weights, (row,))[0].square().sum()

    each = vmap(grad(loss), (None, 0))(dict(plain.named_parameters()), x)
    assert plain.backend_ == "reference: a torch.func transform is under way"
    plain(x)[0].square().sum().backward()
    for name, gradient in each.items():
        same(gradient.sum(0), plain.get_parameter(name).grad)


def test_changes_of_weights_have_an_effect() -> None:
    """Parametrisations, new parameters and other precisions reach the backend, which keeps no weights of its own."""
    net, x = made(GRU()), draw(4, 5, 3)
    before = net(x)[0]
    net.weight_hh_l0 = nn.Parameter(net.weight_hh_l0 * 0)
    assert not torch.equal(net(x)[0], before)
    nn.utils.parametrizations.weight_norm(net, "weight_ih_l0")
    net(x)[0].sum().backward()
    assert net.parametrizations.weight_ih_l0.original0.grad is not None
    assert made(GRU()).float()(x.float())[0].dtype == torch.float32


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_bfloat16_autocast(cell: Cell) -> None:
    """Under autocast float32 nets run, learn, and stay near their float32 selves."""
    net, x = made(cell).float(), draw(4, 5, 3).float()
    with torch.autocast("cpu", torch.bfloat16):
        output, _ = net(x)
    output.float().sum().backward()
    torch.testing.assert_close(output.float(), net(x)[0], rtol=0, atol=0.1)


def test_start() -> None:
    """Init reaches every layer and direction; "torch" draws what torch.nn draws; reset_parameters draws anew."""
    torch.manual_seed(9)
    expected = nn.GRU(3, 4, 2, bidirectional=True).state_dict()
    torch.manual_seed(9)
    net = recurrent("gru", 3, 4, num_layers=2, bidirectional=True, init="torch")
    assert all(torch.equal(net.get_parameter(name), w) for name, w in expected.items())
    net.reset_parameters()
    assert not torch.equal(net.weight_hh_l0, expected["weight_hh_l0"])
    lstm = recurrent("lstm", 3, 4, num_layers=2, bidirectional=True, init=Init(forget_bias=2.0))
    for suffix in ("l0", "l0_reverse", "l1", "l1_reverse"):
        assert lstm.get_parameter(f"bias_ih_{suffix}")[4:8].tolist() == [2.0] * 4
    slow = recurrent("lstm", 3, 64, init=Init("chrono", max_lag=500))
    assert slow.bias_ih_l0[64:128].max() > 5


def test_description() -> None:
    """The repr has what differs from the defaults."""
    assert repr(recurrent("gru", 3, 4, num_layers=2)) == (
        "GRU(3, 4, cell=GRU(reset='after'), num_layers=2, batch_first=True)"
    )
    assert recurrent("jordan", 3, 4, proj_size=2).output_size == 2
    assert recurrent("gru", 3, 4).backend_ == "none yet: call the net first"


COMPILED = """
import torch
from regen.nets import recurrent
for cell, options in (("gru", {}), ("lstm", {"peephole": "full"})):
    net, x = recurrent(cell, 3, 4, **options), torch.randn(4, 5, 3)
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x)[0], net(x)[0])
"""


@pytest.mark.slow
def test_compiles_without_a_break() -> None:
    """torch.compile(fullgraph=True) takes torch's operators and the loop; apart from the checks of annotations."""
    subprocess.run([sys.executable, "-c", COMPILED], check=True)
