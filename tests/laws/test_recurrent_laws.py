"""What must hold for every recurrent net, whatever its numbers; each law has a wrong twin that breaks it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.nets.recurrent import Recurrent, recurrent

# Largest difference allowed, on outputs below 1, and the largest measured over 600 random nets:
#    law                    allowed  measured
TOLERANCE = {
    "split": 1e-12,  #               4.4e-16
    "permutation": 1e-12,  #         5.6e-17
    "padding": 0.0,  #               0
    "prefix": 1e-12,  #              8.9e-16
    "reverse": 1e-12,  #             2.2e-16
    "past": 0.0,  #                  0
    "backends": 1e-12,  #            3.3e-16
}
CELLS = [Elman(), Diagonal(), Jordan(), Jordan(proj_size=2), LSTM(), LSTM("full", 2), GRU(), GRU("before")]
I, H = 2, 4  # noqa: E741
Net = Callable[..., Any]


def differ(results: Tensor, expected: Tensor) -> float:
    """Largest difference."""
    assert results.shape == expected.shape
    return float((results - expected).abs().max()) if results.numel() else 0.0


def tuple_of(hidden: Any) -> tuple[Tensor, ...]:
    """The states as a tuple, also when there is one."""
    return (hidden,) if isinstance(hidden, Tensor) else hidden


def split(net: Net, x: Tensor, lengths: Tensor) -> float:
    """A sequence read in two pieces with the state carried = the sequence read at once."""
    cut = max(1, x.shape[1] // 2)
    whole, last = net(x)
    head, carried = net(x[:, :cut])
    tail, end = net(x[:, cut:], carried)
    return max(
        differ(torch.cat([head, tail], 1), whole),
        *(differ(a, b) for a, b in zip(tuple_of(end), tuple_of(last), strict=True)),
    )


def permutation(net: Net, x: Tensor, lengths: Tensor) -> float:
    """Rows in another order give outputs and states in that order."""
    order = torch.randperm(x.shape[0], generator=torch.Generator().manual_seed(3))
    output, last = net(x, lengths=lengths)
    other, end = net(x[order], lengths=lengths[order])
    return max(
        differ(other, output[order]),
        *(differ(a, b[:, order]) for a, b in zip(tuple_of(end), tuple_of(last), strict=True)),
    )


def padding(net: Net, x: Tensor, lengths: Tensor) -> float:
    """What stands in the padding, even NaN, changes nothing."""
    beyond = torch.arange(x.shape[1]) >= lengths[:, None]
    filled = x.masked_fill(beyond[..., None], torch.nan)
    output, last = net(x, lengths=lengths)
    other, end = net(filled, lengths=lengths)
    results = [
        differ(other, output),
        *(differ(a, b) for a, b in zip(tuple_of(end), tuple_of(last), strict=True)),
    ]
    return max(torch.inf if d != d else d for d in results)


def prefix(net: Net, x: Tensor, lengths: Tensor) -> float:
    """A row with a length = the cut row on its own."""
    output, _ = net(x, lengths=lengths)
    rows = [(row, int(n)) for row, n in enumerate(lengths) if n]
    return max((differ(net(x[r : r + 1, :n])[0][0], output[r, :n]) for r, n in rows), default=0.0)


def past(net: Net, x: Tensor, lengths: Tensor) -> float:
    """The outputs before a step do not depend on that step: no window sees its future."""
    step = x.shape[1] // 2
    changed = x.clone()
    changed[:, step:] += 1
    return differ(net(changed)[0][:, :step], net(x)[0][:, :step])


def reverse(net: Net, x: Tensor, lengths: Tensor) -> float:
    """With the weights of the two directions exchanged, the flipped sequence gives the flipped, exchanged outputs."""
    assert isinstance(net, Recurrent)
    P, state = net.output_size, {name: w.clone() for name, w in net.state_dict().items()}
    exchanged = {k: state[k.removesuffix("_reverse") if "reverse" in k else f"{k}_reverse"] for k in state}
    output = net(x)[0]
    net.load_state_dict(exchanged)
    other = net(x.flip(1))[0].flip(1)
    net.load_state_dict(state)
    return max(differ(other[..., :P], output[..., P:]), differ(other[..., P:], output[..., :P]))


def backends(net: Net, x: Tensor, lengths: Tensor) -> float:
    """Whoever runs it, the numbers are those of the reference loop."""
    assert isinstance(net, Recurrent)
    results = net(x, lengths=lengths)[0]
    net.backend, before = "reference", net.backend
    expected = net(x, lengths=lengths)[0]
    net.backend = before
    return differ(results, expected)


LAWS = {
    "split": (split, {"num_layers": 2}),
    "permutation": (permutation, {"bidirectional": True}),
    "padding": (padding, {"num_layers": 2, "bidirectional": True}),
    "prefix": (prefix, {"num_layers": 2, "bidirectional": True}),
    "past": (past, {"num_layers": 2}),
    "reverse": (reverse, {"bidirectional": True}),
    "backends": (backends, {"num_layers": 2, "bidirectional": True}),
}


def made(cell: Cell, seed: int, **options: Any) -> Recurrent:
    """A net with large random weights."""
    torch.manual_seed(seed)
    net = recurrent(cell, I, H, dtype=torch.float64, **options).requires_grad_(False)
    for parameter in net.parameters():
        parameter.uniform_(-0.8, 0.8)
    return net


def drawn(seed: int, B: int, T: int) -> tuple[Tensor, Tensor]:
    """A batch and its lengths, some of them 0."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(B, T, I, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, T + 1, (B,), generator=generator)


