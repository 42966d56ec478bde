"""Usage: python .ci/house.py        the size and the order of the package, as numbers to compare

Counts files and lines, the files that run in one fit of three estimators, dialect words, imports that hide a circle,
isinstance checks of models above the estimators, methods of the largest class, and the fullest folder.
"""

import ast
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

import regen

DIALECT = re.compile(r"(?<![A-Za-z])_?(told|said|asked|beside|heard)(?![A-Za-z])", re.IGNORECASE)
ABOVE = (
    "inspection",
    "inspect.py",
    "figures",
    "report",
    "cli",
    "persistence",
    "demo",
    "doctor.py",
    "onnx",
    "lab",
)


def files_run(root: Path, fit: Callable[[], object]) -> int:
    """Files of the package in which a function runs during `fit`."""
    seen: set[str] = set()

    def watch(frame: object, event: str, _: object) -> None:
        if event == "call":
            name = frame.f_code.co_filename  # type: ignore[attr-defined]
            if name.startswith(str(root)):
                seen.add(name)

    sys.setprofile(watch)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit()
    finally:
        sys.setprofile(None)
    return len(seen)


def main(root: Path) -> None:
    """Print the numbers of the package at `root`."""
    texts = {path: path.read_text() for path in sorted(root.rglob("*.py"))}
    trees = {path: ast.parse(text) for path, text in texts.items()}
    print(f"Python files {len(texts)}, lines {sum(text.count(chr(10)) for text in texts.values())}")
    words = Counter(word.lower() for text in texts.values() for word in DIALECT.findall(text))
    print(f"dialect words {sum(words.values())}: {dict(words)}")
    hidden = sum("if TYPE_CHECKING" in text for path, text in texts.items() if path.name != "__init__.py")
    print(f"TYPE_CHECKING imports outside __init__ {hidden}")
    above = [path for path in texts if path.relative_to(root).parts[0] in ABOVE]
    checks = sum(
        len(re.findall(r"isinstance\((?:model|self\.model|estimator|subject\.model)\b", texts[path]))
        for path in above
    )
    print(f"isinstance(model, ...) above the estimators {checks}")
    classes = [
        (sum(isinstance(item, ast.FunctionDef) for item in node.body), node.name)
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    ]
    print("largest classes", ", ".join(f"{name} {count}" for count, name in sorted(classes)[:-5:-1]))
    folders = Counter(path.parent.relative_to(root) for path in texts if path.name != "__init__.py")
    print("fullest folders", ", ".join(f"{folder} {count}" for folder, count in folders.most_common(4)))
    print(
        "longest files",
        ", ".join(
            f"{path.relative_to(root)} {texts[path].count(chr(10))}"
            for path in sorted(texts, key=lambda p: -texts[p].count(chr(10)))[:4]
        ),
    )
    y, images = regen.datasets.sunspots(), regen.datasets.digits()[0][:64]
    short = {"max_epochs": 1, "random_state": 0}
    fits: dict[str, Callable[[], object]] = {
        "Forecaster.fit": lambda: regen.Forecaster(**short).fit(y),
        "DenoisingAutoencoder.fit": lambda: regen.DenoisingAutoencoder(**short).fit(
            images.reshape(-1, 64).astype(np.float64)
        ),
        "DCGAN.fit": lambda: regen.DCGAN(channels=4, **short).fit(images),
    }
    for fit in fits.values():  # imports and caches
        files_run(root, fit)
    for name, fit in fits.items():
        print(f"files that run in {name}: {files_run(root, fit)}")


if __name__ == "__main__":
    main(Path(regen.__file__).resolve().parent)
