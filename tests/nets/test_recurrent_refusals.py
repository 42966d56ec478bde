"""What regen.nn refuses, in its exact words."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

import regen.nn as ours
from regen.cells import GRU, LSTM, Elman
from regen.nets._validation import check_input
from regen.nets.recurrent import recurrent

X = torch.zeros(2, 5, 3)
H0 = torch.zeros(1, 2, 4)


def call(
    cell: str = "gru", x: Any = X, hx: Any = None, lengths: Any = None, **options: Any
) -> Callable[[], Any]:
    """A net of 3 inputs and 4 hidden units called with these."""
    return lambda: recurrent(cell, 3, 4, **options)(x, hx, lengths=lengths)


CASES: list[tuple[Callable[[], Any], str]] = [
    (
        call(x=torch.zeros(2, 5, 3, 1)),
        "input has shape (2, 5, 3, 1); GRU takes sequences of 2 dimensions, or a batch of them with 3.",
    ),
    (
        call(x=torch.zeros(2, 5, 7)),
        "input has shape (2, 5, 7), 7 features; this GRU has input_size=3. Put the features in the last dimension.",
    ),
    (call(x=torch.zeros(2, 0, 3)), "input has no steps; GRU needs at least 1."),
    (
        call(x=X.double()),
        "input is torch.float64 and the weights of this GRU are torch.float32. "
        "Convert one: input.to(torch.float32) or net.to(torch.float64).",
    ),
    (
        call(x=X.long()),
        "input is torch.int64 and the weights of this GRU are torch.float32. Convert it: input.float().",
    ),
    (
        call(x=X.bool(), dtype=torch.float64),
        "input is torch.bool and the weights of this GRU are torch.float64. Convert it: input.to(torch.float64).",
    ),
    (
        lambda: check_input("LSTM", 3, torch.float32, X.numpy()),  # forward has its types checked in tests
        "input must be a torch tensor. Got ndarray instead: torch.as_tensor(input, dtype=torch.float32).",
    ),
    (
        lambda: check_input("GRU", 3, torch.float32, [[0.0, 0.0, 0.0]]),
        "input must be a torch tensor. Got list instead: torch.as_tensor(input, dtype=torch.float32).",
    ),
    (
        lambda: check_input("GRU", 3, torch.float32, torch.fx.Proxy(torch.fx.Graph().placeholder("x"))),
        "torch.fx cannot trace the inside of GRU. Keep it whole: trace with a torch.fx.Tracer whose is_leaf_module "
        "returns True for it.",
    ),
    (call(hx=(H0, H0)), "hx of GRU must be a tensor. Got 2 tensors instead."),
    (call("lstm", hx=H0), "hx of LSTM must be the tuple (h_0, c_0). Got a tensor instead."),
    (call("lstm", hx=(H0,)), "hx of LSTM must be the tuple (h_0, c_0). Got 1 tensors instead."),
    (
        call("lstm", hx=(H0, torch.zeros(1, 2, 5))),
        "c_0 has shape (1, 2, 5); LSTM expects (1, 2, 4), (layers * directions, batch, size).",
    ),
    (call(x=X[0], hx=H0), "h_0 has shape (1, 2, 4); GRU expects (1, 4), (layers * directions, size)."),
    (
        call(hx=torch.zeros(2, 2, 4), num_layers=2, bidirectional=True),
        "h_0 has shape (2, 2, 4); GRU expects (4, 2, 4), (layers * directions, batch, size).",
    ),
    (
        call("lstm", hx=(H0, H0.double())),
        "c_0 is torch.float64 and input is torch.float32. Convert it: c_0.to(torch.float32).",
    ),
    (
        call(lengths=torch.tensor([True, False])),
        "lengths has shape (2,) and type torch.bool; give one int for each of the 2 rows of input.",
    ),
    (
        call(lengths=torch.tensor([5, 2, 1])),
        "lengths has shape (3,) and type torch.int64; give one int for each of the 2 rows of input.",
    ),
    (
        call(lengths=torch.tensor([5.0, 2.0])),
        "lengths has shape (2,) and type torch.float32; give one int for each of the 2 rows of input.",
    ),
    (call(lengths=[6, 2]), "lengths must be from 0 to 5, the steps of input. Got 2 to 6 instead."),
    (call(lengths=[5, -1]), "lengths must be from 0 to 5, the steps of input. Got -1 to 5 instead."),
    (
        call(x=X[0], lengths=[5]),
        "lengths are for a batch and input is one sequence. Cut input to its length instead.",
    ),
    (
        call(x=pack_sequence([X[0]]), lengths=[5]),
        "input is a PackedSequence, which has its own lengths. Leave out lengths.",
    ),
    (
        call("jordan", backend="torch"),
        "backend='torch' cannot run this: torch has no jordan cell. Use backend='auto' or 'reference'.",
    ),
    (
        lambda: ours.LSTM(3, 4, proj_size=4),
        "The 'proj_size' parameter of LSTM must be smaller than hidden_size=4. Got 4 instead.",
    ),
    (
        lambda: ours.RNN(3, 4, cell="lstm"),
        "RNN runs the cells 'elman', 'diagonal', 'jordan'. Got LSTM(peephole='none', proj_size=0) instead. "
        "Use regen.nn.LSTM.",
    ),
    (
        lambda: ours.RNN(3, 4, cell=GRU()),
        "RNN runs the cells 'elman', 'diagonal', 'jordan'. Got GRU(reset='after') instead. Use regen.nn.GRU.",
    ),
    (lambda: ours.GRU(0, 4), "The 'input_size' parameter of GRU must be an int in [1, inf). Got 0 instead."),
    (
        lambda: ours.GRU(3, 4, dropout=1.5, num_layers=2),
        "The 'dropout' parameter of GRU must be a number in [0, 1]. Got 1.5 instead.",
    ),
    (
        lambda: ours.LSTM(3, 4, recurrent_dropout=1.0),
        "The 'recurrent_dropout' parameter of LSTM must be a number in [0, 1). Got 1.0 instead.",
    ),
    (
        lambda: ours.LSTM(3, 4, zoneout=(0.1, 0.2, 0.3)),
        "The 'zoneout' parameter of LSTM must be a number in [0, 1] or a tuple of 2 such numbers for (h, c). "
        "Got (0.1, 0.2, 0.3) instead.",
    ),
    (
        lambda: ours.GRU(3, 4, init="ortogonal"),
        "The 'init' parameter of GRU must be one of 'auto', 'torch', 'orthogonal', 'identity', 'chrono' or an Init. "
        "Got 'ortogonal' instead. Did you mean 'orthogonal'?",
    ),
    (
        lambda: ours.GRU(3, 4, backend="nativ"),
        "The 'backend' parameter of GRU must be one of 'auto', 'reference', 'torch', 'native'. "
        "Got 'nativ' instead. Did you mean 'native'?",
    ),
    (
        lambda: ours.GRU(3, 4, memory="less"),
        "The 'memory' parameter of GRU must be one of 'normal', 'low'. Got 'less' instead.",
    ),
    (
        lambda: ours.GRU(3, 4, bidirectional=True).stream(),
        "stream() runs forward in time and this net is bidirectional, which needs the whole sequence. "
        "Use bidirectional=False.",
    ),
    (lambda: ours.GRU(3, 4).stream(0), "batch must be at least 1. Got 0 instead."),
    (
        lambda: ours.GRU(3, 4).stream().step(torch.zeros(2, 3)),
        "x is torch.float32 on cpu with shape (2, 3); "
        "this stream takes torch.float32 on cpu with shape (1, 3) or (3,).",
    ),
    (
        lambda: ours.GRU(3, 4).stream(2).step(torch.zeros(3)),
        "x is torch.float32 on cpu with shape (3,); this stream takes torch.float32 on cpu with shape (2, 3).",
    ),
    (
        lambda: ours.GRU(3, 4).stream(2).step(torch.zeros(2, 3).double()),
        "x is torch.float64 on cpu with shape (2, 3); this stream takes torch.float32 on cpu with shape (2, 3).",
    ),
    (
        lambda: setattr(ours.LSTM(3, 4).stream(), "state", torch.zeros(1, 1, 4)),
        "state has the shapes (1, 1, 4); this stream has (1, 1, 4), (1, 1, 4).",
    ),
    (
        lambda: recurrent("lstn", 3, 4),
        "The cell must be one of 'elman', 'diagonal', 'jordan', 'lstm', 'gru'. Got 'lstn' instead. "
        "Did you mean 'lstm'?",
    ),
    (
        lambda: recurrent("lstm", 3, 4, num_layer=2),
        "A recurrent net has no option 'num_layer'. Did you mean 'num_layers'?",
    ),
    (
        lambda: ours.RNN(3, 4, nonlinearity="relu", cell=Elman()),
        "RNN was given nonlinearity='relu' and a cell with its own, Elman(nonlinearity='tanh'). "
        "Give it to the cell: Elman(nonlinearity='relu').",
    ),
    (lambda: recurrent(LSTM(), 3, 4, peephole="full"), "A recurrent net has no option 'peephole'."),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_refusal(case: int, message_of: Any) -> None:
    """Given, expected, and what to do."""
    run, words = CASES[case]
    assert message_of(ValueError, run) == words


def test_a_nonlinearity_is_never_lost() -> None:
    """By name or in the cell, relu it is; saying it in both is no contradiction."""
    for net in (
        ours.RNN(3, 4, nonlinearity="relu"),
        ours.RNN(3, 4, cell=Elman("relu")),
        ours.RNN(3, 4, nonlinearity="relu", cell=Elman("relu")),
    ):
        assert net.cell == Elman("relu")


def test_idle_dropout_warns() -> None:
    """Dropout between layers of a net with one layer is a mistake that torch warns of too."""
    words = (
        "dropout=0.2 acts between layers and this LSTM has one. "
        "Use num_layers of at least 2, or recurrent_dropout."
    )
    with pytest.warns(UserWarning, match=f"^{re.escape(words)}$"):
        ours.LSTM(3, 4, dropout=0.2)
