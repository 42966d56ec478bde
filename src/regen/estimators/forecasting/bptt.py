"""Back-propagation through time over a series: independent windows, or streams that carry their state.

Letters: `B` batch, `N` steps of the series, `H` horizon, `C` columns, `L` steps of a chunk, `n` forecasts.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from regen._schema import Fields, Maybe, Several, Tensors, check_form
from regen.data.batching import StreamBatch, StreamBatches, WindowBatch, WindowBatches, Windows
from regen.estimators.forecasting._preparation import Scaled, Values
from regen.losses.regression import mean
from regen.nets.forecast import WindowNet
from regen.training.device import EVALUATION_BATCH, evaluating
from regen.training.row_parts import RowParts

LossFunction = Callable[[Tensor, Tensor], Tensor]
EVALUATION_STEPS = 4096
EVALUATION_WORK = 2**21
"""Squared copies times windows that `WindowBPTT.loss_per_copy` runs; a second or so for a small net."""


class BPTT(ABC):
    """A network unfolded over a series whose steps from `cut` on are held out to validate.

    `batches` are the training batches, `loss` is their mean loss; the other methods measure on the held-out part, or
    on the training part when nothing is held out. Missing targets are left out of every mean.
    """

    batches: WindowBatches | StreamBatches
    memory: "StreamState | None" = None

    def __init__(
        self, net: WindowNet, loss_function: LossFunction, data: Scaled, window: int, cut: int
    ) -> None:
        self.net, self.loss_function, self.window, self.horizon = net, loss_function, window, net.horizon
        self.values = data.values
        self.observed = None if bool(data.observed.all()) else data.observed
        self.cut = cut
        self.parts = RowParts(net)

    @abstractmethod
    def loss(self, batch: Any) -> Mapping[str, Tensor]:
        """Mean loss of one training batch."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Mean loss on the held-out part."""

    @abstractmethod
    def loss_per_copy(self) -> Values:
        """Mean loss of each unfolded copy (copies,)."""

    @abstractmethod
    def absolute_errors(self, limit: int) -> Tensor:
        """Absolute errors (n, H, C) of at most `limit` forecasts, evenly spaced over the held-out part; NaN where
        the target is missing.
        """


