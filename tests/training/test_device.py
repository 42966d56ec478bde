"""Threads: one for small nets, torch's own number for large ones and afterwards."""

import queue
import threading

import pytest
import torch
from torch import nn

from regen.training import device
from regen.training.device import fitting_threads


@pytest.mark.parametrize(("copies", "during"), [(10, 1), (10**8, 2)])
def test_small_work_gets_one_thread(two_threads, copies, during):
    """The number follows the work, and is put back also when training fails."""
    with pytest.raises(RuntimeError, match="stop"), fitting_threads(nn.Linear(4, 4), 32, copies):
        assert torch.get_num_threads() == during
        raise RuntimeError("stop")
    assert torch.get_num_threads() == 2


def test_other_threads_keep_their_number(two_threads):
    """A thread that works already, one that starts meanwhile, and two fits that end one after the other."""
    numbers, step, done = queue.SimpleQueue(), threading.Event(), threading.Event()

    def user():
        numbers.put(torch.get_num_threads())
        step.wait(20)
        numbers.put(torch.get_num_threads())

    def fit():
        with fitting_threads(nn.Linear(4, 4), 32, 1):
            numbers.put(torch.get_num_threads())
            done.wait(20)
            numbers.put(torch.get_num_threads())
        numbers.put(torch.get_num_threads())

    early = threading.Thread(target=user, daemon=True)
    early.start()
    assert numbers.get(timeout=20) == 2
    other = threading.Thread(target=fit, daemon=True)
    with fitting_threads(nn.Linear(4, 4), 32, 1):
        other.start()
        assert numbers.get(timeout=20) == 1
        late = threading.Thread(target=user, daemon=True)
        late.start()
        assert numbers.get(timeout=20) == 2
        step.set()
        early.join()
        late.join()
        assert numbers.get(timeout=20) == numbers.get(timeout=20) == 2
    assert torch.get_num_threads() == 2
    done.set()  # the end of one fit does not change the other, nor the reverse
    other.join()
    assert [numbers.get(timeout=20), numbers.get(timeout=20)] == [1, 2]
    assert torch.get_num_threads() == 2


def test_without_a_number_of_its_own_a_thread_changes_that_of_all(two_threads, monkeypatch):
    """Where torch's libraries are out of reach, by `torch.set_num_threads`."""
    monkeypatch.setattr(device, "_setters_of_thread", lambda: None)
    test_small_work_gets_one_thread(two_threads, 10, 1)
