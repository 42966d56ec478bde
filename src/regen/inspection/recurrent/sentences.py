"""Sentences about the units of a recurrent net. Letters: `n` sequences, `S` recurrent steps, `F` features."""

import numpy as np
from numpy.typing import NDArray

from regen.inspection.labelled import Labelled
from regen.inspection.recurrent.activity import UnitActivity

__all__ = ["steps_text", "unit_sentences"]

FEW = 5
"""Least events for a rate."""
MARKED = 1.0
"""Standard deviations by which an input differs at the events of a unit, to be mentioned."""
ROUNDING = 1e-6
"""Share of the largest value up to which values are the same: float32 rounds so much."""
CORRELATED = 0.5
"""Correlation of a gate with an input that is mentioned."""
STEADY = 0.35
"""Spread of the distances between events, as a share of their median, below which they are regular."""


def unit_sentences(activity: UnitActivity, n: int) -> list[str]:
    """The length of the memory, and the `n` units of the largest spread."""
    parts = [_memory(activity)]
    places = np.argwhere(activity.rank <= n)
    for place in sorted(map(tuple, places), key=lambda at: int(activity.rank[at])):
        parts.append(_unit(activity, place))
    return parts


def steps_text(steps: float) -> str:
    """``118 steps``, ``0.4 steps``, ``1 step``."""
    if np.isinf(steps):
        return "ever"
    number = f"{steps:.0f}" if steps >= 9.95 else f"{steps:.2g}"
    return f"{number} step{'' if number == '1' else 's'}"


def _memory(activity: UnitActivity) -> str:
    half = activity.half_lives
    if np.isnan(half).all():
        kind = type(activity.cell).__name__
        return (
            f"The {kind} cell has a recurrent matrix and no half-life of single units: see its gradient_flow."
        )
    longest = tuple(int(k) for k in np.unravel_index(np.nanargmax(half), half.shape))
    return (
        f"Half of the {half.size} units forget half of their content in {steps_text(float(np.nanmedian(half)))};"
        f" {_name(half.shape, longest)} has the longest half-life, {steps_text(float(half[longest]))}."
    )


def _unit(activity: UnitActivity, place: tuple[int, ...]) -> str:
    half = activity.half_lives[place]
    name = _name(activity.half_lives.shape, place)
    name = name[0].upper() + name[1:]
    if np.isnan(half):
        return f"{name} has a state with standard deviation {activity.spread[place]:.2g}."
    parts = [f"keeps half of its content for {steps_text(float(half))}"]
    verbs = {"write": "is written", "reset": "is reset"}
    gates = {"write": ("input", 1), "reset": ("forget", -1)}
    if "update" in activity.gates:
        gates = {"write": ("update", -1), "reset": ("reset", -1)}
    layer, d, unit = place
    for event, onsets in activity.onsets.items():
        word, sign = gates[event]
        rate, when = _rate_text(onsets[layer, d, :, :, unit], activity.segment), ""
        if activity.inputs is not None:
            when = _input_text(
                onsets[layer, d, :, :, unit],
                sign * activity.values[word][layer, d, :, :, unit],
                d,
                activity.inputs,
            )
        if rate or when:
            parts.append(f"{verbs[event]}{'' if rate else ' most'}{rate}{when}")
    return f"{name} {', '.join(parts[:-1])}{' and ' if parts[1:] else ''}{parts[-1]}."


def _name(shape: tuple[int, ...], place: tuple[int, ...]) -> str:
    """``unit 7``, with its layer and direction where there are several."""
    layer = f" of layer {place[0]}" if shape[0] > 1 else ""
    way = f", {('forward', 'backward')[place[1]]}" if shape[1] > 1 else ""
    return f"unit {place[2]}{layer}{way}"


def _rate_text(onsets: NDArray[np.bool_], segment: int) -> str:
    """The rate of events (n, S), where there are enough of them."""
    rows, steps = np.nonzero(onsets)
    if len(rows) < FEW:
        return ""
    apart = np.abs(np.diff(steps))[np.diff(rows) == 0]
    if len(apart) >= FEW:
        low, middle, high = np.percentile(apart, (25, 50, 75))
        if high - low <= STEADY * middle:
            return f" about every {steps_text(float(middle * segment))}"
    per = 100 * len(rows) / onsets.size
    return f" {per:.2g} times in 100 steps"


def _input_text(
    onsets: NDArray[np.bool_], level: NDArray[np.floating], direction: int, inputs: Labelled
) -> str:
    """The input at the events of a gate: the most unusual one, or the most correlated one where events are few."""
    x = inputs.values
    before = np.full_like(x, np.nan)
    if direction == 0:
        before[:, 1:] = x[:, :-1]
    else:
        before[:, :-1] = x[:, 1:]
    few = onsets.sum() < FEW
    best, words = MARKED if not few else CORRELATED, ""
    for k, feature in enumerate(inputs.labels["feature"]):
        kinds = {("is high", "is low"): x[..., k], ("rises", "falls"): (x - before)[..., k]}
        for (up, down), values in kinds.items():
            strength = _correlation(level, values) if few else _deviation(onsets, values)
            if abs(strength) > best:
                best, words = abs(strength), f" when {feature} {up if strength > 0 else down}"
    return words


def _deviation(onsets: NDArray[np.bool_], values: NDArray[np.floating]) -> float:
    """Deviation of the mean at the events from the mean of all, in standard deviations."""
    known = ~np.isnan(values)
    there, everywhere = values[onsets & known].astype(np.float64), values[known].astype(np.float64)
    if not len(there) or not _varies(everywhere):
        return 0.0
    return float((there.mean() - everywhere.mean()) / everywhere.std())


def _correlation(left: NDArray[np.floating], right: NDArray[np.floating]) -> float:
    """Correlation of two arrays where both have numbers."""
    both = ~(np.isnan(left) | np.isnan(right))
    a, b = left[both].astype(np.float64), right[both].astype(np.float64)
    return float(np.corrcoef(a, b)[0, 1]) if _varies(a) and _varies(b) else 0.0


def _varies(values: NDArray[np.float64]) -> bool:
    """Whether values differ by more than the rounding of float32."""
    return len(values) > 1 and float(np.ptp(values)) > ROUNDING * float(np.abs(values).max())
