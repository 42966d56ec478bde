"""How two players competed: losses, scores, turns and quality over the batches; what was made beside its nearest."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regen._check import Choice, Constraint, check_parameters
from regen.figures.images import image_rows
from regen.figures.latent import table_of_rows
from regen.figures.restored import restored
from regen.figures.style import (
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    RULE,
    VERMILLION,
    axis,
    headed,
    key,
    new_figure,
    stacked,
)
from regen.inspection.adversarial.training_game import NearestTraining, TrainingGame
from regen.inspection.finding import figure_of

__all__ = ["competed", "twins"]

OF: Mapping[str, Constraint] = {"of": Choice(("game", "scores", "twins"))}
PLAYERS = {"generator": BLUE, "discriminator": VERMILLION}
MADE = {"generated": BLUE, "real": VERMILLION}
SHARES = ("coverage", "precision", "recall", "density")
BINS, ROWS = 25, 10


@figure_of.register
def competed(finding: TrainingGame, *, of: str = "game") -> Any:
    """How the game went, the scores that the players ended with, or what was made beside its nearest.

    What to read: losses need not fall, for each player's rises when the other gets better. The scores of real and
    generated rows should stay apart by little: at 50 the discriminator guesses, at 1 and 99 it has won. Coverage that
    falls while precision stays tells of kinds that are no longer made.

    Parameters
    ----------
    of : "game", losses, scores, turns and quality over the batches; "scores" of real and generated rows at the end;
        "twins", generated rows beside the rows nearest to them, see `twins`.
    """
    check_parameters("TrainingGame.plot", OF, {"of": of})
    if of == "scores":
        return _scores(finding)
    if of == "twins":
        if finding.nearest is None:
            raise ValueError(
                "of='twins' needs rows to lay beside the generated ones. Give X to training_game."
            )
        return twins(finding.nearest)
    return _game(finding)


@figure_of.register
def twins(finding: NearestTraining, *, rows: int = ROWS) -> Any:
    """Generated rows, and below or over each the row that is nearest to it.

    What to read: a generated row that equals its nearest is a copy. One that is merely alike is as it should be.

    Parameters
    ----------
    rows : how many are drawn, evenly from the nearest to the farthest.
    """
    order = np.argsort(finding.distances, kind="stable")
    some = order[np.linspace(0, len(order) - 1, min(len(order), rows)).round().astype(int)]
    made, beside = finding.generated.take(some), finding.neighbours.take(some)
    if made.kind == "images":
        low, high = zip(made.limits, beside.limits, strict=True)
        rows_shown = {"generated": made.values, "nearest": beside.values}
        return image_rows(rows_shown, limits=(min(low), max(high)))
    if made.kind == "sequences":
        few = min(5, len(some))
        steps = max(made.values.shape[1], beside.values.shape[1])
        lines = {
            name: _lengthened(each.values[:few, :, 0], steps)
            for name, each in (("nearest", beside), ("generated", made))
        }
        return restored(lines, unit=made.names[0])
    between = np.stack([made.values, beside.values], axis=1).reshape(-1, made.values.shape[1])
    names = [name for row in some for name in (f"made {row}", "nearest")]
    return table_of_rows(between, made.names, names)


def _game(finding: TrainingGame) -> Any:
    """Panels below each other, all over the batches."""
    measured = {name: finding.quality[name] for name in SHARES if name in finding.quality}
    heights = [110, 110, *([36] if finding.turns else []), *([130] if measured else [])]
    figure = stacked(heights)
    headings = [f"loss: {key(PLAYERS)['text']}", f"score, 1 to 100: {key(MADE)['text']}"]
    for name, loss in finding.losses.items():
        _line(figure, finding.steps, loss, f"{name} loss", PLAYERS[name], 0)
    for name, score in finding.scores.items():
        _line(figure, finding.steps, score, f"score of {name} rows", MADE[name], 1)
    figure.layout.yaxis2.update(range=[0, 100], tickvals=[0, 50, 100])
    if finding.turns:
        headings.append(
            f"who moves: {key({'generator': BLUE, 'discriminator': VERMILLION, 'both': GREY})['text']}"
        )
        _strip(figure, finding)
    if measured:
        colours = dict(zip(measured, (BLUE, VERMILLION, GREEN, COLOURS[3]), strict=False))
        headings.append(f"quality: {key(colours)['text']}")
        for name, values in measured.items():
            there = np.isfinite(values)
            panel = len(headings) - 1
            _line(figure, finding.steps[there], values[there], name, colours[name], panel, marked=True)
        figure.layout[f"yaxis{axis(len(headings) - 1)[1:]}"].update(rangemode="tozero")
    figure.update_xaxes(title_text="batches")
    headed(figure, headings)
    return figure


def _line(
    figure: Any, x: NDArray[Any], y: NDArray[Any], name: str, colour: str, panel: int, *, marked: bool = False
) -> None:
    figure.add_scatter(
        x=x,
        y=y,
        yaxis=axis(panel),
        name=name,
        mode="lines+markers" if marked else "lines",
        marker={"size": 5},
        line={"color": colour, "width": 1.8},
        hovertemplate="%{y:.3g}",
    )


def _strip(figure: Any, finding: TrainingGame) -> None:
    """A bar for each turn, as long as it was."""
    colours = {**PLAYERS, "both": GREY}
    firsts, lengths = (np.array([turn[k] for turn in finding.turns], dtype=np.float64) for k in (1, 2))
    whose = [turn[0] for turn in finding.turns]
    figure.add_bar(
        x=lengths,
        y=np.zeros(len(lengths)),
        base=firsts,
        orientation="h",
        width=0.9,
        yaxis=axis(2),
        name="turns",
        marker={"color": [colours.get(who, RULE) for who in whose], "line": {"width": 0}},
        customdata=[f"{who}, {int(n)} batches: {why}" for who, _, n, why in finding.turns],
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure.layout.yaxis3.update(visible=False, range=[-0.5, 0.5])


def _scores(finding: TrainingGame) -> Any:
    """How many rows have each score, real ones and generated ones."""
    figure = new_figure(height=300)
    edges = np.linspace(0, 100, BINS + 1)
    kinds = {"generated": finding.generated_scores} | (
        {} if finding.data_scores is None else {"real": finding.data_scores}
    )
    for name, scores in kinds.items():
        counts, _ = np.histogram(scores, edges)
        figure.add_scatter(
            x=(edges[1:] + edges[:-1]) / 2,
            y=100 * counts / max(counts.sum(), 1),
            mode="lines",
            name=f"{name} rows",
            line={"color": MADE[name], "width": 2, "shape": "hvh"},
            hovertemplate="%{y:.1f} %",
        )
    figure.update_layout(title=key({name: MADE[name] for name in kinds}))
    figure.update_xaxes(title_text="score of the discriminator (50 is a guess)", range=[0, 100])
    figure.update_yaxes(title_text="share of the rows (%)", rangemode="tozero")
    return figure


def _lengthened(values: NDArray[Any], steps: int) -> NDArray[Any]:
    """(n, T) lengthened with nothing to so many steps."""
    return np.pad(values, ((0, 0), (0, steps - values.shape[1])), constant_values=np.nan)
