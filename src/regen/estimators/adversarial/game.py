"""How two networks compete: one set of words shared by `GAN` and `DCGAN`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

from regen._check import (
    Anything,
    Bool,
    Choice,
    Constraint,
    Either,
    Int,
    Nothing,
    Number,
)
from regen.losses.gan import GAN_LOSSES, GANLoss, gan_loss
from regen.training.params import Params
from regen.training.schedule import Schedule, alternate
from regen.training.turn_taking import turns

__all__ = ["CENTRED", "MEASURES", "Game", "Rules"]

MEASURES = ("coverage", "density", "precision", "recall", "two_sample", "mmd")
"""What is measured of generated rows, in the words of `early_stopping`."""
PENALTIES = ("r1+r2", "r1", "r2", "gradient", "none")
CENTRED = ("relativistic", "wasserstein")
"""Objectives whose logits mean something only beside those of the other kind."""
GRADIENT_WEIGHT = 10.0
"""Of the Wasserstein loss (Gulrajani et al. 2017)."""
SCORED = ("low", "high", "cap", "smoothing", "warmup")
PLAYERS = ("discriminator", "generator")


def _turns(value: Any) -> bool:
    if not isinstance(value, Mapping) or not value:
        return False
    names, numbers = set(value), all(isinstance(each, int | float) for each in value.values())
    return numbers and (names <= set(SCORED) or (names <= set(PLAYERS) and all(map(_whole, value.values()))))


def _whole(value: float) -> bool:
    return value >= 1 and float(value).is_integer()


@final
@dataclass(frozen=True)
class Rules:
    """What is played for, every "auto" resolved; words as in `regen.Game`.

    norm : the discriminator has a batch norm, so that real and generated rows pass it apart.
    scored : the generator's terms must hold its score, whatever that costs.
    """

    objective: str
    losses: GANLoss
    penalty: str
    weight: float
    pack: int
    noise: float
    norm: bool
    scored: bool


@final
@dataclass(kw_only=True)
class Game(Params):
    """What generator and discriminator compete for, and who moves when.

    It is a plain value with scikit-learn's ``get_params`` and ``set_params``, as `regen.Training` is: ``clone``
    copies it, and ``GridSearchCV`` can search over ``game__pack``. It only stores what it is given; ``fit`` checks.

    Parameters
    ----------
    objective : {"relativistic", "nonsaturating", "minimax", "hinge", "least_squares", "wasserstein"}
        What they compete for, see `regen.losses.gan_loss`. "relativistic" asks of pairs which of
        the two is real, so that no kind of rows can be left out cheaply: with both penalties it alone finds all 1,000
        modes of stacked MNIST (Huang et al. 2024).
    penalty : {"auto", "r1+r2", "r1", "r2", "gradient", "none"}, default="auto"
        On the slope of the discriminator: zero-centred on real rows (r1), on generated ones (r2), or on both, which
        makes the game converge near its end (Mescheder et al. 2018); "gradient" wants a slope of 1 between the two
        (Gulrajani et al. 2017). "auto" is "gradient" for "wasserstein", "none" with spectral_norm, else "r1+r2".
    penalty_weight : float or "auto", default="auto"
        The gamma of ``gamma / 2 * (R1 + R2)``, or the weight of "gradient", 10 by default. "auto" is set by the
        estimator.
    spectral_norm : bool, default=False
        Divide every weight of the discriminator by its largest singular value (Miyato et al. 2018).
    pack : int, default=1
        Rows that the discriminator reads side by side, so that it sees when they are too much alike (Lin et al.
        2018). The batch size must be a multiple of it.
    ema_half_life : float or "auto", default="auto"
        Moves of the generator after which its weights count half in their moving average, which is what samples.
        0: no average, the last weights sample.
    label_smoothing : float, default=0.0
        Taken from the label of real rows; of "nonsaturating", "minimax" and "least_squares" (Salimans et al. 2016).
    instance_noise : float, default=0.0
        Deviation of the noise that is added to all that the discriminator reads, real and generated, whose numbers
        are of size 1 (Sonderby et al. 2017). It stays: two noisy distributions are equal when the clean ones are.
    beta1, beta2 : float or "auto", default="auto"
        Adam's two memories; "auto" is set by the estimator. Of the optimizers "adam" and "adamw".
    discriminator_rate : float, default=1.0
        Learning rate of the discriminator, in learning rates of the generator (Heusel et al. 2017).
    turns : {"alternate", "scores"} or dict, default="alternate"
        Who moves when: "alternate" moves both on every batch, or as often each as numbers for "discriminator" and
        "generator" say; "scores" moves the generator until its smoothed score passes a threshold, then the
        discriminator until it tells real from generated again, and numbers for "low", "high", "cap", "smoothing" and
        "warmup" say when. See `regen.training.turn_taking`; the numbers are a dict such as ``{"high": 40}``.
    early_stopping : {"coverage", "density", "precision", "recall", "two_sample", "mmd"} or None, default=None
        Stop when this measure of rows generated against rows held out has not become better for as many
        measurements as the patience of the training plan says. None runs all epochs. Either way the generator that
        was best is kept; if None by the mean of precision and coverage.
    quality_every : int, default=250
        Batches, at least, from one measurement of quality to the next, which comes at the end of an epoch.
    """

    objective: str = "relativistic"
    penalty: str = "auto"
    penalty_weight: float | str = "auto"
    spectral_norm: bool = False
    pack: int = 1
    ema_half_life: float | str = "auto"
    label_smoothing: float = 0.0
    instance_noise: float = 0.0
    beta1: float | str = "auto"
    beta2: float | str = "auto"
    discriminator_rate: float = 1.0
    turns: str | Mapping[str, float] = "alternate"
    early_stopping: str | None = None
    quality_every: int = 250

    constraints: ClassVar[dict[str, Constraint]] = {
        "objective": Choice(tuple(GAN_LOSSES)),
        "penalty": Choice(("auto", *PENALTIES)),
        "penalty_weight": Either((Choice(("auto",)), Number(0))),
        "spectral_norm": Bool(),
        "pack": Int(1),
        "ema_half_life": Either((Choice(("auto",)), Number(0))),
        "label_smoothing": Number(0, 0.5, high_open=True),
        "instance_noise": Number(0),
        "beta1": Either((Choice(("auto",)), Number(0, 1, high_open=True))),
        "beta2": Either((Choice(("auto",)), Number(0, 1, high_open=True))),
        "discriminator_rate": Number(0, low_open=True),
        "turns": Either(
            (
                Choice(("alternate", "scores")),
                Anything(
                    f"a dict of moves for some of {', '.join(map(repr, PLAYERS))} or of numbers for some of "
                    f"{', '.join(map(repr, SCORED))}",
                    _turns,
                ),
            )
        ),
        "early_stopping": Either((Choice(MEASURES), Nothing())),
        "quality_every": Int(1),
    }

    def check(self) -> None:
        """Refuse the first field that is out of its range, with a ValueError that names it."""
        super().check()
        gan_loss(self.objective, self.label_smoothing)
        _ = self.schedule()

    @property
    def penalised(self) -> str:
        """The penalty, "auto" resolved."""
        if self.penalty != "auto":
            return self.penalty
        if self.objective == "wasserstein":
            return "gradient"
        return "none" if self.spectral_norm else "r1+r2"

    @property
    def by_scores(self) -> bool:
        """Whether scores say who moves."""
        return self.turns == "scores" or (isinstance(self.turns, Mapping) and set(self.turns) <= set(SCORED))

    def rules(self, usual: Mapping[str, float], norm: bool) -> Rules:
        """What is played for, every "auto" taken from `usual`.

        norm : the discriminator has a batch norm.
        """
        weight: Any = usual["penalty_weight"] if self.penalty_weight == "auto" else self.penalty_weight
        if self.penalised == "gradient" and self.penalty_weight == "auto":
            weight = GRADIENT_WEIGHT
        return Rules(
            objective=self.objective,
            losses=gan_loss(self.objective, self.label_smoothing),
            penalty=self.penalised,
            weight=float(weight),
            pack=self.pack,
            noise=float(self.instance_noise),
            norm=norm,
            scored=self.by_scores,
        )

    def schedule(self) -> Schedule:
        """Who moves when; a new one, for it remembers."""
        if not isinstance(self.turns, Mapping):
            return turns() if self.by_scores else alternate(discriminator=1, generator=1)
        numbers: dict[str, Any] = {
            name: int(value) if _whole(value) else float(value) for name, value in self.turns.items()
        }
        if self.by_scores:
            return turns(**numbers)
        return alternate(**{name: numbers.get(name, 1) for name in PLAYERS})
