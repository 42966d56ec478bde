"""Checkpoints: the whole state of a run in one file, so that an interrupted run continues bit for bit.

The file is in safetensors format: every tensor under a number, and in the header's metadata, under
``"regen checkpoint"``, JSON with ``sha256``, the checksum of the whole file, ``version``, and ``state``, which places
the tensors and numbers in a tree of states; docs/file-format.md describes it. Nothing in it is ever executed or
unpickled. A new one takes the place of the former in one step, so that the path always holds a whole checkpoint. One
training at a time has a checkpoint; a second one is refused.

A run resumes bit for bit on the same device and thread count, from any step: the file holds the order of the data
and the place in it, torch's generators, weights, optimizers, learning rates, schedule, history, best weights, the
count of epochs without improvement and that of divergences. Limits (``max_epochs``, ``max_steps``, ``max_time``,
``patience``) may be changed, so a finished run can be extended.
"""

from __future__ import annotations

import errno
import json
import math
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, final

from torch import Tensor

from regen._files import FileLock
from regen._schema import Mapped, Real, Several, Whole, check_form
from regen._tensor_files import (
    DAMAGE,
    Header,
    InvalidFileError,
    loads,
    read_header,
    read_tensors,
    verify,
    write,
)
from regen.training.lr_schedules import FIXED_LENGTH
from regen.training.options import Training
from regen.training.player import Player
from regen.training.schedule import Schedule

__all__ = ["Checkpoint", "pack", "read_tree", "run_identity", "unpack", "write_tree"]


FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def pack(tree: Any, store: dict[str, Tensor]) -> Any:
    """`tree` as strict JSON; its tensors go to `store`, under numbers that stand for them in the JSON.

    Raises
    ------
    TypeError
        For anything but dicts (keys: text or int), lists, tuples, tensors, numbers, texts and None.
    """
    if isinstance(tree, float) and not math.isfinite(tree):
        return {"float": repr(tree)}
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
    if kind == "float":
        return FLOATS[content]
    if kind == "tuple":
        return tuple(unpack(value, store) for value in content)
    if kind == "dict":
        return {key: unpack(value, store) for key, value in content}
    raise ValueError(f"the tag {kind!r} is unknown")


WRITE_EVERY = 5.0
"""Least seconds between two writes."""
PATIENCE = 5.0
"""Seconds that a write that is due waits for the next check of the training, whose state takes half as much room."""
WRITE_SHARE = 0.05
"""Most of the time that writing may take; on a slow disk, checkpoints are written less often."""
KEY = "regen checkpoint"
VERSION = 2
OLD_VERSION = "1"
"""Its files have no checksum; their metadata is ``format``, which is `KEY`, ``version`` and ``state``."""
READ = (VERSION, OLD_VERSION)
FORMS = {
    "epoch": Whole(),
    "done": Whole(),
    "step": Whole(),
    "seconds": Real(),
    "rows": Several(Mapped(Real(finite=False), needed=("epoch", "step", "seconds", "learning_rate"))),
}
"""Of the parts of a state that no player or schedule takes; those check what they take."""
DAMAGED = "is damaged or was altered: its states are not those of a training"
SETTINGS = ("loss", "optimizer", "weight_decay", "schedule", "clip", "batch_size", "validation", "precision")


def run_identity(
    players: Sequence[Player],
    schedule: Schedule,
    training: Training,
    learning_rate: float,
    steps: int,
    fingerprint: str,
) -> dict[str, Any]:
    """What must be equal for a run to resume from a checkpoint.

    The keys name a difference in the refusal, and are part of the file: they stay.
    """
    settings = training.get_params()
    return {
        "learning_rate": learning_rate,
        **{name: settings[name] for name in SETTINGS},
        "the length of the run (which its learning rates are laid out over)": (
            f"{steps} steps" if training.schedule in FIXED_LENGTH else "any"
        ),
        "the turns": schedule.describe(),
        "the network": {
            f"{player.name}.{name}": list(tensor.shape)
            for player in players
            for name, tensor in player.module.state_dict().items()
            if isinstance(tensor, Tensor)
        },
        "the data": fingerprint,
    }


