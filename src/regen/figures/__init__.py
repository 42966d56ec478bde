"""Pictures of what a network said and how it learned: arrays and tables in, plotly figures out.

One quiet style, in colours that colour-blind readers can tell apart (Okabe & Ito 2008), given to each figure as its
own template. Nothing else changes: plotly is imported when the first figure is drawn, and its templates stay as they
are. Figures take the width that they are given, from a phone's 380 pixels up.
"""

from regen.figures.classes import confusion
from regen.figures.images import code_map, image_rows
from regen.figures.learning import learning_curves, loss_per_step
from regen.figures.restored import restored
from regen.figures.series import forecast
from regen.figures.style import template

__all__ = [
    "code_map",
    "confusion",
    "forecast",
    "image_rows",
    "learning_curves",
    "loss_per_step",
    "restored",
    "template",
]
