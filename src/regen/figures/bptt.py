"""What flows through the unfolded network: costs forwards, gradients backwards, and what the answers rest on."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regen.data.calendar import date_text
from regen.figures.latent import BARS, LETTERS, bars
from regen.figures.learning import loss_per_step
from regen.figures.style import (
    BLUE,
    COLOURS,
    GREY,
    INK,
    SHADED,
    TWO_SIDED,
    VERMILLION,
    colour_key,
    decades,
    headed,
    key,
    new_figure,
    shown,
    stacked,
)
from regen.inspection.finding import figure_of
from regen.inspection.labelled import Labelled
from regen.inspection.recurrent.ablation import Ablation
from regen.inspection.recurrent.gradients import GradientFlow
from regen.inspection.recurrent.losses import LossPerCopy
from regen.inspection.recurrent.moments import Moments
from regen.inspection.recurrent.saliency import Saliency

__all__ = ["ablation", "cost", "gradient_flow", "moments", "saliency"]

Values = NDArray[np.float64]


@figure_of.register
def cost(finding: LossPerCopy, *, unit: str = "") -> Any:
    """The cost of every unfolded copy; see `loss_per_step`. Of an autoencoder, that of restoring each step.

    Parameters
    ----------
    unit : of the cost, for the axis.
    """
    figure = loss_per_step(finding.losses, segment=finding.segment, unit=unit)
    if finding.of == "step":
        figure.update_xaxes(title_text="step")
    return figure


@figure_of.register
def gradient_flow(finding: GradientFlow) -> Any:
    """The norm of the gradient at every step, and how much old inputs still change the answer.

    Of a net with several layers or directions, a line for the state of each; of others, one for what they read, too.
    What to read: time runs to the right, the gradient to the left. A line that falls straight on its logarithmic axis
    loses the same share at every step: what lies far to the left is hardly learned from. Below, the answer no longer
    depends on inputs older than where the line crosses 1 %.
    """
    figure = stacked([170, 120], gap=76, room=120)
    one = finding.rate.values.size == 1
    lines = {
        f"{word}{place}" if one else place: np.where(values > 0, values, np.nan)
        for word, each in finding.norms.items()
        for place, values in _lines(each).items()
        if (one or word == "state") and np.nanmax(values, initial=0.0) > 0
    }
    colours = dict(zip(lines, [*COLOURS, *[GREY] * len(lines)], strict=False))
    for name, values in lines.items():
        figure.add_scatter(
            x=finding.segment * np.arange(1, len(values) + 1),
            y=values,
            mode="lines",
            name=shown(name),
            line={"color": colours[name], "width": 2},
            hovertemplate="%{y:.3g}",
        )
    figure.layout.yaxis.update(_logarithmic(np.concatenate([np.ones(0), *lines.values()])))
    figure.update_layout(yaxis_title_text="norm of the gradient")
    figure.update_layout(xaxis2={"anchor": "y2", "title": {"text": "inputs of this age and older (steps)"}})
    figure.update_layout(xaxis={"anchor": "y", "title": {"text": "step (the answer is at the right end)"}})
    figure.add_scatter(
        x=finding.lags,
        y=100 * finding.change,
        xaxis="x2",
        yaxis="y2",
        mode="lines",
        name=f"change of the {finding.output}",
        line={"color": INK, "width": 2},
        hovertemplate="%{y:.3g} %",
    )
    figure.update_layout(yaxis2={"title": {"text": "change (%)"}, "rangemode": "tozero"})
    under = {"y0": 100 * finding.share, "y1": 100 * finding.share, "yref": "y2", "xref": "x2 domain"}
    line = {"color": VERMILLION, "width": 1, "dash": "dot"}
    figure.add_shape(type="line", x0=0, x1=1, line=line, **under)
    named = {name: colour for name, colour in colours.items() if colour != GREY}
    headed(figure, [f"gradient to the{' state' * (not one)} {key(named)['text']}", _reached(finding)])
    return figure


@figure_of.register
def saliency(finding: Saliency, *, sequence: Any = None) -> Any:
    """How much every feature at every lag adds to the answers.

    What to read: the newest step is at the right. Dark cells are what the answers rest on; on average over all
    sequences the sign is left out, for one sequence blue lowers the answer and red raises it.

    Parameters
    ----------
    sequence : one of those given, by its label; None is the mean size over all of them.
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
        return _one_feature(values[:, 0], lags, f"{shown(features[0])}: {what}", one)
    figure = new_figure(height=120 + max(22 * len(features), 120), hovermode="closest")
    limit = float(np.nanmax(np.abs(values), initial=1e-12))
    figure.add_heatmap(
        x=lags,
        y=np.arange(len(features)),
        z=values.T,
        zmin=-limit if one else 0,
        zmax=limit,
        colorscale=TWO_SIDED if one else SHADED,
        colorbar=colour_key("adds" if one else "moves"),
        name=what,
        hovertemplate="%{y}, %{x} steps ago: %{z:.3g}<extra></extra>",
    )
    names = [shown(name, LETTERS) for name in features]
    figure.update_yaxes(
        tickvals=np.arange(len(features)), ticktext=names, autorange="reversed", showgrid=False
    )
    figure.update_xaxes(title_text="lag (steps before the last one read)", autorange="reversed")
    return figure


