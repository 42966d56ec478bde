"""Pytrees: states as nested dicts, lists, tuples and tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

__all__ = ["clone", "pack", "tensors", "unpack"]


def clone(tree: Any) -> Any:
    """The same tree with a copy of every tensor; leaves of other types are shared."""
    if isinstance(tree, Tensor):
        return tree.detach().clone()
    if isinstance(tree, Mapping):
        return {key: clone(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)([clone(value) for value in tree])
    return tree


def tensors(tree: Any) -> Iterator[Tensor]:
    """The tensors of a tree, in order."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from tensors(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from tensors(value)


def pack(tree: Any, store: dict[str, Tensor]) -> Any:
    """`tree` as JSON; its tensors go to `store`, under numbers that stand for them in the JSON.

    Raises
    ------
    TypeError
        For anything but dicts (keys: text or int), lists, tuples, tensors, numbers, texts and None.
    """
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    if isinstance(tree, Tensor):
        key = str(len(store))
        store[key] = tree.detach().cpu().contiguous()
        return {"tensor": key}
    if isinstance(tree, Mapping):
        return {"dict": [[key, pack(value, store)] for key, value in tree.items()]}
    if isinstance(tree, tuple):
        return {"tuple": [pack(value, store) for value in tree]}
    if isinstance(tree, list):
        return [pack(value, store) for value in tree]
    raise TypeError(f"A {type(tree).__name__} cannot be saved in a checkpoint.")


def unpack(packed: Any, store: Mapping[str, Tensor]) -> Any:
    """The tree that `pack` made `packed` and `store` of."""
    if isinstance(packed, list):
        return [unpack(value, store) for value in packed]
    if not isinstance(packed, dict):
        return packed
    ((kind, content),) = packed.items()
    if kind == "tensor":
        return store[content]
    if kind == "tuple":
        return tuple(unpack(value, store) for value in content)
    return {key: unpack(value, store) for key, value in content}
