"""Windows, streams and rows: shapes, memory and the order in which things come."""

import torch
from torch.profiler import ProfilerActivity, profile

from regen.data.batching import RowBatches, StreamBatches, WindowBatches, Windows
from regen.data.ragged import Ragged


def count(n: int, columns: int = 1) -> torch.Tensor:
    """(n, C) of 0, 1, 2, ..."""
    return torch.arange(n * columns, dtype=torch.float64).reshape(n, columns)


def ragged() -> Ragged:
    """Four sequences, each filled with its own length."""
    lengths = torch.tensor([3, 1, 5, 2])
    return Ragged(lengths.double().repeat_interleave(lengths)[:, None].expand(-1, 2), lengths=lengths)


def test_window_and_target_by_hand():
    """Window k reads steps k on, its target is what follows."""
    windows = Windows(count(10), window=3, horizon=2)
    assert len(windows) == 6
    inputs, targets = windows.gather(torch.tensor([2, 0]))
    assert inputs[..., 0].tolist() == [[2, 3, 4], [0, 1, 2]]
    assert targets[..., 0].tolist() == [[5, 6], [3, 4]]


def test_view_shares_the_memory_of_the_series():
    """The windows are a view: same storage, no bytes of their own."""
    series = count(1000, 3)
    view = Windows(series, window=100, horizon=20).view
    assert view.shape == (881, 120, 3)
    assert view.untyped_storage().data_ptr() == series.untyped_storage().data_ptr()


def test_gather_allocates_only_the_batch():
    """Gathering allocates the batch, to the byte, however many windows there are."""
    windows = Windows(count(5000, 3), window=100, horizon=20)
    index = torch.tensor([4, 4000, 17])
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        windows.gather(index)
    allocated = sum(max(event.self_cpu_memory_usage, 0) for event in record.events())
    assert allocated == 3 * 120 * 3 * 8


def test_streams_are_views():
    """Inputs and targets of a stream batch are views of the series."""
    series = count(50, 2)
    for batch in StreamBatches(series, n_streams=3, window=4, horizon=5).epoch():
        for tensor in (batch.inputs, batch.targets):
            assert tensor.untyped_storage().data_ptr() == series.untyped_storage().data_ptr()


def test_window_batches_in_order():
    """Without shuffling windows come in time order, once each, in the requested range."""
    batches = WindowBatches(Windows(count(30), 4, 2), range(5, 16), batch_size=4, shuffle=False)
    starts = [batch.inputs[:, 0, 0].tolist() for batch in batches.epoch()]
    assert starts == [[5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15]]
    assert len(batches) == 3


def test_window_batches_shuffled_by_their_generator():
    """The order is the generator's alone: same seed, same order; the next epoch, another one."""
    batches = WindowBatches(Windows(count(100), 4, 2), batch_size=16)
    generator = torch.Generator().manual_seed(3)
    torch.manual_seed(0)
    first = torch.cat([batch.inputs[:, 0, 0] for batch in batches.epoch(generator)])
    second = torch.cat([batch.inputs[:, 0, 0] for batch in batches.epoch(generator)])
    torch.manual_seed(1)
    again = torch.cat([batch.inputs[:, 0, 0] for batch in batches.epoch(torch.Generator().manual_seed(3))])
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(95))


def test_masks_travel_with_their_windows():
    """A mask is gathered by the same index as the values."""
    series = count(40, 2)
    observed = series % 3 > 0
    batches = WindowBatches(Windows(series, 5, 3), batch_size=7, observed=Windows(observed, 5, 3))
    for batch in batches.epoch(torch.Generator().manual_seed(0)):
        assert torch.equal(batch.observed, batch.inputs % 3 > 0)
        assert torch.equal(batch.target_mask, batch.targets % 3 > 0)
    for batch in StreamBatches(series, 2, 6, 3, observed).epoch():
        assert torch.equal(batch.observed, batch.inputs % 3 > 0)
        assert torch.equal(batch.target_mask, batch.targets % 3 > 0)


