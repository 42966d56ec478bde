"""The two ways to unfold a forecaster over a series: windows on their own, or streams that carry their state.

Letters: `B` batch, `T` window, `H` horizon, `C` columns, `L` steps read so far.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from regen.data.batching import StreamBatch, StreamBatches, WindowBatch, WindowBatches, Windows
from regen.estimators._evaluation import EVALUATION_BATCH, evaluating
from regen.estimators.forecasting._preparation import Scaled, Values
from regen.losses.regression import mean
from regen.nets.forecast import WindowNet

Cost = Callable[[Tensor, Tensor], Tensor]
EVALUATION_STEPS = 4096
EVALUATION_WORK = 2**21
"""Squared copies times rows that `per_step` reads; a second or so of a small net."""


class BPTTTask(ABC):
    """A network unfolded over a series whose steps from `cut` on are held out to validate.

    `feed` gives training batches, `loss` their mean cost; the other methods look at the held-out part, or at the
    training part when nothing is held out. Costs of missing targets count nowhere.
    """

    batches: WindowBatches | StreamBatches
    memory: "StreamState | None" = None

    def __init__(self, net: WindowNet, cost: Cost, data: Scaled, window: int, cut: int) -> None:
        self.net, self.cost, self.window, self.horizon = net, cost, window, net.horizon
        self.values = data.values
        self.observed = None if bool(data.observed.all()) else data.observed
        self.cut = cut

    @abstractmethod
    def loss(self, batch: Any) -> Mapping[str, Tensor]:
        """Mean cost of one training batch."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Mean cost on the held-out part."""

    @abstractmethod
    def loss_per_copy(self) -> Values:
        """Mean cost of each unfolded copy (copies,)."""

    @abstractmethod
    def errors(self, most: int) -> Tensor:
        """Absolute errors (n, H, C) of at most `most` forecasts spread over the held-out part; NaN where the
        target was missing.
        """


