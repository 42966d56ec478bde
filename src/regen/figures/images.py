"""Images side by side, grey or in color, and the map of a code of two numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regen.figures.chart import Chart
from regen.figures.marks import UNIT, Axis, Cells, Grid, Image, Mark, Panel, Points
from regen.figures.style import COLORS, INK, PALE

__all__ = ["code_map", "image_rows"]

DARKEST, MISSING = 250, 255
"""Of the bytes that are drawn: the last shade of grey, and what stands for a missing pixel."""
SKY = "#56b4e9"
"""Of missing pixels."""
THIN = 80
"""Opacity of colors under points, of 255."""
PIXELS = 430
"""Width in which images are drawn on a page, about."""
MOST = 2 * PIXELS
"""Pixels side by side, at most; more are averaged, because they cannot be seen."""


def image_rows(rows: Any, *, limits: tuple[float, float] = (0.0, 1.0), columns: int | None = None) -> Chart:
    """Draw images in rows with a name each, one below the other, so that what belongs together stands in a column.

    Usually the first row is the input, and each row below what one method made of it. Missing pixels are blue, which
    no shade of grey can be mistaken for; those of images in color are transparent. What would be more than 860 pixels
    wide is averaged to less.

    Parameters
    ----------
    rows : dict of str to array, or array
        Images of shape (n, Y, X), or (n, 3, Y, X) of red, green and blue, all of one shape, by the name of their row;
        or such images alone, which are broken into rows.
    limits : tuple of float, default=(0.0, 1.0)
        Values drawn as white and as black; of colors, those of no light and of full light.
    columns : int, default=None
        Images in a row, when they are given alone; None makes about a square.

    Returns
    -------
    Chart
        Of square pixels.

    Raises
    ------
    ValueError
        When there are no images, or the rows differ in shape.

    See Also
    --------
    regen.figures.code_map : Images behind the codes of a plane.

    Examples
    --------
    >>> import numpy as np
    >>> from regen import figures
    >>> digits = np.zeros((5, 8, 8))
    >>> figures.image_rows({"input": digits, "restored": digits}).panels[0].y.tick_labels
    ['input', 'restored']
    """
    named = isinstance(rows, Mapping)
    parts = (
        {str(name): np.asarray(images) for name, images in rows.items()} if named else {"": np.asarray(rows)}
    )
    shape = next(iter(parts.values())).shape
    for name, images in parts.items():
        imaged = images.ndim == 3 or (images.ndim == 4 and images.shape[1] == 3)
        if not imaged or not images.size or images.shape != shape:
            raise ValueError(
                f"Each row must have images of one shape (n, Y, X) or (n, 3, Y, X). Got {images.shape}"
                + (f" in {name!r} and {shape} before it." if imaged and name else ".")
            )
    across = shape[0] if named else columns or int(np.ceil(np.sqrt(shape[0])))
    whole = _smaller(np.concatenate(list(parts.values())).astype(np.float64), across)
    mosaic, Y = _mosaic(_shades(whole, limits), across), whole.shape[-2]
    edge = DARKEST / MISSING
    pixels = _pixels(mosaic, "images", [(0, "#ffffff"), (edge, INK), (edge + 0.001, SKY), (1, SKY)])
    y = Axis(
        ticks=(Y + 1) * np.arange(len(parts)) + Y / 2,
        tick_labels=list(parts),
        reverse=True,
        square=True,
        bare=True,
        grid=False,
        visible=named,
    )
    height = round(PIXELS * len(mosaic) / mosaic.shape[1]) + 16
    margins = {"l": 8, "r": 8, "t": 8, "b": 8}
    return Chart([Panel(Axis(visible=False), y, [pixels])], height=height, margins=margins, hover=None)


def code_map(
    codes: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    decoded: NDArray[Any] | None = None,
    extent: tuple[float, float, float, float] | None = None,
    limits: tuple[float, float] = (0.0, 1.0),
    axes: tuple[str, str] = ("first number of the code", "second number of the code"),
) -> Chart:
    """Draw codes of two numbers as points of a plane, over the images decoded from a grid of codes.

    Similar rows should lie together. Each point is drawn as its label, so that colors only help to see groups.

    Parameters
    ----------
    codes : array of shape (n, 2)
        The first number to the right, the second upwards.
    labels : array of shape (n,), default=None
        What is drawn at each point, such as a digit; None draws dots.
    decoded : array of shape (R, K, Y, X) or (R, K, 3, Y, X), default=None
        Images, grey or in color, decoded from a grid of codes: R rows from the highest second number down, K columns
        from the lowest first number up.
    extent : tuple of float, default=None
        Left, right, bottom and top: the codes at the centers of the outermost of those images.
    limits : tuple of float, default=(0.0, 1.0)
        Values of `decoded` drawn as white and as grey; of colors, those of no light and of full light.
    axes : tuple of str, default=("first number of the code", "second number of the code")
        Names of the two numbers.

    Returns
    -------
    Chart
        Of the images, and a mark for each label.

    Raises
    ------
    ValueError
        When the codes have more than two numbers, or there are images but no extent.

    See Also
    --------
    regen.figures.places : The same for the finding of `regen.inspect.codes`.

    Examples
    --------
    >>> from regen import figures
    >>> figures.code_map([[0.0, 1.0], [2.0, -1.0]], ["a", "b"]).describe()[:13]
    'Points: a, b.'
    """
    points = np.asarray(codes, dtype=np.float32)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"codes must have shape (n, 2). Got {points.shape} instead.")
    if (decoded is None) != (extent is None):
        raise ValueError("decoded and extent belong together. Give both, or none.")
    hover = "{x:.2f}, {y:.2f}"
    if labels is None:
        marks: list[Mark] = [Points(points[:, 0], points[:, 1], name="code", size=5, hover=hover)]
    else:
        texts = np.asarray(labels)
        marks = [
            Points(
                points[texts == each, 0],
                points[texts == each, 1],
                name=str(each),
                label=str(each),
                color=COLORS[k % len(COLORS)],
                hover=hover,
            )
            for k, each in enumerate(np.unique(texts).tolist())
        ]
    x, y = Axis(axes[0]), Axis(axes[1], grid=decoded is None)
    if decoded is not None and extent is not None:
        under, x_limits, y_limits = _images_behind(np.asarray(decoded), extent, limits)
        marks.insert(0, under)
        x, y = replace(x, limits=x_limits), replace(y, limits=y_limits)
    return Chart([Panel(x, y, marks)], height=PIXELS + 40, hover="nearest")


def _images_behind(
    decoded: NDArray[Any], extent: tuple[float, float, float, float], limits: tuple[float, float]
) -> tuple[Mark, tuple[float, float], tuple[float, float]]:
    """Faint images, each centered at its code, and the ends of both axes."""
    R, K = decoded.shape[:2]
    left, right, bottom, top = extent
    wide, high = (right - left) / max(K - 1, 1), (top - bottom) / max(R - 1, 1)
    shades = _shades(decoded.reshape(R * K, *decoded.shape[2:]), limits)
    Y, X = shades.shape[1:3]
    rows = shades.reshape(R, K, *shades.shape[1:]).swapaxes(1, 2)
    whole = rows.reshape(R * Y, K * X, *shades.shape[3:])[::-1]
    if whole.ndim == 3:
        whole = np.where(np.arange(4) == 3, whole // 255 * THIN, whole).astype(np.uint8)
    x = Grid(left - wide / 2 + wide / X / 2, wide / X)
    y = Grid(bottom - high / 2 + high / Y / 2, high / Y)
    pixels = _pixels(whole, "decoded", [(0, "#ffffff"), (1, PALE)], x, y)
    return pixels, (left - wide / 2, right + wide / 2), (bottom - high / 2, top + high / 2)


def _smaller(images: NDArray[Any], across: int) -> NDArray[Any]:
    """Images (n, ..., Y, X), averaged over squares of pixels where `across` side by side would be too wide."""
    Y, X = images.shape[-2:]
    by = min(-(-across * X // MOST), Y, X)
    if by <= 1:
        return images
    cut = images[..., : Y // by * by, : X // by * by]
    smaller: NDArray[Any] = cut.reshape(*images.shape[:-2], Y // by, by, X // by, by).mean(axis=(-3, -1))
    return smaller


def _shades(images: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Images of numbers as bytes.

    Of (n, Y, X): 0 white, `DARKEST` black, `MISSING` where NaN. Of (n, 3, Y, X): (n, Y, X, 4), red, green, blue and
    opacity, transparent where NaN.
    """
    low, high = limits
    colored = images.ndim == 4
    most = 255 if colored else DARKEST
    values = most * (images.astype(np.float64) - low) / (high - low)
    missing = np.isnan(values)
    shades = np.rint(np.clip(np.where(missing, 0, values), 0, most))
    if not colored:
        return np.where(missing, MISSING, shades).astype(np.uint8)
    opacity = np.where(missing.any(axis=1, keepdims=True), 0, 255)
    return np.concatenate([shades, opacity], axis=1).transpose(0, 2, 3, 1).astype(np.uint8)


def _mosaic(images: NDArray[np.uint8], across: int) -> NDArray[np.uint8]:
    """Images (n, Y, X) or (n, Y, X, 4) row by row, `across` in each, with an empty line between them."""
    n, Y, X = images.shape[:3]
    down = -(-n // across)
    whole = np.zeros((down * across, Y + 1, X + 1, *images.shape[3:]), dtype=np.uint8)
    whole[:n, :Y, :X] = images
    rows = whole.reshape(down, across, *whole.shape[1:]).swapaxes(1, 2)
    return rows.reshape(down * (Y + 1), across * (X + 1), *images.shape[3:])[:-1, :-1]


def _pixels(
    pixels: NDArray[np.uint8],
    name: str,
    scale: Sequence[tuple[float, str]],
    x: Grid = UNIT,
    y: Grid = UNIT,
) -> Mark:
    """Bytes (rows, columns) in shades of a scale, or (rows, columns, 4) in their own colors."""
    if pixels.ndim == 3:
        return Image(pixels, x, y, name=name)
    return Cells(pixels, x, y, limits=(0, MISSING), scale=scale, name=name, pictured=True)
