"""What stands beside a row: its label, and other rows.

Letters: `B` batch, `T` steps, `E` numbers of a row or of a step, `m` rows that are read together.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

__all__ = ["append_label", "longest", "one_hot", "pack_rows"]


def one_hot(label: Int64[Tensor, " B"] | None, classes: int, like: Tensor) -> Float[Tensor, "B classes"]:
    """1 at the label of each row and 0 elsewhere, (B, classes), of the type of `like`.

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
    """x, and beside it, at every step, its label as ones and zeros: F = E + classes.

    Parameters
    ----------
    x : (B, E) or (B, T, E).
    label : (B,) from 0 to classes - 1.
    classes : how many there are; 0 for a net that knows none.

    Raises
    ------
    ValueError : no label for a net of classes, or one for a net without.
    """
    if classes == 0:
        refuse_label(label)
        return x
    told = one_hot(label, classes, x)
    if x.ndim == 3:
        told = told[:, None].expand(-1, x.shape[1], -1)
    return torch.cat([x, told], -1)


def refuse_label(label: Tensor | None) -> None:
    if label is not None:
        raise ValueError("This net was made without classes and reads no label. Make it with classes=.")


def pack_rows(x: Float[Tensor, "B *steps E"], pack: int) -> Float[Tensor, "n *steps mE"]:
    """Each `pack` rows that follow each other side by side as one, at every step: n = B / m, mE = m E.

    A critic that reads several rows at once sees that they are too much alike (PacGAN: Lin et al. 2018).

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
        raise ValueError(
            f"pack={pack} reads {pack} rows at once and got {x.shape[0]}. Give a multiple of {pack} rows."
        )
    return x.reshape(x.shape[0] // pack, pack, *x.shape[1:]).movedim(1, -2).flatten(-2)


def longest(lengths: Int64[Tensor, " B"] | None, pack: int) -> Int64[Tensor, " n"] | None:
    """Steps of the longest of each `pack` rows: (B / m,) of (B,)."""
    return lengths if lengths is None or pack == 1 else lengths.view(-1, pack).amax(1)
