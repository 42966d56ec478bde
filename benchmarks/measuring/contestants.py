"""Who is compared with whom: for each family, regen's net and its peers with the same weights."""

import importlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from regen.nets.recurrent import recurrent

HERE = Path(__file__).parents[1]
PACKAGES = HERE.parent / "build" / "peers" / "torchrecurrent"


class Point(NamedTuple):
    """A place on the grid."""

    T: int
    B: int
    I: int  # noqa: E741
    H: int

    def __str__(self) -> str:
        return f"T={self.T} B={self.B} I={self.I} H={self.H}"


@dataclass(frozen=True)
class Contestant:
    """One net: how it runs, and its parameters by the names of regen's."""

    forward: Callable[[Tensor], Tensor]
    """(B, T, I) -> (B, T, H)."""
    parameters: dict[str, Tensor]
    split: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict
    """Turns gradients by the names in `parameters` into gradients by regen's names."""


@dataclass(frozen=True)
class Family:
    name: str
    cell: str
    """A name for `regen.nets.recurrent.recurrent`."""
    options: tuple[tuple[str, str], ...] = ()
    peers: tuple[str, ...] = ("torch",)
    """The first is what the family is compared with; "loop" is regen's reference backend, a loop over steps."""
    ragged: bool = False
    train: bool = True
    products: tuple[int, int] = (1, 1)
    """Rows of the input matrix and of the recurrent matrices, in units of H."""


FAMILIES = (
    Family("lstm", "lstm", products=(4, 4)),
    Family("rnn tanh", "elman", (("nonlinearity", "tanh"),)),
    Family("rnn relu", "elman", (("nonlinearity", "relu"),)),
    Family("gru", "gru", products=(3, 3)),
    Family("lstm inference", "lstm", train=False, products=(4, 4)),
    Family("rnn inference", "elman", train=False),
    Family("gru inference", "gru", train=False, products=(3, 3)),
    Family("lstm peephole", "lstm", (("peephole", "full"),), ("loop", "torchrecurrent"), products=(4, 4)),
    Family("diagonal", "diagonal", (), ("loop", "torchrecurrent"), products=(1, 0)),
    Family("jordan", "jordan", (), ("loop",), products=(1, 2)),
    Family("gru before", "gru", (("reset", "before"),), ("loop",), products=(3, 3)),
    Family("lstm ragged", "lstm", ragged=True, products=(4, 4)),
    Family("rnn ragged", "elman", ragged=True),
    Family("gru ragged", "gru", ragged=True, products=(3, 3)),
)


def operations(family: Family, point: Point, steps: int, input_grad: bool) -> float:
    """Floating-point operations of the matrix products of one pass; `steps` is the sum of the rows' lengths."""
    I, H = point.I, point.H  # noqa: E741
    from_input, from_state = family.products[0] * H * I, family.products[1] * H * H
    forward = from_input + from_state
    backward = (  # gradients of the states, the weights, and x
        from_state + from_input + from_state + (from_input if input_grad else 0)
    )
    return 2.0 * steps * (forward + (backward if family.train else 0))


def ours(family: Family, point: Point, lengths: Tensor | None, backend: str) -> tuple[Contestant, nn.Module]:
    """Regen's net with the first weights of torch; ValueError where `backend` cannot run it."""
    options = {"init": "torch", "backend": backend} | dict(family.options)
    net = recurrent(family.cell, point.I, point.H, **options)
    with torch.no_grad():
        net(torch.zeros(1, 1, point.I))  # refuses here what it cannot run
    parameters = dict(net.named_parameters())
    return Contestant(lambda x: net(x, lengths=lengths)[0], parameters), net


def peer(
    kind: str, family: Family, point: Point, lengths: Tensor | None, net: nn.Module
) -> Contestant | None:
    """The peer with the weights of `net`, or None where it is not installed."""
    if kind == "torch":
        return fused(family, point, lengths, net)
    if kind == "loop":
        own, other = ours(family, point, lengths, "reference")
        other.load_state_dict(net.state_dict())
        return own
    return stepwise(family, point, net)


def fused(family: Family, point: Point, lengths: Tensor | None, net: nn.Module) -> Contestant:
    """torch.nn; ragged rows are packed and padded again, as its user must."""
    name = {"lstm": "LSTM", "gru": "GRU", "elman": "RNN"}[family.cell]
    other = getattr(nn, name)(point.I, point.H, batch_first=True, **dict(family.options))
    other.load_state_dict(net.state_dict())

    def packed(x: Tensor) -> Tensor:
        rows = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(other(rows)[0], batch_first=True, total_length=x.shape[1])[0]

    return Contestant(packed if family.ragged else lambda x: other(x)[0], dict(other.named_parameters()))


def stepwise(family: Family, point: Point, net: nn.Module) -> Contestant | None:
    """The layer of torchrecurrent, which loops over steps."""
    package = torchrecurrent()
    if package is None:
        return None
    weights = {name: w.detach() for name, w in net.named_parameters()}
    if family.cell == "diagonal":
        other = package.IndRNN(point.I, point.H, batch_first=True, recurrent_bias=False)
        names = {"weight_ih": "weight_ih_l0", "vector_u": "weight_hh_l0", "bias_ih": "bias_ih_l0"}
        values = {name: weights[own] for name, own in names.items()}
        split = lambda grads: {names[name]: grad for name, grad in grads.items()}  # noqa: E731
    else:
        other = package.PeepholeLSTM(point.I, point.H, batch_first=True)
        seen = ["weight_ci_l0", "weight_cf_l0", "weight_co_l0"]
        values = {name: weights[f"{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        values["weight_ph"] = torch.cat([weights[name] for name in seen])

        def split(grads: dict[str, Tensor]) -> dict[str, Tensor]:
            three = grads.pop("weight_ph").chunk(3)
            named = {f"{name}_l0": grad for name, grad in grads.items()}
            return named | dict(zip(seen, three, strict=True))

    cell = other.cells[0]
    cell.load_state_dict(values, strict=False)
    return Contestant(lambda x: other(x)[0], dict(cell.named_parameters()), split)


def torchrecurrent():
    """The package, fetched into build/peers on first use (it needs nothing but torch); None without a network."""
    if not PACKAGES.exists():
        install = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
        ]
        install += ["--target", PACKAGES, "-c", HERE / "peers" / "constraints.txt", "torchrecurrent"]
        if subprocess.run(install).returncode:
            return None
    if str(PACKAGES) not in sys.path:
        sys.path.append(str(PACKAGES))
    return importlib.import_module("torchrecurrent")
