"""The job by a loop in torch over index batches of one tensor, gradients clipped as regen does."""

import job
import torch
from plain import Plain
from torch import nn


def fit(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    x, y = map(torch.tensor, job.windows(job.series()[: job.CUT]))
    net = Plain()
    optimizer = torch.optim.Adam(net.parameters(), job.RATE)
    for _ in range(job.EPOCHS):
        for rows in torch.randperm(len(x)).split(job.BATCH):
            optimizer.zero_grad()
            loss = (net(x[rows]) - y[rows]).abs().mean()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
    return net


def error(net: nn.Module) -> float:
    with torch.no_grad():
        return job.mae(net(torch.tensor(job.held_out()[0])).numpy())


job.report(fit, error, ["torch"])
