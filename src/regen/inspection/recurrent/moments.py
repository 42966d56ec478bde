"""Moments at which the state of a network was similar. Letters: `n` sequences, `S` recurrent steps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from regen._check import Choice, Int, check_parameters
from regen.cells import State
from regen.data.calendar import date_text
from regen.data.dataframes import frame
from regen.estimators._probe import Probe
from regen.inspection.finding import Finding
from regen.inspection.recurrent.gates import gates_of
from regen.inspection.recurrent.models import gradients_in_evaluation, inspected_part, probe_to_observe
from regen.inspection.recurrent.parts import Part
from regen.kernels import LayerCall, Result
from regen.nets import LayerHook

__all__ = ["Moments", "similar_moments"]


@final
@dataclass(frozen=True, eq=False, repr=False)
class Moments(Finding):
    """The moments with the states closest to that of one moment, the closest first.

    Attributes
    ----------
    at : tuple (sequence, step), or str
        The requested moment; of a series its date or number.
    sequences, steps : ndarray of shape (k,)
        Places of the moments; of a series, sequence 0 and the step of the series.
    times : ndarray of shape (k,) or None
        Their dates or numbers; None where a step has only its place.
    distances : ndarray of shape (k,)
        Euclidean distance of the states.
    typical : float
        Median distance over all moments.
    """

    at: Any
    sequences: NDArray[np.int64]
    steps: NDArray[np.int64]
    times: NDArray[Any] | None
    distances: NDArray[np.float64]
    typical: float

    def frame(self) -> Any:
        """Tabulate the moments.

        Returns
        -------
        table : DataFrame
            One row for each moment: rank, sequence, step, time where known, distance.
        """
        columns: dict[str, Any] = {"rank": np.arange(1, len(self.steps) + 1)}
        columns |= {"sequence": self.sequences, "step": self.steps}
        columns |= {} if self.times is None else {"time": self.times}
        return frame(columns | {"distance": self.distances})

    def sentences(self, n: int = 5) -> list[str]:
        """Summarise the finding in sentences, the most important first.

        Parameters
        ----------
        n : int, default=5
            Moments that are listed.

        Returns
        -------
        sentences : list of str
            The closest moments, and how close they are.
        """
        if not len(self.steps):
            return [f"No other moment is similar to {self._name(self.at)}."]
        named = [self._moment(k) for k in range(min(n, len(self.steps)))]
        near = self.distances[0] / self.typical if self.typical else 0.0
        return [
            f"The state at {self._name(self.at)} was most similar to that at {', '.join(named)}.",
            f"The closest is {near:.0%} of the median distance of all moments.",
        ]

    def _moment(self, k: int) -> str:
        if self.times is not None:
            return date_text(self.times[k])
        return self._name((int(self.sequences[k]), int(self.steps[k])))

    @staticmethod
    def _name(at: Any) -> str:
        return f"step {at[1]} of sequence {at[0]}" if isinstance(at, tuple) else str(at)


def similar_moments(
    model: Any,
    X: Any,
    t: Any,
    *,
    y: Any = None,
    n: int = 10,
    of: str = "state",
    part: str | None = None,
) -> Moments:
    """Find the steps at which the state of a model was closest to its state at step t (as LSTMVis matches states).

    Only local minima of the distance count, so that every moment is distinct and not the neighbour of a closer one.

    Parameters
    ----------
    model : Estimator or torch.nn.Module
        A fitted estimator with a recurrent net, a net of `regen.nn` or ``torch.nn``, or a torch module that
        contains one.
    X : array-like, tensor, dataframe or list of arrays
        The input, as in `gates`: a series (N,) or (N, C), sequences such as (n, T, F), or the input of a module.
        The state of a Forecaster at a step is that after the window that ends there.
    t : int, date or tuple (sequence, step)
        The moment. Of a series: the number of a step (negative: from the end) or its date; else (sequence, step) in
        recurrent steps, or the step alone of a single sequence.
    y : array-like of shape (n,), default=None
        Labels for a GAN that was fitted with some; other models have no input for labels.
    n : int, default=10
        Moments, at most.
    of : {"state", "context"}, default="state"
        h_t, or c_t of an LSTM, of all layers and directions concatenated.
    part : str, default=None
        Name of the recurrent net, see `parts`; None is the first.

    Returns
    -------
    found : Moments
        The moments, the closest first.

    Raises
    ------
    ValueError
        When there is no such moment, the model has no recurrent net, or its cell has no context.

    See Also
    --------
    gates : The states themselves.

    Examples
    --------
    >>> import torch, regen
    >>> net, x = torch.nn.LSTM(3, 8, batch_first=True), torch.randn(4, 5, 3)
    >>> regen.inspect.similar_moments(net, x, (0, 2), n=3).at
    (0, 2)
    """
    table = {"n": Int(1), "of": Choice(("state", "context"))}
    check_parameters("similar_moments", table, {"n": n, "of": of})
    probe = probe_to_observe(model, X, y, part, windows="sliding")
    chosen = inspected_part(probe, part)
    series = probe.horizon is not None
    found: tuple[NDArray[Any], NDArray[Any] | None, int]
    if series and not probe.stream:
        found = _after_windows(probe, chosen, of)
    else:
        recorded = gates_of(probe, chosen)
        values = recorded[of].values
        found = values.transpose(2, 3, 0, 1, 4).reshape(*values.shape[2:4], -1), recorded.times, 0
    states, times, first = found
    place = _place(t, states, times, first, series)
    away = np.linalg.norm(states - states[place], axis=-1)
    rows, steps = _closest(away, place, n)
    return Moments(
        at=place if times is None else date_text(times[place]),
        sequences=rows,
        steps=steps + first,
        times=None if times is None else times[rows, steps],
        distances=away[rows, steps].astype(np.float64),
        typical=float(np.nanmedian(away)),
    )


def _after_windows(probe: Probe, chosen: Part, of: str) -> tuple[NDArray[Any], NDArray[Any], int]:
    """States (1, M, size) after every window of a series, their times (1, M), and the step of the first."""
    if of == "context" and len(chosen.net.cell.states) < 2:
        raise ValueError(f"The cell {type(chosen.net.cell).__name__} has no 'context'. Use of='state'.")
    assert probe.times is not None
    pieces, each = [], chosen.net.num_layers * (1 + chosen.net.bidirectional)
    with gradients_in_evaluation(probe.net), torch.no_grad():
        for batch in probe.batches():
            left: list[State] = []
            with chosen.intercept(layer=_collecting(left)):
                batch.outputs(batch.x)
            states = torch.cat([state[of == "context"] for state in left[:each]], 1)
            pieces.append(states.reshape(len(batch.x), -1))
    return torch.cat(pieces)[None].cpu().numpy(), probe.times[None, :, -1], probe.times.shape[1] - 1


def _collecting(left: list[State]) -> LayerHook:
    """A hook for ``Recurrent.intercept`` that adds the last states of each layer to `left`."""

    def collect(call: LayerCall, run: Callable[[LayerCall], Result]) -> Result:
        result = run(call)
        left.append(result.state)
        return result

    return collect


def _place(
    t: Any, states: NDArray[Any], times: NDArray[Any] | None, first: int, series: bool
) -> tuple[int, int]:
    """Where t is among the states (n, S, size): (sequence, step)."""
    n, S = states.shape[:2]
    if not series:
        place = (0, t) if n == 1 and Int().accepts(t) else t
        if not isinstance(place, tuple) or len(place) != 2 or not all(map(Int().accepts, place)):
            raise ValueError(f"t must be (sequence, step), for there are {n} sequences. Got {t!r} instead.")
        row, step = int(place[0]), int(place[1])
        if not (0 <= row < n and 0 <= step < S) or np.isnan(states[row, step]).any():
            raise ValueError(
                f"There is no step {step} in sequence {row}: {n} sequences of at most {S} recurrent steps."
            )
        return row, step
    assert times is not None
    if Int().accepts(t) and (times.dtype.kind == "M" or int(t) < 0 or times[0, 0] == first):
        step = int(t) - first if t >= 0 else S + int(t)
    else:
        try:
            found = np.flatnonzero(times[0] == np.asarray(t).astype(times.dtype)).tolist()
        except (TypeError, ValueError):
            found = []
        step = found[0] if found else -1
    if not 0 <= step < S:
        ends = f"{date_text(times[0, 0])} to {date_text(times[0, -1])}"
        raise ValueError(f"There is no state at {t!r}: whole windows end from {ends}.")
    return 0, step


def _closest(
    away: NDArray[Any], place: tuple[int, int], n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sequence and step of the n smallest distances (n, S) that are local minima, without `place`."""
    open_ended = np.pad(np.where(np.isnan(away), np.inf, away), ((0, 0), (1, 1)), constant_values=np.inf)
    here = open_ended[:, 1:-1]
    lowest = (here < open_ended[:, :-2]) & (here <= open_ended[:, 2:]) & np.isfinite(here)
    lowest[place] = False
    rows, steps = np.nonzero(lowest)
    order = np.argsort(here[rows, steps], kind="stable")[:n]
    return rows[order], steps[order]
