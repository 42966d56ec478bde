"""Dense encoders and decoders: what they compute, how they start, what tied weights and flags of gaps mean."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regen.nets.mlp import ACTIVATIONS, MLPDecoder, MLPEncoder, init_weight

TOLERANCE = 1e-12
"""Measured: 9e-16 (float64). The twins below differ by more than 1e-3."""
HIDDEN = (7, 4)


def rows(B: int = 5, E: int = 6) -> Tensor:
    """Random numbers (B, E) in float64."""
    return torch.randn(B, E, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def encoder(
    activation: str = "tanh", mask_input: bool = False, hidden: tuple[int, ...] = HIDDEN
) -> MLPEncoder:
    """6 numbers to 3, in float64, with biases that are not 0."""
    torch.manual_seed(0)
    return shaken(MLPEncoder(6, 3, hidden, activation, mask_input).double())


def shaken(net: nn.Module) -> nn.Module:
    """The same net with every bias moved, as if it had learned."""
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if name.endswith("bias") or "biases" in name:
                weight.normal_()
    return net


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_encoder_is_its_equation(activation: str) -> None:
    """W_3 f(W_2 f(W_1 x + b_1) + b_2) + b_3; without the activation, or with one after the last layer, it is not."""
    net, x, f = encoder(activation), rows(), ACTIVATIONS[activation]
    (W1, b1), (W2, b2), (W3, b3) = ((layer.weight, layer.bias) for layer in net.layers)
    linear = (x @ W1.T + b1) @ W2.T + b2
    code = f(f(x @ W1.T + b1) @ W2.T + b2) @ W3.T + b3
    torch.testing.assert_close(net(x), code, rtol=0, atol=TOLERANCE)
    assert (net(x) - (linear @ W3.T + b3)).abs().max() > 1e-3
    assert (net(x) - f(code)).abs().max() > 1e-3


def test_a_decoder_passes_the_widths_backwards() -> None:
    """Its hidden widths are those of the encoder, read from the end."""
    net = MLPDecoder(3, 6, (7, 4))
    assert [tuple(layer.weight.shape) for layer in net.layers] == [(4, 3), (7, 4), (6, 7)]
    assert net(torch.zeros(2, 3)).shape == (2, 6)
    assert net.bias is net.layers[-1].bias


def test_without_hidden_layers_it_is_exactly_linear() -> None:
    """One matrix product each way, to the last bit; no activation is applied."""
    for activation in ACTIVATIONS:
        reader, writer = encoder(activation, hidden=()), MLPDecoder(3, 6, (), activation).double()
        x = rows()
        z = reader(x)
        W, b = reader.layers[0].weight, reader.layers[0].bias
        assert torch.equal(z, torch.addmm(b, x, W.T))
        assert torch.equal(writer(z), torch.addmm(writer.bias, z, writer.layers[0].weight.T))


class NotTransposed(nn.Module):
    """Wrong: the decoder has weights of the right shape that are not the encoder's, transposed."""

    def __init__(self, tied: MLPDecoder, reader: MLPEncoder) -> None:
        super().__init__()
        self.biases = tied.biases
        self.weights = [layer.weight.reshape(layer.weight.shape[::-1]) for layer in reader.layers][::-1]

    def forward(self, z: Tensor) -> Tensor:
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = z @ weight.T + bias
            z = torch.tanh(z) if k < len(self.weights) - 1 else z
        return z


@pytest.mark.parametrize("mask_input", [False, True])
def test_tied_weights_are_the_encoders_transposed(mask_input: bool) -> None:
    """The decoder's matrices are the encoder's, transposed and in the opposite order; its biases are its own."""
    reader = encoder(mask_input=mask_input)
    writer = shaken(MLPDecoder(3, 6, HIDDEN, "tanh", tied=reader).double())
    z = rows(E=3)
    W1, W2, W3 = (layer.weight for layer in reader.layers)
    c1, c2, c3 = writer.biases
    expected = torch.tanh(torch.tanh(z @ W3 + c1) @ W2 + c2) @ W1[:, :6] + c3
    torch.testing.assert_close(writer(z), expected, rtol=0, atol=TOLERANCE)
    assert writer.bias is c3
    if not mask_input:
        assert (NotTransposed(writer, reader)(z) - writer(z)).abs().max() > 1e-3


def test_tied_weights_are_one_parameter() -> None:
    """They are counted once, get the gradients of both uses, and follow the encoder when it learns."""
    reader = encoder()
    writer = MLPDecoder(3, 6, HIDDEN, "tanh", tied=reader).double()
    assert {tuple(weight.shape) for weight in writer.parameters()} == {(4,), (7,), (6,)}
    assert set(writer.state_dict()) == {"biases.0", "biases.1", "biases.2"}
    x = rows()
    writer(reader(x).detach()).square().sum().backward()
    only = reader.layers[0].weight.grad
    assert only is not None and only.abs().max() > 0, "the decoder's use alone reaches the encoder's weight"
    before = writer(rows(E=3))
    with torch.no_grad():
        reader.layers[2].weight.mul_(2)
    assert (writer(rows(E=3)) - before).abs().max() > 1e-3


