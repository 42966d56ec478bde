"""The moving average of a net against its closed form; buffers, seeds, states, and who moves it."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regen.nets.dcgan import DCGANGenerator
from regen.nets.ema import EMA
from regen.training.player import Player

TOLERANCE = 1e-12
"""Measured: 2e-16 (float64). The twins below differ by more than 1e-2."""


class Walker(nn.Module):
    """A weight (3,), a buffer (2,) of real numbers, and one of whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(3.0, dtype=torch.float64))
        self.register_buffer("mean", torch.ones(2, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """The first weight times x, and in training twice that."""
        return x * self.weight[0] * (1 + self.training)


def move(steps: int, average: EMA, walker: Walker) -> tuple[list[Tensor], list[Tensor]]:
    """All values of weight and buffer, the first ones included; the average follows each step."""
    noise = torch.Generator().manual_seed(0)
    weights, means = [walker.weight.detach().clone()], [walker.mean.clone()]
    for _ in range(steps):
        walker.weight.data += torch.randn(3, generator=noise, dtype=torch.float64)
        walker.mean += torch.randn(2, generator=noise, dtype=torch.float64)
        walker.count += 1
        average.update(walker)
        weights.append(walker.weight.detach().clone())
        means.append(walker.mean.clone())
    return weights, means


def test_a_constant_half_life_in_closed_form() -> None:
    """d^n w_0 + (1 - d) sum_k d^(n-k) w_k with d = 0.5 ** (1 / half_life); off by one step is caught."""
    walker = Walker()
    average = EMA(walker, half_life=7, ramp=None)
    weights, means = move(20, average, walker)
    d = 0.5 ** (1 / 7)
    for values, found in ((weights, average.net.weight), (means, average.net.mean)):
        expected = d**20 * values[0] + (1 - d) * sum(d ** (20 - k) * values[k] for k in range(1, 21))
        torch.testing.assert_close(found.detach(), expected, rtol=0, atol=TOLERANCE)
        late = d**20 * values[0] + (1 - d) * sum(d ** (20 - k) * values[k - 1] for k in range(1, 21))
        assert (found - late).abs().max() > 1e-2
        assert (found - values[-1]).abs().max() > 1e-2


def test_a_step_is_half_forgotten_after_the_half_life() -> None:
    """A step from 0 to 1 is half forgotten after `half_life` updates."""
    walker = Walker()
    walker.weight.data.zero_()
    average = EMA(walker, half_life=12, ramp=None)
    walker.weight.data.fill_(1)
    for _ in range(12):
        average.update(walker)
    assert average.net.weight.tolist() == pytest.approx([0.5] * 3)


def test_a_ramp_in_closed_form() -> None:
    """d_t = 0.5 ** (1 / min(half_life, ramp * t)): the start is forgotten, the twin without a ramp remembers it."""
    walker, ramped = Walker(), EMA(Walker(), half_life=5, ramp=0.4)
    constant = EMA(walker, half_life=5, ramp=None)
    weights, _ = move(20, ramped, walker)
    expected = weights[0]
    for t in range(1, 21):
        d = 0.5 ** (1 / min(5.0, 0.4 * t))
        expected = d * expected + (1 - d) * weights[t]
    torch.testing.assert_close(ramped.net.weight.detach(), expected, rtol=0, atol=TOLERANCE)
    move(20, constant, Walker())
    assert (ramped.net.weight - constant.net.weight).abs().max() > 1e-2
    start, ramp = EMA(Walker(), 1000), 0.5 ** (1 / 0.05)
    walker = Walker()
    walker.weight.data += 1
    start.update(walker)
    torch.testing.assert_close(
        start.net.weight.detach(), walker.weight.detach() - ramp, rtol=0, atol=TOLERANCE
    )


def test_buffers_follow() -> None:
    """Statistics of a batch norm are averaged as weights are, counts copied; the twin without is caught."""
    torch.manual_seed(0)
    generator = DCGANGenerator(4, (1, 8, 8), channels=4)
    average, twin = EMA(generator, half_life=2, ramp=None), EMA(generator, half_life=2, ramp=None)
    for _ in range(10):
        generator(3 * torch.randn(16, 4))
        average.update(generator)
        with torch.no_grad():
            for ours, theirs in zip(twin.net.parameters(), generator.parameters(), strict=True):
                ours.lerp_(theirs, 1 - 0.5**0.5)
    z = torch.randn(8, 4)
    generator.eval()
    right = generator(z)
    assert average.net.norms[0].num_batches_tracked == 10
    wrong = (twin(z) - right).abs().max()
    assert (average(z) - right).abs().max() < 0.3 * wrong


def test_no_average_is_a_copy() -> None:
    """half_life=0."""
    walker = Walker()
    average = EMA(walker, half_life=0)
    weights, means = move(5, average, walker)
    assert torch.equal(average.net.weight, weights[-1])
    assert torch.equal(average.net.mean, means[-1])
    assert int(average.net.count) == 5


def test_it_is_frozen_and_in_evaluation_mode() -> None:
    """No gradient, no training mode, nothing that a player moves; the net that it follows is left as it is."""
    walker = Walker()
    both = nn.ModuleDict({"generator": walker, "average": EMA(walker)})
    both.train()
    assert walker.training
    assert not both["average"].net.training
    assert both["average"](torch.ones(())) == walker(torch.ones(())) / 2
    assert Player("generator", both, lambda batch: {}).parameters() == [walker.weight]
    walker.weight.sum().backward()
    both["average"].update(walker)
    assert both["average"].net.weight.grad is None
    assert torch.equal(walker.weight.grad, torch.ones(3, dtype=torch.float64))


def test_it_is_a_copy_of_its_own() -> None:
    """What happens to the net is not seen before an update, nor the other way round."""
    walker = Walker()
    average = EMA(walker)
    walker.weight.data.fill_(9)
    walker.mean.fill_(9)
    assert average.net.weight.tolist() == [0, 1, 2]
    assert average.net.mean.tolist() == [1, 1]


def test_saved_and_restored_it_goes_on_bit_for_bit() -> None:
    """Its state holds copy and count of updates; the twin that starts its ramp again is caught."""
    walker, again = Walker(), EMA(Walker(), half_life=50)
    average = EMA(walker, half_life=50)
    move(7, average, walker)
    state = copy.deepcopy(average.state_dict())
    assert sorted(state) == ["net.count", "net.mean", "net.weight", "updates"]
    again.load_state_dict(state)
    restarted = EMA(Walker(), half_life=50)
    restarted.net.load_state_dict(average.net.state_dict())
    for follower in (average, again, restarted):
        move(7, follower, copy.deepcopy(walker))
    assert torch.equal(again.net.weight, average.net.weight)
    assert torch.equal(again.net.mean, average.net.mean)
    assert int(again.updates) == 14
    assert (restarted.net.weight - average.net.weight).abs().max() > 1e-2


def test_another_net_is_refused(message_of: Any) -> None:
    """More weights or fewer than its own, or of other shapes, which would otherwise be stretched to fit."""
    words = "An average of one net cannot follow another one, whose parameters and buffers have other shapes."
    wide = Walker()
    wide.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    for other in (nn.Linear(3, 2), wide):
        assert message_of(ValueError, EMA(Walker()).update, other) == words


def test_it_is_made_without_memory() -> None:
    """On torch's meta device."""
    with torch.device("meta"):
        average = EMA(DCGANGenerator(4, (1, 8, 8), channels=4))
    assert all(value.is_meta for value in average.state_dict().values())
