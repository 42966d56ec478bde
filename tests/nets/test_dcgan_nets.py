"""DCGAN's two nets: every size, the paper's guidelines, packs and labels of images, features, the start."""

import math
from itertools import pairwise
from typing import Any

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from regen.nets.dcgan import DCGANCritic, DCGANGenerator, halvings

TOLERANCE = 1e-12
"""Measured: 4e-16 (float64). The twins below differ by more than 1e-3."""
FALSE_ALARM = 4.9
"""Standard errors by which a right draw is missed once in a million times (two-sided)."""
SHAPE = (2, 9, 12)


def images(shape: tuple[int, int, int] = SHAPE, B: int = 6) -> Tensor:
    """Flat images (B, C*Y*X) in float64."""
    return torch.randn(B, math.prod(shape), dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def codes(B: int = 6, Z: int = 4) -> Tensor:
    """Noise (B, Z) in float64."""
    return torch.randn(B, Z, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


# Sizes.


@hypothesis.settings(max_examples=40)
@hypothesis.given(
    Y=st.integers(8, 80),
    X=st.integers(8, 80),
    C=st.integers(1, 4),
    width=st.integers(1, 2),
    norm=st.booleans(),
)
def test_every_size(Y: int, X: int, C: int, width: int, norm: bool) -> None:
    """Images of any height, width and channels come out flat and go in; gradients reach the first layer."""
    generator = DCGANGenerator(3, (C, Y, X), width, 2, norm)
    critic = DCGANCritic((C, Y, X), 2, norm)
    generated = generator(torch.randn(2, 3))
    assert generated.shape == (2, width * C * Y * X)
    logits = critic(generated[:, : C * Y * X])
    assert logits.shape == (2,)
    logits.sum().backward()
    assert generator.spread.weight.grad is not None


@pytest.mark.parametrize("side", range(1, 81))
def test_a_halving_is_undone(side: int) -> None:
    """The maps of the generator have the sizes of those of the critic, with another side of 80 and of the same."""
    for shape in ((1, side, 80), (1, 80, side), (1, side, side)):
        with torch.device("meta"):
            generator, critic = DCGANGenerator(1, shape, channels=1), DCGANCritic(shape, 1)
            h, sizes = torch.zeros(2, *shape), [shape[1:]]
            for layer in critic.layers:
                h = layer(h)
                sizes.append(tuple(h.shape[2:]))
            h = generator.spread(torch.zeros(2, 1)).view(2, *generator._first)
            generated = [tuple(h.shape[2:])]
            for layer in generator.layers:
                h = layer(h)
                generated.append(tuple(h.shape[2:]))
        assert generated == sizes[::-1]
        assert max(sizes[-1]) <= 5


def test_depth_and_width_as_published() -> None:
    """64 x 64 is 64, 128, 256, 512 channels down to 4 x 4, and no wider below; 32 x 32 the first three."""
    counts = {8: 2, 16: 2, 28: 3, 32: 3, 48: 4, 64: 4, 80: 4, 128: 5}
    assert {side: halvings((3, side, side)) for side in counts} == counts
    assert halvings((1, 8, 64)) == halvings((1, 64, 8)) == 4
    with torch.device("meta"):
        critic, generator = DCGANCritic((3, 64, 64)), DCGANGenerator(100, (3, 64, 64))
        assert [layer.weight.shape[:2] for layer in critic.layers] == [
            (64, 3),
            (128, 64),
            (256, 128),
            (512, 256),
        ]
        assert [layer.weight.shape[:2] for layer in generator.layers] == [
            (512, 256),
            (256, 128),
            (128, 64),
            (64, 3),
        ]
        assert generator.spread.weight.shape == (512 * 16, 100)
        assert critic.logit.weight.shape == (1, 512 * 16)
        assert DCGANCritic((3, 128, 128)).layers[-1].weight.shape[:2] == (512, 512)


# Equations.


def test_the_critic_is_its_equation(with_biases: Any) -> None:
    """Strided convolutions with leaky ReLU of slope 0.2, flattened, one linear layer; other slopes are caught."""
    torch.manual_seed(0)
    critic = with_biases(DCGANCritic(SHAPE, 3, norm=False))
    first, second = critic.layers
    x = images()

    def expected(slope: float) -> Tensor:
        h = F.leaky_relu(first(x.view(6, *SHAPE)), slope)
        return critic.logit(F.leaky_relu(second(h), slope).flatten(1))[:, 0]

    torch.testing.assert_close(critic(x), expected(0.2), rtol=0, atol=TOLERANCE)
    assert (critic(x) - expected(0.01)).abs().max() > 1e-3
    assert all(layer.stride == (2, 2) for layer in critic.layers)


def test_the_generator_is_its_equation(with_biases: Any) -> None:
    """The smallest map, ReLU, transposed convolutions; all of one parameter first."""
    torch.manual_seed(0)
    generator = with_biases(DCGANGenerator(4, SHAPE, 2, 3, norm=False))
    first, second = generator.layers
    h = torch.relu(generator.spread(codes()).view(6, *generator._first))
    image = second(torch.relu(first(h)))
    assert image.shape == (6, 4, 9, 12)
    outputs = generator(codes())
    torch.testing.assert_close(outputs[:, :216].view(6, *SHAPE), image[:, :2], rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(outputs[:, 216:].view(6, *SHAPE), image[:, 2:], rtol=0, atol=TOLERANCE)
    interleaved = image.view(6, 2, 2, 108).transpose(1, 2).reshape(6, -1)
    assert (outputs - interleaved).abs().max() > 1e-3


def depends_on_the_batch(net: nn.Module, x: Tensor) -> bool:
    """Whether the outputs of the first two rows depend on the other rows."""
    return bool((net(x)[:2] - net(x[:2])).abs().max() > 1e-3)


def test_batch_norm_is_where_it_was_published(with_biases: Any) -> None:
    """Not in the generator's output nor at the critic's input, in all other layers; twins that add it are caught."""
    torch.manual_seed(0)
    generator, critic = with_biases(DCGANGenerator(4, SHAPE, 1, 3)), with_biases(DCGANCritic(SHAPE, 3))
    assert [type(norm) for norm in critic.norms] == [nn.Identity, nn.BatchNorm2d]
    assert [type(norm) for norm in generator.norms] == [nn.BatchNorm2d, nn.BatchNorm2d]

    def output_scales(net: DCGANGenerator) -> bool:
        """A last layer twice as large has outputs twice as large: no norm follows."""
        twice = with_biases(DCGANGenerator(4, SHAPE, 1, 3))
        twice.load_state_dict(net.state_dict())
        twice.layers[-1].weight.data *= 2
        bias = net.layers[-1].bias.view(1, -1, 1).expand(6, -1, 108).flatten(1)
        outside = getattr(net, "outside", lambda outputs: outputs)
        return torch.allclose(outside(twice(codes())) - bias, 2 * (outside(net(codes())) - bias), atol=1e-9)

    def input_is_free(net: DCGANCritic) -> bool:
        """The first map of an image does not depend on the other images."""
        return torch.allclose(net._maps(images())[0][:2], net._maps(images()[:2])[0], atol=1e-9)

    assert output_scales(generator)
    generator.outside = lambda outputs: nn.BatchNorm1d(216).double()(outputs)
    assert not output_scales(generator), "the twin with batch norm in the generator's output"
    assert input_is_free(critic)
    assert depends_on_the_batch(critic, images())
    critic.norms[0] = nn.BatchNorm2d(3).double()
    assert not input_is_free(critic), "the twin with batch norm at the critic's input"


def test_without_norm_a_row_is_by_itself(with_biases: Any) -> None:
    """norm=False: no batch norm anywhere, and no row depends on the others, in training too."""
    torch.manual_seed(0)
    for net, inputs in (
        (with_biases(DCGANGenerator(4, SHAPE, 1, 3, norm=False)), codes()),
        (with_biases(DCGANCritic(SHAPE, 3, norm=False)), images()),
    ):
        assert not any(isinstance(layer, nn.BatchNorm2d) for layer in net.modules())
        torch.testing.assert_close(net(inputs)[:2], net(inputs[:2]), rtol=0, atol=TOLERANCE)


def test_there_is_no_pooling_and_no_hidden_dense_layer() -> None:
    """Of dense layers only the one at the code and the one at the logit; halving is done by strides."""
    kinds = [type(layer) for net in (DCGANGenerator(4, SHAPE), DCGANCritic(SHAPE)) for layer in net.modules()]
    assert kinds.count(nn.Linear) == 2
    assert not any("Pool" in kind.__name__ or "Upsample" in kind.__name__ for kind in kinds)


def test_a_pack_of_images_is_their_channels(with_biases: Any) -> None:
    """Images 0 and 1 are the channels of the first pack, in this order; the twins that mix them are caught."""
    torch.manual_seed(0)
    critic = with_biases(DCGANCritic(SHAPE, 3, norm=False, pack=2))
    x = images().view(6, *SHAPE)
    first, second = critic.layers

    def expected(packed: Tensor) -> Tensor:
        h = F.leaky_relu(second(F.leaky_relu(first(packed), 0.2)), 0.2)
        return critic.logit(h.flatten(1))[:, 0]

    right = expected(torch.cat([x[0::2], x[1::2]], 1))
    torch.testing.assert_close(critic(x.flatten(1)), right, rtol=0, atol=TOLERANCE)
    assert (right - expected(torch.cat([x[:3], x[3:]], 1))).abs().max() > 1e-3, "rows of two packs"
    assert (right - expected(torch.stack([x[0::2], x[1::2]], 2).flatten(1, 2))).abs().max() > 1e-3, (
        "channels first"
    )


def test_a_label_is_projected(with_biases: Any) -> None:
    """The label's weights times the feature maps are added to the logit; a pack has a place for each label."""
    torch.manual_seed(0)
    critic = with_biases(DCGANCritic(SHAPE, 3, norm=False, classes=3, pack=2))
    x, label = images(), torch.tensor([0, 2, 1, 1, 2, 0])
    h = critic._maps(x.view(3, -1))[-1].flatten(1)
    weights = critic.labels.weight
    selected = torch.stack(
        [weights[:, 0] + weights[:, 5], weights[:, 1] + weights[:, 4], weights[:, 2] + weights[:, 3]]
    )
    expected = critic.logit(h)[:, 0] + (h * selected).sum(1)
    torch.testing.assert_close(critic(x, label), expected, rtol=0, atol=TOLERANCE)
    assert (critic(x, label) - critic.logit(h)[:, 0]).abs().max() > 1e-3, "the twin that ignores it"
    assert (critic(x, label) - critic(x, label.view(3, 2).flip(1).flatten())).abs().max() > 1e-3, (
        "places mixed"
    )


# Features.


def test_features_are_the_largest_activations_in_a_grid(with_biases: Any) -> None:
    """Of every convolution, in 4 x 4 fields; the twins of means and of the last layer only are caught."""
    torch.manual_seed(0)
    critic = with_biases(DCGANCritic((2, 16, 32), 3, norm=False))
    x = images((2, 16, 32))
    first = F.leaky_relu(critic.layers[0](x.view(6, 2, 16, 32)), 0.2)
    second = F.leaky_relu(critic.layers[1](first), 0.2)
    third = F.leaky_relu(critic.layers[2](second), 0.2)
    assert (first.shape[2:], second.shape[2:], third.shape[2:]) == ((8, 16), (4, 8), (2, 4))
    expected = [
        first.view(6, 3, 4, 2, 4, 4).amax((3, 5)).flatten(1),
        second.view(6, 6, 4, 1, 4, 2).amax((3, 5)).flatten(1),
        third.flatten(1),
    ]
    found = critic.features(x)
    torch.testing.assert_close(found, torch.cat(expected, 1), rtol=0, atol=TOLERANCE)
    mean = first.view(6, 3, 4, 2, 4, 4).mean((3, 5)).flatten(1)
    assert (found[:, :48] - mean).abs().max() > 1e-3


def test_as_many_features_as_published() -> None:
    """7168 of three convolutions with 64 channels, 28672 with 256: those of SVHN and of CIFAR-10 in the paper."""
    with torch.device("meta"):
        for channels, count in ((64, 7168), (256, 28672)):
            assert DCGANCritic((3, 32, 32), channels).features(torch.zeros(2, 3072)).shape == (2, count)


def test_features_of_a_packed_critic(with_biases: Any) -> None:
    """One row for each image, repeated to fill the pack; labels do not matter."""
    torch.manual_seed(0)
    critic = with_biases(DCGANCritic(SHAPE, 3, norm=False, classes=3, pack=2))
    x = images()
    found = critic.features(x)
    assert len(found) == 6
    doubled = x.view(6, *SHAPE).repeat(1, 2, 1, 1)
    first = F.leaky_relu(critic.layers[0](doubled), 0.2)
    torch.testing.assert_close(
        found[:, :48], F.adaptive_max_pool2d(first, 4).flatten(1), rtol=0, atol=TOLERANCE
    )
    torch.testing.assert_close(critic.features(x[3:]), found[3:], rtol=0, atol=TOLERANCE)


# Initialization.


def drawn_as(values: Tensor, mean: float, deviation: float) -> bool:
    """Whether mean, variance and kurtosis are those of N(mean, deviation), within `FALSE_ALARM` standard errors.

    Under the null the three errors are deviation / sqrt(n), sqrt(2 / n) of the variance and sqrt(24 / n).
    """
    z = (values.detach().double().flatten() - mean) / deviation
    n = z.numel()
    errors = (
        z.mean() * n**0.5,
        (z.var() - 1) / (2 / n) ** 0.5,
        (z.pow(4).mean() / z.var() ** 2 - 3) / (24 / n) ** 0.5,
    )
    return all(abs(float(error)) < FALSE_ALARM for error in errors)


def test_weights_start_at_the_published_normal() -> None:
    """N(0, 0.02), batch norm N(1, 0.02), biases 0; 13 weights, 3 numbers each: a false alarm in 25,000 seeds.

    The twins: a deviation of 0.021, a uniform draw of the same deviation, and torch's own start.
    """
    torch.manual_seed(0)
    nets = (DCGANGenerator(100, (3, 32, 32)), DCGANCritic((3, 32, 32)))
    looked = 0
    for net in nets:
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.BatchNorm2d):
                norm = isinstance(layer, nn.BatchNorm2d)
                assert drawn_as(layer.weight, float(norm), 0.02), layer
                assert layer.bias is None or bool((layer.bias == 0).all())
                looked += 1
    assert looked == 13
    weight = nets[1].layers[-1].weight
    assert not drawn_as(weight * 1.05, 0, 0.02)
    assert not drawn_as((torch.rand(weight.shape) - 0.5) * 0.04 * 3**0.5, 0, 0.02)
    assert not drawn_as(nn.Conv2d(128, 256, 5).weight, 0, 0.02)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 9, 64)])
