"""Greedy pretraining: every layer of an encoder, and its mirror image, first learn to restore their own input."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, final

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from regen.data.batching import RowBatches
from regen.estimators.autoencoders.objectives import Reconstruction
from regen.nets.mlp import ACTIVATIONS, MLPDecoder, MLPEncoder, append_missing_mask
from regen.training.loop import train
from regen.training.options import Training
from regen.training.player import Player
from regen.training.schedule import solo

__all__ = ["pretrain"]

EPOCHS = 4
"""The epochs of the whole net are divided by this for each layer."""


@final
class _Level(nn.Module):
    """Layer number `k` of an encoder and the layer of the decoder that inverts it."""

    def __init__(self, encoder: MLPEncoder, decoder: MLPDecoder, k: int, activation: str) -> None:
        super().__init__()
        self.below = tuple(encoder.layers[:k])  # a tuple, so that they are not trained as a part of the level
        self.layer: nn.Linear = list(encoder.layers)[k]  # type: ignore[assignment]
        self.inner = k < len(encoder.layers) - 1
        self.act = ACTIVATIONS[activation]
        mirror = len(encoder.layers) - 1 - k
        self.tied = decoder.tied
        self.back = None if self.tied else list(decoder.layers)[mirror]
        self.bias = list(decoder.biases.parameters())[mirror] if self.tied else None

    def inputs(self, x: Tensor) -> Tensor:
        """The layer's input: x, passed through the layers below."""
        with torch.no_grad():
            for layer in self.below:
                x = self.act(layer(x))
        return x

    def forward(self, inputs: Tensor) -> Tensor:
        """Restored inputs, before the activation."""
        code = self.layer(inputs)
        code = self.act(code) if self.inner else code
        if self.back is not None:
            return self.back(code)  # type: ignore[no-any-return]
        assert self.bias is not None
        return F.linear(code, self.layer.weight.T[: len(self.bias)], self.bias)


def pretrain(
    objective: Reconstruction,
    activation: str,
    batches: RowBatches,
    options: Training,
    max_epochs: int,
    learning_rate: float,
    rng: Generator,
) -> None:
    """Train the layers of a dense autoencoder one after the other, from the data inwards (Bengio et al. 2007).

    Parameters
    ----------
    objective : its error is the loss of the outermost layer; the inner ones have the squared error.
    activation : between the layers.
    batches : training rows.
    options, max_epochs, learning_rate : of the whole net; each layer has a quarter of its epochs, and no checkpoint.
    """
    model = objective.model
    encoder, decoder = model.net.encoder, model.net.decoder
    assert isinstance(encoder, MLPEncoder) and isinstance(decoder, MLPDecoder)
    for k in range(len(encoder.layers)):
        level = _Level(encoder, decoder, k, activation)

        def loss(batch: Any, level: _Level = level, outermost: bool = k == 0) -> Mapping[str, Tensor]:
            rows = model.inputs(batch)
            inputs = level.inputs(
                append_missing_mask(rows.x, rows.observed) if model.encodes_mask else rows.x
            )
            restored = level(inputs)
            if outermost:
                return {"loss": objective.error(restored, rows)}
            return {"loss": (level.act(restored) - inputs).square().mean()}

        train(
            [Player("train", level, loss)],
            solo("train"),
            batches,
            replace(options, checkpoint=None),
            max_epochs=-(-max_epochs // EPOCHS),
            learning_rate=learning_rate,
            generator=rng,
        )
