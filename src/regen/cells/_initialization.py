"""Initial values of the parameters of cells."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from regen._check import Choice, Either, Int, Nothing, Number, check_parameters

INITS = ("auto", "torch", "orthogonal", "identity", "chrono")
CONSTRAINTS = {"init": Choice(INITS), "forget_bias": Number(), "max_lag": Either((Nothing(), Int(3)))}


@final
@dataclass(frozen=True)
class Init:
    """Initialisation of the weights of a net.

    Parameters
    ----------
    init : {"auto", "orthogonal", "identity", "chrono", "torch"}, default="auto"
        Distribution of the initial weights, see `Cell.initialise`. "auto" keeps memories longer than ``torch.nn``.
    forget_bias : float, default=1.0
        Initial bias of the LSTM's forget gate. 1 lets the first gradients pass.
    max_lag : int, default=None
        The longest lag to remember, in steps, at least 3. Required by "chrono", which has no sensible default.

    See Also
    --------
    Cell.initialise : The distributions and their sources.

    Examples
    --------
    >>> from regen.cells import Init
    >>> from regen.nn import LSTM
    >>> net = LSTM(3, 4, init=Init("chrono", max_lag=784))
    """

    init: str = "auto"
    forget_bias: float = 1.0
    max_lag: int | None = None

    def __post_init__(self) -> None:
        check_parameters("Init", CONSTRAINTS, vars(self))


def uniform(parameters: Iterable[Tensor], H: int, generator: torch.Generator | None) -> None:
    """U(-1/sqrt(H), 1/sqrt(H)) for everything, in the order given, as ``torch.nn`` draws."""
    bound = 1 / math.sqrt(H)
    for parameter in parameters:
        parameter.uniform_(-bound, bound, generator=generator)


def fill(name: str, parameter: Tensor, G: int, init: str, generator: torch.Generator | None) -> None:
    """Set one parameter of a cell with G gates: matrices gate by gate, biases and peepholes zero."""
    if name.startswith("bias") or name in ("weight_ci", "weight_cf", "weight_co"):
        parameter.zero_()
    elif name == "weight_hh" and parameter.ndim == 1:
        diagonal(parameter, init, generator)
    elif name in ("weight_hh", "weight_yh"):
        for block in parameter.chunk(G):
            recurrent(block, init, generator)
    elif name == "weight_ih" and init == "identity":
        parameter.normal_(0.0, 0.001, generator=generator)
    else:
        for block in parameter.chunk(G if name == "weight_ih" else 1):
            nn.init.xavier_uniform_(block, generator=generator)


def recurrent(block: Tensor, init: str, generator: torch.Generator | None) -> None:
    """The recurrent matrix of one gate: the identity, or orthogonal (drawn in float32 where QR needs it)."""
    if init == "identity":
        nn.init.eye_(block)
    elif block.dtype in (torch.float16, torch.bfloat16):
        block.copy_(nn.init.orthogonal_(block.float(), generator=generator))
    else:
        nn.init.orthogonal_(block, generator=generator)


def diagonal(u: Tensor, init: str, generator: torch.Generator | None) -> None:
    """The weight of each unit on itself: 1, a random sign, or U(0, 1) for all memory lengths (Li et al. 2018)."""
    if init == "identity":
        u.fill_(1.0)
    elif init == "orthogonal":
        u.copy_(torch.randint(0, 2, u.shape, generator=generator, device=u.device) * 2 - 1)
    else:
        u.uniform_(0.0, 1.0, generator=generator)


def lags(bias: Tensor, max_lag: int, generator: torch.Generator | None) -> None:
    """log(U(1, max_lag - 1)): the bias of a gate that remembers for 1 to `max_lag` steps (Tallec & Ollivier)."""
    bias.uniform_(1.0, max_lag - 1.0, generator=generator).log_()
