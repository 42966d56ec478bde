"""The only import of `regen._native`, the compiled kernels, which an installation may lack."""

from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType


def _reason(folder: Path, failure: str) -> str:
    """Why the import failed: `folder` has no extension module for this Python, or it does not load."""
    for name in (f"_native{suffix}" for suffix in EXTENSION_SUFFIXES):
        if (folder / name).exists():
            return f"{name} does not load: {failure}"
    return (
        "not built: this installation has no compiled part. "
        "Install a C++ compiler (g++ or clang++) and Python's headers, and reinstall regen"
    )


native: ModuleType | None = None
"""The compiled kernels, or None."""
why_missing = ""
"""Why `native` is None; empty when it is not."""

try:
    native = import_module("regen._native")
except ImportError as error:
    why_missing = _reason(Path(__file__).parents[2], str(error))
