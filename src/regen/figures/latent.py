"""Charts of a code: its units, a traversal of one of them, the map of the rows, neighbours, and imputation errors."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from regen._check import Choice, Constraint, Either, Nothing, check_parameters
from regen._drawing import chart_of
from regen.figures.basic import BARS, LETTERS, horizontal_bars, labelled_lines, table_of_rows, with_panel
from regen.figures.chart import Chart, color_key
from regen.figures.images import code_map, image_rows
from regen.figures.marks import Axis, Bars, Cells, Line, Panel
from regen.figures.restored import restored
from regen.figures.style import BLUE, GREY, RULE, SHADED, VERMILLION, shortened
from regen.inspection.display import DisplayRows
from regen.inspection.latent.codes import Codes
from regen.inspection.latent.repair import Repair
from regen.inspection.latent.views import CodeMap, LatentTraversal, Neighbours

__all__ = ["latent_traversal", "neighbours", "places", "repaired", "units"]

SUFFIXES = {1: "st", 2: "nd", 3: "rd"}
LINES = 4
"""The most lines with names that can be read."""
UNITS: Mapping[str, Constraint] = {"of": Either((Nothing(), Choice(("lost", "kl", "variance"))))}
PALEST, DARKEST = (201, 222, 238), (0, 60, 110)
"""Red, green and blue of the first and the last of several sequences."""


@chart_of.register
def units(finding: Codes, *, of: str | None = None) -> Chart:
    """A bar for each unit of a code, the most important first; inactive units are grey.

    A few long bars and many short ones show that a smaller code would do as well.

    Parameters
    ----------
    finding : Codes
        What `regen.inspect.codes` returned.
    of : {"lost", "kl", "variance"}, default=None
        "lost" is the increase of the loss in percent when the unit is replaced by its mean; "kl" its divergence from
        the prior in nats; "variance" is that over the rows. None is "kl" where there is a prior, else "lost".

    Returns
    -------
    Chart
        Of the first 24 units.

    Raises
    ------
    ValueError
        When ``of="kl"`` and the code has no prior.

    See Also
    --------
    regen.inspect.codes : Computes the finding.

    Examples
    --------
    >>> import numpy as np, regen
    >>> X = np.random.default_rng(0).normal(size=(40, 4))
    >>> model = regen.Autoencoder(2, hidden=(4,), max_epochs=1, random_state=0).fit(X)
    >>> regen.figures.units(regen.inspect.codes(model, X)).panels[0].x.title
    'loss increase without the unit (%)'
    """
    check_parameters("Codes.plot", UNITS, {"of": of})
    of = of or ("lost" if finding.kl is None else "kl")
    if of == "kl" and finding.kl is None:
        raise ValueError("of='kl' is for a VariationalAutoencoder, whose code has a prior. Use of='lost'.")
    share = 100 * (finding.losses / finding.loss - 1) if finding.loss > 0 else finding.losses
    sizes = np.asarray({"lost": share, "kl": finding.kl, "variance": finding.variance}[of])
    titles = {
        "lost": "loss increase without the unit (%)",
        "kl": "divergence from the prior (nats per row)",
        "variance": "variance over the rows",
    }
    order = np.argsort(-sizes, kind="stable")[:BARS]
    names = [f"unit {k}" for k in order]
    colors = [BLUE if finding.active[k] else GREY for k in order]
    chart = horizontal_bars(names, sizes[order], colors, titles[of])
    return _counted(chart, f"the first {BARS} of {len(sizes)} units") if len(sizes) > BARS else chart


@chart_of.register
def latent_traversal(finding: LatentTraversal, *, columns: int = LINES) -> Chart:
    """What the decoder makes of codes along a line.

    What changes from left to right is what the unit encodes; what stays the same, it does not encode.

    Parameters
    ----------
    finding : LatentTraversal
        What the ``traversal`` or ``interpolation`` of `regen.inspect.codes` returned.
    columns : int, default=4
        Of a table, how many are drawn: those that change most.

    Returns
    -------
    Chart
        Images side by side, sequences over each other, or a line for each column.

    See Also
    --------
    regen.inspect.codes : Computes the finding.

    Examples
    --------
    >>> import numpy as np, regen
    >>> X = np.random.default_rng(0).normal(size=(40, 4))
    >>> model = regen.Autoencoder(2, hidden=(4,), max_epochs=1, random_state=0).fit(X)
    >>> found = regen.inspect.codes(model, X).traversal(0)
    >>> regen.figures.latent_traversal(found).panels[0].x.title
    'value of unit 0'
    """
    title = "position along the line" if finding.unit is None else f"value of unit {finding.unit}"
    decoded, at = finding.decoded, finding.positions
    if decoded.kind == "images":
        return _images_along(decoded, at, title)
    if decoded.kind == "sequences":
        return _sequences_along(decoded, at, title)
    change = np.ptp(decoded.values, axis=0)
    most = np.argsort(-change, kind="stable")[:columns]
    lines = {shortened(decoded.names[k], LETTERS): (at, decoded.values[:, k]) for k in most}
    chart = labelled_lines(lines, (title, "reconstruction (standard deviations)"), marker=5)
    return with_panel(chart, y=replace(chart.panels[0].y, limits=None))


@chart_of.register
def places(finding: CodeMap, labels: ArrayLike | None = None) -> Chart:
    """Draw rows as points of a plane, over what the decoder makes of its positions; see `code_map`.

    Parameters
    ----------
    finding : CodeMap
        What the ``map`` of `regen.inspect.codes` returned.
    labels : array of shape (n,), default=None
        What is drawn at each point, such as a class; None draws dots.

    Returns
    -------
    Chart
        Of the points, and the images behind them where rows are images.

    See Also
    --------
    regen.inspect.codes : Computes the finding.

    Examples
    --------
    >>> import numpy as np, regen
    >>> X = np.random.default_rng(0).normal(size=(40, 4))
    >>> model = regen.Autoencoder(2, hidden=(4,), max_epochs=1, random_state=0).fit(X)
    >>> len(regen.figures.places(regen.inspect.codes(model, X).map()).panels[0].marks)
    1
    """
    decoded = finding.decoded
    if decoded is None or decoded.kind != "images":
        return code_map(finding.points, labels, axes=finding.axes)
    side = round(len(decoded) ** 0.5)
    grid = decoded.values.reshape(side, side, *decoded.values.shape[1:])
    return code_map(
        finding.points,
        labels,
        decoded=grid,
        extent=finding.extent,
        limits=decoded.limits,
        axes=finding.axes,
    )


@chart_of.register
def neighbours(finding: Neighbours, *, feature: int = 0) -> Chart:
    """Some rows, and below or over each the rows with the nearest codes.

    Neighbours should be similar in what matters to you. Where they are not, the code encodes something else.

    Parameters
    ----------
    finding : Neighbours
        What the ``neighbours`` of `regen.inspect.codes` returned.
    feature : int, default=0
        Of sequences, which one is drawn.

    Returns
    -------
    Chart
        Images below each other, sequences over each other, or the rows of a table.

    See Also
    --------
    regen.inspect.codes : Computes the finding.

    Examples
    --------
    >>> import numpy as np, regen
    >>> X = np.random.default_rng(0).normal(size=(40, 4))
    >>> model = regen.Autoencoder(2, hidden=(4,), max_epochs=1, random_state=0).fit(X)
    >>> found = regen.inspect.codes(model, X).neighbours([3], n=2)
    >>> regen.figures.neighbours(found).panels[0].y.tick_labels
    ['row 3', '1st', '2nd']
    """
    rows, k = finding.data, finding.nearest.shape[1]
    if rows.kind == "images":
        near = {_ordinal(rank + 1): rows.values[finding.nearest[:, rank]] for rank in range(k)}
        return image_rows({"row": rows.values[finding.rows], **near}, limits=rows.limits)
    if rows.kind == "sequences":
        first, nearest = finding.rows[:4], finding.nearest[:4, 0]
        lines = {"row": rows.values[first, :, feature], "nearest": rows.values[nearest, :, feature]}
        return restored(lines, unit=rows.names[feature])
    together = np.concatenate([finding.rows[:4, None], finding.nearest[:4]], axis=1)
    names = [
        f"row {row}" if rank == 0 else _ordinal(rank)
        for each in together.tolist()
        for rank, row in enumerate(each)
    ]
    return table_of_rows(rows.values[together.ravel()], rows.names, names)


@chart_of.register
def repaired(finding: Repair) -> Chart:
    """The error of every cell before and after denoising.

    It should be lower after than before nearly everywhere. Two maps of images share one color scale.

    Parameters
    ----------
    finding : Repair
        The ``repair`` of `regen.inspect.codes` of a `DenoisingAutoencoder`.

    Returns
    -------
    Chart
        Of two maps where rows are images, else of bars.

    See Also
    --------
    regen.inspect.codes : Computes the finding.

    Examples
    --------
    >>> import numpy as np, regen
    >>> X = np.random.default_rng(0).normal(size=(40, 4))
    >>> model = regen.DenoisingAutoencoder(2, hidden=(4,), max_epochs=1, random_state=0).fit(X)
    >>> [bars.name for bars in regen.figures.repaired(regen.inspect.codes(model, X).repair).panels[0].marks]
    ['before', 'after']
    """
    if finding.shape is not None:
        before, after = (
            np.sqrt((each**2).reshape(finding.shape).mean(axis=0)) for each in (finding.before, finding.after)
        )
        return _two_maps(before, after, "error (standard deviations)")
    order = np.argsort(-finding.before, kind="stable")[:BARS]
    names = [finding.names[k] for k in order]
    chart = horizontal_bars(names, finding.before[order], [RULE] * len(order), "error (standard deviations)")
    (before_bars,) = chart.panels[0].marks
    assert isinstance(before_bars, Bars)
    worse = finding.after[order] > finding.before[order]
    after_bars = Bars(
        np.arange(len(order)),
        finding.after[order],
        name="after",
        color=np.where(worse, VERMILLION, BLUE).tolist(),
        thickness=0.35,
        horizontal=True,
        hover="after {x:.3g}",
    )
    colors = {"before": GREY, "after": BLUE} | ({"after, and worse": VERMILLION} if worse.any() else {})
    chart = with_panel(chart, marks=[replace(before_bars, name="before", labels=None), after_bars])
    return replace(chart, title=color_key(colors), margins={"r": 12})


def _counted(chart: Chart, title: str) -> Chart:
    """With a title that counts those that are drawn."""
    return with_panel(chart, y=replace(chart.panels[0].y, title=title))


def _images_along(decoded: DisplayRows, at: NDArray[Any], title: str) -> Chart:
    """Images side by side, each over its value on the axis."""
    chart = image_rows(decoded.values, limits=decoded.limits, columns=len(decoded))
    X = decoded.values.shape[-1]
    ticks = (X + 1) * np.arange(len(at)) + X / 2 - 0.5
    x = Axis(title, ticks=ticks, tick_labels=[f"{each:.2g}" for each in at], bare=True)
    return replace(with_panel(chart, x=x), height=chart.height + 50)


def _sequences_along(decoded: DisplayRows, at: NDArray[Any], title: str) -> Chart:
    """The first feature of sequences over each other, from the palest to the darkest."""
    marks = []
    for k, (steps, value) in enumerate(zip(decoded.values[..., 0], at, strict=True)):
        share = k / (len(at) - 1)
        mixed = (round(low + (high - low) * share) for low, high in zip(PALEST, DARKEST, strict=True))
        color = "#" + "".join(f"{each:02x}" for each in mixed)
        marks.append(Line(np.arange(len(steps)), steps, name=f"{value:.2g}", color=color, hover="{y:.3g}"))
    key = color_key({f"{title} {at[0]:.2g}": "#8fb4d4", f"{at[-1]:.2g}": "#003c6e"})
    return Chart([Panel(Axis("step"), Axis(str(decoded.names[0])), marks)], title=key)


def _two_maps(before: NDArray[Any], after: NDArray[Any], title: str) -> Chart:
    """Two images of errors side by side."""
    Y, X = before.shape
    high = float(max(before.max(), after.max(), 1e-12))
    panels = []
    for k, (name, errors) in enumerate((("before", before), ("after", after))):
        cells = Cells(
            errors,
            limits=(0, high),
            scale=SHADED,
            key="error" if k else None,
            name=name,
            hover=f"{name}: {{z:.3g}} at row {{y}}, column {{x}}",
        )
        mean = float(np.sqrt((errors**2).mean()))
        x = Axis(f"{name}: {mean:.3g}", ticks=(), domain=(0.53 * k, 0.47 + 0.53 * k))
        panels.append(Panel(x, Axis(reverse=True, square=True, visible=False), [cells]))
    height = 60 + round(200 * min(max(Y / X, 0.5), 1.6))
    return Chart(panels, title=title, height=height, hover="nearest")


def _ordinal(rank: int) -> str:
    return f"{rank}{SUFFIXES.get(rank if rank < 20 else rank % 10, 'th')}"
