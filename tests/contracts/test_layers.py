"""Imports flow downwards only: the contracts of pyproject.toml, and proof that they catch a wrong import."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LINT = "from importlinter.cli import lint_imports_command as lint; lint()"


DOOR = "src/regen/kernels/native/extension.py"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the `src/regen` and `pyproject.toml` of `folder`."""
    start = f"import sys; sys.path.insert(0, {str(folder / 'src')!r}); {LINT}"
    command = [sys.executable, "-c", start, "--no-logo", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.fixture
def house(root: Path, tmp_path: Path) -> Path:
    """A copy of the package, to break."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root / "src/regen", tmp_path / "src/regen", ignore=ignore)
    shutil.copy(root / "pyproject.toml", tmp_path)
    return tmp_path


def test_layers_are_kept(root: Path) -> None:
    """Every import of the package points downwards."""
    result = lint(root)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("_check.py", "import regen.data", "imports flow downwards only"),
        ("losses/twin.py", "import regen.training", "imports flow downwards only"),
        ("data/twin.py", "import regen.kernels", "know neither kernels nor cells"),
        ("cells/twin.py", "import sklearn", "scikit-learn only from estimators up"),
        ("_check.py", "def f():\n    import regen.data", "imports flow downwards only"),
        ("attic.py", "x = 1", "imports flow downwards only"),
    ],
    ids=["up", "sideways", "data-knows-kernels", "sklearn-below", "inside-function", "unlisted-module"],
)
def test_a_broken_layer_is_caught(house: Path, module: str, line: str, broken: str) -> None:
    """One wrong import breaks the contract that forbids it."""
    path = house / "src/regen" / module
    text = path.read_text() if path.exists() else '"""Twin."""\n'
    path.write_text(f"{text}\n{line}\n")
    result = lint(house)
    assert result.returncode == 1, result.stdout + result.stderr
    assert re.search(rf"{broken}.* BROKEN", result.stdout), result.stdout + result.stderr


def past_the_door(package: dict[str, ast.Module]) -> list[str]:
    """Modules that name the compiled part and are not the one door to it."""
    found = []
    for name, tree in package.items():
        for node in ast.walk(tree):
            words = [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []
            if isinstance(node, ast.Import | ast.ImportFrom):
                words = [
                    f"{getattr(node, 'module', None) or ''}.{alias.name}".lstrip(".") for alias in node.names
                ]
            if any(re.fullmatch(r"(regen)?\.?_native", word) for word in words) and name != DOOR:
                found.append(f"{name}:{node.lineno}")
    return found


@pytest.mark.parametrize(
    "line",
    [
        "from regen import _native",
        "import regen._native",
        "from . import _native",
        "import_module('regen._native')",
    ],
)
def test_one_door_to_the_compiled_part(package: dict[str, ast.Module], line: str) -> None:
    """Only kernels/native/extension.py imports `regen._native`, in whatever way."""
    assert past_the_door(package) == []
    assert past_the_door({"src/regen/nets/twin.py": ast.parse(line), DOOR: ast.parse(line)}) == [
        "src/regen/nets/twin.py:1"
    ]
