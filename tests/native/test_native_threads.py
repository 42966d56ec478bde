"""Threads of the compiled kernels: how many, whose, and what happens to them in a child process."""

import os
import threading

import pytest
import torch

from regen import nn
from regen.cells import named
from regen.kernels import native
from regen.kernels.native import extension

pytestmark = pytest.mark.skipif(extension.native is None, reason=extension.why_missing)


def trained(cell: str, B: int, T: int, I: int, H: int) -> list[torch.Tensor]:  # noqa: E741
    """Outputs and all gradients of one pass, by a generator of its own, for threads share torch's."""
    generator = torch.Generator().manual_seed(0)
    kind = {"lstm": nn.LSTM, "gru": nn.GRU, "elman": nn.RNN}[cell]
    net = kind(I, H, batch_first=True, init="torch", backend="native")
    net.reset_parameters(generator)
    x = torch.randn(B, T, I, generator=generator).requires_grad_()
    output, _ = net(x)
    output.square().sum().backward()
    return [output.detach(), x.grad, *[p.grad for p in net.parameters()]]


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman"])
@pytest.mark.parametrize("B", [1, 3, 33], ids="B={}".format)
def test_the_number_of_threads_does_not_change_a_bit(two_threads, cell, B):
    """Rows are shared in a large batch, hidden units in a small one; the sums are the same."""
    by_two = trained(cell, B, 40, 5, 300)
    torch.set_num_threads(1)
    by_one = trained(cell, B, 40, 5, 300)
    assert all(map(torch.equal, by_one, by_two))


@pytest.mark.parametrize("name", ["lstm", "gru", "elman", "jordan"])
def test_threads_of_one_pass_do_not_race(two_threads, name):
    """Again and again the same bits, where the units of few rows are shared and the recurrent input is masked."""
    torch.manual_seed(0)
    cell, (B, T, H) = named(name), (2, 100, 320)
    params = {k: torch.randn(shape) / H**0.5 for k, shape in cell.shapes(6, H).items()}
    state = tuple(torch.randn(B, size) for size in cell.state_sizes(H))
    keep, x = 2.0 * (torch.rand(B, H) > 0.5), torch.randn(B, T, 6)
    lengths = torch.tensor([T, T - 5])
    torch.set_num_threads(1)
    expected = native.run(cell, params, x, state, lengths=lengths, keep=keep).output
    torch.set_num_threads(2)
    for _ in range(100):
        assert torch.equal(native.run(cell, params, x, state, lengths=lengths, keep=keep).output, expected)


def test_a_child_made_by_fork_computes_alone(two_threads):
    """The pool's threads are not copied by fork; a child that waited for them would hang, as torch's own sums do."""
    net = nn.LSTM(5, 128, batch_first=True, init="torch", backend="native")
    x = torch.randn(16, 40, 5)
    expected, _ = net(x)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            got, _ = net(x)
            os.write(writer, b"same" if got.tolist() == expected.tolist() else b"else")
        finally:
            os._exit(0)
    os.close(writer)
    waiter = threading.Timer(60, os.kill, (child, 9))
    waiter.start()
    message = os.read(reader, 4)
    waiter.cancel()
    os.waitpid(child, 0)
    os.close(reader)
    assert message == b"same"


def test_python_threads_run_side_by_side(two_threads):
    """Several Python threads get what one gets, and the interpreter is free while a kernel runs."""
    expected = trained("lstm", 24, 50, 4, 96)
    found: dict[int, list[torch.Tensor]] = {}
    threads = [
        threading.Thread(target=lambda k=k: found.update({k: trained("lstm", 24, 50, 4, 96)}))
        for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 4
    assert all(all(map(torch.equal, expected, got)) for got in found.values())


def test_a_kernel_leaves_the_interpreter_free(two_threads):
    """Another Python thread counts on while a long kernel runs."""
    net = nn.LSTM(8, 256, batch_first=True, backend="native")
    x = torch.randn(64, 200, 8)
    done, counted = threading.Event(), 0

    def run() -> None:
        with torch.no_grad():
            net(x)
        done.set()

    thread = threading.Thread(target=run)
    thread.start()
    while not done.wait(0.001):
        counted += 1
    thread.join(60)
    assert counted > 3
