"""Inspection of networks: gates and memory, gradients and losses, saliency, codes, and training games.

Every function takes a fitted estimator, a net of `regen.nn` or ``torch.nn``, or a torch module that holds some, with
data. It returns values with named axes, with a summary in sentences (``print(found)``) and a chart
(``found.plot()``, a `regen.figures.Chart`).

>>> import torch, regen
>>> net, x = torch.nn.LSTM(3, 8, batch_first=True), torch.zeros(2, 5, 3)
>>> regen.inspect.gates(net, x)["forget"]
Labelled(layer: 1, direction: 1, sequence: 2, step: 5, unit: 8)
>>> with regen.inspect.clamp(net, forget=1.0, units=[7]):
...     outputs, _ = net(x)
"""

from regen._deprecation import moved
from regen.inspection import (
    ablate,
    clamp,
    codes,
    gates,
    gradient_flow,
    loss_per_copy,
    parts,
    saliency,
    similar_moments,
    training_game,
)

__all__ = [
    "ablate",
    "clamp",
    "codes",
    "gates",
    "gradient_flow",
    "loss_per_copy",
    "parts",
    "saliency",
    "similar_moments",
    "training_game",
]

__getattr__ = moved(__name__, {"cost": "regen.inspect:loss_per_copy", "duel": "regen.inspect:training_game"})
