"""Pictures of what a network said and how it learned: arrays and tables in, plotly figures out.

One quiet style, in colours that colour-blind readers can tell apart (Okabe & Ito 2008), given to each figure as its
own template. What `regen.inspect` finds draws itself by the functions here: ``found.plot()``. `write` makes a file of
any figure, `still` a picture without JavaScript, `sketch` one of letters, `describe` and `numbers` words and a table.

Nothing else changes: plotly is imported when the first figure is drawn, and its templates stay as they
are. Figures take the width that they are given, from a phone's 380 pixels up.
"""

from regen.figures.bptt import ablation, cost, gradient_flow, moments, saliency
from regen.figures.classes import confusion
from regen.figures.export import write
from regen.figures.images import code_map, image_rows
from regen.figures.latent import neighbours, places, repaired, units, walk
from regen.figures.learning import learning_curves, loss_per_step
from regen.figures.points import points
from regen.figures.predicted import told
from regen.figures.recurrent import gates, half_lives
from regen.figures.render.svg import still
from regen.figures.render.text import sketch
from regen.figures.render.words import describe, numbers
from regen.figures.restored import restored
from regen.figures.series import forecast
from regen.figures.style import template
from regen.figures.training_game import competed, twins

__all__ = [
    "ablation",
    "code_map",
    "competed",
    "confusion",
    "cost",
    "describe",
    "forecast",
    "gates",
    "gradient_flow",
    "half_lives",
    "image_rows",
    "learning_curves",
    "loss_per_step",
    "moments",
    "neighbours",
    "numbers",
    "places",
    "points",
    "repaired",
    "restored",
    "saliency",
    "sketch",
    "still",
    "template",
    "told",
    "twins",
    "units",
    "walk",
    "write",
]
