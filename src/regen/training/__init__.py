"""How networks are trained: players, schedules of turns, and one loop that moves them."""

from regen.training.batches import Feed
from regen.training.device import autocast, resolve_device
from regen.training.history import History
from regen.training.loop import train
from regen.training.options import Training
from regen.training.player import Memory, Player, make_optimizer
from regen.training.schedule import Schedule, alternate, solo
from regen.training.turn_taking import Turn, turns

__all__ = [
    "Feed",
    "History",
    "Memory",
    "Player",
    "Schedule",
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
