"""Exponential moving average of a network."""

import copy
from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

__all__ = ["EMA"]

RAMP = 0.05

Homes = Sequence[Mapping[str, Tensor | None]]


@final
class EMA(nn.Module):
    """The exponential moving average of the parameters and buffers of a net, as a net.

    ``a_t = d_t a_{t-1} + (1 - d_t) w_t`` with ``d_t = 0.5 ** (1 / half_life_t)``, for every parameter and every
    buffer of real numbers, such as the statistics of a batch norm, which belong to the weights; integer buffers
    are copied. The weights of a generator oscillate during training; their average generates better samples (Yazici
    et al. 2019).

    The copy is frozen and always in evaluation mode; its state is saved with the module that contains it. In a short
    run, an average with a long half-life would still contain the initial weights:
    ``half_life_t = min(half_life, ramp * t)`` removes them (Karras et al. 2020).

    Parameters
    ----------
    net : the net to average; its present values are copied.
    half_life : updates after which the weight of a value has halved. 0 makes a plain copy.
    ramp : largest half-life as a share of the updates so far; None: no limit.

    Attributes
    ----------
    net : the copy.
    updates : number of updates, an integer tensor.
    """

    updates: Tensor

    def __init__(self, net: nn.Module, half_life: float | int = 500, ramp: float | None = RAMP) -> None:
        super().__init__()
        self.half_life, self.ramp = half_life, ramp
        self.net = copy.deepcopy(net).requires_grad_(False).eval()
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self._followed: tuple[nn.Module, ...] = ()  # in a tuple: not a part of the average
        self._ours, self._theirs = _homes(self.net), _homes(self.net)

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Update the average with the present values of `net`, after each of its steps.

        Raises
        ------
        ValueError : a net with other shapes than the copied one.
        """
        if not self._followed or net is not self._followed[0]:
            self._follow(net)
        (averages, counts), (weights, others) = _values(self._ours), _values(self._theirs)
        self.updates += 1
        if averages:
            torch._foreach_lerp_(averages, weights, 1.0 - self._decay(int(self.updates)))
        for a, w in zip(counts, others, strict=True):
            a.copy_(w)

    def forward(self, *inputs: object, **options: object) -> object:
        """The outputs (B, ...) of the averaged net for any inputs (B, ...)."""
        return self.net(*inputs, **options)

    def train(self, mode: bool = True) -> "EMA":
        """The copy always stays in evaluation mode."""
        super().train(mode)
        self.net.eval()
        return self

    def _follow(self, net: nn.Module) -> None:
        """Look up the tensors of `net`."""
        ours, theirs = _values(_homes(self.net)), _values(_homes(net))
        if [[a.shape for a in some] for some in ours] != [[w.shape for w in some] for some in theirs]:
            raise ValueError(
                "An average of one net cannot follow another one, whose parameters and buffers have other shapes."
            )
        self._ours, self._theirs = _homes(self.net), _homes(net)
        self._followed = (net,)

    def _decay(self, t: int) -> float:
        half_life = self.half_life if self.ramp is None else min(self.half_life, self.ramp * t)
        return 0.5 ** (1.0 / half_life) if half_life > 0 else 0.0


def _homes(net: nn.Module) -> Homes:
    """The dicts that hold the tensors of a net: looking them up at every step is cheap."""
    return [home for module in net.modules() for home in (module._parameters, module._buffers)]


def _values(homes: Homes) -> tuple[list[Tensor], list[Tensor]]:
    """All tensors, each once: floating-point ones, and the others."""
    every = {id(value): value for home in homes for value in home.values() if value is not None}.values()
    real = [value for value in every if value.is_floating_point()]
    return real, [] if len(real) == len(every) else [each for each in every if not each.is_floating_point()]
