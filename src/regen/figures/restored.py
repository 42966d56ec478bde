"""Sequences and their reconstructions."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from regen.figures.chart import Chart, color_key
from regen.figures.marks import Axis, Line, Panel
from regen.figures.style import BLUE, INK, VERMILLION

__all__ = ["restored"]

COLORS, WIDTHS = (INK, BLUE, VERMILLION), (1.6, 2.4, 1.6)


def restored(sequences: Mapping[str, Any], *, unit: str = "", steps: str = "steps") -> Chart:
    """Draw sequences and their reconstructions by one or two methods, end to end with a gap between them.

    The colored lines should cover the dark one. Where they leave it, the code did not hold what happened there.

    Parameters
    ----------
    sequences : dict of str to array of shape (n, T)
        The original sequences, then up to two reconstructions, by name.
    unit : str, default=""
        Of the values, for the axis.
    steps : str, default="steps"
        What the time steps are, for the axis.

    Returns
    -------
    Chart
        Whose title names the lines in their colors.

    Raises
    ------
    ValueError
        When shapes differ, or there are more than three.

    Examples
    --------
    >>> import numpy as np
    >>> from regen import figures
    >>> x = np.sin(np.arange(24.0)).reshape(2, 12)
    >>> figures.restored({"original": x, "LSTM": 0.9 * x}, steps="hours").panels[0].x.title
    '2 sequences of 12 hours'
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
    position = np.arange(n * (T + gap), dtype=np.float32)
    marks = [
        Line(
            position,
            np.pad(values, ((0, 0), (0, gap)), constant_values=np.nan).ravel(),
            name=name,
            color=color,
            width=width,
            dash="dot" if color == VERMILLION else "solid",
            hover="{y:.4g}",
        )
        for (name, values), color, width in zip(lines.items(), COLORS, WIDTHS, strict=False)
    ]
    starts = [k * (T + gap) for k in range(n)]
    x = Axis(f"{n} sequences of {T} {steps}", ticks=starts, tick_labels=["0"] * n)
    title = color_key(dict(zip(lines, COLORS, strict=False)))
    return Chart([Panel(x, Axis(unit), marks)], title=title, height=300)
