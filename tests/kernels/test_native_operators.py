"""The compiled kernels as operators of torch: torch's own checks of them, and programs that are traced."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.library import opcheck

from regen.cells import GRU, LSTM, Cell, Diagonal, Elman, Jordan
from regen.kernels.native import _operators, extension
from regen.nets.recurrent import recurrent

if extension.native is None:
    pytest.skip(f"no compiled kernels: {extension.why_missing}", allow_module_level=True)

CELLS = [Elman("relu"), Diagonal(), Jordan("tanh", 3), LSTM(), LSTM("full"), GRU(), GRU("before")]
B, T, I, H = 3, 4, 2, 5  # noqa: E741
VALID = torch.tensor([4, 0, 2])


def arguments(cell: Cell, bias: bool, noise: bool) -> list[Any]:
    """What the operator takes, ending with `save`."""
    shapes = cell.shapes(I, H, bias)
    sizes = cell.state_sizes(H)
    weights = [torch.randn(shape, requires_grad=True) for shape in shapes.values()]
    x, state = (
        torch.randn(B, T, I, requires_grad=True),
        [torch.randn(B, n, requires_grad=True) for n in sizes],
    )
    present = [name in shapes for name in cell.shapes(I, H)]
    word = _operators._cell_name(cell)
    if not noise:
        absent = [None, False, None, [], [0.0] * len(sizes), False, False, False, True]
        return [word, x, weights, state, present, *absent]
    keep, masks = torch.rand(B, sizes[0]), [torch.rand(B, T, n) for n in sizes]
    everything = [VALID, True, keep, masks, [-1.0] * len(sizes), True, True, True, True]
    return [word, x, weights, [], present, *everything]


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_torch_checks_the_operators(cell: Cell, noise: bool) -> None:
    """Schema, autograd and fake implementation; the buffer kept for the backward pass has gaps, not compared."""
    torch.manual_seed(1)
    for bias in (True, False):
        checks = ("test_schema", "test_autograd_registration", "test_faketensor")
        opcheck(torch.ops.regen.unfold.default, arguments(cell, bias, noise), test_utils=checks)


def test_the_operator_refuses() -> None:
    """Called by anyone, it checks shapes and lengths before it reads."""
    args = arguments(GRU(), True, True)
    with pytest.raises(ValueError, match=r"^lengths must be from 0 to 4"):
        torch.ops.regen.unfold(*args[:5], VALID + 1, *args[6:])
    with pytest.raises(ValueError, match=r"^weight_ih is torch.float32 on cpu with shape"):
        torch.ops.regen.unfold(args[0], torch.randn(B, T, I + 1), *args[2:])
    args = arguments(GRU(), True, False)
    results = torch.ops.regen.unfold(*args)
    rest = [*args[:-1], results[0], results[-1][:-1], [results[0], None], [True] * 6]
    with pytest.raises(ValueError, match=r"^saved is torch.float32"):
        torch.ops.regen.unfold_backward(*rest)


NO_CELL = (
    "There is no cell 'rnn'. Give a cell and its option, such as 'elman_tanh', 'diagonal_relu', 'lstm_none' or "
    "'gru_after', and for a Jordan cell also its proj_size, 'jordan_tanh_3'."
)
MISUSES: list[tuple[dict[int, Any], str]] = [
    ({0: "rnn"}, NO_CELL),
    ({1: torch.zeros(2)}, "x has shape (2,); the native kernels expect (B, T, I) with T >= 1."),
    ({1: None}, "x must be given. Got None instead of a tensor."),
    ({2: []}, "weights has 0 entries and needs 4: one for each true entry of present."),
    (
        {2: [], 4: [False] * 4},
        "weight_ih is missing; GRU(reset='after') expects (3*H, I).",
    ),
    (
        {4: [True]},
        "present has 1 entries and needs 4: "
        "GRU(reset='after') has the parameters weight_ih, weight_hh, bias_ih, bias_hh.",
    ),
    ({8: []}, "masks has 0 entries and needs 1: one for each negative entry of zones."),
    ({9: []}, "zones has 0 entries and needs 1: GRU(reset='after') has the states h."),
    (
        {8: [], 9: [torch.nan]},
        "zones must be fractions from 0 to 1, or negative for a mask. Got [nan] instead.",
    ),
    (
        {1: torch.zeros(B, T, I, device="meta")},
        "x is on meta and other tensors are on cpu. Move them to one device.",
    ),
    (
        {7: torch.rand(B, H, requires_grad=True)},
        "The native kernels compute no gradient of keep and masks. Detach them.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), MISUSES, ids=[message[:30] for _, message in MISUSES])
def test_misuse_is_refused(changes: dict[int, Any], message: str) -> None:
    """One sentence each, from the operator and from its fake implementation; other misuse in tests/faults."""
    args = arguments(GRU(), True, True)
    for place, value in changes.items():
        args[place] = value
    with pytest.raises(ValueError) as caught:
        torch.ops.regen.unfold(*args)
    assert str(caught.value) == message


def test_misuse_of_the_backward_pass_is_refused() -> None:
    """Gradients and flags in another number."""
    args = arguments(GRU(), True, False)
    results = torch.ops.regen.unfold(*args)
    for grads, needed, message in (
        (
            [None],
            [True] * 6,
            "grads has 1 entries and needs 2: one for the output and one for each last state, or None.",
        ),
        ([None] * 2, [True], "needed has 1 entries and needs 6: one for x, each weight and each state."),
    ):
        with pytest.raises(ValueError) as caught:
            torch.ops.regen.unfold_backward(*args[:-1], results[0], results[-1], grads, needed)
        assert str(caught.value) == message


def test_no_rows() -> None:
    """A batch of none gives results of none."""
    args = arguments(GRU(), True, False)
    args[1], args[3], args[5] = torch.zeros(0, T, I), [], torch.zeros(0, dtype=torch.int64)
    assert [t.shape for t in torch.ops.regen.unfold(*args)[:2]] == [(0, T, H), (0, H)]


def test_fake_tensors() -> None:
    """Shapes are known without numbers, for tensors that are fake outside a tracer too."""
    with FakeTensorMode():
        net, x = recurrent("lstm", I, H, num_layers=2, backend="native"), torch.randn(B, T, I)
        output, (h, c) = net(x)
    assert (output.shape, h.shape, c.shape) == ((B, T, H), (2, B, H), (2, B, H))


def test_traced_programs() -> None:
    """The checks of traced_programs.py, in a process of their own: the shape checks of the suite cannot be traced."""
    script = Path(__file__).with_name("traced_programs.py")
    options = ["-q", "--noconftest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "--durations=5"]
    command = [sys.executable, "-m", "pytest", *options, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=script.parents[2])
    assert done.returncode == 0, done.stdout + done.stderr
