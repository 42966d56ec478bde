"""Drop-in replacements of ``torch.nn``: `RNN`, `LSTM` and `GRU` take the same arguments and load the same weights."""

from regen.nets.recurrent import GRU, LSTM, RNN

__all__ = ["GRU", "LSTM", "RNN"]
