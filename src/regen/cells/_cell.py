"""The interface of a cell: what a recurrent equation defines to be run, initialised and drawn.

Letters: `B` batch, `T` time, `I` input features, `H` hidden units, `G` gates, `P` width of the output.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeAlias, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

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


Parameters: TypeAlias = Mapping[str, Tensor]
State: TypeAlias = tuple[Tensor, ...]
Gates: TypeAlias = dict[str, Tensor]
Step: TypeAlias = tuple[Tensor, State, Gates]

NONLINEARITIES = {"tanh": torch.tanh, "relu": torch.relu}


class Cell(ABC):
    """One recurrent equation: the network of a single time step, before it is unfolded.

    A cell holds no weights. Its parameters are passed as a mapping from name to tensor, named and shaped as in
    ``torch.nn`` (without the layer suffix), so that weights can be exchanged unchanged.

    See Also
    --------
    named : A cell by its name.
    regen.nn : Nets of layers and directions of a cell.

    Examples
    --------
    >>> from regen.cells import GRU
    >>> GRU().state_sizes(4)
    (4,)
    """

    gates: ClassVar[tuple[str, ...]]
    """Blocks of H rows in ``weight_ih``, in the order of ``torch.nn``."""
    states: ClassVar[tuple[str, ...]]
    """The states carried from step to step. The first is the cell's output."""
    gate_names: ClassVar[Mapping[str, str]] = {}
    """Name of each letter of `gates` and `states`, such as ``{"f": "forget"}``; what inspection calls them."""
    kept_by: ClassVar[str] = ""
    """Name of the gate that is the share of a unit's content kept from step to step; empty where none is."""
    removal: ClassVar[Mapping[str, float]] = {}
    """Names and values of gates that, when clamped, give a unit the output 0; empty where no gate does."""

    def activations(self) -> dict[str, str]:
        """Name and activation ("sigmoid", "tanh" or "relu") of each gate, in the order of `gates`.

        Returns
        -------
        dict of str to str
            Empty when the gates cannot be clamped.
        """
        return {}

    @abstractmethod
    def shapes(self, I: int, H: int, bias: bool = True) -> dict[str, tuple[int, ...]]:  # noqa: E741
        """Name and shape of every parameter.

        Parameters
        ----------
        I : int
            Input features.
        H : int
            Hidden units.
        bias : bool, default=True
            Whether the cell has biases.

        Returns
        -------
        dict of str to tuple of int
            The shapes, in the order of the gates in `gates`.
        """

    @abstractmethod
    def state_sizes(self, H: int) -> tuple[int, ...]:
        """Width of each of `states`.

        Parameters
        ----------
        H : int
            Hidden units.

        Returns
        -------
        tuple of int
            One width for each state.
        """

    @abstractmethod
    def step(self, params: Parameters, wx_t: Tensor, state: State, keep: Tensor | None = None) -> Step:
        """Advance one time step.

        Parameters
        ----------
        params : mapping of str to Tensor
            The cell's parameters, as in `shapes`.
        wx_t : Tensor of shape (B, G*H)
            The projected input W x_t + b_ih of this step.
        state : tuple of Tensor
            One (B, size) tensor for each of `states`, after the previous step.
        keep : Tensor of shape (B, P), default=None
            Factors on the previous output before the recurrent matrix (variational dropout). None is ones.

        Returns
        -------
        output : Tensor of shape (B, P)
            The first of the new states.
        state : tuple of Tensor
            The new states.
        gates : dict of str to Tensor
            Gates and contexts by name, each (B, H).
        """

    def project(self, params: Parameters, x: Float[Tensor, "*batch I"]) -> Float[Tensor, "*batch GH"]:
        """Project the input of any number of steps in one matrix product.

        Parameters
        ----------
        params : mapping of str to Tensor
            The cell's parameters, as in `shapes`.
        x : Tensor of shape (..., I)
            Input.

        Returns
        -------
        Tensor of shape (..., G*H)
            W x + b_ih.
        """
        return F.linear(x, params["weight_ih"], params.get("bias_ih"))

    def initialise(
        self,
        params: Parameters,
        init: str = "auto",
        generator: torch.Generator | None = None,
        forget_bias: float = 1.0,
        max_lag: int | None = None,
    ) -> None:
        """Fill `params` in place.

        Parameters
        ----------
        params : mapping of str to Tensor
            The cell's parameters, as in `shapes`.
        init : {"auto", "orthogonal", "identity", "chrono", "torch"}, default="auto"
            Distribution of the initial weights.

            - ``"auto"``, ``"orthogonal"``: input and readout matrices U(-a, a), a² = 6 / (rows + columns),
              gate by gate (Glorot & Bengio 2010); recurrent matrices orthogonal, gate by gate, so that the
              past neither vanishes nor explodes by multiplication (Saxe et al. 2014); the rest zero.
            - ``"identity"``: recurrent matrices the identity, input matrices of standard deviation 0.001
              (IRNN, Le et al. 2015).
            - ``"chrono"``: as "auto", with biases of the gates that keep the past so that memories last from
              1 to `max_lag` steps (Tallec & Ollivier 2018).
            - ``"torch"``: everything U(-1/sqrt(H), 1/sqrt(H)), drawn as ``torch.nn`` does from the same seed.
        generator : torch.Generator, default=None
            Random generator. None is torch's global one.
        forget_bias : float, default=1.0
            Initial bias of the LSTM's forget gate. 1 lets the first gradients pass (Gers et al. 2000; Jozefowicz et
            al. 2015). Not used by "torch" and "chrono", nor without a forget gate.
        max_lag : int, default=None
            The longest lag to remember, in steps, at least 3. Required by "chrono".

        Raises
        ------
        ValueError
            If an argument is out of range, or "chrono" is not possible for this cell.
        """
        arguments = {"init": init, "forget_bias": forget_bias, "max_lag": max_lag}
        check_parameters(type(self).__name__, CONSTRAINTS, arguments)
        with torch.no_grad():
            if init == "torch":
                H = params["weight_ih"].shape[0] // len(self.gates)
                uniform(params.values(), H, generator)
                return
            for name, parameter in params.items():
                fill(name, parameter, len(self.gates), init, generator)
            if init == "chrono":
                self.init_chrono(params, max_lag, generator)
            else:
                self.init_forget_bias(params, forget_bias)

    def init_chrono(self, params: Parameters, max_lag: int | None, generator: torch.Generator | None) -> None:
        """Set the biases of the gates for memories of 1 to `max_lag` steps.

        Parameters
        ----------
        params : mapping of str to Tensor
            The cell's parameters, changed in place.
        max_lag : int or None
            The longest lag to remember, in steps.
        generator : torch.Generator or None
            Random generator.

        Raises
        ------
        ValueError
            If the cell has no such gate or no biases, or `max_lag` is None.
        """
        raise ValueError(
            f"init='chrono' sets the biases of gates and {type(self).__name__} has none. "
            "Use init='orthogonal' or init='identity'."
        )

    def init_forget_bias(self, params: Parameters, forget_bias: float) -> None:  # noqa: B027
        """Set the bias of the forget gate; no effect without one.

        Parameters
        ----------
        params : mapping of str to Tensor
            The cell's parameters, changed in place.
        forget_bias : float
            The bias.
        """


def recur(params: Parameters, h_in: Tensor, rows: slice | None = None) -> Tensor:
    """U h + b_hh, or some rows of it; h_in (B, P)."""
    U, b = params["weight_hh"], params.get("bias_hh")
    if rows is not None:
        U, b = U[rows], None if b is None else b[rows]
    return F.linear(h_in, U, b)


def gate_bias(params: Parameters, gate: int, H: int) -> Tensor:
    """The part of ``bias_ih`` that belongs to one gate; ValueError without a bias."""
    if "bias_ih" not in params:
        raise ValueError("init='chrono' sets the biases of gates and bias=False leaves none. Use bias=True.")
    return params["bias_ih"][gate * H : (gate + 1) * H]


def known_lag(max_lag: int | None) -> int:
    """`max_lag`; ValueError when it is None."""
    if max_lag is None:
        raise ValueError(
            "init='chrono' needs max_lag, the longest lag to be remembered in steps. Got None instead."
        )
    return max_lag
