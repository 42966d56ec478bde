"""Every gate, context and state of a recurrent net, at every step.

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
from regen.inspection.recurrent.sentences import WORDS, unit_sentences
from regen.kernels import LayerCall, Result
from regen.nets import LayerHook

__all__ = ["Gates", "gates", "gates_of", "parts"]

AXES = ("layer", "direction", "sequence", "step", "unit")
DIRECTIONS = ("forward", "backward")


@final
@dataclass(frozen=True, eq=False)
class Gates(Finding):
    """What went on inside a recurrent net while it read.

    Attributes
    ----------
    part : which net of the model. cell : its equation. kernel : what ran it, and why.
    values : by word, with the axes layer, direction, sequence, step, unit; NaN past a sequence's end. LSTM: "input",
        "forget", "candidate", "output", "context" (c_t). GRU: "reset", "update", "candidate". Jordan: "hidden".
        All: "state", what the cell says and carries. ``found["forget"]`` or, by the letter, ``found["f"]``.
    weight : (L, D, H) of each unit on itself, for the diagonal cell; None for others.
    inputs : what was read at each step, in units of the data (mean over a segment); None where they are not known.
    times : (n, S) date or number of the last step of the data read by then; None where there are none.
    segment : steps of the data that a recurrent step reads.
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
        word = WORDS.get(type(self.cell).__name__, {}).get(word, word)
        if word not in self.values:
            kind, known = type(self.cell).__name__, ", ".join(map(repr, self.values))
            raise ValueError(f"The cell {kind} has no {word!r}. It has {known}.")
        return self.values[word]

    def units(self) -> Any:
        """A dataframe of one row for each unit: how long it holds, and how often it is written and emptied.

        Columns: layer, direction, unit; for each gate the share of time that it is open (``forget_open``, above 0.9)
        and closed (``forget_closed``, below 0.1); half_life, in steps of the data: the median over all moments of
        the time until half of what the unit held is forgotten (by the forget gate; GRU: the update gate; diagonal:
        its own weight times the slope), infinite where nothing ever is, NaN for cells that keep by a matrix; writes
        and resets for every 100 recurrent steps, see `events`; spread, the standard deviation of its state; rank by
        spread, 1 for the largest: a unit that never moves says nothing.
        """
        return frame(self._rhythm.table())

    def events(self) -> Any:
        """A dataframe of one row for each moment when a gate opened or closed.

        Columns: event ("write": the input gate opened, of a GRU the update gate closed; "reset": the forget gate
        closed, of a GRU the reset gate), layer, direction, unit, sequence, step (recurrent), and time where it is
        known. What is so at the first step has not become so there.
        """
        found = {name: np.argwhere(onsets) for name, onsets in self._rhythm.onsets.items()}
        places = np.concatenate([np.empty((0, 5), dtype=np.int64), *found.values()]).T
        columns: dict[str, Any] = {"event": np.repeat([*found], [len(each) for each in found.values()])}
        labels = self.values["state"].labels
        for axis, at in zip(AXES, places, strict=True):
            columns[axis] = np.asarray(labels[axis])[at] if axis != "unit" else at
        if self.times is not None:
            columns["time"] = self.times[places[2], places[3]]
        return frame(columns)

    def sentences(self, n: int = 5) -> list[str]:
        """How long the memory of this net is, and what its `n` most telling units do."""
        return unit_sentences(self._rhythm, n)

    @cached_property
    def _rhythm(self) -> UnitActivity:
        values = {word: each.values for word, each in self.values.items()}
        return UnitActivity(self.cell, values, self.weight, self.inputs, self.segment)


def gates(model: Any, X: Any, y: Any = None, *, part: str | None = None) -> Gates:
    """Every gate, context and state of a model while it reads X, from whichever backend runs fastest.

    The model runs once, as it would anyway; its recurrent net is asked to return what it computes on the way. That
    costs less than twice the run itself.

    Parameters
    ----------
    model : a fitted estimator with a recurrent net, a net of `regen.nn` or ``torch.nn``, or a torch module that holds
        some.
    X : what the model reads. A Forecaster: a series (N,) or (N, C), of which it sees windows that tile it from its
        end; one that carries its state reads the whole. Sequence estimators, autoencoders and GAN (its discriminator
        reads them): sequences as in ``fit``, such as (n, T, F). A torch module: its input, such as (B, T, I) with
        ``batch_first`` (array or tensor), a PackedSequence, or a tuple of its arguments. Every number is kept, 4
        bytes each.
    y : (n,) labels, which a GAN that was fitted with some reads; others take none.
    part : which recurrent net, of several; see `parts`. None is the first.

    Raises
    ------
    ValueError : nothing in the model is recurrent, there is no such part, or it was not run.
    """
    probe = probe_to_observe(model, X, y, part)
    return gates_of(probe, inspected_part(probe, part))


