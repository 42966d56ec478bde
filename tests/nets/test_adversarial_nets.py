"""Generators and critics of every backbone: shapes, labels, packs, lengths, second derivatives, seeds, devices."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regen.cells import LSTM, NAMES
from regen.nets.adversarial import MLPCritic, MLPGenerator, RecurrentCritic, RecurrentGenerator, make_gan_nets
from regen.nets.conditioning import pack_rows

TOLERANCE = 1e-12
"""Measured: 2e-15 (float64). The twins below differ by more than 1e-3."""
SECOND = 1e-5
"""Relative, of a second derivative against central differences with a step of 1e-5 in float64. Measured: 2e-6."""
SHAPE = (2, 9, 12)
CELLS = [*NAMES, LSTM(peephole="full")]
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "mlp": ("mlp", {"features": 6, "outputs": 6, "hidden": (9, 7), "activation": "silu"}),
    "mlp relu": ("mlp", {"features": 6, "outputs": 8, "hidden": (9, 7)}),
    "conv": ("conv", {"features": 216, "outputs": 216, "shape": SHAPE, "channels": 3}),
    "conv norm": ("conv", {"features": 216, "outputs": 432, "shape": SHAPE, "channels": 3, "norm": True}),
    "recurrent": ("recurrent", {"features": 3, "outputs": 3, "hidden": (5, 5), "cell": "lstm"}),
    "reference": ("gru", {"features": 3, "outputs": 3, "hidden": 5, "backend": "reference"}),
} | {f"cell {cell}": (cell, {"features": 3, "outputs": 4, "hidden": 5}) for cell in CELLS}
EXTRAS: dict[str, dict[str, Any]] = {
    "plain": {},
    "classes": {"classes": 3},
    "pack": {"pack": 2},
    "all": {"classes": 3, "pack": 3, "spectral_norm": True},
}
LABEL = torch.tensor([0, 2, 1, 1, 2, 0])
LENGTHS = torch.tensor([7, 3, 6, 1, 2, 5])


def made(case: str, extra: str = "plain", seed: int = 0) -> tuple[Any, Any]:
    """A generator with a code of 4 and its critic."""
    backbone, options = CASES[case]
    torch.manual_seed(seed)
    return make_gan_nets(backbone, code=4, **options, **EXTRAS[extra])


def label_for(extra: str) -> Tensor | None:
    """Six labels, where the nets have classes."""
    return LABEL if "classes" in EXTRAS[extra] else None


def rows(case: str, B: int = 6, T: int = 7, dtype: torch.dtype = torch.float32) -> Tensor:
    """Inputs of the critic: (B, E), or (B, T, E)."""
    backbone, options = CASES[case]
    steps = () if backbone in ("mlp", "conv") else (T,)
    return torch.randn(
        B, *steps, options["features"], dtype=dtype, generator=torch.Generator().manual_seed(1)
    )


def codes(B: int = 6) -> Tensor:
    """Noise (B, 4)."""
    return torch.randn(B, 4, generator=torch.Generator().manual_seed(2))


def steps_of(case: str) -> tuple[int, ...]:
    """(7,) for sequences."""
    return () if CASES[case][0] in ("mlp", "conv") else (7,)


# Inputs and outputs.


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("case", CASES)
def test_shapes(case: str, extra: str) -> None:
    """The generator has its outputs for each row or step, the critic one logit for each pack."""
    generator, critic = made(case, extra)
    outputs = generator(codes(), label_for(extra), 7)
    assert outputs.shape == (6, *steps_of(case), CASES[case][1]["outputs"])
    assert critic(rows(case), label_for(extra)).shape == (6 // critic.pack,)
    assert generator.code == 4
    assert outputs.shape[-1] == generator.outputs


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("case", CASES)
def test_gradients_reach_every_parameter(case: str, extra: str) -> None:
    """Of both players, through the critic to the generator."""
    generator, critic = made(case, extra)
    outputs = generator(codes(), label_for(extra), 7)[..., : CASES[case][1]["features"]]
    logits = critic(outputs, label_for(extra))
    (logits * torch.arange(1.0, 1.0 + len(logits))).sum().backward()
    for player in (generator, critic):
        for name, weight in player.named_parameters():
            assert weight.grad is not None, name
            assert weight.grad.isfinite().all(), name
            assert weight.grad.abs().max() > 0, name


@pytest.mark.parametrize("case", CASES)
def test_outputs_vary_with_the_code(case: str) -> None:
    """An untrained generator is not constant: the deviation over codes is between 1 / 1000 and 20."""
    generator, _ = made(case)
    z = torch.randn(512, 4, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        spread = float(generator(z, None, 7).std(0).mean())
    assert 1 / 1000 < spread < 20


@pytest.mark.parametrize("case", CASES)
def test_backend(case: str) -> None:
    """The name first; of a recurrent net also the reason."""
    generator, critic = made(case)
    generator(codes(), None, 7)
    critic(rows(case))
    names = ("torch:", "native:", "reference:")
    assert generator.backend_.startswith(names)
    assert critic.backend_.startswith(names)
    assert case != "reference" or critic.backend_ == generator.backend_ == "reference: requested"


# Labels.


@pytest.mark.parametrize("case", CASES)
def test_the_label_is_used(case: str, with_biases: Any) -> None:
    """By both: another label changes the output of its own row only; a twin that ignores it is detected."""
    generator, critic = made(case, "classes")
    generator, critic = with_biases(generator).eval(), with_biases(critic).eval()
    z, x, other = codes().double(), rows(case, dtype=torch.float64), LABEL.clone()
    other[3] = 2
    for net, inputs in ((generator, (z, 7)), (critic, (x, None))):
        outputs, changed = net(inputs[0], LABEL, inputs[1]), net(inputs[0], other, inputs[1])
        rest = torch.arange(6) != 3
        torch.testing.assert_close(outputs[rest], changed[rest], rtol=0, atol=TOLERANCE)
        assert (outputs[3] - changed[3]).abs().max() > 1e-3 * outputs.abs().max(), (
            "the twin that ignores it must differ"
        )


def test_a_label_is_one_hot_and_appended_to_the_row(twin_differs: Any) -> None:
    """[z, one hot] and [x, one hot], in this order, for dense layers and at every step of sequences."""
    torch.manual_seed(0)
    z, x = codes(), rows("mlp")
    one_hot = torch.eye(3)[LABEL]
    generator, critic = MLPGenerator(4, 6, classes=3), MLPCritic(6, classes=3)
    assert torch.equal(generator(z, LABEL), generator.net(torch.cat([z, one_hot], 1)))
    assert torch.equal(critic(x, LABEL), critic.net(torch.cat([x, one_hot], 1))[:, 0])
    assert twin_differs(critic(x, LABEL), critic.net(torch.cat([one_hot, x], 1))[:, 0])
    steps = rows("cell gru")
    writer, reader = RecurrentGenerator("gru", 4, 3, 5, classes=3), RecurrentCritic("gru", 3, 5, classes=3)
    assert torch.equal(writer(z, LABEL, 7), writer.net(torch.cat([z, one_hot], 1), 7))
    appended = torch.cat([steps, one_hot[:, None].expand(6, 7, 3)], 2)
    assert torch.equal(reader(steps, LABEL), reader.net(appended)[:, 0])


@pytest.mark.parametrize("case", ["mlp", "conv", "recurrent"])
def test_labels_and_classes_belong_together(case: str, message_of: Any) -> None:
    """No label for a net of classes, and a label for a net without, are refused in words."""
    for player, inputs in zip(made(case, "classes"), (codes(), rows(case)), strict=True):
        words = "This net was made for 3 classes. Give label, one of them for each row."
        assert message_of(ValueError, player, inputs) == words
        with pytest.raises(RuntimeError, match="smaller than num_classes"):
            player(inputs, LABEL + 1)
    for player, inputs in zip(made(case), (codes(), rows(case)), strict=True):
        words = "This net was made without classes and takes no label. Make it with classes=."
        assert message_of(ValueError, player, inputs, LABEL) == words


# Packs.


def test_a_pack_is_rows_that_follow_each_other() -> None:
    """Rows 0 1 2 are the first pack, in this order; the twin that takes rows 0 2 4 is another."""
    x = torch.arange(12.0).view(6, 2)
    expected = torch.tensor([[0.0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]])
    assert torch.equal(pack_rows(x, 3), expected)
    assert not torch.equal(x.view(3, 2, 2).transpose(0, 1).flatten(1), expected)
    steps = torch.arange(24.0).view(4, 3, 2)
    packed = pack_rows(steps, 2)
    assert packed.shape == (2, 3, 4)
    assert torch.equal(
        packed, torch.stack([torch.cat([steps[0], steps[1]], 1), torch.cat([steps[2], steps[3]], 1)])
    )


@pytest.mark.parametrize("case", CASES)
def test_a_pack_depends_on_its_rows_alone(case: str, twin_differs: Any, with_biases: Any) -> None:
    """Packs in another order are the same logits in that order; rows mixed between packs are other logits."""
    _, critic = made(case, "all")
    critic = with_biases(critic).eval()
    x = rows(case, dtype=torch.float64)
    outputs = critic(x, LABEL)
    swapped = torch.tensor([3, 4, 5, 0, 1, 2])
    torch.testing.assert_close(critic(x[swapped], LABEL[swapped]), outputs.flip(0), rtol=0, atol=TOLERANCE)
    mixed = torch.arange(6).view(3, 2).T.flatten()
    assert twin_differs(outputs, critic(x[mixed], LABEL[mixed])), (
        "the twin that mixes rows between packs must differ"
    )
    assert twin_differs(outputs, critic(x, LABEL[mixed])), (
        "the twin that mixes labels between packs must differ"
    )


@pytest.mark.parametrize("case", ["mlp", "conv", "recurrent"])
def test_a_pack_must_be_full(case: str, message_of: Any) -> None:
    """Rows that are no multiple of the pack are refused in words."""
    _, critic = made(case, "pack")
    assert message_of(ValueError, critic, rows(case)[:5]) == "pack=2 needs a multiple of 2 rows. Got 5 rows."


# Second derivatives.


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("case", CASES)
def test_a_penalty_has_the_gradient_of_its_differences(
    case: str, extra: str, penalty: Any, with_biases: Any
) -> None:
    """To all weights and to x, in a random direction, with lengths for sequences, in float64."""
    _, critic = made(case, extra)
    critic = with_biases(critic)
    critic(rows(case, dtype=torch.float64), label_for(extra))  # a batch norm has seen a batch
    if extra == "all":
        critic.eval()  # a spectral norm moves with every call in training
    x = rows(case, dtype=torch.float64).requires_grad_()
    lengths = LENGTHS if steps_of(case) else None
    leaves = [x, *critic.parameters()]
    found = torch.autograd.grad(penalty(critic, x, label_for(extra), lengths), leaves, allow_unused=True)
    noise = torch.Generator().manual_seed(3)
    for part in (slice(0, 1), slice(1, None)):
        ways = [torch.randn(leaf.shape, generator=noise, dtype=torch.float64) for leaf in leaves[part]]
        gradient = sum(
            float((g * way).sum()) for g, way in zip(found[part], ways, strict=True) if g is not None
        )
        values = []
        for sign in (1, -2):
            for leaf, way in zip(leaves[part], ways, strict=True):
                leaf.data.add_(way, alpha=sign * 1e-5)
            values.append(float(penalty(critic, x, label_for(extra), lengths).detach()))
        for leaf, way in zip(leaves[part], ways, strict=True):
            leaf.data.add_(way, alpha=1e-5)
        measured = (values[0] - values[1]) / 2e-5
        piecewise = part.start == 0 and not (critic.training and case == "conv norm")
        piecewise &= case in ("mlp relu", "conv", "conv norm")  # linear between kinks: 0 is right
        assert abs(gradient) > 1e-9 or piecewise, "nothing would be tested"
        assert gradient == pytest.approx(measured, rel=SECOND, abs=1e-9)


# Seeds, states, devices.


@pytest.mark.parametrize("extra", ["plain", "all"])
@pytest.mark.parametrize("case", CASES)
def test_the_seed_decides_every_bit(case: str, extra: str) -> None:
    """The same seed gives the same weights and the same outputs of both players, another one others."""
    z, x, label = codes(), rows(case), label_for(extra)
    for one, two, other, inputs in zip(
        made(case, extra), made(case, extra), made(case, extra, 1), ((z, 7), (x, None)), strict=True
    ):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
        outputs = one(inputs[0], label, inputs[1])
        assert torch.equal(outputs, two(inputs[0], label, inputs[1]))
        assert not torch.equal(outputs, other(inputs[0], label, inputs[1]))


@pytest.mark.parametrize("extra", ["plain", "all"])
@pytest.mark.parametrize("case", CASES)
def test_weights_go_and_come_back(case: str, extra: str) -> None:
    """state_dict into players of the same arguments, and deepcopy, give the same bits."""
    for one, other, inputs in zip(
        made(case, extra), made(case, extra, 1), ((codes(), 7), (rows(case), None)), strict=True
    ):
        one.eval(), other.eval()
        other.load_state_dict(one.state_dict())
        outputs = one(inputs[0], label_for(extra), inputs[1])
        assert torch.equal(other(inputs[0], label_for(extra), inputs[1]), outputs)
        assert torch.equal(copy.deepcopy(one)(inputs[0], label_for(extra), inputs[1]), outputs)


@pytest.mark.parametrize("extra", ["plain", "all"])
@pytest.mark.parametrize("case", CASES)
def test_they_are_made_without_memory(case: str, extra: str) -> None:
    """On torch's meta device: the same names and shapes, and no numbers."""
    with torch.device("meta"):
        empty = made(case, extra)
    for net, twin in zip(made(case, extra), empty, strict=True):
        assert all(value.is_meta for value in twin.state_dict().values())
        shapes = {name: value.shape for name, value in twin.state_dict().items()}
        assert shapes == {name: value.shape for name, value in net.state_dict().items()}


