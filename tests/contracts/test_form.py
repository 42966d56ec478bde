"""The form of the code: lengths, widths and names; each rule beside a piece of code that breaks it."""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

import pytest

FILE_LINES, FOLDER_FILES, FUNCTION_LINES, STEP_LINES, ARGUMENTS = 500, 15, 40, 15, 15
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
MODULE_WORDS = {"utils", "util", "common", "config", "registry", "helper", "helpers", "manager", "misc"}
CLASS_WORDS = ("Manager", "Helper", "Registry", "Config", "Utils")
# A drop-in keeps the words of the class that it replaces; they are torch's, and do not count.
TORCH_WORDS = {
    *("input_size", "hidden_size", "num_layers", "nonlinearity", "bias", "batch_first", "dropout"),
    *("bidirectional", "proj_size", "device", "dtype"),
}
# Optional packages, and the only parts of the package that may name them.
HOMES = {
    "plotly": ("figures/render",),
    "duckdb": ("data", "doctor"),
    "PIL": ("data",),
    "pyarrow": ("data", "doctor"),
    "typer": ("cli",),
    "umap": ("inspection",),
    "onnx": ("onnx",),
    "ray": ("cluster",),
}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of `tree`."""
    return (node for node in ast.walk(tree) if isinstance(node, DEFINITIONS))


def classes(tree: ast.AST) -> Iterator[ast.ClassDef]:
    """Every class of `tree`."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body; its signature, laid out by the formatter, and docstring do not count."""
    documented = ast.get_docstring(function, clean=False) is not None
    start = function.body[0].end_lineno if documented else function.body[0].lineno - 1
    return (function.end_lineno or 0) - (start or 0)


def long_files(files: Mapping[str, str]) -> list[str]:
    """Source files of more than 500 lines."""
    sources = {
        name: text for name, text in files.items() if name.endswith((".py", ".cc", ".cpp", ".cu", ".h"))
    }
    lengths = {name: len(text.splitlines()) for name, text in sources.items()}
    return [f"{name}: {count} lines" for name, count in lengths.items() if count > FILE_LINES]


def long_functions(name: str, tree: ast.AST) -> list[str]:
    """Functions of more than 40 lines; steps of cells of more than 15."""
    steps = {
        id(node)
        for owner in classes(tree)
        for node in owner.body
        if "/cells/" in name and isinstance(node, ast.FunctionDef) and node.name == "step"
    }
    return [
        f"{name}:{node.lineno} {node.name}: {lines(node)} lines"
        for node in functions(tree)
        if lines(node) > (STEP_LINES if id(node) in steps else FUNCTION_LINES)
    ]


def arguments(owner: ast.ClassDef) -> list[str]:
    """Names that a constructor takes: those of `__init__`, or the fields of a dataclass."""
    for node in owner.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            every += [star for star in (node.args.vararg, node.args.kwarg) if star is not None]
            return [argument.arg for argument in every if argument.arg != "self"]
    if any("dataclass" in ast.unparse(decorator) for decorator in owner.decorator_list):
        fields = [node for node in owner.body if isinstance(node, ast.AnnAssign)]
        return [
            ast.unparse(field.target) for field in fields if "ClassVar" not in ast.unparse(field.annotation)
        ]
    return []


def wide_constructors(name: str, tree: ast.AST) -> list[str]:
    """Classes whose constructor takes more than 15 arguments, torch's own words in a drop-in left out."""
    own = {owner: arguments(owner) for owner in classes(tree)}
    if "/nets/" in name:
        own = {owner: [word for word in words if word not in TORCH_WORDS] for owner, words in own.items()}
    return [
        f"{name} {owner.name}: {len(words)} arguments"
        for owner, words in own.items()
        if len(words) > ARGUMENTS
    ]


