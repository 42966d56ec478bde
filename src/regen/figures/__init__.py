"""Charts of predictions, training and codes, and of what `regen.inspect` finds inside a model.

Every function returns a `Chart`, the value of what is drawn. Plotly draws it (``chart.plotly()``), or regen
itself: as SVG (`svg`), as text for a terminal (`text`), in words (`describe`) and as tables (`numbers`). A chart can
be written to a file (`write`), and shows itself in a notebook. Findings of `regen.inspect`, estimators and backtests
have a ``plot()`` that returns one.

The style is quiet, in colors that color-blind readers can distinguish (Okabe & Ito 2008). Nothing global changes:
plotly is imported when the first figure is drawn by it, and its default template stays as it is.
"""

from regen._deprecation import moved
from regen.figures.bptt import ablation, gradient_flow, loss_per_copy, moments, saliency
from regen.figures.chart import Chart
from regen.figures.export import write
from regen.figures.images import code_map, image_rows
from regen.figures.latent import latent_traversal, neighbours, places, repaired, units
from regen.figures.learning import learning_curves, loss_per_step
from regen.figures.points import points
from regen.figures.predictions import confusion, predicted_vs_actual
from regen.figures.recurrent import gates, half_lives
from regen.figures.render.plotly import template
from regen.figures.render.svg import svg
from regen.figures.render.text import text
from regen.figures.render.words import describe, numbers
from regen.figures.restored import restored
from regen.figures.series import backtest, forecast
from regen.figures.training_game import nearest_training, training_game

__all__ = [
    "Chart",
    "ablation",
    "backtest",
    "code_map",
    "confusion",
    "describe",
    "forecast",
    "gates",
    "gradient_flow",
    "half_lives",
    "image_rows",
    "latent_traversal",
    "learning_curves",
    "loss_per_copy",
    "loss_per_step",
    "moments",
    "nearest_training",
    "neighbours",
    "numbers",
    "places",
    "points",
    "predicted_vs_actual",
    "repaired",
    "restored",
    "saliency",
    "svg",
    "template",
    "text",
    "training_game",
    "units",
    "write",
]

__getattr__ = moved(
    __name__,
    {
        "competed": "regen.figures:training_game",
        "cost": "regen.figures:loss_per_copy",
        "sketch": "regen.figures:text",
        "still": "regen.figures:svg",
        "told": "regen.figures:predicted_vs_actual",
        "twins": "regen.figures:nearest_training",
        "walk": "regen.figures:latent_traversal",
    },
)