@final
class Checkpoint:
    """The file of one run; without a path, nothing happens.

    As a context, it locks the file, so that no other training writes it.

    Parameters
    ----------
    path : of the file, or None.
    identity : that of the run, from `run_identity`.
    """

    def __init__(self, path: str | PathLike[str] | None, identity: dict[str, Any]) -> None:
        self.path = None if path is None else Path(path)
        self._identity = identity
        self._unwritten: dict[str, Any] | None = None
        self._due = 0.0
        self._warned = False
        self._lock = None if self.path is None else FileLock(self.path)

    def __enter__(self) -> Checkpoint:
        """Lock the file.

        Raises
        ------
        ValueError
            When another training has it; the message names that.
        FileNotFoundError
            When the folder of the file does not exist, so that none could be written.
        """
        if self.path is None or self._lock is None:
            return self
        if not self.path.parent.is_dir():
            folder = str(self.path.parent)
            raise FileNotFoundError(
                f"The checkpoint {str(self.path)!r} cannot be written: there is no folder {folder!r}."
            )
        try:
            holder = self._lock.acquire()
        except OSError as error:
            warnings.warn(
                f"The checkpoint {str(self.path)!r} cannot be locked ({_reason(error)}). Let no other"
                " training write it.",
                RuntimeWarning,
                stacklevel=5,
            )
            return self
        if holder is not None:
            raise ValueError(
                f"The checkpoint {str(self.path)!r} is in use by {holder}, and two trainings cannot share one."
                " Wait until that training ends, end it, or choose another path."
            )
        return self

    def __exit__(self, *error: object) -> None:
        """Give the lock back."""
        if self._lock is not None:
            self._lock.release()

    def read(self) -> dict[str, Any] | None:
        """The state in the file, or None if there is no file.

        Raises
        ------
        ValueError
            When the file is not a whole checkpoint, or is one of another run; the message names the difference.
        """
        if self.path is None or not self.path.exists():
            return None
        content = read_tree(self.path)
        if (
            not isinstance(content, dict)
            or not all(isinstance(content.get(part), dict) for part in ("whose", "state"))
            or not _is_identity(content["whose"])
        ):
            raise _refusal(self.path, DAMAGED)
        difference = _difference(content["whose"], self._identity)
        if difference:
            raise ValueError(
                f"The checkpoint {str(self.path)!r} belongs to another run: {difference}. "
                "Delete the file or choose another path."
            )
        state: dict[str, Any] = content["state"]
        with self.refusing_damage():
            for name, form in FORMS.items():
                check_form(form, state[name], name, {})
        return state

    @contextmanager
    def refusing_damage(self) -> Iterator[None]:
        """Refuse the file when its state cannot be restored in this block: parts are missing or of other forms."""
        try:
            yield
        except DAMAGE as error:
            raise _refusal(Path(str(self.path)), DAMAGED) from error

    def write_if_due(self, state: dict[str, Any]) -> None:
        """Write `state` if the last write was long enough ago; otherwise keep it for `flush`."""
        self._unwritten = state
        if time.monotonic() >= self._due:
            self.write(state)

    def is_overdue(self) -> bool:
        """Whether the last write is so long ago that the next cannot wait for a check; called after every batch."""
        return self.path is not None and time.monotonic() >= self._due + PATIENCE

    def flush(self) -> None:
        """Write the last state passed to `write_if_due`, if it has not been written."""
        if self._unwritten is not None:
            self.write(self._unwritten)

    def write(self, state: dict[str, Any]) -> None:
        """Write `state` now; a failure gives one warning and does not end the run."""
        if self.path is None:
            return
        began = time.monotonic()
        try:
            write_tree(self.path, {"whose": self._identity, "state": state})
            self._unwritten = None  # also where it is older than `state`
        except (OSError, MemoryError) as error:
            if not self._warned:
                warnings.warn(
                    f"The checkpoint {str(self.path)!r} could not be written ({_reason(error)}). "
                    "Training goes on, but cannot be resumed from where it is now.",
                    RuntimeWarning,
                    stacklevel=6,
                )
            self._warned = True
        now = time.monotonic()
        self._due = now + max(WRITE_EVERY, (now - began) / WRITE_SHARE)