# Options.


@pytest.mark.parametrize("case", CASES)
def test_spectral_norm_bounds_every_weight_matrix_of_the_critic(case: str) -> None:
    """Its largest singular value is 1 after enough power iterations; without, it is not."""
    backbone, options = CASES[case]
    torch.manual_seed(0)
    bounded = make_gan_nets(backbone, code=4, spectral_norm=True, **options)[1]
    free = make_gan_nets(backbone, code=4, **options)[1]
    with torch.no_grad():
        for _ in range(300):
            bounded(rows(case))
    bounded.eval()

    def sizes(critic: nn.Module, names: list[tuple[str, str]]) -> list[float]:
        found = [getattr(critic.get_submodule(owner), name) for owner, name in names]
        return [float(torch.linalg.matrix_norm(weight.detach().flatten(1), 2)) for weight in found]

    names = [
        (name.rpartition(".")[0], name.rpartition(".")[2])
        for name, weight in free.named_parameters()
        if weight.ndim > 1
    ]
    assert sizes(bounded, names) == pytest.approx([1.0] * len(names), abs=2e-3)
    assert max(abs(size - 1) for size in sizes(free, names)) > 0.05


def test_widths() -> None:
    """The generator passes the critic's widths backwards; "auto" is four layers, or one of a recurrent net."""
    sizes = {"features": 6, "outputs": 7, "code": 3}
    generator, critic = make_gan_nets("mlp", hidden=(20, 10), **sizes)
    assert [layer.weight.shape for layer in generator.net.layers] == [(10, 3), (20, 10), (7, 20)]
    assert [layer.weight.shape for layer in critic.net.layers] == [(20, 6), (10, 20), (1, 10)]
    generator, critic = make_gan_nets("mlp", **sizes)
    assert [layer.weight.shape for layer in generator.net.layers] == [(128, 3), *[(128, 128)] * 3, (7, 128)]
    generator, critic = make_gan_nets("recurrent", **sizes)
    assert generator.net.writer.hidden_size == critic.net.reader.hidden_size == 64
    assert critic.net.reader.num_layers == 1