@final
class WindowBPTT(BPTT):
    """``bptt="full"``: every window is unfolded independently and predicts the horizon after it."""

    def __init__(
        self,
        net: WindowNet,
        loss_function: LossFunction,
        data: Scaled,
        window: int,
        cut: int,
        *,
        batch_size: int,
    ) -> None:
        super().__init__(net, loss_function, data, window, cut)
        self.windows = Windows(self.values, window, net.horizon)
        self.mask = None if self.observed is None else Windows(self.observed, window, net.horizon)
        train = range(cut - window - net.horizon + 1)
        held_out = range(cut - window, len(self.windows))
        self.held_out = held_out if len(held_out) else train
        self.batches = WindowBatches(self.windows, train, batch_size, observed=self.mask)

    def loss(self, batch: WindowBatch) -> Mapping[str, Tensor]:
        """Mean loss of a batch of windows."""
        forecast = self.parts(self.net, batch.inputs, batch.observed)
        return {"loss": mean(self.loss_function(forecast, batch.targets), batch.target_mask)}

    def validate(self) -> dict[str, float]:
        """Mean loss on the held-out windows."""
        total = weight = 0.0
        with evaluating(self.net):
            for batch in self._in_order(self.held_out):
                count = batch.targets.numel() if batch.target_mask is None else float(batch.target_mask.sum())
                total += float(self.loss(batch)["loss"]) * count
                weight += count
        return {"loss": total / max(weight, 1.0)}

    def loss_per_copy(self) -> Values:
        """Entry t is the loss of the same horizons when the input is only the last t + 1 segments of the window.

        Each t takes a forward pass, so long windows are measured on fewer windows and at most 128 values of t; those
        between are interpolated.
        """
        copies = self.window // self.net.segment
        rows = min(max(EVALUATION_WORK // copies**2, 32), EVALUATION_BATCH)
        lengths = np.unique(np.linspace(1, copies, min(copies, 128)).round().astype(int))
        losses = []
        with evaluating(self.net):
            (batch,) = self._in_order(evenly_spaced(self.held_out, rows))
            for steps in (lengths * self.net.segment).tolist():
                observed = None if batch.observed is None else batch.observed[:, -steps:]
                forecast = self.net(batch.inputs[:, -steps:], observed)
                losses.append(float(mean(self.loss_function(forecast, batch.targets), batch.target_mask)))
        return np.interp(np.arange(1, copies + 1), lengths, losses)

    def absolute_errors(self, limit: int) -> Tensor:
        """Absolute errors (n, H, C) of windows evenly spaced over the held-out part."""
        errors = []
        with evaluating(self.net):
            for batch in self._in_order(evenly_spaced(self.held_out, limit)):
                error = (self.net(batch.inputs, batch.observed) - batch.targets).abs()
                errors.append(
                    error if batch.target_mask is None else error.where(batch.target_mask, torch.nan)
                )
        return torch.cat(errors)

    def _in_order(self, index: range) -> Iterator[WindowBatch]:
        return WindowBatches(self.windows, index, EVALUATION_BATCH, shuffle=False, observed=self.mask).epoch()


STREAM_FORM = Fields(
    {
        "state": Several(Maybe(Tensors(("*", "*", "*")))),
        "before": Maybe(Tensors(("*", 1, "*"))),
        "latest": Maybe(Tensors(("*", "*", "*"))),
    }
)


@final
class StreamState:
    """The state of a network after the steps of one or more series so far.

    With an `example` (B, L, C) of its input, states that are loaded are checked against it.

    Attributes
    ----------
    state : of the recurrent net; None before the first step.
    before : (B, 1, C), the last input value.
    latest : (B, H, C), the forecast made after it.
    """

    def __init__(self, net: WindowNet, parts: RowParts | None = None, example: Tensor | None = None) -> None:
        self.net, self._example = net, example
        self._shapes: list[torch.Size] = []
        self._parts = RowParts(net) if parts is None else parts
        self.reset()

    @classmethod
    def of(cls, net: WindowNet, state: Mapping[str, Any]) -> "StreamState":
        """The state of `net` that `state_dict` returned."""
        found = cls(net)
        found.load_state_dict(state)
        return found

    def reset(self) -> None:
        """Return to the state before the first step."""
        self.state: Any = None
        self.before: Tensor | None = None
        self.latest: Tensor | None = None

    def advance(self, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Run over the next steps and return the forecasts (B, L, H, C) after each; detach the state.

        x, observed : (B, L, C) values and their mask.
        """
        before = x[:, :1] if self.before is None else self.before
        if self._parts.all_at_once(len(x)):
            forecasts, state = self.net.stream(x, before, observed, self.state)
        else:
            forecasts, state = self._in_parts(x, before, observed)
        self.state = tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()
        self.before, self.latest = x[:, -1:], forecasts[:, -1].detach()
        return forecasts

    def _in_parts(self, x: Tensor, before: Tensor, observed: Tensor | None) -> tuple[Tensor, Any]:
        """As `net.stream`; the states (layers, B, ...) are divided as the streams are."""

        def run(x: Tensor, before: Tensor, observed: Tensor | None, *state: Tensor) -> tuple[Tensor, ...]:
            rows = [part.transpose(0, 1) for part in state]
            former = None if not rows else tuple(rows) if len(rows) > 1 else rows[0]
            forecasts, after = self.net.stream(x, before, observed, former)
            parts = after if isinstance(after, tuple) else (after,)
            return forecasts, *(part.transpose(0, 1) for part in parts)

        state = () if self.state is None else self.state if isinstance(self.state, tuple) else (self.state,)
        rows = [part.transpose(0, 1) for part in state]
        forecasts, *after = self._parts(run, x, before, observed, *rows)
        parts = tuple(part.transpose(0, 1).contiguous() for part in after)
        return forecasts, parts if len(parts) > 1 else parts[0]

    @property
    def known(self) -> int:
        """Steps that the last forecast has."""
        return 0 if self.latest is None else self.latest.shape[1]

    def forecast(self, horizon: int) -> Tensor:
        """The next `horizon` steps (B, horizon, C), recursively beyond H; the state does not change."""
        if self.latest is None:
            raise ValueError("A stream without steps cannot forecast.")
        copy = StreamState(self.net)
        copy.load_state_dict(self.state_dict())
        blocks = [self.latest]
        while sum(block.shape[1] for block in blocks) < horizon:
            blocks.append(copy.advance(blocks[-1])[:, -1])
        return torch.cat(blocks, 1)[:, :horizon]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the network; the state as a list of tensors."""
        parts = list(self.state) if isinstance(self.state, tuple) else [self.state]
        return {"state": parts, "before": self.before, "latest": self.latest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned, on the device of the network.

        Raises
        ------
        ValueError
            When the network could not run from it with the example that was given; without one, nothing is checked.
        """
        if self._example is not None:
            self._refuse_other(state, self._example)
        device = self.net.readout.weight.device
        parts, before, latest = (
            [None if tensor is None else tensor.to(device) for tensor in tensors]
            for tensors in (state["state"], [state["before"]], [state["latest"]])
        )
        self.state = tuple(parts) if len(parts) > 1 else parts[0]
        self.before, self.latest = before[0], latest[0]

    def _refuse_other(self, state: Mapping[str, Any], example: Tensor) -> None:
        """Refuse a state that is neither empty nor of the shapes of one after `example` (B, L, C)."""
        check_form(STREAM_FORM, state, "stream", {})
        found = [*state["state"], state["before"], state["latest"]]
        if all(tensor is None for tensor in found):
            return
        if not self._shapes:
            after = StreamState(self.net)
            with evaluating(self.net):
                after.advance(example)
            parts, before, latest = after.state_dict().values()
            self._shapes = [tensor.shape for tensor in (*parts, before, latest)]
        if [None if tensor is None else tensor.shape for tensor in found] != self._shapes:
            raise ValueError("the state of the streams is not that of this network and data")


@final
class StreamBPTT(BPTT):
    """``bptt=k``: contiguous streams with a forecast after every step; gradients are cut every k steps."""

    def __init__(
        self,
        net: WindowNet,
        loss_function: LossFunction,
        data: Scaled,
        window: int,
        cut: int,
        *,
        batch_size: int,
        bptt: int,
    ) -> None:
        super().__init__(net, loss_function, data, window, cut)
        self.bptt = bptt
        # In streams shorter than a few windows, most steps would come right after the empty initial state.
        streams = max(1, min(batch_size, (cut - net.horizon) // (4 * window)))
        mask = None if self.observed is None else self.observed[:cut]
        self.batches = StreamBatches(self.values[:cut], streams, window, net.horizon, observed=mask)
        self.memory = self.stream = StreamState(net, self.parts, self.batches.inputs[:, :1])

    def loss(self, batch: StreamBatch) -> Mapping[str, Tensor]:
        """Mean loss of the next steps of all streams; gradients are cut every `bptt` steps."""
        if batch.first:
            self.stream.reset()
        forecasts = []
        for start in range(0, batch.inputs.shape[1], self.bptt):
            steps = slice(start, start + self.bptt)
            observed = None if batch.observed is None else batch.observed[:, steps]
            forecasts.append(self.stream.advance(batch.inputs[:, steps], observed))
        losses = self.loss_function(torch.cat(forecasts, 1), batch.targets)
        return {"loss": mean(losses, batch.target_mask)}

    def validate(self) -> dict[str, float]:
        """Mean loss after every held-out step."""
        losses, observed = self._held_out_losses()
        return {"loss": float(mean(losses, observed))}

    def loss_per_copy(self) -> Values:
        """Entry t is the mean loss after every `window`-th step, counted from held-out step t."""
        losses, observed = self._held_out_losses()
        places = [slice(place, None, self.window) for place in range(min(self.window, len(losses)))]
        means = [mean(losses[at], None if observed is None else observed[at]) for at in places]
        return torch.stack(means).cpu().double().numpy()

    def absolute_errors(self, limit: int) -> Tensor:
        """Absolute errors (n, H, C) after steps evenly spaced over the held-out part."""
        forecasts, targets, observed = self._held_out()
        error = (forecasts - targets).abs()
        error = error if observed is None else error.where(observed, torch.nan)
        return error[list(evenly_spaced(range(len(error)), limit))]

    def _held_out_losses(self) -> tuple[Tensor, Tensor | None]:
        forecasts, targets, observed = self._held_out()
        return self.loss_function(forecasts, targets), observed

    def _held_out(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Forecasts and targets (n, H, C) of the copies whose whole target is held out, and the targets' mask."""
        copies = len(self.values) - self.horizon
        first = self.cut - 1 if self.cut - 1 < copies else 0
        inputs_observed = None if self.observed is None else self.observed[:copies]
        forecasts = forecast_stream(self.net, self.values[:copies], inputs_observed)[first:]
        targets = self.values[1:].unfold(0, self.horizon, 1).transpose(1, 2)[first:copies]
        if self.observed is None:
            return forecasts, targets, None
        return forecasts, targets, self.observed[1:].unfold(0, self.horizon, 1).transpose(1, 2)[first:copies]


def check_stream(bptt: int, window: int, segment: int, decoding: str, normalize: str) -> None:
    """Refuse parameters that streams do not support."""
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
    """Forecasts (N, H, C) after every step of a series, which continues and advances `stream`.

    values, observed : (N, C) values and their mask.
    """
    stream = StreamState(net) if stream is None else stream
    forecasts = []
    with evaluating(net):
        for start in range(0, len(values), EVALUATION_STEPS):
            steps = slice(start, start + EVALUATION_STEPS)
            mask = None if observed is None else observed[None, steps]
            forecasts.append(stream.advance(values[None, steps], mask)[0])
    return torch.cat(forecasts)


def forecast_windows(
    net: WindowNet, values: Tensor, observed: Tensor | None, starts: Tensor, window: int
) -> Tensor:
    """Forecasts (n, H, C) after the windows of a series that begin at `starts` (n,).

    values, observed : (N, C) values and their mask.
    """
    windows = Windows(values, window, 0)
    masks = None if observed is None else Windows(observed, window, 0)
    forecasts = []
    with evaluating(net):
        for some in torch.split(starts, EVALUATION_BATCH):
            mask = None if masks is None else masks.gather(some)[0]
            forecasts.append(net(windows.gather(some)[0], mask))
    return torch.cat(forecasts)


def evenly_spaced(index: range, limit: int) -> range:
    """At most `limit` elements of `index`, evenly spaced, the last one among them."""
    step = -(-len(index) // limit)
    return index[(len(index) - 1) % step :: step]
