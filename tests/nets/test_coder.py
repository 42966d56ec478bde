"""Encoder and decoder together, of every backbone; recurrent ones in themselves."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regen.cells import LSTM, NAMES
from regen.nets.autoencoder import AutoencoderNet, make_autoencoder
from regen.nets.recurrent_autoencoder import RecurrentDecoder, RecurrentEncoder

TOLERANCE = 1e-10
"""Measured: 4e-16 (float64). The twins below differ by more than 1e-3."""
LENGTHS = torch.tensor([7, 3, 6, 1])
CELLS = [*NAMES, LSTM(peephole="full")]

CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "mlp": ("mlp", {}),
    "mlp linear": ("mlp", {"hidden": ()}),
    "mlp tied": ("mlp", {"tied": True, "hidden": (9, 5)}),
    "mlp masked": ("mlp", {"mask_input": True, "hidden": 9}),
    "mlp tied masked": ("mlp", {"tied": True, "mask_input": True, "hidden": (9, 5)}),
    "conv": ("conv", {"shape": (2, 5, 3)}),
    "conv masked": ("conv", {"shape": (2, 5, 3), "mask_input": True, "hidden": (4, 3)}),
    "recurrent": ("recurrent", {}),
    "recurrent masked": ("recurrent", {"mask_input": True, "hidden": (8, 8), "cell": "lstm"}),
    "reference": ("gru", {"backend": "reference"}),
} | {f"cell {cell}": (cell, {"hidden": 8}) for cell in CELLS}


def made(case: str, seed: int = 0, E: int = 30, **more: Any) -> AutoencoderNet:
    """A coder of 30 numbers, a code of 4."""
    backbone, options = CASES[case]
    torch.manual_seed(seed)
    sizes = {"features": E, "outputs": E, "code_outputs": 4, "code": 4} | more
    return make_autoencoder(backbone, **sizes, **options)


def batch(case: str, B: int = 4, E: int = 30, T: int = 7) -> tuple[Tensor, Tensor]:
    """x, and which of its numbers are observed, of the shape that the backbone reads."""
    backbone, _ = CASES[case]
    shape = (B, E) if backbone in ("mlp", "conv") else (B, T, E)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    return x, torch.rand(shape, generator=torch.Generator().manual_seed(2)) > 0.2


@pytest.mark.parametrize("case", CASES)
def test_it_restores_the_shape(case: str) -> None:
    """Rows, images and sequences come back in the shape in which they were read; encoder and decoder work apart."""
    net, (x, observed) = made(case), batch(case)
    assert net(x, observed).shape == x.shape
    z = net.encoder(x, observed)
    assert z.shape == (4, 4)
    assert torch.equal(net.decoder(z, x.shape[1]), net(x, observed))


@pytest.mark.parametrize("case", [case for case in CASES if "tied" not in case])
def test_more_numbers_than_one(case: str) -> None:
    """A code of mean and variance, a decoder of two numbers a cell: the decoder reads the first half of the code."""
    net, (x, observed) = made(case, outputs=60, code_outputs=8), batch(case)
    z = net.encoder(x, observed)
    assert z.shape == (4, 8)
    output = net(x, observed)
    assert output.shape == (*x.shape[:-1], 60)
    assert torch.equal(output, net.decoder(z[:, :4], x.shape[1]))
    assert not torch.equal(output, net.decoder(z[:, 4:], x.shape[1]))


@pytest.mark.parametrize("case", CASES)
def test_gradients_reach_every_parameter(case: str) -> None:
    """Nothing is left out, flags of gaps included."""
    net, (x, observed) = made(case), batch(case, B=16)
    net(x, observed).square().sum().backward()
    for name, weight in net.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.abs().max() > 0, name


@pytest.mark.parametrize("case", CASES)
def test_the_seed_decides_every_bit(case: str) -> None:
    """The same seed gives the same weights and outputs, another seed gives others."""
    (x, observed), net = batch(case), made(case)
    again, other = made(case), made(case, seed=1)
    assert torch.equal(net(x, observed), again(x, observed))
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    assert not torch.equal(net(x, observed), other(x, observed))


@pytest.mark.parametrize("case", CASES)
def test_weights_go_and_come_back(case: str) -> None:
    """state_dict into another net of the same arguments, and deepcopy, give the same bits; nothing is saved twice."""
    (x, observed), net, other = batch(case), made(case), made(case, seed=1)
    state = net.state_dict()
    assert sum(weight.numel() for weight in state.values()) == sum(w.numel() for w in net.parameters())
    other.load_state_dict(state)
    output = net(x, observed)
    assert torch.equal(other(x, observed), output)
    twin = copy.deepcopy(net)
    with torch.no_grad():
        for weight in net.parameters():
            weight.zero_()
    assert torch.equal(twin(x, observed), output), "the copy's tied weights are its own"


@pytest.mark.parametrize("case", CASES)
def test_it_is_made_without_memory(case: str) -> None:
    """On torch's meta device: the same names and shapes, and no numbers."""
    with torch.device("meta"):
        shapes = {name: weight.shape for name, weight in made(case).state_dict().items()}
        assert all(weight.is_meta for weight in made(case).state_dict().values())
    assert shapes == {name: weight.shape for name, weight in made(case).state_dict().items()}


