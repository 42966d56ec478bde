"""The moving average of a net."""

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
    """A copy of a net that follows it slowly: the exponential moving average of its parameters and its buffers.

    ``a_t = d_t a_{t-1} + (1 - d_t) w_t`` with ``d_t = 0.5 ** (1 / half_life_t)``, for every parameter and every
    buffer of real numbers, such as the statistics of a batch norm, which belong to the weights; buffers of whole
    numbers are copied. What a generator says wanders while it competes; its average says it better (Yazici et al.
    2019).

    The copy is frozen and always in evaluation mode; it has a state of its own, saved with what the average is a
    part of. Where a run is short, a long half-life would remember the weights that the net started with:
    ``half_life_t = min(half_life, ramp * t)`` forgets them (Karras et al. 2020).

    Parameters
    ----------
    net : what is followed; only its values now are kept.
    half_life : updates after which what a net was counts half. 0 is no average, a copy.
    ramp : how much of all updates so far the half-life may be; None: the half-life holds from the first.

    Attributes
    ----------
    net : the copy.
    updates : how many there have been, an integer tensor.
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
        """Take in what `net` is now: after each of its moves.

        Raises
        ------
        ValueError : another net than that which was copied, by its shapes.
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
        """What the average of the net says: any inputs (B, ...) of the net, its outputs (B, ...)."""
        return self.net(*inputs, **options)

    def train(self, mode: bool = True) -> "EMA":
        """The copy stays as it is, in evaluation mode."""
        super().train(mode)
        self.net.eval()
        return self

    def _follow(self, net: nn.Module) -> None:
        """Look where the tensors of `net` live."""
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
    """Where the tensors of a net live: to look them up there anew at every step costs little."""
    return [home for module in net.modules() for home in (module._parameters, module._buffers)]


def _values(homes: Homes) -> tuple[list[Tensor], list[Tensor]]:
    """All tensors, each once: those of real numbers, and the others."""
    every = {id(value): value for home in homes for value in home.values() if value is not None}.values()
    real = [value for value in every if value.is_floating_point()]
    return real, [] if len(real) == len(every) else [each for each in every if not each.is_floating_point()]
