"""How a cell is run over time: one signature, several backends."""

from regen.kernels.dispatch import BACKENDS, LayerCall, Run, choose
from regen.kernels.reference import Result

__all__ = ["BACKENDS", "LayerCall", "Result", "Run", "choose"]
