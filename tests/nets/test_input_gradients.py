"""Squared input gradients of dense ReLU critics: equal to double backward, for labels, packs and every weight."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regen.losses import zero_centred_penalty
from regen.nets import input_gradients
from regen.nets.adversarial import MLPCritic

TOLERANCE = 1e-12
"""Relative, in float64. Measured: 2e-15; the twins below differ by more than 1e-2."""
LABEL = torch.tensor([0, 2, 1, 1, 2, 0])
LogitAndSquares = tuple[Tensor, Tensor]


def critic(hidden: tuple[int, ...] = (9, 7, 5), **options: Any) -> MLPCritic:
    """A net in float64 with biases."""
    torch.manual_seed(0)
    net = MLPCritic(4, hidden, **options).double()
    for name, weight in net.named_parameters():
        if "bias" in name:
            nn.init.normal_(weight, 0, 0.3)
    return net


def rows() -> Tensor:
    """(6, 4)."""
    return torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def twice(net: MLPCritic, x: Tensor, label: Tensor | None) -> LogitAndSquares:
    """Logits and squared input gradients by autograd."""
    logit = net(x, label)
    return logit, zero_centred_penalty(logit, x)


def once(net: MLPCritic, x: Tensor, label: Tensor | None) -> LogitAndSquares:
    """Logits and squared input gradients by one pass each way."""
    found = net.squared_input_gradients(x, label)
    assert found is not None
    return found


def derived(
    way: Callable[..., LogitAndSquares], net: MLPCritic, label: Tensor | None, x: Tensor
) -> list[Tensor]:
    """Both numbers of every row, and the gradient of an uneven sum of them by weights and rows."""
    x = x.clone().requires_grad_()
    logit, squares = way(net, x, label)
    weights = torch.arange(1.0, len(logit) + 1, dtype=x.dtype)
    loss = (weights * logit.tanh()).sum() + (weights.flip(0) * squares.sqrt()).sum()
    return [logit.detach(), squares.detach(), *torch.autograd.grad(loss, [*net.parameters(), x])]


def distance(found: list[Tensor], expected: list[Tensor]) -> float:
    """The largest difference, in largest numbers of the tensor."""
    pairs = zip(found, expected, strict=True)
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-9)) for a, b in pairs)


@pytest.mark.parametrize(
    "options", [{}, {"classes": 3}, {"pack": 2}, {"classes": 3, "pack": 3}, {"hidden": (8,)}], ids=str
)
def test_input_gradients_are_those_of_autograd(options: dict[str, Any]) -> None:
    """Logits, squared input gradients, and the gradient of both by every weight and by the rows."""
    net, label = critic(**options), LABEL if "classes" in options else None
    assert distance(derived(once, net, label, rows()), derived(twice, net, label, rows())) < TOLERANCE


def test_gradients_are_those_of_differences() -> None:
    """By central differences, at rows away from the kinks."""
    net = critic()
    parameters = tuple(net.parameters())

    def both(x: Tensor, *weights: Tensor) -> LogitAndSquares:
        return input_gradients._SquaredInputGradients.apply(x, None, *weights)  # type: ignore[no-any-return, no-untyped-call]

    assert torch.autograd.gradcheck(both, (rows().requires_grad_(), *parameters), atol=1e-6)


@pytest.mark.parametrize("twin", ["no kink", "labels count", "half"])
def test_a_wrong_twin_is_detected(twin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kinks forgotten, gradients by labels counted in, the factor of the square left out."""
    net = critic(classes=3)
    expected = derived(twice, net, LABEL, rows())
    if twin == "no kink":
        monkeypatch.setattr(input_gradients, "_where", lambda passed, signal: signal)
    elif twin == "labels count":
        net._penalised = None
    else:
        function = input_gradients._SquaredInputGradients
        right = function.backward
        monkeypatch.setattr(function, "backward", staticmethod(lambda ctx, c, q: right(ctx, c, q / 2)))
    assert distance(derived(once, net, LABEL, rows()), expected) > 1e-2


@pytest.mark.parametrize("options", [{"activation": "silu"}, {"spectral_norm": True}], ids=str)
def test_other_nets_are_left_to_autograd(options: dict[str, Any]) -> None:
    """Where the net bends between kinks, or its weights are bounded, there is no short cut."""
    assert critic(**options).squared_input_gradients(rows()) is None


def test_bfloat16_is_left_to_autograd() -> None:
    """Under autocast, whose products are in bfloat16."""
    with torch.autocast("cpu", torch.bfloat16):
        assert critic().float().squared_input_gradients(rows().float()) is None


def test_a_label_is_required() -> None:
    """As by forward, in its words."""
    with pytest.raises(ValueError, match="This net was made for 3 classes"):
        critic(classes=3).squared_input_gradients(rows())
