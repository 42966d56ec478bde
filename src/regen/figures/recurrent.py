"""What a recurrent net does while it reads: its gates, how long its units hold, what each is worth."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regen._check import Choice, Constraint, Either, Int, Nothing, check_parameters
from regen.figures.latent import BARS, bars
from regen.figures.style import (
    BLUE,
    COLOURS,
    INK,
    SHADED,
    TWO_SIDED,
    axis,
    colour_key,
    columns_of,
    headed,
    key,
    stacked,
)
from regen.inspection.finding import figure_of
from regen.inspection.recurrent.gates import Gates

__all__ = ["gates", "half_lives"]

Lines = Mapping[str, NDArray[Any]]
"""(S,) or (S, units) values by name."""

UNITS, STEPS = 32, 400
"""Rows of a map, and steps that can be told apart on a page."""
GATES = ("input", "forget", "output", "reset", "update")
"""Words whose values lie between 0, closed, and 1, open."""
GATES_TABLE: Mapping[str, Constraint] = {
    "of": Choice(("values", "half_life")),
    "unit": Either((Nothing(), Int(0))),
    "steps": Int(2),
}


@figure_of.register
def gates(
    finding: Gates,
    *,
    of: str = "values",
    word: str | None = None,
    unit: int | None = None,
    layer: int = 0,
    direction: str = "forward",
    sequence: Any = None,
    steps: int = STEPS,
) -> Any:
    """The gates of all units over time as a map each, or those of one unit as lines; above them, what was read.

    What to read: a row of the map is a unit. A forget gate that stays dark holds what the unit has; where it turns
    pale, the unit forgets. A dark input gate writes. Units that hold longest stand on top.

    Parameters
    ----------
    of : "values" over time, or "half_life": a bar for each unit, see `half_lives`.
    word : the one gate to draw, "forget" or another of the finding's; None draws them all.
    unit : of which to draw lines; None draws maps of up to 32 units.
    layer, direction : of the net.
    sequence : the one that was read, by its label; None is the last one.
    steps : how many recurrent steps are drawn, the last ones.
    """
    check_parameters("Gates.plot", GATES_TABLE, {"of": of, "unit": unit, "steps": steps})
    if of == "half_life":
        return half_lives(finding, layer=layer, direction=direction)
    known = list(finding.values["state"].labels["sequence"])
    place = {"layer": layer, "direction": direction, "sequence": known[-1] if sequence is None else sequence}
    words = [word] if word is not None else list(finding.values)
    found = {each: np.asarray(finding[each].at(**place)) for each in words}
    there = np.flatnonzero(~np.isnan(found[words[0]][:, 0]))[-steps:]
    at = _times(finding, known.index(place["sequence"]), len(found[words[0]]))[there]
    found = {each: values[there] for each, values in found.items()}
    read = _read(finding, place["sequence"], there)
    return (
        _maps(finding, found, read, at, layer, direction) if unit is None else _strips(found, unit, read, at)
    )


def half_lives(finding: Gates, *, layer: int = 0, direction: str = "forward") -> Any:
    """How many steps each unit holds half of what it had, the longest first.

    What to read: the longest bars are the memory of the network. One whose units all forget within a few steps reads
    a short window, however long the one is that it is given.

    Parameters
    ----------
    finding : what `regen.inspect.gates` returned; cells that keep by a matrix have no half-lives.
    layer, direction : of the net.
    """
    table = _units(finding, layer, direction)
    lives = np.asarray(table["half_life"], dtype=np.float64)
    if not np.isfinite(lives).any():
        raise ValueError(
            f"No unit of {type(finding.cell).__name__} has a half-life: it keeps by a matrix, or forgets nothing."
            " See regen.inspect.gradient_flow."
        )
    order = [k for k in np.argsort(-lives, kind="stable") if np.isfinite(lives[k])][:BARS]
    figure = bars([f"unit {table['unit'][k]}" for k in order], lives[order], BLUE, "half-life (steps)")
    if lives[order].max() > 30 * max(lives[order].min(), 1e-9):
        low = np.floor(np.log10(max(lives[order].min(), 1e-3)))
        figure.update_xaxes(type="log", range=[low, np.log10(lives[order].max()) + 0.1], rangemode=None)
    return figure


def _units(finding: Gates, layer: int, direction: str) -> dict[str, NDArray[Any]]:
    """The table of the units of one layer and direction."""
    table = columns_of(finding.units())
    mine = (table["layer"] == layer) & (table["direction"] == direction)
    if not mine.any():
        raise ValueError(f"There is no layer {layer!r} that reads {direction!r}.")
    return {name: column[mine] for name, column in table.items()}


def _order(finding: Gates, layer: int, direction: str, size: int) -> NDArray[np.int64]:
    """Units to draw: those that move most, the longest half-life on top. What is mixed of units has its own order."""
    table = _units(finding, layer, direction)
    if size != len(table["unit"]):
        return np.arange(min(size, UNITS))
    most = np.argsort(table["rank"], kind="stable")[:UNITS]
    lives = np.nan_to_num(table["half_life"][most].astype(np.float64), nan=0.0)
    chosen: NDArray[np.int64] = most[np.argsort(-lives, kind="stable")]
    return chosen


def _times(finding: Gates, row: int, S: int) -> NDArray[Any]:
    """(S,) dates or numbers of the steps of a sequence."""
    if finding.times is not None:
        times: NDArray[Any] = finding.times[row]
        return times
    return (np.arange(S) + 1) * finding.segment - 1


def _read(finding: Gates, sequence: Any, there: NDArray[np.int64]) -> Lines | None:
    """What was read at some steps, by feature."""
    if finding.inputs is None:
        return None
    values = np.asarray(finding.inputs.at(sequence=sequence))[there]
    return {str(name): values[:, f] for f, name in enumerate(finding.inputs.labels["feature"])}


def _maps(
    finding: Gates, found: Lines, read: Lines | None, at: NDArray[Any], layer: int, direction: str
) -> Any:
    """A map (S, units) for each word, below what was read."""
    high = 16 + max(6 * min(max(values.shape[1] for values in found.values()), UNITS), 50)
    figure = stacked([70] * (read is not None) + [high] * len(found), hovermode="closest")
    names = _read_on_top(figure, read, at)
    for k, (word, every) in enumerate(found.items(), start=len(names)):
        gate, order = word in GATES, _order(finding, layer, direction, every.shape[1])
        values = every[:, order]
        limit = 1.0 if gate else float(np.nanmax(np.abs(values), initial=1e-9))
        figure.add_heatmap(
            x=at,
            y=np.arange(len(order)),
            z=values.T.astype(np.float32),
            zmin=0 if gate else -limit,
            zmax=limit,
            yaxis=axis(k),
            colorscale=SHADED if gate else TWO_SIDED,
            colorbar=colour_key("") | _beside(figure, k),
            name=word,
            customdata=np.broadcast_to(order[:, None], values.T.shape).astype(np.int16),
            hovertemplate=f"unit %{{customdata}} at %{{x}}: {word} %{{z:.2f}}<extra></extra>",
        )
        marked = np.linspace(0, len(order) - 1, min(len(order), 5)).round().astype(int)
        figure.layout[f"yaxis{axis(k)[1:]}"].update(
            title_text="unit",
            tickvals=marked,
            ticktext=[str(order[m]) for m in marked],
            autorange="reversed",
            showgrid=False,
        )
        names.append(f"{word}: {'0 closed, 1 open' if gate else 'blue below 0, red above'}")
    headed(figure, names)
    return figure


def _beside(figure: Any, k: int) -> dict[str, Any]:
    """The place of the colour key of the k-th panel."""
    low, high = figure.layout[f"yaxis{axis(k)[1:]}"].domain
    return {"len": high - low, "y": (low + high) / 2, "lenmode": "fraction", "nticks": 3}


def _strips(found: Lines, unit: int, read: Lines | None, at: NDArray[Any]) -> Any:
    """Gates of one unit as lines in one panel, and what it holds and says in another."""
    size = max(each.shape[1] for each in found.values())
    if unit >= size:
        raise ValueError(f"There is no unit {unit}. They go from 0 to {size - 1}.")
    values = {word: each[:, unit] for word, each in found.items() if unit < each.shape[1]}
    open_or_closed = {word: each for word, each in values.items() if word in GATES}
    others = {word: each for word, each in values.items() if word not in GATES}
    parts = [part for part in (open_or_closed, others) if part]
    figure = stacked([70] * (read is not None) + [120] * len(parts))
    names = _read_on_top(figure, read, at)
    for part in parts:
        colours = dict(zip(part, COLOURS, strict=False))
        for word, each in part.items():
            _line(figure, word, at, each, colours[word], len(names))
        if part is open_or_closed:
            figure.layout[f"yaxis{axis(len(names))[1:]}"].update(range=[-0.04, 1.04], tickvals=[0, 0.5, 1])
        names.append(f"unit {unit}: {key(colours)['text']}")
    headed(figure, names)
    return figure


def _read_on_top(figure: Any, read: Lines | None, at: NDArray[Any]) -> list[str]:
    """Draw what was read in the first panel; the panels' names so far."""
    figure.update_xaxes(title_text="date" if at.dtype.kind == "M" else "step")
    if read is None:
        return []
    colours = dict(zip(read, COLOURS, strict=False)) if len(read) > 1 else dict.fromkeys(read, INK)
    for name, colour in colours.items():
        _line(figure, name, at, read[name], colour, 0)
    figure.layout.yaxis.nticks = 4
    return [f"what was read: {key(colours)['text']}"]


def _line(figure: Any, name: str, x: NDArray[Any], y: NDArray[Any], colour: str, panel: int) -> None:
    figure.add_scatter(
        x=x,
        y=y.astype(np.float32),
        yaxis=axis(panel),
        name=name,
        mode="lines",
        line={"width": 1.8, "color": colour},
        hovertemplate="%{y:.3g}",
    )
