"""The schedule of a game in which one player moves until it is ahead, and then the other."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple, final

from torch import Tensor

from regen._check import Constraint, Int, Number, check_parameters
from regen.training.schedule import Schedule

__all__ = ["Turn", "Turns", "turns"]

LOG = 1000
"""Turns that are remembered, the last ones."""
STARVING = 3
"""Turns of a player in a row that reach the cap before it is said."""
_TABLE: dict[str, Constraint] = {
    "low": Number(1, 100),
    "high": Number(1, 100),
    "cap": Int(1),
    "smoothing": Number(0, 1, high_open=True),
    "warmup": Int(1),
}


class Turn(NamedTuple):
    """A turn that was taken."""

    player: str
    """Who moved; ``"both"`` in the warm-up."""
    first: int
    """Batch of the run on which it began, from 0."""
    steps: int
    """Batches that it lasted."""
    why: str
    """Why it ended: "warm-up", "passed 45", "fell under 30", "cap", or "now" for the one that goes on."""


@final
class Turns(Schedule):
    """The generator moves until its samples fool the discriminator, then this one until they no longer do.

    Both players' terms hold the same number, from 1 to 100: the score that the discriminator gives to generated
    samples, 50 where it cannot tell. It is smoothed over the batches of both,
    ``s <- smoothing * s + (1 - smoothing) * score``. The generator's turn ends when s passes `high`, the
    discriminator's when s falls under `low`; between the two, whoever moves goes on. No turn is shorter than
    one batch or longer than `cap`. On the first `warmup` batches both move, the discriminator first; then the
    generator begins. A score that is not finite is not counted.

    Attributes
    ----------
    log : list of Turn. The last 1,000 turns and the one that goes on.
    """

    def __init__(
        self,
        generator: str,
        discriminator: str,
        low: float,
        high: float,
        cap: int,
        smoothing: float,
        warmup: int,
        term: str,
    ) -> None:
        given = {"low": low, "high": high, "cap": cap, "smoothing": smoothing, "warmup": warmup}
        check_parameters("turns", _TABLE, given)
        if low >= high:
            raise ValueError(
                f"turns needs low < high, so that no batch ends two turns. Got low={low!r} and high={high!r}."
            )
        if generator == discriminator:
            raise ValueError(f"turns needs two players of different names. Got {generator!r} twice.")
        self._generator, self._discriminator, self._term = generator, discriminator, term
        self._low, self._high, self._cap = low, high, cap
        self._smoothing, self._warmup = smoothing, warmup
        words = {"generator": generator, "discriminator": discriminator} | given | {"term": term}
        self._words = ", ".join(f"{name}={value}" for name, value in words.items())
        self._player = "both"
        self._first = self._steps = 0  # of the turn that goes on
        self._score: float | None = None
        self._log: list[Turn] = []
        self._turns = self._capped = self._batches = 0
        self._moves, self._streak = self._none(), self._none()
        self._said: list[str] = []

    @property
    def log(self) -> list[Turn]:
        """The turns so far, the last one unfinished."""
        return [*self._log, Turn(self._player, self._first, self._steps, "now")]

    def turn(self, step: int, terms: Mapping[str, Mapping[str, Tensor]]) -> tuple[str, ...]:
        """Who moves on this batch: both in the warm-up, then one."""
        if self._steps:
            self._listen(terms)
            why = self._over()
            if why:
                self._close(why)
        if not self._steps:
            self._first = step
        self._steps += 1
        self._batches += 1
        players = (self._discriminator, self._generator) if self._player == "both" else (self._player,)
        for name in players:
            self._moves[name] += 1
        return players

    def describe(self) -> str:
        """As it was called, with every argument."""
        return f"turns({self._words})"

    def report(self) -> dict[str, float]:
        """Numbers of the run so far.

        The smoothed score (NaN before there is one), each player's share of the batches (1 if it moved on all),
        turns that ended, and how many of them at the cap.
        """
        return {
            "score": math.nan if self._score is None else self._score,
            **{f"{name}_share": moves / max(1, self._batches) for name, moves in self._moves.items()},
            "turns": float(self._turns),
            "capped": float(self._capped),
        }

    def state_dict(self) -> dict[str, Any]:
        """Whose turn it is and since when, the smoothed score, the log and the counts."""
        return {
            "player": self._player,
            "first": self._first,
            "steps": self._steps,
            "score": self._score,
            "log": [list(turn) for turn in self._log],
            "turns": self._turns,
            "capped": self._capped,
            "batches": self._batches,
            "moves": dict(self._moves),
            "streak": dict(self._streak),
            "said": list(self._said),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned: the next turns are those of an uninterrupted run."""
        self._player, self._first, self._steps = state["player"], state["first"], state["steps"]
        self._score = state["score"]
        self._log = [Turn(*turn) for turn in state["log"]]
        self._turns, self._capped, self._batches = state["turns"], state["capped"], state["batches"]
        self._moves, self._streak = dict(state["moves"]), dict(state["streak"])
        self._said = list(state["said"])

    def _none(self) -> dict[str, int]:
        return {self._generator: 0, self._discriminator: 0}

    def _listen(self, terms: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Smooth the score of the last batch; terms are away after a divergence."""
        mover = self._generator if self._player == "both" else self._player
        if mover not in terms:
            return
        if self._term not in terms[mover]:
            raise ValueError(
                f"turns reads the term {self._term!r} of the player {mover!r}, which has "
                f"{', '.join(map(repr, terms[mover]))}. Let its loss return the score of generated samples."
            )
        score = float(terms[mover][self._term])
        if math.isfinite(score):
            before = score if self._score is None else self._score
            self._score = self._smoothing * before + (1 - self._smoothing) * score

    def _over(self) -> str:
        """Why the turn ends, or nothing."""
        if self._player == "both":
            return "warm-up" if self._steps >= self._warmup else ""
        if self._score is not None and self._player == self._generator and self._score > self._high:
            return f"passed {self._high:g}"
        if self._score is not None and self._player == self._discriminator and self._score < self._low:
            return f"fell under {self._low:g}"
        return "cap" if self._steps >= self._cap else ""

    def _close(self, why: str) -> None:
        """Write the turn down; the next one is the other's."""
        self._log = [*self._log, Turn(self._player, self._first, self._steps, why)][-LOG:]
        self._turns += 1
        if self._player != "both":
            self._capped += why == "cap"
            self._streak[self._player] = self._streak[self._player] + 1 if why == "cap" else 0
            self._warn(self._player)
        self._player = self._discriminator if self._player == self._generator else self._generator
        self._steps = 0

    def _warn(self, player: str) -> None:
        """Say, once for each player, that it cannot get ahead."""
        if self._streak[player] < STARVING or player in self._said:
            return
        self._said.append(player)
        other = self._discriminator if player == self._generator else self._generator
        if player == self._generator:
            goal = f"raise the score of its samples above {self._high:g}"
            advice = f"Lower the learning rate of the {other} or its size, or lower high."
        else:
            goal = f"bring the score of generated samples under {self._low:g}"
            advice = (
                f"They may be good; else raise the learning rate of the {player} or its size, or raise low."
            )
        warnings.warn(
            f"The {player} starves: {STARVING} turns in a row ended at the cap of {self._cap} batches "
            f"before it could {goal}. {advice}",
            RuntimeWarning,
            stacklevel=4,
        )


def turns(
    generator: str = "generator",
    discriminator: str = "discriminator",
    *,
    low: float = 30.0,
    high: float = 45.0,
    cap: int = 50,
    smoothing: float = 0.9,
    warmup: int = 10,
    term: str = "score",
) -> Turns:
    """Turn-taking by scores: each player moves until it is ahead, with hysteresis, for `cap` batches at most.

    A loss can fall while its player loses; the score that the discriminator gives to generated samples is
    bounded and means the same all along. The usual schedule is still
    ``alternate(discriminator=1, generator=1)``. One object is for one run: it remembers.

    Parameters
    ----------
    generator, discriminator : names of the players.
    low, high : scores from 1 to 100, ``low < high``. The generator moves until its smoothed score passes
        `high`, the discriminator until it falls under `low`. 45 is nearly a guess; under 30 real and generated
        samples are told apart.
    cap : batches that a turn lasts at most, so that nobody waits for ever. A player that reaches it three turns
        in a row is said to starve, once, by a RuntimeWarning.
    smoothing : weight of the past in the smoothed score, in [0, 1); 0.9 looks back some ten batches.
    warmup : first batches, on which both move.
    term : name of the score among the terms of both players' losses, a scalar tensor.

    Raises
    ------
    ValueError
        For numbers out of range, low >= high or one name twice; in training, for losses without the term.
    """
    return Turns(generator, discriminator, low, high, cap, smoothing, warmup, term)
