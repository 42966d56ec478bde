"""How a network learned: the loss of every epoch, and the cost of every unfolded copy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regen.figures.style import GREY, INK, columns_of, labelled, shown

__all__ = ["learning_curves", "loss_per_step"]

Values = NDArray[np.float64]


def learning_curves(history: Any, *, unit: str = "") -> Any:
    """The loss of every epoch, on the data trained on and on those held out, with the epoch whose weights were kept.

    What to read: both lines should fall and level off. When the held-out one turns up while the other still falls,
    the network has begun to learn its training data by heart; training stops soon after, and the weights of the
    marked epoch are kept. Lines that are still falling at their right end ask for more epochs.

    Parameters
    ----------
    history : ``history_`` of an estimator: a table (or dict of columns) of one row per epoch, with ``epoch``, a
        ``<player>.loss`` for each player and, where data were held out, ``validation.loss``.
    unit : unit of the loss, for the axis. The axis is logarithmic when losses differ by more than ten times.
    """
    columns = columns_of(history)
    names = [name for name in columns if name.endswith(".loss") and not name.startswith("schedule.")]
    # What is held out comes last, and a game's players in the order that they have elsewhere: so their colours agree.
    names.sort(key=lambda name: (name.startswith("validation."), name == "discriminator.loss"))
    if not names or not len(columns["epoch"]):
        raise ValueError("history has no epochs. Fit the model first, and give its history_.")
    epoch = columns["epoch"]
    ends = [name for name in names if name.startswith("validation.")] or names[:1]
    judged = columns[ends[0]]
    lines = {_curve_name(name, names): (epoch, columns[name]) for name in names}
    figure = labelled(lines, log=_spans_decades([columns[name] for name in names]))
    figure.update_traces(connectgaps=True, selector={"name": "held out"})  # measured now and then
    if np.isfinite(judged).any():
        _mark_lowest(
            figure, epoch, judged, "" if ends[0].startswith("validation.") else " (nothing held out)"
        )
    figure.update_xaxes(title_text="epoch (one pass over the training data)")
    figure.update_yaxes(title_text=shown(f"loss ({unit})" if unit else "loss"))
    return figure


def _mark_lowest(figure: Any, epoch: Values, judged: Values, about: str) -> None:
    """A ring and a word at the lowest of the losses, beside a line that says its epoch."""
    best = int(np.nanargmin(np.where(np.isfinite(judged), judged, np.nan)))
    x, y = epoch[best], judged[best]
    figure.add_vline(x=float(x), line={"color": GREY, "width": 1, "dash": "dot"})
    figure.add_scatter(
        x=[x],
        y=[y],
        mode="markers",
        name=f"lowest{about}",
        hoverinfo="skip",
        cliponaxis=False,
        marker={"size": 10, "color": "#ffffff", "line": {"color": INK, "width": 2}},
    )
    figure.add_annotation(
        x=x,
        y=1,
        yref="paper",
        yanchor="bottom",
        xanchor="right" if x > (epoch[0] + epoch[-1]) / 2 else "left",
        text=f"lowest: {y:.3g} at epoch {x:g}",
        showarrow=False,
        font={"color": INK},
    )


def loss_per_step(costs: Any, *, segment: int = 1, unit: str = "") -> Any:
    """The cost of every copy of the unfolded network, against the steps that it had read by then.

    What to read: the first copy has read one segment and knows little. The curve falls as far as the network
    remembers: where it is flat, reading further back no longer helps. A curve that rises at its end forgets what it
    knew, or reads further than it can carry.

    Parameters
    ----------
    costs : (copies,) ``loss_per_step_`` of an estimator, or a dict of name -> such an array, drawn together.
    segment : steps read by each copy.
    unit : unit of the cost, for the axis.
    """
    named = costs if isinstance(costs, Mapping) else {"": costs}
    lines = {}
    for name, each in named.items():
        cost = np.asarray(each, dtype=np.float64)
        if cost.ndim != 1 or not len(cost):
            raise ValueError(f"costs must have shape (copies,). Got {cost.shape} instead.")
        lines[str(name)] = (segment * np.arange(1.0, len(cost) + 1), cost)
    figure = labelled(lines, mode="lines+markers" if max(map(len, named.values())) <= 60 else "lines")
    figure.update_xaxes(title_text="steps read")
    figure.update_yaxes(title_text=shown(f"mean cost ({unit})" if unit else "mean cost"))
    return figure


def _spans_decades(curves: Sequence[Values]) -> bool:
    """Whether positive losses differ by more than ten times."""
    values = np.concatenate(curves)
    values = values[np.isfinite(values)]
    return len(values) > 0 and bool(values.min() > 0 and values.max() > 10 * values.min())


def _curve_name(name: str, names: Sequence[str]) -> str:
    """Words for a column of losses; with one player, its name says nothing."""
    player = name.removesuffix(".loss")
    if player == "validation":
        return "held out"
    players = [each for each in names if each != "validation.loss"]
    return "training" if len(players) == 1 else player