def test_streams_by_hand():
    """Two streams of a series of 11: per-step targets, `first` once, a shorter last batch."""
    batches = list(StreamBatches(count(11), n_streams=2, window=3, horizon=2).epoch())
    assert [batch.inputs[..., 0].tolist() for batch in batches] == [[[1, 2, 3], [5, 6, 7]], [[4], [8]]]
    assert batches[0].targets[0, :, :, 0].tolist() == [[2, 3], [3, 4], [4, 5]]
    assert batches[1].targets[1, :, :, 0].tolist() == [[9, 10]]
    assert [batch.first for batch in batches] == [True, False]


def test_number_of_stream_batches():
    """The number of batches is known before the epoch."""
    batches = StreamBatches(count(100), n_streams=4, window=7, horizon=3)
    assert len(batches) == len(list(batches.epoch())) == 4


def test_ragged_rows_are_padded_by_zero():
    """A batch of unequal sequences is padded to its own longest, with its lengths."""
    x, lengths, _ = ragged().gather(torch.tensor([0, 1, 3]))
    assert lengths.tolist() == [3, 1, 2]
    assert x[..., 0].tolist() == [[3, 3, 3], [1, 0, 0], [2, 2, 0]]


def test_padding_is_zero_next_to_nan():
    """Padding is zero even where a neighbour's NaN was read to fill it."""
    rows = Ragged(
        torch.tensor([[torch.nan], [1], [1], [1], [torch.nan], [torch.nan]]), lengths=torch.tensor([1, 3, 2])
    )
    x, *_ = rows.gather(torch.tensor([1, 0]))
    assert x[0, :, 0].tolist() == [1, 1, 1]
    assert x[1, 1:, 0].tolist() == [0, 0]


def test_rows_of_one_length():
    """An (n, T, F) tensor needs no lengths; y follows the same index."""
    x = count(12).reshape(6, 2, 1)
    batches = RowBatches(x, torch.arange(6), torch.tensor([5, 1, 4]), batch_size=2, shuffle=False)
    batches = list(batches.epoch())
    assert len(batches) == 2
    assert batches[0].lengths is None
    assert batches[0].x[:, 0, 0].tolist() == [10, 2]
    assert [batch.y.tolist() for batch in batches] == [[5, 1], [4]]


def test_every_row_once():
    """A shuffled epoch of rows gives each row with its own label."""
    rows = ragged()
    batches = RowBatches(rows, torch.tensor([3, 1, 5, 2]), batch_size=3)
    batches = list(batches.epoch(torch.Generator().manual_seed(2)))
    assert sorted(torch.cat([batch.y for batch in batches]).tolist()) == [1, 2, 3, 5]
    for batch in batches:
        assert torch.equal(batch.y, batch.lengths)
        assert torch.equal(batch.x.sum((1, 2)), (2 * batch.y**2).double())


def test_rows_without_labels():
    """For prediction y is left out."""
    (batch,) = RowBatches(ragged(), shuffle=False).epoch()
    assert batch.y is None
    assert batch.x.shape == (4, 5, 2)


def test_series_too_short_for_a_window(message_of):
    """A series shorter than window and horizon together is refused with the numbers."""
    assert message_of(ValueError, Windows, count(20), window=48, horizon=12) == (
        "The series has 20 steps; window=48 and horizon=12 need at least 60. Shorten them or give more data."
    )


def test_series_too_short_for_streams(message_of):
    """So is one with less than a copy for every stream."""
    assert message_of(ValueError, StreamBatches, count(9), n_streams=8, window=2, horizon=2) == (
        "The series has 9 steps; n_streams=8 and horizon=2 need at least 10. Shorten them or give more data."
    )


def test_empty_range():
    """An empty range is an epoch of no batches."""
    batches = WindowBatches(Windows(count(10), 3, 2), range(0))
    assert len(batches) == 0
    assert list(batches.epoch()) == []
