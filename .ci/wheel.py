"""Build the wheel, unpack it away from the checkout, and use it there: what is missing from it shows here."""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

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
print(f"wheel: regen {regen.__version__} imports, and its data sets load, away from the checkout")
"""


def main() -> None:
    """Build, unpack, import."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        subprocess.run(
            [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", f"{folder}/dist", str(ROOT)],
            check=True,
        )
        (wheel,) = Path(folder, "dist").glob("regen-*.whl")
        subprocess.run(
            [*pip, "install", "--no-deps", "--no-index", "--target", f"{folder}/site", str(wheel)], check=True
        )
        start = f"import sys; sys.path.insert(0, sys.argv[1])\n{SMOKE}"
        subprocess.run([sys.executable, "-c", start, f"{folder}/site"], check=True, cwd=folder)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"wheel: {' '.join(error.cmd[:5])} ... failed with status {error.returncode}")
