"""Old public names keep working for one release and warn."""

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["moved"]


def moved(
    module: str, old_to_new: Mapping[str, str], *, removed_in: str = "regen 0.2"
) -> Callable[[str], Any]:
    """A module-level ``__getattr__`` that resolves old names and emits a DeprecationWarning.

    Parameters
    ----------
    module : str
        The module that keeps the old names, normally ``__name__``.
    old_to_new : mapping of str to str
        Old name -> where the object is now: ``"package.module:Name"``, or ``"package.module"`` for a module.
        Targets are imported when an old name is first used, so that the table imports nothing.
    removed_in : str, default="regen 0.2"
        The release without the old names, as it appears in the warning.

    Returns
    -------
    callable
        To be assigned to ``__getattr__`` of `module`. It raises AttributeError for names not in the table.

    Examples
    --------
    >>> __getattr__ = moved(__name__, {"sketch": "regen.figures:text"})
    """

    def __getattr__(name: str) -> Any:
        if name not in old_to_new:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, _, attribute = old_to_new[name].partition(":")
        new = f"{home}.{attribute}" if attribute else home
        warnings.warn(
            f"{module}.{name} is deprecated and will be removed in {removed_in}: use {new}.",
            DeprecationWarning,
            stacklevel=2,
        )
        target = import_module(home)
        return getattr(target, attribute) if attribute else target

    return __getattr__
