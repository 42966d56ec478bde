"""Turns by scores: who moves, why a turn ends, and the warnings; wrong variants differ."""

import copy
import math
import shutil
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regen.training import History, Player, Schedule, Training, Turn, train
from regen.training.turn_taking import MAX_LOG, turns

G, D = "generator", "discriminator"


def take(
    schedule: Schedule, scores: Iterable[float], first: int, terms: dict[str, dict[str, Tensor]]
) -> tuple[str, dict[str, dict[str, Tensor]]]:
    """Who moves on every batch, b for both, and the last terms; `scores` are those of the movers' losses."""
    moves = ""
    for step, score in enumerate(scores, first):
        players = schedule.next_players(step, terms)
        terms = {**terms, **{name: {"score": torch.tensor(score)} for name in players}}
        moves += "b" if len(players) == 2 else players[0][0]
    return moves, terms


def follow(schedule: Schedule, scores: Iterable[float], first: int = 0) -> str:
    """The moves alone, from no terms."""
    return take(schedule, scores, first, {})[0]


def quick(**fields: Any) -> Any:
    """Turns without memory of past scores, and one batch to begin with."""
    return turns(**({"low": 30, "high": 45, "cap": 100, "smoothing": 0.0, "warmup": 1} | fields))


def test_turns_end_at_two_thresholds() -> None:
    """The generator moves past 45, the discriminator under 30; one threshold for both, or none, is another game."""
    scores = [10, 20, 40, 46, 40, 31, 29, 40, 50, 35, 10, 20]
    schedule = quick()
    assert follow(schedule, scores) == "bgggdddggddg"
    assert follow(quick(low=44), scores) == "bgggdggggdgg"
    assert schedule.log == [
        Turn("both", 0, 1, "warm-up"),
        Turn(G, 1, 3, "passed 45"),
        Turn(D, 4, 3, "fell under 30"),
        Turn(G, 7, 2, "passed 45"),
        Turn(D, 9, 2, "fell under 30"),
        Turn(G, 11, 1, "now"),
    ]


def test_a_score_between_the_thresholds_changes_nothing() -> None:
    """Hysteresis: between 30 and 45, ends included, whoever moves goes on."""
    between = [30, 45, 37, 45, 30, 44] * 5
    assert follow(quick(), between) == "b" + "g" * 29
    assert follow(quick(), [50, 50, *between]) == "bg" + "d" * 30


def test_the_score_is_smoothed() -> None:
    """One high score does not end a turn; the smoothed one is that of the formula, begun at the first score."""
    schedule = quick(smoothing=0.8)
    scores = [10, 100, 10, 10, 80, 80, 80, 80]
    assert follow(schedule, scores) == "bggggggd"
    smoothed = [10.0]
    for score in scores[1:-1]:  # the last one is not used yet
        smoothed.append(0.8 * smoothed[-1] + 0.2 * score)
    assert schedule.report()["score"] == pytest.approx(smoothed[-1])
    assert smoothed[-2] < 45 < smoothed[-1]
    assert follow(quick(), scores) == "bgdggddd"  # not smoothed


def test_both_players_scores_are_used() -> None:
    """In its turn the discriminator's own terms hold the score: the generator's are out of date by then."""
    schedule = quick()
    terms = {G: {"score": torch.tensor(50.0)}, D: {"score": torch.tensor(20.0)}}
    assert [schedule.next_players(step, terms) for step in range(5)] == [(D, G), (G,), (D,), (G,), (D,)]


def test_warm_up() -> None:
    """Both move on the first batches, the discriminator first, whatever the score; it counts as no one's turn."""
    schedule = quick(warmup=4)
    assert schedule.next_players(0, {}) == (D, G)
    assert follow(quick(warmup=4), [1, 99, 1, 99, 99, 99]) == "bbbbgd"
    assert math.isnan(schedule.report()["score"])


def test_a_turn_is_capped() -> None:
    """At the cap the other moves, for one batch at least, and the log names the reason."""
    schedule = quick(cap=3)
    assert follow(schedule, [10] * 8) == "bgggdggg"
    assert [turn.why for turn in schedule.log] == ["warm-up", "cap", "fell under 30", "now"]
    assert follow(quick(cap=3), [10, 10, 50, *[50] * 6]) == "bggdddgdd"


def test_reaching_the_threshold_at_the_cap_is_no_cap() -> None:
    """On the last batch allowed the threshold counts."""
    schedule = quick(cap=2)
    follow(schedule, [10, 10, 50, 50])
    assert schedule.log[1] == Turn(G, 1, 2, "passed 45")
    assert schedule.report()["capped"] == 0


def test_report() -> None:
    """The score, the share of batches of each player, turns and capped turns."""
    schedule = quick(cap=3)
    follow(schedule, [10] * 8)
    assert schedule.report() == {
        "score": 10.0,
        "generator_share": 7 / 8,
        "discriminator_share": 2 / 8,
        "turns": 3.0,
        "capped": 1.0,
    }


