"""Greedy pretraining: every layer of an encoder, and its mirror image, first learn to restore what they read."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, final

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from regen.nets.mlp import ACTIVATIONS, MLPDecoder, MLPEncoder
from regen.training.batches import Batches
from regen.training.loop import train
from regen.training.options import Training
from regen.training.player import Player
from regen.training.schedule import solo

__all__ = ["pretrain"]

EPOCHS = 4
"""Each layer has at most this part of the epochs of the whole net: one in so many."""

Cost = Callable[[Tensor, Any], Tensor]


@final
class _Level(nn.Module):
    """Layer number `k` of an encoder and the layer of the decoder that undoes it."""

    def __init__(self, encoder: MLPEncoder, decoder: MLPDecoder, k: int, activation: str) -> None:
        super().__init__()
        self.below = tuple(encoder.layers[:k])  # in a tuple: not a part of the level, and so not trained
        self.layer: nn.Linear = list(encoder.layers)[k]  # type: ignore[assignment]
        self.inner = k < len(encoder.layers) - 1
        self.act = ACTIVATIONS[activation]
        mirror = len(encoder.layers) - 1 - k
        self.tied = bool(decoder._source)
        self.back = None if self.tied else list(decoder.layers)[mirror]
        self.bias = list(decoder.biases.parameters())[mirror] if self.tied else None

    def read(self, x: Tensor) -> Tensor:
        """What the layer reads: x, passed through the layers below."""
        with torch.no_grad():
            for layer in self.below:
                x = self.act(layer(x))
        return x

    def forward(self, read: Tensor) -> Tensor:
        """What is restored of `read`, before the activation."""
        code = self.layer(read)
        code = self.act(code) if self.inner else code
        if self.back is not None:
            return self.back(code)  # type: ignore[no-any-return]
        assert self.bias is not None
        return F.linear(code, self.layer.weight.T[: len(self.bias)], self.bias)


def pretrain(
    net: nn.Module,
    activation: str,
    feed: Batches,
    heard: Callable[[Any], Tensor],
    cost: Cost,
    training: Training,
    max_epochs: int,
    learning_rate: float,
    generator: Generator,
) -> None:
    """Train the layers of a coder one after the other, from the data inwards (Bengio et al. 2007).

    Parameters
    ----------
    net : its ``encoder`` and ``decoder`` are dense, ``activation`` between their layers.
    feed : batches. heard : what the encoder reads of a batch, (B, E).
    cost : mean cost of the outermost layer's outputs (B, W) for a batch; the inner ones have the squared error.
    training, max_epochs, learning_rate : of the whole net; each layer has a quarter of its epochs, and no checkpoint.
    """
    encoder, decoder = net.encoder, net.decoder
    assert isinstance(encoder, MLPEncoder) and isinstance(decoder, MLPDecoder)
    plan = replace(training, checkpoint=None)
    for k in range(len(encoder.layers)):
        level = _Level(encoder, decoder, k, activation)

        def loss(batch: Any, level: _Level = level, outermost: bool = k == 0) -> Mapping[str, Tensor]:
            read = level.read(heard(batch))
            said = level(read)
            return {"loss": cost(said, batch) if outermost else (level.act(said) - read).square().mean()}

        epochs = -(-max_epochs // EPOCHS)
        players = [Player("train", level, loss)]
        train(
            players,
            solo("train"),
            feed,
            plan,
            max_epochs=epochs,
            learning_rate=learning_rate,
            generator=generator,
        )