def hidden_imports(name: str, tree: ast.AST) -> list[str]:
    """Imports of our own code inside a function; the package's own `__getattr__`, the lazy door, may."""
    found = []
    for function in functions(tree):
        if name == "src/regen/__init__.py" and function.name == "__getattr__":
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.ImportFrom):
                own = node.level > 0 or (node.module or "").partition(".")[0] == "regen"
            elif isinstance(node, ast.Import):
                own = any(alias.name.partition(".")[0] == "regen" for alias in node.names)
            elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func) and node.args:
                own = ast.unparse(node.args[0]).lstrip("f'\"").startswith(("regen", "."))
            else:
                own = False
            if own:
                found.append(f"{name}:{node.lineno} {ast.unparse(node)}")
    return found


def forbidden_names(name: str, tree: ast.AST) -> list[str]:
    """Modules and classes whose name says nothing."""
    path = PurePosixPath(name)
    found = [f"{name}: {part}" for part in (*path.parts[:-1], path.stem) if part.strip("_") in MODULE_WORDS]
    for owner in classes(tree):
        bare = owner.name.strip("_")
        if any(word in bare for word in CLASS_WORDS) or (bare.startswith("Base") and bare.endswith("Model")):
            found.append(f"{name}:{owner.lineno} {owner.name}")
    return found


def duck_typing(name: str, tree: ast.AST) -> list[str]:
    """Calls of hasattr."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [f"{name}:{node.lineno} hasattr" for node in calls if ast.unparse(node.func) == "hasattr"]


def homeless_packages(name: str, tree: ast.AST) -> list[str]:
    """Optional packages named outside the parts that own them, by an import or through `require`."""
    part = PurePosixPath(name).relative_to("src/regen").with_suffix("")
    found = []
    for node in ast.walk(tree):
        named: list[str] = []
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            named = [node.module or ""]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("require", "import_module")):
            named = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        roots = [package.partition(".")[0] for package in named]
        found += [
            f"{name}: {root}"
            for root in roots
            if root in HOMES and not any(part.is_relative_to(home) for home in HOMES[root])
        ]
    return found


def too_deep(package: Mapping[str, ast.AST]) -> list[str]:
    """Classes that inherit from a concrete class of ours, or are great-grandchildren of one."""
    own = {owner.name: owner for tree in package.values() for owner in classes(tree)}
    bases = {name: [ast.unparse(base).rpartition(".")[2] for base in own[name].bases] for name in own}
    bases = {name: [base.partition("[")[0] for base in found] for name, found in bases.items()}
    abstract = {
        name
        for name, owner in own.items()
        if {"ABC", "Protocol"} & set(bases[name])
        or any("abstractmethod" in ast.unparse(n) for n in owner.body)
    }
    found = []
    for name in own:
        ours = [base for base in bases[name] if base in own and base != name]
        found += [
            f"{name} inherits from {base}, which is not abstract" for base in ours if base not in abstract
        ]
        if generation(name, bases) > 2:
            found.append(f"{name} has more than two generations of ours above it")
    return found


def generation(name: str, bases: Mapping[str, list[str]]) -> int:
    """How many classes of ours stand above `name`, one over the other."""
    return max(
        (1 + generation(base, bases) for base in bases[name] if base in bases and base != name), default=0
    )


PUBLIC_BY_CONVENTION = {
    *("_replace", "_asdict", "_fields"),  # of named tuples
    *("_exit", "_modules", "_parameters", "_buffers"),  # of os and torch, without another way in
    *("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"),
}


def is_private(name: str) -> bool:
    """One leading underscore, and no name that its library documents all the same."""
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC_BY_CONVENTION


def foreign_privates(name: str, tree: ast.AST) -> list[str]:
    """Private attributes of what is not `self`, unless the module itself defines them."""
    own: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (*DEFINITIONS, ast.ClassDef)):
            own.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            own.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
            owner = ast.unparse(node.value)
            if owner not in ("self", "cls") and not owner.startswith(("torch", "super")):
                found.append(f"{name}:{node.lineno} {owner}.{node.attr}")
    return found


def outside_assignments(name: str, tree: ast.Module) -> list[str]:
    """Functions outside classes that set attributes of an argument; torch's `ctx` is there to be set."""
    found = []
    for function in (node for node in tree.body if isinstance(node, DEFINITIONS)):
        arguments = {each.arg for each in (*function.args.args, *function.args.kwonlyargs)} - {"ctx"}
        for node in ast.walk(function):
            target: ast.expr | None = None
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
                target = node.value
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("setattr", "delattr"):
                target = node.args[0]
            if isinstance(target, ast.Name) and target.id in arguments:
                found.append(f"{name}:{node.lineno} {ast.unparse(node)}")
    return found


