"""Rows as a chart shows them: grey or coloured images, sequences in their own units, columns of a table."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regen._masks import length_mask
from regen.data.images import Pixels
from regen.data.ragged import Ragged
from regen.data.table_encoding import Columns

__all__ = ["DisplayRows", "drawable_images", "encoded_names", "limits_of", "padded_cells", "shown"]


@final
@dataclass(frozen=True, eq=False)
class DisplayRows:
    """Rows to be drawn.

    Attributes
    ----------
    kind : "images", "sequences" or "table".
    values : images as `drawable_images` makes them; (n, T, F) in the units of the data, NaN past an end; or
        (n, E) as the encoder receives them: columns in standard deviations from their mean, categories as
        shares of 1.
    names : of the F features or the E numbers; none of images. limits : of grey images, the values drawn as
    white and as black; of colour images, those of darkness and full brightness.
    """

    kind: str
    values: NDArray[np.float64]
    names: tuple[str, ...] = ()
    limits: tuple[float, float] = (0.0, 1.0)

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Any) -> "DisplayRows":
        """Rows number `rows`."""
        return DisplayRows(self.kind, self.values[rows], self.names, self.limits)


def shown(layout: Columns | Pixels, encoded: Tensor) -> DisplayRows:
    """Encoded rows, encoded (n, E) or (n, T, E), NaN where a value is missing."""
    values = encoded.double().numpy()
    if isinstance(layout, Pixels):
        return DisplayRows("images", drawable_images(values, layout.shape), (), limits_of(layout, values))
    if encoded.ndim == 2:
        return DisplayRows("table", layout.inputs(encoded.double()).numpy(), encoded_names(layout))
    n, T, _ = values.shape
    columns = layout.decoded_columns(values.reshape(n * T, -1), rounded=False)
    numeric = [np.asarray(column, dtype=np.float64) for column in columns if column.dtype != object]
    there = np.isfinite(values).any(axis=2)
    steps = np.where(there[..., None], np.stack(numeric, axis=-1).reshape(n, T, -1), np.nan)
    named = _names(layout)
    names = [name for name, column in zip(named, columns, strict=True) if column.dtype != object]
    return DisplayRows("sequences", steps, tuple(names))


def drawable_images(values: NDArray[np.float64], shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Pixels, values (n, ...), of images of that shape (C, Y, X), as they can be drawn.

    Three channels are colours, (n, 3, Y, X), and a fourth is left out, for it is opacity; of two the second is. Of
    others the brightness is drawn, (n, Y, X), their mean.
    """
    whole = values.reshape(-1, *shape)
    C = shape[0]
    if C in (3, 4):
        return whole[:, :3]
    return whole[:, 0] if C == 2 else whole.mean(axis=1)


def limits_of(layout: Pixels, values: NDArray[np.float64]) -> tuple[float, float]:
    """The range of pixel values (n, ...): 0 and 1 where they are bounded, else the least and the largest value."""
    drawn = drawable_images(values, layout.shape)
    if layout.kind in ("unit", "binary") or not np.isfinite(drawn).any():
        return 0.0, 1.0
    return float(np.nanmin(drawn)), float(np.nanmax(drawn))


def encoded_names(layout: Columns) -> tuple[str, ...]:
    """A name for each encoded number of a table: its column, of a category also the value."""
    columns, names = _names(layout), list[str]()
    for block in layout.blocks:
        if block.kind == "categorical":
            (k,) = block.columns
            names += [f"{columns[k]}={level}" for level in layout.levels[k] or ()]
        else:
            names += [columns[k] for k in block.columns]
    return tuple(names)


def _names(layout: Columns) -> list[str]:
    """The names of the columns, or x0, x1, ... where they have none of their own."""
    return [str(name) if layout.named else f"x{k}" for k, name in enumerate(layout.names)]


def padded_cells(rows: Ragged, index: Tensor | None = None) -> Tensor:
    """Encoded rows (n, E) or (n, T, E) on the CPU, NaN where a value is missing or past the end of a sequence.

    index : (m,) numbers of the rows; None is all.
    """
    x, lengths, observed = rows.gather(torch.arange(len(rows)) if index is None else index)
    if observed is not None:
        x = x.masked_fill(~observed, torch.nan)
    elif lengths is not None:
        x = x.masked_fill(~length_mask(lengths, x.shape[1])[..., None], torch.nan)
    return x.cpu()
