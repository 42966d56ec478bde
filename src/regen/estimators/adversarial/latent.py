"""The latent space of a GAN: validation of codes, labels and lengths, interpolation between codes, and inversion.

Letters: `n` rows, `T` steps, `Z` code.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from regen._check import Number, check_parameters
from regen._masks import length_mask
from regen.data.batching import RowBatch
from regen.data.plain import complete_labels
from regen.estimators._modalities import read_codes
from regen.estimators.adversarial.gan_model import GANModel
from regen.training.device import EVALUATION_BATCH, evaluating

__all__ = ["check_codes", "draw_codes", "invert", "label_index", "sequence_lengths", "slerp"]

STARTS = 4
"""Initial codes of the search for each row; the best result is kept."""
LEARNING_RATE = 0.1
CODE_PENALTY = 1e-3
"""Weight of the mean square of a code relative to the mean squared error of a row, whose numbers are of size 1."""
SHOWN_CLASSES = 12


def draw_codes(model: GANModel, n: int, truncation: float | None, rng: Generator) -> Tensor:
    """Draw codes (n, Z) from N(0, 1), truncated to (-truncation, truncation) unless that is None."""
    codes = torch.empty(n, model.code_size, device=model.device)
    if truncation is None:
        return codes.normal_(generator=rng)
    check_parameters(model.owner, {"truncation": Number(0, low_open=True)}, {"truncation": truncation})
    share = math.erf(truncation / math.sqrt(2))  # of the normal distribution that lies within
    return math.sqrt(2) * torch.erfinv(codes.uniform_(-share, share, generator=rng))


def check_codes(model: GANModel, Z: Any) -> Tensor:
    """Validate codes (n, Z) and move them to the device of the model."""
    return read_codes(model.owner, Z, model.code_size).to(model.device)


def label_index(model: GANModel, label: Any, n: int, rng: Generator | None) -> Tensor | None:
    """Positions (n,) of labels among `classes`; None draws them by `rng` from the shares of the training data."""
    if model.classes is None:
        if label is not None:
            raise ValueError(
                f"This {model.owner} was fitted without labels. Fit it with y, or leave label out."
            )
        return None
    if label is None:
        if rng is None:
            raise ValueError(
                f"This {model.owner} was fitted with labels. Give label, one of {_listed(model.classes)}, or one for"
                " each row."
            )
        assert model.label_shares is not None
        shares = torch.from_numpy(model.label_shares).float().to(model.device)
        return torch.multinomial(shares, n, replacement=True, generator=rng)
    label = complete_labels("label", label)
    labels = np.asarray(label)
    labels = np.full(n, labels) if labels.ndim == 0 else labels
    if labels.shape != (n,):
        raise ValueError(f"label must be a single label or {n} labels. Got an array of shape {labels.shape}.")
    positions = {value: position for position, value in enumerate(model.classes.tolist())}
    unknown = [value for value in labels.tolist() if value not in positions]
    if unknown:
        raise ValueError(f"Unknown label {unknown[0]!r}. The labels of fit are {_listed(model.classes)}.")
    return torch.tensor([positions[value] for value in labels.tolist()], device=model.device)


def sequence_lengths(
    model: GANModel, lengths: Any, n: int, rng: Generator | None
) -> NDArray[np.int64] | None:
    """Validate the steps (n,) of each sequence; None draws them by `rng` from the training data. None for rows."""
    longest = model.modality.steps
    if longest is None:
        if lengths is not None:
            raise ValueError(
                f"lengths applies to sequences, and this {model.owner} was not fitted on sequences. Leave it out."
            )
        return None
    if lengths is None:
        if model.lengths is None or rng is None:
            return np.full(n, longest)
        drawn = torch.randint(len(model.lengths), (n,), generator=rng, device=rng.device)
        return model.lengths[drawn.cpu().numpy()]  # type: ignore[no-any-return]
    lengths = complete_labels("lengths", lengths)
    array = np.asarray(lengths)
    if array.shape != (n,) or array.dtype.kind not in "iu" or array.min(initial=1) < 1:
        raise ValueError(
            f"lengths must be {n} ints of at least 1, one for each row. Got {lengths!r} instead."
        )
    return array.astype(np.int64)


def _listed(classes: NDArray[Any]) -> str:
    shown = [repr(value) for value in classes[:SHOWN_CLASSES].tolist()]
    return ", ".join(shown) + (", ..." if len(classes) > SHOWN_CLASSES else "")


def slerp(first: Tensor, last: Tensor, steps: int) -> Tensor:
    """Spherical linear interpolation, (steps, Z), from the code `first` (Z,) to `last` (Z,), both included.

    In high dimensions, points of a straight line between two codes are closer to 0 than any code of the training
    (White 2016). For parallel codes the interpolation is linear.
    """
    share = torch.linspace(0, 1, steps, dtype=first.dtype, device=first.device)[:, None]
    norms = first.norm(), last.norm()
    cosine = ((first @ last) / (norms[0] * norms[1]).clamp(min=1e-12)).clamp(-1, 1)
    angle = torch.arccos(cosine)
    if angle.sin() < 1e-4:
        return torch.lerp(first, last, share)
    return ((1 - share) * angle).sin() / angle.sin() * first + (share * angle).sin() / angle.sin() * last


def invert(model: GANModel, batch: RowBatch, steps: int, rng: Generator) -> Tensor:
    """Codes (n, Z) from which the generator comes closest to the rows of a batch.

    `steps` steps of Adam on the mean squared error of the inputs of the discriminator, from `STARTS` random codes for
    each row.
    """
    codes = []
    with evaluating(model.net):
        for start in range(0, len(batch.x), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            rows = RowBatch(*(None if each is None else each[part] for each in batch))  # type: ignore[arg-type]
            codes.append(_invert_batch(model, rows, steps, rng))
    return torch.cat(codes)


def _invert_batch(model: GANModel, batch: RowBatch, steps: int, rng: Generator) -> Tensor:
    x, lengths, labels = (None if each is None else each.repeat_interleave(STARTS, 0) for each in batch[:3])
    assert x is not None
    codes = torch.empty(len(x), model.code_size, device=x.device).normal_(generator=rng)
    mask = torch.ones_like(x)
    if lengths is not None:
        mask = length_mask(lengths, x.shape[1])[..., None].expand_as(x).to(x.dtype)
    generator: Any = model.net.generator
    T = x.shape[1] if x.ndim == 3 else None

    def squared_error(z: Tensor) -> Tensor:
        cells = model.output_layer.mean(generator(z, labels, T))
        squares: Tensor = (model.modality.layout.inputs(cells) - x).square() * mask
        return squares.flatten(1).sum(1) / mask.flatten(1).sum(1)

    with torch.enable_grad():
        codes.requires_grad_()
        optimizer = torch.optim.Adam([codes], LEARNING_RATE)
        for _ in range(steps):
            loss = (squared_error(codes) + CODE_PENALTY * codes.square().mean(1)).sum()
            (codes.grad,) = torch.autograd.grad(loss, codes)
            optimizer.step()
    codes = codes.detach()
    best = squared_error(codes).view(-1, STARTS).argmin(1)
    return codes.view(-1, STARTS, codes.shape[1])[torch.arange(len(best), device=x.device), best]
