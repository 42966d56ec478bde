"""A critic of sequences: lengths, packs of unequal lengths, and second derivatives on every backend."""

import copy
import threading
from typing import Any

import pytest
import torch
from torch import Tensor

from regen.cells import LSTM, NAMES
from regen.nets import adversarial
from regen.nets.adversarial import RecurrentCritic

TOLERANCE = 1e-12
"""Measured: 2e-15 (float64). The twins below differ by more than 1e-3."""
CELLS = [*NAMES, LSTM(peephole="full")]
LABEL = torch.tensor([0, 2, 1, 1, 2, 0])
LENGTHS = torch.tensor([7, 3, 6, 1, 2, 5])


def sequences(B: int = 6, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random sequences (B, 7, 3)."""
    return torch.randn(B, 7, 3, dtype=dtype, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("pack", [1, 2])
def test_padding_is_ignored(cell: Any, pack: int, twin_differs: Any, with_biases: Any) -> None:
    """Longer padding and NaN included; the gradient is 0 there, and not 0 at valid steps."""
    torch.manual_seed(0)
    critic = with_biases(RecurrentCritic(cell, 3, 5, 2, pack=pack))
    x = sequences()
    behind = torch.arange(7) >= LENGTHS[:, None]
    logits = critic(x, None, LENGTHS)
    assert twin_differs(logits, critic(x)), "the twin that uses padding must differ"
    padded = torch.cat([x.masked_fill(behind[..., None], torch.nan), x.new_full((6, 2, 3), 9.0)], 1)
    padded.requires_grad_()
    again = critic(padded, None, LENGTHS)
    torch.testing.assert_close(again, logits, rtol=0, atol=TOLERANCE)
    (gradient,) = torch.autograd.grad(again.sum(), padded)
    assert (gradient[:, :7][behind] == 0).all()
    assert (gradient[:, 7:] == 0).all()
    assert (gradient[:, :7][~behind].abs().sum(-1) > 0).all()


def test_a_padded_batch_equals_its_sequences_alone(with_biases: Any) -> None:
    """A padded batch is as many logits as its rows give one by one, cut to their lengths."""
    torch.manual_seed(0)
    critic = with_biases(RecurrentCritic("lstm", 3, 5, 2, classes=3))
    x = sequences()
    alone = [critic(row[None, :length], y[None]) for row, length, y in zip(x, LENGTHS, LABEL, strict=True)]
    torch.testing.assert_close(critic(x, LABEL, LENGTHS), torch.cat(alone), rtol=0, atol=TOLERANCE)


def test_an_end_differs_from_zeros(twin_differs: Any, with_biases: Any) -> None:
    """In a pack a sequence that ends is not one that goes on with zeros: a mask marks it, at its place."""
    torch.manual_seed(0)
    critic = with_biases(RecurrentCritic("gru", 3, 5, pack=2))
    x = sequences(2)
    x[1, 4:] = 0
    ended = critic(x, None, torch.tensor([7, 4]))
    assert twin_differs(ended, critic(x)), "the twin without the flag must differ"
    flags = torch.ones(2, 7, 1, dtype=torch.float64)
    flags[1, 4:] = 0
    side_by_side = torch.cat([x[0], flags[0], x[1], flags[1]], 1)[None]
    torch.testing.assert_close(ended, critic.net(side_by_side)[:, 0], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_compiled_kernels_have_second_derivatives(cell: Any, penalty: Any) -> None:
    """In float32, run by whoever is chosen, as the reference equations in float64."""
    torch.manual_seed(0)
    critic = RecurrentCritic(cell, 3, 8)
    exact = RecurrentCritic(cell, 3, 8, backend="reference").double()
    exact.load_state_dict(critic.state_dict())
    x = sequences(dtype=torch.float32)
    ours = torch.autograd.grad(penalty(critic, x, None, LENGTHS), list(critic.net.reader.parameters()))
    theirs = torch.autograd.grad(
        penalty(exact, x.double(), None, LENGTHS), list(exact.net.reader.parameters())
    )
    size = max(float(g.abs().max()) for g in theirs)
    for g, e in zip(ours, theirs, strict=True):
        torch.testing.assert_close(g.double(), e, rtol=0, atol=1e-5 * size)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("cell", ["elman", "lstm", "gru"])
def test_second_derivatives_without_cudnn(cell: str, penalty: Any) -> None:
    """On a GPU, where cuDNN has none: as the reference equations; cuDNN is on again afterwards."""
    torch.manual_seed(0)
    critic = RecurrentCritic(cell, 3, 8, 2).cuda()
    exact = copy.deepcopy(critic).cpu().double()
    x, before = sequences(dtype=torch.float32), torch.backends.cudnn.enabled
    ours = torch.autograd.grad(penalty(critic, x.cuda(), None, LENGTHS.cuda()), critic.net.code.weight)[0]
    theirs = torch.autograd.grad(penalty(exact, x.double(), None, LENGTHS), exact.net.code.weight)[0]
    torch.testing.assert_close(ours.cpu().double(), theirs, rtol=1e-3, atol=1e-6)
    assert torch.backends.cudnn.enabled == before


def test_the_switch_of_cudnn_ends_as_it_was() -> None:
    """It belongs to the process: a second thread waits for the first, and cannot restore what that one had set."""
    before, inside, leave, entered = torch.backends.cudnn.enabled, threading.Event(), threading.Event(), []

    def first() -> None:
        with adversarial._without_cudnn():
            inside.set()
            leave.wait(20)

    def second() -> None:
        with adversarial._without_cudnn():
            entered.append(torch.backends.cudnn.enabled)

    threads = [threading.Thread(target=each, daemon=True) for each in (first, second)]
    threads[0].start()
    assert inside.wait(20) and not torch.backends.cudnn.enabled
    threads[1].start()
    threads[1].join(0.05)
    assert entered == []
    leave.set()
    for thread in threads:
        thread.join(20)
    assert entered == [False] and torch.backends.cudnn.enabled == before