def test_without_norm_signals_keep_their_size(shape: tuple[int, int, int]) -> None:
    """Whatever the depth: deviations within [0.15, 5], labels and packs included; the twin N(0, 0.02) fades."""
    torch.manual_seed(0)
    label, z = torch.arange(10).repeat(20), torch.randn(200, 64)
    x = torch.randn(200, math.prod(shape))

    def deviations() -> tuple[float, float]:
        with torch.no_grad():
            return float(generator(z, label).std(0).mean()), float(critic(x, label).std())

    generator = DCGANGenerator(64, shape, 1, 16, norm=False, classes=10)
    critic = DCGANCritic(shape, 16, norm=False, classes=10, pack=2)
    assert all(0.15 < found < 5 for found in deviations())
    for weight in (*generator.parameters(), *critic.parameters()):
        nn.init.normal_(weight, 0, 0.02)
    assert min(deviations()) < 0.1


def test_a_bias_that_a_norm_takes_back_is_left_out() -> None:
    """With batch norm only layers without one behind them have a bias; without, all do."""
    with torch.device("meta"):
        for norm, count in ((True, 3), (False, 8)):
            nets = (DCGANGenerator(4, (1, 32, 32), norm=norm), DCGANCritic((1, 32, 32), norm=norm))
            linear = [
                layer for net in nets for layer in net.modules() if not isinstance(layer, nn.BatchNorm2d)
            ]
            assert sum(vars(layer)["_parameters"].get("bias") is not None for layer in linear) == count


def test_channels_double() -> None:
    """From the first to the last, at most eight times."""
    critic = DCGANCritic((1, 200, 20), 2)
    widths = [layer.weight.shape[0] for layer in critic.layers]
    assert widths == [2, 4, 8, 16, 16, 16]
    assert all(after in (before, 2 * before) for before, after in pairwise(widths))
