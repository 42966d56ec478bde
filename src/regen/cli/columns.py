"""Flags of `regen fit` that describe the columns of a table: identifiers, and the range of what is restored."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["BOUNDS", "IDENTIFIERS", "column_options"]

IDENTIFIERS = (
    "What becomes of columns that identify single rows, such as names and numbers of customers: drop leaves out"
    " those that are noticed, keep none; a NAME leaves out that column. Can be given several times, with names."
    " [default: drop]"
)
BOUNDS = (
    "Range of the numbers and dates of restored and generated rows: that of the data, none, or for a column from LOW"
    " to HIGH, either of which may be empty. Can be given several times, with names. [default: data]"
)


def column_options(own: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `fit` from the texts of ``--identifiers`` and ``--bounds``; the others keep their defaults."""
    options: dict[str, Any] = {}
    if own.get("identifiers"):
        options["identifiers"] = _word_or_names(own["identifiers"])
    if own.get("bounds"):
        options["bounds"] = _ranges(own["bounds"])
    return options


def _word_or_names(texts: Sequence[str]) -> str | list[str]:
    words = [text for text in texts if text in ("drop", "keep")]
    if words and len(texts) > 1:
        raise ValueError(
            f"--identifiers {words[0]} stands alone. Give it once, or names of columns to leave out."
        )
    return words[0] if words else list(texts)


def _ranges(texts: Sequence[str]) -> str | dict[str, Any] | None:
    words = [text for text in texts if text in ("data", "none")]
    if words and len(texts) > 1:
        raise ValueError(f"--bounds {words[0]} stands alone. Give it once, or ranges of columns.")
    if words:
        return "data" if words[0] == "data" else None
    found = {}
    for text in texts:
        name, equals, both = text.rpartition("=")
        low, dots, high = both.partition("..")
        if not (equals and dots):
            raise ValueError(
                f"--bounds must be data, none or NAME=LOW..HIGH, as age=0..120. Got {text!r} instead."
            )
        found[name] = (_end(low), _end(high))
    return found


def _end(text: str) -> float | str | None:
    """A number, a date as text, or None."""
    try:
        return float(text) if text.strip() else None
    except ValueError:
        return text.strip()
