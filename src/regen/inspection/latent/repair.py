"""Errors of a denoising autoencoder, cell by cell.

Letters: `n` rows, `E` encoded numbers of a row (of a step, for sequences), `T` steps.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from regen.data.images import Pixels
from regen.data.ragged import Ragged
from regen.estimators.autoencoders.objectives import Denoising
from regen.estimators.autoencoders.row_model import RowInputs
from regen.inspection.display import DisplayRows, drawable_images, encoded_names, limits_of
from regen.inspection.finding import Finding
from regen.training.device import evaluating

__all__ = ["Repair", "repair"]

EXAMPLES = 10


@final
@dataclass(frozen=True, eq=False, repr=False)
class Repair(Finding):
    """Errors of every cell before and after a denoising autoencoder, in standard deviations of the encoded values.

    Attributes
    ----------
    before, after : ndarray of shape (E,)
        Root mean square over the rows (and steps) of the difference of the corrupted and of the restored row from the
        true one. A hidden value counts as the mean.
    names : tuple of str
        Of the cells; empty for pixels.
    shape : tuple (C, Y, X) or None
        Of images.
    examples : dict of str to DisplayRows, or None
        Ten images as they were ("true"), corrupted ("spoilt") and "restored"; None for other rows.
    """

    before: NDArray[np.float64]
    after: NDArray[np.float64]
    names: tuple[str, ...]
    shape: tuple[int, int, int] | None
    examples: dict[str, DisplayRows] | None

    def sentences(self) -> list[str]:
        """Summarise the finding in sentences, the most important first.

        Returns
        -------
        sentences : list of str
            The error before and after, and the cells that became worse.
        """
        before, after = (float(np.sqrt(np.mean(each**2))) for each in (self.before, self.after))
        change = 100 * (1 - after / before) if before > 0 else 0.0
        words = f"{change:.0f} % less" if change >= 0 else f"{-change:.0f} % more"
        text = [
            f"Corrupted as in training, a value has an error of {before:.3g} standard deviations; restored, of"
            f" {after:.3g}, {words}."
        ]
        worse = int((self.after > self.before).sum())
        what = "pixels" if self.shape else "columns"
        if worse:
            text.append(
                f"{worse} of {len(self.after)} {what} have a larger error after the repair than before."
            )
        return text


def repair(objective: Denoising, rows: Ragged, random_state: int | None) -> Repair:
    """Corrupt rows as in training, restore them, and compare both with the true rows."""
    rng = Generator(rows.values.device)
    rng.manual_seed(0 if random_state is None else random_state)
    model, layout = objective.model, objective.model.modality.layout
    sums = torch.zeros(3, layout.inputs(rows.values[:1]).shape[-1], dtype=torch.float64)
    parts: list[Tensor] = []
    with evaluating(model.net):
        for inputs in model.batches(rows):
            worse, _ = objective.corrupt(inputs, rng)
            restored = model.likelihood.mean(model.outputs(model.codes(worse), inputs))
            sums += _squares(inputs, worse.x, layout.inputs(restored)).cpu()
            if not parts:
                true, corrupted = _seen(inputs.target, inputs.observed), _seen(worse.x, worse.observed)
                parts = [each[:EXAMPLES].cpu() for each in (true, corrupted, restored)]
    before, after = (sums[1:] / sums[0].clamp(min=1)).sqrt().numpy()
    if not isinstance(layout, Pixels):
        return Repair(before, after, encoded_names(layout), None, None)
    return Repair(before, after, (), layout.shape, _pictures(layout, *parts))


def _squares(inputs: RowInputs, worse: Tensor, restored: Tensor) -> Tensor:
    """(3, E) how many values were observed, and the sums of squared errors before and after."""
    there = inputs.mask.to(inputs.x.dtype)
    each = torch.stack([there, (worse - inputs.x).square() * there, (restored - inputs.x).square() * there])
    return each.double().reshape(3, -1, each.shape[-1]).sum(1)


def _seen(values: Tensor, observed: Tensor | None) -> Tensor:
    """Values with NaN where nothing was observed."""
    return values if observed is None else torch.where(observed, values, torch.nan)


def _pictures(layout: Pixels, target: Tensor, worse: Tensor, restored: Tensor) -> dict[str, DisplayRows]:
    """Images as they were, corrupted and restored, to be drawn."""
    cells = layout.shape[1] * layout.shape[2]
    middle, spread = (torch.from_numpy(np.repeat(each, cells)) for each in (layout.middle, layout.spread))
    corrupted = worse.double() if layout.kind == "real" else worse.double() * spread + middle
    corrupted = torch.expm1(corrupted) if layout.kind == "counts" else corrupted
    seen = {"true": target, "spoilt": corrupted, "restored": restored}
    values = {name: drawable_images(each.double().numpy(), layout.shape) for name, each in seen.items()}
    limits = limits_of(layout, target.double().numpy())
    return {name: DisplayRows("images", each, (), limits) for name, each in values.items()}