def full_folders(files: Iterable[str]) -> list[str]:
    """Folders with more than 15 modules, `__init__` not counted."""
    modules = (path for path in map(PurePosixPath, files) if path.suffix == ".py" and path.stem != "__init__")
    counts = Counter(str(path.parent) for path in modules)
    return [f"{folder}: {count} files" for folder, count in counts.items() if count > FOLDER_FILES]


def hidden_circles(name: str, tree: ast.AST) -> list[str]:
    """Imports for type checkers alone; the package's own lazy door may."""
    blocks = (node for node in ast.walk(tree) if isinstance(node, ast.If))
    hidden = [f"{name}:{node.lineno}" for node in blocks if "TYPE_CHECKING" in ast.unparse(node.test)]
    return [] if name == "src/regen/__init__.py" else hidden


def is_hook(method: ast.FunctionDef) -> bool:
    """Abstract, documented as replaceable, or empty: at most the return of a constant or of an argument."""
    docstring = ast.get_docstring(method)
    if any("abstract" in ast.unparse(decorator) for decorator in method.decorator_list):
        return True
    if "a subclass may replace it" in (docstring or ""):
        return True
    documented = docstring is not None
    body = [node for node in method.body[documented:] if not isinstance(node, ast.Pass)]
    if len(body) != 1:
        return not body
    plain = (ast.Constant, ast.Name, ast.Dict, ast.Tuple, type(None))
    return isinstance(body[0], ast.Return) and isinstance(body[0].value, plain)


def overridden(package: Mapping[str, ast.AST]) -> list[str]:
    """Methods of ours with a body, replaced in a class below; those of torch and scikit-learn do not count."""
    own = {owner.name: owner for tree in package.values() for owner in classes(tree)}
    names = {
        name: [ast.unparse(base).rpartition(".")[2].partition("[")[0] for base in owner.bases]
        for name, owner in own.items()
    }

    def above(name: str) -> set[str]:
        direct = {base for base in names[name] if base in own and base != name}
        return direct.union(*(above(base) for base in direct))

    def methods(name: str) -> list[ast.FunctionDef]:
        return [node for node in own[name].body if isinstance(node, ast.FunctionDef)]

    return [
        f"{name}.{method.name} replaces that of {base}"
        for name in own
        for base in sorted(above(name))
        for method in methods(base)
        if method.name in {each.name for each in methods(name)}
        and not method.name.startswith("__")
        and not is_hook(method)
    ]


def test_nobody_uses_private_names(package: dict[str, ast.Module]) -> None:
    """What another module marks as private stays there."""
    found = [line for name, tree in package.items() for line in foreign_privates(name, tree)]
    assert not found, "\n".join(found)
    assert foreign_privates("a.py", ast.parse("x = model._scale")) == ["a.py:1 model._scale"]
    assert foreign_privates("a.py", ast.parse("class A:\n  def f(self, o): self._x = o._x")) == []
    assert foreign_privates("a.py", ast.parse("y = x._replace(a=self._b)")) == []


def test_only_methods_assign_attributes(package: dict[str, ast.Module]) -> None:
    """No function outside a class sets an attribute of its argument."""
    found = [line for name, tree in package.items() for line in outside_assignments(name, tree)]
    assert not found, "\n".join(found)
    for line in ("model.net_ = 1", "del model.net_", "setattr(model, 'net_', 1)"):
        assert len(outside_assignments("a.py", ast.parse(f"def learn(model):\n    {line}"))) == 1, line
    assert outside_assignments("a.py", ast.parse("class A:\n  def f(self, o): self.x = 1")) == []


