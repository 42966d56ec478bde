"""Laws of unfolding: a window never sees its future; streams cover each copy once; padding is inert."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regen.data.batching import StreamBatches, WindowBatches, Windows
from regen.data.ragged import Ragged

sizes = {
    "window": st.integers(1, 6),
    "horizon": st.integers(1, 5),
    "extra": st.integers(0, 12),
    "columns": st.integers(1, 3),
}


class LateTwin(Windows):
    """Off by one: the inputs end one step too late, on the first target."""

    def gather(self, index):
        batch = self.view.index_select(0, index)
        return batch[:, 1 : self.window + 1], batch[:, self.window :]


class EarlyTwin(StreamBatches):
    """Off by one: the target of every copy is its own input."""

    def epoch(self, generator=None):
        for batch in super().epoch(generator):
            yield batch._replace(targets=torch.cat([batch.inputs[:, :, None], batch.targets[:, :, :-1]], 2))


class OverlappingTwin(StreamBatches):
    """Each batch starts on the last step of the batch before."""

    def epoch(self, generator=None):
        for start in range(0, self.inputs.shape[1], max(self.window - 1, 1)):
            steps = slice(start, start + self.window)
            yield next(super().epoch())._replace(inputs=self.inputs[:, steps], targets=self.targets[:, steps])


def window_never_sees_its_future(make, window, horizon, extra, columns):
    """Changing the series from the target's start on changes all targets and no input."""
    series = torch.randn(window + horizon + extra, columns, generator=torch.Generator().manual_seed(extra))
    windows = make(series, window, horizon)
    for k in range(len(windows)):
        index = torch.tensor([k])
        inputs, targets = windows.gather(index)
        start = k + window
        changed = series.clone()
        changed[start:] += 1
        inputs_then, targets_then = make(changed, window, horizon).gather(index)
        assert torch.equal(inputs, series[None, start - window : start])
        assert torch.equal(inputs, inputs_then)
        assert torch.equal(targets + 1, targets_then)
        assert torch.equal(targets, series[None, start : start + horizon])


def streams_cover_each_copy_once(make, n_streams, window, horizon, extra):
    """Joined again, the streams are the series' own steps, each once and in order, with what follows each."""
    n_steps = n_streams + horizon + extra
    batches = make(torch.arange(n_steps)[:, None], n_streams, window, horizon)
    epoch = list(batches.epoch())
    inputs = torch.cat([batch.inputs for batch in epoch], 1)[..., 0]
    targets = torch.cat([batch.targets for batch in epoch], 1)[..., 0]
    copies = n_steps - horizon
    kept = copies - copies % n_streams
    assert inputs.flatten().tolist() == list(range(copies - kept, copies))
    assert torch.equal(targets, inputs[..., None] + 1 + torch.arange(horizon))
    assert [batch.first for batch in epoch] == [True] + [False] * (len(batches) - 1)


@given(**sizes)
def test_a_window_never_sees_its_future(window, horizon, extra, columns):
    """Inputs end before targets start, whatever the sizes."""
    window_never_sees_its_future(Windows, window, horizon, extra, columns)


def test_the_late_twin_sees_its_future():
    """The law fails for inputs one step late."""
    with pytest.raises(AssertionError):
        window_never_sees_its_future(LateTwin, 4, 2, 3, 1)


@given(
    n_streams=st.integers(1, 5), window=st.integers(1, 6), horizon=st.integers(1, 4), extra=st.integers(0, 30)
)
def test_streams_cover_each_copy_exactly_once_in_order(n_streams, window, horizon, extra):
    """No step twice, none forgotten but the oldest remainder, none out of order."""
    streams_cover_each_copy_once(StreamBatches, n_streams, window, horizon, extra)


@pytest.mark.parametrize("twin", [EarlyTwin, OverlappingTwin])
def test_wrong_streams_fail(twin):
    """The law fails for targets one step early and for batches that overlap."""
    with pytest.raises(AssertionError):
        streams_cover_each_copy_once(twin, 2, 3, 2, 11)


@given(**sizes, seed=st.integers(0, 99), batch_size=st.integers(1, 9))
def test_a_shuffled_epoch_is_the_same_windows(window, horizon, extra, columns, seed, batch_size):
    """Shuffling and batching change the order only."""
    series = torch.arange((window + horizon + extra) * columns).reshape(-1, columns)
    batches = WindowBatches(Windows(series, window, horizon), batch_size=batch_size)
    epoch = list(batches.epoch(torch.Generator().manual_seed(seed)))
    together = torch.cat([torch.cat([batch.inputs, batch.targets], 1) for batch in epoch])
    order = together[:, 0, 0].argsort()
    assert torch.equal(together[order], batches.windows.view)
    assert len(epoch) == len(batches)


@settings(max_examples=50)
@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_ragged_rows_come_back_whole(lengths, seed):
    """Each sequence is found again before its length, and zeros after it."""
    generator = torch.Generator().manual_seed(seed)
    sequences = [torch.randn(length, 2, generator=generator) for length in lengths]
    index = torch.randperm(len(lengths), generator=generator)
    x, found, _ = Ragged(torch.cat(sequences), lengths=torch.tensor(lengths)).gather(index)
    for row, length, k in zip(x, found.tolist(), index.tolist(), strict=True):
        assert torch.equal(row[:length], sequences[k])
        assert not row[length:].any()
