"""The sequence network: what it pools, that padding never matters, and the outputs of its unfolded copies."""

import pytest
import torch
from torch import Tensor, nn

from regen.cells import NAMES
from regen.nets.sequence import Pool, SequenceNet

LENGTHS = torch.tensor([7, 3, 11, 1])
POOLS: list[Pool] = ["last", "mean", "max", "all"]
TOLERANCE = 1e-10
"""Measured: 2e-16 (float64). The twins below differ by more than 1e-3."""


def made(pool: Pool = "all", bidirectional: bool = True, segment: int = 1, cell: str = "lstm") -> SequenceNet:
    """A small net in float64, in eval mode."""
    torch.manual_seed(0)
    net = SequenceNet(
        cell, 2, 3, hidden=5, bidirectional=bidirectional, segment=segment, pool=pool, dropout=0.5
    )
    return net.double().eval()


def batch() -> Tensor:
    """Four sequences; the padding holds random numbers."""
    return torch.randn(4, 11, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def alone(net: SequenceNet, x: Tensor, lengths: Tensor) -> Tensor:
    """Each sequence by itself, without padding and without lengths."""
    return torch.cat([net(row[None, :length]) for row, length in zip(x, lengths, strict=True)])


class MeanOverPadding(nn.Module):
    """Wrong: divides by the longest length."""

    def __init__(self, net: SequenceNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        output, _ = self.net.reader(x, lengths=lengths)
        return self.net.readout(output.mean(1))


class LastOfPadding(MeanOverPadding):
    """Wrong: takes the last column of the block."""

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        output, _ = self.net.reader(x, lengths=lengths)
        return self.net.readout(output[:, -1])


class MaxOverPadding(MeanOverPadding):
    """Wrong: the zeros behind the end take part."""

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        output, _ = self.net.reader(x, lengths=lengths)
        return self.net.readout(output.amax(1))


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("segment", [1, 3])
def test_padding_does_not_matter(pool: Pool, bidirectional: bool, segment: int) -> None:
    """A padded batch with lengths gives the outputs of each sequence alone."""
    net, x = made(pool, bidirectional, segment), batch()
    torch.testing.assert_close(net(x, LENGTHS), alone(net, x, LENGTHS), rtol=0, atol=TOLERANCE)
    assert (net(x) - alone(net, x, LENGTHS)).abs().max() > 1e-3, "the twin that ignores lengths must differ"


@pytest.mark.parametrize(
    ("pool", "twin"), [("mean", MeanOverPadding), ("last", LastOfPadding), ("max", MaxOverPadding)]
)
def test_pooling_over_padding_is_noticed(pool: Pool, twin: type[MeanOverPadding]) -> None:
    """Each pooling that reads padding differs from ours, and agrees where there is none."""
    net, x = made(pool, bidirectional=False), batch()
    wrong = twin(net)
    assert (wrong(x, LENGTHS) - net(x, LENGTHS)).abs().max() > 1e-3
    full = torch.full((4,), 11)
    torch.testing.assert_close(wrong(x, full), net(x, full), rtol=0, atol=TOLERANCE)


def test_last_is_the_end_of_each_direction() -> None:
    """The backward direction has read everything at the first step, not at the last."""
    net, x = made("last"), batch()
    output, (h, _) = net.reader(x)
    torch.testing.assert_close(net(x), net.readout(torch.cat([h[0], h[1]], 1)), rtol=0, atol=TOLERANCE)
    assert (net.readout(output[:, -1]) - net(x)).abs().max() > 1e-3


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("segment", [1, 3])
def test_the_output_of_each_copy_is_that_of_a_sequence_ending_there(
    pool: Pool, bidirectional: bool, segment: int
) -> None:
    """Output s is that of the first s segments; the last is that of the whole sequence."""
    net, x = made(pool, bidirectional, segment), batch()
    outputs = net.copy_outputs(x, LENGTHS)
    assert outputs.shape == (4, -(-11 // segment), 3)
    for s in range(outputs.shape[1]):
        end = (s + 1) * segment
        beginnings = alone(net, x, LENGTHS.clamp(max=end))
        torch.testing.assert_close(outputs[:, s], beginnings, rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(outputs[:, -1], net(x, LENGTHS), rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(net.copy_outputs(x)[:, -1], net(x), rtol=0, atol=TOLERANCE)
    some = [0, 2, outputs.shape[1] - 1]
    torch.testing.assert_close(net.copy_outputs(x, LENGTHS, some), outputs[:, some], rtol=0, atol=TOLERANCE)


def test_a_recurrent_step_reads_its_segment_and_three_before() -> None:
    """Step s reads the 2 values of its own segment and the 6 before them; the start and the end are filled with 0."""
    net = made(segment=2)
    x = torch.arange(1.0, 8.0, dtype=torch.float64)[None, :, None] + torch.tensor([0.0, 0.5])
    read = net._segments(x).unflatten(-1, (2, 8))
    own = [
        [0, 0, 0, 0, 0, 0, 1, 2],
        [0, 0, 0, 0, 1, 2, 3, 4],
        [0, 0, 1, 2, 3, 4, 5, 6],
        [1, 2, 3, 4, 5, 6, 7, 0],
    ]
    assert read[0, :, 0].tolist() == own
    assert read[0, 3, 1].tolist() == [1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 0]
    assert torch.equal(made(segment=1)._segments(x), x)


def test_dropout_acts_in_training_only() -> None:
    """Two outputs differ in training mode and agree in eval mode."""
    net, x = made(), batch()
    assert torch.equal(net(x), net(x))
    net.train()
    assert not torch.equal(net(x), net(x))


@pytest.mark.parametrize("cell", NAMES)
def test_every_cell_reads(cell: str) -> None:
    """Any cell can stand in, and every parameter gets a gradient."""
    net = made(cell=cell, segment=2)
    net(batch(), LENGTHS).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in net.parameters())
