"""Torch modules: recurrent nets of layers and directions of a cell."""

from regen.nets._recurrent import LayerHook, WeightsHook
from regen.nets.recurrent import GRU, LSTM, RNN, Recurrent, recurrent
from regen.nets.stream import Stream

__all__ = ["GRU", "LSTM", "RNN", "LayerHook", "Recurrent", "Stream", "WeightsHook", "recurrent"]
