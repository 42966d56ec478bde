"""Charts of a recurrent net at work: its gates over time, and how long its units hold."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regen._check import Choice, Constraint, Either, Int, Nothing, check_parameters
from regen._drawing import chart_of
from regen.figures.basic import BARS, horizontal_bars, with_panel
from regen.figures.chart import Chart, color_key, stacked
from regen.figures.marks import Axis, Cells, Line, Panel, Span
from regen.figures.style import BLUE, COLORS, INK, SHADED, TWO_SIDED, columns_of
from regen.inspection.recurrent.gates import Gates

__all__ = ["gates", "half_lives"]

Lines = Mapping[str, NDArray[Any]]
"""(S,) or (S, units) values by name."""

UNITS, STEPS = 32, 400
"""Rows of a map, and time steps, that can be distinguished on a page."""
GATES = ("input", "forget", "output", "reset", "update")
"""Names of what lies between 0, closed, and 1, open."""
PARAMETERS: Mapping[str, Constraint] = {
    "of": Choice(("values", "half_life")),
    "unit": Either((Nothing(), Int(0))),
    "steps": Int(2),
}


@chart_of.register
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
) -> Chart:
    """The gates of all units over time as a map each, or those of one unit as lines; above them, the input.

    A row of a map is a unit. A forget gate that stays dark holds the content of the unit; where it turns pale, the
    unit forgets. A dark input gate writes. Units that hold longest stand on top.

    Parameters
    ----------
    finding : Gates
        What `regen.inspect.gates` returned.
    of : {"values", "half_life"}, default="values"
        The values over time, or a bar for each unit, see `half_lives`.
    word : str, default=None
        The one gate to draw, "forget" or another of the finding's; None draws them all.
    unit : int, default=None
        The unit to draw as lines; None draws maps of up to 32 units.
    layer : int, default=0
        Of the net.
    direction : str, default="forward"
        Of the net.
    sequence : hashable, default=None
        One of the sequences, by its label; None is the last one.
    steps : int, default=400
        How many recurrent steps are drawn, the last ones.

    Returns
    -------
    Chart
        Of panels below each other with one time axis.

    Raises
    ------
    ValueError
        When there is no such gate, unit, layer or direction.

    See Also
    --------
    regen.inspect.gates : Computes the finding.

    Examples
    --------
    >>> import numpy as np, regen
    >>> y = np.sin(np.arange(60) / 3)
    >>> model = regen.Forecaster("gru", 8, 2, hidden=3, max_epochs=1, random_state=0).fit(y)
    >>> found = regen.inspect.gates(model, y)
    >>> len(regen.figures.gates(found, word="update").panels)
    2
    """
    check_parameters("Gates.plot", PARAMETERS, {"of": of, "unit": unit, "steps": steps})
    if of == "half_life":
        return half_lives(finding, layer=layer, direction=direction)
    sequences = list(finding.values["state"].labels["sequence"])
    place = {
        "layer": layer,
        "direction": direction,
        "sequence": sequences[-1] if sequence is None else sequence,
    }
    names = [word] if word is not None else list(finding.values)
    found = {each: np.asarray(finding[each].at(**place)) for each in names}
    there = np.flatnonzero(~np.isnan(found[names[0]][:, 0]))[-steps:]
    time = _times(finding, sequences.index(place["sequence"]), len(found[names[0]]))[there]
    found = {each: values[there] for each, values in found.items()}
    x = Axis("date" if time.dtype.kind == "M" else "step")
    top = _input_panel(finding, place["sequence"], there, time, x)
    if unit is not None:
        return _unit_lines(found, unit, top, time, x)
    return _maps(found, top, time, x, _order(finding, layer, direction, found))


def half_lives(finding: Gates, *, layer: int = 0, direction: str = "forward") -> Chart:
    """The number of steps after which each unit holds half of its content, the longest first.

    The longest bars are the memory of the network. One whose units all forget within a few steps uses a short window,
    however long the one is that it is given.

    Parameters
    ----------
    finding : Gates
        What `regen.inspect.gates` returned; cells that multiply their state by a matrix have no half-lives.
    layer : int, default=0
        Of the net.
    direction : str, default="forward"
        Of the net.

    Returns
    -------
    Chart
        Of up to 24 bars, on a logarithmic axis where they differ much.

    Raises
    ------
    ValueError
        When no unit has a half-life.

    See Also
    --------
    regen.inspect.gates : Computes the finding.

    Examples
    --------
    >>> import numpy as np, regen
    >>> y = np.sin(np.arange(60) / 3)
    >>> model = regen.Forecaster("gru", 8, 2, hidden=3, max_epochs=1, random_state=0).fit(y)
    >>> regen.figures.half_lives(regen.inspect.gates(model, y)).panels[0].x.title
    'half-life (steps)'
    """
    table = _units(finding, layer, direction)
    lives = np.asarray(table["half_life"], dtype=np.float64)
    if not np.isfinite(lives).any():
        raise ValueError(
            f"No unit of {type(finding.cell).__name__} has a half-life: the cell multiplies its state by a matrix,"
            " or forgets nothing."
            " See regen.inspect.gradient_flow."
        )
    order = [k for k in np.argsort(-lives, kind="stable") if np.isfinite(lives[k])][:BARS]
    names = [f"unit {table['unit'][k]}" for k in order]
    chart = horizontal_bars(names, lives[order], BLUE, "half-life (steps)")
    if lives[order].max() <= 30 * max(lives[order].min(), 1e-9):
        return chart
    low = 10 ** np.floor(np.log10(max(lives[order].min(), 1e-3)))
    limits = (float(low), float(lives[order].max() * 10**0.1))
    return with_panel(chart, x=Axis("half-life (steps)", kind="log", limits=limits))


def _units(finding: Gates, layer: int, direction: str) -> dict[str, NDArray[Any]]:
    """The table of the units of one layer and direction."""
    table = columns_of(finding.units())
    mine = (table["layer"] == layer) & (table["direction"] == direction)
    if not mine.any():
        raise ValueError(f"There is no layer {layer!r} with the direction {direction!r}.")
    return {name: column[mine] for name, column in table.items()}


def _order(finding: Gates, layer: int, direction: str, found: Lines) -> dict[str, NDArray[np.int64]]:
    """The units to draw of each gate: those that vary most, the longest half-life on top.

    What is not of the units one by one keeps its own order.
    """
    table = _units(finding, layer, direction)
    most = np.argsort(table["rank"], kind="stable")[:UNITS]
    lives = np.nan_to_num(table["half_life"][most].astype(np.float64), nan=0.0)
    chosen = most[np.argsort(-lives, kind="stable")]
    sizes = {name: values.shape[1] for name, values in found.items()}
    return {
        name: chosen if size == len(table["unit"]) else np.arange(min(size, UNITS))
        for name, size in sizes.items()
    }


def _times(finding: Gates, row: int, S: int) -> NDArray[Any]:
    """(S,) dates or numbers of the steps of a sequence."""
    if finding.times is not None:
        times: NDArray[Any] = finding.times[row]
        return times
    return (np.arange(S) + 1) * finding.segment - 1


def _input_panel(
    finding: Gates, sequence: Any, there: NDArray[np.int64], time: NDArray[Any], x: Axis
) -> list[Panel]:
    """The features of the input at some steps as lines; nothing where they were not kept."""
    if finding.inputs is None:
        return []
    values = np.asarray(finding.inputs.at(sequence=sequence))[there]
    names = [str(name) for name in finding.inputs.labels["feature"]]
    colors = dict(zip(names, COLORS, strict=False)) if len(names) > 1 else dict.fromkeys(names, INK)
    marks = [_line(name, time, values[:, names.index(name)], color) for name, color in colors.items()]
    heading = [Span("input: "), *color_key(colors)]
    return [Panel(x, Axis(tick_count=4), marks, heading=heading)]


def _maps(
    found: Lines, top: list[Panel], time: NDArray[Any], x: Axis, orders: Mapping[str, NDArray[np.int64]]
) -> Chart:
    """A map of the values (S, units) of each gate, below the input."""
    panels = list(top)
    for name, every in found.items():
        gate, order = name in GATES, orders[name]
        values = every[:, order]
        limit = 1.0 if gate else float(np.nanmax(np.abs(values), initial=1e-9))
        cells = Cells(
            values.T.astype(np.float32),
            time,
            np.arange(len(order)),
            limits=(0 if gate else -limit, limit),
            scale=SHADED if gate else TWO_SIDED,
            key="",
            name=name,
            notes=np.broadcast_to(order[:, None], values.T.shape).astype(np.int16),
            hover=f"unit {{note}} at {{x}}: {name} {{z:.2f}}",
        )
        ticks = np.linspace(0, len(order) - 1, min(len(order), 5)).round().astype(int)
        labels = [str(order[m]) for m in ticks]
        y = Axis("unit", ticks=ticks, tick_labels=labels, reverse=True, grid=False)
        heading = f"{name}: {'0 closed, 1 open' if gate else 'blue below 0, red above'}"
        panels.append(Panel(x, y, [cells], heading=heading))
    high = 16 + max(6 * min(max(values.shape[1] for values in found.values()), UNITS), 50)
    return stacked(panels, [70] * len(top) + [high] * len(found), hover="nearest")


def _unit_lines(found: Lines, unit: int, top: list[Panel], time: NDArray[Any], x: Axis) -> Chart:
    """The gates of one unit as lines in one panel, its state and output in another."""
    size = max(each.shape[1] for each in found.values())
    if unit >= size:
        raise ValueError(f"There is no unit {unit}. They go from 0 to {size - 1}.")
    values = {name: each[:, unit] for name, each in found.items() if unit < each.shape[1]}
    open_or_closed = {name: each for name, each in values.items() if name in GATES}
    others = {name: each for name, each in values.items() if name not in GATES}
    panels = list(top)
    for part in (open_or_closed, others):
        if not part:
            continue
        colors = dict(zip(part, COLORS, strict=False))
        marks = [_line(name, time, each, colors[name]) for name, each in part.items()]
        y = Axis(limits=(-0.04, 1.04), ticks=[0, 0.5, 1]) if part is open_or_closed else Axis()
        panels.append(Panel(x, y, marks, heading=[Span(f"unit {unit}: "), *color_key(colors)]))
    return stacked(panels, [70] * len(top) + [120] * (len(panels) - len(top)))


def _line(name: str, time: NDArray[Any], values: NDArray[Any], color: str) -> Line:
    return Line(time, values.astype(np.float32), name=name, color=color, width=1.8, hover="{y:.3g}")
