"""Build the wheel, unpack it away from the checkout, and use it there: what is missing from it shows here.

Twice: as this machine builds it, and as a machine without a compiler does.
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/release" / sysconfig.get_config_var("SOABI")  # where .ci/native compiles

SMOKE = """
import sys, pathlib, importlib, inspect, pkgutil, regen
here = pathlib.Path(sys.argv[1]).resolve()
assert here in pathlib.Path(regen.__file__).resolve().parents, f"imported {regen.__file__}, not the wheel"
for module in pkgutil.iter_modules(regen.__path__, "regen."):
    if module.name != "regen.__main__":
        importlib.import_module(module.name)
for name in getattr(sys.modules.get("regen.datasets"), "__all__", ()):
    if inspect.isfunction(load := getattr(regen.datasets, name)):
        load()
print(f"wheel: {sys.argv[2]} imports, and its data sets load, away from the checkout")
"""


def build(folder: Path, **environment: str) -> Path:
    """The wheel, in `folder`."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "wheel", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, env={**os.environ, **environment})
    (wheel,) = folder.glob("regen-*.whl")
    return wheel


def compiled(wheel: Path) -> bool:
    """Whether the compiled part is in `wheel`; its name must then be that of one platform, and else of any."""
    with zipfile.ZipFile(wheel) as archive:
        found = any(
            name.startswith("regen/_native.") and name.endswith((".so", ".pyd"))
            for name in archive.namelist()
        )
    if found == wheel.name.endswith("-none-any.whl"):
        sys.exit(
            f"wheel: {wheel.name} {'holds' if found else 'lacks'} the compiled part, but its name disagrees"
        )
    return found


def use(wheel: Path, folder: Path) -> None:
    """Unpack `wheel` into `folder`, import every module of it there and load its data sets."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    start = f"import sys; sys.path.insert(0, sys.argv[1])\n{SMOKE}"
    subprocess.run([sys.executable, "-c", start, str(folder), wheel.name], check=True, cwd=folder)


def main() -> None:
    """Build and use both wheels."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build(folder / "dist", **({"SKBUILD_BUILD_DIR": str(BUILD)} if BUILD.exists() else {}))
        if BUILD.exists() and not compiled(wheel):
            sys.exit(f"wheel: {wheel.name} lacks the compiled part, which this machine can build")
        use(wheel, folder / "site")
        pure = build(folder / "pure-dist", CXX="no-such-compiler")
        if compiled(pure):
            sys.exit("wheel: a missing compiler went unnoticed")
        use(pure, folder / "pure-site")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"wheel: {' '.join(error.cmd[:5])} ... failed with status {error.returncode}")
