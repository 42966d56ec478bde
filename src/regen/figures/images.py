"""Images side by side, grey or in colours, and the map of a code of two numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regen.figures._png import address
from regen.figures.style import BLUE, COLOURS, INK, new_figure, shown

__all__ = ["code_map", "image_rows"]

DARKEST, MISSING = 250, 255
"""Of the bytes that are drawn: the last shade of grey, and what stands for a missing pixel."""
FAINT, THIN = "#c3cad2", 80
"""Of images under points: the darkest grey, and the opacity of colours, of 255."""
PIXELS = 430
"""Width in which images are drawn on a page, about."""
MOST = 2 * PIXELS
"""Pixels side by side, at most; more are averaged, for nobody sees them."""


def image_rows(rows: Any, *, limits: tuple[float, float] = (0.0, 1.0), columns: int | None = None) -> Any:
    """Images in rows with a name each, one below the other, so that what belongs together stands in a column.

    What to read: the first row is what was given, and each row below what one method made of it. Missing pixels
    are blue, which no shade of grey can be mistaken for; of images in colours they are clear. What would be more than
    860 pixels wide is averaged to less.

    Parameters
    ----------
    rows : dict of name -> images (n, Y, X), or (n, 3, Y, X) of red, green and blue, all of one shape; or such images
        alone, which are broken into rows.
    limits : values drawn as white and as black; of colours, those of no light and of full light.
    columns : images in a row, when they are given alone; None makes about a square.

    Raises
    ------
    ValueError
        When the images are none, or the rows differ in shape.
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
    figure = _picture(_mosaic(_shades(whole, limits), across))
    labels, Y = [shown(name) for name in parts], whole.shape[-2]
    places = (Y + 1) * np.arange(len(labels)) + Y / 2
    axis = {"tickmode": "array", "tickvals": places, "ticktext": labels, "ticks": "", "visible": named}
    figure.update_yaxes(**axis)
    return figure


def code_map(
    codes: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    decoded: NDArray[Any] | None = None,
    extent: tuple[float, float, float, float] | None = None,
    limits: tuple[float, float] = (0.0, 1.0),
    axes: tuple[str, str] = ("first number of the code", "second number of the code"),
) -> Any:
    """Codes of two numbers as points of a plane, over what the decoder makes of each place in it.

    What to read: rows that are alike should lie together. Each point is drawn as its label, so that colours only help
    to see groups. Behind the points, the pictures show what a code at that place stands for.

    Parameters
    ----------
    codes : (n, 2), the first number to the right, the second upwards.
    labels : (n,) what is drawn at each point, such as a digit; None draws dots.
    decoded : (R, K, Y, X) or, in colours, (R, K, 3, Y, X) images decoded from a grid of codes: R rows from the
        highest second number down, K columns from the lowest first number up; or None.
    extent : (left, right, bottom, top) numbers at the centres of the outermost of those images.
    limits : values of `decoded` drawn as white and as grey; of colours, those of no light and of full light.
    axes : names of the two numbers.

    Raises
    ------
    ValueError
        When the codes have more than two numbers, or there are images but no extent.
    """
    points = np.asarray(codes, dtype=np.float32)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"codes must have shape (n, 2). Got {points.shape} instead.")
    if (decoded is None) != (extent is None):
        raise ValueError("decoded and extent belong together. Give both, or none.")
    figure = new_figure(height=PIXELS + 40, hovermode="closest")
    if decoded is not None and extent is not None:
        _lay_under(figure, np.asarray(decoded), extent, limits)
    texts = None if labels is None else np.asarray(labels)
    for k, name in enumerate([None] if texts is None else np.unique(texts).tolist()):
        chosen = np.ones(len(points), dtype=bool) if texts is None else texts == name
        figure.add_scatter(
            x=points[chosen, 0],
            y=points[chosen, 1],
            name="code" if name is None else shown(name),
            mode="markers" if name is None else "text",
            text=None if name is None else shown(name),
            textfont={"color": COLOURS[k % len(COLOURS)], "size": 12},
            marker={"color": BLUE, "size": 5},
            hovertemplate="%{x:.2f}, %{y:.2f}",
        )
    figure.update_xaxes(title_text=shown(axes[0]), zeroline=False)
    figure.update_yaxes(title_text=shown(axes[1]), showgrid=decoded is None)
    return figure