def test_folders_are_small(files: dict[str, str]) -> None:
    """No folder of the package has more than 15 modules."""
    found = full_folders(name for name in files if name.startswith("src/"))
    assert not found, "\n".join(found)
    fifteen = [*(f"src/a/m{k}.py" for k in range(15)), "src/a/__init__.py"]
    assert full_folders([*fifteen, "src/a/x.py"]) == ["src/a: 16 files"]
    assert full_folders(fifteen) == []


def test_no_hidden_circles(package: dict[str, ast.Module]) -> None:
    """No import stands under `TYPE_CHECKING`, where two modules could need each other."""
    found = [line for name, tree in package.items() for line in hidden_circles(name, tree)]
    assert not found, "\n".join(found)
    block = ast.parse("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a")
    assert hidden_circles("a.py", block) == ["a.py:2"]
    assert hidden_circles("src/regen/__init__.py", block) == []


def test_methods_are_not_replaced(package: dict[str, ast.Module]) -> None:
    """A class fills abstract or empty hooks of the classes above it, and replaces nothing else."""
    found = overridden(package)
    assert not found, "\n".join(found)
    base = "class A(ABC):\n    def f(self):\n        {}\nclass B(A):\n    def f(self): return 2"
    assert overridden({"a.py": ast.parse(base.format("return self.g()"))}) == ["B.f replaces that of A"]
    for hook in ("pass", "'''Doc.'''", "return None", "return 1", "return {}"):
        assert overridden({"a.py": ast.parse(base.format(hook))}) == [], hook


def test_files_are_short(files: dict[str, str]) -> None:
    """No source file is longer than 500 lines."""
    found = long_files(files)
    assert not found, "\n".join(found)
    assert long_files({"a.py": "x\n" * 501, "b.py": "x\n" * 500, "c.md": "x\n" * 600}) == ["a.py: 501 lines"]


def test_functions_are_short(package: dict[str, ast.Module]) -> None:
    """No function is longer than 40 lines, no step of a cell longer than 15."""
    found = [line for name, tree in package.items() for line in long_functions(name, tree)]
    assert not found, "\n".join(found)
    long, docstring = (
        "def f(\n    a,\n):\n" + "    x = 1\n" * 41,
        'def f():\n    """A.\n\n' + "    B.\n" * 60 + '    """\n',
    )
    assert long_functions("a.py", ast.parse(long)) == ["a.py:1 f: 41 lines"]
    assert long_functions("a.py", ast.parse(docstring)) == []
    step = ast.parse("class A:\n    def step(self):\n" + "        x = 1\n" * 16)
    assert long_functions("src/regen/cells/a.py", step) == ["src/regen/cells/a.py:2 step: 16 lines"]
    assert long_functions("src/regen/nets/a.py", step) == []


def test_constructors_are_narrow(package: dict[str, ast.Module]) -> None:
    """No constructor takes more than 15 arguments."""
    found = [line for name, tree in package.items() for line in wide_constructors(name, tree)]
    assert not found, "\n".join(found)
    words = [f"a{i}" for i in range(14)]
    narrow = f"class A:\n    def __init__(self, {', '.join(words)}, *, bias): ..."
    wide = narrow.replace("bias", "bias, b")
    fields = "@dataclass(frozen=True)\nclass A:\n    table: ClassVar[int] = 1\n"
    fields += "".join(f"    {word}: int\n" for word in [*words, "b", "c"])
    assert wide_constructors("a.py", ast.parse(narrow)) == []
    assert wide_constructors("a.py", ast.parse(wide)) == ["a.py A: 16 arguments"]
    assert wide_constructors("src/regen/nets/a.py", ast.parse(wide)) == []
    assert wide_constructors("a.py", ast.parse(fields)) == ["a.py A: 16 arguments"]


