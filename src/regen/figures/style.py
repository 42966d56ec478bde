"""The style of all charts: font, colors (those of Okabe & Ito 2008, for color-blind readers), sizes."""

from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BLUE",
    "COLORS",
    "FONT",
    "GREEN",
    "GREY",
    "HEIGHT",
    "INK",
    "PALE",
    "RULE",
    "SHADED",
    "TWO_SIDED",
    "VERMILLION",
    "columns_of",
    "shortened",
]

FONT = "system-ui, -apple-system, 'Segoe UI', sans-serif"
INK, GREY, RULE = "#1f2328", "#6b7178", "#dfe2e6"
BLUE, VERMILLION, GREEN, PURPLE = "#0072b2", "#c65400", "#00795a", "#a8537f"
PALE = "#c3cad2"
COLORS = (BLUE, VERMILLION, GREEN, PURPLE)
SHADED = ((0.0, "#f3f5f7"), (1.0, BLUE))
"""A scale from nothing, or closed, to everything, or open."""
TWO_SIDED = ((0.0, BLUE), (0.5, "#f7f7f7"), (1.0, VERMILLION))
"""A scale from below zero to above it."""
HEIGHT = 320
"""Of a chart, in pixels."""


def columns_of(table: Any) -> dict[str, NDArray[Any]]:
    """The columns of any dataframe, or of a dict of them, as arrays."""
    if isinstance(table, Mapping):
        return {str(name): np.asarray(each) for name, each in table.items()}
    frame = nw.from_native(table, eager_only=True, pass_through=True)
    if not isinstance(frame, nw.DataFrame):
        return {}
    return {name: frame[name].to_numpy() for name in frame.columns}


def shortened(text: Any, length: int) -> str:
    """At most the first `length` letters."""
    text = str(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"
