"""Game: objective, penalties and schedule of the training of a GAN, shared by `GAN` and `DCGAN`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

from regen._check import Anything, Bool, Choice, Constraint, Either, Int, Nothing, Number
from regen.losses.gan import GAN_LOSSES, GANLoss, gan_loss
from regen.training.options import Params
from regen.training.schedule import Schedule, alternate
from regen.training.turn_taking import turns

__all__ = ["MEASURES", "PAIRED", "Game", "GameRules"]

MEASURES = ("coverage", "density", "precision", "recall", "two_sample", "mmd")
"""Quality measures that `early_stopping` can monitor."""
PENALTIES = ("r1+r2", "r1", "r2", "gradient", "none")
PAIRED = ("relativistic", "wasserstein")
"""Objectives whose logits are meaningful only as differences between a real and a generated row."""
GRADIENT_WEIGHT = 10.0
"""Weight of the gradient penalty of the Wasserstein loss (Gulrajani et al. 2017)."""
TURN_PARAMETERS = ("low", "high", "cap", "smoothing", "warmup")
PLAYERS = ("discriminator", "generator")


def _is_turns(value: Any) -> bool:
    if not isinstance(value, Mapping) or not value:
        return False
    names, numbers = set(value), all(isinstance(each, int | float) for each in value.values())
    moves = names <= set(PLAYERS) and all(map(_is_whole, value.values()))
    return numbers and (names <= set(TURN_PARAMETERS) or moves)


def _is_whole(value: float) -> bool:
    return value >= 1 and float(value).is_integer()


@final
@dataclass(frozen=True)
class GameRules:
    """A `Game` with every "auto" resolved; fields are named as its parameters.

    losses : of both players for `objective`.
    batch_norm : whether the discriminator has batch normalization, so that real and generated rows need separate
        passes.
    by_scores : whether the schedule needs the score of generated rows in the terms of both players.
    betas : of Adam.
    """

    objective: str
    losses: GANLoss
    penalty: str
    penalty_weight: float
    pack: int
    instance_noise: float
    batch_norm: bool
    by_scores: bool
    ema_half_life: float
    betas: tuple[float, float]
    discriminator_rate: float
    early_stopping: str | None
    quality_every: int


@final
@dataclass(kw_only=True, repr=False)
class Game(Params):
    """How a generator and a discriminator are trained against each other.

    A plain value with scikit-learn's ``get_params`` and ``set_params``, as `regen.Training`: ``clone`` copies it, and
    ``GridSearchCV`` can search over ``game__pack``. It only stores its parameters; ``fit`` checks them.

    Parameters
    ----------
    objective : {"relativistic", "nonsaturating", "minimax", "hinge", "least_squares", "wasserstein"}, \
