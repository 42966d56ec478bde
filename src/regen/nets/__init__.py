"""Torch modules: what a cell becomes with layers, directions and lengths."""

from regen.nets._recurrent import LayerHook, WeightsHook
from regen.nets.recurrent import GRU, LSTM, RNN, Recurrent, recurrent
from regen.nets.stream import Stream

__all__ = ["GRU", "LSTM", "RNN", "LayerHook", "Recurrent", "Stream", "WeightsHook", "recurrent"]
