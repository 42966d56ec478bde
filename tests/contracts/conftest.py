"""What the contracts read: the repository's files and the package's syntax trees."""

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return _ROOT


@pytest.fixture(scope="session")
def files() -> dict[str, str]:
    """Relative path -> text of what git tracks or would track; without git, of the known folders."""
    if (_ROOT / ".git").exists() and shutil.which("git"):
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=_ROOT, capture_output=True, check=True).stdout.decode()
        paths = [_ROOT / name for name in listed.split("\0") if name]
    else:
        folders = ("src", "csrc", "tests", "benchmarks", "docs", "examples")
        paths = [path for folder in folders for path in (_ROOT / folder).rglob("*")]
        paths += list(_ROOT.glob("*.*"))
    texts = {}
    for path in sorted(paths):
        if path.is_file():
            data = path.read_bytes()
            if b"\0" not in data[:8192]:
                texts[path.relative_to(_ROOT).as_posix()] = data.decode("utf-8")
    return texts


@pytest.fixture(scope="session")
def trees(files: dict[str, str]) -> dict[str, ast.Module]:
    """Relative path -> syntax tree of every Python file of the project."""
    return {name: ast.parse(text, name) for name, text in files.items() if name.endswith(".py")}


@pytest.fixture(scope="session")
def package(trees: dict[str, ast.Module]) -> dict[str, ast.Module]:
    """Relative path -> syntax tree of every module of the package."""
    return {name: tree for name, tree in trees.items() if name.startswith("src/regen/")}
