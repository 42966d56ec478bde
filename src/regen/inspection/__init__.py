"""What goes on inside a model: plain values and labelled arrays out, with sentences that say what they mean.

Pictures of all of it are drawn by `figures`, which stands above; `regen.inspect` brings both together.
"""

from regen.inspection._finding import Finding, drawn
from regen.inspection._labelled import Labelled
from regen.inspection.gates import Gates, gates, parts

__all__ = [
    "Finding",
    "Gates",
    "Labelled",
    "drawn",
    "gates",
    "parts",
]
