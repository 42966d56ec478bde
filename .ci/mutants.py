"""Mutation testing by sample: one small fault at a time in a copy of src/regen, which some test must notice.

    mutants.py draw N SEED        with cosmic-ray's Python: N mutants as lines of JSON, on standard output
    mutants.py run FILE           with the project's Python: run the tests of each; survivors are printed as diffs

Places are drawn evenly over the code, then one of cosmic-ray's operators at that place. Left out is what no run can
tell: annotations, and decorators that only a type checker reads. A mutant is killed when the doctests of its module,
the tests of its folder, or the tests that import its module fail or take too long; without a mutant they must pass.
Results are kept in build/mutants/results.jsonl, so an interrupted run goes on. Survivors that change nothing are
listed with the reason in .ci/equivalent_mutants.txt.
"""

from __future__ import annotations

import ast
import difflib
import json
import os
import random
import re
import shutil
import signal
import sys
import traceback
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build/mutants"
COPY = FOLDER / "copy"
RESULTS = FOLDER / "results.jsonl"
EQUIVALENT = ROOT / ".ci/equivalent_mutants.txt"
SECONDS = 300
"""The longest run of a group of tests: a mutant that makes a loop endless is killed by it."""
NO_TESTS = 5
"""Exit status of pytest where there is none."""
SOUND: set[tuple[str, ...]] = set()
"""Groups of tests that were seen to pass without a mutant."""
PRELOADED = ("torch", "numpy", "pandas", "polars", "scipy.stats", "sklearn.model_selection", "pytest")
TYPES_ONLY = re.compile(r"@(final|overload|abstractmethod|override)\b")


