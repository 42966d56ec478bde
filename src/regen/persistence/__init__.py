"""Save and load: one file of safetensors and JSON for each model, described in docs/file-format.md.

Nothing in a file is ever executed or unpickled: a class is looked up in a table by its name, and every value is
checked as it is read.
"""

import os
import re
import warnings
from collections.abc import Mapping
from inspect import signature
from os import PathLike
from pathlib import Path
from typing import Any, Final

from sklearn.utils.validation import check_is_fitted

from regen._check import check_parameters
from regen._tensor_files import DAMAGE
from regen._version import __version__
from regen.data.io.paths import not_found_error
from regen.estimators import ESTIMATORS
from regen.estimators._base import Estimator
from regen.persistence.container import FORMAT, damaged, read, write
from regen.persistence.values import Packer, Unpacker
from regen.training.device import resolve_device
from regen.training.options import Training

__all__ = ["load", "save"]

FITTED: Final = re.compile(r"[a-z]\w*_")
FILE: Final = "model.safetensors"
KINDS: Final[Mapping[str, type[Estimator]]] = {kind.__name__: kind for kind in ESTIMATORS}


def save(estimator: Estimator, path: str | PathLike[str]) -> Path:
    """Write a fitted estimator to one file; `load` gives back one that predicts the same bits.

    Parameters
    ----------
    estimator : Estimator
        A fitted estimator. Its parameters are saved, too, except a RandomState instance and the path of a
        checkpoint, which become None.
    path : str or path-like
        The file. For a folder, or a path that ends in a slash, ``model.safetensors`` in it; the folder is created if
        it does not exist. An existing file is replaced in one step, or stays whole when writing fails.

    Returns
    -------
    Path
        The path of the file.

    Raises
    ------
    ValueError
        When the estimator is not fitted or not one of regen's.
    OSError
        When the file cannot be written; nothing is left behind.

    See Also
    --------
    load : Reads the file.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, regen
    >>> model = regen.Forecaster(window=8, horizon=2, hidden=4, max_epochs=1, random_state=0)
    >>> model = model.fit(np.sin(np.arange(60) / 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = regen.save(model, os.path.join(folder, "model.regen"))
    ...     loaded = regen.load(path)
    >>> bool((loaded.predict() == model.predict()).all())
    True
    """
    kind = type(estimator)
    if KINDS.get(kind.__name__) is not kind:
        raise ValueError(f"regen.save writes {', '.join(KINDS)}. Got a {kind.__name__} instead.")
    check_is_fitted(estimator, "net_", msg="This %(name)s is not fitted yet. Call fit before saving it.")
    packer = Packer()
    document = {
        "format": FORMAT,
        "regen": __version__,
        "class": kind.__name__,
        "params": packer.pack(_without_paths(estimator.get_params(deep=False)), "params")["dict"],
        "fitted": packer.pack(dict(sorted(estimator.fitted_state().items())), "fitted")["dict"],
    }
    target = _target(path)
    write(target, document, packer.tensors)
    return target


def load(path: str | PathLike[str]) -> Any:
    """The estimator that `save` wrote, fitted.

    Parameters
    ----------
    path : str or path-like
        The file, or the folder of a run.

    Returns
    -------
    Estimator
        Of the class that was saved; it predicts the same bits.

    Raises
    ------
    FileNotFoundError
        When there is nothing at `path`; the closest name there is offered.
    ValueError
        When the file is damaged, altered, or of a version that cannot be read; the message gives the reason.

    Warns
    -----
    UserWarning
        When the model was trained with a device that this machine lacks; it is loaded with ``device="auto"``.

    See Also
    --------
    save : Writes the file.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, regen
    >>> model = regen.Forecaster(window=8, horizon=2, hidden=4, max_epochs=1, random_state=0)
    >>> model = model.fit(np.sin(np.arange(60) / 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = regen.save(model, os.path.join(folder, "model.regen"))
    ...     loaded = regen.load(path)
    >>> bool((loaded.predict() == model.predict()).all())
    True
    """
    source = _source(Path(path))
    document, tensors = read(source)
    name = str(source)
    kind = _kind(name, document)
    unpacker = Unpacker(tensors)
    try:
        params = unpacker.unpack({"dict": document["params"]})
        fitted = unpacker.unpack({"dict": document["fitted"]})
        if unpacker.unused:
            raise ValueError(f"nothing uses the tensor {min(unpacker.unused)!r}")
        estimator = _unfitted(kind, params)
        _use_available_device(name, estimator)
        if unknown := [name for name in fitted if not FITTED.fullmatch(name)]:
            raise ValueError(f"{unknown[0]!r} is no fitted attribute")
        estimator.restore_fitted_state(fitted)
    except DAMAGE as error:
        raise damaged(name, str(error).rstrip(".")) from error
    return estimator


def _target(path: str | PathLike[str]) -> Path:
    text = os.fspath(path)
    if not text.endswith(("/", os.sep)) and not os.path.isdir(text):
        return Path(text)
    try:
        os.makedirs(text, exist_ok=True)
    except OSError as error:
        raise type(error)(f"The folder {text!r} cannot be made: {error.strerror or error}.") from error
    return Path(text) / FILE


def _source(path: Path) -> Path:
    if path.is_dir():
        if not (path / FILE).is_file():
            raise FileNotFoundError(
                f"The folder {str(path)!r} holds no {FILE}. Give a folder that regen fit made."
            )
        return path / FILE
    if not path.exists():
        raise not_found_error(path, "file or folder")
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is not a file. Give a file that regen.save wrote.")
    return path


def _kind(name: str, document: Any) -> type[Estimator]:
    """The class that the document names."""
    if not isinstance(document["class"], str) or document["class"] not in KINDS:
        raise ValueError(
            f"{name!r} holds a {document['class']!r}, which is no estimator of this regen. It knows"
            f" {', '.join(KINDS)}."
        )
    return KINDS[document["class"]]


def _unfitted(kind: type[Estimator], params: Mapping[str, Any]) -> Estimator:
    """An unfitted estimator with `params`; those that a later version has added keep their default."""
    known = signature(kind).parameters
    for name in params:
        if name not in known:
            raise ValueError(f"{kind.__name__} has no parameter {name!r}")
    estimator = kind(**_without_paths(params))
    check_parameters(kind.__name__, kind.constraints, estimator.get_params(deep=False))
    Training.of(estimator.training).check()
    return estimator


def _without_paths(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters without the path of a checkpoint: it belongs to one training, and a file names none to write to."""
    training = params.get("training")
    if isinstance(training, Training):
        training = Training(**training.get_params() | {"checkpoint": None})
    elif isinstance(training, Mapping):
        training = {name: value for name, value in training.items() if name != "checkpoint"}
    return dict(params) | ({} if training is None else {"training": training})


def _use_available_device(name: str, estimator: Estimator) -> None:
    """Set ``device="auto"`` for a model of a device that this machine lacks."""
    options = Training.of(estimator.training)
    try:
        resolve_device(options.device)
    except ValueError:
        warnings.warn(
            f"{name!r} was trained with device={options.device!r}, which this machine lacks. It is loaded with"
            " device='auto'.",
            UserWarning,
            stacklevel=3,
        )
        estimator.set_params(training=Training(**options.get_params() | {"device": "auto"}))
