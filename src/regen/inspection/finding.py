"""The base of what every inspection returns: values, sentences about them, and a chart that `figures` draws."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields
from html import escape
from typing import Any

from regen import _drawing

__all__ = ["Finding"]


class Finding(ABC):
    """Values measured inside a model."""

    @abstractmethod
    def sentences(self) -> list[str]:
        """Summarise the finding in sentences, the most important first."""

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

    def __repr__(self) -> str:
        """The class, the shapes of its values, and the first sentence."""
        shapes = []
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, Mapping) and value:
                shapes.append(f"{field.name}: {', '.join(map(str, value))}")
            elif getattr(value, "shape", ()):
                shapes.append(f"{field.name}: {' x '.join(map(str, value.shape))}")
        return "\n".join([f"{type(self).__name__}({'; '.join(shapes[:3])})", *self.sentences()[:1]])

    def _repr_html_(self) -> str:
        """The sentences, for a notebook; ``plot`` returns the chart."""
        return "".join(f"<p>{escape(sentence)}</p>" for sentence in self.sentences())

    def __str__(self) -> str:
        return "\n".join(self.sentences())
