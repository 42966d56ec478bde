"""Charts of a GAN: losses, scores, turns and quality over the batches; generated rows and their nearest."""

from collections.abc import Mapping
from typing import Any
from warnings import warn

import numpy as np
from numpy.typing import NDArray

from regen._check import Choice, Constraint, check_parameters
from regen._drawing import chart_of
from regen.figures.basic import table_of_rows
from regen.figures.chart import Chart, color_key, stacked
from regen.figures.images import image_rows
from regen.figures.marks import Axis, Bars, Line, Panel, Span
from regen.figures.restored import restored
from regen.figures.style import BLUE, COLORS, GREEN, GREY, RULE, VERMILLION
from regen.inspection.adversarial.training_game import NearestTraining, TrainingGame

__all__ = ["nearest_training", "training_game"]

OF: Mapping[str, Constraint] = {"of": Choice(("game", "scores", "nearest"))}
PLAYERS = {"generator": BLUE, "discriminator": VERMILLION}
MADE = {"generated": BLUE, "real": VERMILLION}
MEASURES = dict(
    zip(("coverage", "precision", "recall", "density"), (BLUE, VERMILLION, GREEN, COLORS[3]), strict=True)
)
BINS, ROWS = 25, 10


@chart_of.register
def training_game(finding: TrainingGame, *, of: str = "game") -> Chart:
    """How the game went, the scores at its end, or generated rows with the nearest training rows.

    Losses need not fall, because each player's rises when the other improves. The scores of real and generated rows
    should stay close: at 50 the discriminator guesses, at 1 and 99 it has won. Coverage that falls while precision
    stays shows mode collapse.

    Parameters
    ----------
    finding : TrainingGame
        What `regen.inspect.training_game` returned.
    of : {"game", "scores", "nearest"}, default="game"
        "game": losses, scores, turns and quality over the batches; "scores": those of real and generated rows at the
        end; "nearest": generated rows and the rows nearest to them, see `nearest_training`.

    Returns
    -------
    Chart
        Of panels below each other, or a single one.

    Raises
    ------
    ValueError
        When the nearest rows are requested of a finding without rows.

    Examples
    --------
    >>> import numpy as np, regen
    >>> X = np.random.default_rng(0).normal(size=(64, 2))
    >>> model = regen.GAN(2, hidden=(4,), max_epochs=1, random_state=0).fit(X)
    >>> chart = regen.figures.training_game(regen.inspect.training_game(model, X))
    >>> [panel.heading[0].text for panel in chart.panels][:2]
    ['loss: ', 'score, 1 to 100: ']
    """
    if of == "twins":
        warn("of='twins' is deprecated: use of='nearest'.", DeprecationWarning, stacklevel=4)
        of = "nearest"
    check_parameters("TrainingGame.plot", OF, {"of": of})
    if of == "scores":
        return _scores(finding)
    if of == "nearest":
        if finding.nearest is None:
            raise ValueError("of='nearest' compares generated rows with data. Give X to training_game.")
        return nearest_training(finding.nearest)
    return _game(finding)


@chart_of.register
def nearest_training(finding: NearestTraining, *, rows: int = ROWS) -> Chart:
    """Generated rows, and below or over each the training row that is nearest to it.

    A generated row that equals its nearest is a copy. One that is merely similar is as it should be.

    Parameters
    ----------
    finding : NearestTraining
        The ``nearest`` of what `regen.inspect.training_game` returned.
    rows : int, default=10
        How many are drawn, evenly from the nearest to the farthest.

    Returns
    -------
    Chart
        Images below each other, sequences over each other, or the rows of a table.

    See Also
    --------
    regen.inspect.training_game : Computes the finding.

    Examples
    --------
    >>> import numpy as np, regen
    >>> X = np.random.default_rng(0).normal(size=(64, 2))
    >>> model = regen.GAN(2, hidden=(4,), max_epochs=1, random_state=0).fit(X)
    >>> found = regen.inspect.training_game(model, X).nearest
    >>> len(regen.figures.nearest_training(found, rows=3).panels[0].y.tick_labels)
    6
    """
    order = np.argsort(finding.distances, kind="stable")
    some = order[np.linspace(0, len(order) - 1, min(len(order), rows)).round().astype(int)]
    made, nearest = finding.generated.take(some), finding.neighbours.take(some)
    if made.kind == "images":
        low, high = zip(made.limits, nearest.limits, strict=True)
        images = {"generated": made.values, "nearest": nearest.values}
        return image_rows(images, limits=(min(low), max(high)))
    if made.kind == "sequences":
        few = min(5, len(some))
        steps = max(made.values.shape[1], nearest.values.shape[1])
        lines = {
            name: _lengthened(each.values[:few, :, 0], steps)
            for name, each in (("nearest", nearest), ("generated", made))
        }
        return restored(lines, unit=made.names[0])
    pairs = np.stack([made.values, nearest.values], axis=1).reshape(-1, made.values.shape[1])
    names = [name for row in some for name in (f"generated {row}", "nearest")]
    return table_of_rows(pairs, made.names, names)