def _lay_under(
    figure: Any, decoded: NDArray[Any], extent: tuple[float, float, float, float], limits: tuple[float, float]
) -> None:
    """Faint images behind the points, each centred at its code."""
    R, K = decoded.shape[:2]
    left, right, bottom, top = extent
    wide, high = (right - left) / max(K - 1, 1), (top - bottom) / max(R - 1, 1)
    shades = _shades(decoded.reshape(R * K, *decoded.shape[2:]), limits)
    Y, X = shades.shape[1:3]
    rows = shades.reshape(R, K, *shades.shape[1:]).swapaxes(1, 2)
    whole = rows.reshape(R * Y, K * X, *shades.shape[3:])[::-1]
    if whole.ndim == 3:
        whole = np.where(np.arange(4) == 3, whole // 255 * THIN, whole).astype(np.uint8)
    places = {
        "x0": left - wide / 2 + wide / X / 2,
        "dx": wide / X,
        "y0": bottom - high / 2 + high / Y / 2,
        "dy": high / Y,
    }
    _add(figure, whole, "decoded", [[0, "#ffffff"], [1, FAINT]], **places)
    figure.update_xaxes(range=[left - wide / 2, right + wide / 2])
    figure.update_yaxes(
        range=[bottom - high / 2, top + high / 2], scaleanchor=False
    )  # images ask for squares


def _smaller(images: NDArray[Any], across: int) -> NDArray[Any]:
    """Images (n, ..., Y, X), averaged over squares of pixels where so many side by side would be too wide."""
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
    opacity, clear where NaN.
    """
    low, high = limits
    coloured = images.ndim == 4
    most = 255 if coloured else DARKEST
    values = most * (images.astype(np.float64) - low) / (high - low)
    missing = np.isnan(values)
    shades = np.rint(np.clip(np.where(missing, 0, values), 0, most))
    if not coloured:
        return np.where(missing, MISSING, shades).astype(np.uint8)
    opacity = np.where(missing.any(axis=1, keepdims=True), 0, 255)
    return np.concatenate([shades, opacity], axis=1).transpose(0, 2, 3, 1).astype(np.uint8)


def _mosaic(images: NDArray[np.uint8], across: int) -> NDArray[np.uint8]:
    """Images (n, Y, X) or (n, Y, X, 4) row by row, `across` in each, with nothing in the lines between them."""
    n, Y, X = images.shape[:3]
    down = -(-n // across)
    whole = np.zeros((down * across, Y + 1, X + 1, *images.shape[3:]), dtype=np.uint8)
    whole[:n, :Y, :X] = images
    rows = whole.reshape(down, across, *whole.shape[1:]).swapaxes(1, 2)
    return rows.reshape(down * (Y + 1), across * (X + 1), *images.shape[3:])[:-1, :-1]


def _picture(mosaic: NDArray[np.uint8]) -> Any:
    """Bytes (rows, columns) or (rows, columns, 4) drawn as square pixels."""
    figure = new_figure(height=round(PIXELS * len(mosaic) / mosaic.shape[1]) + 16, hovermode=False)
    edge = DARKEST / MISSING
    scale = [[0, "#ffffff"], [edge, INK], [edge + 0.001, "#56b4e9"], [1, "#56b4e9"]]
    _add(figure, mosaic, "images", scale)
    figure.update_layout(margin={"l": 8, "r": 8, "t": 8, "b": 8})
    figure.update_xaxes(visible=False, constrain="domain")
    figure.update_yaxes(
        autorange="reversed",
        scaleanchor="x",
        constrain="domain",
        constraintoward="top",
        showgrid=False,
        showline=False,
    )
    return figure


def _add(figure: Any, pixels: NDArray[np.uint8], name: str, scale: Any, **places: float) -> None:
    """Pixels as cells in shades of a scale, or as they are where they have colours of their own."""
    words = {"hoverinfo": "skip", "name": name, **places}
    if pixels.ndim == 3:
        figure.add_image(source=address(pixels), **words)
    else:
        figure.add_heatmap(z=pixels, zmin=0, zmax=MISSING, colorscale=scale, showscale=False, **words)
