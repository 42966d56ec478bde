"""How a network learned: the loss of every epoch, and that of every unfolded copy."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regen._drawing import chart_of
from regen.estimators._base import Estimator
from regen.figures.basic import labelled_lines, with_panel
from regen.figures.chart import Chart
from regen.figures.marks import Note, Points, Rule
from regen.figures.style import INK, columns_of

__all__ = ["learning_curves", "loss_per_step"]

Values = NDArray[np.float64]


def learning_curves(history: Any, *, unit: str = "") -> Chart:
    """The training and validation loss of every epoch, with the epoch whose weights were kept.

    Both lines should fall and level off. Where the validation loss rises while the training loss still falls, the
    network overfits; training stops soon after, and the weights of the marked epoch are kept. Lines that are still
    falling at their right end ask for more epochs.

    Parameters
    ----------
    history : dataframe or dict of arrays
        ``history_`` of an estimator: one row per epoch, with ``epoch``, a ``<player>.loss`` for each player and,
        where data were held out, ``validation.loss``.
    unit : str, default=""
        Of the loss, for the axis. The axis is logarithmic when losses differ by more than ten times.

    Returns
    -------
    Chart
        With the lowest loss marked by a ring.

    Raises
    ------
    ValueError
        When there are no epochs.

    See Also
    --------
    loss_per_step : The loss of every unfolded copy.

    Examples
    --------
    >>> from regen import figures
    >>> history = {"epoch": [1, 2], "train.loss": [2.0, 1.0], "validation.loss": [2.5, 1.5]}
    >>> figures.learning_curves(history).panels[0].notes[-1].text
    'lowest: 1.5 at epoch 2'
    """
    columns = columns_of(history)
    names = [name for name in columns if name.endswith(".loss") and not name.startswith("schedule.")]
    # The order of the players is that of all charts, so that their colors agree; validation comes last.
    names.sort(key=lambda name: (name.startswith("validation."), name == "discriminator.loss"))
    if not names or not len(columns["epoch"]):
        raise ValueError("history has no epochs. Fit the model first, and give its history_.")
    epoch = columns["epoch"]
    selected = next((name for name in names if name.startswith("validation.")), names[0])
    chart = labelled_lines(
        {_curve_name(name, names): (epoch, columns[name]) for name in names},
        ("epoch (one pass over the training data)", f"loss ({unit})" if unit else "loss"),
        log=_spans_decades([columns[name] for name in names]),
        bridged=["validation"],  # measured at some epochs only
    )
    if not np.isfinite(columns[selected]).any():
        return chart
    about = "" if selected.startswith("validation.") else " (no validation data)"
    return _with_lowest(chart, epoch, columns[selected], about)


@chart_of.register
def _of_estimator(model: Estimator, *, unit: str = "") -> Chart:
    """The learning curves of a fitted estimator."""
    return learning_curves(model.history_, unit=unit)


def _with_lowest(chart: Chart, epoch: Values, loss: Values, about: str) -> Chart:
    """A ring at the lowest loss, with a line and a note at its epoch."""
    best = int(np.nanargmin(np.where(np.isfinite(loss), loss, np.nan)))
    x, y = epoch[best], loss[best]
    ring = Points([x], [y], name=f"lowest{about}", color=INK, size=10, hollow=True, clipped=False, hover=None)
    late = x > (epoch[0] + epoch[-1]) / 2
    note = Note(f"lowest: {y:.3g} at epoch {x:g}", x, anchor="right" if late else "left")
    (panel,) = chart.panels
    return with_panel(chart, marks=[*panel.marks, ring], notes=[*panel.notes, note], rules=[Rule(float(x))])


def loss_per_step(losses: Any, *, segment: int = 1, unit: str = "") -> Chart:
    """The loss of every copy of the unfolded network, against the time steps that it had received by then.

    The first copy has received one segment only. The curve falls as far as the network remembers: where it is flat,
    a longer past no longer helps. A curve that rises at its end belongs to a network that forgets, or whose window is
    longer than its memory.

    Parameters
    ----------
    losses : array of shape (copies,) or dict of str to such arrays
        ``loss_per_step_`` of an estimator; several are drawn together.
    segment : int, default=1
        Time steps of each copy.
    unit : str, default=""
        Of the loss, for the axis.

    Returns
    -------
    Chart
        Of a line for each array.

    Raises
    ------
    ValueError
        When the losses do not have shape (copies,).

    See Also
    --------
    learning_curves : The loss of every epoch.

    Examples
    --------
    >>> from regen import figures
    >>> figures.loss_per_step([3.0, 2.0, 1.0], segment=4).panels[0].marks[0].x
    array([ 4.,  8., 12.])
    """
    named = losses if isinstance(losses, Mapping) else {"": losses}
    lines = {}
    for name, each in named.items():
        loss = np.asarray(each, dtype=np.float64)
        if loss.ndim != 1 or not len(loss):
            raise ValueError(f"losses must have shape (copies,). Got {loss.shape} instead.")
        lines[str(name)] = (segment * np.arange(1.0, len(loss) + 1), loss)
    titles = ("time steps", f"mean loss ({unit})" if unit else "mean loss")
    return labelled_lines(lines, titles, marker=5 if max(map(len, named.values())) <= 60 else 0)


def _spans_decades(curves: Sequence[Values]) -> bool:
    """Whether positive losses differ by more than ten times."""
    values = np.concatenate(curves)
    values = values[np.isfinite(values)]
    return len(values) > 0 and bool(values.min() > 0 and values.max() > 10 * values.min())


def _curve_name(name: str, names: Sequence[str]) -> str:
    """The name of a column of losses; with one player, the player's is left out."""
    player = name.removesuffix(".loss")
    if player == "validation":
        return "validation"
    players = [each for each in names if each != "validation.loss"]
    return "training" if len(players) == 1 else player