default="relativistic"
        The losses of both players, see `regen.losses.gan_loss`. "relativistic" classifies which row of a pair
        is real, so that no mode can be dropped cheaply: with both penalties it alone finds all 1,000 modes of stacked
        MNIST (Huang et al. 2024).
    penalty : {"auto", "r1+r2", "r1", "r2", "gradient", "none"}, default="auto"
        Penalty on the input gradient of the discriminator: zero-centred on real rows (r1), on generated ones (r2), or
        on both, which makes training converge locally (Mescheder et al. 2018); "gradient" penalises deviation of its
        norm from 1 between real and generated rows (Gulrajani et al. 2017). "auto" is "gradient" for "wasserstein",
        "none" with spectral_norm, else "r1+r2".
    penalty_weight : float or "auto", default="auto"
        The gamma of ``gamma / 2 * (R1 + R2)``, or the weight of "gradient", which is 10 for "auto". For the others
        "auto" is set by the estimator.
    spectral_norm : bool, default=False
        Divide every weight of the discriminator by its largest singular value (Miyato et al. 2018).
    pack : int, default=1
        Rows that are concatenated into one input of the discriminator, so that it detects when they are too similar
        (Lin et al. 2018). The batch size must be a multiple of it.
    ema_half_life : float or "auto", default="auto"
        Half-life, in steps of the generator, of the exponential moving average of its weights, from which samples are
        generated. 0: no average, the last weights generate samples.
    label_smoothing : float, default=0.0
        Amount subtracted from the label of real rows, for "nonsaturating", "minimax" and "least_squares" (Salimans et
        al. 2016).
    instance_noise : float, default=0.0
        Standard deviation of the noise that is added to all inputs of the discriminator, real and generated, whose
        numbers are of size 1 (Sonderby et al. 2017). It is not annealed: two distributions with noise are equal when
        those without are.
    beta1, beta2 : float or "auto", default="auto"
        Decay rates of Adam's moments; "auto" is set by the estimator. For the optimizers "adam" and "adamw".
    discriminator_rate : float, default=1.0
        Learning rate of the discriminator relative to that of the generator (Heusel et al. 2017).
    turns : {"alternate", "scores"} or dict, default="alternate"
        The schedule: "alternate" updates both players on every batch, or each as many times as a dict of
        "discriminator" and "generator" gives; "scores" updates the generator until its smoothed score passes a
        threshold, then the discriminator until it distinguishes real from generated rows again, with numbers for
        "low", "high", "cap", "smoothing" and "warmup". The numbers are a dict such as ``{"high": 40}``, see
        `regen.training.turn_taking`.
    early_stopping : {"coverage", "density", "precision", "recall", "two_sample", "mmd"} or None, default=None
        Stop when this measure of generated rows, compared with held-out rows, has not improved for as many
        measurements as the patience of the training options. None runs all epochs. Either way the best generator is
        kept; if None the best by the mean of precision and coverage.
    quality_every : int, default=250
        Minimum number of batches between two measurements of quality, which are made at the end of an epoch.

    See Also
    --------
    GAN : Generates rows of a table, points or sequences.
    DCGAN : Generates images.
    Training : Options of the training loop.

    Examples
    --------
    >>> import regen
    >>> game = regen.Game(objective="hinge", pack=2)
    >>> regen.GAN(game=game).get_params()["game__pack"]
    2
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
                    f"{', '.join(map(repr, TURN_PARAMETERS))}",
                    _is_turns,
                ),
            )
        ),
        "early_stopping": Either((Choice(MEASURES), Nothing())),
        "quality_every": Int(1),
    }

    def _check_combinations(self) -> None:
        gan_loss(self.objective, self.label_smoothing)
        _ = self.schedule()

    @property
    def resolved_penalty(self) -> str:
        """The penalty, "auto" resolved."""
        if self.penalty != "auto":
            return self.penalty
        if self.objective == "wasserstein":
            return "gradient"
        return "none" if self.spectral_norm else "r1+r2"

    @property
    def by_scores(self) -> bool:
        """Whether the schedule is that of scores."""
        return self.turns == "scores" or (
            isinstance(self.turns, Mapping) and set(self.turns) <= set(TURN_PARAMETERS)
        )

    def rules(self, defaults: Mapping[str, float], batch_norm: bool) -> GameRules:
        """Resolve every "auto".

        Parameters
        ----------
        defaults : mapping
            What "auto" is for penalty_weight, ema_half_life, beta1 and beta2.
        batch_norm : bool
            Whether the discriminator has batch normalization.

        Returns
        -------
        rules : GameRules
            The settings of both players, all "auto" resolved.
        """

        def resolved(name: str) -> float:
            value = getattr(self, name)
            return float(defaults[name] if value == "auto" else value)

        weight = resolved("penalty_weight")
        if self.resolved_penalty == "gradient" and self.penalty_weight == "auto":
            weight = GRADIENT_WEIGHT
        return GameRules(
            objective=self.objective,
            losses=gan_loss(self.objective, self.label_smoothing),
            penalty=self.resolved_penalty,
            penalty_weight=weight,
            pack=self.pack,
            instance_noise=float(self.instance_noise),
            batch_norm=batch_norm,
            by_scores=self.by_scores,
            ema_half_life=resolved("ema_half_life"),
            betas=(resolved("beta1"), resolved("beta2")),
            discriminator_rate=self.discriminator_rate,
            early_stopping=self.early_stopping,
            quality_every=self.quality_every,
        )

    def schedule(self) -> Schedule:
        """Return a new schedule, which keeps the state of one training.

        Returns
        -------
        schedule : Schedule
            Which player moves next.
        """
        if not isinstance(self.turns, Mapping):
            return turns() if self.by_scores else alternate(discriminator=1, generator=1)
        numbers: dict[str, Any] = {
            name: int(value) if _is_whole(value) else float(value) for name, value in self.turns.items()
        }
        if self.by_scores:
            return turns(**numbers)
        return alternate(**{name: numbers.get(name, 1) for name in PLAYERS})