def test_starving_warns_once() -> None:
    """Three capped turns of one player in a row; a turn that ends otherwise starts the count anew."""
    schedule = quick(cap=2)
    follow(schedule, [10] * 9)  # bggdggdgg: the third is not over
    with pytest.warns(RuntimeWarning) as caught:
        assert follow(schedule, [10] * 9, 9) == "dggdggdgg"
    assert [str(warning.message) for warning in caught] == [
        "The generator does not get ahead: 3 turns in a row ended at the cap of 2 batches before it could raise the "
        "score of its samples above 45. Lower the learning rate of the discriminator or its size, or lower high."
    ]
    other = quick(cap=2)
    with pytest.warns(RuntimeWarning) as caught:
        follow(other, [60] * 30)
    assert [str(warning.message) for warning in caught] == [
        "The discriminator does not get ahead: 3 turns in a row ended at the cap of 2 batches before it could bring "
        "the score of generated samples under 30. They may be good; else raise the learning rate of the "
        "discriminator or its size, or raise low."
    ]
    follow(quick(cap=2), [10, *[10, 10, 10, 10, 10, 10, 50, 10] * 6])  # never three in a row: no warning


def test_a_resumed_run_takes_the_same_turns() -> None:
    """Stopped at any batch, in the middle of a turn, and taken up by a new schedule: same moves, log and report.

    A new schedule without the state, or one whose turn began anew, takes others.
    """
    draw = torch.Generator().manual_seed(0)
    scores = (50 + 40 * torch.randn(120, generator=draw)).clamp(1, 100).tolist()
    whole = quick(smoothing=0.7, cap=6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = follow(whole, scores)
        forgot = late = 0
        for stop in range(1, 120):
            before = quick(smoothing=0.7, cap=6)
            moves, terms = take(before, scores[:stop], 0, {})
            state = before.state_dict()
            kept = copy.deepcopy(state)
            take(before, scores[stop:], stop, terms)
            assert state == kept  # a copy, not a view of what goes on
            after = quick(smoothing=0.7, cap=6)
            after.load_state_dict(state)
            assert moves + take(after, scores[stop:], stop, terms)[0] == expected
            assert after.log == whole.log and after.report() == whole.report()
            assert after.state_dict() == whole.state_dict()
            forgot += moves + take(quick(smoothing=0.7, cap=6), scores[stop:], stop, terms)[0] != expected
            twin = quick(smoothing=0.7, cap=6)
            twin.load_state_dict(state | {"steps": 1})
            late += moves + take(twin, scores[stop:], stop, terms)[0] != expected
    assert forgot > 100 and late > 20
    assert {turn.why for turn in whole.log} == {"warm-up", "passed 45", "fell under 30", "cap", "now"}


def test_the_warning_is_not_repeated_after_resuming() -> None:
    """One warning per run."""
    schedule = quick(cap=1)
    with pytest.warns(RuntimeWarning, match="does not get ahead"):
        follow(schedule, [10] * 20)
    resumed = quick(cap=1)
    resumed.load_state_dict(schedule.state_dict())
    follow(resumed, [10] * 20, 20)


def test_the_log_is_bounded() -> None:
    """Only the last turns are kept; all are counted."""
    schedule = quick()
    follow(schedule, [50, *[50, 20] * MAX_LOG])
    assert len(schedule.state_dict()["log"]) == MAX_LOG
    assert schedule.report()["turns"] == 2 * MAX_LOG
    assert schedule.log[-1] == Turn(D, 2 * MAX_LOG, 1, "now")


def test_terms_that_are_away_or_not_finite_change_nothing() -> None:
    """After a divergence the loop forgets the terms; a NaN is not counted."""
    schedule = quick()
    follow(schedule, [10, 20, 20])
    assert schedule.next_players(3, {}) == (G,)
    assert schedule.next_players(4, {G: {"score": torch.tensor(math.nan)}}) == (G,)
    assert schedule.report()["score"] == 20


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"low": 0}, "The 'low' parameter of turns must be a number in [1, 100]. Got 0 instead."),
        ({"cap": 0}, "The 'cap' parameter of turns must be an int in [1, inf). Got 0 instead."),
        ({"smoothing": 1}, "The 'smoothing' parameter of turns must be a number in [0, 1). Got 1 instead."),
        ({"warmup": 0}, "The 'warmup' parameter of turns must be an int in [1, inf). Got 0 instead."),
        ({"low": 45}, "turns needs low < high, so that no batch ends two turns. Got low=45 and high=45."),
        ({"generator": D}, "turns needs two players of different names. Got 'discriminator' twice."),
    ],
    ids=str,
)
def test_refusals(fields: dict[str, Any], words: str, message_of: Any) -> None:
    """Numbers out of range, thresholds in the wrong order, one name twice."""
    assert message_of(ValueError, quick, **fields) == words


