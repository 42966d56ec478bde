"""One door to optional packages: imported when used; when missing, named with the line that installs them."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

__all__ = ["installed", "require"]


def installed(package: str) -> bool:
    """Whether `package` could be imported; nothing is imported to find out."""
    return find_spec(package) is not None


def require(package: str, *, extra: str, purpose: str) -> ModuleType:
    """Import and return `package`, or say what needs it and how to get it.

    Parameters
    ----------
    package : name of the module to import, such as ``"pyarrow"`` or ``"plotly.graph_objects"``.
    extra : the extra of this package that installs it.
    purpose : what the caller wanted to do, as the start of a sentence: ``"Reading CSV files"``.

    Raises
    ------
    ImportError
        ``"Reading CSV files needs pyarrow, which is not installed. Run: pip install 'regen[sources]'"``.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        root = package.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != root:
            raise
        raise ImportError(
            f"{purpose} needs {root}, which is not installed. Run: pip install 'regen[{extra}]'"
        ) from None
