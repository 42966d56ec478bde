"""Times taken in turn: A B C, A B C, ..., so that what disturbs the machine disturbs all alike."""

import os
import time
from collections.abc import Callable, Mapping

SHORTEST = 4e-3
"""Seconds: what takes less is repeated within a round."""
PAUSE = 0.01
"""Seconds before each turn: torch's threads spin for some milliseconds after their work, on a core that whoever comes
next would miss."""


def describe_load(threads: int) -> str:
    """A line of warning where other programs want the processor; else nothing."""
    busy, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    if busy + threads <= cores + 0.5:
        return ""
    return (
        f"NOTE: {busy:.1f} other programs were running in the last minute and there are {cores} cores. Threads that\n"
        "wait for each other spin: under such a load neither times nor ratios are to be trusted.\n"
    )


def once(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turn(
    contestants: Mapping[str, Callable[[], object]], budget: float, least: int = 3, most: int = 15
) -> dict[str, list[float]]:
    """Seconds a call takes, in each round, of each contestant.

    budget : seconds for all; at least `least` rounds are run, and at most `most`.
    """
    calls = {}
    for name, work in contestants.items():
        first = once(work)
        seconds = first if first > SHORTEST else min(first, once(work))
        calls[name] = max(1, round(SHORTEST / max(seconds, 1e-7)))
    times: dict[str, list[float]] = {name: [] for name in contestants}
    start, rounds = time.perf_counter(), 0
    while rounds < least or (rounds < most and time.perf_counter() - start < budget):
        for name, work in contestants.items():
            time.sleep(PAUSE)
            if calls[name] > 1:
                work()
            begun = time.perf_counter()
            for _ in range(calls[name]):
                work()
            times[name].append((time.perf_counter() - begun) / calls[name])
        rounds += 1
    return times