def draw(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Mutants of places drawn at random from all modules."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names

    operators = {name: get_operator(name) for name in operator_names()}
    operators = {name: kind() for name, kind in operators.items() if not kind.arguments()}
    places: dict[tuple[str, Any], list[tuple[str, int]]] = {}
    for path in sorted((ROOT / "src/regen").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        skipped, nodes = _annotations(source), list(ast_nodes(get_ast(source)))
        lines = source.splitlines()
        for name, operator in operators.items():
            spans = (span for node in nodes for span in operator.mutation_positions(node))
            for occurrence, (start, _) in enumerate(spans):
                decorated = "Decorator" in name and TYPES_ONLY.search(lines[start[0] - 1])
                if not decorated and not any(low <= start < high for low, high in skipped):
                    places.setdefault((str(path.relative_to(ROOT)), start), []).append((name, occurrence))
    rng = random.Random(seed)
    for module, start in rng.sample(sorted(places), count):
        name, occurrence = rng.choice(places[module, start])
        source = (ROOT / module).read_text(encoding="utf-8")
        mutated = mutate_code(source, operators[name], occurrence)
        if mutated is not None and mutated != source:
            yield {"module": module, "line": start[0], "operator": name, "code": mutated}


def _annotations(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where annotations begin and end."""
    found = []
    for node in ast.walk(ast.parse(source)):
        for name in ("annotation", "returns"):
            part = getattr(node, name, None)
            if part is not None:
                found.append(((part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)))
    return found


def groups_of_tests(module: str) -> list[list[str]]:
    """Groups of test files for a module, the likeliest to fail first."""
    parts = Path(module).relative_to("src/regen").with_suffix("").parts
    folder = ROOT / "tests"
    for part in parts[:-1]:
        folder = folder / part if (folder / part).is_dir() else folder
    near = [] if folder == ROOT / "tests" else sorted(folder.rglob("test_*.py"))
    alone = ROOT / f"tests/test_{parts[0].strip('_')}.py"
    near += [alone] if alone.exists() else []
    near.sort(key=lambda path: parts[-1].strip("_") not in path.stem)
    dotted = ".".join(("regen", *(part for part in parts if part != "__init__")))
    public = re.findall(
        r'"(\w+)"', "".join(re.findall(r"^__all__ = \[(.*?)\]", (ROOT / module).read_text(), re.S | re.M))
    )
    names = re.compile(
        "|".join([re.escape(dotted) + r"\b", *(rf"\b{name}\b" for name in public if len(name) > 4)])
    )
    slow = {"tests/contracts/test_readme.py", "tests/demo/test_demo.py"}
    others = [
        path
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if path not in near and str(path.relative_to(ROOT)) not in slow and names.search(path.read_text())
    ]
    groups = [
        [module],
        [str(path.relative_to(ROOT)) for path in near],
        [str(path.relative_to(ROOT)) for path in others],
    ]
    return [group for group in groups if group]


def outcome(mutant: dict[str, Any]) -> str:
    """The first group of tests that notices the mutant, or "survived"."""
    (COPY / mutant["module"]).write_text(mutant["code"], encoding="utf-8")
    groups = groups_of_tests(mutant["module"])
    killer = next((group for group in groups if not passes(group)), None)
    shutil.copy(ROOT / mutant["module"], COPY / mutant["module"])
    if killer is None:
        return "survived"
    if tuple(killer) not in SOUND and not passes(killer):
        raise SystemExit(f"{' '.join(killer)} fail without a mutant too; see {FOLDER / 'output'}.")
    SOUND.add(tuple(killer))
    return f"killed by {killer[0]}" + (" and the like" if killer[1:] else "")


def passes(tests: list[str]) -> bool:
    """Whether `tests` pass, in a process of their own that has the large libraries already."""
    child = os.fork()
    if not child:
        os.setsid()
        signal.alarm(SECONDS)
        os.chdir(COPY)
        sys.path.insert(0, str(COPY / "src"))
        os.environ["PYTHONPATH"] = str(COPY / "src")
        output = os.open(FOLDER / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        code = 1
        try:
            code = int(
                sys.modules["pytest"].main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests])
            )
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) in (0, NO_TESTS)


def _copied() -> None:
    """A fresh copy of what the tests need."""
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    for name in ("src", "tests", "docs", "csrc", ".ci", "benchmarks"):
        shutil.copytree(ROOT / name, COPY / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.glob("*.*"):
        if path.is_file():
            shutil.copy(path, COPY)
    shutil.copy(ROOT / "Makefile", COPY)


def run(file: str) -> int:
    """Run all mutants of a file that have no result yet; print a summary."""
    for name in PRELOADED:
        import_module(name)
    _copied()
    known = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    done = {(each["module"], each["diff"]) for each in known}
    for line in Path(file).read_text().splitlines():
        mutant = json.loads(line)
        before = (ROOT / mutant["module"]).read_text(encoding="utf-8").splitlines()
        diff = "\n".join(difflib.unified_diff(before, mutant["code"].splitlines(), n=1, lineterm=""))
        if (mutant["module"], diff) in done:
            continue
        found = {
            "module": mutant["module"],
            "line": mutant["line"],
            "operator": mutant["operator"],
            "diff": diff,
        }
        known.append(found | {"outcome": outcome(mutant)})
        with RESULTS.open("a") as results:
            results.write(json.dumps(known[-1]) + "\n")
        print(f"{known[-1]['outcome']}: {mutant['module']}:{mutant['line']} {mutant['operator']}", flush=True)
    return summary(known)


def summary(known: list[dict[str, Any]]) -> int:
    """Print the survivors and the share killed; a failure when it is below 95 %."""
    equivalent = EQUIVALENT.read_text(encoding="utf-8") if EQUIVALENT.exists() else ""
    survivors = [each for each in known if each["outcome"] == "survived"]
    changed = {id(each): "\n".join(each["diff"].splitlines()[3:]) for each in survivors}
    same = [each for each in survivors if changed[id(each)] in equivalent]
    left = [each for each in survivors if each not in same]
    for each in left:
        print(f"\nsurvived: {each['module']}:{each['line']} {each['operator']}\n{changed[id(each)]}")
    counted = len(known) - len(same)
    print(f"\n{counted - len(left)} of {counted} mutants killed; {len(same)} more change nothing.")
    return int(counted - len(left) < 0.95 * counted)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["draw", count, seed]:
            for each in draw(int(count), int(seed)):
                print(json.dumps(each))
        case ["run", file]:
            sys.exit(run(file))
        case _:
            sys.exit(__doc__)
