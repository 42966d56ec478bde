"""What callers hand over, of any library, as arrays, dataframes and lists of them; what is no data is refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any

import narwhals as nw
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regen.data.dataframes import open_dataframe
from regen.data.magnitude import as_float, as_floats

__all__ = ["complete_labels", "is_missing", "numbers_of", "plain", "shape_of", "without_tensors"]

KNOWN = (torch.float16, torch.float32, torch.float64)
"""Types of real tensors that NumPy has, too."""
NO_DATA = (str, bytes, os.PathLike, Mapping, Set, Iterator, type(None), nw.LazyFrame)


def plain(X: Any, name: str = "X", *, members: bool = True) -> Any:
    """X as an array, a dataframe, or a list of them; what is such already is returned as it is.

    Parameters
    ----------
    X : array, tensor, dataframe, series, list or tuple, (n, ...)
        Tensors become arrays as in `without_tensors`. A series of lists, such as polars' List or pyarrow's
        ListArray, becomes a list.
    name : str, default="X"
        The argument, for messages.
    members : bool, default=True
        Whether a series of lists is meant as one; otherwise it is left to the caller.

    Raises
    ------
    ValueError
        When X is a text, a path, a dict, a set, an iterator, a lazy table or None, and as `without_tensors`.
    TypeError
        When it is a sparse matrix.
    """
    if isinstance(X, Tensor | list | tuple):
        return without_tensors(X, name)
    if type(X).__module__.startswith("scipy.sparse"):
        raise TypeError(f"{name} is a sparse matrix, which is not supported. Give {name}.toarray().")
    lazy = type(X).__name__ == "LazyFrame"
    if lazy or isinstance(X, NO_DATA):
        advice = f"{name}.collect()" if lazy else "an array, a dataframe, or a list of rows"
        kind = "None" if X is None else f"a {type(X).__name__}"
        raise ValueError(f"{name} is {kind}, which holds no rows. Give {advice}.")
    return _members(X, name) if members and not isinstance(X, np.ndarray) else X


def shape_of(X: Any, name: str = "X") -> tuple[int, ...]:
    """Shape of X, an array (n, ...), a dataframe, or a list of rows; ValueError where their lengths differ."""
    shape = getattr(X, "shape", None)
    if shape is not None:
        return tuple(shape)
    try:
        return np.asarray(X).shape
    except ValueError:
        raise ValueError(
            f"The rows of {name} have different lengths. Give every row as many values as the first."
        ) from None


def numbers_of(values: NDArray[Any], subject: Callable[..., str]) -> NDArray[np.float64]:
    """`values` (N, ...) of any type as float64; NaN for None, NA and NaT.

    subject : from the indices of a value to the subject of its refusal, such as ``"Sequence 0 of X"``.

    Raises
    ------
    ValueError
        For text, also for numbers that are written as text, for times, and for complex numbers.
    TypeError
        For other objects.
    """
    if values.dtype.kind in "biuf":
        return values if values.dtype == np.float64 else as_floats(values)
    if values.dtype.kind in "mM":
        raise ValueError(
            f"{subject(*(0 for _ in values.shape))} holds dates or times where numbers belong. Make numbers of them."
        )
    objects = values.astype(object)
    numbers = np.full(values.shape, np.nan)
    for index in np.ndindex(values.shape):
        value = objects[index]
        if is_missing(value):
            continue
        if isinstance(value, str | bytes):
            raise ValueError(
                f"{subject(*index)} holds text where numbers belong: {value!r}. Convert it to numbers."
            )
        if isinstance(value, complex | np.complexfloating):
            raise ValueError(f"{subject(*index)} is complex. Complex data not supported.")
        try:
            numbers[index] = as_float(value)
        except (TypeError, ValueError):
            raise TypeError(
                f"{subject(*index)} holds {_shown(value)}: the argument must be a string or a number."
            ) from None
    return numbers


def is_missing(value: Any) -> bool:
    """Whether an object stands for no value: None, or NA or NaT of pandas, which need not be installed."""
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def complete_labels(name: str, labels: Any) -> Any:
    """Labels, targets or lengths without tensors; refused when one is masked, None, NaN or NA.

    name : of the argument. labels : (n,) or (n, K) of any type; None is none at all.
    """
    labels = without_tensors(labels, name)
    if labels is None:
        return None
    if isinstance(labels, np.ma.MaskedArray):
        missing, what = np.ma.getmaskarray(labels), "is masked"
    else:
        array, what = np.asarray(labels), "has no value"
        if array.dtype.kind not in "fOmM":
            return labels
        missing = array != array if array.dtype.kind != "O" else np.frompyfunc(_is_unknown, 1, 1)(array)
    rows = np.argwhere(np.atleast_1d(missing))
    if len(rows):
        row = int(rows[0][0])
        raise ValueError(f"{name} {what} in row {row}: give every row a label, or leave such rows out.")
    return labels


def _is_unknown(value: Any) -> bool:
    return is_missing(value) or (isinstance(value, float) and value != value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:60]}..."


def without_tensors(X: Any, name: str = "X") -> Any:
    """X (n, ...) with arrays in place of torch's tensors, also of those in lists, at any depth.

    Without their gradient; of numbers that NumPy has no type for, such as bfloat16, as float32, which holds the same
    values. A nested tensor becomes a list. What holds no tensors is returned as it is.

    Raises
    ------
    ValueError
        When a tensor is sparse, quantized, or on the device "meta".
    """
    if isinstance(X, Tensor):
        return [_array(x, name) for x in X.unbind()] if X.is_nested else _array(X, name)
    if not isinstance(X, list | tuple) or not any(isinstance(x, Tensor | list | tuple) for x in X):
        return X
    new = [without_tensors(x, f"Row {k} of {name}") for k, x in enumerate(X)]
    return X if all(one is other for one, other in zip(new, X, strict=True)) else new


def _array(X: Tensor, name: str) -> NDArray[Any]:
    kind = "quantized" if X.is_quantized else "sparse" if X.layout != torch.strided else "without values"
    if X.is_quantized or X.layout != torch.strided or X.is_meta:
        raise ValueError(f"{name} is a tensor that is {kind}, which is not supported. Give a dense one.")
    values = X.detach().cpu().resolve_conj().resolve_neg()
    exact = values.float() if values.is_floating_point() and values.dtype not in KNOWN else values
    return exact.numpy()


def _members(X: Any, name: str) -> Any:
    """The lists in a series of lists; other things as they are."""
    column = open_dataframe(X, name, series=True)
    if not isinstance(column, nw.Series) or not isinstance(column.dtype, nw.List | nw.Array | nw.Object):
        return X
    lists = column.to_list()
    if isinstance(column.dtype, nw.Object) and not any(
        isinstance(x, list | tuple | np.ndarray) for x in lists
    ):
        return X
    for k, each in enumerate(lists):
        if each is None:
            raise ValueError(f"Row {k} of {name} is missing. Give a list of numbers, or leave the row out.")
    return lists
