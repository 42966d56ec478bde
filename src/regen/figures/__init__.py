"""Pictures of what a network said and how it learned: arrays and tables in, plotly figures out.

One quiet style, in colours that colour-blind readers can tell apart (Okabe & Ito 2008), given to each figure as its
own template. Nothing else changes: plotly is imported when the first figure is drawn, and its templates stay as they
are. Figures take the width that they are given, from a phone's 380 pixels up.
"""

from regen.figures.classes import confusion
from regen.figures.learning import learning_curves, loss_per_step
from regen.figures.series import forecast
from regen.figures.style import template

__all__ = ["confusion", "forecast", "learning_curves", "loss_per_step", "template"]
