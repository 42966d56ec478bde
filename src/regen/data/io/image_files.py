"""Pictures in files: folders of PNG and JPEG read as images, images written as PNG, one by one or as a grid."""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from struct import error as StructError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regen._files import atomic_write, flush_folder, sweep
from regen._optional import require
from regen.data.io.paths import make_folder, not_found_error
from regen.data.io.png import is_whole_png

__all__ = ["PICTURES", "folders_only", "read_images", "read_labelled_images", "write_grid", "write_images"]

Bytes = NDArray[np.uint8]

PICTURES = (".png", ".jpg", ".jpeg")
LARGEST = 1 << 26
"""Pixels of a picture: 8192 x 8192. A few bytes can promise many more."""
UNKNOWN = (86, 180, 233)
"""The blue in which missing pixels are shown: no shade of grey can be mistaken for it."""
BETWEEN = 128
SMALL = 32
"""Pixels below which a picture in a grid is enlarged."""
DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    StructError,
)


def read_images(path: str | PathLike[str], channels: int | None = None) -> tuple[Bytes, list[str]]:
    """Read the PNG and JPEG pictures of a folder, in the order of their names, or a single one.

    Parameters
    ----------
    path : of the folder, or of one picture. Other files in the folder are left alone, as are its folders.
    channels : of the images that these should match, 1 to 4; pictures with fewer are widened. None is what the
        pictures have: 1 when all are grey, 3 when any has colour, one more when any pixel lets the ground through.

    Returns
    -------
    images (n, C, Y, X) uint8, and the n names of the files. Shades of 16 bits are brought to 8; the turn that a
    camera has noted is made.

    Raises
    ------
    FileNotFoundError, PermissionError
        When there is no such folder, or a file cannot be read.
    ValueError
        When there are no pictures, they differ in size, or one is damaged, was cut short, is larger than 64 Mi
        pixels, or has more channels than requested; each with the name of the file.
    ImportError
        When Pillow is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise not_found_error(path, "file or folder" if path.suffix else "folder")
    if not (path.is_dir() or path.is_file()):
        raise ValueError(f"{str(path)!r} is a device or a pipe. Write its content to a file first.")
    folder, names = (path, _pictures(path)) if path.is_dir() else (path.parent, [path.name])
    return _together(folder, names, channels), names


def read_labelled_images(
    path: str | PathLike[str], channels: int | None = None
) -> tuple[Bytes, list[str], list[str]]:
    """Read the pictures of a folder that has a folder for each label, in the order of the labels, then of the names.

    path : of the outer folder. Folders whose names begin with a dot are left alone. channels : as in `read_images`.

    Returns
    -------
    images (n, C, Y, X) uint8, the n names of the files below the outer folder (``cat/1.png``), and the n labels,
    which are the names of their folders.

    Raises
    ------
    ValueError
        When it is no folder, has less than two folders, or pictures in it, and as `read_images`: no folder may
        be without pictures, which are all of one size.
    FileNotFoundError, PermissionError, ImportError
        As `read_images`.
    """
    path = Path(path)
    if not path.exists():
        raise not_found_error(path, "folder")
    loose, labels = _inside(path) if path.is_dir() else ([], [])
    if loose and labels:
        raise ValueError(
            f"The folder {str(path)!r} has folders, one for each label, and {loose[0]!r} next to them. Move it into"
            " the folder of its label, or take it away."
        )
    if len(labels) < 2:
        found = f"only {labels[0]!r}" if labels else "none"
        raise ValueError(
            f"Labels that are folders need a folder with two or more in it, one for each label. {str(path)!r} has"
            f" {found}. Put the pictures of each label in a folder of its own."
        )
    each = [(label, f"{label}/{name}") for label in labels for name in _pictures(path / label)]
    names = [name for _, name in each]
    return _together(path, names, channels), names, [label for label, _ in each]


def folders_only(path: Path) -> bool:
    """Whether a folder has folders in it, and no pictures of its own."""
    loose, folders = _inside(path)
    return bool(folders) and not loose


def write_grid(
    path: str | PathLike[str],
    images: NDArray[Any],
    columns: int | None = None,
    pad: int = 1,
    zoom: int | None = None,
    limits: tuple[float, float] | None = None,
) -> None:
    """Write images side by side as one PNG; the file appears whole or not at all.

    Parameters
    ----------
    path : of the PNG file.
    images : (n, Y, X) or (n, C, Y, X) of 1 to 4 channels: grey, grey with opacity, red green blue, and with opacity.
        Missing pixels of grey images are shown in blue.
    columns : images in a row; None makes the grid about square.
    pad : grey pixels between and around them.
    zoom : pixels for each pixel; None enlarges small images to 32 pixels.
    limits : values shown as black and white, beyond which all look the same. None is 0 and 255 for bytes, 0 and 1
        for truth values and for floats in between, else the lowest and the highest.

    Raises
    ------
    ValueError
        When the images are none, or have more than 4 channels.
    """
    shown = _shades(images, limits)
    n, C, Y, X = shown.shape
    columns = math.ceil(math.sqrt(n)) if columns is None else min(columns, n)
    zoom = max(1, math.ceil(SMALL / min(Y, X))) if zoom is None else zoom
    shown = shown.repeat(zoom, axis=2).repeat(zoom, axis=3)
    rows = math.ceil(n / columns)
    Y, X = zoom * Y + pad, zoom * X + pad
    grid = np.full((C, rows * Y + pad, columns * X + pad), BETWEEN, dtype=np.uint8)
    for k, image in enumerate(shown):
        top, left = pad + k // columns * Y, pad + k % columns * X
        grid[:, top : top + Y - pad, left : left + X - pad] = image
    _write(Path(path), grid)


def write_images(
    folder: str | PathLike[str],
    images: NDArray[Any],
    names: Sequence[str] | None = None,
    limits: tuple[float, float] | None = None,
) -> None:
    """Write each image as a PNG file into a folder, which is made if need be.

    Parameters
    ----------
    folder : of the files; those of the same names are replaced.
    images, limits : (n, Y, X) or (n, C, Y, X), and the values of black and white, as in `write_grid`.
    names : n names of files, whose endings become ``.png``; None counts from ``0001.png``.
    """
    shown = _shades(images, limits)
    folder = Path(folder)
    make_folder(folder)
    width = max(4, len(str(len(shown))))
    names = [f"{k:0{width}d}" for k in range(1, len(shown) + 1)] if names is None else list(names)
    stems = [Path(name).stem for name in names]
    # a.png and a.jpg would both become a.png
    once = stems if len(set(stems)) == len(stems) else names
    sweep(folder)
    for name, image in zip(once, shown, strict=True):
        _write(folder / f"{name}.png", image, alone=False)
    flush_folder(folder)


def _pictures(folder: Path) -> list[str]:
    """Names of the pictures in a folder, sorted."""
    names, _ = _inside(folder)
    if not names:
        raise ValueError(
            f"The folder {str(folder)!r} has no pictures: no file in it ends in {' or '.join(PICTURES)}."
        )
    return names


def _inside(folder: Path) -> tuple[list[str], list[str]]:
    """Names of the pictures and of the folders in a folder, sorted; those that begin with a dot are hidden."""
    try:
        seen = sorted(path for path in folder.iterdir() if path.name[0] != ".")
    except PermissionError:
        raise PermissionError(f"The folder {str(folder)!r} cannot be read: permission denied.") from None
    pictures = [path.name for path in seen if path.name.lower().endswith(PICTURES) and path.is_file()]
    return pictures, [path.name for path in seen if path.is_dir()]


def _together(folder: Path, names: Sequence[str], channels: int | None) -> Bytes:
    """(n, C, Y, X) the pictures of a folder that have these names."""
    images: list[Bytes] = []
    for name in names:
        images.append(_read(folder / name))
        if images[-1].shape[:2] != images[0].shape[:2]:
            (one, other) = (f"{image.shape[1]} x {image.shape[0]}" for image in (images[0], images[-1]))
            raise ValueError(
                f"The pictures of {str(folder)!r} differ in size: {names[0]!r} has {one} pixels, {name!r}"
                f" {other}. Bring them to one size."
            )
    return np.ascontiguousarray(np.stack(_alike(names, images, channels)).transpose(0, 3, 1, 2))


def _read(path: Path) -> Bytes:
    """One picture as (Y, X, C) bytes."""
    pillow = require("PIL.Image", extra="images", purpose="Reading pictures")
    turns = require("PIL.ImageOps", extra="images", purpose="Reading pictures")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the sizes that Pillow warns of are checked here
            with pillow.open(path, formats=("PNG", "JPEG")) as image:
                _refuse_huge(path, image.size)
                if not is_whole_png(path):
                    raise EOFError
                image.load()
                return _bands(turns.exif_transpose(image))
    except _InvalidPictureError:
        raise
    except PermissionError:
        raise PermissionError(f"{str(path)!r} cannot be read: permission denied.") from None
    except pillow.DecompressionBombError:
        raise ValueError(_huge(path, "far more")) from None
    except (*DAMAGED, zlib.error) as error:
        raise ValueError(
            f"{str(path)!r} is not a whole PNG or JPEG picture: it is damaged, was cut short, or is something else."
            " Write or fetch it again, or take it away."
        ) from error


def _refuse_huge(path: Path, size: tuple[int, int]) -> None:
    if size[0] * size[1] > LARGEST:
        raise _InvalidPictureError(_huge(path, f"{size[0]} x {size[1]} pixels, more"))


def _huge(path: Path, found: str) -> str:
    return f"{str(path)!r} has {found} than the {LARGEST} that regen accepts. Make it smaller."


class _InvalidPictureError(ValueError):
    """A refusal that is already in words."""


def _bands(image: Any) -> Bytes:
    """A picture of any mode as (Y, X, C) bytes: grey or colour, with opacity or without."""
    if image.mode[:1] in ("I", "F"):  # 16 bits
        shades = np.clip(np.asarray(image), 0, 65535).astype(np.uint32)
        rounded: Bytes = ((shades + 128) // 257).astype(np.uint8)
        return rounded[:, :, None]
    through = "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa")
    grey = image.mode in ("1", "L", "LA", "La")
    mode = {(True, False): "L", (True, True): "LA", (False, False): "RGB", (False, True): "RGBA"}[
        grey, through
    ]
    palette = image.mode in ("P", "PA")
    bands = np.asarray(image.convert(mode)).reshape(image.height, image.width, -1)
    if palette and (bands[:, :, :3] == bands[:, :, :1]).all():  # a palette of greys
        return bands[:, :, [0, *range(3, bands.shape[2])]]
    return bands


def _alike(names: Sequence[str], images: Sequence[Bytes], channels: int | None) -> list[Bytes]:
    """Images (Y, X, C) with as many channels each: `channels`, or as many as the richest needs."""
    needed = [_colours(image) + _lets_through(image) for image in images]
    through = any(need in (2, 4) for need in needed)
    wanted = channels or max(_colours(image) for image in images) + through
    for name, need in zip(names, needed, strict=True):
        if need > wanted or (need == 2 and wanted == 3):
            raise ValueError(
                f"{name!r} has {need} channels, and images of {wanted} were requested: grey is 1, colour 3, and"
                " opacity one more."
            )
    return [_widened(image, wanted) for image in images]


def _colours(image: Bytes) -> int:
    """1 for grey, 3 for colour."""
    return 1 if image.shape[2] < 3 else 3


def _lets_through(image: Bytes) -> bool:
    """Whether the ground can be seen through any pixel."""
    return image.shape[2] in (2, 4) and bool((image[:, :, -1] < 255).any())


def _widened(image: Bytes, channels: int) -> Bytes:
    """(Y, X, C) with `channels`: grey becomes colour, and what has no opacity is opaque."""
    shades = image[:, :, : _colours(image)]
    if channels >= 3:
        shades = np.broadcast_to(shades, (*shades.shape[:2], 3))
    if channels in (1, 3):
        return shades
    opacity = image[:, :, -1:] if image.shape[2] in (2, 4) else np.full_like(image[:, :, :1], 255)
    return np.concatenate([shades, opacity], axis=2)


def _shades(images: NDArray[Any], limits: tuple[float, float] | None) -> Bytes:
    """(n, C, Y, X) bytes of images (n, Y, X) or (n, C, Y, X) of any numbers."""
    images, shape = np.asarray(images), np.shape(images)
    images = images[:, None] if images.ndim == 3 else images
    if images.ndim != 4 or not images.size or images.shape[1] > 4:
        raise ValueError(
            "Pictures need images of shape (n, Y, X) or (n, C, Y, X) with 1 to 4 channels. Got"
            f" {shape} instead."
        )
    if images.dtype == np.uint8 and limits is None:
        return images.astype(np.uint8)
    values = images.astype(np.float64)
    low, high = _limits(images) if limits is None else limits
    hidden = np.isnan(values)
    values = 255 * (values - low) / ((high - low) or 1.0)
    shades: Bytes = np.rint(np.clip(np.where(hidden, 0, values), 0, 255)).astype(np.uint8)
    if images.shape[1] > 1 or not hidden.any():
        return shades
    blue: Bytes = np.where(hidden, np.array(UNKNOWN, np.uint8)[:, None, None], shades)
    return blue


def _limits(images: NDArray[Any]) -> tuple[float, float]:
    """The values of black and of white."""
    low, high = float(np.fmin.reduce(images, axis=None)), float(np.fmax.reduce(images, axis=None))
    inside = images.dtype.kind in "bf" and low >= 0 and high <= 1
    return (0.0, 1.0) if inside or not math.isfinite(high - low) else (low, high)


def _write(path: Path, image: Bytes, alone: bool = True) -> None:
    """(C, Y, X) bytes as a PNG file, `alone` or one of many."""
    pillow = require("PIL.Image", extra="images", purpose="Writing pictures")
    bands = image.transpose(1, 2, 0)
    picture = pillow.fromarray(np.ascontiguousarray(bands[:, :, 0] if len(image) == 1 else bands))
    with atomic_write(path, alone=alone) as file:
        picture.save(file, format="PNG")
