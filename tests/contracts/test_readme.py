"""README.md and LEIAME.md say what runs: their code is run, their commands exist, and both show the same."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELL = {"", "sh", "bash", "console"}


def page(root: Path, name: str) -> str:
    """The text of a page."""
    return (root / name).read_text(encoding="utf-8")


def blocks(text: str) -> list[tuple[str, str]]:
    """Language and code of every fenced block."""
    return BLOCK.findall(text)


def bare(code: str) -> list[str]:
    """The lines of a block without comments, which may be translated, and without blank lines."""
    lines = (re.sub(r"(^|\s)#.*$", "", line).rstrip() for line in code.splitlines())
    return [line for line in lines if line]


def differences(one: str, other: str) -> list[str]:
    """Code that two pages do not share."""
    left, right = ([(kind, bare(code)) for kind, code in blocks(text)] for text in (one, other))
    found = [
        f"block {i}: {a} against {b}" for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b
    ]
    return found + ([f"{len(left)} blocks against {len(right)}"] if len(left) != len(right) else [])


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code as a script, in a folder of its own, with warnings as errors."""
    script = folder / "page.py"
    script.write_text(code, encoding="utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def commands(text: str) -> list[list[str]]:
    """The words of every `regen ...` and `make ...` line in the shell blocks of a page."""
    lines = [line for kind, code in blocks(text) if kind in SHELL for line in bare(code.replace("\\\n", " "))]
    parts = [part for line in lines for part in re.split(r"\s{3,}(?=regen )|&&|;", line.removeprefix("$ "))]
    return [words for part in parts if (words := shlex.split(part)) and words[0] in ("regen", "make")]


def unknown(text: str, flags: str, makefile: str) -> list[str]:
    """Commands of a page that the frozen flags or the Makefile do not know."""
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    known: dict[str, set[str]] = {}
    for line in flags.splitlines():
        command, _, options = line.partition(" -")
        known.setdefault(command, set()).update(f"-{options}".split(", ") if options else [])
    found = []
    for words in commands(text):
        if words[0] == "make":
            found += [f"make {word}" for word in words[1:] if "=" not in word and word not in targets]
            continue
        paths = [" ".join(words[:n]) for n in range(len(words), 0, -1)]
        command = next(path for path in [*paths, "regen"] if path in known or path == "regen")
        given = {word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)}
        found += [f"{command} {flag}" for flag in sorted(given - known.get(command, set()) - {"--help"})]
        if command == "regen" and len(words) > 1 and not words[1].startswith("-"):
            found.append(" ".join(words[:2]))
    return found


def test_readme_code_runs(root: Path, tmp_path: Path) -> None:
    """The Python of README.md runs from top to bottom, in an empty folder, without a warning."""
    code = "\n".join(code for kind, code in blocks(page(root, "README.md")) if kind == "python")
    assert code.strip(), "README.md shows no Python"
    result = run(code, tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["README.md", "LEIAME.md"])
def test_commands_exist(root: Path, name: str) -> None:
    """Every command, flag and make target that a page shows exists."""
    flags = (root / "tests/contracts/cli_flags.txt").read_text()
    assert unknown(page(root, name), flags, (root / "Makefile").read_text()) == []


def test_both_pages_show_the_same(root: Path) -> None:
    """LEIAME.md has the code and commands of README.md, comments aside."""
    assert differences(page(root, "README.md"), page(root, "LEIAME.md")) == []


def test_code_that_fails_is_caught(tmp_path: Path) -> None:
    """A page whose code raises, or warns, fails."""
    assert run("x = 1\nassert x == 1", tmp_path).returncode == 0
    assert run("import regen\nregen.nonexistent", tmp_path).returncode == 1
    assert run("import warnings\nwarnings.warn('old')", tmp_path).returncode == 1


def test_pages_that_differ_are_caught() -> None:
    """Another line of code is told; another comment is not."""
    one = "```python\nx = 1  # one\n```\n"
    assert differences(one, "```python\nx = 1  # um\n```\n") == []
    assert len(differences(one, "```python\nx = 2  # one\n```\n")) == 1
    assert len(differences(one, "```sh\nx = 1\n```\n")) == 1
    assert differences(one, one + one) == ["1 blocks against 2"]


def test_an_unknown_command_is_caught() -> None:
    """A misspelt command, flag and target are told; known ones are not."""
    fit = "regen fit forecaster"
    flags = f"regen --version\nregen fit\n{fit}\n{fit} --hidden\n{fit} --out, -o"
    makefile = "test: lint\n\tx\ndemo:\n"

    def found(line: str) -> list[str]:
        return unknown(f"```sh\n{line}   # why\n```", flags, makefile)

    assert found("regen fit forecaster a.csv --hidden 8 -o runs/a") == []
    assert found("$ make demo") == []
    assert found("regen fit forecaster a.csv --hiden 8") == ["regen fit forecaster --hiden"]
    assert found("regen fti forecaster") == ["regen fti"]
    assert found("make tset") == ["make tset"]
