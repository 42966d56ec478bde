"""A schedule for GANs in which each player moves until the score of generated samples crosses a threshold."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple, final

from torch import Tensor

from regen._check import Constraint, Int, Number, check_parameters
from regen._schema import Fields, Form, Maybe, Real, Row, Several, Whole, Words, check_form
from regen.training.schedule import Schedule

__all__ = ["Turn", "TurnTaking", "turns"]

MAX_LOG = 1000
"""Turns that are kept in the log, the last ones."""
MAX_CAPPED = 3
"""Turns of a player in a row that end at the cap before a warning."""
WARNED_KEY = "said"
"""Name of the players that were warned about, in a checkpoint file."""
_TABLE: dict[str, Constraint] = {
    "low": Number(1, 100),
    "high": Number(1, 100),
    "cap": Int(1),
    "smoothing": Number(0, 1, high_open=True),
    "warmup": Int(1),
}


class Turn(NamedTuple):
    """A turn of a game.

    Parameters
    ----------
    player : str
        The player that moved; ``"both"`` in the warm-up.
    first : int
        Batch of the run on which the turn began, from 0.
    steps : int
        Batches that it lasted.
    why : str
        Why it ended: "warm-up", "passed 45", "fell under 30", "cap", or "now" for the current one.

    See Also
    --------
    turns : The schedule with these turns.

    Examples
    --------
    >>> turns().log[-1]
    Turn(player='both', first=0, steps=0, why='now')
    """

    player: str
    first: int
    steps: int
    why: str


@final
class TurnTaking(Schedule):
    """The generator moves until its samples score above `high`, then the discriminator until they score below `low`.

    The terms of both players hold the score that the discriminator gives to generated samples, from 1 to 100, where
    50 means undecided. It is smoothed over the batches of both, ``s <- smoothing * s + (1 - smoothing) * score``. The
    generator's turn ends when s exceeds `high`, the discriminator's when s falls below `low`. No turn is shorter than
    one batch or longer than `cap`. On the first `warmup` batches both move, the discriminator first; then the
    generator begins. Scores that are not finite are ignored.
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
        numbers = {"low": low, "high": high, "cap": cap, "smoothing": smoothing, "warmup": warmup}
        check_parameters("turns", _TABLE, numbers)
        if low >= high:
            raise ValueError(
                f"turns needs low < high, so that no batch ends two turns. Got low={low!r} and high={high!r}."
            )
        if generator == discriminator:
            raise ValueError(f"turns needs two players of different names. Got {generator!r} twice.")
        self._generator, self._discriminator, self._term = generator, discriminator, term
        self._low, self._high, self._cap = low, high, cap
        self._smoothing, self._warmup = smoothing, warmup
        arguments = {"generator": generator, "discriminator": discriminator} | numbers | {"term": term}
        self._arguments = ", ".join(f"{name}={value}" for name, value in arguments.items())
        self._player = "both"
        self._first = self._steps = 0  # of the current turn
        self._score: float | None = None
        self._log: list[Turn] = []
        self._turns = self._capped = self._batches = 0
        self._moves, self._capped_in_a_row = self._zeros(), self._zeros()
        self._warned: list[str] = []

    @property
    def log(self) -> list[Turn]:
        """The last 1,000 turns and the current one."""
        return [*self._log, Turn(self._player, self._first, self._steps, "now")]

    def next_players(self, step: int, terms: Mapping[str, Mapping[str, Tensor]]) -> tuple[str, ...]:
        """Both players in the warm-up, then one."""
        if self._steps:
            self._update_score(terms)
            why = self._end_reason()
            if why:
                self._end_turn(why)
        if not self._steps:
            self._first = step
        self._steps += 1
        self._batches += 1
        players = (self._discriminator, self._generator) if self._player == "both" else (self._player,)
        for name in players:
            self._moves[name] += 1
        return players

    def describe(self) -> str:
        """The call that makes it, with every argument."""
        return f"turns({self._arguments})"

    def report(self) -> dict[str, float]:
        """The smoothed score (NaN at first), each player's share of the batches, ended turns, and capped turns."""
        return {
            "score": math.nan if self._score is None else self._score,
            **{f"{name}_share": moves / max(1, self._batches) for name, moves in self._moves.items()},
            "turns": float(self._turns),
            "capped": float(self._capped),
        }

    def state_dict(self) -> dict[str, Any]:
        """The current turn, the smoothed score, the log and the counts. Keys as in checkpoint files."""
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
            "streak": dict(self._capped_in_a_row),
            WARNED_KEY: list(self._warned),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned: the next turns are those of an uninterrupted run."""
        log = [tuple(turn) for turn in state["log"]]
        check_form(self._form(), state | {"log": log}, "schedule", {})
        self._player, self._first, self._steps = state["player"], state["first"], state["steps"]
        self._score = state["score"]
        self._log = [Turn(*turn) for turn in state["log"]]
        self._turns, self._capped, self._batches = state["turns"], state["capped"], state["batches"]
        self._moves, self._capped_in_a_row = dict(state["moves"]), dict(state["streak"])
        self._warned = list(state[WARNED_KEY])

    def _form(self) -> Form:
        """Of a state, whose turns are tuples."""
        names = (self._generator, self._discriminator)
        count, counts = Whole(), Fields({name: Whole() for name in names})
        turn = Row((Words(("both", *names)), Whole(), Whole(), Words()))
        return Fields(
            {
                "player": Words(("both", *names)),
                **dict.fromkeys(("first", "steps", "turns", "capped", "batches"), count),
                "score": Maybe(Real()),
                "log": Several(turn),
                "moves": counts,
                "streak": counts,
                WARNED_KEY: Several(Words(names)),
            }
        )

    def _zeros(self) -> dict[str, int]:
        return {self._generator: 0, self._discriminator: 0}

    def _update_score(self, terms: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Add the score of the last batch; there are no terms after a divergence."""
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

    def _end_reason(self) -> str:
        """Why the turn ends, or an empty text."""
        if self._player == "both":
            return "warm-up" if self._steps >= self._warmup else ""
        if self._score is not None and self._player == self._generator and self._score > self._high:
            return f"passed {self._high:g}"
        if self._score is not None and self._player == self._discriminator and self._score < self._low:
            return f"fell under {self._low:g}"
        return "cap" if self._steps >= self._cap else ""

    def _end_turn(self, why: str) -> None:
        """Log the turn; the next one is the other player's."""
        self._log = [*self._log, Turn(self._player, self._first, self._steps, why)][-MAX_LOG:]
        self._turns += 1
        if self._player != "both":
            self._capped += why == "cap"
            capped = self._capped_in_a_row
            capped[self._player] = capped[self._player] + 1 if why == "cap" else 0
            self._warn_if_stuck(self._player)
        self._player = self._discriminator if self._player == self._generator else self._generator
        self._steps = 0

    def _warn_if_stuck(self, player: str) -> None:
        """Warn, once for each player, when its turns end at the cap again and again."""
        if self._capped_in_a_row[player] < MAX_CAPPED or player in self._warned:
            return
        self._warned.append(player)
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
            f"The {player} does not get ahead: {MAX_CAPPED} turns in a row ended at the cap of {self._cap} batches "
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
) -> TurnTaking:
    """A schedule of turns by scores, with hysteresis: each player moves until it is ahead, for at most `cap` batches.

    A loss can fall while its player loses; the score that the discriminator gives to generated samples is bounded and
    keeps its meaning. ``alternate(discriminator=1, generator=1)`` is still the most common schedule. The object holds
    the state of one run.

    Parameters
    ----------
    generator, discriminator : str, default="generator", "discriminator"
        Names of the players.
    low, high : float, default=30.0, 45.0
        Scores from 1 to 100, ``low < high``. The generator moves until its smoothed score exceeds `high`, the
        discriminator until it falls below `low`. At 45 the discriminator nearly guesses; below 30 it distinguishes
        real and generated samples.
    cap : int, default=50
        Most batches of a turn, so that neither player waits for ever. A player that reaches it three turns in a row
        causes a RuntimeWarning, once.
    smoothing : float, default=0.9
        Weight of the past in the smoothed score, in [0, 1); 0.9 averages over some ten batches.
    warmup : int, default=10
        First batches, on which both move.
    term : str, default="score"
        Name of the score among the terms of both players' losses, a scalar tensor.

    Returns
    -------
    TurnTaking
        A `Schedule` with the attribute ``log``, a list of `Turn`.

    Raises
    ------
    ValueError
        For numbers out of range, low >= high or equal names; in training, for losses without the term.

    See Also
    --------
    alternate : A fixed cycle.

    Examples
    --------
    >>> turns(warmup=1).next_players(0, {})
    ('discriminator', 'generator')
    """
    return TurnTaking(generator, discriminator, low, high, cap, smoothing, warmup, term)
