"""What tests of several families of nets do with a net."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture(scope="session")
def with_biases() -> Callable[[nn.Module], Any]:
    """The net in float64, with biases drawn, and convolutions that start at N(0, 0.02) ten times as large."""

    def draw(net: nn.Module) -> nn.Module:
        net = net.double()
        for name, weight in net.named_parameters():
            if "bias" in name:
                nn.init.normal_(weight, 0, 0.3)
            elif weight.ndim == 4 and weight.std() < 0.03:
                weight.data *= 10
        return net

    return draw


@pytest.fixture(scope="session")
def twin_differs() -> Callable[[Tensor, Tensor], bool]:
    """Whether two outputs differ by more than rounding: a thousandth of their size."""
    return lambda a, b: bool((a - b).abs().max() > 1e-3 * a.abs().max())


@pytest.fixture(scope="session")
def penalty() -> Callable[..., Tensor]:
    """Sum over rows of the squared norm of the logit's gradient: R1 without its factor."""

    def r1(critic: Any, x: Tensor, label: Tensor | None = None, lengths: Tensor | None = None) -> Tensor:
        x = x if x.requires_grad else x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(critic(x, label, lengths).sum(), x, create_graph=True)
        return gradient.square().sum()

    return r1
