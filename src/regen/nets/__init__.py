"""Torch modules: what a cell becomes with layers, directions and lengths."""

from regen.nets.recurrent import GRU, LSTM, RNN, Recurrent, recurrent

__all__ = ["GRU", "LSTM", "RNN", "Recurrent", "recurrent"]