@pytest.mark.parametrize("law", LAWS)
@settings(max_examples=40)
@given(cell=st.sampled_from(CELLS), seed=st.integers(0, 2**31), B=st.integers(1, 4), T=st.integers(2, 7))
def test_law(law: str, cell: Cell, seed: int, B: int, T: int) -> None:
    """For every cell, whoever runs it."""
    check, options = LAWS[law]
    assert check(made(cell, seed, **options), *drawn(seed, B, T)) <= TOLERANCE[law]


def dropping_state(net: Recurrent) -> Net:
    """Starts every piece from zeros."""
    return lambda x, hx=None, lengths=None: net(x, lengths=lengths)


def carrying_output_only(net: Recurrent) -> Net:
    """Carries h and loses c."""
    return lambda x, hx=None, lengths=None: net(x, hx and (hx[0], 0 * hx[1]), lengths=lengths)


def mixing_rows(net: Recurrent) -> Net:
    """Every row receives the first one."""
    return lambda x, hx=None, lengths=None: net(x + x[:1], hx, lengths=lengths)


def blind_to_lengths(net: Recurrent) -> Net:
    """Reads the padding."""
    return lambda x, hx=None, lengths=None: net(x, hx)


def from_the_end(net: Recurrent) -> Net:
    """The reverse direction starts in the padding: every row flipped whole."""

    def run(x: Tensor, hx: Any = None, lengths: Any = None) -> Any:
        ahead, last = net(x, hx, lengths=lengths)
        back, _ = net(x.flip(1), hx)
        return torch.cat([ahead[..., :H], back.flip(1)[..., :H]], -1), last

    return run


def seeing_ahead(net: Recurrent) -> Net:
    """Off by one: reads the next step."""
    return lambda x, hx=None, lengths=None: net(x.roll(-1, 1), hx, lengths=lengths)


WRONG_VARIANTS = [
    ("split", dropping_state), ("split", carrying_output_only), ("permutation", mixing_rows),
    ("padding", blind_to_lengths), ("prefix", blind_to_lengths), ("prefix", from_the_end),
    ("past", seeing_ahead),
]  # fmt: skip


@pytest.mark.parametrize(("law", "twin"), WRONG_VARIANTS)
def test_wrong_variants_break_the_law(law: str, twin: Callable[[Recurrent], Net]) -> None:
    """The same check, at the same tolerance, on a net with a known mistake."""
    check, options = LAWS[law]
    net, batch = made(LSTM(), 1, **options), drawn(1, 4, 6)
    assert check(net, *batch) <= TOLERANCE[law]
    assert check(twin(net), *batch) > TOLERANCE[law]


def test_bidirectional_sees_the_future() -> None:
    """The law of the past is not empty: a net with a reverse direction breaks it."""
    assert past(made(GRU(), 1, bidirectional=True), *drawn(1, 4, 6)) > 0.01
