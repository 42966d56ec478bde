"""How good a generator is while it trains, measured on rows held out, and what to say of it in words.

Letters: `k` rows that are compared, `D` numbers of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, final

from regen.estimators.adversarial.evaluation import NEIGHBOURS, Board
from regen.metrics.generative import Memorisation, median_distance

__all__ = ["Judge", "shortfall", "verdicts"]

PERFECT = 1 - 2.0**-NEIGHBOURS
"""Coverage of real rows by other real rows, on average."""
COLLAPSED = 0.25
"""Coverage, as a share of the perfect one, under which kinds of rows are said to be missing."""
COPIES = 0.85
"""Chance that a generated row is nearer to the training rows than a new one, from which it may be a copy."""
AS_FAR = 0.5
"""Median distance to the training rows, as a share of that of new rows, under which it may be one. Rows that are only
more usual than real ones are nearer too, but not so near: those of the wines, 0.76 times as far."""
WON = 99.0
"""Mean score of held-out rows from which the discriminator is said to have won."""


def shortfall(quality: Mapping[str, float], measure: str | None) -> float:
    """How far from perfect, the less the better; None is the mean of precision and coverage.

    Precision tells of rows that lie beside the others, coverage of others that are missing. On a grid of 25 clouds
    the share of generated rows within 3 deviations rises from 0.88 to 0.96 over training, as precision does (0.90 to
    0.97) while recall falls from 0.90 to 0.78: by recall a generator would be kept that has learned for a quarter of
    the time.
    """
    if measure is None:
        return 1 - 0.5 * (quality["precision"] + quality["coverage"])
    value = quality[measure]
    if measure == "mmd":
        return value
    return abs(value - 0.5) if measure == "two_sample" else abs(1 - value)


@final
class Judge:
    """Called after every epoch, it measures after every `every`-th of them.

    Parameters
    ----------
    board : rows held out, and what generates as many.
    sampler : gives the net that samples.
    every : epochs.
    measure : which of the measures says what is best; None as in `shortfall`.
    """

    def __init__(self, board: Board, sampler: Callable[[], Any], every: int, measure: str | None) -> None:
        self._board, self._sampler, self._every, self._measure = board, sampler, every, measure
        self._bandwidth = median_distance(board.real)
        self._epochs = 0

    def __call__(self) -> dict[str, float]:
        """The measures, both scores, and in "loss" how far from perfect the chosen one is; or nothing."""
        self._epochs += 1
        if self._epochs % self._every:
            return {}
        fake = self._board.fake(self._sampler())
        quality = self._board.measured(fake, self._bandwidth)
        scores, _ = self._board.scored(fake)
        return {"loss": shortfall(quality, self._measure), **quality, **scores}

    def state_dict(self) -> dict[str, Any]:
        """How many epochs there have been."""
        return {"epochs": self._epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self._epochs = state["epochs"]


def verdicts(quality: Mapping[str, float], copies: Memorisation | None, held_out: bool) -> list[str]:
    """What a person should know of a trained game, a sentence or two each."""
    found = []
    rows = "held-out" if held_out else "training"
    if quality["coverage"] < COLLAPSED * PERFECT:
        good = quality["precision"] > 2 * quality["coverage"]
        why = (
            "Those it makes are good, but kinds of rows are missing: the generator has collapsed"
            if good
            else "The generator has not learned what rows look like"
        )
        found.append(
            f"The generated rows cover {100 * quality['coverage']:.0f} % of the {rows} ones; as good as real, they"
            f" would cover {100 * PERFECT:.0f} %. {why}. Train for longer, or look in history_ when coverage fell."
        )
    if copies is not None and copies.closer > COPIES and copies.ratio < AS_FAR and quality["precision"] > 0.5:
        found.append(
            f"Generated rows may be copies: with a chance of {100 * copies.closer:.0f} % one is nearer to the"
            f" training rows than a new real row is (50 % without copying), and {copies.ratio:.2f} times as far. Give"
            " more rows, smaller nets or fewer epochs."
        )
    if quality["score_real"] > WON:
        found.append(
            f"The discriminator has won: its mean score is {quality['score_real']:.0f} for {rows} rows and"
            f" {quality['score']:.0f} for generated ones, where 50 is a guess, and the generator has little to learn"
            " from. Raise penalty_weight, lower discriminator_rate, or let scores say who moves (turns='scores')."
        )
    return found
