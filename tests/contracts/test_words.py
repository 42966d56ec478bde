"""The field's words: a private dialect that once grew here may not come back, in names or in text."""

import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

import pytest

WORDS = (
    *("told", "said", "says", "asked", "asks", "heard", "hears", "speaks", "beside", "besides", "rightly"),
    *(
        "unable",
        "answer",
        "answers",
        "answered",
        "chance",
        "way back",
        "what came",
        "tells apart",
        "tell apart",
    ),
)
"""In text and in names: outputs, predictions, labels, requests, comparisons, random states have their own terms."""
NAMES = {
    *(
        "cost",
        "costs",
        "judge",
        "judged",
        "board",
        "duel",
        "duellists",
        "twins",
        "walk",
        "feed",
        "seat",
        "seats",
    ),
    *("heads", "ask", "still", "sketch", "warmth", "slopes", "given"),
}
"""In names only: loss, validate, evaluator, game, nearest, traversal, batches, player, likelihood, ..."""
TEXT = re.compile(rf"(?<![A-Za-z])({'|'.join(WORDS)})(?![A-Za-z])", re.IGNORECASE)
PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
READ = ("src/", "benchmarks/", "docs/", "csrc/", "README.md", "CONTRIBUTING.md")
ALIASES = {"src/regen/objectives.py", "src/regen/figures/__init__.py"}
"""Modules with old names that warn for one release."""
SAVED = {'RNG_KEY = "chance"', 'WARNED_KEY = "said"'}
"""Keys in checkpoints of earlier versions."""


def dialect(name: str, text: str) -> Iterator[str]:
    """Lines of a file that hold a dialect word, and its identifiers that do."""
    for number, line in enumerate(text.splitlines(), 1):
        if line in SAVED:
            continue
        for found in TEXT.findall(line):
            yield f"{name}:{number}: {found}"
    if not name.endswith(".py"):
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and not TEXT.search(token.string):
            parts = {part.lower() for part in PARTS.findall(token.string)}
            if parts & NAMES:
                yield f"{name}:{token.start[0]}: the name {token.string}"


def in_dialect(files: Mapping[str, str]) -> list[str]:
    """Every place of the project's own text that speaks it."""
    kinds = {".py", ".pyi", ".md", ".h", ".cpp"}
    own = {
        name: text
        for name, text in files.items()
        if name.startswith(READ) and PurePosixPath(name).suffix in kinds and name not in ALIASES
    }
    return [place for name, text in own.items() for place in dialect(name, text)]


def test_no_dialect(files: dict[str, str]) -> None:
    """Source, documentation and benchmarks use the field's terms."""
    found = in_dialect(files)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("def f(labels):\n    return labels\n", 0),
        ("def f(told):\n    return 1\n", 1),
        ("x = _said_of\n", 1),
        ('"""The label is told\nby chance, beside the net."""\n', 3),
        ("class RowFeed:\n    costs = 1\n", 2),
        ("broadside = costly = untold = seated = 1\n", 0),
        ("# the Way Back\n", 1),
    ],
)
def test_dialect_is_caught(text: str, count: int) -> None:
    """Words in text, in names and in parts of names; longer words that contain one are fine."""
    assert len(list(dialect("a.py", text))) == count