def write_tree(path: Path, tree: dict[str, Any]) -> None:
    """Replace the file at `path` by one that holds `tree`, or leave it as it is and raise OSError."""
    store: dict[str, Tensor] = {}
    state = pack(tree, store)
    write(path, KEY, {"version": VERSION, "state": state}, store)


def read_tree(path: Path) -> Any:
    """The tree that `write_tree` wrote; ValueError if the file is anything else."""
    try:
        if not path.is_file():
            raise InvalidFileError("stranger", "is not a file")
        with path.open("rb") as file:
            header = read_header(file, KEY)
            version, state = _document(header)
            if version in READ:
                _compare(state, header)
            if header.has_checksum:
                verify(file, KEY)
            if version not in READ:
                raise InvalidFileError(
                    "newer",
                    f"was written by a newer regen (version {version}; this one reads versions up to {VERSION})",
                )
            return unpack(state, read_tensors(file, header))
    except InvalidFileError as error:
        raise _refusal(path, str(error)) from error
    except OSError as error:
        raise _refusal(path, f"cannot be read: {_reason(error)}") from error
    except DAMAGE as error:
        raise _refusal(path, DAMAGED) from error


def _reason(error: OSError | MemoryError) -> str:
    """What went wrong, in the system's words."""
    number = error.errno if isinstance(error, OSError) else errno.ENOMEM
    return os.strerror(number) if number else str(error).rstrip(".")


def _document(header: Header) -> tuple[Any, Any]:
    """The version and the packed tree."""
    metadata = header.metadata
    if KEY in metadata:
        document = loads(metadata[KEY])
        version, state = document["version"], document["state"]
        if not header.has_checksum and version in READ:
            raise InvalidFileError("damaged", "is damaged or was altered: its checksum is not at its place")
    elif metadata.get("format") == KEY and "version" in metadata and "state" in metadata:
        version, state = metadata["version"], metadata["state"]
        if version == OLD_VERSION:
            state = json.loads(state)
    else:
        raise InvalidFileError("stranger", "is a safetensors file, and no checkpoint")
    return version, state


def _compare(state: Any, header: Header) -> None:
    """Refuse a packed tree that does not use each tensor of the file once."""
    if sorted(_used(state)) != sorted(header.entries):
        raise InvalidFileError(
            "damaged", "is damaged or was altered: its states are not those of its tensors"
        )


def _used(state: Any) -> Iterator[str]:
    """Names of the tensors in a packed tree."""
    waiting = [state]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(node.get("tensor"), str):
                yield node["tensor"]
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _refusal(path: Path, message: str) -> ValueError:
    return ValueError(
        f"The checkpoint {str(path)!r} {message}. Restore a copy of it, delete it to train from the start, or choose"
        " another path."
    )


def _difference(then: dict[str, Any], now: dict[str, Any]) -> str:
    """The first difference of two identities, in words; empty if they are equal."""
    for name, value in now.items():
        old = then.get(name)
        if old == value:
            continue
        if name == "the data":
            return "the data are not the same"
        if name == "the network":
            return _weights_difference(old or {}, value)
        return f"{name} was {old!r} and is now {value!r}"
    return ""


def _is_identity(whose: dict[Any, Any]) -> bool:
    """Whether it holds numbers and texts, and the shapes of weights by their names."""
    shapes = whose.get("the network", {})
    return (
        all(not isinstance(value, Tensor | list | tuple) for value in whose.values())
        and isinstance(shapes, dict)
        and all(isinstance(shape, list) for shape in shapes.values())
        and all(type(size) is int for shape in shapes.values() for size in shape)
    )


def _weights_difference(then: dict[str, list[int]], now: dict[str, list[int]]) -> str:
    for name in {**then, **now}:
        if then.get(name) != now.get(name):
            old, new = (
                "absent" if shape is None else f"of shape {tuple(shape)}"
                for shape in (then.get(name), now.get(name))
            )
            return f"the weight {name!r} was {old} and is now {new}"
    return "its weights are in another order"
