"""The result of a system of the demo: rows of the table, a section of the page, and a saved model with its report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os.path import join
from pathlib import Path
from typing import Any, NamedTuple, final

from regen.persistence import save
from regen.report import InspectionData, Link, Section, sections_of, write

__all__ = ["HEADINGS", "Outcome", "Row", "System", "learned", "save_with_report"]

HEADINGS = ("network", "data", "error", "baseline", "its error", "difference")


@final
@dataclass(frozen=True)
class Row:
    """A network and a baseline: the test errors of both, the lower the better."""

    network: str
    data: str
    error: float
    baseline: str
    baseline_error: float
    unit: str = ""

    def cells(self) -> tuple[str, ...]:
        """As text, in the order of `HEADINGS`."""
        share = round(100 * (self.error / self.baseline_error - 1)) if self.baseline_error else 0
        words = f"{abs(share)} % {'less' if share < 0 else 'more'}" if share else "none"
        error, other = (f"{each:.1f}{self.unit}" for each in (self.error, self.baseline_error))
        return (self.network, self.data, error, self.baseline, other, words)


class Outcome(NamedTuple):
    """The result of one system."""

    rows: Sequence[Row]
    section: Section


System = Callable[[Path, int], Outcome]
"""Trains for at most so many epochs and saves its models in a folder."""


def learned(name: str, model: Any) -> str:
    """The caption of learning curves."""
    return f"{name}: loss of each pass over the training data, {model.n_epochs_} in all. {model.stopped_}"


def save_with_report(model: Any, folder: Path, name: str, words: str, data: InspectionData) -> Link:
    """Save a model in a folder of its own with its report, and return the link to it."""
    run = join(folder, name)
    save(model, join(run, ""))
    write(model, sections_of(model, data, run=run), join(run, "report.html"), title=f"Inside the {words}")
    return Link(f"Inside the {words}", f"{name}/report.html")
