"""How much of what was wrong a denoising autoencoder puts right, cell by cell.

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
@dataclass(frozen=True, eq=False)
class Repair(Finding):
    """Errors of every cell before and after a denoiser, in standard deviations of what the encoder reads.

    before, after : (E,) root mean square over the rows (and steps): how far the spoilt row is from the true one,
    and how far the restored one. A value that was hidden counts as the mean, which is all that is known without it.
    names : of the cells; none of pixels. shape : (C, Y, X) of images, else None. examples : ten rows as they were,
    spoilt and restored, to be drawn; None where the rows are no images.
    """

    before: NDArray[np.float64]
    after: NDArray[np.float64]
    names: tuple[str, ...]
    shape: tuple[int, int, int] | None
    examples: dict[str, DisplayRows] | None

    def sentences(self) -> list[str]:
        """What is put right on the whole, and where least."""
        before, after = (float(np.sqrt(np.mean(each**2))) for each in (self.before, self.after))
        change = 100 * (1 - after / before) if before > 0 else 0.0
        words = f"{change:.0f} % less" if change >= 0 else f"{-change:.0f} % more"
        said = [
            f"Spoilt as in training, a value is off by {before:.3g} standard deviations; restored by {after:.3g},"
            f" {words}."
        ]
        worse = int((self.after > self.before).sum())
        what = "pixels" if self.shape else "columns"
        if worse:
            said.append(
                f"{worse} of {len(self.after)} {what} are further off after the repair than before it."
            )
        return said


def repair(objective: Denoising, rows: Ragged, random_state: int | None) -> Repair:
    """Spoil rows as in training, restore them, and compare both with what they were."""
    chance = Generator(rows.values.device)
    chance.manual_seed(0 if random_state is None else random_state)
    model, layout = objective.model, objective.model.modality.layout
    sums = torch.zeros(3, layout.inputs(rows.values[:1]).shape[-1], dtype=torch.float64)
    parts: list[Tensor] = []
    with evaluating(model.net):
        for inputs in model.batches(rows):
            worse, _ = objective.corrupt(inputs, chance)
            said = model.likelihood.mean(model.outputs(model.codes(worse), inputs))
            sums += _squares(inputs, worse.x, layout.inputs(said)).cpu()
            if not parts:
                true, spoilt = _seen(inputs.target, inputs.observed), _seen(worse.x, worse.observed)
                parts = [each[:EXAMPLES].cpu() for each in (true, spoilt, said)]
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
    """Values as they are, NaN where there are none."""
    return values if observed is None else torch.where(observed, values, torch.nan)


def _pictures(layout: Pixels, target: Tensor, worse: Tensor, said: Tensor) -> dict[str, DisplayRows]:
    """Images as they were, spoilt and restored, to be drawn."""
    cells = layout.shape[1] * layout.shape[2]
    middle, spread = (torch.from_numpy(np.repeat(each, cells)) for each in (layout.middle, layout.spread))
    spoilt = worse.double() if layout.kind == "real" else worse.double() * spread + middle
    spoilt = torch.expm1(spoilt) if layout.kind == "counts" else spoilt
    seen = {"true": target, "spoilt": spoilt, "restored": said}
    values = {name: drawable_images(each.double().numpy(), layout.shape) for name, each in seen.items()}
    limits = limits_of(layout, target.double().numpy())
    return {name: DisplayRows("images", each, (), limits) for name, each in values.items()}
