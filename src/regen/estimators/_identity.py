"""What identifies a fit, so that a checkpoint of another one is refused: its parameters and its data."""

import hashlib
from collections.abc import Mapping
from types import FunctionType
from typing import Any

from torch import Tensor

__all__ = ["digest", "named"]


def named(params: Mapping[str, Any]) -> dict[str, Any]:
    """`params` with names for functions and objects of a user, whose repr is another one in every process."""

    def name_of(value: Any) -> Any:
        if isinstance(value, FunctionType):
            return f"{value.__module__}.{value.__qualname__}"
        kind = type(value)
        if kind.__repr__ is object.__repr__:  # type: ignore[comparison-overlap]
            return f"{kind.__module__}.{kind.__qualname__}({getattr(value, '__dict__', '')})"
        return value

    return {name: name_of(value) for name, value in params.items()}


def digest(tensors: tuple[Tensor, ...]) -> str:
    """A short hash of the shapes and values of some tensors."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(str(tuple(tensor.shape)).encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]
