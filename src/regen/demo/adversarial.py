"""Networks that compete to create: points in 25 clumps, and digits at several moments of the game."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from os.path import join
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

from regen import datasets, figures
from regen.demo.result import Outcome, Row, kept
from regen.estimators import DCGAN, GAN
from regen.inspect import training_game
from regen.metrics.generative import two_sample_accuracy
from regen.report import Given, Picture, Section

__all__ = ["clumps", "forged"]

Values = NDArray[np.float32]

POINTS, NEW = 2500, 1000
"""Points to learn from, and to test on."""
APART, WIDE = 2.0, 0.2
"""From the middle of a clump to the next one, and the deviation within one."""
KNOWN = 1437
"""Digits to learn from; the other 360 are for testing."""
SHARES = (0.01, 0.2, 0.5, 1.0)
"""Moments of a game, as shares of its epochs."""
WAYS, STEPS = 6, 9

CLUMPS = (
    "A generative adversarial network (GAN) is two networks that compete. The generator makes points out of noise;"
    " the discriminator looks at real points and made ones and scores from 1 to 100 how real each looks. Each learns"
    " from the other, and nobody tells either what the points have in common.",
    "These lie in 25 clumps, five by five: the classical trap, for a generator that makes all its points in a few of"
    " them fools its discriminator for a while. So quality is measured on points held out while the two compete, and"
    " the generator that was best is kept.",
)
FORGED = (
    "A deep convolutional GAN (DCGAN) makes images: the generator unfolds a code of noise into pixels by transposed"
    " convolutions, the discriminator reads pixels by convolutions. Here they take turns by the scores: the generator"
    " moves until its digits fool the discriminator, then the discriminator until it tells them apart again, neither"
    " for more than three batches.",
    "It was never told which digit is which, or what a digit is.",
)


def clumps(folder: Path, max_epochs: int) -> Outcome:
    """A GAN on points in 25 clumps, beside mixtures of Gaussians."""
    chance = np.random.default_rng(0)
    known, new = _grid(POINTS, chance), _grid(NEW, chance)
    # With two numbers more than a point has the generator fills the clumps instead of drawing lines through them.
    options: dict[str, Any] = {"code": 4, "hidden": (64, 64, 64, 64), "random_state": 0}
    games = dict(_games(lambda **more: GAN(**options, **more), known, min(max_epochs, 30), {}))
    model = games[max(games)]
    given = Given(new, source="points drawn by the demo, those for testing", own=False)
    link = kept(model, folder, "clumps-gan", "GAN", given)
    made = {batches: game.sample(NEW, random_state=1) for batches, game in games.items()}
    end = made[max(made)]
    rows = _rows("GAN", "25 clumps", new, end, {k: _by_gaussians(known, k, NEW) for k in (1, 10)})
    content = [
        Picture(
            figures.points(new, each, axes=("first number", "second number")),
            _clumped(batches, each),
            wide=False,
        )
        for batches, each in (next(iter(made.items())), (max(made), end))
    ]
    command = f"`regen sample {quote(str(folder / 'clumps-gan'))} -n 1000 -o points.csv`"
    return Outcome(
        rows,
        Section("Competing: points in 25 clumps", [*CLUMPS, f"More of them: {command}."], content, [link]),
    )


def forged(folder: Path, max_epochs: int) -> Outcome:
    """A DCGAN on digits that takes turns by scores, beside mixtures of Gaussians."""
    images = datasets.digits()[0]
    order = np.random.default_rng(0).permutation(len(images))
    known, new = images[order[:KNOWN]], images[order[KNOWN:]]
    game = {"turns": {"low": 40, "high": 47, "cap": 3}}
    options: dict[str, Any] = {"channels": 16, "learning_rate": 1e-3, "game": game, "random_state": 0}
    games = dict(_games(lambda **more: DCGAN(**options, **more), known, min(max_epochs, 16), {}))
    model = games[max(games)]
    given = Given(new, source="`regen.datasets.digits()`, those for testing", own=False)
    link = kept(model, folder, "digits-dcgan", "DCGAN", given)
    made = model.sample(len(new), random_state=1)
    others = {k: np.clip(_by_gaussians(known, k, len(new)), 0, 1) for k in (1, 10)}
    rows = _rows("DCGAN", "new digits", new, made, others)
    moments = {f"{batches}": game.sample(10, random_state=4) for batches, game in games.items()}
    ways = [model.interpolate(steps=STEPS, random_state=k) for k in range(WAYS)]
    content = [
        Picture(
            figures.image_rows(moments | {"real": new[:10]}),
            "Ten codes of noise, and what the generator made of them after so many batches; in the last row digits"
            " that people wrote.",
            wide=False,
        ),
        Picture(
            figures.image_rows(np.concatenate(ways), columns=STEPS),
            "Ways between codes: in each row the code moves in equal steps from one at the left to one at the right,"
            " and what it stands for changes with it.",
            wide=False,
        ),
        Picture(training_game(model).plot(), _fought(model)),
    ]
    command = f"`regen sample {quote(str(folder / 'digits-dcgan'))} -n 64 -o new.png`"
    return Outcome(
        rows,
        Section("Competing: digits out of noise", [*FORGED, f"More of them: {command}."], content, [link]),
    )


def told_apart(real: NDArray[Any], made: NDArray[Any]) -> float:
    """How well the nearest other row tells whether a row (n, ...) is real: 0 % by a guess, 100 % always."""
    rows = (
        torch.from_numpy(np.asarray(each, dtype=np.float32).reshape(len(each), -1)) for each in (real, made)
    )
    return 100 * abs(2 * two_sample_accuracy(*rows) - 1)


def _rows(
    network: str, data: str, real: NDArray[Any], made: NDArray[Any], others: Mapping[int, NDArray[Any]]
) -> list[Row]:
    """How far generated rows are told apart from real ones, beside those drawn from so many Gaussians."""
    error = told_apart(real, made)
    names = {k: "one Gaussian" if k == 1 else f"{k} Gaussians" for k in others}
    return [Row(network, data, error, names[k], told_apart(real, other), " %") for k, other in others.items()]


def _by_gaussians(known: NDArray[Any], k: int, n: int) -> NDArray[Any]:
    """`n` rows drawn from a mixture of `k` Gaussians fitted to those of `known` (N, ...)."""
    mixture = GaussianMixture(k, reg_covar=1e-3, random_state=0).fit(
        known.reshape(len(known), -1).astype(float)
    )
    drawn: NDArray[Any] = mixture.sample(n)[0]
    return drawn


def _games(
    build: Callable[..., Any], X: Values, max_epochs: int, plan: dict[str, Any]
) -> Iterator[tuple[int, Any]]:
    """One game at several moments, by batches: each goes on, bit for bit, where the one before stopped."""
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # early on rows are bad, and it would be said each time;
        warnings.simplefilter(
            "ignore", RuntimeWarning
        )  # short turns often end at their cap, as the page tells
        for epochs in sorted({max(1, round(share * max_epochs)) for share in SHARES}):
            model = build(max_epochs=epochs, training=plan | {"checkpoint": join(folder, "game")}).fit(X)
            yield int(model.epochs_["step"][-1]), model.set_params(training=plan)


def _grid(n: int, chance: np.random.Generator) -> Values:
    """(n, 2) points in 25 clumps, as many in each as chance has it."""
    middles = APART * np.stack(np.meshgrid(np.arange(5), np.arange(5)), axis=-1).reshape(-1, 2) - 2 * APART
    drawn: Values = (middles[chance.integers(25, size=n)] + WIDE * chance.standard_normal((n, 2))).astype(
        np.float32
    )
    return drawn


def _clumped(batches: int, made: Values) -> str:
    """The caption of made points (n, 2), with how many lie in clumps, and in how many."""
    nearest = np.clip(np.rint(made / APART), -2, 2)
    inside = np.linalg.norm(made - APART * nearest, axis=1) < 3 * WIDE
    found = len(np.unique(nearest[inside], axis=0))
    return (
        f"After {batches} batches: {100 * inside.mean():.0f} % of the generated points lie in a clump (99 % of real"
        f" ones do, within three deviations), and {found} of the 25 clumps have some."
    )


def _fought(model: Any) -> str:
    """The caption of a duel."""
    quality, capped = model.quality_, np.mean([why == "cap" for *_, why in model.turns_])
    return (
        f"The two players over the batches. Of the last {len(model.turns_)} turns {100 * capped:.0f} % ended at the"
        f" cap of three batches. In the end the discriminator scores real digits {quality['score_real']:.0f} and"
        f" generated ones {quality['score']:.0f} on average, 50 being a guess, and the generated ones cover"
        f" {100 * quality['coverage']:.0f} % of digits held out (97 % as good as real). The best generator is kept."
    )
