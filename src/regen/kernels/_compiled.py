"""The one door to `regen._native`, the compiled kernels, which an installation may lack."""

from pathlib import Path
from types import ModuleType

try:
    from regen import _native as _found
except ImportError as error:
    _found, _failure = None, str(error)
else:
    _failure = ""

native: ModuleType | None = _found
"""The compiled kernels, or None."""


def _reason(folder: Path, failure: str) -> str:
    """Why importing the compiled part from `folder` failed with the words `failure`."""
    files = sorted(path.name for path in folder.glob("_native.*") if path.suffix in (".so", ".pyd"))
    if not files:
        return (
            "not built: this installation has no compiled part. "
            "Install a C++ compiler (g++ or clang++) and reinstall regen"
        )
    return f"{', '.join(files)} does not load: {failure}"


why_missing: str = "" if native is not None else _reason(Path(__file__).parents[1], _failure)
"""Why `native` is None, in words; nothing when it is there."""
