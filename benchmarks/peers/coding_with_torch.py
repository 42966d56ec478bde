"""The job by a loop in torch over a DataLoader, as in torch's own tutorials."""

import coding
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def fit(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    center, scale = coding.scales()
    net = nn.Sequential(
        nn.Linear(64, coding.HIDDEN), nn.ReLU(), nn.Linear(coding.HIDDEN, coding.CODE),
        nn.Linear(coding.CODE, coding.HIDDEN), nn.ReLU(), nn.Linear(coding.HIDDEN, 64),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), coding.RATE)
    rows = TensorDataset(torch.from_numpy((coding.TRAIN - center) / scale))
    batches = DataLoader(rows, coding.BATCH, shuffle=True)
    for _ in range(coding.EPOCHS):
        for (x,) in batches:
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(net(x), x)
            loss.backward()
            optimizer.step()
    return net


def error(net: nn.Module) -> float:
    center, scale = coding.scales()
    with torch.no_grad():
        restored = net(torch.from_numpy((coding.TEST - center) / scale)).numpy()
    return coding.mse(restored * scale + center)


coding.report(fit, error, ["torch"])