def gates_of(probe: Probe, chosen: Part) -> Gates:
    """The gates of one net of a model while it reads the rows of `probe`."""
    pieces = []
    with gradients_in_evaluation(probe.net), torch.no_grad():
        for batch in probe.batches():
            runs: list[Run] = []
            with chosen.intercept(layer=recording(runs)):
                batch.outputs(batch.x)
            pieces.append(runs)
    if not all(pieces):
        raise not_run(chosen)
    return _found(chosen, probe, pieces)


def parts(model: Any) -> tuple[str, ...]:
    """Names of the recurrent nets inside a model: what ``part=`` takes."""
    return tuple(part.name for part in parts_of(net_of(model)))


class Run(NamedTuple):
    """One layer in one direction, run over time once."""

    params: Parameters
    result: Result
    lengths: Tensor | None
    kernel: str


def recording(runs: list[Run]) -> LayerHook:
    """A hook for ``Recurrent.intercept`` that asks each layer for its gates and adds the run to `runs`."""

    def record(call: LayerCall, run: Callable[[LayerCall], Result]) -> Result:
        backend = "auto" if call.backend == "torch" else call.backend  # torch's operators return no gates
        recorded = call._replace(gates=True, backend=backend)
        result, lengths = run(recorded), call.lengths
        runs.append(
            Run(call.params, result, None if lengths is None else lengths.clone(), recorded.kernel()[1])
        )
        return (
            result if call.gates else result._replace(gates={})
        )  # the net would stack them without using them

    return record


def _found(part: Part, probe: Probe, pieces: list[list[Run]]) -> Gates:
    net, first = part.net, pieces[0]
    L, D = net.num_layers, 1 + net.bidirectional
    n, S = (
        sum(_rows_read(runs, L * D) for runs in pieces),
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
        values=GateValues(net.cell, pieces, (L, D), labels),
        weight=weight,
        inputs=_inputs(probe, sequences, S),
        times=_times(probe, n, S),
        segment=probe.segment,
    )


def _rows_read(runs: list[Run], each: int) -> int:
    """How many sequences a net read, in one call or in several that follow each other in time."""
    sizes = [run.result.output.shape[0] for run in runs[::each]]
    if min(sizes) < max(sizes):
        raise ValueError(
            f"The net was run on batches of {', '.join(map(str, sizes))} rows in turn, which are no steps of the same"
            " sequences. Inspect it alone, with what it reads."
        )
    return sizes[0]


@final
class GateValues(Mapping[str, Labelled]):
    """What a net told, by word: an array where it is one already, put together from its pieces when asked for."""

    def __init__(
        self, cell: Cell, pieces: list[list[Run]], layers: tuple[int, int], labels: dict[str, Sequence[Any]]
    ) -> None:
        words = WORDS.get(type(cell).__name__, {})
        letters = dict.fromkeys([*pieces[0][0].result.gates, "state"])
        self._letters = {words.get(letter, letter): letter for letter in letters}
        self._pieces, self._layers, self._labels = pieces, layers, labels
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


def _gathered(pieces: list[list[Run]], each: int, letter: str) -> NDArray[np.float32]:
    """(L*D, n, S, size) one gate of all pieces: calls of a net follow each other in time, pieces are rows."""
    rows = []
    for runs in pieces:
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
    """Names of the n sequences that a net read; channels that are read one by one are sequences of their own."""
    named = probe.rows
    if len(named) and n == len(named) * len(probe.features) and n > len(named):
        return [f"{feature} until {name}" for name in named for feature in probe.features]
    return named if len(named) == n else range(n)


def _inputs(probe: Probe, sequences: Sequence[Any], S: int) -> Labelled | None:
    """(n, S, F) mean of what each recurrent step reads anew, in units of the data."""
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