SIZES = {"features": 6, "outputs": 6, "code": 3}


@pytest.mark.parametrize(
    ("backbone", "options", "words"),
    [
        (
            "mpl",
            {},
            "The backbone must be one of 'mlp', 'conv', 'recurrent', 'elman', 'diagonal', 'jordan', 'lstm', 'gru', "
            "or a regen.cells cell. Got 'mpl' instead. Did you mean 'mlp'?",
        ),
        ("lstm", {"norm": True}, "norm=True needs convolutions. Use backbone='conv' instead of 'recurrent'."),
        (
            "conv",
            {},
            "backbone='conv' is for images, and needs the shape (channels, height, width) of their 6 cells. "
            "Got none instead.",
        ),
        ("conv", {"outputs": 7, "shape": (1, 2, 3)}, "outputs=7 is no multiple of the 6 cells of an image."),
    ],
)
def test_refusals(backbone: str, options: dict[str, Any], words: str, message_of: Any) -> None:
    """An unknown backbone, norm without convolutions, images without a shape or with a part of a cell."""
    assert message_of(ValueError, make_gan_nets, backbone, **(SIZES | options)) == words


def test_a_generator_of_sequences_needs_the_number_of_steps(message_of: Any) -> None:
    """Without it there is nothing to generate."""
    words = "A recurrent decoder needs the number of steps to decode. Give steps or lengths."
    assert message_of(ValueError, make_gan_nets("gru", **SIZES)[0], torch.zeros(2, 3)) == words
