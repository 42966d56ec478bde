"""Charts of backpropagation through time: losses and gradients by time step, and what predictions depend on."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regen._drawing import chart_of
from regen.data.calendar import date_text
from regen.figures.basic import BARS, LETTERS, horizontal_bars, log_axis, with_panel
from regen.figures.chart import Chart, color_key, stacked
from regen.figures.learning import loss_per_step
from regen.figures.marks import Axis, Bars, Cells, Line, Note, Panel, Rule, Span
from regen.figures.style import BLUE, COLORS, GREY, INK, SHADED, TWO_SIDED, VERMILLION, shortened
from regen.inspection.labelled import Labelled
from regen.inspection.recurrent.ablation import Ablation
from regen.inspection.recurrent.gradients import GradientFlow
from regen.inspection.recurrent.losses import LossPerCopy
from regen.inspection.recurrent.moments import Moments
from regen.inspection.recurrent.saliency import Saliency

__all__ = ["ablation", "gradient_flow", "loss_per_copy", "moments", "saliency"]

Values = NDArray[np.float64]
LAG = "lag (steps before the last input)"


@chart_of.register
def loss_per_copy(finding: LossPerCopy, *, unit: str = "") -> Chart:
    """The loss of every unfolded copy; of an autoencoder, that of the reconstruction of each step.

    Parameters
    ----------
    finding : LossPerCopy
        What `regen.inspect.loss_per_copy` returned.
    unit : str, default=""
        Of the loss, for the axis.

    Returns
    -------
    Chart
        Of one line.

    See Also
    --------
    loss_per_step : The same of an array, with how to read it.

    Examples
    --------
    >>> import numpy as np, regen
    >>> y = np.sin(np.arange(60) / 3)
    >>> model = regen.Forecaster("gru", 8, 2, hidden=3, max_epochs=1, random_state=0).fit(y)
    >>> len(regen.figures.loss_per_copy(regen.inspect.loss_per_copy(model, y)).panels[0].marks)
    1
    """
    chart = loss_per_step(finding.losses, segment=finding.segment, unit=unit)
    if finding.of != "step":
        return chart
    return with_panel(chart, x=replace(chart.panels[0].x, title="step"))


@chart_of.register
def gradient_flow(finding: GradientFlow) -> Chart:
    """The norm of the gradient at every step, and how much old inputs still change the prediction.

    Of a net with several layers or directions, a line for the state of each; of others, one for the inputs, too. Time
    runs to the right, the gradient to the left. A line that falls straight on its logarithmic axis shrinks by the
    same factor at every step: what lies far to the left is hardly learned from. Below, the prediction no longer
    depends on inputs older than where the line crosses 1 %.

    Parameters
    ----------
    finding : GradientFlow
        What `regen.inspect.gradient_flow` returned.

    Returns
    -------
    Chart
        Of two panels.

    See Also
    --------
    regen.inspect.gradient_flow : Computes the finding.

    Examples
    --------
    >>> import numpy as np, regen
    >>> y = np.sin(np.arange(60) / 3)
    >>> model = regen.Forecaster("gru", 8, 2, hidden=3, max_epochs=1, random_state=0).fit(y)
    >>> [panel.y.title for panel in regen.figures.gradient_flow(regen.inspect.gradient_flow(model, y)).panels]
    ['norm of the gradient', 'change (%)']
    """
    one = finding.rate.values.size == 1
    lines = {
        f"{word}{place}" if one else place: np.where(values > 0, values, np.nan)
        for word, each in finding.norms.items()
        for place, values in _lines(each).items()
        if (one or word == "state") and np.nanmax(values, initial=0.0) > 0
    }
    colors = dict(zip(lines, [*COLORS, *[GREY] * len(lines)], strict=False))
    marks = [
        Line(
            finding.segment * np.arange(1, len(values) + 1),
            values,
            name=name,
            color=colors[name],
            hover="{y:.3g}",
        )
        for name, values in lines.items()
    ]
    named = color_key({name: color for name, color in colors.items() if color != GREY})
    norms = Panel(
        Axis("step (prediction at the right end)"),
        log_axis("norm of the gradient", *_decades(np.concatenate([np.ones(0), *lines.values()]))),
        marks,
        heading=[Span(f"gradient to the{' state' * (not one)} "), *named],
    )
    name = f"change of the {finding.output}"
    change = Line(finding.lags, 100 * finding.change, name=name, color=INK, hover="{y:.3g} %")
    changes = Panel(
        Axis("inputs of this age and older (steps)"),
        Axis("change (%)", from_zero=True),
        [change],
        heading=_reached(finding),
        rules=[Rule(100 * finding.share, horizontal=True, color=VERMILLION)],
    )
    return stacked([norms, changes], [170, 120], gap=76, room=120, shared_x=False)


@chart_of.register
def saliency(finding: Saliency, *, sequence: Any = None) -> Chart:
    """How much every feature at every lag contributes to the predictions.

    The newest step is at the right. Averaged over all sequences the sign is left out; for one sequence blue lowers
    the prediction and red raises it.

    Parameters
    ----------
    finding : Saliency
        What `regen.inspect.saliency` returned.
    sequence : hashable, default=None
        One of the sequences, by its label; None is the mean size over all of them.

    Returns
    -------
    Chart
        Of bars for one feature, of a map for several.

    See Also
    --------
    regen.inspect.saliency : Computes the finding.

    Examples
    --------
    >>> import numpy as np, regen
    >>> y = np.sin(np.arange(60) / 3)
    >>> model = regen.Forecaster("gru", 8, 2, hidden=3, max_epochs=1, random_state=0).fit(y)
    >>> regen.figures.saliency(regen.inspect.saliency(model, y, rows=4)).panels[0].x.reverse
    True
    """
    one = sequence is not None
    values = (
        np.asarray(finding.values.at(sequence=sequence))
        if one
        else np.nanmean(np.abs(finding.values.values), axis=0)
    )
    lags, features = np.asarray(finding.values.labels["lag"]), list(finding.values.labels["feature"])
    what = f"adds to the {finding.output}" if one else f"moves the {finding.output}"
    if len(features) == 1:
        return _one_feature(values[:, 0], lags, f"{features[0]}: {what}", one)
    limit = float(np.nanmax(np.abs(values), initial=1e-12))
    cells = Cells(
        values.T,
        lags,
        np.arange(len(features)),
        limits=(-limit if one else 0, limit),
        scale=TWO_SIDED if one else SHADED,
        key="adds" if one else "moves",
        name=what,
        hover="{y}, {x} steps ago: {z:.3g}",
    )
    names = [shortened(name, LETTERS) for name in features]
    y = Axis(ticks=np.arange(len(features)), tick_labels=names, reverse=True, grid=False)
    height = 120 + max(22 * len(features), 120)
    return Chart([Panel(Axis(LAG, reverse=True), y, [cells])], height=height, hover="nearest")


def _one_feature(values: Values, lags: NDArray[Any], title: str, signed: bool) -> Chart:
    colors = [VERMILLION if value > 0 else BLUE for value in values] if signed else BLUE
    bars = Bars(lags, values, color=colors, name=title, hover="{x} steps ago: {y:.3g}")
    return Chart([Panel(Axis(LAG, reverse=True), Axis(title), [bars])], hover="nearest")


@chart_of.register
def moments(finding: Moments) -> Chart:
    """The moments with the states most similar to that of a given moment.

    Shorter bars are more similar. What these moments have in common is what the state represents.

    Parameters
    ----------
    finding : Moments
        What `regen.inspect.similar_moments` returned.

    Returns
    -------
    Chart
        Of a bar for each moment, with a line at the typical distance.

    See Also
    --------
    regen.inspect.similar_moments : Computes the finding.

    Examples
    --------
    >>> import numpy as np, regen
    >>> y = np.sin(np.arange(60) / 3)
    >>> model = regen.Forecaster("gru", 8, 2, hidden=3, max_epochs=1, random_state=0).fit(y)
    >>> regen.figures.moments(regen.inspect.similar_moments(model, y, -1)).panels[0].notes[0].text
    'typical'
    """
    several = finding.times is None and len(np.unique(finding.sequences)) > 1
    if finding.times is not None:
        names = [date_text(each) for each in finding.times]
    else:
        pairs = zip(finding.sequences, finding.steps, strict=True)
        names = [f"{sequence}: {step}" if several else str(step) for sequence, step in pairs]
    chart = horizontal_bars(names, finding.distances, [BLUE] * len(names), "distance of the states")
    (panel,) = chart.panels
    high = 1.12 * max(finding.typical, float(finding.distances.max(initial=0.0)), 1e-12)
    return with_panel(
        chart,
        x=replace(panel.x, limits=(0, high)),
        y=replace(panel.y, title="sequence: step" if several else "when"),
        notes=[Note("typical", finding.typical, color=GREY)],
        rules=[Rule(finding.typical)],
    )


@chart_of.register
def ablation(finding: Ablation) -> Chart:
    """The loss increase without each unit or gate, the largest first.

    A long bar is a unit that the predictions depend on. Those near zero, or below it, could be removed.

    Parameters
    ----------
    finding : Ablation
        What `regen.inspect.ablate` returned.

    Returns
    -------
    Chart
        Of the first 24 units.

    See Also
    --------
    regen.inspect.ablate : Computes the finding.

    Examples
    --------
    >>> import numpy as np, regen
    >>> y = np.sin(np.arange(60) / 3)
    >>> model = regen.Forecaster("gru", 8, 2, hidden=3, max_epochs=1, random_state=0).fit(y)
    >>> len(regen.figures.ablation(regen.inspect.ablate(model, y)).panels[0].marks[0].size)
    3
    """
    order = np.argsort(-finding.lost, kind="stable")[:BARS]
    share = 100 * finding.lost[order] / finding.loss if finding.loss else finding.lost[order]
    names = [_named(finding, int(k)) for k in order]
    colors = [BLUE if each > 0 else GREY for each in share]
    chart = horizontal_bars(names, share, colors, "loss increase without it (%)")
    if len(finding.losses) <= BARS:
        return chart
    title = f"the first {BARS} of {len(finding.losses)}"
    return with_panel(chart, y=replace(chart.panels[0].y, title=title))


def _named(finding: Ablation, k: int) -> str:
    """``unit 7`` or ``input gate``; where there are several layers or directions, ``unit 7, forward``."""
    layer = f", {finding.layers[k]}" if len(np.unique(finding.layers)) > 1 else ""
    way = f", {finding.directions[k]}" if len(np.unique(finding.directions)) > 1 else ""
    gate = (
        f"{finding.names[k]}" if layer or way else f"{finding.names[k]} gate"
    )  # there is room for 16 letters
    return (f"unit {finding.names[k]}" if finding.of == "units" else gate) + layer + way


def _lines(norms: Labelled) -> Mapping[str, Values]:
    """(S,) values of each layer and direction, by name."""
    layers, ways = norms.labels["layer"], norms.labels["direction"]
    return {
        " ".join([f"{layer}"] * (len(layers) > 1) + [f"{way}"] * (len(ways) > 1)): norms.values[a, b]
        for a, layer in enumerate(layers)
        for b, way in enumerate(ways)
    }


def _decades(values: Values) -> tuple[float, float]:
    """The ends of a logarithmic axis, as logarithms, of at most 12 decades from the highest value down."""
    found = np.log10(values[np.isfinite(values) & (values > 0)])
    high = float(found.max()) if len(found) else 0.0
    low = max(float(found.min()) if len(found) else -1.0, high - 12)
    edge = 0.05 * (high - low or 1.0)
    return low - edge, high + edge


def _reached(finding: GradientFlow) -> str:
    share = f"{100 * finding.share:g} %"
    if finding.reach is None:
        return f"oldest inputs: {share} or more"
    return f"under {share} from age {finding.reach} on"