def test_tied_weights_must_fit(message_of: Any) -> None:
    """A decoder of two numbers per cell, or an encoder of mean and variance, cannot be the transposed decoder."""
    for code, outputs in ((3, 12), (2, 6)):
        assert message_of(ValueError, MLPDecoder, code, outputs, HIDDEN, tied=encoder()) == (
            "Tied weights need a decoder from 3 numbers to 6, as the encoder goes from 6 to 3. "
            f"Got one from {code} to {outputs}; use tied=False."
        )


def test_what_is_missing_is_an_input() -> None:
    """A mask_input encoder receives 1 for each missing value; complete rows encode as they do without a mask."""
    net, x = encoder(mask_input=True), rows()
    observed = rows().roll(1, 0) > 0
    every = torch.ones_like(observed)
    W = net.layers[0].weight
    expected = x @ W[:, :6].T + (~observed).double() @ W[:, 6:].T + net.layers[0].bias
    output = net(x, observed)
    h = torch.tanh(net.layers[1](torch.tanh(expected)))
    torch.testing.assert_close(output, net.layers[2](h), rtol=0, atol=TOLERANCE)
    assert torch.equal(net(x), net(x, every))
    assert (net(x) - output).abs().max() > 1e-3, "the twin that ignores the mask must differ"
    assert (net(x, ~observed) - output).abs().max() > 1e-3, "the twin with the mask inverted must differ"


def test_without_mask_input_the_mask_is_ignored() -> None:
    """Without mask_input=True the output is the same with and without `observed`."""
    net, x = encoder(), rows()
    assert torch.equal(net(x, x > 0), net(x))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("tied", [False, True])
def test_the_bias_is_the_output_at_code_zero(activation: str, tied: bool) -> None:
    """After set_bias the decoder outputs these numbers at code 0, untrained or not, and others elsewhere."""
    values = torch.linspace(-3, 3, 6, dtype=torch.float64)
    reader = encoder(activation)
    writer = MLPDecoder(3, 6, HIDDEN, activation, tied=reader if tied else None).double()
    for net in (writer, shaken(writer)):
        net.set_bias(values)
        zero = torch.zeros(2, 3, dtype=torch.float64)
        torch.testing.assert_close(net(zero), values.expand(2, 6), rtol=0, atol=TOLERANCE)
        assert (net(zero + 1) - values).abs().max() > 1e-3
    writer.bias.requires_grad_(True)
    assert writer.bias.is_leaf


@pytest.mark.parametrize(
    ("activation", "deviation"),
    [
        ("relu", math.sqrt(2 / 400)),
        ("gelu", math.sqrt(2 / 400)),
        ("selu", math.sqrt(1 / 400)),
        ("tanh", math.sqrt(2 / 1000)),
        ("sigmoid", 4 * math.sqrt(2 / 1000)),
        (None, math.sqrt(2 / 1000)),
    ],
)
def test_weights_start_with_the_spread_of_their_source(activation: str | None, deviation: float) -> None:
    """He, LeCun or Glorot: the standard deviation of 240,000 draws within 1 %; fan-in and fan-out swapped differ."""
    torch.manual_seed(0)
    weight = torch.empty(600, 400)
    init_weight(weight, activation, 400, 600)
    assert abs(float(weight.std()) / deviation - 1) < 0.01
    assert abs(float(weight.mean())) < 5 * deviation / math.sqrt(weight.numel())
    twin = torch.empty(600, 400)
    init_weight(twin, activation, 600, 400)
    assert activation in (None, "tanh", "sigmoid") or abs(float(twin.std()) / deviation - 1) > 0.1


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_signal_survives_eight_layers(activation: str) -> None:
    """The spread of what goes through, and of its gradient, neither vanishes nor grows a thousandfold."""
    torch.manual_seed(0)
    net = MLPEncoder(256, 256, (256,) * 8, activation)
    x = torch.randn(64, 256, requires_grad=True)
    output = net(x)
    output.backward(torch.randn_like(output))
    assert x.grad is not None
    assert 0.003 < float((output - output.mean(0)).detach().std()) < 30
    assert 0.003 < float(x.grad.std()) < 30
    with torch.no_grad():
        for layer in net.layers:
            nn.init.normal_(layer.weight, std=0.01)
        small = net(x)
    assert float((small - small.mean(0)).std()) < 1e-4, "the twin that draws N(0, 0.01^2) must fade"


def test_an_unknown_activation_is_refused(message_of: Any) -> None:
    """With the names that are known, and the closest one."""
    words = (
        "The activation must be one of 'relu', 'tanh', 'sigmoid', 'elu', 'gelu', 'silu', 'selu'. "
        "Got 'reluu' instead. Did you mean 'relu'?"
    )
    assert message_of(ValueError, MLPEncoder, 3, 2, activation="reluu") == words
    assert message_of(ValueError, MLPDecoder, 2, 3, activation="reluu") == words
