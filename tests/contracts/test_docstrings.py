"""Every public name explains itself: a docstring, the shape of every array, and for a cell its source."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import pytest

ARRAYS = re.compile(r"\b(Tensor|ndarray|NDArray|ArrayLike|PackedSequence)\b")
BAGS = re.compile(r"\b(dict|Mapping|MutableMapping|Callable)\[")
# Annotated with these, an argument of these names is an array or a dataframe.
LOOSE = re.compile(r"\b(Any|object)\b")
DATA_NAMES = {"X", "Y", "x", "y", "series", "inputs", "targets", "images"}
# jaxtyping writes the shape in the annotation: Float[Tensor, "B T I"].
TYPED_SHAPE = re.compile(r"\[\s*[\w.]+,\s*['\"]")
# (B, T, I), (N,), (n_samples, n_features), (..., H), or words that need none.
WRITTEN_SHAPE = re.compile(
    r"\((\.\.\.|[A-Za-z_]\w*|\d+)\s*([*+]\s*\w+\s*)*,[^)]*\)|\b(scalar|same shape|shape of)\b"
)
YEAR = re.compile(r"\b(19|20)\d\d\b")


@dataclass(frozen=True)
class Entry:
    """A public function, class or method: where it is, its docstring, and whether it inherits one."""

    where: str
    node: ast.FunctionDef | ast.ClassDef
    docstring: str
    inherited: bool = False


def public(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Top-level functions and classes listed in `__all__`; without one, those with no leading underscore."""
    listed: list[str] | None = None
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            listed = (
                list(ast.literal_eval(node.value)) if isinstance(node.value, ast.List | ast.Tuple) else None
            )
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        if node.name in listed if listed is not None else not node.name.startswith("_"):
            yield node


def inherits(owner: ast.ClassDef, method: str, own: Mapping[str, ast.ClassDef]) -> bool:
    """Whether a class above `owner`, of ours, documents `method`."""
    for base in owner.bases:
        above = own.get(ast.unparse(base).rpartition(".")[2].partition("[")[0])
        if above is not None and above is not owner:
            same = [n for n in above.body if isinstance(n, ast.FunctionDef) and n.name == method]
            if any(ast.get_docstring(node) for node in same) or inherits(above, method, own):
                return True
    return False


def entries(package: Mapping[str, ast.Module]) -> Iterator[Entry]:
    """Every public function, class and method of the modules whose path has no private part."""
    own = {n.name: n for tree in package.values() for n in ast.walk(tree) if isinstance(n, ast.ClassDef)}
    for name, tree in package.items():
        parts = PurePosixPath(name).with_suffix("").parts
        if any(part.startswith("_") and part != "__init__" for part in parts):
            continue
        for node in public(tree):
            yield Entry(f"{name}:{node.lineno} {node.name}", node, ast.get_docstring(node) or "")
            methods = node.body if isinstance(node, ast.ClassDef) else []
            for method in methods:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    assert isinstance(node, ast.ClassDef)
                    above = inherits(node, method.name, own)
                    where = f"{name}:{method.lineno} {node.name}.{method.name}"
                    yield Entry(where, method, ast.get_docstring(method) or "", inherited=above)


def undocumented(package: Mapping[str, ast.Module]) -> list[str]:
    """Public names without a docstring, modules included."""
    found = [entry.where for entry in entries(package) if not entry.docstring and not entry.inherited]
    return found + [name for name, tree in package.items() if not (ast.get_docstring(tree) or "").strip()]


def arrays(function: ast.FunctionDef) -> Iterator[str]:
    """Arguments of `function` that are arrays, and whose annotation does not already hold the shape."""
    for argument in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs):
        annotation = ast.unparse(argument.annotation) if argument.annotation else "Any"
        loose = argument.arg in DATA_NAMES and LOOSE.search(annotation)
        array = ARRAYS.search(annotation) and not BAGS.search(annotation)
        if (array or loose) and not TYPED_SHAPE.search(annotation):
            yield argument.arg


def has_shape(docstring: str, argument: str) -> bool:
    """Whether the docstring gives a shape where it names `argument`, or in the three lines below."""
    lines = docstring.splitlines()
    named = [n for n, line in enumerate(lines) if re.search(rf"(?<![\w.]){re.escape(argument)}\b", line)]
    return any(WRITTEN_SHAPE.search(" ".join(lines[number : number + 4])) for number in named)


