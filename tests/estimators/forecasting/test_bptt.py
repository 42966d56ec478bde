"""BPTTTask a forecaster: what trains, what is held out, what is carried and where gradients are cut."""

import pytest
import torch

from regen.estimators._evaluation import evaluating
from regen.estimators.forecasting._preparation import Scaled
from regen.estimators.forecasting.bptt import (
    StreamBPTT,
    StreamState,
    WindowBPTT,
    forecast_stream,
    spread,
)
from regen.losses.regression import absolute_error, mean
from regen.nets.forecast import WindowNet

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
    """Unfolded over one stream, so that time order is plain to see."""
    return StreamBPTT(module or net(), absolute_error, data, WINDOW, CUT, batch_size=1, bptt=bptt)


def changed(data, where):
    """The series with other values at some steps."""
    values = data.values.clone()
    values[where] += 7
    return Scaled(values, data.observed)


@pytest.mark.parametrize("make", [windows, lambda data: streams(data, 4)], ids=["windows", "streams"])
def test_training_never_sees_the_held_out_part(make):
    """Training batches stay the same when anything from `cut` on changes, and change when the step before does."""
    data, order = series(), torch.Generator()

    def batches(given):
        return [
            tuple(part for part in batch[:2]) for batch in make(given).batches.epoch(order.manual_seed(0))
        ]

    kept, after, before = (
        batches(each) for each in (data, changed(data, slice(CUT, None)), changed(data, CUT - 1))
    )
    for one, other in zip(kept, after, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
    assert any(not torch.equal(one[1], other[1]) for one, other in zip(kept, before, strict=True))


@pytest.mark.parametrize("make", [windows, lambda data: streams(data, 4)], ids=["windows", "streams"])
def test_every_held_out_target_is_judged(make):
    """The first and the last held-out step both count in the validation loss."""
    data = series()
    plain = make(data).validate()["loss"]
    for step in (CUT, N - 1):
        assert make(changed(data, step)).validate()["loss"] != plain


def test_windows_judge_as_one_batch():
    """The validation loss is the mean cost of the held-out windows, as if they were one batch."""
    data = series()
    unfolding = windows(data)
    starts = torch.arange(CUT - WINDOW, N - WINDOW - HORIZON + 1)
    x, y = unfolding.windows.gather(starts)
    with evaluating(unfolding.net):
        expected = absolute_error(unfolding.net(x), y).mean().item()
    assert unfolding.validate()["loss"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("make", [windows, lambda data: streams(data, 4)], ids=["windows", "streams"])
def test_missing_targets_cost_nothing(make):
    """A value that was not observed may be anything where it is a target only."""
    data = series()
    observed = data.observed.clone()
    observed[N - 1] = False
    losses = {make(Scaled(each.values, observed)).validate()["loss"] for each in (data, changed(data, N - 1))}
    assert len(losses) == 1
    assert make(data).validate()["loss"] not in losses


def test_the_state_is_carried_and_only_cut():
    """The loss of the streams is that of one long pass whatever k is; forgetting between windows is not."""
    data, module = series(), net()
    whole = forecast_stream(module, data.values[: CUT - HORIZON], None)
    target = data.values[1:CUT].unfold(0, HORIZON, 1).transpose(1, 2)
    cost = absolute_error(whole, target)

    def losses(bptt, forget=False):
        unfolding, found = streams(data, bptt, module), []
        with evaluating(module):
            for batch in unfolding.batches.epoch():
                if forget:
                    unfolding.stream.forget()
                found.append(float(unfolding.loss(batch)["loss"]))
        return torch.tensor(found)

    expected = torch.stack([part.mean() for part in cost.split(WINDOW)])
    for bptt in (1, 3, WINDOW):
        torch.testing.assert_close(losses(bptt), expected)
    assert not torch.allclose(losses(WINDOW, forget=True)[1:], expected[1:], rtol=1e-3)


def gradient(bptt):
    """Gradient of the second window's loss with respect to the recurrent weights."""
    module = net()
    unfolding = streams(series(), bptt, module)
    first, second, *_ = unfolding.batches.epoch()
    unfolding.loss(first)
    unfolding.loss(second)["loss"].backward()
    return module.reader.weight_hh_l0.grad.clone()


def test_gradients_are_cut_every_k_steps():
    """The gradient is that of a loop written by hand that detaches every k steps; other k give another."""

    def by_hand(k):
        module, data = net(), series()
        stream, costs = StreamState(module), []
        stream.read(data.values[None, :WINDOW])
        for start in range(WINDOW, 2 * WINDOW, k):
            steps = slice(start, min(start + k, 2 * WINDOW))
            x = data.values[None, steps]
            forecast, state = module.stream(x, stream.before, None, stream.state)
            stream.state, stream.before = tuple(part.detach() for part in state), x[:, -1:]
            target = data.values[start + 1 :].unfold(0, HORIZON, 1).transpose(1, 2)[: x.shape[1]]
            costs.append(absolute_error(forecast, target[None]))
        mean(torch.cat(costs, 1)).backward()
        return module.reader.weight_hh_l0.grad

    for k in (1, 3, WINDOW):
        torch.testing.assert_close(gradient(k), by_hand(k))
    assert not torch.allclose(gradient(1), gradient(WINDOW), rtol=1e-2)


def test_reading_a_stream_in_pieces():
    """Pieces read one after the other end where one long read ends, and forecast the same."""
    data, module = series(), net(normalize="last")
    module.eval()
    whole, pieces = StreamState(module), StreamState(module)
    whole.read(data.values[None])
    for part in data.values.split([1, 7, 20, 32]):
        pieces.read(part[None])
    torch.testing.assert_close(whole.ahead(10), pieces.ahead(10))
    again = StreamState(module)
    again.load_state_dict(whole.state_dict())
    assert torch.equal(again.ahead(10), whole.ahead(10))
    assert torch.equal(whole.ahead(10), whole.ahead(10)), "looking ahead must not move the stream"


@pytest.mark.parametrize(("length", "most"), [(1, 1), (10, 3), (10, 10), (513, 512), (7, 100)])
def test_spread(length, most):
    """Evenly spaced, at most so many, the last among them."""
    chosen = spread(range(5, 5 + length), most)
    assert 0 < len(chosen) <= most
    assert chosen[-1] == 4 + length
