"""Nothing is ever unpickled or evaluated: what the project may not call, in the package and around it."""

import ast

import pytest

UNPICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "torch.save", "torch.jit.load", "os.system"}
# Tests that pickle on purpose: scikit-learn's workers do so with estimators, and a model file that is one is refused.
PICKLING_TESTS = ("tests/estimators/", "tests/persistence/", "tests/faults/test_threads.py")
ARGUMENTS = {"weights_only": False, "allow_pickle": True, "shell": True}


def unsafe(name: str, tree: ast.AST) -> list[str]:
    """Imports of unpicklers, calls that run text or unpickle, and arguments that switch a guard off."""
    found = []
    for node in ast.walk(tree):
        named: list[str] = []
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names if alias.name.partition(".")[0] in UNPICKLERS]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            named = [module] if module.partition(".")[0] in UNPICKLERS else []
            named += [f"{module}.{a.name}" for a in node.names if f"{module}.{a.name}" in CALLS]
        elif isinstance(node, ast.Call):
            named = [ast.unparse(node.func)] if ast.unparse(node.func) in CALLS else []
            for keyword in node.keywords:
                value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
                if keyword.arg in ARGUMENTS and value is ARGUMENTS[keyword.arg]:
                    named.append(f"{keyword.arg}={value}")
        found += [f"{name}:{getattr(node, 'lineno', 0)} {what}" for what in named]
    return found


def test_nothing_unsafe(trees: dict[str, ast.Module]) -> None:
    """No file of the project unpickles, evaluates text, or switches a guard off."""
    checked = {name: tree for name, tree in trees.items() if not name.startswith(PICKLING_TESTS)}
    found = [line for name, tree in checked.items() for line in unsafe(name, tree)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "import joblib.numpy_pickle",
        "from cloudpickle import loads",
        "from torch import load",
        "torch.load('m.pt')",
        "torch.load('m.pt', weights_only=True)",
        "numpy.load(path, allow_pickle=True)",
        "load(path, weights_only=False)",
        "eval(text)",
        "exec(text)",
        "subprocess.run(line, shell=True)",
    ],
)
def test_an_unsafe_line_is_caught(line: str) -> None:
    """Each way to run somebody else's bytes is seen."""
    assert unsafe("a.py", ast.parse(line)) != []


@pytest.mark.parametrize("line", ["net.eval()", "re.compile('a')", "safetensors.torch.load_file(path)"])
def test_a_safe_line_passes(line: str) -> None:
    """What only looks alike is let through."""
    assert unsafe("a.py", ast.parse(line)) == []
