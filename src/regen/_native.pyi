"""The compiled kernels (csrc/module.cpp). An array is a tensor, an address, or 0; arguments are not checked."""

from typing import TypeAlias, final

from torch import Tensor

Array: TypeAlias = Tensor | int
Arrays: TypeAlias = tuple[Tensor | int | None, ...]

def isas() -> list[str]:
    """Instruction sets that are compiled in and run on this processor, best first."""

def isa() -> str:
    """The instruction set in use."""

def use(isa: str) -> None:
    """Use this instruction set from now on; ValueError if it is not one of `isas`."""

def sigmoid(x: int, y: int, n: int, /) -> None:
    """Y = sigmoid(x) for n floats."""

def tanh(x: int, y: int, n: int, /) -> None:
    """Y = tanh(x) for n floats."""

@final
class Stepper:
    """A cell that runs one step at a time and keeps its states."""

    def step(self, x: int, out: int, /) -> None:
        """Run one step on x (B, I) and write the output (B, P)."""

    def read(self, k: int, to: int, /) -> None:
        """Copy state k (B, size) to an address."""

    def write(self, k: int, source: int, /) -> None:
        """Copy state k (B, size) from an address."""

@final
class Layer:
    """A cell with its sizes: P is the width of the output."""

    def __init__(self, cell: str, I: int, H: int, P: int, /) -> None: ...
    def saved(self, B: int, T: int, zoneout: bool, low: bool, /) -> int:
        """Number of floats that `forward` saves for `backward`."""

    def stepper(self, B: int, weights: Arrays, /) -> Stepper:
        """The cell with packed weights, to run one step at a time for B rows."""

    def forward(
        self,
        B: int,
        T: int,
        x: Array,
        x_stride_b: int,
        x_stride_t: int,
        weights: Arrays,
        state: Arrays,
        lengths: Array,
        reverse: bool,
        keep: Array,
        zoneout_masks: Arrays,
        zoneout: tuple[float, ...],
        out: Array,
        last: Arrays,
        saved: Array,
        low: bool,
        gates: Arrays,
        threads: int,
        /,
    ) -> None:
        """Unfold the cell over time."""

    def backward(
        self,
        B: int,
        T: int,
        x: Array,
        x_stride_b: int,
        x_stride_t: int,
        weights: Arrays,
        state: Arrays,
        lengths: Array,
        reverse: bool,
        keep: Array,
        zoneout_masks: Arrays,
        zoneout: tuple[float, ...],
        out: Array,
        saved: Array,
        low: bool,
        dout: Array,
        dlast: Arrays,
        dx: Array,
        dweights: Arrays,
        dstate: Arrays,
        threads: int,
        /,
    ) -> None:
        """Gradients of the loss with respect to inputs, weights and first states."""
