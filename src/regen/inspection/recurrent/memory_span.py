"""The reach of the memory: how much the outputs change when all older inputs come from another sequence.

Letters: `n` rows, `S` recurrent steps, `K` outputs.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regen.estimators._probe import Probe
from regen.inspection.recurrent.parts import Part, not_run
from regen.kernels import LayerCall, Result
from regen.nets import LayerHook

__all__ = ["changes"]

MOST_LAGS = 48
"""Lags that are measured first; the exact one is searched for between two of them."""


def changes(
    probe: Probe, part: Part, share: float
) -> tuple[NDArray[np.int64], NDArray[np.float64], int | None]:
    """The change of the outputs when all inputs of some age and older are swapped, by age in recurrent steps.

    Returns
    -------
    lags : (k,) in recurrent steps: inputs of that age and older were swapped. change : (k,) of the outputs,
    root mean square, as a share of the change when everything is swapped. reach : the smallest lag from which
    on all changes are under `share`; None when the oldest input changes them more.
    """
    found: dict[int, float] = {}
    with torch.no_grad():
        seen: list[int] = []
        plain = _outputs(probe, part, None, seen)
        S = seen[0]
        whole = _distance(_outputs(probe, part, 0, seen), plain)

        def change(lag: int) -> float:
            if lag not in found:
                distance = (
                    _distance(_outputs(probe, part, lag, seen), plain) if 0 < lag < S else float(lag == 0)
                )
                found[lag] = distance / whole if 0 < lag < S and whole else distance
            return found[lag]

        for lag in np.unique(np.linspace(0, S, min(S + 1, MOST_LAGS)).round().astype(int)).tolist():
            change(lag)
        counts = [lag for lag in found if found[lag] >= share and whole]
        low, high = max(counts, default=-1), min((k for k in found if k > max(counts, default=-1)), default=S)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if change(middle) >= share else (low, middle)
    lags = np.array(sorted(found))
    return lags, np.array([found[lag] for lag in lags.tolist()]), None if high == S else high


def _outputs(probe: Probe, part: Part, older: int | None, seen: list[int]) -> Tensor:
    """(n, K) outputs with inputs of age `older` and above swapped; None swaps nothing."""
    outputs = []
    for batch in probe.batches():
        with part.intercept(layer=_swapping(part, older, seen)):
            outputs.append(batch.outputs(batch.x))
    if not seen:
        raise not_run(part)
    return torch.cat(outputs).double()


def _swapping(part: Part, older: int | None, seen: list[int]) -> LayerHook:
    """A hook for ``Recurrent.intercept``: the first layer receives old inputs of another row at its first run."""
    runs = 0

    def swap(call: LayerCall, run: Callable[[LayerCall], Result]) -> Result:
        nonlocal runs
        if runs <= part.net.bidirectional:
            seen.append(call.x.shape[1])
            call = call if older is None else call._replace(x=swapped(call.x, call.lengths, older))
        runs += 1
        return run(call)

    return swap


def swapped(x: Tensor, lengths: Tensor | None, older: int) -> Tensor:
    """(n, S, V) x with every input that lies at least `older` steps before its row's last one from another row.

    The other row is that half of all rows further on, read again from its start where it is too short; a single row
    is its own other, half of its steps later.
    """
    n, S, _ = x.shape
    ends = torch.full((n,), S) if lengths is None else lengths.cpu()
    steps = torch.arange(S)
    other = (torch.arange(n) + n // 2) % n
    place = (steps if n > 1 else steps + S // 2) % ends[other].clamp(min=1)[:, None]
    old = (ends[:, None] - 1 - steps >= older).to(x.device)
    return torch.where(old[..., None], x[other[:, None], place], x)


def _distance(left: Tensor, right: Tensor) -> float:
    return float((left - right).square().mean().sqrt())
