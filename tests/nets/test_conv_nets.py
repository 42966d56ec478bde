"""Convolutional encoders and decoders: any size comes back, flat images keep their order, gaps are flagged."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from regen.nets.conv import ConvDecoder, ConvEncoder, sizes

TOLERANCE = 1e-12
"""Measured: 2e-15 (float64). The twins below differ by more than 1e-3."""


def images(shape: tuple[int, int, int], B: int = 3) -> Tensor:
    """Flat images (B, C*Y*X) in float64."""
    cells = shape[0] * shape[1] * shape[2]
    return torch.randn(B, cells, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def pair(
    shape: tuple[int, int, int], width: int = 1, channels: tuple[int, ...] = (4, 5), mask_input: bool = False
) -> tuple[ConvEncoder, ConvDecoder]:
    """An encoder to 3 numbers and its decoder, in float64, with biases that are not 0."""
    torch.manual_seed(0)
    reader = ConvEncoder(shape, 3, channels, "tanh", mask_input).double()
    writer = ConvDecoder(3, shape, width, channels, "tanh").double()
    for net in (reader, writer):
        for name, weight in net.named_parameters():
            if name.endswith("bias"):
                nn.init.normal_(weight)
    return reader, writer


@settings(max_examples=60)
@given(Y=st.integers(1, 80), X=st.integers(1, 80), C=st.integers(1, 3), depth=st.integers(1, 4))
def test_every_size_comes_back(Y: int, X: int, C: int, depth: int) -> None:
    """Images of any height and width pass any number of halvings and are restored to their size."""
    channels = (2, 3, 2, 3)[:depth]
    reader, writer = ConvEncoder((C, Y, X), 4, channels), ConvDecoder(4, (C, Y, X), 2, channels)
    x = torch.zeros(2, C * Y * X)
    z = reader(x)
    assert z.shape == (2, 4)
    assert writer(z).shape == (2, 2 * C * Y * X)


@pytest.mark.parametrize("side", range(1, 81))
def test_a_halving_is_undone(side: int) -> None:
    """Each transposed convolution restores the size of its convolution's input, for every side from 1 to 80."""
    reader, writer = ConvEncoder((1, side, 1), 1, (1,) * 5), ConvDecoder(1, (1, side, 1), 1, (1,) * 5)
    h, read = torch.zeros(1, 1, side, 1), [side]
    for layer in reader.layers:
        h = layer(h)
        read.append(h.shape[2])
    assert read == sizes(side, 5)
    restored = [h.shape[2]]
    for layer in writer.layers:
        h = layer(h)
        restored.append(h.shape[2])
    assert restored == read[::-1]


def test_an_encoder_is_its_equation() -> None:
    """Convolutions, each with its activation, then a linear layer of all that is left."""
    reader, _ = pair((2, 5, 7))
    x = images((2, 5, 7))
    first, second = reader.layers
    h = torch.tanh(second(torch.tanh(first(x.view(3, 2, 5, 7)))))
    assert h.shape == (3, 5, 2, 2)
    torch.testing.assert_close(reader(x), reader.code(h.flatten(1)), rtol=0, atol=TOLERANCE)
    twisted = x.view(3, 2, 7, 5).transpose(2, 3)
    h = torch.tanh(second(torch.tanh(first(twisted))))
    assert (reader(x) - reader.code(h.flatten(1))).abs().max() > 1e-3, "height and width swapped must differ"


def test_a_decoder_outputs_all_of_one_parameter_first() -> None:
    """The numbers of every cell are [first of all cells | second of all cells], each in the order of the image."""
    _, writer = pair((2, 5, 7), width=2)
    z = images((1, 1, 3))
    first, second = writer.layers
    h = second(torch.tanh(first(torch.tanh(writer.spread(z).view(3, 5, 2, 2)))))
    assert h.shape == (3, 4, 5, 7)
    h = h + writer.bias.view(4, 5, 7)
    output = writer(z)
    torch.testing.assert_close(output[:, :70].view(3, 2, 5, 7), h[:, :2], rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(output[:, 70:].view(3, 2, 5, 7), h[:, 2:], rtol=0, atol=TOLERANCE)
    interleaved = h.view(3, 2, 2, 35).transpose(1, 2).reshape(3, -1)
    assert (output - interleaved).abs().max() > 1e-3


def test_missing_cells_are_channels_of_their_own() -> None:
    """The flags are C more channels, 1 where a cell is missing, at the place of that cell."""
    shape = (2, 5, 7)
    reader, _ = pair(shape, mask_input=True)
    x = images(shape)
    observed = torch.ones(3, 70, dtype=torch.bool)
    assert torch.equal(reader(x), reader(x, observed))
    observed[:, 35 + 3 * 7 + 6] = False  # channel 1, row 3, column 6
    flags = torch.zeros(3, 2, 5, 7, dtype=torch.float64)
    flags[:, 1, 3, 6] = 1
    first, second = reader.layers
    h = torch.tanh(second(torch.tanh(first(torch.cat([x.view(3, *shape), flags], 1)))))
    output = reader(x, observed)
    torch.testing.assert_close(output, reader.code(h.flatten(1)), rtol=0, atol=TOLERANCE)
    assert (output - reader(x)).abs().max() > 1e-3, "the twin that ignores the mask must differ"
    assert (output - reader(x, ~observed)).abs().max() > 1e-3, "the twin with the mask inverted must differ"
    without_flags, _ = pair(shape)
    assert torch.equal(without_flags(x, observed), without_flags(x))


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_the_bias_is_the_output_at_code_zero(activation: str) -> None:
    """At code 0 an untrained decoder outputs the values set for it, cell by cell, not their mean over a channel."""
    torch.manual_seed(0)
    writer = ConvDecoder(3, (2, 6, 6), 2, (4, 5), activation).double()
    values = torch.randn(2 * 2 * 36, dtype=torch.float64)
    writer.set_bias(values)
    zero = torch.zeros(1, 3, dtype=torch.float64)
    torch.testing.assert_close(writer(zero)[0], values, rtol=0, atol=TOLERANCE)
    twin = values.view(4, 36).mean(1).repeat_interleave(36)
    assert (writer(zero)[0] - twin).abs().max() > 1
    assert (writer(zero + 1) - writer(zero)).abs().max() > 1e-3


def test_a_signal_survives() -> None:
    """What goes through four convolutions and back keeps a spread between a thirtieth and thirty."""
    torch.manual_seed(0)
    channels = (32, 64, 64, 64)
    x = torch.randn(16, 3 * 48 * 40)
    with torch.no_grad():
        code = ConvEncoder((3, 48, 40), 64, channels)(x)
        output = ConvDecoder(64, (3, 48, 40), 1, channels)(torch.randn(16, 64))
    assert 1 / 30 < float((code - code.mean(0)).std()) < 30
    assert 1 / 30 < float((output - output.mean(0)).std()) < 30


def test_at_least_one_convolution(message_of: Any) -> None:
    """Without channels there is nothing to halve."""
    words = "channels is empty; give the channels of at least one convolution, such as (32,)."
    assert message_of(ValueError, ConvEncoder, (1, 4, 4), 2, ()) == words
    assert message_of(ValueError, ConvDecoder, 2, (1, 4, 4), channels=()) == words
