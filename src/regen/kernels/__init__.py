"""How a cell is run over time: one signature, several backends."""

from regen.kernels.reference import Result
from regen.kernels.select import BACKENDS, Run, choose

__all__ = ["BACKENDS", "Result", "Run", "choose"]