def _game(finding: TrainingGame) -> Chart:
    """Panels below each other, all over the batches."""
    x = Axis("batches")
    losses = [
        _line(finding.steps, loss, f"{name} loss", PLAYERS[name]) for name, loss in finding.losses.items()
    ]
    scores = [
        _line(finding.steps, score, f"score of {name} rows", MADE[name])
        for name, score in finding.scores.items()
    ]
    panels = [
        Panel(x, Axis(), losses, heading=[Span("loss: "), *color_key(PLAYERS)]),
        Panel(
            x,
            Axis(limits=(0, 100), ticks=[0, 50, 100]),
            scores,
            heading=[Span("score, 1 to 100: "), *color_key(MADE)],
        ),
    ]
    heights = [110, 110]
    if finding.turns:
        panels.append(_turns(finding, x))
        heights.append(36)
    measured = {name: finding.quality[name] for name in MEASURES if name in finding.quality}
    if measured:
        colors = dict(zip(measured, MEASURES.values(), strict=False))
        marks = []
        for name, values in measured.items():
            there = np.isfinite(values)
            marks.append(_line(finding.steps[there], values[there], name, colors[name], marker=5))
        heading = [Span("quality: "), *color_key(colors)]
        panels.append(Panel(x, Axis(from_zero=True), marks, heading=heading))
        heights.append(130)
    return stacked(panels, heights)


def _line(x: NDArray[Any], y: NDArray[Any], name: str, color: str, *, marker: float = 0) -> Line:
    return Line(x, y, name=name, color=color, width=1.8, marker=marker, hover="{y:.3g}")


def _turns(finding: TrainingGame, x: Axis) -> Panel:
    """A bar for each turn, as long as it was."""
    colors = {**PLAYERS, "both": GREY}
    firsts, lengths = (np.array([turn[k] for turn in finding.turns], dtype=np.float64) for k in (1, 2))
    bars = Bars(
        np.zeros(len(lengths)),
        lengths,
        base=firsts,
        horizontal=True,
        thickness=0.9,
        name="turns",
        color=[colors.get(player, RULE) for player, *_ in finding.turns],
        notes=[f"{player}, {int(n)} batches: {why}" for player, _, n, why in finding.turns],
        hover="{note}",
    )
    y = Axis(limits=(-0.5, 0.5), visible=False)
    return Panel(x, y, [bars], heading=[Span("player in turn: "), *color_key(colors)])


def _scores(finding: TrainingGame) -> Chart:
    """The distributions of the scores of real rows and of generated ones."""
    edges = np.linspace(0, 100, BINS + 1)
    kinds = {"generated": finding.generated_scores} | (
        {} if finding.data_scores is None else {"real": finding.data_scores}
    )
    marks = []
    for name, scores in kinds.items():
        counts, _ = np.histogram(scores, edges)
        marks.append(
            Line(
                (edges[1:] + edges[:-1]) / 2,
                100 * counts / max(counts.sum(), 1),
                name=f"{name} rows",
                color=MADE[name],
                stepped=True,
                hover="{y:.1f} %",
            )
        )
    x = Axis("score of the discriminator (50 is a guess)", limits=(0, 100))
    panel = Panel(x, Axis("share of the rows (%)", from_zero=True), marks)
    return Chart([panel], title=color_key({name: MADE[name] for name in kinds}), height=300)


def _lengthened(values: NDArray[Any], steps: int) -> NDArray[Any]:
    """(n, T) padded with NaN to (n, steps)."""
    return np.pad(values, ((0, 0), (0, steps - values.shape[1])), constant_values=np.nan)
