"""Values as JSON and named tensors, and back: exact, and strict both ways.

None, bool, int, finite floats, text and lists are plain JSON. Everything else is an object with one key, its tag::

    {"float": "nan"}                                       nan, inf or -inf
    {"tuple": [...]}   {"dict": {...}}                     with text as keys
    {"array": {"entry": name, "dtype": "float64", "shape": [3]}}    numpy numbers, or dates as int64 counts
    {"texts": {"dtype": "str", "shape": [2], "values": ["a", "b"]}} numpy text; dtype "object" for objects
    {"scalar": {"dtype": "float32", "value": 0.5}}         numpy scalar
    {"tensor": {"entry": name, "dtype": "float32", "shape": [3]}}   torch tensor
    {"cell": {"name": "lstm", "options": {...}}}           a `regen.cells` cell
    {"training": {...}}                                    a `regen.Training`, by field
    {"game": {...}}                                        a `regen.Game`, by field

`entry` is the name of a tensor in the same file.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regen import cells
from regen.estimators.adversarial.game import Game
from regen.training.options import Training

__all__ = ["Packer", "Unpacker"]

NUMBERS = {
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
}
DATES = re.compile(r"(datetime64|timedelta64)\[(Y|M|W|D|h|m|s|ms|us|ns)\]")
FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@final
class Packer:
    """Turns values into JSON; what JSON cannot hold is gathered in `tensors`, by the place it came from."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}

    def pack(self, value: Any, place: str) -> Any:
        """JSON for `value`, which stands at `place`, such as ``"fitted.scale"``.

        A numpy RandomState becomes None: its position in a stream of random numbers is no part of a model.

        Raises
        ------
        ValueError
            When there is no exact way to write the value down.
        """
        if value is None or isinstance(value, np.random.RandomState):
            return None
        if isinstance(value, np.generic):
            return self._scalar(value, place)
        if isinstance(value, bool | str):
            return value
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"float": repr(float(value))}
        if isinstance(value, np.ndarray):
            return self._array(value, place)
        if isinstance(value, Tensor):
            return {"tensor": self._store(value.detach().cpu().clone(), place)}
        return self._container(value, place)

    def _container(self, value: Any, place: str) -> Any:
        if type(value) is list:
            return [self.pack(item, f"{place}.{number}") for number, item in enumerate(value)]
        if type(value) is tuple:
            return {"tuple": [self.pack(item, f"{place}.{number}") for number, item in enumerate(value)]}
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return {"dict": self._dict(value, place)}
        if isinstance(value, Training):
            return {"training": self._dict(value.get_params(), place)}
        if isinstance(value, Game):
            return {"game": self._dict(value.get_params(), place)}
        if isinstance(value, cells.Cell):
            return {"cell": self._cell(value, place)}
        raise _unsaveable(value, place)

    def _dict(self, values: Mapping[str, Any], place: str) -> dict[str, Any]:
        return {key: self.pack(item, f"{place}.{key}") for key, item in values.items()}

    def _cell(self, cell: cells.Cell, place: str) -> dict[str, Any]:
        for name in cells.NAMES:
            options = {option: getattr(cell, option, None) for option in cells.options(name)}
            if type(cells.named(name)) is type(cell):
                return {"name": name, "options": self._dict(options, place)}
        raise _unsaveable(cell, place)

    def _scalar(self, value: np.generic, place: str) -> Any:
        if isinstance(value, np.str_):
            return str(value)
        dtype = str(value.dtype)
        if DATES.fullmatch(dtype):
            return {"scalar": {"dtype": dtype, "value": int(value.astype(np.int64))}}
        if dtype not in NUMBERS:
            raise _unsaveable(value, place)
        return {"scalar": {"dtype": dtype, "value": self.pack(value.item(), place)}}

    def _array(self, value: NDArray[Any], place: str) -> Any:
        dtype = str(value.dtype.newbyteorder("="))
        if value.dtype.kind == "U" or (
            value.dtype.kind == "O" and all(isinstance(item, str) for item in value.flat)
        ):
            kind = "str" if value.dtype.kind == "U" else "object"
            texts = [str(item) for item in value.flat]
            return {"texts": {"dtype": kind, "shape": list(value.shape), "values": texts}}
        if DATES.fullmatch(dtype):
            counts = torch.from_numpy(value.astype(np.int64, order="C"))
            return {"array": self._store(counts, place) | {"dtype": dtype}}
        if dtype not in NUMBERS:
            raise _unsaveable(value, place)
        return {"array": self._store(torch.from_numpy(value.astype(dtype, order="C")), place)}

    def _store(self, tensor: Tensor, place: str) -> dict[str, Any]:
        self.tensors[place] = tensor.contiguous()
        return {
            "entry": place,
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "shape": list(tensor.shape),
        }