@pytest.mark.parametrize(
    "line",
    [
        "import regen.cells",
        "from regen import cells",
        "from .. import cells",
        "import_module('regen.cells')",
        "importlib.import_module(f'regen.{name}')",
        "import_module('.cells', 'regen')",
    ],
)
def test_a_hidden_import_is_caught(line: str) -> None:
    """Every way to import our own code inside a function is seen; the same line outside one is not."""
    assert len(hidden_imports("a.py", ast.parse(f"def f():\n    {line}"))) == 1
    assert hidden_imports("a.py", ast.parse(line)) == []
    door = ast.parse(f"def __getattr__(name):\n    {line}")
    assert hidden_imports("src/regen/__init__.py", door) == []
    assert len(hidden_imports("src/regen/nn.py", door)) == 1


def test_no_hidden_imports(package: dict[str, ast.Module]) -> None:
    """No function of the package imports the package."""
    found = [line for name, tree in package.items() for line in hidden_imports(name, tree)]
    assert not found, "\n".join(found)
    assert hidden_imports("a.py", ast.parse("def f():\n    import json\n    require('plotly')")) == []


def test_names_say_something(trees: dict[str, ast.Module]) -> None:
    """No utils, common, config, registry; no Manager, Helper, Base...Model."""
    found = [line for name, tree in trees.items() for line in forbidden_names(name, tree)]
    assert not found, "\n".join(found)
    empty = ast.parse("")
    for name in ("src/regen/utils.py", "src/regen/_common.py", "src/regen/config/a.py", "tests/registry.py"):
        assert len(forbidden_names(name, empty)) == 1, name
    for name in ("LayerManager", "_CellHelper", "RunConfig", "BaseGanModel"):
        assert len(forbidden_names("a.py", ast.parse(f"class {name}: ..."))) == 1, name
    assert forbidden_names("commonest.py", ast.parse("class Model: ...")) == []


def test_no_duck_typing(package: dict[str, ast.Module]) -> None:
    """The package never asks hasattr."""
    found = [line for name, tree in package.items() for line in duck_typing(name, tree)]
    assert not found, "\n".join(found)
    assert duck_typing("a.py", ast.parse("ok = hasattr(x, 'fit')")) == ["a.py:1 hasattr"]


def test_optional_packages_stay_at_home(package: dict[str, ast.Module]) -> None:
    """Plotly only where charts are rendered; typer only in cli; and so on."""
    found = [line for name, tree in package.items() for line in homeless_packages(name, tree)]
    assert not found, "\n".join(found)
    for line in (
        "import plotly.graph_objects as go",
        "from plotly import io",
        "require('plotly.io', extra='plot')",
    ):
        assert homeless_packages("src/regen/nets/a.py", ast.parse(line)) == ["src/regen/nets/a.py: plotly"], (
            line
        )
        assert len(homeless_packages("src/regen/figures/a.py", ast.parse(line))) == 1, line
        assert homeless_packages("src/regen/figures/render/plotly.py", ast.parse(line)) == [], line


def test_classes_are_abstract_or_final(package: dict[str, ast.Module]) -> None:
    """Nobody inherits from a concrete class of ours, and nobody is a great-grandchild.

    Two abstract generations are one for all estimators and one for a family of them, such as the autoencoders.
    """
    found = too_deep(package)
    assert not found, "\n".join(found)
    concrete = ast.parse("class A: ...\nclass B(A): ...")
    deep = ast.parse("class A(ABC): ...\nclass B(A, ABC): ...\nclass C(B, ABC): ...\nclass D(C): ...")
    fine = ast.parse("class A(nn.Module, ABC): ...\nclass B(A, ABC): ...\nclass C(B): ...")
    assert too_deep({"a.py": concrete}) == ["B inherits from A, which is not abstract"]
    assert too_deep({"a.py": deep}) == ["D has more than two generations of ours above it"]
    assert too_deep({"a.py": fine}) == []
