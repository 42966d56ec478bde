"""Batches of windows, streams and rows: the inputs and targets of each copy of an unfolded network.

A window is a *view* of the series, never a copy; a batch is gathered from that view by one ``index_select``.
Memory stays that of the raw series plus one batch. Letters: N steps, C columns, B batch, T time, F features.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, final

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from regen.data.ragged import Ragged

__all__ = [
    "Ragged",
    "RowBatch",
    "RowBatches",
    "StreamBatch",
    "StreamBatches",
    "WindowBatch",
    "WindowBatches",
    "Windows",
]


class WindowBatch(NamedTuple):
    """Independent windows with what follows each.

    inputs (B, window, C), targets (B, horizon, C); observed and target_mask are the matching bool masks of what was
    observed (True) or missing (False), None when the feed was given no masks.
    """

    inputs: Tensor
    targets: Tensor
    observed: Tensor | None = None
    target_mask: Tensor | None = None


class StreamBatch(NamedTuple):
    """The next steps of all streams.

    inputs (B, window, C), targets (B, window, horizon, C): the horizon after *every* step; first is True only
    for the first batch of an epoch, where a carried state starts anew; observed and target_mask as in `WindowBatch`.
    """

    inputs: Tensor
    targets: Tensor
    first: bool
    observed: Tensor | None = None
    target_mask: Tensor | None = None


class RowBatch(NamedTuple):
    """Sequences with what each should give.

    x (B, T, F) padded with 0 to the longest of the batch, or (B, ...); lengths (B,) int64, None when all have one
    length; y (B, ...) or None; observed (bool, as x) False where a value is missing, None when none is.
    """

    x: Tensor
    lengths: Tensor | None
    y: Tensor | None
    observed: Tensor | None = None


@final
class Windows:
    """Every window of a series with the horizon after it, as one view.

    Window k holds steps ``k ... k + window - 1``; its target is the next `horizon` steps. There are
    ``N - window - horizon + 1`` of them. A mask of what was observed is another `Windows`, over a bool tensor
    of the same shape.

    Parameters
    ----------
    series : (N, C) tensor of any dtype, on any device.
    window, horizon : lengths in steps, at least 1; ``horizon=0`` gives inputs only.

    Raises
    ------
    ValueError
        When the series has less than window + horizon steps.
    """

    def __init__(self, series: Shaped[Tensor, "N C"], window: int, horizon: int) -> None:
        if len(series) < window + horizon:
            raise ValueError(_too_short(len(series), f"window={window}", horizon, window + horizon))
        self.series, self.window, self.horizon = series, window, horizon
        self.view = series.unfold(0, window + horizon, 1).transpose(1, 2)

    def __len__(self) -> int:
        return len(self.view)

    def gather(
        self, index: Int64[Tensor, " B"]
    ) -> tuple[Shaped[Tensor, "B window C"], Shaped[Tensor, "B horizon C"]]:
        """Windows number `index` (B,): inputs (B, window, C), targets (B, horizon, C) in one new block."""
        batch = self.view.index_select(0, index.to(self.view.device))
        return batch[:, : self.window], batch[:, self.window :]


@final
class WindowBatches:
    """Batches of independent windows.

    Parameters
    ----------
    windows : the windows to draw from.
    index : which windows, such as ``range(0, 800)`` to train and ``range(800, 1000)`` to validate; None for
        all.
    batch_size : windows in a batch; the last batch of an epoch may have less.
    shuffle : a new order each epoch, drawn from the generator given to `epoch`; else in time order.
    observed : windows of the same shape over a bool mask; then batches carry `observed` and `target_mask`.
    """

    def __init__(
        self,
        windows: Windows,
        index: range | None = None,
        batch_size: int = 32,
        shuffle: bool = True,
        observed: Windows | None = None,
    ) -> None:
        index = range(len(windows)) if index is None else index
        self.windows, self.observed = windows, observed
        self.index = torch.tensor(index, dtype=torch.int64)
        self.batch_size, self.shuffle = batch_size, shuffle

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.index) // self.batch_size)

    def epoch(self, generator: torch.Generator | None = None) -> Iterator[WindowBatch]:
        """Every window once."""
        for index in _batches(self.index, self.batch_size, self.shuffle, generator):
            inputs, targets = self.windows.gather(index)
            observed, target_mask = self.observed.gather(index) if self.observed is not None else (None, None)
            yield WindowBatch(inputs, targets, observed, target_mask)


@final
class StreamBatches:
    """Contiguous streams for truncated back-propagation through time.

    A copy of the unfolded network stands at each step that has a full horizon after it: N - horizon copies.
    They are cut into `n_streams` contiguous equal pieces; when that leaves a remainder, the oldest steps are
    left out. Each batch is the next `window` steps of all pieces, in time order, so that the state after one
    batch is the state before the next. The last batch of an epoch holds what is left and may be shorter.
    Inputs and targets are views of the series; nothing is copied.

    Parameters
    ----------
    series : (N, C) contiguous tensor.
    n_streams : B, pieces in one batch.
    window : steps between two detachments, the k of ``bptt=k``.
    horizon : steps ahead that every copy predicts.
    observed : (N, C) bool mask of the same series; then batches carry `observed` and `target_mask`.

    Raises
    ------
    ValueError
        When the series has less than n_streams + horizon steps.
    """

    def __init__(
        self,
        series: Shaped[Tensor, "N C"],
        n_streams: int,
        window: int,
        horizon: int,
        observed: Shaped[Tensor, "N C"] | None = None,
    ) -> None:
        if len(series) < n_streams + horizon:
            raise ValueError(_too_short(len(series), f"n_streams={n_streams}", horizon, n_streams + horizon))
        self.n_streams, self.window, self.horizon = n_streams, window, horizon
        self.inputs, self.targets = _streams(series, n_streams, horizon)
        self.observed: Tensor | None = None
        self.target_mask: Tensor | None = None
        if observed is not None:
            self.observed, self.target_mask = _streams(observed, n_streams, horizon)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-self.inputs.shape[1] // self.window)

    def epoch(self, generator: torch.Generator | None = None) -> Iterator[StreamBatch]:
        """Every stream from its start to its end; the order is that of time, so `generator` is not used."""
        for start in range(0, self.inputs.shape[1], self.window):
            steps = slice(start, start + self.window)
            yield StreamBatch(
                self.inputs[:, steps],
                self.targets[:, steps],
                start == 0,
                None if self.observed is None else self.observed[:, steps],
                None if self.target_mask is None else self.target_mask[:, steps],
            )


@final
class RowBatches:
    """Batches of sequences with what each should give.

    Parameters
    ----------
    rows : the sequences; an (n, ...) tensor becomes a `Ragged` of one length.
    y : (n, ...) tensor, or None when only x is wanted.
    index : which rows, an int64 tensor such as the training part of a split; None for all.
    batch_size, shuffle : as in `WindowBatches`.
    whole : leave out the rows of an epoch that fill no batch; they differ from epoch to epoch.
    """

    def __init__(
        self,
        rows: Ragged | Shaped[Tensor, "n ..."],
        y: Shaped[Tensor, "n ..."] | None = None,
        index: Int64[Tensor, " m"] | None = None,
        batch_size: int = 32,
        shuffle: bool = True,
        whole: bool = False,
    ) -> None:
        self.rows = rows if isinstance(rows, Ragged) else Ragged(rows)
        self.y = y
        self.index = torch.arange(len(self.rows)) if index is None else index
        self.batch_size, self.shuffle, self.whole = batch_size, shuffle, whole

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.index) // self.batch_size if self.whole else -(-len(self.index) // self.batch_size)

    def epoch(self, generator: torch.Generator | None = None) -> Iterator[RowBatch]:
        """Every row once."""
        batches = _batches(self.index, self.batch_size, self.shuffle, generator)
        for index in batches[: len(self)] if self.whole else batches:
            x, lengths, observed = self.rows.gather(index)
            y = None if self.y is None else self.y.index_select(0, index.to(self.y.device))
            yield RowBatch(x, lengths, y, observed)


def _batches(
    index: Tensor, batch_size: int, shuffle: bool, generator: torch.Generator | None
) -> Sequence[Tensor]:
    if len(index) == 0:
        return ()
    order = index[torch.randperm(len(index), generator=generator)] if shuffle else index
    return torch.split(order, batch_size)


def _streams(series: Tensor, n_streams: int, horizon: int) -> tuple[Tensor, Tensor]:
    """Views (B, L, C) and (B, L, horizon, C), L steps a stream; the oldest remainder is left out."""
    length = (len(series) - horizon) // n_streams
    begin = len(series) - horizon - n_streams * length
    inputs = series[begin : begin + n_streams * length]
    targets = series[begin + 1 :].unfold(0, horizon, 1).transpose(1, 2)
    cut = (n_streams, length)
    return inputs.view(*cut, *inputs.shape[1:]), targets.view(*cut, *targets.shape[1:])


def _too_short(n_steps: int, what: str, horizon: int, need: int) -> str:
    return (
        f"The series has {n_steps} steps; {what} and horizon={horizon} need at least {need}."
        " Shorten them or give more data."
    )