@pytest.mark.parametrize("case", CASES)
def test_an_untrained_decoder_outputs_its_bias_at_code_zero(case: str) -> None:
    """With set_bias."""
    net = made(case)
    values = torch.linspace(-2, 2, 30)
    net.decoder.set_bias(values)
    output = net.decoder(torch.zeros(2, 4), 5)
    torch.testing.assert_close(output, values.expand_as(output), rtol=0, atol=1e-6)
    assert (net.decoder(torch.ones(2, 4), 5) - values).abs().max() > 1e-3


@pytest.mark.parametrize("case", [case for case in CASES if "masked" in case])
def test_the_mask_is_an_input_if_requested(case: str) -> None:
    """What is missing changes the code; all observed is as good as no mask."""
    net, (x, observed) = made(case), batch(case)
    assert torch.equal(net.encoder(x), net.encoder(x, torch.ones_like(observed)))
    assert (net.encoder(x) - net.encoder(x, observed)).abs().max() > 1e-3


def test_the_mask_is_ignored_by_default() -> None:
    """Without mask_input, the outputs do not depend on the mask."""
    for case in CASES:
        net, (x, observed) = made(case), batch(case)
        assert "masked" in case or torch.equal(net(x), net(x, observed)), case


# Sequences.


def recurrent(cell: Any, **options: Any) -> tuple[RecurrentEncoder, RecurrentDecoder]:
    """Sequences of 2 numbers to a code of 3 and back, two layers, in float64, biases not 0."""
    torch.manual_seed(0)
    reader = RecurrentEncoder(cell, 2, 3, 5, 2, **options).double()
    writer = RecurrentDecoder(cell, 3, 2, 5, 2).double()
    for net in (reader, writer):
        for name, weight in net.named_parameters():
            if "bias" in name:
                nn.init.normal_(weight)
    return reader, writer


def sequences(T: int = 7) -> Tensor:
    """Four random sequences (4, T, 2) in float64."""
    return torch.randn(4, T, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("cell", CELLS, ids=str)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_is_never_read(cell: Any, bidirectional: bool) -> None:
    """A padded batch is coded as each sequence alone, whatever lies behind the ends; so are the gradients."""
    reader, _ = recurrent(cell, bidirectional=bidirectional)
    x = sequences()
    alone = torch.cat([reader(row[None, :length]) for row, length in zip(x, LENGTHS, strict=True)])
    torch.testing.assert_close(reader(x, None, LENGTHS), alone, rtol=0, atol=TOLERANCE)
    assert (reader(x) - alone).abs().max() > 1e-3, "the twin that reads padding must differ"
    x[torch.arange(7) >= LENGTHS[:, None]] = torch.nan
    z = reader(x, None, LENGTHS)
    assert torch.equal(z, reader(x.nan_to_num(9.0), None, LENGTHS))
    z.square().sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in reader.parameters())


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_step_does_not_depend_on_how_many_follow(cell: Any) -> None:
    """Any count of steps: the longer output begins with the shorter one; after its length a row is 0."""
    _, writer = recurrent(cell)
    z = sequences(1).flatten(1)[:, [0, 1, 1]]
    output = writer(z, 7)
    torch.testing.assert_close(writer(z, 3), output[:, :3], rtol=0, atol=TOLERANCE)
    ragged = writer(z, 7, LENGTHS)
    valid = torch.arange(7) < LENGTHS[:, None]
    torch.testing.assert_close(ragged[valid], output[valid], rtol=0, atol=TOLERANCE)
    assert (ragged[~valid] == 0).all()
    assert torch.equal(writer(z, None, LENGTHS), ragged)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_the_code_is_the_first_state_and_every_input(cell: Any) -> None:
    """The output is that of the recurrent net from this state with the code at each step; both matter."""
    _, writer = recurrent(cell)
    z = sequences(2).flatten(1)[:, :3]
    parts = writer.start(z).split([2 * size for size in writer.writer.cell.state_sizes(5)], 1)
    state = tuple(torch.stack(part.chunk(2, 1)) for part in parts)
    start: Any = state if len(state) > 1 else state[0]
    repeated = z[:, None].repeat(1, 6, 1)

    def decoded(inputs: Tensor, first: Any) -> Tensor:
        return writer.readout(writer.writer(inputs, first)[0])

    torch.testing.assert_close(writer(z, 6), decoded(repeated, start), rtol=0, atol=TOLERANCE)
    assert (writer(z, 6) - decoded(repeated, None)).abs().max() > 1e-3, (
        "the twin without first state must differ"
    )
    assert (writer(z, 6) - decoded(repeated * 0, start)).abs().max() > 1e-3, (
        "the twin without input must differ"
    )
    swapped = tuple(part.flip(0) for part in state)
    wrong = decoded(repeated, swapped if len(state) > 1 else swapped[0])
    assert (writer(z, 6) - wrong).abs().max() > 1e-3, "the twin with its layers swapped must differ"


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_the_code_uses_every_last_state(cell: Any) -> None:
    """The code is linear in the last states of all layers, the LSTM's context among them."""
    reader, _ = recurrent(cell)
    x = sequences()
    _, last = reader.reader(x)
    states = last if isinstance(last, tuple) else (last,)
    parts = [layer for state in states for layer in state]
    torch.testing.assert_close(reader(x), reader.code(torch.cat(parts, 1)), rtol=0, atol=TOLERANCE)
    assert reader.code.in_features == 2 * sum(reader.reader.cell.state_sizes(5))