@figure_of.register
def moments(finding: Moments) -> Any:
    """The moments at which the state was nearest to that of the moment asked about.

    What to read: shorter bars are more alike. What these moments have in common is what the network has noticed.
    """
    several = finding.times is None and len(np.unique(finding.sequences)) > 1
    if finding.times is not None:
        names = [date_text(each) for each in finding.times]
    else:
        pairs = zip(finding.sequences, finding.steps, strict=True)
        names = [f"{sequence}: {step}" if several else str(step) for sequence, step in pairs]
    figure = bars(names, finding.distances, [BLUE] * len(names), "distance of the states")
    figure.add_vline(x=finding.typical, line={"color": GREY, "width": 1, "dash": "dot"})
    figure.add_annotation(
        x=finding.typical,
        y=1,
        yref="paper",
        yanchor="bottom",
        text="usual",
        showarrow=False,
        font={"color": GREY},
    )
    figure.update_xaxes(
        range=[0, 1.12 * max(finding.typical, float(finding.distances.max(initial=0.0)), 1e-12)]
    )
    figure.update_yaxes(title_text="sequence: step" if several else "when")
    return figure


@figure_of.register
def ablation(finding: Ablation) -> Any:
    """How much the loss grows without each unit or gate, what is missed most first.

    What to read: a long bar is a unit that the answers need. Those near zero, or below it, could be spared.
    """
    order = np.argsort(-finding.lost, kind="stable")[:BARS]
    share = 100 * finding.lost[order] / finding.loss if finding.loss else finding.lost[order]
    names = [_named(finding, int(k)) for k in order]
    colours = [BLUE if each > 0 else GREY for each in share]
    figure = bars(names, share, colours, "loss without it (% more)")
    if len(finding.losses) > BARS:
        figure.update_yaxes(title_text=f"the first {BARS} of {len(finding.losses)}")
    return figure


def _named(finding: Ablation, k: int) -> str:
    """``unit 7`` or ``input gate``; where there are several layers or directions, ``unit 7, forward``."""
    layer = f", {finding.layers[k]}" if len(np.unique(finding.layers)) > 1 else ""
    way = f", {finding.directions[k]}" if len(np.unique(finding.directions)) > 1 else ""
    gate = (
        f"{finding.names[k]}" if layer or way else f"{finding.names[k]} gate"
    )  # there is room for 16 letters
    return (f"unit {finding.names[k]}" if finding.of == "units" else gate) + layer + way


def _lines(norms: Labelled) -> Mapping[str, Values]:
    """(S,) values of each layer and direction, by what tells them apart."""
    layers, ways = norms.labels["layer"], norms.labels["direction"]
    return {
        " ".join([f"{layer}"] * (len(layers) > 1) + [f"{way}"] * (len(ways) > 1)): norms.values[a, b]
        for a, layer in enumerate(layers)
        for b, way in enumerate(ways)
    }


def _logarithmic(values: Values) -> dict[str, Any]:
    """A logarithmic axis of at most 12 decades, from the highest value down."""
    found = np.log10(values[np.isfinite(values) & (values > 0)])
    high = float(found.max()) if len(found) else 0.0
    low = max(float(found.min()) if len(found) else -1.0, high - 12)
    edge = 0.05 * (high - low or 1.0)
    return {"range": [low - edge, high + edge], **decades(low - edge, high + edge)}


def _reached(finding: GradientFlow) -> str:
    share = f"{100 * finding.share:g} %"
    if finding.reach is None:
        return f"the oldest count: {share} or more"
    return f"under {share} from age {finding.reach} on"


def _one_feature(values: Values, lags: NDArray[Any], title: str, signed: bool) -> Any:
    figure = new_figure(hovermode="closest")
    colours = [VERMILLION if value > 0 else BLUE for value in values] if signed else BLUE
    figure.add_bar(
        x=lags,
        y=values,
        marker={"color": colours},
        name=title,
        hovertemplate="%{x} steps ago: %{y:.3g}<extra></extra>",
    )
    figure.update_xaxes(title_text="lag (steps before the last one read)", autorange="reversed")
    figure.update_yaxes(title_text=title)
    return figure
