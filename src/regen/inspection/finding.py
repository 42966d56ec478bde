"""What every inspection returns: plain values, sentences about them, and a picture that is drawn elsewhere."""

from abc import ABC, abstractmethod
from html import escape
from typing import Any

from regen import _drawing

__all__ = ["Finding"]


class Finding(ABC):
    """What was found by looking inside a model."""

    @abstractmethod
    def sentences(self) -> list[str]:
        """What was found, in words, the most important first."""

    def plot(self, **options: Any) -> Any:
        """A chart of it.

        Parameters
        ----------
        **options
            Those of the function in `regen.figures` that draws this kind of finding.

        Returns
        -------
        regen.figures.Chart
            Shows itself in a notebook; ``.plotly()`` is a plotly figure, ``.write(path)`` makes a file.
        """
        return _drawing.plot(self, **options)

    def _repr_html_(self) -> str:
        """The sentences, for a notebook; the figure is what ``plot`` returns."""
        return "".join(f"<p>{escape(sentence)}</p>" for sentence in self.sentences())

    def __str__(self) -> str:
        return "\n".join(self.sentences())
