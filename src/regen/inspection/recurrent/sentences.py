"""What the units of a net do, in words. Letters: `n` sequences, `S` recurrent steps, `F` features."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from regen.inspection.labelled import Labelled
from regen.inspection.recurrent.activity import UnitActivity

__all__ = ["WORDS", "steps_text", "unit_sentences"]

WORDS: Mapping[str, Mapping[str, str]] = {
    "LSTM": {"i": "input", "f": "forget", "g": "candidate", "o": "output", "c": "context", "h": "state"},
    "GRU": {"r": "reset", "z": "update", "n": "candidate", "h": "state"},
    "Elman": {"h": "state"},
    "Diagonal": {"h": "state"},
    "Jordan": {"h": "hidden", "y": "state"},
}
"""What the letters of a cell's equation stand for."""
FEW = 5
"""Events that make a habit."""
MARKED = 1.0
"""Standard deviations by which an input differs at the events of a unit, to be worth a word."""
ALIKE = 0.5
"""Correlation of a gate with an input that is worth a word."""
STEADY = 0.35
"""Spread of the distances between events, as a share of their median, below which they come regularly."""


def unit_sentences(rhythm: UnitActivity, n: int) -> list[str]:
    """How long the memory of the net is, and what its `n` units of the largest spread do."""
    told = [_memory(rhythm)]
    places = np.argwhere(rhythm.rank <= n)
    for place in sorted(map(tuple, places), key=lambda at: int(rhythm.rank[at])):
        told.append(_unit(rhythm, place))
    return told


def steps_text(steps: float) -> str:
    """``118 steps``, ``0.4 steps``, ``1 step``."""
    if np.isinf(steps):
        return "ever"
    number = f"{steps:.0f}" if steps >= 9.95 else f"{steps:.2g}"
    return f"{number} step{'' if number == '1' else 's'}"


def _memory(rhythm: UnitActivity) -> str:
    half = rhythm.half_lives
    if np.isnan(half).all():
        kind = type(rhythm.cell).__name__
        return (
            f"The {kind} cell keeps by its recurrent matrix, not unit by unit: gradient_flow tells its reach."
        )
    longest = tuple(int(k) for k in np.unravel_index(np.nanargmax(half), half.shape))
    return (
        f"Half of the {half.size} units lose half of what they hold in {steps_text(float(np.nanmedian(half)))};"
        f" {_name(half.shape, longest)} keeps half of it longest, for {steps_text(float(half[longest]))}."
    )


def _unit(rhythm: UnitActivity, place: tuple[int, ...]) -> str:
    half = rhythm.half_lives[place]
    name = _name(rhythm.half_lives.shape, place)
    name = name[0].upper() + name[1:]
    if np.isnan(half):
        return f"{name} varies by {rhythm.spread[place]:.2g} (standard deviation of its state)."
    told = [f"holds half of its content for {steps_text(float(half))}"]
    verbs = {"write": "is written", "reset": "is emptied"}
    gates = {"write": ("input", 1), "reset": ("forget", -1)}
    if "update" in rhythm.gates:
        gates = {"write": ("update", -1), "reset": ("reset", -1)}
    layer, d, unit = place
    for event, onsets in rhythm.onsets.items():
        word, sign = gates[event]
        rate, when = _habit(onsets[layer, d, :, :, unit], rhythm.segment), ""
        if rhythm.inputs is not None:
            when = _when(
                onsets[layer, d, :, :, unit],
                sign * rhythm.values[word][layer, d, :, :, unit],
                d,
                rhythm.inputs,
            )
        if rate or when:
            told.append(f"{verbs[event]}{'' if rate else ' most'}{rate}{when}")
    return f"{name} {', '.join(told[:-1])}{' and ' if told[1:] else ''}{told[-1]}."


def _name(shape: tuple[int, ...], place: tuple[int, ...]) -> str:
    """``unit 7``, with its layer and direction where there are several."""
    layer = f" of layer {place[0]}" if shape[0] > 1 else ""
    way = f" reading {('forward', 'backward')[place[1]]}" if shape[1] > 1 else ""
    return f"unit {place[2]}{layer}{way}"


def _habit(onsets: NDArray[np.bool_], segment: int) -> str:
    """How often something happens, (n, S), where it happens often enough to say."""
    rows, steps = np.nonzero(onsets)
    if len(rows) < FEW:
        return ""
    apart = np.abs(np.diff(steps))[np.diff(rows) == 0]
    if len(apart) >= FEW:
        low, middle, high = np.percentile(apart, (25, 50, 75))
        if high - low <= STEADY * middle:
            return f" about every {steps_text(float(middle * segment))}"
    per = 100 * len(rows) / onsets.size
    return f" {per:.2g} times in 100 readings"


def _when(onsets: NDArray[np.bool_], level: NDArray[np.floating], direction: int, inputs: Labelled) -> str:
    """At which inputs a gate moves: those that stand out at its events, or go along with it where these are few."""
    x = inputs.values
    before = np.full_like(x, np.nan)
    if direction == 0:
        before[:, 1:] = x[:, :-1]
    else:
        before[:, :-1] = x[:, 1:]
    few = onsets.sum() < FEW
    best, words = MARKED if not few else ALIKE, ""
    for k, feature in enumerate(inputs.labels["feature"]):
        kinds = {("is high", "is low"): x[..., k], ("rises", "falls"): (x - before)[..., k]}
        for (up, down), values in kinds.items():
            strength = _alike(level, values) if few else _stands_out(onsets, values)
            if abs(strength) > best:
                best, words = abs(strength), f" when {feature} {up if strength > 0 else down}"
    return words


def _stands_out(onsets: NDArray[np.bool_], values: NDArray[np.floating]) -> float:
    """Mean of the values at the events, in standard deviations from that of all."""
    spread = np.nanstd(values)
    there = values[onsets & ~np.isnan(values)]
    return float((there.mean() - np.nanmean(values)) / spread) if spread > 0 and len(there) else 0.0


def _alike(left: NDArray[np.floating], right: NDArray[np.floating]) -> float:
    """Correlation of two arrays where both have numbers."""
    both = ~(np.isnan(left) | np.isnan(right))
    a, b = left[both], right[both]
    return float(np.corrcoef(a, b)[0, 1]) if len(a) > 1 and a.std() > 0 and b.std() > 0 else 0.0