def shapeless(package: Mapping[str, ast.Module]) -> list[str]:
    """Array arguments of public functions and methods whose shape is said nowhere."""
    found = []
    for entry in entries(package):
        if isinstance(entry.node, ast.FunctionDef) and not (entry.inherited and not entry.docstring):
            missing = [name for name in arrays(entry.node) if not has_shape(entry.docstring, name)]
            found += [f"{entry.where}: {name}" for name in missing]
    return found


def sourceless(package: Mapping[str, ast.Module]) -> list[str]:
    """Cells whose module names no source: a year of publication."""
    cells = {name: tree for name, tree in package.items() if "/cells/" in name}
    public_cells = {
        name: tree for name, tree in cells.items() if not PurePosixPath(name).name.startswith("_")
    }
    return [name for name, tree in public_cells.items() if not YEAR.search(_prose(tree))]


def _prose(tree: ast.Module) -> str:
    documented = [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]
    return " ".join(ast.get_docstring(node) or "" for node in documented)


def test_public_names_have_docstrings(package: dict[str, ast.Module]) -> None:
    """Every module, public class, function and method has a docstring, its own or the one above it."""
    found = undocumented(package)
    assert not found, "\n".join(found)


def test_arrays_have_shapes(package: dict[str, ast.Module]) -> None:
    """Every array argument of a public function says its shape, in the annotation or in the docstring."""
    found = shapeless(package)
    assert not found, "\n".join(found)


def test_cells_have_sources(package: dict[str, ast.Module]) -> None:
    """Every cell names where its equation comes from."""
    found = sourceless(package)
    assert not found, "\n".join(found)


BASE = '"""M."""\nclass A(ABC):\n    """A."""\n    def f(self, x: Tensor):\n        """Of x (B, T)."""\n'


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("def f(): ...", 2),
        ('"""M."""\ndef f(): ...', 1),
        ('"""M."""\ndef _f(): ...', 0),
        ('"""M."""\n__all__ = ["g"]\ndef f(): ...', 0),
        (f"{BASE}class B(A):\n    def f(self, x): ...", 1),
        (f'{BASE}class B(A):\n    """B."""\n    def f(self, x): ...', 0),
        (f'{BASE}class B(A):\n    """B."""\n    def g(self): ...', 1),
    ],
)
def test_a_missing_docstring_is_caught(source: str, missing: int) -> None:
    """What is public needs a docstring; what is private or inherits one does not."""
    assert len(undocumented({"src/regen/a.py": ast.parse(source)})) == missing
    assert len(undocumented({"src/regen/_a.py": ast.parse(source)})) <= 1


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ('def f(x: Tensor):\n    """Of x."""', 1),
        ('def f(x: Tensor):\n    """Of x (B, T, I)."""', 0),
        ('def f(x: Float[Tensor, "B T"]):\n    """Of x."""', 0),
        ('def f(X: Any):\n    """Of X."""', 1),
        ('def f(X: Any):\n    """Of things.\n\n    X : array of shape (n_samples, n_features)\n    """', 0),
        ('def f(x: np.ndarray, y: np.ndarray):\n    """Of x (N,) and others."""', 1),
        ('def f(n: int):\n    """Of n."""', 0),
        ('def f(h: torch.Tensor | None):\n    """Of h : tensor (L*D, B, H) or None."""', 0),
    ],
)
def test_a_missing_shape_is_caught(source: str, missing: int) -> None:
    """An array without a shape is seen whatever its type; a shape in either place is enough."""
    assert len(shapeless({"src/regen/a.py": ast.parse(source)})) == missing


def test_a_missing_source_is_caught() -> None:
    """A cell without a year is seen; one with a year, or another module, is not."""
    plain, cited = ast.parse('"""The cell."""'), ast.parse('"""The cell. Elman (1990)."""')
    assert sourceless({"src/regen/cells/a.py": plain}) == ["src/regen/cells/a.py"]
    assert sourceless({"src/regen/cells/a.py": cited, "src/regen/nets/a.py": plain}) == []
