"""Gates, contexts and states of a recurrent net at every step.

Letters: `L` layers, `D` directions, `n` sequences, `S` recurrent steps, `H` units.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regen._masks import length_mask
from regen.cells import Cell, Diagonal, Parameters
from regen.data.dataframes import frame
from regen.estimators._probe import Probe
from regen.inspection.finding import Finding
from regen.inspection.labelled import Labelled
from regen.inspection.recurrent.activity import UnitActivity
from regen.inspection.recurrent.models import (
    gradients_in_evaluation,
    inspected_part,
    net_of,
    probe_to_observe,
)
from regen.inspection.recurrent.parts import Part, not_run, parts_of
from regen.inspection.recurrent.sentences import unit_sentences
from regen.kernels import LayerCall, Result
from regen.nets import LayerHook

__all__ = ["Gates", "gates", "gates_of", "parts"]

AXES = ("layer", "direction", "sequence", "step", "unit")
DIRECTIONS = ("forward", "backward")


@final
@dataclass(frozen=True, eq=False, repr=False)
class Gates(Finding):
    """Gates, contexts and states of a recurrent net at every step.

    Attributes
    ----------
    part : str
        Name of the net inside the model.
    cell : Cell
        Its recurrent equation.
    kernel : str
        The kernel that ran it, and why.
    values : mapping of str to Labelled
        By gate, with the axes layer, direction, sequence, step and unit; NaN past the end of a sequence. LSTM:
        "input", "forget", "candidate", "output", "context" (c_t). GRU: "reset", "update", "candidate". Jordan:
        "hidden". All: "state" (h_t). ``found["forget"]`` or, by its letter, ``found["f"]``.
    weight : ndarray of shape (L, D, H) or None
        Weight of each unit on itself, for the diagonal cell.
    inputs : Labelled or None
        Input of each step in units of the data (mean over a segment); None where it is not known.
    times : ndarray of shape (n, S) or None
        Date or number of the last step of the data in each recurrent step; None where there are none.
    segment : int
        Steps of the data in each recurrent step.
    """

    part: str
    cell: Cell
    kernel: str
    values: Mapping[str, Labelled]
    weight: NDArray[np.float64] | None
    inputs: Labelled | None
    times: NDArray[Any] | None
    segment: int

    def __getitem__(self, word: str) -> Labelled:
        word = self.cell.gate_names.get(word, word)
        if word not in self.values:
            kind, known = type(self.cell).__name__, ", ".join(map(repr, self.values))
            raise ValueError(f"The cell {kind} has no {word!r}. It has {known}.")
        return self.values[word]

    def units(self) -> Any:
        """Summarise each unit.

        Returns
        -------
        table : DataFrame
            One row for each unit. Columns: layer, direction, unit; for each gate the share of time that it is
            open (``forget_open``, above 0.9) and closed (``forget_closed``, below 0.1); half_life, in steps of
            the data: the median over all steps of the time until half of the content of the unit is forgotten
            (LSTM: by the forget gate; GRU: by the update gate; diagonal: by its own weight times the derivative
            of the activation), infinite where nothing is forgotten, NaN for cells with a recurrent matrix;
            writes and resets per 100 recurrent steps, see `events`; spread, the standard deviation of its
            state; rank by spread, 1 for the largest.
        """
        return frame(self._activity.table())

    def events(self) -> Any:
        """List the steps at which a gate opened or closed.

        Returns
        -------
        table : DataFrame
            One row for each event. Columns: event ("write": the input gate opened, in a GRU the update gate
            closed; "reset": the forget gate closed, in a GRU the reset gate), layer, direction, unit, sequence,
            step (recurrent), and time where it is known. A gate that is open or closed from the first step on
            has no event there.
        """
        found = {name: np.argwhere(onsets) for name, onsets in self._activity.onsets.items()}
        places = np.concatenate([np.empty((0, 5), dtype=np.int64), *found.values()]).T
        columns: dict[str, Any] = {"event": np.repeat([*found], [len(each) for each in found.values()])}
        labels = self.values["state"].labels
        for axis, at in zip(AXES, places, strict=True):
            columns[axis] = np.asarray(labels[axis])[at] if axis != "unit" else at
        if self.times is not None:
            columns["time"] = self.times[places[2], places[3]]
        return frame(columns)

    def sentences(self, n: int = 5) -> list[str]:
        """Summarise the finding in sentences, the most important first.

        Parameters
        ----------
        n : int, default=5
            Units of the largest spread that are described.

        Returns
        -------
        sentences : list of str
            The length of the memory, and the units of the largest spread.
        """
        return unit_sentences(self._activity, n)

    @cached_property
    def _activity(self) -> UnitActivity:
        values = {word: each.values for word, each in self.values.items()}
        return UnitActivity(self.cell, values, self.weight, self.inputs, self.segment)


def gates(model: Any, X: Any, y: Any = None, *, part: str | None = None) -> Gates:
    """Record every gate, context and state of a recurrent net.

    The model runs once, on its own backend, and its recurrent net also returns what it computes on the way.
    This takes less than twice the time of the run alone.

    Parameters
    ----------
    model : Estimator or torch.nn.Module
        A fitted estimator with a recurrent net, a net of `regen.nn` or ``torch.nn``, or a torch module that
        contains one.
    X : array-like, tensor, dataframe or list of arrays
        The input. A Forecaster: a series (N,) or (N, C), which is cut into windows side by side up to its end;
        with ``bptt=k`` it is processed whole. Sequence estimators, autoencoders and GAN (its discriminator):
        sequences as in ``fit``, such as (n, T, F). A torch module: its input, such as (B, T, I) with
        ``batch_first`` (array or tensor), a PackedSequence, or a tuple of its arguments. Every value is kept,
        at 4 bytes each.
    y : array-like of shape (n,), default=None
        Labels for a GAN that was fitted with some; other models have no input for labels.
    part : str, default=None
        Name of the recurrent net, see `parts`; None is the first.

    Returns
    -------
    found : Gates
        Values by gate, with named axes.

    Raises
    ------
    ValueError
        When the model has no recurrent net or no such part, or did not run it.

    See Also
    --------
    clamp : Hold gates at values.
    gradient_flow : Gradients in place of gates.

    Examples
    --------
    >>> import torch, regen
    >>> net, x = torch.nn.LSTM(3, 8, batch_first=True), torch.randn(4, 5, 3)
    >>> found = regen.inspect.gates(net, x)
    >>> found["forget"]
    Labelled(layer: 1, direction: 1, sequence: 4, step: 5, unit: 8)
    """
    probe = probe_to_observe(model, X, y, part)
    return gates_of(probe, inspected_part(probe, part))


def gates_of(probe: Probe, chosen: Part) -> Gates:
    """The gates of one net of a model for the rows of `probe`."""
    batches_of_runs = []
    with gradients_in_evaluation(probe.net), torch.no_grad():
        for batch in probe.batches():
            runs: list[Run] = []
            with chosen.intercept(layer=recording(runs)):
                batch.outputs(batch.x)
            batches_of_runs.append(runs)
    if not all(batches_of_runs):
        raise not_run(chosen)
    return _found(chosen, probe, batches_of_runs)


def parts(model: Any) -> tuple[str, ...]:
    """List the recurrent nets inside a model.

    Parameters
    ----------
    model : Estimator or torch.nn.Module
        A fitted estimator with a recurrent net, a net of `regen.nn` or ``torch.nn``, or a torch module that
        contains one.

    Returns
    -------
    names : tuple of str
        Values that ``part=`` accepts.

    Raises
    ------
    ValueError
        When the model has no recurrent net.

    See Also
    --------
    gates : Gates of one of the parts.

    Examples
    --------
    >>> import torch, regen
    >>> regen.inspect.parts(torch.nn.LSTM(3, 8))
    ('net',)
    """
    return tuple(part.name for part in parts_of(net_of(model)))


class Run(NamedTuple):
    """One layer in one direction, run over time once."""

    params: Parameters
    result: Result
    lengths: Tensor | None
    kernel: str


def recording(runs: list[Run]) -> LayerHook:
    """A hook for ``Recurrent.intercept`` that records the gates of each layer in `runs`."""

    def record(call: LayerCall, run: Callable[[LayerCall], Result]) -> Result:
        backend = "auto" if call.backend == "torch" else call.backend  # torch's operators return no gates
        recorded = call._replace(gates=True, backend=backend)
        result, lengths = run(recorded), call.lengths
        runs.append(
            Run(call.params, result, None if lengths is None else lengths.clone(), recorded.kernel()[1])
        )
        # Without a request for gates the net would stack them unused.
        return result if call.gates else result._replace(gates={})

    return record


def _found(part: Part, probe: Probe, batches_of_runs: list[list[Run]]) -> Gates:
    net, first = part.net, batches_of_runs[0]
    L, D = net.num_layers, 1 + net.bidirectional
    n, S = (
        sum(_sequence_count(runs, L * D) for runs in batches_of_runs),
        sum(run.result.output.shape[1] for run in first[:: L * D]),
    )
    sequences = _sequences(probe, n)
    labels = {"layer": range(L), "direction": DIRECTIONS[:D], "sequence": sequences, "step": range(S)}
    weight = None
    if isinstance(net.cell, Diagonal):
        u = [run.params["weight_hh"].detach().double().cpu().numpy() for run in first[: L * D]]
        weight = np.stack(u).reshape(L, D, -1)
    return Gates(
        part=part.name,
        cell=net.cell,
        kernel=first[0].kernel,
        values=GateValues(net.cell, batches_of_runs, (L, D), labels),
        weight=weight,
        inputs=_inputs(probe, sequences, S),
        times=_times(probe, n, S),
        segment=probe.segment,
    )


def _sequence_count(runs: list[Run], each: int) -> int:
    """The sequences of one call, or of several that follow each other in time."""
    sizes = [run.result.output.shape[0] for run in runs[::each]]
    if min(sizes) < max(sizes):
        raise ValueError(
            f"The net was run on batches of {', '.join(map(str, sizes))} rows in turn, which are no steps of the same"
            " sequences. Inspect it alone, with its own input."
        )
    return sizes[0]


@final
class GateValues(Mapping[str, Labelled]):
    """The recorded values by gate, put together from the batches at the first access."""

    def __init__(
        self,
        cell: Cell,
        batches_of_runs: list[list[Run]],
        layers: tuple[int, int],
        labels: dict[str, Sequence[Any]],
    ) -> None:
        words = cell.gate_names
        letters = dict.fromkeys([*batches_of_runs[0][0].result.gates, "state"])
        self._letters = {words.get(letter, letter): letter for letter in letters}
        self._pieces, self._layers, self._labels = batches_of_runs, layers, labels
        self._known: dict[str, Labelled] = {}

    def __getitem__(self, word: str) -> Labelled:
        if word not in self._known:
            L, D = self._layers
            value = _gathered(self._pieces, L * D, self._letters[word])
            value = value.reshape(L, D, *value.shape[1:])
            self._known[word] = Labelled(value, AXES, self._labels | {"unit": range(value.shape[-1])})
        return self._known[word]

    def __contains__(self, word: object) -> bool:
        return word in self._letters

    def __iter__(self) -> Iterator[str]:
        return iter(self._letters)

    def __len__(self) -> int:
        return len(self._letters)


def _gathered(batches_of_runs: list[list[Run]], each: int, letter: str) -> NDArray[np.float32]:
    """(L*D, n, S, size) one gate: calls of a net follow each other in time, batches are rows."""
    rows = []
    for runs in batches_of_runs:
        calls = [[_ended(run, letter) for run in runs[k : k + each]] for k in range(0, len(runs), each)]
        layers = [torch.cat(steps, 1) if len(steps) > 1 else steps[0] for steps in zip(*calls, strict=True)]
        rows.append(torch.stack(layers) if each > 1 else layers[0][None])
    whole = torch.cat(rows, 1) if len(rows) > 1 else rows[0]
    return (whole.float() if whole.dtype is torch.bfloat16 else whole).cpu().numpy()


def _ended(run: Run, letter: str) -> Tensor:
    """(n, S, size) a gate, or the "state", NaN where a sequence is over."""
    value = (
        run.result.output if letter == "state" else run.result.gates.pop(letter)
    )  # its memory serves the next
    if run.lengths is None:
        return value
    there = length_mask(run.lengths, value.shape[1], value.device)
    return value.masked_fill(~there[..., None], torch.nan)


def _sequences(probe: Probe, n: int) -> Sequence[Any]:
    """Names of the n sequences of a net; independent channels are sequences of their own."""
    named = probe.rows
    if len(named) and n == len(named) * len(probe.features) and n > len(named):
        return [f"{feature} until {name}" for name in named for feature in probe.features]
    return named if len(named) == n else range(n)


def _inputs(probe: Probe, sequences: Sequence[Any], S: int) -> Labelled | None:
    """(n, S, F) mean of the new input of each recurrent step, in units of the data."""
    raw, s = probe.values, probe.segment
    if raw is None or -(-raw.shape[1] // s) != S:
        return None
    n, T, F = raw.shape
    if len(sequences) not in (n, n * F):
        return None
    mean = raw
    if s > 1:
        padded = np.pad(raw, ((0, 0), (0, -T % s), (0, 0)), constant_values=np.nan).reshape(n, S, s, F)
        there = (~np.isnan(padded)).sum(2)
        mean = np.nansum(padded, 2) / np.where(there > 0, there, np.nan)
    features = list(probe.features[:F])
    if len(sequences) == n * F > n:
        mean, features = mean.transpose(0, 2, 1).reshape(n * F, S, 1), ["x"]
    labels = {"sequence": sequences, "step": range(S), "feature": features}
    return Labelled(mean, ("sequence", "step", "feature"), labels)


def _times(probe: Probe, n: int, S: int) -> NDArray[Any] | None:
    times, s = probe.times, probe.segment
    if times is None or -(-times.shape[1] // s) != S:
        return None
    last = np.minimum(np.arange(1, S + 1) * s, times.shape[1]) - 1
    return np.repeat(times[:, last], n // len(times), axis=0)
