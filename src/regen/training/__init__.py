"""Training: players, schedules of their turns, and one loop that trains them."""

from regen._deprecation import moved
from regen.training.batches import Batches
from regen.training.device import autocast, resolve_device
from regen.training.history import History
from regen.training.loop import train
from regen.training.options import Training
from regen.training.player import Player, Stateful, make_optimizer
from regen.training.row_parts import RowParts
from regen.training.schedule import Schedule, alternate, solo
from regen.training.turn_taking import Turn, turns

__all__ = [
    "Batches",
    "History",
    "Player",
    "RowParts",
    "Schedule",
    "Stateful",
    "Training",
    "Turn",
    "alternate",
    "autocast",
    "make_optimizer",
    "resolve_device",
    "solo",
    "train",
    "turns",
]

__getattr__ = moved(
    __name__, {"Feed": "regen.training.batches:Batches", "Memory": "regen.training.player:Stateful"}
)