def test_a_decoder_needs_the_number_of_steps(message_of: Any) -> None:
    """Neither steps nor lengths: refused."""
    _, writer = recurrent("gru")
    words = "A recurrent decoder needs the number of steps to decode. Give steps or lengths."
    assert message_of(ValueError, writer, torch.zeros(2, 3, dtype=torch.float64)) == words


# What make_autoencoder chooses and refuses.


@pytest.mark.parametrize(
    ("E", "Z", "widths"),
    [
        (4, 2, [128, 64]),
        (64, 8, [128, 64]),
        (65, 8, [256, 128]),
        (784, 30, [512, 256]),
        (20, 300, [300, 300]),
    ],
)
def test_auto_widths(E: int, Z: int, widths: list[int]) -> None:
    """Two layers that grow with the row, within limits, and never narrower than the code."""
    net = make_autoencoder("mlp", features=E, outputs=E, code_outputs=Z, code=Z)
    assert [layer.out_features for layer in net.encoder.layers][:-1] == widths


@pytest.mark.parametrize(
    ("side", "channels"),
    [(1, [32, 64]), (8, [32, 64]), (28, [32, 64]), (32, [32, 64, 128]), (80, [32, 64, 128, 256])],
)
def test_auto_channels(side: int, channels: list[int]) -> None:
    """Convolutions until no side is longer than 7, at least two."""
    E = 3 * side * 5
    net = make_autoencoder("conv", features=E, outputs=E, code_outputs=2, code=2, shape=(3, side, 5))
    assert [layer.out_channels for layer in net.encoder.layers] == channels


@pytest.mark.parametrize(("F", "Z", "width"), [(1, 2, 64), (50, 8, 128), (500, 8, 256), (1, 300, 300)])
def test_auto_units(F: int, Z: int, width: int) -> None:
    """One layer that grows with the step, within limits, and never narrower than the code."""
    net = make_autoencoder("lstm", features=F, outputs=F, code_outputs=Z, code=Z)
    assert net.encoder.reader.hidden_size == width
    assert net.decoder.writer.hidden_size == width


def test_the_backend_is_named() -> None:
    """A recurrent backbone by its kernel, the others by torch."""
    net = made("reference")
    net(batch("reference")[0])
    assert net.backend_.startswith("reference")
    assert made("mlp").backend_ == "torch: dense layers"
    assert made("conv").backend_ == "torch: convolutions"


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (
        "convv",
        {},
        "The backbone must be one of 'mlp', 'conv', 'recurrent', 'elman', 'diagonal', 'jordan', 'lstm', 'gru', or "
        "a regen.cells cell. Got 'convv' instead. Did you mean 'conv'?",
    ),
    ("gru", {"tied": True}, "tied=True needs dense layers. Use backbone='mlp' instead of 'recurrent'."),
    ("conv", {"tied": True}, "tied=True needs dense layers. Use backbone='mlp' instead of 'conv'."),
    (
        "conv",
        {},
        "backbone='conv' is for images, and needs the shape (channels, height, width) of their 6 cells. "
        "Got none instead.",
    ),
    (
        "conv",
        {"shape": (1, 2, 2)},
        "backbone='conv' is for images, and needs the shape (channels, height, width) of their 6 cells. "
        "Got (1, 2, 2) instead.",
    ),
    ("conv", {"shape": (1, 2, 3), "outputs": 7}, "outputs=7 is no multiple of the 6 cells of an image."),
    (
        "gru",
        {"hidden": (8, 4)},
        "hidden=(8, 4); a recurrent net has at least one layer, and all of one width, such as (64, 64).",
    ),
    (
        "gru",
        {"hidden": ()},
        "hidden=(); a recurrent net has at least one layer, and all of one width, such as (64, 64).",
    ),
    ("mlp", {"hidden": "big"}, "hidden must be 'auto', an int or a tuple of ints. Got 'big' instead."),
]


@pytest.mark.parametrize(("backbone", "options", "words"), REFUSED)
def test_refusals(backbone: str, options: dict[str, Any], words: str, message_of: Any) -> None:
    """In these words."""
    sizes = {"features": 6, "outputs": 6, "code_outputs": 2, "code": 2}
    assert message_of(ValueError, make_autoencoder, backbone, **(sizes | options)) == words
