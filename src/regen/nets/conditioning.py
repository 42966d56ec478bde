"""Conditioning and packing of the inputs of a net: labels appended to rows, several rows concatenated into one.

Letters: `B` batch, `T` steps, `E` numbers of a row or of a step, `m` rows of a pack.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

__all__ = ["append_label", "longest", "one_hot", "pack_rows"]


def one_hot(label: Int64[Tensor, " B"] | None, classes: int, like: Tensor) -> Float[Tensor, "B classes"]:
    """One-hot labels (B, classes) of the type of `like`.

    Raises
    ------
    ValueError : no label for a net of classes.
    """
    if label is None:
        raise ValueError(f"This net was made for {classes} classes. Give label, one of them for each row.")
    return F.one_hot(label, classes).to(like.dtype)


def append_label(
    x: Float[Tensor, "B *steps E"], label: Int64[Tensor, " B"] | None, classes: int
) -> Float[Tensor, "B *steps F"]:
    """Append the one-hot label of each row, at every step: F = E + classes.

    Parameters
    ----------
    x : (B, E) or (B, T, E).
    label : (B,) from 0 to classes - 1.
    classes : number of labels; 0 for a net without labels.

    Raises
    ------
    ValueError : no label for a net of classes, or one for a net without.
    """
    if classes == 0:
        refuse_label(label)
        return x
    encoded = one_hot(label, classes, x)
    if x.ndim == 3:
        encoded = encoded[:, None].expand(-1, x.shape[1], -1)
    return torch.cat([x, encoded], -1)


def refuse_label(label: Tensor | None) -> None:
    """Raise a ValueError for a label that is passed to a net without classes."""
    if label is not None:
        raise ValueError("This net was made without classes and takes no label. Make it with classes=.")


def pack_rows(x: Float[Tensor, "B *steps E"], pack: int) -> Float[Tensor, "n *steps mE"]:
    """Concatenate each `pack` consecutive rows into one, at every step: n = B / m, mE = m E.

    From several rows, a critic detects that they are too similar (PacGAN: Lin et al. 2018).

    Parameters
    ----------
    x : (B, E) or (B, T, E); the rows 0 .. m-1 become the first one.
    pack : m.

    Raises
    ------
    ValueError : B is no multiple of m.
    """
    if pack == 1:
        return x
    if x.shape[0] % pack:
        raise ValueError(f"pack={pack} needs a multiple of {pack} rows. Got {x.shape[0]} rows.")
    return x.reshape(x.shape[0] // pack, pack, *x.shape[1:]).movedim(1, -2).flatten(-2)


def longest(lengths: Int64[Tensor, " B"] | None, pack: int) -> Int64[Tensor, " n"] | None:
    """Steps of the longest of each `pack` rows: (B / m,) of (B,)."""
    return lengths if lengths is None or pack == 1 else lengths.view(-1, pack).amax(1)
