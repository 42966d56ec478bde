"""What no file of the project may say, and what every test must."""

import ast
import re
from collections.abc import Mapping

import pytest

# Character classes keep these patterns from matching their own source.
MACHINE_PATH = re.compile(
    r"(?<![\w.<>~$/-])/(?:hom[e]|roo[t]|wor[k]|Use[r]s|mn[t]|op[t]|dat[a]|sr[v]|va[r]|tm[p])/\w"
    r"|\b[A-Z]:\\{1,2}(?:User[s]|Window[s]|Progra[m])"
)
REGISTRY = re.compile(
    r"pyp[i]\.|pythonhoste[d]|download\.pytorc[h]|anacond[a]|conda-forg[e]"
    r"|--inde[x]-url|--extra-inde[x]|--find-link[s]"
)


def matches(pattern: re.Pattern[str], files: Mapping[str, str]) -> list[str]:
    """`path:line text` of every line of `files` in which `pattern` is found."""
    return [
        f"{name}:{number} {line.strip()}"
        for name, text in files.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def undocumented_tests(name: str, tree: ast.AST) -> list[str]:
    """Tests without a docstring that says what they check."""
    return [
        f"{name}:{node.lineno} {node.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]


def unreasoned_skips(name: str, tree: ast.AST) -> list[str]:
    """Skips and expected failures without a reason."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("pytest.mark.skip", "pytest.mark.xfail"):
            found.append(node)
        if isinstance(node, ast.Call) and re.search(
            r"pytest\.(mark\.)?(skip|skipif|xfail)$", ast.unparse(node.func)
        ):
            reasons = [word for word in node.keywords if word.arg == "reason"]
            if isinstance(node.func, ast.Attribute) and node.func in found:
                found.remove(node.func)
            bare = not node.args if "mark" not in ast.unparse(node.func) else True
            if not reasons and bare:
                found.append(node)
    # A mark with a call was seen twice: once as the call, once as the attribute inside it.
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return [f"{name}:{node.lineno} {ast.unparse(node)}" for node in found if id(node) not in called]


def test_no_machine_paths(files: dict[str, str]) -> None:
    """No tracked file names a place on somebody's machine."""
    found = matches(MACHINE_PATH, files)
    assert not found, "\n".join(found)


def test_no_registry_hosts(files: dict[str, str]) -> None:
    """No tracked file names where packages are served; that is the reader's own setting."""
    found = matches(REGISTRY, files)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("line", ["cd /HOME/a/regen", "open('/DATA/x.csv')", "see `/ROOT/x`", "=/OPT/x"])
def test_a_machine_path_is_caught(line: str) -> None:
    """Absolute paths of the usual kinds are seen."""
    assert len(matches(MACHINE_PATH, {"a.md": f"first\n{line.lower()}"})) == 1


@pytest.mark.parametrize(
    "line", ["src/data/x.csv", "../shared/data/ett", "#!/usr/bin/env bash", "https://a.org/data/x"]
)
def test_a_relative_path_passes(line: str) -> None:
    """Paths inside the project, beside it, and addresses are let through."""
    assert matches(MACHINE_PATH, {"a.md": line}) == []


@pytest.mark.parametrize("line", ["https://PYPI.org/simple", "pip install --INDEX-URL x", "from ANACONDA"])
def test_a_registry_host_is_caught(line: str) -> None:
    """Hosts and options that name them are seen."""
    assert len(matches(REGISTRY, {"a.md": line.lower()})) == 1


def test_every_test_says_what_it_checks(trees: dict[str, ast.Module]) -> None:
    """Every test has a docstring."""
    tests = {name: tree for name, tree in trees.items() if name.startswith("tests/")}
    found = [line for name, tree in tests.items() for line in undocumented_tests(name, tree)]
    assert not found, "\n".join(found)
    assert undocumented_tests("a.py", ast.parse("def test_a(): ...\ndef b(): ...")) == ["a.py:1 test_a"]


def test_every_skip_has_a_reason(trees: dict[str, ast.Module]) -> None:
    """No test is skipped or expected to fail without saying why."""
    tests = {name: tree for name, tree in trees.items() if name.startswith("tests/")}
    found = [line for name, tree in tests.items() for line in unreasoned_skips(name, tree)]
    assert not found, "\n".join(found)
    for line in ("@pytest.mark.skip", "@pytest.mark.xfail()", "@pytest.mark.skipif(True)"):
        assert len(unreasoned_skips("a.py", ast.parse(f"{line}\ndef test_a(): ..."))) == 1, line
    assert len(unreasoned_skips("a.py", ast.parse("pytest.skip()"))) == 1
    for line in ("pytest.skip('no GPU')", "f = pytest.mark.skipif(True, reason='no GPU')"):
        assert unreasoned_skips("a.py", ast.parse(line)) == [], line
