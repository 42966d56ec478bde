"""Campaigns of many tries: a few with fixed seeds in every test run, many new ones by ``make faults``.

``REGEN_FAULTS=long`` makes each campaign continue with the seeds after those that ``counts.json`` has on record, and
add its counts to it; ``python tests/faults/tally.py`` writes the table in ``docs/reliability.md`` from that record.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
RECORD = FOLDER / "counts.json"
PAGE = FOLDER.parents[1] / "docs" / "reliability.md"
BEGIN, END = "<!-- counts: begin -->\n", "<!-- counts: end -->\n"


def on_record() -> dict[str, dict[str, int]]:
    """The counts of all long runs so far: by campaign the tries, and how many had which outcome."""
    return json.loads(RECORD.read_text()) if RECORD.exists() else {}


class Campaign:
    """Tries of one kind, each with a seed of its own.

    Parameters
    ----------
    name : str
        What is tried, as it appears in the table; two campaigns never share a name.
    short : int
        Number of tries in a usual test run: seeds 0, 1, ..., always the same.
    long : int
        Number of new tries in one long run.

    Notes
    -----
    As a context it gives an iterator of seeds::

        flips = Campaign("bit flips in model files", short=150, long=10_000)
        with flips as seeds:
            for seed in seeds:
                ...
                flips.count("refused")
    """

    def __init__(self, name: str, short: int, long: int) -> None:
        self.name = name
        self._short = short
        self._long = long
        self._counts: Counter[str] = Counter()

    def __enter__(self) -> Iterator[int]:
        self._counts.clear()
        return self._seeds()

    def _seeds(self) -> Iterator[int]:
        is_long = os.environ.get("REGEN_FAULTS") == "long"
        first = on_record().get(self.name, {}).get("tries", 0) if is_long else 0
        for seed in range(first, first + (self._long if is_long else self._short)):
            self._counts["tries"] += 1
            yield seed

    def count(self, outcome: str, times: int = 1) -> None:
        """Add an outcome to the counts."""
        self._counts[outcome] += times

    def __exit__(self, *error: object) -> None:
        if os.environ.get("REGEN_FAULTS") != "long":
            return
        record = on_record()
        record[self.name] = dict(Counter(record.get(self.name, {})) + self._counts)
        RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


def table() -> str:
    """The record as a Markdown table."""
    rows = ["| what was tried | times | outcomes |", "|---|---:|---|"]
    for name, counts in sorted(on_record().items()):
        outcomes = ", ".join(f"{what} {n:,}" for what, n in sorted(counts.items()) if what != "tries")
        rows.append(f"| {name} | {counts['tries']:,} | {outcomes} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(before + BEGIN + table() + END + after, encoding="utf-8")