@final
class Unpacker:
    """Turns JSON back into values with the tensors of the same file; refuses whatever `Packer` would not write.

    Attributes
    ----------
    unused : names of tensors that were not used yet.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors
        self.unused = set(tensors)

    def unpack(self, packed: Any) -> Any:
        """The value that `packed` stands for.

        Raises
        ------
        ValueError
            When it stands for none; the message follows the name of the file.
        """
        if isinstance(packed, list):
            return [self.unpack(item) for item in packed]
        if not isinstance(packed, dict):
            return packed
        if len(packed) != 1:
            raise ValueError(f"an object has {len(packed)} tags instead of one")
        ((tag, body),) = packed.items()
        readers: dict[str, Callable[[Any], Any]] = {
            "float": self._float,
            "tuple": lambda items: tuple(self.unpack(item) for item in _list(items)),
            "dict": self._dict,
            "array": self._array,
            "texts": self._texts,
            "scalar": self._scalar,
            "tensor": lambda spec: self._entry(spec)[0],
            "cell": self._cell,
            "training": lambda items: Training.of(self._dict(items)),
            "game": lambda items: Game.of(self._dict(items)),
        }
        if tag not in readers:
            raise ValueError(f"the tag {tag!r} is unknown")
        return readers[tag](body)

    def _dict(self, items: Any) -> dict[str, Any]:
        if not isinstance(items, dict):
            raise ValueError("a dict is not an object")
        return {key: self.unpack(item) for key, item in items.items()}

    def _float(self, name: Any) -> float:
        if not isinstance(name, str) or name not in FLOATS:
            raise ValueError(f"the float {name!r} is unknown")
        return FLOATS[name]

    def _cell(self, spec: Any) -> cells.Cell:
        name, options = _keys(spec, "name", "options")
        return cells.named(_text(name), **self._dict(options))

    def _scalar(self, spec: Any) -> Any:
        dtype, value = _keys(spec, "dtype", "value")
        number = self.unpack(value)
        if not isinstance(number, bool | int | float):
            raise ValueError("a scalar has no number")
        return np.array(number, dtype=_known(dtype))[()]

    def _texts(self, spec: Any) -> NDArray[Any]:
        dtype, shape, values = _keys(spec, "dtype", "shape", "values")
        if dtype not in ("str", "object") or not all(isinstance(text, str) for text in _list(values)):
            raise ValueError("an array of texts holds something else")
        if math.prod(_shape(shape)) != len(values):
            raise ValueError(f"{len(values)} texts do not have the shape {tuple(shape)}")
        return np.array(values, dtype=str if dtype == "str" else object).reshape(shape)

    def _array(self, spec: Any) -> NDArray[Any]:
        tensor, dtype = self._entry(spec)
        _known(dtype)
        array = tensor.numpy()
        return array.view(dtype) if DATES.fullmatch(dtype) else array

    def _entry(self, spec: Any) -> tuple[Tensor, str]:
        """The tensor that `spec` names, of the dtype and shape that it promises; each can be had once."""
        name, dtype, shape = _keys(spec, "entry", "dtype", "shape")
        if _text(name) not in self.unused:
            raise ValueError(f"the tensor {name!r} is missing or used twice")
        self.unused.remove(name)
        tensor = self.tensors[name]
        if list(tensor.shape) != _shape(shape):
            raise ValueError(f"the tensor {name!r} has shape {tuple(tensor.shape)} instead of {tuple(shape)}")
        stored = "int64" if DATES.fullmatch(_text(dtype)) else dtype
        if str(tensor.dtype) != f"torch.{stored}":
            raise ValueError(f"the tensor {name!r} holds {tensor.dtype} instead of {stored}")
        return tensor, dtype


def _unsaveable(value: Any, place: str) -> ValueError:
    kind = (
        f"{type(value).__name__} of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
    )
    return ValueError(
        f"{place} is a {kind}, which cannot be saved. Only numbers, texts, arrays, tensors and regen's own cells can."
    )


def _known(dtype: Any) -> str:
    if _text(dtype) not in NUMBERS and not DATES.fullmatch(dtype):
        raise ValueError(f"the dtype {dtype!r} is unknown")
    return dtype  # type: ignore[no-any-return]


def _keys(spec: Any, *names: str) -> tuple[Any, ...]:
    if not isinstance(spec, dict) or set(spec) != set(names):
        raise ValueError(f"an object lacks one of {', '.join(names)}, or has more")
    return tuple(spec[name] for name in names)


def _list(items: Any) -> list[Any]:
    if not isinstance(items, list):
        raise ValueError("a list is something else")
    return items


def _text(text: Any) -> str:
    if not isinstance(text, str):
        raise ValueError("a name is not a text")
    return text


def _shape(shape: Any) -> list[int]:
    if not all(type(size) is int and size >= 0 for size in _list(shape)):
        raise ValueError(f"the shape {shape!r} is none")
    return shape  # type: ignore[no-any-return]
