"""The public surface changes only on purpose: names, defaults, flags, and the arguments that estimators share."""

import inspect
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sklearn.base import BaseEstimator

import regen

SHARED = ("max_epochs", "learning_rate", "random_state", "training")


def difference(frozen: Iterable[str], actual: Iterable[str]) -> str:
    """What was added and removed, and the line that accepts it; nothing when the two are equal."""
    frozen, actual = list(frozen), list(actual)
    gone = [f"  - {line}" for line in frozen if line not in actual]
    new = [f"  + {line}" for line in actual if line not in frozen]
    if not gone and not new:
        return ""
    accept = "If this is meant, run `make freeze` and say it in CHANGELOG.md."
    return "\n".join(["The public surface is not the frozen one.", *gone, *new, accept])


def surface(here: Path, what: str) -> list[str]:
    """The names or flags of the package, found in a process of its own."""
    command = [sys.executable, str(here / "freeze.py"), what]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def estimators() -> dict[str, type]:
    """The public estimators."""
    public = {name: getattr(regen, name) for name in regen.__all__}
    return {
        name: kind
        for name, kind in public.items()
        if inspect.isclass(kind) and issubclass(kind, BaseEstimator)
    }


def disagreements(signatures: Mapping[str, inspect.Signature]) -> list[str]:
    """Signatures that do not end with the shared arguments, or give one of them another default or place."""
    found: list[str] = []
    first: dict[str, tuple[str, Any]] = {}
    for owner, signature in signatures.items():
        tail = list(signature.parameters)[-len(SHARED) :]
        if tuple(tail) != SHARED:
            found.append(f"{owner} ends with {', '.join(tail)} instead of {', '.join(SHARED)}")
            continue
        for name in SHARED:
            parameter = signature.parameters[name]
            known, default = first.setdefault(name, (owner, parameter.default))
            if parameter.default != default:
                found.append(f"{owner}({name}={parameter.default!r}) but {known}({name}={default!r})")
            if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
                found.append(f"{owner}: {name} is not keyword-only")
    return found


@pytest.mark.parametrize(
    ("what", "file"),
    [("names", "public_names.txt"), ("defaults", "public_defaults.txt"), ("flags", "cli_flags.txt")],
)
def test_the_surface_is_frozen(root: Path, what: str, file: str) -> None:
    """Public names, defaults, commands and flags are those on record."""
    here = root / "tests/contracts"
    assert difference((here / file).read_text().splitlines(), surface(here, what)) == ""


def test_a_changed_surface_is_caught() -> None:
    """One name more and one fewer are both told, with the line that accepts them."""
    words = difference(["regen.a", "regen.b"], ["regen.b", "regen.c"])
    assert "- regen.a" in words
    assert "+ regen.c" in words
    assert "regen.b" not in words
    assert "make freeze" in words


def test_estimators_share_their_last_arguments() -> None:
    """Every estimator ends with the same arguments, in the same order, with the same defaults."""
    kinds = estimators()
    assert "Forecaster" in kinds
    assert disagreements({name: inspect.signature(kind) for name, kind in kinds.items()}) == []


def test_a_disagreement_is_caught() -> None:
    """Another default, another order and a positional argument are each told."""

    def good(
        cell: str, *, max_epochs: int = 1, learning_rate: float = 1.0, random_state=None, training=None
    ): ...

    def other(*, max_epochs: int = 2, learning_rate: float = 1.0, random_state=None, training=None): ...

    def order(*, learning_rate: float = 1.0, max_epochs: int = 1, random_state=None, training=None): ...

    def loose(max_epochs: int = 1, learning_rate: float = 1.0, random_state=None, training=None): ...

    def found(wrong: Any) -> list[str]:
        return disagreements({"A": inspect.signature(good), "B": inspect.signature(wrong)})

    assert found(good) == []
    assert found(other) == ["B(max_epochs=2) but A(max_epochs=1)"]
    assert found(order)[0].startswith("B ends with learning_rate, max_epochs")
    assert found(loose)[0] == "B: max_epochs is not keyword-only"