def test_a_loss_without_a_score_is_refused(message_of: Any) -> None:
    """The message names the terms that the player has."""
    schedule = quick()
    schedule.next_players(0, {})
    assert message_of(
        ValueError, schedule.next_players, 1, {G: {"loss": torch.tensor(1.0), "norm": torch.tensor(1.0)}}
    ) == (
        "turns reads the term 'score' of the player 'generator', which has 'loss', 'norm'. "
        "Let its loss return the score of generated samples."
    )


def test_describe_names_every_argument() -> None:
    """A checkpoint is refused by a run with other thresholds, names or smoothing."""
    assert turns().describe() == (
        "turns(generator=generator, discriminator=discriminator, low=30.0, high=45.0, cap=50, smoothing=0.9, "
        "warmup=10, term=score)"
    )
    others = [
        quick(**{name: value})
        for name, value in [("low", 20), ("cap", 7), ("term", "fooled"), ("generator", "g")]
    ]
    assert len({each.describe() for each in [quick(), *others]}) == 5


# In the loop: a point that learns to be where the data are, and a line that separates it from them.


class Game:
    """A Dirac-GAN of a few weights; `crash` is the batch before which the run ends."""

    def __init__(self, path: Path | None, crash: int | None = None) -> None:
        torch.manual_seed(0)
        self.made, self.critic = nn.Linear(1, 1), nn.Linear(1, 1)
        self.path, self.crash, self.moves = path, crash, 0
        self.schedule = turns(low=49.0, high=49.9, cap=6, smoothing=0.5, warmup=2)

    def loss(self, sign: float) -> Callable[[Tensor], dict[str, Tensor]]:
        """Of the discriminator (+1) or of the generator (-1): the difference of the logits."""

        def compute(real: Tensor) -> dict[str, Tensor]:
            self.moves += 1
            if self.moves == self.crash:
                raise KeyError("crash")
            gap = (self.critic(self.made(torch.randn(8, 1))) - self.critic(real)).mean()
            return {
                "loss": sign * gap + 0.1 * self.critic.weight.square().sum(),
                "score": 100 * gap.sigmoid(),
            }

        return compute

    def run(self, batches: Any) -> History:
        """Train."""
        players = [Player(D, self.critic, self.loss(1.0)), Player(G, self.made, self.loss(-1.0))]
        training = Training(checkpoint=self.path, clip=None, patience=None)
        generator = torch.Generator().manual_seed(1)
        return train(
            players, self.schedule, batches, training, max_epochs=6, learning_rate=0.02, generator=generator
        )


class Points:
    """Seven batches of data around 2."""

    def __len__(self) -> int:
        return 7

    def epoch(self, generator: torch.Generator) -> Iterable[Tensor]:
        """Fresh draws."""
        for _ in range(7):
            yield 2 + torch.randn(8, 1, generator=generator)


@pytest.mark.filterwarnings("ignore:The .* does not get ahead:RuntimeWarning")
def test_turns_in_the_loop_and_through_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted in the middle of turns and resumed from the file: the same turns, history and weights."""
    monkeypatch.setattr("regen.training.checkpoint.WRITE_EVERY", 0.0)
    monkeypatch.setattr("regen.training.loop.CHECK_EVERY", 1)
    whole = Game(None)
    history = whole.run(Points())
    row = history.rows[-1]
    assert row["schedule.turns"] >= 4 and 0 < row["schedule.generator_share"] < 1
    assert sum(turn.steps for turn in whole.schedule.log) == 42
    for crash in (9, 23, 37):
        path = tmp_path / f"{crash}.regen"
        with pytest.raises(KeyError, match="crash"):
            Game(path, crash).run(Points())
        resumed = Game(path)
        again = resumed.run(Points())
        assert resumed.schedule.log == whole.schedule.log
        assert [row | {"seconds": 0} for row in again.rows] == [row | {"seconds": 0} for row in history.rows]
        for net, other in ((resumed.made, whole.made), (resumed.critic, whole.critic)):
            assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))


@pytest.mark.filterwarnings("ignore:The .* does not get ahead:RuntimeWarning")
def test_a_checkpoint_of_before_resumes(tmp_path: Path) -> None:
    """A file of the first release candidate, written before the 37th step of a player: the same turns follow."""
    path = tmp_path / "turns.safetensors"
    shutil.copy(Path(__file__).parent / "checkpoints" / "turns.safetensors", path)
    whole = Game(None)
    expected = whole.run(Points())
    resumed = Game(path)
    history = resumed.run(Points())
    assert history.resumed and resumed.moves < whole.moves
    assert resumed.schedule.log == whole.schedule.log
    torch.testing.assert_close(resumed.made.weight, whole.made.weight, rtol=0, atol=1e-5)
    assert history.rows[-1]["schedule.score"] == pytest.approx(expected.rows[-1]["schedule.score"], abs=1e-3)
