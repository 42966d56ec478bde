"""BPTT of a forecaster: training and held-out parts, the carried state, and where gradients are cut."""

import pytest
import torch

from regen.estimators.forecasting._preparation import Scaled
from regen.estimators.forecasting.bptt import (
    StreamBPTT,
    StreamState,
    WindowBPTT,
    evenly_spaced,
    forecast_stream,
)
from regen.losses.regression import absolute_error, mean
from regen.nets.forecast import WindowNet
from regen.training.device import evaluating

N, C, WINDOW, HORIZON, CUT = 60, 2, 8, 3, 48


def series(seed=0):
    """A random walk, all of it observed."""
    values = torch.randn(N, C, generator=torch.Generator().manual_seed(seed)).cumsum(0)
    return Scaled(values, torch.ones(N, C, dtype=torch.bool))


def net(**options):
    """The same small net each time."""
    torch.manual_seed(1)
    return WindowNet("lstm", C, HORIZON, hidden=5, **options)


def windows(data, **options):
    """Unfolded over windows."""
    return WindowBPTT(net(**options), absolute_error, data, WINDOW, CUT, batch_size=16)


def streams(data, bptt, module=None):
    """Unfolded over one stream, in the order of time."""
    return StreamBPTT(module or net(), absolute_error, data, WINDOW, CUT, batch_size=1, bptt=bptt)


def changed(data, where):
    """The series with other values at some steps."""
    values = data.values.clone()
    values[where] += 7
    return Scaled(values, data.observed)


both = pytest.mark.parametrize("make", [windows, lambda data: streams(data, 4)], ids=["windows", "streams"])


@both
def test_training_batches_exclude_the_held_out_part(make):
    """Training batches stay the same when anything from `cut` on changes, and change when the step before does."""
    data, order = series(), torch.Generator()

    def batches(data):
        return [tuple(batch[:2]) for batch in make(data).batches.epoch(order.manual_seed(0))]

    kept, after, before = (
        batches(each) for each in (data, changed(data, slice(CUT, None)), changed(data, CUT - 1))
    )
    for one, other in zip(kept, after, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
    assert any(not torch.equal(one[1], other[1]) for one, other in zip(kept, before, strict=True))


@both
def test_every_held_out_target_is_validated(make):
    """The first and the last held-out step both count in the validation loss."""
    data = series()
    plain = make(data).validate()["loss"]
    for step in (CUT, N - 1):
        assert make(changed(data, step)).validate()["loss"] != plain


def test_validation_loss_of_windows_is_that_of_one_batch():
    """The validation loss is the mean loss of the held-out windows, as if they were one batch."""
    data = series()
    bptt_task = windows(data)
    starts = torch.arange(CUT - WINDOW, N - WINDOW - HORIZON + 1)
    x, y = bptt_task.windows.gather(starts)
    with evaluating(bptt_task.net):
        expected = absolute_error(bptt_task.net(x), y).mean().item()
    assert bptt_task.validate()["loss"] == pytest.approx(expected, rel=1e-6)


@both
def test_missing_targets_do_not_count(make):
    """A value that was not observed may be anything where it is a target only."""
    data = series()
    observed = data.observed.clone()
    observed[N - 1] = False
    losses = {make(Scaled(each.values, observed)).validate()["loss"] for each in (data, changed(data, N - 1))}
    assert len(losses) == 1
    assert make(data).validate()["loss"] not in losses


def test_the_state_is_carried_and_only_cut():
    """The loss of the streams is that of one long pass for every k; with a reset between windows it is not."""
    data, module = series(), net()
    whole = forecast_stream(module, data.values[: CUT - HORIZON], None)
    target = data.values[1:CUT].unfold(0, HORIZON, 1).transpose(1, 2)
    whole_loss = absolute_error(whole, target)

    def losses(bptt, reset=False):
        bptt_task, found = streams(data, bptt, module), []
        with evaluating(module):
            for batch in bptt_task.batches.epoch():
                if reset:
                    bptt_task.stream.reset()
                found.append(float(bptt_task.loss(batch)["loss"]))
        return torch.tensor(found)

    expected = torch.stack([part.mean() for part in whole_loss.split(WINDOW)])
    for bptt in (1, 3, WINDOW):
        torch.testing.assert_close(losses(bptt), expected)
    assert not torch.allclose(losses(WINDOW, reset=True)[1:], expected[1:], rtol=1e-3)


def gradient(bptt):
    """Gradient of the second window's loss with respect to the recurrent weights."""
    module = net()
    bptt_task = streams(series(), bptt, module)
    first, second, *_ = bptt_task.batches.epoch()
    bptt_task.loss(first)
    bptt_task.loss(second)["loss"].backward()
    return module.reader.weight_hh_l0.grad.clone()


def test_gradients_are_cut_every_k_steps():
    """The gradient is that of a loop written by hand that detaches every k steps; other k give another."""

    def by_hand(k):
        module, data = net(), series()
        stream, losses = StreamState(module), []
        stream.advance(data.values[None, :WINDOW])
        for start in range(WINDOW, 2 * WINDOW, k):
            steps = slice(start, min(start + k, 2 * WINDOW))
            x = data.values[None, steps]
            forecast, state = module.stream(x, stream.before, None, stream.state)
            stream.state, stream.before = tuple(part.detach() for part in state), x[:, -1:]
            target = data.values[start + 1 :].unfold(0, HORIZON, 1).transpose(1, 2)[: x.shape[1]]
            losses.append(absolute_error(forecast, target[None]))
        mean(torch.cat(losses, 1)).backward()
        return module.reader.weight_hh_l0.grad

    for k in (1, 3, WINDOW):
        torch.testing.assert_close(gradient(k), by_hand(k))
    assert not torch.allclose(gradient(1), gradient(WINDOW), rtol=1e-2)


def test_a_stream_in_pieces():
    """Advanced in pieces, a stream ends in the same state as in one go, and forecasts the same."""
    data, module = series(), net(normalize="last")
    module.eval()
    whole, pieces = StreamState(module), StreamState(module)
    whole.advance(data.values[None])
    for part in data.values.split([1, 7, 20, 32]):
        pieces.advance(part[None])
    torch.testing.assert_close(whole.forecast(10), pieces.forecast(10))
    again = StreamState(module)
    again.load_state_dict(whole.state_dict())
    assert torch.equal(again.forecast(10), whole.forecast(10))
    assert torch.equal(whole.forecast(10), whole.forecast(10)), "a forecast must not change the state"


@pytest.mark.parametrize(("length", "limit"), [(1, 1), (10, 3), (10, 10), (513, 512), (7, 100)])
def test_evenly_spaced(length, limit):
    """At most `limit` elements, the last one among them."""
    chosen = evenly_spaced(range(5, 5 + length), limit)
    assert 0 < len(chosen) <= limit
    assert chosen[-1] == 4 + length
