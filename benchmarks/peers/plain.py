"""The network as its user would write it in torch: an LSTM and a linear readout of its last output."""

import torch
from job import HIDDEN, HORIZON
from torch import nn


class Plain(nn.Module):
    """Windows (B, 24, 1) in, forecasts (B, 12) out."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, HIDDEN, batch_first=True)
        self.out = nn.Linear(HIDDEN, HORIZON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output, _ = self.lstm(x)
        return self.out(output[:, -1])
