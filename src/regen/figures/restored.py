"""Sequences, and what was restored of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from regen.figures.style import BLUE, INK, VERMILLION, key, new_figure, shown

__all__ = ["restored"]

WIDTHS = (1.6, 2.4, 1.6)


def restored(sequences: Mapping[str, Any], *, unit: str = "", steps: str = "steps") -> Any:
    """Sequences as they were, and what each method restored from its code, end to end with a gap between them.

    What to read: the coloured lines should cover the dark one. Where they leave it, the code had no room for what
    came there.

    Parameters
    ----------
    sequences : name -> (n, T) values; the first is what was given, up to two others what was restored.
    unit : of the values, for the axis. steps : what the steps are, for the axis.

    Raises
    ------
    ValueError
        When shapes differ, or there are more than three.
    """
    lines = {str(name): np.asarray(values, dtype=np.float32) for name, values in sequences.items()}
    shapes = {values.shape for values in lines.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2 or len(lines) > len(WIDTHS):
        raise ValueError(
            f"sequences must be up to {len(WIDTHS)} arrays of one shape (n, T). Got"
            f" {', '.join(map(str, (values.shape for values in lines.values())))}."
        )
    n, T = next(iter(shapes))
    gap = max(1, T // 12)
    place = np.arange(n * (T + gap), dtype=np.float32)
    colours = (INK, BLUE, VERMILLION)
    figure = new_figure(height=300, title=key(dict(zip(lines, colours, strict=False))))
    for (name, values), colour, width in zip(lines.items(), colours, WIDTHS, strict=False):
        figure.add_scatter(
            x=place,
            y=np.pad(values, ((0, 0), (0, gap)), constant_values=np.nan).ravel(),
            name=shown(name),
            mode="lines",
            line={"color": colour, "width": width, "dash": "dot" if colour == VERMILLION else "solid"},
            hovertemplate="%{y:.4g}",
        )
    starts = [k * (T + gap) for k in range(n)]
    figure.update_xaxes(
        title_text=shown(f"{n} sequences of {T} {steps}"),
        tickmode="array",
        tickvals=starts,
        ticktext=["0"] * n,
    )
    figure.update_yaxes(title_text=shown(unit))
    return figure