@final
class WindowBPTT(BPTTTask):
    """``bptt="full"``: every window is unfolded on its own and judged by the horizon after it."""

    def __init__(
        self, net: WindowNet, cost: Cost, data: Scaled, window: int, cut: int, *, batch_size: int
    ) -> None:
        super().__init__(net, cost, data, window, cut)
        self.windows = Windows(self.values, window, net.horizon)
        self.mask = None if self.observed is None else Windows(self.observed, window, net.horizon)
        train = range(cut - window - net.horizon + 1)
        held_out = range(cut - window, len(self.windows))
        self.held_out = held_out if len(held_out) else train
        self.batches = WindowBatches(self.windows, train, batch_size, observed=self.mask)

    def loss(self, batch: WindowBatch) -> Mapping[str, Tensor]:
        """Mean loss of a batch of windows."""
        forecast = self.net(batch.inputs, batch.observed)
        return {"loss": mean(self.cost(forecast, batch.targets), batch.target_mask)}

    def validate(self) -> dict[str, float]:
        """Mean loss on the held-out windows."""
        total = weight = 0.0
        with evaluating(self.net):
            for batch in self._evaluation(self.held_out):
                count = batch.targets.numel() if batch.target_mask is None else float(batch.target_mask.sum())
                total += float(self.loss(batch)["loss"]) * count
                weight += count
        return {"loss": total / max(weight, 1.0)}

    def loss_per_copy(self) -> Values:
        """Copy t is judged by the same horizon as the last one, after reading only the last t segments before it.

        A pass for each t makes this dear: of long windows fewer rows are read, and at most 128 values of t, with
        straight lines between them.
        """
        copies = self.window // self.net.segment
        rows = min(max(EVALUATION_WORK // copies**2, 32), EVALUATION_BATCH)
        lengths = np.unique(np.linspace(1, copies, min(copies, 128)).round().astype(int))
        costs = []
        with evaluating(self.net):
            (batch,) = self._evaluation(spread(self.held_out, rows))
            for read in (lengths * self.net.segment).tolist():
                observed = None if batch.observed is None else batch.observed[:, -read:]
                cost = self.cost(self.net(batch.inputs[:, -read:], observed), batch.targets)
                costs.append(float(mean(cost, batch.target_mask)))
        return np.interp(np.arange(1, copies + 1), lengths, costs)

    def errors(self, most: int) -> Tensor:
        """Absolute errors (n, H, C) of windows spread over the held-out part."""
        found = []
        with evaluating(self.net):
            for batch in self._evaluation(spread(self.held_out, most)):
                error = (self.net(batch.inputs, batch.observed) - batch.targets).abs()
                found.append(
                    error if batch.target_mask is None else error.where(batch.target_mask, torch.nan)
                )
        return torch.cat(found)

    def _evaluation(self, index: range) -> Iterator[WindowBatch]:
        return WindowBatches(self.windows, index, EVALUATION_BATCH, shuffle=False, observed=self.mask).epoch()


@final
class StreamState:
    """What a network remembers of one or more series where it stands: the state that everything read so far has left.

    Attributes
    ----------
    state : of the recurrent net; None before the first step.
    before : (B, 1, C), the last value read.
    latest : (B, H, C), the forecast made after it.
    """

    def __init__(self, net: WindowNet) -> None:
        self.net = net
        self.forget()

    def forget(self) -> None:
        """Stand before the first step again."""
        self.state: Any = None
        self.before: Tensor | None = None
        self.latest: Tensor | None = None

    def read(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Read the next steps (B, L, C); forecasts (B, L, H, C) after each. The state left behind is detached."""
        before = x[:, :1] if self.before is None else self.before
        forecasts, state = self.net.stream(x, before, observed, self.state)
        self.state = tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()
        self.before, self.latest = x[:, -1:], forecasts[:, -1].detach()
        return forecasts

    def ahead(self, horizon: int) -> Tensor:
        """The next `horizon` steps (B, horizon, C), reading its own forecasts back; the stream stays where it is."""
        if self.latest is None:
            raise ValueError("A stream that has read nothing cannot forecast.")
        copy = StreamState(self.net)
        copy.load_state_dict(self.state_dict())
        blocks = [self.latest]
        while sum(block.shape[1] for block in blocks) < horizon:
            blocks.append(copy.read(blocks[-1])[:, -1])
        return torch.cat(blocks, 1)[:, :horizon]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the network; the state as a list of tensors."""
        parts = list(self.state) if isinstance(self.state, tuple) else [self.state]
        return {"state": parts, "before": self.before, "latest": self.latest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` returned, on the device of the network."""
        device = self.net.readout.weight.device
        parts, before, latest = (
            [None if part is None else part.to(device) for part in given]
            for given in (state["state"], [state["before"]], [state["latest"]])
        )
        self.state = tuple(parts) if len(parts) > 1 else parts[0]
        self.before, self.latest = before[0], latest[0]


@final
class StreamBPTT(BPTTTask):
    """``bptt=k``: contiguous streams, judged after every step; gradients are cut every k steps."""

    def __init__(
        self, net: WindowNet, cost: Cost, data: Scaled, window: int, cut: int, *, batch_size: int, bptt: int
    ) -> None:
        super().__init__(net, cost, data, window, cut)
        self.bptt = bptt
        self.stream = self.memory = StreamState(net)
        # Streams shorter than a few windows would mostly train the first, ignorant steps.
        streams = max(1, min(batch_size, (cut - net.horizon) // (4 * window)))
        mask = None if self.observed is None else self.observed[:cut]
        self.batches = StreamBatches(self.values[:cut], streams, window, net.horizon, observed=mask)

    def loss(self, batch: StreamBatch) -> Mapping[str, Tensor]:
        """Mean loss of the next steps of all streams; gradients are cut every `bptt` steps."""
        if batch.first:
            self.stream.forget()
        forecasts = []
        for start in range(0, batch.inputs.shape[1], self.bptt):
            steps = slice(start, start + self.bptt)
            forecasts.append(
                self.stream.read(
                    batch.inputs[:, steps], None if batch.observed is None else batch.observed[:, steps]
                )
            )
        cost = self.cost(torch.cat(forecasts, 1), batch.targets)
        return {"loss": mean(cost, batch.target_mask)}

    def validate(self) -> dict[str, float]:
        """Mean loss after every held-out step."""
        cost, observed = self._held_out_costs()
        return {"loss": float(mean(cost, observed))}

    def loss_per_copy(self) -> Values:
        """Place t is every `window`-th step, counted from the first held-out one."""
        cost, observed = self._held_out_costs()
        places = [slice(place, None, self.window) for place in range(min(self.window, len(cost)))]
        costs = [mean(cost[at], None if observed is None else observed[at]) for at in places]
        return torch.stack(costs).cpu().double().numpy()

    def errors(self, most: int) -> Tensor:
        """Absolute errors (n, H, C) after steps spread over the held-out part."""
        forecasts, targets, observed = self._held_out()
        error = (forecasts - targets).abs()
        error = error if observed is None else error.where(observed, torch.nan)
        return error[list(spread(range(len(error)), most))]

    def _held_out_costs(self) -> tuple[Tensor, Tensor | None]:
        forecasts, targets, observed = self._held_out()
        return self.cost(forecasts, targets), observed

    def _held_out(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Forecasts and targets (n, H, C) of the copies whose whole target is held out, and the targets' mask."""
        copies = len(self.values) - self.horizon
        first = self.cut - 1 if self.cut - 1 < copies else 0
        forecasts = forecast_stream(self.net, self.values[:copies], self._seen(copies))[first:]
        targets = self.values[1:].unfold(0, self.horizon, 1).transpose(1, 2)[first:copies]
        if self.observed is None:
            return forecasts, targets, None
        return forecasts, targets, self.observed[1:].unfold(0, self.horizon, 1).transpose(1, 2)[first:copies]

    def _seen(self, steps: int) -> Tensor | None:
        return None if self.observed is None else self.observed[:steps]


def check_stream(bptt: int, window: int, segment: int, decoding: str, normalize: str) -> None:
    """Refuse what streams cannot do."""
    if bptt > window:
        raise ValueError(f"bptt={bptt} is longer than window={window}. Take bptt of at most the window.")
    if segment > 1 or decoding == "recursive":
        raise ValueError(
            f"bptt={bptt} forecasts after every step of a stream and needs segment=1 and decoding='direct'."
            f" Got segment={segment}, decoding={decoding!r}. Take bptt='full' for those."
        )
    if normalize == "mean":
        raise ValueError(
            f"bptt={bptt} carries its state from window to window, so windows cannot each be scaled by their own"
            " mean. Take normalize='last' or 'none', or bptt='full'."
        )


def forecast_stream(
    net: WindowNet, values: Tensor, observed: Tensor | None, stream: StreamState | None = None
) -> Tensor:
    """Forecasts (N, H, C) after every step of a series (N, C), reading on from `stream` and moving it."""
    stream = StreamState(net) if stream is None else stream
    found = []
    with evaluating(net):
        for start in range(0, len(values), EVALUATION_STEPS):
            steps = slice(start, start + EVALUATION_STEPS)
            found.append(
                stream.read(values[None, steps], None if observed is None else observed[None, steps])[0]
            )
    return torch.cat(found)


def forecast_windows(
    net: WindowNet, values: Tensor, observed: Tensor | None, starts: Tensor, window: int
) -> Tensor:
    """Forecasts (n, H, C) after the windows of a series (N, C) that begin at `starts` (n,), each read on its own."""
    windows = Windows(values, window, 0)
    masks = None if observed is None else Windows(observed, window, 0)
    found = []
    with evaluating(net):
        for some in torch.split(starts, EVALUATION_BATCH):
            mask = None if masks is None else masks.gather(some)[0]
            found.append(net(windows.gather(some)[0], mask))
    return torch.cat(found)


def spread(index: range, most: int) -> range:
    """At most `most` of `index`, evenly spread, the last one always among them."""
    step = -(-len(index) // most)
    return index[(len(index) - 1) % step :: step]
