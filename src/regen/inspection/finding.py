"""What every inspection returns: plain values, sentences about them, and a picture that is drawn elsewhere."""

from abc import ABC, abstractmethod
from functools import singledispatch
from html import escape
from typing import Any

__all__ = ["Finding", "figure_of"]


@singledispatch
def figure_of(finding: Any, **options: Any) -> Any:
    """The figure of a finding.

    Pictures belong to `figures`, which stands above: it registers one function for each kind of finding.

    Raises
    ------
    ValueError : nothing that was imported so far draws this kind.
    """
    raise ValueError(
        f"No figure of {type(finding).__name__} has been imported. Import regen.inspect, which brings the figures."
    )


class Finding(ABC):
    """What was found by looking inside a model."""

    @abstractmethod
    def sentences(self) -> list[str]:
        """What was found, in words, the most important first."""

    def plot(self, **options: Any) -> Any:
        """A plotly figure of it.

        Parameters
        ----------
        options : those of the drawing function in `regen.figures`.
        """
        return figure_of(self, **options)

    def _repr_html_(self) -> str:
        """The sentences, for a notebook; the figure is what ``plot`` returns."""
        return "".join(f"<p>{escape(sentence)}</p>" for sentence in self.sentences())

    def __str__(self) -> str:
        return "\n".join(self.sentences())
